"""LIM-03, LIM-04: history, window and prediction against a list of what was executed in each tick.

Windows are (t - W, t] at every tick t. For every history within the bound both are equal to the list's, to
the microstep; beyond it they are never below. What the motor makes of constant flows is worked out here from
the flow alone (`executed`).
"""

from __future__ import annotations

import itertools
import math
import sys
from array import array
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_ints import SmallInt
from thecal.smallint import LARGEST
from thecal.watch.ahead import MOST_LOOKS, largest, peak_steps
from thecal.watch.limits import DAY_TICKS, WindowLedger
from thecal.watch.stretches import AHEAD_TICKS, BLOCKS, CHANGES_A_DAY, DAY_UNITS, History, Record

ONE = 472_500_000  # grains per step of the reference mechanism

windows = st.sampled_from([600, 1_200, 6_000])
rates = st.one_of(
    st.just(Fraction(0)),
    st.builds(Fraction, st.integers(1, 2_000), st.integers(2_000, 200_000)),
    st.builds(Fraction, st.integers(1, 5 * 10**6), st.just(10**6)),
    st.builds(Fraction, st.integers(1, 120), st.integers(1, 9)),
)
flows = st.lists(
    st.tuples(st.one_of(st.integers(1, 9), st.integers(1, 400), st.integers(1, 6_000)), rates),
    min_size=1,
    max_size=9,
)


def executed(flows: list[tuple[int, Fraction]]) -> list[int]:
    """Steps in each tick of so many ticks at that many steps a tick, one flow after the other."""
    owed = Fraction(1, 4)
    made: list[int] = []
    for ticks, rate in flows:
        begin = len(made)
        num, den = rate.numerator * owed.denominator, rate.denominator * owed.denominator
        begun = owed.numerator * rate.denominator
        done = begun // den
        while len(made) < begin + ticks:
            upto = (begun + num * (len(made) + 1 - begin)) // den
            steps, done = upto - done, upto
            made.append(steps)
        owed = Fraction(begun + num * ticks, den) % 1
    return made


def so_far(made: list[int]) -> list[int]:
    return [0, *itertools.accumulate(made)]


def held(counts: list[int], tick: int, window_ticks: int) -> int:
    """In (tick - W, tick]; after the last tick nothing was executed."""
    last = len(counts) - 1
    return counts[min(tick, last)] - counts[min(max(tick - window_ticks, 0), last)]


class Listed:
    """A ledger, and the list of all that it was told."""

    def __init__(self, window_ticks: int = DAY_TICKS, number: type[int] = int) -> None:
        self.number = number
        self.ledger = WindowLedger()
        self.ledger.set_window(window_ticks)
        self.made: list[int] = []

    def go(self, made: list[int]) -> None:
        for steps in made:
            self.ledger.advance(self.number(1), self.number(steps))
        self.made += made

    def check(self) -> None:
        counts = so_far(self.made)
        for ticks in range(AHEAD_TICKS + 1):
            true = held(counts, len(self.made) + ticks, self.ledger.window_ticks)
            assert self.ledger.content_then(ticks) == true
        assert self.ledger.content_steps() == held(counts, len(self.made), self.ledger.window_ticks)


@pytest.mark.req("LIM-03", "LIM-05", "LIM-13")
@given(windows, flows, st.lists(st.tuples(windows, flows), max_size=2))
@settings(max_examples=60, deadline=None)
def test_every_window_holds_what_was_executed_in_it(window_ticks, first, more):
    """In numbers that refuse to leave the board's small range; windows are programmed on the way."""
    listed = Listed(window_ticks, SmallInt)
    listed.go(executed(first))
    listed.check()
    for other, flows in more:
        listed.ledger.set_window(other)
        listed.check()
        listed.go(executed(flows)[:3_000])
        listed.check()


@pytest.mark.req("LIM-03")
@given(st.lists(st.one_of(st.integers(0, 2), st.integers(0, 300)), max_size=120), st.integers(1, 700))
@settings(max_examples=100, deadline=None)
def test_ticks_of_any_kind_are_kept_as_they_were(made, quiet):
    """Late ticks, jumps, whatever: within the bound the history is the list."""
    listed = Listed(600)
    listed.go(made + [0] * quiet + made)
    listed.check()


@pytest.mark.req("LIM-03")
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(1, 45), st.integers(1, 40_000)), st.integers(0, 900)), max_size=12
    ),
    windows,
)
@settings(max_examples=80, deadline=None)
def test_what_was_executed_in_merged_ticks_counts_from_the_last_of_them(merged, window_ticks):
    listed = Listed(window_ticks)
    for ticks, steps in merged:
        listed.ledger.advance(ticks, steps)
        listed.made += [0] * (ticks - 1) + [steps]
        listed.check()


