"""`disconnected` and `jog` in a whole pump with a flash (RIG-06): moved for whoever builds or calibrates it.

The reference head: 3 200 microsteps and 100 uL a revolution, so 32 000 of them are ten revolutions and 1 mL.
"""

from __future__ import annotations

import pytest
from pump_on_bench import PumpOnBench
from thecal import states
from thecal.dose.mechanism import Mechanism
from thecal.handlers.service import most_jog_steps
from thecal.record.layout import place_of
from thecal.watch import alarms
from thecal_bench.inprocess import TICK_CYCLES

MOST = 32_000
ML_H = 1_000_000
SIX_ML_H = 6 * ML_H
LIMIT = {"volume_nl": 1_200_000, "window_ms": 600_000}
LINE_NL = 200_000
DRUG = {"drug": "baclofen", "concentration_pg_nl": 500, "dose_pg_day": 72_000_000_000, "line_nl": LINE_NL}
BACLOFEN = {"mode": "continuous", **DRUG}


class Bench(PumpOnBench):
    """A pump with a flash."""

    def disconnect(self) -> dict:
        proposal = self.ask("disconnected")
        assert proposal["ok"], proposal
        assert self.ask("confirm", digest=proposal["digest"])["ok"]
        return proposal

    def jog(self, steps: int = 160, rate_nl_h: int = SIX_ML_H) -> dict:
        return self.ask("jog", steps=steps, rate_nl_h=rate_nl_h)

    def rest(self) -> None:
        """Until the motor rests, and what it made is counted."""
        while self.state in states.MOVING:
            self.run(1)
        self.run(5)

    @property
    def state(self) -> int:
        return self.pump.control.state

    @property
    def made_steps(self) -> int:
        return self.pump.position.executed_steps


@pytest.fixture
def desk() -> Bench:
    return Bench()


@pytest.mark.req("RIG-06")
def test_nothing_is_jogged_before_somebody_has_said_that_nobody_is_connected(desk):
    refused = desk.jog()
    assert refused["reason"] == "connected" and "disconnected" in refused["message"]
    proposal = desk.ask("disconnected")
    assert proposal["readback"] == {"disconnected": 1, "jog_steps": MOST, "jog_nl": 1_000_000}
    assert desk.jog()["reason"] == "connected"  # proposed is not confirmed
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    assert desk.jog()["ok"]


@pytest.mark.req("RIG-06", "MOT-03")
def test_a_jog_makes_its_steps_forward_at_its_rate_and_rests(desk):
    desk.disconnect()
    began = desk.tick
    answer = desk.jog(1_600)
    assert answer["ok"] and answer["state"] == "JOGGING" and answer["left_steps"] == MOST - 1_600
    desk.rest()
    assert desk.made_steps == 1_600 and desk.bench.inputs.reverse_steps == 0
    assert desk.pump.control.state == states.STOPPED
    # 6 mL/h are 16/3 microsteps a tick: 300 ticks, and those of the answer and the first reservation.
    assert 300 <= desk.tick - began <= 312
    assert desk.of("jog_start")[0][2:] == (1_600, SIX_ML_H)
    assert desk.of("jog_end")[0][2:] == (50_000, 1)


@pytest.mark.req("RIG-06")
def test_one_confirmation_allows_ten_revolutions_in_all(desk):
    desk.disconnect()
    assert desk.jog(MOST + 1)["reason"] == "prescription"
    assert desk.jog(160)["left_steps"] == MOST - 160
    desk.rest()
    refused = desk.jog(MOST - 159)
    assert "must be 1 to 31840" in refused["message"]
    desk.pump.line.jog_steps = 160  # as after many
    assert desk.jog(160)["left_steps"] == 0
    desk.rest()
    assert desk.jog(1)["reason"] == "connected"
    desk.disconnect()
    assert desk.jog(1)["ok"]


@pytest.mark.req("RIG-06")
@pytest.mark.parametrize(
    ("nl_per_rev", "steps"), [(100_000, 32_000), (50_000, 32_000), (250_000, 12_800), (256_000, 12_500)]
)
def test_a_confirmation_is_ten_revolutions_or_1_ml_whichever_is_less(nl_per_rev, steps):
    assert most_jog_steps(Mechanism(nl_per_rev, 3_200, 120)) == steps


@pytest.mark.req("RIG-06")
@pytest.mark.parametrize("steps", [0, MOST + 1])
def test_steps_out_of_bounds_are_refused(desk, steps):
    desk.disconnect()
    assert f"steps: {steps}, must be 1 to 32000" in desk.jog(steps)["message"]


