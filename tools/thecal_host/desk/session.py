"""One pump as the desk hears it: a thread that listens, keeps everything in the archive, and begins again.

It does what `thecal record` does, and nothing that changes a pump: orders go by a conversation of their own
(`orders`), so that none waits for another and a stop for nobody. What is known is in the attributes of
`Session`, each set at once, to be read from any thread; `version` counts up whenever one was set.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from thecal.dose.prescription import EMPTY_NL, Prescription, PrescriptionError, parse
from thecal.rig import Rig
from thecal_model.link import LinkError

from thecal_host import log as pump_log
from thecal_host import pairing, ports, rigging
from thecal_host.archive import ArchiveError, Keeping
from thecal_host.archive.keeping import keeping
from thecal_host.connection import PortError
from thecal_host.keys import KeysError, Ring
from thecal_host.listening import Away, Back, Frames, Recording, listen
from thecal_host.pump import Pump, PumpError
from thecal_host.record import COUNTED_PULSES, header
from thecal_host.recording import Recorder, host_time

AGAIN_S = 2.0

# A status comes every second.
SILENCE_S = 5.0

# Ten minutes of statuses, and what fits beside the cards.
MOST_POINTS, MOST_EVENTS = 600, 50

# A patient's bolus before these is older than most lockouts; the pump knows of it, and denies.
LOOK_BACK = 200

# An alarm that goes on standing may rise.
ALARMS_S = 20.0


@dataclass(frozen=True)
class Point:
    """What was owed and what was made by a time, ms since the pump's first boot, in nL."""

    at_ms: int
    programmed_nl: Fraction
    delivered_nl: Fraction


