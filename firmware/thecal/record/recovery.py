"""Reading the journal at boot: what is valid, what is torn, what state it amounts to. Changes nothing in the
flash.

How to read it: `Reader.read` looks at each part of the region in turn; `_valid` and `_follows` decide what is
believed.
"""

import struct
from array import array

from .layout import (
    BLANK,
    DAY_MINUTES,
    DENIALS,
    DOSE,
    EVENT_BYTES,
    EXECUTED,
    FIELDS,
    FOREIGN,
    GRANT,
    GRANT_TICK,
    GRANTS,
    HISTORY,
    INDEX,
    KINDS,
    LEDGER,
    LEDGER_FIELDS,
    LOST,
    MINUTE,
    MINUTE_TICKS,
    MOST_BAD,
    MOST_GRANTS,
    MOST_SEQUENCE,
    NEWER,
    OLDER,
    OUTCOMES,
    PAGE,
    PAYLOAD,
    RESCALE,
    RESCALE_DOSE,
    RESCALES,
    RESERVED,
    RESIDUE,
    SEQUENCE_AT,
    SLOT_RING,
    SNAPSHOT,
    SOUND,
    START,
    STATE,
    STREAMS,
    TICK,
    UNIT,
    VERSION,
    VIRGIN,
    ZEROS,
    JournalError,
)
from .outcomes import ENTRY_BYTES, KEPT, KEY_BYTES, Outcomes

# An event goes on from a START or an event of the page before its own, but for pages between that the flash
# did not take.
BEFORE = (MOST_BAD + 1) * PAGE


class Ring:
    """Where one ring stands. `at` is the next free byte of the head sector, its length when it is full."""

    def __init__(self, number, start, sectors, sector_bytes):
        self.number = number
        self.start = start
        self.sectors = sectors
        self.head = sectors - 1  # before the first record: the next sector is 0
        self.at = sector_bytes
        self.spare = False  # the sector after the head was erased since this boot
        self.sequence = 1
        self.bad = 0  # failures in a row
        # Streams only: the CRC of the last event, and the first event of each sector (-1 where there is
        # none).
        self.chain = bytearray(4)
        # Since this boot: whether the place where a cut may have left something is closed, and (streams)
        # whether a START has come after it, since what was written before may read otherwise some day.
        self.closed = False
        self.used = 0  # end of what is not blank in the head sector
        self.begun = False
        self.firsts = array("i", [-1] * (sectors if number in STREAMS else 0))
        self.cursor = 0  # the next event of the log to be looked at


