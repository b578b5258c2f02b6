"""A run on paper: delivered against programmed volume as a picture, and the same as a table of numbers.

`Run` is all that is drawn: samples of what the plant (or, on a real board, the pulse counter) saw, the exact
programmed volume, and marks where something happened. `draw` makes the picture, `summary_rows` the numbers
under it. Errors are exact fractions until they are drawn.

A run with a `Course` (boluses of the patient, a limit, steps of the day) gets another picture, of three
panels over one time: the basal rate and what was asked for, delivered against programmed volume in periods,
and how full the limit's window is. The content of a window is computed here from the samples alone.

matplotlib is imported only inside `draw`, without a display.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from thecal_model.quantities import DAYS
from thecal_model.text import MS_PER, NL_PER, short_volume, time_unit, volume_text, volume_unit

from thecal_host.files import FileError, check_new, why_not
from thecal_host.programmed import CLINICIAN, Programmed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart by all kinds of colour vision, and in grey (palette of Okabe and Ito).
PROGRAMMED_COLOUR = "#E69F00"
DELIVERED_COLOUR = "#0072B2"
ERROR_COLOUR = "#333333"
MARK_COLOUR = "#888888"
DENIED_COLOUR = "#D55E00"

PICTURE_ENDINGS = (".png", ".pdf", ".svg")
"""The kinds of picture that `draw` makes."""

MOST_PERIODS = 14
PERIODS_MS = {
    "10 s": 10_000,
    "minute": 60_000,
    "10 min": 600_000,
    "hour": 3_600_000,
    "4 h": 4 * 3_600_000,
    "day": MS_PER["days"],
    "week": 7 * MS_PER["days"],
}
"""What volumes are counted in: the shortest of which there are at most MOST_PERIODS."""


@dataclass(frozen=True)
class Sample:
    """The volume delivered since the beginning, at one time."""

    at_ms: int
    delivered_nl: Fraction
    pressure_pa: int | None = None


@dataclass(frozen=True)
class Asked:
    """A bolus that was asked for: its volume where it was granted, the reason where it was denied."""

    at_ms: int
    kind: str
    volume_nl: Fraction | None
    reason: str | None


@dataclass(frozen=True)
class LimitInForce:
    """From `at_ms` on no window may hold more than `limit_nl`; None for no limit.

    What flows from then on has that concentration (1 where no drug is named).
    """

    at_ms: int
    window_ms: int
    limit_nl: Fraction | None
    concentration_pg_nl: Fraction = Fraction(1)


@dataclass(frozen=True)
class Course:
    """What else there is to a therapy with boluses, steps of the day or a limit.

    `clock_ms` is the time of the week at the beginning, None if it is not known or was changed on the way;
    `peak_nl` the content of the fullest window, by someone who saw every tick.
    """

    asked: list[Asked]
    limits: list[LimitInForce]
    clock_ms: int | None = None
    peak_nl: int | None = None


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
    course: Course | None = None

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
    if run.course is not None:
        rows += _course_rows(run, run.course)
    pressures = [s.pressure_pa for s in run.samples if s.pressure_pa is not None]
    if pressures:
        rows.append(("highest pressure", f"{max(pressures) / 1000:.1f} kPa"))
    return rows


def _course_rows(run: Run, course: Course) -> list[tuple[str, str]]:
    granted = [asked for asked in course.asked if asked.reason is None]
    denied = Counter(asked.reason for asked in course.asked if asked.reason is not None)
    reasons = ", ".join(f"{count} {reason}" for reason, count in denied.items())
    rows = [("boluses", f"{len(granted)} granted, {sum(denied.values())} denied ({reasons or 'none'})")]
    fullest = max(window_fill(run.samples, course.limits), key=lambda fill: fill.share, default=None)
    if fullest is not None:
        share = f"{short_volume(fullest.content_nl)} of {short_volume(fullest.limit_nl)}"
        rows.append(("fullest window at a sample", f"{share} ({float(fullest.share):.1%})"))
    if course.peak_nl is not None:
        rows.append(("fullest window at any tick", short_volume(course.peak_nl)))
    return rows


@dataclass(frozen=True)
class Fill:
    """What the window that ends at `at_ms` holds, and the limit that is in force then."""

    at_ms: int
    content_nl: Fraction
    limit_nl: Fraction

    @property
    def share(self) -> Fraction:
        """Of the limit."""
        return self.content_nl / self.limit_nl


def window_fill(samples: list[Sample], limits: list[LimitInForce]) -> list[Fill]:
    """The content of the limit's window (t - W, t] at each sample at which there is a limit.

    Where a window begins between two samples, the flow between them is taken as even. What flowed at another
    concentration counts as the volume of the present one that holds the same drug.
    """
    if not samples or not limits:
        return []
    times_ms = [sample.at_ms for sample in samples]
    in_force = [_in_force(limits, at_ms) for at_ms in times_ms]
    drug_pg = [samples[0].delivered_nl * in_force[0].concentration_pg_nl]
    for before, sample, limit in zip(samples, samples[1:], in_force, strict=False):
        flowed_nl = sample.delivered_nl - before.delivered_nl
        # Flow belongs to what was in force at the sample before it; drawing back credits nothing.
        drug_pg.append(drug_pg[-1] + max(flowed_nl, Fraction(0)) * limit.concentration_pg_nl)

    def drug_by(at_ms: int) -> Fraction:
        index = bisect_right(times_ms, at_ms) - 1
        if index < 0:
            return drug_pg[0]
        if times_ms[index] == at_ms:
            return drug_pg[index]
        share = Fraction(at_ms - times_ms[index], times_ms[index + 1] - times_ms[index])
        return drug_pg[index] + share * (drug_pg[index + 1] - drug_pg[index])

    fills = []
    for at_ms, drug, limit in zip(times_ms, drug_pg, in_force, strict=False):
        if limit.limit_nl is not None:
            content_nl = (drug - drug_by(at_ms - limit.window_ms)) / limit.concentration_pg_nl
            fills.append(Fill(at_ms, content_nl, limit.limit_nl))
    return fills


def _in_force(limits: list[LimitInForce], at_ms: int) -> LimitInForce:
    return limits[max(bisect_right(limits, at_ms, key=lambda limit: limit.at_ms) - 1, 0)]


@dataclass(frozen=True)
class Period:
    """What was delivered and what was programmed between two samples; the error counts from the beginning."""

    begin_ms: int
    end_ms: int
    delivered_nl: Fraction
    programmed_nl: Fraction
    error_steps: Fraction


def periods_of(run: Run) -> tuple[str, list[Period]]:
    """The run in parts, and the name of one. Parts end at the last sample that belongs to them."""
    samples = run.samples
    first_ms, last_ms = samples[0].at_ms, samples[-1].at_ms
    name, period_ms = next(
        ((n, ms) for n, ms in PERIODS_MS.items() if last_ms - first_ms <= MOST_PERIODS * ms),
        ("week", PERIODS_MS["week"]),
    )
    # Days begin at midnight where the time is known.
    clock_ms = run.course.clock_ms if run.course is not None and name == "day" else None
    number_of = [(sample.at_ms + (clock_ms or 0) - 1) // period_ms for sample in samples]
    ends = [i for i in range(1, len(samples)) if i + 1 == len(samples) or number_of[i] != number_of[i + 1]]
    errors = run.error_steps()
    periods, before = [], 0
    for end in ends:
        begin_ms, end_ms = samples[before].at_ms, samples[end].at_ms
        delivered_nl = samples[end].delivered_nl - samples[before].delivered_nl
        programmed_nl = run.programmed.volume_nl(end_ms) - run.programmed.volume_nl(begin_ms)
        periods.append(Period(begin_ms, end_ms, delivered_nl, programmed_nl, errors[end]))
        before = end
    return name, periods


def check_picture(path: Path) -> None:
    """FileError when a picture can not be written to `path`: its ending, its folder."""
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


# --- the course of a therapy


def _course_figure(run: Run, course: Course) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fills = window_fill(run.samples, course.limits)
    ratios = [1.5, 1.0, 1.1] if fills else [1.5, 1.0]
    figure = Figure(figsize=(13, 3.2 * len(ratios)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(run.title, fontsize=14, fontweight="bold")
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
            [float((_in_force(course.limits, a.at_ms).limit_nl or 0) / nl_per_unit) for a in refused],
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
