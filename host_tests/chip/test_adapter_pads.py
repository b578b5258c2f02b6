"""The chip's pads: an input sees what is driven onto it, by a wire, by the chip itself or by a resistor."""

import pytest
from programs import COUNTER, PULSES

pytestmark = pytest.mark.chip


@pytest.mark.req("MOT-01", "SIM-01")
def test_pulses_come_back_over_the_wire(prompt):
    prompt.run(PULSES + COUNTER + "watch('STEP_SENSE'); pulses(200, 100_000)")
    prompt.board.run_for_ms(200)
    assert prompt.run("print(counted())") == "200\n"


@pytest.mark.req("MOT-01")
def test_without_the_wire_no_pulse_is_counted(prompt):
    prompt.board.unplug("STEP_SENSE")
    prompt.run(PULSES + COUNTER + "watch('STEP_SENSE'); pulses(200, 100_000)")
    prompt.board.run_for_ms(200)
    assert prompt.run("print(counted())") == "0\n"
