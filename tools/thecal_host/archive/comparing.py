"""Two runs over each other: what each amounts to, side by side, and one picture over one time.

Above, what each delivered since its beginning; in the middle by how much the second is ahead of the first;
below each one's own error against what was programmed. Two runs of one therapy lie on each other.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from thecal_model.text import MS_PER, NL_PER, short_volume, time_unit, volume_unit

from thecal_host.files import why_not
from thecal_host.picture import DELIVERED_COLOUR, DENIED_COLOUR, MARK_COLOUR
from thecal_host.report import Run, summary_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = (DELIVERED_COLOUR, DENIED_COLOUR)

# The second lies on the first in most places.
STYLES = ({"linewidth": 4, "alpha": 0.5}, {"linewidth": 1.2})


def comparison_rows(first: Run, second: Run) -> list[tuple[str, str, str]]:
    """The summaries of both, row by row; a row that one of them has not is empty there."""
    rows = [dict(summary_rows(run)) for run in (first, second)]
    names = [*rows[0], *(name for name in rows[1] if name not in rows[0])]
    table = [(name, rows[0].get(name, ""), rows[1].get(name, "")) for name in names]
    common_ms = min(first.samples[-1].at_ms, second.samples[-1].at_ms)
    volumes = [delivered_nl(run, common_ms) for run in (first, second)]
    at = f"delivered after {common_ms / 1000:.1f} s"
    table.append((at, short_volume(volumes[0]), short_volume(volumes[1])))
    table.append(("second less first", "", f"{float(volumes[1] - volumes[0]):+.1f} nL"))
    return table


def delivered_nl(run: Run, at_ms: int) -> Fraction:
    """What was delivered up to a time within the run; between two samples the flow is taken as even."""
    samples = run.samples
    index = bisect_right(samples, at_ms, key=lambda sample: sample.at_ms) - 1
    if index < 0:
        return samples[0].delivered_nl
    before = samples[index]
    if index + 1 == len(samples):
        return before.delivered_nl
    after = samples[index + 1]
    share = Fraction(at_ms - before.at_ms, after.at_ms - before.at_ms)
    return before.delivered_nl + share * (after.delivered_nl - before.delivered_nl)


def figure_of(first: tuple[int, Run], second: tuple[int, Run]) -> Figure:
    """The picture of two runs, each with its number."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    volumes, ahead, errors = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [2, 1, 1]})
    both = (first, second)
    figure.suptitle("\n".join(f"run {number}: {run.title}" for number, run in both), fontsize=12)
    ms_per_unit = MS_PER[unit := time_unit(max(run.samples[-1].at_ms for _, run in both))]
    nl_per_unit = NL_PER[volume := volume_unit(max(run.samples[-1].delivered_nl for _, run in both))]
    for (number, run), colour, style in zip(both, COLOURS, STYLES, strict=True):
        times = [sample.at_ms / ms_per_unit for sample in run.samples]
        name = f"run {number}: {short_volume(run.samples[-1].delivered_nl)}"
        delivered = [float(sample.delivered_nl / nl_per_unit) for sample in run.samples]
        volumes.plot(times, delivered, color=colour, label=name, **style)
        errors.plot(
            times, [float(e) for e in run.error_steps()], color=colour, label=f"run {number}", linewidth=0.9
        )
    common_ms = min(run.samples[-1].at_ms for _, run in both)
    at_ms = sorted({s.at_ms for _, run in both for s in run.samples if s.at_ms <= common_ms})
    difference = [float(delivered_nl(second[1], t) - delivered_nl(first[1], t)) for t in at_ms]
    ahead.axhline(0, color=MARK_COLOUR, linewidth=0.8)
    ahead.plot([t / ms_per_unit for t in at_ms], difference, color="black", linewidth=0.9)
    volumes.set_ylabel(f"delivered [{volume}]")
    ahead.set_ylabel(f"run {second[0]} less run {first[0]} [nL]")
    errors.set_ylabel("error of each\n[microsteps]")
    errors.set_xlabel(f"time since the beginning of each [{unit}]")
    for axes in (volumes, ahead, errors):
        axes.grid(alpha=0.25)
    volumes.legend(loc="lower right")
    errors.legend(loc="upper right", ncols=2)
    return figure


def draw(first: tuple[int, Run], second: tuple[int, Run], path: Path) -> None:
    """The picture of two runs into a file. FileError."""
    figure = figure_of(first, second)
    try:
        figure.savefig(path, dpi=110)
    except OSError as why:
        raise why_not(path, why) from None
