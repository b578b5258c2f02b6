"""drivers/segment.py: every word is a segment of exactly its length, with the steps it should have, where
they should be.
"""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thecal import rig
from thecal.drivers import segment

UNITS = st.integers(segment.MIN_UNITS, segment.SEGMENT_UNITS)


def periods(steps: int, units: int) -> list[int]:
    low, high = segment.word_low(steps, units), segment.word_high(steps, units)
    long_periods, short_periods = high & 255, high >> 8
    return [low + 13] * long_periods + [low + 12] * short_periods


@st.composite
def segments(draw):
    units = draw(UNITS)
    return draw(st.integers(0, segment.most_steps(units))), units


@pytest.mark.req("MOT-04")
@given(segments())
def test_a_word_fits_and_lasts_exactly_its_units(order):
    steps, units = order
    assert 0 <= segment.word_low(steps, units) < 2**16
    assert 0 <= segment.word_high(steps, units) < 2**16
    cut = periods(steps, units)
    assert len(cut) == steps
    total = sum(cut) + segment.STEPPING_UNITS if steps else segment.word_low(0, units) + segment.IDLE_UNITS
    assert total == units


@pytest.mark.req("MOT-04")
@given(segments(), st.integers(-10, 260_000))
def test_edges_by_counts_the_edges(order, cycles):
    steps, units = order
    edges = [segment.edge_cycles(index, steps, units) for index in range(steps)]
    assert edges == sorted(edges)
    assert all(0 < edge < units * segment.UNIT_CYCLES for edge in edges)
    for moment in (cycles, *edges[:3], *(edge - 1 for edge in edges[-3:])):
        assert segment.edges_by(moment, steps, units) == sum(edge <= moment for edge in edges)


@pytest.mark.req("DOSE-01")
@pytest.mark.parametrize("steps", range(1, segment.MAX_STEPS + 1))
def test_half_the_steps_are_made_at_mid_segment_and_none_near_it(steps):
    """On the tick in mid-segment n/2 steps are made, (n+1)/2 if n is odd: what keeps DOSE-01 there
    (dose/delivery).
    """
    half = segment.SEGMENT_UNITS * segment.UNIT_CYCLES // 2
    assert segment.edges_by(half, steps, segment.SEGMENT_UNITS) == (steps + 1) // 2
    period = Fraction(segment.SEGMENT_UNITS * segment.UNIT_CYCLES, steps)
    edges = [segment.edge_cycles(index, steps, segment.SEGMENT_UNITS) for index in range(steps)]
    assert min(abs(edge - half) for edge in edges) > period / 100


def test_a_segment_takes_no_more_steps_than_the_motor_can_follow():
    assert segment.most_steps(segment.SEGMENT_UNITS) == segment.MAX_STEPS
    assert segment.most_steps(segment.MIN_UNITS) == segment.MIN_UNITS // segment.MIN_PERIOD_UNITS


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize(
    ("least_ns", "cycles"), [(0, 7), (1_000, 7), (5_000, 7), (5_600, 7), (5_601, 8), (23_200, 29)]
)
def test_a_pulse_is_as_long_as_the_driver_needs_and_never_shorter_than_5_us(least_ns, cycles):
    assert segment.pulse_cycles(least_ns) == cycles
    assert 1_000 * segment.us_of(cycles) >= cycles * 800 >= max(least_ns, 5_000)


@pytest.mark.req("RIG-01")
def test_a_pulse_that_is_too_long_is_refused():
    assert segment.pulse_cycles(rig.MOST_PULSE_NS) == segment.MOST_PULSE
    with pytest.raises(ValueError, match="a STEP pulse of 23201 ns: at most 23200 ns can be made"):
        segment.pulse_cycles(23_201)


@pytest.mark.req("MOT-06", "RIG-01")
@given(st.integers(0, 80_000), st.integers(segment.MIN_UNITS, segment.SEGMENT_UNITS))
def test_no_two_steps_of_a_segment_are_closer_than_the_driver_takes_them(interval_us, units):
    least = segment.period_units(interval_us)
    assert least >= segment.MIN_PERIOD_UNITS
    most = segment.most_steps(units, least)
    edges = [segment.edge_cycles(index, most, units) for index in range(most)]
    gaps = [after - before for before, after in itertools.pairwise(edges)]
    assert all(gap * 1_000_000 >= interval_us * segment.PIO_HZ for gap in gaps)
    # A quarter of a period before the first and three quarters after the last.
    if most:
        before, after = edges[0], units * segment.UNIT_CYCLES - edges[-1]
        assert (before + after) * 1_000_000 >= interval_us * segment.PIO_HZ
