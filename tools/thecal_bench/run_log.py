"""What the pump said about a run, put in order: its states, alarms and the ledger of executed steps.

`RunLog` is fed with telemetry frames as they come. Ticks are the device's until `begin` names the one that is
t=0; from there on everything it hands out is relative to it, and in the time of the world: while a pump hangs
or has no power its own clock stands, and `lost_ticks` is what it is behind. Only periodic status frames and
events are taken into `ledger` and `events`: these are what must not differ between boards (see
`runner.canonical_records`).
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any

from thecal.causes import CAUSES
from thecal.states import STATES
from thecal.watch.alarms import ALARMS, PRIORITIES, STOP
from thecal.watch.alarms import Alarm as Row

from thecal_bench.bench import TICK_MS

STATUS_PERIOD_TICKS = 1000 // TICK_MS
"""The pump sends a status when its tick is a multiple of this, and t=0 is chosen to be one."""

LEDGER_FIELDS = ("owed_steps", "executed_steps", "ordered_steps", "bolus_left_nl")
"""What is kept of each periodic status frame, behind its tick."""

POSITIONS = ("owed_steps", "executed_steps", "ordered_steps")
"""Those of them that count from the pump's start, and here from t=0."""

FAULT_ALARM = "LOOP_FAULT"
"""What a fault event is as an alarm: the program went where it must not. It halts the pump: priority HIGH."""


@dataclass
class StateChange:
    """From this tick on the pump is in that state."""

    tick: int
    state: str
    cause: str | None

    def record(self) -> dict[str, Any]:
        """As the summary has it."""
        return {"at_ms": self.tick * TICK_MS, "state": self.state, "cause": self.cause}


@dataclass
class Alarm:
    """An alarm, and when it was raised and cleared (None: not yet).

    One `of_fault` has no event that clears it.
    """

    code: str
    priority: str
    raised_tick: int
    cleared_tick: int | None = None
    of_fault: bool = False

    def record(self) -> dict[str, Any]:
        """As the summary has it."""
        return {
            "code": self.code,
            "priority": self.priority,
            "raised_ms": self.raised_tick * TICK_MS,
            "cleared_ms": None if self.cleared_tick is None else self.cleared_tick * TICK_MS,
        }


