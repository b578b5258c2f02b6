"""The pump's buttons: pressed, held down, let go; STOP also stuck.

They are looked at once a tick, STOP at the beginning, so that one that is down when the pump boots is obeyed
before anything resumes. While STOP is held down nothing starts.

The first contact acts, whatever comes after it. A contact bounces, when it closes and when it opens, for up
to `debounce_ms`: so long a look may say anything. So a button is let go, and can be pressed again, when as
many looks in a row found it up as fall into that time.
"""

from ..clock import TICK_MS

STUCK_TICKS = 600  # ALM-05: held for 60 s it is an alarm of its own
DEBOUNCE_MS = 30  # own choice: well above what switches' data sheets give, 5 to 20 ms


class Button:
    """`held` while it is down, `pressed` in the tick in which it went down."""

    def __init__(self, debounce_ms: int = DEBOUNCE_MS) -> None:
        self.release_ticks = 1 + debounce_ms // TICK_MS
        self.held = False
        self.pressed = False
        self.held_ticks = 0
        self.up_ticks = 0

    def look(self, down: bool, ticks: int) -> None:
        """The button is `down` or not; so many ticks have passed since the last look."""
        held = self.held
        self.pressed = down and not held
        if down:
            self.up_ticks = 0
            if held:
                self._stay(ticks)
            else:
                self.held = True
                self.held_ticks = 0
        elif held:
            # Since when it is up nobody saw: it is a tick.
            self.up_ticks += ticks if self.up_ticks else 1
            if self.up_ticks < self.release_ticks:
                self._stay(ticks)
            else:
                self.held = False
                self.held_ticks = 0

    def _stay(self, ticks: int) -> None:
        if self.held_ticks < STUCK_TICKS:
            self.held_ticks += ticks

    def stuck(self) -> bool:
        """Whether nobody can mean it any more."""
        return self.held_ticks >= STUCK_TICKS
