"""The command that the flash is to carry out next: the driver reads it, one of the journal's parts gave it.

That part alone knows what the command carries, and hears what came of it (`Journal.heard`).
"""

import struct

from .layout import ERASE, HEAD, KINDS, MOST_SEQUENCE, NOTHING, PAGE, PROGRAM, UNIT, VERSION, JournalError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ring import Ring


class Command:
    """One at a time. `data` is the page; the bytes outside of what is programmed are 0xFF."""

    def __init__(self) -> None:
        self.kind = NOTHING
        self.offset = 0
        self.length = 0
        self.data = bytearray(b"\xff" * PAGE)
        self.part = None  # whose it is
        self.opens = False  # it begins the next sector of a ring
        self.closes = False  # it makes solid what a cut may have left weak
        self.asked = True  # something may be to be written: somebody wants it, or the flash has answered
        self._record = 0  # where in the page the last record begins
        self._used = 0  # bytes of the page that the last one has left, up to ...
        self._used_end = 0

    def end(self):
        """It is carried out. Returns its kind."""
        kind = self.kind
        self.kind = NOTHING
        self.asked = True
        if kind == PROGRAM:
            self._used = self.offset % PAGE
            self._used_end = self._used + self.length
        return kind

    def erase(self, part, offset: int, length: int) -> None:
        """A sector is to be erased."""
        self.kind = ERASE
        self.part = part
        self.opens = self.closes = False
        self.offset = offset
        self.length = length

    def program(self, part, offset: int, length: int) -> None:
        """Begin one that programs; what the last one has left in the page goes."""
        data = self.data
        for index in range(self._used, self._used_end):
            data[index] = 0xFF
        self.kind = PROGRAM
        self.part = part
        self.opens = self.closes = False
        self.offset = offset
        self.length = length

    def begin(self, part, offset: int, ring: "Ring", kind: int, sequence: int) -> None:
        """Begin a record of that kind; `ring` is the number that it names."""
        if sequence > MOST_SEQUENCE:
            raise JournalError("the sequence numbers are used up")
        self.program(part, offset, 0)
        self.add(ring, kind, sequence)

    def add(self, ring: "Ring", kind: int, sequence: int) -> None:
        """Begin one more record behind those that are sealed; the page has room for it."""
        units = KINDS[kind][0]
        self._record = (self.offset + self.length) % PAGE
        self.length += units * UNIT
        struct.pack_into(HEAD, self.data, self._record, kind, units, ring, VERSION, sequence)

    def seal(self, region) -> None:
        """The CRC behind the last record."""
        end = self.offset % PAGE + self.length - 4
        value = region.digest(self.data, self._record, end)
        for index in range(4):
            self.data[end + index] = value[index]
