"""The one place where microsteps and volume are turned into each other.

A `Mechanism` is what a rig says of motor and head: nanolitres per rotor revolution and microsteps per
revolution. Here the displaced volume is uniform over the rotor's angle, and a microstep is a volume; what the
rollers make of that, and how many steps of the rotor it takes, is `head`'s.

Volumes that are owed are counted in `grain`s: `grains_per_step` of them make a microstep. The number is
chosen per mechanism so that every whole nL/h is a whole number of grains per tick (and so are its halves,
thirds, ... as far as 30 bits allow). All flows share the grain, so sums and changes of rate are exact without
ever leaving small integers.

The reference mechanism: 200-step motor, 16 microsteps, 0.1 mL per revolution: 3 200 microsteps of 31.25 nL,
and a grain of 1/420 nL/h x 1 tick.

What is reckoned in the steady loop stays small for every mechanism that can be built: a product that might
not is taken digit by digit. Which rigs cannot be, and what to change of them, says `rig_bounds`.
"""

from ..clock import TICKS_PER_HOUR
from ..smallint import LARGEST, small
from .units import reduced

# Two remainders are added before the carry is taken out, and their sum must stay small.
MOST_GRAINS_PER_STEP = LARGEST >> 1
# Parts of 1 nL/h that a rate may have, the finest that fits wins: each holds all smaller ones.
PARTS = (420, 60, 12, 4, 2, 1)


MOST_STEPS_PER_REV = 5_120_000  # 200 full steps, 256 microsteps, a gear of 100:1
MOST_NL_PER_REV = 1_000_000
DIGIT = 64  # MOST_STEPS_PER_REV is below 2^23, so a remainder times a digit is below 2^29
DIGITS = (64**3, 64**2, 64, 1)  # of any volume below 2^24 nL
# No bolus and no limit is above what so many steps are: more than a day's at the greatest rate, 103 680 000.
MOST_STEPS = 104_000_000
MOST_LINE_STEPS = 30_000_000  # and no line holds more: both together are less than 2^27 (watch/counts.py)


class MechanismError(Exception):
    """Calibration data that cannot be right; the message names the value and its bound."""


def parts_of(nl_per_rev: int, steps_per_rev: int):
    """Into how many parts 1 nL/h can be divided, one of `PARTS`; 0 where not even it is exact."""
    _, base = reduced(steps_per_rev, nl_per_rev * TICKS_PER_HOUR)
    for parts in PARTS:
        if base * parts <= MOST_GRAINS_PER_STEP:
            return parts
    return 0


