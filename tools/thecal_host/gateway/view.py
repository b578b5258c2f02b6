"""The payloads: what a pump told, as JSON, in the units of people where that is what a reader wants.

`telemetry`, `hello` and replies are the pump's own frames, in whole numbers. `state` is the last status in
mL, kPa and V, with null for what is not measured or not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from thecal.rig import Rig
from thecal.watch.alarms import ALARMS, PRIORITIES
from thecal.watch.readings import NO_SAMPLE
from thecal_model.text import alarm_name, alarm_rows, event_text

from thecal_host import vitals

NL_PER_ML = 1_000_000
UL_PER_ML = 1_000
MILLI = 1_000
NONE = "none"

EVENT_FIELDS = ("seq", "tick", "code", "a", "b", "executed_steps")


def payload(said: Mapping[str, Any]) -> bytes:
    """One JSON object."""
    return json.dumps(said, separators=(",", ":")).encode()


def state(status: Mapping[str, Any], nl_per_step: Fraction, tick_ms: int, rig: Rig | None) -> bytes:
    """A status frame for people and home automation."""
    told = dict(status)
    row = told["alarm"]
    return payload(
        {
            "state": told["state"],
            "rate_ml_h": told["rate_nl_h"] / NL_PER_ML,
            "delivered_ml": _ml(told["executed_steps"] * nl_per_step),
            "programmed_ml": _ml(told["owed_steps"] * nl_per_step),
            "bolus": told["bolus"],
            "bolus_left_ml": told["bolus_left_nl"] / NL_PER_ML,
            "reservoir_ml": told["reservoir_ul"] / UL_PER_ML if vitals.reservoir_is_known(told) else None,
            "window_ml": _ml(told["window_steps"] * nl_per_step) if told["limit_steps"] else None,
            "limit_ml": _ml(told["limit_steps"] * nl_per_step) if told["limit_steps"] else None,
            "pressure_down_kpa": _sensed(told["pressure_down_raw"], rig and rig.pressure_down),
            "pressure_up_kpa": _sensed(told["pressure_up_raw"], rig and rig.pressure_up),
            "supply_v": _sensed(told["supply_raw"], rig and rig.supply),
            "alarm": alarm_name(row),
            "alarm_text": ALARMS[row].text if 0 <= row < len(ALARMS) else "",
            "first_cause": alarm_name(told["first_cause"]),
            "failed": vitals.failed_names(told),
            "up_for_s": told["tick"] * tick_ms // 1000,
        }
    )


def alarms(answer: Mapping[str, Any]) -> bytes:
    """Which alarms stand, the most urgent first, from the answer to `alarms`."""
    rows = [
        {"priority": priority, "code": code, "text": text}
        for priority, code, text in alarm_rows(answer.get("alarms", ()))
    ]
    urgent = next((name for name in PRIORITIES if any(row["priority"] == name for row in rows)), NONE)
    failed = [{"part": part, "how": how} for part, how in answer.get("failed", ())]
    return payload(
        {
            "priority": urgent,
            "alarms": rows,
            "first_cause": answer.get("first_cause") or NONE,
            "failed": failed,
        }
    )


def event(serial: str, told: Mapping[str, Any]) -> bytes:
    """One event: `pump` and `seq` say which it is, `text` is for people."""
    return payload({"pump": serial, **_event(told)})


def recent(serial: str, told: Sequence[Mapping[str, Any]]) -> bytes:
    """The last events, the oldest first."""
    return payload({"pump": serial, "events": [_event(event) for event in told]})


def event_in(data: bytes) -> dict[str, Any] | None:
    """The frame of an event that was published; None where this is none."""
    try:
        said = json.loads(data)
        return {"type": "event", **{name: said[name] for name in EVENT_FIELDS}}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def refused(code: str, message: str, role: str, ids: Mapping[str, Any]) -> bytes:
    """That a command was not passed on, and why."""
    return payload({"error": code, "message": message, "role": role, **ids})


def _event(told: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: told[name] for name in EVENT_FIELDS}, "text": event_text(dict(told))}


def _ml(volume_nl: Fraction) -> float:
    return float(volume_nl / NL_PER_ML)


def _sensed(raw: int, scale: Any) -> float | None:
    """From thousandths; None where there is no sensor or it gives nothing."""
    return None if not scale or raw == NO_SAMPLE else scale.value(raw) / MILLI
