"""LIM-03 and LIM-04: the window ledger against a list of every step, its prediction against exact areas.

A step that was executed between the ticks k - 1 and k stands in the list as (k, 1). Windows are (t - W, t]
for every instant t, not only for ticks; all of them are covered by counting the ticks from t - W to t with
both ends, which is what `held` does.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_ints import SmallInt
from thecal.watch.limits import AHEAD_TICKS, DAY_BUCKET_TICKS, DAY_TICKS, WindowLedger

LEAST_WINDOW_TICKS = 6_000
windows = st.one_of(
    st.sampled_from([6_000, 36_000, 144_000, DAY_TICKS, 6_001, 7_201, 18_000, DAY_TICKS - 1]),
    st.integers(LEAST_WINDOW_TICKS, DAY_TICKS),
)


def held(history: list[tuple[int, int]], first: int, last: int) -> int:
    return sum(steps for tick, steps in history if first <= tick <= last)


def buckets(ledger: WindowLedger) -> tuple[int, int]:
    """Ticks in one bucket, and in all old ones."""
    ring = ledger.window
    return ring.bucket_ticks, (ring.size - 1) * ring.bucket_ticks


class Listed:
    """A ledger and the list of all that it was told."""

    def __init__(self, window_ticks: int, number: type[int] = int) -> None:
        self.number = number
        self.ledger = WindowLedger()
        self.history: list[tuple[int, int]] = []
        self.tick = 0
        self.refilled_at = -2 * DAY_TICKS
        self.set_window(window_ticks)

    def set_window(self, window_ticks: int) -> None:
        if window_ticks != self.ledger.window_ticks:
            self.refilled_at = self.tick
        self.ledger.set_window(window_ticks, self.tick)

    def go(self, ticks: int, steps: int) -> None:
        """`ticks` pass, with `steps` executed in the last of them."""
        self.tick += ticks
        self.ledger.advance(self.number(ticks), self.number(steps))
        if steps:
            self.history.append((self.tick, steps))

    def check(self) -> None:
        window_ticks = self.ledger.window_ticks
        content = self.ledger.content_steps()
        first = self.tick - window_ticks
        assert content >= held(self.history, first, self.tick), "a window holds more than the ledger says"
        bucket, old = buckets(self.ledger)
        # What flowed before the window was set is known to the minute only.
        coarse = DAY_BUCKET_TICKS + bucket if self.tick - self.refilled_at <= old + bucket else 0
        assert content <= held(self.history, self.tick - old - bucket + 1 - coarse, self.tick)


passages = st.tuples(
    st.one_of(st.integers(1, 30), st.integers(1, 3_000), st.integers(1, DAY_TICKS // 8)),
    st.integers(0, 50),
    windows,
)


@pytest.mark.req("LIM-03", "LIM-13")
@given(
    windows,
    st.lists(passages, min_size=1, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=150, deadline=None)
def test_no_window_ever_holds_more_than_the_ledger_says(window_ticks, passages, changes):
    # Numbers that refuse to leave the board's small range; so they do not between ticks.
    listed = Listed(window_ticks, SmallInt)
    for (ticks, steps, other), change in zip(passages, changes, strict=False):
        listed.go(ticks, steps)
        listed.check()
        if change and steps % 3 == 0:
            listed.set_window(other)
            listed.check()


@pytest.mark.req("LIM-03")
@given(windows, st.integers(1, 2_000), st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_a_step_counts_for_a_whole_window_and_at_most_a_bucket_longer(window_ticks, ticks, steps):
    listed = Listed(window_ticks)
    listed.go(ticks, steps)
    ledger = listed.ledger
    bucket, old = buckets(ledger)
    ledger.advance(window_ticks, 0)
    assert ledger.content_steps() == steps
    ledger.advance(old - window_ticks + bucket, 0)
    assert ledger.content_steps() == 0


@pytest.mark.req("LIM-03", "DOSE-10")
@given(windows, st.lists(passages, min_size=1, max_size=8), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_steps_of_another_drug_weigh_what_they_weigh_and_less_than_a_step_more(window_ticks, gone, num, den):
    """For every window that is still to come: those that begin at the end of any bucket."""
    listed = Listed(window_ticks)
    for ticks, steps, _ in gone:
        listed.go(ticks, steps)
    rings = (listed.ledger.day, listed.ledger.window)
    held_before = [newest_first(ring) for ring in rings]
    listed.ledger.rescale(num, den)
    for ring, before in zip(rings, held_before, strict=True):
        for weighed, steps in zip(newest_first(ring), before, strict=True):
            assert Fraction(steps * num, den) <= weighed < Fraction(steps * num, den) + 1
        assert ring.total == newest_first(ring)[-1]


def newest_first(ring) -> list[int]:
    """What the newest bucket holds, the newest two, and so on."""
    counts = [ring.counts[(ring.index - age) % ring.size] for age in range(ring.size)]
    return list(itertools.accumulate(counts))


def over_count(window_ticks: int) -> int:
    """One step in every tick for longer than the window, so that W are true: the most counted beyond."""
    ledger = WindowLedger()
    ledger.set_window(window_ticks, 0)
    # The history in one piece, as `advance` would leave it, then a bucket's worth of single ticks.
    ring = ledger.window
    for _ in range(ring.size + 1):
        ledger.advance(ring.bucket_ticks - 1, ring.bucket_ticks - 1)
        ledger.advance(1, 1)
    most = 0
    for _ in range(2 * ring.bucket_ticks):
        ledger.advance(1, 1)
        assert ledger.content_steps() >= window_ticks
        most = max(most, ledger.content_steps() - window_ticks)
    return most


@pytest.mark.req("LIM-03")
@pytest.mark.parametrize("window_ticks", [36_000, 144_000, DAY_TICKS])
def test_the_ledger_counts_at_most_the_1440th_part_of_the_window_too_much(window_ticks):
    assert over_count(window_ticks) <= window_ticks // 1_440 + 1


@pytest.mark.req("LIM-03")
@pytest.mark.parametrize("window_ticks", [18_000, 7_200])
def test_so_it_does_for_a_window_that_is_not_1440_whole_buckets(window_ticks):
    """Half an hour is 1 385 buckets of 13 ticks, 5 ticks more than the window; and 13 for the current."""
    assert over_count(window_ticks) <= window_ticks // 1_440 + 1 + 1


# --- the prediction


def true_peak(history, tick, window_ticks, profile, one) -> Fraction:
    """The largest content of any window (t - W, t] that ends between now and the end of `profile`.

    The content is piecewise linear in t, with a drop where an old step leaves: it is largest at a corner of
    the profile, at such a corner plus W, or just before a drop.
    """
    corners = [0]
    flowed = [Fraction(0)]
    for ticks, grains in profile:
        corners.append(corners[-1] + ticks)
        flowed.append(flowed[-1] + Fraction(ticks * grains, one))

    def flow_until(at: int) -> Fraction:
        if at <= 0:
            return Fraction(0)
        for index in range(1, len(corners)):
            if at <= corners[index]:
                return flowed[index - 1] + Fraction((at - corners[index - 1]) * profile[index - 1][1], one)
        return flowed[-1]

    ends = set(corners)
    ends.update(corner + window_ticks for corner in corners)
    ends.update(at + window_ticks - tick for at, _ in history)
    peak = Fraction(0)
    for end in ends:
        if 0 <= end <= corners[-1]:
            begun = end - window_ticks
            # A step of tick k is in every window that ends before k + W: up to that instant, so with >=.
            old = sum(steps for at, steps in history if at - tick >= begun)
            peak = max(peak, old + flow_until(end) - flow_until(begun))
    return peak


ONE = 472_500_000  # grains per step of the reference mechanism


@st.composite
def predictions(draw):
    window_ticks = draw(windows)
    bucket = -(-window_ticks // 1_440)
    history = draw(
        st.lists(
            st.tuples(st.integers(1, window_ticks // 3), st.one_of(st.integers(0, 3), st.integers(0, 2_000))),
            max_size=12,
        )
    )
    horizon = draw(st.integers(window_ticks, 2 * window_ticks + bucket))
    flows = []
    for _ in range(draw(st.integers(1, 3))):
        cuts = draw(st.lists(st.integers(1, horizon - 1), max_size=4, unique=True))
        cuts = [0, *sorted(cuts), horizon]
        rates = st.one_of(st.just(0), st.integers(0, ONE // 20), st.integers(0, 3 * ONE))
        flows.append([(cuts[i + 1] - cuts[i], draw(rates)) for i in range(len(cuts) - 1)])
    return window_ticks, history, flows


def summed(flows: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Several profiles as one, by asking each what it flows at between any two corners."""
    corners = {0}
    for flow in flows:
        at = 0
        for ticks, _ in flow:
            at += ticks
            corners.add(at)
    ordered = sorted(corners)

    def rate_at(flow, at):
        for ticks, grains in flow:
            if at < ticks:
                return grains
            at -= ticks
        return 0

    return [
        (ordered[i + 1] - ordered[i], sum(rate_at(flow, ordered[i]) for flow in flows))
        for i in range(len(ordered) - 1)
    ]


