"""Grams on a balance to nanolitres of water: density by temperature, and the buoyancy of air.

A balance is adjusted with steel weights in air, and air carries water more than steel. What it shows as `m`
is water of the volume

    V = m (1 - a/s) / (w - a)

with the densities w of water, a of air and s of the weights (ISO 8655-6 and ISO 4787 have the same equation).
Without this, at 20 C, a volume comes out 0.11 % too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from thecal_model import quantities

from thecal_host.weighing import WeighingError

# Density of air-free water at 101 325 Pa, 0 to 40 C, in kg/m3: M. Tanaka et al., "Recommended table for the
# density of water between 0 C and 40 C based on recent experimental reports", Metrologia 38 (2001) 301-309.
_A1, _A2, _A3, _A4, _A5 = -3.983035, 301.797, 522_528.9, 69.34881, 999.974950
LEAST_CELSIUS, MOST_CELSIUS = 0.0, 40.0

SOURCE = "Tanaka et al., Metrologia 38 (2001) 301"

# By convention of the weights' makers (OIML R 111-1 and D 28), g/mL.
STEEL_G_ML = 8.0

STANDARD_HPA = 1013.25
USUAL_HUMIDITY_PERCENT = 50.0

NL_PER_ML = 1_000_000
PG_PER_G = 1e12


def water_g_ml(celsius: float) -> float:
    """Density of water, g/mL, at 0 to 40 C. WeighingError beyond."""
    if not LEAST_CELSIUS <= celsius <= MOST_CELSIUS:
        raise WeighingError(
            f"water of {celsius:g} C: the table of densities reaches from {LEAST_CELSIUS:g} to "
            f"{MOST_CELSIUS:g} C; measure the temperature of the water in the beaker"
        )
    kg_m3 = _A5 * (1 - (celsius + _A1) ** 2 * (celsius + _A2) / (_A3 * (celsius + _A4)))
    return kg_m3 / 1000


def loss_g_h(name: str, text: str | None) -> float | None:
    """What evaporates, as in "1 mg/h", in g/h; None where nobody says. `name` is what it is called in a
    QuantityError.
    """
    if text is None:
        return None
    with quantities.named(name):
        pg_day = quantities.parse(text, quantities.MASS_RATE)
    return float(pg_day) / quantities.HOURS_PER_DAY / PG_PER_G


def air_g_ml(celsius: float, hpa: float = STANDARD_HPA) -> float:
    """Density of air of 50 % humidity, g/mL: OIML R 111-1 (2004), equation E.3-1."""
    humid = 0.009 * USUAL_HUMIDITY_PERCENT * math.exp(0.061 * celsius)
    return (0.34848 * hpa - humid) / (273.15 + celsius) / 1000


@dataclass(frozen=True)
class Water:
    """What is weighed: water of one temperature, in air or, without `buoyancy`, as if in none."""

    celsius: float
    buoyancy: bool = True
    hpa: float = STANDARD_HPA

    def volume_nl(self, grams: float) -> float:
        """The volume of what a balance shows as so many grams."""
        water = water_g_ml(self.celsius)
        if not self.buoyancy:
            return grams / water * NL_PER_ML
        air = air_g_ml(self.celsius, self.hpa)
        return grams * (1 - air / STEEL_G_ML) / (water - air) * NL_PER_ML

    def text(self) -> str:
        """What it is, for people, with its source."""
        density = f"{water_g_ml(self.celsius):.5f} g/mL at {self.celsius:g} C ({SOURCE})"
        if self.buoyancy:
            return f"{density}, weighed in air of {self.hpa:g} hPa"
        return f"{density}, buoyancy of air left out"
