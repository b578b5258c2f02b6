"""The hardware watchdog (SAFE-03): fed in one place, and only when every part has checked in for the tick.

Once armed it cannot be stopped. Its time is 2 s: twice what MOT-04 gives the motor to stop by itself after a
hang, so the reset comes second and the motor never depends on it; and three times the longest silence of a
sound loop (600 ms, MOT-05), so an erase of the flash does not look like a hang. The RP2040 can do 8.388 s.
"""

from machine import WDT

TIMEOUT_MS = 2_000


class Watchdog:
    """Armed from construction on. Raises ValueError for a time that the chip cannot do."""

    def __init__(self, timeout_ms: int = TIMEOUT_MS) -> None:
        self.timer = WDT(timeout=timeout_ms)

    def feed(self, checked_in: int, all_of_them) -> None:
        """End of a tick: `checked_in` has a bit for each part that did its work, `all_of_them` for each that
        there is. If they differ the watchdog is left hungry.
        """
        if checked_in == all_of_them:
            self.timer.feed()
