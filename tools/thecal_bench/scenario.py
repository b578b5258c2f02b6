"""A scenario file (TOML) to a checked, frozen `Scenario`, or to one `ScenarioError` with all that is wrong.

How to read it: the tables `TABLES`, `EVENTS` and `EXPECTS` say which keys exist, how each is read, and
whether the pump can do it yet. A key that is defined but not `supported` is refused with "not supported
yet: KEY", a key that nobody defined with "unknown key": nothing is ever ignored. To support one more key,
flip its entry, give it a reader, and take its value over in `_Reader`.

Every problem carries file, line, key and what was expected. Quantities are exact (`Fraction`, units in the
names); times are whole milliseconds from the start of the experiment. The meaning of it all is `runner`'s.

`within` of an expectation widens `value`, `at_most`, `at_least` and `at` alike; where it is not given the
runner takes one tick and one microstep. The volume or the rate of a clinician bolus may fall between the
whole nanolitres and milliseconds that the link carries: `BolusRequest` rounds the volume down and the
duration up, once. What is prescribed or poured in is never rounded: a volume between whole nanolitres is
refused.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from thecal.dose import units
from thecal.watch.alarms import ALARMS

from thecal_bench import quantities as q
from thecal_bench import toml_lines
from thecal_bench.bench import TICK_MS
from thecal_bench.plant import MECHANISMS, MOST_FREE_FLOW_NL_H, SIDES, PlantParameters
from thecal_bench.sensor_faults import KINDS, SENSORS

MS_PER_HOUR = 3_600_000
HOURS_PER_DAY = 24
MS_PER_DAY = MS_PER_HOUR * HOURS_PER_DAY
DAYS_PER_WEEK = len(q.DAYS)
MS_PER_WEEK = MS_PER_DAY * DAYS_PER_WEEK
EVERY_DAY = (1 << DAYS_PER_WEEK) - 1
"""All days of a week; bit 0 is Monday."""

MINIMUM_RATE_NL_H = Fraction(2000)
"""What flows in mode "minimum": 0.048 mL/day, the slowest rate of implantable pumps (DOSE-04)."""

DEFAULT_FILL_NL = 20_000_000
"""What the plant's reservoir holds where the file does not say; the pump then does not know it either."""

PRESS_MS = 500
"""How long a button is pressed where `for` is not given: about as long as a finger does."""

LINK_LEAD_MS = 1000
"""The runner sends a command this long before its time, so the host must be connected by then. A therapy is
read back in between, so two of them are at least twice as far apart."""

RESTART_MS = 2000
"""A pump that starts anew is up again by then (REC-04). What it was told before its time it has forgotten."""

# --- the model


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what was expected."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class ScenarioError(Exception):
    """A file that can not be understood; `problems` holds all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Profile:
    """The machine: limits of the hardware, what it takes for a low and for an empty reservoir, its line.

    None is what the pump does unless told otherwise. `low_nl` and `empty_nl` are written in `[reservoir]`.
    `line_nl` is the dead volume of the plant's line in an experiment, for therapies that name none.
    """

    max_rate_nl_h: Fraction | None = None
    mechanism: str = "reference"
    on_low_reservoir: str | None = None
    low_nl: int | None = None
    empty_nl: int | None = None
    line_nl: int | None = None

    def message(self) -> dict[str, Any]:
        """Its part of the link's `therapy` object."""
        said: dict[str, Any] = {}
        if self.max_rate_nl_h is not None:
            # Rounded down: a limit may only become stricter on its way.
            said["max_rate_nl_h"] = int(self.max_rate_nl_h)
        if self.on_low_reservoir is not None:
            said["on_low"] = self.on_low_reservoir
        if self.low_nl is not None:
            said["low_nl"] = self.low_nl
        if self.empty_nl is not None:
            said["empty_nl"] = self.empty_nl
        if self.line_nl is not None:
            said["line_nl"] = self.line_nl
        return said


def _as_fraction(name: str, number: Fraction) -> dict[str, int]:
    return {f"{name}_num": number.numerator, f"{name}_den": number.denominator}


def _amount(volume_nl: int, dose_pg: int) -> dict[str, int]:
    return {"dose_pg": dose_pg} if dose_pg else {"volume_nl": volume_nl}


@dataclass(frozen=True)
class Step:
    """A step of the day: its rate holds from `at_ms` after midnight, on the days of `days`, until the next.

    The rate is given, or computed from `dose_pg_day` (0 where it was given).
    """

    at_ms: int
    rate_nl_h: Fraction
    days: int = EVERY_DAY
    dose_pg_day: int = 0

    def message(self) -> dict[str, int]:
        """Its object on the link."""
        said = {"at_ms": self.at_ms, "days": self.days}
        if self.days == EVERY_DAY:
            del said["days"]  # means the same, and 13 steps have to fit into one frame
        if self.dose_pg_day:
            return {**said, "dose_pg_day": self.dose_pg_day}
        return {**said, **_as_fraction("rate", self.rate_nl_h)}

    def starts_ms(self) -> list[int]:
        """The times of the week at which it starts."""
        days = (day for day in range(DAYS_PER_WEEK) if self.days >> day & 1)
        return [day * MS_PER_DAY + self.at_ms for day in days]


@dataclass(frozen=True)
class PatientBolus:
    """What the patient may ask for. One of volume and dose, one of rate and duration is set."""

    lockout_ms: int
    max_per_day: int
    volume_nl: int = 0
    dose_pg: int = 0
    rate_nl_h: Fraction | None = None
    duration_ms: int | None = None

    def message(self) -> dict[str, int]:
        """Its object on the link."""
        said = _amount(self.volume_nl, self.dose_pg)
        if self.rate_nl_h is not None:
            said |= _as_fraction("rate", self.rate_nl_h)
        if self.duration_ms is not None:
            said["duration_ms"] = self.duration_ms
        return {**said, "lockout_ms": self.lockout_ms, "max_per_day": self.max_per_day}

    def volume_in_nl(self, concentration_pg_nl: Fraction) -> Fraction:
        """The volume, whichever way it was written."""
        return Fraction(self.dose_pg, concentration_pg_nl) if self.dose_pg else Fraction(self.volume_nl)

    def flow_nl_h(self, concentration_pg_nl: Fraction) -> Fraction:
        """The rate, whichever way it was written."""
        if self.rate_nl_h is not None:
            return self.rate_nl_h
        assert self.duration_ms is not None
        return self.volume_in_nl(concentration_pg_nl) * MS_PER_HOUR / self.duration_ms


