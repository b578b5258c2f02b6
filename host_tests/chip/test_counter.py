"""The pulse counters: the image's programs in the emulated PIO, beside their cycle model and on the pump."""

from __future__ import annotations

import json
from random import Random

import pytest
from pio_desk import PioDesk
from thecal_bench.pulse_filter import BareCounter, PulseFilter

pytestmark = pytest.mark.chip

STEP_CYCLE, ROTOR_CYCLE = 10, 500
SHIFT_RIGHT = 1 << 19
BEGIN = 3 << 29
DIR = 3

WORDS = """
import json, rp2
from thecal import rig_bounds
from thecal.drivers.counter import LEAST_PITCH_US, count_program, rest_turn
from thecal.drivers.stepper import PITCH_US
turns = [rest_turn(us) for us in (rig_bounds.LEAST_PITCH_US, LEAST_PITCH_US, PITCH_US, 99_999)]
@rp2.asm_pio()
def bare():
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(x_dec, "again")
    label("again")
    nop()
print(json.dumps([list(count_program(1)[0]), list(count_program(9)[0]), list(bare[0]), turns]))
"""


def trembling(draw: Random, cycle: int, count: int) -> list[int]:
    """Changes of a level, of every length that matters: spikes, near the filter's length, pulses, rests."""
    at, changes = 100, []
    for _ in range(count):
        length = draw.choice([3, 2 * cycle, 4 * cycle, 13 * cycle, 300 * cycle, 3_000 * cycle])
        at += draw.randint(1, length)
        changes.append(at)
    return changes


def counted(desk: PioDesk, changes: list[int], pin: int) -> int:
    desk.start()
    for number, at in enumerate(changes):
        desk.live_until(at)
        desk.set(pin, 1 - number % 2)
    desk.live_until(changes[-1] + 1)
    return BEGIN - desk.x


@pytest.mark.req("MOT-01", "SIM-01")
def test_the_emulated_pio_counts_as_the_cycle_model_does(prompt):
    """Random levels at every distance of the input from DIR, in both directions, at both clocks; the bare
    counter beside its own model.
    """
    quick, slow, bare, turns = json.loads(prompt.run(WORDS))
    assert len(quick) == len(slow) == 23
    assert turns == [1, 1, 9, 9]
    draw, total = Random(5), 0
    for number in range(60):
        pin, forward = draw.choice([2, 5, 6, 7]), number % 2
        away = (DIR - pin) % 32
        bits = away + 1 if away < 16 else 32 - away
        cycle = draw.choice([STEP_CYCLE, STEP_CYCLE, ROTOR_CYCLE, 7])
        turn, words = (1, quick) if number % 3 else (9, slow)
        desk = PioDesk(
            words,
            cycle,
            in_base=pin,
            jmp_pin=pin,
            shift_ctrl=bits << 25 | (SHIFT_RIGHT if away < 16 else 0),
            forced=(0xE020 | 0b00110, 0xA031),
        )
        desk.set(DIR, forward)
        changes = trembling(draw, cycle, 200)
        expected = len(PulseFilter(cycle, turn, bits, bool(forward)).counted(changes, changes[-1] + 1))
        assert counted(desk, changes, pin) == (expected if forward else -expected), (number, pin, cycle)
        total += expected
    assert total > 500
    desk = PioDesk(bare, STEP_CYCLE, in_base=5, jmp_pin=5, forced=(0xE020 | 0b00110, 0xA031))
    changes = trembling(draw, STEP_CYCLE, 1_000)
    edges = len(BareCounter(STEP_CYCLE).counted(changes, changes[-1] + 1))
    assert counted(desk, changes, 5) == edges > 200


# Marks that come backward while the processor reads as fast as it can: adding one takes the machine 12 us, in
# which its x is not what it counts.
READ_ALL_THE_TIME = """
from machine import Pin
from time import ticks_diff, ticks_ms
from thecal.drivers.counter import ROTOR_HZ, Counter, count_program
direction = Pin(Pin.board.DIR, Pin.OUT, value=0)
pin = Pin(Pin.board.ENCODER, Pin.IN, Pin.PULL_DOWN)
counter = Counter(5, count_program(1), pin, direction, True, ROTOR_HZ)
began_ms, was, most, reads = ticks_ms(), 0, 0, 0
while ticks_diff(ticks_ms(), began_ms) < 400:
    now = counter.read()
    most = max(most, abs(now - was))
    was = now
    reads += 1
print(reads > 1000, most, was)
"""


@pytest.mark.req("MOT-01")
def test_a_count_that_is_read_while_one_is_added_is_right(prompt):
    board, draw = prompt.board, Random(3)
    at_ns = board.now_ns + 120_000_000
    for _ in range(40):
        for level in (1, 0):
            board.schedule_ns(at_ns, lambda level=level: board.set_pin("ENCODER", level))
            at_ns += draw.randint(1_300_000, 2_500_000)
    assert prompt.run(READ_ALL_THE_TIME).split() == ["True", "1", "-40"]
