"""What a pump says, typed: `Status`, `Event`, `Alarm`, `Readback`. Volumes in nL, rates in nL/h, times in
s."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal_model.text import alarm_name, event_text, volume_text

from thecal_host.readbacks import Proposal, readback_rows


@dataclass(frozen=True)
class Status:
    """One moment, as the pump tells it. Volumes count from its first boot on."""

    at_s: float
    state: str
    rate_nl_h: int
    delivered_nl: Fraction
    programmed_nl: Fraction
    bolus: str
    """Whose bolus flows: "none", "clinician", "patient"."""
    bolus_left_nl: int
    reservoir_nl: int
    alarm: str
    """The most urgent that stands; empty if none does."""


@dataclass(frozen=True)
class Event:
    """Something that happened: its code, and the sentence of it."""

    at_s: float
    code: str
    text: str


@dataclass(frozen=True)
class Alarm:
    """An alarm that stands."""

    code: str
    priority: str


@dataclass(frozen=True)
class Readback:
    """What the pump understood. Nothing is changed until `Pump.confirm` takes it; print it and look."""

    proposal: Proposal

    @property
    def digest(self) -> str:
        """Of all that is read back."""
        return self.proposal.digest

    @property
    def soft(self) -> tuple[str, ...]:
        """The soft limits that `confirm` wants accepted, by name."""
        return tuple(self.proposal.soft)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each thing read back."""
        if "mode" in self.proposal.readback:
            return readback_rows(self.proposal)
        return [
            (name.removesuffix("_nl"), volume_text(value) if name.endswith("_nl") else str(value))
            for name, value in self.proposal.readback.items()
        ]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        return "\n".join(f"{name:{width}}  {value}" for name, value in self.rows)


def status_of(frame: dict[str, Any], nl_per_step: Fraction, tick_ms: int) -> Status:
    """A status frame, typed."""
    return Status(
        at_s=frame["tick"] * tick_ms / 1000,
        state=frame["state"],
        rate_nl_h=frame["rate_nl_h"],
        delivered_nl=frame["executed_steps"] * nl_per_step,
        programmed_nl=frame["owed_steps"] * nl_per_step,
        bolus=frame["bolus"],
        bolus_left_nl=frame["bolus_left_nl"],
        reservoir_nl=frame["reservoir_ul"] * 1000,
        alarm="" if frame["alarm"] < 0 else alarm_name(frame["alarm"]),
    )


def event_of(frame: dict[str, Any], tick_ms: int) -> Event:
    """An event frame, typed."""
    return Event(frame["tick"] * tick_ms / 1000, frame["code"], event_text(frame))
