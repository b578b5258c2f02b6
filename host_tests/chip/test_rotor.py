"""What is felt stops the motor on the emulated board: the rotor's encoder and index mark, a blocked line."""

import pytest
from forked import from_boot
from rig import Rig
from thecal.watch import alarms
from thecal_bench.chip.recorders import EdgeRecorder

pytestmark = pytest.mark.chip

PITCH = 32  # microsteps
CPU_CYCLES_PER_MS = 125_000


@pytest.mark.req("MOT-02", "SIM-01")
@from_boot
def test_the_index_is_counted_and_a_rotor_that_stalls_halts_the_motor(rig):
    """60 mL/h, a revolution in 6 s: the second one without an alarm means that marks and pulses agree. Then
    the rotor stands. The encoder tells its place to a pitch, so two pitches behind are one to three of lost
    steps, and what a tick makes (54) is seen at its end.
    """
    rig.start(60_000_000)
    rig.run_ticks(130)
    assert rig.plant.index_count == 2 and rig.plant.encoder_count >= 200
    assert alarms_of(rig) == []
    rig.plant.set_stalled(True)
    made = len(rig.edges.rising)
    rig.run_ticks(10)
    assert alarms_of(rig) == [(alarms.STALL, 1)]
    lost = len(rig.edges.rising) - made
    assert PITCH < lost <= 3 * PITCH + 54
    assert rig.board.pin("EN") == 1
    assert rig.status()["state"] == "HALTED" and len(rig.edges.rising) == made + lost


@pytest.mark.req("MOT-02", "OCC-01", "SIM-01")
@from_boot
def test_an_index_that_does_not_come_is_missed_after_a_revolution(rig):
    """So the image does count it: its wire is cut before the first mark, 100 pulses or 6 s at 60 mL/h."""
    rig.plant.sensor_fault("index", "open", rig.bench.now_ns)
    rig.start(60_000_000)
    rig.run_ticks(58)
    assert alarms_of(rig) == []
    rig.run_ticks(8)
    assert alarms_of(rig) == [(alarms.SENSOR_FAULT, 1)]
    assert rig.board.pin("EN") == 1


# The pump's own lamp, which nothing else drives, lights when an alarm is raised.
DECISION_ON_LED = """
from machine import Pin
from thecal import app
loop = app.App()
lamp = Pin("LED", Pin.OUT, value=0)
raise_alarm = loop.pump.control.raise_alarm
def seen(row):
    lamp(1)
    return raise_alarm(row)
loop.pump.control.raise_alarm = seen
while True:
    loop.wait()
    loop.tick()
"""


@pytest.mark.req("OCC-04", "OCC-02", "SIM-01")
def test_the_motor_stops_within_ten_milliseconds_of_the_decision(image):
    """60 mL/h, a step in 1.9 ms, into a blocked line: what comes after the decision is within 10 ms."""
    rig = Rig(image, DECISION_ON_LED)
    decided = EdgeRecorder(rig.board, "LED")
    rig.start(60_000_000)
    rig.run_ticks(40)
    assert alarms_of(rig) == [] and decided.rising == []
    rig.plant.occlude("downstream", rig.bench.now_ns)
    rig.run_ticks(60)
    assert alarms_of(rig) == [(alarms.OCCLUSION_DOWN, 1)]
    (decision,) = decided.rising
    before = [edge for edge in rig.edges.rising if edge < decision]
    assert decision - before[-1] < 2 * CPU_CYCLES_PER_MS, "in the middle of its course"
    assert rig.edges.rising[-1] - decision < 10 * CPU_CYCLES_PER_MS
    assert rig.board.pin("EN") == 1


def alarms_of(rig):
    return [(event["a"], event["b"]) for event in rig.client.events if event["code"] == "alarm"]
