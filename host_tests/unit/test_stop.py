"""ALM-05, REC-03, REC-04: a stop ends and cancels what was accepted before it; a command acts once; what
became of it can be asked. Cases; the law over all commands is `host_tests/property/test_stop_law.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pump_on_bench import SIX_ML_H, PumpOnBench
from stop_world import MoodyFlash
from test_persistence import BOLUS, LIMIT, DeadFlash, give_library
from thecal import states
from thecal.link.answers import MOST_STOP_TICKS, StopAnswers
from thecal.link.queue import MOST_WAITING
from thecal.record.outcomes import KEPT
from thecal_bench.bench import BOOT_TICKS
from thecal_model.link import encode

LINE = {**SIX_ML_H, "drug": "hydromorphone", "concentration_pg_nl": 1_000, "line_nl": 200_000}


def sent(desk: PumpOnBench, *commands: tuple[str, dict[str, Any]]) -> list[int]:
    """All of them in one burst; their numbers."""
    return [desk.client.request(cmd, **arguments) for cmd, arguments in commands]


def rests(desk: PumpOnBench, ticks: int = 100) -> bool:
    """Whether not a step is made and no state but STOPPED entered."""
    before = desk.executed_nl
    for _ in range(ticks):
        desk.run(1)
        if desk.pump.control.state != states.STOPPED:
            return False
    return desk.executed_nl == before


@pytest.mark.req("REC-04")
def test_a_stop_whose_record_does_not_come_is_answered_after_three_seconds():
    answers = StopAnswers()
    answers.add({"ok": True}, 100)
    assert answers.next(1_000, False, 100) is None, "nobody knows yet which record it is in"
    answers.stamp(7)
    assert answers.next(6, False, 129) is None
    answer = answers.next(6, False, 130)
    assert answer is not None and answer["ok"] and answer["kept"] is False and not answers.waiting


@pytest.mark.req("ALM-05")
def test_a_prime_and_a_stop_in_one_burst_leave_the_pump_stopped():
    desk = PumpOnBench()
    desk.confirm(LINE)
    prime, stop = sent(desk, ("prime", {"volume_nl": 100_000}), ("stop", {}))
    assert rests(desk)
    assert (desk.client.reply(prime) or {})["message"] == "cancelled: stop"
    assert (desk.client.reply(stop) or {})["state"] == "STOPPED"


@pytest.mark.req("ALM-05")
def test_a_confirmation_and_a_start_before_a_stop_leave_the_pump_stopped():
    desk = PumpOnBench()
    proposal = desk.ask("program", therapy=SIX_ML_H)
    numbers = sent(desk, ("confirm", {"digest": proposal["digest"]}), ("start", {}), ("stop", {}))
    assert rests(desk)
    answers = [desk.client.reply(number) or {} for number in numbers]
    assert [answer.get("error") for answer in answers] == ["cancelled", "cancelled", None]
    assert desk.pump.regimen.prescription is None


@pytest.mark.req("ALM-05")
@pytest.mark.parametrize("ticks", range(0, 12, 2))
@pytest.mark.parametrize("by", ["link", "word", "button", "held"])
def test_what_waits_while_a_library_is_written_is_cancelled_by_a_stop(by, ticks):
    desk = PumpOnBench()
    desk.program()
    desk.run(30)
    give_library(desk)
    proposal = desk.ask("program", therapy={**SIX_ML_H, "rate_num": 3_000_000})
    desk.client.request("confirm", digest=proposal["digest"])
    desk.run(1 + ticks)
    number = desk.client.request("start")
    later = desk.client.request("start", at_tick=desk.pump.clock.tick + 40)
    desk.run(1)
    if by == "link":
        desk.client.request("stop")
    elif by == "word":
        desk.bench.send(b"stop\n")
    elif by == "held":
        desk.client.request("stop", at_tick=desk.pump.clock.tick + 1)
    else:
        desk.bench.press("stop", 3)
    desk.run(1)
    assert desk.pump.control.state == states.STOPPED
    assert rests(desk)
    answer = desk.client.reply(number) or {}
    assert answer.get("state") == "RUNNING" or answer["error"] == "cancelled", "carried out before the stop"
    assert (desk.client.reply(later) or {})["error"] == "cancelled"


@pytest.mark.req("ALM-05")
def test_a_stop_ends_a_proposal_in_the_making():
    desk = PumpOnBench()
    proposal = desk.ask("program", therapy=SIX_ML_H)
    desk.ask("stop")
    assert not desk.ask("confirm", digest=proposal["digest"])["ok"]
    assert desk.pump.regimen.prescription is None


# --- the answer to a stop


@pytest.mark.req("REC-04")
def test_a_stop_is_answered_when_its_record_is_read_back_and_the_motor_stops_before():
    desk = PumpOnBench()
    desk.start()
    desk.run(50)
    number = desk.client.request("stop")
    desk.run(1)
    journal = desk.pump.persistence.journal
    assert desk.pump.control.state == states.STOPPED and not desk.bench.outputs.enable
    assert desk.client.reply(number) is None and journal.state.saved_ticket < journal.state.save_ticket
    desk.run(1)
    assert (desk.client.reply(number) or {})["state"] == "STOPPED"
    assert journal.state.saved_ticket == journal.state.save_ticket


@pytest.mark.req("REC-04")
def test_a_stop_that_can_not_be_written_down_says_so_and_does_not_keep_the_host_waiting():
    flash = DeadFlash.blank()
    desk = PumpOnBench(flash=flash)
    desk.start()
    desk.run(50)
    flash.dead = True
    number = desk.client.request("stop")
    desk.run(1)
    assert desk.pump.control.state == states.STOPPED
    desk.run(MOST_STOP_TICKS)
    answer = desk.client.reply(number) or {}
    assert answer["ok"] and answer["kept"] is False and "reset may undo" in answer["message"]


@pytest.mark.req("REC-04")
@pytest.mark.parametrize("ticks", range(6))
def test_a_stop_in_the_self_test_ends_the_resumption(ticks):
    """Whenever it comes: by the word, or by a button that is held down as the power comes."""
    for by_button in (False, True):
        desk = PumpOnBench()
        desk.start()
        desk.run(100)
        desk.bench.reset()
        desk.run(12 if by_button else 12 + ticks)
        if by_button:
            desk.bench.press("stop", 1 + ticks)
        else:
            desk.bench.send(b"stop\n")
        desk.run(2)
        ends_stopped = desk.pump.control.state in (states.POST, states.STOPPED)
        assert ends_stopped
        assert rests(desk) or desk.pump.control.state == states.POST
        desk.reset()
        assert desk.pump.control.state == states.STOPPED


# --- once


@pytest.mark.req("REC-03")
def test_the_same_frame_again_gets_the_first_answer_and_does_nothing():
    desk = PumpOnBench()
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    desk.run(20)
    number = desk.client.request("bolus", volume_nl=5_000, duration_ms=600_000)
    desk.run(5)
    first = desk.client.reply(number) or {}
    assert first["granted"]
    run = desk.client.run
    again = {"id": number, "run": run, "cmd": "bolus", "volume_nl": 5_000, "duration_ms": 600_000}
    for frame, error in ((again, None), ({**again, "volume_nl": 6_000}, "id_reused")):
        desk.client._asked[number] = "", b""
        desk.bench.send(encode(frame))
        desk.run(3)
        answer = desk.client.reply(number) or {}
        assert answer == first if error is None else answer["error"] == error
    assert len(desk.of("bolus_start")) == 1 and not desk.of("denied")
    desk.reset()
    desk.client._asked[number] = "", b""
    desk.bench.send(encode(again))
    desk.run(3)
    assert (desk.client.reply(number) or {})["outcome"] == "done"
    assert len(desk.of("bolus_start")) == 1, "a bolus that was given before the reset"


@pytest.mark.req("REC-03")
def test_a_command_without_an_id_is_refused_but_a_stop_is_not():
    desk = PumpOnBench()
    desk.start()
    for body in ({"cmd": "start"}, {"cmd": "start", "id": 4}, {"cmd": "start", "run": "00000001"}):
        replies: list[dict] = []
        desk.bench.on_data = lambda data, to=replies: to.extend(
            frame for frame in desk.client.feed(data) if frame["type"] == "reply"
        )
        desk.bench.send(encode(body))
        desk.run(1)
        assert [reply["error"] for reply in replies] == ["id_missing"]
    desk.bench.send(encode({"cmd": "stop", "id": 2}))
    desk.run(3)
    assert desk.pump.control.state == states.STOPPED


@pytest.mark.req("REC-03")
def test_outcomes_can_be_asked_for_also_after_a_reset_and_older_ones_are_unknown():
    desk = PumpOnBench()
    desk.start(patient_bolus={**BOLUS, "lockout_ms": 3_600_000}, limit=LIMIT)
    asked = {
        "done": desk.client.request("patient_bolus"),
        "denied": desk.client.request("patient_bolus"),
        "refused": desk.client.request("start"),
        "waiting": desk.client.request("audio_pause", at_tick=100_000),
    }
    desk.run(20)
    run = desk.client.run

    def outcome(number: int) -> dict[str, Any]:
        return desk.ask("outcome", of_run=run, of=number)

    for said, number in asked.items():
        assert outcome(number)["outcome"] == said
    assert outcome(asked["denied"])["reason"] == "bolus_active"
    desk.reset()
    for said, number in asked.items():
        # What was held for a later tick was never announced: it did not act, and never will.
        assert outcome(number)["outcome"] == ("unknown" if said == "waiting" else said)
    for _ in range(KEPT):
        desk.ask("audio_pause")
    assert {outcome(number)["outcome"] for number in asked.values()} == {"unknown"}


def tagged(desk: PumpOnBench) -> None:
    """From now on the client names the boot."""
    assert desk.client.boot is None
    desk.ask("hello")
    assert desk.client.boot == desk.pump.persistence.resets.count


def replies_to(desk: PumpOnBench, body: dict[str, Any]) -> list[dict[str, Any]]:
    """A frame that the client did not number; what it is answered in its tick."""
    desk.client._asked[body["id"]] = "", b""
    desk.bench.send(encode(body))
    desk.run(1)
    return [desk.client.reply(body["id"]) or {}]


@pytest.mark.req("REC-03")
def test_commands_for_this_boot_act_in_their_tick_and_the_others_once_their_ids_are_written():
    desk = PumpOnBench()
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    desk.run(20)
    outcomes = desk.pump.persistence.journal.outcomes
    for most_ticks in (4, 1):
        if most_ticks == 1:
            tagged(desk)
        numbers = [desk.client.request("audio_pause") for _ in range(6)]
        desk.run(1)
        assert (desk.client.reply(numbers[0]) is not None) == (most_ticks == 1)
        desk.run(most_ticks - 1)
        assert all((desk.client.reply(number) or {})["ok"] for number in numbers), "a page at a time"
        desk.run(2)
        assert not outcomes.due, "and what became of them"
        asked = [desk.ask("outcome", of_run=desk.client.run, of=number) for number in numbers]
        assert [said["outcome"] for said in asked] == ["done"] * 6


@pytest.mark.req("REC-03")
def test_a_command_for_another_boot_does_nothing_whatever_was_written_of_it():
    desk = PumpOnBench()
    desk.start(patient_bolus=BOLUS, limit=LIMIT)
    desk.run(20)
    tagged(desk)
    boot, run = desk.pump.persistence.resets.count, desk.client.run
    body = {"id": 7_000, "run": run, "boot": boot, "cmd": "bolus", "volume_nl": 5_000, "duration_ms": 600_000}
    held = desk.pump.clock.tick + 20
    desk.client.request("audio_pause", at_tick=held)
    desk.run(18)
    bolus = desk.client.request("bolus", volume_nl=5_000, duration_ms=600_000, at_tick=held)
    while not desk.of("bolus_start"):
        desk.run(1)
    desk.reset()  # before the outcome is written
    assert desk.client.boot is None
    assert desk.ask("outcome", of_run=run, of=bolus)["outcome"] == "unknown"
    assert desk.ask("outcome", of_run=run, of=bolus, of_boot=boot)["outcome"] == "cut"
    assert desk.ask("outcome", of_run=run, of=bolus, of_boot=boot + 1)["outcome"] == "unknown"
    for cmd in ("start", "audio_pause", "cancel"):
        again = {
            "id": 7_001,
            "run": run,
            "boot": boot,
            "cmd": cmd,
            **({"number": 1} if cmd == "cancel" else {}),
        }
        assert replies_to(desk, again)[0]["error"] == "other_boot"
    for other in (boot, boot + 2):
        (answer,) = replies_to(desk, {**body, "boot": other})
        assert (
            answer["error"] == "other_boot"
            and f"boot {other}, and this is boot {boot + 1}" in answer["message"]
        )
    desk.run(20)
    assert len(desk.of("bolus_start")) == 1 and not desk.pump.host.queue.waiting
    stop = {"id": 7_002, "run": run, "boot": boot, "cmd": "stop"}
    replies_to(desk, stop)
    assert desk.pump.control.state == states.STOPPED, "a stop acts in any boot"


@pytest.mark.req("REC-03")
def test_a_command_for_this_boot_waits_until_the_number_of_the_boot_is_written():
    flash: Any = MoodyFlash.blank()
    desk = PumpOnBench(flash=flash)
    flash.delay = 15
    desk.bench.reset()
    desk.run(BOOT_TICKS + 1)
    number = desk.client.request("audio_pause", boot=desk.pump.persistence.resets.count)
    while not desk.pump.persistence.journal.state.started:
        assert desk.client.reply(number) is None
        desk.run(1)
    assert desk.client.reply(number) is not None


# --- what waits


@pytest.mark.req("LNK-01", "LNK-02")
def test_so_many_commands_wait_and_no_more_can_and_they_can_be_listed_and_cancelled():
    desk = PumpOnBench()
    desk.start()
    at_tick = desk.pump.clock.tick + 10_000
    numbers = [desk.client.request("stop", at_tick=at_tick) for _ in range(MOST_WAITING)]
    desk.run(2)
    assert all((desk.client.reply(number) or {})["held"] for number in numbers)
    refused = desk.ask("start")
    assert refused["error"] == "busy" and str(MOST_WAITING) in refused["message"]
    held = desk.ask("held")
    assert held["most"] == MOST_WAITING and [entry["id"] for entry in held["held"]] == numbers
    assert desk.ask("cancel", number=held["held"][0]["number"])["ok"]
    assert desk.ask("cancel", of=numbers[1], of_run=desk.client.run)["ok"]
    for number in numbers[:2]:
        assert (desk.client.reply(number) or {})["message"] == "cancelled: cancel"
    assert not desk.ask("cancel", number=held["held"][0]["number"])["ok"]
    assert len(desk.ask("held")["held"]) == MOST_WAITING - 2
    assert desk.pump.control.state == states.RUNNING


FRAMES = Path(__file__).parents[1] / "field_link"


@pytest.mark.req("LNK-02", "ALM-05")
@pytest.mark.parametrize("name", ["prime_then_stop.frames", "held_without_limit.frames"])
def test_frames_that_once_overtook_a_stop_or_the_bound(name):
    desk = PumpOnBench()
    desk.confirm(LINE)
    if name.startswith("held"):
        desk.ask("start")
    state = desk.pump.control.state
    for line in (FRAMES / name).read_bytes().splitlines(keepends=True):
        desk.bench.send(line)
        desk.run(1)
        assert len(desk.pump.host.queue.waiting) <= MOST_WAITING
    desk.run(50)
    assert desk.pump.control.state == state and not desk.of("fault", "prime_start")
