"""Patient boluses, limits, reservoir, flex days and the clock, on the in-process board. Answers by hand."""

import re
from fractions import Fraction

import pytest
from long_story import a_rolling_day, told
from pump_on_bench import NL_PER_STEP, SIX_ML_H, ForgetfulOnBench, PumpOnBench
from thecal import causes, forecast, states, watching
from thecal.clock import TICKS_PER_DAY
from thecal.dose import formulary, formulary_data, library_wire, prescription
from thecal.link.commands import COMMANDS
from thecal.watch import alarms
from thecal.watch.lockout import Lockout
from thecal.watch.reservoir import Reservoir
from thecal_model.rig import reference

# 1 mL at 60 mL/h is one minute, 600 ticks
BOLUS = {
    "volume_nl": 1_000_000,
    "rate_num": 60_000_000,
    "rate_den": 1,
    "lockout_ms": 60_000,
    "max_per_day": 3,
}
LIMIT = {"volume_nl": 26_500_000, "window_ms": 14_400_000}
WIDE = {"volume_nl": 60_000_000, "window_ms": 600_000}
PATIENT = [row.name for row in COMMANDS].index("patient_bolus")


@pytest.fixture
def desk() -> PumpOnBench:
    return ForgetfulOnBench()


@pytest.fixture
def kept() -> PumpOnBench:
    """One that is reset: it remembers by its flash."""
    return PumpOnBench()


@pytest.mark.req("LIM-01", "LIM-02", "LIM-07")
def test_lockout_runs_from_the_end_of_the_bolus_to_the_tick(desk):
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    assert desk.ask("patient_bolus")["granted"]
    began = desk.tick + 1
    assert desk.ask("patient_bolus")["reason"] == "bolus_active"
    desk.bench.advance_to_tick(began + 600)
    assert desk.of("patient_bolus_end") == [(began + 600, "patient_bolus_end", 1_000_000, 1)]
    desk.bench.advance_to_tick(began + 600 + 600 - 3)
    assert desk.ask("patient_bolus")["reason"] == "lockout", "looked at for the last tick of the lockout"
    assert desk.ask("patient_bolus")["granted"], "for the first tick after it"
    assert [event[3] for event in desk.of("denied")] == [causes.BOLUS_ACTIVE, causes.LOCKOUT]
    assert {event[2] for event in desk.of("denied")} == {PATIENT}


@pytest.mark.req("LIM-02")
def test_lockout_runs_from_the_end_of_an_aborted_bolus_too(desk):
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    assert desk.ask("patient_bolus")["granted"]
    desk.run(100)
    desk.ask("stop")
    stopped = desk.tick
    # from the tick after the grant to the stop: 99 or 100 ticks of 1 mL/600
    [(tick, _, volume_nl, complete)] = desk.of("patient_bolus_end")
    assert tick == stopped and complete == 0 and volume_nl // 1_666 == 100
    desk.ask("start")
    assert desk.ask("patient_bolus")["reason"] == "lockout"
    desk.bench.advance_to_tick(stopped + 600 - 3)
    assert desk.ask("patient_bolus")["reason"] == "lockout"
    assert desk.ask("patient_bolus")["granted"]


@pytest.mark.req("LIM-01", "LIM-07", "LIM-13")
def test_no_more_than_so_many_in_a_rolling_day_whatever_is_programmed():
    assert told(a_rolling_day) == {
        "granted": ["granted"] * 3,
        "fourth": "max_per_day",
        "programmed": "max_per_day",  # it clears no count
        "first day": [3, 2, 2],
        "within a day": "max_per_day",
        "a day old": "granted",  # the first grant is
        "second day": [1, 1, 3],
    }


@pytest.mark.req("DOSE-08", "DOSE-12")
def test_a_patient_bolus_suspends_the_clinicians_which_then_loses_nothing(desk):
    """6 mL/h of basal, 0.6 mL in 36 s by the clinician, 1 mL in 60 s by the patient 10 s later: 1.6 mL in 96
    s.
    """
    desk.start(patient_bolus={**BOLUS, "lockout_ms": 0}, limit=LIMIT)
    flow = desk.tick + 1
    assert desk.ask("bolus", volume_nl=600_000, duration_ms=36_000)["granted"]
    clinician = desk.tick + 1
    desk.run(99)
    assert desk.ask("patient_bolus")["granted"]
    patient = desk.tick + 1
    desk.bench.advance_to_tick(clinician + 961)
    assert desk.of("patient_bolus_end") == [(patient + 600, "patient_bolus_end", 1_000_000, 1)]
    assert desk.of("bolus_end") == [(clinician + 960, "bolus_end", 600_000, 1)]
    basal_nl = (desk.tick - flow) * 6_000_000 / 36_000
    assert abs(desk.executed_nl - 1_600_000 - basal_nl) <= NL_PER_STEP


