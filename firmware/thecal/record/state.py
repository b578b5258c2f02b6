"""The pump's small state in its ring: snapshots of all fields, and between them ledger records.

The last valid snapshot with the last valid ledger record after it is the state. Every sector begins with a
snapshot. A ticket is a running number: what was asked for with it is booked when the flash has read back as
ordered.
"""

import struct
from array import array

from .layout import (
    FIELDS,
    KINDS,
    LEDGER,
    LEDGER_FIELDS,
    PAGE,
    PAYLOAD,
    PROGRAM,
    RESERVED,
    SNAPSHOT,
    UNIT,
    place_of,
)


class State:
    """`words` are the fields, as they are to be written."""

    def __init__(self, ring, region, command) -> None:
        self.ring = ring
        self.region = region
        self.command = command
        self.words = array("i", [0] * len(FIELDS))
        self.save_ticket = 0
        self.saved_ticket = 0
        self.ledger_ticket = 0
        self.ledgered_ticket = 0
        self.booked_steps = 0  # see `booked`
        self.started = False  # the first snapshot since this boot is booked
        # What is on its way: the kind of its record, the tickets that it books and the position.
        self.way_kind = SNAPSHOT
        self.way_save_ticket = 0
        self.way_ledger_ticket = 0
        self.way_steps = 0
        self.blank()

    def blank(self) -> None:
        """The fields of a pump that is new."""
        for index in range(len(FIELDS)):
            self.words[index] = 0
        self.words[place_of("fill_nl")] = -1
        self.words[place_of("lockout_end_tick")] = -1
        self.words[place_of("mark_steps")] = -1

    def save(self):
        """Have a snapshot of `words` written; the ticket is booked when `saved_ticket` has reached it."""
        self.save_ticket += 1
        self.command.asked = True
        return self.save_ticket

    def reserve(self) -> None:
        """Have the ledger's fields written."""
        self.ledger_ticket += 1
        self.command.asked = True

    def written(self) -> bool:
        """Whether all that was asked for is booked."""
        return self.save_ticket == self.saved_ticket and self.ledger_ticket == self.ledgered_ticket

    def booked(self):
        """The position up to which motion may be ordered: whatever a cut leaves, the state says at least
        that.
        """
        booked = min(self.booked_steps, self.words[RESERVED])
        if self.command.kind == PROGRAM and self.command.part is self:
            booked = min(booked, self.way_steps)
        return booked

    def erase_due(self) -> bool:
        """Whether the ring wants its next sector erased, and motion booked to last through it."""
        ring = self.ring
        return not ring.spare and ring.sector_bytes - ring.at < ring.sector_bytes >> 1

    def erase(self, allowed: bool):
        """Have the next sector erased. Whether it is ordered."""
        return self.ring.erase(self, allowed)

    def order(self, erase_allowed: bool):
        """Write what is asked for. Whether a command is ordered."""
        if self.written():
            return False
        return self._write() or self.erase(erase_allowed)

    def _write(self) -> bool:
        ring = self.ring
        snapshot = self.save_ticket != self.saved_ticket
        offset = ring.place(UNIT * (KINDS[SNAPSHOT][0] if snapshot else KINDS[LEDGER][0]))
        if offset < 0:
            return False
        snapshot = snapshot or ring.opens
        self.way_kind = SNAPSHOT if snapshot else LEDGER
        ring.begin(self, offset, self.way_kind)
        words = self.words
        data = self.command.data
        at = offset % PAGE + PAYLOAD
        for index in range(len(FIELDS) if snapshot else LEDGER_FIELDS):
            struct.pack_into("<i", data, at, words[index])
            at += 4
        self.way_save_ticket = self.save_ticket
        self.way_ledger_ticket = self.ledger_ticket
        self.way_steps = words[RESERVED]
        self.command.seal(self.region)
        return True

    def heard(self, kind: int, ok: bool) -> None:
        """What came of a command."""
        if self.ring.heard(kind, ok):
            self.ring.sequence += 1
            self.ledgered_ticket = self.way_ledger_ticket
            self.booked_steps = self.way_steps
            if self.way_kind == SNAPSHOT:
                self.saved_ticket = self.way_save_ticket
                self.started = True
        elif kind == PROGRAM and not ok:
            # It may read as valid some day, so no more than it says is booked.
            self.booked_steps = min(self.booked_steps, self.way_steps)

    def recover(self) -> bool:
        """Find the last state. Whether there is one."""
        ring = self.ring
        image = self.region.image
        ledger = -1
        for sector in reversed(ring.find_head()):
            snapshot = last = -1
            for at in ring.records(sector, False):
                kind = image[at]
                if kind == SNAPSHOT:
                    snapshot = at
                    last = -1
                elif kind == LEDGER:
                    last = at
            if ledger < 0:
                ledger = last
            if snapshot >= 0:
                self._unpack(snapshot, len(FIELDS))
                if ledger >= 0:
                    self._unpack(ledger, LEDGER_FIELDS)
                return True
        return False

    def _unpack(self, at: int, count: int) -> None:
        for index in range(count):
            self.words[index] = struct.unpack_from("<i", self.region.image, at + PAYLOAD + 4 * index)[0]
