"""What a plant is made of: the head by its numbers, the line and the sensors with their reference values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS_PER_MS = 1_000_000


class PlantError(Exception):
    """Something that no plant can do, such as time going back; the message says what."""


@dataclass(frozen=True)
class Geometry:
    """A pump head. Defaults: the reference mechanism, a 200-step motor, 16 microsteps, 0.1 mL a turn."""

    nl_per_rev: int = 100_000
    steps_per_rev: int = 3_200
    rollers: int = 3
    encoder_pulses_per_rev: int = 100

    @property
    def step_nl(self) -> Fraction:
        """Volume of one microstep, averaged over a revolution."""
        return Fraction(self.nl_per_rev, self.steps_per_rev)


REFERENCE = Geometry()
MECHANISMS = {"reference": REFERENCE}
"""Pump heads by the name that a scenario's `profile.mechanism` gives."""


@dataclass(frozen=True)
class PlantParameters:
    """Line and sensors, with the reference values. Exact; units are in the names, `nl_pa` is nL per Pa."""

    compliance_nl_pa: Fraction = Fraction(1, 2)
    resistance_pa_ms_nl: Fraction = Fraction(3600)
    catheter_volume_nl: Fraction = Fraction(200_000)
    line_full: bool = True
    pressure_noise_pa: Fraction = Fraction(100)
    pressure_lsb_pa: Fraction = Fraction(50)
    pressure_drift_pa_k: Fraction = Fraction(200)
    temperature_drift_k_day: Fraction = Fraction(5)
    pulsation_percent: Fraction = Fraction(0)
    adc_e11: bool = True
    calibration_error_percent: Fraction = Fraction(0)
    back_pressure_pa: Fraction = Fraction(1000)

    def check(self) -> None:
        """PlantError where no plant is like that."""
        if self.compliance_nl_pa <= 0 or self.resistance_pa_ms_nl <= 0 or self.pressure_lsb_pa <= 0:
            raise PlantError("compliance, resistance and pressure_lsb must be above 0")
        if not 0 <= self.pulsation_percent <= 200:
            # at 200 % the flow just stops between the rollers
            raise PlantError(f"pulsation is {float(self.pulsation_percent):g} %, must be 0 to 200 %")
        if self.calibration_error_percent <= -100:
            raise PlantError("calibration_error must be above -100 %")
