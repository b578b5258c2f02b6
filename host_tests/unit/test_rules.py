"""Bounds of a therapy that nothing else reaches, the digest, what a fault is; what is committed, by hand."""

import itertools

import pytest
from pump_on_desk import SIX_ML_H, PumpOnDesk
from thecal import states
from thecal.clock import Clock
from thecal.dose import formulary, prescription, program
from thecal.dose.course import CLINICIAN, PATIENT
from thecal.dose.delivery import Delivery
from thecal.dose.remainder import Remainder
from thecal.dose.schedule import Schedule
from thecal.record import events, layout
from thecal.watch import lockout
from thecal_model.rig import reference

BOLUS = {"volume_nl": 10_000, "rate_num": 6_000_000, "rate_den": 1, "lockout_ms": 60_000, "max_per_day": 3}
LIMIT = {"volume_nl": 30_000_000, "window_ms": 3_600_000}


def said(**changes) -> str:
    """What is said against 6 mL/h with these; empty if nothing is."""
    desk = PumpOnDesk()
    desk.tick()
    reply = desk.ask("program", therapy={**SIX_ML_H, **changes})
    return "" if reply["ok"] else reply["message"]


@pytest.mark.req("DOSE-03")
def test_the_stamps_are_the_ticks_however_many_were_merged():
    clock = Clock()
    clock.resume(1_234_567)
    board_tick = 0
    for ticks in (1, 2, 9, 10, 11, 25, 1, 600, 13, 0, 1):
        board_tick += ticks
        assert clock.advance(board_tick // 10, board_tick % 10 * 100) == ticks
        assert clock.tick == 1_234_567 + board_tick
        assert (clock.tick_s, clock.tick_ms) == (clock.tick // 10, clock.tick % 10 * 100)


@pytest.mark.req("SAFE-06")
def test_the_moves_between_states_are_these_and_no_others():
    moves = {
        "BOOT": "POST",
        "POST": "STOPPED HALTED",
        "STOPPED": "RUNNING PRIMING HALTED JOGGING",
        "RUNNING": "STOPPED HALTED",
        "HALTED": "STOPPED DRAW_BACK",
        "PRIMING": "STOPPED HALTED",
        "DRAW_BACK": "STOPPED HALTED",
        "JOGGING": "STOPPED HALTED",
    }
    for state, to in enumerate(states.MOVES):
        assert {states.STATES[other] for other in to} == set(moves[states.STATES[state]].split())
    assert len(states.MOVES) == len(moves) == len(states.STATES)


@pytest.mark.req("LIM-01", "LIM-02")
def test_a_day_has_96_patient_boluses_at_most_wherever_that_is_kept():
    assert prescription.MOST_A_DAY == lockout.MOST_A_DAY == layout.MOST_GRANTS == 96
    assert said(patient_bolus={**BOLUS, "max_per_day": 96}, limit=LIMIT) == ""
    assert "max_per_day: 97" in said(patient_bolus={**BOLUS, "max_per_day": 97}, limit=LIMIT)


@pytest.mark.req("LIM-03", "LIM-12")
@pytest.mark.parametrize(("window_ms", "sound"), [(3_600_000, True), (3_660_000, True), (3_600_100, False)])
def test_a_window_is_whole_minutes(window_ms, sound):
    assert (said(limit={**LIMIT, "window_ms": window_ms}) == "") == sound


@pytest.mark.req("RES-02")
@pytest.mark.parametrize(
    ("low_nl", "empty_nl", "sound"), [(500_000, 500_000, True), (500_000, 500_001, False)]
)
def test_empty_is_not_above_low(low_nl, empty_nl, sound):
    found = said(low_nl=low_nl, empty_nl=empty_nl)
    assert (found == "") == sound and ("empty_nl" in found) != sound


@pytest.mark.req("LIM-10")
def test_the_digests_of_four_hundred_read_backs_are_all_different():
    digests = {program.digest({"rate_num": number}) for number in range(400)}
    assert len(digests) == 400 and all(len(digest) == 8 for digest in digests)
    for place in range(8):
        assert len({digest[place] for digest in digests}) == 16


@pytest.mark.req("REC-06")
def test_what_is_kept_apart_as_a_fault_was_decided():
    names = {event.name for code, event in enumerate(events.EVENTS) if code in events.FAULTS}
    assert {"boot", "starved", "limited", "fault", "alarm", "post_failed", "journal", "part_failed"} <= names
    assert not names & {"denied", "state", "therapy", "bolus_start", "bolus_end", "refill"}


@pytest.mark.req("LIM-04", "RES-05")
@pytest.mark.parametrize(("executed", "ticks"), itertools.product([0, 3, 16], [0, 1, 5]))
def test_what_is_committed_is_what_is_owed_and_not_made_and_what_boluses_have_to_come(executed, ticks):
    """6 mL/h, 16/3 steps a tick; boluses of 320 and of 64 steps at 6 mL/h, the patient's first."""
    mech = reference().mechanism()
    one = mech.grains_per_step
    delivery = Delivery(mech)
    delivery.begin(0)
    schedule = Schedule()
    schedule.put(0, *mech.grains_per_tick(6_000_000, 1))
    delivery.owed.most_steps, delivery.owed.most_grains = mech.grains_per_tick(60_000_000, 1)
    delivery.owed.follow(schedule, 0, True)
    delivery.begin_bolus(CLINICIAN, (10_000, 1), (6_000_000, 1))
    delivery.begin_bolus(PATIENT, (2_000, 1), (6_000_000, 1))
    delivery.advance(1 + ticks)
    owed = ticks * 16 * one // 3  # of the basal; the boluses' is a part of what is to come
    assert delivery.committed_grains(executed) == max(owed + (320 + 64 - executed) * one, 0)


@pytest.mark.req("DOSE-01")
def test_the_part_of_a_step_stays_owed_over_a_stop_and_nothing_else_is_caught_up():
    remainder = Remainder(1_000, 50)
    remainder.stop_at(105, 7)
    assert remainder.owed_grains(100) == 7, "five steps owed and not made are given up"
    remainder.settle(100)
    assert (remainder.steps, remainder.grains) == (0, 7)
    remainder.stop_at(100, 7)
    remainder.settle(103)
    assert (remainder.steps, remainder.grains) == (-3, 7), "made and not owed yet: counts against what comes"
    remainder.settle(500)
    assert remainder.steps == -3, "settled once"
    remainder.stop_at(100, 7)
    remainder.settle(151)
    assert (remainder.steps, remainder.grains) == (-1, 7), "further than it was ever ordered: a fault"
    remainder.drop()
    assert remainder.owed_grains(100) == 0


@pytest.mark.req("LIM-08")
@pytest.mark.parametrize(("entry", "bound", "asks"), [(True, True, 0), (True, False, 1), (False, True, 1)])
def test_one_entry_that_is_not_verified_is_enough_to_ask(entry, bound, asks):
    bounds = (
        ("dose_per_day", "high", "", 10**9, "label", True),
        ("bolus", "high", "", 10**9, "label", bound),
    )
    library = formulary.seal(1, [("drug", (), "label", entry, bounds, True)])
    problems, soft = formulary.judge(library, "drug", 1_000, daily=(10**6, 1))
    assert problems == [] and [name for name, _ in soft] == ["drug.unverified"] * asks
