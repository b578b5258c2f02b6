"""The journal: what the pump must never forget, in raw sectors of a NOR flash, safe against a cut at any
instant.

How to read it: `layout` is the format; `state`, `history`, `streams`, `outcomes` and `slots` each write one
kind of thing and find it again at boot; `order` here says whose turn it is. The room never touches the flash.
Once a tick it orders at most one command (`command.Command`: program some bytes of one page, or erase a
sector); the driver carries it out after the tick and reads back; the next tick hears what came of it
(`heard`). Nothing counts as booked before that. Offsets and lengths are bytes from the start of the region.

The flash: erasing a sector sets all its bits, which stalls the board for 45 to 400 ms and wears the sector
out (10^5 times); programming clears bits, within a page of 256 bytes. A cut can leave any of the bits of a
command undone, or so weakly done that they read differently the next time.

Layout: five rings of sectors, then slots for what is long.

    state    snapshots of all small state (`FIELDS`), and between them ledger records, the first four of the
             fields. Every sector begins with a snapshot, so all older sectors can be recycled. The last valid
             snapshot with the last valid ledger record after it is the state: a change of any number of
             fields is one record.
    history  the dose of each minute, the times of patient boluses, changes of unit; holds more than a day
    events   the log, 28 bytes each and a CRC over them that starts from the CRC of the one before
    faults   those of the events that are faults, in the same form, so that no flood of events drives them out
    outcomes what became of the last commands, by their IDs
    slots    therapies, drug libraries, rigs, keys: written whole; keys are in force then, a rig from the next
             boot on, the others once a snapshot carries the serial

A record has kind, length in units of 32 bytes, ring, version, sequence number, payload, CRC-32, and lies
within a page. What is neither blank nor a valid record is torn or flipped: counted in `torn`, skipped, never
trusted.

Why it is safe: (1) the head of a ring is never erased, and no sector is used that was not erased since this
boot for the state, as a sector or a place in which a command was cut can look blank. The other rings go on
in their head sector, but fill that place with zeros first: what is weak is made solid. (2) After a boot
nothing is written before a snapshot of what was recovered: a record that reads differently next time is then
history, and no motion has rested on it. (3) A record in the history that belongs to a snapshot is written
after it, and `recover` completes what is missing of it.

Another version of the format is refused. A newer one: `status` is NEWER and nothing is ever written. An older
one: `status` is OLDER, nothing is read from it, and nothing written before `begin_anew`.
"""

from ..crc import crc_into
from .command import Command
from .history import History
from .history import Writer as HistoryWriter
from .layout import (
    EVENTS,
    FAULTS,
    FOREIGN,
    HISTORY,
    LOST,
    MOST_FAILURES,
    NEWER,
    NOTHING,
    OLDER,
    OUTCOMES,
    PAGE,
    PROGRAM,
    RESERVED,
    RING_SECTORS,
    SECTOR,
    SLOTS,
    SOUND,
    STATE,
    STATUSES,
    UNIT,
    USELESS,
    VIRGIN,
    JournalError,
)
from .outcomes import Writer as OutcomeWriter
from .region import Region
from .ring import Ring
from .slots import Slots
from .state import State
from .streams import Log, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .events import EventLog


NOT_WIPING = -1


def no_fault(log: "EventLog", offset: int) -> bool:
    """For a journal without a ring of faults."""
    return False


