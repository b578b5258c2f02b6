"""PERF-05 on the chip: with a table of the head in its rig the image evens the flow out."""

from fractions import Fraction

import pytest
from head_tables import rig_with
from rig import Rig
from thecal_bench.displacement import table_of
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import evenness

pytestmark = pytest.mark.chip

SINE = PlantParameters(pulsation_percent=Fraction(40))
TO_MARK_STEPS = 12
FIND_NL_H, FIND_TICKS = 1_000_000, 160
MEASURED_NL_H = 6_000_000
PITCH_TICKS = 200


def pitch_at_6_ml_h(image, table):
    """Evenness over a pitch and a fifth, and the last status."""
    start = REFERENCE.steps_per_rev - TO_MARK_STEPS
    on_chip = Rig(image, plant=Plant(SINE, rig=rig_with(table), angle_steps=start))
    on_chip.start(FIND_NL_H)
    on_chip.run_ticks(FIND_TICKS)
    on_chip.change_rate(MEASURED_NL_H)
    on_chip.run_ticks(20)
    begun = len(on_chip.edges.rising)
    on_chip.run_ticks(PITCH_TICKS * 6 // 5)
    edges_ns = [cycle * 8 for cycle in on_chip.edges.rising[begun:]]
    positions = [start + begun + number + 1 for number in range(len(edges_ns))]
    found = evenness(edges_ns, positions, SINE, REFERENCE, table)
    assert on_chip.no_backlog()
    return found, on_chip.status()


@pytest.mark.req("PERF-05", "DOSE-01")
def test_the_true_table_makes_the_flow_fifty_times_more_even(image):
    found, status = pitch_at_6_ml_h(image, table_of(SINE, REFERENCE))
    assert status["compensated"] == 1 and status["phase_steps"] >= 0
    without, status = pitch_at_6_ml_h(image, [])
    assert status["compensated"] == 0
    assert 0.38 < without.flow < 0.41
    assert found.flow * 50 <= without.flow
