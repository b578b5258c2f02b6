"""How a calibration turns the head: so many steps at the rate of use, and STOPPED again whatever happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from thecal_model.text import alarm_name

from thecal_host.connection import PortError
from thecal_host.pump import Pump, PumpError

# A status comes every second; after some without one the link is lost.
SILENCE_S = 5.0


class Cut(PumpError):
    """The turning was cut short; the message says in what state the pump is."""


class Mover(ABC):
    """Turns the head of one pump."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump

    @abstractmethod
    def turn_to(self, steps: int) -> None:
        """Turn on until the pump has counted so many steps in all; the pump is STOPPED before and after.

        Whatever ends it early (Ctrl-C, an alarm, a lost link) leaves the pump STOPPED, or says that it could
        not. Raises Cut, Refused or PumpError.
        """

    def status(self) -> dict[str, Any]:
        """The pump's status, with its counts of steps and ticks."""
        return self.pump.status()


class TherapyMover(Mover):
    """Runs the therapy in force and stops it."""

    def turn_to(self, steps: int) -> None:
        if self.status()["executed_steps"] >= steps:
            return
        self.pump.ask("start")
        try:
            try:
                self._watch(steps)
            finally:
                self.pump.ask("stop")
        except PortError as why:
            raise Cut(f"{why}\n{stop_again(self.pump)}") from None

    def _watch(self, steps: int) -> None:
        """Listen until the pump has counted so many steps. Raises Cut when it does not turn any more."""
        pump = self.pump
        heard_s = pump.clock_s()
        while True:
            for frame in pump.poll(0.2):
                if frame["type"] == "status":
                    heard_s = pump.clock_s()
                    if frame["executed_steps"] >= steps:
                        return
                    if frame["state"] != "RUNNING":
                        alarm = alarm_name(frame["alarm"])
                        raise Cut(
                            f"the pump is {frame['state']}, alarm {alarm}: see `thecal alarms`, mend the "
                            "cause, acknowledge it"
                        )
            if pump.clock_s() - heard_s > SILENCE_S:
                raise PortError(f"{pump.port.name} has said nothing for {SILENCE_S:g} s")


def stop_again(pump: Pump) -> str:
    """Reach a pump anew whose link was lost, and stop it; what came of it, as a sentence."""
    from thecal_host import ports

    name = pump.port.name
    pump.port.close()
    try:
        with ports.open_port(name) as port:
            again = Pump(port, pump.clock_s)
            again.connect()
            again.ask("stop")
            return f"It was reached again, and is {again.status()['state']}."
    except (PortError, PumpError) as why:
        return f"IT MAY STILL TURN, and cannot be reached ({why}): press its STOP button, or cut its supply."
