"""Exact accumulation of a flow: no drift, whatever the rate, however long.

A flow owns whole microsteps and a remainder in grains (`mechanism`), `grains` of `grains_per_step`. A rate is
split once, when it is programmed, into whole microsteps and grains per tick. No value here reaches 2^30: a
remainder stays below 2^29, so the doubled one of `advance` still fits, and the total stays below 2^30
microsteps (33 L on the reference mechanism).
"""


class Flow:
    """One component of what is owed, with a rate that may change and, if it is a bolus, an end."""

    def __init__(self, grains_per_step: int) -> None:
        self.grains_per_step = grains_per_step
        self.steps = 0  # owed so far: whole microsteps ...
        self.grains = 0  # ... and a remainder, 0 .. grains_per_step - 1
        self.rate_steps = 0  # per tick
        self.rate_grains = 0
        self.endless = True
        self.limit_steps = 0
        self.limit_grains = 0

    def set_rate(self, rate_steps: int, rate_grains: int) -> None:
        """From here on so many microsteps and grains per tick. What is owed already stays, to the grain."""
        self.rate_steps = rate_steps
        self.rate_grains = rate_grains

    def end_at(self, steps: int, grains: int) -> None:
        """Owe no more than this in all."""
        self.endless = False
        self.limit_steps = steps
        self.limit_grains = grains

    def ends_within(self, ticks: int) -> bool:
        """Whether the end is not reached yet, but is in the next `ticks` (a few) ticks."""
        if self.endless or self.done():
            return False
        steps = self.steps
        grains = self.grains
        for _ in range(ticks):
            steps += self.rate_steps
            grains += self.rate_grains
            if grains >= self.grains_per_step:
                grains -= self.grains_per_step
                steps += 1
        return steps > self.limit_steps or (steps == self.limit_steps and grains >= self.limit_grains)

    def done(self) -> bool:
        """Whether all that a bolus may owe is owed."""
        return not self.endless and self.steps == self.limit_steps and self.grains == self.limit_grains

    def clear(self) -> None:
        """Owe nothing, flow at nothing, without end."""
        self.steps = 0
        self.grains = 0
        self.rate_steps = 0
        self.rate_grains = 0
        self.endless = True

    def absorb(self, other) -> None:
        """Take over what `other` owes; it then owes nothing and has no rate."""
        self.steps += other.steps
        self.grains += other.grains
        if self.grains >= self.grains_per_step:
            self.grains -= self.grains_per_step
            self.steps += 1
        other.clear()

    def copy(self, other) -> None:
        """Become a copy of `other`, which has the same grain."""
        self.steps = other.steps
        self.grains = other.grains
        self.rate_steps = other.rate_steps
        self.rate_grains = other.rate_grains
        self.endless = other.endless
        self.limit_steps = other.limit_steps
        self.limit_grains = other.limit_grains

    def advance_tick(self) -> None:
        """Let one tick pass: `advance(1)`, quicker."""
        steps = self.steps + self.rate_steps
        grains = self.grains + self.rate_grains
        one = self.grains_per_step
        if grains >= one:
            grains -= one
            steps += 1
        if not self.endless and (
            steps > self.limit_steps or (steps == self.limit_steps and grains > self.limit_grains)
        ):
            steps = self.limit_steps
            grains = self.limit_grains
        self.steps = steps
        self.grains = grains

    def advance(self, ticks: int) -> None:
        """Let `ticks` ticks (0 .. 2^20) pass. By doubling, so a merged jump of a day costs as little as a
        second.
        """
        rate_steps = self.rate_steps
        rate_grains = self.rate_grains
        one = self.grains_per_step
        while ticks:
            if ticks & 1:
                self.steps += rate_steps
                grains = self.grains + rate_grains
                if grains >= one:
                    grains -= one
                    self.steps += 1
                self.grains = grains
            ticks >>= 1
            if ticks:
                rate_steps += rate_steps
                rate_grains += rate_grains
                if rate_grains >= one:
                    rate_grains -= one
                    rate_steps += 1
        if not self.endless and (
            self.steps > self.limit_steps
            or (self.steps == self.limit_steps and self.grains > self.limit_grains)
        ):
            self.steps = self.limit_steps
            self.grains = self.limit_grains
