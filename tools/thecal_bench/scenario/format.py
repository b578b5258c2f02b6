"""Which keys a scenario file may have and how each is read: `TABLES`, `THERAPY` and its tables, `EVENTS` and
`EXPECTS`. A key that does not stand here is refused as an unknown one: nothing is ever ignored.
"""

from __future__ import annotations

from functools import partial

from thecal.watch.alarms import ALARMS
from thecal_model import quantities as q
from thecal_model.document import Key, Keys

from thecal_bench import disturbances
from thecal_bench.line import TONES
from thecal_bench.parameters import MOST_DIP_PERCENT, MOST_PULSATION_PERCENT
from thecal_bench.plant import SIDES
from thecal_bench.scenario.values import (
    amplitude,
    bounds,
    calibration_error,
    concentration,
    days,
    duration,
    free_flow,
    frequency,
    hazards,
    height,
    name_of_drug,
    not_negative,
    one_of,
    only_true,
    percent_up_to,
    positive,
    quantity,
    refill_volume,
    text,
    whole,
    whole_in_unit,
    whole_volume,
    whole_volume_or_none,
    yes,
)
from thecal_bench.sensor_faults import KINDS, SENSORS

STATES = ("BOOT", "POST", "STOPPED", "PRIMING", "DRAW_BACK", "RUNNING", "HALTED", "JOGGING")

ALARM_CODES = tuple(row.code for row in ALARMS)

MODES = {
    "continuous": ("rate", "drug", "concentration", "dose", "kvo", "line", "patient_bolus", "limit"),
    "flex": ("drug", "concentration", "step", "kvo", "line", "patient_bolus", "limit"),
    "minimum": ("drug", "concentration", "kvo", "line", "patient_bolus", "limit"),
    "stopped": ("line",),
}
"""Modes of therapy, and the keys that each may have."""

THERAPY = {
    "mode": Key(partial(one_of, tuple(MODES)), required=True),
    "rate": Key(positive(q.RATE)),
    "drug": Key(name_of_drug),
    "concentration": Key(concentration),
    "dose": Key(partial(whole_in_unit, q.MASS_RATE, "pg/day")),
    "kvo": Key(quantity(q.RATE)),
    "line": Key(whole_volume_or_none),
}
NESTED = ("step", "patient_bolus", "limit")
"""Tables within `[therapy]`."""

STEP = {
    "at": Key(q.parse_time_of_day_ms, required=True),
    "rate": Key(positive(q.RATE)),
    "dose": Key(partial(whole_in_unit, q.MASS_RATE, "pg/day")),
    "days": Key(days),
}
AMOUNT = {
    "volume": Key(whole_volume),
    "dose": Key(partial(whole_in_unit, q.MASS, "pg")),
}
PATIENT_BOLUS = {
    **AMOUNT,
    "rate": Key(positive(q.RATE)),
    "duration": Key(duration),
    "lockout": Key(q.parse_time_ms, required=True),
    "max_per_day": Key(whole, required=True),
}
LIMIT = {**AMOUNT, "window": Key(duration, required=True)}

TABLES: dict[str, dict[str, Key]] = {
    "": {
        "title": Key(text),
        "duration": Key(duration, required=True),
        "clock": Key(q.parse_clock_ms),
        "seed": Key(whole),
    },
    "profile": {
        "max_rate": Key(positive(q.RATE)),
        "on_low_reservoir": Key(partial(one_of, ("continue", "kvo"))),
        "mechanism": Key(partial(one_of, ("reference",))),
        "rig": Key(text),
    },
    "therapy": THERAPY,
    "reservoir": {
        "fill": Key(refill_volume),
        "low": Key(whole_volume_or_none),
        "empty": Key(whole_volume_or_none),
    },
    "plant": {
        "compliance": Key(positive(q.COMPLIANCE)),
        "resistance": Key(positive(q.RESISTANCE)),
        "catheter_volume": Key(whole_volume_or_none),
        "line_full": Key(yes),
        "pressure_noise": Key(partial(not_negative, q.PRESSURE)),
        "pressure_lsb": Key(positive(q.PRESSURE)),
        "pressure_drift": Key(quantity(q.PRESSURE_PER_KELVIN)),
        "temperature_drift": Key(quantity(q.TEMPERATURE_RATE)),
        "pulsation": Key(partial(percent_up_to, MOST_PULSATION_PERCENT)),
        "dip": Key(partial(percent_up_to, MOST_DIP_PERCENT)),
        "adc_e11": Key(yes),
        "calibration_error": Key(calibration_error),
        "back_pressure": Key(quantity(q.PRESSURE)),
        "compliance_drift": Key(quantity(q.RATIO_PER_KELVIN)),
    },
}

PLANT_FIELDS = {
    "compliance": "compliance_nl_pa",
    "resistance": "resistance_pa_ms_nl",
    "catheter_volume": "catheter_volume_nl",
    "line_full": "line_full",
    "pressure_noise": "pressure_noise_pa",
    "pressure_lsb": "pressure_lsb_pa",
    "pressure_drift": "pressure_drift_pa_k",
    "temperature_drift": "temperature_drift_k_day",
    "pulsation": "pulsation_percent",
    "dip": "dip_percent",
    "adc_e11": "adc_e11",
    "calibration_error": "calibration_error_percent",
    "back_pressure": "back_pressure_pa",
    "compliance_drift": "compliance_drift_percent_k",
}
"""Where a key of `[plant]` goes in `PlantParameters`."""

