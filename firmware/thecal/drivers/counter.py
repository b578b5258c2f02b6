"""Pulses counted by PIO state machines, with the sign of the level of DIR at its pad.

One counts the pulses of STEP that come back on STEP_SENSE, over a wire or at the pad of STEP itself; one
those of the rotor's encoder and one its index marks. Nothing here allocates after construction, and no pulse
waits for the CPU.

What counts is a level, not an edge: beside a motor driver that chops its current, wires carry spikes. A pulse
counts when its input was seen high six times in a row, two cycles apart (`FILTER_CYCLES` from the first to
the last); it is over when the input was seen low six times in a row. After either, the input is not looked at
for `REST_TURNS` turns of `rest_turn` cycles, so what bounces or trembles around an edge is one pulse. On the
reference rig, where that is 2 304 cycles:

                     cycle   never counts if shorter   always counts from   after each edge it rests
    steps            80 ns   0.80 us                   0.88 us              0.18 ms
    encoder, index   4 us    40 us                     44 us                9.2 ms

So two pulses count as two from 0.38 ms apart on (steps: the driver orders none closer than 0.41 ms), and from
18.6 ms apart (the encoder, which at the greatest rate gives one in 26.7 ms: the rest is left to marks that
are uneven). A rotor that turns by itself faster than that is still counted, once in 18.6 to 40 ms. What fools
a counter: noise that lasts as long as a pulse, and spikes on all six looks.

The program takes 23 of the 32 instruction words of a PIO block, once for all its machines.

What a count at the pad of STEP proves: that the chip itself drove its pin high, so often and for so long, by
a machine that knows nothing of the orders. What it does not prove: that the wire to the motor driver is
there, that the driver saw the pulse, had power and was enabled. A wire from the driver's end back to
STEP_SENSE proves the wire as well; that the rotor turned only an encoder can tell.
"""

# The words of a PIO program are the assembler's, which brings them along when it runs.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportIndexIssue=false

from array import array

import micropython
import rp2
from machine import mem32

from ..rig_bounds import LEAST_PITCH_US

STEP_HZ = 12_500_000  # of the machine that counts steps
ROTOR_HZ = 250_000  # of those that count the rotor's marks
FILTER_CYCLES = 10  # from the first look at a new level to the last one
REST_TURNS = 256  # of a rest, each of 1 to MOST_TURN cycles
MOST_TURN = 9  # two rests of the counter of steps are then 0.37 ms
REST_PERCENT = 35  # of the time from pulse to pulse; the input is high for about half of it
MACHINES = 4  # in a PIO block
GPIOS = 32  # that a machine sees, from its input on and around
BLOCK_BYTES = 0x10_0000  # from the registers of one block to those of the next
PIO0_BASE = 0x5020_0000
SM0_PINCTRL = 0xDC
SM_BYTES = 0x18  # from the registers of one machine to those of the next
IN_BASE_BIT = 15  # of PINCTRL

# x begins where it stays positive for the 2^30 pulses forward that the pump may make without a reset
# (COUNT_END), and for a quarter as many backward at least.
SET_X = 0xE020  # set(x, ...)
REVERSE_X = 0xA031  # mov(x, reverse(x))
BEGIN_HIGH = 0b00110  # reversed: 3 * 2^29, of which is taken forward
BEGIN_LOW = 0b00100  # reversed: 2^29, to which is added

# `words` of a counter: what its machine's x was last, and the pulses that were counted at each level of DIR.
X, AT_LOW, AT_HIGH = range(3)


def rest_turn(pitch_us: int):
    """Cycles in a turn of the rest, for an encoder that gives no two pulses within `pitch_us`. Raises
    ValueError where that is too short to be counted.
    """
    turn = pitch_us * REST_PERCENT // 100 * (ROTOR_HZ // 1_000) // 1_000 // REST_TURNS
    if turn < 1:
        raise ValueError(f"an encoder pulse in {pitch_us} us: at least {LEAST_PITCH_US} us can be counted")
    return turn if turn < MOST_TURN else MOST_TURN


