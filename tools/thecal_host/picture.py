"""A run as a picture: delivered against programmed volume, and the errors below.

A run with a `Course` (boluses of the patient, a limit, steps of the day) gets another picture, of three
panels over one time: the basal rate and what was asked for, delivered against programmed volume in periods,
and how full the limit's window is.

matplotlib is imported only inside `draw`, without a display.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from textwrap import fill, shorten
from typing import TYPE_CHECKING

from thecal_model.quantities import DAYS
from thecal_model.rig_words import unwatched_text
from thecal_model.text import MS_PER, NL_PER, short_volume, time_unit, volume_text, volume_unit

from thecal_host.files import FileError, check_new, why_not
from thecal_host.programmed import CLINICIAN
from thecal_host.report import (
    Asked,
    Course,
    Fill,
    Run,
    fills_of,
    in_force,
    periods_of,
    worst_error_steps,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by all kinds of colour vision, and in grey (palette of Okabe and Ito).
PROGRAMMED_COLOUR = "#E69F00"
DELIVERED_COLOUR = "#0072B2"
ERROR_COLOUR = "#333333"
MARK_COLOUR = "#888888"
DENIED_COLOUR = "#D55E00"

# What fits along the height of the upper panel.
MARK_LETTERS = 72

PICTURE_ENDINGS = (".png", ".pdf", ".svg")
"""The kinds of picture that `draw` makes."""


def check_picture(path: Path) -> None:
    """FileError when a picture cannot be written to `path`: its ending, its folder."""
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise FileError(f"{path}: expected a picture ending in {', '.join(PICTURE_ENDINGS)}")
    check_new(path, force=True)


def draw(run: Run, path: Path) -> None:
    """Draw a run to `path`, in the format that its ending names. FileError."""
    figure = figure_of(run)
    check_picture(path)
    try:
        figure.savefig(path, dpi=120)
    except OSError as why:
        raise why_not(path, why) from None


def figure_of(run: Run) -> Figure:
    """The picture before it is written: volumes above, errors below; or the three panels of a course."""
    if len(run.samples) < 2:
        raise ValueError(f"{run.title}: {len(run.samples)} samples make no picture")
    if run.course is not None:
        return _course_figure(run, run.course)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    volumes, errors = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1]})
    figure.suptitle(run.title, fontsize=14, fontweight="bold")
    _say_unwatched(figure, run)

    first_ms, last_ms = run.samples[0].at_ms, run.samples[-1].at_ms
    unit = time_unit(last_ms - first_ms)
    ms_per_unit = MS_PER[unit]
    _draw_volumes(run, volumes, ms_per_unit)
    _draw_errors(run, errors, ms_per_unit)
    _draw_marks(run, volumes, errors, ms_per_unit)
    _draw_gaps(run, (volumes, errors), ms_per_unit)
    errors.set_xlabel(f"time since the beginning of the run [{unit}]")
    errors.set_xlim(first_ms / ms_per_unit, last_ms / ms_per_unit)
    return figure


def _say_unwatched(figure: Figure, run: Run) -> None:
    """What nobody watched for in this run, below it."""
    if run.rig is not None and run.rig.unwatched():
        said = f"not watched: {unwatched_text(run.rig.unwatched())}"
        figure.supxlabel(fill(said, 150), fontsize=8, color=DENIED_COLOUR)


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


def _draw_gaps(run: Run, panels: Sequence[Axes], ms_per_unit: int) -> None:
    """Where the line was lost nobody has seen what was delivered: the curves only lead across it."""
    for from_ms, to_ms in run.gaps:
        for axes in panels:
            axes.axvspan(
                from_ms / ms_per_unit,
                to_ms / ms_per_unit,
                facecolor="white",
                edgecolor=MARK_COLOUR,
                alpha=0.7,
                hatch="///",
                linewidth=0,
                zorder=3,
            )
        panels[0].annotate(
            "line lost",
            ((from_ms + to_ms) / 2 / ms_per_unit, 0.5),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="center",
            va="center",
            fontsize=9,
            color="#555555",
            zorder=4,
        )


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
        words = volumes.annotate(
            shorten(label, MARK_LETTERS, placeholder=" ..."),
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
        # Else a long mark squeezes the panels.
        words.set_in_layout(False)


# --- the course of a therapy


def _course_figure(run: Run, course: Course) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fills = fills_of(run)
    ratios = [1.5, 1.0, 1.1] if fills else [1.5, 1.0]
    figure = Figure(figsize=(13, 3.2 * len(ratios)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(run.title, fontsize=14, fontweight="bold")
    _say_unwatched(figure, run)
    panels = figure.subplots(len(ratios), 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    first_ms, last_ms = run.samples[0].at_ms, run.samples[-1].at_ms
    unit = time_unit(last_ms - first_ms)
    ms_per_unit = MS_PER[unit]
    _draw_basal(run, panels[0], ms_per_unit)
    _draw_asked(course, panels[0], ms_per_unit)
    _draw_periods(run, panels[1], ms_per_unit)
    if fills:
        _draw_fill(course, fills, panels[2], ms_per_unit)
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        for at_ms, _ in _turns(run):
            if axes is panels[1]:
                break  # its bars are of whole periods
            axes.axvline(at_ms / ms_per_unit, color=MARK_COLOUR, linewidth=0.9, linestyle=":")
    _draw_gaps(run, panels, ms_per_unit)
    for at_ms, label in _turns(run):
        # Before the line what ends there, behind it what begins: stop and start may be close together.
        ends = label.startswith(("stop", "halt"))
        panels[0].annotate(
            label,
            (at_ms / ms_per_unit, 0.03),
            xycoords=("data", "axes fraction"),
            xytext=(-2 if ends else 2, 0),
            textcoords="offset points",
            ha="right" if ends else "left",
            rotation=90,
            fontsize=8,
            color="#555555",
        )
    panels[-1].set_xlim(first_ms / ms_per_unit, last_ms / ms_per_unit)
    _label_time(panels[-1], course.clock_ms, first_ms, last_ms)
    return figure


def _turns(run: Run) -> list[tuple[int, str]]:
    """The marks that are neither boluses nor denials nor alarms, which have rows and words of their own."""
    words = ("start", "stop", "halt", "therapy", "clock", "bridge", "refill")
    kept = []
    for at_ms, label in run.marks:
        parts = [part.split(":")[0].split(" (")[0] for part in label.split(" · ") if part.startswith(words)]
        if parts:
            kept.append((at_ms, ", ".join(parts)))
    return kept


def _label_time(axes: Axes, clock_ms: int | None, first_ms: int, last_ms: int) -> None:
    """Weekdays at their midnights where they are known and there are two at least."""
    day_ms = MS_PER["days"]
    unit = time_unit(last_ms - first_ms)
    if clock_ms is None or unit != "days":
        axes.set_xlabel(f"time since the beginning of the run [{unit}]")
        return
    first_day = -(-(first_ms + clock_ms) // day_ms)
    days = range(first_day, (last_ms + clock_ms) // day_ms + 1)
    axes.set_xticks([(day * day_ms - clock_ms) / day_ms for day in days])
    axes.set_xticklabels([f"{DAYS[day % len(DAYS)].capitalize()} 00:00" for day in days])
    axes.set_xlabel("time of the week")


def _draw_basal(run: Run, axes: Axes, ms_per_unit: int) -> None:
    last_ms = run.samples[-1].at_ms
    corners = [corner for corner in run.programmed.corners if corner.at_ms <= last_ms]
    times = [*(float(corner.at_ms / ms_per_unit) for corner in corners), last_ms / ms_per_unit]
    top_nl_h = max(corner.basal_nl_h for corner in corners)
    unit = volume_unit(top_nl_h)
    rates = [float(corner.basal_nl_h / NL_PER[unit]) for corner in corners]
    rates.append(rates[-1])
    axes.fill_between(times, rates, step="post", color=PROGRAMMED_COLOUR, alpha=0.25, linewidth=0)
    axes.step(
        times, rates, where="post", color=PROGRAMMED_COLOUR, linewidth=1.6, label="basal rate programmed"
    )
    # The upper half belongs to the boluses.
    axes.set_ylim(0, max(float(top_nl_h / NL_PER[unit]), 1e-9) / 0.5)
    axes.set_ylabel(f"basal rate [{unit}/h]")
    ticks = [tick for tick in axes.get_yticks() if tick <= 1.05 * max(rates)]
    axes.set_yticks(ticks)
    axes.set_title("basal rate programmed, and boluses asked for", loc="left", fontsize=10)


def _draw_asked(course: Course, axes: Axes, ms_per_unit: int) -> None:
    """One row for the boluses granted to each, and one for each reason of a denial."""
    rows: dict[str, list[Asked]] = {}
    for asked in sorted(course.asked, key=lambda asked: asked.reason is not None):
        who = " (clinician)" if asked.kind == CLINICIAN else ""
        name = f"granted{who}" if asked.reason is None else f"denied{who}: {asked.reason}"
        rows.setdefault(name, []).append(asked)
    strip = axes.twinx()
    strip.set_ylim(0, 1)
    height = 0.42 / max(len(rows), 3)
    middles, names = [], []
    for row, (name, boluses) in enumerate(rows.items()):
        middle = 0.97 - (row + 0.5) * height
        times = [asked.at_ms / ms_per_unit for asked in boluses]
        if boluses[0].reason is None:
            low, high = middle - 0.38 * height, middle + 0.38 * height
            strip.vlines(times, low, high, color=DELIVERED_COLOUR, linewidth=3)
            volumes_nl = {asked.volume_nl or Fraction(0) for asked in boluses}
            each = " or ".join(volume_text(volume_nl) for volume_nl in sorted(volumes_nl))
            name += f": {len(boluses)} × {each}" if len(volumes_nl) < 3 else f" ({len(boluses)})"
        else:
            strip.plot(
                times, [middle] * len(times), "x", color=DENIED_COLOUR, markersize=7, markeredgewidth=2
            )
            name += f" ({len(boluses)})"
        strip.axhline(middle, color=MARK_COLOUR, linewidth=0.4, zorder=0)
        middles.append(middle)
        names.append(name)
    strip.set_yticks(middles, names, fontsize=9)
    strip.tick_params(axis="y", length=0)


def _draw_periods(run: Run, axes: Axes, ms_per_unit: int) -> None:
    name, periods = periods_of(run)
    top_nl = max(max(period.programmed_nl, period.delivered_nl) for period in periods)
    unit = volume_unit(top_nl)
    nl_per_unit = NL_PER[unit]
    middles = [(period.begin_ms + period.end_ms) / 2 / ms_per_unit for period in periods]
    widths = [(period.end_ms - period.begin_ms) / ms_per_unit for period in periods]
    for label, colour, share, volumes_nl in (
        ("programmed", PROGRAMMED_COLOUR, 0.86, [period.programmed_nl for period in periods]),
        (f"delivered ({run.source})", DELIVERED_COLOUR, 0.5, [period.delivered_nl for period in periods]),
    ):
        total = short_volume(sum(volumes_nl, Fraction(0)))
        heights = [float(volume_nl / nl_per_unit) for volume_nl in volumes_nl]
        axes.bar(middles, heights, [share * w for w in widths], color=colour, label=f"{label}: {total}")
    for middle, period in zip(middles, periods, strict=True):
        axes.annotate(
            f"{float(period.delivered_nl / nl_per_unit):.4g} {unit}\n{float(period.error_steps):+.2f}",
            (middle, float(max(period.delivered_nl, period.programmed_nl) / nl_per_unit)),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )
    axes.set_ylim(0, max(float(top_nl / nl_per_unit), 1e-9) * 1.65)
    axes.set_ylabel(f"volume [{unit}]")
    largest = float(worst_error_steps(run))
    per = f"in each {name}" if name not in ("10 s", "10 min", "4 h") else f"every {name}"
    axes.set_title(
        f"volume delivered {per}; under it delivered - programmed since the beginning, in microsteps of "
        f"{float(run.nl_per_step):g} nL (largest of {len(run.samples)} samples {largest:+.2f})",
        loc="left",
        fontsize=10,
    )
    axes.legend(loc="upper right", ncols=2, framealpha=0.95, fontsize=9)


def _draw_fill(course: Course, fills: list[Fill], axes: Axes, ms_per_unit: int) -> None:
    unit = volume_unit(max(fill.limit_nl for fill in fills))
    nl_per_unit = NL_PER[unit]
    times = [fill.at_ms / ms_per_unit for fill in fills]
    contents = [float(fill.content_nl / nl_per_unit) for fill in fills]
    axes.fill_between(times, contents, color=DELIVERED_COLOUR, alpha=0.15, linewidth=0)
    fullest = max(fills, key=lambda fill: fill.share)
    axes.plot(
        times,
        contents,
        color=DELIVERED_COLOUR,
        linewidth=1.2,
        label=f"delivered within the window, fullest {volume_text(round(fullest.content_nl))}"
        + ("" if course.peak_nl is None else f" ({volume_text(course.peak_nl)} at any tick)"),
    )
    axes.step(
        times,
        [float(fill.limit_nl / nl_per_unit) for fill in fills],
        where="post",
        color=DENIED_COLOUR,
        linewidth=1.6,
        linestyle="--",
        label="limit: " + ", ".join(dict.fromkeys(volume_text(round(fill.limit_nl)) for fill in fills)),
    )
    refused = [asked for asked in course.asked if asked.reason == "max_dose"]
    if refused:
        axes.plot(
            [asked.at_ms / ms_per_unit for asked in refused],
            [float((in_force(course.limits, a.at_ms).limit_nl or 0) / nl_per_unit) for a in refused],
            "x",
            color=DENIED_COLOUR,
            markersize=7,
            markeredgewidth=2,
            label="denied: max_dose",
        )
    top = max(max(contents), max(float(fill.limit_nl / nl_per_unit) for fill in fills))
    axes.set_ylim(0, top * 1.35)
    axes.set_ylabel(f"in the window [{unit}]")
    windows_ms = dict.fromkeys(limit.window_ms for limit in course.limits if limit.limit_nl is not None)
    windows = " and ".join(_span_text(window_ms) for window_ms in windows_ms)
    axes.set_title(f"fill of the limit's window, the {windows} before", loc="left", fontsize=10)
    axes.legend(loc="upper right", ncols=3, framealpha=0.95, fontsize=9)


def _span_text(span_ms: int) -> str:
    unit = time_unit(span_ms)
    return f"{span_ms / MS_PER[unit]:g} {unit}"