class Journal:
    """One region. `log` is the ring of `record.events.EventLog`, `log_capacity` its records, `is_fault(ring,
    offset)` says whether the event there is one for the ring of faults. `words` are the fields of the state,
    `status` what a boot has found.
    """

    def __init__(
        self,
        crc=crc_into,
        log=bytearray(),  # noqa: B008 (never written)
        log_capacity=1,
        is_fault=no_fault,
        sector_bytes=SECTOR,
        ring_sectors=RING_SECTORS,
        slots=SLOTS,
    ):
        self.region = region = Region(crc, sector_bytes)
        self.command = command = Command()
        rings = []
        start = 0
        for number in range(len(ring_sectors)):
            rings.append(Ring(region, command, number, start, ring_sectors[number]))
            start += ring_sectors[number] * sector_bytes
        self.log = Log(log, log_capacity, is_fault)
        self.state = State(rings[STATE], region, command)
        self.words = self.state.words
        self.history_writer = HistoryWriter(rings[HISTORY], region, command, self.state)
        self.events = Stream(rings[EVENTS], region, command, self.log, False)
        self.faults = Stream(rings[FAULTS], region, command, self.log, True)
        self.outcome_writer = OutcomeWriter(rings[OUTCOMES], region, command)
        self.slots = Slots(slots, start, region, command, self.words)
        self.parts = (
            self.state,
            self.history_writer,
            self.events,
            self.faults,
            self.outcome_writer,
        )  # by number of ring
        self.region_bytes = self.slots.end
        self.outcomes = self.outcome_writer.outcomes
        self.status = VIRGIN
        self.torn = 0  # places that are neither blank nor a valid record
        self.history = None  # what a boot has found of it
        # Of the rig that the state of the boot speaks of, and of that in force: set by who puts one in force.
        self.found_rig_number = self.rig_number = 0
        self.log_count = 0  # events ever, set by `recover`, then by the caller before each `order`
        self.lost_events = 0  # of them, never written
        self.failed = False  # the flash refuses everything: nothing will be booked any more
        self.wiped = NOT_WIPING  # while the region is wiped, sectors that are
        self.failures = 0  # commands whose read-back differed, since one was programmed as ordered
        self._ordered_outcome = False  # in the last turn that was not the state's

    # --- once a tick

    def heard(self, done: bool, ok: bool) -> None:
        """What came of the command: whether the driver has carried it out, and whether the flash then read as
        ordered (for an erase: all ones).
        """
        command = self.command
        if command.kind == NOTHING or not done:
            return
        kind = command.end()
        if self.wiped >= 0:
            self.wiped += ok
            return
        if not ok:
            self.failures += 1
            self.failed = self.failures >= MOST_FAILURES
        elif kind == PROGRAM:
            self.failures = 0
        command.part.heard(kind, ok)  # pyright: ignore[reportOptionalMemberAccess]  # who gave it

    def order(self, erase_allowed: bool) -> None:
        """Choose this tick's command. `erase_allowed`: the motor's queue covers the 400 ms that an erase may
        take.
        """
        command = self.command
        if not command.asked and not self.outcomes.due and self.log_count == self.events.cursor:
            return
        if self.wiped >= 0:
            self._order_wipe(erase_allowed)
            return
        if command.kind != NOTHING or self.failed or (self.status != VIRGIN and self.status != SOUND):
            return
        if self.state.order(erase_allowed) or not self.state.started:
            return
        # A command waits for its outcome's announcement, but no flood of commands keeps the rest from being
        # written: every other turn is theirs.
        turn_of_outcome = not self._ordered_outcome
        self._ordered_outcome = False
        if turn_of_outcome and self._order_outcome(erase_allowed):
            return
        if self.state.erase_due() and self.state.erase(erase_allowed):
            return
        if self.history_writer.order(erase_allowed) or self.slots.order(erase_allowed):
            return
        self._catch_up()
        # A fault is not written before the log has it.
        if self.faults.order(self.events.cursor, erase_allowed):
            return
        if self.events.order(self.log_count, erase_allowed):
            return
        if not turn_of_outcome and self._order_outcome(erase_allowed):
            return
        for part in self.parts:
            # Before it is needed: while half a sector of state is left, a quarter of the others.
            ring = part.ring
            early = ring.sector_bytes >> (1 if part is self.state else 2)
            if ring.sector_bytes - ring.at < early and part.erase(erase_allowed):
                return
        # What an erase was wanted for would have been ordered: nothing is left to do.
        command.asked = not erase_allowed

    def _order_outcome(self, erase_allowed: bool):
        ordered = self.outcome_writer.order(erase_allowed)
        self._ordered_outcome = ordered and self.command.kind == PROGRAM and not self.command.closes
        return ordered

    def _catch_up(self) -> None:
        """Events that were overwritten before they could be written are a visible gap, and counted."""
        oldest = self.log_count - self.log.capacity
        if self.events.cursor < oldest:
            self.lost_events += oldest - self.events.cursor
            self.events.cursor = oldest
        if self.faults.cursor < oldest:
            self.faults.cursor = oldest

    def idle(self) -> bool:
        """Whether all that is to be written is written and read back, as of the last `order`."""
        written = self.state.written() and not self.outcomes.due
        return written and self.command.kind == NOTHING and self.events.cursor == self.log_count

    def is_behind(self) -> bool:
        """Whether more events are to be written than a page takes."""
        return self.log_count - self.events.cursor > PAGE // UNIT

    def last_sequence(self):
        """The number of the next record of state: no other ring has as many."""
        return self.state.ring.sequence

    def entries(self, stream, number: int):
        """The entries of `stream` (EVENTS or FAULTS) from this number on: see `Stream.entries`."""
        return self.parts[stream].entries(number, self.log_count)

    # --- wiping

    def wipe(self) -> None:
        """Erase the whole region but for rigs and keys from here on, a sector in each command, and write
        nothing any more: whoever boots from it is new, on the same rig, with the same keys. The state goes
        first, its newest record last, so that a cut leaves what is there now, or a state that is lost. Until
        then it is as one that has failed.
        """
        self.wiped = 0
        self.failed = True
        self.command.asked = True

    def _order_wipe(self, allowed: bool) -> None:
        sector_bytes = self.region.sector_bytes
        command = self.command
        if command.kind != NOTHING or not allowed or self.wiped * sector_bytes == self.slots.standing_start:
            return
        ring = self.state.ring
        sector = self.wiped
        if sector < ring.sectors:
            sector = (ring.head + 1 + sector) % ring.sectors
        command.erase(None, sector * sector_bytes, sector_bytes)

    # --- at boot

    def recover(self, image) -> None:
        """Read the region, any object whose bytes can be indexed and sliced, and take up where the last boot
        left off: `words`, `status`, `torn`, `history` and `log_count` say how that is. Allocates. Nothing is
        changed in the flash.
        """
        if len(image) != self.region_bytes:
            raise JournalError("the region has %d bytes, %d are needed" % (len(image), self.region_bytes))
        region = self.region
        region.begin(image)
        self.state.blank()
        found = self.state.recover()
        self.state.ring.at = region.sector_bytes
        minutes = self.history_writer.ring.find_head()
        others = len(minutes) > 0
        for part in (self.events, self.faults, self.outcome_writer):
            others = part.recover() or others
        others = self.slots.find() or others
        self.outcomes = self.outcome_writer.outcomes
        self.status = self._status(found, others)
        self.torn = region.torn
        region.end()
        self.history = History(self.words, self.history_writer.ring, minutes)
        self.state.booked_steps = self.words[RESERVED]
        self.history_writer.go_on(self.history)
        self._go_on_with_events()

    def _status(self, found, others):
        region = self.region
        if region.newer:
            return NEWER
        if found:
            return SOUND
        if region.older:
            return OLDER
        if others:
            return LOST
        # The first sector ever used may be half erased; a rig and keys may be there already.
        for start in range(region.sector_bytes, self.slots.standing_start, region.sector_bytes):
            if region.in_use(start):
                return FOREIGN
        return VIRGIN

    def _go_on_with_events(self) -> None:
        """The last events back into the log's ring, for the link and for the faults."""
        # An event that was torn may read as valid once and not again, after the faults have got it.
        events, faults = self.events, self.faults
        self.log_count = max(events.ring.sequence, faults.ring.sequence)
        events.cursor = self.log_count
        oldest = self.log_count - self.log.capacity
        faults.cursor = max(faults.ring.sequence, oldest, 0)
        self.log.refill(self.region.image, events.kept(max(oldest, 0)))

    def begin_anew(self) -> None:
        """A clinician has been told what `status` says, and that nothing is known: use the region all the
        same. A rig and keys that are in it stay in force.
        """
        if self.status not in USELESS:
            raise JournalError("begin_anew: the journal is %s" % STATUSES[self.status])
        self.status = VIRGIN
        self.command.asked = True
