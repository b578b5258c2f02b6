"""Pumps that live at random on lines none of which is blocked: every alarm is one too many.

How to read it: `Campaign` is the lives, thousands at once on `vectorised_occlusion`'s lines and detectors.
"""

from __future__ import annotations

import hashlib
import io
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from thecal.watch import occlusion

from thecal_bench.vectorised_occlusion import (
    COMPLIANCE_NL_PA,
    RESISTANCE_PA_ML_H,
    STEP_NL,
    TICKS_PER_H,
    WORDS,
    Array,
    Detectors,
    Lines,
    Motors,
)

LOOK_TICKS = 16  # how often lives are looked at
SEED = 40_961

BASAL_UL_H = (2.0, 100.0)
BOLUS_UL_H = (100.0, 60_000.0)
BOLUS_S = (1.0, 300.0)
MOST_BOLUS_UL = 500.0
HOURS = {"basal": 4.0, "bolus": 6.0, "stop": 24.0, "posture": 2.0, "warm": 8.0}
"""Mean hours between changes of a kind."""
DAY_TICKS = 24 * TICKS_PER_H
DAILY_PA = 500.0  # 5 K/day up for half a day, at 200 Pa/K
WARM_PA_H = 1_000.0  # 5 K within an hour
POSTURE_PA = 800.0


@dataclass
class FalseAlarm:
    """One alarm too many."""

    lane: int
    tick: int
    kind: int
    rate_ul_h: float
    words: dict[str, int] = field(default_factory=dict)


