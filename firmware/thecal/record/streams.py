"""The log in its rings: all events, and those of them that are faults once more, so that no flood of events
drives them out.

An entry is 28 bytes of the event and a CRC over them that starts from the CRC of the entry before: a chain. A
START record says from which CRC it goes on, and stands first in a sector and after a boot, since what was
written before may read otherwise some day.
"""

import struct
from array import array

from .events import RECORD_BYTES
from .layout import EVENT_BYTES, MOST_BAD, MOST_SEQUENCE, PAGE, PAYLOAD, START, UNIT, VERSION, ZEROS

# An event goes on from a START or an event of the page before its own, but for pages between that the flash
# did not take.
BEFORE = (MOST_BAD + 1) * PAGE


class Log:
    """The ring in memory that both streams are written from: `bytes` holds the last `capacity` events, event
    n at n % capacity; `is_fault(bytes, offset)` says which of them are faults.
    """

    def __init__(self, ring, capacity, is_fault) -> None:
        self.bytes = ring
        self.capacity = capacity
        self.is_fault = is_fault

    def place(self, number: int):
        """The offset of an event."""
        return number % self.capacity * RECORD_BYTES

    def number(self, at):
        """Which event stands there."""
        log = self.bytes
        return log[at] | log[at + 1] << 8 | log[at + 2] << 16 | log[at + 3] << 24

    def refill(self, image, offsets):
        """Take nothing but the events at these offsets of `image`."""
        self.bytes[:] = bytes(len(self.bytes))
        for at in offsets:
            place = self.place(struct.unpack_from("<I", image, at)[0])
            self.bytes[place : place + RECORD_BYTES] = image[at : at + RECORD_BYTES]

    def next_fault(self, number: int, count: int):
        """The first fault from event `number` on, `count` if there is none before it."""
        while number < count:
            at = self.place(number)
            # What a cut has left out of the log is not there.
            if self.number(at) == number and self.is_fault(self.bytes, at):
                break
            number += 1
        return number


