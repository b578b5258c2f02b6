"""One state machine of the emulated PIO without a processor: its program, two inputs, and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rp2040py.irq import IRQ
from rp2040py.peripherals.pio_registers import (
    CTRL,
    INSTR_MEM0,
    SM0_CLKDIV,
    SM0_EXECCTRL,
    SM0_INSTR,
    SM0_PINCTRL,
    SM0_SHIFTCTRL,
)
from rp2040py.rp2040 import RP2040
from rp2040py.utils.logging import ConsoleLogger, LogLevel
from thecal_bench.chip.pio_clock import CYCLE_NS, ClockedPio

SIO_FUNCTION = 5
PADS_INPUT_ENABLE = 0x40


class PioDesk:
    """A block with one machine running `words` from address 0, wrapped at their end, at an undivided clock
    over `cycle`. `forced` are instructions to begin with.
    """

    def __init__(
        self,
        words: Sequence[int],
        cycle: int,
        *,
        in_base: int,
        jmp_pin: int,
        shift_ctrl: int = 0,
        forced: Sequence[int] = (),
    ) -> None:
        self._chip: Any = RP2040()
        self._chip.simulator = object()  # somebody owns the chip: the block must not run by itself
        self._chip.logger = ConsoleLogger(LogLevel.ERROR)
        self._pio = ClockedPio(self._chip, "PIO0", IRQ.PIO0_IRQ0, 0)
        self._chip.pio[0] = self._pio
        for gpio in self._chip.gpio:
            gpio.ctrl = SIO_FUNCTION
            gpio.pad_value |= PADS_INPUT_ENABLE
        for address, word in enumerate(words):
            self._write(INSTR_MEM0 + 4 * address, word)
        self._write(SM0_CLKDIV, cycle << 16)
        self._write(SM0_EXECCTRL, (len(words) - 1) << 12 | jmp_pin << 24)
        self._write(SM0_SHIFTCTRL, shift_ctrl)
        self._write(SM0_PINCTRL, in_base << 15)
        for word in forced:
            self._write(SM0_INSTR, word)
        self.set(jmp_pin, 0)
        self.set(in_base, 0)
        self._now = 0

    def _write(self, offset: int, value: int) -> None:
        self._pio.write_uint32_atomic(offset, value, 0)

    def start(self) -> None:
        """Let the machine run from here on."""
        self._write(CTRL, 1)

    def set(self, gpio: int, level: int) -> None:
        """Drive an input."""
        self._pio.synchronise()
        self._chip.gpio[gpio].set_input_value(bool(level))

    def live_until(self, cycle: int) -> None:
        """Let time pass, up to that cycle."""
        self._chip.clock.tick((cycle - self._now) * CYCLE_NS)
        self._now = cycle

    @property
    def x(self) -> int:
        """The machine's scratch register."""
        return self._pio.machines[0].x
