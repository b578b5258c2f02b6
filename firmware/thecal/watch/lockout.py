"""When the patient may have the next bolus: lockout after the last one's end, and a count in any rolling day.

Times are ticks since boot; they only grow. The times of grants are kept in a ring of as many as a day may
ever hold.
"""

from array import array

from ..clock import TICKS_PER_DAY

MOST_A_DAY = 96


class Lockout:
    """Grants and ends of patient boluses. Programming clears nothing (LIM-13)."""

    def __init__(self) -> None:
        self.grants = array("i", [0] * MOST_A_DAY)
        self.count = 0  # grants ever
        self.denials = array("i", [0] * MOST_A_DAY)
        self.denied_count = 0  # denials ever
        self.end_tick = 0
        self.ended = False  # a bolus was given and is over

    def grant(self, tick: int) -> None:
        """A bolus begins at `tick`."""
        self.grants[self.count % MOST_A_DAY] = tick
        self.count += 1

    def deny(self, tick: int) -> None:
        """A request was denied at `tick`."""
        self.denials[self.denied_count % MOST_A_DAY] = tick
        self.denied_count += 1

    def end(self, tick: int) -> None:
        """The bolus is over, complete or not."""
        self.end_tick = tick
        self.ended = True

    def locked(self, tick: int, lockout_ticks: int):
        """Whether the lockout interval after the last bolus still runs at `tick`."""
        return self.ended and tick - self.end_tick < lockout_ticks

    def in_last_day(self, tick: int):
        """Grants in the last 24 hours, (tick - 24 h, tick]."""
        return _younger_than_a_day(self.grants, self.count, tick)

    def denied_in_last_day(self, tick: int):
        """Denials in the last 24 hours, 96 at most."""
        return _younger_than_a_day(self.denials, self.denied_count, tick)


def _younger_than_a_day(ring, count: int, tick: int):
    found = 0
    number = count - 1
    while number >= 0 and number > count - 1 - MOST_A_DAY:
        if tick - ring[number % MOST_A_DAY] >= TICKS_PER_DAY:
            break
        found += 1
        number -= 1
    return found
