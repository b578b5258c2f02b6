"""The fullest window that a plant has seen, against a look at every window."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.window import WindowPeak

TICK_NS = 100_000_000
STEP_NL = Fraction(125, 4)


def fullest(turns, window_ns):
    """The slow way: (at_ns, nL) of each turn; every window that ends with one, (t - W, t]."""
    return max(
        (
            sum((nl for at_ns, nl in turns if end_ns - window_ns < at_ns <= end_ns), Fraction(0))
            for end_ns, _ in turns
        ),
        default=Fraction(0),
    )


@pytest.mark.req("LIM-03")
@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 30), st.sampled_from([0, 40, 200]))
def test_bulks_of_a_tick(counts, window_ticks, pulsation_percent):
    plant = Plant(PlantParameters(pulsation_percent=Fraction(pulsation_percent)))
    plant.steps(7, 0, TICK_NS)  # what was before does not count
    window = WindowPeak(plant, window_ticks * TICK_NS)
    turns = []
    for tick, count in enumerate(counts, start=2):
        before_nl = plant.displaced_nl()
        plant.steps(count, (tick - 1) * TICK_NS, tick * TICK_NS)
        turns.append((tick * TICK_NS, plant.displaced_nl() - before_nl))
    assert window.peak_nl == fullest(turns, window_ticks * TICK_NS)


@settings(deadline=None)
@given(st.lists(st.integers(1, 5 * TICK_NS), min_size=1, max_size=40), st.integers(1, 10 * TICK_NS))
def test_single_edges(gaps_ns, window_ns):
    plant = Plant()
    window = WindowPeak(plant, window_ns)
    turns, at_ns = [], 0
    for gap_ns in gaps_ns:
        at_ns += gap_ns
        plant.step(1, at_ns)
        turns.append((at_ns, STEP_NL))
    assert window.peak_nl == fullest(turns, window_ns)


def test_a_window_does_not_hold_what_happened_just_as_long_ago():
    plant = Plant()
    window = WindowPeak(plant, 10)
    plant.step(1, 5)
    plant.step(1, 15)
    assert (window.peak_nl, window.peak_at_ns) == (STEP_NL, 5)
    plant.step(1, 24)
    assert (window.peak_nl, window.peak_at_ns) == (2 * STEP_NL, 24)


def test_drawing_back_credits_nothing():
    plant = Plant()
    window = WindowPeak(plant, 1000)
    for at_ns, direction in ((1, 1), (2, 1), (3, -1), (4, -1), (5, 1)):
        plant.step(direction, at_ns)
    assert window.peak_nl == 3 * STEP_NL


def test_nothing_counts_after_it_was_closed():
    plant = Plant()
    window = WindowPeak(plant, 1000)
    plant.step(1, 1)
    window.close()
    plant.step(1, 2)
    assert window.peak_nl == STEP_NL
    assert WindowPeak(plant, 1000).peak_at_ns is None


def test_it_keeps_no_more_than_a_window_of_turns():
    plant = Plant()
    window = WindowPeak(plant, 50 * TICK_NS)
    for tick in range(1, 1000):
        plant.steps(1, (tick - 1) * TICK_NS, tick * TICK_NS)
        assert len(window._times_ns) <= 50
    assert window.peak_nl == 50 * STEP_NL
