"""persistence.py: what the pump remembers over a loss of power, and what it does with a flash that is not to
be trusted.
"""

from __future__ import annotations

import pytest
from pump_on_bench import SIX_ML_H, PumpOnBench
from thecal import states
from thecal.clock import TICKS_PER_DAY
from thecal.dose import formulary, library_wire
from thecal.dose.formulary_data import LIBRARY
from thecal.host import MOST_WRITE_TICKS
from thecal.record import layout
from thecal.watch import alarms, parts
from thecal_bench.flash_model import FlashModel, blank_flash

BOLUS = {
    "volume_nl": 20_000,
    "rate_num": 12_000_000,
    "rate_den": 1,
    "lockout_ms": 600_000,
    "max_per_day": 3,
}
STANDING = sum(count * each for count, each in layout.SLOTS[layout.CALIBRATION :])
RIGS_BYTES = STANDING * layout.SECTOR  # at the end of the region, with the keys
LIMIT = {"volume_nl": 26_500_000, "window_ms": 14_400_000}


@pytest.mark.req("REC-01", "REC-03", "REC-04", "LIM-02", "LIM-13", "RES-01")
def test_a_pump_that_lost_its_power_is_itself_again_but_for_the_bolus():
    desk = PumpOnBench()
    desk.refill(18_000_000)
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    desk.run(300)
    assert desk.ask("patient_bolus")["granted"]
    desk.run(20)
    before = desk.pump
    desk.reset()
    after = desk.pump
    assert after is not before and after.control.state == states.RUNNING
    assert after.alarms.standing[alarms.AUTO_RESUMED]
    assert not any(after.delivery.owed.active), "no bolus goes on"
    assert desk.ask("patient_bolus")["reason"] == "lockout"
    assert after.ledger.content_steps() >= before.ledger.content_steps()
    assert after.reservoir.fill_nl == 18_000_000 and after.reservoir.known
    assert desk.ask("therapy")["therapy"] == {**SIX_ML_H, "patient_bolus": BOLUS, "limit": LIMIT}


@pytest.mark.req("REC-01", "LIM-01")
def test_the_boluses_of_the_day_are_counted_over_a_loss_of_power():
    """On the third day: a grant whose tick is forgotten looks like one of the first."""
    desk = PumpOnBench()
    desk.pump.clock.resume(2 * TICKS_PER_DAY + 5)
    desk.pump.critical.words.keep_all()
    desk.start(patient_bolus={**BOLUS, "lockout_ms": 0, "max_per_day": 2}, limit=LIMIT)
    for _ in range(2):
        assert desk.ask("patient_bolus")["granted"]
        desk.run(80)
    desk.reset()
    assert desk.pump.clock.tick > 2 * TICKS_PER_DAY and desk.pump.control.state == states.RUNNING
    assert desk.ask("patient_bolus")["reason"] == "max_per_day"


@pytest.mark.req("REC-04", "ALM-07")
def test_a_latched_alarm_is_still_latched_after_a_loss_of_power():
    desk = PumpOnBench()
    desk.start(rate_num=1_000_000)
    desk.run(100)
    assert desk.bench.plant is not None
    desk.bench.plant.occlude("downstream", desk.bench.now_ns)
    desk.run(300)
    assert desk.pump.control.state == states.HALTED and desk.pump.alarms.standing[alarms.OCCLUSION_DOWN]
    desk.reset()
    assert desk.pump.control.state == states.HALTED
    assert desk.pump.alarms.standing[alarms.OCCLUSION_DOWN]
    assert desk.pump.alarms.first_cause == alarms.OCCLUSION_DOWN


def give_library(desk: PumpOnBench) -> None:
    """The built-in one as a pharmacy's, written down."""
    drugs = library_wire.to_wire(LIBRARY)["drugs"]
    reply = {}
    for index, drug in enumerate(drugs):
        reply = desk.ask("library", part={**drug, "version": 9, "index": index, "count": len(drugs)})
    assert desk.ask("confirm", digest=reply["digest"])["ok"]
    desk.run(60)


