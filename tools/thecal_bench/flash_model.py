"""A NOR flash as the RP2040 board has it, with the power failing at any command.

Programming clears bits, at most one page at a time; erasing sets all bits of a sector. A command during which
the power fails (`cut`) is done in part, in one of several ways: some bytes of it, some bits of it, or all of
it so weakly that each bit may read either way, anew at every power-on (`power_on`), until it is erased or
programmed to the end. `FlashModel` refuses what the chip cannot do and counts what wears it out.
"""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Self

from thecal.record.journal import Journal
from thecal.record.layout import CALIBRATION, NOTHING
from thecal.record.layout import ERASE as ORDER_ERASE
from thecal.rig import Rig
from thecal.signals import Inputs
from thecal_model.crc import carried_on
from thecal_model.rig import named

PAGE = 256
SECTOR = 4096

PROGRAM, ERASE = "program", "erase"

WAYS = ("bytes", "bits", "weak")
"""How much of a command is done when the power fails in it. bytes: of a program the first so many bytes, of
an erase some pages; bits: some bits at random; weak: all of it, but each bit that should have changed reads
at random.
"""


class FlashError(Exception):
    """A command the chip cannot carry out."""


class PowerCut(Exception):
    """The power failed in this command."""


def blank_flash(rig: Rig | str | None = "reference") -> FlashModel:
    """See `FlashModel.blank`."""
    return FlashModel.blank(rig)


@cache
def _with_rig(sectors: int, tables: str) -> bytes:
    flash = FlashModel(sectors)
    install(flash, tables.encode())
    return bytes(flash.image)


def install(flash: FlashModel, data: bytes) -> None:
    """Write a rig, the bytes of its tables, into the journal there as the pump does, for the next boot."""
    journal = Journal(crc_into)
    journal.recover(flash.image)
    journal.slots.begin(CALIBRATION, (data,))
    said = Inputs()
    while not journal.slots.done():
        journal.slots.order(True)
        flash.obey(journal, said)
        journal.heard(said.flash_done, said.flash_ok)


def crc_into(data, start: int, end: int, value: bytearray) -> None:
    """`thecal.crc.crc_into` by the host's zlib."""
    value[:] = carried_on(memoryview(data)[start:end], value)


