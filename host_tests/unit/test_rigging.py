"""RIG-02: another rig is proposed, confirmed, kept, and in force after a restart; what was counted keeps its
volume.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from thecal import rig as rigs
from thecal import states
from thecal.causes import RESET_CAUSES
from thecal.record import layout
from thecal.watch import alarms, parts
from thecal.watch.counts import END_STEPS
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.flash_model import blank_flash, install
from thecal_bench.plant import Plant
from thecal_model.rig import named

RESTART_TICKS = 40 + BOOT_TICKS

FINER = {"motor": {"full_steps": 200, "microsteps": 32}, "head": {"nl_per_rev": 99_000}}


def tables(**changes: Any) -> dict[str, Any]:
    """Those of the reference rig, some of them others; None: not fitted."""
    whole = {**named("reference").tables, **changes}
    return json.loads(json.dumps({name: table for name, table in whole.items() if table is not None}))


def confirm(desk: PumpOnBench, **changes: Any) -> dict[str, Any]:
    """The answer to the confirmation of that rig."""
    proposal = desk.ask("rig", rig=tables(**changes))
    assert proposal["ok"], proposal
    accept = proposal["readback"].get("soft", [])
    return desk.ask("confirm", digest=proposal["digest"], accept=accept)


def change(desk: PumpOnBench, **changes: Any) -> None:
    """Until the pump has started anew."""
    before = desk.pump
    answer = confirm(desk, **changes)
    assert answer["ok"], answer
    desk.run(RESTART_TICKS)
    assert desk.pump is not before, "it did not start anew"


@pytest.mark.req("RIG-02")
def test_a_rig_is_read_back_whole_with_what_follows_from_it_and_what_changes():
    desk = PumpOnBench()
    answer = desk.ask("rig", rig=tables(**FINER))
    said = answer["readback"]
    for name, _, keys in rigs.tables():
        for key in keys:
            assert f"{name}.{key.name}" in said
    assert said["motor.gear"] == [1, 1] and said["motor.microsteps"] == 32
    assert said["steps_per_rev"] == 6_400 and said["nl_per_step"] == [495, 32]
    assert said["max_rate_nl_h"] == 99_000 * 1_200 * 3_600 // 6_400
    assert said["changes"] == [["motor.microsteps", 16, 32], ["head.nl_per_rev", 100_000, 99_000]]
    assert "soft" not in said and answer["why"] == []
    table = [0, 2_000, 0, -2_000] * 2
    evened = desk.ask("rig", rig=tables(head={**named("reference").tables["head"], "table": table}))
    assert evened["readback"]["head.table"] == table
    assert evened["readback"]["changes"] == [["head.table", 0, 8]]
    dropped = desk.ask("rig", rig=tables(air=None, index={"marks_per_rev": 1}))
    assert dropped["readback"]["changes"] == [["air.level", 1, None]]
    assert dropped["readback"]["soft"] == ["air"]
    assert dropped["why"] == ["air: air in the line is not seen"]
    assert dropped["digest"] != answer["digest"]


@pytest.mark.req("RIG-02", "RIG-03")
def test_what_goes_unwatched_has_to_be_accepted_by_name():
    desk = PumpOnBench()
    digest = desk.ask("rig", rig=tables(air=None, fault=None))["digest"]
    refused = desk.ask("confirm", digest=digest, accept=["air"])
    assert refused["reason"] == "not_accepted" and "driver_fault" in refused["message"]
    desk.run(RESTART_TICKS)
    assert desk.pump.handlers.rig.serial == 1


@pytest.mark.req("RIG-02")
def test_a_confirmed_rig_is_logged_kept_and_in_force_after_a_restart():
    desk = PumpOnBench()
    first = desk.ask("rig_kept")
    assert (first["number"], first["in_force"], first["rig"]) == (1, 1, tables())
    desk.start()
    desk.run(50)
    assert desk.ask("stop")["ok"]
    change(desk, **FINER)
    assert desk.of("rig")[0][2:] == (2, 0)
    assert desk.pump.control.state == states.STOPPED
    hello = desk.ask("hello")
    assert (hello["rig_number"], hello["steps_per_rev"], hello["nl_per_rev"]) == (2, 6_400, 99_000)
    kept = desk.ask("rig_kept")
    assert (kept["number"], kept["rig"]) == (2, tables(**rigs.read(tables(**FINER)).tables))
    assert desk.ask("rig_kept", number=1)["rig"] == first["rig"]
    assert desk.ask("rig_kept", number=3)["reason"] == "not_kept"
    assert RESET_CAUSES.index("command") == 2  # what the board announces


@pytest.mark.req("RIG-02", "SAFE-04")
def test_many_changes_in_a_row_are_no_loop_of_resets():
    desk = PumpOnBench()
    for number in range(6):
        change(desk, head={"nl_per_rev": 100_000 + number})
    assert desk.pump.control.state == states.STOPPED and desk.pump.alarms.bits == 0
    assert desk.ask("rig_kept", number=7)["ok"] and desk.ask("rig_kept", number=4)["ok"]
    assert not desk.ask("rig_kept", number=3)["ok"], "the last four are kept"


@pytest.mark.req("RIG-02")
def test_a_change_of_rig_ends_the_therapy_and_it_is_no_fault():
    desk = PumpOnBench()
    desk.program()
    change(desk, air=None)
    assert desk.ask("start")["reason"] == "no_therapy"
    assert desk.pump.alarms.bits == 0
    kept = desk.ask("therapy")
    assert kept["number"] == 1, "it can be asked for, and confirmed anew"
    desk.program()
    assert desk.ask("start")["ok"]
    desk.run(30)
    desk.reset()
    assert desk.pump.control.state == states.RUNNING
    assert desk.ask("therapy")["number"] == 2


@pytest.mark.req("RIG-02")
def test_nothing_starts_between_confirmation_and_restart():
    desk = PumpOnBench()
    desk.program()
    program = desk.ask("program", therapy={"mode": "minimum"})
    proposal = desk.ask("rig", rig=tables(**FINER))
    numbers = [
        desk.client.request("confirm", digest=proposal["digest"]),
        desk.client.request("start"),
        desk.client.request("confirm", digest=program["digest"]),
    ]
    desk.run(RESTART_TICKS)
    replies = [desk.client.reply(number) for number in numbers]
    assert replies[0] and replies[0]["ok"] and replies[1:] == [None, None]
    assert desk.pump.handlers.rig.serial == 2 and desk.bench.motor.executed_steps(desk.bench._at_cycles) == 0


@pytest.mark.req("RIG-02")
def test_a_rig_is_refused_unless_the_pump_is_stopped():
    desk = PumpOnBench()
    desk.start()
    desk.run(20)
    refused = desk.ask("rig", rig=tables())
    assert refused["reason"] == "not_stopped"
    desk.ask("stop")
    digest = desk.ask("rig", rig=tables())["digest"]
    desk.ask("start")
    assert not desk.ask("confirm", digest=digest)["ok"]
    desk.run(RESTART_TICKS)
    assert desk.pump.control.state == states.RUNNING and desk.pump.handlers.rig.serial == 1


@pytest.mark.req("RIG-01", "RIG-02")
def test_a_rig_that_can_not_be_is_refused_with_table_key_value_and_bound():
    desk = PumpOnBench()
    refused = desk.ask("rig", rig=tables(motor={"full_steps": 200, "microsteps": 300}))
    assert refused["reason"] == "bad_rig"
    assert refused["message"] == "motor.microsteps is 300, must be a whole number from 1 to 256"
    assert desk.ask("rig", rig={})["reason"] == "bad_rig"


@pytest.mark.req("RIG-01", "RIG-02")
def test_a_rig_that_could_not_count_what_was_given_is_refused():
    desk = PumpOnBench()
    position = desk.pump.position
    position.executed_steps = position.entered_steps = position.base_steps = END_STEPS // 2 + 1
    desk.pump.guard.rest(position.executed_steps)
    desk.pump.critical.words.keep_all()
    refused = desk.ask("rig", rig=tables(motor={"full_steps": 200, "microsteps": 32}))
    assert refused["reason"] == "bad_rig" and "fewer microsteps" in refused["message"]
    assert desk.ask("rig", rig=tables())["ok"]


@pytest.mark.req("RIG-02")
@pytest.mark.parametrize(
    ("part", "row"), [("air", alarms.AIR), ("pressure_down", alarms.OCCLUSION_DOWN), ("encoder", None)]
)
def test_a_part_can_not_be_dropped_while_what_it_found_stands(part, row):
    desk = PumpOnBench()
    desk.program()
    if row is None:
        desk.pump.senses.failed.found(parts.ENCODER, parts.MISSING)
    else:
        desk.pump.alarms.set(row)
    refused = desk.ask("rig", rig=tables(**{part: None}))
    assert refused["reason"] == "alarm_stands" and part in refused["message"]
    assert desk.ask("rig", rig=tables())["ok"], "it stays"


@pytest.mark.req("RIG-02")
@pytest.mark.parametrize("found", ["alarm", "count", "journal"])
def test_what_was_found_after_the_read_back_refuses_the_confirmation(found):
    """It would end the alarm of a part that nobody looks at any more."""
    desk = PumpOnBench()
    desk.program()
    finer = {"motor": {"full_steps": 200, "microsteps": 32}}
    proposal = desk.ask("rig", rig=tables(air=None, **finer))
    assert proposal["ok"], proposal
    if found == "alarm":
        desk.pump.alarms.set(alarms.AIR)
    elif found == "count":
        position = desk.pump.position
        position.executed_steps = position.entered_steps = position.base_steps = END_STEPS // 2 + 1
        desk.pump.guard.rest(position.executed_steps)
        desk.pump.critical.words.keep_all()
    else:
        desk.pump.persistence.journal.failed = True
    refused = desk.ask("confirm", digest=proposal["digest"], accept=proposal["readback"]["soft"])
    assert refused["reason"] == {"alarm": "alarm_stands", "count": "bad_rig", "journal": "not_kept"}[found]
    assert desk.pump.regimen.prescription is not None and not desk.pump.persistence.restarting


@pytest.mark.req("RIG-02")
@pytest.mark.parametrize("programmed", [False, True])
def test_a_board_that_was_told_a_wrong_rig_is_told_the_right_one(programmed):
    """Parts that were never there raise alarms that no acknowledgement ends."""
    plant = Plant(rig=named("bare"))
    desk = PumpOnBench(plant, flash=blank_flash("reference"))
    assert desk.pump.control.state == states.HALTED
    whole = {**dict.fromkeys(named("reference").tables), **named("bare").tables}
    if programmed:
        desk.program()
        refused = desk.ask("rig", rig=tables(**whole))
        assert refused["reason"] in ("not_acknowledged", "alarm_stands")
        desk.confirm({"mode": "stopped"})
    change(desk, **whole)
    assert desk.ask("hello")["rig"] == "bare"
    desk.ask("acknowledge")
    assert desk.ask("alarms")["alarms"] == []
    desk.start()
    desk.run(600)
    assert desk.pump.control.state == states.RUNNING and plant.displaced_nl() > 0


# --- what was counted keeps its volume


def given_nl(desk: PumpOnBench) -> int:
    return desk.pump.mechanism.volume_nl(desk.pump.position.executed_steps)


def a_step_nl(desk: PumpOnBench) -> int:
    return -(-desk.pump.mechanism.nl_per_rev // desk.pump.mechanism.steps_per_rev)


def left_nl(desk: PumpOnBench) -> int:
    pump = desk.pump
    return pump.mechanism.volume_nl(pump.reservoir.left_steps(pump.position.executed_steps))


def window_nl(desk: PumpOnBench) -> int:
    return desk.pump.mechanism.volume_nl(desk.pump.ledger.content_steps())


@pytest.mark.req("RIG-02", "REC-01", "RES-01", "LIM-03")
@pytest.mark.parametrize("name", ["bare", "geared", "quiet", "lab"])
def test_what_was_given_and_what_is_left_keep_their_volume_over_a_change_and_back(name):
    desk = PumpOnBench()
    desk.refill(20_000_000)
    desk.start()
    desk.run(1_300)
    assert desk.ask("stop")["ok"]
    desk.run(20)
    given, left, window = given_nl(desk), left_nl(desk), window_nl(desk)
    for number, rig in enumerate((named(name), named("reference"))):
        change(desk, **{**dict.fromkeys(named("reference").tables), **rig.tables})
        steps_nl = (number + 1) * 4 * a_step_nl(desk)  # two minutes, and a step of each rounding
        assert given <= given_nl(desk) <= given + steps_nl
        assert left - steps_nl <= left_nl(desk) <= left
        assert window <= window_nl(desk) <= window + steps_nl
        desk.reset()
        assert window <= window_nl(desk) <= window + steps_nl, "as it is written"
        assert given <= given_nl(desk) <= given + steps_nl


# --- a rig that cannot be read


def damage_rig(desk: PumpOnBench, number: int) -> None:
    slots = desk.pump.persistence.journal.slots
    start = slots._start(layout.CALIBRATION, slots.serials[layout.CALIBRATION].index(number))
    desk.bench.flash.image[start + 100] ^= 0xFF


@pytest.mark.req("RIG-02", "REC-05", "SAFE-01")
@pytest.mark.parametrize("running", [False, True])
def test_a_rig_that_can_not_be_read_is_none_and_no_older_one_takes_its_place(running):
    desk = PumpOnBench()
    larger = {"head": {"nl_per_rev": 101_000}}  # of the same motor, as the plant has it
    change(desk, **larger)
    desk.refill(20_000_000)
    desk.start()
    desk.run(400)
    if not running:
        assert desk.ask("stop")["ok"]
        desk.run(10)
    given, left = given_nl(desk), left_nl(desk)
    damage_rig(desk, 2)
    desk.reset()
    assert desk.ask("hello")["no_rig"] == "rig 2 cannot be read any more"
    # One that ran does not rest in silence.
    assert desk.pump.alarms.standing[alarms.JOURNAL_FAULT] == running
    assert desk.pump.control.state == (states.HALTED if running else states.STOPPED)
    desk.ask("acknowledge")
    assert desk.pump.control.state == states.STOPPED
    assert desk.ask("start")["reason"] == "no_rig"
    change(desk, **larger)
    assert desk.ask("hello")["rig_number"] == 3
    reserved_nl = 3_400  # 2 s of 6 mL/h, for a start as well
    assert given <= given_nl(desk) <= given + reserved_nl + 100
    assert left - reserved_nl - 100 <= left_nl(desk) <= left


@pytest.mark.req("RIG-02", "REC-05")
def test_a_rig_of_another_version_is_none():
    flash = blank_flash(None)
    install(flash, json.dumps({**tables(), "magnet": {}}).encode())
    desk = PumpOnBench(flash=flash)
    assert desk.ask("hello")["no_rig"].startswith("rig 1 is none of this version: magnet: unknown table")
    change(desk)
    assert desk.ask("hello")["rig_number"] == 2


@pytest.mark.req("RIG-02", "REC-05", "RES-04")
def test_beginning_anew_keeps_the_rig():
    flash = blank_flash("lab")
    flash.image[1_000_000] = 0x5A
    desk = PumpOnBench(flash=flash)
    assert desk.ask("confirm", digest=desk.ask("begin_anew")["digest"])["ok"]
    desk.run(30)
    desk.reset()
    assert desk.ask("hello")["rig"] == "lab"


@pytest.mark.req("SAFE-01", "RIG-02")
def test_an_alarm_of_a_pump_without_a_rig_can_be_acknowledged_and_moves_nothing():
    desk = PumpOnBench(flash=blank_flash(None))
    desk.pump.critical.before_change()
    desk.pump.control.raise_alarm(alarms.OCCLUSION_DOWN)
    desk.pump.critical.words.keep_all()
    desk.run(2)
    assert desk.pump.control.state == states.HALTED
    assert desk.ask("acknowledge")["state"] == "STOPPED"
    assert desk.ask("rig", rig=tables())["ok"]
