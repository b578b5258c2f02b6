"""PERF-05 on the chip: with a table of the head in its rig the image evens the flow out. A table is the true
one, or one that is found by `thecal calibrate --pulsation` on the plant.
"""

from fractions import Fraction

import pytest
from head_tables import rig_with
from rig import Rig
from thecal_bench.displacement import table_of
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import evenness
from thecal_host.evened import HEADS, weighed

pytestmark = pytest.mark.chip

SINE = PlantParameters(pulsation_percent=Fraction(40))
TO_MARK_STEPS = 12
FIND_NL_H, FIND_TICKS = 1_000_000, 160
MEASURED_NL_H = 6_000_000
PITCH_TICKS = 200


REVOLUTION_TICKS = 620
CROSSED_OUTFLOW = 15
"""So many times more even is what leaves the catheter where a dip is crossed: at 6 mL/h the motor takes a
fifth of the window for that. At 20 and 500 uL/h it is 20 times and more (`test_evening.py`).
"""

SETTLED_TICKS = 370  # 20 time constants of the line


def pitch_at_6_ml_h(image, table, parameters=SINE, marks=1, settled_ticks=0):
    """Evenness over a pitch and a fifth after so many marks, and the last status."""
    start = REFERENCE.steps_per_rev - TO_MARK_STEPS
    on_chip = Rig(image, plant=Plant(parameters, rig=rig_with(table), angle_steps=start))
    on_chip.start(FIND_NL_H)
    on_chip.run_ticks(FIND_TICKS)
    on_chip.change_rate(MEASURED_NL_H)
    on_chip.run_ticks(20 + (marks - 1) * REVOLUTION_TICKS)
    begun = len(on_chip.edges.rising)
    on_chip.run_ticks(settled_ticks + PITCH_TICKS * 6 // 5)
    edges_ns = [cycle * 8 for cycle in on_chip.edges.rising[begun:]]
    positions = [start + begun + number + 1 for number in range(len(edges_ns))]
    found = evenness(edges_ns, positions, parameters, REFERENCE, table)
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


@pytest.mark.long
@pytest.mark.req("PERF-05", "CAL-02")
@pytest.mark.parametrize(("head", "marks"), list(zip(HEADS, (1, 2), strict=True)), ids=["sine", "roller"])
def test_the_table_that_is_found_makes_the_flow_twenty_times_more_even(image, tmp_path, head, marks):
    table = weighed(head, tmp_path)
    found, status = pitch_at_6_ml_h(image, table, head.parameters, marks, SETTLED_TICKS)
    assert status["compensated"] == 1
    without, _ = pitch_at_6_ml_h(image, [], head.parameters, 1, SETTLED_TICKS)
    print(f"{head.name}: without {without}, with the table {found}")
    assert (found.dip is None) == (without.dip is None) == (head.parameters.dip_percent == 0)
    assert found.windows > 0.8 * found.all_windows
    assert found.flow * 20 <= without.flow
    assert found.outflow * (CROSSED_OUTFLOW if found.dip else 20) <= without.outflow
