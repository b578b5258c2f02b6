"""What a status frame says, in the units of people: kPa, V, mL, hours, the names of parts.

The scales are those of the pump's rig (None: it has none), the names of parts the firmware's own.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from thecal.dose.head import FAST_PART
from thecal.dose.prescription import EMPTY_NL
from thecal.rig import Rig, Scale
from thecal.watch import parts
from thecal.watch.alarms import ALARMS
from thecal.watch.readings import NO_SAMPLE
from thecal_model.rig_words import uncertainty_text, unwatched_text
from thecal_model.text import alarm_name, clock_text, parts_text, rate_text, short_volume, volume_text

_RESERVOIR_EMPTY = next(row for row, alarm in enumerate(ALARMS) if alarm.code == "RESERVOIR_EMPTY")

NL_PER_UL = 1000
NOT_FITTED = "not fitted"


def pressure_text(raw: int, scale: Scale | None) -> str:
    """The pressure above that of the room, from a converter's code; `scale` None: there is no sensor."""
    return _value_text(raw, scale, "kPa")


def supply_text(raw: int, rig: Rig | None) -> str:
    """The motor's supply, from a converter's code."""
    return _value_text(raw, None if rig is None else rig.supply, "V")


def _value_text(raw: int, scale: Scale | None, unit: str) -> str:
    if scale is None:
        return NOT_FITTED
    return "no reading" if raw == NO_SAMPLE else f"{scale.value(raw) / 1000:.2f} {unit}"


def failed_names(status: dict[str, Any]) -> list[str]:
    """The parts that the pump found wrong, none where nothing is."""
    return parts.names(status.get("failed", 0))


def pressures_text(status: dict[str, Any], rig: Rig | None) -> str:
    """The pressures that are measured, a sensor that failed said so."""
    failed = failed_names(status)
    said = []
    for where, name in (("down", "pressure_down"), ("up", "pressure_up")):
        scale = None if rig is None else getattr(rig, name)
        wrong = " (sensor failed)" if name in failed else ""
        if scale is not None:
            said.append(f"{pressure_text(status[f'{name}_raw'], scale)} {where}{wrong}")
    return ", ".join(said) or NOT_FITTED


def reservoir_is_known(status: dict[str, Any]) -> bool:
    """Whether the pump was told of a refill; the frame says 0 where it was not."""
    return status["reservoir_ul"] > 0 or _RESERVOIR_EMPTY in (status["alarm"], status["first_cause"])


def hours_to_empty(status: dict[str, Any], empty_nl: int = EMPTY_NL) -> Fraction | None:
    """How long until the pump stops for want of drug, at the rate of now; None where nobody can say.

    `empty_nl` is the level at which it stops, of the therapy in force.
    """
    if not reservoir_is_known(status) or not status["rate_nl_h"]:
        return None
    left_nl = max(status["reservoir_ul"] * NL_PER_UL - empty_nl, 0)
    return Fraction(left_nl, status["rate_nl_h"])


def span_text(hours: Fraction) -> str:
    """A time left, no finer than matters: "17 days", "30 h", "45 min"."""
    if hours >= 48:
        return f"{int(hours / 24)} days"
    return f"{int(hours)} h" if hours >= 2 else f"{int(hours * 60)} min"


def reservoir_text(status: dict[str, Any], empty_nl: int = EMPTY_NL) -> str:
    """What is left, and for how long."""
    if not reservoir_is_known(status):
        return "not known (`thecal refill` tells the pump)"
    left = volume_text(status["reservoir_ul"] * NL_PER_UL)
    hours = hours_to_empty(status, empty_nl)
    return left if hours is None else f"{left}, empty in {span_text(hours)} at this rate"


TURNED = {"PRIMING": "priming", "JOGGING": "jog", "DRAW_BACK": "draw-back"}
"""By the state what is no therapy in it; the pump tells what is left of that as if it was a bolus."""


def flowing(status: dict[str, Any]) -> str:
    """What flows beside the basal rate: whose bolus, or what is no therapy; empty if nothing."""
    bolus: str = status["bolus"]
    return "" if bolus == "none" else TURNED.get(status["state"], bolus)


NEXT = ", `thecal acknowledge` comes next"
"""What is said of a pump that an alarm has halted, also when that alarm stands no more."""


