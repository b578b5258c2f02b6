"""REC-03: what is known of a command in the flash, with the power failing in any flash command.

A walk opens, announces and closes commands on a journal, in bursts, so that several records go out in one
flash command; the power fails in some of them, in each way. What was read back before is never lost, and
nothing is found that was not so.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from thecal.record.journal import Journal
from thecal.record.layout import SECTOR
from thecal.record.outcomes import CUT, DENIED, DONE, NOWHERE, WAITING, Outcomes, Writer, key
from thecal_bench.flash_model import WAYS, FlashModel, PowerCut, crc_into

RINGS = (3, 3, 3, 3, 6)
SLOTS = ((1, 1), (1, 1), (1, 1))
BOOTS, TURNS = 8, 40
MOST = 60  # commands in a walk, fewer than are kept


class Inputs:
    flash_done = flash_ok = False


class CutFlash(FlashModel):
    """The power fails in command `cut_at`; `chance` has it take some of the others badly."""

    cut_at, way, seed = -1, "after", 0
    chance: random.Random

    def program(self, offset: int, data: bytes) -> None:
        self.cut_at -= 1
        if self.cut_at != 0:
            if self.chance.random() < 0.1 and len(data) > 1:
                data = bytes(byte if self.chance.random() < 0.7 else byte | 0x10 for byte in data)
            super().program(offset, data)
            return
        if self.way in WAYS:
            self.cut_program(offset, data, self.way, self.seed)
        elif self.way == "after":
            super().program(offset, data)
        raise PowerCut


class Walk:
    """Commands by their number, and what is true of each."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.flash = CutFlash(sum(RINGS) + 3, SECTOR)
        self.flash.chance = self.chance
        self.inputs: Any = Inputs()
        self.opened = 0
        self.results: dict[int, int] = {}  # of those that were closed
        self.announced: set[int] = set()  # and it was read back
        self.closed: set[int] = set()  # and it was read back
        self.seen: Counter[str] = Counter()
        self._recover()

    def _recover(self) -> None:
        self.journal = Journal(crc_into, ring_sectors=RINGS, slots=SLOTS)
        self.journal.recover(bytes(self.flash.image))
        self.open_places: dict[int, int] = {}
        self.closing: dict[int, int] = {}
        self.journal.state.save()

    def run(self) -> Counter[str]:
        for _ in range(BOOTS):
            self.flash.cut_at = self.chance.randrange(1, 16)
            self.flash.way = self.chance.choice(("before", *WAYS, "after"))
            self.flash.seed = self.chance.randrange(1 << 20)
            try:
                for _ in range(TURNS):
                    self._act()
                    self._turn()
            except PowerCut:
                self.seen["cuts"] += 1
                self.seen["cuts of several"] += self.journal.command.length > 32
            self.flash.power_on(self.chance.randrange(1 << 20))
            self._recover()
            self._check()
        return self.seen

    def _act(self) -> None:
        outcomes = self.journal.outcomes
        for _ in range(self.chance.choice((0, 0, 1, 3, 9))):
            if self.chance.random() < 0.5 and self.opened < MOST:
                self.opened += 1
                number = self.opened
                place = outcomes.open(key(5, number), bytes([number] * 4), number, 1)
                self.open_places[number] = place
                if self.chance.random() < 0.6:
                    outcomes.announce(place)
            elif self.open_places:
                number = self.chance.choice(sorted(self.open_places))
                place = self.closing[number] = self.open_places.pop(number)
                self.results[number] = self.chance.choice((DONE, DENIED))
                outcomes.close(place, self.results[number], 2, number)

    def _turn(self) -> None:
        """One tick: what is read back counts from then on."""
        outcomes = self.journal.outcomes
        self.journal.order(True)
        self.flash.obey(self.journal, self.inputs)
        self.journal.heard(self.inputs.flash_done, self.inputs.flash_ok)
        self.announced.update(
            number for number, place in self.open_places.items() if outcomes.announced(place)
        )
        for number, place in list(self.closing.items()):
            if outcomes.announced(place) and place not in outcomes.due:
                self.closed.add(number)
                del self.closing[number]

    def _check(self) -> None:
        outcomes = self.journal.outcomes
        for number in range(1, self.opened + 1):
            place = outcomes.find(key(5, number))
            if place == NOWHERE:
                assert number not in self.announced | self.closed, f"{number} is forgotten"
                self.seen["unknown"] += 1
                continue
            result = outcomes.result(place)
            assert outcomes.same(place, bytes([number] * 4)) and outcomes.told(place)[:2] == (number, 1)
            assert result == CUT or result == self.results[number], f"{number} is told to be {result}"
            assert number not in self.closed or result == self.results[number], f"{number} was closed"
            self.seen["cut" if result == CUT else "over"] += 1


