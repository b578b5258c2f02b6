"""When the next tick is due: the fixed-rate loop's arithmetic on a millisecond counter that wraps.

The period is added to the time the previous tick was *due*, so the loop cannot drift. A tick that could only
start more than `LATEST_MS` late is not run: it is merged into the next one, so a tick has always enough of
its period left to start a motor segment that ends on the tick grid. Plain arithmetic; the counters come in as
numbers below 2^30 (`time.ticks_ms`, `time.ticks_us`), which are two views of one timer: the grid runs on
milliseconds, the microseconds place a motion segment's start on it.
"""

from ..clock import TICK_MS

# The counters wrap at 2^30. 2^30 itself would be a heap object on the board, and so would all that is
# computed with it.
MASK = 0x3FFF_FFFF
HALF = 0x2000_0000
LATEST_MS = TICK_MS // 2
TICK_US = TICK_MS * 1_000


def _later(counter, by):
    # counter + by would leave the small integers just before the wrap
    return counter + by if counter <= MASK - by else counter - (MASK - by) - 1


class Pace:
    """The tick grid. `counter_ms` and `counter_us` are the counters at what becomes tick 0."""

    def __init__(self, counter_ms: int, counter_us: int) -> None:
        self.due_counter_ms = counter_ms  # counters at which the next tick is due
        self.due_counter_us = counter_us
        self.tick_s = 0  # nominal time of the next tick
        self.tick_ms = 0

    def wait_ms(self, counter_ms: int):
        """How long until the next tick may start, 0 if it may now; skips those too late to be run."""
        wait = self.due_counter_ms - counter_ms & MASK
        if wait < HALF:
            return wait
        late = MASK - wait + 1
        while late > LATEST_MS:
            self.started()
            late -= TICK_MS
        return -late if late < 0 else 0

    def left_us(self, counter_us: int):
        """Microseconds from `counter_us` to the next tick, negative if overdue. Within +-8.9 minutes."""
        left = self.due_counter_us - counter_us & MASK
        return left if left < HALF else left - MASK - 1

    def started(self) -> None:
        """The tick is being run, or was merged: on to the next one."""
        self.due_counter_ms = _later(self.due_counter_ms, TICK_MS)
        self.due_counter_us = _later(self.due_counter_us, TICK_US)
        self.tick_ms += TICK_MS
        if self.tick_ms >= 1_000:
            self.tick_ms -= 1_000
            self.tick_s += 1
