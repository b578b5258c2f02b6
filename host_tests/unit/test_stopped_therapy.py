"""A confirmed therapy that is `stopped` ends the flow as a stop does: no tick early, told as it was."""

from __future__ import annotations

from fractions import Fraction

import pytest
from pump_on_bench import NL_PER_STEP, ForgetfulOnBench, PumpOnBench
from thecal import states
from thecal.clock import TICKS_PER_HOUR
from thecal_bench.inprocess import TICK_CYCLES

SIXTY = {"mode": "continuous", "rate_num": 60_000_000, "rate_den": 1}
A_TICK_NL = Fraction(60_000_000, TICKS_PER_HOUR)


def made_nl(desk: PumpOnBench, tick: int) -> Fraction:
    return desk.bench.motor.executed_steps(tick * TICK_CYCLES) * NL_PER_STEP


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-11")
@pytest.mark.parametrize("board", [ForgetfulOnBench, PumpOnBench])
@pytest.mark.parametrize("held", [True, False])
def test_what_was_owed_up_to_the_stopped_therapy_was_given(board, held):
    """60 mL/h are 53 steps a tick."""
    desk = board()
    desk.confirm(SIXTY)
    assert desk.ask("start")["ok"]
    begun = desk.of("state")[-1][0]
    desk.run(37)
    proposal = desk.ask("program", therapy={"mode": "stopped"})
    at = {"at_tick": desk.tick + 20} if held else {}
    number = desk.client.request("confirm", digest=proposal["digest"], **at)
    desk.run(40)
    reply = desk.client.reply(number)
    assert reply is not None and reply["ok"]
    [(stopped, _, left, _)] = [event for event in desk.of("state") if event[3] == states.STOPPED][1:]
    assert left == states.RUNNING
    if held:
        assert stopped == at["at_tick"]
    assert abs(made_nl(desk, stopped) - (stopped - begun) * A_TICK_NL) <= NL_PER_STEP
    [event] = [event for event in desk.client.events if event["tick"] == stopped and event["code"] == "state"]
    assert abs(event["executed_steps"] * NL_PER_STEP - made_nl(desk, stopped)) <= NL_PER_STEP


@pytest.mark.req("DOSE-01", "DOSE-11")
def test_stopped_by_a_therapy_and_started_again_loses_nothing():
    desk = ForgetfulOnBench()
    desk.confirm({**SIXTY, "rate_num": 7_000_001})
    flowed = 0
    for number in range(8):
        assert desk.ask("start")["ok"]
        begun = desk.of("state")[-1][0]
        desk.run(5 + number)
        desk.confirm({"mode": "stopped"})
        flowed += desk.of("state")[-1][0] - begun
        desk.confirm({**SIXTY, "rate_num": 7_000_001})
        desk.run(3)
    assert abs(desk.executed_nl - Fraction(flowed * 7_000_001, TICKS_PER_HOUR)) <= 2 * NL_PER_STEP


@pytest.mark.req("DOSE-09", "DOSE-01")
def test_a_prime_that_another_therapy_ends_is_told_as_it_was_made():
    desk = PumpOnBench()
    desk.confirm({**SIXTY, "line_nl": 500_000})
    desk.new_line()
    assert desk.ask("prime", volume_nl=400_000)["ok"]
    desk.run(50)
    assert desk.pump.control.state == states.PRIMING
    desk.confirm({**SIXTY, "rate_num": 6_000_000, "line_nl": 500_000})
    [(ended, _, told_nl, complete)] = desk.of("prime_end")
    assert complete == 0 and desk.of("state")[-1] == (ended, "state", states.PRIMING, states.STOPPED)
    assert abs(told_nl - made_nl(desk, ended)) <= 2 * NL_PER_STEP


@pytest.mark.req("REC-06", "DOSE-01", "ALM-05")
@pytest.mark.parametrize("before", [None, "patient_bolus", "set_time"])
def test_a_stop_is_told_as_it_came_whatever_came_before_it_in_its_tick(before):
    """What changes the flow is reckoned and told for the end of the tick; a stop does not wait for that, and
    is told with the same time then, as the log never goes back.
    """
    desk = ForgetfulOnBench()
    desk.confirm(SIXTY)
    assert desk.ask("start")["ok"]
    begun = desk.of("state")[-1][0]
    desk.run(20)
    assert desk.ask("bolus", volume_nl=500_000, duration_ms=60_000)["granted"]
    bolus = desk.of("bolus_start")[0][0]
    desk.run(30)
    if before is not None:
        desk.client.request(before, **({"week_s": 100} if before == "set_time" else {}))
    desk.client.request("stop")
    desk.run(5)
    event = [event for event in desk.client.events if event["code"] == "state"][-1]
    stopped = event["tick"] - (before is not None)
    given_nl = (stopped - bolus) * 30_000_000 // TICKS_PER_HOUR
    assert desk.of("bolus_end") == [(event["tick"], "bolus_end", given_nl, 0)]
    assert abs(desk.executed_nl - (stopped - begun) * A_TICK_NL - given_nl) <= 2 * NL_PER_STEP
    assert abs(event["executed_steps"] * NL_PER_STEP - desk.executed_nl) <= NL_PER_STEP
