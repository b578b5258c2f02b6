"""The history in its ring: the dose of each minute, patient boluses, denials, changes of unit. It holds more
than a day.

A change of unit, of the drug or of the rig, is numbered. Of those with the same number the last one counts,
and what the state says of it before any record: one that is still to be written when the next one comes, at a
boot under another rig, is made one with it. Nothing else is written between the two.

`Writer` writes it. A record that belongs to a snapshot is written after that, and `Writer.go_on` has what is
missing of it completed after a boot. `History` is what a boot has found.
"""

import struct
from array import array

from ..smallint import LARGEST, bounded_ratio
from .layout import (
    DAY_MINUTES,
    DENIALS,
    DOSE,
    EXECUTED,
    GRANT,
    GRANT_TICK,
    GRANTS,
    MINUTE,
    MINUTE_TICKS,
    MOST_GRANTS,
    PAGE,
    PAYLOAD,
    RESCALE,
    RESCALE_DOSE,
    RESCALE_OPEN,
    RESCALE_SEQUENCE,
    RESCALES,
    RESERVED,
    TICK,
    UNIT,
    JournalError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .ring import Ring


MOST_STEPS = LARGEST >> 1  # of a day: more than any limit, and can still be added to


class Writer:
    """Of one ring. `state` is what its records belong to."""

    def __init__(self, ring, region, command, state):
        self.ring = ring
        self.region = region
        self.command = command
        self.state = state
        self.minute_pending = False
        self.minute = 0
        self.minute_dose_steps = 0
        self.minute_denials = 0
        self.grant_ticket = 0  # 0: no record is to be written
        self.rescale_ticket = 0
        self.ref_dose_steps = 0  # dose that the history holds ...
        self.ref_open_steps = 0  # ... and what of it is still open after a change of unit
        self.ref_denials = 0
        # What is on its way: the kind of its record, and what it says.
        self.way_kind = MINUTE
        self.way_dose_steps = 0
        self.way_denials = 0
        self.way_grants = 0

    def open_steps(self, dose_steps: int) -> int:
        """Steps of dose up to `dose_steps` that the history does not hold yet, in today's unit."""
        return self.ref_open_steps + dose_steps - self.ref_dose_steps

    def close_minute(self, minute, dose_steps):
        """Minute `minute` is over, at whose end `dose_steps` had been given."""
        denials = self.state.words[DENIALS]
        if self.open_steps(dose_steps) > 0 or denials != self.ref_denials:
            self.minute_pending = True
            self.command.asked = True
            self.minute = minute
            self.minute_dose_steps = dose_steps
            self.minute_denials = denials

    def grant(self, tick):
        """A patient bolus begins at `tick`: counts it and saves. Gives the ticket."""
        words = self.state.words
        words[GRANTS] += 1
        words[GRANT_TICK] = tick
        self.grant_ticket = self.state.save()
        return self.grant_ticket

    def rescale(self, num, den, dose_steps):
        """All dose so far, `dose_steps` of it, counts num/den from now on, rounded up for each minute. Saves;
        gives the ticket. Raises JournalError while the last change is still to be written.
        """
        if self.rescale_ticket:
            raise JournalError("rescale: the last change of unit is still to be written")
        self.state.words[RESCALES] += 1
        open_steps = -(-self.open_steps(dose_steps) * num // den)
        self._change(num, den, dose_steps, open_steps)
        self.rescale_ticket = self.state.save()
        return self.rescale_ticket

    def recount(self, history, num, den, dose_steps: int, was_steps: int) -> None:
        """At a boot, before anything is written: every step of dose so far counts num/den from now on,
        rounded up for each minute, also in `history`; `dose_steps` of them are what `was_steps` were. Written
        after the first snapshot.
        """
        open_steps = min(-(-self.open_steps(was_steps) * num // den), LARGEST)
        history.recount(num, den)
        words = self.state.words
        if self.rescale_ticket:  # the last change may be still to be written: now both are one
            num, den = bounded_ratio(num * words[RESCALES + 1], den * words[RESCALES + 2])
        else:
            words[RESCALES] += 1
            self.rescale_ticket = 1
        self._change(num, den, dose_steps, open_steps)
        self.ref_dose_steps = dose_steps
        self.ref_open_steps = open_steps

    def _change(self, num, den, dose_steps: int, open_steps: int) -> None:
        words = self.state.words
        words[RESCALES + 1] = num
        words[RESCALES + 2] = den
        words[RESCALE_DOSE] = dose_steps
        words[RESCALE_OPEN] = open_steps
        # One record may be on its way.
        words[RESCALE_SEQUENCE] = self.ring.sequence + 1
        self.minute_pending = False  # it is in what is open

    def erase(self, allowed: bool):
        """Have the next sector erased. Whether it is ordered."""
        return self.ring.erase(self, allowed)

    def order(self, erase_allowed: bool):
        """Write what is asked for, if the snapshot that it belongs to is booked. Whether a command is
        ordered.
        """
        kind = self._due()
        if kind == 0:
            return False
        ring = self.ring
        if ring.close(self):
            return True
        offset = ring.place(UNIT)
        if offset < 0:
            return self.erase(erase_allowed)
        ring.begin(self, offset, kind)
        self.way_kind = kind
        self._pack(kind, offset % PAGE + PAYLOAD)
        self.command.seal(self.region)
        return True

    def _due(self):
        """The kind of the record that is to be written now, 0 if there is none."""
        saved_ticket = self.state.saved_ticket
        kind = 0
        if self.rescale_ticket:
            if saved_ticket >= self.rescale_ticket:
                kind = RESCALE
        elif self.minute_pending:
            kind = MINUTE
        if kind == 0 and self.grant_ticket and saved_ticket >= self.grant_ticket:
            kind = GRANT
        return kind

    def _pack(self, kind, at):
        words = self.state.words
        data = self.command.data
        if kind == RESCALE:
            for index in range(5):
                struct.pack_into("<i", data, at + 4 * index, words[RESCALES + index])
        elif kind == MINUTE:
            dose_steps = self.minute_dose_steps
            denials = self.minute_denials
            self.way_dose_steps = dose_steps
            self.way_denials = denials
            open_steps = self.open_steps(dose_steps)
            struct.pack_into("<iiii", data, at, self.minute, dose_steps, open_steps, denials)
        else:
            self.way_grants = words[GRANTS]
            struct.pack_into("<ii", data, at, words[GRANTS], words[GRANT_TICK])

    def heard(self, kind, ok):
        """What came of a command."""
        if not self.ring.heard(kind, ok):
            return
        self.ring.sequence += 1
        words = self.state.words
        if self.way_kind == MINUTE:
            self.ref_dose_steps = self.way_dose_steps
            self.ref_open_steps = 0
            self.ref_denials = self.way_denials
            if self.minute_dose_steps == self.way_dose_steps and self.minute_denials == self.way_denials:
                self.minute_pending = False
        elif self.way_kind == GRANT:
            if words[GRANTS] == self.way_grants:
                self.grant_ticket = 0
        else:
            self.rescale_ticket = 0
            self.ref_dose_steps = words[RESCALE_DOSE]
            self.ref_open_steps = words[RESCALE_OPEN]

    def go_on(self, history):
        """Take up where the last boot left off."""
        words = self.state.words
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


class History:
    """The last day: `minutes[age]` is the dose of the minute so long ago (0: the one that runs, with all that
    is reserved and not in the history), `grants[n % 96]` and `denials[n % 96]` the ticks of the n-th, as in
    `watch.lockout`. What was lost of it counts as late as it can have been.
    """

    def __init__(self, words, ring, sectors):
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
        image = ring.region.image
        self.last = 0  # kind of the last record ...
        sequence = 0  # ... and its number
        self.change = ()  # the change of unit that was read last, if that is still to be counted
        first = True
        for index in range(len(sectors)):
            if index + 1 < len(sectors) and _all_old(ring, sectors[index + 1], now):
                continue
            for at in ring.records(sectors[index], False):
                # With the beginning of the history gone, the first record has to be believed by itself.
                sequence = ring.region.sequence(at)
                known = not first or sequence == 1
                first = False
                kind = self.last = image[at]
                if kind != RESCALE:
                    self._count_change()
                if kind == MINUTE:
                    self._minute(image, at + PAYLOAD, now, known)
                elif kind == GRANT:
                    self._grant(*struct.unpack_from("<ii", image, at + PAYLOAD))
                    first = not known
                elif kind == RESCALE:
                    change = struct.unpack_from("<iiiii", image, at + PAYLOAD)
                    if self.change and self.change[0] != change[0]:
                        self._count_change()
                    self.change = change
        self.grants_found = self.granted
        self._count_last_change(words, sequence)
        self._grant(words[GRANTS], words[GRANT_TICK])
        self._deny(words[DENIALS], tick)
        # All that is reserved counts as given.
        dose_steps = words[DOSE] + words[RESERVED] - words[EXECUTED]
        self.minutes[0] += self.ref_open_steps + dose_steps - self.ref_dose_steps

    def _minute(self, image, at: int, now: int, known) -> None:
        # One by one: behind tuples of two blocks each allocation would look longer for its place.
        minute = struct.unpack_from("<i", image, at)[0]
        dose_steps = struct.unpack_from("<i", image, at + 4)[0]
        steps = struct.unpack_from("<i", image, at + 8)[0]
        denials = struct.unpack_from("<i", image, at + 12)[0]
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

    def _grant(self, number: int, tick: int) -> None:
        if self.granted == 0 and number > 0:
            self.granted = number - 1  # those before are older than the history
        while self.granted < number:
            self.grants[self.granted % MOST_GRANTS] = tick
            self.granted += 1

    def _deny(self, number: int, tick: int) -> None:
        self.denied = max(self.denied, number - MOST_GRANTS)
        while self.denied < number:
            self.denials[self.denied % MOST_GRANTS] = tick
            self.denied += 1

    def _count_last_change(self, words, sequence: int) -> None:
        """What the state says of its last change of unit; `sequence` is the number of the last record."""
        said = words[RESCALES : RESCALES + 5]
        number = max(self.rescales, self.change[0] if self.change else 0)
        # Not there because it is not written yet, or because it is long gone?
        self.rescale_missing = number < said[0] and sequence < words[RESCALE_SEQUENCE]
        if self.rescale_missing or (self.change and number == said[0]):
            if number < said[0]:
                self._count_change()
            self.change = said
        self._count_change()
        self.rescales = max(self.rescales, said[0])

    def _count_change(self) -> None:
        if not self.change:
            return
        number, num, den, dose_steps, open_steps = self.change
        self.change = ()
        if number <= self.rescales:
            return  # written once more after a boot
        self.rescales = number
        self.recount(num, den)
        self.ref_dose_steps = dose_steps
        self.ref_open_steps = open_steps

    def recount(self, num: int, den: int) -> None:
        """Every step so far counts num/den from now on, rounded up for each minute."""
        minutes = self.minutes
        room = MOST_STEPS
        for age in range(DAY_MINUTES + 1):
            minutes[age] = min(-(-minutes[age] * num // den), room)
            room -= minutes[age]


def _all_old(ring: "Ring", sector: int, now: int) -> bool:
    """Whether all before `sector` is more than a day old."""
    image = ring.region.image
    for at in ring.records(sector, False):
        if image[at] == MINUTE:
            return now - struct.unpack_from("<i", image, at + PAYLOAD)[0] > DAY_MINUTES
    return False
