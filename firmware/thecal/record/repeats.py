"""What is said again and again, in few events: no flood of refusals drives the rest out of the log.

Of each kind (an event with both its numbers) the first `SINGLES` in `SPAN_TICKS` are logged one by one; more
are counted, and told once a minute. A flood of one kind then makes 80 events an hour at most, and the 1 000
that are kept last for half a day.
"""

from array import array

SINGLES = 20
SPAN_TICKS = 10 * 600
TELL_TICKS = 600
KINDS = 24  # that are told apart; of more the one is given up that was not heard of for longest
CODE_RANGE = 64  # codes of events: `kind` is code + 64 a + 16 384 b
A_RANGE = 256


def kind_of(code: int, a: int, b: int) -> int:
    """An event and its numbers in one small integer; larger numbers are one kind."""
    return code + CODE_RANGE * (min(a, A_RANGE - 1) + A_RANGE * min(b, A_RANGE - 1))


def code_and_numbers(kind: int):
    """(code, a, b) of a kind."""
    rest = kind // CODE_RANGE
    return kind % CODE_RANGE, rest % A_RANGE, rest // A_RANGE


class Repeats:
    """How often each kind came. Allocates nothing after construction."""

    def __init__(self) -> None:
        self.kinds = array("i", [-1] * KINDS)
        self.since_ticks = array("i", [0] * KINDS)
        self.last_ticks = array("i", [-1] * KINDS)
        self.singles = array("i", [0] * KINDS)
        self.more = array("i", [0] * KINDS)  # counted and not told
        self.waiting = 0  # kinds of which there are
        self.told_tick = 0

    def is_single(self, tick: int, kind: int) -> bool:
        """It came again at `tick`: whether it is logged by itself."""
        index = self._place(kind)
        if index < 0:
            index = self._oldest()
            self._forget(index)
            self.kinds[index] = kind
            self.since_ticks[index] = tick
        elif tick - self.since_ticks[index] >= SPAN_TICKS and not self.more[index]:
            self.since_ticks[index] = tick
            self.singles[index] = 0
        self.last_ticks[index] = tick
        if self.singles[index] < SINGLES:
            self.singles[index] += 1
            return True
        if self.waiting == 0:
            self.told_tick = tick
        if self.more[index] == 0:
            self.waiting += 1
        self.more[index] += 1
        return False

    def due(self, tick: int):
        """The place of a kind whose count is to be told now (`kinds`, `more`), or -1. `told` it, then ask
        again.
        """
        if self.waiting == 0 or tick - self.told_tick < TELL_TICKS:
            return -1
        for index in range(KINDS):
            if self.more[index]:
                return index
        return -1

    def told(self, index: int, tick: int) -> None:
        """The count was told."""
        self.more[index] = 0
        self.waiting -= 1
        if self.waiting == 0:
            self.told_tick = tick

    def _place(self, kind: int):
        for index in range(KINDS):
            if self.kinds[index] == kind:
                return index
        return -1

    def _oldest(self):
        oldest = 0
        for index in range(KINDS):
            if self.last_ticks[index] < self.last_ticks[oldest]:
                oldest = index
        return oldest

    def _forget(self, index: int) -> None:
        if self.more[index]:
            self.waiting -= 1
        self.more[index] = 0
        self.singles[index] = 0
