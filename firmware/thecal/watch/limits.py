"""What was executed in the window that ends now, and in those that end up to a second ahead: LIM-03, exact.

A step counts from the tick in which it was executed until that tick has left the window (t - W, t], neither
longer nor shorter. `stretches.History` keeps what was executed; a `Reader` goes through it at the tick that
leaves the window twelve ticks from now, so that what the motor is ordered to do ahead can be judged against
what the window will hold by then: `content_then`. Programming clears nothing (LIM-13): the history is that
of a day, whatever the window, and a window of another length is counted anew from it.

After a reset the history is that of the journal, by the minute: each minute's steps count as if executed in
its last tick, so windows that begin within a minute hold all of it.

A change of drug changes what an older step weighs. Every step keeps the unit in which it was executed, an
epoch, and weighs `weights[epoch]` parts of the present unit's `parts`; with one drug all is 1. So the mass is
exact however often that happens (seven times in a day; the eighth weighs the oldest like the heaviest).
"""

from ..smallint import LARGEST, small
from .stretches import (
    AHEAD_TICKS,
    DAY_UNITS,
    EPOCHS,
    LINE,
    MINUTE_UNITS,
    OPEN,
    History,
    Record,
)
from .twice import PairedCounts

DAY_TICKS = DAY_UNITS  # a unit is a tick
MERGED_ONE_BY_ONE = 40  # ticks; what is longer is one rest
MOST_PARTS = 1 << 18  # a unit's step with up to 2 000 steps a tick stays small
DAY_MINUTES = 1_440


class Reader:
    """Goes through a history tick by tick, where it is put."""

    def __init__(self, history: "History") -> None:
        self.history = history
        self.record = Record()
        self.at = 0  # byte of the record
        self.unit = 0  # of the record, the next one to be read
        self.rest = 0  # of the line there: what is left of a step, in parts of its b
        self.weight = 1
        self.turned = True  # on another record

    def copy(self, other) -> None:
        """Go where another one is."""
        self.at = other.at
        self.unit = other.unit
        self.enter()

    def enter(self) -> None:
        """Read the record at `at`."""
        history = self.history
        if self.at == history.head:
            history.load_open(self.record)
        else:
            history.load(self.record, self.at)
        self.go_to(self.unit)
        self.weight = history.weight_at(self.at)
        self.turned = True

    def go_to(self, unit: int) -> None:
        """Within the record."""
        record = self.record
        self.unit = unit
        self.rest = (record.a * unit + record.m) % record.b

    def go_on(self) -> None:
        """To the next record."""
        self.at = self.history.following(self.at)
        self.unit = 0
        self.enter()

    def next(self):
        """Steps executed in the next tick."""
        record = self.record
        if record.kind == OPEN:
            self.history.load_open(record)
            self.go_to(self.unit)
            self.turned = True
        elif self.unit >= record.units:
            self.go_on()
        unit = self.unit + 1
        self.unit = unit
        if record.kind < LINE:
            return record.m if unit == record.units else 0
        rest = self.rest + record.a
        if rest < record.b:
            self.rest = rest
            return record.whole
        self.rest = rest - record.b
        return record.whole + 1


