"""A therapy as the pump keeps it, back to what was prescribed: the inverse of `Therapy.message`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from thecal_model.quantities import HOURS_PER_DAY, MS_PER_DAY, of_message
from thecal_model.therapy import EVERY_DAY, MINIMUM_RATE_NL_H, Limit, PatientBolus, Profile, Step, Therapy

Message = dict[str, Any]

_OF_A_PAGE = ("from", "steps", "next", "step_count")


def joined(pages: Sequence[Message]) -> Message:
    """One kept therapy from the pages in which the pump told it: its `therapy` is as in `program`.

    Steps come as (ms of the week, rate); those of one time and rate become one step of several days.
    ValueError where a page is missing.
    """
    whole = {key: value for key, value in pages[0].items() if key not in _OF_A_PAGE}
    if "step_count" not in pages[0]:
        return whole
    told = [step for page in pages for step in page["steps"]]
    if len(told) != pages[0]["step_count"]:
        raise ValueError(
            f"{len(told)} of {pages[0]['step_count']} steps of therapy {whole['number']} are there"
        )
    days: dict[tuple[int, int, int], int] = {}
    for start_ms, num, den in told:
        day, at_ms = divmod(start_ms, MS_PER_DAY)
        days[at_ms, num, den] = days.get((at_ms, num, den), 0) | 1 << day
    steps = [
        {"at_ms": at_ms, "days": bits, "rate_num": num, "rate_den": den}
        for (at_ms, num, den), bits in days.items()
    ]
    return {**whole, "therapy": {**whole["therapy"], "steps": steps}}


def therapy_of(message: Message) -> tuple[Therapy, Profile]:
    """The therapy and the profile of a `program` command's object.

    KeyError, TypeError, ValueError or ZeroDivisionError where it is none.
    """
    concentration = of_message(message.get("concentration_pg_nl", 0))
    mode = message["mode"]
    rate_nl_h = MINIMUM_RATE_NL_H if mode == "minimum" else Fraction(0)
    if mode == "continuous":
        rate_nl_h = _rate_nl_h(message, concentration)
    most_nl_h = message.get("max_rate_nl_h")
    therapy = Therapy(
        mode,
        rate_nl_h,
        _fraction(message, "kvo") if "kvo_num" in message else None,
        message.get("drug", ""),
        concentration,
        message.get("dose_pg_day", 0),
        tuple(_step(step, concentration) for step in message.get("steps", ())),
        _patient_bolus(message["patient_bolus"]) if "patient_bolus" in message else None,
        _limit(message["limit"]) if "limit" in message else None,
        message.get("line_nl"),
    )
    profile = Profile(
        max_rate_nl_h=None if most_nl_h is None else Fraction(most_nl_h),
        on_low_reservoir=message.get("on_low"),
        low_nl=message.get("low_nl"),
        empty_nl=message.get("empty_nl"),
    )
    return therapy, profile


def _fraction(values: Message, name: str) -> Fraction:
    return Fraction(values[f"{name}_num"], values[f"{name}_den"])


def _rate_nl_h(values: Message, concentration_pg_nl: Fraction) -> Fraction:
    if "dose_pg_day" in values:
        return Fraction(values["dose_pg_day"], concentration_pg_nl * HOURS_PER_DAY)
    return _fraction(values, "rate")


def _step(step: Message, concentration_pg_nl: Fraction) -> Step:
    return Step(
        step["at_ms"],
        _rate_nl_h(step, concentration_pg_nl),
        step.get("days", EVERY_DAY),
        step.get("dose_pg_day", 0),
    )


def _patient_bolus(values: Message) -> PatientBolus:
    return PatientBolus(
        values["lockout_ms"],
        values["max_per_day"],
        values.get("volume_nl", 0),
        values.get("dose_pg", 0),
        _fraction(values, "rate") if "rate_num" in values else None,
        values.get("duration_ms"),
    )


def _limit(values: Message) -> Limit:
    return Limit(values["window_ms"], values.get("volume_nl", 0), values.get("dose_pg", 0))
