"""What became of the last commands, by the ID that the host gave each: for a host whose reply was lost, and
so that no command is carried out twice (REC-03).

How to read it: a command's way is `open` (accepted, known in memory only), `announce` (its ID is to be
written down; it may act once `announced`), `close` (its outcome is to be written down). The journal asks for
what is `due`, packs it and says when it is written. After a boot what was announced and not closed is
CUT: it may have acted or not, and will never act again.

The ID is written, and read back, before the command acts: a cut between the two loses a command that nobody
has a reply to, which can be given again under a new ID; the other way round it would act twice. 64 are kept;
what waits is not driven out. `entries` holds them as they stand in the flash, `ENTRY` packed, so a look-up
makes no big integers (an ID's `run` has 31 bits).
"""

import struct

from .layout import OUTCOME, PAGE, PAYLOAD, UNIT

KEPT = 64  # REC-03

# What became of it. An announcement in flash is WAITING; what is found so at a boot is CUT.
WAITING, CUT, DONE, REFUSED, DENIED, CANCELLED = range(6)
RESULTS = ("waiting", "cut", "done", "refused", "denied", "cancelled")

# key (run and number), CRC-32 of the frame, tick, row of the command, result, why (a row of CAUSES).
KEY_BYTES = 8
ENTRY = "<8s4siBBH"
ENTRY_BYTES = struct.calcsize(ENTRY)
FRAME_AT = KEY_BYTES
TICK_AT = FRAME_AT + 4
COMMAND_AT = TICK_AT + 4
RESULT_AT = COMMAND_AT + 1

NOWHERE = -1


def key(run: int, number: int):
    """The ID of a command as it is kept: `run` of 31 bits, `number` below 2^30."""
    return struct.pack("<II", run, number)


class Outcomes:
    """The last KEPT. A `place` is the index of an entry, good until that entry is driven out."""

    def __init__(self) -> None:
        self.entries = bytearray(KEPT * ENTRY_BYTES)
        self.count = 0  # places in use
        self.next = 0  # the one that is driven out next, if it does not wait
        # Of each place: what is to be written, what of it is, and whether anything since it was opened.
        self.wanted = bytearray(KEPT)
        self.written = bytearray(KEPT)
        self.safe = bytearray(KEPT)
        self.waits = bytearray(KEPT)  # not closed, and accepted since the boot
        self.due = []  # the places that are to be written, in order

    def find(self, wanted):
        """The place of the command with this key, or NOWHERE."""
        entries = self.entries
        if wanted not in entries:  # as of every new one: the loop would take a millisecond on the board
            return NOWHERE
        for place in range(self.count):
            at = place * ENTRY_BYTES
            if entries[at : at + KEY_BYTES] == wanted:
                return place
        return NOWHERE

    def open(self, wanted, frame, tick: int, command):
        """A command is accepted: `frame` is the CRC of its bytes, `command` its row. Gives its place. At most
        KEPT may wait; the link holds less.
        """
        place = self._take_next()
        struct.pack_into(ENTRY, self.entries, place * ENTRY_BYTES, wanted, frame, tick, command, WAITING, 0)
        self.waits[place] = 1
        self.safe[place] = 0
        # What is on its way to the flash is of the one before.
        self.wanted[place] = self.written[place] = self.wanted[place] + 1 & 255
        if place in self.due:
            self.due.remove(place)
        return place

    def announce(self, place: int) -> None:
        """Have the ID written down, once."""
        if not self.safe[place] and self.written[place] == self.wanted[place]:
            self._want(place)

    def announced(self, place: int) -> bool:
        """Whether a cut would find the ID."""
        return self.safe[place] == 1

    def close(self, place: int, result, why, tick: int) -> None:
        """It is over: `result` of RESULTS, `why` a row of CAUSES or 0."""
        at = place * ENTRY_BYTES
        struct.pack_into(
            "<iBBH", self.entries, at + TICK_AT, tick, self.entries[at + COMMAND_AT], result, why
        )
        self.waits[place] = 0
        self._want(place)

    def result(self, place: int):
        """What became of it, of RESULTS."""
        return self.entries[place * ENTRY_BYTES + RESULT_AT]

    def same(self, place: int, frame) -> bool:
        """Whether the command there came in a frame with this CRC."""
        at = place * ENTRY_BYTES + FRAME_AT
        return self.entries[at : at + 4] == frame

    def told(self, place: int):
        """(tick, row of the command, result, why), for an answer."""
        return struct.unpack_from("<iBBH", self.entries, place * ENTRY_BYTES + TICK_AT)

    # --- for the journal

    def pack(self, place, data, at):
        """Its entry into data[at:]. Gives what `wrote` is to be told."""
        start = place * ENTRY_BYTES
        data[at : at + ENTRY_BYTES] = self.entries[start : start + ENTRY_BYTES]
        return self.wanted[place]

    def wrote(self, place: int, packed) -> None:
        """It is in the flash as it was packed then."""
        if self.wanted[place] == packed and self.written[place] != packed:
            self.written[place] = packed
            self.safe[place] = 1
            self.due.remove(place)

    def load(self, entry) -> None:
        """One from the flash, before any is opened, the oldest first; the caller gives each key once."""
        place = self._take_next()
        at = place * ENTRY_BYTES
        self.entries[at : at + ENTRY_BYTES] = entry
        if self.entries[at + RESULT_AT] == WAITING:
            self.entries[at + RESULT_AT] = CUT
        self.safe[place] = 1

    # --- within

    def _want(self, place: int) -> None:
        self.wanted[place] = self.wanted[place] + 1 & 255
        if place not in self.due:
            self.due.append(place)

    def _take_next(self):
        while self.waits[self.next]:
            self.next = (self.next + 1) % KEPT
        place = self.next
        self.next = (place + 1) % KEPT
        self.count = max(self.count, place + 1)
        return place


