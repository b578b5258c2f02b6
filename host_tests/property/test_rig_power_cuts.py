"""RIG-02: the power fails in any flash command of a change of rig, from its confirmation until the pump rests
under the new one.

What boots after that has the old rig or the new one, and all of it: its units, its therapy or none, and every
volume as it was before, within the steps that rounding takes. Whatever weak bits read as at later boots, it
stays so.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from test_pump_power_cuts import CutFlash
from thecal import recount, states
from thecal.persistence import Persistence
from thecal.record import layout
from thecal.record.history import History, Writer
from thecal.record.slots import Slots
from thecal.watch import resets
from thecal_bench.flash_model import WAYS, PowerCut
from thecal_model.rig import named

LINE_NL = 20_000
DRUG = {"mode": "continuous", "drug": "hydromorphone", "line_nl": LINE_NL, "max_rate_nl_h": 60_000_000}
BOLUS = {"volume_nl": 150_000, "rate_num": 30_000_000, "rate_den": 1, "lockout_ms": 60_000, "max_per_day": 3}
FIRST = {
    **DRUG,
    "concentration_pg_nl": 1_000,
    "rate_num": 6_000_000,
    "rate_den": 1,
    "patient_bolus": BOLUS,
    "limit": {"volume_nl": 3_000_000, "window_ms": 600_000},
}
STRONGER = {**DRUG, "concentration_pg_nl": 1_300, "rate_num": 2_000, "rate_den": 1}
"""So slow that what is reserved ahead is a few steps, which every cut counts as given."""
OTHERS = ("geared", "bare")
"""The steps of the one are smaller than those of the reference, of the other larger."""

RIG_TICKS = 60
FULL_NL = 20_000_000


@pytest.fixture(autouse=True)
def resets_that_loop_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are more of them here than a pump has in ten minutes."""
    monkeypatch.setattr(resets, "WINDOW_TICKS", 0)


def booted(flash: Any) -> PumpOnBench:
    return PumpOnBench(flash=flash)


def measured(pump: Any) -> dict[str, Fraction]:
    """The volumes that a pump counts, nL: what was given, what is left, the last day, the old drug in the
    line; and the boluses of the day.
    """
    step_nl = Fraction(pump.mechanism.nl_per_rev, pump.mechanism.steps_per_rev)
    executed_steps = pump.position.executed_steps
    bridge = pump.line.bridge
    return {
        "given": executed_steps * step_nl,
        "dose": pump.position.dose_steps * step_nl,
        "left": pump.reservoir.left_steps(executed_steps) * step_nl,
        "window": (pump.ledger.content + Fraction(pump.ledger.part, pump.ledger.parts)) * step_nl,
        "old drug": bridge.left_steps * step_nl if bridge else Fraction(0),
        "boluses": Fraction(pump.lockout.in_last_day(pump.clock.tick)),
    }


LESS, MORE = ("left", "old drug"), ("given", "dose", "window", "old drug", "boluses")
"""What a few steps that were reserved, or rounding, may make less, or more: never to the patient's risk."""


@cache
def aged() -> tuple[bytes, dict[str, Fraction]]:
    """A pump at rest that has a history, a bolus, a refill, a bridge and a change of unit that is its last
    record; and what it counts.
    """
    flash = CutFlash.blank()
    desk = booted(flash)
    desk.refill(FULL_NL)
    desk.confirm(FIRST)
    desk.run(40)
    assert desk.ask("start")["ok"]
    desk.run(700)
    assert desk.ask("patient_bolus")["granted"]
    desk.run(900)
    assert desk.ask("stop")["ok"]
    desk.run(20)
    desk.confirm(STRONGER)
    desk.run(40)
    assert desk.pump.line.bridge and desk.pump.control.state == states.STOPPED
    desk.reset()  # what was reserved counts
    return bytes(flash.image), measured(desk.pump)


def change(name: str, flash: CutFlash, cut_at: int, way: str, seed: int) -> PumpOnBench:
    """Confirm the rig of that name, the power failing in that command after it (-1: in none)."""
    desk = booted(flash)
    proposal = desk.ask("rig", rig=named(name).tables)
    assert proposal["ok"], proposal
    desk.run(10)
    first = flash.commands
    if cut_at >= 0:
        flash.cut_at, flash.way, flash.seed = first + cut_at, way, seed
    desk.client.request("confirm", digest=proposal["digest"], accept=proposal["readback"]["soft"])
    try:
        desk.run(RIG_TICKS)
    except PowerCut:
        reboot(desk, seed)
    return desk


def reboot(desk: PumpOnBench, seed: int) -> None:
    desk.bench.flash.power_on(seed)
    desk.bench.reset()
    desk.run(RIG_TICKS)


def check(name: str, desk: PumpOnBench, boots: int) -> int:
    """What must be so after the last of so many boots since `aged`. Returns the rig: 0 the old, 1 the new."""
    pump = desk.pump
    rig = pump.handlers.rig
    new = rig.name == name
    whole = named(name if new else "reference")
    assert rig.unwatched() == whole.unwatched() and rig.tables["motor"] == whole.tables["motor"]
    words = pump.persistence.journal.words
    unit = tuple(words[layout.place_of(name)] for name in ("nl_per_rev", "steps_per_rev"))
    assert unit == (whole.nl_per_rev, whole.steps_per_rev), "a mixture"
    assert pump.control.state == states.STOPPED and not pump.control.failures
    assert pump.alarms.bits == 0
    assert (pump.regimen.prescription is None) == new
    before, after = aged()[1], measured(pump)
    step_nl = max(Fraction(each.nl_per_rev, each.steps_per_rev) for each in (whole, named("reference")))
    most_nl = (boots + 5) * 2 * step_nl  # each minute, and each time that it is turned
    for key in before:
        least = before[key] - (most_nl if key in LESS else 0)
        most = before[key] + (most_nl if key in MORE else 0)
        assert least <= after[key] <= most, key
    return 1 if new else 0