ON_THE_LINK = (
    "start", "stop", "acknowledge", "patient_bolus", "clinician_bolus", "prime", "program", "bridge",
    "refill", "set_time", "audio_pause", "new_line", "rig", "pair",
)  # fmt: skip
"""Events that reach the pump as commands, so not while the host is disconnected."""

CONFIRMED = ("program", "refill", "bridge", "new_line", "rig")
"""Those of them that are read back and confirmed."""

BUTTONS = ("patient", "stop")

ON_THE_PLANT = (
    "occlude", "unocclude", "stall", "unstall", "free_flow", "air", "sensor_fault", "low_supply", "height",
    *TONES,
)  # fmt: skip
"""Events that happen to the pump's mechanics and sensors, whatever it does."""

ON_THE_WIRES = disturbances.KINDS
"""Events that disturb an input, whatever it says."""

UNDOES = {"unocclude": "occlude", "unstall": "stall"}
"""Events that end another one, which must have been."""

EVENTS: dict[str, Keys] = {
    "start": {},
    "stop": {},
    "patient_bolus": {},
    "clinician_bolus": {
        "volume": Key(positive(q.VOLUME)),
        "dose": Key(positive(q.MASS)),
        "duration": Key(duration),
        "rate": Key(positive(q.RATE)),
        "accept": Key(bounds),
    },
    "new_line": {},
    "rig": {"file": Key(text, required=True)},
    "pair": {},
    "prime": {"volume": Key(whole_volume, required=True)},
    "bridge": {"concentration": Key(concentration, required=True)},
    "program": {},  # its `therapy` table is read like the file's own
    "refill": {"volume": Key(refill_volume, required=True)},
    "acknowledge": {},
    "audio_pause": {},
    "set_time": {"to": Key(q.parse_clock_ms, required=True)},
    "occlude": {"where": Key(partial(one_of, SIDES), required=True)},
    "unocclude": {"where": Key(partial(one_of, SIDES), required=True)},
    "stall": {},
    "unstall": {},
    "free_flow": {"rate": Key(free_flow, required=True)},
    "air": {"for": Key(duration)},
    "sensor_fault": {
        "which": Key(partial(one_of, SENSORS), required=True),
        "kind": Key(partial(one_of, KINDS), required=True),
    },
    "spikes": {
        "which": Key(partial(one_of, disturbances.PINS), required=True),
        "count": Key(whole, required=True),
        "for": Key(duration, required=True),
    },
    "bounce": {
        "which": Key(partial(one_of, disturbances.PINS), required=True),
        "for": Key(q.parse_time_ms, required=True),
    },
    "tremble": {
        "which": Key(partial(one_of, disturbances.PINS), required=True),
        "for": Key(q.parse_time_ms, required=True),
    },
    "low_supply": {"to": Key(quantity(q.VOLTAGE), required=True)},
    "height": {"to": Key(height, required=True)},
    **{name: {"amplitude": Key(amplitude), "frequency": Key(frequency)} for name in TONES},
    "reset": {},
    "power_cut": {"for": Key(duration, required=True)},
    "hang": {},
    "host_disconnect": {},
    "host_connect": {},
    "press": {"button": Key(partial(one_of, tuple(BUTTONS)), required=True), "for": Key(duration)},
}

VOLUME_EXPECTED = {
    "at": Key(q.parse_time_ms),
    "value": Key(quantity(q.VOLUME)),
    "at_most": Key(quantity(q.VOLUME)),
    "at_least": Key(quantity(q.VOLUME)),
    "within": Key(quantity(q.VOLUME)),
}

EXPECTS: dict[str, Keys] = {
    "bolus": {
        "at": Key(q.parse_time_ms, required=True),
        "granted": Key(yes, required=True),
        "reason": Key(text),
    },
    "alarm": {
        "code": Key(partial(one_of, ALARM_CODES), required=True),
        "at": Key(q.parse_time_ms),
        "never": Key(only_true),
        "within": Key(q.parse_time_ms),
    },
    "state": {
        "value": Key(partial(one_of, STATES), required=True),
        "at": Key(q.parse_time_ms),
        "within": Key(q.parse_time_ms),
    },
    "delivered": VOLUME_EXPECTED,
    "ledger": VOLUME_EXPECTED,
    "outflow": VOLUME_EXPECTED,
    "window_peak": {"at_most": Key(quantity(q.VOLUME), required=True), "within": Key(quantity(q.VOLUME))},
    "resets": {"value": Key(whole, required=True)},
    "unwatched": {"at": Key(q.parse_time_ms), "value": Key(hazards, required=True)},
    "refused": {"at": Key(q.parse_time_ms, required=True), "why": Key(text)},
    "reservoir": {
        "at": Key(q.parse_time_ms),
        "value": Key(quantity(q.VOLUME), required=True),
        "within": Key(quantity(q.VOLUME)),
    },
}
VOLUMES = ("delivered", "ledger", "outflow", "window_peak", "reservoir")
"""Expectations whose `within` is a volume; that of the others is a time."""
