"""`LabPump`: a pump in the form that lab automation knows, for water and other liquids that are no drug.

It has what a `PumpBackend` of PyLabRobot has: `setup`, `stop`, `run_continuously`, `run_revolutions`, `halt`.
The first two are coroutines. The others are plain functions on purpose: PyLabRobot's `Pump` calls them
without `await`, so that a coroutine would do nothing there, and a halt that does nothing is not a halt.

    from pylabrobot.pumps import Pump
    pump = Pump(backend=LabPump(nobody_connected=True))
    await pump.setup()
    await pump.run_continuously(speed=2)      # revolutions a minute
    await pump.halt()

`run_continuously` programs and starts a therapy of that rate, its read-back checked. `run_revolutions` is a
jog, which ends by itself; the pump bounds how far and how fast.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from thecal.handlers.service import MOST_JOG_NL_H
from thecal_model.text import rate_text
from thecal_model.therapy import Profile, Therapy

from thecal_host.connection import Port
from thecal_host.pump import PumpError
from thecal_host.python.answers import Readback
from thecal_host.python.pump import Pump

if TYPE_CHECKING:
    from pylabrobot.pumps.backend import PumpBackend
else:
    try:
        from pylabrobot.pumps.backend import PumpBackend
    except ImportError:
        PumpBackend = object

MIN_PER_H = 60


class LabPump(PumpBackend):
    """One pump at `port`, the only one there is unless given. `accept` names the soft limits that are meant.

    `nobody_connected` has to be True: by that you say that no patient is connected, and no drug is in the
    line.
    """

    def __init__(
        self, port: str | Port | None = None, *, nobody_connected: bool = False, accept: Iterable[str] = ()
    ) -> None:
        super().__init__()
        if nobody_connected is not True:
            raise PumpError(
                "a lab pump is for water in a beaker: say that no patient is connected, with "
                "nobody_connected=True"
            )
        self._port = port
        self._accept = tuple(accept)
        self._pump: Pump | None = None

    async def setup(self) -> None:
        """Open the port and say hello."""
        if self._pump is None:
            self._pump = Pump(self._port)

    async def stop(self) -> None:
        """Halt, and let go of the port."""
        if self._pump is not None:
            try:
                self.halt()
            finally:
                self._pump.close()
                self._pump = None

    def run_continuously(self, speed: float) -> None:
        """Turn at `speed` revolutions a minute until `halt`; 0 halts. Raises PumpError, Refused."""
        rpm = _number("speed", speed)
        if rpm == 0:
            self.halt()
            return
        pump = self._connected()
        conversation = pump.conversation
        flow_nl_h = rpm * conversation.hello["nl_per_rev"] * MIN_PER_H
        most_nl_h = conversation.hello["max_rate_nl_h"]
        if flow_nl_h > most_nl_h:
            most = float(Fraction(most_nl_h, conversation.hello["nl_per_rev"] * MIN_PER_H))
            raise PumpError(
                f"speed {speed}: expected {most:g} revolutions a minute ({rate_text(most_nl_h)}) at most"
            )
        proposal = conversation.propose(Therapy("continuous", flow_nl_h).message(Profile()))
        pump.confirm(Readback(proposal), self._accept)
        if pump.status().state != "RUNNING":
            pump.start()

    def run_revolutions(self, num_revolutions: float) -> None:
        """Turn so many revolutions, to the microstep, and stop; returns when it has begun.

        Raises PumpError, Refused.
        """
        revolutions = _number("num_revolutions", num_revolutions)
        pump = self._connected()
        conversation = pump.conversation
        steps = round(revolutions * conversation.hello["steps_per_rev"])
        if not steps:
            return
        if pump.status().state == "RUNNING":
            pump.stop()
        conversation.confirm(conversation.propose_disconnected())
        rate_nl_h = min(MOST_JOG_NL_H, conversation.hello["max_rate_nl_h"])
        conversation.ask("jog", steps=steps, rate_nl_h=rate_nl_h)

    def halt(self) -> None:
        """Stop the motor now. Raises PumpError where the pump did not say that it has."""
        self._connected().stop()

    def serialize(self) -> dict[str, Any]:
        """As PyLabRobot keeps it."""
        port = self._port if isinstance(self._port, str) else None
        known = {"type": type(self).__name__, "port": port}
        return {**known, "nobody_connected": True, "accept": list(self._accept)}

    def _connected(self) -> Pump:
        if self._pump is None:
            raise PumpError("the lab pump is not connected: await setup() first")
        return self._pump


def _number(name: str, value: float) -> Fraction:
    """A number of a protocol, not below nought, exact as it is written."""
    try:
        number = Fraction(str(value))
    except ValueError:
        number = Fraction(-1)
    if number < 0 or isinstance(value, bool):
        raise PumpError(
            f"{name}: expected a number, 0 at least (the head only turns forward), found {value!r}"
        )
    return number
