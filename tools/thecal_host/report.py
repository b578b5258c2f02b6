"""A run on paper: delivered against programmed volume as a picture, and the same as a table of numbers.

`Run` is all that is drawn: samples of what the plant (or, on a real board, the pulse counter) saw, the exact
programmed volume, and marks where something happened. `draw` makes the PNG, `summary_rows` the numbers under
it. Errors are exact fractions until they are drawn.

matplotlib is imported only inside `draw`, without a display.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from thecal_host.programmed import Programmed
from thecal_host.text import MS_PER, NL_PER, short_volume, time_unit, volume_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by all kinds of colour vision, and in grey (palette of Okabe and Ito).
PROGRAMMED_COLOUR = "#E69F00"
DELIVERED_COLOUR = "#0072B2"
ERROR_COLOUR = "#333333"
MARK_COLOUR = "#888888"


@dataclass(frozen=True)
class Sample:
    """The volume delivered since the beginning, at one time."""

    at_ms: int
    delivered_nl: Fraction
    pressure_pa: int | None = None


@dataclass
class Run:
    """One run, ready to be judged. `source` says who saw the delivered volume, as in "plant".

    `bound_steps` is how far delivered may be off: a microstep (DOSE-01) for each start, because a stop
    forfeits the fraction of a step that was owed.
    """

    title: str
    nl_per_step: Fraction
    programmed: Programmed
    samples: list[Sample]
    source: str
    marks: list[tuple[int, str]] = field(default_factory=list)
    bound_steps: int = 1

    def error_steps(self) -> list[Fraction]:
        """Delivered minus programmed at each sample, in microsteps, exact."""
        programmed_nl = self.programmed.volume_nl
        return [(s.delivered_nl - programmed_nl(s.at_ms)) / self.nl_per_step for s in self.samples]


def worst_error_steps(run: Run) -> Fraction:
    """The error furthest from nought, with its sign."""
    return max(run.error_steps(), key=abs, default=Fraction(0))


def summary_rows(run: Run) -> list[tuple[str, str]]:
    """What the run amounts to, as name and value."""
    if not run.samples:
        return [("samples", "none")]
    last = run.samples[-1]
    programmed_nl = run.programmed.volume_nl(last.at_ms)
    final = run.error_steps()[-1]
    rows = [
        ("duration", f"{last.at_ms / 1000:.1f} s"),
        ("programmed", short_volume(programmed_nl)),
        (f"delivered ({run.source})", short_volume(last.delivered_nl)),
        ("error at the end", f"{float(final):+.2f} microsteps ({float(final * run.nl_per_step):+.1f} nL)"),
        ("largest error", f"{float(worst_error_steps(run)):+.2f} microsteps in {len(run.samples)} samples"),
        ("one microstep", f"{float(run.nl_per_step):g} nL"),
    ]
    pressures = [s.pressure_pa for s in run.samples if s.pressure_pa is not None]
    if pressures:
        rows.append(("highest pressure", f"{max(pressures) / 1000:.1f} kPa"))
    return rows


def draw(run: Run, path: Path) -> None:
    """Write the picture of a run as PNG. Raises ValueError when there is nothing to draw."""
    figure = figure_of(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def figure_of(run: Run) -> Figure:
    """The picture before it is written: volumes above, errors below."""
    if len(run.samples) < 2:
        raise ValueError(f"{run.title}: {len(run.samples)} samples make no picture")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    volumes, errors = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    figure.suptitle(run.title, fontsize=14, fontweight="bold")

    first_ms, last_ms = run.samples[0].at_ms, run.samples[-1].at_ms
    unit = time_unit(last_ms - first_ms)
    ms_per_unit = MS_PER[unit]
    _draw_volumes(run, volumes, ms_per_unit)
    _draw_errors(run, errors, ms_per_unit)
    _draw_marks(run, volumes, errors, ms_per_unit)
    errors.set_xlabel(f"time since the beginning of the run [{unit}]")
    errors.set_xlim(first_ms / ms_per_unit, last_ms / ms_per_unit)
    return figure


def _draw_volumes(run: Run, axes: Axes, ms_per_unit: int) -> None:
    samples = run.samples
    end_nl = run.programmed.volume_nl(samples[-1].at_ms)
    unit = volume_unit(max(end_nl, samples[-1].delivered_nl))
    nl_per_unit = NL_PER[unit]
    inner = [c.at_ms for c in run.programmed.corners if samples[0].at_ms < c.at_ms < samples[-1].at_ms]
    times_ms = [samples[0].at_ms, *inner, samples[-1].at_ms]
    # The two lines lie on each other: the wide one shows on both sides of the thin one.
    axes.plot(
        [float(t / Fraction(ms_per_unit)) for t in times_ms],
        [float(run.programmed.volume_nl(t) / nl_per_unit) for t in times_ms],
        color=PROGRAMMED_COLOUR,
        linewidth=6,
        alpha=0.75,
        solid_capstyle="butt",
        label=f"programmed: {short_volume(end_nl)}",
    )
    axes.plot(
        [s.at_ms / ms_per_unit for s in samples],
        [float(s.delivered_nl / nl_per_unit) for s in samples],
        color=DELIVERED_COLOUR,
        linewidth=1.4,
        label=f"delivered ({run.source}): {short_volume(samples[-1].delivered_nl)}",
    )
    axes.set_ylabel(f"volume [{unit}]")
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right", framealpha=0.95)


def _draw_errors(run: Run, axes: Axes, ms_per_unit: int) -> None:
    error_steps = run.error_steps()
    largest = worst_error_steps(run)
    axes.axhspan(
        -run.bound_steps,
        run.bound_steps,
        color=DELIVERED_COLOUR,
        alpha=0.08,
        label=f"allowed: {_bound_text(run)}",
    )
    axes.axhline(0, color=MARK_COLOUR, linewidth=0.8)
    axes.plot(
        [s.at_ms / ms_per_unit for s in run.samples],
        [float(e) for e in error_steps],
        color=ERROR_COLOUR,
        linewidth=0.8,
        marker=".",
        markersize=2.5 if len(error_steps) < 2000 else 0,
        label=f"delivered - programmed, largest {float(largest):+.2f}",
    )
    reach = max(1.6 * run.bound_steps, 1.25 * float(abs(largest)))
    # Room above for the legend, which must not lie on the line it explains.
    axes.set_ylim(-reach, reach * 1.7)
    axes.set_ylabel("error [microsteps]")
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", ncols=2, framealpha=0.95)


def _bound_text(run: Run) -> str:
    steps = "1 microstep" if run.bound_steps == 1 else f"{run.bound_steps} microsteps, one for each start"
    return f"{steps} ({float(run.bound_steps * run.nl_per_step):g} nL)"


def _draw_marks(run: Run, volumes: Axes, errors: Axes, ms_per_unit: int) -> None:
    top = volumes.get_ylim()[1]
    # Room for the words above the line, and below it for the half of the wide line that lies under 0.
    volumes.set_ylim(-0.02 * top, top * 1.12)
    for at_ms, label in run.marks:
        for axes in (volumes, errors):
            axes.axvline(at_ms / ms_per_unit, color=MARK_COLOUR, linewidth=0.9, linestyle=":")
        volumes.annotate(
            label,
            (at_ms / ms_per_unit, 0.985),
            xycoords=("data", "axes fraction"),
            rotation=90,
            xytext=(3, 0),
            textcoords="offset points",
            va="top",
            ha="left",
            fontsize=8,
            color="#555555",
        )