@pytest.mark.req("DOSE-08")
def test_a_clinician_bolus_lasts_as_long_as_it_is_asked_to_and_knows_no_lockout(desk):
    """From what Fmax leaves, 54 mL/h, up to 24 h: far below the 2 uL/h of a basal."""
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    for volume_nl, duration_ms, num, den in (
        (9_000, 1, 114_000_000, 1),
        (9_000, 3_600_000, 9_000, 1),
        (9_000, 21_600_001, 629_999, 420),
        (1, 86_400_000, 17, 420),
    ):
        reply = desk.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms)
        assert reply["granted"], reply
        assert Fraction(reply["rate_num"], reply["rate_den"]) == Fraction(num, den)
        assert desk.ask("stop")["ok"] and desk.ask("start")["ok"]
    assert "24.000000278 h" in desk.ask("bolus", volume_nl=9_000, duration_ms=86_400_001)["message"]


@pytest.mark.req("LIM-01")
def test_the_patients_button_asks_once_per_press(desk):
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    desk.bench.inputs.button_patient = True
    desk.run(30)
    assert len(desk.of("patient_bolus_start")) == 1 and not desk.of("denied")
    desk.bench.inputs.button_patient = False
    desk.run(1)
    desk.bench.inputs.button_patient = True
    desk.run(1)
    assert [event[3] for event in desk.of("denied")] == [causes.BOLUS_ACTIVE]


@pytest.mark.req("LIM-04")
def test_a_bolus_that_only_a_coming_window_could_not_hold_is_denied_and_basal_goes_on(desk):
    """Just started: 6 mL/h fill 24 of 25.5 mL in four hours; one bolus of 1 mL fits on top, a second does
    not.
    """
    desk.start(patient_bolus={**BOLUS, "lockout_ms": 0}, limit={**LIMIT, "volume_nl": 25_500_000})
    assert desk.ask("patient_bolus")["granted"]
    desk.run(700)
    assert desk.ask("patient_bolus")["reason"] == "max_dose"
    assert [event[2:] for event in desk.of("alarm")] == [(alarms.MAX_DOSE, 1)]
    before = desk.executed_nl
    desk.run(600)
    assert abs(desk.executed_nl - before - 100_000) <= NL_PER_STEP
    desk.ask("acknowledge")
    assert desk.of("alarm")[-1][2:] == (alarms.MAX_DOSE, 0)


@pytest.mark.req("LIM-05", "LIM-03")
def test_the_guard_withholds_what_planning_wrongly_let_through(desk, monkeypatch):
    """The prediction says yes to everything; the guard stops the second bolus at the limit, to the step."""
    monkeypatch.setattr(forecast.Forecast, "_peak_steps", lambda *_: 0)
    limit = {"volume_nl": 1_200_000, "window_ms": 600_000}
    desk.start(rate_num=2_000, patient_bolus={**BOLUS, "lockout_ms": 0}, limit=limit)
    desk.ask("patient_bolus")
    desk.run(700)
    desk.ask("patient_bolus")
    desk.run(600)
    assert (alarms.LIMIT_GUARD, 1) in [event[2:] for event in desk.of("alarm")]
    assert 1_200_000 - 2 * NL_PER_STEP <= desk.executed_nl <= 1_200_000
    assert desk.pump.control.state == states.RUNNING


