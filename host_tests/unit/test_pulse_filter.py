"""The cycle model of the pulse counters: a million spikes count nothing, and every pulse between them counts.

A spike lasts 20 to 500 ns. That the model counts as the image's program does in the emulated PIO is shown in
`host_tests/chip/test_counter.py`.
"""

from itertools import pairwise
from random import Random

import pytest
from thecal_bench.pulse_filter import BareCounter, PulseFilter

CYCLE_NS = 8
STEP, ROTOR = 10, 500  # of these cycles in one of the machine's: 80 ns, 4 us
US, MS = 125, 125_000
PULSE, PERIOD = 5_600 // CYCLE_NS, 1_875 * US  # of STEP at 60 mL/h
PITCH, MARK = 60 * MS, 30 * MS  # of the encoder
REST = 9

STEPS = PulseFilter(STEP, REST, dir_bits=2)
MARKS = PulseFilter(ROTOR, REST, dir_bits=3)


def spiky(draw: Random, high: int, period: int, spikes: int, gap: tuple[int, int]) -> list[int]:
    """Changes of a level that is high for `high` cycles in each `period`, with so many spikes and dips: they
    lie at least the least `gap` apart, and away from the level's own edges.
    """
    changes: list[int] = []
    at = edge = period
    for _ in range(spikes):
        at += draw.randint(*gap)
        while at + 500 // CYCLE_NS + gap[0] > edge:
            changes.append(edge)
            at = max(at, edge + gap[0])
            edge += period - high if (edge % period) else high
        changes += [at, at := at + draw.randint(20, 500) // CYCLE_NS]
    return changes


def run(spikes: int) -> None:
    draw = Random(11)
    # A dip between two spikes has to be as long as from look to look, or both are one level.
    for counter, high, period, gap in (
        (STEPS, PULSE, PERIOD, (22, 20 * US)),
        (MARKS, MARK, PITCH, (10 * US, 200 * US)),
    ):
        changes = spiky(draw, high, period, spikes // 2, gap)
        assert all(later > sooner for sooner, later in pairwise(changes))
        pulses = changes[-1] // period
        assert len(counter.counted(changes)) == pulses > 10
        assert len(BareCounter(10).counted(changes)) > spikes // 2 > pulses


@pytest.mark.req("MOT-01", "MOT-02")
def test_a_hundred_thousand_spikes_count_nothing_and_a_bare_counter_takes_them_for_pulses():
    run(100_000)


@pytest.mark.long
@pytest.mark.req("MOT-01", "MOT-02")
def test_a_million_spikes_count_nothing():
    run(1_000_000)


@pytest.mark.req("MOT-01")
@pytest.mark.parametrize(("counter", "cycle"), [(STEPS, STEP), (MARKS, ROTOR)])
def test_a_level_never_counts_below_ten_cycles_and_always_from_eleven_on(counter, cycle):
    """From ten on it depends on where it lies among the machine's cycles: here one begins with the level."""
    begin = 10 * MS
    assert counter.counted([begin, begin + 10 * cycle - 1]) == []
    assert len(counter.counted([begin, begin + 10 * cycle])) == 1
    assert 11 * STEP * CYCLE_NS < 1_000, "a level of 1 us is a pulse"
    assert 11 * ROTOR * CYCLE_NS < 50_000, "a mark of 50 us is one"


@pytest.mark.req("MOT-01", "MOT-02")
def test_two_pulses_count_as_two_at_the_greatest_rate_and_as_one_well_above_it():
    def count(counter, apart, high):
        begin = 20 * MS
        return len(counter.counted([begin, begin + high, begin + apart, begin + apart + high]))

    assert count(STEPS, 416 * US, PULSE) == 2, "the least period of the step driver"
    assert count(STEPS, 380 * US, PULSE) == 2
    assert count(STEPS, 180 * US, PULSE) == 1
    assert count(MARKS, 26_666 * US, 13_333 * US) == 2
    assert count(MARKS, 19 * MS, 19 * MS // 2) == 2
    assert count(MARKS, 9 * MS, 2 * MS) == 1


@pytest.mark.req("MOT-02")
def test_a_false_mark_counts_only_when_the_rest_after_the_last_edge_of_a_true_one_is_over():
    """Rests of 9.2 ms, and 44 us for each of the edges to be believed."""

    def count(*changes):
        return len(MARKS.counted([20 * MS + at for at in changes]))

    for high in (44 * US, 1 * MS, 9 * MS):
        assert count(0, high, 18_500 * US, 18_544 * US) == 1
        assert count(0, high, 18_600 * US, 18_644 * US) == 2
    low = 13_333 * US
    assert count(0, low, low + 9_200 * US, low + 9_244 * US) == 1
    assert count(0, low, low + 9_300 * US, low + 9_344 * US) == 2
    assert count(0, low, low + 9_300 * US, low + 9_339 * US) == 1, "too short"


@pytest.mark.req("MOT-02")
@pytest.mark.parametrize("seed", range(20))
def test_an_edge_that_bounces_or_trembles_for_eight_milliseconds_is_one(seed):
    draw = Random(seed)
    changes: list[int] = []
    for number in range(200):
        edge = (number + 1) * 15 * MS  # 120 mL/h
        trembling = sorted(draw.sample(range(edge, edge + 8 * MS), 2 * draw.randint(0, 200)))
        changes += [*trembling, edge + 8 * MS + 1]
    assert len(MARKS.counted(changes)) == 100
    assert len(BareCounter(10).counted(changes)) > 5_000


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("times", [1, 2, 3, 7, 10, 33])
def test_a_rotor_that_turns_far_too_fast_is_counted_all_the_time(times):
    """Up to 33 times the greatest rate: within the time of three pulses at that rate there are two counts."""
    half = 13_333 * US // times
    changes = [half * (number + 1) for number in range(100 * times)]
    found = MARKS.counted(changes)
    assert len(found) >= 20
    assert max(later - sooner for sooner, later in pairwise(found)) <= 2 * 26_666 * US
