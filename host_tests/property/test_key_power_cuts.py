"""SEC-02, SEC-06: the power fails in any flash command of a pairing, of a change of every key, of a reset of
the keys, and of a boot.

What boots after that has the old keys or the new ones, and all of them; one set of keys opens it, or it is
unpaired and nobody's are needed; whatever weak bits read as at later boots, it stays so. And no line that was
ever taken is taken again, though all nonces are the same here: the counters alone see to it.
"""

from __future__ import annotations

from functools import cache

import pytest
from paired import PairedBench, body, key_of, keys_of
from pump_on_bench import PumpOnBench
from pump_on_desk import frame
from test_pump_power_cuts import CutFlash
from thecal.link import signing
from thecal.link.commands import ROLES
from thecal.watch import resets
from thecal_bench.flash_model import WAYS, PowerCut
from thecal_model import signing as host

OLD, NEW, NONE = "", "other", "none"
CUTS = ("before", *WAYS, "after")
TICKS = 30
CHANGES = {"pair": (NONE, NEW), "keys": (OLD, NEW), "reset_keys": (OLD, NONE)}


@pytest.fixture(autouse=True)
def one_nonce_and_no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "nonce_of", lambda chip, boot, chance: b"0" * 32)
    monkeypatch.setattr(resets, "WINDOW_TICKS", 0)


class Desk(PumpOnBench):
    """A pump on a flash that fails, and every signed line that it has ever taken."""

    def __init__(self, image: bytes, taken: list[bytes]) -> None:
        flash = CutFlash.blank()
        if image:
            flash.image[:] = image
        super().__init__(flash=flash)
        self.taken = taken

    def send(self, line: bytes) -> dict:
        return PairedBench.send(self, line)

    def opens(self, pump: str) -> bool:
        """Whether every key of that set signs, and is obeyed; False if none is."""
        found = set()
        counters = self.ask("hello").get("counters", {})
        for role in ROLES:
            counter = int(counters.get(role, "0"), 16) + 1
            line = host.sign(body("alarms"), role, counter, "0" * 32, key_of(role, pump)) + b"\n"
            answer = self.send(line)
            if answer["ok"]:
                self.taken.append(line)
            found.add(answer["ok"])
            self.run(11)
        assert len(found) == 1, "a mixture"
        return found.pop()

    def keys(self) -> str:
        """Which are in force; that it is one set, and that nothing old is taken."""
        self.run(TICKS)
        for line in self.taken[-12:]:
            assert not self.send(line)["ok"], "an old line"
            self.run(11)
        if not self.ask("hello")["paired"]:
            assert self.ask("set_time", week_s=5)["ok"], "nobody can give it an order"
            return NONE
        assert self.ask("set_time", week_s=5)["error"] == "not_signed"
        found = [pump for pump in (OLD, NEW) if self.opens(pump)]
        assert len(found) == 1, "no key opens it"
        return found[0]

    def reboot(self, seed: int) -> None:
        self.bench.flash.power_on(seed)
        self.bench.reset()
        self.run(TICKS)

    def change(self, what: str) -> None:
        """Begin it; nothing is written before the next tick."""
        if what == "pair":
            assert self.ask("pair", keys=keys_of(pump=NEW))["ok"]
            self.run(10)
            self.bench.press("stop", 3)
        elif what == "keys":
            counter = int(self.ask("hello")["counters"]["service"], 16) + 1
            text = body("keys", keys=keys_of(pump=NEW))
            line = host.sign(text, "service", counter, "0" * 32, key_of("service", OLD)) + b"\n"
            self.taken.append(line)
            self.bench.send(line)
        else:
            digest = self.ask("reset_keys")["digest"]
            self.bench.jumper = True
            self.run(10)
            self.bench.send(frame(body("confirm", digest=digest)))


