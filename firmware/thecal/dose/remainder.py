"""The part of a microstep that was owed when the flow stopped (DOSE-01).

A motor makes whole microsteps, and a flow that is stopped and started again and again would lose a part of
one each time: at 2 uL/h, stopped every 15 s, all of it. So the part stays owed over the stop. Whole
microsteps that were owed and not made do not: nothing is caught up. What was made and not owed yet, since the
motor runs on for some milliseconds until it hears of a stop, counts against what comes next.

It is dropped when the line holds something else (a change of drug or of rig, a new line), and by a loss of
power.
"""


class Remainder:
    """Microsteps and grains, `grains_per_step` of them a microstep, that are owed beyond those that were
    made. No motor is ever ordered further ahead than `most_ahead_steps`. `behind_steps`: so much may be owed
    at a stop because the next step of the rotor displaces more than one microstep.
    """

    def __init__(self, grains_per_step: int, most_ahead_steps: int, behind_steps: int = 0) -> None:
        self.grains_per_step = grains_per_step
        self.most_ahead_steps = most_ahead_steps
        self.behind_steps = behind_steps
        # Once `settled` between -most_ahead_steps and behind_steps, else the position up to which all was
        # owed at the stop: where the motor comes to rest is not known at once.
        self.steps = 0
        self.grains = 0
        self.settled = True

    def stop_at(self, steps: int, grains: int) -> None:
        """Owed up to that position, and no further."""
        self.steps = steps
        self.grains = grains
        self.settled = False

    def settle(self, executed_steps: int) -> None:
        """The motor rests there, or goes on from there."""
        self.steps = self._settled_at(executed_steps)
        self.settled = True

    def owed_grains(self, executed_steps: int) -> int:
        """What a start would owe there at once, grains; below 0 where the motor is ahead."""
        return self._settled_at(executed_steps) * self.grains_per_step + self.grains

    def _settled_at(self, executed_steps: int):
        if self.settled:
            return self.steps
        steps = self.steps - executed_steps
        if steps > self.behind_steps:
            return 0  # owed and not made: given up
        if steps < -self.most_ahead_steps:
            return -1  # never ordered: a fault with its own alarm, which no next dose makes up for
        return steps

    def drop(self) -> None:
        """What is in the line now is something else, and nothing is owed of it."""
        self.steps = 0
        self.grains = 0
        self.settled = True
