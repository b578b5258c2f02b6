"""RIG-02 on the chip: the power fails at a flash command of a change of rig, and the very image boots again.

One board lives through all cuts. Each life confirms the rig that is not in force, until its power fails in
some flash command of that: before it, in the middle of it, or after it. In-process every command has its cut
(`host_tests/property/test_rig_power_cuts.py`).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from test_chip_power_cuts import Life
from thecal_bench.chip.board import STORAGE_START
from thecal_model.rig import reference, spread
from told import told

pytestmark = pytest.mark.chip

THERAPY = {"mode": "continuous", "rate_num": 60_000_000, "rate_den": 1}
RIGS = (reference(), told("reference", rig__name="finer", head__nl_per_rev=90_000, motor__microsteps=32))
WAYS = ("before", "torn", "after")
COMMANDS = 8
"""That a change takes at least, from its confirmation until the board starts anew."""

FEW = ((1, "before"), (4, "torn"), (COMMANDS, "after"))
ALL = tuple((number, way) for number in range(1, COMMANDS + 1) for way in WAYS)


@cache
def aged() -> tuple[bytes, Fraction]:
    """The flash of a pump that has given some volume and was told the second of RIGS then, which ended its
    therapy, so that nothing is reserved; and that volume.
    """
    desk = PumpOnBench()
    desk.confirm(THERAPY)
    assert desk.ask("start")["ok"]
    desk.run(100)
    assert desk.ask("stop")["ok"]
    desk.run(20)
    proposal = desk.ask("rig", rig=RIGS[1].tables)
    assert desk.ask("confirm", digest=proposal["digest"])["ok"]
    desk.run(60)
    given_nl = desk.pump.position.executed_steps * step_nl(1)
    assert desk.ask("hello")["rig"] == "finer" and given_nl > 100_000
    return bytes(desk.bench.flash.image), given_nl


def step_nl(number: int) -> Fraction:
    """Of that rig of RIGS."""
    return Fraction(RIGS[number].nl_per_rev, RIGS[number].steps_per_rev)


class Changing(Life):
    """A board whose rig is changed again and again."""

    def __init__(self, image: Path) -> None:
        super().__init__(image)
        kept, _ = aged()
        self.board.mcu.flash[STORAGE_START : STORAGE_START + len(kept)] = kept

    def rest(self) -> None:
        """Until it has booted and tested itself."""
        for _ in range(60):
            assert self.run(0.1)
            status = self.client.last_status
            if status is not None and status["state"] not in ("BOOT", "POST"):
                break
        else:
            raise AssertionError("nothing is heard of it")
        if status["state"] == "HALTED":  # so many resets are a loop
            assert self.told("alarms")["alarms"] == [["RESET_LOOP", "HIGH"]]
            self.told("acknowledge")

    def told(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        reply = self.ask(cmd, **arguments)
        assert reply is not None and reply["ok"], reply
        return reply

    def change(self, number: int, cut: int, way: str, seed: int) -> None:
        """Confirm that rig of RIGS, the power failing at flash command `cut` from there, and boot."""
        proposal = self.told("rig", rig=RIGS[number].tables)
        assert self.run(0.3)
        resets = self.board.resets
        self.cutter.arm(cut, way, seed)
        self.client.request("confirm", digest=proposal["digest"], accept=proposal["readback"].get("soft", []))
        while self.run(0.05):
            assert self.board.resets == resets, f"it started anew before flash command {cut}"
        self.power_up()
        self.cutter.left = -1
        self.rest()

    def given_nl(self) -> Fraction:
        """What it says was given so far, by the rig that it says is in force."""
        hello = self.told("hello")
        self.told("status")
        status = self.client.last_status
        assert status is not None
        return Fraction(status["executed_steps"] * hello["nl_per_rev"], hello["steps_per_rev"])

    def found(self) -> int:
        """Which of RIGS is in force, and all of it."""
        hello, kept = self.told("hello"), self.told("rig_kept")
        number = next(number for number, rig in enumerate(RIGS) if rig.name == hello["rig"])
        rig = RIGS[number]
        assert spread(kept["rig"]) == spread(rig.tables) and kept["in_force"] == kept["number"]
        assert (hello["nl_per_rev"], hello["steps_per_rev"]) == (rig.nl_per_rev, rig.steps_per_rev), "mixed"
        assert hello["state"] == "STOPPED" and self.told("alarms")["alarms"] == []
        return number


@pytest.mark.req("RIG-02", "REC-01", "REC-05", "SIM-01")
@pytest.mark.parametrize("cuts", [FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=["few", "all"])
def test_a_cut_in_a_change_of_rig_leaves_the_old_rig_or_the_new_one_on_the_chip(image, cuts):
    """Each life tries to change to the rig that is not in force."""
    life = Changing(image)
    life.rest()
    in_force, given_nl = life.found(), life.given_nl()
    assert in_force == 1 and given_nl == aged()[1], "as it was written by the same code on CPython"
    became = {}
    for seed, (number, way) in enumerate(cuts):
        wanted = 1 - in_force
        life.change(wanted, number, way, seed)
        in_force = life.found()
        became[number, way] = in_force == wanted
        now_nl = life.given_nl()
        assert given_nl <= now_nl < given_nl + step_nl(wanted), "rounded up to a step where the unit changed"
        given_nl = now_nl
    print(became)
    assert life.plant.steps_seen == 0
    assert not became[cuts[0]] and became[cuts[-1]]
    assert sorted(became.values()) == list(became.values()), "what was in force once is not taken back"
