"""Slots for what is long: therapies, drug libraries, calibrations, keys. Each is written whole, and in force
once a snapshot carries its serial.

A slot is a record that says kind, length and CRC, and the bytes behind it. The slots that are in force are
never written over.

What stands (STANDING), a rig (CALIBRATION) and the keys, needs no snapshot: the newest one that is whole is
in force from the next boot on, so that a journal that nothing else was ever written to can have one, and one
whose state is lost or wiped keeps it. What a cut has left of one may read as whole at a later boot, and so
may what another cut has left of its erasing: its record becomes zeros at once, and then it is erased.
"""

import struct

from .layout import (
    BLOB,
    CALIBRATION,
    DRUG_SERIAL,
    ERASE,
    MOST_BAD,
    PAGE,
    PAYLOAD,
    SERIALS,
    SLOT_RING,
    THERAPY,
    UNIT,
    JournalError,
)

STANDING = CALIBRATION  # this kind and those after it
NONE = -1  # no slot is being written
NO_NUMBER = -1  # of the slot that a command is for: none that is being written


class Slots:
    """All of them, behind the rings, from offset `start` on: `layout` is (number, sectors each) of each kind.
    `kind` is that of the slot that is being written.
    """

    def __init__(self, layout, start: int, region, command, words) -> None:
        self.layout = layout
        self.region = region
        self.command = command
        self.words = words
        self.starts = []
        for count, sectors in layout:
            self.starts.append(start)
            start += count * sectors * region.sector_bytes
        self.end = start
        self.standing_start = self.starts[STANDING] if len(layout) > STANDING else start
        self.serials = [[0] * count for count, _ in layout]
        self.torn = []  # of what stands those that are not whole, each the offset of its slot, ...
        self.closed = []  # ... and those of them whose record is zeros
        self.torn_failures = 0
        self.kind = NONE
        self.pieces = ()
        self.ends = []  # of each, from the first one's start
        self.length = 0
        self.crc = bytearray(4)
        self.slot = 0
        self.serial = 0
        self.at = 0  # next byte of the slot
        self.erased = 0  # sectors of it
        self.failures = 0
        self.number = 0  # of the slot begun, since this boot ...
        self.way_number = 0  # ... and of that which a command on its way is for

    def begin(self, kind: int, pieces) -> None:
        """Start to write one, given in pieces, each of which may be asked for again and again. Raises
        JournalError if another one is being written, or if it is too long.
        """
        if self.kind >= 0:
            raise JournalError("slot: another one is being written")
        count, sectors = self.layout[kind]
        most = sectors * self.region.sector_bytes - UNIT
        ends = []
        crc = self.crc
        crc[:] = bytes(4)
        length = 0
        for index in range(len(pieces)):
            piece = pieces[index]
            length += len(piece)
            ends.append(length)
            self.region.crc(piece, 0, len(piece), crc)
        if not 0 < length <= most:
            raise JournalError("slot: %d bytes, must be 1 to %d" % (length, most))
        serials = self.serials[kind]
        newest = 0
        for slot in range(count):
            if serials[slot] > serials[newest]:
                newest = slot
        # The one in force may not be readable any more: its number is taken all the same.
        self.serial = max(serials[newest], self.words[SERIALS[kind]]) + 1
        self.slot = newest
        self._take_next(kind)
        self.pieces = pieces
        self.ends = ends
        self.length = length
        self.number += 1
        self.kind = kind
        self.command.asked = True

    def _take_next(self, kind: int) -> None:
        serials = self.serials[kind]
        while True:
            self.slot = (self.slot + 1) % self.layout[kind][0]
            if not self._in_force(kind, serials[self.slot]):
                break
        serials[self.slot] = 0
        start = self._start(kind, self.slot)
        for left in (self.torn, self.closed):
            if start in left:
                left.remove(start)  # it is erased with that
        self.at = 0
        self.erased = 0
        self.failures = 0

    def _in_force(self, kind: int, serial: int) -> bool:
        if serial == 0:
            return False
        words = self.words
        return serial == words[SERIALS[kind]] or (kind == THERAPY and serial == words[DRUG_SERIAL])

    def done(self) -> bool:
        """Whether the slot begun is written and read back."""
        return self.kind >= 0 and self.at == UNIT + self.length

    def adopt(self):
        """Put the slot that is done in force with the next snapshot. Gives its serial; the caller saves."""
        kind = self.kind
        self.serials[kind][self.slot] = self.serial
        self.words[SERIALS[kind]] = self.serial
        self.drop()
        return self.serial

    def drop(self) -> None:
        """Forget the slot begun."""
        self.kind = NONE
        self.pieces = ()
        self.ends = []

    def order(self, erase_allowed: bool) -> bool:
        """Write the slot begun, or erase what is torn. Whether a command is ordered."""
        if self.torn and self._close_torn():
            return True
        if self.kind < 0 or self.done():
            return self._erase_torn(erase_allowed)
        self.way_number = self.number
        command = self.command
        start = self._start(self.kind, self.slot)
        end = UNIT + self.length
        if self.erased * self.region.sector_bytes < end:
            if not erase_allowed:
                return False
            command.erase(self, start + self.erased * self.region.sector_bytes, self.region.sector_bytes)
            return True
        at = self.at
        data = command.data
        if at == 0:
            command.begin(self, start, SLOT_RING, BLOB, self.serial)
            struct.pack_into("<ii", data, PAYLOAD, self.kind, self.length)
            for index in range(4):
                data[PAYLOAD + 8 + index] = self.crc[index]
            command.seal(self.region)
            at = UNIT
        else:
            command.program(self, start + at, 0)
        place = at % PAGE
        length = min(PAGE - place, end - at)
        self._copy(at - UNIT, data, place, length)
        command.length += length
        return True

    def _copy(self, at: int, data, place: int, length: int) -> None:
        """So many bytes from `at` on into data[place:]."""
        end = place + length
        for index in range(len(self.ends)):
            if at >= self.ends[index]:
                continue
            piece = self.pieces[index]
            source = at - self.ends[index] + len(piece)
            while source < len(piece) and place < end:
                data[place] = piece[source]
                source += 1
                place += 1
                at += 1
            if place == end:
                return

    def _close_torn(self) -> bool:
        self.way_number = NO_NUMBER
        command = self.command
        command.program(self, self.torn[0], UNIT)
        for index in range(UNIT):
            command.data[index] = 0
        return True

    def _erase_torn(self, allowed: bool) -> bool:
        if not self.closed or not allowed:
            return False
        self.way_number = NO_NUMBER
        self.command.erase(self, self.closed[0], self.region.sector_bytes)
        return True

    def _torn_heard(self, kind: int, ok: bool) -> None:
        left = self.closed if kind == ERASE else self.torn
        self.torn_failures = 0 if ok else self.torn_failures + 1
        if not left or left[0] != self.command.offset or (not ok and self.torn_failures < MOST_BAD):
            return
        self.torn_failures = 0
        start = left.pop(0)
        if kind != ERASE:
            self.closed.append(start)

    def heard(self, kind: int, ok: bool) -> None:
        """What came of a command."""
        if self.way_number == NO_NUMBER:
            self._torn_heard(kind, ok)
            return
        if self.kind < 0 or self.way_number != self.number:
            return
        if not ok:
            # A slot is not patched: once more from the start, then the next one.
            self.failures += 1
            self.erased = 0
            self.at = 0
            if self.failures >= MOST_BAD:
                self._take_next(self.kind)
        elif kind == ERASE:
            self.erased += 1
        else:
            self.at += self.command.length

    # --- reading

    def find(self):
        """Look at all of them. Whether there is anything in one, what stands left out."""
        found = False
        for kind in range(len(self.layout)):
            for slot in range(self.layout[kind][0]):
                serial = self._serial(kind, slot)
                self.serials[kind][slot] = serial
                if kind >= STANDING and serial == 0 and self.region.in_use(self._start(kind, slot)):
                    self.torn.append(self._start(kind, slot))
                found = found or (serial > 0 and kind < STANDING)
        return found

    def newest(self, kind: int):
        """The largest serial of a kind that a boot has found, 0 without."""
        return max(self.serials[kind])

    def read(self, kind: int, serial: int):
        """The bytes of the therapy, library or calibration `serial`, None if no slot holds it whole."""
        for slot in range(self.layout[kind][0]):
            if serial and self.serials[kind][slot] == serial and self._serial(kind, slot) == serial:
                at = self._start(kind, slot)
                image = self.region.image
                length = struct.unpack_from("<i", image, at + PAYLOAD + 4)[0]
                return image[at + UNIT : at + UNIT + length]
        return None

    def _start(self, kind: int, slot: int) -> int:
        return self.starts[kind] + slot * self.layout[kind][1] * self.region.sector_bytes

    def _serial(self, kind: int, slot: int):
        """The serial of what a slot holds, 0 if it is blank or not whole."""
        region = self.region
        at = self._start(kind, slot)
        if not region.valid(at, at + UNIT, SLOT_RING):
            return 0
        image = region.image
        written, length = struct.unpack_from("<ii", image, at + PAYLOAD)
        if written != kind or not 0 < length <= self.layout[kind][1] * region.sector_bytes - UNIT:
            return 0
        crc = region.digest(image, at + UNIT, at + UNIT + length)
        return region.sequence(at) if image[at + PAYLOAD + 8 : at + PAYLOAD + 12] == crc else 0
