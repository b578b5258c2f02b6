"""A run on paper: delivered against programmed volume, as a table of numbers. `picture` draws it.

`Run` is all that there is to a run: samples of what the plant (or, on a real board, the pulse counter) saw,
the exact programmed volume, and marks where something happened. `summary_rows` are its numbers, `periods_of`
its parts, `window_fill` how full the window of a limit was, computed here from the samples alone. Errors are
exact fractions.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from thecal.rig import Rig
from thecal_model.rig_words import uncertainty_text, unwatched_text
from thecal_model.text import MS_PER, short_volume

from thecal_host.programmed import Programmed

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
    rig: Rig | None = None
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Where the line was lost: ms of the samples before and after."""
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """What the pump told, each with its time (ms)."""
    asked: list[Asked] = field(default_factory=list)
    """Every bolus that was asked for."""

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
    primed_nl = run.programmed.primed_nl(last.at_ms)
    final = run.error_steps()[-1]
    rows = [
        ("duration", f"{last.at_ms / 1000:.1f} s"),
        ("programmed", short_volume(programmed_nl)),
        (f"delivered ({run.source})", short_volume(last.delivered_nl)),
        *([("of it primed, in no limit", short_volume(primed_nl))] if primed_nl else ()),
        ("error at the end", f"{float(final):+.2f} microsteps ({float(final * run.nl_per_step):+.1f} nL)"),
        ("largest error", f"{float(worst_error_steps(run)):+.2f} microsteps in {len(run.samples)} samples"),
        ("one microstep", f"{float(run.nl_per_step):g} nL"),
    ]
    if run.gaps:
        lost_s = sum(to_ms - from_ms for from_ms, to_ms in run.gaps) / 1000
        rows.append(("line lost", f"{len(run.gaps)} times, {lost_s:.1f} s without samples"))
    if run.rig is not None:
        rows.append(("volume of a turn", f"{short_volume(run.rig.nl_per_rev)}, {uncertainty_text(run.rig)}"))
        rows.append(("not watched", unwatched_text(run.rig.unwatched())))
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
    fullest = max(fills_of(run), key=lambda fill: fill.share, default=None)
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


def fills_of(run: Run) -> list[Fill]:
    """How full the window of its limit was; none without one."""
    limits = [] if run.course is None else run.course.limits
    return window_fill(run.samples, limits, run.programmed.primed_nl)


def window_fill(
    samples: list[Sample],
    limits: list[LimitInForce],
    primed_nl: Callable[[int], Fraction] = lambda at_ms: Fraction(0),
) -> list[Fill]:
    """The content of the limit's window (t - W, t] at each sample at which there is a limit.

    Where a window begins between two samples, the flow between them is taken as even. What flowed at another
    concentration counts as the volume of the present one that holds the same drug. What had been `primed_nl`
    by a time counts as nothing.
    """
    if not samples or not limits:
        return []
    times_ms = [sample.at_ms for sample in samples]
    of_samples = [in_force(limits, at_ms) for at_ms in times_ms]
    drug_pg = [samples[0].delivered_nl * of_samples[0].concentration_pg_nl]
    for before, sample, limit in zip(samples, samples[1:], of_samples, strict=False):
        flowed_nl = sample.delivered_nl - before.delivered_nl
        uncounted_nl = primed_nl(sample.at_ms) - primed_nl(before.at_ms)
        # Flow belongs to what was in force at the sample before it; drawing back credits nothing.
        counted_nl = max(flowed_nl, Fraction(0)) - uncounted_nl
        drug_pg.append(drug_pg[-1] + counted_nl * limit.concentration_pg_nl)

    def drug_by(at_ms: int) -> Fraction:
        index = bisect_right(times_ms, at_ms) - 1
        if index < 0:
            return drug_pg[0]
        if times_ms[index] == at_ms:
            return drug_pg[index]
        share = Fraction(at_ms - times_ms[index], times_ms[index + 1] - times_ms[index])
        return drug_pg[index] + share * (drug_pg[index + 1] - drug_pg[index])

    fills = []
    for at_ms, drug, limit in zip(times_ms, drug_pg, of_samples, strict=False):
        if limit.limit_nl is not None:
            content_nl = (drug - drug_by(at_ms - limit.window_ms)) / limit.concentration_pg_nl
            fills.append(Fill(at_ms, content_nl, limit.limit_nl))
    return fills


def in_force(limits: list[LimitInForce], at_ms: int) -> LimitInForce:
    """The limit of a time, the first one before all."""
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
