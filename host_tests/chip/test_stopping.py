"""OCC-04: from the decision to stop to the last edge at the STEP pin, whatever the cause, on the chip.

The decision is the call of `Control.enter`: the program that is typed at the prompt lets it raise a free pin.
What comes between the two is the rest of the tick, the report of the alarm among it.
"""

from functools import partial

import pytest
from forked import from_boot
from thecal.watch import alarms

pytestmark = pytest.mark.chip

STOPS_WITHIN_NS = 10_000_000
MARK = 0  # a pin that the board leaves free
PROGRAM = f"""
from machine import Pin
from thecal import app
mark = Pin({MARK}, Pin.OUT, value=0)
class Marked(app.App):
    def __init__(self):
        super().__init__()
        self.enter = self.pump.control.enter
        self.pump.control.enter = self.entering
    def entering(self, state, cause):
        mark.value(1)
        mark.value(0)
        self.enter(state, cause)
app.App = Marked
app.run()
"""

CAUSES = {
    "occlusion_down": (lambda rig, now_ns: rig.plant.occlude("downstream", now_ns), alarms.OCCLUSION_DOWN),
    "occlusion_up": (lambda rig, now_ns: rig.plant.occlude("upstream", now_ns), alarms.OCCLUSION_UP),
    "air": (lambda rig, now_ns: rig.plant.set_air(True), alarms.AIR),
    "driver_fault": (lambda rig, now_ns: rig.plant.set_driver_fault(True, now_ns), alarms.DRIVER_FAULT),
    "stall": (lambda rig, now_ns: rig.plant.set_stalled(True), alarms.STALL),
    "sensor_fault": (
        lambda rig, now_ns: rig.plant.sensor_fault("pressure_down", "open", now_ns),
        alarms.SENSOR_FAULT,
    ),
    "supply_critical": (lambda rig, now_ns: rig.plant.set_supply(9), alarms.SUPPLY_CRITICAL),
    "stop_button": (lambda rig, now_ns: rig.bench.press("stop", 3), None),
}


@pytest.mark.req("OCC-04")
@pytest.mark.parametrize("cause", list(CAUSES))
@partial(from_boot, program=PROGRAM)
def test_the_last_edge_comes_within_10_ms_of_the_decision(rig, cause):
    do, row = CAUSES[cause]
    # Faster, the inlet is below what its sensor can mean before it is known to be closed.
    rig.start(12_000_000 if cause == "occlusion_up" else 60_000_000)
    rig.run_ticks(20)
    decided_ns = []
    rig.board.listen(MARK, lambda level, now_ns, cycle: decided_ns.append(now_ns) if level else None)
    do(rig, rig.bench.now_ns)
    for _ in range(60):
        rig.run_ticks(5)
        if decided_ns:
            break
    assert decided_ns, f"{cause} stopped nothing"
    rig.run_ticks(15)
    assert any(decided_ns[0] - 100_000_000 < cycle * 8 < decided_ns[0] for cycle in rig.edges.rising)
    late_ns = rig.edges.rising[-1] * 8 - decided_ns[0]
    print(f"{cause}: last edge {late_ns / 1e6:.2f} ms after the decision")
    assert late_ns <= STOPS_WITHIN_NS
    assert rig.board.pin("EN") == 1
    raised = [event["a"] for event in rig.client.events if event["code"] == "alarm"]
    stopping = [number for number in raised if alarms.ALARMS[number].response == alarms.STOP]
    assert stopping == ([] if row is None else [row])
