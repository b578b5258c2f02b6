"""One pump as the desk hears it: a thread that listens, keeps everything in the archive, and begins again.

It does what `thecal record` does, and nothing that changes a pump: orders go by a conversation of their own
(`orders`), so that none waits for another and a stop for nobody.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from datetime import datetime

from thecal.dose.prescription import PrescriptionError, parse
from thecal_model.link import LinkError

from thecal_host import log as pump_log
from thecal_host import pairing, ports, rigging
from thecal_host.archive import ArchiveError, Keeping
from thecal_host.archive.keeping import keeping
from thecal_host.connection import PortError
from thecal_host.desk.known import Known
from thecal_host.keys import KeysError, Ring
from thecal_host.listening import Away, Back, Frames, Recording, listen
from thecal_host.pump import Pump, PumpError
from thecal_host.record import COUNTED_PULSES, header
from thecal_host.recording import Recorder, host_time

AGAIN_S = 2.0

# A patient's bolus before these is older than most lockouts; the pump knows of it, and denies.
LOOK_BACK = 200

# An alarm that goes on standing may rise.
ALARMS_S = 20.0


class Session(Known):
    """The pump at the port `name`; `role` is the only one that may be signed in, if one is named."""

    def __init__(self, name: str, role: str | None = None) -> None:
        super().__init__(name, role)
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
                self.why = str(why)
                self._ended.wait(AGAIN_S)
        self.why = "the desk is closed"

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
        self.meet(pump.hello)
        self.rig = rigging.in_force(pump)
        self._learn_therapy(pump)
        self._learn_events(pump)
        self.take_status(pump.status())
        self._learn_alarms(pump)

    def _attach(self, pump: Pump) -> None:
        """Without a key it is looked at only."""
        try:
            held = pairing.attach(pump, Ring(), self.role)
            self.keys = dict(held.keys)
            self.no_keys = ""
        except KeysError as why:
            self.keys = {}
            self.no_keys = str(why)

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
                self.run = kept.number
                self.not_kept = ""
            except ArchiveError as why:
                self.run = 0
                self.not_kept = str(why)
            for heard in listen(pump):
                if recording is not None and kept is not None:
                    try:
                        recording.take(heard)
                        kept.turn()
                    except ArchiveError as why:
                        recording = None
                        self.run = 0
                        self.not_kept = str(why)
                if self._take(pump, heard) or self._ended.is_set() or self._turn_over.is_set():
                    break
            if recording is not None:
                try:
                    recording.end()
                except ArchiveError as why:
                    self.not_kept = str(why)
        return self._turn_over.is_set() and not self._ended.is_set()

    def _take(self, pump: Pump, heard: Frames | Away | Back) -> bool:
        """Take in what was heard; True where the pump has another rig, and is to be met anew."""
        if isinstance(heard, Away):
            self.why = f"the line is lost, trying again: {heard.why}"
            return False
        codes: set[str] = set()
        for frame in heard if isinstance(heard, list) else ():
            if frame["type"] == "status":
                self.take_status(frame)
            elif frame["type"] == "event":
                self.take_event(frame)
                codes.add(frame["code"])
        try:
            if self._learn(pump, {"boot"} if isinstance(heard, Back) else codes):
                return True
        except PortError:
            return False  # who listens on finds the same, and marks the gap
        losses = pump.client.gaps, pump.client.crc_errors
        self.why = ""
        self.losses = f"{losses[0]} frames lost, {losses[1]} damaged" if any(losses) else ""
        return False

    def _learn(self, pump: Pump, codes: set[str]) -> bool:
        """Ask for what events of these codes have changed; True where that is the rig."""
        if codes & {"boot", "keys"}:
            number = self.hello.get("rig_number")
            self.meet(pump.connect())
            if self.hello.get("rig_number") != number:
                return True
            self._attach(pump)
            self._learn_events(pump)
        if codes & {"boot", "therapy"}:
            self._learn_therapy(pump)
        if codes & {"boot", "alarm"} or self._alarms_are_old():
            self._learn_alarms(pump)
        return False

    def _alarms_are_old(self) -> bool:
        status = self.status
        told = status is not None and (status["alarm"] >= 0) != bool(self.alarms["alarms"])
        return told or (bool(self.alarms["alarms"]) and time.monotonic() - self._alarms_s > ALARMS_S)

    def _learn_events(self, pump: Pump) -> None:
        found = pump_log.read_last(pump, pump_log.EVENTS, LOOK_BACK)
        for entry in found.entries:
            self.take_event(pump_log.event_of(entry))

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
        self.kept = kept
        self.therapy = therapy

    def _learn_alarms(self, pump: Pump) -> None:
        self._alarms_s = time.monotonic()
        self.alarms = pump.ask("alarms")