class Stream:
    """One of the two: `faults` takes faults alone."""

    def __init__(self, ring, region, command, log, faults) -> None:
        self.ring = ring
        self.region = region
        self.command = command
        self.log = log
        self.faults = faults
        self.cursor = 0  # the next event of the log to be looked at
        self.begun = False  # a START has come since this boot
        self.chain = bytearray(4)  # CRC of the last event
        self.firsts = array(
            "i", [-1] * ring.sectors
        )  # the first event of each sector, -1 where there is none
        # What is on its way: where it begins, the CRC that it ends with, and where that leaves off.
        self.way_first = 0
        self.way_chain = bytearray(4)
        self.way_sequence = 0
        self.way_cursor = 0

    # --- writing

    def order(self, count, erase_allowed):
        """Write what of the events before `count` is not written. Whether a command is ordered."""
        cursor = self.cursor
        if self.faults:
            self.cursor = cursor = self.log.next_fault(cursor, count)
        if cursor == count:
            return False
        ring = self.ring
        if ring.close(self):
            return True
        offset = ring.place(UNIT if self.begun else 2 * UNIT)
        if offset < 0:
            return self.erase(erase_allowed)
        if ring.opens or not self.begun:
            self.command.begin(self, offset, ring.number, START, cursor)
            self.command.opens = ring.opens
            struct.pack_into("<4s", self.command.data, offset % PAGE + PAYLOAD, self.chain)
            self.command.seal(self.region)
            self.way_first = cursor
        else:
            self.command.program(self, offset, 0)
        self._pack(cursor, count)
        return True

    def erase(self, allowed: bool) -> bool:
        """Have the next sector erased. Whether it is ordered."""
        if not self.ring.erase(self, allowed):
            return False
        self.firsts[self.ring.next()] = -1
        return True

    def _pack(self, cursor, count):
        """As many events as the rest of the page takes."""
        command = self.command
        place = (command.offset + command.length) % PAGE
        for index in range(4):
            self.way_chain[index] = self.chain[index]
        while cursor < count and (place or command.length == 0):
            self._pack_event(cursor, place)
            self.way_sequence = cursor + 1
            command.length += UNIT
            place = (place + UNIT) % PAGE
            cursor += 1
            if self.faults:
                cursor = self.log.next_fault(cursor, count)
        self.way_cursor = cursor

    def _pack_event(self, cursor, place):
        at = self.log.place(cursor)
        log = self.log.bytes
        data = self.command.data
        value = self.way_chain
        for index in range(EVENT_BYTES):
            data[place + index] = log[at + index] if index < RECORD_BYTES else 0
        self.region.crc(data, place, place + EVENT_BYTES, value)
        for index in range(4):
            data[place + EVENT_BYTES + index] = value[index]

    def heard(self, kind: int, ok: bool) -> None:
        """What came of a command."""
        ring = self.ring
        if not ring.heard(kind, ok):
            return
        if self.command.opens:
            self.firsts[ring.head] = self.way_first
        self.begun = True
        ring.sequence = self.way_sequence
        self.cursor = self.way_cursor
        for index in range(4):
            self.chain[index] = self.way_chain[index]

    # --- reading

    def recover(self) -> bool:
        """Find where it goes on. Whether there is anything."""
        ring = self.ring
        region = self.region
        found = False
        newest = -1
        for sector in range(ring.sectors):
            self.firsts[sector] = -1
            if region.in_use(ring.sector_start(sector)):
                for _, number in self._entries(sector):
                    self.firsts[sector] = number
                    break
            if self.firsts[sector] >= 0:
                found = True
                if newest < 0 or self.firsts[sector] > self.firsts[newest]:
                    newest = sector
        if not found:
            ring.sequence = 0
            return False
        ring.head = newest
        start = ring.sector_start(newest)
        last = start
        for at, number in self._entries(newest):
            last = at
            ring.sequence = number + 1
        for index in range(4):
            self.chain[index] = region.image[last + EVENT_BYTES + index]
        used = start + ring.sector_bytes
        while region.blank(used - UNIT, used):
            used -= UNIT
        region.torn += used > last + UNIT and not region.zeros(used - UNIT)
        ring.used = used - start
        ring.at = last + UNIT - start
        return True

    def _entries(self, sector: int, wanted=0):
        """The valid events of a sector as (offset, number), or, quicker, those from `wanted` on and some
        before. One is valid if its CRC goes on from the last valid one, or from the CRC that stands right
        before it.
        """
        ring = self.ring
        region = self.region
        image = region.image
        start = ring.sector_start(sector)
        end = start + ring.sector_bytes
        chain = ZEROS  # where the last CRC is
        chain_at = 0
        last = -1
        for at in range(self._begin_of(start, end, wanted), end, UNIT):
            if image[at + 2] == ring.number and region.valid(at, end, ring.number):
                chain = image
                chain_at = at + PAYLOAD
                continue
            if image[at + 3] > MOST_SEQUENCE >> 24:  # nothing there, most often
                continue
            number = struct.unpack_from("<I", image, at)[0]
            if number > last and (
                region.follows(at, chain, chain_at) or (at > start and region.follows(at, image, at - 4))
            ):
                chain = image
                chain_at = at + EVENT_BYTES
                last = number
                yield at, number

    def _begin_of(self, at: int, end: int, wanted):
        """From where a sector, at:end, has to be read for its events from `wanted` on: a bit before the first
        place whose number, believed unseen, is not below it.
        """
        image = self.region.image
        start = at
        while at < end:
            high = image[at + 3]
            if high == VERSION and image[at + 2] == self.ring.number and image[at] == START:
                pass  # no number
            elif (
                high > MOST_SEQUENCE >> 24
                or image[at] | image[at + 1] << 8 | image[at + 2] << 16 | high << 24 >= wanted
            ):
                break
            at += UNIT
        return max(at - BEFORE, start)

    def kept(self, number: int):
        """The offsets in the region of the events that are kept, from the one with this number on, oldest
        first: each 28 bytes and its CRC. A generator.
        """
        firsts = self.firsts
        best = -1
        for sector in range(self.ring.sectors):
            # The sector with the last beginning that is not behind, else the oldest one.
            first = firsts[sector]
            if first < 0:
                continue
            if best < 0:
                best = sector
            elif firsts[best] > number:
                if first < firsts[best]:
                    best = sector
            elif first <= number and first > firsts[best]:
                best = sector
        while best >= 0:
            if firsts[best] >= 0:
                for at, found in self._entries(best, number):
                    if found >= number:
                        yield at
            if best == self.ring.head:
                return
            best = best + 1 if best + 1 < self.ring.sectors else 0

    def last(self, is_wanted):
        """The offset in the region of the last event that is kept with `is_wanted(offset)`; of the oldest one
        where there is no such, -1 where there is none at all.
        """
        ring = self.ring
        oldest = -1
        for back in range(ring.sectors):
            sector = (ring.head - back) % ring.sectors
            if self.firsts[sector] < 0:
                continue
            found = first = -1
            for at, _ in self._entries(sector):
                if first < 0:
                    first = at
                if is_wanted(at):
                    found = at
            if found >= 0:
                return found
            oldest = first
        return oldest

    def entries(self, number, count):
        """The entries from this number on, oldest first: those kept in flash, then those before `count` that
        are still to be written. Each is its number, its 28 bytes with their CRC, and the CRC that this one
        goes on from. A generator; allocates.
        """
        region = self.region
        image = region.image
        log = self.log
        for at in self.kept(number):
            found = struct.unpack_from("<I", image, at)[0]
            if found >= self.cursor:
                break  # not booked yet: it comes from memory
            yield found, bytes(image[at : at + UNIT]), bytes(region.seed)
        value = bytearray(self.chain)
        for cursor in range(max(self.cursor, count - log.capacity), count):
            at = log.place(cursor)
            if log.number(at) != cursor or (self.faults and not log.is_fault(log.bytes, at)):
                continue
            seed = bytes(value)
            record = log.bytes[at : at + EVENT_BYTES]
            region.crc(record, 0, EVENT_BYTES, value)
            if cursor >= number:
                yield cursor, bytes(record) + bytes(value), seed
