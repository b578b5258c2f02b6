"""The pump's mechanics on the board's pins: STEP turns the rotor, the rotor's marks come back.

Whatever the plant computes lazily (pressures) is computed at the instant the chip samples it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .board import EmulatedBoard

__all__ = ("Mechanics", "wire_plant")

EN_ACTIVE = 0  # the driver moves while EN is low


class Mechanics(Protocol):
    """What the board needs of a plant."""

    def encoder_level(self) -> int: ...

    def index_level(self) -> int: ...

    def step(self, direction: int, at_ns: int) -> None: ...

    def adc_pressure_down(self, at_ns: int) -> int: ...

    def adc_pressure_up(self, at_ns: int) -> int: ...

    def adc_supply(self) -> int: ...


def wire_plant(
    board: EmulatedBoard,
    plant: Mechanics,
    *,
    forward_level: int = 1,
    plant_ns: Callable[[int], int] = lambda now_ns: now_ns,
) -> None:
    """Wire `plant` to the board. DIR at `forward_level` turns it forward.

    A rising edge of STEP is a step if the driver is enabled at that instant; a disabled driver ignores it.
    `plant_ns` gives the plant's time for the board's, for a plant whose clock starts later.
    """

    def marks() -> None:
        board.set_pin("ENCODER", plant.encoder_level())
        board.set_pin("INDEX", plant.index_level())

    dir_gpio, en_gpio = board.gpio_of("DIR"), board.gpio_of("EN")

    def step_edge(level: int, now_ns: int, _cycle: int) -> None:
        if level and board.pin(en_gpio) == EN_ACTIVE:
            plant.step(1 if board.pin(dir_gpio) == forward_level else -1, plant_ns(now_ns))
            marks()

    marks()
    board.listen("STEP", step_edge)
    board.set_adc("PRESSURE_DOWN", lambda now_ns: plant.adc_pressure_down(plant_ns(now_ns)))
    board.set_adc("PRESSURE_UP", lambda now_ns: plant.adc_pressure_up(plant_ns(now_ns)))
    board.set_adc("SUPPLY", lambda _now_ns: plant.adc_supply())
