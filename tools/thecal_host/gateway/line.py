"""One port: a thread that listens to the pump there, asks for what it does not tell, and passes frames on.

It ends when the line is lost or what answers is no pump; `running` begins another one then. Nothing that it
sends by itself changes anything: hello, rig, alarms, log.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from thecal_host import log as pump_log
from thecal_host import rigging
from thecal_host.connection import Port, PortError
from thecal_host.gateway import view
from thecal_host.gateway.discovery import device
from thecal_host.gateway.passing import Passed
from thecal_host.gateway.told import Told
from thecal_host.gateway.topics import (
    ALARMS,
    AVAILABILITY,
    DISCOVERY,
    HELLO,
    OFFLINE,
    ONLINE,
    REFUSED,
    REPLY,
    STATE,
    TELEMETRY,
    Topics,
)
from thecal_host.pump import Pump, PumpError

LOOK_S = 0.1

# A status comes every second: who says nothing for so long is asked.
SILENT_S = 5.0

# The log is not asked more often, as long as it lacks an event that was told.
LOG_AGAIN_S = 0.5

# An event of which no frame came, and that is the last one, shows by how many there are.
COUNT_AGAIN_S = 30.0

# Frames that were passed on and are not answered.
MOST_PASSED = 64

_SERIAL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NEW_HELLO = ("boot", "rig", "keys")  # after these events

Claim = Callable[["Line", str], Told]
"""Says whose pump it is, by its serial number; PumpError where another line has it."""


class _Heard(Pump):
    """A pump whose every frame goes to `hear` too, also while a reply is waited for; `to_send` gives what is
    to be sent besides, as soon as it is there.
    """

    def __init__(
        self,
        port: Port,
        hear: Callable[[dict[str, Any]], object],
        to_send: Callable[[], list[bytes]],
    ) -> None:
        super().__init__(port)
        self._hear = hear
        self._to_send = to_send

    def poll(self, timeout_s: float) -> list[dict[str, Any]]:
        for frame in self._to_send():
            self.port.write(frame)
        frames = super().poll(timeout_s)
        self.overheard.clear()
        self.client.events.clear()
        for frame in frames:
            self._hear(frame)
        return frames


class Line(threading.Thread):
    """The pump at the port called `name`. `why` says why it has ended, once it has."""

    def __init__(self, name: str, open_port: Callable[[str], Port], claim: Claim, topics: Topics) -> None:
        super().__init__(name=f"line {name}", daemon=True)
        self.port_name = name
        self.why = ""
        self.found_none = False  # no pump answered
        self._open = open_port
        self._claim = claim
        self._topics = topics
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._to_pass: deque[Passed] | None = None  # while there is a pump
        self._told: Told | None = None
        self._early: list[dict[str, Any]] = []  # events before it was known whose they are
        self._rig: Any = None
        self._scale = Fraction(0), 0  # nL per microstep, ms per tick
        self._ask_hello = self._ask_alarms = False
        self._alarms: tuple[Any, ...] = ()
        self._heard_s = self._asked_log_s = self._counted_s = 0.0
        self._passed: OrderedDict[tuple[str | None, int], None] = OrderedDict()

    def end(self) -> None:
        """Let go of the port, soon."""
        self._ended.set()

    def forward(self, passed: Passed) -> None:
        """Have a frame sent as it is, and its reply published. PortError where there is no pump now."""
        with self._lock:
            if self._to_pass is None:
                raise PortError(f"the line to the pump at {self.port_name} is lost")
            if len(self._to_pass) >= MOST_PASSED:
                raise PortError(f"the pump at {self.port_name} has {MOST_PASSED} frames before it")
            self._to_pass.append(passed)

    # --- the thread

    def run(self) -> None:
        try:
            with self._open(self.port_name) as port:
                self._serve(_Heard(port, self._hear, self._next_to_pass))
        except (PortError, PumpError) as why:
            self.why = str(why)
            self.found_none = self._told is None and isinstance(why, PumpError)
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            left, self._to_pass = self._to_pass, None
        if self._told is not None:
            for passed in left or ():
                self._told.answer(REFUSED, view.refused("no_pump", self.why, passed.role, passed.ids))
            self._told.tell(AVAILABILITY, OFFLINE)

    def _next_to_pass(self) -> list[bytes]:
        with self._lock:
            if not self._to_pass:
                return []
            taken = list(self._to_pass)
            self._to_pass.clear()
        for passed in taken:
            self._passed[passed.run, passed.id] = None
        while len(self._passed) > MOST_PASSED:
            self._passed.popitem(last=False)
        return [passed.frame for passed in taken]

    def _serve(self, pump: Pump) -> None:
        serial = str(pump.connect().get("serial", ""))
        if not _SERIAL.fullmatch(serial):
            raise PumpError(f"the pump at {self.port_name} has no serial number that a topic can have")
        told = self._claim(self, serial)
        told.met()
        for event in self._early:
            told.hear(event)
        self._told = told
        self._tell_hello(pump)
        told.tell(AVAILABILITY, ONLINE)
        with self._lock:
            self._to_pass = deque()
        self._ask_alarms = True
        self._heard_s = self._counted_s = time.monotonic()
        while not self._ended.is_set():
            pump.poll(LOOK_S)
            self._ask(pump, told)

    def _ask(self, pump: Pump, told: Told) -> None:
        """What it does not tell by itself."""
        now_s = time.monotonic()
        if self._ask_hello or now_s - self._heard_s >= SILENT_S:
            self._ask_hello = False
            pump.connect()
            self._tell_hello(pump)
        if self._ask_alarms:
            self._ask_alarms = False
            told.tell(ALARMS, view.alarms(pump.ask("alarms")))
        if told.lacks() and now_s - self._asked_log_s >= LOG_AGAIN_S:
            self._asked_log_s = now_s
            self._read_log(pump, told)
        if now_s - self._counted_s >= COUNT_AGAIN_S:
            self._counted_s = now_s
            told.count(_made(pump))

    def _read_log(self, pump: Pump, told: Told) -> None:
        made = _made(pump)
        found = pump_log.read(pump, pump_log.EVENTS, told.ask_from(made))
        told.take_log([pump_log.event_of(entry) for entry in found.entries], made)

    def _tell_hello(self, pump: Pump) -> None:
        assert self._told is not None
        self._rig = rigging.in_force(pump)
        self._scale = pump.nl_per_step, pump.tick_ms
        self._told.tell(HELLO, view.payload(pump.hello))
        if self._topics.discovery:
            self._told.tell(DISCOVERY, device(self._topics, self._told.serial, pump.hello))

    def _hear(self, frame: dict[str, Any]) -> None:
        self._heard_s = time.monotonic()
        kind, told = frame.get("type"), self._told
        if kind == "event" and told is None:
            self._early.append(frame)
        elif kind == "event" and told is not None:
            told.hear(frame)
            self._ask_hello = self._ask_hello or frame["code"] in _NEW_HELLO
            self._ask_alarms = self._ask_alarms or frame["code"] == "alarm"
        elif kind == "status" and told is not None:
            self._tell_status(told, frame)
        elif kind == "reply" and told is not None:
            self._tell_reply(told, frame)

    def _tell_status(self, told: Told, status: dict[str, Any]) -> None:
        told.tell(TELEMETRY, view.payload(status))
        told.tell(STATE, view.state(status, *self._scale, self._rig))
        shown = (status["alarm"], status["first_cause"], status["failed"])
        self._ask_alarms = self._ask_alarms or shown != self._alarms
        self._alarms = shown

    def _tell_reply(self, told: Told, reply: dict[str, Any]) -> None:
        """One to a frame that was passed on; those to others at the same port are not ours to tell."""
        which = reply.get("run"), reply.get("id", 0)
        if which not in self._passed:
            return
        if reply.get("held") is not True:
            del self._passed[which]
        told.answer(REPLY, view.payload(reply))
        self._ask_hello = True  # its counters have moved


def _made(pump: Pump) -> int:
    """How many events its log has."""
    return pump.ask("log", stream=pump_log.EVENTS, **{"from": pump_log.BEYOND})["made"]