@pytest.mark.req("LIM-05", "DOSE-01")
@pytest.mark.parametrize("closed_ticks", [1, 2, 7, 55, 300])
@pytest.mark.parametrize("rate_nl_h", [6_000_000, 100_000])
def test_a_window_that_was_full_leaves_the_flow_as_it_was(desk, monkeypatch, closed_ticks, rate_nl_h):
    """What it withheld is dropped, and nothing else: the motor is where it ought to be again.

    Just full, orders are made for single ticks, so the plan ends up to five ticks nearer: so many are not
    withheld.
    """
    flow = desk.start(rate_num=rate_nl_h, limit={"volume_nl": 1_200_000, "window_ms": 600_000})
    desk.run(100)
    with monkeypatch.context() as full:
        full.setattr(desk.pump.ledger, "content_then", lambda *_: desk.pump.guard.limit_steps)
        desk.run(closed_ticks)
    desk.run(30)
    assert abs(desk.pump.delivery.position() - desk.pump.position.executed_steps) <= 1
    before = desk.executed_nl
    desk.run(600)
    assert abs(desk.executed_nl - before - rate_nl_h // 60) <= NL_PER_STEP
    assert abs(desk.pump.delivery.position() - desk.pump.position.executed_steps) <= 1
    cut = [steps for _, _, steps, _ in desk.of("limited")]
    assert len(cut) <= 2  # how many steps there were, not one event for each order
    steps_per_tick = Fraction(rate_nl_h, 36_000) / NL_PER_STEP
    missing = steps_per_tick * (desk.tick - flow) - desk.pump.position.executed_steps
    assert abs(sum(cut) - missing) <= 1
    assert steps_per_tick * (closed_ticks - 5) - 1 <= missing <= steps_per_tick * closed_ticks + 2


@pytest.mark.req("DOSE-10", "LIM-03")
@pytest.mark.parametrize("line_nl", [0, 2_000])
def test_the_concentration_is_not_changed_under_a_bolus(desk, line_nl):
    """Its rest would be the same volume of a drug four times as strong."""
    therapy = {
        "drug": "hydromorphone",
        "concentration_pg_nl": 1_000,
        "rate_num": 2_000,
        "line_nl": 2_000,
        "patient_bolus": {**BOLUS, "volume_nl": 10_000, "rate_num": 600_000, "lockout_ms": 0},
        "limit": {"volume_nl": 25_500, "window_ms": 600_000},
    }
    desk.start(**therapy)
    assert desk.ask("patient_bolus")["granted"]
    before = desk.pump.regimen.therapies.count
    stronger = {**therapy, "concentration_pg_nl": 4_000, "line_nl": line_nl}
    proposal = desk.ask("program", therapy={**SIX_ML_H, **stronger})
    confirmation = {"digest": proposal["digest"], "accept": proposal["readback"]["soft"]}
    refused = desk.ask("confirm", **confirmation)
    assert not refused["ok"] and "a bolus is under way" in refused["message"]
    assert desk.pump.regimen.therapies.count == before and desk.pump.regimen.prescription.concentration == (
        1_000,
        1,
    )
    desk.run(610)
    assert desk.ask("confirm", **confirmation)["ok"]
    assert desk.pump.regimen.prescription.concentration == (4_000, 1)


@pytest.mark.req("LIM-06")
def test_a_basal_that_breaks_its_own_limit_is_refused(desk):
    """6 mL/h in 4 h are 24 mL: a limit of that is just filled, one of a nanolitre less is broken."""
    therapy = {**SIX_ML_H, "limit": {"volume_nl": 24_000_000, "window_ms": 14_400_000}}
    assert desk.ask("program", therapy=therapy)["ok"]
    therapy["limit"]["volume_nl"] -= 1
    reply = desk.ask("program", therapy=therapy)
    assert not reply["ok"]
    assert reply["message"] == "limit: the basal alone gives 24 mL in 4 h, the limit is 23.999999 mL"


@pytest.mark.req("LIM-06")
def test_a_start_that_the_history_forbids_names_the_earliest_time(desk):
    """12 mL/h for 600 s give 2 mL, of which 1.1 mL are younger than 600 s after 270 s; from then on 6 mL/h
    fill a window more slowly than it is emptied. A second before it is refused again.
    """
    limit = {"volume_nl": 2_100_000, "window_ms": 600_000}
    desk.start(rate_num=12_000_000, limit=limit)
    desk.run(6_000)
    desk.ask("stop")
    stopped_tick = desk.tick
    desk.program(limit={"volume_nl": 1_100_000, "window_ms": 600_000})
    refused = desk.ask("start")
    assert not refused["ok"]
    [(minutes, seconds)] = re.findall(r"could start in (\d+) min (\d+) s$", refused["message"])
    earliest = desk.tick + 600 * int(minutes) + 10 * int(seconds)
    assert 0 <= earliest - stopped_tick - 2_700 < 20
    desk.bench.advance_to_tick(earliest - 22)
    assert "could start in" in desk.ask("start")["message"]
    desk.bench.advance_to_tick(earliest)
    assert desk.ask("start")["ok"]
    desk.run(6_100)
    assert not desk.of("limited")


@pytest.mark.req("LIM-06", "LIM-15")
def test_the_earliest_start_is_told_before_all_that_was_given_has_left_the_window(desk):
    """0.2 mL in 60 s: 0.11 mL of it are younger than 600 s until 567 s after the stop."""
    desk.start(rate_num=12_000_000, limit={"volume_nl": 2_100_000, "window_ms": 600_000})
    desk.run(600)
    desk.ask("stop")
    stopped_tick = desk.tick
    desk.program(rate_num=600_000, limit={"volume_nl": 110_000, "window_ms": 600_000})
    [seconds] = re.findall(r"could start in 9 min (\d+) s$", desk.ask("start")["message"])
    assert 0 <= desk.tick + 5_400 + 10 * int(seconds) - stopped_tick - 5_670 < 20


@pytest.mark.req("LIM-12")
def test_a_therapy_with_boluses_must_have_a_limit(desk):
    reply = desk.ask("program", therapy={**SIX_ML_H, "patient_bolus": BOLUS})
    assert "limit: a therapy with patient boluses must have one" in reply["message"]


@pytest.mark.req("RES-01", "RES-02", "ALM-08")
def test_low_warns_and_goes_to_kvo_empty_stops_and_a_refill_clears_both(desk):
    """1.6 mL at 6 mL/h: 0.6 mL to LOW in 360 s; then 0.5 mL at 1.2 mL/h to EMPTY in 1 500 s."""
    desk.refill(1_600_000)
    flow = desk.start(kvo_num=1_200_000, kvo_den=1, on_low="kvo")
    desk.bench.advance_to_tick(flow + 3_602)
    [(tick, _, row, raised)] = desk.of("alarm")
    assert (row, raised) == (alarms.RESERVOIR_LOW, 1) and 0 <= tick - flow - 3_600 <= 1
    desk.bench.advance_to_tick(flow + 3_600 + 15_000 + 30)
    assert desk.pump.control.state == states.HALTED
    assert desk.of("alarm")[1][2:] == (alarms.RESERVOIR_EMPTY, 1)
    assert abs(desk.of("alarm")[1][0] - flow - 18_600) <= 10
    assert desk.executed_nl <= 1_100_000 and desk.executed_nl > 1_100_000 - 2 * NL_PER_STEP
    desk.ask("acknowledge")
    assert "EMPTY" in desk.ask("start")["message"]
    desk.refill(5_000_000)
    assert [event[2:] for event in desk.of("alarm")[2:]] == [
        (alarms.RESERVOIR_EMPTY, 0),
        (alarms.RESERVOIR_LOW, 0),
    ]
    assert desk.ask("start")["ok"]


LOW_KVO = {"kvo_num": 1_200_000, "kvo_den": 1, "on_low": "kvo"}


@pytest.mark.req("RES-02", "ALM-08")
def test_a_level_programmed_lower_ends_low_and_the_basal_flows_again(desk):
    """From 5 mL it is LOW at 4.98 mL, in 12 s; then at 1 mL."""
    desk.refill(5_000_000)
    desk.start(low_nl=4_980_000, **LOW_KVO)
    desk.run(200)
    assert [event[2:] for event in desk.of("alarm")] == [(alarms.RESERVOIR_LOW, 1)]
    assert desk.pump.status.rate_nl_h() == 1_200_000
    desk.program(low_nl=1_000_000, **LOW_KVO)
    desk.run(5)
    assert [event[2:] for event in desk.of("alarm")[1:]] == [(alarms.RESERVOIR_LOW, 0)]
    assert desk.pump.status.rate_nl_h() == 6_000_000


@pytest.mark.req("RES-02", "ALM-01")
def test_a_pump_stops_at_an_empty_level_that_was_programmed_lower_after_it_was_empty(desk):
    """60 mL/h. From 1 mL it is EMPTY at 0.95 mL, in 3 s, and then at 0.9 mL, in another 3 s."""
    fast = {"rate_num": 60_000_000, "low_nl": 960_000}
    desk.refill(1_000_000)
    desk.start(empty_nl=950_000, **fast)
    desk.run(60)
    assert desk.pump.control.state == states.HALTED
    desk.program(empty_nl=900_000, **fast)
    desk.run(5)
    assert (alarms.RESERVOIR_EMPTY, 0) in [event[2:] for event in desk.of("alarm")]
    assert desk.ask("acknowledge")["ok"]
    desk.run(30)
    assert desk.ask("start")["ok"]
    desk.run(60)
    assert desk.pump.control.state == states.HALTED, "nothing is left above EMPTY"
    assert desk.of("alarm")[-1][2:] == (alarms.RESERVOIR_EMPTY, 1)
    assert 0 <= 100_000 - desk.executed_nl < 2 * NL_PER_STEP


@pytest.mark.req("RES-05")
def test_a_bolus_that_would_reach_empty_is_denied(desk):
    desk.refill(2_400_000)
    desk.start(patient_bolus={**BOLUS, "lockout_ms": 0}, limit=LIMIT)
    assert desk.ask("patient_bolus")["granted"]
    desk.run(650)
    # 2.4 - 0.5 - 1 - 0.11 mL of basal is less than another mL
    assert desk.ask("patient_bolus")["reason"] == "reservoir"


@pytest.mark.req("RES-05")
def test_what_flows_while_one_bolus_waits_for_another_comes_out_of_the_reservoir_as_well(desk):
    """60 mL/h, 1 mL a minute; 2.5 mL to EMPTY. A patient bolus of 0.1 mL takes a minute, and the clinician's
    of 1 mL another one behind it: 1.1 mL of boluses and 2 mL of basal. Without the minute in which it waits
    it would be 2.1 mL.
    """
    slow = {"volume_nl": 100_000, "duration_ms": 60_000, "lockout_ms": 0, "max_per_day": 10}
    desk.refill(3_000_000)
    desk.start(rate_num=60_000_000, patient_bolus=slow, limit=WIDE)
    assert desk.ask("patient_bolus")["granted"]
    assert desk.ask("bolus", volume_nl=1_000_000, duration_ms=60_000)["reason"] == "reservoir"
    # 0.2 mL in 12 s: 0.3 mL of boluses and 1.2 mL of basal.
    assert desk.ask("bolus", volume_nl=200_000, duration_ms=12_000)["granted"]


@pytest.mark.req("RES-05")
def test_a_patients_bolus_leaves_the_clinicians_what_it_was_granted(desk):
    """60 mL/h; 1 mL in 80 s takes 2.3 mL of the 2.5 mL to EMPTY. 0.1 mL of the patient's in 20 s before its
    rest take 0.4 mL more.
    """
    quick = {"volume_nl": 100_000, "duration_ms": 20_000, "lockout_ms": 0, "max_per_day": 10}
    desk.refill(3_000_000)
    desk.start(rate_num=60_000_000, patient_bolus=quick, limit=WIDE)
    assert desk.ask("bolus", volume_nl=1_000_000, duration_ms=80_000)["granted"]
    assert desk.ask("patient_bolus")["reason"] == "reservoir"


@pytest.mark.req("DOSE-11")
def test_minimum_mode_runs_at_the_slowest_rate_and_a_stopped_therapy_does_not_start(desk):
    reply = desk.ask("program", therapy={"mode": "minimum"})
    assert reply["readback"]["rate_num"] == prescription.LEAST_BASAL_NL_H
    reply = desk.ask("program", therapy={"mode": "stopped"})
    assert desk.ask("confirm", digest=reply["digest"])["ok"]
    assert "no therapy with a flow" in desk.ask("start")["message"]


FLEX = {
    "mode": "flex",
    "steps": [
        {"at_ms": 6 * 3_600_000, "rate_num": 36_000, "rate_den": 1},
        {"at_ms": 22 * 3_600_000, "rate_num": 7_200, "rate_den": 1},
    ],
}


@pytest.mark.req("DOSE-14", "DOSE-06")
def test_a_lost_clock_runs_the_lowest_step_until_it_is_set(desk):
    """7.2 uL/h until the clock is set to noon, 36 uL/h from there: 100 s each are 200 and 1 000 nL."""
    reply = desk.ask("program", therapy=FLEX)
    desk.ask("confirm", digest=reply["digest"])
    desk.ask("start")
    flow = desk.tick + 1
    desk.bench.advance_to_tick(flow + 998)
    assert desk.of("alarm")[0][2:] == (alarms.CLOCK_LOST, 1)
    assert desk.ask("set_time", week_s=12 * 3_600)["ok"]
    assert desk.of("clock") == [(flow + 1_000, "clock", 43_200, -1)]
    assert desk.of("alarm")[1][2:] == (alarms.CLOCK_LOST, 0)
    desk.bench.advance_to_tick(flow + 2_000)
    assert abs(desk.executed_nl - 1_200) <= NL_PER_STEP


@pytest.mark.req("DOSE-06")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": []}, "steps: flex needs a list"),
        ({"steps": [{"at_ms": 86_400_000, "rate_num": 5_000, "rate_den": 1}]}, "steps[0].at_ms: 86400000"),
        ({"steps": FLEX["steps"] * 2}, "steps[2].at_ms: 21600000 stands twice"),
        (
            {"steps": [{"at_ms": n * 60_000, "rate_num": 5_000, "rate_den": 1} for n in range(49)]},
            "steps[48].at_ms: day 1 has 48 steps already",
        ),
        ({"steps": [{"at_ms": 0, "days": 128, "rate_num": 5_000, "rate_den": 1}]}, "steps[0].days: 128"),
    ],
)
def test_what_is_wrong_with_a_flex_day_is_named(desk, change, said):
    number = desk.client.request("program", therapy={**FLEX, **change})
    desk.run(20)  # a kilobyte a tick, and some steps
    assert said in desk.client.reply(number)["message"]


