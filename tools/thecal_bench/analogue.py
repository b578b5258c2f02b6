"""The analogue sensors of a plant as the RP2040's converter gives them: noise, drift, erratum E11, faults.

What they measure stands in `plant`, what a broken one gives in `sensor_faults`. Scales are the rig's. Where
no sensor is fitted the input floats: it reads anything.
"""

from __future__ import annotations

import math
import random

from thecal.rig import Rig, Scale

from thecal_bench.parameters import NS_PER_MS, PlantParameters
from thecal_bench.sensor_faults import ADC_MAX, ANALOGUE, AnalogueFault

SAMPLE_NS = 100 * NS_PER_MS  # sensors are specified at 10 Hz
HALF_DAY_NS = 12 * 3600 * 1000 * NS_PER_MS

FLOATING_CODES = 1000
"""An open input reads the middle of the range with noise of so many codes rms: from rail to rail."""

E11_CODES = (512, 1536, 2560, 3584)
E11_WIDTH_LSB = 9
"""Width of those codes: the datasheet draws it, measured boards lose 9 to 10 codes at each."""

_E11_PITCH = 1024
_E11_FIRST = 512 - E11_WIDTH_LSB / 2  # wide codes lie evenly about their ideal place: 0 and full scale stay
_E11_STRETCH = _E11_PITCH / (_E11_PITCH - E11_WIDTH_LSB)

DOWN, UP = 0, 1
"""Sensor channels, as they enter the noise; those of broken sensors come behind, then of open inputs."""

_NOISE_BLOCK = 1024


class Noise:
    """Standard normal numbers, one per sample; each block has its own seed, so any can be asked for first."""

    def __init__(self, seed: int, channel: int) -> None:
        self._name = f"{seed}:{channel}:"
        self._block = -1
        self._values: list[float] = []

    def at(self, sample: int) -> float:
        block = sample // _NOISE_BLOCK
        if block != self._block:
            # Only `random()` is promised to give the same numbers in every Python, hence Box-Muller by hand.
            uniform = random.Random(self._name + str(block)).random
            values: list[float] = []
            for _ in range(_NOISE_BLOCK // 2):
                radius = math.sqrt(-2.0 * math.log(1.0 - uniform()))
                angle = 2.0 * math.pi * uniform()
                values.append(radius * math.cos(angle))
                values.append(radius * math.sin(angle))
            self._values, self._block = values, block
        return self._values[sample % _NOISE_BLOCK]


class Analogue:
    """The channels of ANALOGUE. Codes are 0 to 4095, times of a sample in ns."""

    def __init__(self, parameters: PlantParameters, seed: int, rig: Rig) -> None:
        p = parameters
        self._seed = seed
        self._down = _pressure_scale(p, rig.pressure_down)
        self._up = _pressure_scale(p, rig.pressure_up)
        self._codes_per_v = 1000 * rig.supply.den / rig.supply.num if rig.supply is not None else 0.0
        self._open = {
            name: Noise(seed, UP + 1 + len(ANALOGUE) + channel)
            for channel, name in enumerate(ANALOGUE)
            if name not in rig.tables
        }
        self._noise_pa = float(p.pressure_noise_pa)
        self.noise_down = Noise(seed, DOWN)
        self._noise_up = Noise(seed, UP)
        self._drift_k_day = float(p.temperature_drift_k_day)
        # Pa of zero shift per ns, either way
        self._drift_pa_ns = float(p.pressure_drift_pa_k * p.temperature_drift_k_day) / (2 * HALF_DAY_NS)
        self._e11 = p.adc_e11
        self._faults: dict[str, AnalogueFault] = {}

    def pressure_down(self, pressure_pa: float, at_ns: int) -> int:
        """Code of the downstream sensor at that pressure over ambient."""
        if self._down is None:
            return self._floating("pressure_down", at_ns)
        noise_pa = self._noise_pa * self.noise_down.at(at_ns // SAMPLE_NS)
        code = self._code(self._down, pressure_pa + noise_pa, at_ns)
        return self._faulty("pressure_down", code, at_ns) if self._faults else code

    def pressure_up(self, pressure_pa: float, at_ns: int) -> int:
        """Code of the upstream sensor at that pressure over ambient."""
        if self._up is None:
            return self._floating("pressure_up", at_ns)
        noise_pa = self._noise_pa * self._noise_up.at(at_ns // SAMPLE_NS)
        code = self._code(self._up, pressure_pa + noise_pa, at_ns)
        return self._faulty("pressure_up", code, at_ns) if self._faults else code

    def supply(self, volts: float, at_ns: int) -> int:
        """Code of the supply voltage."""
        if not self._codes_per_v:
            return self._floating("supply", at_ns)
        code = min(ADC_MAX, max(0, int(volts * self._codes_per_v)))
        return self._faulty("supply", code, at_ns) if self._faults else code

    def temperature_k(self, at_ns: int) -> float:
        """Temperature over that of the sensors' calibration."""
        return self._drift_k_day * _since_coolest_ns(at_ns) / (2 * HALF_DAY_NS)

    def fail(self, which: str, kind: str, last_code: int) -> None:
        """One of ANALOGUE has a fault of a kind from now on; it gave `last_code`."""
        noise = Noise(self._seed, UP + 1 + ANALOGUE.index(which))
        self._faults[which] = AnalogueFault(kind, last_code, lambda at_ns: noise.at(at_ns // SAMPLE_NS))

    def clear(self, which: str) -> None:
        """It is sound again."""
        self._faults.pop(which, None)

    @property
    def hums(self) -> bool:
        """Whether what a broken one gives changes by itself."""
        return any(fault.kind == "noise" for fault in self._faults.values())

    def _faulty(self, which: str, code: int, at_ns: int) -> int:
        fault = self._faults.get(which)
        return code if fault is None else fault.code(code, at_ns)

    def _floating(self, which: str, at_ns: int) -> int:
        code = ADC_MAX // 2 + round(FLOATING_CODES * self._open[which].at(at_ns // SAMPLE_NS))
        return min(ADC_MAX, max(0, code))

    def _code(self, scale: tuple[int, float], pressure_pa: float, at_ns: int) -> int:
        drift_pa = self._drift_pa_ns * _since_coolest_ns(at_ns)
        zero_code, lsb_pa = scale
        ideal = zero_code + (pressure_pa + drift_pa) / lsb_pa
        code = int(e11_code(ideal) if self._e11 else ideal)
        return 0 if code < 0 else min(code, ADC_MAX)


def _pressure_scale(parameters: PlantParameters, scale: Scale | None) -> tuple[int, float] | None:
    """Code at the room's pressure and Pa for each code; None where there is no sensor."""
    if scale is None:
        return None
    lsb_pa = parameters.pressure_lsb_pa
    return scale.zero_code, float(lsb_pa) if lsb_pa is not None else scale.num / scale.den


def _since_coolest_ns(at_ns: int) -> int:
    """Distance to the nearest midnight: what the temperature follows, up for half a day and down again."""
    span_ns = at_ns % (2 * HALF_DAY_NS)
    return span_ns if span_ns < HALF_DAY_NS else 2 * HALF_DAY_NS - span_ns


def e11_code(ideal: float) -> float:
    """What the RP2040's converter makes of an ideal (unrounded) code: never falling, with four wide codes."""
    wide, past = divmod(ideal - _E11_FIRST, _E11_PITCH)
    code = E11_CODES[0] + wide * _E11_PITCH
    return code if past < E11_WIDTH_LSB else code + (past - E11_WIDTH_LSB) * _E11_STRETCH
