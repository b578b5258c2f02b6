"""`probe` in a whole pump (RIG-06): what the pins say, and nothing read that nobody has asked for."""

from __future__ import annotations

import pytest
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk, request
from thecal.signals import NETS
from thecal_bench.flash_model import blank_flash
from thecal_bench.plant import Plant
from thecal_model.rig import named

SIX_ML_H = 6_000_000
AT_REST = {"EN": 1, "DIR": 1, "DRIVER_FAULT": 1, "BUTTON_PATIENT": 1, "BUTTON_STOP": 1, "MAINTENANCE": 1}


def levels(pump: PumpOnBench) -> dict[str, int]:
    return pump.ask("probe")["levels"]


@pytest.mark.req("RIG-06")
def test_codes_levels_and_counts_come_as_they_are():
    desk = PumpOnDesk()
    desk.tick(pressure_down_raw=1)
    desk.tick(request("probe", id=7))
    assert desk.outputs.read_pads and not [sent for sent in desk.frames if sent["type"] == "reply"]
    at_pins = {"executed_steps": -32, "reverse_steps": 40, "encoder_count": 3, "index_count": 1}
    desk.tick(b"", levels=0b1000_0000_0000_0101, supply_raw=2_345, **at_pins)
    (answer,) = [sent for sent in desk.frames if sent["type"] == "reply"]
    assert answer["id"] == 7 and answer["ok"] and not desk.outputs.read_pads
    assert answer["adc"]["SUPPLY"] == 2_345 and 400 <= answer["adc"]["PRESSURE_UP"] <= 401
    assert answer["counts"] == {"steps": -32, "reverse_steps": 40, "encoder": 3, "index": 1}
    assert [net for net, level in answer["levels"].items() if level] == ["STEP", "EN", "MAINTENANCE"]
    assert list(answer["levels"]) == list(NETS)


@pytest.mark.req("RIG-06", "LNK-02")
def test_two_at_a_time_are_one_too_many():
    desk = PumpOnDesk()
    desk.tick()
    first = desk.tick(request("probe", id=1) + request("probe", id=2))
    second = desk.tick()
    replies = [sent for sent in first + second if sent["type"] == "reply"]
    assert [(sent["id"], sent.get("error")) for sent in replies] == [(2, "busy"), (1, None)]


@pytest.mark.req("RIG-06")
def test_the_pads_of_a_bench_follow_motor_sensors_and_buttons():
    plant = Plant()
    pump = PumpOnBench(plant)
    resting = levels(pump)
    assert {
        net: level for net, level in resting.items() if level and net not in ("ENCODER", "INDEX")
    } == AT_REST
    pump.ask("confirm", digest=pump.ask("disconnected")["digest"])
    assert pump.ask("jog", steps=1_600, rate_nl_h=SIX_ML_H)["ok"]
    assert levels(pump)["EN"] == 0
    pump.bench.press("stop", 5)
    plant.set_air(True)
    pressed = levels(pump)
    assert (pressed["BUTTON_STOP"], pressed["AIR"], pressed["EN"]) == (0, 1, 1)


@pytest.mark.req("RIG-04", "RIG-06")
def test_no_code_is_told_of_a_pin_that_is_never_converted():
    pump = PumpOnBench(Plant(rig=named("bare")), blank_flash("bare"))
    said = pump.ask("probe")
    assert said["adc"] == {} and set(said["levels"]) == set(NETS)
