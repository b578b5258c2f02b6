"""What is prescribed, in exact numbers (`Fraction`, units in the names), and how the link carries it.

A `Therapy` with the `Profile` of the machine makes the object of the `program` command (`Therapy.message`).
Times are whole milliseconds; those of the week count from Monday 00:00.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from thecal.rig import Rig

from thecal_model import quantities as q
from thecal_model.quantities import DAYS_PER_WEEK, HOURS_PER_DAY, MS_PER_DAY, MS_PER_HOUR, MS_PER_WEEK

EVERY_DAY = (1 << DAYS_PER_WEEK) - 1
"""All days of a week; bit 0 is Monday."""

MINIMUM_RATE_NL_H = Fraction(2000)
"""What flows in mode "minimum": 0.048 mL/day, the slowest rate of implantable pumps (DOSE-04)."""


@dataclass(frozen=True)
class Profile:
    """The machine: limits of the hardware, what it takes for a low and for an empty reservoir, its line.

    None is what the pump does unless told otherwise. `low_nl` and `empty_nl` are written in `[reservoir]`.
    `rig` is what hangs on its pins in an experiment (None: the reference), `line_nl` the dead volume of the
    plant's line there, for therapies that name none.
    """

    max_rate_nl_h: Fraction | None = None
    rig: Rig | None = None
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
            replace(step, rate_nl_h=rate_of_dose(step.dose_pg_day, concentration_pg_nl))
            for step in self.steps
        )
        return replace(
            self,
            concentration_pg_nl=concentration_pg_nl,
            rate_nl_h=rate_of_dose(self.dose_pg_day, concentration_pg_nl),
            steps=steps,
        )


def rate_of_dose(dose_pg_day: int, concentration_pg_nl: Fraction) -> Fraction:
    """The rate in nL/h that gives a dose per day."""
    return Fraction(dose_pg_day, concentration_pg_nl * HOURS_PER_DAY)