@pytest.mark.req("LIM-03")
def test_what_was_executed_before_its_tick_has_passed_counts_at_once():
    listed = Listed(600)
    listed.go([3, 1, 4])
    listed.ledger.advance(0, 5)
    assert listed.ledger.content_steps() == 13
    listed.made.append(5)
    listed.ledger.advance(1, 0)
    listed.check()


# --- the bound


def changes(number: int, lengths: list[int] | None = None) -> list[tuple[int, Fraction]]:
    """A day of so many flows, each at a rate that no small fraction comes near."""
    numbers = range(number)
    long = lengths or [DAY_TICKS // number + (n % 2) * 2 - 1 for n in numbers]
    return [
        (long[n], Fraction((n * 7_919_111) % 9_999_991, 9_999_991) * (1, 3, 40, Fraction(1, 30))[n % 4])
        for n in numbers
    ]


@pytest.mark.req("LIM-03")
@pytest.mark.parametrize("uneven", [pytest.param(False, marks=pytest.mark.long), True])
def test_two_thousand_changes_of_flow_in_a_day_are_kept_exactly(uneven):
    """Evenly through the day, and the worst that a few long flows between short ones may do."""
    lengths = [60 + 7 * (n % 5) if n % 8 else 2_800 for n in range(CHANGES_A_DAY)] if uneven else None
    listed = Listed()
    made = executed(changes(CHANGES_A_DAY, lengths))[:DAY_TICKS]
    listed.go(made)
    listed.check()
    for window_ticks in (6_000, 36_000, 144_000, DAY_TICKS):
        listed.ledger.set_window(window_ticks)
        listed.check()


@pytest.mark.req("LIM-03")
def test_the_history_takes_less_memory_than_it_says():
    history = History()
    taken = sum(
        sys.getsizeof(value) - sys.getsizeof(type(value)()) for value in (history.bytes, history.mirror)
    )
    for counts in (history.units, history.steps, history.epochs):
        for copy in (counts.counts, counts.complements):
            assert isinstance(copy, array) and copy.itemsize == 4
            taken += 4 * len(copy)
    assert 2 * 256 * BLOCKS + 3 * 2 * 4 * BLOCKS == 36_448
    assert taken <= 36_448 + 100


@pytest.mark.req("LIM-03")
@given(st.integers(0, 10**6), st.sampled_from([3, 5, 30]), st.sampled_from([3_000, 12_000]))
@settings(max_examples=8, deadline=None)
def test_beyond_the_bound_it_over_counts_and_never_under_counts(seed, kind, window_ticks):
    """Ticks that no line holds for long: 17 kB are full within minutes. Too much is only what is merged."""
    made = [(seed + n * n * 31 + n // 3 * 7) % kind for n in range(26_000)]
    listed = Listed(window_ticks)
    for begin in range(0, len(made), 1_000):
        listed.go(made[begin : begin + 1_000])
        counts = so_far(listed.made)
        now = len(listed.made)
        content = listed.ledger.content_steps()
        assert content >= held(counts, now, window_ticks)
        # What is merged by then: a lump, of which there are 24 in a day, or one block's worth.
        assert content <= held(counts, now, window_ticks + now // 6 + 600)
    assert listed.ledger.sound()
    listed.go([0] * window_ticks)
    assert listed.ledger.content_steps() <= max(made) * 26_000
    assert listed.ledger.history.first != 0, "nothing was ever merged"


# --- after a reset


@pytest.mark.req("LIM-03", "REC-01")
@given(
    st.lists(st.one_of(st.just(0), st.integers(0, 3_000), st.just(71_000)), min_size=1, max_size=40),
    st.integers(0, 3_000),
    st.integers(0, 1_300),
    windows,
)
@settings(max_examples=80, deadline=None)
def test_after_a_reset_a_window_holds_the_minutes_that_it_cuts_and_no_more(
    minutes, tick, later, window_ticks
):
    """`minutes[0]` is the one that has begun: its steps were executed by now, at the latest."""
    ledger = WindowLedger()
    ledger.set_window(window_ticks)
    ledger.load(minutes + [0] * (1_441 - len(minutes)), tick)
    begun = tick % 600
    made = [0] * (600 * (len(minutes) - 1) + begun)
    ends = [begun + 600 * (len(minutes) - 1 - age) for age in range(len(minutes))]
    early = [0] * len(made)
    for age in range(1, len(minutes)):
        end = len(made) - begun - 600 * (age - 1)
        made[end - 1] = minutes[age]
        early[end - 600] = minutes[age]
    assert ends[0] == len(made)
    if begun:
        made[-1] = minutes[0]
        early[-begun] = minutes[0]
    assert ledger.content_steps() == held(so_far(made), len(made), window_ticks) + (
        0 if begun else minutes[0]
    )
    if begun:
        for _ in range(later):
            ledger.advance(1, 0)
        counts = so_far(made)
        assert ledger.content_steps() == held(counts, len(made) + later, window_ticks)
        # Wherever in its minute each was executed: the minute that is cut is all that is too much.
        least = held(so_far(early), len(made) + later, window_ticks)
        assert ledger.content_steps() - least <= max(minutes)


# --- another drug


@pytest.mark.req("LIM-03", "DOSE-10")
@given(windows, st.lists(st.tuples(flows, st.sampled_from([1, 2, 3, 13, 40, 997])), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None)
def test_steps_of_another_drug_weigh_what_they_weigh(window_ticks, parts):
    """One concentration after the other: the content is the mass, rounded up to a step."""
    listed = Listed(window_ticks)
    weighed: list[Fraction] = []
    old = parts[0][1]
    for number, (flows, new) in enumerate(parts):
        listed.ledger.rescale(old, new)
        weighed = [steps * Fraction(old, new) for steps in weighed]
        old = new
        made = executed(flows)[:700]
        for steps in made:
            listed.ledger.advance(1, steps)
        weighed += [Fraction(steps) for steps in made]
        content = Fraction(0) + sum(weighed[-window_ticks:])
        assert content <= listed.ledger.content_steps()
        if number < 7:  # the eighth change in a day lets the oldest drug weigh what the next one does
            assert listed.ledger.content_steps() < content + 1
    for _ in range(window_ticks + 2):
        listed.ledger.advance(1, 0)
    assert listed.ledger.content_steps() == 0


@pytest.mark.req("LIM-03", "DOSE-10")
def test_a_change_of_drug_rounds_a_begun_step_up():
    ledger = WindowLedger()
    ledger.set_window(600)
    for steps in (4, 4, 3):
        ledger.advance(1, steps)
    ledger.rescale(1, 2)
    assert ledger.content_steps() == 8 // 2 + 2
    for _ in range(599):
        ledger.advance(1, 0)
    assert ledger.content_steps() == 2
    ledger.advance(1, 0)
    assert ledger.content_steps() == 0


@pytest.mark.req("LIM-03", "LIM-05", "DOSE-10")
def test_what_leaves_in_the_next_ticks_weighs_what_it_weighed():
    """Four steps of half the weight, one in each tick, the first of which leaves with the next tick."""
    ledger = WindowLedger()
    ledger.set_window(600)
    for _ in range(4):
        ledger.advance(1, 1)
    ledger.rescale(1, 2)
    for _ in range(596):
        ledger.advance(1, 0)
    assert [ledger.content_then(ticks) for ticks in range(5)] == [2, 1, 1, 0, 0]
    # Against a limit of so many steps and a half.
    assert [ledger.content_then(ticks, 1, 2) for ticks in range(5)] == [2, 2, 1, 1, 0]


# --- the prediction


def true_peak(made: list[int], window_ticks: int, profile: list[tuple[int, int]], owed: int) -> int:
    counts = so_far(made)
    now = len(made)
    done = counts[-1]
    for ticks, grains in [(1, 0), *profile]:
        for _ in range(ticks):
            owed += grains
            counts.append(done + max(owed // ONE, 0))
    return max(held(counts, tick, window_ticks) for tick in range(now + 1, len(counts)))


profiles = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 30), st.integers(1, 4_000)),
        st.one_of(
            st.just(0),
            st.integers(0, ONE // 20),
            st.integers(0, 3 * ONE),
            st.builds(lambda parts: ONE // parts, st.integers(1, 90)),
        ),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.req("LIM-03", "LIM-04", "LIM-06")
@given(windows, flows, windows, profiles, st.integers(0, 3 * ONE), st.integers(-2, 2))
@example(600, [(6_000, Fraction(1, 54))], 600, [(2_400, ONE // 54)], ONE // 4, 0)
@example(6_000, [(1, Fraction(2_000))], 600, [(5_999, 0), (1, 3 * ONE)], 0, 0)
@settings(max_examples=150, deadline=None)
def test_the_predicted_peak_is_the_true_one(window_ticks, flows, in_force, profile, owed, off):
    """For the window in force and for one that is only asked about; and whether it is above a bound."""
    listed = Listed(in_force)
    listed.go(executed(flows)[:9_000])
    peak = true_peak(listed.made, window_ticks, profile, owed)
    assert peak_steps(listed.ledger, window_ticks, profile, owed, ONE) == peak
    enough = max(peak + off, 0)
    for looks in (LARGEST, MOST_LOOKS):
        found = peak_steps(listed.ledger, window_ticks, profile, owed, ONE, enough, looks)
        assert (found > enough) == (peak > enough)
    listed.check()


@pytest.mark.req("LIM-03", "LIM-04")
@pytest.mark.parametrize("window_ticks", [36_000, 144_000, DAY_TICKS])
def test_a_bolus_that_just_fits_is_seen_to_in_as_many_looks_as_a_tick_has_time_for(window_ticks):
    """A day of 90 boluses, each on another basal: 180 changes of flow."""
    listed = Listed(window_ticks)
    for number in range(90):
        basal, fast = (
            Fraction(rate, 1_125_000) for rate in (2_000 + 307 * number, 3_600_000 - 39_000 * number)
        )
        listed.go(executed([(9_600 - 5 * number, basal), (20 + 6 * number, fast)]))
    profile = [(100, 2 * ONE), (window_ticks, ONE // 100)]
    peak = peak_steps(listed.ledger, window_ticks, profile, ONE // 4, ONE)
    for enough in (peak - 1, peak):
        found = peak_steps(listed.ledger, window_ticks, profile, ONE // 4, ONE, enough, MOST_LOOKS)
        assert (found > enough) == (peak > enough)


@pytest.mark.req("LIM-04")
@given(windows, flows, profiles, st.integers(-3 * ONE, -1))
@settings(max_examples=40, deadline=None)
def test_while_a_motor_that_is_ahead_waits_the_peak_is_no_lower(window_ticks, flows, profile, owed):
    listed = Listed(window_ticks)
    listed.go(executed(flows)[:3_000])
    peak = true_peak(listed.made, window_ticks, profile, owed)
    assert peak <= peak_steps(listed.ledger, window_ticks, profile, owed, ONE) <= peak + 3


@pytest.mark.req("LIM-03", "LIM-04", "DOSE-10")
@given(windows, flows, flows, profiles, st.sampled_from([(1, 4), (4, 1), (13, 40), (3, 2)]))
@example(600, [(1, Fraction(0))], [(1, Fraction(0))], [(1, 0)], (4, 1))  # an empty window holds 0, not -3
@settings(max_examples=50, deadline=None)
def test_with_two_drugs_the_peak_is_at_most_a_step_too_large(window_ticks, first, second, profile, ratio):
    old, new = ratio
    listed = Listed(window_ticks)
    before = executed(first)[:3_000]
    listed.go(before)
    listed.ledger.rescale(old, new)
    after = executed(second)[:3_000]
    listed.go(after)
    weighed: list[Any] = [Fraction(steps * old, new) for steps in before] + after
    true = true_peak(weighed, window_ticks, profile, 0)
    least = max(math.floor(true - max(Fraction(old, new) - 1, 0)), 0)
    assert least <= peak_steps(listed.ledger, window_ticks, profile, 0, ONE) <= least + 1


@pytest.mark.req("LIM-04")
@given(
    st.integers(1, 40),
    st.integers(-90, 90),
    st.integers(1, 30),
    st.integers(0, 60),
    st.integers(1, 30),
    st.integers(0, 29),
)
@settings(max_examples=400, deadline=None)
def test_the_largest_distance_from_a_line_is_found(points, slope, one, a, b, m):
    m %= b
    found = largest(points, slope, one, a, b, m)
    assert found == max(slope * i - one * ((a * i + m) // b) for i in range(points))


@pytest.mark.req("LIM-03")
def test_a_steady_day_is_few_stretches():
    """And those of the day before are forgotten."""
    history = History()
    record = Record()
    for unit in range(2 * DAY_UNITS // 200):
        for tick in range(200):
            history.tell(1 if tick % 2 == 0 else unit % 2)
    at, count = history.first * 256, 0
    while at != history.head:
        if history.load(record, at):
            count += 1
            at = history.following(at)
        else:
            at = history.beginning_after(at // 256)
    assert 4_000 < count < 9_000 or history.moved


@pytest.mark.req("LIM-03", "REC-01")
@given(
    st.lists(st.sampled_from([0, 0, 1, 32_000, 65_535, 65_536, 100_000]), min_size=300, max_size=800),
    st.integers(0, 1_000),
)
def test_minutes_are_kept_as_if_they_came_one_by_one(steps, begin):
    minutes = [0] * 1_441
    minutes[begin : begin + len(steps)] = steps
    ledger = WindowLedger()
    ledger.load(minutes[:1_441], 0)
    one_by_one = History()
    units = 0
    for number in reversed(minutes[1:1_441]):
        units += 600
        if number:
            one_by_one.append_lump(units - 600, 0)
            one_by_one.append_lump(600, number)
            units = 0
    one_by_one.append_lump(units, 0)
    found = ledger.history
    assert (found.bytes, found.mirror, found.head, found.first) == (
        one_by_one.bytes,
        one_by_one.mirror,
        one_by_one.head,
        one_by_one.first,
    )
    for name in ("units", "steps", "epochs"):
        ours, theirs = getattr(found, name), getattr(one_by_one, name)
        assert (ours.counts, ours.complements) == (theirs.counts, theirs.complements)
    assert found.held_units == one_by_one.held_units