@pytest.mark.req("DOSE-04", "DOSE-12")
def test_a_bolus_that_does_not_fit_under_the_largest_rate_is_refused(desk):
    therapy = {**SIX_ML_H, "max_rate_nl_h": 65_999_999, "patient_bolus": BOLUS, "limit": LIMIT}
    assert "on top of the basal is above max_rate_nl_h" in desk.ask("program", therapy=therapy)["message"]


@pytest.mark.req("DOSE-09", "LIM-03")
def test_priming_fills_a_new_line_and_is_no_dose(desk):
    """0.2 mL at 60 mL/h take 12 s; the window's 0.3 mL stay free for the therapy, which may use 0.25 mL of
    them.
    """
    desk.refill(20_000_000)
    desk.program(rate_num=1_500_000, line_nl=200_000, limit={"volume_nl": 300_000, "window_ms": 600_000})
    desk.new_line()
    assert "must be 1 nL to 200 uL" in desk.ask("prime", volume_nl=200_001)["message"]
    assert desk.ask("prime", volume_nl=200_000)["state"] == "PRIMING"
    began = desk.tick + 1
    assert not desk.ask("start")["ok"]
    desk.bench.advance_to_tick(began + 121)
    assert desk.pump.control.state == states.STOPPED
    assert desk.of("prime_start", "prime_end") == [
        (began, "prime_start", 200_000, 0),
        (began + 120, "prime_end", 200_000, 1),
    ]
    assert abs(desk.executed_nl - 200_000) <= NL_PER_STEP
    assert desk.pump.ledger.content_steps() == 0
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"
    desk.refill(20_000_000)
    assert desk.ask("prime", volume_nl=1_000)["reason"] == "no_new_line"
    desk.new_line()
    assert desk.ask("prime", volume_nl=1_000)["ok"]
    desk.run(10)
    desk.ask("start")
    desk.run(100)
    assert "is RUNNING" in desk.ask("prime", volume_nl=1_000)["message"]
    assert not desk.of("limited")


