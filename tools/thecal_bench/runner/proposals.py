"""What is read back before it is confirmed: how early it is proposed, and whether it was understood."""

from __future__ import annotations

from thecal.clock import TICK_MS
from thecal_model import programming
from thecal_model.readback import differences
from thecal_model.rig import spread
from thecal_model.therapy import Profile, Therapy

from thecal_bench.runner.findings import Record
from thecal_bench.scenario import LINK_LEAD_MS

LEAD_TICKS = LINK_LEAD_MS // TICK_MS
"""How long before its tick a command is sent."""

PROPOSE_TICKS = LEAD_TICKS // 2
"""How long before its tick a new therapy is proposed, so that the read-back can be confirmed in time."""

SHORT_WEEK = 24
"""Starts of steps in a week, with which a therapy is proposed and read back in PROPOSE_TICKS."""

FRAME_TICKS = 6
"""What a frame of a longer one takes at most."""

STEP_TICKS = 2
"""And how many ticks four of its steps take in all, to be looked at and to be read back."""


class RunError(Exception):
    """The experiment cannot be run: no answer, or the pump is not in a state to begin. Says what to do."""


class TherapyRefused(RunError):
    """The pump refuses the therapy of the scenario; the message holds its reasons."""


def lead_ticks(therapy: Therapy | None, profile: Profile) -> int:
    """How long before its tick a command is sent. A long therapy takes many frames and ticks."""
    weekly = 0 if therapy is None else sum(len(step.starts_ms()) for step in therapy.steps)
    if therapy is None or weekly <= SHORT_WEEK:
        return LEAD_TICKS
    frames = len(programming.requests(therapy.message(profile)))
    return LEAD_TICKS + frames * FRAME_TICKS + weekly * STEP_TICKS // 4


def check_readback(sent: Record, readback: Record) -> None:
    """RunError where the pump understood otherwise what it is to confirm."""
    if "therapy" in sent:
        differ = differences(sent["therapy"], readback)
    elif "rig" in sent:
        understood = spread(sent["rig"])
        differ = [f"{key} as {readback.get(key)}" for key, v in understood.items() if readback.get(key) != v]
    elif "volume_nl" not in sent:
        differ = [] if "new_line_nl" in readback else ["no volume of a new line"]
    else:
        volume_nl, understood_nl = sent["volume_nl"], readback.get("refill_nl")
        differ = [f"refill of {volume_nl} nL, read back as {understood_nl}"] * (volume_nl != understood_nl)
    if differ:
        raise RunError(f"the pump read back something else than was sent: {'; '.join(differ)}")
