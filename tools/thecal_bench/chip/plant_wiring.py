"""The pump's mechanics on the board's pins: STEP turns the rotor, the rotor's marks come back.

Whatever the plant computes lazily (pressures) is computed at the instant the chip samples it. `wire_plant` is
the mechanics, `wire_world` all that may happen to them besides: air, a fault of the driver, of a sensor or of
the wire to STEP_SENSE, a rotor that turns by itself.

The plant's rig says what is wired, and which level means what, whatever the pump was told. On a pin with
nothing on it is nothing: it floats where the chip does not pull it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from thecal.rig import Rig
from thecal_model.rig import reference

from thecal_bench.plant import Plant

from .board import MS_NS, EmulatedBoard

__all__ = ("Mechanics", "wire_plant", "wire_world")

NETS = {
    "ENCODER": "encoder",
    "INDEX": "index",
    "AIR": "air",
    "DRIVER_FAULT": "fault",
    "BUTTON_PATIENT": "button_patient",
    "BUTTON_STOP": "button_stop",
}
"""Inputs of the board, and the part of the rig that each one is wired to."""

# What happens by itself is looked at this often: at the fastest free flow a mark of the encoder lasts 15 ms,
# half a wave of noise 10 ms.
RESTLESS_NS = 5 * MS_NS


class Mechanics(Protocol):
    """What the board needs of a plant."""

    def encoder_level(self) -> int: ...

    def index_level(self) -> int: ...

    def step(self, direction: int, at_ns: int) -> None: ...

    def adc_pressure_down(self, at_ns: int) -> int: ...

    def adc_pressure_up(self, at_ns: int) -> int: ...

    def adc_supply(self, at_ns: int) -> int: ...


def wire_plant(
    board: EmulatedBoard,
    plant: Mechanics,
    *,
    rig: Rig | None = None,
    plant_ns: Callable[[int], int] = lambda now_ns: now_ns,
) -> None:
    """Wire `plant` to the board, as `rig` (None: the reference) has motor driver and rotor.

    A rising edge of STEP is a step if the driver is enabled at that instant; a disabled driver ignores it.
    `plant_ns` gives the plant's time for the board's, for a plant whose clock starts later.
    """

    rig = rig or reference()
    forward_level, enable_level = int(rig.dir_forward_high), int(rig.enable_high)

    def marks() -> None:
        if rig.encoder_pulses_per_rev:
            board.set_pin("ENCODER", plant.encoder_level())
        if rig.has_index:
            board.set_pin("INDEX", plant.index_level())

    dir_gpio, en_gpio = board.gpio_of("DIR"), board.gpio_of("EN")

    def step_edge(level: int, now_ns: int, _cycle: int) -> None:
        if level and board.pin(en_gpio) == enable_level:
            plant.step(1 if board.pin(dir_gpio) == forward_level else -1, plant_ns(now_ns))
            marks()

    marks()
    board.listen("STEP", step_edge)
    board.set_adc("PRESSURE_DOWN", lambda now_ns: plant.adc_pressure_down(plant_ns(now_ns)))
    board.set_adc("PRESSURE_UP", lambda now_ns: plant.adc_pressure_up(plant_ns(now_ns)))
    board.set_adc("SUPPLY", lambda now_ns: plant.adc_supply(plant_ns(now_ns)))


def wire_world(
    board: EmulatedBoard, plant: Plant, *, plant_ns: Callable[[int], int] = lambda now_ns: now_ns
) -> None:
    """Let what happens to `plant`, which is wired already, reach the board's pins."""
    rig = plant.rig
    watching = False
    bare = [net for net, part in NETS.items() if part not in rig.tables]
    unplugged = {"STEP_SENSE": rig.step_at_pad, "BUZZER_SENSE": not rig.sounder_sensed}
    for net in [net for net, is_off in unplugged.items() if is_off]:
        board.unplug(net)
        bare.append(net)
    board.let_float(bare, plant.seed)

    def look() -> None:
        nonlocal watching
        now_ns = plant_ns(board.now_ns)
        if plant.restless:
            plant.advance(now_ns)
        if rig.air_level is not None:
            board.set_pin("AIR", rig.air_level if plant.air else 1 - rig.air_level)
        if rig.fault_level is not None:
            if plant.driver_fault or rig.fault_level == 1:
                board.set_pin("DRIVER_FAULT", plant.driver_fault == (rig.fault_level == 1))
            else:
                board.release_pin("DRIVER_FAULT")  # an open drain, pulled up
        if rig.encoder_pulses_per_rev:
            board.set_pin("ENCODER", plant.encoder_level())
        if rig.has_index:
            board.set_pin("INDEX", plant.index_level())
        sense = plant.step_sense_fault
        if not rig.step_at_pad and board.plugged("STEP_SENSE") != (sense is None):
            if sense is None:
                board.plug("STEP", "STEP_SENSE")
            else:
                board.unplug("STEP_SENSE")
        if sense is not None:
            board.set_pin("STEP_SENSE", sense.level(now_ns))
        if plant.restless and not watching:
            watching = True
            board.schedule_ns(board.now_ns + RESTLESS_NS, look_again)

    def look_again() -> None:
        nonlocal watching
        watching = False
        look()

    plant.on_pins = look
    look()