@pytest.mark.req("DOSE-10")
def test_a_change_of_concentration_keeps_the_old_dose_until_the_line_has_cleared(desk):
    """Twice the concentration at the same dose: 36 uL/h for the 100 uL of the line, then 18 uL/h. Boluses
    wait.
    """
    drug = {"mode": "continuous", "drug": "morphine", "dose_pg_day": 864_000_000, "line_nl": 10_000}
    limit = {"volume_nl": 2_000_000, "window_ms": 14_400_000}
    both = {"patient_bolus": {**BOLUS, "volume_nl": 1_000}, "limit": limit}
    once = {**drug, **both, "concentration_pg_nl": 1_000}
    twice = {**drug, **both, "concentration_pg_nl": 2_000}
    desk.confirm(once)
    desk.ask("start")
    desk.run(1_000)
    before = desk.executed_nl
    desk.confirm(twice)
    [(opened, _, line_nl, is_open)] = desk.of("bridge")
    assert (line_nl, is_open) == (10_000, 1)
    assert desk.ask("patient_bolus")["reason"] == "bridge"
    assert desk.ask("bolus", volume_nl=1_000, duration_ms=60_000)["reason"] == "bridge"
    third = desk.ask("program", therapy={**twice, "concentration_pg_nl": 3_000})
    assert not third["ok"] and "has not left the line" in third["message"]
    # a stop does not clear what is in the line
    desk.ask("stop")
    desk.run(50)
    desk.ask("start")
    # 10 000 nL at 10 nL/s are 1 000 s
    desk.bench.advance_to_tick(opened + 10_000)
    assert len(desk.of("bridge")) == 1
    desk.bench.advance_to_tick(opened + 10_200)
    cleared = desk.of("bridge")[1]
    assert cleared[2:] == (0, 0)
    assert abs(desk.executed_nl - before - 10_000) < 150, "the line, and what came in the ticks around it"
    before = desk.executed_nl
    desk.run(2_000)
    assert abs(desk.executed_nl - before - 1_000) <= NL_PER_STEP, "5 nL/s"
    assert desk.ask("patient_bolus")["granted"]


