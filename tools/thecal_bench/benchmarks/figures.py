"""Numbers made of edges: how far delivery is off, how even the steps are, how they keep to their schedule.

Edges are integers: system clock cycles (8 ns) since delivery was to begin. A rate is an exact `Fraction` of
microsteps per cycle, so a step is owed or not owed without a rounding of ours in between. Nothing here knows
who made the edges.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median_low

from thecal.drivers import segment

CPU_HZ = 125_000_000
CYCLES_PER_US = CPU_HZ // 1_000_000
CYCLES_PER_PIO_CYCLE = Fraction(CPU_HZ, segment.PIO_HZ)

CLOSEST_CYCLES = int(segment.MIN_PERIOD_CYCLES * CYCLES_PER_PIO_CYCLE)
"""Pulses that come closer than this, 416 us, do not turn the motor (`thecal.drivers.segment`)."""

ON_THE_WAY_CYCLES = 5 * CYCLES_PER_US * 1000


class ScheduleBroken(Exception):
    """A pulse that no segment ordered, or a segment without its pulses; says which."""


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest of the `ordered` values that at least `percent` of them do not exceed (nearest rank)."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


@dataclass(frozen=True)
class Spread:
    """How a deviation is distributed, without its sign."""

    p50: float
    p99: float
    worst: float


def spread(deviations: Iterable[float]) -> Spread:
    """The spread of some deviations of either sign; there must be one."""
    ordered = sorted(abs(deviation) for deviation in deviations)
    return Spread(percentile(ordered, 50), percentile(ordered, 99), ordered[-1])


def errors_steps(edges: Sequence[int], rate: Fraction, end: int) -> tuple[float, float]:
    """Steps made minus steps owed: the largest of all times up to cycle `end`, and that at `end`.

    What is owed grows all the time and what was made jumps, so the error is largest at an edge or at the end.
    """
    steps, cycles = rate.numerator, rate.denominator
    final = len(edges) * cycles - end * steps
    worst = final
    for made, edge in enumerate(edges):
        before = made * cycles - edge * steps
        for error in (before, before + cycles):
            if abs(error) > abs(worst):
                worst = error
    return worst / cycles, final / cycles


def error_bands(edges: Sequence[int], rate: Fraction, end: int, bands: int) -> list[tuple[float, float]]:
    """Least and largest of steps made minus steps owed, in each of `bands` equal spans up to `end`."""
    found: list[tuple[float, float]] = []
    made = 0
    for band in range(bands):
        begins, ends = end * band // bands, end * (band + 1) // bands
        errors = [made - begins * rate]
        while made < len(edges) and edges[made] <= ends:
            errors += (made - edges[made] * rate, made + 1 - edges[made] * rate)
            made += 1
        errors.append(made - ends * rate)
        found.append((float(min(errors)), float(max(errors))))
    return found


def lost_steps(edges: Sequence[int], rate: Fraction, end: int) -> int:
    """Whole steps that are owed at `end` and were not made; what has only just become due may yet come."""
    return max(0, math.floor((end - ON_THE_WAY_CYCLES) * rate) - len(edges))


def interval_deviations_us(edges: Sequence[int], rate: Fraction) -> list[float]:
    """Each distance from one edge to the next, less the distance at even flow."""
    even = 1 / rate
    return [float(after - before - even) / CYCLES_PER_US for before, after in pairwise(edges)]


def spacing_deviations_us(edges: Sequence[int], rate: Fraction) -> list[float]:
    """Each edge's distance from its place in an even row.

    The row is laid so that the median edge is in its place: being late by the same time always is no fault.
    """
    steps, cycles = rate.numerator, rate.denominator
    places = [edge * steps - number * cycles for number, edge in enumerate(edges)]  # in 1/steps cycles
    origin = median_low(places)
    return [(place - origin) / steps / CYCLES_PER_US for place in places]


def too_close(edges: Sequence[int]) -> int:
    """Pulses that come so soon after the one before that the motor cannot follow."""
    return sum(after - before < CLOSEST_CYCLES for before, after in pairwise(edges))


@dataclass(frozen=True)
class Schedule:
    """When the pulses of a segment rise, and how long it lasts, in PIO cycles after it was taken: by the
    cycle counts of the program (`thecal.drivers.stepper`).
    """

    edges: list[int]
    length: int


def schedule(first: int, second: int, pulse: int = segment.LEAST_PULSE) -> Schedule:
    """That of a segment's two words."""
    q, steps = first & 0xFFFFFF, first >> 24
    lead, tail = second & 0xFFFF, second >> 16
    at = 5 + 32 * (lead + 1) + 1
    edges = [at + number * (8 * pulse + q + 6) for number in range(steps)]
    busy = edges[-1] + 8 * pulse + 2 if steps else at
    return Schedule(edges, busy + 1 + 32 * (tail + 1))


def schedule_deviations(edges: Sequence[int], taken: Sequence[tuple[int, int]], end: int) -> list[float]:
    """By how many cycles each edge misses the schedule of its segment.

    `taken` are (cycle, word) of the words in the order in which the state machine took them, two for each
    segment. Raises ScheduleBroken if pulses and segments do not match, or if the machine had to wait for a
    segment; one may be cut off, by the next one or by `end`.
    """
    found: list[float] = []
    at = bisect_right(edges, taken[0][0]) if taken else 0
    if at or (edges and not taken):
        raise ScheduleBroken(f"{at or len(edges)} pulses before the first segment")
    segments = [
        (start, word, other) for (start, word), (_, other) in zip(taken[::2], taken[1::2], strict=True)
    ]
    starts = [start for start, _, _ in segments]
    for (start, word, other), following in zip(segments, [*starts[1:], end], strict=True):
        ordered = schedule(word, other)
        steps = len(ordered.edges)
        left_over = round(following - start - ordered.length * CYCLES_PER_PIO_CYCLE)
        whole = left_over >= -CYCLES_PER_PIO_CYCLE
        if left_over > CYCLES_PER_PIO_CYCLE and following != end:
            raise ScheduleBroken(f"a pause of {left_over} cycles after the segment at cycle {start}")
        came = edges[at : bisect_right(edges, following)]
        at += len(came)
        if len(came) > steps or (whole and len(came) < steps):
            raise ScheduleBroken(f"{len(came)} pulses of {steps} in the segment at cycle {start}")
        for edge, due in zip(came, ordered.edges, strict=False):
            found.append(float(edge - start - due * CYCLES_PER_PIO_CYCLE))
    return found


@dataclass(frozen=True)
class Ratio:
    """How many times larger one figure is than another; `at_least` if the other is too small to be seen."""

    value: float
    at_least: bool

    def __str__(self) -> str:
        digits = f"{self.value:,.0f}" if self.value >= 100 else f"{self.value:.3g}"
        return f"> {digits}" if self.at_least else digits


def ratio(control: float, thecal: float, resolution: float) -> Ratio:
    """`control` over `thecal`, signs left out, where neither can be told from less than `resolution`."""
    above, below = max(abs(control), resolution), max(abs(thecal), resolution)
    return Ratio(above / below, abs(thecal) < resolution < abs(control))
