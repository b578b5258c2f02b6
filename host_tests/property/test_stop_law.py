"""ALM-05, REC-03, REC-04: no stop is overtaken, and no command acts twice, whatever is sent, pressed, held,
sent again, cut, and however slow or broken the flash is. The law and its oracle are in `stop_world.py`.

One life of a pump is SEQUENCES_A_LIFE of a few acts each, by a seed; a life that breaks the law names it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from stop_world import Broken, World
from thecal import states
from thecal.buttons import Buttons
from thecal.causes import COMMAND
from thecal.control import Control
from thecal.host import Host
from thecal.link import commands
from thecal.link.queue import Accepted, Queue
from thecal.link.session import Session
from thecal.persistence import Persistence

SEQUENCES_A_LIFE = 50


def live(seed: int) -> Counter[str]:
    """One pump through its sequences; what it met."""
    world = World(seed)
    for number in range(SEQUENCES_A_LIFE):
        world.oracle.seen["sequences"] += 1
        try:
            world.sequence()
        except Broken as why:
            raise Broken(f"life {seed}, sequence {number}: {why}") from None
        if world.bench.pump.persistence.journal.failed:
            break
    return world.oracle.seen


def lives(first: int, sequences: int) -> Counter[str]:
    """As many lives as have that many sequences."""
    seen: Counter[str] = Counter()
    while seen["sequences"] < sequences:
        seen += live(first)
        first += 1
    return seen


@pytest.mark.req("ALM-05", "REC-03", "REC-04", "DOSE-15", "LNK-02")
@pytest.mark.parametrize("part", range(2))
def test_nothing_flows_after_a_stop_but_what_was_accepted_later(part):
    seen = lives(10_000 * part, 2_500)
    print(dict(seen))
    assert seen["stop while something waits"] > 300 and seen["button while something waits"] > 60
    assert seen["held stop"] > 100 and seen["cuts after an answered stop"] > 30
    assert seen["cancelled"] > 1_000 and seen["carried out"] > 4_000
    for state in ("RUNNING", "PRIMING", "HALTED", "POST"):
        assert seen[state] > 300, state
    assert seen["DRAW_BACK"] > 30 and seen["flood"] > 200


@pytest.mark.long
@pytest.mark.req("ALM-05", "REC-03", "REC-04")
@pytest.mark.parametrize("part", range(10))
def test_nothing_flows_after_a_stop_in_a_hundred_thousand_sequences(part):
    lives(100_000 * (part + 1), 10_000)


# --- planted faults: what the law is there to catch


def order_by_raw_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the tick at which it is to take effect: what acts at once overtakes what acts at the tick's end."""

    def raw(entry: Any) -> tuple[int, int]:
        accepted = entry.turn_tick + max(entry.command.changes, 0)
        return entry.request.get("at_tick", accepted), entry.number

    monkeypatch.setattr(Accepted, "before", lambda self, other: raw(self) < raw(other))


def what_waits_is_not_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "cancel_all", lambda self, outputs: None)


def the_button_clears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    obey = Buttons.obey_stop

    def without(buttons: Any, outputs: Any) -> None:
        cancel_all = buttons.host.cancel_all
        buttons.host.cancel_all = lambda _: None
        obey(buttons, outputs)
        buttons.host.cancel_all = cancel_all

    monkeypatch.setattr(Buttons, "obey_stop", without)


def answered_before_the_record_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Persistence, "rests", lambda self: True)


def a_held_stop_acts_a_tick_late(monkeypatch: pytest.MonkeyPatch) -> None:
    due = Queue.stop_due
    monkeypatch.setattr(Queue, "stop_due", lambda self, tick: due(self, tick - 1))


def a_stop_in_the_self_test_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_ordered(control: Any) -> None:
        if control.state in states.MOVING:
            control.enter(states.STOPPED, COMMAND)

    monkeypatch.setattr(Control, "stop_ordered", stop_ordered)


def acts_before_its_id_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "_acts_once", lambda self, entry: True)


def takes_commands_for_any_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Host._take

    def take(host: Host, request: dict[str, Any], inputs: Any, outputs: Any) -> None:
        if "boot" in request:
            request["boot"] = host._boot()
        taken(host, request, inputs, outputs)

    monkeypatch.setattr(Host, "_take", take)


def starts_while_stop_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        commands.Command, "moves", property(lambda row: False, lambda row, moves: None), False
    )


def a_stop_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "stop_ahead", lambda self: False)


def what_came_before_a_stop_acts_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "before_stop", lambda self: False)


@pytest.mark.req("ALM-05", "REC-03", "REC-04")
@pytest.mark.parametrize(
    "plant",
    [
        order_by_raw_tick,
        what_waits_is_not_cleared,
        the_button_clears_nothing,
        answered_before_the_record_is_read_back,
        a_held_stop_acts_a_tick_late,
        a_stop_in_the_self_test_is_forgotten,
        acts_before_its_id_is_written,
        takes_commands_for_any_boot,
        starts_while_stop_is_held,
        a_stop_waits_for_its_turn,
        what_came_before_a_stop_acts_after_it,
    ],
)
def test_a_planted_fault_is_caught(plant, monkeypatch):
    """By the very lives that the pump as it is survives."""
    plant(monkeypatch)
    with pytest.raises(Broken):
        lives(0, 1_500)