def walks(count: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in range(count):
        seen += Walk(seed).run()
    return seen


@pytest.mark.req("REC-01", "REC-03", "REC-05")
def test_what_was_read_back_of_a_command_outlives_any_cut():
    seen = walks(40)
    print(dict(seen))
    assert seen["cuts"] > 100 and seen["cuts of several"] > 50
    assert seen["unknown"] > 50 and seen["cut"] > 50 and seen["over"] > 500


@pytest.mark.long
@pytest.mark.req("REC-01", "REC-03", "REC-05")
def test_what_was_read_back_of_a_command_outlives_any_of_many_cuts():
    walks(1_000)


@pytest.mark.req("REC-03", "REC-05")
def test_nothing_is_written_where_two_cuts_in_a_row_have_left_what_reads_as_blank():
    """A record that is cut reads as whole, so the next goes behind it, and is cut too. Then both read as
    blank, but for the zeros between them.
    """
    walk = Walk(0)
    flash, chance = walk.flash, random.Random(1)
    flash.chance = random.Random()
    flash.chance.random = lambda: 1.0  # takes all
    flash.way = "weak"

    def write(number: int, commands: int) -> None:
        outcomes = walk.journal.outcomes
        outcomes.announce(outcomes.open(key(5, number), bytes(4), number, 1))
        flash.cut_at = commands
        for _ in range(9):
            walk.journal.order(True)
            flash.obey(walk.journal, walk.inputs)
            walk.journal.heard(walk.inputs.flash_done, walk.inputs.flash_ok)

    def boot(reads_as_blank: bool) -> None:
        for index, bits in flash.weak.items():
            flash.image[index] = flash.image[index] | bits if reads_as_blank else flash.image[index] & ~bits
        walk._recover()

    write(1, 99)
    for number, commands in ((2, 1), (3, 3)):  # after a boot the state is written first, and zeros
        with pytest.raises(PowerCut):
            write(number, commands)
        boot(number == 3)
    assert walk.journal.outcomes.find(key(5, 2)) == NOWHERE
    write(4, 99)
    for _ in range(8):
        flash.power_on(chance.randrange(1 << 20))
        walk._recover()
        assert walk.journal.outcomes.find(key(5, 4)) != NOWHERE


def counts_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def heard(writer: Writer, kind: int, ok: bool) -> None:
        writer.ring.heard(kind, ok)
        for index in range(writer.way_count):
            writer.outcomes.wrote(writer.way_places[index], writer.way_packed[index])

    monkeypatch.setattr(Writer, "heard", heard)


def counts_what_is_only_ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    order = Writer.order

    def early(writer: Writer, erase_allowed: bool) -> Any:
        ordered = order(writer, erase_allowed)
        writer.heard(1, True) if ordered and writer.command.kind == 1 and not writer.command.closes else None
        return ordered

    monkeypatch.setattr(Writer, "order", early)


def seals_only_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    pack = Writer._pack

    def unsealed(writer: Writer, place: int) -> None:
        pack(writer, place)
        command = writer.command
        if writer.way_count > 1:
            command.data[command._record - 1] ^= 1

    monkeypatch.setattr(Writer, "_pack", unsealed)


def believes_an_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Outcomes.load

    def done(outcomes: Outcomes, entry: bytes) -> None:
        load(outcomes, entry[:17] + bytes([DONE if entry[17] == WAITING else entry[17]]) + entry[18:])

    monkeypatch.setattr(Outcomes, "load", done)


@pytest.mark.req("REC-03", "REC-05")
@pytest.mark.parametrize(
    "plant",
    [counts_what_failed, counts_what_is_only_ordered, seals_only_the_last, believes_an_announcement],
)
def test_a_planted_fault_is_caught(plant, monkeypatch):
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        walks(40)