def new_flash() -> CutFlash:
    flash = CutFlash.blank()
    flash.image[:] = aged()[0]
    return flash


@cache
def commands(name: str) -> int:
    """How many flash commands follow the confirmation."""
    flash = new_flash()
    booted(flash).run(30)
    before = flash.commands
    whole = new_flash()
    assert check(name, change(name, whole, -1, "", 0), 2) == 1
    return whole.commands - before


def life(name: str, number: int, way: str, seed: int, second: int = -1) -> int:
    """One change with a cut in it, another cut `second` commands into the next boot, and boots after that.
    Returns the rig.
    """
    flash = new_flash()
    desk = change(name, flash, number, way, seed)
    flash.cut_at = -1
    rig = check(name, desk, 2)
    for boot in range(3):
        if second >= 0 and boot == 0:
            flash.cut_at, flash.way, flash.seed = flash.commands + second, WAYS[seed % len(WAYS)], seed
        try:
            reboot(desk, seed + boot)
        except PowerCut:
            reboot(desk, seed)
        flash.cut_at = -1
        assert check(name, desk, 4 + boot) == rig, "the rig that was in force is another one now"
    return rig


CUTS = ("before", *WAYS, "after")


def lives(name: str, number: int) -> set[int]:
    """The rigs of two lives with a cut in that command, some with another one in the next boot."""
    ways = {"weak", CUTS[number % len(CUTS)]}
    return {life(name, number, way, number, number % 9 - 1) for way in sorted(ways)}


@cache
def decisive(name: str) -> int:
    """The command that completes the rig in its slot."""
    return next(number for number in range(commands(name)) if life(name, number, "after", 0) == 1)


def decisive_lives(name: str) -> set[int]:
    """The rigs of lives whose cut leaves that command to read as it likes, anew at every boot."""
    return {life(name, decisive(name), "weak", seed) for seed in range(12)}


def test_there_is_something_to_be_cut():
    before = aged()[1]
    assert before["boluses"] == 1 and before["old drug"] > 0 and before["left"] < FULL_NL - 400_000
    assert all(decisive(name) > 2 and commands(name) > decisive(name) + 8 for name in OTHERS)


@pytest.mark.req("RIG-02", "REC-01", "REC-05", "LIM-02", "LIM-13", "RES-01")
@pytest.mark.parametrize("name", OTHERS)
def test_a_cut_in_any_command_of_a_change_leaves_the_old_rig_or_the_new_one(name):
    for number in range(commands(name)):
        if number < decisive(name):
            assert lives(name, number) == {0}
        elif number > decisive(name):
            assert lives(name, number) == {1}, "nothing takes it back"
    assert decisive_lives(name) == {0, 1}


@pytest.mark.long
@pytest.mark.req("RIG-02", "REC-01", "REC-05")
@pytest.mark.parametrize("name", OTHERS)
def test_a_cut_in_every_way_in_every_command_and_in_those_of_the_next_boot(name):
    for number in range(commands(name)):
        for way in CUTS:
            for second in range(-1, 10):
                life(name, number, way, number + second, second)


# --- planted faults: what the law above is there to catch


def volumes_stay_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "_recount_steps", lambda journal, ratio: None)


def window_in_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def recounted(writer: Writer, history: History, num: int, den: int, dose: int, was: int) -> None:
        history.recount(num, den)
        writer.ref_dose_steps = dose

    monkeypatch.setattr(Writer, "recount", recounted)


def counts_of_two_units_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was enough while only the drug changed."""
    count = History._count_last_change

    def compared(history: History, words: Any, sequence: int) -> None:
        count(history, words, 0 if history.ref_dose_steps <= words[layout.RESCALE_DOSE] else 1 << 29)

    monkeypatch.setattr(History, "_count_last_change", compared)


def the_first_change_of_a_number_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_last_change(history: History, words: Any, sequence: int) -> None:
        history._count_change()
        history.rescale_missing = False
        history.rescales = max(history.rescales, words[layout.RESCALES])

    monkeypatch.setattr(History, "_count_last_change", count_last_change)


def weak_slot_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Persistence, "_make_solid", lambda persistence: None)


def torn_slot_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "_close_torn", lambda slots: False)
    monkeypatch.setattr(Slots, "_erase_torn", lambda slots, allowed: False)


def therapy_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Persistence, "rig_number", lambda persistence: 1)


@pytest.mark.req("RIG-02", "REC-01", "LIM-13")
@pytest.mark.parametrize(
    "plant",
    [
        volumes_stay_as_they_were,
        window_in_memory_alone,
        counts_of_two_units_compared,
        the_first_change_of_a_number_counts,
        weak_slot_left_as_it_is,
        torn_slot_left_as_it_is,
        therapy_goes_on,
    ],
)
def test_a_planted_fault_is_caught(plant, monkeypatch):
    most = {name: commands(name) for name in OTHERS if decisive(name)}
    plant(monkeypatch)
    with pytest.raises((AssertionError, ValueError, OverflowError)):  # nonsense fits no array
        for name in OTHERS:
            decisive_lives(name)
            for number in reversed(range(most[name])):
                lives(name, number)
