"""Where the motor is, in microsteps since the pump was first put into use, what that displaced (`head`), and
what of it was a dose.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .dose.head import Head
    from .dose.line import Line


class Position:
    """The steps that one motor has made, forward less backward, and the volume of its head."""

    def __init__(self, head: "Head") -> None:
        self.head = head
        self.evens = head.places > 0  # it has a table; else it is uniform, and steps are what they displace
        self.seen_marks = 0  # of the rotor's index
        self.base_steps = 0  # executed before the last reset
        self.counted_steps = 0  # made so far, as of the last look
        self.executed_steps = 0  # what they displaced of what was due by this tick (`Delivery.due`)
        self.entered_steps = 0  # of those, entered in the window
        self.dose_steps = 0  # executed, what filled the line left out

    def enter(self, line: "Line"):
        """Of the steps made since this was asked last those that are dose, in the window's unit. What goes
        back credits nothing, and counts once more when it goes forward.
        """
        steps = self.executed_steps - self.entered_steps
        if steps:
            self.entered_steps = self.executed_steps
            steps = line.moved(steps)
            self.dose_steps += steps
        return steps

    def resume(self, executed_steps: int, dose_steps: int) -> None:
        """Go on from there, after a reset."""
        self.base_steps = self.counted_steps = self.executed_steps = self.entered_steps = executed_steps
        self.dose_steps = dose_steps

    def lead_steps(self) -> int:
        """By how much the count of steps is ahead of the volume that they displaced, microsteps."""
        return self.counted_steps - self.head.volume_at(self.counted_steps)

    def look(self, counted_steps: int, marks: int) -> None:
        """So many steps and marks now; before the count of steps is taken over."""
        self.head.look(self.counted_steps, counted_steps, marks - self.seen_marks)
        self.seen_marks = marks
