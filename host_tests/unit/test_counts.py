"""RES-04: a count that only grows has an end; the pump stops before it under its own name and begins anew."""

from __future__ import annotations

import pytest
from pump_on_bench import SIX_ML_H, PumpOnBench
from thecal import states
from thecal.handlers import supply
from thecal.record import events, layout
from thecal.record.journal import Journal
from thecal.watch import alarms
from thecal.watch.counts import Counts
from thecal_bench import flash_model
from thecal_bench.flash_model import FlashModel, blank_flash
from thecal_bench.inprocess import HostBench

END_STEPS = 2**30 - 2**27
END_TICKS = 2**30 - 2**23
END_NUMBERS = 2**30 - 2**20

NAMES = ("tick", "executed_steps", "dose_steps", "pulses", "events", "sequence")
ENDS = {
    "tick": END_TICKS,
    "executed_steps": END_STEPS,
    "dose_steps": END_STEPS,
    "pulses": END_STEPS,
    "events": END_NUMBERS,
    "sequence": END_NUMBERS,
}


@pytest.mark.req("RES-04")
@pytest.mark.parametrize("name", NAMES)
def test_each_count_has_its_end_and_is_due_half_way(name):
    def look(value):
        counts = Counts()
        counts.look(**{**dict.fromkeys(NAMES, 0), name: value})
        return counts.due, counts.ended

    assert look(ENDS[name] // 2 - 1) == (False, False)
    assert look(ENDS[name] // 2) == (True, False)
    assert look(ENDS[name] - 1) == (True, False)
    assert look(ENDS[name]) == (True, True)


@pytest.mark.req("RES-04")
def test_the_ends_leave_room_for_what_lies_ahead():
    """A day at 120 mL/h of 31.25 nL a step and a reservoir of 60 mL; a week of ticks and a day."""
    assert END_STEPS + (24 * 120_000_000 + 60_000_000) * 4 // 125 < 2**30
    assert END_TICKS + 8 * 864_000 < 2**30
    assert END_STEPS // 2 > 320_000_000 >= 10_000_000_000 * 4 // 125, "10 L: SERVICE_DUE comes long before"


def aged(tick: int = 0, steps: int = 0, events_made: int = 0, sequence: int = 0) -> FlashModel:
    """The flash of a pump that gives 6 mL/h and is so old, all at rest."""
    young = PumpOnBench()
    young.program()
    young.run(40)
    flash = young.bench.flash
    assert flash is not None
    log = events.EventLog()
    journal = Journal(flash_model.crc_into, log.ring, events.CAPACITY, events.is_fault)
    journal.recover(flash.image)
    words = journal.words
    words[layout.TICK] += tick
    words[layout.DOSE] += steps
    words[layout.EXECUTED] += steps
    words[layout.RESERVED] = words[layout.EXECUTED]
    words[layout.place_of("rotor_pulses")] += steps // 32
    log.count = journal.log_count + events_made
    if events_made:
        log.count -= 1
        for stream in (journal.events, journal.faults):
            stream.cursor = log.count
    # It has come to rest only now.
    log.add(words[layout.TICK] // 10, 0, events.STATE, states.HALTED, states.STOPPED, 0)
    journal.log_count = log.count
    journal.parts[layout.STATE].ring.sequence += sequence
    journal.history_writer.ref_dose_steps = words[layout.DOSE]
    journal.state.save()
    inputs = young.bench.inputs
    for _ in range(40):
        journal.heard(inputs.flash_done, inputs.flash_ok)
        journal.order(True)
        flash.obey(journal, inputs)
    return flash


def near_ends() -> list[dict[str, int]]:
    return [
        {"tick": END_TICKS - 300},
        {"steps": END_STEPS - 200},
        {"events_made": END_NUMBERS - 12},
        {"sequence": END_NUMBERS - 12},
    ]


@pytest.mark.req("RES-04", "ALM-01", "SAFE-05")
@pytest.mark.parametrize("age", near_ends(), ids=lambda age: next(iter(age)))
def test_a_pump_at_the_end_of_a_count_has_said_so_and_stops_under_its_own_name(age):
    desk = PumpOnBench(flash=aged(**age))
    assert desk.pump.control.state == states.STOPPED
    standing = desk.pump.alarms.standing
    assert standing[alarms.SERVICE_DUE] and not standing[alarms.COUNT_END]
    assert desk.ask("start")["ok"]
    begun = desk.pump.position.executed_steps
    for _ in range(60):
        desk.client.request("audio_pause")  # an event, if only that it was refused
        desk.run(8)
        if desk.pump.control.state != states.RUNNING:
            break
    assert desk.pump.control.state == states.HALTED and not desk.bench.outputs.enable
    assert standing[alarms.COUNT_END] and alarms.ALARMS[desk.pump.alarms.first_cause].code == "COUNT_END"
    assert not standing[alarms.LOOP_FAULT] and not standing[alarms.LIMIT_GUARD]
    assert 0 <= desk.pump.position.executed_steps - begun < 2_400
    assert desk.ask("acknowledge")["ok"]
    desk.run(3)
    assert desk.pump.control.state == states.STOPPED and standing[alarms.COUNT_END]
    said = desk.ask("start")["message"]
    assert "COUNT_END" in said and "begin it anew" in said
    assert "COUNT_END" in desk.ask("prime", volume_nl=1)["message"]
    desk.reset()
    assert desk.pump.alarms.standing[alarms.COUNT_END], "a reset does not free it"
    assert not desk.ask("start")["ok"]


@pytest.mark.req("RES-04", "LIM-13", "REC-01")
def test_begin_anew_is_the_way_on_after_a_day_of_rest(monkeypatch):
    assert supply.QUIET_TICKS == 24 * 36_000
    monkeypatch.setattr(supply, "QUIET_TICKS", 200)
    desk = PumpOnBench(flash=aged(steps=END_STEPS - 50))
    assert not desk.ask("begin_anew")["ok"], "there is some way left"
    desk.ask("start")
    desk.run(60)
    desk.ask("acknowledge")
    refused = desk.ask("begin_anew")
    assert not refused["ok"] and "not for a day" in refused["message"]
    desk.run(220)
    proposal = desk.ask("begin_anew")
    assert proposal["readback"] == {"begin_anew": "used_up"}
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    assert not desk.ask("start")["ok"]
    desk.run(800)
    assert bytes(desk.bench.flash.image) == bytes(blank_flash().image), "nothing but the rig"
    desk.reset()
    pump = desk.pump
    assert (
        pump.control.state == states.STOPPED
        and pump.regimen.prescription is None
        and not pump.control.failures
    )
    assert (
        pump.position.executed_steps == 0 and pump.senses.motion.pulses == 0 and not any(pump.alarms.standing)
    )
    desk.run(20)
    assert desk.ask("program", therapy=SIX_ML_H)["ok"]
    desk.start()
    desk.run(100)
    assert desk.pump.control.state == states.RUNNING and desk.executed_nl > 0


@pytest.mark.req("REC-05", "LIM-13")
@pytest.mark.parametrize("ticks", [1, 60, 190, 195, 230])
def test_a_cut_in_a_wipe_leaves_all_or_a_state_that_is_lost(monkeypatch, ticks):
    monkeypatch.setattr(supply, "QUIET_TICKS", 0)
    desk = PumpOnBench(flash=aged(steps=END_STEPS))
    proposal = desk.ask("begin_anew")
    desk.ask("confirm", digest=proposal["digest"])
    desk.run(ticks)
    desk.reset()
    status = desk.pump.persistence.journal.status
    assert status == layout.SOUND or status == layout.LOST
    assert status == layout.LOST or desk.pump.alarms.standing[alarms.COUNT_END]
    assert not desk.ask("start")["ok"]
    again = desk.ask("begin_anew")
    assert again["ok"], again


def test_the_aged_flash_is_what_it_says():
    bench = HostBench(flash=aged(tick=1_000_000, steps=3_200_000))
    bench.advance_to_tick(5)
    pump = bench.pump
    assert not pump.watching.counts.due and pump.regimen.prescription
    assert pump.clock.tick > 1_000_000 and pump.position.executed_steps >= 3_200_000
