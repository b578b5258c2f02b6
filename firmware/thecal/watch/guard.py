"""The last look at every motion order, with arithmetic of its own.

It is built from plain calibration values and knows nothing of prescriptions, flows or grains: an order that
`dose` got wrong by whatever mistake is cut to what the profile allows. It also watches that the motor never
made more steps than were ever ordered. Everything is in microsteps and below 2^30.
"""

from ..smallint import LARGEST, small

TICKS_PER_HOUR = 36_000
# A segment's order is rounded to a step at its beginning and at its end, and what a late start left is made
# up for in it.
ROUNDING_STEPS = 2
# A limit above that, more than a day's steps at the greatest rate (103 680 000), binds nothing.
MOST_LIMIT_STEPS = 104_000_000


class Guard:
    """Judges orders against the largest total rate, `max_rate_nl_h`, on a mechanism of so many nL and steps
    per revolution.
    """

    def __init__(self, nl_per_rev: int, steps_per_rev: int, max_rate_nl_h) -> None:
        self.nl_per_rev = nl_per_rev
        self.steps_per_rev = steps_per_rev
        self.ordered_steps = 0  # the furthest count of steps ever allowed
        self.lead_steps = 0  # by so many a rotor may be ahead of the volume that is judged
        self.limit_steps = 0  # most steps in any window, 0 without a limit
        self.limit_rest = (0, 1)
        self.window_most = LARGEST  # positions beyond which nothing may be ordered, by the window ...
        self.reservoir_most = LARGEST  # ... and by the reservoir
        self.booked_most = LARGEST  # ... and by what is written down
        self.segment_most = [0, 0, 0]
        self.set_max_rate(max_rate_nl_h)

    def set_max_rate(self, max_rate_nl_h: int) -> None:
        """The profile's limit, nL/h. What flowed before it may be faster: up to the end of this tick."""
        for ticks in range(1, 3):
            most = -(-max_rate_nl_h * self.steps_per_rev * ticks // (self.nl_per_rev * TICKS_PER_HOUR))
            self.segment_most[ticks] = small(most + ROUNDING_STEPS)
        self.segment_most[0] = max(self.segment_most[:2])

    def tick_planned(self) -> None:
        """What is ordered of this tick was allowed: from its end on the limit is the profile's of now."""
        self.segment_most[0] = self.segment_most[1]

    def rest(self, counted_steps: int) -> None:
        """The motor stands and its queue is empty: nothing beyond here is ordered."""
        self.ordered_steps = counted_steps

    def lead(self, steps: int) -> None:
        """From now on the rotor may be so many steps ahead of the volume: a head's ripple at the most."""
        self.lead_steps = steps

    def turn(self, before: int, allowed: int) -> int:
        """The count of steps up to which a rotor may turn for a volume that is `allowed`: the furthest ever,
        which was `before`, or that volume and its lead.
        """
        self.ordered_steps = max(before, allowed + self.lead_steps)
        return self.ordered_steps

    def set_limit(self, num: int, den: int) -> None:
        """No window may hold more than num/den nL; num 0 for no limit. More is by a whole microstep: a flow
        that fills the limit makes the begun one as well, now and then.
        """
        self.limit_steps = self.steps_of_limit(num, den)
        self.limit_rest = self.rest_of_limit(num, den)

    def steps_of_limit(self, num: int, den: int) -> int:
        """The most steps that a limit of num/den nL allows."""
        steps = -(-num * self.steps_per_rev // (den * self.nl_per_rev))
        return small(steps if steps < MOST_LIMIT_STEPS else MOST_LIMIT_STEPS)

    def rest_of_limit(self, num: int, den: int):
        """The part of a step that a limit of num/den nL has beyond the whole ones, a fraction."""
        steps = den * self.nl_per_rev
        return num * self.steps_per_rev % steps, steps

    def look_at_window(self, executed_steps: int, content_steps: int, filling_steps: int) -> None:
        """Of all that was executed so far the window that ends with the next order will hold `content_steps`;
        the next `filling_steps` only fill the line and are no dose.
        """
        self.window_most = LARGEST
        if self.limit_steps:
            self.window_most = executed_steps + filling_steps + max(self.limit_steps - content_steps, 0)

    def room_steps(self, planned_steps: int) -> int:
        """How many steps beyond what is planned the window that was looked at has room for."""
        return self.window_most - planned_steps

    def allow_back(self, start_steps: int, target_steps: int, least_steps: int, ticks: int):
        """The same backward: `target_steps` or more, and never behind `least_steps`."""
        least = max(start_steps - self.segment_most[ticks], least_steps)
        return target_steps if target_steps >= least else least

    def allow(self, start_steps: int, target_steps: int, ticks: int):
        """The position up to which a segment of `ticks` (1 or 2; 0 for the rest of this one) from
        `start_steps` may go: `target_steps` or less.
        """
        most = start_steps + self.segment_most[ticks]
        # What is ordered already is not taken back here: it was judged when it was ordered.
        most = max(min(most, self.window_most, self.reservoir_most, self.booked_most), start_steps)
        allowed = target_steps if target_steps <= most else most
        if allowed > self.ordered_steps:
            self.ordered_steps = allowed
        return allowed
