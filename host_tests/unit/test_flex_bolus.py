"""A clinician bolus beside the steps of a day: it gets what the basal leaves while it runs (DOSE-08)."""

from __future__ import annotations

import pytest
from pump_on_bench import NL_PER_STEP, ForgetfulOnBench, PumpOnBench
from thecal.clock import TICKS_PER_HOUR

ML_H = 1_000_000
NOON_S = 12 * 3_600


def in_steps(*steps: tuple[int, int], week_s: int, most_ml_h: int = 60) -> PumpOnBench:
    """Running at a time of the week; `steps` are (second of the day, mL/h)."""
    desk = ForgetfulOnBench()
    assert desk.ask("set_time", week_s=week_s)["ok"]
    at = [{"at_ms": 1_000 * at_s, "rate_num": rate * ML_H, "rate_den": 1} for at_s, rate in steps]
    desk.confirm({"mode": "flex", "steps": at, "max_rate_nl_h": most_ml_h * ML_H})
    assert desk.ask("start")["ok"]
    return desk


@pytest.mark.req("DOSE-08", "DOSE-12")
def test_a_bolus_is_not_slowed_by_a_step_of_the_week_in_which_it_does_not_run():
    """6 mL/h at noon, 50 mL/h at night, 60 mL/h for all: 1 mL in a minute gets 54 of its 60 mL/h."""
    desk = in_steps((0, 50), (6 * 3_600, 6), week_s=NOON_S)
    reply = desk.ask("bolus", volume_nl=1_000_000, duration_ms=60_000)
    assert reply["granted"] and (reply["rate_num"], reply["rate_den"]) == (54 * ML_H, 1)
    begun, before = desk.tick + 1, desk.executed_nl
    desk.run(800)
    [(ended, _, volume_nl, complete)] = desk.of("bolus_end")
    assert (volume_nl, complete) == (1_000_000, 1) and abs(ended - begun - 667) <= 1
    flowed_nl = 1_000_000 + 6 * ML_H * 800 // TICKS_PER_HOUR
    assert abs(desk.executed_nl - before - flowed_nl) <= 60 * ML_H // TICKS_PER_HOUR + NL_PER_STEP


@pytest.mark.req("DOSE-08", "DOSE-12")
def test_a_bolus_follows_the_steps_that_come_while_it_runs():
    """50 mL/h leave 10 of 60 mL/h for 2 mL in a minute. After a minute of that the step of 6 mL/h leaves 54,
    and after another one that of 60 mL/h nothing: it waits, and goes on with 54 mL/h a minute later.
    """
    desk = in_steps((0, 50), (NOON_S, 6), (NOON_S + 60, 60), (NOON_S + 120, 6), week_s=NOON_S - 61)
    reply = desk.ask("bolus", volume_nl=2_000_000, duration_ms=60_000)
    assert reply["granted"] and (reply["rate_num"], reply["rate_den"]) == (10 * ML_H, 1)
    assert desk.of("bolus_start")[0][3] == 10 * ML_H
    begun = desk.of("bolus_start")[0][0]
    slow = desk.of("clock")[0][0] + 610 - begun  # ticks of 10 mL/h
    left = 2_000_000 - slow * 10 * ML_H // TICKS_PER_HOUR - 54 * ML_H // 60
    desk.run(2_600)
    [(ended, _, volume_nl, complete)] = desk.of("bolus_end")
    assert (volume_nl, complete) == (2_000_000, 1)
    assert abs(ended - begun - slow - 1_200 - left * TICKS_PER_HOUR // (54 * ML_H)) <= 2


@pytest.mark.req("DOSE-08", "LIM-15")
def test_a_bolus_for_which_the_basal_leaves_nothing_now_is_refused_and_later_is_not():
    desk = in_steps((0, 60), (NOON_S, 6), week_s=NOON_S - 10)
    reply = desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)
    assert not reply["ok"] and reply["message"] == "bolus: the basal takes all of max_rate"
    desk.run(100)
    assert desk.ask("bolus", volume_nl=100_000, duration_ms=60_000)["granted"]


@pytest.mark.req("DOSE-02", "DOSE-12")
@pytest.mark.parametrize("most_ml_h", [60, 51, 100])
def test_a_therapy_with_a_lower_largest_rate_takes_nothing_of_the_tick_that_confirms_it(most_ml_h):
    """50 mL/h and 50 more of a bolus are 89 steps a tick, 60 mL/h for all are 53: those of the tick that
    accepts it flow at the old rate.
    """
    desk = ForgetfulOnBench()
    basal = {"mode": "continuous", "rate_num": 50 * ML_H, "rate_den": 1}
    desk.confirm({**basal, "max_rate_nl_h": 100 * ML_H})
    assert desk.ask("start")["ok"]
    begun = desk.of("state")[-1][0]
    assert desk.ask("bolus", volume_nl=2_000_000, duration_ms=144_000)["granted"]
    bolus = desk.of("bolus_start")[0][0]
    desk.run(31)
    desk.confirm({**basal, "max_rate_nl_h": most_ml_h * ML_H})
    slowed = desk.of("therapy")[-1][0]
    desk.run(3)
    owed_nl = (desk.tick - begun) * 50 * ML_H + (slowed - bolus) * 50 * ML_H
    owed_nl += (desk.tick - slowed) * min(50, most_ml_h - 50) * ML_H
    assert abs(desk.executed_nl - owed_nl / TICKS_PER_HOUR) <= NL_PER_STEP
    assert not desk.of("limited")
    assert desk.pump.guard.segment_most[0] == desk.pump.guard.segment_most[1], "from then on it binds"
