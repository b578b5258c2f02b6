"""The picture of `make bench`: how far delivery is off over time, and how uneven the steps are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thecal_bench.benchmarks.figures import error_bands, interval_deviations_us
from thecal_bench.benchmarks.motion import DESIGNS, LATE, NOMINAL, THECAL, Motion
from thecal_bench.benchmarks.tables import NAMES, case_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by all kinds of colour vision, and in grey (palette of Okabe and Ito).
COLOURS = {THECAL: "#0072B2", NOMINAL: "#E69F00", LATE: "#444444"}
BANDS = 300  # the line of errors is a saw with a tooth for every step: what shows is its upper and lower end
LINEAR_STEPS = 2  # the axis of errors is linear up to here and logarithmic beyond
BINS_PER_DECADE = 6
LOWEST_EXPONENT, HIGHEST_EXPONENT = -1, 6  # of intervals, in us


def draw(cases: Sequence[dict[str, Motion]], path: Path) -> None:
    """Write the picture of some cases, each a column, as PNG."""
    figure = figure_of(cases)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def figure_of(cases: Sequence[dict[str, Motion]]) -> Figure:
    """The picture before it is written: errors above, intervals below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 + 5 * len(cases), 8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("Thecal beside the usual soft-Timer stepper, same image, same chip", fontweight="bold")
    panels = figure.subplots(2, len(cases), squeeze=False, sharey="row")
    for (above, below), case in zip(panels.T, cases, strict=True):
        above.set_title(case_title(case[THECAL].task))
        _draw_errors(case, above)
        _draw_intervals(case, below)
    panels[0][0].set_ylabel("made - owed [microsteps]")
    panels[1][0].set_ylabel("intervals")
    panels[0][0].legend(loc="lower left", framealpha=0.95)
    panels[1][0].legend(loc="upper right", framealpha=0.95)
    return figure


def _draw_errors(case: dict[str, Motion], axes: Axes) -> None:
    axes.axhline(1, color="black", linewidth=1, linestyle=":", label="1 microstep")
    axes.axhline(-1, color="black", linewidth=1, linestyle=":")
    for design in (NOMINAL, LATE, THECAL):
        motion, colour = case[design], COLOURS[design]
        bands = error_bands(motion.edges, motion.task.steps_per_cycle, motion.end_cycle, BANDS)
        seconds = [motion.task.seconds * band / BANDS for band in range(BANDS + 1)]
        low, high = [[*values, values[-1]] for values in zip(*bands, strict=True)]
        if design == LATE:  # lies on the other control nearly everywhere
            style = {"facecolor": "none", "edgecolor": colour, "linewidth": 0.9}
        else:
            style = {"facecolor": colour, "edgecolor": colour, "linewidth": 1, "alpha": 0.85}
        axes.fill_between(seconds, low, high, step="post", label=NAMES[design], **style)
    axes.set_yscale("symlog", linthresh=LINEAR_STEPS, linscale=1.5)
    axes.set_yticks([-100, -10, -2, -1, 0, 1, 2], ["-100", "-10", "-2", "-1", "0", "1", "2"])
    axes.set_xlabel("time [s]")
    axes.set_xlim(0, case[THECAL].task.seconds)
    axes.grid(alpha=0.25)


def _draw_intervals(case: dict[str, Motion], axes: Axes) -> None:
    decades = HIGHEST_EXPONENT - LOWEST_EXPONENT
    edges_us = [10 ** (LOWEST_EXPONENT + n / BINS_PER_DECADE) for n in range(decades * BINS_PER_DECADE + 1)]
    for design in DESIGNS:
        motion = case[design]
        deviations = interval_deviations_us(motion.edges, motion.task.steps_per_cycle)
        axes.hist(
            [min(max(abs(deviation), edges_us[0]), edges_us[-1]) for deviation in deviations],
            bins=edges_us,
            histtype="stepfilled" if design == THECAL else "step",
            alpha=0.55 if design == THECAL else 1,
            linewidth=1.8,
            linestyle="--" if design == LATE else "-",
            color=COLOURS[design],
            label=NAMES[design],
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(edges_us[0], edges_us[-1])
    axes.set_ylim(bottom=0.7)
    axes.set_xlabel("interval between two steps, off the even one by [us]")
    axes.grid(alpha=0.25)
