"""DOSE-06 and DOSE-14: flex days over midnight and the end of the week, on a clock that is set to and fro.

The oracle looks the rate up anew in every tick, by the definition: of all entries, the one that started last,
counted back round the week. What is owed is the sum of these rates, as a `Fraction`.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thecal.dose import prescription
from thecal.dose.delivery import Delivery
from thecal.dose.schedule import Schedule
from thecal_model.rig import reference

DAY = 864_000
WEEK = 7 * DAY
NL_PER_STEP = Fraction(125, 4)
TICKS_PER_HOUR = 36_000
MECHANISM = reference().mechanism()

rates_nl_h = st.one_of(st.integers(2_000, 30_000), st.integers(2_000, 60_000_000))
# Around midnight, around the end of the week, and anywhere.
week_ticks = st.one_of(
    st.integers(0, 6).map(lambda day: day * DAY),
    st.builds(lambda day, off: (day * DAY + off) % WEEK, st.integers(0, 6), st.integers(-40, 40)),
    st.integers(-40, 40).map(lambda off: off % WEEK),
    st.integers(0, WEEK - 1),
)
entries = st.dictionaries(week_ticks, rates_nl_h, min_size=1, max_size=13)


def rate_at(entries: dict[int, int], week_tick: int) -> int:
    """The rate of the entry whose start lies the least far back."""
    return entries[min(entries, key=lambda start: (week_tick - start) % WEEK)]


def scheduled(entries: dict[int, int]) -> Schedule:
    return Schedule([(start, *MECHANISM.grains_per_tick(rate, 1)) for start, rate in entries.items()])


def steps_per_tick(rate_nl_h: int) -> Fraction:
    return Fraction(rate_nl_h) / TICKS_PER_HOUR / NL_PER_STEP


@pytest.mark.req("DOSE-06")
@given(entries, week_ticks)
@example({WEEK - 1: 2_000, 0: 3_000}, WEEK - 1)
@example({5: 2_000}, 4)
@settings(max_examples=400, deadline=None)
def test_the_entry_in_force_is_the_one_that_started_last(entries, week_tick):
    schedule = scheduled(entries)
    index = schedule.index_at(week_tick)
    rate = rate_at(entries, week_tick)
    assert (schedule.rate_steps[index], schedule.rate_grains[index]) == MECHANISM.grains_per_tick(rate, 1)
    following = schedule.next_start(index)
    if len(entries) == 1:
        assert following == -1
    else:
        ticks = (following - week_tick - 1) % WEEK + 1
        assert following in entries and ticks == min((start - week_tick - 1) % WEEK + 1 for start in entries)


@pytest.mark.req("DOSE-06", "LIM-04")
@given(entries, week_ticks, st.integers(1, 2 * DAY))
@settings(max_examples=300, deadline=None)
def test_a_profile_is_the_rate_of_every_tick_in_pieces(entries, week_tick, ticks):
    one = MECHANISM.grains_per_step
    at = 0
    for holds, grains in scheduled(entries).profile(week_tick, ticks, one):
        assert holds > 0
        for inside in {at, at + holds // 2, at + holds - 1}:
            assert Fraction(grains, one) == steps_per_tick(rate_at(entries, (week_tick + inside) % WEEK))
        at += holds
    assert at == ticks


@pytest.mark.req("DOSE-06", "LIM-06")
@given(st.dictionaries(week_ticks, st.integers(2_000, 30_000), min_size=1, max_size=6), st.data())
@settings(max_examples=200, deadline=None)
def test_no_window_of_the_week_holds_more_than_the_peak(entries, data):
    window = data.draw(st.integers(6_000, DAY))
    schedule = scheduled(entries)
    peak = schedule.peak_grains(window, 1 << 29)
    for week_tick in data.draw(st.lists(week_ticks, min_size=1, max_size=10)):
        assert sum(ticks * grains for ticks, grains in schedule.profile(week_tick, window, 1 << 29)) <= peak


@pytest.mark.req("DOSE-06", "DOSE-14")
@given(
    entries,
    week_ticks,
    st.lists(st.tuples(st.integers(1, 120), st.one_of(st.none(), week_ticks)), min_size=1, max_size=8),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_what_is_owed_is_the_sum_of_the_rates_whatever_the_clock_is_set_to(entries, start, stretches, known):
    """Step for step, at every tick: setting the clock adds and removes nothing that is owed already."""
    delivery = Delivery(MECHANISM)
    schedule = scheduled(entries)
    delivery.begin(0)
    delivery.owed.follow(schedule, start, known)
    delivery.advance(1)
    owed = Fraction(0)
    week_tick = start
    for ticks, set_to in stretches:
        for _ in range(ticks):
            rate = rate_at(entries, week_tick) if known else min(entries.values())
            owed += steps_per_tick(rate)
            week_tick = (week_tick + 1) % WEEK
            delivery.advance(1)
            course = delivery.owed.basal
            assert course.steps + Fraction(course.grains, MECHANISM.grains_per_step) == owed
            assert delivery.position() == int(owed + Fraction(1, 4))
        if set_to is not None:
            # At the end of the tick that accepts it.
            owed += steps_per_tick(rate_at(entries, week_tick) if known else min(entries.values()))
            delivery.to_boundary()
            delivery.owed.follow(schedule, set_to, True)
            delivery.advance(1)
            week_tick, known = set_to, True


@pytest.mark.req("DOSE-06")
def test_thirteen_steps_on_every_day_are_one_week_exact():
    """A whole week through the parser, tick by tick over every start, the rest in one go."""
    steps = [
        {"at_ms": 6_000_100 * number, "days": 127, "rate_num": 3_000 + 1_000 * number, "rate_den": 1}
        for number in range(13)
    ]
    therapy = prescription.parse({"mode": "flex", "steps": steps}, MECHANISM)
    entries = {start: therapy.rate_nl_h(index)[0] for index, start in enumerate(therapy.basal.starts)}
    assert len(entries) == 7 * 13
    delivery = Delivery(MECHANISM)
    delivery.begin(0)
    delivery.owed.follow(therapy.basal, 0, True)
    delivery.advance(1)
    owed = Fraction(0)
    starts = [*sorted(entries), WEEK]
    for start, following in zip(starts, starts[1:], strict=False):
        owed += steps_per_tick(entries[start]) * (following - start)
        basal = delivery.owed.basal
        delivery.advance(1)  # the step of the day is taken
        basal.advance(following - start - 1)
        delivery.owed.week_tick = following % WEEK
        assert basal.steps + Fraction(basal.grains, MECHANISM.grains_per_step) == owed
    assert delivery.owed.week_tick == 0