class Mechanism:
    """`nl_per_rev` (1 .. 1 000 000) and `steps_per_rev` microsteps (1 .. 5 120 000).

    `steps_per_tick_max` is what the motion driver can issue in one tick. Raises MechanismError.
    """

    def __init__(self, nl_per_rev: int, steps_per_rev: int, steps_per_tick_max: int) -> None:
        if not 0 < steps_per_rev <= MOST_STEPS_PER_REV:
            raise MechanismError("steps_per_rev is %d, must be 1 to %d" % (steps_per_rev, MOST_STEPS_PER_REV))
        if not 0 < nl_per_rev <= MOST_NL_PER_REV:
            raise MechanismError("nl_per_rev is %d, must be 1 to %d" % (nl_per_rev, MOST_NL_PER_REV))
        parts = parts_of(nl_per_rev, steps_per_rev)
        if parts == 0:
            raise MechanismError(
                "nl_per_rev %d with steps_per_rev %d: 1 nL/h is not exact in 30 bits, round nl_per_rev"
                % (nl_per_rev, steps_per_rev)
            )
        each, base = reduced(steps_per_rev, nl_per_rev * TICKS_PER_HOUR)
        self.grains_per_step = small(base * parts)
        # 1 nL/h in grains per tick: whole, by the choice of the grain.
        self.grains_per_nl_h = small(each * parts)
        self.at_once = nl_per_rev * steps_per_rev <= LARGEST
        self.most_nl = MOST_STEPS * nl_per_rev // steps_per_rev  # of a bolus, a limit, a level
        self.most_line_nl = MOST_LINE_STEPS * nl_per_rev // steps_per_rev
        self.nl_per_rev = nl_per_rev
        self.steps_per_rev = steps_per_rev
        self.steps_per_tick_max = steps_per_tick_max

    def volume_nl(self, steps: int) -> int:
        """Volume of `steps` microsteps, nL, rounded down. Small for up to 1 L, more than any one delivery."""
        turns = steps // self.steps_per_rev
        return turns * self.nl_per_rev + self._part_nl(steps - turns * self.steps_per_rev)

    def volume_ul(self, steps: int) -> int:
        """Volume of `steps` microsteps (any sign), uL, rounded down. Small for all that a small count can
        hold.
        """
        turns = steps // self.steps_per_rev
        part_nl = self._part_nl(steps - turns * self.steps_per_rev)
        thousands = turns // 1_000
        part_nl += (turns - thousands * 1_000) * self.nl_per_rev
        return thousands * self.nl_per_rev + part_nl // 1_000

    def _part_nl(self, steps: int) -> int:
        """Volume of a part of a revolution, nL, rounded down: `steps` times `nl_per_rev`, one digit of that
        after the other, by `steps_per_rev`.
        """
        per_rev = self.steps_per_rev
        if self.at_once:
            return steps * self.nl_per_rev // per_rev
        volume_nl = rest = 0
        for place in DIGITS:
            rest = rest * DIGIT + steps * (self.nl_per_rev // place % DIGIT)
            volume_nl = volume_nl * DIGIT + rest // per_rev
            rest %= per_rev
        return volume_nl

    def grains_of_volume(self, num, den: int = 1):
        """A volume of num/den nL as (whole microsteps, grains), rounded down; whole nL are exact."""
        return self._split(num * self.steps_per_rev * self.grains_per_step // (den * self.nl_per_rev))

    def steps_per_tick(self, num: int, den: int):
        """A rate of num/den nL/h in microsteps per tick, a reduced fraction (num, den)."""
        return reduced(num * self.steps_per_rev, den * self.nl_per_rev * TICKS_PER_HOUR)

    def grains_per_tick(self, num: int, den: int):
        """A rate of num/den nL/h as (whole microsteps, grains) per tick, exact if reachable, else below."""
        num, den = self.steps_per_tick(num, den)
        return self._split(num * self.grains_per_step // den)

    def _split(self, grains: int):
        steps, grains = divmod(grains, self.grains_per_step)
        return small(steps), small(grains)

    def rate_nl_h(self, num: int, den: int):
        """The inverse: num/den microsteps per tick as a reduced fraction of nL/h."""
        return reduced(num * self.nl_per_rev * TICKS_PER_HOUR, den * self.steps_per_rev)

    def flow_nl_h(self, rate_steps: int, rate_grains: int) -> int:
        """A rate of so many whole microsteps and grains per tick, nL/h, rounded down. Small integers only: 1
        nL/h is at most a 360th of a step per tick, of one of 0.01 nL, and no motor makes more than 120.
        """
        one = self.grains_per_step
        each = self.grains_per_nl_h
        return rate_steps * (one // each) + (rate_steps * (one % each) + rate_grains) // each

    def max_rate_nl_h(self):
        """The fastest rate the motor can follow, nL/h, rounded down."""
        num, den = self.rate_nl_h(self.steps_per_tick_max, 1)
        return num // den

    def reaches(self, num: int, den: int) -> bool:
        """Whether a rate of num/den nL/h is a whole number of grains per tick that the motor can follow."""
        num, den = self.steps_per_tick(num, den)
        return self.grains_per_step % den == 0 and num <= self.steps_per_tick_max * den

    def nearest_reachable(self, num: int, den: int):
        """The reachable rate nearest to num/den nL/h, a reduced fraction of nL/h."""
        num, den = self.steps_per_tick(num, den)
        grains = (2 * num * self.grains_per_step + den) // (2 * den)
        most = self.steps_per_tick_max * self.grains_per_step
        return self.rate_nl_h(grains if grains < most else most, self.grains_per_step)

    def reachable_below(self, num: int, den: int):
        """The fastest reachable rate that is not above num/den nL/h, a reduced fraction of nL/h."""
        num, den = self.steps_per_tick(num, den)
        return self.rate_nl_h(num * self.grains_per_step // den, self.grains_per_step)
