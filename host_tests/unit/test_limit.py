"""LIM-03 to LIM-06 and what stands behind them, each number worked out by hand.

On the reference mechanism a microstep is 31.25 nL, 1 uL is 32 of them; 6 mL/h is 16/3 a tick, 1 mL in ten
minutes, and that is 32 000.
"""

from __future__ import annotations

from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk
from thecal import forecast
from thecal.clock import TICKS_PER_DAY
from thecal.dose.course import CLINICIAN, PATIENT
from thecal.dose.delivery import Delivery
from thecal.dose.schedule import Schedule
from thecal.smallint import LARGEST
from thecal.watch.guard import ROUNDING_STEPS, Guard
from thecal_model.rig import reference

ML_H = 1_000_000
TEN_MINUTES_MS = 600_000
ONE = reference().mechanism().grains_per_step


# --- a basal that fills the limit


@pytest.mark.req("LIM-03", "LIM-05", "LIM-06")
@pytest.mark.parametrize("rate_nl_h", [6 * ML_H, 100_000, 7_777_777])
def test_a_basal_that_fills_the_limit_is_accepted_and_never_cut(rate_nl_h):
    """Over two windows, with the motor's segments begun anew on either side of a tick, and a stop."""
    runner = PumpOnBench()
    limit_nl = -(-rate_nl_h // 6)
    runner.start(rate_num=rate_nl_h, limit={"volume_nl": limit_nl, "window_ms": TEN_MINUTES_MS})
    most = 0
    for ticks in (4_001, 1_999, 2, 3_333, 2_001):
        for _ in range(ticks):
            runner.run(1)
            most = max(most, runner.pump.ledger.content_steps())
        runner.refill(50_000_000)
    assert most == -(-limit_nl * 32 // 1_000), "a window was full"
    runner.ask("stop")
    assert runner.ask("start")["ok"], "what it gave does not keep it from going on"
    runner.run(6_100)
    assert not runner.of("limited")
    assert "LIMIT_GUARD" not in str(runner.ask("alarms")["alarms"])


@pytest.mark.req("LIM-06")
def test_a_basal_that_is_a_nanolitre_above_its_limit_is_refused_with_its_volume(desk):
    therapy = {"mode": "continuous", "rate_num": 6 * ML_H, "rate_den": 1}
    reply = desk.ask(
        "program", therapy={**therapy, "limit": {"volume_nl": 999_999, "window_ms": TEN_MINUTES_MS}}
    )
    assert not reply["ok"]
    assert reply["message"] == "limit: the basal alone gives 1 mL in 10 min, the limit is 999.999 uL"


@pytest.fixture
def desk() -> PumpOnDesk:
    return PumpOnDesk()


# --- a bolus that fills it


def limited(limit_ul: int, window_ms: int = TEN_MINUTES_MS, **more: Any) -> PumpOnBench:
    runner = PumpOnBench()
    runner.start(
        rate_num=6 * ML_H,
        limit={"volume_nl": limit_ul * 1_000, "window_ms": window_ms},
        max_rate_nl_h=more.pop("max_rate_nl_h", 120 * ML_H),
        **more,
    )
    return runner


@pytest.mark.req("LIM-03", "LIM-04", "LIM-05")
@pytest.mark.parametrize("too_much_nl", [0, 32])
def test_a_bolus_that_just_fills_the_limit_is_granted_and_a_microstep_more_is_not(too_much_nl):
    runner = limited(1_200)
    runner.run(100)
    reply = runner.ask("bolus", volume_nl=200_000 + too_much_nl, duration_ms=60_000)
    assert reply["granted"] == (not too_much_nl)
    if too_much_nl:
        assert reply["reason"] == "max_dose"
    most = 0
    for _ in range(6_700):
        runner.run(1)
        most = max(most, runner.pump.ledger.content_steps())
    assert most == (32_000 if too_much_nl else 1_200 * 32)
    assert not runner.of("limited")


@pytest.mark.req("LIM-03", "LIM-04")
@pytest.mark.parametrize("too_much_nl", [0, 32])
def test_a_window_that_has_begun_holds_what_is_owed_by_the_end_of_this_tick_as_well(too_much_nl):
    """10 min of basal and two boluses, 1 400 uL; the tick in which the second one is asked for is 5 steps."""
    runner = limited(1_400)
    runner.run(100)
    assert runner.ask("bolus", volume_nl=200_000, duration_ms=60_000)["granted"]
    runner.run(700)
    reply = runner.ask("bolus", volume_nl=200_000 + too_much_nl, duration_ms=60_000)
    assert reply["granted"] == (not too_much_nl)
    runner.run(700)
    assert not runner.of("limited")


@pytest.mark.req("LIM-04")
@pytest.mark.parametrize("limit_ul, granted", [(6_000, True), (5_999, False)])
def test_a_bolus_that_is_longer_than_the_window(limit_ul, granted):
    """30 mL in an hour are 5 mL in ten minutes, and the basal 1 mL: whole windows are full of both."""
    runner = limited(limit_ul)
    runner.run(10)
    assert runner.ask("bolus", volume_nl=30_000_000, duration_ms=3_600_000)["granted"] == granted


@pytest.mark.req("LIM-04", "DOSE-05")
@pytest.mark.parametrize("most_ml_h, granted", [(120, False), (9, True)])
def test_a_bolus_that_the_profile_slows_is_predicted_slowed(most_ml_h, granted):
    """1.2 mL in a minute; with 9 mL/h for all it gets 3 mL/h, half a millilitre in a window."""
    runner = limited(1_500, max_rate_nl_h=most_ml_h * ML_H)
    pump = runner.pump
    runner.run(10)
    rate = (min(72, most_ml_h) * ML_H, 1)
    pump.delivery.to_boundary()
    assert (pump.handlers.boluses.forecast.why_no_room((1_200_000, 1), rate) == forecast.GRANTED) == granted


@pytest.mark.req("LIM-04", "DOSE-14")
@pytest.mark.parametrize(("limit_nl", "granted"), [(2_200_000, True), (2_199_968, False)])
def test_with_the_time_unknown_a_bolus_leaves_room_for_the_fastest_rate(limit_nl, granted):
    """The slowest flows, 6 mL/h, but the clock may be set to where it is 12: 2 mL in ten minutes."""
    runner = PumpOnBench()
    steps = [
        {"at_ms": hour * 3_600_000, "days": 127, "rate_num": rate, "rate_den": 1}
        for hour, rate in ((0, 6 * ML_H), (12, 12 * ML_H))
    ]
    limit = {"volume_nl": limit_nl, "window_ms": TEN_MINUTES_MS}
    runner.confirm({"mode": "flex", "steps": steps, "limit": limit, "max_rate_nl_h": 120 * ML_H})
    runner.ask("start")
    runner.run(50)
    assert not runner.pump.clock.known and runner.ask("hello")["state"] == "RUNNING"
    reply = runner.ask("bolus", volume_nl=200_000, duration_ms=60_000)
    assert reply["granted"] == granted
    if not granted:
        assert reply["reason"] == "max_dose"


@pytest.mark.req("LIM-04")
def test_boluses_flow_one_after_the_other_within_the_most_and_to_the_grain():
    """10 a tick of basal, then 20; 30 at most: 25 of the first at 15 in two ticks, 12 of the other at 30."""
    asked: list[int] = []

    def basal(ticks: int) -> list[tuple[int, int]]:
        asked.append(ticks)
        return [(2, 10), (ticks - 2, 20)]

    profile = forecast.with_boluses(basal, [(25, 15), (12, 30)], 30, 5)
    assert profile[:4] == [(1, 25), (1, 20), (1, 30), (1, 22)]
    assert {flow for _, flow in profile[4:]} == {20}
    assert sum(ticks for ticks, _ in profile) == asked[-1] >= 4 + 5
    assert sum(ticks * flow for ticks, flow in profile) == 2 * 10 + (asked[-1] - 2) * 20 + 25 + 12


@pytest.mark.req("LIM-04", "RES-05")
def test_what_is_owed_and_not_executed_is_committed():
    """64 steps owed, 60 made: 4 to come, and of a bolus of 320 steps (10 uL) all that it does not owe yet."""
    delivery = Delivery(reference().mechanism())
    delivery.begin(100)
    delivery.owed.basal.steps += 64
    delivery.owed.basal.grains = 5
    assert delivery.owed_grains(160) == delivery.committed_grains(160) == 4 * ONE + 5
    assert delivery.owed_grains(170) == -6 * ONE + 5 and delivery.committed_grains(170) == 0
    delivery.owed.most_steps = 100
    delivery.begin_bolus(CLINICIAN, (10_000, 1), (36 * ML_H, 1))
    assert delivery.committed_grains(160) == 324 * ONE + 5
    delivery.owed.advance_tick()
    assert delivery.committed_grains(160) == 324 * ONE + 5
    assert delivery.boluses_to_come() == [(CLINICIAN, 288 * ONE, 32 * ONE)]
    assert delivery.owed_grains(160) == 36 * ONE + 5
    assert PATIENT < CLINICIAN, "the order in which they flow"


@pytest.mark.req("DOSE-05")
def test_a_bolus_gets_what_the_basal_leaves_of_the_most_down_to_the_grain():
    """Most 20 steps and 3 grains; a basal of 5 steps and 7 grains leaves 14 steps and all but 4 grains."""
    owed = Delivery(reference().mechanism()).owed
    owed.most_steps, owed.most_grains = 20, 3
    owed.follow(Schedule([(0, 5, 7)]), 0, True)
    owed.active[PATIENT] = True
    owed.wanted_steps[PATIENT] = 40
    owed.set_rates()
    bolus = owed.boluses[PATIENT]
    assert (bolus.rate_steps, bolus.rate_grains) == (14, ONE - 4)


# --- the peak of a week


@pytest.mark.req("LIM-06")
def test_the_fullest_window_of_a_week_may_end_where_the_basal_slows():
    """9 a tick from 3, 10 from 6 to 7, then 1: the fullest three hours end at 7 and begin at no step."""
    hour = TICKS_PER_DAY // 24
    starts = []
    for day in range(7):
        starts += [
            (day * TICKS_PER_DAY + 6 * hour, 10, 0),
            (day * TICKS_PER_DAY + 7 * hour, 1, 0),
            (day * TICKS_PER_DAY + 3 * hour, 9, 0),
        ]
    week = Schedule(starts)
    assert week.peak_grains(3 * hour, ONE) == (9 + 9 + 10) * hour * ONE


# --- the guard's own arithmetic


@pytest.mark.req("LIM-05", "MOT-04")
def test_a_segment_of_a_tick_may_hold_the_most_of_one_tick():
    """36 mL/h is 32 steps a tick."""
    guard = Guard(100_000, 3_200, 36 * ML_H)
    assert guard.allow(1_000, 2_000, 1) == 1_000 + 32 + ROUNDING_STEPS
    assert guard.allow(1_000, 2_000, 2) == 1_000 + 64 + ROUNDING_STEPS
    assert guard.allow(1_000, 1_020, 1) == 1_020


@pytest.mark.req("RES-04", "LIM-05")
def test_nothing_is_ordered_beyond_empty_the_limit_or_what_is_booked():
    guard = Guard(100_000, 3_200, 36 * ML_H)
    guard.reservoir_most = 1_010
    assert guard.allow(1_000, 1_020, 1) == 1_010
    assert guard.allow(1_015, 1_020, 1) == 1_015, "what is ordered is not taken back"
    guard.reservoir_most = LARGEST
    guard.booked_most = 1_003
    assert guard.allow(1_000, 1_020, 1) == 1_003
    guard.booked_most = LARGEST
    guard.set_limit(1_000, 1)
    assert guard.limit_steps == 32
    guard.set_limit(1_001, 1)
    assert guard.limit_steps == 33, "a window of 1 031.25 nL is less than a microstep above 1 001"
    guard.look_at_window(990, 20, 3)
    assert guard.allow(1_000, 1_020, 1) == 990 + 3 + 33 - 20
    assert guard.room_steps(1_000) == 6
    guard.look_at_window(990, 50, 0)
    assert guard.allow(990, 1_020, 1) == 990


# --- the drug that leaves

STRONG = {"drug": "hydromorphone", "concentration_pg_nl": 4_000}
WEAK = {"drug": "hydromorphone", "concentration_pg_nl": 1_000}


def changed(line_nl: int, before: dict[str, Any], after: dict[str, Any], limit_pg: int) -> PumpOnBench:
    runner = PumpOnBench()
    for drug in (before, after):
        concentration = drug["concentration_pg_nl"]
        therapy = {
            **drug,
            "rate_num": 100_000 * 1_000 // concentration,
            "line_nl": line_nl,
            "limit": {"volume_nl": limit_pg // concentration, "window_ms": 3_600_000},
        }
        if drug is before:
            runner.start(**therapy)
            runner.run(1_201)
        else:
            runner.program(**therapy)
    return runner


@pytest.mark.req("LIM-03", "DOSE-10")
@pytest.mark.parametrize("before, after, ratio", [(STRONG, WEAK, 4), (WEAK, STRONG, 1 / 4)])
def test_without_a_line_what_was_given_weighs_its_mass_at_once(before, after, ratio):
    runner = changed(0, before, after, 900_000_000)
    steps = runner.pump.position.executed_steps
    assert steps > 20
    assert abs(runner.pump.ledger.content_steps() - steps * ratio) <= 4


@pytest.mark.req("LIM-03", "LIM-05", "DOSE-10")
def test_while_a_bridge_is_open_the_guards_limit_is_in_the_old_drug():
    """900 ug are 900 uL of the weak drug, and 225 uL, 7 200 steps, of the strong one that still leaves."""
    runner = changed(100_000, STRONG, WEAK, 900_000_000)
    assert runner.pump.line.bridge
    assert runner.pump.guard.limit_steps == 7_200
