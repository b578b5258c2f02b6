"""Sound and light of an alarm, made by two PIO state machines that hold a pattern and repeat it for ever.

The loop calls `show` in every tick and writes only what changes. Between changes the patterns need no
processor: a collection of garbage, an erase of the flash or a hung loop neither shortens nor stops them. A
change takes effect at once: the old pattern is cut off and the new one begins with its first pulse. Nothing
allocates after construction, nothing is decided here and nothing raises.

The patterns are SOUNDS and LIGHTS, one row per priority. Within these bounds (IEC 60601-1-8, its tables of
the characteristics of auditory and visual alarm signals) the numbers are own choice:

    HIGH    ten pulses of 75-200 ms in the rhythm 3, 2, pause, 3, 2; x = 50-125 ms between them, 2 x and a
            pulse between third and fourth, 0.35-1.3 s between fifth and sixth; 2.5-15 s between bursts;
            red, 1.4-2.8 Hz, on for 20-80 %
    MEDIUM  three pulses of 125-250 ms, 125-250 ms apart; 2.5-30 s between bursts;
            yellow, 0.4-0.8 Hz, on for 20-60 %
    LOW     one or two pulses of 125-250 ms, 125-250 ms apart; more than 15 s between bursts, or one only;
            cyan or yellow, constant

A sound is drawn in slots of 100 ms. The tone is 320 Hz (150-1 000 Hz are allowed) and high for an eighth of
its period: then the harmonics 2 to 6 (640-1 920 Hz) lie within 11 dB of it, where four within 15 dB between
300 and 4 000 Hz are wanted; a square wave would have two. These are levels at the pin: a sounder that
resonates changes them. Nor can a pin let a pulse rise and fall over a part of its length, as the standard
wants: both are left to the sounder and its amplifier.
"""

# The words of a PIO program are the assembler's, which brings them along when it runs.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportIndexIssue=false

import time
from array import array

import rp2
from machine import Pin

SOUND_MACHINE = 1  # in PIO block 0, beside the step machine: between them they use its 32 instructions
LIGHT_MACHINE = 7  # in PIO block 1, beside the counters
PIO_HZ = 10_240  # 125 MHz / 12 207.03125, exact; 32 cycles are a period of the tone, 1 024 a slot

# Slots of 100 ms with a tone (1) and without, 27 at most; and how many times, up to 5, 3.2 s of silence
# follow.
SOUNDS = (
    ("101010001010000010101000101", 1),  # HIGH: 3.2 s between bursts
    ("1100110011", 2),  # MEDIUM: 8.1 s
    ("110011", 5),  # LOW: 18.1 s
)
PAUSE_BITS = 5
TEST = array("I", [0x7FF_FFFF << PAUSE_BITS])  # a tone without a gap

# LEDs and how long, other LEDs and how long, in units of 3.125 ms, 8 192 at most.
RED, YELLOW, CYAN = 1, 2, 4
LONGEST = 8_192
LIGHTS = (
    (RED, 80, 0, 80),  # HIGH: 2 Hz, half of it
    (YELLOW, 256, 0, 384),  # MEDIUM: 0.5 Hz, 40 %
    (CYAN, LONGEST, CYAN, LONGEST),  # LOW
    (0, LONGEST, 0, LONGEST),  # none
)
NONE = 3  # row of both

PINS_LOW = 0xE000  # set(pins, 0)
PULL_NOBLOCK = 0x8080  # pull(noblock)

TEST_US = 20_000
TEST_PULSES = 5  # of the 6 or 7 that there are in 20 ms


# Cycles per line in brackets. Every slot takes 1 024, with a tone or without, and a tone goes on from slot to
# slot without a break. A word takes 5 more, each of its pauses 4 more than its 32 slots. 14 instructions.
@rp2.asm_pio(
    set_init=rp2.PIO.OUT_LOW,
    out_init=rp2.PIO.OUT_LOW,
    in_shiftdir=rp2.PIO.SHIFT_RIGHT,
    out_shiftdir=rp2.PIO.SHIFT_RIGHT,
)
def sound_program():
    # fmt: off
    label("begin")
    pull(noblock)                   # [1] x, if there is no new word
    mov(x, osr)                     # [1]
    out(isr, 5)                     # [1] a bit for each pause; 27 slots are left
    wrap_target()
    label("slot")
    set(y, 31)                      # [1] 32 periods of 32, less the 3 between two of them
    label("period")
    mov(pins, osr)          [3]     # [4] high if the slot has a tone
    set(pins, 0)            [23]    # [24]
    jmp(y_dec, "more")              # [1]
    out(null, 1)                    # [1] the next slot
    jmp(not_osre, "slot")           # [1]
    mov(y, isr)                     # [1]
    jmp(not_y, "begin")             # [1]
    in_(null, 1)                    # [1] one pause less
    mov(osr, null)                  # [1] 32 silent slots
    wrap()
    label("more")
    jmp("period")           [2]     # [3]
    # fmt: on


