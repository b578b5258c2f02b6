"""The pump's mechanics on the board's pins: STEP turns the rotor, the rotor's marks come back.

Whatever the plant computes lazily (pressures) is computed at the instant the chip samples it.
"""

from __future__ import annotations

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


def wire_plant(board: EmulatedBoard, plant: Mechanics, forward_level: int = 1) -> None:
    """Wire `plant` to the board. DIR at `forward_level` turns it forward.

    A rising edge of STEP is a step if the driver is enabled at that instant; a disabled driver ignores it.
    """

    def marks() -> None:
        board.set_pin("ENCODER", plant.encoder_level())
        board.set_pin("INDEX", plant.index_level())

    step_gpio, dir_gpio, en_gpio = (board.gpio_of(net) for net in ("STEP", "DIR", "EN"))

    def step_edge(level: int, now_ns: int, _cycle: int) -> None:
        if level and board.pin(en_gpio) == EN_ACTIVE:
            plant.step(1 if board.pin(dir_gpio) == forward_level else -1, now_ns)
            marks()

    marks()
    board.listen(step_gpio, step_edge)
    board.set_adc("PRESSURE_DOWN", plant.adc_pressure_down)
    board.set_adc("PRESSURE_UP", plant.adc_pressure_up)
    board.set_adc("SUPPLY", lambda _now_ns: plant.adc_supply())
