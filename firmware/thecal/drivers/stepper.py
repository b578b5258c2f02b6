"""The motor: segments into a PIO state machine, pulses back from others (`counter.py`).

The step machine executes one word per segment (`segment.py`) and stops by itself when its FIFO is empty; the
CPU never makes an edge. Nothing here allocates after construction.
"""

# The words of a PIO program are the assembler's, which brings them along when it runs.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportIndexIssue=false

import struct
import time
from array import array

import rp2
from machine import Pin, mem32

from . import segment
from .counter import ROTOR_HZ, STEP_HZ, Counter, count_program, rest_turn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Inputs


STEP_MACHINE = 0  # in PIO block 0, whose 32 instructions it fills with the sound's
COUNT_MACHINE = 4  # in PIO block 1 ...
ENCODER_MACHINE = 5  # ... and so is this ...
INDEX_MACHINE = 6  # ... and this, with one program of 23 instructions; the fourth makes the light, with 6
PIO0_BASE = 0x5020_0000
FSTAT = PIO0_BASE + 0x04
FDEBUG = PIO0_BASE + 0x08
FLEVEL = PIO0_BASE + 0x0C
TX_STALL = 1 << (24 + STEP_MACHINE)
QUEUE = 4  # segments of two words in the joined FIFO

PULL_NOBLOCK = 0x8080  # pull(noblock)
STEP_LOW = 0xE000  # set(pins, 0)
STEP_HIGH = 0xE001  # set(pins, 1)
PULSE_US = 20
PITCH_US = 26_666  # of the reference encoder at the greatest rate: 32 of 1 200 steps a second


# Cycles per line in brackets; segment.py has the totals. With a pulse of p times 8 cycles and waits of 32
# cycles: 38 + 32 lead to the first edge, 6 + 8 p + q from one to the next, 35 + 8 p + 32 tail from the last
# one to the end; 71 + 32 (lead + tail) without steps. 17 instructions.
def step_program(pulse: int):
    """The program whose pulses are high for `pulse` cycles, `segment.LEAST_PULSE` to `segment.MOST_PULSE`."""
    turns = pulse - 2

    @rp2.asm_pio(set_init=rp2.PIO.OUT_LOW, out_shiftdir=rp2.PIO.SHIFT_RIGHT, fifo_join=rp2.PIO.JOIN_TX)
    def program():
        # fmt: off
        wrap_target()
        pull(block)                     # [1]
        out(isr, 24)                    # [1] q
        out(y, 8)                       # [1] steps
        pull(block)                     # [1]
        out(x, 16)                      # [1]
        label("lead")
        jmp(x_dec, "lead")      [31]    # [32 lead + 32]
        label("next")
        jmp(y_dec, "pulse")             # [1]
        label("tail")
        out(x, 16)                      # [1]
        label("tail_wait")
        jmp(x_dec, "tail_wait") [31]    # [32 tail + 32]
        wrap()
        label("pulse")
        set(pins, 1)            [6]     # [7] the edge
        set(x, turns)                   # [1]
        label("high")
        jmp(x_dec, "high")      [7]     # [8 turns + 8]
        set(pins, 0)                    # [1]
        jmp(not_y, "tail")              # [1] that was the last pulse
        mov(x, isr)                     # [1]
        label("wait")
        jmp(x_dec, "wait")              # [q + 1]
        jmp("next")                     # [1]
        # fmt: on

    return program