class WindowLedger:
    """Executed steps, for windows of one programmed length, a day at most."""

    def __init__(self) -> None:
        self.history = History()
        self.reader = Reader(self.history)
        self.scout = Reader(self.history)  # for windows that are only asked about
        self.window_ticks = DAY_TICKS
        self.content = 0  # of the window that ends now: whole steps ...
        self.part = 0  # ... and parts of one
        self.parts = 1  # in a step of the present unit
        self.mixed = False  # there may be steps that weigh something else:
        self.excess = 0  # so many parts more than one of the present unit, the heaviest of them
        self.turned = True  # more than time has passed, for who keeps a copy (words.py)
        self.epoch = 0
        self.early_steps = 0  # counted before their tick
        self.leaving = PairedCounts(AHEAD_TICKS)  # steps that leave the window in each of the next ticks ...
        self.weighing = PairedCounts(AHEAD_TICKS)  # ... and what each weighs
        self.turn = 0
        self.recount()

    # --- in every tick

    def advance(self, ticks: int, steps: int) -> None:
        """`ticks` have passed, in the last of which `steps` were executed."""
        self.history.look_at_next()
        if ticks == 1:
            self._tick(steps)
            return
        if ticks > MERGED_ONE_BY_ONE:
            ticks = self._rest(ticks)
        while ticks > 1:
            self._tick(0)
            ticks -= 1
        if ticks:
            self._tick(steps)
        elif steps > 0:
            self.early_steps += steps
            self.content += steps

    def _tick(self, steps: int) -> None:
        history = self.history
        early = self.early_steps
        if early:
            self.early_steps = 0
            self.content -= early
            steps += early
        if not history.open.grow(steps):
            history.begin_next(steps)
            if history.moved:
                self._follow()
                return
            if self.reader.record.kind == OPEN:
                self.reader.at = history.closed_at
                self.reader.enter()
        leaving = self.leaving
        turn = self.turn
        gone = leaving.counts[turn]
        if gone + leaving.complements[turn] != LARGEST:
            leaving.sound = False
        reader = self.reader
        leaves = reader.next()
        if leaves != gone:
            leaving.set(turn, leaves)
        self.turn = turn + 1 if turn + 1 < AHEAD_TICKS else 0
        if not self.mixed:
            self.content += steps - gone
            return
        part = self.part - gone * self.weighing.counts[turn]
        self.weighing.set(turn, reader.weight)
        whole = part // self.parts
        self.part = small(part - whole * self.parts)
        self.content = small(self.content + steps + whole)

    def _rest(self, ticks: int):
        """All but a few of so many ticks pass without a step. Returns those that are left."""
        ticks -= 1
        while ticks:
            now = min(ticks, DAY_UNITS)
            self.history.rest(now)
            ticks -= now
        self.recount()
        return 1

    def _follow(self) -> None:
        """The history holds what it holds elsewhere, or the last step of another drug may be gone."""
        if self.mixed and len(self.history.epochs_used()) == 1:
            self.history.weights.set(self.epoch, 1)
            self.parts = 1
            self.mixed = False
            self.excess = 0
        self.recount()

    # --- when something changes

    def load(self, minutes, tick: int) -> None:
        """Begin with the dose of the last day: `minutes[age]` was given in the minute so long ago, in the
        present one by `tick`.
        """
        history = self.history
        history.begin()
        self.parts = 1
        self.mixed = False
        self.excess = 0
        self.epoch = 0
        self.early_steps = 0
        age = min(DAY_MINUTES, len(minutes) - 1)
        units = (DAY_MINUTES - age) * MINUTE_UNITS
        while age > 0:
            if minutes[age]:
                history.append_lump(units, 0)
                units = 0
                following = history.append_minutes(minutes, age)
                if following == age:  # too many steps for it
                    history.append_lump(MINUTE_UNITS, small(minutes[age]))
                    following = age - 1
                age = following
            else:
                units += MINUTE_UNITS
                age -= 1
        begun_ticks = tick % MINUTE_UNITS
        begun = max(small(minutes[0]), 0)  # the minutes before it never hold less than was given
        history.append_lump(units, 0)
        if begun_ticks:
            history.append_lump(begun_ticks, begun)
        else:
            self.early_steps = begun
        self.recount()

    def set_window(self, window_ticks: int, _tick: int = 0) -> None:
        """Count for windows of another length (up to a day) from now on. No history is lost."""
        if window_ticks != self.window_ticks:
            self.window_ticks = window_ticks
            self.recount()

    def recount(self) -> None:
        """Find the content of the window, and what leaves it next, from the history."""
        reader = self.reader
        content = self.put(reader, self.window_ticks)
        for ahead in range(AHEAD_TICKS):
            self.leaving.set(ahead, reader.next())
            self.weighing.set(ahead, reader.weight)
        self.turn = 0
        self.content = small(content // self.parts + self.early_steps)
        self.part = small(content % self.parts)
        self.history.moved = False

    def put(self, reader, window_ticks: int):
        """Put a reader where the window that ends now begins. Returns what that holds, in parts of a step."""
        history = self.history
        reader.at, left, content = history.behind(window_ticks)
        reader.unit = 0
        reader.enter()
        while left >= reader.record.units and reader.record.kind != OPEN:
            left -= reader.record.units
            content -= reader.record.steps() * reader.weight
            reader.go_on()
        content -= reader.record.upto(left) * reader.weight
        reader.go_to(small(left))
        return content

    def rescale(self, num: int, den: int) -> None:
        """Count every step so far as num/den of one from now on: a step of another drug."""
        history = self.history
        early = self.early_steps
        self.early_steps = 0
        used = history.epochs_used()
        weights = history.weights
        if len(used) == EPOCHS:
            oldest = used.pop(0)
            weights.set(used[0], max(weights.counts[oldest], weights.counts[used[0]]))
            history.adopt(oldest, used[0])
        epoch = [index for index in range(EPOCHS) if index not in used][0]
        scaled = {index: weights.counts[index] * num for index in used}
        parts = self.parts * den
        divisor = parts
        for index in used:
            divisor = _common(divisor, scaled[index])
        parts //= divisor
        largest = max([parts] + [weight // divisor for weight in scaled.values()])
        for index in used:
            weight = scaled[index] // divisor
            weights.set(index, weight if largest <= MOST_PARTS else -(-weight * MOST_PARTS // largest))
        if largest > MOST_PARTS:
            parts = max(parts * MOST_PARTS // largest, 1)
        self.parts = small(parts)
        self.mixed = True
        self.excess = max([0] + [weights.counts[index] - self.parts for index in used])
        self.epoch = epoch
        history.new_epoch(epoch, self.parts)
        self.early_steps = small(-(-early * num // den))
        self.recount()

    def sound(self):
        """Whether all that was looked at agreed with its second copy."""
        return self.leaving.sound and self.weighing.sound and self.history.believed()

    # --- to be asked

    def content_steps(self):
        """What the window ending now holds, a begun step counted whole."""
        return self.content + 1 if self.part else self.content

    def content_then(self, ticks: int, rest=0, den: int = 1):
        """What will be left of it in the window that ends so many ticks later, at most AHEAD_TICKS.

        More than a limit is by a microstep or more, of the heaviest drug there was. So with two drugs this
        is rounded down to a step, or up where it goes beyond the part of a step, rest/den, that the limit
        has.
        """
        counts = self.leaving.counts
        gone = 0
        index = self.turn % AHEAD_TICKS  # a flipped bit is found by who compares it, not here
        while ticks > 0:
            gone += counts[index] * self.weighing.counts[index] if self.mixed else counts[index]
            index = index + 1 if index + 1 < AHEAD_TICKS else 0
            ticks -= 1
        if not self.mixed:
            return self.content - gone
        left = self.content * self.parts + self.part - gone
        return small(self.rounded(left, rest, den))

    def rounded(self, content: int, rest, den: int):
        """So many parts of a step as whole ones, to be held against a limit; see `content_then`."""
        content -= self.excess
        whole = content // self.parts
        part = content - whole * self.parts
        return whole + 1 if rest and part * den >= rest * self.parts else whole


def _common(a: int, b: int):
    while b:
        a, b = b, a % b
    return a