class Campaign:
    """Pumps that live at random, from one seed. Each has

    - a line of 0.5 to 1.5 of the reference compliance and half to twice its resistance; - noise of 70 to
    150 Pa rms, the converter's wide codes, and a back pressure of 0 to 2 kPa, every fifth pump one
      beside the first wide code (4.8 to 6.2 kPa);
    - a basal of 2 to 100 uL/h, now and then another; boluses of 0.1 to 60 mL/h for 1 s to 5 min, stopped
    at any
      time; stops for up to an hour;
    - the daily triangle of temperature (5 K/day, 200 Pa/K), in any phase, up or down first. And either
    posture: the
      back pressure moves within 0.8 kPa, each time within 1 s to 1 h (even lanes), or 5 K within an hour,
      up and down in turn (odd lanes).

    Every seventh pump is a restless one: a bolus each 18 minutes, another basal each 12.
    """

    def __init__(self, lanes: int, seed: int = SEED, **calibration: int) -> None:
        self.lanes = lanes
        self.rng = rng = np.random.default_rng(seed)
        self.compliance = rng.uniform(0.5, 1.5, lanes)
        self.resistance = log_uniform(rng, (0.5, 2.0), lanes)
        self.lines = Lines(COMPLIANCE_NL_PA * self.compliance, RESISTANCE_PA_ML_H * self.resistance)
        self.noise_pa = rng.uniform(70, 150, lanes).astype(np.float32)
        near_wide = np.arange(lanes) % 5 == 0
        self.back_pa = np.where(near_wide, rng.uniform(4_800, 6_200, lanes), rng.uniform(0, 2_000, lanes))
        self.phase_ticks = rng.uniform(0, DAY_TICKS, lanes)
        self.basal_ul_h = log_uniform(rng, BASAL_UL_H, lanes)
        self.motors = Motors(self.basal_ul_h, rng.uniform(0, 1, lanes))
        self.detectors = Detectors(lanes, **calibration)
        self.tick = 0
        self.restless = np.arange(lanes) % 7 == 6
        self.bolus_ul_h = np.zeros(lanes)
        self.bolus_until = np.zeros(lanes)
        self.stopped_until = np.zeros(lanes)
        self.posture = np.zeros(lanes)  # of `POSTURE_PA`
        self.posture_to = np.zeros(lanes)
        self.posture_pace = np.ones(lanes)
        self.warm_pa = np.zeros(lanes)
        self.warm_slope = np.zeros(lanes)
        self.next = {kind: self._soon(kind, np.arange(lanes)) for kind in HOURS}
        self.alarms: list[FalseAlarm] = []
        self.boluses = self.basal_changes = self.stops = 0
        self.ambient_pa = np.zeros(lanes, dtype=np.float32)
        self._look()

    @property
    def pump_hours(self) -> float:
        return self.lanes * self.tick / TICKS_PER_H

    def run(self, hours: float) -> None:
        """Let all live on for so many hours each."""
        end = self.tick + int(hours * TICKS_PER_H)
        while self.tick < end:
            self._look()
            noise = self.rng.standard_normal((LOOK_TICKS, self.lanes), dtype=np.float32)
            noise *= self.noise_pa
            for row in noise:
                steps = self.motors.tick()
                self.lines.flow(steps)
                pressure_pa = self.lines.pressures(self._ambient_pa(), row)
                for lane in self.detectors.update(steps, pressure_pa):
                    self._alarmed(int(lane))
                self.tick += 1

    def _ambient_pa(self) -> Array:
        """Of this tick."""
        return self.ambient_pa

    def _alarmed(self, lane: int) -> None:
        words = {name: int(self.detectors.word(name)[lane]) for name in WORDS}
        rate_ul_h = float(self.motors.per_tick[lane]) * STEP_NL * TICKS_PER_H / 1_000
        self.alarms.append(FalseAlarm(lane, self.tick, words["alarm"], rate_ul_h, words))
        self.detectors.begin(np.array([lane]))

    def _soon(self, kind: str, lanes: Array) -> Array:
        mean_h = np.where(self.restless[lanes], HOURS[kind] / 20, HOURS[kind])
        return self.tick + self.rng.exponential(mean_h * TICKS_PER_H)

    def _due(self, kind: str) -> Array:
        (lanes,) = np.nonzero(self.next[kind] <= self.tick)
        if len(lanes):
            self.next[kind][lanes] = self._soon(kind, lanes)
        return lanes

    def _look(self) -> None:
        rng = self.rng
        changed = [lanes := self._due("basal")]
        self.basal_ul_h[lanes] = log_uniform(rng, BASAL_UL_H, len(lanes))
        self.basal_changes += len(lanes)
        changed.append(lanes := self._due("bolus"))
        self.boluses += len(lanes)
        rate = log_uniform(rng, BOLUS_UL_H, len(lanes))
        seconds = np.minimum(log_uniform(rng, BOLUS_S, len(lanes)), MOST_BOLUS_UL / rate * 3600)
        self.bolus_ul_h[lanes] = rate
        self.bolus_until[lanes] = self.tick + 10 * seconds
        changed.append(lanes := self._due("stop"))
        self.stops += len(lanes)
        self.stopped_until[lanes] = self.tick + rng.uniform(0, TICKS_PER_H, len(lanes))
        changed.append(np.nonzero((self.bolus_ul_h > 0) & (self.bolus_until <= self.tick))[0])
        self.bolus_ul_h[changed[-1]] = 0
        changed.append(np.nonzero((self.stopped_until > 0) & (self.stopped_until <= self.tick))[0])
        self.stopped_until[changed[-1]] = 0
        lanes = np.concatenate(changed)
        if len(lanes):
            stopped = self.stopped_until[lanes] > 0
            self.bolus_ul_h[lanes[stopped]] = 0
            rate = np.minimum(self.basal_ul_h[lanes] + self.bolus_ul_h[lanes], BOLUS_UL_H[1])
            self.motors.set_rate(lanes, np.where(stopped, 0, rate))
        self._look_at_pressures()

    def _look_at_pressures(self) -> None:
        rng = self.rng
        lanes = self._due("posture")
        self.posture_to[lanes] = rng.uniform(0, 1, len(lanes))
        self.posture_pace[lanes] = LOOK_TICKS / (10 * log_uniform(rng, (1.0, 3600.0), len(lanes)))
        step = np.clip(self.posture_to - self.posture, -self.posture_pace, self.posture_pace)
        self.posture += step
        lanes = self._due("warm")
        slope = WARM_PA_H * LOOK_TICKS / TICKS_PER_H
        self.warm_slope[lanes] = np.where(self.warm_slope[lanes] > 0, -slope, slope)
        self.warm_pa = np.clip(self.warm_pa + self.warm_slope, 0, WARM_PA_H)
        day = (self.tick + self.phase_ticks) % DAY_TICKS / DAY_TICKS
        daily = DAILY_PA * (1 - np.abs(2 * day - 1))
        odd = np.arange(self.lanes) % 2 == 1
        self.ambient_pa = (
            self.back_pa + daily + np.where(odd, self.warm_pa, POSTURE_PA * self.posture)
        ).astype(np.float32)


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float], count: int) -> Array:
    return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), count))


def detector_digest() -> str:
    """Of the detector's code, for figures to name whose they are: neither comments, docstrings nor layout
    count.
    """
    source = Path(str(occlusion.__file__)).read_text()
    kept, fresh_line = [], True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        if token.type == tokenize.STRING and fresh_line:
            continue
        fresh_line = token.type == tokenize.NEWLINE
        kept.append(token.string.strip())
    return hashlib.sha256(" ".join(kept).encode()).hexdigest()[:16]