ZICONOTIDE = {"mode": "continuous", "drug": "ziconotide", "concentration_pg_nl": 25}


@pytest.mark.req("LIM-08", "LIM-10")
def test_a_hard_limit_refuses_and_a_soft_one_must_be_confirmed_by_name(desk):
    """19.2 mcg/day is the maximum; a start above 2.4 mcg/day asks, by consensus one above 1.2."""
    reply = desk.ask("program", therapy={**ZICONOTIDE, "dose_pg_day": 19_260_000})
    assert not reply["ok"] and "ziconotide.dose_per_day.maximum" in reply["message"]
    proposal = desk.ask("program", therapy={**ZICONOTIDE, "dose_pg_day": 2_460_000})
    accept = ["ziconotide.start_dose.high", "ziconotide.start_dose.high.consensus", "unpaired"]
    assert proposal["readback"]["soft"] == accept
    assert "2.46 mcg/day" in proposal["why"][0]
    refused = desk.ask("confirm", digest=proposal["digest"])
    assert "not confirmed: ziconotide.start_dose.high" in refused["message"]
    assert desk.pump.regimen.prescription is None
    refused = desk.ask("confirm", digest=proposal["digest"], accept=accept[::2])
    assert refused["message"] == "accept: not confirmed: ziconotide.start_dose.high.consensus"
    assert desk.ask("confirm", digest=proposal["digest"], accept=accept)["ok"]
    assert desk.of("soft_limits")[0][2:] == (2, formulary_data.VERSION)


@pytest.mark.req("LIM-09")
@pytest.mark.parametrize("therapy", [{**ZICONOTIDE, "dose_pg_day": 2_400_000}, SIX_ML_H])
def test_a_damaged_library_lets_no_therapy_start(desk, therapy):
    desk.confirm(therapy)
    version, drugs, crc = desk.pump.regimen.library
    desk.pump.regimen.library = (version, drugs, crc ^ 1)
    assert "library is damaged" in desk.ask("start")["message"]
    assert desk.of("alarm")[0][2:] == (alarms.LIBRARY_FAULT, 1)
    assert "bad CRC" in desk.ask("program", therapy={**ZICONOTIDE, "dose_pg_day": 2_400_000})["message"]


@pytest.mark.req("LIM-11")
def test_every_therapy_applied_is_kept_whole_over_a_reset(kept):
    flex = {
        "mode": "flex",
        "steps": [
            {"at_ms": 0, "days": 127, "rate_num": 2_000, "rate_den": 1},
            {"at_ms": 3_600_000, "days": 31, "rate_num": 7_000, "rate_den": 1},
        ],
        "patient_bolus": BOLUS,
        "limit": LIMIT,
    }
    assert "the last is 0" in kept.ask("therapy")["message"]
    kept.confirm(SIX_ML_H)
    kept.confirm(flex)
    refused = kept.ask("program", therapy={"mode": "continuous", "rate_num": 1, "rate_den": 1})
    assert not refused["ok"]
    kept.run(30)  # until the last one is written down
    kept.reset()
    assert kept.ask("therapy", number=1)["therapy"] == SIX_ML_H
    last = kept.ask("therapy")
    assert (last["number"], last["therapy"]) == (2, {key: flex[key] for key in flex if key != "steps"})
    weekly = [(day * 24, 2_000) for day in range(7)] + [(day * 24 + 1, 7_000) for day in range(5)]
    assert last["steps"] == [[hour * 3_600_000, rate_nl_h, 1] for hour, rate_nl_h in sorted(weekly)]
    for number in range(3, 16):
        kept.confirm({**SIX_ML_H, "rate_num": 60_000 * number})
    assert "3 is not kept, the last is 15" in kept.ask("therapy", number=3)["message"]
    assert kept.ask("therapy", number=4)["therapy"]["rate_num"] == 240_000


