"""Everything that a pump tells, for as long as somebody listens: a line that is lost is opened again.

It only listens and asks: nothing that changes something is sent. `listen` gives the frames, and says when the
line is `Away` and when it is `Back`. What happened to the pump meanwhile it has in its log: `missed_events`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from thecal_host import log as pump_log
from thecal_host.connection import PortError
from thecal_host.pump import REOPEN_S, Pump, PumpError
from thecal_host.recording import Recorder, host_time

Frames = list[dict[str, Any]]

LOOK_S = 0.2


@dataclass(frozen=True)
class Away:
    """The line is lost, and told so again whenever it was tried in vain."""

    why: str
    since_s: float


@dataclass(frozen=True)
class Back:
    """The pump was reached again, `away_s` after the line was lost; `tick` is what its hello says."""

    away_s: float
    tick: int


def listen(pump: Pump, until_s: float | None = None) -> Iterator[Frames | Away | Back]:
    """Frames as they come, in batches (an empty one at least every 200 ms), until a time or for ever.

    PortError where the pump has no way to open its port again; PumpError where another pump answers there.
    """

    def is_over() -> bool:
        return until_s is not None and pump.clock_s() >= until_s

    while not is_over():
        try:
            frames = [*pump.overheard, *pump.poll(LOOK_S)]
            pump.overheard.clear()
            yield frames
            continue
        except PortError as why:
            if pump.reopen is None:
                raise
            away = Away(str(why), pump.clock_s())
        yield away
        pump.overheard.clear()
        while not pump.open_again():
            if is_over():
                return
            yield away
            pump.sleep(REOPEN_S)
        yield Back(pump.clock_s() - away.since_s, pump.hello["tick"])


def missed_events(pump: Pump, since_seq: int) -> Frames:
    """The events after the one numbered so, from the pump's log, each with the host's time of it."""
    found = pump_log.read(pump, pump_log.EVENTS, since_seq + 1)
    told = [pump_log.event_of(entry) for entry in found.entries]
    pump_log.add_host_times(told, datetime.now().astimezone(), pump.hello["tick"])
    return [event for event in told if event["seq"] > since_seq]


class Recording:
    """Writes what a pump tells from now on to a record, with each gap of the line in it.

    A gap is a line of type `gap`: by the host's clock from when to when, how long, why. The pump goes on
    meanwhile: its events follow from its log, its statuses are missing.
    """

    def __init__(self, pump: Pump, recorder: Recorder) -> None:
        self._pump = pump
        self._recorder = recorder
        pump.overheard.clear()
        made = pump.ask("log", stream=pump_log.EVENTS, **{"from": pump_log.BEYOND}).get("made", 0)
        self._last_event = made - 1
        self._logged: int | None = None  # up to this number the log has told of them
        self._away: Away | None = None
        self._away_at = ""

    def take(self, heard: Frames | Away | Back) -> None:
        """One of what `listen` gives."""
        if isinstance(heard, Away):
            if self._away is None:
                self._away, self._away_at = heard, host_time()
        elif isinstance(heard, Back):
            self._gap_is_over(heard.away_s)
            self._take_missed()
        else:
            for frame in heard:
                self._take_frame({**frame, "host_time": host_time()})

    def _take_missed(self) -> None:
        try:
            missed = missed_events(self._pump, self._last_event)
        except (PortError, PumpError):
            # Lost again: `listen` will say so, and what is missing shows by its number.
            return
        for event in missed:
            self._take_frame({**event, "from": "log"})
            self._logged = event["seq"]

    def end(self) -> None:
        """Nothing more is heard."""
        if self._away is not None:
            self._gap_is_over(self._pump.clock_s() - self._away.since_s)
        self._recorder.end()

    def _gap_is_over(self, away_s: float) -> None:
        assert self._away is not None
        gap = {
            "from": self._away_at,
            "to": host_time(),
            "away_ms": round(away_s * 1000),
            "why": self._away.why,
        }
        self._recorder.write({"type": "gap", **gap})
        self._away = None

    def _take_frame(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "event":
            if "from" not in frame and self._logged is not None:
                if frame["seq"] <= self._logged:
                    return
                self._logged = None
            self._last_event = frame["seq"]
        self._recorder.write(frame)
        if kind == "event" and frame["code"] == "therapy":
            # Another one is in force; the answer is recorded with all else.
            self._pump.client.request("therapy")
        elif kind == "reply" and frame.get("next", 0) < frame.get("step_count", 0):
            self._pump.client.request("therapy", number=frame["number"], **{"from": frame["next"]})
