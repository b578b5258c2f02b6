"""The critical words (SAFE-07): which numbers the dose depends on, and when each of them is compared.

The table is `PARTS` in `word_table.py`: four groups of words, each named by its way from the pump. Second
copies are `watch/twice.py`'s; the board finds the words by their places in memory (`drivers/slots.py`). A
group is compared before the part of the tick that is the first to use it, and what runs with time is kept
again when the part that lets it run is done; between the two nothing may change it:

    TIME     clock, steps made, windows; limits, levels, calibration, the state: compared at the beginning of
             the tick, the first half kept once time has passed
    DOSE     what is owed: around the passing of a tick of it
    PLAN     what is planned, and the furthest order: around the orders
    HISTORY  the stretch that grows and the reader of what leaves the window: as TIME

What runs without the motor is not compared while it rests: a start begins it anew.

An order from outside may change any of them. Then all groups are compared before it is carried out, and all
are kept when it is done. The number of a word, as the event log gives it, is its place in the table.
"""

from .watch.twice import complements
from .word_table import (
    BEFORE_BOLUSES,
    DOSE,
    FIRST,
    GROUPS,
    HISTORY,
    OF_BOLUSES,
    OPTIONAL,
    PARTS,
    PLAN,
    TIME,
    WITH_TIME,
    write_boluses,
    write_clock,
    write_history_clock,
    write_history_turn,
    write_optional,
    write_running,
    write_set,
    write_turn,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .dose.delivery import Delivery
    from .dose.line import Line
    from .motion import Motion
    from .watch.guard import Guard
    from .watch.limits import WindowLedger
    from .watch.lockout import Lockout
    from .watch.reservoir import Reservoir


class Words:
    """The second copies of the critical words of one pump, and the parts that own the first ones. Once they
    are not `trusted` any more nothing is compared or kept: there is nothing right to be kept.
    """

    def __init__(
        self,
        clock: "Clock",
        position,
        line: "Line",
        delivery: "Delivery",
        ledger: "WindowLedger",
        guard: "Guard",
        lockout: "Lockout",
        reservoir: "Reservoir",
        regimen,
        motion: "Motion",
    ) -> None:
        self.clock = clock
        self.position = position
        self.line = line
        self.delivery = delivery
        self.mechanism = delivery.mechanism
        self.ledger = ledger
        self.guard = guard
        self.lockout = lockout
        self.reservoir = reservoir
        self.regimen = regimen
        self.motion = motion
        self.control = motion.control
        self.courses = (None, delivery.owed, delivery.planned, None)  # type: tuple  # by group
        self.trusted = True
        sizes = [FIRST[group + 1] - FIRST[group] for group in GROUPS]
        sizes[DOSE] = sizes[PLAN] = BEFORE_BOLUSES
        self.copies = [complements(size) for size in sizes]
        self.boluses = [complements(OF_BOLUSES) for _ in GROUPS]  # of DOSE and of PLAN
        # What the copies ought to be, when they are compared.
        self.now = [complements(size) for size in sizes]
        self.boluses_now = complements(OF_BOLUSES)
        self.slots = None  # a quicker way than the attributes; then `copies` has only what is optional
        self.has_optional = True  # some of that may not be 0

    def use(self, slots) -> None:
        """Compare and keep by `slots` (`drivers/slots.py`) from now on."""
        self.slots = slots
        for group in GROUPS:
            size = FIRST[TIME + 1] if group == TIME else 0
            self.copies[group] = complements(size)
            self.now[group] = complements(size)
        self.boluses = ()
        self.keep_all()

    def agree(self, group: int):
        """Whether both copies of all words of a group say the same."""
        if not self.trusted:
            return True
        slots = self.slots
        if slots is None:
            return self._agree_by_name(group)
        end = FIRST[group + 1]
        course = self.courses[group]
        if course is not None:
            active = course.active
            if not active[0] and not active[1]:
                end -= OF_BOLUSES
        if slots.look(slots.places, slots.kept, FIRST[group], end) != slots.SAME:
            return slots.agree(FIRST[group], end)
        return group != TIME or self._optional_agrees()

    def _optional_agrees(self) -> bool:
        if not self.has_optional and self.line.bridge is None:
            therapy = self.regimen.prescription
            if therapy is None or therapy.patient_bolus is None:
                return True
        now = self.now[TIME]
        write_optional(self, now)
        return now == self.copies[TIME]

    def _keep_optional(self) -> None:
        """Of what is there, and once of what is not any more."""
        therapy = self.regimen.prescription
        is_there = self.line.bridge is not None or (therapy is not None and therapy.patient_bolus is not None)
        if is_there or self.has_optional:
            self.has_optional = is_there
            write_optional(self, self.copies[TIME])

    def _agree_by_name(self, group: int) -> bool:
        now = self.now[group]
        if group == TIME:
            write_clock(self, now)
            write_set(self, now)
            write_optional(self, now)
            return now == self.copies[TIME]
        if group == HISTORY:
            write_history_clock(self, now)
            write_history_turn(self, now)
            return now == self.copies[HISTORY]
        course = self._write_running(group, now)
        write_turn(course, now)
        if now != self.copies[group]:
            return False
        active = course.active
        if not active[0] and not active[1]:
            return True
        write_boluses(course, self.boluses_now)
        return self.boluses_now == self.boluses[group]

    def _has_turned(self, group: int):
        """Whether more than time has changed words of a group, which is told once."""
        course = self.courses[group]
        if course is not None:
            turned = course.turned
            course.turned = False
            return turned
        ledger = self.ledger
        reader = ledger.reader
        history = ledger.history
        stretch = history.open
        if ledger.turned or reader.turned or history.turned or stretch.turned:
            ledger.turned = reader.turned = history.turned = stretch.turned = False
            return True
        return False

    def keep(self, group: int) -> None:
        """Time has passed by right; a course may have taken another turn by itself."""
        if not self.trusted:
            return
        slots = self.slots
        if slots is not None:
            first = FIRST[group]
            middle = first + WITH_TIME[group]
            if slots.copy(slots.places, slots.kept, first, middle) != slots.SAME:
                slots.keep(first, middle)
            if group == TIME:
                self._keep_optional()
            elif self._has_turned(group):
                slots.keep(middle, FIRST[group + 1])
            return
        kept = self.copies[group]
        if group == TIME:
            write_clock(self, kept)
            self._keep_optional()
            return
        if group == HISTORY:
            write_history_clock(self, kept)
            if self._has_turned(HISTORY):
                write_history_turn(self, kept)
            return
        course = self._write_running(group, kept)
        if self._has_turned(group):
            write_turn(course, kept)
            write_boluses(course, self.boluses[group])

    def _write_running(self, group: int, kept):
        delivery = self.delivery
        course = self.courses[group]
        if group == DOSE:
            kept[0] = ~delivery.origin_steps
            kept[1] = ~delivery.ahead
        else:
            kept[0] = ~self.motion.planned_steps
            kept[1] = ~self.guard.ordered_steps
        write_running(course, kept)
        return course

    def keep_set(self) -> None:
        """What does not change with time was changed, by whom it is right."""
        if not self.trusted:
            return
        self._keep_optional()
        if self.slots is None:
            write_set(self, self.copies[TIME])
        else:
            self.slots.keep(WITH_TIME[TIME], FIRST[TIME + 1])

    def keep_all(self) -> None:
        """Any word was changed, by whom it is right."""
        delivery = self.delivery
        delivery.owed.turned = delivery.planned.turned = self.ledger.turned = True
        for group in GROUPS:
            self.keep(group)
        self.keep_set()

    def differing(self, group: int):
        """The numbers of the words of a group that differ. Allocates."""
        self.agree(group)
        if self.slots is not None:
            found = self.slots.differing(FIRST[group], FIRST[group + 1])
            if group == TIME:
                now = self.now[TIME]
                write_optional(self, now)
                found += [number for number in OPTIONAL if now[number] != self.copies[TIME][number]]
            return sorted(found)
        now = list(self.now[group])
        kept = list(self.copies[group])
        if group in (DOSE, PLAN):
            write_boluses(self.courses[group], self.boluses_now)
            now.extend(self.boluses_now)
            kept.extend(self.boluses[group])
        first = FIRST[group]
        return [first + number for number in range(len(now)) if now[number] != kept[number]]


def name(number: int) -> str:
    """The name of a word, for people."""
    for begin, runs in PARTS:
        for way, names in runs:
            if number < len(names):
                step = names[number]
                where = ".".join([part for part in (begin, way) if part])
                return "%s[%d]" % (where, step) if isinstance(step, int) else "%s.%s" % (where, step)
            number -= len(names)
    raise IndexError("no critical word has the number %d" % number)
