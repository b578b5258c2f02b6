"""The volume that a head has displaced at an angle, exact: V(n) of `plant`, in integers."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from thecal.dose.head import PARTS

from thecal_bench.parameters import Geometry, PlantParameters


class Displacement:
    """V in 1/`units_per_nl` nL. `step_nl` is the volume of a microstep, averaged over a revolution."""

    def __init__(self, parameters: PlantParameters, geometry: Geometry) -> None:
        s, r = geometry.steps_per_rev, geometry.rollers
        self.step_nl = geometry.step_nl * (1 + parameters.calibration_error_percent / 100)
        # V(n) = (a n + b (3 k^2 s - 4 k^3) + c (108 s^2 k - 9 s m^2 + m^3)) / d with k = n r mod s, for b
        # mirrored at s/2, and m = 40 k - 27 s, kept within 0 and 6 s: the formula of `plant`, multiplied out.
        ripple = self.step_nl * parameters.pulsation_percent / 100 * 2 / (3 * r * s * s)
        dip = self.step_nl * parameters.dip_percent / 100 / (1_080 * r * s * s)
        self.units_per_nl = math.lcm(self.step_nl.denominator, ripple.denominator, dip.denominator)
        self.pulsates = ripple != 0 or dip != 0
        # Where both are lowest the flow is 1 - A/2 - 9 D/10.
        self.takes_back = parameters.pulsation_percent / 2 + parameters.dip_percent * 9 / 10 > 100
        self._s = s
        self._r = r
        self._a = int(self.step_nl * self.units_per_nl)
        self._b = int(ripple * self.units_per_nl)
        self._c = int(dip * self.units_per_nl)

    def units_at(self, angle_steps: int) -> int:
        """V at an angle."""
        units = self._a * angle_steps
        if not self.pulsates:
            return units
        s = self._s
        k = angle_steps * self._r % s
        if self._c:
            m = min(max(40 * k - 27 * s, 0), 6 * s)
            units += self._c * (108 * s * s * k - (9 * s - m) * m * m)
        if 2 * k > s:
            k = s - k
        return units + self._b * k * k * (3 * s - 4 * k)


def table_of(parameters: PlantParameters, geometry: Geometry, places: int = 128) -> list[int]:
    """The table of a rig (`head.table`) that such a head has, from its angle 0 on."""
    fine = replace(geometry, steps_per_rev=geometry.rollers * places)  # a step is a place
    displacement = Displacement(parameters, fine)
    whole = displacement.units_at(places)
    return [
        round(Fraction(PARTS * displacement.units_at(place), whole) - Fraction(PARTS * place, places))
        for place in range(places)
    ]