@pytest.mark.req("LIM-08", "LIM-10")
def test_a_pharmacy_library_comes_drug_by_drug_and_is_confirmed_as_a_whole(desk):
    wire = library_wire.to_wire(desk.pump.regimen.library)
    wire["drugs"][0]["strengths"] = [1_234]
    count = len(wire["drugs"])
    reply = {}
    for index, drug in enumerate(wire["drugs"]):
        reply = desk.ask("library", part={**drug, "version": 3, "index": index, "count": count})
        assert reply["complete"] == (index == count - 1), reply
    assert desk.pump.regimen.library[0] == 2
    assert desk.ask("confirm", digest=reply["digest"])["ok"]
    assert desk.pump.regimen.library[0] == 3 and formulary.check(desk.pump.regimen.library)
    assert desk.of("library")[0][2:] == (3, 2)
    assert not desk.ask("library", part={"version": 3, "index": 1, "count": 2})["ok"]


@pytest.mark.req("DOSE-11")
def test_a_long_stop_with_a_therapy_waiting_is_an_alarm(desk, monkeypatch):
    monkeypatch.setattr(watching, "LONG_STOP_TICKS", 50)
    desk.run(100)
    assert not desk.of("alarm"), "nothing is programmed"
    desk.start()
    desk.run(100)
    desk.ask("stop")
    desk.run(60)
    assert desk.of("alarm")[-1][2:] == (alarms.LONG_STOP, 1)
    desk.ask("start")
    assert desk.of("alarm")[-1][2:] == (alarms.LONG_STOP, 0)


@pytest.mark.req("REC-03", "REC-04", "LIM-02", "LIM-03", "RES-01")
def test_a_reset_cuts_the_bolus_resumes_the_basal_and_opens_nothing(kept):
    """Half a minute into a bolus of one. What was reserved counts as given: at 66 mL/h 2 s of motion."""
    quantum_nl = 66_000_000 * 2 // 3_600
    kept.refill(20_000_000)
    flow = kept.start(patient_bolus=BOLUS, limit=LIMIT)
    assert kept.ask("patient_bolus")["granted"]
    kept.run(300)
    content = kept.pump.ledger.content_steps()
    executed_nl = kept.executed_nl
    kept.reset()
    assert kept.pump.control.state == states.RUNNING
    [(_, _, given_nl, complete)] = kept.of("patient_bolus_end")
    # Granted for the tick after the request; the basal beside it is in it, as the reset does not know better.
    given_least_nl = 299 * 1_000_000 // 600
    assert complete == 0
    assert given_least_nl <= given_nl <= given_least_nl + 300 * 100_000 // 600 + quantum_nl + NL_PER_STEP
    assert (alarms.AUTO_RESUMED, 1) in [event[2:] for event in kept.of("alarm")]
    flowed_nl = kept.executed_nl - executed_nl
    over_nl = (kept.pump.ledger.content_steps() - content) * NL_PER_STEP
    assert 0 <= over_nl <= flowed_nl + quantum_nl + NL_PER_STEP
    assert kept.ask("patient_bolus")["reason"] == "lockout"
    before = kept.executed_nl
    kept.run(600)
    assert abs(kept.executed_nl - before - 100_000) <= NL_PER_STEP, "basal, and nothing of the bolus"
    left_nl = kept.pump.reservoir.left_steps(kept.pump.position.executed_steps) * NL_PER_STEP
    assert 0 <= 20_000_000 - left_nl - kept.executed_nl <= quantum_nl + NL_PER_STEP
    assert kept.tick > flow
    assert kept.ask("attempts")["granted"] == 1


@pytest.mark.req("REC-04")
def test_a_reset_while_stopped_or_halted_stays_so(kept):
    kept.start()
    kept.ask("stop")
    kept.run(5)
    kept.reset()
    assert kept.pump.control.state == states.STOPPED and kept.pump.regimen.prescription
    kept.ask("start")
    kept.run(10)
    kept.pump.fail()
    kept.run(5)
    kept.reset()
    assert kept.pump.control.state == states.HALTED and kept.pump.alarms.standing[alarms.LOOP_FAULT]


