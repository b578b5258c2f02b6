"""What a pump read back, held against what was sent to it: the host's own arithmetic, none of the pump's.

`differences(therapy, readback)` takes both as the link carries them and says everything that differs, as
texts. Rates may be slowed on the way where they come from a duration (a reachable rate below them), by less
than 1 nL/h; everything else must be the same number.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from thecal.clock import TICK_MS

from thecal_model.quantities import DAYS_PER_WEEK, HOURS_PER_DAY, MS_PER_DAY, MS_PER_HOUR, of_message
from thecal_model.therapy import EVERY_DAY, MINIMUM_RATE_NL_H

Message = dict[str, Any]

S_PER_HOUR = 3_600

_AS_THEY_ARE = ("mode", "drug", "concentration_pg_nl", "max_rate_nl_h", "low_nl", "empty_nl", "on_low",
                 "line_nl")  # fmt: skip


def differences(therapy: Message, readback: Message) -> list[str]:
    """All that the pump understood otherwise than it was sent."""
    try:
        return list(_differences(therapy, readback))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as why:
        return [f"the read-back is not complete ({type(why).__name__}: {why})"]


def _differences(therapy: Message, readback: Message) -> Iterator[str]:
    for key in _AS_THEY_ARE:
        if key in therapy and readback[key] != therapy[key]:
            yield f"{key} was sent as {therapy[key]!r}, read back as {readback[key]!r}"
    wanted = _basal(therapy)
    understood = _basal_read_back(readback)
    if understood != wanted:
        yield f"the basal should be {_basal_text(wanted)}, read back as {_basal_text(understood)}"
    if "kvo_num" in therapy:
        yield from _same("the kvo rate", _fraction(therapy, "kvo"), _fraction(readback, "kvo"), "nL/h")
    concentration_pg_nl = of_message(therapy.get("concentration_pg_nl", 0))
    yield from _bridge_differences(therapy["mode"], concentration_pg_nl, readback, wanted)
    if "patient_bolus" in therapy:
        yield from _bolus_differences(therapy["patient_bolus"], concentration_pg_nl, readback)
    elif "bolus_volume_num" in readback:
        yield "no patient bolus was sent, one was read back"
    if "limit" in therapy:
        limit = therapy["limit"]
        volume_nl = _volume_nl(limit, concentration_pg_nl)
        yield from _same("the limit", volume_nl, _fraction(readback, "limit"), "nL")
        yield from _same("its window", limit["window_ms"], readback["window_ms"], "ms")
    elif "limit_num" in readback:
        yield "no limit was sent, one was read back"


def _bridge_differences(
    mode: str, new_pg_nl: Fraction, readback: Message, basal: list[tuple[int, Fraction]]
) -> Iterator[str]:
    """DOSE-10: while the old drug leaves the line, the dose in force over its concentration.

    Slowed by less than a grain, which is never more than 1 nL/h; what is left and for how long must agree.
    """
    if "bridge_left_nl" not in readback:
        if any(key.startswith("bridge_") for key in readback):
            yield "a bridge was read back without what is left of it"
        return
    old_pg_nl, left_nl = of_message(readback["bridge_pg_nl"]), readback["bridge_left_nl"]
    if new_pg_nl == old_pg_nl:
        yield f"a bridge from {old_pg_nl} pg/nL to the same was read back"
    if not basal:
        return
    times = Fraction(1) if mode == "minimum" else new_pg_nl / old_pg_nl
    rates = [rate_nl_h * times for _, rate_nl_h in basal]
    if len(rates) == 1:
        old_nl_h = _fraction(readback, "bridge_rate")
        if not rates[0] - 1 < old_nl_h <= rates[0]:
            yield f"the old drug should flow at just {rates[0]} nL/h, read back as {old_nl_h} nL/h"
    else:
        yield from _same("the old drug's share of a rate", times, _fraction(readback, "bridge_times"), "")
    # A volume rounded down by less than 1 nL, rates slowed by less than 1 nL/h, and a time rounded up.
    slowest = min(rates) - 1
    most_s = (left_nl + 1) * S_PER_HOUR / slowest + 1 if slowest > 0 else None
    if readback["bridge_s"] < left_nl * S_PER_HOUR / max(rates) or (most_s and readback["bridge_s"] > most_s):
        yield f"{left_nl} nL of the old drug cannot take {readback['bridge_s']} s"


def _bolus_differences(bolus: Message, concentration_pg_nl: Fraction, readback: Message) -> Iterator[str]:
    volume_nl = _volume_nl(bolus, concentration_pg_nl)
    yield from _same("the patient bolus", volume_nl, _fraction(readback, "bolus_volume"), "nL")
    rate_nl_h = _fraction(readback, "bolus_rate")
    if "duration_ms" in bolus:
        wanted_nl_h = volume_nl * MS_PER_HOUR / bolus["duration_ms"]
        if not wanted_nl_h - 1 < rate_nl_h <= wanted_nl_h:
            yield f"its rate should be just below {wanted_nl_h} nL/h, read back as {rate_nl_h} nL/h"
    else:
        yield from _same("its rate", _fraction(bolus, "rate"), rate_nl_h, "nL/h")
    lockout_ms = -(-bolus["lockout_ms"] // TICK_MS) * TICK_MS
    yield from _same("its lockout", lockout_ms, readback["lockout_ms"], "ms")
    yield from _same("its number a day", bolus["max_per_day"], readback["max_per_day"], "")


def _same(what: str, wanted: Fraction | int, understood: Fraction | int, unit: str) -> Iterator[str]:
    if understood != wanted:
        yield f"{what} should be {wanted} {unit}, read back as {understood} {unit}".replace(
            " ,", ","
        ).rstrip()


def _fraction(values: Message, name: str) -> Fraction:
    return Fraction(values[f"{name}_num"], values[f"{name}_den"])


def _volume_nl(values: Message, concentration_pg_nl: Fraction) -> Fraction:
    if "dose_pg" in values:
        return Fraction(values["dose_pg"], concentration_pg_nl)
    return Fraction(values["volume_nl"])


def _basal(therapy: Message) -> list[tuple[int, Fraction]]:
    """The basal as sent: (ms of the week, rate) of each start; one rate that always holds starts at 0."""
    concentration_pg_nl = of_message(therapy.get("concentration_pg_nl", 0))

    def rate_nl_h(values: Message) -> Fraction:
        if "dose_pg_day" in values:
            return Fraction(values["dose_pg_day"], concentration_pg_nl * HOURS_PER_DAY)
        return _fraction(values, "rate")

    mode = therapy["mode"]
    if mode == "stopped":
        return []
    if mode == "minimum":
        return [(0, MINIMUM_RATE_NL_H)]
    if mode == "continuous":
        return [(0, rate_nl_h(therapy))]
    starts = [
        (day * MS_PER_DAY + step["at_ms"], rate_nl_h(step))
        for step in therapy["steps"]
        for day in range(DAYS_PER_WEEK)
        if step.get("days", EVERY_DAY) >> day & 1
    ]
    return sorted(starts) if len(starts) > 1 else [(0, starts[0][1])]


def _basal_read_back(readback: Message) -> list[tuple[int, Fraction]]:
    if "steps" in readback:
        return [(start_ms, Fraction(num, den)) for start_ms, num, den in readback["steps"]]
    return [(0, _fraction(readback, "rate"))] if "rate_num" in readback else []


def _basal_text(basal: list[tuple[int, Fraction]]) -> str:
    if not basal:
        return "none"
    if len(basal) == 1:
        return f"{basal[0][1]} nL/h"
    return ", ".join(f"{rate} nL/h from {start_ms} ms of the week on" for start_ms, rate in basal)
