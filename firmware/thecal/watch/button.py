"""The STOP button: pressed, held down, stuck.

It is looked at once a tick, at the beginning, so that a button that is down when the pump boots is obeyed
before anything resumes. While it is held down nothing starts.
"""

STUCK_TICKS = 600  # ALM-05: held for 60 s it is an alarm of its own


class StopButton:
    """`held` while it is down, `pressed` in the tick in which it went down."""

    def __init__(self) -> None:
        self.held = False
        self.pressed = False
        self.held_ticks = 0

    def look(self, down: bool, ticks: int) -> None:
        """The button is `down` or not; so many ticks have passed since the last look."""
        self.pressed = down and not self.held
        self.held = down
        if not down or self.pressed:
            self.held_ticks = 0
        elif self.held_ticks < STUCK_TICKS:
            self.held_ticks += ticks

    def stuck(self) -> bool:
        """Whether nobody can mean it any more."""
        return self.held_ticks >= STUCK_TICKS
