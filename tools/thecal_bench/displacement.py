"""The volume that a head has displaced at an angle, exact: V(n) of `plant`, in integers."""

from __future__ import annotations

import math

from thecal_bench.parameters import Geometry, PlantParameters


class Displacement:
    """V in 1/`units_per_nl` nL. `step_nl` is the volume of a microstep, averaged over a revolution."""

    def __init__(self, parameters: PlantParameters, geometry: Geometry) -> None:
        s, r = geometry.steps_per_rev, geometry.rollers
        self.step_nl = geometry.step_nl * (1 + parameters.calibration_error_percent / 100)
        # V(n) = (a n + b (3 k^2 s - 4 k^3)) / d with k = n r mod s mirrored at s/2: the formula of `plant`,
        # multiplied out.
        ripple = self.step_nl * parameters.pulsation_percent / 100 * 2 / (3 * r * s * s)
        self.units_per_nl = math.lcm(self.step_nl.denominator, ripple.denominator)
        self.pulsates = ripple != 0
        self._s = s
        self._r = r
        self._a = int(self.step_nl * self.units_per_nl)
        self._b = int(ripple * self.units_per_nl)

    def units_at(self, angle_steps: int) -> int:
        """V at an angle."""
        units = self._a * angle_steps
        if self._b:
            s = self._s
            k = angle_steps * self._r % s
            if 2 * k > s:
                k = s - k
            units += self._b * k * k * (3 * s - 4 * k)
        return units