def status_rows(
    hello: dict[str, Any], status: dict[str, Any], empty_nl: int = EMPTY_NL, rig: Rig | None = None
) -> list[tuple[str, str]]:
    """A status frame for a person: what matters first, then every other field by its own name.

    `empty_nl` is the level at which the reservoir counts as empty, `rig` the one in force.
    """
    told = ("type", "seq", "tick", "state", "rate_nl_h", "bolus", "bolus_left_nl", "delivered_ul")
    shown = {*told, "owed_steps", "executed_steps", "alarm", "first_cause", "failed", "reservoir_ul"}
    shown |= {"bridge_left_nl", "line_credit_nl", "unwatched", "paired"}
    shown |= {"phase_steps", "compensated"}
    shown |= {"pressure_down_raw", "pressure_up_raw", "supply_raw", "window_steps", "limit_steps"}
    nl_per_step = Fraction(hello["nl_per_rev"], hello["steps_per_rev"])
    flows = flowing(status)
    bolus = f"{flows}, {volume_text(status['bolus_left_nl'])} left" if flows else "none"
    return [
        ("pump", f"{hello.get('product')} {hello.get('version')}, protocol {hello.get('protocol')}"),
        ("rig", _rig_text(hello, rig)),
        *([("not watched", unwatched_text(rig.unwatched()))] if rig is not None else ()),
        ("keys", _keys_text(hello)),
        ("state", status["state"] + (NEXT if status["state"] == "HALTED" else "")),
        ("alarm", alarm_name(status["alarm"])),
        ("first cause", alarm_name(status["first_cause"])),
        ("failed parts", parts_text(status["failed"])),
        ("rate", rate_text(status["rate_nl_h"])),
        ("bolus", bolus),
        ("delivered", volume_text(status["executed_steps"] * nl_per_step)),
        ("reservoir", reservoir_text(status, empty_nl)),
        ("line", _line_text(status)),
        ("head", head_text(status, rig)),
        ("window of the limit", _window_text(status, nl_per_step)),
        ("pressure", pressures_text(status, rig)),
        ("motor supply", supply_text(status["supply_raw"], rig)),
        ("microsteps", f"{status['executed_steps']} made, {status['owed_steps']} owed"),
        ("up for", clock_text(status["tick"] * hello["tick_ms"])),
        *((name, str(value)) for name, value in status.items() if name not in shown),
    ]


def head_text(status: dict[str, Any], rig: Rig | None) -> str:
    """Whether the head's table evens the flow out, and if not, why."""
    if rig is None or not rig.table:
        return "counts as uniform: it has no table"
    if status["compensated"]:
        return f"evened out by its table, {status['phase_steps']} microsteps behind its mark"
    if status["phase_steps"] < 0:
        return "counts as uniform: its phase is not known, until the next index mark"
    if status["state"] not in ("RUNNING", *TURNED):
        return "counts as uniform: it rests"
    if status["state"] == "DRAW_BACK":
        return "counts as uniform: it turns backward"
    if status["rate_nl_h"] * FAST_PART >= rig.mechanism().max_rate_nl_h():
        return f"counts as uniform: it is as fast as a {FAST_PART}th of the motor's greatest rate"
    return "counts as uniform: it waits for a mark that agrees with the one before"


def _keys_text(hello: dict[str, Any]) -> str:
    if hello.get("paired") is not True:
        return "not paired: whoever has its port may do everything"
    return f"paired, serial number {hello.get('serial', 'not told')}"


def _rig_text(hello: dict[str, Any], rig: Rig | None) -> str:
    if rig is None:
        return f"none ({hello.get('no_rig', 'not told')}): nothing moves"
    return f"{rig.name}, {volume_text(rig.nl_per_rev)} a turn, {uncertainty_text(rig)}"


def _line_text(status: dict[str, Any]) -> str:
    if status.get("bridge_left_nl"):
        return f"{volume_text(status['bridge_left_nl'])} of the drug of before leave it first (bridge)"
    if status.get("line_credit_nl"):
        return f"new, {volume_text(status['line_credit_nl'])} to fill"
    return "full"


def _window_text(status: dict[str, Any], nl_per_step: Fraction) -> str:
    if not status["limit_steps"]:
        return "no limit is programmed"
    held, most = (short_volume(status[key] * nl_per_step) for key in ("window_steps", "limit_steps"))
    return f"holds {held} of {most}"