@dataclass(frozen=True)
class Limit:
    """The most that any window of time may hold. One of volume and dose is set."""

    window_ms: int
    volume_nl: int = 0
    dose_pg: int = 0

    def message(self) -> dict[str, int]:
        """Its object on the link."""
        return {**_amount(self.volume_nl, self.dose_pg), "window_ms": self.window_ms}


@dataclass(frozen=True)
class Therapy:
    """What is prescribed. `rate_nl_h` is the basal, given or computed from the dose; 0 for mode "stopped".

    Mode "flex" has `steps` instead; `basal_nl_h` knows the rate of any mode at any time of the week.
    """

    mode: str
    rate_nl_h: Fraction = Fraction(0)
    kvo_nl_h: Fraction | None = None
    drug: str = ""
    concentration_pg_nl: Fraction = Fraction(0)
    dose_pg_day: int = 0
    steps: tuple[Step, ...] = ()
    patient_bolus: PatientBolus | None = None
    limit: Limit | None = None
    line_nl: int | None = None
    """Dead volume of tubing and catheter; None where the file does not say."""

    def message(self, profile: Profile) -> dict[str, Any]:
        """The `therapy` object of the link's `program` command."""
        said: dict[str, Any] = {"mode": self.mode}
        if self.drug:
            said["drug"] = self.drug
            said["concentration_pg_nl"] = q.as_message(self.concentration_pg_nl)
        if self.mode == "flex":
            said["steps"] = [step.message() for step in self.steps]
        elif self.mode == "continuous":
            said |= {"dose_pg_day": self.dose_pg_day} if self.drug else _as_fraction("rate", self.rate_nl_h)
        if self.kvo_nl_h is not None:
            said |= _as_fraction("kvo", self.kvo_nl_h)
        if self.patient_bolus is not None:
            said["patient_bolus"] = self.patient_bolus.message()
        if self.limit is not None:
            said["limit"] = self.limit.message()
        said |= profile.message()
        if self.line_nl is not None:
            said["line_nl"] = self.line_nl
        return said

    def basal_nl_h(self, week_ms: int) -> Fraction:
        """The basal rate from a time of the week on (Monday 00:00 is 0)."""
        if self.mode != "flex":
            return self.rate_nl_h
        starts = [(start_ms, step.rate_nl_h) for step in self.steps for start_ms in step.starts_ms()]
        begun = [start for start in starts if start[0] <= week_ms % MS_PER_WEEK]
        # Before the first step of the week its last one still holds.
        return max(begun or starts)[1]

    def by_volume(self) -> list[str]:
        """The keys that are not given by drug mass: another concentration would change their dose."""
        found = [] if self.mode in ("continuous", "flex") and self.drug else ["mode"]
        if self.mode == "continuous" and not self.dose_pg_day:
            found.append("rate")
        found += ["step.rate"] * any(not step.dose_pg_day for step in self.steps)
        if self.patient_bolus is not None and not self.patient_bolus.dose_pg:
            found.append("patient_bolus.volume")
        if self.limit is not None and not self.limit.dose_pg:
            found.append("limit.volume")
        return found

    def at_concentration(self, concentration_pg_nl: Fraction) -> Therapy:
        """The same doses from another concentration. ValueError where something is not given by drug mass."""
        if self.by_volume():
            raise ValueError(f"not given by drug mass: {', '.join(self.by_volume())}")
        steps = tuple(
            replace(step, rate_nl_h=_rate_of_dose(step.dose_pg_day, concentration_pg_nl))
            for step in self.steps
        )
        return replace(
            self,
            concentration_pg_nl=concentration_pg_nl,
            rate_nl_h=_rate_of_dose(self.dose_pg_day, concentration_pg_nl),
            steps=steps,
        )


@dataclass(frozen=True)
class Reservoir:
    """The reservoir as it is at the start."""

    fill_nl: int = DEFAULT_FILL_NL


@dataclass(frozen=True)
class BolusRequest:
    """A bolus as the link takes it: whole nanolitres (rounded down) in whole milliseconds (rounded up)."""

    volume_nl: int
    duration_ms: int

    @property
    def rate_nl_h(self) -> Fraction:
        return Fraction(self.volume_nl * MS_PER_HOUR, self.duration_ms)


@dataclass(frozen=True)
class Event:
    """Something that is done at a time. What follows `line` belongs to one kind of event each:

    `bolus` to `clinician_bolus`, `therapy` to `program` and `bridge` (all of what is programmed again),
    `volume_nl` to `refill` and `prime`, `week_ms` (time since Monday 00:00) to `set_time`, `button` to
    `press`, `for_ms` to `press`, `power_cut` and `air` (0: for good), `accept` (bounds of the drug library by
    name) to `clinician_bolus`. `keys` are those of an event that acts on the plant.
    """

    at_ms: int
    do: str
    line: int
    bolus: BolusRequest | None = None
    therapy: Therapy | None = None
    volume_nl: int | None = None
    week_ms: int | None = None
    button: str | None = None
    for_ms: int = PRESS_MS
    keys: Mapping[str, Any] = field(default_factory=dict)
    accept: tuple[str, ...] = ()

    @property
    def asks_for_a_bolus(self) -> bool:
        """Whether a `bolus` expectation may be about it."""
        return self.do in ("patient_bolus", "clinician_bolus") or self.button == "patient"


@dataclass(frozen=True)
class Expect:
    """Something that is to be found. `value` is nL, for `state` a name, for `resets` a count."""

    what: str
    line: int
    at_ms: int | None = None
    within_nl: Fraction | None = None
    within_ms: int | None = None
    value: Fraction | str | int | None = None
    at_most_nl: Fraction | None = None
    at_least_nl: Fraction | None = None
    granted: bool | None = None
    reason: str | None = None
    why: str | None = None
    code: str | None = None
    never: bool = False


