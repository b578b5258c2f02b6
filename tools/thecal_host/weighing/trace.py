"""The file of a pulsation's weighing: all that balance and pump said while the head turned, as it was said.

One JSON object a line. The first says under what conditions it is weighed (`Setting`). `stretch` begins one,
at one rate; then come `status` (when the host heard of it, the pump's tick, steps and phase) and `reading`
(when, and grams). In the end `result`. A line that is not whole was being written when something ended, and
is taken off. What an interruption left of a stretch counts if it is LEAST_PITCHES long.

`stretches` makes of it what `pulsation.fit` takes: the host's clock is laid over the pump's ticks by a
straight line, the rotor's angle is another one through its counts of steps, at the rate that was ordered, and
its phase counts from where the pump says that the index mark is, on the average of the later half: it narrows
that down as it turns, and its count of what is due is now and then a step behind that of what was made.
NotSupported where the pump did not know its phase all the while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from thecal_model.text import rate_text

from thecal_host.weighing import WeighingError, lines
from thecal_host.weighing.pulsation import NotSupported, Reals, Stretch
from thecal_host.weighing.water import Water

FORMAT = 1

LEAST_PITCHES = 2.0
LEAST_STATUSES = 5

UNKNOWN = -1
"""As `phase_steps`: the pump does not know its phase."""

MARK_S, MARK_STEPS = 0.3, 3
"""A mark is where the pump says it is to so many steps, and to what it turns in so long."""


@dataclass(frozen=True)
class Setting:
    """The conditions of a weighing: the head by the rig in force, the rates, the water."""

    nl_per_rev: int
    steps_per_rev: int
    rollers: int
    rate_nl_h: int
    fast_nl_h: int
    celsius: float
    buoyancy: bool

    def steps_of(self, pitches: float) -> int:
        """Whole microsteps that so many pitches need."""
        return int(-(-pitches * self.steps_per_rev // self.rollers))


@dataclass
class Begun:
    """A stretch as it is read: statuses (at_s, tick, executed_steps, phase_steps), readings (at_s, grams)."""

    rate_nl_h: int
    statuses: list[tuple[float, int, int, int]] = field(default_factory=list)
    readings: list[tuple[float, float]] = field(default_factory=list)


class Trace:
    """What is known of a weighing. `resumed` is whether the file was there before."""

    def __init__(self, path: Path, setting: Setting, tick_s: float) -> None:
        self.path = path
        self.setting = setting
        self._tick_s = tick_s
        self._stretches: list[Begun] = []
        self._head: dict[str, Any] = {}
        self.resumed = path.exists()
        if self.resumed:
            self._read()
        else:
            self._write({"type": "pulsation", "format": FORMAT, **asdict(setting)})

    def standing(self) -> str:
        """How far it is, and how it goes on."""
        rates = self.setting.rate_nl_h, self.setting.fast_nl_h
        slow, fast = (f"{self.pitches(rate):.1f} pitches at {rate_text(rate)}" for rate in rates)
        return f"{slow} and {fast} are kept in {self.path}: the same command goes on from there"

    def begin(self, rate_nl_h: int) -> None:
        """A stretch, from rest."""
        self._stretches.append(Begun(rate_nl_h))
        self._write({"type": "stretch", "rate_nl_h": rate_nl_h})

    def add_status(self, at_s: float, status: dict[str, Any]) -> None:
        """What the pump said of itself."""
        if "phase_steps" not in status:
            raise NotSupported(
                "the pump does not say at which phase its head stands: flash the image that belongs to this "
                "program (`make flash`)"
            )
        row = at_s, status["tick"], status["executed_steps"], status["phase_steps"]
        self._stretches[-1].statuses.append(row)
        self._write({"type": "status", "said": row})

    def add_reading(self, at_s: float, grams: float) -> None:
        """What the balance said."""
        self._stretches[-1].readings.append((at_s, grams))
        self._write({"type": "reading", "said": (at_s, grams)})

    def close(self, result: dict[str, Any]) -> None:
        """It is over: nothing is added to this file any more."""
        self._write({"type": "result", **result})
        self.sync()

    def sync(self) -> None:
        """See that what was written stays, whatever happens to this computer."""
        lines.sync(self.path)

    def pitches(self, rate_nl_h: int) -> float:
        """How many are weighed at that rate."""
        return sum(self._turned(begun) for begun in self._stretches if begun.rate_nl_h == rate_nl_h)

    def _turned(self, begun: Begun) -> float:
        """Pitches of a stretch, 0 where it does not count."""
        if len(begun.statuses) < LEAST_STATUSES or not begun.readings:
            return 0.0
        steps = begun.statuses[-1][2] - begun.statuses[0][2]
        pitches = steps * self.setting.rollers / self.setting.steps_per_rev
        return pitches if pitches >= LEAST_PITCHES else 0.0

    def stretches(self) -> list[Stretch]:
        """All that counts. NotSupported where the phase was not known all the while."""
        counting = [begun for begun in self._stretches if self._turned(begun)]
        names = [f"stretch {number}, {rate_text(one.rate_nl_h)}" for number, one in enumerate(counting, 1)]
        return [self._stretch(*each) for each in zip(counting, names, strict=True)]

    def _mark(self, begun: Begun, name: str) -> float:
        """The count of steps at a mark. NotSupported."""
        known = [(steps, phase) for _, _, steps, phase in begun.statuses if phase != UNKNOWN]
        if not known:
            raise NotSupported(
                f"{name}: the pump never knew its phase, the index mark was not seen: is it wired, and does "
                "the rotor turn? See `thecal rig check`"
            )
        phases = [phase for _, _, _, phase in begun.statuses]
        if any(before != UNKNOWN and after == UNKNOWN for before, after in pairwise(phases)):
            raise NotSupported(f"{name}: the pump lost its index mark on the way: a revolution had none")
        most = self._most_off(begun)
        last = known[-1][0] - known[-1][1]
        longest = max(phase for _, phase in known)
        if longest > self.setting.steps_per_rev + most:
            raise NotSupported(
                f"{name}: {longest} steps without an index mark, a revolution has "
                f"{self.setting.steps_per_rev}: does the rotor slip?"
            )
        off = [self._off(steps - phase, last) for steps, phase in known]
        worst = max(off, key=abs)
        if abs(worst) > most:
            raise NotSupported(
                f"{name}: the index mark moved by {abs(worst)} steps: does the rotor slip on its shaft?"
            )
        return last + fmean(off[len(off) // 2 :])

    def _off(self, mark: int, other: int) -> int:
        """How far two marks are apart, the short way round."""
        half = self.setting.steps_per_rev // 2
        return (mark - other + half) % self.setting.steps_per_rev - half

    def _most_off(self, begun: Begun) -> int:
        per_s = begun.rate_nl_h * self.setting.steps_per_rev / self.setting.nl_per_rev / 3_600
        return MARK_STEPS + round(MARK_S * per_s) + self.setting.steps_per_rev // self.setting.rollers // 64

    def _stretch(self, begun: Begun, name: str) -> Stretch:
        setting, mark = self.setting, self._mark(begun, name)
        heard_s, ticks, steps, _ = (
            np.array(column, dtype=float) for column in zip(*begun.statuses, strict=True)
        )
        pump_s = ticks * self._tick_s
        per_s, offset_s = np.polyfit(heard_s - heard_s[0], pump_s, 1)
        at_s, grams = (np.array(column) for column in zip(*begun.readings, strict=True))
        read_s = offset_s + per_s * (at_s - heard_s[0])
        within = (read_s >= pump_s[0]) & (read_s <= pump_s[-1])
        read_s, grams = read_s[within], grams[within]
        angle = self._angle(begun, name, pump_s, steps)(read_s) - mark
        water = Water(setting.celsius, setting.buoyancy)
        volumes_nl = (grams - grams[0]) * water.volume_nl(1.0)
        return Stretch(name, read_s, angle * setting.rollers / setting.steps_per_rev, volumes_nl)

    def _angle(self, begun: Begun, name: str, pump_s: Reals, steps: Reals) -> Callable[[Reals], Reals]:
        """The count of steps at a time, without the whole step that a status lags by. NotSupported where the
        head did not turn evenly.
        """
        setting = self.setting
        per_s = begun.rate_nl_h * setting.steps_per_rev / setting.nl_per_rev / 3_600
        turns = (steps > steps[0]) & (steps < steps[-1])
        offsets = steps[turns] - per_s * pump_s[turns]
        offset = offsets.mean()
        worst = float(np.abs(offsets - offset).max())
        if worst > MARK_STEPS + MARK_S * per_s:
            raise NotSupported(f"{name}: the head was {worst:.0f} steps off an even turn: weigh anew")
        return lambda at_s: np.clip(offset + per_s * at_s, steps[0], steps[-1])

    def _write(self, record: dict[str, Any]) -> None:
        lines.append(self.path, record)

    def _read(self) -> None:
        if lines.read(self.path, self._take, f"such a weighing: {lines.OR_ELSE}"):
            lines.check_same(self.path, self._head, asdict(self.setting), lines.OR_ELSE)
        else:
            self._write({"type": "pulsation", "format": FORMAT, **asdict(self.setting)})

    def _take(self, record: dict[str, Any], number: int) -> None:
        kind = record.pop("type")
        if (number == 1) != (kind == "pulsation"):
            raise ValueError(kind)
        if kind == "pulsation":
            if record.pop("format") != FORMAT:
                raise ValueError(FORMAT)
            self._head = record
        elif kind == "stretch":
            self._stretches.append(Begun(**record))
        elif kind == "status":
            at_s, tick, steps, phase = record["said"]
            self._stretches[-1].statuses.append((float(at_s), int(tick), int(steps), int(phase)))
        elif kind == "reading":
            at_s, grams = record["said"]
            self._stretches[-1].readings.append((float(at_s), float(grams)))
        elif kind == "result":
            raise WeighingError(f"{self.path}: holds a weighing that is over: {lines.OR_ELSE}")
        else:
            raise ValueError(kind)