def cut(profile: list[tuple[int, int]], left: int) -> list[tuple[int, int]]:
    """The first `left` ticks of a profile."""
    pieces = []
    for ticks, grains in profile:
        if left > 0:
            pieces.append((min(ticks, left), grains))
        left -= ticks
    return pieces


@pytest.mark.req("LIM-03", "LIM-04")
@given(predictions())
@example((36_000, [], [[(36_000, ONE)]]))
@example((144_000, [(11, 0)], [[(144_000, 4_019_532)]]))
@example((6_000, [(1, 2_000)], [[(5_999, 0), (1, 3 * ONE)]]))
@settings(max_examples=250, deadline=None)
def test_the_predicted_peak_is_never_below_the_true_one_and_little_above(prediction):
    window_ticks, passages, flows = prediction
    listed = Listed(window_ticks)
    for ticks, steps in passages:
        listed.go(ticks, steps)
    profile = summed(flows)
    peak = listed.ledger.peak_steps(flows, ONE)
    # The last bucket of the profile may be looked at in part only: the pump's profiles are that much longer.
    bucket, old = buckets(listed.ledger)
    looked_at = cut(profile, sum(ticks for ticks, _ in profile) - bucket)
    assert peak >= true_peak(listed.history, listed.tick, window_ticks, looked_at, ONE)
    # Up to three buckets and what is ordered ahead make the window that much longer at most, and the flow
    # that is looked at begins that much earlier.
    longer = old + 3 * bucket + AHEAD_TICKS
    most = true_peak(listed.history, listed.tick, longer, [*profile, (longer, 0)], ONE)
    assert peak <= most + 2
    assert 0 <= peak < 2**30


@pytest.mark.req("LIM-04")
def test_the_peak_of_a_steady_flow_is_that_of_one_window_and_a_bucket():
    """3 600 steps an hour for two hours into an empty window of an hour: 3 600 are true; a bucket (2.5 s)
    stays too long, and up to a bucket and a second more are looked at ahead.
    """
    ledger = WindowLedger()
    ledger.set_window(36_000, 0)
    assert 3_600 <= ledger.peak_steps([[(72_000, ONE // 10)]], ONE) <= 3_600 + 2 * 3 + 1 + 2
