"""How much is left in the reservoir: what was filled in less the forward steps since, exact, in microsteps.

Warns at LOW and gives the position beyond which nothing may be ordered, EMPTY. A pump that was never filled
knows nothing and warns of nothing (`known`).
"""

from ..smallint import small


class Reservoir:
    """Volumes come in as nanolitres, on a mechanism of so many nL and steps per revolution."""

    def __init__(self, nl_per_rev: int, steps_per_rev: int) -> None:
        self.nl_per_rev = nl_per_rev
        self.steps_per_rev = steps_per_rev
        self.known = False
        self.fill_nl = 0
        self.filled_at_steps = 0  # position of the motor when it was filled
        self.low_steps = 0  # position at which it is LOW ...
        self.empty_steps = 0  # ... and EMPTY
        self.fill_steps = 0  # position at which nothing at all would be left, rounded down
        self.low_nl = 0
        self.empty_nl = 0

    def refill(self, fill_nl: int, executed_steps: int) -> None:
        """It now holds `fill_nl`."""
        self.known = True
        self.fill_nl = fill_nl
        self.filled_at_steps = executed_steps
        self.set_levels(self.low_nl, self.empty_nl)

    def set_levels(self, low_nl, empty_nl) -> None:
        """When to warn and when to stop."""
        self.low_nl = low_nl
        self.empty_nl = empty_nl
        # LOW on the step that brings the volume to it, EMPTY before the step that would take it below.
        self.low_steps = self.filled_at_steps + small(-self._steps(low_nl - self.fill_nl))
        self.empty_steps = self.filled_at_steps + small(self._steps(self.fill_nl - empty_nl))
        self.fill_steps = self.filled_at_steps + small(self._steps(self.fill_nl))

    def low(self, executed_steps: int):
        """Whether it is LOW."""
        return self.known and executed_steps >= self.low_steps

    def empty(self, executed_steps: int):
        """Whether it is EMPTY."""
        return self.known and executed_steps >= self.empty_steps

    def left_steps(self, executed_steps: int):
        """Whole microsteps that are left in it."""
        return self.fill_steps - executed_steps if self.known else 0

    def _steps(self, volume_nl: int) -> int:
        return volume_nl * self.steps_per_rev // self.nl_per_rev
