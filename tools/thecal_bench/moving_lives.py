"""The same lives while the world moves: posture, breathing, the pulse, drift; and lines blocked in it.

How to read it: `World` is what presses on the far end of many lines at once, as `line` has it for one, in the
same closed form; `host_tests/property/test_moving_lives.py` holds its codes to the plant's, tick for tick.
`MovingCampaign` counts alarms of open lines, `blocked` what flows into a blocked line until its alarm.

Posture. Every 10 minutes on average a pump and the end of its catheter change their heights to each other, by
up to 3 kPa (30 cm of water) either way, within a tick to three seconds. Three kinds, by turns: two postures
3 kPa apart; any height within 3 kPa; steps of 3 kPa, at most 3 kPa either way of the middle. A blocked line
does not feel any of that: its end is closed (`line`). Neither does compliance that drifts: an open line shows
none of it, and of a blocked one's pressure a few percent an hour are less than the spread of C.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from thecal.watch.occlusion import NONE

from thecal_bench.line import BREATHING, PULSE_WAVE, TONE_HZ, TONE_PA
from thecal_bench.lives import (
    DAILY_PA,
    DAY_TICKS,
    SEED,
    Campaign,
    log_uniform,
)
from thecal_bench.vectorised_occlusion import (
    COMPLIANCE_NL_PA,
    RESISTANCE_PA_ML_H,
    STEP_NL,
    TICK_MS,
    TICKS_PER_H,
    Array,
    Detectors,
    Lines,
    Motors,
)

POSTURE_PA = 3_000.0
POSTURE_TICKS = TICKS_PER_H / 6
MOVE_TICKS = (1.0, 30.0)


class World:
    """What moves the far ends of some lines, from one generator; all of it times `scale`."""

    def __init__(self, rng: np.random.Generator, lines: Lines, back_pa: Array, scale: float = 1.0) -> None:
        lanes = len(lines.compliance_nl_pa)
        self.rng, self.lines = rng, lines
        self.step_pa = POSTURE_PA * scale
        self.back_pa = np.array(back_pa, dtype=np.float64)
        self._rest_pa = self.back_pa.copy()
        self.kind = np.arange(lanes) % 3
        self.to_pa = self.back_pa.copy()
        self.pace_pa = np.ones(lanes)
        self.next_tick = rng.exponential(POSTURE_TICKS, lanes)
        self.tick = 0
        self.postures = 0
        tau_ms = -TICK_MS / np.log(lines.decay.astype(np.float64))
        self.tones = [
            self.tone(
                TONE_PA[name] * scale,
                float(TONE_HZ[name]) * rng.uniform(0.8, 1.2, lanes),
                tau_ms,
                rng.uniform(0, 2 * np.pi, lanes),
            )
            for name in (BREATHING, PULSE_WAVE)
        ]

    @staticmethod
    def tone(amplitude_pa: float, hz: Array, tau_ms: Array, phase: Array) -> tuple[Array, Array]:
        """What lines of these time constants make of it, as a pointer that turns, and its turn in a tick."""
        turn = 2 * np.pi * hz / 1_000
        pointer = amplitude_pa / (1 + 1j * turn * tau_ms) * np.exp(1j * phase)
        return pointer.astype(np.complex128), np.exp(1j * turn * TICK_MS)

    def block(self, lanes: Array) -> None:
        """These lines are closed: what they have of the tones stays."""
        for pointer, _ in self.tones:
            self.lines.excess_pa[lanes] += pointer.imag[lanes]
            pointer[lanes] = 0
        self.lines.block(lanes)

    def ambient_pa(self) -> Array:
        """Of the next tick, before its steps are let flow: the end moves, what the line holds does not."""
        (lanes,) = np.nonzero(self.next_tick <= self.tick)
        if len(lanes):
            self._step(lanes)
        moved = np.clip(self.to_pa - self.back_pa, -self.pace_pa, self.pace_pa)
        self.back_pa += moved
        self.lines.excess_pa -= moved.astype(self.lines.excess_pa.dtype)
        ambient = self.back_pa.copy()
        for pointer, turn in self.tones:
            pointer *= turn
            ambient += pointer.imag
        self.tick += 1
        return ambient

    def _step(self, lanes: Array) -> None:
        rng, count = self.rng, len(lanes)
        self.postures += count
        self.next_tick[lanes] = self.tick + rng.exponential(POSTURE_TICKS, count)
        before = (self.to_pa - self._rest_pa)[lanes] / self.step_pa if self.step_pa else np.zeros(count)
        either = rng.integers(0, 2, count) * 2 - 1
        walk = np.clip(np.round(before) + either, -1, 1)
        walk = np.where(walk == np.round(before), 0, walk)
        kinds = (np.where(before > 0.5, 0, 1), rng.uniform(0, 1, count), walk)
        to_pa = self._rest_pa[lanes] + self.step_pa * np.choose(self.kind[lanes], kinds)
        self.to_pa[lanes] = to_pa
        self.pace_pa[lanes] = np.abs(to_pa - self.back_pa[lanes]) / log_uniform(rng, MOVE_TICKS, count) + 1e-9


class MovingCampaign(Campaign):
    """`Campaign` in such a world: back pressure 0 to 2 kPa, every fifth pump beside a wide code; the daily
    triangle of temperature. Without boluses, unless they are asked for.
    """

    def __init__(
        self, lanes: int, seed: int = SEED, boluses: bool = False, scale: float = 1.0, **calibration: int
    ) -> None:
        self._scale = scale
        self._world: World | None = None
        super().__init__(lanes, seed, **calibration)
        if not boluses:
            self.next["bolus"][:] = np.inf
        self._world = World(self.rng, self.lines, self.back_pa, scale)
        self._look()

    @property
    def postures(self) -> int:
        """How often one has changed."""
        return self._world.postures if self._world is not None else 0

    def _look_at_pressures(self) -> None:
        day = (self.tick + self.phase_ticks) % DAY_TICKS / DAY_TICKS
        self.ambient_pa = DAILY_PA * (1 - np.abs(2 * day - 1))

    def _ambient_pa(self) -> Array:
        assert self._world is not None
        return (self._world.ambient_pa() + self.ambient_pa).astype(np.float32)


RATES_UL_H = (2, 5, 10, 20, 50, 100)
OPEN_TICKS = (TICKS_PER_H / 6, TICKS_PER_H / 3)  # the line is open for, at least and at most
MOST_UL = 5.0  # past onset: then the trend has failed


@dataclass(frozen=True)
class Found:
    """Pumps of one rate whose lines were blocked: volumes past onset, nL, of those that alarmed."""

    rate_ul_h: float
    volumes_nl: Array
    missed: int
    early: int
    """Alarms before the line was blocked."""

    def within(self, nl: float) -> float:
        """Share of all that alarmed within a volume."""
        return float((self.volumes_nl <= nl).sum()) / (len(self.volumes_nl) + self.missed)


def blocked(rate_ul_h: float, pumps: int, seed: int = SEED, scale: float = 1.0, **calibration: int) -> Found:
    """Lines of 0.5 to 1.5 of the reference compliance and half to twice its resistance, blocked at any
    moment of ten minutes, in a moving world. Runs until all have alarmed.
    """
    rng = np.random.default_rng([seed, int(rate_ul_h * 1000)])
    lines = Lines(
        COMPLIANCE_NL_PA * rng.uniform(0.5, 1.5, pumps),
        RESISTANCE_PA_ML_H * log_uniform(rng, (0.5, 2.0), pumps),
    )
    world = World(rng, lines, rng.uniform(0, 2_000, pumps), scale)
    motors, detectors = (
        Motors(np.full(pumps, rate_ul_h), rng.uniform(0, 1, pumps)),
        Detectors(pumps, **calibration),
    )
    noise_pa = rng.uniform(70, 150, pumps)
    drift = np.where(np.arange(pumps) % 2, 1, -1) * 2 * DAILY_PA / DAY_TICKS
    onset = rng.uniform(*OPEN_TICKS, pumps).astype(int)
    most_ticks = int(OPEN_TICKS[1] + MOST_UL / rate_ul_h * TICKS_PER_H)
    past_nl, found_nl, early = np.zeros(pumps), np.full(pumps, np.nan), 0
    for tick in range(most_ticks):
        (lanes,) = np.nonzero(onset == tick)
        if len(lanes):
            world.block(lanes)
        ambient_pa = world.ambient_pa() + drift * tick
        steps = motors.tick()
        lines.flow(steps)
        past_nl += np.where(onset <= tick, steps * STEP_NL, 0)
        noise = rng.standard_normal(pumps) * noise_pa
        alarmed = detectors.update(steps, lines.pressures(ambient_pa, noise))
        alarmed = alarmed[detectors.word("alarm")[alarmed] != NONE]
        if len(alarmed):
            first = alarmed[np.isnan(found_nl[alarmed]) & (onset[alarmed] <= tick)]
            found_nl[first] = past_nl[first]
            before = alarmed[onset[alarmed] > tick]
            early += len(before)
            detectors.begin(before)
            if not np.isnan(found_nl).any():
                break
    seen = ~np.isnan(found_nl)
    return Found(rate_ul_h, found_nl[seen], int((~seen).sum()), early)