@pytest.mark.req("ALM-06", "REC-01")
def test_the_third_start_after_the_same_alarm_is_refused_over_losses_of_power_too():
    desk = PumpOnBench()
    assert desk.bench.plant
    desk.start(rate_num=1_000_000)
    for number in range(3):
        desk.bench.plant.set_air(True)
        desk.run(20)
        desk.bench.plant.set_air(False)
        desk.reset()
        desk.ask("acknowledge")
        desk.run(30)
        assert desk.ask("start")["ok"] == (number < 2)
        desk.run(30)
    assert desk.pump.alarms.standing[alarms.THREE_STRIKES]


@pytest.mark.req("REC-01", "LIM-08")
def test_a_pharmacy_library_outlasts_a_loss_of_power():
    desk = PumpOnBench()
    give_library(desk)
    library = desk.pump.regimen.library
    desk.reset()
    assert desk.pump.regimen.library == library and formulary.check(desk.pump.regimen.library)


@pytest.mark.req("REC-02")
def test_no_motion_is_ordered_beyond_what_is_booked():
    desk = PumpOnBench()
    desk.start(rate_num=60_000_000)
    for _ in range(400):
        desk.run(1)
        assert desk.pump.guard.ordered_steps <= desk.pump.persistence.booking.ledger.booked_steps
    assert not desk.of("limited", "starved")


class DeadFlash(FlashModel):
    """Takes every command and does nothing, from some time on."""

    dead = False

    def program(self, offset: int, data: bytes) -> None:
        if not self.dead:
            super().program(offset, data)

    def erase(self, offset: int) -> None:
        if not self.dead:
            super().erase(offset)


@pytest.mark.req("ALM-01", "ALM-08", "REC-02")
def test_a_flash_that_takes_nothing_stops_the_pump():
    """JOURNAL_FAULT: what is delivered cannot be written down."""
    flash = DeadFlash.blank()
    desk = PumpOnBench(flash=flash)
    desk.start()
    desk.run(200)
    flash.dead = True
    desk.run(600)
    assert desk.pump.control.state == states.HALTED
    assert desk.pump.alarms.standing[alarms.JOURNAL_FAULT]
    true_steps = desk.bench.motor.executed_steps(desk.bench._at_cycles)
    assert true_steps <= desk.pump.persistence.journal.words[2]


@pytest.mark.req("REC-02")
def test_a_therapy_confirmed_when_the_flash_is_dead_is_no_fault_of_the_loop():
    flash = DeadFlash.blank()
    desk = PumpOnBench(flash=flash)
    flash.dead = True
    for rate_nl_h in (1_000_000, 2_000_000, 3_000_000):
        proposal = desk.ask("program", therapy={**SIX_ML_H, "rate_num": rate_nl_h})
        desk.client.request("confirm", digest=proposal["digest"])
        desk.run(60)
    assert desk.pump.alarms.standing[alarms.JOURNAL_FAULT]
    assert desk.pump.regimen.prescription is not None and desk.pump.regimen.prescription.fastest() == (
        3_000_000,
        1,
    )


@pytest.mark.req("SAFE-07", "REC-01")
def test_numbers_that_changed_in_memory_are_not_written_down():
    flash = blank_flash()
    desk = PumpOnBench(flash=flash)
    desk.start()
    desk.run(100)
    before = desk.pump
    desk.pump.position.executed_steps ^= 1 << 20
    desk.run(1)
    assert before.alarms.standing[alarms.MEMORY_FAULT]
    commands = flash.commands
    desk.run(100)
    assert flash.commands == commands
    true_steps = desk.bench.motor.executed_steps(desk.bench._at_cycles)
    desk.reset()
    quantum_steps = before.persistence.booking.ledger.quantum_steps
    assert true_steps <= desk.pump.position.base_steps <= true_steps + quantum_steps


