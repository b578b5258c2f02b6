"""What is owed, by whom, and where the rotor therefore ought to be.

`Delivery` keeps two images of the same flows: `owed`, up to a tick, and `planned`, up to the end of the last
segment ordered, at most a second ahead. Every change of rate throws the plan away (the queue is flushed) and
plans anew from what is owed. Positions are microsteps on the scale of `Inputs.executed_steps`.

A change takes effect at the end of the tick that accepts it (`to_boundary`): a point on the grid that the
motor can still be brought to exactly, however long the tick takes to think and however late it came. So the
old rate holds up to there and the new one from there, on the board as on paper.

A position is what is owed rounded to the step after adding a quarter: with pulses a quarter of a period after
the period's start (drivers/segment.py) the edges made and the volume owed then never differ by more than one
step, at a tick or between.
"""

from ..signals import SEGMENT_TICKS
from .rate import Flow


class Delivery:
    """Basal and at most one bolus, on one `mechanism`."""

    def __init__(self, mechanism):
        self.mechanism = mechanism
        grains_per_step = mechanism.grains_per_step
        self.quarter = grains_per_step >> 2
        self.origin_steps = 0  # executed count at which nothing was owed
        self.basal = Flow(grains_per_step)
        self.bolus = Flow(grains_per_step)
        self.planned_basal = Flow(grains_per_step)
        self.planned_bolus = Flow(grains_per_step)
        self.bolus_active = False
        self.ahead = 0  # ticks by which `owed` is ahead of the current tick, 0 or 1

    def begin(self, executed_steps, rate_num, rate_den):
        """Owe a basal of rate_num/rate_den nL/h (reachable) from the end of this tick on; the motor rests."""
        self.forfeit(executed_steps)
        self.basal.set_rate(*self.mechanism.grains_per_tick(rate_num, rate_den))
        self.ahead = 1

    def to_boundary(self):
        """Owe up to the end of this tick, where a change that follows takes effect. True if a bolus is
        through.
        """
        if self.ahead:
            return False
        self.ahead = 1
        return self._advance(1)

    def forfeit(self, executed_steps):
        """Owe nothing more: what was owed and not executed, a fraction of a step included, is given up. Ends
        a bolus.
        """
        self.basal.clear()
        self.bolus.clear()
        self.bolus_active = False
        self.ahead = 0
        self.origin_steps = executed_steps
        self.plan_from_now()

    def set_basal(self, rate_num, rate_den):
        """Change the basal rate; nothing owed is lost or repeated."""
        self.basal.set_rate(*self.mechanism.grains_per_tick(rate_num, rate_den))
        self.plan_from_now()

    def begin_bolus(self, volume_nl):
        """Owe `volume_nl` more on top of the basal, at a rate to be set. No bolus may be active."""
        self.basal.absorb(self.bolus)
        self.bolus.end_at(*self.mechanism.grains_of_volume(volume_nl))
        self.bolus_active = True

    def set_bolus_rate(self, rate_num, rate_den):
        """The rate of the active bolus, nL/h (reachable)."""
        self.bolus.set_rate(*self.mechanism.grains_per_tick(rate_num, rate_den))
        self.plan_from_now()

    def advance(self, ticks):
        """Let `ticks` ticks pass. Returns True when this is the tick at which a bolus is through."""
        ticks -= self.ahead
        self.ahead = 0
        return self._advance(ticks)

    def _advance(self, ticks):
        self.basal.advance(ticks)
        if self.bolus_active:
            self.bolus.advance(ticks)
            if self.bolus.done():
                self.bolus_active = False
                return True
        return False

    def position(self):
        """Where the motor ought to be now, or at the end of this tick after `to_boundary` or `begin`."""
        return self._position(self.basal, self.bolus)

    def plan_from_now(self):
        """Throw the plan away: the next segment begins where `position` is."""
        self.planned_basal.copy(self.basal)
        self.planned_bolus.copy(self.bolus)

    def next_ticks(self):
        """How long the next segment may be: the flow does not change within it but at its end.

        A bolus ends within a tick, and steps spread evenly over two would be off at the one between.
        """
        return 1 if self.bolus_active and self.planned_bolus.ends_within(SEGMENT_TICKS) else SEGMENT_TICKS

    def plan(self, ticks):
        """Plan one more segment of `ticks` ticks and return the position at its end."""
        self.planned_basal.advance(ticks)
        self.planned_bolus.advance(ticks)
        return self._position(self.planned_basal, self.planned_bolus)

    def drop(self, steps):
        """Give up `steps` (any sign) of what is owed: the motor will not make them."""
        self.origin_steps -= steps

    def bolus_left_steps(self):
        """Whole microsteps that an active bolus still owes."""
        return self.bolus.limit_steps - self.bolus.steps if self.bolus_active else 0

    def _position(self, basal, bolus):
        steps = self.origin_steps + basal.steps + bolus.steps
        grains = basal.grains + bolus.grains
        one = self.mechanism.grains_per_step
        if grains >= one:
            grains -= one
            steps += 1
        return steps + 1 if grains >= one - self.quarter else steps
