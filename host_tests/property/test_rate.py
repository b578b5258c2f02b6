"""The law of dose/rate and dose/mechanism: what is owed is exact, for ever, in 30-bit integers.

Oracle: `fractions.Fraction`, which knows nothing of grains.
"""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ints import SmallInt
from thecal.dose import mechanism, prescription
from thecal.dose.rate import Flow
from thecal_model.rig import reference

REFERENCE = reference().mechanism()
TICKS_PER_DAY = 864_000
NL_PER_STEP = Fraction(REFERENCE.nl_per_rev, REFERENCE.steps_per_rev)

rates_nl_h = st.one_of(
    st.sampled_from([2_000, 2_001, 5_000, 59_999_999, 60_000_000]),
    st.integers(prescription.LEAST_BASAL_NL_H, prescription.MOST_RATE_NL_H),
).map(Fraction)
parts_of_nl_h = st.builds(Fraction, st.integers(2_000 * 420, 60_000_000 * 420), st.just(420))


def small_flow() -> Flow:
    flow = Flow(SmallInt(REFERENCE.grains_per_step))
    flow.steps = SmallInt(0)
    flow.grains = SmallInt(0)
    return flow


def set_rate(flow: Flow, rate: Fraction) -> None:
    flow.set_rate(*map(SmallInt, REFERENCE.grains_per_tick(rate.numerator, rate.denominator)))


def owed_steps(flow: Flow) -> Fraction:
    return Fraction(flow.steps) + Fraction(flow.grains, flow.grains_per_step)