class RunLog:
    """What the pump said. `keep_ledger` keeps every periodic status, not only those that are asked for."""

    def __init__(self, keep_ledger: bool = False) -> None:
        self.states: list[StateChange] = []
        self.alarms: list[Alarm] = []
        self.events: list[dict[str, Any]] = []
        self.ledger = array("q") if keep_ledger else None
        self.resets = 0
        self.begin_tick: int | None = None
        self.lost_ticks = 0
        self._end_tick = 0
        self._start_steps = 0
        self._last_tick = -1
        self._wanted: list[int] = []
        self._found: dict[int, dict[str, Any]] = {}
        self._halt_cause: tuple[int, str] | None = None  # raised at that tick
        self._tested_tick: int | None = None

    def begin(self, tick: int, executed_steps: int, end_tick: int) -> None:
        """Device tick `tick` is t=0, and where the motor stood then; `end_tick` ticks later is the end."""
        self.begin_tick = tick
        self._end_tick = end_tick
        self._start_steps = executed_steps
        self._tested_tick = None
        # What still stands is part of the experiment, from its beginning.
        self.alarms = [replace(alarm, raised_tick=0) for alarm in self.alarms if alarm.cleared_tick is None]
        state = self.states[-1] if self.states else StateChange(0, "BOOT", None)
        self.states = [StateChange(0, state.state, state.cause)]

    # --- feeding

    def status(self, frame: dict[str, Any]) -> None:
        """Take a status frame."""
        tick = self._relative(frame["tick"])
        if not self.states or self.states[-1].state != frame["state"]:
            # The event that said so was lost: while the host was disconnected, say.
            self.states.append(StateChange(tick, frame["state"], None))
        if self.begin_tick is None:
            return
        while self._wanted and tick >= self._wanted[0]:
            self._found[self._wanted.pop(0)] = frame
        periodic = frame["tick"] % STATUS_PERIOD_TICKS == 0 and self._last_tick < tick <= self._end_tick
        if self.ledger is not None and periodic:
            self._last_tick = tick
            self.ledger.append(tick)
            self.ledger.extend(self._position(frame, name) for name in LEDGER_FIELDS)

    def event(self, frame: dict[str, Any]) -> dict[str, Any] | None:
        """Take an event frame; returns it with tick and steps from t=0, None outside the experiment."""
        tick = self._relative(frame["tick"])
        code = frame["code"]
        if code == "fault":
            self._fault(tick, CAUSES[frame["b"]])
        elif code == "alarm":
            self._alarm(tick, ALARMS[frame["a"]], frame["b"] == 1)
        elif code == "state":
            self._enter(tick, STATES[frame["a"]], STATES[frame["b"]])
        if self.begin_tick is None or not 0 <= tick <= self._end_tick:
            return None
        self.resets += code == "boot"
        kept = {
            "tick": tick,
            "code": code,
            "a": frame["a"],
            "b": frame["b"],
            "executed_steps": frame["executed_steps"] - self._start_steps,
        }
        self.events.append(kept)
        return kept

    def start_anew(self, tick: int, cause: str) -> StateChange:
        """From `tick` on, from t=0, the pump is gone until it says that it boots."""
        self.states.append(StateChange(tick, "BOOT", cause))
        return self.states[-1]

    def _fault(self, tick: int, cause: str) -> None:
        self._halt_cause = (tick, cause)
        self.alarms.append(Alarm(FAULT_ALARM, "HIGH", tick, of_fault=True))

    def _alarm(self, tick: int, row: Row, raised: bool) -> None:
        if raised:
            if row.response == STOP:
                self._halt_cause = (tick, row.code.lower())
            self.alarms.append(Alarm(row.code, PRIORITIES[row.priority], tick))
            return
        for alarm in self.alarms:
            if alarm.code == row.code and alarm.cleared_tick is None:
                alarm.cleared_tick = tick

    def _enter(self, tick: int, left: str, state: str) -> None:
        if left == "POST":
            self._tested_tick = tick
        if state == "RUNNING" and self._tested_tick is not None and tick - self._tested_tick <= 1:
            cause = "resume"  # nobody can have told it to within a tick
        elif state == "HALTED" and self._halt_cause is not None and self._halt_cause[0] == tick:
            cause = self._halt_cause[1]
        else:
            cause = {"BOOT": "power_on", "POST": "self_test"}.get(left, "command")
        if left == "HALTED":
            for alarm in self.alarms:
                if alarm.of_fault and alarm.cleared_tick is None:
                    alarm.cleared_tick = tick
        self.states.append(StateChange(tick, state, cause))

    def _relative(self, tick: int) -> int:
        return tick if self.begin_tick is None else tick + self.lost_ticks - self.begin_tick

    def _position(self, frame: dict[str, Any], name: str) -> int:
        return frame[name] - (self._start_steps if name in POSITIONS else 0)

    # --- asking

    def want_status(self, tick: int) -> None:
        """Keep the first status frame of that tick or later."""
        position = bisect_right(self._wanted, tick)
        if tick not in self._found and tick not in self._wanted:
            self._wanted.insert(position, tick)

    def waits_for(self, tick: int) -> bool:
        """Whether a status wanted for that tick or an earlier one has not come."""
        return bool(self._wanted) and self._wanted[0] <= tick

    def steps_at(self, tick: int, name: str = "executed_steps") -> int | None:
        """A position of the status wanted for that tick; None if the pump gave none."""
        frame = self._found.get(tick)
        return None if frame is None else self._position(frame, name)

    def status_at(self, tick: int, name: str) -> int | None:
        """A number of the status wanted for that tick as it is; None if the pump gave none."""
        frame = self._found.get(tick)
        return None if frame is None else frame[name]

    def state_at(self, tick: int) -> str:
        """The state after that tick."""
        return self.states[max(0, bisect_right(self.states, tick, key=lambda change: change.tick) - 1)].state

    def states_between(self, first_tick: int, last_tick: int) -> list[str]:
        """All states that the pump was in after any of these ticks."""
        inside = [change.state for change in self.states if first_tick < change.tick <= last_tick]
        return [self.state_at(first_tick), *inside]
