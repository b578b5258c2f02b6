"""`Pump`: one pump, ten verbs, quantities as text with their units.

    with Pump() as pump:                      # the only one there is; or Pump("/dev/ttyACM0")
        readback = pump.program(rate="6 mL/h")
        print(readback)                       # what the pump understood
        pump.confirm(readback)
        pump.start()
        pump.bolus("5 uL", over="5 min")
        for told in pump.listen("10 s"):
            print(told)
        pump.stop()

Nothing here skips a read-back. Leaving the context lets go of the port and changes nothing else: a pump that
runs goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from thecal_model.quantities import MS_PER_HOUR, QuantityError
from thecal_model.text import rate_text
from thecal_model.therapy import Limit, Profile, Therapy

from thecal_host import pairing, ports
from thecal_host.connection import Port
from thecal_host.keys import Ring
from thecal_host.pump import Pump as Conversation
from thecal_host.pump import PumpError
from thecal_host.python.amounts import rate_nl_h, time_ms, volume_nl
from thecal_host.python.answers import Alarm, Event, Readback, Status, event_of, status_of


class Denied(PumpError):
    """The pump denied a bolus; `reason` is its code."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"the bolus is denied: {message or reason} ({reason})")
        self.reason = reason


class Pump:
    """One pump. `port` is a serial device or `socket://HOST:PORT`; the only pump there is unless given.

    To one that is paired commands are signed with the keys that this computer holds for it (`thecal keys`),
    in the least role that suffices, or in `role`. Raises PortError where there is no pump, PumpError where
    it does not answer, KeysError where there is no key of that role.
    """

    def __init__(self, port: str | Port | None = None, role: str | None = None) -> None:
        opened = port if isinstance(port, Port) else ports.open_port(ports.choose_port(port))
        try:
            clock = getattr(opened, "clock_s", None)
            self.conversation = Conversation(opened) if clock is None else Conversation(opened, clock)
            """What the verbs stand on; every command of the link can be asked there."""
            self.conversation.connect()
            if self.conversation.paired:
                pairing.attach(self.conversation, Ring(), role)
        except BaseException:
            opened.close()
            raise

    @classmethod
    def on_bench(cls) -> Pump:
        """A pump in this process, on a model: its time goes on by as much as you `listen`, at once."""
        from thecal_host.python.bench_port import BenchPort

        return cls(BenchPort())

    def close(self) -> None:
        """Let go of the port; the pump goes on. May be called twice."""
        self.conversation.port.close()

    def __enter__(self) -> Pump:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def unwatched(self) -> list[str]:
        """The hazards that its rig leaves unwatched."""
        return list(self.conversation.hello.get("unwatched", []))

    # --- the ten verbs

    def status(self) -> Status:
        """What the pump says of itself now."""
        return self._typed(self.conversation.status())

    def alarms(self) -> list[Alarm]:
        """The alarms that stand, the most urgent first."""
        return [Alarm(code, priority) for code, priority in self.conversation.ask("alarms")["alarms"]]

    def program(
        self,
        therapy: str | Path | None = None,
        *,
        rate: str | None = None,
        limit: str | None = None,
        within: str | None = None,
    ) -> Readback:
        """Propose a therapy: a file (TOML), or one `rate`, of which any window `within` a time holds `limit`
        at most.

        Nothing is changed before `confirm`. Raises InputError for a file, QuantityError.
        """
        if (therapy is None) == (rate is None):
            raise QuantityError('program: expected a file with a therapy or rate="6 mL/h", one of the two')
        if therapy is not None:
            from thecal_bench.scenario import load_therapy

            known, profile = load_therapy(Path(therapy))
        else:
            known, profile = self._steady(rate or "", limit, within), Profile()
        return Readback(self.conversation.propose(known.message(profile)))

    def refill(self, volume: str) -> Readback:
        """Propose that the reservoir holds `volume` now."""
        return Readback(self.conversation.propose_refill(volume_nl("volume", volume)))

    def confirm(self, readback: Readback, accept: Iterable[str] = ()) -> None:
        """Put in force what was read back. Each soft limit that it breaks has to be named in `accept`."""
        lacking = [name for name in readback.soft if name not in set(accept)]
        if lacking:
            said = "; ".join(readback.proposal.why) or "outside soft limits"
            raise PumpError(f"nothing was changed: {said}; if that is meant, confirm with accept={lacking}")
        self.conversation.confirm(readback.proposal)

    def start(self) -> None:
        """Start the therapy in force."""
        self.conversation.ask("start")

    def stop(self) -> None:
        """Stop; a bolus that runs ends for good."""
        self.conversation.ask("stop")

    def bolus(self, volume: str, *, over: str, accept: Iterable[str] = ()) -> Fraction:
        """Give a bolus on top of the basal rate; its rate in nL/h. Raises Denied."""
        named = {"accept": list(accept)} if accept else {}
        amounts = {"volume_nl": volume_nl("volume", volume), "duration_ms": time_ms("over", over)}
        reply = self.conversation.ask("bolus", **amounts, **named)
        if reply.get("outcome") == "done":  # granted, and told once more after a reset: without its rate
            return Fraction(amounts["volume_nl"] * MS_PER_HOUR, amounts["duration_ms"])
        if reply.get("granted") is not True:
            raise Denied(str(reply.get("reason") or "no reason given"), str(reply.get("message", "")))
        return Fraction(reply["rate_num"], reply["rate_den"])

    def acknowledge(self) -> None:
        """Acknowledge the alarms; a pump that one has halted is STOPPED then."""
        self.conversation.ask("acknowledge")

    def listen(self, time: str) -> Iterator[Status | Event]:
        """What the pump tells by itself for so long: a `Status` a second, an `Event` at once."""
        until_s = self.conversation.clock_s() + time_ms("time", time) / 1000
        for frames in self.conversation.listen(until_s):
            for frame in frames:
                if frame["type"] == "status":
                    yield self._typed(frame)
                elif frame["type"] == "event":
                    yield event_of(frame, self.conversation.tick_ms)

    # ---

    def _typed(self, frame: dict[str, Any]) -> Status:
        return status_of(frame, self.conversation.nl_per_step, self.conversation.tick_ms)

    def _steady(self, rate: str, limit: str | None, within: str | None) -> Therapy:
        flow_nl_h = rate_nl_h("rate", rate)
        most_nl_h = self.conversation.hello["max_rate_nl_h"]
        if flow_nl_h > most_nl_h:
            raise QuantityError(
                f'rate: expected {rate_text(most_nl_h)} at most, which the rig makes, found "{rate}"'
            )
        if (limit is None) != (within is None):
            raise QuantityError('limit: expected limit="10 mL" and within="1 h" together')
        window = None
        if limit is not None and within is not None:
            window = Limit(time_ms("within", within), volume_nl=volume_nl("limit", limit))
        return Therapy("continuous", flow_nl_h, limit=window)
