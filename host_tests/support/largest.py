"""The largest that a pump can be asked for: a rig, and a week."""

from __future__ import annotations

from typing import Any

from thecal.dose import formulary

RIG: dict[str, dict[str, Any]] = {
    "rig": {"name": "n" * 24},
    "motor": {"full_steps": 400, "microsteps": 256, "gear": [3_125, 1_024], "most_steps_s": 1_199},
    "driver": {"dir_forward": 0, "enable": 1, "pulse_ns": 23_199, "interval_us": 123},
    "head": {
        "nl_per_rev": 937_500,
        "uncertainty_nl": 937_499,
        "rollers": 64,
        "service_revs": 9_999_999,
        "service_days": 9_999,
        "table": [1_249 * min(place % 32, 32 - place % 32) for place in range(128)],
    },
    "step": {"sense": "pad"},
    "fault": {"level": 1},
    "encoder": {"pulses_per_rev": 9_999},
    "index": {"marks_per_rev": 1},
    "pressure_down": {
        "zero_code": 2_999,
        "pa_per_code": [99_999, 1_001],
        "least_pa": -99_999,
        "most_pa": 999_999,
    },
    "pressure_up": {
        "zero_code": 2_998,
        "pa_per_code": [99_998, 1_001],
        "least_pa": -99_998,
        "most_pa": 999_998,
    },
    "supply": {"mv_per_code": [999, 37], "low_mv": 90_001, "critical_mv": 80_001, "most_mv": 109_999},
    "air": {"level": 0},
    "sounder": {"sensed": 0},
    "button_stop": {"level": 1, "debounce_ms": 999},
    "button_patient": {"level": 1, "debounce_ms": 998},
}
"""Every part fitted, every number long, and every key but one, which has no other value, not as the reference
rig has it: the pump's answer names each of them three times.
"""


def week(more: int = 0) -> dict[str, Any]:
    """48 rates on each of seven days, no two alike; `more` makes another week of it."""
    steps = []
    for index in range(336):
        day, of_day = divmod(index, 48)
        rate_num = 840_001 + more + index * 104_729
        steps.append(
            {
                "at_ms": of_day * 1_800_000 + index * 100,
                "days": 1 << day,
                "rate_num": rate_num,
                "rate_den": 420,
            }
        )
    limit = {"volume_nl": 10_000_000, "window_ms": 86_400_000}
    return {"mode": "flex", "drug": "morphine", "concentration_pg_nl": 1_000, "limit": limit, "steps": steps}


def library(version: int = 9, drugs: int = 7) -> dict[str, Any]:
    """One that fills its place in the flash: as many bounds as go into it, short ones."""
    value = 100 * version  # the least of any bound
    of_each = [
        (quantity, kind, use)
        for quantity in formulary.QUANTITIES
        for use in ("", "a")
        for kind in formulary.KINDS
    ][:15]
    bounds = [
        [
            quantity,
            kind,
            use,
            [value + number, 1] if quantity == formulary.CONCENTRATION else value + number,
            f"s{number}",
            False,
        ]
        for number, (quantity, kind, use) in enumerate(of_each)
    ]
    told = {"strengths": [], "source": "s", "verified": False, "bounds": bounds, "approved": False}
    return {"version": version, "drugs": [{"name": f"d{index}", **told} for index in range(drugs)]}