class Reader:
    """One region and what was found in it. `words` are the fields of the state, `torn` the places that are
    neither blank nor valid, `status` what all of it amounts to.
    """

    def __init__(self, crc, sector_bytes, ring_sectors, slots):
        self.crc = crc
        self.sector_bytes = sector_bytes
        self.rings = []
        start = 0
        for number in range(len(ring_sectors)):
            self.rings.append(Ring(number, start, ring_sectors[number], sector_bytes))
            start += ring_sectors[number] * sector_bytes
        self.slots = slots
        self.slot_starts = []
        for count, sectors in slots:
            self.slot_starts.append(start)
            start += count * sectors * sector_bytes
        self.slot_serials = [[0] * count for count, _ in slots]
        self.region_bytes = start
        self.outcomes = Outcomes()
        self.image = b""
        self.words = array("i", [0] * len(FIELDS))
        self._blank_state()
        self.status = VIRGIN
        self.torn = 0
        self._newer = self._older = False
        self._blank_sector = b""
        self._value = bytearray(4)
        self.seed = bytearray(4)  # the CRC that the last event found by `kept` goes on from

    def _blank_state(self):
        for index in range(len(FIELDS)):
            self.words[index] = 0
        self.words[INDEX["fill_nl"]] = -1
        self.words[INDEX["lockout_end_tick"]] = -1

    # --- what the pump asks for

    def read(self, image):
        """Read the region, any object whose bytes can be indexed and sliced, into `words`, `status` and
        `torn`. Returns the `History`. Allocates.
        """
        if len(image) != self.region_bytes:
            raise JournalError("the region has %d bytes, %d are needed" % (len(image), self.region_bytes))
        self.image = image
        self.torn = 0
        self.outcomes = Outcomes()
        self._newer = self._older = False
        self._blank_sector = b"\xff" * self.sector_bytes
        self._blank_state()
        found = self._recover_state(self.rings[STATE])
        self.rings[STATE].at = self.sector_bytes
        minutes = self._find_head(self.rings[HISTORY])
        others = len(minutes) > 0
        for number in STREAMS:
            others = self._recover_stream(self.rings[number]) or others
        others = self._recover_outcomes(self.rings[OUTCOMES]) or others
        others = self._find_slots() or others
        if self._newer:
            self.status = NEWER
        elif found:
            self.status = SOUND
        elif self._older:
            self.status = OLDER
        elif others:
            self.status = LOST
        else:
            # The first sector ever used may be half erased.
            blank = self._blank(self.sector_bytes, self.region_bytes)
            self.status = VIRGIN if blank else FOREIGN
        self._blank_sector = b""
        return History(self, minutes)

    def _sector_start(self, ring, sector):
        return ring.start + sector * self.sector_bytes

    def _value_begin(self):
        value = self._value
        value[0] = value[1] = value[2] = value[3] = 0

    def _recover_state(self, ring):
        ledger = -1
        for sector in reversed(self._find_head(ring)):
            snapshot = last = -1
            for at in self._records(ring, sector, False):
                kind = self.image[at]
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

    def _unpack(self, at, count):
        for index in range(count):
            self.words[index] = struct.unpack_from("<i", self.image, at + PAYLOAD + 4 * index)[0]

    def _find_head(self, ring):
        """Find where the ring goes on. Returns its sectors that hold records, oldest first."""
        order = []
        for sector in range(ring.sectors):
            at = self._first(ring, sector)
            if at >= 0:
                order.append((self._sequence(at), sector))
        if order:
            oldest = order.index(min(order))
            order = order[oldest:] + order[:oldest]
            # The ring goes round, so they are in order by now; MicroPython's sort is slowest where they are.
            if any(order[index] < order[index - 1] for index in range(1, len(order))):
                order.sort()
        sectors = [sector for _, sector in order]
        if sectors:
            ring.head = sectors[-1]
            last = -1
            for at in self._records(ring, ring.head, True):
                last = at
            if last >= 0:
                # One is left out: a torn record that reads as valid some day must not have the number of
                # another.
                ring.sequence = self._sequence(last) + 2
        return sectors

    def _sequence(self, at):
        return struct.unpack_from("<I", self.image, at + SEQUENCE_AT)[0]

    def _first(self, ring, sector):
        """The offset of the first valid record of a sector, -1 without one."""
        start = self._sector_start(ring, sector)
        if self._valid(start, start + self.sector_bytes, ring.number):
            return start
        if self._in_use(ring, sector):
            for at in self._records(ring, sector, False):
                return at
        return -1

    def _records(self, ring, sector, head):
        """The offsets of the valid records of a sector. Of the `head`, finds where its free part begins, and
        counts what is torn.
        """
        start = self._sector_start(ring, sector)
        at = start
        end = start + self.sector_bytes
        number = ring.number
        bad = False
        while at < end:
            units = self._valid(at, end, number)
            if units:
                yield at
                bad = False
                at += units * UNIT
                if head:
                    ring.at = ring.used = at - start
            else:
                at += UNIT
                if head and not self._blank(at - UNIT, at):
                    ring.used = at - start
                    if not bad and self.image[at - UNIT : at] != ZEROS:
                        self.torn += 1
                        bad = True

    def _in_use(self, ring, sector):
        """Whether there is anything in a sector: most need no closer look."""
        start = self._sector_start(ring, sector)
        return self.image[start : start + self.sector_bytes] != self._blank_sector

    def _blank(self, start, end):
        image = self.image
        while start < end:
            stop = min(start + PAGE, end)
            if image[start:stop] != BLANK[: stop - start]:
                return False
            start = stop
        return True

    def _valid(self, at, end, number):
        """The units of the record at `at`, 0 if there is no valid one of ring `number`."""
        image = self.image
        if image[at + 2] != number:
            return 0
        units = image[at + 1]
        stop = at + units * UNIT
        if units == 0 or stop > end:
            return 0
        value = self._value
        value[0] = value[1] = value[2] = value[3] = 0
        self.crc(image, at, stop, value)
        if value != RESIDUE:
            return 0
        if image[at + 3] != VERSION:  # another layout: no number in it means what it would here
            if image[at + 3] > VERSION:
                self._newer = True
            else:
                self._older = True
            return 0
        kind = image[at]
        return units if 0 < kind < len(KINDS) and KINDS[kind][0] == units else 0

    # --- outcomes

    def _recover_outcomes(self, ring):
        """Into `outcomes` the last record of each of the last commands. Whether there are any."""
        found = {}
        newest_first = []
        for sector in reversed(self._find_head(ring)):
            records = [
                bytes(self.image[at + PAYLOAD : at + PAYLOAD + ENTRY_BYTES])
                for at in self._records(ring, sector, False)
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

    # --- events

    def _recover_stream(self, ring):
        found = False
        newest = -1
        for sector in range(ring.sectors):
            ring.firsts[sector] = -1
            if self._in_use(ring, sector):
                for _, number in self._entries(ring, sector):
                    ring.firsts[sector] = number
                    break
            if ring.firsts[sector] >= 0:
                found = True
                if newest < 0 or ring.firsts[sector] > ring.firsts[newest]:
                    newest = sector
        if not found:
            ring.sequence = 0
            return False
        ring.head = newest
        start = self._sector_start(ring, newest)
        last = start
        for at, number in self._entries(ring, newest):
            last = at
            ring.sequence = number + 1
        for index in range(4):
            ring.chain[index] = self.image[last + EVENT_BYTES + index]
        used = start + self.sector_bytes
        while self._blank(used - UNIT, used):
            used -= UNIT
        self.torn += used > last + UNIT and self.image[used - UNIT : used] != ZEROS
        ring.used = used - start
        ring.at = last + UNIT - start
        return True

    def _entries(self, ring, sector, wanted=0):
        """The valid events of a sector as (offset, number), or, quicker, those from `wanted` on and some
        before. One is valid if its CRC goes on from the last valid one, or from the CRC that stands right
        before it.
        """
        image = self.image
        start = self._sector_start(ring, sector)
        end = start + self.sector_bytes
        chain = ZEROS  # where the last CRC is
        chain_at = 0
        last = -1
        for at in range(self._begin_of(ring, start, end, wanted), end, UNIT):
            if image[at + 2] == ring.number and self._valid(at, end, ring.number):
                chain = image
                chain_at = at + PAYLOAD
                continue
            if image[at + 3] > MOST_SEQUENCE >> 24:  # nothing there, most often
                continue
            number = struct.unpack_from("<I", image, at)[0]
            if number > last and (
                self._follows(at, chain, chain_at) or (at > start and self._follows(at, image, at - 4))
            ):
                chain = image
                chain_at = at + EVENT_BYTES
                last = number
                yield at, number

    def _begin_of(self, ring, at, end, wanted):
        """From where a sector, at:end, has to be read for its events from `wanted` on: a bit before the first
        place whose number, believed unseen, is not below it.
        """
        image = self.image
        start = at
        while at < end:
            high = image[at + 3]
            if high == VERSION and image[at + 2] == ring.number and image[at] == START:
                pass  # no number
            elif (
                high > MOST_SEQUENCE >> 24
                or image[at] | image[at + 1] << 8 | image[at + 2] << 16 | high << 24 >= wanted
            ):
                break
            at += UNIT
        return max(at - BEFORE, start)

    def _follows(self, at, seed, seed_at):
        value = self._value
        for index in range(4):
            value[index] = self.seed[index] = seed[seed_at + index]
        self.crc(self.image, at, at + UNIT, value)
        return value == RESIDUE

    def kept(self, stream, number):
        """The offsets in the region of the events of `stream` (EVENTS or FAULTS) that are kept, from the one
        with this number on, oldest first: each 28 bytes and its CRC. A generator.
        """
        ring = self.rings[stream]
        best = -1
        for sector in range(ring.sectors):
            # The sector with the last beginning that is not behind, else the oldest one.
            first = ring.firsts[sector]
            if first < 0:
                continue
            if best < 0:
                best = sector
            elif ring.firsts[best] > number:
                if first < ring.firsts[best]:
                    best = sector
            elif first <= number and first > ring.firsts[best]:
                best = sector
        while best >= 0:
            if ring.firsts[best] >= 0:
                for at, found in self._entries(ring, best, number):
                    if found >= number:
                        yield at
            if best == ring.head:
                return
            best = best + 1 if best + 1 < ring.sectors else 0

    # --- slots

    def _find_slots(self):
        found = False
        for kind in range(len(self.slots)):
            for slot in range(self.slots[kind][0]):
                serial = self._slot_serial(kind, slot)
                self.slot_serials[kind][slot] = serial
                found = found or serial > 0
        return found

    def _slot_start(self, kind, slot):
        return self.slot_starts[kind] + slot * self.slots[kind][1] * self.sector_bytes

    def _slot_serial(self, kind, slot):
        """The serial of what a slot holds, 0 if it is blank or not whole."""
        at = self._slot_start(kind, slot)
        if not self._valid(at, at + UNIT, SLOT_RING):
            return 0
        image = self.image
        serial = self._sequence(at)
        written, length = struct.unpack_from("<ii", image, at + PAYLOAD)
        if written != kind or not 0 < length <= self.slots[kind][1] * self.sector_bytes - UNIT:
            return 0
        self._value_begin()
        self.crc(image, at + UNIT, at + UNIT + length, self._value)
        return serial if image[at + PAYLOAD + 8 : at + PAYLOAD + 12] == self._value else 0

    def blob(self, kind, serial):
        """The bytes of the therapy, library or calibration `serial`, None if no slot holds it whole."""
        for slot in range(self.slots[kind][0]):
            if serial and self.slot_serials[kind][slot] == serial and self._slot_serial(kind, slot) == serial:
                at = self._slot_start(kind, slot)
                length = struct.unpack_from("<i", self.image, at + PAYLOAD + 4)[0]
                return self.image[at + UNIT : at + UNIT + length]
        return None


class History:
    """The last day: `minutes[age]` is the dose of the minute so long ago (0: the one that runs, with all that
    is reserved and not in the history), `grants[n % 96]` and `denials[n % 96]` the ticks of the n-th, as in
    `watch.lockout`. What was lost of it counts as late as it can have been.
    """

    def __init__(self, journal, sectors):
        words = journal.words
        tick = words[TICK]
        now = tick // MINUTE_TICKS
        self.minutes = array("i", [0] * (DAY_MINUTES + 1))
        self.grants = array("i", [0] * MOST_GRANTS)
        self.denials = array("i", [0] * MOST_GRANTS)
        self.granted = 0
        self.denied = 0
        self.rescales = 0
        self.ref_dose_steps = 0
        self.ref_open_steps = 0
        self.ref_denials = 0
        ring = journal.rings[HISTORY]
        image = journal.image
        self.last = 0  # kind of the last record
        first = True
        for index in range(len(sectors)):
            if index + 1 < len(sectors) and self._all_old(journal, sectors[index + 1], now):
                continue
            for at in journal._records(ring, sectors[index], False):
                # With the beginning of the history gone, the first record has to be believed by itself.
                known = not first or journal._sequence(at) == 1
                first = False
                kind = self.last = image[at]
                if kind == MINUTE:
                    # One by one: behind tuples of two blocks each allocation would look longer for its place.
                    minute = struct.unpack_from("<i", image, at + PAYLOAD)[0]
                    dose_steps = struct.unpack_from("<i", image, at + PAYLOAD + 4)[0]
                    steps = struct.unpack_from("<i", image, at + PAYLOAD + 8)[0]
                    denials = struct.unpack_from("<i", image, at + PAYLOAD + 12)[0]
                    if known:
                        # More than it says if a record before it is lost.
                        steps = self.ref_open_steps + dose_steps - self.ref_dose_steps
                    else:
                        self.denied = denials
                    age = now - minute
                    if age <= DAY_MINUTES:
                        self.minutes[age if age > 0 else 0] += steps
                    if denials > self.denied:
                        self._deny(denials, (minute + 1) * MINUTE_TICKS)
                    self.ref_dose_steps = dose_steps
                    self.ref_open_steps = 0
                    self.ref_denials = denials
                elif kind == GRANT:
                    self._grant(*struct.unpack_from("<ii", image, at + PAYLOAD))
                    first = not known
                elif kind == RESCALE:
                    self._rescale(struct.unpack_from("<iiiii", image, at + PAYLOAD))
        self.grants_found = self.granted
        # Not there because it is not written yet (no dose is, until it is), or because it is long gone?
        self.rescale_missing = self.rescales < words[RESCALES] and self.ref_dose_steps <= words[RESCALE_DOSE]
        if self.rescale_missing:
            self._rescale(words[RESCALES : RESCALES + 5])
        self.rescales = max(self.rescales, words[RESCALES])
        self._grant(words[GRANTS], words[GRANT_TICK])
        self._deny(words[DENIALS], tick)
        # All that is reserved counts as given.
        dose_steps = words[DOSE] + words[RESERVED] - words[EXECUTED]
        self.minutes[0] += self.ref_open_steps + dose_steps - self.ref_dose_steps

    def _all_old(self, journal, sector, now):
        """Whether all before `sector` is more than a day old."""
        for at in journal._records(journal.rings[HISTORY], sector, False):
            if journal.image[at] == MINUTE:
                return now - struct.unpack_from("<i", journal.image, at + PAYLOAD)[0] > DAY_MINUTES
        return False

    def _grant(self, number, tick):
        if self.granted == 0 and number > 0:
            self.granted = number - 1  # those before are older than the history
        while self.granted < number:
            self.grants[self.granted % MOST_GRANTS] = tick
            self.granted += 1

    def _deny(self, number, tick):
        self.denied = max(self.denied, number - MOST_GRANTS)
        while self.denied < number:
            self.denials[self.denied % MOST_GRANTS] = tick
            self.denied += 1

    def _rescale(self, values):
        number, num, den, dose_steps, open_steps = values
        if number <= self.rescales:
            return  # written once more after a boot
        self.rescales = number
        for age in range(DAY_MINUTES + 1):
            self.minutes[age] = -(-self.minutes[age] * num // den)
        self.ref_dose_steps = dose_steps
        self.ref_open_steps = open_steps