@pytest.mark.req("RES-03")
@pytest.mark.parametrize(
    ("limit_nl", "window_h", "hours"), [(3_000_000, 24, 204), (900_000, 12, 252), (600_000, 10, 310)]
)
def test_the_readback_says_when_low_can_come_at_the_earliest(desk, limit_nl, window_h, hours):
    """20 mL to 1 mL; 0.12 mL/day of basal and 4 boluses of 0.5 mL in the first 12 h of a day: of 19 mL eight
    days take 16.96 mL and 12 h later the fourth bolus the last of it. With a limit of 0.9 mL in 12 h the
    last of 19 mL is in the 22nd window, with 0.6 mL in 10 h in the 32nd: 21 x 12 and 31 x 10 h.
    """
    desk.refill(20_000_000)
    therapy = {
        "mode": "continuous",
        "rate_num": 5_000,
        "rate_den": 1,
        "patient_bolus": {**BOLUS, "volume_nl": 500_000, "lockout_ms": 14_400_000, "max_per_day": 4},
        "limit": {"volume_nl": limit_nl, "window_ms": window_h * 3_600_000},
    }
    assert desk.ask("program", therapy=therapy)["readback"]["low_in_h"] == hours


@pytest.mark.req("RES-03", "DOSE-06")
@pytest.mark.parametrize(("day", "hours"), [(0, 70), (3, 118), (None, 70)])
def test_the_days_of_a_week_that_come_first_count_first(desk, day, hours):
    """0.2 mL/h from Monday to Wednesday, 0.1 mL/h after that; 14.1 mL to LOW. From Monday at 0 h on they take
    70.5 h; from Thursday on 9.6 mL flow in the four slow days, and 4.5 mL in 22.5 h of Monday: 118.5 h. With
    the time unknown it may be Monday.
    """
    if day is not None:
        assert desk.ask("set_time", week_s=day * 86_400)["ok"]
    desk.refill(15_100_000)
    therapy = {
        "mode": "flex",
        "steps": [
            {"at_ms": 0, "days": 1, "rate_num": 200_000, "rate_den": 1},
            {"at_ms": 0, "days": 8, "rate_num": 100_000, "rate_den": 1},
        ],
    }
    assert desk.ask("program", therapy=therapy)["readback"]["low_in_h"] == hours


@pytest.mark.req("RES-03", "DOSE-08")
def test_a_bolus_that_flows_brings_low_sooner(desk):
    """0.1 mL/h and 2 mL in 4 h, of 3 mL to LOW: 2.4 mL by then, and 6 h more for the rest; 30 h without."""
    therapy = {"mode": "continuous", "rate_num": 100_000, "rate_den": 1}
    desk.refill(4_000_000)
    desk.confirm(therapy)
    assert desk.ask("start")["ok"]
    assert desk.ask("bolus", volume_nl=2_000_000, duration_ms=4 * 3_600_000)["granted"]
    assert desk.ask("program", therapy=therapy)["readback"]["low_in_h"] == 9  # 10 h less what has flowed


@pytest.mark.req("RES-03", "DOSE-10")
def test_what_leaves_faster_while_a_bridge_is_open_brings_low_sooner(desk):
    """60 mcg/h are 1 mL/h of the old drug, 0.25 mL/h of the new one: 4 mL of the old in the line leave in 4
    h, and of 5 mL until LOW the last one takes 4 h more, and not 20 h.
    """
    old = {
        "mode": "continuous",
        "drug": "baclofen",
        "concentration_pg_nl": 500,
        "dose_pg_day": 12_000_000_000,
        "line_nl": 4_000_000,
    }
    desk.refill(6_000_000)
    desk.confirm(old)
    assert desk.ask("start")["ok"]
    desk.run(5)
    reply = desk.ask("program", therapy={**old, "concentration_pg_nl": 2_000})
    assert reply["readback"]["bridge_s"] == 14_401  # with the step that is begun
    assert reply["readback"]["low_in_h"] == 7  # the 8 h less what has flowed


@pytest.mark.req("LIM-02")
def test_lockout_counts_by_the_tick_and_keeps_the_longest_day():
    lockout = Lockout()
    assert not lockout.locked(0, TICKS_PER_DAY)
    lockout.grant(10)
    lockout.end(20)
    assert not lockout.locked(20, 0)
    assert lockout.locked(20 + TICKS_PER_DAY - 1, TICKS_PER_DAY) and not lockout.locked(
        20 + TICKS_PER_DAY, TICKS_PER_DAY
    )
    assert lockout.in_last_day(10 + TICKS_PER_DAY - 1) == 1 and lockout.in_last_day(10 + TICKS_PER_DAY) == 0
    for tick in range(100, 300):
        lockout.grant(tick)
    assert lockout.in_last_day(300) == 96, "more than a day may ever hold"


@pytest.mark.req("RES-01")
def test_the_reservoir_is_exact_to_the_step():
    head = reference().mechanism()
    reservoir = Reservoir(head.nl_per_rev, head.steps_per_rev)
    assert not reservoir.low(10**6) and not reservoir.empty(10**6), "never filled, nothing is known"
    reservoir.set_levels(1_000_000, 500_000)
    reservoir.refill(8_500_000, 100)
    # 7.5 mL are 240 000 steps, 8 mL 256 000
    assert not reservoir.low(240_099) and reservoir.low(240_100)
    assert not reservoir.empty(256_099) and reservoir.empty(256_100)
    assert reservoir.left_steps(100) == 272_000