# One cycle a line, unless in brackets.
def count_program(turn: int):
    """The program that rests for `turn` times `REST_TURNS` cycles after each edge."""

    @rp2.asm_pio()
    def program():
        # fmt: off
        wrap_target()
        label("high")                   # it begins here: what is high already is no pulse
        wait(0, pin, 0)
        set(y, 4)
        label("falls")
        jmp(pin, "high")                # a dip
        jmp(y_dec, "falls")
        mov(osr, invert(null))
        out(y, 8)
        label("rest_low")
        jmp(y_dec, "rest_low")  [turn - 1]  # [256 turn]
        label("low")
        wait(1, pin, 0)
        set(y, 4)
        label("rises")
        jmp(pin, "is_high")
        jmp("low")                      # a spike
        label("is_high")
        jmp(y_dec, "rises")
        mov(osr, pins)
        label("turn")
        out(y, 1)                       # the input itself, or the GPIO below it, and so on to DIR
        jmp(not_osre, "turn")
        jmp(not_y, "back")
        jmp(x_dec, "counted")           # x is never 0
        label("back")
        mov(x, invert(x))               # negative from here
        jmp(x_dec, "more")
        label("more")
        mov(x, invert(x))               # to here, and one more than it was
        label("counted")
        mov(osr, invert(null))
        out(y, 8)                       # 255
        label("rest_high")
        jmp(y_dec, "rest_high") [turn - 1]  # [256 turn]
        wrap()
        # fmt: on

    return program


@micropython.viper
def follow(words: ptr32, block: int, machine: int):  # type: ignore  # noqa: F821
    """Bring `words` up to date from x of a machine, which is less by each pulse while DIR is high and more by
    each while it is low. Much faster than through `rp2.StateMachine`; a chip test compares the two. No
    constant here may have more than 16 bits: they would be read from where the frozen code is not aligned for
    it.
    """
    registers = ptr32(block)  # type: ignore  # noqa: F821
    instruction = 0x36 + 6 * machine  # SMn_INSTR
    empty = 0x100 << machine  # in FSTAT
    count = -1
    while count < 0:  # the machine is in the middle of adding
        registers[instruction] = 0x4020  # in_(x, 32); the program leaves isr alone
        registers[instruction] = 0x8000  # push(noblock)
        while registers[1] & empty:
            pass
        count = registers[0x08 + machine]  # RXFn
    less = words[0] - count
    words[0] = count
    if less > 0:
        words[2] += less
    else:
        words[1] -= less


class Counter:
    """Pulses forward and backward since construction, as of the last `read`: those between two reads all
    count the way that most of them went.
    """

    def __init__(self, machine: int, program, pin, dir_pin, forward_high: bool, hz: int) -> None:
        """State machine `machine` (0 to 7) runs a `count_program` at `hz`. `pin` is an input, or an output
        that is left as it is.
        """
        self.program = program
        self.forward_at = AT_HIGH if forward_high else AT_LOW
        self.backward_at = AT_LOW if forward_high else AT_HIGH
        self.block = PIO0_BASE + machine // MACHINES * BLOCK_BYTES
        self.number = machine % MACHINES
        self.machine = rp2.StateMachine(machine)
        away = (self._gpio(dir_pin) - self._gpio(pin)) % GPIOS
        self.machine.init(
            program,
            freq=hz,
            in_base=pin,
            jmp_pin=pin,
            out_shiftdir=rp2.PIO.SHIFT_RIGHT if away < GPIOS // 2 else rp2.PIO.SHIFT_LEFT,
            pull_thresh=away + 1 if away < GPIOS // 2 else GPIOS - away,
        )
        self.machine.exec(SET_X | (BEGIN_HIGH if forward_high else BEGIN_LOW))
        self.machine.exec(REVERSE_X)
        self.machine.active(1)
        self.words = array("i", [0] * 3)
        follow(self.words, self.block, self.number)
        self.clear()

    def _gpio(self, pin) -> int:
        """The number of a pin, which only the machine says that is told of it."""
        self.machine.init(self.program, in_base=pin)
        return mem32[self.block + SM0_PINCTRL + SM_BYTES * self.number] >> IN_BASE_BIT & GPIOS - 1

    def clear(self) -> None:
        """Count from 0 on."""
        self.words[AT_LOW] = self.words[AT_HIGH] = 0

    def read(self):
        """Bring the counts up to date; forward less backward."""
        words = self.words
        follow(words, self.block, self.number)
        return words[self.forward_at] - words[self.backward_at]

    def backward(self):
        """Pulses backward."""
        return self.words[self.backward_at]