class Stepper:
    """The motor driver: DIR, EN, the step queue, the counts of steps made and of encoder pulses."""

    def __init__(
        self,
        dir_forward_high: bool,
        enable_high: bool,
        pulse_ns: int = 0,
        step_sense_at_pad: bool = False,
        encoder_fitted: bool = True,
        index_fitted: bool = True,
        pitch_us: int = PITCH_US,
        interval_us: int = 0,
    ) -> None:
        """`pulse_ns`: for how long the driver needs STEP high; `segment.pulse_cycles` has the bounds. Steps
        are counted at STEP_SENSE, or at the pad of STEP. Without an encoder or an index mark none is counted.
        No two pulses of the encoder come within `pitch_us`, of which `counter.rest_turn` has the bounds. No
        two steps are made within `interval_us`.
        """
        pulse = segment.pulse_cycles(pulse_ns)
        self.pulse_us = segment.us_of(pulse)
        self.cutter = segment.Cutter(pulse, segment.period_cycles(interval_us))
        self.enable_high = enable_high
        self.forward_high = dir_forward_high
        self.reverse = False
        self.enable_pin = Pin(Pin.board.EN, Pin.OUT, value=0 if enable_high else 1)
        self.dir_pin = Pin(Pin.board.DIR, Pin.OUT, value=1 if dir_forward_high else 0)
        step = Pin(Pin.board.STEP, Pin.OUT, value=0)
        sense = Pin(Pin.board.STEP_SENSE, Pin.IN, Pin.PULL_DOWN)
        self.count_program = count_program(rest_turn(pitch_us))
        self.made = self._counter(COUNT_MACHINE, step if step_sense_at_pad else sense, STEP_HZ)
        self.turned = self.marked = None
        if encoder_fitted:
            encoder = Pin(Pin.board.ENCODER, Pin.IN, Pin.PULL_DOWN)
            self.turned = self._counter(ENCODER_MACHINE, encoder, ROTOR_HZ)
        if index_fitted:
            index = Pin(Pin.board.INDEX, Pin.IN, Pin.PULL_DOWN)
            self.marked = self._counter(INDEX_MACHINE, index, ROTOR_HZ)
        # From here on STEP is the machine's: made an input, the pin would be taken from it.
        self.machine = rp2.StateMachine(STEP_MACHINE, step_program(pulse), freq=segment.PIO_HZ, set_base=step)
        self.words = array("I", [0, 0])
        self.ordered_steps = 0  # position at the end of what is queued
        self.moving = False  # segments are queued or being executed

    def _counter(self, machine: int, pin, hz: int) -> Counter:
        return Counter(machine, self.count_program, pin, self.dir_pin, self.forward_high, hz)

    def self_test(self) -> bool:
        """A pulse to the motor driver, which is off: whether it comes back where steps are counted."""
        self.made.read()
        self.made.clear()
        self.machine.exec(STEP_HIGH)
        time.sleep_us(PULSE_US)
        self.machine.exec(STEP_LOW)
        time.sleep_us(PULSE_US)
        made = self.made.read() + 2 * self.made.backward()  # whatever the level of DIR
        # It was no step: the rotor did not turn.
        self.made.clear()
        return made == 1

    def read(self, inputs: "Inputs") -> None:
        """Fill in what the motor did."""
        made = self.made
        inputs.executed_steps = made.read()
        inputs.reverse_steps = made.backward()
        if self.turned:
            inputs.encoder_count = self.turned.read()
        if self.marked:
            inputs.index_count = self.marked.read()
        inputs.starved = self.moving and mem32[FDEBUG] & TX_STALL != 0
        # A segment whose first word was taken is one that is being taken.
        inputs.queue_free = QUEUE - ((mem32[FLEVEL] & 15) >> 1)

    def enable(self, on: bool) -> None:
        """Power to the motor driver."""
        self.enable_pin.value(1 if on == self.enable_high else 0)

    def halt(self) -> None:
        """Stop at once, in mid-segment, and empty the queue."""
        machine = self.machine
        machine.active(0)
        # A pulse that has begun is a step to the driver: let it last as it should, so that it is counted.
        time.sleep_us(self.pulse_us)
        machine.exec(STEP_LOW)
        for _ in range(2 * QUEUE):
            machine.exec(PULL_NOBLOCK)
        machine.restart()
        self.cutter.begin()
        self.ordered_steps = self.made.read()
        self.moving = False

    def turn(self, reverse: bool) -> None:
        """The direction of all that is queued from now on; the queue is empty and the motor rests."""
        if reverse != self.reverse:
            self.reverse = reverse
            self.dir_pin.value(1 if reverse != self.forward_high else 0)

    def queue(self, target_steps: int, cycles: int, first: int, lag: int) -> None:
        """Order the way to `target_steps` within so many cycles, behind what is queued; `first` and `lag` as
        of `segment.Cutter`. A target on the other side orders a pause.
        """
        steps = target_steps - self.ordered_steps
        if self.reverse:
            steps = -steps
        if steps < 0:
            steps = 0
        cutter = self.cutter
        steps = cutter.cut(steps, cycles, first, lag)
        self.ordered_steps += -steps if self.reverse else steps
        # Halves: a whole word would be a heap object.
        q = cutter.q
        struct.pack_into("<HHHH", self.words, 0, q & 65_535, q >> 16 | steps << 8, cutter.lead, cutter.tail)
        self.machine.put(self.words)

    def go(self) -> None:
        """Start on a queue that was filled after `halt`."""
        mem32[FDEBUG] = TX_STALL
        self.moving = True
        self.machine.active(1)