@pytest.mark.req("RIG-06")
def test_a_rate_out_of_bounds_is_refused_and_says_which_would_do(desk):
    desk.disconnect()
    for rate in 0, SIX_ML_H + 1:
        assert "must be 0.001 uL/h to 6 mL/h" in desk.jog(rate_nl_h=rate)["message"]
    # 1 mL in a day is 41 666.7 nL/h.
    assert desk.jog(MOST, 41_666)["message"].endswith("takes more than a day, 41.667 uL/h does not")
    assert desk.made_steps == 0
    assert desk.jog(MOST, 41_667)["ok"]


@pytest.mark.req("RIG-06", "DOSE-04")
def test_a_profile_slower_than_6_ml_an_hour_bounds_it(desk):
    desk.program(rate_num=ML_H, max_rate_nl_h=2 * ML_H)
    desk.disconnect()
    assert "must be 0.001 uL/h to 2 mL/h" in desk.jog(rate_nl_h=2 * ML_H + 1)["message"]
    assert desk.jog(rate_nl_h=2 * ML_H)["ok"]


@pytest.mark.req("RIG-06")
def test_only_a_stopped_pump_jogs(desk):
    desk.program()
    desk.disconnect()
    assert desk.ask("start")["ok"]
    assert desk.jog()["reason"] == "not_stopped" and desk.ask("disconnected")["reason"] == "not_stopped"
    assert desk.ask("stop")["ok"]
    desk.rest()
    assert desk.jog()["reason"] == "connected"  # the start has ended what was confirmed
    desk.disconnect()
    desk.program()
    assert desk.jog()["reason"] == "connected"  # and so has another therapy


@pytest.mark.req("RIG-06", "LIM-03")
def test_a_jog_counts_in_the_windows_and_ends_the_credit_of_a_new_line(desk):
    desk.program(line_nl=LINE_NL, limit=LIMIT)
    desk.new_line()
    desk.disconnect()
    assert desk.jog(1_600)["ok"]
    desk.rest()
    assert desk.pump.ledger.content_steps() == 1_600 == desk.pump.position.dose_steps
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"


@pytest.mark.req("RIG-06", "LIM-03", "LIM-05")
def test_a_jog_that_a_window_has_no_room_for_is_refused_and_one_that_fills_it_is_not(desk):
    desk.program(rate_num=ML_H, limit={"volume_nl": 200_000, "window_ms": 600_000})  # 6 400 steps
    desk.disconnect()
    refused = desk.jog(6_401)
    assert refused["reason"] == "max_dose" and "200.031 uL" in refused["message"]
    assert desk.jog(6_400)["ok"]
    desk.rest()
    assert desk.made_steps == 6_400
    assert {row for _, _, row, _ in desk.of("alarm")} == {alarms.MAX_DOSE}  # of the one that was refused


@pytest.mark.req("RIG-06", "RES-05")
def test_a_jog_beyond_empty_is_refused(desk):
    desk.program()  # EMPTY at 500 uL
    desk.refill(600_000)
    desk.disconnect()
    refused = desk.jog(3_201)
    assert refused["reason"] == "reservoir" and "600 uL are left, EMPTY is at 500 uL" in refused["message"]
    assert desk.jog(3_200)["ok"]


@pytest.mark.req("RIG-06")
def test_after_a_drug_the_line_has_to_be_new(desk):
    desk.confirm(BACLOFEN)
    assert desk.ask("disconnected")["ok"]  # it has not flowed yet
    assert desk.ask("start")["ok"]
    desk.run(50)
    assert desk.ask("stop")["ok"]
    desk.rest()
    refused = desk.ask("disconnected")
    assert refused["reason"] == "drug_in_line" and "baclofen" in refused["message"]
    desk.new_line()
    assert desk.jog()["reason"] == "connected"
    desk.disconnect()
    for _ in range(2):
        assert desk.jog(160)["ok"]
        desk.rest()
    desk.disconnect()  # nothing but jogs since it was new
    # But another drug is not taken for one that nothing stands before.
    other = {**BACLOFEN, "drug": "morphine", "concentration_pg_nl": 10_000}
    assert "new_line" in desk.ask("program", therapy=other)["message"]


@pytest.mark.req("RIG-06")
def test_a_prime_ends_what_was_confirmed_and_fills_the_line_with_drug(desk):
    desk.confirm(BACLOFEN)
    desk.new_line()
    desk.disconnect()
    assert desk.ask("prime", volume_nl=50_000)["ok"]
    desk.rest()
    assert desk.jog()["reason"] == "drug_in_line"


@pytest.mark.req("RIG-06", "ALM-05")
def test_a_stop_ends_a_jog_and_what_is_left_of_it_is_not_given_back(desk):
    desk.disconnect()
    assert desk.jog(MOST)["ok"]
    desk.run(50)
    assert desk.ask("stop")["ok"]
    desk.rest()
    assert 200 < desk.made_steps < 320 and desk.of("jog_end")[0][3] == 0
    assert desk.jog(1)["reason"] == "connected"


