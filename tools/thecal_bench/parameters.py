"""What a plant is made of: the head by its numbers, the line and the sensors with their reference values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from thecal.rig import Rig
from thecal_model import rig

NS_PER_MS = 1_000_000


MOST_PULSATION_PERCENT = 200
"""Peak to peak: there the flow just stops between the rollers."""

MOST_DIP_PERCENT = 500
"""Of the mean flow: then a roller takes back 29 % of what its pitch displaces."""

MOST_COMPLIANCE_LOST_PERCENT = 90
"""To temperature."""


class PlantError(Exception):
    """Something that no plant can do, such as time going back; the message says what."""


@dataclass(frozen=True)
class Geometry:
    """A pump head on its motor. Defaults: those of the reference rig."""

    nl_per_rev: int = 100_000
    steps_per_rev: int = 3_200
    rollers: int = 3
    encoder_pulses_per_rev: int = 100  # 0: there is no encoder

    @classmethod
    def of(cls, rig: Rig) -> Geometry:
        """What a rig says of motor, head and encoder."""
        return cls(rig.nl_per_rev, rig.steps_per_rev, rig.rollers, rig.encoder_pulses_per_rev)

    @property
    def step_nl(self) -> Fraction:
        """Volume of one microstep, averaged over a revolution."""
        return Fraction(self.nl_per_rev, self.steps_per_rev)


REFERENCE = Geometry.of(rig.reference())


@dataclass(frozen=True)
class PlantParameters:
    """Line and sensors, with the reference values. Exact; units are in the names, `nl_pa` is nL per Pa."""

    compliance_nl_pa: Fraction = Fraction(1, 2)
    resistance_pa_ms_nl: Fraction = Fraction(3600)
    catheter_volume_nl: Fraction = Fraction(200_000)
    line_full: bool = True
    pressure_noise_pa: Fraction = Fraction(100)
    pressure_lsb_pa: Fraction | None = None  # pressure for each code; None: as the rig has it
    pressure_drift_pa_k: Fraction = Fraction(200)
    temperature_drift_k_day: Fraction = Fraction(5)
    pulsation_percent: Fraction = Fraction(0)
    dip_percent: Fraction = Fraction(0)
    adc_e11: bool = True
    calibration_error_percent: Fraction = Fraction(0)
    back_pressure_pa: Fraction = Fraction(1000)
    compliance_drift_percent_k: Fraction = Fraction(0)

    def check(self) -> None:
        """PlantError where no plant is like that."""
        lsb_pa = 1 if self.pressure_lsb_pa is None else self.pressure_lsb_pa
        if self.compliance_nl_pa <= 0 or self.resistance_pa_ms_nl <= 0 or lsb_pa <= 0:
            raise PlantError("compliance, resistance and pressure_lsb must be above 0")
        if not 0 <= self.pulsation_percent <= MOST_PULSATION_PERCENT:
            text = f"must be 0 to {MOST_PULSATION_PERCENT} %"
            raise PlantError(f"pulsation is {float(self.pulsation_percent):g} %, {text}")
        if not 0 <= self.dip_percent <= MOST_DIP_PERCENT:
            text = f"must be 0 to {MOST_DIP_PERCENT} %"
            raise PlantError(f"a dip of {float(self.dip_percent):g} % of the flow, {text}")
        if self.calibration_error_percent <= -100:
            raise PlantError("calibration_error must be above -100 %")
        lost_percent = self.most_compliance_lost_percent
        if lost_percent > MOST_COMPLIANCE_LOST_PERCENT:
            raise PlantError(
                f"compliance_drift takes {float(lost_percent):g} % of the compliance, must be at most "
                f"{MOST_COMPLIANCE_LOST_PERCENT} %"
            )

    @property
    def most_compliance_lost_percent(self) -> Fraction:
        """To temperature, which goes away from that at the start for half of a day."""
        return max(Fraction(0), -self.compliance_drift_percent_k * self.temperature_drift_k_day / 2)