@pytest.mark.req("REC-05", "LIM-10", "SAFE-02")
def test_a_flash_of_something_else_is_used_once_a_clinician_has_confirmed_it():
    flash = blank_flash()
    flash.image[len(flash.image) // 2 : -RIGS_BYTES] = b"\x5a" * (len(flash.image) // 2 - RIGS_BYTES)
    desk = PumpOnBench(flash=flash)
    assert desk.of("journal")[0][2] == layout.FOREIGN
    proposal = desk.ask("begin_anew")
    assert proposal["readback"] == {"begin_anew": "foreign"}
    assert flash.commands == 0, "a proposal writes nothing"
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    desk.run(30)
    desk.ask("acknowledge")
    assert not desk.ask("start")["ok"], "the motor stays off until the self-test has passed"
    desk.reset()
    assert not desk.pump.control.failures
    desk.ask("acknowledge")
    desk.start(rate_num=1_000_000)
    desk.run(50)
    desk.reset()
    assert desk.pump.control.state == states.RUNNING


@pytest.mark.req("REC-05", "LIM-13")
def test_a_sound_journal_is_not_begun_anew():
    desk = PumpOnBench()
    desk.start()
    desk.reset()
    reply = desk.ask("begin_anew")
    assert not reply["ok"] and reply["message"] == "the journal is sound: it is gone on with"
    assert desk.pump.control.state == states.RUNNING


@pytest.mark.req("REC-01", "REC-04")
@pytest.mark.parametrize("ticks", range(0, 40, 3))
def test_a_cut_right_after_the_first_start_finds_the_therapy_or_a_pump_at_rest(ticks):
    desk = PumpOnBench()
    desk.program()
    number = desk.client.request("start")
    desk.run(ticks)
    started = desk.client.reply(number) is not None
    desk.reset()
    assert not desk.of("fault")
    assert desk.pump.control.state == (states.RUNNING if started else states.STOPPED)


def spoil(desk: PumpOnBench, kind: int) -> None:
    """Flip a bit of the newest therapy or library in flash."""
    journal = desk.pump.persistence.journal
    serials = list(journal.slots.serials[kind])
    at = journal.slots._start(kind, serials.index(max(serials)))
    flash = desk.bench.flash
    assert flash is not None
    flash.image[at + layout.UNIT + 5] ^= 1


@pytest.mark.req("REC-05", "SAFE-02", "LIM-11")
def test_a_therapy_that_can_not_be_read_any_more_is_an_alarm_and_never_another_one():
    desk = PumpOnBench()
    desk.program()
    desk.run(30)
    desk.start(rate_num=2_000_000)
    desk.run(100)
    spoil(desk, layout.THERAPY)
    desk.reset()
    assert desk.pump.control.state == states.HALTED and not desk.of("fault")
    assert desk.pump.alarms.standing[alarms.JOURNAL_FAULT]
    assert not desk.ask("therapy")["ok"]
    assert desk.ask("therapy", number=1)["therapy"] == SIX_ML_H
    desk.ask("acknowledge")
    desk.start(rate_num=3_000_000)
    desk.run(50)
    desk.reset()
    assert desk.pump.control.state == states.RUNNING
    assert not desk.ask("therapy", number=2)["ok"]
    assert desk.ask("therapy", number=3)["therapy"]["rate_num"] == 3_000_000


@pytest.mark.req("LIM-09", "REC-05")
def test_a_pharmacy_library_that_can_not_be_read_any_more_is_not_replaced_by_the_built_in_one():
    desk = PumpOnBench()
    give_library(desk)
    spoil(desk, layout.LIBRARY)
    desk.reset()
    assert desk.pump.control.state == states.HALTED
    assert desk.of("post_failed")[-1][2] == parts.LIBRARY
    give_library(desk)
    desk.reset()
    assert not desk.pump.control.failures


@pytest.mark.req("REC-05")
def test_a_flipped_record_is_skipped_and_the_log_says_so():
    flash = blank_flash()
    desk = PumpOnBench(flash=flash)
    desk.start()
    desk.run(100)
    ring = desk.pump.persistence.journal.parts[layout.STATE].ring
    at = ring.start + ring.head * layout.SECTOR + ring.at - layout.UNIT
    flash.image[at + layout.PAYLOAD] ^= 4
    desk.reset()
    assert desk.of("journal")[-1][3] == 1
    assert desk.pump.control.state == states.RUNNING


@pytest.mark.req("SAFE-02", "REC-05")
def test_a_flash_of_something_else_keeps_the_motor_off_and_is_not_touched():
    flash = blank_flash()
    flash.image[:-RIGS_BYTES] = bytes(range(256)) * ((len(flash.image) - RIGS_BYTES) // 256)
    before = bytes(flash.image)
    desk = PumpOnBench(flash=flash)
    assert desk.pump.control.state == states.HALTED
    assert desk.of("post_failed")[0][2] == parts.JOURNAL
    desk.ask("acknowledge")
    desk.run(50)
    assert bytes(flash.image) == before


SLOWER = {**SIX_ML_H, "rate_num": 600_000}
LONG_WEEK = {
    "mode": "flex",
    "steps": [{"at_ms": 1_800_000 * step, "rate_num": 600_000 + step, "rate_den": 1} for step in range(24)],
}


@pytest.mark.req("REC-01", "LIM-10")
@pytest.mark.parametrize("therapy", [SLOWER, LONG_WEEK], ids=["a rate", "a day"])
@pytest.mark.parametrize("ticks", range(12))
def test_a_therapy_whose_confirm_was_answered_is_the_one_that_a_loss_of_power_finds(therapy, ticks):
    """6 mL/h runs; a tenth of it is confirmed, and so many ticks later the power fails. Before the answer
    either may be found; after it, or where `outcome` says that it was done, the new one and no other.
    """
    desk = PumpOnBench()
    desk.start()
    desk.run(20)
    proposal = desk.ask("program", therapy=therapy)
    number = desk.client.request("confirm", digest=proposal["digest"])
    desk.run(ticks)
    answered = desk.client.reply(number) is not None
    desk.reset()
    desk.run(10)
    outcome = desk.ask("outcome", of_run=desk.client.run, of=number)["outcome"]
    kept = desk.ask("therapy")["therapy"]
    assert desk.pump.control.state == states.RUNNING
    assert kept["mode"] == therapy["mode"] or not answered
    if answered or outcome == "done":
        assert desk.pump.status.rate_nl_h() < 700_000


@pytest.mark.req("REC-01", "LIM-10")
def test_a_confirmation_is_answered_when_it_is_written_down():
    """A small therapy takes some ticks, and the pump goes on obeying meanwhile."""
    desk = PumpOnBench()
    desk.start()
    proposal = desk.ask("program", therapy=SLOWER)
    number = desk.client.request("confirm", digest=proposal["digest"])
    desk.run(3)
    assert desk.client.reply(number) is None and desk.pump.persistence.busy(), "it is written now"
    assert desk.pump.status.rate_nl_h() == 600_000, "it is in force at once"
    assert desk.ask("stop")["ok"] and desk.pump.control.state == states.STOPPED
    desk.run(20)
    reply = desk.client.reply(number)
    assert reply is not None and reply["ok"], "a stop does not cancel what is in force"


@pytest.mark.req("REC-01", "REC-05")
@pytest.mark.parametrize("hopeless", [True, False])
def test_a_confirmation_that_can_not_be_written_says_that_it_is_not_kept(hopeless):
    desk = PumpOnBench()
    desk.start()
    proposal = desk.ask("program", therapy=SLOWER)
    number = desk.client.request("confirm", digest=proposal["digest"])
    desk.run(3)
    assert desk.client.reply(number) is None
    if hopeless:
        desk.pump.persistence.journal.failed = True
        desk.run(5)
    else:  # it is written again and again
        desk.pump.persistence.busy = lambda: True
        desk.run(MOST_WRITE_TICKS)
    reply = desk.client.reply(number)
    assert reply is not None and reply["kept"] is False and "reset may undo" in reply["message"]
