"""Thousands of lines with their sensors and occlusion detectors at once, for campaigns of 10^5 hours.

The pump's own `thecal.watch.occlusion.Occlusion` takes microseconds a tick, the plant some more: 3 x 10^5
hours are 10^10 ticks, a day's work. Here a tick of many pumps is a row of numpy operations, some 45 ns
for each of them. Nothing is left out or sampled: every tick of every pump has its noise, its converter
and its sums.

How to read it: `Lines` is `thecal_bench.plant`'s line and downstream sensor, `Detectors` is `Occlusion`,
statement by statement and with the same names, for `lanes` independent pumps in 32-bit integers. What
ends a block there is done here for the lanes whose block ends in this tick.
`host_tests/property/test_occlusion_law.py` holds every word of `Detectors` against `Occlusion`, tick for
tick, and the codes of `Lines` against `Plant`. `lives` lets such pumps live.

Differences to the device, all checked or harmless: every tick comes alone and every sample is good (the
class has its own tests for merged ticks and bad samples); single precision in `Lines` unless asked
otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from thecal.watch import occlusion
from thecal.watch.occlusion import NONE, THRESHOLD, TREND, Occlusion
from thecal_model.rig import reference

from thecal_bench.analogue import E11_CODES, E11_WIDTH_LSB
from thecal_bench.parameters import REFERENCE
from thecal_bench.sensor_faults import ADC_MAX

TICKS_PER_H = 36_000
TICK_MS = 100
SCALE = reference().pressure_down
assert SCALE is not None and SCALE.den == 1
PRESSURE_ZERO_CODE, LSB_PA = SCALE.zero_code, SCALE.num
COMPLIANCE_NL_PA = 0.5
RESISTANCE_PA_ML_H = 1_000.0
STEP_NL = float(REFERENCE.step_nl)

_PITCH = 1024
_FIRST = E11_CODES[0] - E11_WIDTH_LSB / 2
_STRETCH = _PITCH / (_PITCH - E11_WIDTH_LSB)

Array = Any  # numpy's own types do not carry a size, so they would say no more


class Lines:
    """Lines of given compliance (nL/Pa) and resistance (Pa per mL/h), arrays of one length."""

    def __init__(
        self, compliance_nl_pa: Array, resistance_pa_ml_h: Array, precision: Any = np.float32
    ) -> None:
        compliance = np.asarray(compliance_nl_pa, dtype=np.float64)
        resistance = np.asarray(resistance_pa_ml_h, dtype=np.float64) * 3600 / 1000  # Pa per (nL/ms)
        decay = np.exp(-TICK_MS / (compliance * resistance))
        # The plant's closed form for steps spread over a tick.
        self.decay = decay.astype(precision)
        self.step_pa = (STEP_NL / TICK_MS * resistance * (1 - decay)).astype(precision)
        self.blocked_step_pa = (STEP_NL / compliance).astype(precision)
        self.compliance_nl_pa = compliance
        self.excess_pa = np.zeros(len(compliance), dtype=precision)

    def block(self, lanes: Array) -> None:
        """These are blocked from now on: what comes in stays."""
        self.decay[lanes] = 1
        self.step_pa[lanes] = self.blocked_step_pa[lanes]

    def flow(self, steps: Array) -> None:
        """A tick with so many steps."""
        self.excess_pa *= self.decay
        self.excess_pa += steps.astype(self.step_pa.dtype) * self.step_pa

    def codes(self, ambient_pa: Array, noise_pa: Array) -> Array:
        """What the converter says: back pressure and the sensor's drift are `ambient_pa`."""
        ideal = self.excess_pa + ambient_pa
        ideal += noise_pa
        ideal *= 1 / LSB_PA
        ideal += PRESSURE_ZERO_CODE - _FIRST
        wide = np.floor(ideal * (1 / _PITCH))
        wide *= _PITCH
        ideal -= wide
        ideal -= E11_WIDTH_LSB
        np.maximum(ideal, 0, out=ideal)
        ideal *= _STRETCH
        ideal += wide
        ideal += E11_CODES[0]
        np.clip(ideal, 0, ADC_MAX, out=ideal)
        return ideal.astype(np.int32)

    def pressures(self, ambient_pa: Array, noise_pa: Array) -> Array:
        """The same as the pump makes it out, in Pa."""
        codes = self.codes(ambient_pa, noise_pa)
        codes -= PRESSURE_ZERO_CODE
        codes *= LSB_PA
        return codes