class Writer:
    """Writes `outcomes` into a ring and finds them there."""

    def __init__(self, ring, region, command) -> None:
        self.ring = ring
        self.region = region
        self.command = command
        self.outcomes = Outcomes()
        # What is on its way: the places of some entries, and what `wrote` is to be told of each.
        self.way_count = 0
        self.way_places = bytearray(PAGE // UNIT)
        self.way_packed = bytearray(PAGE // UNIT)

    def erase(self, allowed: bool):
        """Have the next sector erased. Whether it is ordered."""
        return self.ring.erase(self, allowed)

    def order(self, erase_allowed: bool):
        """Write as many as the page takes. Whether a command is ordered."""
        due = self.outcomes.due
        if not due:
            return False
        ring = self.ring
        if ring.close(self):
            return True
        offset = ring.place(UNIT)
        if offset < 0:
            return self.erase(erase_allowed)
        ring.begin(self, offset, OUTCOME)
        most = min(len(due), (PAGE - offset % PAGE) // UNIT)
        self.way_count = 0
        while True:
            self._pack(due[self.way_count])
            if self.way_count == most:
                return True
            self.command.add(ring.number, OUTCOME, ring.sequence + self.way_count)

    def _pack(self, place) -> None:
        """The entry there into the record that was begun."""
        command = self.command
        at = command.offset % PAGE + self.way_count * UNIT + PAYLOAD
        self.way_places[self.way_count] = place
        self.way_packed[self.way_count] = self.outcomes.pack(place, command.data, at)
        command.seal(self.region)
        self.way_count += 1

    def heard(self, kind: int, ok: bool) -> None:
        """What came of a command."""
        if self.ring.heard(kind, ok):
            self.ring.sequence += self.way_count
            for index in range(self.way_count):
                self.outcomes.wrote(self.way_places[index], self.way_packed[index])

    def recover(self) -> bool:
        """Into `outcomes` the last record of each of the last commands. Whether there are any."""
        self.outcomes = Outcomes()
        image = self.region.image
        found = {}
        newest_first = []
        for sector in reversed(self.ring.find_head()):
            records = [
                bytes(image[at + PAYLOAD : at + PAYLOAD + ENTRY_BYTES])
                for at in self.ring.records(sector, False)
            ]
            for entry in reversed(records):
                if entry[:KEY_BYTES] not in found:
                    found[entry[:KEY_BYTES]] = True
                    newest_first.append(entry)
            if len(newest_first) >= KEPT:
                break
        for entry in reversed(newest_first[:KEPT]):
            self.outcomes.load(entry)
        return len(found) > 0
