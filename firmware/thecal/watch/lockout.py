"""When the patient may have the next bolus: lockout after the last one's end, and a count in any rolling day.

Times are ticks since boot; they only grow. The times of grants are kept in a ring of as many as a day may
ever hold.
"""

from array import array

MOST_A_DAY = 96
DAY_TICKS = 864_000


class Lockout:
    """Grants and ends of patient boluses. Programming clears nothing (LIM-13)."""

    def __init__(self):
        self.grants = array("i", [0] * MOST_A_DAY)
        self.count = 0  # grants ever
        self.end_tick = 0
        self.ended = False  # a bolus was given and is over

    def grant(self, tick):
        """A bolus begins at `tick`."""
        self.grants[self.count % MOST_A_DAY] = tick
        self.count += 1

    def end(self, tick):
        """The bolus is over, complete or not."""
        self.end_tick = tick
        self.ended = True

    def locked(self, tick, lockout_ticks):
        """Whether the lockout interval after the last bolus still runs at `tick`."""
        return self.ended and tick - self.end_tick < lockout_ticks

    def in_last_day(self, tick):
        """Grants in the last 24 hours, (tick - 24 h, tick]."""
        found = 0
        number = self.count - 1
        while number >= 0 and number > self.count - 1 - MOST_A_DAY:
            if tick - self.grants[number % MOST_A_DAY] >= DAY_TICKS:
                break
            found += 1
            number -= 1
        return found
