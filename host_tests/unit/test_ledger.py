"""Booking: motion waits for it, erases wait for enough of it, nothing that is owed is cut for want of it."""

from __future__ import annotations

import pytest
from pump_on_bench import NL_PER_STEP, PumpOnBench
from test_journal import Desk
from thecal import states
from thecal.record import layout
from thecal.record.ledger import Ledger

ERASE_TICKS = 17


@pytest.mark.req("REC-02", "MOT-05")
def test_an_erase_wants_seventeen_ticks_of_motion_booked():
    journal = Desk().boot().journal
    ledger = Ledger(journal, 32)
    ledger.set_flow(53, 1, 3)
    lead_steps = ERASE_TICKS * 53 + ERASE_TICKS // 3
    ledger.booked_steps = journal.words[layout.EXECUTED] + lead_steps
    assert ledger.covers_erase()
    ledger.booked_steps -= 1
    assert not ledger.covers_erase()


@pytest.mark.req("REC-02", "MOT-05")
@pytest.mark.parametrize("rate_ml_h", [6, 60])
def test_no_erase_begins_that_outlasts_the_motion_that_is_booked(rate_ml_h):
    desk = PumpOnBench()
    desk.start(rate_num=rate_ml_h * 1_000_000)
    pump, flash = desk.pump, desk.bench.flash
    erased = []
    obey = flash.obey

    def watched(journal, inputs):
        if journal.command.kind == layout.ERASE:
            erased.append(journal.command.offset)
            ahead = pump.persistence.booking.ledger.booked_steps - pump.position.executed_steps
            assert ahead >= ERASE_TICKS * rate_ml_h * 3_200 // 3_600
        obey(journal, inputs)

    desk.run(20)
    flash.obey = watched
    for number in range(40):  # each takes a slot of its own, which is erased for it
        desk.program(rate_num=rate_ml_h * 1_000_000 - number)
        desk.run(70 + number % 20)  # at any time since the last reservation
    assert len(erased) >= 40 and not desk.bench.motor.starved


@pytest.mark.req("REC-02", "DOSE-07", "DOSE-08")
@pytest.mark.parametrize("rate_ul_h", [10, 1_000])
def test_a_bolus_far_faster_than_the_basal_waits_until_it_is_booked_and_is_not_cut(rate_ul_h):
    desk = PumpOnBench()
    desk.start(rate_num=rate_ul_h * 1_000, limit={"volume_nl": 20_000_000, "window_ms": 14_400_000})
    desk.run(50)
    for _ in range(3):
        before_nl = desk.executed_nl
        ticks = desk.tick
        assert desk.ask("bolus", volume_nl=100_000, duration_ms=7_000)["granted"]
        desk.run(100)
        basal_nl = (desk.tick - ticks) * rate_ul_h * 1_000 / 36_000
        assert abs(desk.executed_nl - before_nl - 100_000 - basal_nl) <= 2 * NL_PER_STEP
        assert not desk.of("limited") and not desk.of("starved")


@pytest.mark.req("REC-02", "DOSE-01")
def test_a_reservation_that_shrinks_still_covers_the_first_step_after_what_is_ordered():
    journal = Desk().boot().journal
    ledger = Ledger(journal, 32)
    ledger.set_flow(53, 1, 3)
    ledger.step(1, 0, 533, 0, True)
    assert journal.words[layout.RESERVED] == 1_067, "two seconds"
    ledger.set_flow(0, 1, 30)
    ledger.step(2, 53, 106, 53, True)
    assert journal.words[layout.RESERVED] == 106 + 1, "a record would come too late for that step"
    ledger.step(3, 107, 107, 107, True)
    assert journal.words[layout.RESERVED] == 107 + 20, "a minute of the new flow"
    ledger.step(4, 107, 107, 107, False)
    assert journal.words[layout.RESERVED] == 107


@pytest.mark.req("REC-02")
def test_what_a_halted_pump_had_booked_is_given_up():
    desk = PumpOnBench()
    desk.start()
    desk.run(50)
    desk.pump.fail()
    desk.run(20)
    words = desk.pump.persistence.journal.words
    assert words[layout.RESERVED] == words[layout.EXECUTED] == desk.pump.position.executed_steps > 0


@pytest.mark.req("REC-02", "REC-04", "DOSE-01")
@pytest.mark.parametrize("rate_ml_h", [1, 60])
def test_what_a_reset_resumes_is_booked_before_it_flows(rate_ml_h):
    desk = PumpOnBench()
    desk.start(rate_num=rate_ml_h * 1_000_000)
    for wait in (30, 77, 200):
        desk.run(wait)
        desk.reset()
        assert desk.pump.control.state == states.RUNNING
    desk.run(50)
    assert not desk.of("limited") and not desk.of("starved")


@pytest.mark.req("REC-02", "DOSE-08")
@pytest.mark.parametrize("running", [False, True])
def test_a_flow_is_covered_when_a_second_of_it_is_booked_and_asking_has_it_booked(running):
    desk = PumpOnBench()
    desk.start(rate_num=60_000_000)
    desk.run(100)  # a position that is no small number
    desk.program(rate_num=10_000)
    if not running:
        desk.ask("stop")
    desk.run(50)
    persistence, flow = desk.pump.persistence, (50, 0)
    begin = persistence.begin
    asked = []

    def begin_and_ask(inputs):
        booked = begin(inputs)
        asked.append(persistence.booking.covers(flow))
        assert asked[-1] == (
            persistence.booking.ledger.booked_steps - desk.pump.position.executed_steps > 11 * 50
        )
        return booked

    persistence.begin = begin_and_ask
    desk.run(6)
    assert asked[0] is False and asked[-1] and persistence.booking.covers((0, 0))
