"""After a change of concentration the line still holds the old drug: it goes on at the old dose until it is
through (DOSE-10).

A `Bridge` is a state of the line: it survives stops, alarms and resets. While one is open every microstep
delivers old drug, so windows and limits are reckoned in microsteps of the old drug, and what the new
prescription says is converted: a volume of the new drug weighs new/old as much. When the line is through,
everything is reckoned in the new one's.
"""


class Bridge:
    """`left_steps` of the drug that flowed by `schedule` are still in the line; `old` and `new` relate as
    the concentrations do. The motor is at `at_steps`.
    """

    def __init__(self, schedule, left_steps, old, new, at_steps):
        self.schedule = schedule
        self.left_steps = left_steps
        self.end_steps = at_steps + left_steps  # position at which the line is through
        self.old = old
        self.new = new

    def step(self, steps):
        """So many microsteps were executed. Returns how many of the old drug weigh as much, rounded up."""
        old_steps = min(steps, self.left_steps)
        self.left_steps -= old_steps
        return old_steps + -(-(steps - old_steps) * self.new // self.old)

    def volume(self, num, den):
        """The volume of old drug with the mass of num/den nL of the new one, as a fraction."""
        return num * self.new, den * self.old
