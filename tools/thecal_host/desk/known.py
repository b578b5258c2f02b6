"""What is known of one pump: what it said last, and what follows from that. No port, no thread, no page.

Each attribute is set at once, by the one who listens (`session`), and read from any thread.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal.dose.prescription import EMPTY_NL, Prescription
from thecal.rig import Rig

# A status comes every second.
SILENCE_S = 5.0

# Ten minutes of statuses, and what fits beside the cards.
MOST_POINTS, MOST_EVENTS = 600, 50


@dataclass(frozen=True)
class Point:
    """What was owed and what was made by a time, ms since the pump's first boot, in nL."""

    at_ms: int
    programmed_nl: Fraction
    delivered_nl: Fraction


class Known:
    """The pump at the port `name`; `role` is the only one that may be signed in, if one is named."""

    def __init__(self, name: str, role: str | None = None) -> None:
        self.name = name
        self.role = role
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

    def meet(self, hello: dict[str, Any]) -> None:
        """Its hello; of another pump than before nothing is known yet."""
        if hello.get("serial") != self.hello.get("serial"):
            self.points.clear()
            self.events.clear()
            self.bolus_end_tick = self.status = None
        self.hello = hello

    def take_status(self, frame: dict[str, Any]) -> None:
        """A status that has just come."""
        self._heard_s = time.monotonic()
        nl = self.nl_per_step
        at_ms = frame["tick"] * self.hello["tick_ms"]
        if self.points and at_ms < self.points[-1].at_ms:
            self.points.clear()
        self.points.append(Point(at_ms, frame["owed_steps"] * nl, frame["executed_steps"] * nl))
        self.status = frame

    def take_event(self, event: dict[str, Any]) -> None:
        """An event, of now or of the log."""
        if event["code"] == "patient_bolus_end":
            self.bolus_end_tick = event["tick"]
        if not self.events or event["seq"] > self.events[-1]["seq"]:
            self.events.append(event)