@cache
def aged(paired: bool) -> tuple[bytes, tuple[bytes, ...]]:
    """A pump that has run for a while, and what it has taken."""
    taken: list[bytes] = []
    if not paired:
        desk = Desk(b"", taken)
    else:
        bench = PairedBench(flash=CutFlash.blank())
        desk = Desk(bytes(bench.bench.flash.image), taken)
        assert desk.opens(OLD)
    desk.reboot(1)
    return bytes(desk.bench.flash.image), tuple(taken)


def begun(what: str) -> Desk:
    image, taken = aged(CHANGES[what][0] != NONE)
    return Desk(image, list(taken))


@cache
def commands(what: str) -> int:
    """How many flash commands follow."""
    desk = begun(what)
    first = desk.bench.flash.commands
    desk.change(what)
    desk.run(2 * TICKS)
    assert desk.keys() == CHANGES[what][1]
    return desk.bench.flash.commands - first


def life(what: str, number: int, way: str, seed: int, second: int = -1) -> str:
    """One change with a cut in it, another cut `second` commands into the next boot, and boots after that."""
    desk = begun(what)
    flash = desk.bench.flash
    assert isinstance(flash, CutFlash)
    flash.cut_at, flash.way, flash.seed = flash.commands + number, way, seed
    try:
        desk.change(what)
        desk.run(2 * TICKS)
    except (PowerCut, AssertionError):
        pass
    flash.cut_at = -1
    if second >= 0:
        flash.cut_at, flash.way = flash.commands + second, WAYS[seed % len(WAYS)]
        try:
            desk.reboot(seed)
        except PowerCut:
            flash.cut_at = -1
    flash.cut_at = -1
    desk.reboot(seed)
    keys = desk.keys()
    assert keys in CHANGES[what]
    for boot in range(2):
        desk.reboot(seed + boot + 7)
        assert desk.keys() == keys, "the keys that were in force are others now"
    return keys


@pytest.mark.req("SEC-02", "SEC-06", "REC-01", "REC-05")
@pytest.mark.parametrize("what", CHANGES)
def test_a_cut_in_any_command_leaves_the_old_keys_or_the_new_ones(what):
    left = [
        life(what, number, way, number, number % 4 - 1)
        for number in range(min(commands(what), 14))
        for way in sorted({"weak", CUTS[number % len(CUTS)]})
    ]
    assert set(left) == set(CHANGES[what])


@cache
def decisive(what: str) -> int:
    """The command that completes the keys in their slot."""
    return next(n for n in range(commands(what)) if life(what, n, "after", 0) == CHANGES[what][1])


@pytest.mark.req("SEC-02", "SEC-06", "REC-05")
@pytest.mark.parametrize("what", CHANGES)
def test_keys_that_read_as_they_like_are_settled_before_anybody_uses_them(what):
    """The cut leaves the command that completes them such that its bits read anew at every boot; another one
    comes while they are settled, or none.
    """
    lives = [
        life(what, decisive(what), "weak", seed, second) for seed in range(10) for second in (-1, 2, 3, 4)
    ]
    assert set(lives) == set(CHANGES[what])


@pytest.mark.long
@pytest.mark.req("SEC-02", "SEC-06", "REC-01", "REC-05")
@pytest.mark.parametrize("what", CHANGES)
def test_a_cut_in_every_way_in_every_command_and_in_those_of_the_next_boot(what):
    for number in range(commands(what)):
        for way in CUTS:
            for second in range(-1, 8):
                life(what, number, way, number + second, second)


@pytest.mark.req("SEC-02", "REC-01")
def test_a_cut_in_any_command_of_a_boot_takes_no_line_twice():
    """The counters of a boot are taken once its number is in the flash, whatever becomes of the boot."""
    image, taken = aged(True)
    for number in range(6):
        for way in ("weak", CUTS[number % len(CUTS)]):
            desk = Desk(image, list(taken))
            flash = desk.bench.flash
            assert isinstance(flash, CutFlash)
            flash.cut_at, flash.way, flash.seed = flash.commands + number, way, number
            try:
                desk.reboot(3)
                assert desk.opens(OLD)
            except PowerCut:
                pass
            flash.cut_at = -1
            desk.reboot(4)
            assert desk.keys() == OLD
