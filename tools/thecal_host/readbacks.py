"""What a pump read back, for a person to check: names and values in the units one thinks in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from thecal.dose import prescription
from thecal.rig import Rig
from thecal_model.quantities import CONCENTRATION, of_message, show
from thecal_model.rig_words import SENTENCES
from thecal_model.text import clock_text, mass_text, rate_text, volume_text, week_time

H_PER_DAY = 24


class KeptError(Exception):
    """A therapy that the pump keeps and this program does not understand."""


@dataclass(frozen=True)
class Proposal:
    """A therapy, a drug library or a refill as the pump understood it; nothing is changed until its digest is
    confirmed.
    """

    digest: str
    readback: dict[str, Any]
    why: tuple[str, ...] = ()
    """What each soft limit is about that the confirmation accepts."""

    @property
    def soft(self) -> list[str]:
        """The soft limits that the confirmation must accept by name."""
        return self.readback.get("soft", [])


def meant(name: str) -> str:
    """What a soft limit of this name is about, to be asked."""
    if name == "unpaired":
        return "The pump is unpaired: whoever has its port may change the therapy (`thecal pair`)"
    if name in SENTENCES:
        return f"{name} goes unwatched: {SENTENCES[name]}"
    return f"Outside the soft limit {name}"


def readback_rows(proposal: Proposal, now: datetime | None = None) -> list[tuple[str, str]]:
    """A read-back for a person to check: name and value, with the units one thinks in.

    The refill date (RES-03) is the earliest at which LOW can come, every permitted bolus taken, if the
    therapy starts `now`.
    """
    said = proposal.readback
    rows = [("mode", str(said["mode"]))]
    if "drug" in said:
        strength = show(of_message(said["concentration_pg_nl"]), CONCENTRATION, "mg/mL")
        rows.append(("drug", f"{said['drug']}, {strength}"))
        if said.get("approved") == 0:
            rows.append(("approved", "not for this use"))
        rows.append(("dose", f"{mass_text(said['daily_pg'])} a day"))
    if "rate_num" in said:
        rows.append(("rate", rate_text(Fraction(said["rate_num"], said["rate_den"]))))
    for start_ms, num, den in said.get("steps", []):
        rows.append((f"from {week_time(start_ms // 1000)}", rate_text(Fraction(num, den))))
    rows.append(("volume", f"{volume_text(said['daily_nl'])} a day"))
    rows += _bridge_rows(said)
    if said.get("line_nl"):
        rows.append(("line", f"{volume_text(said['line_nl'])} of tubing and catheter"))
    if said.get("kvo_num"):
        rows.append(("keep vein open", rate_text(Fraction(said["kvo_num"], said["kvo_den"]))))
    rows.append(("at most", rate_text(said["max_rate_nl_h"])))
    if "bolus_volume_num" in said:
        volume = Fraction(said["bolus_volume_num"], said["bolus_volume_den"])
        rate = rate_text(Fraction(said["bolus_rate_num"], said["bolus_rate_den"]))
        rows.append(("patient bolus", f"{volume_text(volume)} at {rate}"))
        often = f"{said['lockout_ms'] / 60_000:g} min after the last, {said['max_per_day']} a day"
        rows.append(("not before", often))
    if "limit_num" in said:
        limit = volume_text(Fraction(said["limit_num"], said["limit_den"]))
        rows.append(("limit", f"{limit} in any {said['window_ms'] / 3_600_000:g} h"))
    low, empty = volume_text(said["low_nl"]), volume_text(said["empty_nl"])
    rows.append(("reservoir", f"low at {low}, empty at {empty}"))
    if "low_in_h" in said:
        date = (now or datetime.now()) + timedelta(hours=said["low_in_h"])
        rows.append(("refill", f"by {date:%Y-%m-%d %H}:00, in {said['low_in_h'] / H_PER_DAY:.1f} days"))
    if "steps_per_tick_num" in said:
        steps = Fraction(said["steps_per_tick_num"], said["steps_per_tick_den"])
        rows.append(("microsteps per tick", f"{steps} ({float(steps):.6g})"))
    for text in proposal.why:
        rows.append(("soft limit", text))
    rows.append(("digest", proposal.digest))
    return rows


def _bridge_rows(said: dict[str, Any]) -> list[tuple[str, str]]:
    """How long the old drug still flows, and at what rate."""
    if "bridge_left_nl" not in said:
        return []
    old = show(of_message(said["bridge_pg_nl"]), CONCENTRATION, "mg/mL")
    text = f"{volume_text(said['bridge_left_nl'])} of {old} leave the line first"
    if "bridge_s" in said:
        text += f": {clock_text(said['bridge_s'] * 1_000)} of flow"
    rows = [("bridge", text)]
    if "bridge_rate_num" in said:
        rows.append(("meanwhile", rate_text(Fraction(said["bridge_rate_num"], said["bridge_rate_den"]))))
    if "bridge_times_num" in said:
        times = Fraction(said["bridge_times_num"], said["bridge_times_den"])
        for start_ms, num, den in said.get("steps", []):
            when = week_time(start_ms // 1000)
            rows.append((f"meanwhile from {when}", rate_text(Fraction(num, den) * times)))
    return rows


def kept_rows(kept: dict[str, Any], rig: Rig) -> list[tuple[str, str]]:
    """A therapy that a pump on `rig` keeps, for a person, by the firmware's own reader. Raises KeptError."""
    try:
        understood = prescription.parse(kept["therapy"], rig.mechanism())
        readback = understood.readback()
        if "step_count" in readback:
            readback["steps"] = [
                step
                for first in range(0, readback["step_count"], prescription.PAGE_STEPS)
                for step in understood.steps_from(first)
            ]
    except prescription.PrescriptionError as why:
        raise KeptError(f"therapy {kept['number']} is none that this program understands: {why}") from None
    return readback_rows(Proposal(kept["digest"], readback))