class FlashModel:
    """`sectors` sectors, all ones. `image` is what the board reads."""

    def __init__(self, sectors: int, sector_bytes: int = SECTOR) -> None:
        self.sector_bytes = sector_bytes
        self.image = bytearray(b"\xff" * (sectors * sector_bytes))
        self.weak: dict[int, int] = {}  # offset: bits that are between zero and one
        self.erases = [0] * sectors
        self.programmed_bytes = [0] * sectors
        self.commands = 0
        self._erased: tuple[int, bytes] | None = None  # in the last tick: where, and what was there

    @classmethod
    def blank(cls, rig: Rig | str | None = "reference") -> Self:
        """One as large as the journal wants, with that rig, or the one of that name, and never written
        otherwise; None: without a rig.
        """
        flash = cls(Journal().region_bytes // SECTOR)
        if rig is not None:
            tables = (named(rig) if isinstance(rig, str) else rig).tables
            flash.image[:] = _with_rig(len(flash.erases), json.dumps(tables))
        return flash

    def fork(self) -> FlashModel:
        """A copy that goes its own way."""
        other = FlashModel.__new__(FlashModel)
        other.sector_bytes = self.sector_bytes
        other.image = bytearray(self.image)
        other.weak = dict(self.weak)
        other.erases = list(self.erases)
        other.programmed_bytes = list(self.programmed_bytes)
        other.commands = self.commands
        other._erased = self._erased
        return other

    def obey(self, journal, inputs) -> None:
        """Carry out what a `Journal` orders, as `thecal.drivers.flash` does; the next inputs hear of it."""
        inputs.flash_done = inputs.flash_ok = False
        self._erased = None
        if journal.command.kind == NOTHING:
            return
        offset, length = journal.command.offset, journal.command.length
        if journal.command.kind == ORDER_ERASE:
            self._erased = offset, bytes(self.image[offset : offset + length])
            self.erase(offset)
            wanted = b"\xff" * length
        else:
            place = offset % PAGE
            wanted = bytes(journal.command.data[place : place + length])
            self.program(offset, wanted)
        inputs.flash_done = True
        inputs.flash_ok = self.image[offset : offset + length] == wanted

    def power_fails(self) -> None:
        """Just before the tick after that of the last `obey`. A program took 3 ms at most and is done; an
        erase may take 400 ms: it is left half done.
        """
        if self._erased:
            offset, was = self._erased
            half = offset + len(was) // 2
            self.image[half : offset + len(was)] = was[len(was) // 2 :]

    def program(self, offset: int, data: bytes) -> None:
        """Clear the bits that are zero in `data`."""
        self._check_program(offset, len(data))
        self.commands += 1
        self.programmed_bytes[offset // self.sector_bytes] += len(data)
        end = offset + len(data)
        left = int.from_bytes(self.image[offset:end], "little") & int.from_bytes(data, "little")
        self.image[offset:end] = left.to_bytes(len(data), "little")
        if self.weak:
            for index, byte in enumerate(data, offset):
                if index in self.weak:
                    self.weak[index] &= byte
                    if not self.weak[index]:
                        del self.weak[index]

    def erase(self, offset: int) -> None:
        """Set all bits of the sector at `offset`."""
        self._check_erase(offset)
        self.commands += 1
        self.erases[offset // self.sector_bytes] += 1
        end = offset + self.sector_bytes
        self.image[offset:end] = b"\xff" * self.sector_bytes
        for index in [index for index in self.weak if offset <= index < end]:
            del self.weak[index]

    def cut_program(self, offset: int, data: bytes, way: str, seed: int) -> None:
        """The power fails while `data` is being programmed."""
        self._check_program(offset, len(data))
        chance = random.Random(seed)
        if way == "bytes":
            done_bytes = chance.randrange(len(data))
            if done_bytes:
                self.program(offset, data[:done_bytes])
            return
        done = chance.choice((0x00, 0x10, 0x80, 0xE0, 0xFF))
        for index, byte in enumerate(data, offset):
            clears = self.image[index] & ~byte & 0xFF
            if way == "bits":
                taken = chance.getrandbits(8) | (chance.getrandbits(8) & done)
                self.image[index] &= ~(clears & taken) & 0xFF
            elif clears:
                self.weak[index] = self.weak.get(index, 0) | clears
        self.power_on(seed)

    def cut_erase(self, offset: int, way: str, seed: int) -> None:
        """The power fails while a sector is being erased."""
        self._check_erase(offset)
        chance = random.Random(seed)
        for start in range(offset, offset + self.sector_bytes, PAGE):
            if way == "bytes" and chance.random() < 0.5:
                self.image[start : start + PAGE] = b"\xff" * PAGE
            elif way == "bits":
                for index in range(start, start + PAGE):
                    self.image[index] |= chance.getrandbits(8)
            elif way == "weak":
                for index in range(start, start + PAGE):
                    bits = ~self.image[index] & 0xFF
                    if bits:
                        self.weak[index] = self.weak.get(index, 0) | bits
        self.power_on(seed)

    def power_on(self, seed: int) -> None:
        """The weak bits decide anew how they read: mostly as one, mostly as zero, or each as it likes."""
        if not self.weak:
            return
        chance = random.Random(seed * 2 + 1)
        ones = chance.choice((0.0, 0.02, 0.5, 0.98, 1.0))
        for index, bits in self.weak.items():
            reads = sum(1 << bit for bit in range(8) if chance.random() < ones)
            self.image[index] = (self.image[index] & ~bits & 0xFF) | (bits & reads)

    def _check_program(self, offset: int, length: int) -> None:
        if not 0 < length <= PAGE or offset < 0 or offset + length > len(self.image):
            raise FlashError(f"program {length} bytes at {offset}: the region has {len(self.image)}")
        if offset // PAGE != (offset + length - 1) // PAGE:
            raise FlashError(f"program {length} bytes at {offset}: over the end of a page")

    def _check_erase(self, offset: int) -> None:
        if offset % self.sector_bytes or not 0 <= offset < len(self.image):
            raise FlashError(f"erase at {offset}: no sector of {self.sector_bytes} bytes begins there")
