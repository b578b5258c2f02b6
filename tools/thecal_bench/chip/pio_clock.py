"""PIO blocks that keep exact time, whatever the processor does.

The emulator advances its PIO once per CPU instruction or idle jump and forgives arrears of more than
eight cycles, so a state machine runs late whenever the core sleeps. `ClockedPio` takes that duty away
from the CPU loop: the block looks `stopped` to it for ever, and one clock alarm, always armed for the
exact cycle of the next PIO instruction, moves it on. There is never a backlog to forgive.

Read `_on_alarm` first: it is the only place where time passes for a block. Everything else either
brings `cycle_fp` up to now before somebody looks (`synchronise`), or moves the alarm (`_rearm`).

A delay loop (`jmp(x_dec, "here")` at the label `here`) would cost one alarm per turn. Such a machine
is sent to its last turn at once (`_skip_delay_loops`), and brought back to the turn it has really
reached (`materialise`) when a register write could see or disturb the loop in between. The edges are
the same either way.

Three smaller things that the emulator leaves out and drivers rely on are put right on the way: a write
of FJOIN empties both FIFOs and sets their depths, a forced instruction interrupts a stalled one, and a
pin moved by a forced instruction moves at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from rp2040py.irq import IRQ
from rp2040py.peripherals.pio import RPPIO
from rp2040py.peripherals.pio_registers import (
    CTRL,
    INSTR_MEM0,
    RXF0,
    RXF3,
    SM0_CLKDIV,
    SM0_INSTR,
    SM0_SHIFTCTRL,
    SM1_CLKDIV,
    SM3_PINCTRL,
    TXF0,
    TXF3,
)
from rp2040py.utils.fifo import FIFO

if TYPE_CHECKING:
    from rp2040py.rp2040 import RP2040

__all__ = ("CYCLE_NS", "ClockedPio", "install_clocked_pio")

CYCLE_NS = 8  # one system clock at 125 MHz, the only frequency the emulator knows
FP_SHIFT = 8  # the emulator counts cycles in 1/256ths, so that a fractional divider stays exact
NEVER_DUE_FP = 1 << 62  # the emulator's own "no machine is due"

JMP_TARGET_MASK = 0xE01F  # opcode bits that are JMP (000) and its address
JMP_SCRATCH = {0b010: "x", 0b100: "y"}  # the conditions "count down and jump while it was not zero"
SHIFTCTRL_FJOIN_RX = 1 << 31
SHIFTCTRL_FJOIN_TX = 1 << 30
FIFO_WORDS = 4
MACHINE_STRIDE = SM1_CLKDIV - SM0_CLKDIV
EXECCTRL_SIDE_EN = 1 << 30
EXECCTRL_SIDE_PINDIR = 1 << 29

# The two blocks as keys of RP2040.peripherals (bus address >> 12).
_BLOCKS = ((0x50200, "PIO0", IRQ.PIO0_IRQ0), (0x50300, "PIO1", IRQ.PIO1_IRQ0))


class _TxFifo(FIFO):
    """A TX FIFO that tells when a word leaves it."""

    def __init__(self, words: int, on_pull: Callable[[int], None]) -> None:
        super().__init__(words)
        self._on_pull = on_pull

    def pull(self) -> int:
        word = super().pull()
        self._on_pull(word)
        return word


class _DelayLoop(NamedTuple):
    """A jump to itself on a count, as one machine sees it at one address."""

    scratch: str
    turn_cycles: int  # in the machine's own, divided clock
    side_mask: int  # pins its side-set holds on each turn, 0 without a side-set
    side_value: int
    side_is_direction: bool


class _Skip(NamedTuple):
    """A machine sent ahead to the last turn of its delay loop, and how to find the turn it is on."""

    scratch: str
    first_due_fp: int
    turn_fp: int
    turns: int

    @property
    def last_due_fp(self) -> int:
        return self.first_due_fp + self.turns * self.turn_fp


class ClockedPio(RPPIO):
    """A PIO block driven by clock alarms only.

    `skips_delay_loops` may be turned off to compare. `callbacks` counts the alarms the block has
    cost. `on_put[machine](word)` is called with each word that the processor or the DMA offers to the
    machine's TX FIFO, before the put; `on_pull[machine](word, cycle)` with each word the machine takes.
    """

    def __init__(self, rp2040: RP2040, name: str, first_irq: int, index: int) -> None:
        self.skips_delay_loops = True
        self.callbacks = 0
        self.on_put: dict[int, Callable[[int], None]] = {}
        self.on_pull: dict[int, Callable[[int, int], None]] = {}
        self._clock = rp2040.clock
        self._alarm = rp2040.clock.create_alarm(self._on_alarm)
        self._armed_fp = NEVER_DUE_FP
        self._moving = False
        self._running: list = []  # the enabled machines
        self._loops: dict[int, _DelayLoop | None] = {}  # by machine * 32 + address
        self._skips: dict[int, _Skip] = {}  # by machine
        for machine in self.machines:
            self._size_fifos(machine, 0)

    # --- time -------------------------------------------------------------------------------

    @property
    def now_cycle(self) -> int:
        """The block's own time, in whole system clocks since the simulation began."""
        return self.cycle_fp >> FP_SHIFT

    def synchronise(self) -> None:
        """Bring the block's time up to the clock. Runs nothing: what was due has run already."""
        if not self._moving:
            self.cycle_fp = (int(self._clock.nanos) // CYCLE_NS) << FP_SHIFT

    def _on_alarm(self) -> None:
        self.callbacks += 1
        self._armed_fp = NEVER_DUE_FP
        self._moving = True
        try:
            self.advance(int(self._clock.nanos) // CYCLE_NS - (self.cycle_fp >> FP_SHIFT))
        finally:
            self._moving = False
        if self.skips_delay_loops:
            self._skip_delay_loops()
        self._rearm()

    def _rearm(self) -> None:
        due_fp = self.next_due_fp
        if due_fp == self._armed_fp:
            return
        if due_fp >= NEVER_DUE_FP:
            self._alarm.cancel()
        else:
            due_ns = ((due_fp + (1 << FP_SHIFT) - 1) >> FP_SHIFT) * CYCLE_NS
            self._alarm.schedule(max(due_ns - self._clock.nanos, 0.0))
        self._armed_fp = due_fp

    # --- delay loops --------------------------------------------------------------------------

    def _skip_delay_loops(self) -> None:
        """Send every machine that has just come to a delay loop straight to the loop's last turn."""
        skipped = False
        for machine in self._running:
            key = machine.index << 5 | machine.pc
            try:
                loop = self._loops[key]
            except KeyError:
                loop = self._loops[key] = self._delay_loop_at(machine)
            if loop is None or machine.waiting:
                continue
            turns = getattr(machine, loop.scratch)
            if turns < 2:
                continue
            if loop.side_mask:
                # The first turn sets the pins, so it may be skipped only if they are set already.
                pins = self.pin_directions if loop.side_is_direction else self.pin_values
                if pins & loop.side_mask != loop.side_value:
                    continue
            turn_fp = loop.turn_cycles * machine.div_fp
            self._skips[machine.index] = _Skip(loop.scratch, machine.next_due_fp, turn_fp, turns)
            setattr(machine, loop.scratch, 0)
            machine.next_due_fp += turns * turn_fp
            machine.cycles += turns * loop.turn_cycles
            skipped = True
        if skipped:
            self.recompute_due()

    def _delay_loop_at(self, machine) -> _DelayLoop | None:
        """The delay loop at the machine's next address, or None if it must be stepped through."""
        opcode = self.instructions[machine.pc]
        scratch = JMP_SCRATCH.get(opcode >> 5 & 0x7)
        if opcode & JMP_TARGET_MASK != machine.pc or scratch is None:
            return None
        side_bits = machine.sideset_count
        delay_side = opcode >> 8 & 0x1F
        turn_cycles = 1 + (delay_side & (1 << 5 - side_bits) - 1)
        optional = bool(machine.exec_ctrl & EXECCTRL_SIDE_EN)
        if not side_bits or (optional and not delay_side & 0x10):
            return _DelayLoop(scratch, turn_cycles, 0, 0, False)
        pins = side_bits - 1 if optional else side_bits
        mask = ((1 << pins) - 1) << machine.sideset_base
        value = delay_side >> 5 - side_bits << machine.sideset_base & mask
        others = (other for other in self._running if other is not machine)
        if any(mask & self._pins_of(other) for other in others):
            return None  # another machine may move these pins, and each turn would move them back
        return _DelayLoop(scratch, turn_cycles, mask, value, bool(machine.exec_ctrl & EXECCTRL_SIDE_PINDIR))

    @staticmethod
    def _pins_of(machine) -> int:
        """Every pin the machine's PINCTRL lets it move, as a mask."""
        return (
            ((1 << machine.sideset_count) - 1) << machine.sideset_base
            | ((1 << machine.set_count) - 1) << machine.set_base
            | ((1 << machine.out_count) - 1) << machine.out_base
        )

    def materialise(self) -> None:
        """Put each skipped delay loop at the turn it has reached by now, for somebody who looks."""
        self.synchronise()
        cycle_fp = self.cycle_fp
        for index, skip in self._skips.items():
            if cycle_fp >= skip.last_due_fp:
                continue  # the loop is over: the machine has gone on by itself
            done = max((cycle_fp - skip.first_due_fp) // skip.turn_fp + 1, 0)
            left = skip.turns - done
            machine = self.machines[index]
            setattr(machine, skip.scratch, left)
            machine.next_due_fp = skip.first_due_fp + done * skip.turn_fp
            machine.cycles -= left * (skip.turn_fp // machine.div_fp)
        self._skips.clear()
        self.recompute_due()

    # --- what the emulator calls ----------------------------------------------------------------

    def notify_due(self, due_fp: int) -> None:
        """A machine has been set free by a put, a pin or an IRQ flag."""
        if due_fp < self.next_due_fp:
            self.next_due_fp = due_fp
        if not self._moving:
            self._rearm()

    def read_uint32(self, offset: int) -> int:
        if RXF0 <= offset <= RXF3:
            self.synchronise()  # a machine that waits to push goes on from here
        return super().read_uint32(offset)

    def write_uint32(self, offset: int, value: int) -> None:
        if offset == CTRL or INSTR_MEM0 <= offset <= SM3_PINCTRL:
            self.materialise()
            if offset < SM0_CLKDIV:
                super().write_uint32(offset, value)
            else:
                self._write_machine(offset, value)
            self.stopped = True  # CTRL starts the block; it must never be the CPU loop that advances it
            self._running = [machine for machine in self.machines if machine.enabled]
            self._loops.clear()
            self.check_changed_pins()
        else:
            self.synchronise()
            if TXF0 <= offset <= TXF3:
                hook = self.on_put.get((offset - TXF0) >> 2)
                if hook is not None:
                    hook(value & 0xFFFFFFFF)
            super().write_uint32(offset, value)
        self._rearm()

    def _write_machine(self, offset: int, value: int) -> None:
        index, register = divmod(offset - SM0_CLKDIV, MACHINE_STRIDE)
        machine = self.machines[index]
        if register == SM0_INSTR - SM0_CLKDIV and machine.waiting:
            # The stalled instruction gives way to the forced one and is then tried again.
            machine.waiting = False
            machine.next_due_fp = self.cycle_fp + machine.div_fp
        elif register == SM0_SHIFTCTRL - SM0_CLKDIV and (machine.shift_ctrl ^ value) & (
            SHIFTCTRL_FJOIN_RX | SHIFTCTRL_FJOIN_TX
        ):
            self._size_fifos(machine, value)
            self.rp2040.dma.set_dreq(machine.dreq_tx)
            self.rp2040.dma.clear_dreq(machine.dreq_rx)
            self.check_interrupts()
        super().write_uint32(offset, value)

    def _size_fifos(self, machine, shift_ctrl: int) -> None:
        """Give the machine empty FIFOs of the depths that FJOIN asks for."""
        index = machine.index

        def pulled(word: int) -> None:
            hook = self.on_pull.get(index)
            if hook is not None:
                hook(word, self.cycle_fp >> FP_SHIFT)

        tx_words = rx_words = FIFO_WORDS
        if shift_ctrl & SHIFTCTRL_FJOIN_TX:
            tx_words, rx_words = 2 * FIFO_WORDS, 0
        if shift_ctrl & SHIFTCTRL_FJOIN_RX:
            tx_words, rx_words = tx_words - FIFO_WORDS, rx_words + FIFO_WORDS
        machine.tx_fifo = _TxFifo(tx_words, pulled)
        machine.rx_fifo = FIFO(rx_words)

    def reset(self) -> None:
        """The block back to power-on. Its time goes on: the clock is the simulation's, not the chip's."""
        super().reset()
        for machine in self.machines:
            self._size_fifos(machine, 0)
        self._running = []
        self._loops.clear()
        self._skips.clear()
        self.synchronise()
        self._rearm()

    def stop(self) -> None:
        """Disable every machine."""
        self.materialise()
        super().stop()
        self._running = []
        self._rearm()


def install_clocked_pio(rp2040: RP2040) -> list[ClockedPio]:
    """Replace both PIO blocks of a chip that has not booted yet. Returns the new blocks."""
    blocks = [ClockedPio(rp2040, name, irq, i) for i, (_, name, irq) in enumerate(_BLOCKS)]
    for block, (key, name, _) in zip(blocks, _BLOCKS, strict=True):
        if not isinstance(rp2040.peripherals.get(key), RPPIO):
            raise RuntimeError(f"this emulator has no PIO block {name} at bus key {key:#x}")
        rp2040.peripherals[key] = block
    rp2040.pio[:] = blocks
    return blocks