@pytest.mark.req("RIG-06", "ALM-05")
def test_the_stop_button_ends_a_jog_and_none_begins_while_it_is_held(desk):
    desk.disconnect()
    assert desk.jog(MOST - 160)["ok"]
    desk.run(20)
    desk.bench.press("stop", 30)
    desk.run(3)
    assert desk.state == states.STOPPED
    assert desk.jog()["error"] == "stop_held"


@pytest.mark.req("RIG-06", "MOT-02")
def test_an_alarm_ends_a_jog(desk):
    desk.disconnect()
    desk.bench.plant.set_stalled(True)
    assert desk.jog(1_600)["ok"]
    desk.rest()
    assert desk.state == states.HALTED and desk.made_steps < 160


@pytest.mark.req("RIG-06", "REC-02", "REC-03")
def test_a_jog_that_a_power_cut_ends_is_told_booked_and_never_resumed(desk):
    desk.confirm(BACLOFEN)
    desk.new_line()
    desk.disconnect()
    assert desk.jog(3_200)["ok"]
    desk.run(100)
    made = desk.made_steps
    desk.reset()
    desk.rest()
    assert desk.state == states.STOPPED
    assert made <= desk.made_steps <= made + 108  # a quantum: 2 s of flow
    assert desk.of("jog_end")[-1][3] == 0
    assert desk.jog()["reason"] == "connected"
    assert desk.pump.persistence.journal.words[place_of("line_empty")] == 2
    desk.disconnect()  # nothing but a jog since the line was new, over the cut too


@pytest.mark.req("RIG-06")
def test_a_new_line_needs_no_therapy_where_a_drug_was(desk):
    desk.confirm(BACLOFEN)
    assert desk.ask("start")["ok"]
    desk.run(50)
    assert desk.ask("stop")["ok"]
    desk.pump.regimen.prescription = None  # as a change of rig leaves it
    assert desk.ask("new_line")["readback"] == {"new_line_nl": 0}
    desk.new_line()
    assert desk.pump.line.credit_steps == 0
    desk.disconnect()


@pytest.mark.req("RIG-06", "REC-01", "REC-02")
@pytest.mark.parametrize("ticks", range(1, 30, 2))
def test_no_cut_in_a_jog_loses_a_step_or_adds_more_than_a_quantum(ticks):
    desk = Bench()
    desk.disconnect()
    desk.client.request("jog", steps=1_600, rate_nl_h=SIX_ML_H)
    desk.run(ticks)
    desk.reset()
    desk.rest()
    made = desk.bench.motor.executed_steps(desk.tick * TICK_CYCLES)
    assert made <= desk.made_steps <= made + 108
    assert desk.pump.position.dose_steps == desk.made_steps and desk.state == states.STOPPED


@pytest.mark.req("RIG-06")
def test_a_head_that_is_still_dry_is_jogged_through_the_air_in_it_and_does_not_dose(desk):
    desk.bench.plant.set_air(True)
    desk.disconnect()
    assert desk.jog(3_200)["ok"]
    desk.rest()
    assert desk.state == states.STOPPED and desk.made_steps == 3_200 and desk.pump.alarms.bits == 0
    desk.program()
    assert desk.ask("start")["ok"]
    desk.run(5)
    assert desk.state == states.HALTED and desk.pump.alarms.standing[alarms.AIR]


@pytest.mark.req("RIG-06", "LIM-05")
@pytest.mark.parametrize(
    "other", [{"limit": {"volume_nl": 400, "window_ms": 600_000}}, {"max_rate_nl_h": 2_000_000}, {}]
)
def test_another_therapy_ends_a_jog(desk, other):
    """What is left of it was held against the limit and the rate of the one before."""
    slow = {"mode": "minimum", "line_nl": LINE_NL}
    desk.confirm(slow)
    desk.disconnect()
    assert desk.jog(3_200)["ok"]
    desk.run(20)
    desk.confirm({**slow, **other})
    desk.rest()
    assert desk.state == states.STOPPED and 0 < desk.made_steps < 3_200
    assert not desk.of("alarm") and not desk.of("limited")
    assert not desk.jog()["ok"]


@pytest.mark.req("RIG-06")
def test_that_nobody_is_connected_is_said_of_the_rest_in_which_it_was_read_back(desk):
    """A therapy without a drug has run since: somebody may be connected now."""
    desk.confirm({"mode": "minimum"})
    proposal = desk.ask("disconnected")
    assert desk.ask("start")["ok"]
    desk.run(20)
    desk.bench.plant.air = True
    desk.run(20)
    desk.bench.plant.air = False
    assert desk.ask("acknowledge")["ok"]
    desk.rest()
    refused = desk.ask("confirm", digest=proposal["digest"])
    assert not refused["ok"] and "since the read-back" in refused["message"]
    assert not desk.jog()["ok"] and desk.pump.line.jog_steps == 0
    desk.disconnect()
    assert desk.jog()["ok"]
