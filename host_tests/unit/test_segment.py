"""drivers/segment.py: the words of segments, one after the other, make every step when it is due, and nothing
drifts.
"""

import itertools
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from thecal import rig
from thecal.drivers import segment

LEAST_CYCLES = segment.LEAST_US * segment.CYCLES_PER_US
CYCLES = st.integers(LEAST_CYCLES, segment.SEGMENT_CYCLES)
WORST_CYCLES = 80  # PERF-06: 8 us


def cutter(interval_us: int = 0, pulse: int = segment.LEAST_PULSE) -> segment.Cutter:
    return segment.Cutter(pulse, segment.period_cycles(interval_us))


def edges_of(cut: segment.Cutter) -> list[int]:
    return [cut.first_edge() + number * cut.period() for number in range(cut.steps)]


def fits(cut: segment.Cutter) -> bool:
    """Into the bits of its words."""
    return 0 <= cut.q < 2**24 and 0 <= cut.lead < 2**16 and 0 <= cut.tail < 2**16 and 0 <= cut.steps < 256


@pytest.mark.req("MOT-04")
@given(
    st.lists(
        st.tuples(st.integers(0, 300), CYCLES, st.integers(-1, 2**21), st.integers(0, 2**21)), max_size=9
    ),
    st.integers(0, 80_000),
    st.integers(segment.LEAST_PULSE, segment.MOST_PULSE),
)
@example([(2, 20_000, 0, 0)] * 9, 0, 12)
def test_whatever_is_ordered_fits_and_ends_where_it_should(orders, interval_us, pulse):
    """To half a unit, or to what a pulse takes that comes at the very end; and no two steps are too close."""
    cut = cutter(interval_us, pulse)
    due = made = 0
    for steps, cycles, first, lag in orders:
        lag = min(lag, cycles)
        if first >= 0:
            first = min(first, cycles - lag)
        held = cut.cut(steps, cycles, first, lag)
        assert fits(cut)
        assert held == cut.steps <= min(steps, segment.most_steps(cycles, cut.least_cycles))
        edges = edges_of(cut)
        assert all(after - before >= cut.least_cycles for before, after in itertools.pairwise(edges))
        due += cycles
        made += cut.length()
        assert due - made == cut.early
        assert -segment.MOST_PULSE * 8 - 100 <= cut.early <= segment.HALF_UNIT


@pytest.mark.req("PERF-06", "DOSE-01")
@given(
    st.fractions(Fraction(1, 10**6), Fraction(24, 5), max_denominator=10**6),
    st.fractions(0, 1, max_denominator=10**4),
    st.lists(st.sampled_from([1, 2]), min_size=1, max_size=60),
)
def test_the_steps_of_an_even_flow_are_made_when_they_are_due(rate, part, lengths):
    """`rate` steps in a hundredth of a second; at the beginning a step is owed but for `part`."""
    rate = rate / 100_000  # a cycle
    cut = cutter()
    start = 0  # ideal, in cycles ...
    begins = 0  # ... and real
    owed = 1 - part
    made = 0
    for ticks in lengths:
        cycles = ticks * segment.TICK_CYCLES
        due = int(owed + cycles * rate) - int(owed)
        first = int((1 - owed % 1) / rate) if due else 0
        lag = int((owed + cycles * rate) % 1 / rate) if due else 0
        assert cut.cut(due, cycles, first, lag) == due
        for edge in edges_of(cut):
            made += 1
            ideal = (made + int(1 - part) - (1 - part)) / rate
            assert abs(begins + edge - ideal) <= WORST_CYCLES
        begins += cut.length()
        start += cycles
        owed += cycles * rate
    assert abs(begins - start) <= 100


@pytest.mark.req("MOT-06", "RIG-01")
@given(st.integers(0, 80_000), CYCLES, st.integers(0, 240))
def test_what_is_to_be_caught_up_is_spread_and_no_faster_than_the_driver_takes_it(interval_us, cycles, steps):
    cut = cutter(interval_us)
    held = cut.cut(steps, cycles, -1, 0)
    assert held == min(steps, segment.most_steps(cycles, cut.least_cycles))
    assert all(
        after - before >= cut.least_cycles for before, after in itertools.pairwise([0, *edges_of(cut)])
    )
    assert cut.least_cycles >= max(interval_us * 10, segment.MIN_PERIOD_CYCLES)


def test_a_segment_takes_no_more_steps_than_the_motor_can_follow():
    assert segment.most_steps(segment.SEGMENT_CYCLES) == segment.MAX_STEPS
    assert segment.most_steps(LEAST_CYCLES) == LEAST_CYCLES // segment.MIN_PERIOD_CYCLES


def test_an_emptied_queue_begins_at_its_time():
    cut = cutter()
    cut.cut(3, segment.SEGMENT_CYCLES - 7, 5, 9)
    assert cut.early
    cut.begin()
    assert cut.early == 0


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
