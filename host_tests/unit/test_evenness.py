"""PERF-05's measure of a head's evenness, on edges that are reckoned here: uniform, and by a table."""

from fractions import Fraction
from itertools import accumulate

import pytest
from pump_on_bench import PumpOnBench
from thecal_bench.displacement import Displacement
from thecal_bench.parameters import REFERENCE, Geometry, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench, evenness

PITCH_NL = 100_000 / 3


def head(pulsation=0, dip=0):
    return PlantParameters(pulsation_percent=Fraction(pulsation), dip_percent=Fraction(dip))


def true_table(parameters, entries):
    """The table of a plant's head: its volume at each entry's phase, exact, then rounded."""
    finer = Displacement(parameters, Geometry(steps_per_rev=3 * entries))
    pitch = finer.units_at(entries)
    return [
        round(100_000 * (finer.units_at(i) - Fraction(pitch * i, entries)) / pitch) for i in range(entries)
    ]


def edges(rate_nl_h, pitches, table=()):
    """When each step of a head that follows its table is made, ns, and where it stands then: once what it
    displaces is owed; in a dip 1 200 a second.
    """
    count = int(pitches * 3_200 / 3)
    closed = [*table, *table[:1]] or [0, 0]

    def by_table(step):
        at = step * 3 / 3_200 % 1 * (len(closed) - 1)
        low = int(at)
        excess = closed[low] + (closed[low + 1] - closed[low]) * (at - low)
        return step * 3 / 3_200 + excess / 100_000

    begin = 500
    owed = (PITCH_NL * (by_table(begin + n) - by_table(begin)) for n in range(count))
    due_ns = [round(nl / rate_nl_h * 3.6e12) for nl in owed]
    made_ns = list(accumulate(due_ns, lambda before, due: max(before + 833_333, due)))
    return made_ns, list(range(begin, begin + count))


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("rate_nl_h", [20_000, 500_000])
def test_a_sine_is_what_it_was_made_and_nothing_beside_a_true_table(rate_nl_h):
    parameters = head(pulsation=40)
    plain = evenness(*edges(rate_nl_h, 3), parameters, REFERENCE)
    # The parabola's peak, averaged over 36 steps, is a little less than itself.
    assert plain.flow == pytest.approx(0.4, abs=0.002)
    assert plain.outflow == pytest.approx(0.4, abs=0.01)
    assert plain.dip is None and plain.windows == plain.all_windows
    table = true_table(parameters, 64)
    even = evenness(*edges(rate_nl_h, 3, table), parameters, REFERENCE, table)
    assert even.flow < plain.flow / 150 and even.outflow < plain.outflow / 50
    # One entry that is off by a thousandth of a pitch shows: 33 nL of the 1 125 nL in a window.
    table[20] += 100
    assert evenness(*edges(rate_nl_h, 3, table), parameters, REFERENCE, table).flow > 5 * even.flow


@pytest.mark.req("PERF-05")
def test_a_uniform_head_has_no_pulsation():
    found = evenness(*edges(500_000, 2), head(), REFERENCE)
    assert found.flow < 1e-6 and found.outflow < 1e-6


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("pulsation", [0, 40])
def test_a_roller_that_takes_back_has_its_dip_told_apart(pulsation):
    parameters = head(pulsation, dip=150)
    plain = evenness(*edges(20_000, 3), parameters, REFERENCE)
    dip = plain.dip
    # Within 15 % of the pitch, 160 steps, and what comes until as much is there again.
    assert dip is not None and 100 < dip.steps < 200
    assert dip.back_nl == pytest.approx(1_103 if pulsation else 563, abs=2)
    assert plain.windows < plain.all_windows - 3 * (dip.steps + 30)
    table = true_table(parameters, 128)
    even = evenness(*edges(20_000, 3, table), parameters, REFERENCE, table)
    assert even.dip == dip
    assert even.flow < plain.flow / (50 if pulsation else 20)
    assert even.outflow < plain.outflow / 20


@pytest.mark.req("PERF-05")
def test_the_bench_writes_down_when_and_where_steps_are_made():
    class Pump(PumpOnBench):
        def board(self, plant, flash):
            return EdgeBench(plant, flash=flash)

    parameters = head(pulsation=40)
    pump = Pump(Plant(parameters))
    pump.start(rate_num=6_000_000)
    bench = pump.bench
    assert isinstance(bench, EdgeBench)
    pump.run(450)
    assert bench.positions == list(range(1, len(bench.positions) + 1))
    assert abs(len(bench.positions) - 450 * 16 / 3) < 30
    found = evenness(bench.edges_ns, bench.positions, parameters, REFERENCE)
    assert found.flow == pytest.approx(0.4, abs=0.002)
