"""Pulses counted by a PIO state machine, forward and backward apart by the level of DIR at its pad.

One counts the pulses that come back on STEP_SENSE over a wire, one those of the rotor's encoder. Nothing here
allocates after construction, and no pulse waits for the CPU.
"""

# The words of a PIO program are the assembler's, which brings them along when it runs.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportIndexIssue=false

from array import array

import micropython
import rp2

COUNT_HZ = 12_500_000  # sees a pulse of 3.2 us 40 times over
MACHINES = 4  # in a PIO block
BLOCK_BYTES = 0x10_0000  # from the registers of one block to those of the next
PIO0_BASE = 0x5020_0000

# `words` of a counter: what its machine's x and y were last, and the pulses that each has counted.
X, Y, AT_LOW, AT_HIGH = range(4)


@rp2.asm_pio(in_shiftdir=rp2.PIO.SHIFT_LEFT)
def count_program():
    # fmt: off
    wrap_target()
    label("next")
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(pin, "high")
    jmp(x_dec, "next")
    jmp("next")
    label("high")
    jmp(y_dec, "next")
    wrap()
    # fmt: on


@micropython.viper
def follow(words: ptr32, block: int, machine: int):  # type: ignore  # noqa: F821
    """Bring `words` up to date from x and y of a machine, which count down. 15 times faster than through
    `rp2.StateMachine`; a chip test compares the two. No constant here may have more than 16 bits: they would
    be read from where the frozen code is not aligned for it.
    """
    registers = ptr32(block)  # type: ignore  # noqa: F821
    instruction = 0x36 + 6 * machine  # SMn_INSTR
    fifo = 0x08 + machine  # RXFn
    empty = 0x100 << machine  # in FSTAT
    index = 0
    while index < 2:
        registers[instruction] = 0xA0C3  # mov(isr, null)
        registers[instruction] = 0x4030 + 0x20 * index  # in_(x, 16), then in_(y, 16)
        registers[instruction] = 0x8000  # push(noblock)
        while registers[1] & empty:
            pass
        count = registers[fifo]
        words[2 + index] += (words[index] - count) & 0xFFFF
        words[index] = count
        index += 1


class Counter:
    """Pulses forward and backward since construction, as of the last `read`."""

    def __init__(self, machine: int, pin, dir_pin, forward_high: bool) -> None:
        self.forward_at = AT_HIGH if forward_high else AT_LOW
        self.backward_at = AT_LOW if forward_high else AT_HIGH
        self.block = PIO0_BASE + machine // MACHINES * BLOCK_BYTES
        self.number = machine % MACHINES
        self.machine = rp2.StateMachine(machine, count_program, freq=COUNT_HZ, in_base=pin, jmp_pin=dir_pin)
        self.machine.active(1)
        self.words = array("i", [0] * 4)
        follow(self.words, self.block, self.number)
        self.clear()

    def clear(self) -> None:
        """Count from 0 on."""
        self.words[AT_LOW] = self.words[AT_HIGH] = 0

    def read(self):
        """Bring the counts up to date; forward less backward. At most 2^16 pulses may lie between two
        calls.
        """
        words = self.words
        follow(words, self.block, self.number)
        return words[self.forward_at] - words[self.backward_at]

    def backward(self):
        """Pulses backward."""
        return self.words[self.backward_at]