def steps_in(rate_nl_h: Fraction, ticks: int) -> Fraction:
    return rate_nl_h * ticks / 36_000 / NL_PER_STEP


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-04")
@given(st.lists(st.tuples(rates_nl_h | parts_of_nl_h, st.integers(0, 3_000)), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_list_of_rates_is_owed_exactly(changes):
    flow = small_flow()
    expected = Fraction(0)
    for rate, ticks in changes:
        set_rate(flow, rate)
        flow.advance(SmallInt(ticks))
        expected += steps_in(rate, ticks)
        assert owed_steps(flow) == expected


@pytest.mark.req("DOSE-01", "DOSE-03", "DOSE-04")
@given(rates_nl_h | parts_of_nl_h, st.data())
@settings(max_examples=220, deadline=None)
def test_a_year_in_merged_jumps_of_up_to_a_day_does_not_drift(rate, data):
    """365 days for 220 rates. A step counter of 30 bits holds 33 L; where the year is more, the count is
    taken out daily.
    """
    flow = small_flow()
    set_rate(flow, rate)
    taken = elapsed = 0
    while elapsed < 365 * TICKS_PER_DAY:
        jump = (
            data.draw(st.integers(TICKS_PER_DAY // 2, TICKS_PER_DAY))
            if elapsed < TICKS_PER_DAY * 8
            else TICKS_PER_DAY
        )
        flow.advance(SmallInt(jump))
        elapsed += jump
        taken += int(flow.steps)
        flow.steps = SmallInt(0)
    assert taken + Fraction(flow.grains, flow.grains_per_step) == steps_in(rate, elapsed)


@pytest.mark.req("DOSE-03")
@given(rates_nl_h, st.lists(st.integers(0, TICKS_PER_DAY), max_size=12))
def test_a_merged_jump_owes_what_its_ticks_owe(rate, jumps):
    merged, single = small_flow(), small_flow()
    set_rate(merged, rate)
    set_rate(single, rate)
    for jump in jumps:
        merged.steps = single.steps = SmallInt(0)
        merged.advance(SmallInt(jump))
        single.advance(SmallInt(jump // 3))
        single.advance(SmallInt(jump - jump // 3))
        assert (merged.steps, merged.grains) == (single.steps, single.grains)


@pytest.mark.req("DOSE-07")
@given(
    rates_nl_h,
    st.integers(1, prescription.MOST_BOLUS_NL),
    st.lists(st.integers(1, 50_000), min_size=1, max_size=40),
)
def test_a_bolus_owes_its_volume_and_not_a_grain_more(rate, volume_nl, jumps):
    flow = small_flow()
    flow.end_at(*map(SmallInt, REFERENCE.grains_of_volume(volume_nl)))
    set_rate(flow, rate)
    elapsed = 0
    for jump in jumps:
        flow.advance(SmallInt(jump))
        elapsed += jump
        assert owed_steps(flow) == min(steps_in(rate, elapsed), volume_nl / NL_PER_STEP)
        assert flow.done() == (steps_in(rate, elapsed) >= volume_nl / NL_PER_STEP)


calibrations = st.builds(
    lambda nl, steps: (nl, steps),
    st.integers(1_000, 335_000),
    st.sampled_from([200, 400, 800, 1_600, 3_200]),
)


@pytest.mark.req("DOSE-04", "MOT-06")
@given(calibrations, st.integers(2_000, 60_000_000), st.integers(1, 10_000_000))
def test_every_calibration_is_exact_or_refused(calibration, rate_nl_h, volume_nl):
    nl_per_rev, steps_per_rev = calibration
    try:
        head = mechanism.Mechanism(nl_per_rev, steps_per_rev, 120)
    except mechanism.MechanismError as error:
        assert str(nl_per_rev) in str(error)
        return
    one = head.grains_per_step
    assert 2 * one < 2**30
    steps, grains = head.grains_of_volume(volume_nl)
    assert steps + Fraction(grains, one) == Fraction(volume_nl * steps_per_rev, nl_per_rev)
    most_nl_h = head.max_rate_nl_h()
    assert head.reaches(most_nl_h, 1) and not head.reaches(most_nl_h + 1, 1)
    if head.reaches(rate_nl_h, 1):
        steps, grains = head.grains_per_tick(rate_nl_h, 1)
        assert steps + Fraction(grains, one) == Fraction(rate_nl_h * steps_per_rev, nl_per_rev * 36_000)
    else:
        assert rate_nl_h > head.max_rate_nl_h()


@pytest.mark.req("DOSE-10", "DOSE-11")
@pytest.mark.parametrize(("new", "old"), [(1_000, 1_300), (13, 40), (997, 1_000)])
def test_what_flows_in_a_bridge_is_slowed_to_the_grain_below(new, old):
    """Keep-vein-open of the old drug, say."""
    one = REFERENCE.grains_per_step
    exact = Fraction(5_003 * new, old) * 3_200 * one / (100_000 * 36_000)
    assert exact.denominator > 1
    assert REFERENCE.grains_per_tick(5_003 * new, old) == divmod(exact.numerator // exact.denominator, one)


@pytest.mark.req("DOSE-04")
@given(
    st.builds(Fraction, st.integers(2_000, 10**12), st.integers(1, 10**6)).filter(
        lambda r: 2_000 <= r <= 60_000_000
    )
)
def test_the_nearest_reachable_rate_is_reachable_and_nearest(rate):
    near = Fraction(*REFERENCE.nearest_reachable(rate.numerator, rate.denominator))
    assert REFERENCE.reaches(near.numerator, near.denominator)
    if REFERENCE.reaches(rate.numerator, rate.denominator):
        assert near == rate
    grain = Fraction(*REFERENCE.rate_nl_h(1, REFERENCE.grains_per_step))
    assert abs(near - rate) <= grain / 2


@pytest.mark.req("DOSE-04")
@given(st.integers(0, 32_000_000), calibrations)
def test_volume_of_steps_is_rounded_once_downwards(steps, calibration):
    head = mechanism.Mechanism(calibration[0] // 1_000 * 1_000, calibration[1], 120)
    exact_nl = Fraction(steps * head.nl_per_rev, head.steps_per_rev)
    assert head.volume_ul(SmallInt(steps)) == exact_nl // 1_000
    if exact_nl < 10**9:
        assert head.volume_nl(SmallInt(steps)) == exact_nl // 1