@dataclass(frozen=True)
class Scenario:
    """One experiment. The pump is told of the reservoir before t=0; None if the file does not speak of it."""

    path: str
    title: str
    duration_ms: int
    therapy: Therapy
    profile: Profile = Profile()
    clock_ms: int = 0
    seed: int = 1
    reservoir: Reservoir | None = None
    plant: PlantParameters = PlantParameters()
    events: tuple[Event, ...] = ()
    expects: tuple[Expect, ...] = ()

    @property
    def assumes_the_line(self) -> bool:
        """Whether the pump is told of a line that the file leaves to the plant."""
        therapies = [self.therapy, *(event.therapy for event in self.events if event.therapy is not None)]
        return self.profile.line_nl is not None and any(therapy.line_nl is None for therapy in therapies)

    def line_nl(self, therapy: Therapy) -> int:
        """The dead volume that the pump is told of with `therapy`."""
        return (self.profile.line_nl or 0) if therapy.line_nl is None else therapy.line_nl


# --- which keys there are


class Expected(Exception):
    """What a reader expected instead of the value that it was given."""


Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Key:
    """How a key is read, and whether the pump can do it yet."""

    read: Read
    supported: bool = True
    required: bool = False


@dataclass(frozen=True)
class Kind:
    """An event or an expectation: its own keys, and whether the pump can do it yet."""

    keys: Mapping[str, Key] = field(default_factory=dict)
    supported: bool = True


def _text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise Expected(
        f'expected text in quotes, found "{value}"' if value == "" else f"expected text, found {value!r}"
    )


def _name_of_drug(value: Any) -> str:
    # 32 characters are what the pump keeps; it compares names by their bytes.
    if isinstance(value, str) and 0 < len(value) <= 32 and value.isascii() and value.isprintable():
        return value
    raise Expected(f'expected a name of up to 32 ASCII characters such as "morphine", found {value!r}')


def _whole(value: Any) -> int:
    if type(value) is int and 0 <= value < 2**63:
        return value
    raise Expected(f"expected a whole number such as 1, found {value!r}")


