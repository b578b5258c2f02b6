"""How a calibration turns the head: so many steps at the rate of use, and STOPPED again whatever happens.

It jogs the motor (RIG-06): a person confirms that no patient is connected, and each such confirmation allows
ten revolutions or 1 mL. A jog ends by itself, so a pump whose link is lost comes to rest too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thecal_model.text import alarm_name

from thecal_host.connection import PortError
from thecal_host.pump import Pump, PumpError

# A status comes every second; after some without one the link is lost.
SILENCE_S = 5.0

MOVING = "JOGGING"
AT_REST = "STOPPED"


def _nothing(frames: list[dict[str, Any]]) -> None:
    """Nobody looks."""


class Cut(PumpError):
    """The turning was cut short; the message says in what state the pump is."""


class Mover:
    """Turns the head of one pump at `rate_nl_h`.

    `confirm` is asked that no patient is connected, with what the pump read back; it raises where the answer
    is no. `look` is called with what the pump said, again and again while the head turns.
    """

    def __init__(self, pump: Pump, rate_nl_h: int, confirm: Callable[[dict[str, Any]], object]) -> None:
        self.pump = pump
        self._rate_nl_h = rate_nl_h
        self._confirm = confirm
        self._allowed_steps = 0
        self.look: Callable[[list[dict[str, Any]]], object] = _nothing

    def status(self) -> dict[str, Any]:
        """The pump's status, with its counts of steps and ticks."""
        return self.pump.status()

    def turn_to(self, steps: int, rate_nl_h: int | None = None) -> None:
        """Turn on until the pump has counted so many steps in all, at another rate if one is given; the pump
        is STOPPED before and after.

        Whatever ends it early (Ctrl-C, an alarm, a lost link) leaves the pump STOPPED, or says that it could
        not. Raises Cut, Refused or PumpError.
        """
        while (left := steps - self.status()["executed_steps"]) > 0:
            if self._allowed_steps < left:
                self._allow()
            part = min(left, self._allowed_steps)
            self._allowed_steps -= part
            self.pump.ask("jog", steps=part, rate_nl_h=rate_nl_h or self._rate_nl_h)
            self._see_it_end(steps - left + part)

    def allow(self, steps: int) -> None:
        """Have it confirmed now, unless so many steps are allowed already."""
        if self._allowed_steps < steps:
            self._allow()

    def _allow(self) -> None:
        proposal = self.pump.propose_disconnected()
        self._confirm(proposal.readback)
        self.pump.confirm(proposal)
        self._allowed_steps = proposal.readback["jog_steps"]

    def _see_it_end(self, steps: int) -> None:
        try:
            try:
                self._watch(steps)
            except BaseException:
                self.pump.ask("stop")
                raise
        except PortError as why:
            raise Cut(f"{why}\n{stop_again(self.pump)}") from None

    def _watch(self, steps: int) -> None:
        """Listen until the jog is over, at so many steps. Raises Cut where something else ended it."""
        pump = self.pump
        heard_s = pump.clock_s()
        while True:
            frames = pump.poll(0.2)
            for frame in frames:
                if frame["type"] == "status":
                    heard_s = pump.clock_s()
                    if frame["state"] == AT_REST and frame["executed_steps"] >= steps:
                        return
                    if frame["state"] == AT_REST:
                        raise Cut("somebody has stopped the pump; it is STOPPED")
                    if frame["state"] != MOVING:
                        alarm = alarm_name(frame["alarm"])
                        raise Cut(
                            f"the pump is {frame['state']}, alarm {alarm}: see `thecal alarms`, mend the "
                            "cause, acknowledge it"
                        )
            self.look(frames)
            if pump.clock_s() - heard_s > SILENCE_S:
                raise PortError(f"{pump.port.name} has said nothing for {SILENCE_S:g} s")


def stop_again(pump: Pump) -> str:
    """Reach a pump anew whose link was lost, and stop it; what came of it, as a sentence."""
    try:
        pump.reach_again()
        pump.ask("stop")
        return f"It was reached again, and is {pump.status()['state']}."
    except (PortError, PumpError) as why:
        return f"IT MAY STILL TURN, and cannot be reached ({why}): press its STOP button, or cut its supply."
