"""`ClockedPio` against the emulator's own PIO moved one cycle at a time: the same program, the same life.

No processor and no image: random programs, pokes at random cycles, and afterwards every edge, every
register and every FIFO must be the same. The reference pays one call per cycle, which nobody could
afford on a chip that lives for minutes, and needs no alarm, no skipping and no catching up.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rp2040py.irq import IRQ
from rp2040py.peripherals.pio import RPPIO
from rp2040py.peripherals.pio_registers import (
    CTRL,
    INSTR_MEM0,
    RXF0,
    SM0_CLKDIV,
    SM0_EXECCTRL,
    SM0_INSTR,
    SM0_PINCTRL,
    SM1_CLKDIV,
    TXF0,
)
from rp2040py.rp2040 import RP2040
from rp2040py.utils.logging import ConsoleLogger, LogLevel
from thecal_bench.chip.pio_clock import CYCLE_NS, ClockedPio

PIO_FUNCTION = 6
SIO_FUNCTION = 5
PADS_INPUT_ENABLE = 0x40
INPUT_PIN = 9
LENGTH = 6  # instructions in a program; it wraps at its end
MACHINES = 2
MACHINE_STRIDE = SM1_CLKDIV - SM0_CLKDIV

JMP, WAIT, IN, OUT, PUSH_PULL, MOV, IRQ_OP, SET = range(8)


class Reference:
    """A chip whose PIO is advanced by hand, cycle by cycle."""

    def __init__(self) -> None:
        self.chip: Any = RP2040()
        self.chip.simulator = object()  # somebody owns the chip: the block must not run by itself
        self.chip.logger = ConsoleLogger(LogLevel.ERROR)
        self.pio = self.make_block()
        self.pio.pin_directions = 0xFF  # eight outputs
        self.chip.pio[0] = self.pio
        self.edges: list[tuple[int, int, str]] = []
        for gpio in range(8):
            pin = self.chip.gpio[gpio]
            pin.ctrl = PIO_FUNCTION
            pin.add_listener(
                lambda state, _last, gpio=gpio: self.edges.append((self.now(), gpio, state.name))
            )
        self.chip.gpio[INPUT_PIN].ctrl = SIO_FUNCTION
        self.chip.gpio[INPUT_PIN].pad_value |= PADS_INPUT_ENABLE

    def make_block(self) -> RPPIO:
        return RPPIO(self.chip, "PIO0", IRQ.PIO0_IRQ0, 0)

    def now(self) -> int:
        return self.pio.cycle_fp >> 8

    def live(self, cycles: int) -> None:
        self.pio.advance(0)  # what a poke has made due runs in the same cycle
        for _ in range(cycles):
            self.chip.clock.tick(CYCLE_NS)
            self.pio.advance(1)

    def write(self, offset: int, value: int) -> None:
        self.pio.write_uint32_atomic(offset, value, 0)
        self.pio.check_changed_pins()

    def set_input(self, level: int) -> None:
        self.chip.gpio[INPUT_PIN].set_input_value(bool(level))

    def state(self) -> dict:
        machines = [
            {
                name: getattr(machine, name)
                for name in (
                    *("enabled", "x", "y", "pc", "input_shift_reg", "input_shift_count", "output_shift_reg"),
                    *("output_shift_count", "waiting", "exec_ctrl"),
                )
            }
            | {"tx": machine.tx_fifo.items, "rx": machine.rx_fifo.items}
            for machine in self.pio.machines[:MACHINES]
        ]
        return {
            "irq": self.pio.irq,
            "pins": self.pio.pin_values,
            "fdebug": self.pio.fdebug,
            "machines": machines,
        }


class Clocked(Reference):
    """The same chip with the block under test."""

    pio: ClockedPio
    skips = True

    def make_block(self) -> RPPIO:
        block = ClockedPio(self.chip, "PIO0", IRQ.PIO0_IRQ0, 0)
        block.skips_delay_loops = self.skips
        return block

    def live(self, cycles: int) -> None:
        self.chip.clock.tick(cycles * CYCLE_NS)

    def set_input(self, level: int) -> None:
        self.pio.synchronise()
        super().set_input(level)

    def state(self) -> dict:
        self.pio.materialise()
        return super().state()


class ClockedWithoutSkips(Clocked):
    skips = False


@dataclass
class Life:
    """A program, how the machines are set up, and what happens to them when."""

    program: list[int]
    dividers: list[int]
    exec_ctrl: list[int]
    pin_ctrl: list[int]
    pokes: list[tuple[int, str, int, int]] = field(default_factory=list)

    def lived_by(self, board: Reference) -> tuple[list, list, dict]:
        read = []
        for address, opcode in enumerate(self.program):
            board.write(INSTR_MEM0 + 4 * address, opcode)
        for machine in range(MACHINES):
            base = machine * MACHINE_STRIDE
            board.write(SM0_CLKDIV + base, self.dividers[machine] << 8)
            board.write(SM0_EXECCTRL + base, self.exec_ctrl[machine])
            board.write(SM0_PINCTRL + base, self.pin_ctrl[machine])
        board.write(CTRL, (1 << MACHINES) - 1)
        for wait_cycles, what, machine, value in self.pokes:
            board.live(wait_cycles)
            if what == "put":
                board.write(TXF0 + 4 * machine, value)
            elif what == "get":
                read.append(board.pio.read_uint32(RXF0 + 4 * machine))
            elif what == "input":
                board.set_input(value & 1)
            elif what == "enable":
                board.write(CTRL, value & (1 << MACHINES) - 1)
            elif what == "restart":
                board.write(CTRL, (1 << MACHINES) - 1 | (value & 3) << 4 | (value >> 2 & 3) << 8)
            elif what == "divider":
                board.write(SM0_CLKDIV + machine * MACHINE_STRIDE, (256 + value * 64) << 8)
            elif what == "rewrite":  # one instruction becomes a delay loop with another delay
                address, delay = value % LENGTH, value % 8
                board.write(INSTR_MEM0 + 4 * address, JMP << 13 | delay << 8 | 0b010 << 5 | address)
            elif what == "look" and not board.pio.machines[machine].waiting:
                board.write(SM0_INSTR + machine * MACHINE_STRIDE, MOV << 13 | 6 << 5 | 1)  # mov(isr, x)
                board.write(SM0_INSTR + machine * MACHINE_STRIDE, PUSH_PULL << 13)  # push(noblock)
        board.live(500)
        return board.edges, read, board.state()


@st.composite
def opcodes(draw, address: int) -> int:
    operation = draw(
        st.sampled_from([JMP, JMP, JMP, WAIT, IN, OUT, PUSH_PULL, PUSH_PULL, MOV, IRQ_OP, SET, SET])
    )
    delay_side = draw(st.integers(0, 31))
    argument = draw(st.integers(0, 255))
    if operation == JMP:
        target = address if draw(st.booleans()) else draw(st.integers(0, LENGTH - 1))
        argument = (
            draw(st.sampled_from([0b010, 0b100, 0b000, 0b001, 0b011, 0b101, 0b110, 0b111])) << 5 | target
        )
    elif operation == WAIT:
        # A pin that the test drives, or an IRQ flag.
        argument = draw(st.sampled_from([INPUT_PIN, 0x80 | INPUT_PIN, 0x40, 0xC0 | 1]))
    elif operation in (OUT, MOV):
        destinations = [0, 1, 2, 3, 6] if operation == OUT else [0, 1, 2, 6, 7]  # pins, registers; never EXEC
        argument = draw(st.sampled_from(destinations)) << 5 | argument & 0x1F
    elif operation == PUSH_PULL:
        argument &= 0xE0
    elif operation == IRQ_OP:
        argument &= 0x43
    elif operation == SET:
        argument = draw(st.sampled_from([0, 1, 2, 4])) << 5 | argument & 0x1F
    return operation << 13 | delay_side << 8 | argument


@st.composite
def lives(draw) -> Life:
    machines = range(MACHINES)
    waits = st.integers(0, 300)
    return Life(
        program=[draw(opcodes(address)) for address in range(LENGTH)],
        dividers=[draw(st.integers(256, 900)) for _ in machines],  # 1.0 to 3.5, in 1/256ths
        exec_ctrl=[(LENGTH - 1) << 12 | INPUT_PIN << 24 | draw(st.integers(0, 3)) << 29 for _ in machines],
        pin_ctrl=[
            draw(st.integers(0, 3)) << 29  # side-set pins
            | draw(st.integers(0, 3)) << 26  # set pins
            | draw(st.integers(0, 3)) << 20  # out pins
            | draw(st.sampled_from([0, 2, 5])) << 10
            | draw(st.sampled_from([0, 2, 5])) << 5
            | draw(st.sampled_from([0, 2, 5]))
            for _ in machines
        ],
        pokes=draw(
            st.lists(
                st.tuples(
                    waits,
                    st.sampled_from(
                        ["put", "put", "get", "input", "enable", "restart", "divider", "look", "rewrite"]
                    ),
                    st.integers(0, MACHINES - 1),
                    st.integers(0, 40),
                ),
                max_size=12,
            )
        ),
    )


# One pulse per 10 000 cycles, low by a delay loop: set(pins, 1); set(x, 31) ... as PULSES, in raw opcodes.
DELAY_LOOP = Life(
    program=[
        SET << 13 | 0 << 5 | 1,  # set(pins, 1)
        PUSH_PULL << 13 | 0x80,  # pull(noblock): osr = x when nothing was put
        MOV << 13 | 1 << 5 | 7,  # mov(x, osr)
        SET << 13 | 0 << 5,  # set(pins, 0)
        JMP << 13 | 0b010 << 5 | 4,  # here: jmp(x_dec, here)
        SET << 13 | 1 << 5 | 31,  # set(x, 31)
    ],
    dividers=[256, 256],
    exec_ctrl=[(LENGTH - 1) << 12] * 2,
    pin_ctrl=[1 << 26, 0],
    pokes=[(10, "put", 0, 400), (3_000, "look", 0, 0), (500, "get", 0, 0)],
)


# Two machines run one program; the one that is in its delay loop holds pin 2 up by side-set, turn after
# turn, against the other one, which pulls it down.
SHARED_PIN = Life(
    program=[
        PUSH_PULL << 13 | 0x80,
        MOV << 13 | 1 << 5 | 7,
        JMP << 13 | 0x10 << 8 | 0b010 << 5 | 2,  # here: jmp(x_dec, here).side(1)
        SET << 13,
        SET << 13 | 0x10 << 8 | 1,
        SET << 13,
    ],
    dividers=[256, 700],
    exec_ctrl=[(LENGTH - 1) << 12] * 2,
    pin_ctrl=[1 << 29 | 1 << 26 | 2 << 10 | 2 << 5] * 2,
    pokes=[(100, "put", 0, 300)],
)

# The delay loop is written over by one with another delay while it is known to be one.
REWRITTEN = replace(DELAY_LOOP, pokes=[(10, "put", 0, 40), (3_000, "rewrite", 0, 10), (10, "put", 0, 40)])


@pytest.mark.req("SIM-01", "MOT-05")
@settings(max_examples=150, deadline=None)
@given(lives())
@example(DELAY_LOOP)
@example(SHARED_PIN)
@example(REWRITTEN)
def test_a_block_on_alarms_lives_as_one_moved_cycle_by_cycle(life: Life) -> None:
    expected = life.lived_by(Reference())
    assert life.lived_by(ClockedWithoutSkips()) == expected
    assert life.lived_by(Clocked()) == expected


@pytest.mark.req("SIM-01")
def test_skipping_delay_loops_saves_callbacks_and_changes_nothing() -> None:
    stepped, skipping = ClockedWithoutSkips(), Clocked()
    assert DELAY_LOOP.lived_by(skipping) == DELAY_LOOP.lived_by(stepped)
    assert len(skipping.edges) > 100
    assert skipping.pio.callbacks < stepped.pio.callbacks / 3