# Cycles per line in brackets: 32 for each unit and 3 more, and 2 more for a word.
@rp2.asm_pio(out_init=[rp2.PIO.OUT_LOW] * 3, out_shiftdir=rp2.PIO.SHIFT_RIGHT)
def light_program():
    # fmt: off
    wrap_target()
    pull(noblock)                   # [1] x, if there is no new word
    mov(x, osr)                     # [1]
    label("phase")
    out(pins, 3)                    # [1]
    out(y, 13)                      # [1] units - 1
    label("hold")
    jmp(y_dec, "hold")      [31]    # [32 units]
    jmp(not_osre, "phase")          # [1]
    wrap()
    # fmt: on


def _sound_word(slots, pauses):
    word = (1 << pauses) - 1
    for slot in range(len(slots)):
        if slots[slot] == "1":
            word |= 1 << PAUSE_BITS + slot
    return array("I", [word])


def _light_word(pins, units: int, other_pins, other_units: int):
    return array("I", [pins | units - 1 << 3 | other_pins << 16 | other_units - 1 << 19])


def _play(machine, word):
    machine.active(0)
    # A cycle is 98 us: of two words in a row the machine may not have taken the first.
    machine.exec(PULL_NOBLOCK)
    machine.put(word)
    machine.restart()
    machine.active(1)


class Annunciator:
    """Silent and dark until told otherwise."""

    def __init__(self) -> None:
        self.sense = Pin(Pin.board.BUZZER_SENSE, Pin.IN, Pin.PULL_DOWN)
        self.sounds = [_sound_word(*row) for row in SOUNDS]
        self.lights = [_light_word(*row) for row in LIGHTS]
        buzzer = Pin(Pin.board.BUZZER, Pin.OUT, value=0)
        self.sound_machine = rp2.StateMachine(
            SOUND_MACHINE, sound_program, freq=PIO_HZ, set_base=buzzer, out_base=buzzer
        )
        # Three pins in a row: red, yellow, cyan.
        Pin(Pin.board.LED_YELLOW, Pin.OUT, value=0)
        Pin(Pin.board.LED_CYAN, Pin.OUT, value=0)
        self.light_machine = rp2.StateMachine(
            LIGHT_MACHINE, light_program, freq=PIO_HZ, out_base=Pin(Pin.board.LED_RED, Pin.OUT, value=0)
        )
        self.heard = NONE  # rows that are being played
        self.seen = NONE
        _play(self.light_machine, self.lights[NONE])

    def show(self, priority: int, sounding: bool) -> None:
        """Light and, if `sounding`, sound of an alarm of `priority` (0 HIGH to 2 LOW, -1 for none). Nothing
        happens if that is being played already.
        """
        seen = NONE if priority < 0 else priority
        heard = seen if sounding else NONE
        if seen != self.seen:
            self.seen = seen
            _play(self.light_machine, self.lights[seen])
        if heard != self.heard:
            self.heard = heard
            self._silence()
            if heard != NONE:
                _play(self.sound_machine, self.sounds[heard])

    def self_test(self) -> bool:
        """A tone of 20 ms; True if it came back on BUZZER_SENSE. Silent afterwards."""
        _play(self.sound_machine, TEST)
        pulses = 0
        was = self.sense.value()
        began_us = time.ticks_us()
        while time.ticks_diff(time.ticks_us(), began_us) < TEST_US:
            level = self.sense.value()
            pulses += level > was
            was = level
        self._silence()
        self.heard = NONE
        return pulses >= TEST_PULSES and self.sense.value() == 0

    def _silence(self) -> None:
        self.sound_machine.active(0)
        self.sound_machine.exec(PINS_LOW)  # it may be in the high part of a period
