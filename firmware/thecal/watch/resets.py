"""Resets that come too often: a pump that resets again and again has a fault that a reset does not mend
(SAFE-04).

One reset gives the basal back (REC-04). With more than `MOST_RESETS` in `WINDOW_TICKS` the pump latches
RESET_LOOP and stays halted until somebody has looked at it. Both numbers are own choices: a watchdog that
bites again and again does so every 2 to 3 s, so that this takes a quarter of a minute, and four resets in ten
minutes by hand are no accident. Ticks are the pump's own, which go on over a reset and stand still while the
board is without power: a loop looks tighter than it was, never wider.
"""

from array import array

MOST_RESETS = 4
WINDOW_TICKS = 10 * 600
NEVER = -WINDOW_TICKS


class Resets:
    """When the last resets were. Kept over them."""

    def __init__(self) -> None:
        self.ticks = array("i", [NEVER] * MOST_RESETS)
        self.count = 0  # ever: the number of the boot, which no two have (`host.py` takes commands by it)

    def too_many(self, tick: int):
        """The pump was reset just now. True if that makes more than there may be; they then count no more,
        since whoever acknowledges the alarm has seen them.
        """
        index = self.count % MOST_RESETS
        looping = tick - self.ticks[index] < WINDOW_TICKS
        self.ticks[index] = tick
        self.count += 1
        if looping:
            self.forget()
        return looping

    def forget(self) -> None:
        """Those so far count no more."""
        for index in range(MOST_RESETS):
            self.ticks[index] = NEVER