class Session:
    """The pump at the port `name`; `role` is the only one that may be signed in, if one is named."""

    def __init__(self, name: str, role: str | None = None) -> None:
        self.name = name
        self.role = role
        self.version = 0
        self.why = "connecting"  # it is not heard; empty while it is
        self.hello: dict[str, Any] = {}
        self.status: dict[str, Any] | None = None
        self.alarms: dict[str, Any] = {"alarms": [], "first_cause": "", "failed": []}
        self.rig: Rig | None = None
        self.kept: dict[str, Any] | None = None
        self.therapy: Prescription | None = None
        self.keys: dict[str, bytes] = {}
        self.no_keys = ""  # why none is held
        self.losses = ""
        self.points: deque[Point] = deque(maxlen=MOST_POINTS)
        self.events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self.bolus_end_tick: int | None = None
        self.run = 0  # its number in the archive
        self.not_kept = ""  # why it is not in there
        self._heard_s = 0.0
        self._alarms_s = 0.0
        self._ended = threading.Event()
        self._turn_over = threading.Event()
        self._turned = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True, name=f"desk {name}")

    def start(self) -> None:
        """Listen from now on."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more; what was recorded has its end."""
        self._ended.set()
        self._thread.join()

    @property
    def age_s(self) -> float | None:
        """How long ago the pump was heard last."""
        return time.monotonic() - self._heard_s if self._heard_s else None

    @property
    def silence(self) -> str:
        """Why what is known may be old: the pump is not heard. Empty where it is."""
        age_s = self.age_s
        if self.why or age_s is None or age_s <= SILENCE_S:
            return self.why
        return f"it has said nothing for {age_s:.0f} s"

    @property
    def paired(self) -> bool:
        """Whether the pump wants signatures."""
        return self.hello.get("paired") is True

    @property
    def nl_per_step(self) -> Fraction:
        """Mean volume of a microstep."""
        return Fraction(self.hello["nl_per_rev"], self.hello["steps_per_rev"])

    @property
    def empty_nl(self) -> int:
        """The level at which its reservoir counts as empty."""
        therapy = self.therapy
        return EMPTY_NL if therapy is None or therapy.empty_nl is None else therapy.empty_nl

    @property
    def lockout_left_ms(self) -> int | None:
        """How long the lockout after the last patient's bolus still runs; None where there is none."""
        therapy, status, ended = self.therapy, self.status, self.bolus_end_tick
        if therapy is None or therapy.patient_bolus is None or status is None or ended is None:
            return None
        # The event comes at once, and the status of before it may still be the last one.
        left_ticks = therapy.patient_bolus.lockout_ticks - max(status["tick"] - ended, 0)
        return left_ticks * self.hello["tick_ms"] if left_ticks > 0 else None

    def turn_over(self, timeout_s: float = 10.0) -> int:
        """End the run that is being recorded, and begin another one; the number of what has ended, 0 where
        nothing was recorded.
        """
        number = self.run
        self._turned.clear()
        self._turn_over.set()
        return number if self._turned.wait(timeout_s) else 0

    # --- the thread

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                self._listen()
            except (PortError, PumpError, LinkError, KeysError) as why:
                self._set(why=str(why))
                self._ended.wait(AGAIN_S)
        self._set(why="the desk is closed")

    def _listen(self) -> None:
        """From connecting until the rig changes or the desk is closed."""
        pump = Pump(ports.open_port(self.name))
        pump.reopen = lambda: ports.open_port(self.name)
        try:
            self._meet(pump)
            goes_on = True
            while goes_on:
                goes_on = self._record(pump)
                self._turn_over.clear()
                self._turned.set()
        finally:
            pump.port.close()

    def _meet(self, pump: Pump) -> None:
        pump.connect()
        self._attach(pump)
        self._set(hello=pump.hello, rig=rigging.in_force(pump))
        self._learn_therapy(pump)
        found = pump_log.read_last(pump, pump_log.EVENTS, LOOK_BACK)
        for entry in found.entries:
            self._take_event(pump_log.event_of(entry))
        self._set(status=pump.status())
        self._learn_alarms(pump)

    def _attach(self, pump: Pump) -> None:
        """Without a key it is looked at only."""
        try:
            held = pairing.attach(pump, Ring(), self.role)
            self._set(keys=dict(held.keys), no_keys="")
        except KeysError as why:
            self._set(keys={}, no_keys=str(why))

    def _record(self, pump: Pump) -> bool:
        """One run of the archive; whether another one follows of the pump as it is."""
        head = header(
            title=f"{self.name}, {datetime.now():%Y-%m-%d %H:%M}",
            source=COUNTED_PULSES,
            nl_per_step=pump.nl_per_step,
            tick_ms=pump.tick_ms,
            rig=self.rig,
            kept=pump.therapy(),
            hello=pump.hello,
            host_time=host_time(),
        )
        with ExitStack() as stack:
            kept: Keeping | None = None
            recording: Recording | None = None
            try:
                kept = stack.enter_context(keeping(self.name))
                recording = Recording(pump, Recorder(None, head, kept))
                self._set(run=kept.number, not_kept="")
            except ArchiveError as why:
                self._set(run=0, not_kept=str(why))
            for heard in listen(pump):
                if recording is not None and kept is not None:
                    try:
                        recording.take(heard)
                        kept.turn()
                    except ArchiveError as why:
                        recording = None
                        self._set(run=0, not_kept=str(why))
                if self._take(pump, heard) or self._ended.is_set() or self._turn_over.is_set():
                    break
            if recording is not None:
                try:
                    recording.end()
                except ArchiveError as why:
                    self._set(not_kept=str(why))
        return self._turn_over.is_set() and not self._ended.is_set()

    def _take(self, pump: Pump, heard: Frames | Away | Back) -> bool:
        """Take in what was heard; True where the pump has another rig, and is to be met anew."""
        if isinstance(heard, Away):
            self._set(why=f"the line is lost, trying again: {heard.why}")
            return False
        codes = set()
        for frame in heard if isinstance(heard, list) else ():
            self._heard_s = time.monotonic()
            if frame["type"] == "status":
                self._take_status(frame)
            elif frame["type"] == "event":
                self._take_event(frame)
                codes.add(frame["code"])
        if isinstance(heard, Back) or codes & {"boot", "keys"}:
            number = self.hello.get("rig_number")
            self._set(hello=pump.connect())
            if self.hello.get("rig_number") != number:
                return True
            self._attach(pump)
        if isinstance(heard, Back) or codes & {"boot", "therapy"}:
            self._learn_therapy(pump)
        if isinstance(heard, Back) or "alarm" in codes or self._alarms_are_old():
            self._learn_alarms(pump)
        losses = pump.client.gaps, pump.client.crc_errors
        self._set(why="", losses=f"{losses[0]} frames lost, {losses[1]} damaged" if any(losses) else "")
        return False

    def _alarms_are_old(self) -> bool:
        status = self.status
        told = status is not None and (status["alarm"] >= 0) != bool(self.alarms["alarms"])
        return told or (bool(self.alarms["alarms"]) and time.monotonic() - self._alarms_s > ALARMS_S)

    def _take_status(self, frame: dict[str, Any]) -> None:
        nl = self.nl_per_step
        at_ms = frame["tick"] * self.hello["tick_ms"]
        if self.points and at_ms < self.points[-1].at_ms:
            self.points.clear()
        self.points.append(Point(at_ms, frame["owed_steps"] * nl, frame["executed_steps"] * nl))
        self._set(status=frame)

    def _take_event(self, event: dict[str, Any]) -> None:
        if event["code"] == "patient_bolus_end":
            self.bolus_end_tick = event["tick"]
        if not self.events or event["seq"] > self.events[-1]["seq"]:
            self.events.append(event)
        self._set()

    def _learn_therapy(self, pump: Pump) -> None:
        kept = pump.therapy()
        therapy = None
        if kept is not None and self.rig is not None:
            try:
                therapy = parse(kept["therapy"], self.rig.mechanism())
            except PrescriptionError as why:
                raise PumpError(
                    f"the pump keeps a therapy that this program does not understand: {why}"
                ) from None
        self._set(kept=kept, therapy=therapy)

    def _learn_alarms(self, pump: Pump) -> None:
        self._alarms_s = time.monotonic()
        self._set(alarms=pump.ask("alarms"))

    def _set(self, **known: Any) -> None:
        for name, value in known.items():
            setattr(self, name, value)
        self.version += 1
