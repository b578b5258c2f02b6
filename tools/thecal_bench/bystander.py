"""Looks at a bench and says what a person would see there: the plant knows (`thecal_model.asking`)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from thecal_model.asking import Ask

from thecal_bench.bench import Bench, NotPossible

PRESS_TICKS = 20


class Bystander:
    """Stands beside `bench`. `heard`: whether its sounder was."""

    def __init__(self, bench: Bench, heard: Callable[[], bool] = lambda: True) -> None:
        if bench.plant is None:
            raise NotPossible("this board has no plant to look at")
        self.bench = bench
        self.plant = bench.plant
        self.heard = heard
        self.asked: list[Ask] = []
        self._mark_steps = self.plant.angle_steps

    def yes(self, ask: Ask, text: str) -> bool:
        self.asked.append(ask)
        answers: dict[Ask, Callable[[], bool]] = {
            Ask.SHAFT_FREE: lambda: self.bench.pin("EN") != int(self.plant.rig.enable_high),
            Ask.DISCONNECTED: lambda: True,
            Ask.MOVED: lambda: self._turned_steps() != 0,
            Ask.FORWARD: lambda: self._turned_steps() > 0,
            Ask.AIR: lambda: self.plant.air,
            Ask.SOUND: self.heard,
        }
        return answers[ask]()

    def number(self, ask: Ask, text: str) -> Fraction:
        self.asked.append(ask)
        if ask is Ask.VOLTS:
            return Fraction(self.plant.supply_v)
        assert ask is Ask.TURNS
        return Fraction(self._turned_steps(), self.plant.geometry.steps_per_rev)

    def please(self, ask: Ask, text: str) -> None:
        self.asked.append(ask)
        if ask is Ask.MARK:
            self._mark_steps = self.plant.angle_steps
        else:
            self.bench.press("stop" if ask is Ask.PRESS_STOP else "patient", PRESS_TICKS)

    def _turned_steps(self) -> int:
        return self.plant.angle_steps - self._mark_steps