def _yes(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Expected(f"expected true or false, found {value!r}")


def _only_true(value: Any) -> bool:
    if value is True:
        return True
    raise Expected(f"expected true, found {value!r} (leave the key out otherwise)")


def _one_of(names: tuple[str, ...], value: Any) -> str:
    if isinstance(value, str) and value in names:
        return value
    raise Expected(f"expected one of {', '.join(names)}; found {value!r}")


def _above_zero(dimension: q.Dimension, value: Any) -> Fraction:
    number = q.parse(value, dimension)
    if number <= 0:
        raise Expected(f'expected {dimension.name} above 0 such as "{dimension.example}", found "{value}"')
    return number


def _duration(value: Any) -> int:
    number = q.parse_time_ms(value)
    if number <= 0:
        raise Expected(f'expected a time above 0 such as "30 min", found "{value}"')
    return number


def _whole_in_unit(dimension: q.Dimension, unit: str, value: Any) -> int:
    number = _above_zero(dimension, value)
    if number.denominator != 1:
        raise Expected(f'expected {dimension.name} in whole {unit}, found "{value}"')
    return number.numerator


def _concentration(value: Any) -> Fraction:
    number = _above_zero(q.CONCENTRATION, value)
    if units.concentration_of([number.numerator, number.denominator]) is None:
        least = q.show(Fraction(*units.LEAST_PG_NL), q.CONCENTRATION, "mcg/mL")
        raise Expected(
            f"expected a concentration from {least} to 1 kg/mL in parts of mcg/mL of "
            f'1/{units.MOST_PG_NL_DEN} or coarser, found "{value}"'
        )
    return number


def _whole_volume_or_none(value: Any) -> int:
    return 0 if q.parse(value, q.VOLUME) == 0 else _whole_volume(value)


def _days(value: Any) -> int:
    if not isinstance(value, list) or not value:
        raise Expected(f'expected a list of days such as ["sat", "sun"], found {value!r}')
    bits = 0
    for day in value:
        bit = 1 << q.DAYS.index(_one_of(q.DAYS, day))
        if bits & bit:
            raise Expected(f'expected each day once, found "{day}" twice')
        bits |= bit
    return bits


def _bounds(value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Expected(
            f'expected a list of bounds such as ["baclofen.bolus.high.screening"], found {value!r}'
        )
    return tuple(names)


def _pulsation(value: Any) -> Fraction:
    number = q.parse(value, q.RATIO)
    if not 0 <= number <= 200:
        raise Expected(f'expected 0 % to 200 %, found "{value}"')
    return number


def _calibration_error(value: Any) -> Fraction:
    number = q.parse(value, q.RATIO)
    if number <= -100:
        raise Expected(f'expected more than -100 %, found "{value}"')
    return number


def _free_flow(value: Any) -> Fraction:
    number = q.parse(value, q.RATE)
    if number > MOST_FREE_FLOW_NL_H:
        most = q.show(MOST_FREE_FLOW_NL_H, q.RATE, "mL/h")
        raise Expected(f'expected a rate of at most {most}, as fast as the motor turns, found "{value}"')
    return number


def _not_negative(dimension: q.Dimension, value: Any) -> Fraction:
    number = q.parse(value, dimension)
    if number < 0:
        raise Expected(f'expected {dimension.name} of 0 or more, found "{value}"')
    return number


def _quantity(dimension: q.Dimension) -> Read:
    return lambda value: q.parse(value, dimension)


def _positive(dimension: q.Dimension) -> Read:
    return partial(_above_zero, dimension)


_whole_volume = partial(_whole_in_unit, q.VOLUME, "nL")


def _never_read(value: Any) -> None:
    raise AssertionError("a key that is not supported has been read")


STATES = ("BOOT", "POST", "STOPPED", "PRIMING", "DRAW_BACK", "RUNNING", "HALTED")

_CODES = (
    "OCCLUSION_DOWN", "OCCLUSION_UP", "AIR", "STALL", "RUNAWAY", "FREE_FLOW", "OVER_INFUSION",
    "UNDER_INFUSION", "STOP_HELD", "RESERVOIR_LOW", "RESERVOIR_EMPTY", "MAX_DOSE", "LIMIT_GUARD",
    "SENSOR_FAULT", "DRIVER_FAULT", "SUPPLY_LOW", "SUPPLY_CRITICAL", "LONG_STOP", "CLOCK_LOST",
    "AUTO_RESUMED", "POST_FAILED", "LIBRARY_FAULT", "JOURNAL_FAULT", "MEMORY_FAULT", "LOOP_FAULT",
    "RESET_LOOP", "THREE_STRIKES", "SERVICE_DUE", "COUNT_END", "BAD_AUTH",
)  # fmt: skip
ALARM_CODES = {code: any(row.code == code for row in ALARMS) for code in _CODES}
"""Alarm codes, and whether the pump can raise them yet."""

MODES = {
    "continuous": ("rate", "drug", "concentration", "dose", "kvo", "line", "patient_bolus", "limit"),
    "flex": ("drug", "concentration", "step", "kvo", "line", "patient_bolus", "limit"),
    "minimum": ("drug", "concentration", "kvo", "line", "patient_bolus", "limit"),
    "stopped": ("line",),
}
"""Modes of therapy, and the keys that each may have."""

THERAPY = {
    "mode": Key(partial(_one_of, tuple(MODES)), required=True),
    "rate": Key(_positive(q.RATE)),
    "drug": Key(_name_of_drug),
    "concentration": Key(_concentration),
    "dose": Key(partial(_whole_in_unit, q.MASS_RATE, "pg/day")),
    "kvo": Key(_quantity(q.RATE)),
    "line": Key(_whole_volume_or_none),
}
NESTED = ("step", "patient_bolus", "limit")
"""Tables within `[therapy]`."""

STEP = {
    "at": Key(q.parse_time_of_day_ms, required=True),
    "rate": Key(_positive(q.RATE)),
    "dose": Key(partial(_whole_in_unit, q.MASS_RATE, "pg/day")),
    "days": Key(_days),
}
AMOUNT = {
    "volume": Key(_whole_volume),
    "dose": Key(partial(_whole_in_unit, q.MASS, "pg")),
}
PATIENT_BOLUS = {
    **AMOUNT,
    "rate": Key(_positive(q.RATE)),
    "duration": Key(_duration),
    "lockout": Key(q.parse_time_ms, required=True),
    "max_per_day": Key(_whole, required=True),
}
LIMIT = {**AMOUNT, "window": Key(_duration, required=True)}

TABLES: dict[str, dict[str, Key]] = {
    "": {
        "title": Key(_text),
        "duration": Key(_duration, required=True),
        "clock": Key(q.parse_clock_ms),
        "seed": Key(_whole),
    },
    "profile": {
        "max_rate": Key(_positive(q.RATE)),
        "on_low_reservoir": Key(partial(_one_of, ("continue", "kvo"))),
        "mechanism": Key(partial(_one_of, tuple(MECHANISMS))),
    },
    "therapy": THERAPY,
    "reservoir": {
        "fill": Key(_whole_volume),
        "low": Key(_whole_volume_or_none),
        "empty": Key(_whole_volume_or_none),
    },
    "plant": {
        "compliance": Key(_positive(q.COMPLIANCE)),
        "resistance": Key(_positive(q.RESISTANCE)),
        "catheter_volume": Key(_whole_volume_or_none),
        "line_full": Key(_yes),
        "pressure_noise": Key(partial(_not_negative, q.PRESSURE)),
        "pressure_lsb": Key(_positive(q.PRESSURE)),
        "pressure_drift": Key(_quantity(q.PRESSURE_PER_KELVIN)),
        "temperature_drift": Key(_quantity(q.TEMPERATURE_RATE)),
        "pulsation": Key(_pulsation),
        "adc_e11": Key(_yes),
        "calibration_error": Key(_calibration_error),
        "back_pressure": Key(_quantity(q.PRESSURE)),
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
    "adc_e11": "adc_e11",
    "calibration_error": "calibration_error_percent",
    "back_pressure": "back_pressure_pa",
}
"""Where a key of `[plant]` goes in `PlantParameters`."""

ON_THE_LINK = (
    "start", "stop", "acknowledge", "patient_bolus", "clinician_bolus", "prime", "program", "bridge",
    "refill", "set_time", "audio_pause", "new_line",
)  # fmt: skip
"""Events that reach the pump as commands, so not while the host is disconnected."""

CONFIRMED = ("program", "refill", "bridge", "new_line")
"""Those of them that are read back and confirmed."""

BUTTONS = ("patient", "stop")

ON_THE_PLANT = (
    "occlude", "unocclude", "stall", "unstall", "free_flow", "air", "sensor_fault", "low_supply"
)  # fmt: skip
"""Events that happen to the pump's mechanics and sensors, whatever it does."""

UNDOES = {"unocclude": "occlude", "unstall": "stall"}
"""Events that end another one, which must have been."""

EVENTS: dict[str, Kind] = {
    "start": Kind(),
    "stop": Kind(),
    "patient_bolus": Kind(),
    "clinician_bolus": Kind(
        {
            "volume": Key(_positive(q.VOLUME)),
            "dose": Key(_positive(q.MASS)),
            "duration": Key(_duration),
            "rate": Key(_positive(q.RATE)),
            "accept": Key(_bounds),
        }
    ),
    "new_line": Kind(),
    "prime": Kind({"volume": Key(_whole_volume, required=True)}),
    "bridge": Kind({"concentration": Key(_concentration, required=True)}),
    "program": Kind(),  # its `therapy` table is read like the file's own
    "refill": Kind({"volume": Key(_whole_volume, required=True)}),
    "acknowledge": Kind(),
    "audio_pause": Kind(),
    "set_time": Kind({"to": Key(q.parse_clock_ms, required=True)}),
    "occlude": Kind({"where": Key(partial(_one_of, SIDES), required=True)}),
    "unocclude": Kind({"where": Key(partial(_one_of, SIDES), required=True)}),
    "stall": Kind(),
    "unstall": Kind(),
    "free_flow": Kind({"rate": Key(_free_flow, required=True)}),
    "air": Kind({"for": Key(_duration)}),
    "sensor_fault": Kind(
        {
            "which": Key(partial(_one_of, SENSORS), required=True),
            "kind": Key(partial(_one_of, KINDS), required=True),
        }
    ),
    "low_supply": Kind({"to": Key(_quantity(q.VOLTAGE), required=True)}),
    "reset": Kind(),
    "power_cut": Kind({"for": Key(_duration, required=True)}),
    "hang": Kind(),
    "host_disconnect": Kind(),
    "host_connect": Kind(),
    "press": Kind({"button": Key(partial(_one_of, tuple(BUTTONS)), required=True), "for": Key(_duration)}),
}

_VOLUME_EXPECTED = Kind(
    {
        "at": Key(q.parse_time_ms),
        "value": Key(_quantity(q.VOLUME)),
        "at_most": Key(_quantity(q.VOLUME)),
        "at_least": Key(_quantity(q.VOLUME)),
        "within": Key(_quantity(q.VOLUME)),
    }
)

EXPECTS: dict[str, Kind] = {
    "bolus": Kind(
        {"at": Key(q.parse_time_ms, required=True), "granted": Key(_yes, required=True), "reason": Key(_text)}
    ),
    "alarm": Kind(
        {
            "code": Key(partial(_one_of, tuple(ALARM_CODES)), required=True),
            "at": Key(q.parse_time_ms),
            "never": Key(_only_true),
            "within": Key(q.parse_time_ms),
        }
    ),
    "state": Kind(
        {
            "value": Key(partial(_one_of, STATES), required=True),
            "at": Key(q.parse_time_ms),
            "within": Key(q.parse_time_ms),
        }
    ),
    "delivered": _VOLUME_EXPECTED,
    "ledger": _VOLUME_EXPECTED,
    "outflow": _VOLUME_EXPECTED,
    "window_peak": Kind(
        {"at_most": Key(_quantity(q.VOLUME), required=True), "within": Key(_quantity(q.VOLUME))}
    ),
    "resets": Kind({"value": Key(_whole, required=True)}),
    "refused": Kind({"at": Key(q.parse_time_ms, required=True), "why": Key(_text)}),
    "reservoir": Kind(
        {
            "at": Key(q.parse_time_ms),
            "value": Key(_quantity(q.VOLUME), required=True),
            "within": Key(_quantity(q.VOLUME)),
        }
    ),
}
VOLUMES = ("delivered", "ledger", "outflow", "window_peak", "reservoir")
"""Expectations whose `within` is a volume; that of the others is a time."""


# --- reading


def load(path: str | Path) -> Scenario:
    """Read and check a scenario file. Raises `ScenarioError` with all problems."""
    reader = _Reader(str(path), _read_text(path))
    scenario = reader.scenario()
    reader.finish()
    return scenario


def parse(text: str, name: str = "scenario") -> Scenario:
    """The same for a text; `name` stands for the file in messages."""
    reader = _Reader(name, text)
    scenario = reader.scenario()
    reader.finish()
    return scenario


def load_therapy(path: str | Path) -> tuple[Therapy, Profile]:
    """`[therapy]` and `[profile]` of a file that may have everything else of a scenario too, or not."""
    reader = _Reader(str(path), _read_text(path), therapy_only=True)
    scenario = reader.scenario()
    reader.finish()
    return scenario.therapy, scenario.profile


def _read_text(path: str | Path) -> str:
    try:
        data = Path(path).read_bytes()
    except OSError as why:
        message = f"can not be read: {why.strerror}, expected a scenario file (TOML)"
        raise ScenarioError([Problem(str(path), 1, "(file)", message)]) from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        raise ScenarioError(
            [
                Problem(
                    str(path),
                    line,
                    "(file)",
                    "expected text in UTF-8, found another encoding or a binary file",
                )
            ]
        ) from None


class _Reader:
    """One file on its way to a `Scenario`. Collects problems and goes on, so that all are reported."""

    def __init__(self, name: str, text: str, therapy_only: bool = False) -> None:
        self._name = name
        self._problems: list[Problem] = []
        self._not_yet: set[str] = set()
        self._therapies: list[tuple[toml_lines.Path, Therapy]] = []
        self._need_duration = not therapy_only
        # An experiment knows its line, if only as the reference one; of a real one only the therapy can tell.
        self._experiment = not therapy_only
        self._line_nl = None if therapy_only else int(PlantParameters().catheter_volume_nl)
        try:
            self._document = tomllib.loads(text)
        except (ValueError, RecursionError) as why:
            line, key = toml_lines.after_error(text, str(why))
            message = f"{key}: expected TOML, found what is none: {why}"
            raise ScenarioError([Problem(name, line, key, message)]) from None
        self._lines = toml_lines.Lines(text)

    def finish(self) -> None:
        """Raise what was found wrong, in the order of the file."""
        if self._problems:
            raise ScenarioError(sorted(self._problems, key=lambda problem: problem.line))

    # --- problems

    def _problem(self, path: toml_lines.Path, message: str) -> None:
        key = _dotted(path)
        self._problems.append(Problem(self._name, self._lines.of(path), key, f"{key}: {message}"))

    def _later(self, path: toml_lines.Path, key: str) -> None:
        # Once for each key, at its first line: ten boluses are one missing feature.
        if key not in self._not_yet:
            self._not_yet.add(key)
            self._problems.append(Problem(self._name, self._lines.of(path), key, f"not supported yet: {key}"))

    # --- tables

    def _values(
        self,
        table: Mapping[str, Any],
        keys: Mapping[str, Key],
        path: toml_lines.Path,
        others: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The values of `table` that could be read; `others` are keys that the caller reads."""
        values: dict[str, Any] = {}
        for name, value in table.items():
            where = (*path, name)
            if name in others:
                continue
            key = keys.get(name)
            if key is None:
                known = (*keys, *others)
                near = get_close_matches(name, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(known)}"
                self._problem(where, f"unknown key; {hint}")
            elif not key.supported:
                self._later(where, _dotted(where))
            else:
                try:
                    values[name] = key.read(value)
                except (Expected, q.QuantityError) as why:
                    self._problem(where, str(why))
        for name, key in keys.items():
            if key.required and name not in table:
                self._problem((*path, name), "missing; expected in this table")
        return values

    def _table(self, name: str, parent: Mapping[str, Any], path: toml_lines.Path = ()) -> Mapping[str, Any]:
        table = parent.get(name, {})
        if isinstance(table, dict):
            return table
        self._problem((*path, name), f"expected a table [{_dotted((*path, name))}], found {table!r}")
        return {}

    def _tables(
        self, name: str, parent: Mapping[str, Any], path: toml_lines.Path = ()
    ) -> list[tuple[toml_lines.Path, Mapping[str, Any]]]:
        tables = parent.get(name, [])
        where = (*path, name)
        if isinstance(tables, list):
            found = []
            for index, table in enumerate(tables):
                if isinstance(table, dict):
                    found.append(((*where, index), table))
                else:
                    self._problem((*where, index), f"expected tables [[{_dotted(where)}]], found {table!r}")
            return found
        found_text = "a table" if isinstance(tables, dict) else repr(tables)
        self._problem(where, f"expected tables [[{_dotted(where)}]], found {found_text}")
        return []

    # --- the whole

    def scenario(self) -> Scenario:
        top = dict(TABLES[""])
        if not self._need_duration:
            top["duration"] = Key(_duration)
        sections = tuple(name for name in TABLES if name) + ("event", "expect")
        head = self._values(self._document, top, (), sections)
        duration_ms = head.get("duration", 0)
        profile = self._values(self._table("profile", self._document), TABLES["profile"], ("profile",))
        if "therapy" not in self._document:
            self._problem(("therapy",), "missing; expected a table [therapy]")
            therapy = None
        else:
            therapy = self._therapy(self._table("therapy", self._document), ("therapy",))
        reservoir = self._values(
            self._table("reservoir", self._document), TABLES["reservoir"], ("reservoir",)
        )
        plant = self._values(self._table("plant", self._document), TABLES["plant"], ("plant",))
        events = self._events(duration_ms, therapy)
        expects = self._expects(duration_ms, events, therapy)
        machine = Profile(
            profile.get("max_rate"),
            profile.get("mechanism", "reference"),
            profile.get("on_low_reservoir"),
            reservoir.get("low"),
            reservoir.get("empty"),
            plant.get("catheter_volume", self._line_nl) if self._experiment else None,
        )
        self._foreknown(machine)
        return Scenario(
            path=self._name,
            title=head.get("title", Path(self._name).stem),
            duration_ms=duration_ms,
            therapy=therapy or Therapy("stopped"),
            profile=machine,
            clock_ms=head.get("clock", 0),
            seed=head.get("seed", 1),
            reservoir=Reservoir(reservoir.get("fill", DEFAULT_FILL_NL))
            if "reservoir" in self._document
            else None,
            plant=PlantParameters(**{PLANT_FIELDS[name]: value for name, value in plant.items()}),
            events=tuple(events),
            expects=tuple(expects),
        )

    def _foreknown(self, profile: Profile) -> None:
        """What a pump would refuse in the therapies, when nothing else is wrong."""
        from thecal_bench import foreknown  # which needs this module

        if not self._problems:
            for path, therapy in self._therapies:
                for key, text in foreknown.problems(therapy, profile, path):
                    self._problem(key, text)

    def _therapy(self, table: Mapping[str, Any], path: toml_lines.Path) -> Therapy | None:
        before = len(self._problems)
        values = self._values(table, THERAPY, path, NESTED)
        mode = values.get("mode")
        if mode is not None:
            self._keys_of_mode(mode, table, path)
        concentration_pg_nl = values.get("concentration", Fraction(0))
        steps = self._steps(table, path, concentration_pg_nl)
        bolus = self._patient_bolus(table, path, concentration_pg_nl)
        limit = self._limit(table, path, concentration_pg_nl)
        if mode is None or len(self._problems) > before:
            return None
        rate_nl_h = values.get("rate", MINIMUM_RATE_NL_H if mode == "minimum" else Fraction(0))
        if "dose" in values:
            rate_nl_h = _rate_of_dose(values["dose"], concentration_pg_nl)
        found = Therapy(
            mode,
            rate_nl_h,
            values.get("kvo"),
            values.get("drug", ""),
            concentration_pg_nl,
            values.get("dose", 0),
            tuple(steps),
            bolus,
            limit,
            values.get("line"),
        )
        self._therapies.append((path, found))
        return found

    def _keys_of_mode(self, mode: str, table: Mapping[str, Any], path: toml_lines.Path) -> None:
        for name in (*THERAPY, *NESTED):
            if name in table and name != "mode" and name not in MODES[mode]:
                self._problem((*path, name), f'expected no such key in mode "{mode}"')
        drug = [name for name in ("drug", "concentration") if name in table]
        dosed = [*drug, "dose"] if "dose" in table else drug
        if mode == "flex" and "step" not in table:
            self._problem((*path, "mode"), f"expected tables [[{_dotted((*path, 'step'))}]]")
        elif mode == "continuous" and "rate" in table and dosed:
            self._problem((*path, dosed[0]), "expected rate, or drug, concentration and dose, not both")
        elif mode == "continuous" and "rate" not in table and len(dosed) != 3:
            missing = [name for name in ("drug", "concentration", "dose") if name not in table]
            wanted = "rate, or drug, concentration and dose" if not dosed else " and ".join(missing)
            self._problem((*path, "mode"), f"expected {wanted} in this table")
        elif mode in ("flex", "minimum") and len(drug) == 1:
            self._problem((*path, drug[0]), "expected drug and concentration, or neither")

    def _steps(
        self, table: Mapping[str, Any], path: toml_lines.Path, concentration_pg_nl: Fraction
    ) -> list[Step]:
        steps: list[Step] = []
        if "step" not in table:
            return steps
        taken: dict[int, int] = {}
        for where, entry in self._tables("step", table, path):
            values = self._values(entry, STEP, where)
            one = self._one_of_two(entry, where, "rate", "dose", "at")
            if one == "dose" and not self._dose_is_known(where, concentration_pg_nl, "a rate"):
                continue
            if "at" not in values or one not in values or ("days" in entry and "days" not in values):
                continue
            dose_pg_day = values.get("dose", 0)
            rate_nl_h = _rate_of_dose(dose_pg_day, concentration_pg_nl) if dose_pg_day else values["rate"]
            step = Step(values["at"], rate_nl_h, values.get("days", EVERY_DAY), dose_pg_day)
            steps.append(step)
            for start_ms in step.starts_ms():
                if taken.setdefault(start_ms, len(steps)) != len(steps):
                    day = q.DAYS[start_ms // MS_PER_DAY]
                    line = self._lines.of((*path, "step", taken[start_ms] - 1))
                    self._problem(
                        (*where, "at"), f"expected a time of its own: the step of line {line} has {day} too"
                    )
                    break
        return steps

    def _patient_bolus(
        self, table: Mapping[str, Any], path: toml_lines.Path, concentration_pg_nl: Fraction
    ) -> PatientBolus | None:
        if "patient_bolus" not in table:
            return None
        where = (*path, "patient_bolus")
        entry = self._table("patient_bolus", table, path)
        values = self._values(entry, PATIENT_BOLUS, where)
        amount = self._one_of_two(entry, where, "volume", "dose")
        pace = self._one_of_two(entry, where, "rate", "duration")
        if amount == "dose":
            self._dose_is_known(where, concentration_pg_nl, "a volume")
        if not {amount, pace, "lockout", "max_per_day"} <= set(values):
            return None
        return PatientBolus(
            values["lockout"],
            values["max_per_day"],
            values.get("volume", 0),
            values.get("dose", 0),
            values.get("rate"),
            values.get("duration"),
        )

    def _limit(
        self, table: Mapping[str, Any], path: toml_lines.Path, concentration_pg_nl: Fraction
    ) -> Limit | None:
        if "limit" not in table:
            return None
        where = (*path, "limit")
        entry = self._table("limit", table, path)
        values = self._values(entry, LIMIT, where)
        amount = self._one_of_two(entry, where, "volume", "dose")
        if amount == "dose":
            self._dose_is_known(where, concentration_pg_nl, "a volume")
        if not {amount, "window"} <= set(values):
            return None
        return Limit(values["window"], values.get("volume", 0), values.get("dose", 0))

    def _one_of_two(
        self, table: Mapping[str, Any], path: toml_lines.Path, first: str, second: str, else_at: str = ""
    ) -> str | None:
        """Which of two keys is there; None, and a problem, where it is not exactly one."""
        given = [name for name in (first, second) if name in table]
        if len(given) == 1:
            return given[0]
        where = (*path, given[1]) if given else (*path, else_at) if else_at else path
        self._problem(where, f"expected one of {first} and {second}")
        return None

    def _dose_is_known(self, path: toml_lines.Path, concentration_pg_nl: Fraction, instead: str) -> bool:
        if not concentration_pg_nl:
            self._problem((*path, "dose"), f"expected {instead}: no drug and concentration are set")
        return bool(concentration_pg_nl)

    # --- events

    def _events(self, duration_ms: int, therapy: Therapy | None) -> list[Event]:
        read: list[tuple[int, toml_lines.Path, str, dict[str, Any], Therapy | None]] = []
        for path, table in self._tables("event", self._document):
            kind = self._kind(table, path, "do", EVENTS)
            if kind is None:
                continue
            others = ("do", "therapy") if table["do"] == "program" else ("do",)
            keys = {"at": Key(q.parse_time_ms, required=True), **kind.keys}
            values = self._values(table, keys, path, others)
            new_therapy = None
            if table["do"] == "program":
                if "therapy" in table:
                    nested = self._table("therapy", table, path)
                    new_therapy = self._therapy(nested, (*path, "therapy"))
                else:
                    self._problem((*path, "therapy"), "missing; expected a table [event.therapy]")
            if self._in_time(values, path, duration_ms):
                read.append((values["at"], path, table["do"], values, new_therapy))
        read.sort(key=lambda item: item[0])  # stable: file order on ties
        events = []
        connected, connected_ms, read_back_ms = True, -LINK_LEAD_MS, -2 * LINK_LEAD_MS
        started = "reset", -RESTART_MS - LINK_LEAD_MS  # what the pump starts after, and when that is over
        dark_ms = 0  # until then there is no power
        ended_ms: dict[str, int] = {}  # when a button or the air goes away
        standing: set[tuple[str, str]] = set()  # what has to be undone
        for at_ms, path, do, values, new_therapy in read:
            bolus = None
            if do == "clinician_bolus":
                bolus = self._bolus(path, values, therapy.concentration_pg_nl if therapy else None)
            elif do == "program":
                therapy = new_therapy
            elif do == "bridge":
                therapy = new_therapy = self._bridged(path, values, therapy)
            elif do in ("reset", "hang", "power_cut"):
                if at_ms < dark_ms:
                    self._problem((*path, "at"), "expected the power to be back from the power_cut before")
                if do == "power_cut":
                    dark_ms = at_ms + values.get("for", 0)
                if do != "hang":
                    started = do, max(at_ms, dark_ms)
            elif do == "press":
                # Two ticks must see it up, or the pump can not tell two presses from one.
                button = values.get("button", "")
                if at_ms < ended_ms.get(button, -2 * TICK_MS) + 2 * TICK_MS:
                    self._problem((*path, "at"), "expected 200 ms or more between two presses")
                ended_ms[button] = at_ms + values.get("for", PRESS_MS)
            elif do == "air":
                if at_ms < ended_ms.get("air", 0):
                    self._problem((*path, "at"), "expected the air before it to have passed")
                ended_ms["air"] = at_ms + values["for"] if "for" in values else duration_ms + 1
            elif do in (*UNDOES, *UNDOES.values()) and set(EVENTS[do].keys) <= set(values):
                what = UNDOES.get(do, do), values.get("where", "")
                if (what in standing) != (do in UNDOES):
                    wanted = f"{what[0]} before" if do in UNDOES else f"its end before another {do}"
                    self._problem((*path, "do"), f"expected {wanted}")
                standing ^= {what}
            elif do in ("host_disconnect", "host_connect"):
                if connected == (do == "host_connect"):
                    before = "disconnected" if connected else "connected"
                    self._problem((*path, "do"), f"expected the host to be {before} until then")
                connected, connected_ms = do == "host_connect", at_ms
            if do in CONFIRMED:
                if at_ms < read_back_ms + 2 * LINK_LEAD_MS:
                    self._problem(
                        (*path, "at"),
                        f"expected 2 s or more after the last {' or '.join(CONFIRMED)}: it is read back",
                    )
                read_back_ms = at_ms
            if do in ON_THE_LINK and not connected:
                self._problem((*path, "do"), f"expected a connected host: no {do} reaches the pump without")
            elif do in ON_THE_LINK and at_ms < connected_ms + LINK_LEAD_MS:
                self._problem(
                    (*path, "at"), "expected 1 s or more after host_connect: it is sent before its time"
                )
            elif do in ON_THE_LINK and dark_ms <= at_ms < started[1] + RESTART_MS + LINK_LEAD_MS:
                self._problem(
                    (*path, "at"),
                    f"expected 3 s or more after {started[0]}: the pump starts, and it is sent before",
                )
            events.append(
                Event(
                    at_ms,
                    do,
                    self._lines.of(path),
                    bolus,
                    new_therapy,
                    values.get("volume") if do in ("refill", "prime") else None,
                    values.get("to") if do == "set_time" else None,
                    values.get("button"),
                    values.get("for", PRESS_MS if do == "press" else 0),
                    {name: values[name] for name in EVENTS[do].keys if name in values}
                    if do in ON_THE_PLANT
                    else {},
                    values.get("accept", ()),
                )
            )
        return events

    def _bridged(
        self, path: toml_lines.Path, values: dict[str, Any], therapy: Therapy | None
    ) -> Therapy | None:
        """`therapy`, which is in force, at another concentration; None where one of them is not known."""
        if therapy is None or "concentration" not in values:
            return None
        if therapy.by_volume():
            keys = ", ".join(therapy.by_volume())
            self._problem((*path, "do"), f"expected a therapy given by drug mass all through, not {keys}")
            return None
        if values["concentration"] == therapy.concentration_pg_nl:
            self._problem((*path, "concentration"), "expected another concentration than the one in force")
        bridged = therapy.at_concentration(values["concentration"])
        self._therapies.append((path, bridged))
        return bridged

    def _bolus(
        self, path: toml_lines.Path, values: dict[str, Any], concentration_pg_nl: Fraction | None
    ) -> BolusRequest | None:
        """`concentration_pg_nl` is that of the therapy in force: 0 without a drug, None if unknown."""
        table = self._document["event"][path[1]]
        complete = True
        for pair in (("volume", "dose"), ("duration", "rate")):
            given = [name for name in pair if name in table]
            if len(given) != 1:
                self._problem(
                    (*path, given[1] if given else "do"), f"expected one of {pair[0]} and {pair[1]}"
                )
                complete = False
            complete = complete and given[0] in values
        if not complete:
            return None
        if "dose" in values:
            if not concentration_pg_nl:
                if concentration_pg_nl == 0:
                    self._problem((*path, "dose"), "expected a volume: no drug and concentration are set")
                return None
            volume_nl = int(values["dose"] / concentration_pg_nl)
        else:
            volume_nl = int(values["volume"])
        if volume_nl < 1:
            self._problem(
                (*path, "dose" if "dose" in values else "volume"), "expected a volume of 1 nL or more"
            )
            return None
        duration_ms = values.get("duration") or -(-volume_nl * MS_PER_HOUR // values["rate"])
        return BolusRequest(volume_nl, duration_ms)

    # --- expectations

    def _expects(self, duration_ms: int, events: list[Event], therapy: Therapy | None) -> list[Expect]:
        asked = {event.at_ms for event in events if event.asks_for_a_bolus}
        listed = self._document.get("event", [])
        complete = isinstance(listed, list) and len(events) == len(listed)
        expects = []
        for path, table in self._tables("expect", self._document):
            kind = self._kind(table, path, "what", EXPECTS)
            if kind is None:
                continue
            values = self._values(table, kind.keys, path, ("what",))
            if not self._in_time(values, path, duration_ms):
                continue
            what = table["what"]
            if what == "bolus" and complete and "at" in values and values["at"] not in asked:
                self._problem((*path, "at"), "expected the time of an event that asks for a bolus")
            told = {event.at_ms for event in events if event.do in ON_THE_LINK}
            if what == "refused" and complete and "at" in values and values["at"] not in told:
                self._problem((*path, "at"), "expected the time of an event that tells the pump something")
            if kind is _VOLUME_EXPECTED:
                self._one_bound(table, path)
            if what == "alarm":
                if ("at" in table) == ("never" in table):
                    self._problem((*path, "code"), "expected either at, or never = true")
                code = values.get("code")
                if code is not None and not ALARM_CODES[code]:
                    self._later((*path, "code"), f"expect.alarm.{code}")
                    continue
            poured = "reservoir" in self._document or any(event.do == "refill" for event in events)
            if what == "reservoir" and complete and not poured:
                self._problem((*path, "what"), "expected a [reservoir] or a refill: the pump knows of none")
            if what == "window_peak" and therapy is not None and therapy.limit is None:
                self._problem((*path, "what"), "expected a [therapy.limit]: it says how long a window is")
            volume = what in VOLUMES
            expects.append(
                Expect(
                    what,
                    self._lines.of(path),
                    at_ms=values.get("at"),
                    within_nl=values.get("within") if volume else None,
                    within_ms=None if volume else values.get("within"),
                    value=values.get("value"),
                    at_most_nl=values.get("at_most"),
                    at_least_nl=values.get("at_least"),
                    granted=values.get("granted"),
                    reason=values.get("reason"),
                    why=values.get("why"),
                    code=values.get("code"),
                    never=values.get("never", False),
                )
            )
        return expects

    def _one_bound(self, table: Mapping[str, Any], path: toml_lines.Path) -> None:
        given = [name for name in ("value", "at_most", "at_least") if name in table]
        if not given:
            self._problem((*path, "what"), "expected one of value, at_most and at_least in this table")
        if "value" in given and len(given) > 1:
            self._problem((*path, given[1]), "expected either value, or at_most and at_least")

    def _kind(
        self, table: Mapping[str, Any], path: toml_lines.Path, selector: str, kinds: Mapping[str, Kind]
    ) -> Kind | None:
        name = table.get(selector)
        if selector not in table:
            self._problem((*path, selector), f"missing; expected one of {', '.join(kinds)}")
            return None
        if not isinstance(name, str) or name not in kinds:
            near = get_close_matches(str(name), kinds, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(kinds)}"
            self._problem((*path, selector), f"found {name!r}; {hint}")
            return None
        if not kinds[name].supported:
            self._later((*path, selector), f"{path[0]}.{name}")
            return None
        return kinds[name]

    def _in_time(self, values: dict[str, Any], path: toml_lines.Path, duration_ms: int) -> bool:
        at_ms = values.get("at", 0)
        if duration_ms and at_ms > duration_ms:
            shown = q.show(duration_ms, q.TIME, "s")
            self._problem((*path, "at"), f"expected a time within the duration of {shown}")
        return "at" in values or path[0] == "expect"


def _rate_of_dose(dose_pg_day: int, concentration_pg_nl: Fraction) -> Fraction:
    return Fraction(dose_pg_day, concentration_pg_nl * HOURS_PER_DAY)


def _dotted(path: toml_lines.Path) -> str:
    return ".".join(part for part in path if isinstance(part, str)) or "(file)"
