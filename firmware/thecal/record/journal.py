"""The journal: what the pump must never forget, in raw sectors of a NOR flash, safe against a cut at any
instant.

How to read it: `layout` is the format, `recovery` reads it at boot, `order` here writes it. The room never
touches the flash. Once a tick it orders at most one command (`order_kind`: program some bytes of one page, or
erase a sector); the driver carries it out after the tick and reads back; the next tick hears what came of it
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
    slots    therapies, drug libraries, calibrations: written whole, in force once a snapshot carries the
             serial

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

import struct
from array import array

from .events import RECORD_BYTES
from .layout import (
    BLOB,
    CLOSED,
    DENIALS,
    DRUG_SERIAL,
    ERASE,
    EVENT_BYTES,
    EVENTS,
    FAULTS,
    FIELDS,
    GRANT,
    GRANT_TICK,
    GRANTS,
    HEAD,
    HISTORY,
    KINDS,
    LEDGER,
    LEDGER_FIELDS,
    MINUTE,
    MOST_BAD,
    MOST_FAILURES,
    MOST_GRANTS,
    MOST_SEQUENCE,
    NOTHING,
    OUTCOME,
    OUTCOMES,
    PAGE,
    PAYLOAD,
    PROGRAM,
    RESCALE,
    RESCALES,
    RESERVED,
    RING_SECTORS,
    SECTOR,
    SERIALS,
    SLOT_RING,
    SLOTS,
    SNAPSHOT,
    SOUND,
    START,
    STATE,
    STATUSES,
    STREAMS,
    THERAPY,
    UNIT,
    USELESS,
    VERSION,
    VIRGIN,
    JournalError,
)
from .outcomes import NOWHERE
from .recovery import Reader

_LOW = array("H", [0] * 16)
_HIGH = array("H", [0] * 16)


def _fill_tables():
    for index in range(16):
        low = index
        high = 0
        for _ in range(4):
            carry = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if carry:  # polynomial 0xEDB88320, as on the link
                low ^= 0x8320
                high ^= 0xEDB8
        _LOW[index] = low
        _HIGH[index] = high


_fill_tables()


def crc_into(data, start, end, value):
    """Carry the CRC-32 in `value` (4 bytes, little-endian) on over data[start:end]; four zeros begin a new
    one. Allocates nothing. The driver has a faster one.
    """
    low = (value[0] | value[1] << 8) ^ 0xFFFF
    high = (value[2] | value[3] << 8) ^ 0xFFFF
    for index in range(start, end):
        low ^= data[index]
        for _ in range(2):
            slot = low & 15
            low = (low >> 4 | (high & 15) << 12) ^ _LOW[slot]
            high = high >> 4 ^ _HIGH[slot]
    low ^= 0xFFFF
    high ^= 0xFFFF
    value[0] = low & 255
    value[1] = low >> 8
    value[2] = high & 255
    value[3] = high >> 8


def no_fault(log, offset):
    """For a journal without a ring of faults."""
    return False


class Journal(Reader):
    """One region. `log` is the ring of `record.events.EventLog`, `log_capacity` its records, `is_fault(ring,
    offset)` says whether the event there is one for the ring of faults.
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
        Reader.__init__(self, crc, sector_bytes, ring_sectors, slots)
        self.log = log
        self.log_capacity = log_capacity
        self.is_fault = is_fault
        self.log_count = 0  # events ever, set by `recover`, then by the caller before each `order`
        self.lost_events = 0  # of them, never written
        self.failed = False  # the flash refuses everything: nothing will be booked any more
        self.wiped = -1  # while the region is wiped, sectors that are
        self.failures = 0  # commands whose read-back differed, since one was programmed as ordered
        # What is to be written, what is on its way, and what is booked. A ticket is a running number.
        self.save_ticket = 0
        self.saved_ticket = 0
        self.ledger_ticket = 0
        self.ledgered_ticket = 0
        self.booked_steps = 0  # see `booked`
        self.started = False  # the first snapshot since this boot is booked
        self.asked = True  # something may be to be written: somebody wants it, or the flash has answered
        self.minute_pending = False
        self.minute = 0
        self.minute_dose_steps = 0
        self.minute_denials = 0
        self.grant_ticket = 0  # 0: no record is to be written
        self.rescale_ticket = 0
        self.ref_dose_steps = 0  # dose that the history holds ...
        self.ref_open_steps = 0  # ... and what of it is still open after a change of unit
        self.ref_denials = 0
        self.history = None
        # The slot that is being written.
        self.blob_kind = -1
        self.blob_data = b""
        self.blob_length = 0
        self.blob_crc = bytearray(4)
        self.blob_slot = 0
        self.blob_serial = 0
        self.blob_at = 0  # next byte of the slot
        self.blob_erased = 0  # sectors of it
        self.blob_failures = 0
        self.blob_ticket = 0
        # The order.
        self.order_kind = NOTHING
        self.order_offset = 0
        self.order_length = 0
        self.order_data = bytearray(b"\xff" * PAGE)  # the page; the bytes outside of the order are 0xFF
        self._used = 0  # bytes of it that the last one has left, up to ...
        self._used_end = 0
        self._chain = bytearray(4)  # of a stream's ring, when the order is carried out
        self._ring = None
        self._kind = 0
        self._opens = False
        self._ticket = 0
        self._ledger = 0
        self._reserved = 0
        self._number = 0
        self._ordered_outcome = False  # in the last turn that was not the state's

    def booked(self):
        """The position up to which motion may be ordered: whatever a cut leaves, the state says at least
        that.
        """
        booked = min(self.booked_steps, self.words[RESERVED])
        if self.order_kind == PROGRAM and self._ring is self.rings[STATE]:
            booked = min(booked, self._reserved)
        return booked

    def save(self):
        """Have a snapshot of `words` written; the ticket is booked when `saved_ticket` has reached it."""
        self.save_ticket += 1
        self.asked = True
        return self.save_ticket

    def reserve(self):
        """Have the ledger's fields written."""
        self.ledger_ticket += 1
        self.asked = True

    def grant(self, tick):
        """A patient bolus begins at `tick`: counts it and saves. Gives the ticket."""
        self.words[GRANTS] += 1
        self.words[GRANT_TICK] = tick
        self.grant_ticket = self.save()
        return self.grant_ticket

    def open_steps(self, dose_steps):
        """Steps of dose up to `dose_steps` that the history does not hold yet, in today's unit."""
        return self.ref_open_steps + dose_steps - self.ref_dose_steps

    def close_minute(self, minute, dose_steps):
        """Minute `minute` is over, at whose end `dose_steps` had been given."""
        denials = self.words[DENIALS]
        if self.open_steps(dose_steps) > 0 or denials != self.ref_denials:
            self.minute_pending = True
            self.asked = True
            self.minute = minute
            self.minute_dose_steps = dose_steps
            self.minute_denials = denials

    def rescale(self, num, den, dose_steps):
        """All dose so far, `dose_steps` of it, counts num/den from now on, rounded up for each minute. Saves;
        gives the ticket. Raises JournalError while the last change is still to be written.
        """
        if self.rescale_ticket:
            raise JournalError("rescale: the last change of unit is still to be written")
        words = self.words
        words[RESCALES] += 1
        words[RESCALES + 1] = num
        words[RESCALES + 2] = den
        words[RESCALES + 3] = dose_steps
        words[RESCALES + 4] = -(-self.open_steps(dose_steps) * num // den)
        self.minute_pending = False  # it is in what is open
        self.rescale_ticket = self.save()
        return self.rescale_ticket

    def begin_blob(self, kind, data):
        """Start to write a therapy, library or calibration. Raises JournalError if another one is being
        written, or if it is too long.
        """
        if self.blob_kind >= 0:
            raise JournalError("slot: another one is being written")
        count, sectors = self.slots[kind]
        most = sectors * self.sector_bytes - UNIT
        if not 0 < len(data) <= most:
            raise JournalError("slot: %d bytes, must be 1 to %d" % (len(data), most))
        serials = self.slot_serials[kind]
        newest = 0
        for slot in range(count):
            if serials[slot] > serials[newest]:
                newest = slot
        # The one in force may not be readable any more: its number is taken all the same.
        self.blob_serial = max(serials[newest], self.words[SERIALS[kind]]) + 1
        self.blob_slot = newest
        self._take_next_slot(kind)
        self.blob_data = data
        self.blob_length = len(data)
        self._value_begin()
        self.crc(data, 0, len(data), self._value)
        for index in range(4):
            self.blob_crc[index] = self._value[index]
        self.blob_ticket += 1
        self.blob_kind = kind
        self.asked = True

    def _take_next_slot(self, kind):
        serials = self.slot_serials[kind]
        while True:
            self.blob_slot = (self.blob_slot + 1) % self.slots[kind][0]
            if not self._in_force(kind, serials[self.blob_slot]):
                break
        serials[self.blob_slot] = 0
        self.blob_at = 0
        self.blob_erased = 0
        self.blob_failures = 0

    def _in_force(self, kind, serial):
        if serial == 0:
            return False
        words = self.words
        return serial == words[SERIALS[kind]] or (kind == THERAPY and serial == words[DRUG_SERIAL])

    def blob_done(self):
        """Whether the slot begun is written and read back."""
        return self.blob_kind >= 0 and self.blob_at == UNIT + self.blob_length

    def adopt(self):
        """Put the slot that is done in force with the next snapshot. Gives its serial; the caller saves."""
        kind = self.blob_kind
        self.slot_serials[kind][self.blob_slot] = self.blob_serial
        self.words[SERIALS[kind]] = self.blob_serial
        self.drop_blob()
        return self.blob_serial

    def drop_blob(self):
        """Forget the slot begun."""
        self.blob_kind = -1
        self.blob_data = b""

    # --- once a tick

    def heard(self, done, ok):
        """What came of the order: whether the driver has carried it out, and whether the flash then read as
        ordered (for an erase: all ones).
        """
        if self.order_kind == NOTHING or not done:
            return
        kind = self.order_kind
        self.order_kind = NOTHING
        self.asked = True
        if kind == PROGRAM:
            self._used = self.order_offset % PAGE
            self._used_end = self._used + self.order_length
        if self.wiped >= 0:
            self.wiped += ok
            return
        if not ok:
            self.failures += 1
            self.failed = self.failures >= MOST_FAILURES
        elif kind == PROGRAM:
            self.failures = 0
        ring = self._ring
        if ring is None:
            self._heard_of_slot(kind, ok)
            return
        ring.bad = 0 if ok else ring.bad + 1
        if kind == ERASE:
            ring.spare = ok
            if ring.bad >= MOST_BAD:
                ring.head = self._next(ring)  # leave that sector alone
                ring.at = self.sector_bytes
                ring.bad = 0
            return
        if self._opens:
            ring.head = self._next(ring)
            ring.spare = False
        ring.at = self.order_offset + self.order_length - self._sector_start(ring, ring.head)
        if not ok:
            if ring.number == STATE:
                # It may read as valid some day, so no more than it says is booked.
                self.booked_steps = min(self.booked_steps, self._reserved)
            if self._opens or ring.bad >= MOST_BAD:
                ring.at = self.sector_bytes  # leave this sector alone
            return
        if self._kind == CLOSED:
            ring.closed = ring.at >= ring.used
        else:
            self._booked(ring)

    def _booked(self, ring):
        kind = self._kind
        ring.sequence += 1
        if ring.number == STATE:
            self.ledgered_ticket = self._ledger
            self.booked_steps = self._reserved
            if kind == SNAPSHOT:
                self.saved_ticket = self._ticket
                self.started = True
        elif kind == MINUTE:
            self.ref_dose_steps = self._number
            self.ref_open_steps = 0
            self.ref_denials = self._reserved
            if self.minute_dose_steps == self._number and self.minute_denials == self._reserved:
                self.minute_pending = False
        elif kind == GRANT:
            if self.words[GRANTS] == self._number:
                self.grant_ticket = 0
        elif kind == OUTCOME:
            self.outcomes.wrote(self._number, self._ticket)
        elif kind == RESCALE:
            self.rescale_ticket = 0
            self.ref_dose_steps = self.words[RESCALES + 3]
            self.ref_open_steps = self.words[RESCALES + 4]
        else:
            if self._opens:
                ring.firsts[ring.head] = self._reserved
            ring.begun = True
            ring.sequence = self._number
            ring.cursor = self._ticket
            for index in range(4):
                ring.chain[index] = self._chain[index]

    def _heard_of_slot(self, kind, ok):
        if self.blob_kind < 0 or self._ticket != self.blob_ticket:
            return
        if not ok:
            # A slot is not patched: once more from the start, then the next one.
            self.blob_failures += 1
            self.blob_erased = 0
            self.blob_at = 0
            if self.blob_failures >= MOST_BAD:
                self._take_next_slot(self.blob_kind)
        elif kind == ERASE:
            self.blob_erased += 1
        else:
            self.blob_at += self.order_length

    def order(self, erase_allowed):
        """Choose this tick's order. `erase_allowed`: the motor's queue covers the 400 ms that an erase may
        take.
        """
        if not self.asked and self.outcomes.all_written and self.log_count == self.rings[EVENTS].cursor:
            return
        if self.wiped >= 0:
            self._order_wipe(erase_allowed)
            return
        if self.order_kind != NOTHING or self.failed or (self.status != VIRGIN and self.status != SOUND):
            return
        state = self.rings[STATE]
        wanted = self.save_ticket != self.saved_ticket or self.ledger_ticket != self.ledgered_ticket
        if wanted and (self._order_state(state) or self._order_erase(state, erase_allowed)):
            return
        if not self.started:
            return
        # A command waits for its outcome's announcement, but no flood of commands keeps the rest from being
        # written: every other turn is theirs.
        turn_of_outcome = not self._ordered_outcome
        self._ordered_outcome = False
        if turn_of_outcome and self._order_outcome(self.rings[OUTCOMES], erase_allowed):
            return
        if self.erase_due() and self._order_erase(state, erase_allowed):
            return
        if self._order_history(self.rings[HISTORY], erase_allowed):
            return
        if self.blob_kind >= 0 and self._order_slot(erase_allowed):
            return
        self._catch_up()
        if self._order_stream(self.rings[FAULTS], erase_allowed):
            return
        if self._order_stream(self.rings[EVENTS], erase_allowed):
            return
        if not turn_of_outcome and self._order_outcome(self.rings[OUTCOMES], erase_allowed):
            return
        for ring in self.rings:
            # Before it is needed: while half a sector of state is left, a quarter of the others.
            left = self.sector_bytes - ring.at
            early = self.sector_bytes >> (1 if ring.number == STATE else 2)
            if left < early and self._order_erase(ring, erase_allowed):
                return
        # What an erase was wanted for would have been ordered: nothing is left to do.
        self.asked = not erase_allowed

    def _catch_up(self):
        """Events that were overwritten before they could be written are a visible gap, and counted."""
        oldest = self.log_count - self.log_capacity
        events = self.rings[EVENTS]
        if events.cursor < oldest:
            self.lost_events += oldest - events.cursor
            events.cursor = oldest
        faults = self.rings[FAULTS]
        if faults.cursor < oldest:
            faults.cursor = oldest

    def is_behind(self):
        """Whether more events are to be written than a page takes."""
        return self.log_count - self.rings[EVENTS].cursor > PAGE // UNIT

    def _order_wipe(self, allowed):
        if self.order_kind != NOTHING or not allowed or self.wiped * self.sector_bytes == self.region_bytes:
            return
        state = self.rings[STATE]
        sector = self.wiped
        if sector < state.sectors:
            sector = (state.head + 1 + sector) % state.sectors
        self._ring = None
        self._ticket = -1
        self._erase(sector * self.sector_bytes)

    def erase_due(self):
        """Whether the state's ring wants its next sector erased, and motion booked to last through it."""
        state = self.rings[STATE]
        return not state.spare and self.sector_bytes - state.at < self.sector_bytes >> 1

    def _order_erase(self, ring, allowed):
        if ring.spare or not allowed:
            return False
        self._ring = ring
        sector = self._next(ring)
        self._erase(self._sector_start(ring, sector))
        if ring.number in STREAMS:
            ring.firsts[sector] = -1
        return True

    def _erase(self, offset):
        self.order_kind = ERASE
        self.order_offset = offset
        self.order_length = self.sector_bytes

    def _order_state(self, ring):
        snapshot = self.save_ticket != self.saved_ticket
        length = UNIT * (KINDS[SNAPSHOT][0] if snapshot else KINDS[LEDGER][0])
        offset = self._place(ring, length)
        if offset < 0:
            return False
        snapshot = snapshot or self._opens
        kind = SNAPSHOT if snapshot else LEDGER
        self._begin(ring, offset, kind, ring.sequence)
        words = self.words
        data = self.order_data
        at = offset % PAGE + PAYLOAD
        for index in range(len(FIELDS) if snapshot else LEDGER_FIELDS):
            struct.pack_into("<i", data, at, words[index])
            at += 4
        self._ticket = self.save_ticket
        self._ledger = self.ledger_ticket
        self._reserved = words[RESERVED]
        self._seal()
        return True

    def _order_history(self, ring, erase_allowed):
        words = self.words
        kind = 0
        if self.rescale_ticket:
            if self.saved_ticket >= self.rescale_ticket:
                kind = RESCALE
        elif self.minute_pending:
            kind = MINUTE
        if kind == 0 and self.grant_ticket and self.saved_ticket >= self.grant_ticket:
            kind = GRANT
        if kind == 0:
            return False
        if self._order_close(ring):
            return True
        offset = self._place(ring, UNIT)
        if offset < 0:
            return self._order_erase(ring, erase_allowed)
        self._begin(ring, offset, kind, ring.sequence)
        data = self.order_data
        at = offset % PAGE + PAYLOAD
        if kind == RESCALE:
            for index in range(5):
                struct.pack_into("<i", data, at + 4 * index, words[RESCALES + index])
        elif kind == MINUTE:
            self._number = self.minute_dose_steps
            self._reserved = self.minute_denials
            struct.pack_into(
                "<iiii",
                data,
                at,
                self.minute,
                self.minute_dose_steps,
                self.open_steps(self.minute_dose_steps),
                self.minute_denials,
            )
        else:
            self._number = words[GRANTS]
            struct.pack_into("<ii", data, at, words[GRANTS], words[GRANT_TICK])
        self._seal()
        return True

    def _order_outcome(self, ring, erase_allowed):
        place = self.outcomes.unwritten()
        if place == NOWHERE:
            return False
        if self._order_close(ring):
            return True
        offset = self._place(ring, UNIT)
        if offset < 0:
            return self._order_erase(ring, erase_allowed)
        self._ordered_outcome = True
        self._begin(ring, offset, OUTCOME, ring.sequence)
        self._number = place
        self._ticket = self.outcomes.pack(place, self.order_data, offset % PAGE + PAYLOAD)
        self._seal()
        return True

    def _order_slot(self, erase_allowed):
        if self.blob_done():
            return False
        self._ring = None
        self._ticket = self.blob_ticket
        start = self._slot_start(self.blob_kind, self.blob_slot)
        end = UNIT + self.blob_length
        if self.blob_erased * self.sector_bytes < end:
            if not erase_allowed:
                return False
            self._erase(start + self.blob_erased * self.sector_bytes)
            return True
        at = self.blob_at
        if at == 0:
            self._begin(None, start, BLOB, self.blob_serial)
            data = self.order_data
            struct.pack_into("<ii", data, PAYLOAD, self.blob_kind, self.blob_length)
            for index in range(4):
                data[PAYLOAD + 8 + index] = self.blob_crc[index]
            self._seal()
            at = UNIT
        else:
            self._clear(start + at, 0)
        place = at % PAGE
        length = min(PAGE - place, end - at)
        data = self.order_data
        source = self.blob_data
        for index in range(length):
            data[place + index] = source[at - UNIT + index]
        self.order_length += length
        return True

    def _order_stream(self, ring, erase_allowed):
        count = self.log_count
        cursor = ring.cursor
        if ring.number == FAULTS:
            count = self.rings[EVENTS].cursor  # not before the log has them
            cursor = self._next_fault(cursor, count)
            ring.cursor = cursor
        if cursor == count:
            return False
        if self._order_close(ring):
            return True
        offset = self._place(ring, UNIT if ring.begun else 2 * UNIT)
        if offset < 0:
            return self._order_erase(ring, erase_allowed)
        if self._opens or not ring.begun:
            self._begin(ring, offset, START, cursor)
            struct.pack_into("<4s", self.order_data, offset % PAGE + PAYLOAD, ring.chain)
            self._seal()
            self._reserved = cursor
        else:
            self._clear(offset, 0)
            self._ring = ring
            self._kind = START
        place = (offset + self.order_length) % PAGE
        for index in range(4):
            self._chain[index] = ring.chain[index]
        while cursor < count and (place or self.order_length == 0):
            self._pack_event(cursor, place)
            self._number = cursor + 1
            self.order_length += UNIT
            place = (place + UNIT) % PAGE
            cursor += 1
            if ring.number == FAULTS:
                cursor = self._next_fault(cursor, count)
        self._ticket = cursor
        return True

    def _order_close(self, ring):
        """After a boot, zeros over what the last command before it may have left: the rest of its page."""
        if ring.closed or ring.at == self.sector_bytes:
            return False
        offset = self._sector_start(ring, ring.head) + ring.at
        place = offset % PAGE
        self._clear(offset, PAGE - place)
        for index in range(place, PAGE):
            self.order_data[index] = 0
        self._ring = ring
        self._kind = CLOSED
        self._opens = False
        return True

    def _next_fault(self, cursor, count):
        while cursor < count:
            at = cursor % self.log_capacity * RECORD_BYTES
            # What a cut has left out of the log is not there.
            if self._event_number(at) == cursor and self.is_fault(self.log, at):
                break
            cursor += 1
        return cursor

    def _event_number(self, at):
        log = self.log
        return log[at] | log[at + 1] << 8 | log[at + 2] << 16 | log[at + 3] << 24

    def _pack_event(self, cursor, place):
        at = cursor % self.log_capacity * RECORD_BYTES
        log = self.log
        data = self.order_data
        value = self._chain
        for index in range(EVENT_BYTES):
            data[place + index] = log[at + index] if index < RECORD_BYTES else 0
        self.crc(data, place, place + EVENT_BYTES, value)
        for index in range(4):
            data[place + EVENT_BYTES + index] = value[index]

    # --- building an order

    def _next(self, ring):
        return ring.head + 1 if ring.head + 1 < ring.sectors else 0

    def _place(self, ring, length):
        """Where a record of that length goes, or -1; `_opens` says whether it opens the next sector."""
        at = ring.at
        if at % PAGE + length > PAGE:
            at += PAGE - at % PAGE
        self._opens = at + length > self.sector_bytes
        if not self._opens:
            return self._sector_start(ring, ring.head) + at
        return self._sector_start(ring, self._next(ring)) if ring.spare else -1

    def _clear(self, offset, length):
        """Begin an order to program; what the last one has left in the page goes."""
        data = self.order_data
        for index in range(self._used, self._used_end):
            data[index] = 0xFF
        self.order_kind = PROGRAM
        self.order_offset = offset
        self.order_length = length

    def _begin(self, ring, offset, kind, sequence):
        if sequence > MOST_SEQUENCE:
            raise JournalError("the sequence numbers are used up")
        units = KINDS[kind][0]
        self._clear(offset, units * UNIT)
        self._ring = ring
        self._kind = kind
        number = SLOT_RING if ring is None else ring.number
        struct.pack_into(HEAD, self.order_data, offset % PAGE, kind, units, number, VERSION, sequence)

    def _seal(self):
        place = self.order_offset % PAGE
        end = place + self.order_length - 4
        self._value_begin()
        self.crc(self.order_data, place, end, self._value)
        for index in range(4):
            self.order_data[end + index] = self._value[index]

    # --- what the link asks for

    def entries(self, stream, number):
        """The entries of `stream` (EVENTS or FAULTS) from this number on, oldest first: those kept in flash,
        then those that are still to be written. Each is its number, its 28 bytes with their CRC, and the CRC
        that this one goes on from. A generator; allocates.
        """
        ring = self.rings[stream]
        for at in self.kept(stream, number):
            found = struct.unpack_from("<I", self.image, at)[0]
            if found >= ring.cursor:
                break  # not booked yet: it comes from memory
            yield found, bytes(self.image[at : at + UNIT]), bytes(self.seed)
        value = bytearray(ring.chain)
        for cursor in range(max(ring.cursor, self.log_count - self.log_capacity), self.log_count):
            at = cursor % self.log_capacity * RECORD_BYTES
            if self._event_number(at) != cursor or (stream == FAULTS and not self.is_fault(self.log, at)):
                continue
            seed = bytes(value)
            record = self.log[at : at + EVENT_BYTES]
            self.crc(record, 0, EVENT_BYTES, value)
            if cursor >= number:
                yield cursor, bytes(record) + bytes(value), seed

    # --- at boot

    def recover(self, image):
        """Read the region and take up where the last boot left off: `words`, `status`, `torn`, `history` and
        `log_count` say how that is. Allocates. Nothing is changed in the flash.
        """
        self._go_on(self.read(image))

    def begin_anew(self):
        """A clinician has been told what `status` says, and that nothing is known: use the region all the
        same.
        """
        if self.status not in USELESS:
            raise JournalError("begin_anew: the journal is %s" % STATUSES[self.status])
        self.status = VIRGIN

    def last_sequence(self):
        """The number of the next record of state: no other ring has as many."""
        return self.rings[STATE].sequence

    def wipe(self):
        """Erase the whole region from here on, a sector in each order, and write nothing any more: whoever
        boots from it is new. The state goes first, its newest record last, so that a cut leaves what is
        there now, or a state that is lost. Until then it is as one that has failed.
        """
        self.wiped = 0
        self.failed = True
        self.asked = True

    def _go_on(self, history):
        """Take up where the last boot left off."""
        words = self.words
        self.history = history
        self.booked_steps = words[RESERVED]
        self.ref_dose_steps = history.ref_dose_steps
        self.ref_open_steps = history.ref_open_steps
        self.ref_denials = history.ref_denials
        # What the history lacks of the snapshot is written after the first one; so is what it has as its last
        # record, which may read otherwise some day.
        self.grant_ticket = 1 if history.grants_found < words[GRANTS] or history.last == GRANT else 0
        self.rescale_ticket = 1 if history.rescale_missing or history.last == RESCALE else 0
        words[GRANTS] = history.granted
        if history.granted:
            words[GRANT_TICK] = history.grants[(history.granted - 1) % MOST_GRANTS]
        words[RESCALES] = history.rescales
        # An event that was torn may read as valid once and not again, after the faults have got it.
        events = self.rings[EVENTS]
        faults = self.rings[FAULTS]
        self.log_count = max(events.sequence, faults.sequence)
        events.cursor = self.log_count
        faults.cursor = max(faults.sequence, self.log_count - self.log_capacity, 0)
        self._refill_log()

    def _refill_log(self):
        """The last events back into the log's ring, for the link and for the faults."""
        self.log[:] = bytes(len(self.log))
        for at in self.kept(EVENTS, max(self.log_count - self.log_capacity, 0)):
            place = struct.unpack_from("<I", self.image, at)[0] % self.log_capacity * RECORD_BYTES
            self.log[place : place + RECORD_BYTES] = self.image[at : at + RECORD_BYTES]
