"""The rotor's encoder and index mark on the emulated board: counted by the image, and judged."""

import pytest
from rig import Rig
from thecal.watch import alarms

pytestmark = pytest.mark.chip

PITCH = 32  # microsteps


@pytest.mark.req("MOT-02", "SIM-01")
def test_the_index_is_counted_and_a_rotor_that_stalls_halts_the_motor(image):
    """60 mL/h, a revolution in 6 s: the second one without an alarm means that marks and pulses agree. Then
    the rotor stands. The encoder tells its place to a pitch, so two pitches behind are one to three of lost
    steps, and what a tick makes (54) is seen at its end.
    """
    rig = Rig(image)
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
def test_an_index_that_does_not_come_is_missed_after_a_revolution(image):
    """So the image does count it: its wire is cut before the first mark, 100 pulses or 6 s at 60 mL/h."""
    rig = Rig(image)
    rig.plant.sensor_fault("index", "open", rig.bench.now_ns)
    rig.start(60_000_000)
    rig.run_ticks(58)
    assert alarms_of(rig) == []
    rig.run_ticks(8)
    assert alarms_of(rig) == [(alarms.SENSOR_FAULT, 1)]
    assert rig.board.pin("EN") == 1


def alarms_of(rig):
    return [(event["a"], event["b"]) for event in rig.client.events if event["code"] == "alarm"]
