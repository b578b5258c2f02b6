"""Time: how long a tick is, and how many have passed.

The pump counts ticks of `TICK_MS` since it was first put into use, over every reset; the board begins anew
with each. The time of day is that of a week, once somebody has said it. All numbers are small: 2^30 ticks are
3.4 years, and time in ms is kept as seconds and the rest.
"""

from .smallint import LARGEST

TICK_MS = 100  # the fixed-rate loop, 10 Hz
MS_PER_S = 1_000
TICKS_PER_S = MS_PER_S // TICK_MS
TICKS_PER_MIN = 60 * TICKS_PER_S
TICKS_PER_HOUR = 60 * TICKS_PER_MIN
TICKS_PER_DAY = 24 * TICKS_PER_HOUR
TICKS_PER_WEEK = 7 * TICKS_PER_DAY


class Clock:
    """The time of one pump."""

    def __init__(self) -> None:
        self.board_s = 0  # the board's own time, which begins anew at every reset ...
        self.board_ms = 0
        self.tick = 0  # ... and the pump's, which goes on
        self.tick_s = 0
        self.tick_ms = 0
        self.passed_ticks = 1  # with this tick: more than one where some were merged
        self.week_offset = 0  # tick of the week at tick 0 ...
        self.known = False  # ... which somebody has said since the last reset

    def resume(self, tick: int) -> None:
        """Go on from `tick`, after a reset."""
        self.tick = tick
        self.tick_s = tick // TICKS_PER_S
        self.tick_ms = tick % TICKS_PER_S * TICK_MS

    def advance(self, board_s: int, board_ms: int):
        """It is so late on the board. Returns how many ticks have passed."""
        ticks = (board_s - self.board_s) * TICKS_PER_S + (board_ms - self.board_ms) // TICK_MS
        self.stand_still(board_s, board_ms)
        self.tick += ticks
        self.passed_ticks = ticks if ticks > 1 else 1
        self.tick_s += ticks // TICKS_PER_S
        self.tick_ms += ticks % TICKS_PER_S * TICK_MS
        if self.tick_ms >= MS_PER_S:
            self.tick_ms -= MS_PER_S
            self.tick_s += 1
        return ticks

    def stand_still(self, board_s: int, board_ms: int) -> None:
        """It is so late on the board, and no time has passed."""
        self.board_s = board_s
        self.board_ms = board_ms

    def make_loggable(self) -> None:
        """Whatever the numbers are, a log can hold them."""
        self.tick_s &= LARGEST
        self.tick_ms %= MS_PER_S

    # --- time of day

    def set_week(self, week_tick: int) -> None:
        """`week_tick` is the time of the week at the end of this tick."""
        self.week_offset = (week_tick - self.tick - 1) % TICKS_PER_WEEK
        self.known = True

    def week_tick(self, ahead: int):
        """The time of the week so many ticks from now."""
        return (self.tick + ahead + self.week_offset) % TICKS_PER_WEEK