# What `Occlusion` keeps in each lane.
# fmt: off
WORDS = (
    "alarm", "sample_16", "flow", "resistance_pa_ml_h", "unknown_pa_ml_h", "step_pa", "rest_16", "rest_ticks",
    "base_16", "level_16", "since_16", "rise_16", "tail_16", "volume_steps", "slope_rise_16", "slope_steps",
    "third_16", "third_steps", "extra_16", "follows", "hold_ul_h", "steady_ul_h", "steady_ticks", "over",
    "sum_pa", "sum_flow", "samples", "ticks", "steps",
)
# fmt: on
_IN_BLOCK = ("sum_pa", "sum_flow", "samples", "ticks", "steps")


class Detectors:
    """`Occlusion` for each lane; `word(name)` is its attribute of that name. Pressures of the first tick are
    given at once, as an `Occlusion` takes them at its first update.
    """

    def __init__(self, lanes: int, **calibration: int) -> None:
        self.calibration = calibration
        self.one = self._one()  # where all begin
        self._words: dict[str, Array] = {
            name: np.full(lanes, int(getattr(self.one, name)), dtype=np.int32) for name in WORDS
        }
        self.limit_pa = np.zeros(lanes, dtype=np.int32)
        self.fresh = np.ones(lanes, dtype=bool)
        self._any_fresh = True
        self._limit(slice(None))

    def _one(self) -> Occlusion:
        return Occlusion(REFERENCE.nl_per_rev, REFERENCE.steps_per_rev, **self.calibration)

    def word(self, name: str) -> Array:
        return self._words[name]

    def begin(self, lanes: Array) -> None:
        """As `Occlusion.begin` for these."""
        self.one.begin()
        for name in WORDS:
            if name not in ("sample_16", "resistance_pa_ml_h", "unknown_pa_ml_h", "step_pa", "rest_16"):
                self._words[name][lanes] = int(getattr(self.one, name))
        self.fresh[lanes] = self._any_fresh = True
        self._limit(lanes)

    def forget(self, lanes: Array) -> None:
        """As `Occlusion.forget` for these."""
        self.one.forget()
        for name in ("resistance_pa_ml_h", "unknown_pa_ml_h", "step_pa", "rest_16"):
            self._words[name][lanes] = int(getattr(self.one, name))
        self.begin(lanes)

    def _limit(self, lanes: Array) -> None:
        base_pa = np.minimum(self._words["base_16"][lanes] >> 4, occlusion.MOST_BASE_PA)
        self.limit_pa[lanes] = base_pa + self.one.threshold_pa

    def update(self, steps: Array, pressure_pa: Array) -> Array:
        """One tick of all lanes. Returns the lanes that alarm in it, in order."""
        w = self._words
        if self._any_fresh:
            w["sample_16"][self.fresh] = pressure_pa[self.fresh] * 16
            steps = np.where(self.fresh, 0, steps)
            self.fresh[:] = self._any_fresh = False
        w["sample_16"] += (pressure_pa * 16 - w["sample_16"]) >> 2
        w["ticks"] += 1
        w["steps"] += steps
        flow = w["flow"]
        change = steps << 14
        change -= flow
        change //= occlusion.LINE_TICKS
        flow += change
        scaled = flow >> 4
        w["sum_pa"] += pressure_pa
        w["sum_flow"] += scaled
        scaled *= w["step_pa"]
        scaled >>= 10
        over = (pressure_pa - scaled > self.limit_pa) | (pressure_pa > occlusion.MOST_PA)
        if over.any() or w["over"].any():
            self._count_over(over)
        full = (w["steps"] > 0) | (w["follows"] > 0) | (w["ticks"] == occlusion.MOST_SAMPLES)
        full &= w["ticks"] >= occlusion.BLOCK_TICKS
        (closing,) = np.nonzero(full)
        raised = w["alarm"] != NONE if w["over"].any() else None
        if len(closing):
            self._close_block(closing)
            raised = w["alarm"] != NONE
        return np.nonzero(raised)[0] if raised is not None else closing

    def _count_over(self, over: Array) -> None:
        w = self._words
        w["over"] += 1
        w["over"][~over] = 0
        w["alarm"][(w["over"] == occlusion.CONFIRM) & (w["alarm"] == NONE)] = THRESHOLD

    def _close_block(self, lanes: Array) -> None:
        one = self.one
        g = {name: words[lanes] for name, words in self._words.items()}
        # The class has counted only good samples in `samples`; here all are good.
        samples = g["samples"] = g["ticks"]
        mean_16 = (g["sum_pa"] // samples << 4) + (g["sum_pa"] % samples << 4) // samples
        mean_16 -= g["sum_flow"] // samples * g["step_pa"] >> 6
        flow_ul_h = g["steps"] * one.flow_ul_h // g["ticks"]
        steps = g["steps"]
        self._look_at_flow(g, flow_ul_h)
        moving = g["unknown_pa_ml_h"] + (g["resistance_pa_ml_h"] >> 1)
        unknown = np.where(g["steady_ticks"] < occlusion.SETTLE_TICKS, moving, g["unknown_pa_ml_h"])
        unknown_pa = unknown * g["hold_ul_h"] // 1_000
        fallen = g["hold_ul_h"] - flow_ul_h - np.where(steps > 0, one.flow_ul_h // g["ticks"], 0)
        falling = (fallen > g["hold_ul_h"] >> 3) & (moving * fallen // 1_000 > occlusion.UNMODELLED_PA)
        ticks = g["ticks"]
        g["rest_ticks"] = g["rest_ticks"] + np.where(g["rest_ticks"] < occlusion.REST_TICKS, ticks, 0)
        rest_known = g["rest_ticks"] < occlusion.REST_TICKS
        follows = (g["follows"] > 0) | falling
        g["follows"] = np.where(follows, falling, g["follows"]).astype(np.int32)

        counted_16 = self._counted(g, mean_16, steps, follows)
        level_16 = np.where(follows, mean_16, g["level_16"] + counted_16)
        since_16 = g["since_16"] + counted_16 - one.least_16 * steps
        onset = follows | (since_16 <= 0)
        g["level_16"] = level_16
        g["since_16"] = np.where(onset, 0, since_16)
        g["base_16"] = np.where(onset, level_16, g["base_16"])
        g["rise_16"] = np.where(onset, 0, g["rise_16"] + counted_16)
        g["volume_steps"] = np.where(onset, 0, g["volume_steps"] + steps)
        first = ~onset & (g["slope_steps"] == 0) & (g["rise_16"] * 3 >= one.change_16)
        for name, now in (("slope_rise_16", g["rise_16"]), ("slope_steps", g["volume_steps"])):
            g[name] = np.where(onset, 0, np.where(first, now, g[name]))
        slow = unknown_pa <= occlusion.UNMODELLED_PA
        self._look_at_thirds(g, onset, slow)
        needed_16 = one.change_16 + g["extra_16"] + np.maximum(unknown_pa - occlusion.UNMODELLED_PA, 0) * 16
        settled = follows & ~falling & slow
        since_rest_16 = level_16 - g["rest_16"]
        back = settled & rest_known & (since_rest_16 > 0)
        g["base_16"] = np.where(back, g["rest_16"], g["base_16"])
        for name in ("since_16", "rise_16"):
            g[name] = np.where(back, since_rest_16, g[name])
        raised = (~onset | back) & (g["rise_16"] >= needed_16) & (g["alarm"] == NONE)
        g["alarm"] = np.where(raised, TREND, g["alarm"])

        at_onset = onset & ~follows
        rests = (slow & at_onset) | (settled & ~back)
        g["rest_16"] = np.where(rests, level_16, g["rest_16"])
        g["rest_ticks"] = np.where(rests, 0, g["rest_ticks"])
        steady = at_onset & ~slow & rest_known & (g["steady_ticks"] >= occlusion.STEADY_TICKS)
        if steady.any():
            self._learn(g, np.nonzero(steady)[0], flow_ul_h)
        self._let_hold_fade(g, ticks)
        for name in _IN_BLOCK:
            g[name] = 0
        for name, words in self._words.items():
            words[lanes] = g[name]
        self._limit(lanes)

    def _counted(self, g: dict[str, Array], mean_16: Array, steps: Array, follows: Array) -> Array:
        rise_16, tail_16, slowest = mean_16 - g["level_16"], g["tail_16"], occlusion.TAIL_TICKS
        tail_16 = np.where(rise_16 < -self.one.carry_16, 0, tail_16)
        sudden_16 = np.clip(rise_16, 0, tail_16)
        rise_16 = rise_16 - sudden_16
        tail_16 = tail_16 * slowest // (slowest + g["ticks"])
        most_16 = self.one.most_16 * steps
        jumps = rise_16 - most_16 > self.one.carry_16 + (most_16 - self.one.most_16 >> 1)
        sudden_16 = sudden_16 + np.where(jumps, rise_16, 0)
        new_16 = np.minimum(rise_16 + rise_16 * slowest // g["ticks"], occlusion.MOST_TAIL_16)
        tail_16 = np.where(jumps, new_16, tail_16)
        counted_16 = np.where(jumps, 0, np.minimum(rise_16, most_16))
        g["tail_16"] = np.where(follows, g["tail_16"], tail_16)
        sudden_16 = np.where(follows, 0, sudden_16)
        for name in ("level_16", "base_16"):
            g[name] = g[name] + sudden_16
        return counted_16

    def _look_at_thirds(self, g: dict[str, Array], onset: Array, slow: Array) -> None:
        one, rise_16, third_16 = self.one, g["rise_16"], g["third_16"]
        before, steps = g["third_steps"], g["volume_steps"] - g["third_steps"]
        asked = ((rise_16 - third_16) * 3 >= one.change_16) | (rise_16 >= one.change_16 + g["extra_16"])
        average_16 = third_16 // np.maximum(before, 1)
        goes_16 = (rise_16 - third_16) // np.maximum(steps, 1)
        more = occlusion.UNEVEN_8
        uneven = (goes_16 * more < average_16 * 8) | (goes_16 * 8 > average_16 * more)
        uneven &= asked & slow & (before > 0) & (steps > 0) & (average_16 <= one.most_16)
        extra_16 = g["extra_16"] + np.where(uneven, one.change_16 // 3, 0)
        for name, now in (("third_16", rise_16), ("third_steps", g["volume_steps"])):
            g[name] = np.where(onset, 0, np.where(asked, now, g[name]))
        g["extra_16"] = np.where(onset, 0, extra_16)

    def _let_hold_fade(self, g: dict[str, Array], ticks: Array) -> None:
        ticks = np.minimum(ticks, occlusion.STEADY_TICKS * 4)
        hold = g["hold_ul_h"] >> ticks // occlusion.HALF_TICKS
        g["hold_ul_h"] = hold - hold * (ticks % occlusion.HALF_TICKS) // (2 * occlusion.HALF_TICKS)

    def _look_at_flow(self, g: dict[str, Array], flow: Array) -> None:
        g["hold_ul_h"] = np.maximum(g["hold_ul_h"], flow)
        steady, ticks = g["steady_ul_h"], g["ticks"]
        changed = np.abs(flow - steady) > (steady >> 3) + self.one.flow_ul_h // ticks
        g["steady_ul_h"] = np.where(changed, flow, steady)
        counted = np.where(g["steady_ticks"] < occlusion.STEADY_TICKS, ticks, 0)
        g["steady_ticks"] = np.where(changed, 0, g["steady_ticks"] + counted)

    def _learn(self, g: dict[str, Array], some: Array, flow_ul_h: Array) -> None:
        one, flow = self.one, flow_ul_h[some]
        unknown = g["resistance_pa_ml_h"][some] // occlusion.RESISTANCE_PART + one.change_16 * 1_000 // (
            16 * flow
        )
        better = unknown <= g["unknown_pa_ml_h"][some]
        some, unknown, flow = some[better], unknown[better], flow[better]
        surplus_pa = g["level_16"][some] - g["rest_16"][some] >> 4
        resistance = g["resistance_pa_ml_h"][some] + surplus_pa * 1_000 // flow
        resistance = np.clip(resistance, one.nominal_pa_ml_h >> 1, one.nominal_pa_ml_h << 1)
        step_pa = resistance * one.flow_ul_h // 1_000
        mean_flow = g["sum_flow"][some] // g["samples"][some]
        g["level_16"][some] -= mean_flow * (step_pa - g["step_pa"][some]) >> 6
        g["base_16"][some] = g["level_16"][some]
        g["step_pa"][some] = step_pa
        g["resistance_pa_ml_h"][some] = resistance
        g["unknown_pa_ml_h"][some] = unknown

    def one_like(self, lane: int) -> Occlusion:
        """A detector of its own, in the state of a lane."""
        one = self._one()
        for name, words in self._words.items():
            setattr(one, name, int(words[lane]))
        one.known = not self.fresh[lane]
        return one

    def agrees_with(self, lane: int, other: Occlusion) -> str:
        """The words in which a lane differs from an `Occlusion`, "" if there are none."""
        found: list[str] = []
        for name in WORDS:
            if name == "samples":
                continue  # counted only while a block ends
            here, there = int(self._words[name][lane]), int(getattr(other, name))
            if here != there:
                found.append(f"{name} {here} instead of {there}")
        return ", ".join(found)


class Motors:
    """Steps that are owed at a rate, each whole one when it is due."""

    def __init__(self, rate_ul_h: Array, phase: Array) -> None:
        self.owed = np.asarray(phase, dtype=np.float64)
        self.per_tick = np.zeros(len(self.owed))
        self.set_rate(slice(None), rate_ul_h)

    def set_rate(self, lanes: Array, rate_ul_h: Array) -> None:
        self.per_tick[lanes] = np.asarray(rate_ul_h) * 1_000 / STEP_NL / TICKS_PER_H

    def tick(self) -> Array:
        """Steps of the next tick."""
        self.owed += self.per_tick
        steps = self.owed.astype(np.int32)
        self.owed -= steps
        return steps
