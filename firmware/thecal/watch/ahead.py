"""What any coming window would hold: its peak, exact to the microstep and the tick (LIM-04, LIM-06).

From the next tick on the motor executes floor(x) where x, what is owed and a quarter of a step, is straight
in pieces; what leaves a window is the history, stretch by stretch, and then that same flow. So the content of
a window is, between two corners of the one or the other, floor(x) less the points of a digital line, and
the largest there is found without walking: by the slopes, at an end; in doubt, by Euclid's steps
(`largest`). Blocks and stretches that cannot hold more than what was found already are passed over.

In the day after a change of drug, when older steps weigh a fraction, it is `WindowLedger.rounded`, and up to
a step too large.

It works on command, in numbers of any size, and has to be done within a tick, beside a motor that wants its
next order: a stretch takes a millisecond on the board, a block that is passed over half of one. So no more
than `looks` stretches are looked at one by one. Where more are in doubt the rest counts block by block, as if
nothing had left a window before the whole block has: too much by what flowed in one, and never too little.
"""

from ..smallint import LARGEST
from .stretches import AHEAD_TICKS, BLOCK, LUMP, OPEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .limits import WindowLedger


def largest(points, slope: int, one: int, a: int, b: int, m: int):
    """The largest slope * i - one * floor((a * i + m) / b) for i from 0 to points - 1.

    Euclid's algorithm on a and b: the floor runs through 0 .. its last value, and only the first or the last
    i before it rises can be best, which is the same question for the line turned over.
    """
    drop = -one
    begun = 0
    best = None
    while True:
        slope += drop * (a // b)
        a %= b
        begun += drop * (m // b)
        m %= b
        top = (a * (points - 1) + m) // b
        for value in (begun, begun + slope * (points - 1) + drop * top):
            if best is None or value > best:
                best = value
        if top == 0 or (slope >= 0 and drop >= 0) or (slope <= 0 and drop <= 0):
            return best
        if slope < 0:
            begun += slope + drop
        points = top
        m = b - m - 1
        a, b = b, a
        slope, drop = drop, slope


MOST_LOOKS = 40  # 40 ms, and up to 34 ms for all blocks


class Flow:
    """What will be executed by so many ticks from now: `owed` grains by the end of this tick, a quarter of a
    step among them, and then the `profile`, a list of (ticks, grains per tick). `one` is grains per step.
    """

    def __init__(self, profile, owed: int, one: int) -> None:
        self.one = one
        self.pieces = []  # (begins, ends, grains by its beginning, grains per tick)
        at = 1
        for ticks, rate in profile:
            if ticks:
                self.pieces.append((at, at + ticks, owed, rate))
                at += ticks
                owed += ticks * rate
        self.ends = at
        self.index = 0

    def grains(self, at: int):
        """By tick `at`, 1 or more; quick if they are asked for in order."""
        pieces = self.pieces
        index = self.index
        while index and pieces[index][0] > at:
            index -= 1
        while index + 1 < len(pieces) and pieces[index][1] < at:
            index += 1
        self.index = index
        begins, ends, owed, rate = pieces[index]
        return owed + (min(at, ends) - begins) * rate

    def between(self, begin: int, end: int):
        """The pieces of which a part lies there, the first of them with `begin` in it."""
        self.grains(begin)
        index = self.index
        while index < len(self.pieces) and (self.pieces[index][0] < end or self.pieces[index][0] == begin):
            yield self.pieces[index]
            index += 1


class Ahead:
    """The search for the peak. `enough`: a peak above that is not looked for, the first one found will do."""

    def __init__(
        self, ledger: "WindowLedger", scout, window_ticks: int, flow, enough, looks: int, rest
    ) -> None:
        self.ledger = ledger
        self.rest = rest  # (num, den), the part of a step that the limit has
        self.history = ledger.history
        self.parts = ledger.parts
        self.scout = scout
        self.window_ticks = window_ticks
        self.flow = flow
        self.enough = enough
        self.peak = 0
        self.gone = 0  # parts that have left the window ...
        self.at = 0  # ... by then
        self.content = 0  # parts, of the window that ends now
        self.looks = looks  # stretches that may still be looked at one by one
        self.block_ends = 0  # the tick with which the block ends in which the scout is ...
        self.block_gone = 0  # ... and what has left the window by then

    def over(self) -> bool:
        """Whether nothing more is to be looked for."""
        return self.enough is not None and self.peak > self.enough

    def search(self, content: int):
        """The peak of windows that end with the flow at the latest; `content` parts are in the one now."""
        self.content = content
        scout = self.scout
        for _ in range(AHEAD_TICKS):
            self._tick(scout.next() * scout.weight)
        self._enter_block()
        while not self.over() and self.at < self.flow.ends:
            if scout.record.kind == OPEN:
                self._stretch()
                self._beyond()
                break
            if not scout.unit and scout.at % BLOCK == 0:
                self._enter_block()
            if self.looks > 0 and self.at + 1 < self.block_ends and not self._none_better(self.block_ends):
                self._stretch()
                scout.go_on()
            else:
                self._pass_block()
        return self.peak

    def _value(self, at: int, gone: int):
        """The content of the window that ends at `at`, rounded up, when so many parts have left it."""
        flow = self.flow
        steps = max(flow.grains(at) // flow.one, 0)
        if not self.ledger.mixed:
            return steps - (gone - self.content)
        return steps + self.ledger.rounded(self.content - gone, *self.rest)

    def _try(self, at: int, gone: int) -> None:
        if 0 < at <= self.flow.ends:
            value = self._value(at, gone)
            if value > self.peak:
                self.peak = value

    def _tick(self, parts) -> None:
        """One tick in which so many parts leave."""
        self.at += 1
        self.gone += parts
        self._try(self.at, self.gone)

    def _none_better(self, until) -> bool:
        """Whether none of the ticks up to that one can be better, whatever leaves in them."""
        best = self.peak if self.enough is None else max(self.peak, self.enough)
        return self._value(min(until, self.flow.ends), self.gone) <= best

    def _enter_block(self) -> None:
        """Note where the block ends that the scout is in, and what it leaves."""
        scout = self.scout
        history = self.history
        block = scout.at // BLOCK
        if block == history.head // BLOCK:
            self.block_ends = self.flow.ends + 1  # has no end yet
            return
        if not scout.unit and scout.at % BLOCK == 0:
            self.block_ends = self.at + history.units.counts[block]
            self.block_gone = self.gone + history.steps.counts[block] * scout.weight
            return
        units, parts = history.behind_block(block)
        self.block_ends = self.window_ticks - units
        self.block_gone = self.content - parts

    def _pass_block(self) -> None:
        """Go over the rest of a block: nothing in it matters, or there is no time to look what does."""
        scout = self.scout
        history = self.history
        if scout.at // BLOCK == history.head // BLOCK:
            self._pass_rest()
            return
        if not self._none_better(self.block_ends):
            self._try(min(self.block_ends, self.flow.ends), self.gone)
        self.at = self.block_ends
        self.gone = self.block_gone
        scout.at = history.beginning_after(scout.at // BLOCK)
        scout.unit = 0
        scout.enter()

    def _pass_rest(self) -> None:
        """The same for the block that is being filled, up to the stretch that grows."""
        scout = self.scout
        at = self.at
        gone = self.gone
        while scout.record.kind != OPEN:
            record = scout.record
            at += record.units - scout.unit
            gone += (record.steps() - record.upto(scout.unit)) * scout.weight
            scout.go_on()
        if not self._none_better(at):
            self._try(min(at, self.flow.ends), self.gone)
        self.at = at
        self.gone = gone

    def _stretch(self) -> None:
        """The rest of the record in which the scout is."""
        scout = self.scout
        record = scout.record
        unit = scout.unit
        left = record.units - unit
        weight = scout.weight
        steps = record.steps()
        if unit:
            steps -= record.upto(unit)
        ends = self.at + left
        self.looks -= 1
        if left and not self._none_better(ends):
            if record.kind == LUMP:
                self._try(min(ends - 1, self.flow.ends), self.gone)
            else:
                self._line(record, unit, left, weight)
        self.at = ends
        self.gone += steps * weight
        self._try(ends, self.gone)

    def _line(self, record, unit: int, left: int, weight: int) -> None:
        """`left` units of a line from `unit` on."""
        before = (record.a * unit + record.m) // record.b
        line = (record.whole, record.a, record.b, record.a * unit + record.m - before * record.b)
        end = min(self.at + left, self.flow.ends)
        for begins, ends, owed, rate in self.flow.between(max(self.at, 1), end):
            first = max(begins, self.at)
            last = min(ends, end)
            if first <= last:
                grains = owed + (first - begins) * rate
                self._points(line, first - self.at, last - first + 1, grains, rate, weight)

    def _points(self, line, unit: int, points, grains: int, rate: tuple, weight: int) -> None:
        """The best of so many points of a line, at which the flow is at `grains` and grows by `rate`."""
        whole, a, b, m = line
        one = self.flow.one
        base = self.gone + (whole * unit + (a * unit + m) // b) * weight
        m = (a * unit + m) % b
        grains_weight = one * weight
        # In grains of a part: one step is `parts` of them. What flows, less what leaves.
        slope = rate * self.parts - grains_weight * whole
        start = (grains * self.parts) - (base - self.content) * one
        last = points - 1
        best = self.peak if self.enough is None else max(self.peak, self.enough)
        # No point lies further below the line than (b - 1) / b.
        low = (start + grains_weight) * b - grains_weight * (m + 1)
        rise = (slope * b - grains_weight * a) * last
        most = self._steps(max(low, low + rise) // b)
        if most <= best:
            return
        ends = (
            start - grains_weight * (m // b),
            start + slope * last - grains_weight * ((a * last + m) // b),
        )
        value = self._steps(max(ends))
        if value < most and b > 1 and (self.enough is None or value <= self.enough):
            value = self._steps(start + largest(points, slope, grains_weight, a, b, m))
        if value > self.peak:
            self.peak = value

    def _steps(self, grains: int):
        """Grains of parts as whole steps: exact where all steps weigh the same."""
        if not self.ledger.mixed:
            return grains // self.flow.one
        return self.ledger.rounded(-(-grains // self.flow.one), *self.rest)

    def _beyond(self) -> None:
        """Windows that hold nothing of the history."""
        flow = self.flow
        one = flow.one
        weight = self.parts
        shift = self.at  # the tick that leaves is so much earlier
        self.gone = self.content
        for begins, ends, owed, rate in list(flow.pieces):
            if self.over() or begins + shift >= flow.ends:
                return
            line = (rate // one, rate % one, one, owed % one)
            gone = self.content + owed // one * self.parts
            last_leaves = min(ends + shift, flow.ends)
            for other_begins, other_ends, other_owed, other_rate in flow.between(begins + shift, last_leaves):
                first = max(other_begins, begins + shift)
                last = min(other_ends, last_leaves)
                if first <= last:
                    self.gone = gone
                    grains = other_owed + (first - other_begins) * other_rate
                    self._points(line, first - begins - shift, last - first + 1, grains, other_rate, weight)


def peak_steps(
    ledger: "WindowLedger",
    window_ticks: int,
    profile,
    owed: int,
    one: int,
    enough=None,
    looks: int = LARGEST,
    rest=(0, 1),
):
    """The largest content, in steps, of any window of that length that ends in the ticks to come, up to the
    end of `profile`, a list of (ticks, grains per tick) that begins with the end of this tick; `owed` grains
    are to be executed by then, with the quarter of a step that `Delivery.position` adds. With `enough`: that
    or less if none holds more, and otherwise the first that was found. With `looks`: at most so many
    stretches are looked at one by one. `rest`, (num, den), is the part of a step that the limit has.
    """
    scout = ledger.scout
    content = ledger.put(scout, window_ticks)
    owed += ledger.early_steps * one  # counted, and their tick is still to come
    return Ahead(ledger, scout, window_ticks, Flow(profile, owed, one), enough, looks, rest).search(content)
