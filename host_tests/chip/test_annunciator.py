"""ALM-03 at the pins of the chip: the sound and the light of every priority, whatever the processor is doing.

The bounds in IEC are typed from ALM-03 and IEC 60601-1-8, not read from the driver. Times are simulated.
"""

from __future__ import annotations

import cmath
import math
from typing import NamedTuple

import pytest
from rig import Rig
from thecal_bench.chip import EmulatedBoard, RawRepl
from thecal_bench.chip.recorders import EdgeRecorder

pytestmark = pytest.mark.chip

CYCLES_PER_MS = 125_000
LEDS = ("LED_RED", "LED_YELLOW", "LED_CYAN")
PRIORITIES = (0, 1, 2)
HIGH, MEDIUM, LOW = PRIORITIES
NAMES = ("HIGH", "MEDIUM", "LOW")


class Bounds(NamedTuple):
    pulses: int
    length_ms: tuple[float, float]
    spacing_ms: tuple[float, float]
    interval_ms: tuple[float, float]
    led: str
    light_hz: tuple[float, float]
    duty: tuple[float, float]


IEC = (
    Bounds(10, (75, 200), (50, 125), (2_500, 15_000), "LED_RED", (1.4, 2.8), (0.2, 0.8)),
    Bounds(3, (125, 250), (125, 250), (2_500, 30_000), "LED_YELLOW", (0.4, 0.8), (0.2, 0.6)),
    Bounds(2, (125, 250), (125, 250), (15_000, math.inf), "LED_CYAN", (0, 0), (1, 1)),
)
LONG_GAP_MS = 1_300  # more than this between two pulses is between two bursts
LEAST_TONE_HZ = 150

START = """
import gc, time
from thecal.drivers.stepper import Stepper
from thecal.drivers.annunciator import Annunciator
stepper = Stepper(True, False)
annunciator = Annunciator()
"""
# What the loop does: the same order again and again, with garbage collected in between.
SHOW = """
while True:
    annunciator.show(%d, True)
    gc.collect()
    time.sleep_ms(41)
"""


class Wires:
    """A logic analyser on the sounder and the lamps."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        self.sound = EdgeRecorder(board, "BUZZER")
        self.lights = {led: EdgeRecorder(board, led) for led in LEDS}

    def clear(self) -> None:
        self.sound.clear()
        for light in self.lights.values():
            light.clear()


class Pulse(NamedTuple):
    """One pulse of sound, as (rise, fall) of every period of its tone, in cycles."""

    periods: tuple[tuple[int, int], ...]

    @property
    def begin(self) -> int:
        return self.periods[0][0]

    @property
    def end(self) -> int:
        return self.periods[-1][1]

    @property
    def length_ms(self) -> float:
        return (self.end - self.begin) / CYCLES_PER_MS


def pulses_of(sound: EdgeRecorder) -> list[Pulse]:
    """A silence of more than the longest period of a tone ends a pulse."""
    edges = sound.edges[: len(sound.edges) // 2 * 2]
    assert all(edge.level == (1 - number % 2) for number, edge in enumerate(edges))
    pulses: list[list[tuple[int, int]]] = []
    for rise, fall in zip(edges[::2], edges[1::2], strict=True):
        if not pulses or rise.cycle - pulses[-1][-1][0] > 1_000 / LEAST_TONE_HZ * CYCLES_PER_MS:
            pulses.append([])
        pulses[-1].append((rise.cycle, fall.cycle))
    return [Pulse(tuple(periods)) for periods in pulses]


def gaps_ms(pulses: list[Pulse]) -> list[float]:
    return [(b.begin - a.end) / CYCLES_PER_MS for a, b in zip(pulses, pulses[1:], strict=False)]


def bursts_of(pulses: list[Pulse]) -> list[list[Pulse]]:
    bursts = [[pulses[0]]]
    for pulse, gap in zip(pulses[1:], gaps_ms(pulses), strict=True):
        if gap > LONG_GAP_MS:
            bursts.append([])
        bursts[-1].append(pulse)
    return bursts


def within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def check_burst(priority: int, burst: list[Pulse]) -> None:
    iec = IEC[priority]
    assert len(burst) == iec.pulses
    length_ms = burst[0].length_ms
    gaps = gaps_ms(burst)
    for pulse in burst:
        assert within(pulse.length_ms, iec.length_ms) and abs(pulse.length_ms - length_ms) < 1
    for number, gap in enumerate(gaps):
        if priority == HIGH and number == 4:
            assert within(gap, (350, 1_300))
        elif priority == HIGH and number in (2, 7):
            assert abs(gap - (2 * gaps[0] + length_ms)) < 1
        else:
            assert within(gap, iec.spacing_ms) and abs(gap - gaps[0]) < 1


def check_sound(priority: int, sound: EdgeRecorder, bursts: int) -> None:
    """At least `bursts` whole ones, each as it should be, and the intervals between them."""
    found = bursts_of(pulses_of(sound))
    assert len(found) > bursts
    for burst in found[:-1]:
        check_burst(priority, burst)
    for burst, following in zip(found, found[1:], strict=False):
        assert within((following[0].begin - burst[-1].end) / CYCLES_PER_MS, IEC[priority].interval_ms)


def harmonics(pulse: Pulse) -> tuple[float, dict[int, float]]:
    """Fundamental in Hz, and the levels of the others up to 4 000 Hz in dB above it."""
    rises = [rise for rise, _ in pulse.periods]
    lengths = {b - a for a, b in zip(rises, rises[1:], strict=False)}
    assert max(lengths) - min(lengths) <= 1 * CYCLES_PER_MS / 10, "one tone from beginning to end"
    period = (rises[-1] - rises[0]) / (len(rises) - 1)

    def amplitude(number: int) -> float:
        total = 0j
        for rise, fall in pulse.periods:
            begin, end = ((cycle - rises[0]) / period * 2 * math.pi * number for cycle in (rise, fall))
            total += (cmath.exp(-1j * end) - cmath.exp(-1j * begin)) / number
        return abs(total)

    hz = 125_000_000 / period
    levels = {
        number: 20 * math.log10(amplitude(number) / amplitude(1))
        for number in range(2, 30)
        if within(number * hz, (300, 4_000)) and amplitude(number) > 1e-6 * amplitude(1)
    }
    return hz, levels


def check_light(priority: int, wires: Wires) -> None:
    iec = IEC[priority]
    for led, light in wires.lights.items():
        if led != iec.led:
            assert wires.board.pin(led) == 0 and not light.edges
    light = wires.lights[iec.led]
    if not iec.light_hz[1]:
        assert wires.board.pin(iec.led) == 1 and len(light.edges) <= 1
        return
    rising = light.rising
    falling = [edge.cycle for edge in light.edges if not edge.level and edge.cycle > rising[0]]
    assert len(rising) > 5
    for on, off, again in zip(rising, falling, rising[1:], strict=False):
        assert within(125_000_000 / (again - on), iec.light_hz)
        assert within((off - on) / (again - on), iec.duty)


# How long it takes to see three bursts begin.
THREE_BURSTS_MS = (13_000, 21_000, 40_000)


def no_backlog(board: EmulatedBoard) -> bool:
    return all(block.backlog_drops == 0 for block in board.pio)


@pytest.fixture
def wired(make_prompt) -> tuple[RawRepl, Wires]:
    """A board with motor driver and annunciator at the prompt, and the analyser on it."""
    prompt = make_prompt()
    prompt.run(START)
    return prompt, Wires(prompt.board)


@pytest.mark.req("ALM-03")
@pytest.mark.parametrize("priority", PRIORITIES, ids=NAMES)
def test_every_pattern_is_that_of_the_standard_while_garbage_is_collected(wired, priority):
    prompt, wires = wired
    prompt.start(SHOW % priority)
    prompt.board.run_for_ms(THREE_BURSTS_MS[priority])
    check_sound(priority, wires.sound, 2)
    check_light(priority, wires)
    assert no_backlog(prompt.board)


@pytest.mark.req("ALM-03")
@pytest.mark.parametrize("priority", PRIORITIES, ids=NAMES)
def test_every_pulse_has_its_fundamental_and_four_harmonics(wired, priority):
    prompt, wires = wired
    prompt.run(f"annunciator.show({priority}, True)")
    prompt.board.run_for_ms(3_000)
    pulses = pulses_of(wires.sound)
    assert len(pulses) == IEC[priority].pulses
    for pulse in pulses:
        hz, levels = harmonics(pulse)
        assert within(hz, (150, 1_000))
        assert len([level for level in levels.values() if abs(level) <= 15]) >= 4, levels


def test_the_measurement_of_harmonics_sees_that_a_square_wave_has_too_few():
    square = Pulse(tuple((at, at + 195_312) for at in range(0, 40 * 390_624, 390_624)))
    hz, levels = harmonics(square)
    assert round(hz) == 320
    assert {number for number, level in levels.items() if level > -15} == {3, 5}
    assert levels[3] == pytest.approx(20 * math.log10(1 / 3), abs=0.01)


@pytest.mark.req("ALM-03")
@pytest.mark.parametrize("priority", PRIORITIES, ids=NAMES)
@pytest.mark.parametrize("trouble", ["stalls", "hangs"])
def test_every_pattern_goes_on_while_the_processor_stands_still(wired, priority, trouble):
    prompt, wires = wired
    board = prompt.board
    prompt.start(SHOW % priority)
    board.run_for_ms(130)
    if trouble == "hangs":
        board.hang()
        worked = board.busy_cycles
        board.run_for_ms(THREE_BURSTS_MS[priority])
        assert board.busy_cycles == worked
    else:
        for _ in range(THREE_BURSTS_MS[priority] // 437):
            board.stall_cpu_ms(400)
            board.run_for_ms(437)
    check_sound(priority, wires.sound, 2)
    check_light(priority, wires)
    assert no_backlog(board)


# The other lamp of the board says when `show` was called.
MARKED = """
from machine import Pin
mark = Pin(Pin.board.LED, Pin.OUT, value=0)
def show(*orders):
    mark.value(1)
    annunciator.show(*orders)
    mark.value(0)
"""
CHANGE_MS = 2  # within which a change takes effect, with its first pulse of sound; ALM-03 allows 100 ms


@pytest.mark.req("ALM-03", "ALM-05")
@pytest.mark.parametrize("after_ms", [0, 1, 3, 50, 97, 150, 230, 640, 2_000, 4_000])
def test_a_change_takes_effect_at_once_wherever_the_pattern_is(wired, after_ms):
    prompt, wires = wired
    prompt.run(MARKED)
    marks = EdgeRecorder(prompt.board, "LED")

    def ordered(orders: str) -> int:
        """Give the orders; returns the cycle at which they were given."""
        marks.clear()
        wires.clear()
        prompt.run(f"show({orders})")
        prompt.board.run_for_ms(1_000)
        return marks.edges[0].cycle

    for orders, led in (("0, True", "LED_RED"), ("1, True", "LED_YELLOW"), ("2, True", "LED_CYAN")):
        at = ordered(orders)
        before = [edge for edge in wires.sound.edges if edge.cycle < at]
        assert wires.sound.rising[len(before) // 2] - at <= CHANGE_MS * CYCLES_PER_MS
        assert 0 <= wires.lights[led].rising[0] - at <= CHANGE_MS * CYCLES_PER_MS
        prompt.board.run_for_ms(after_ms)
    at = ordered("-1, False")
    prompt.board.run_for_ms(20_000)
    assert all(edge.cycle - at <= CHANGE_MS * CYCLES_PER_MS for edge in wires.sound.edges)
    assert prompt.board.pin("BUZZER") == 0
    assert not any(prompt.board.pin(led) for led in LEDS)


@pytest.mark.req("ALM-03", "ALM-05")
def test_a_tone_that_is_cut_off_while_the_pin_is_high_leaves_no_current_in_the_sounder(wired):
    prompt, wires = wired
    prompt.run("""
annunciator.show(0, True)
while not annunciator.sense.value():
    pass
annunciator.show(0, False)
""")
    last = wires.sound.edges[-1]
    assert last.level == 0 and last.cycle - wires.sound.rising[-1] < 4 * 12_207, "it was cut off"
    prompt.board.run_for_ms(5_000)
    assert wires.sound.edges[-1] == last and prompt.board.pin("BUZZER") == 0


@pytest.mark.req("ALM-04", "ALM-05")
def test_a_silenced_alarm_is_still_seen_and_its_light_does_not_falter(wired):
    prompt, wires = wired
    prompt.run("annunciator.show(0, True)")
    prompt.board.run_for_ms(1_050)
    prompt.run("annunciator.show(0, False)")
    wires.sound.clear()
    prompt.board.run_for_ms(8_000)
    assert not wires.sound.edges
    check_light(HIGH, wires)
    prompt.run("annunciator.show(0, True)")
    prompt.board.run_for_ms(7_000)
    check_sound(HIGH, wires.sound, 1)
    check_light(HIGH, wires)


@pytest.mark.req("ALM-03")
def test_the_self_test_hears_the_sounder_and_misses_it(wired):
    prompt, wires = wired
    board = prompt.board
    test = "print(annunciator.self_test())"
    assert prompt.run(test) == "True\n"
    assert 0 < (wires.sound.edges[-1].cycle - wires.sound.edges[0].cycle) / CYCLES_PER_MS <= 25
    assert len(wires.sound.rising) >= 6
    board.unplug("BUZZER_SENSE")
    assert prompt.run(test) == "False\n", "no wire"
    board.set_pin("BUZZER_SENSE", 1)
    assert prompt.run(test) == "False\n", "held high"
    board.release_pin("BUZZER_SENSE")
    board.plug("BUZZER", "BUZZER_SENSE")
    assert prompt.run(test) == "True\n"
    wires.clear()
    board.run_for_ms(5_000)
    assert not wires.sound.edges and board.pin("BUZZER") == 0


@pytest.mark.req("ALM-03")
def test_nothing_is_allocated_by_annunciator_or_alarms(wired):
    prompt, _ = wired
    used = prompt.run("""
from thecal.watch.alarms import ALARMS, Alarms
alarms = Alarms()
def work(tick):
    alarms.advance(tick)
    alarms.set(tick % len(ALARMS))
    alarms.pause_audio(1_200)
    alarms.clear(tick * 7 % len(ALARMS))
    alarms.stop()
    alarms.motion_stopped()
    alarms.third_start()
    alarms.after(alarms.annunciated())
    alarms.clear_first_cause()
    annunciator.show(tick % 4 - 1, alarms.sounding())
    annunciator.show(tick % 4 - 1, True)
def used():
    before = gc.mem_alloc()
    for tick in range(112):
        work(tick)
    return gc.mem_alloc() - before
gc.disable()
print(used())
""")
    assert used == "0\n"


# The pump's own loop, and an alarm that changes every second.
PUMP_AND_ALARMS = """
from thecal import app
from thecal.drivers.annunciator import Annunciator
annunciator = Annunciator()
pump = app.App()
while True:
    pump.wait()
    pump.tick()
    annunciator.show(pump.inputs.tick_s % 4 - 1, True)
"""
EDGE_TOLERANCE_CYCLES = 16  # as in test_motion.py


@pytest.mark.req("ALM-03", "MOT-05")
def test_the_motor_runs_exactly_beside_it(image):
    rig = Rig(image, program=PUMP_AND_ALARMS)
    wires = Wires(rig.board)
    rig.start(60_000_000)
    rig.run_ticks(120)
    assert rig.worst_off_steps() <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 6_000
    assert rig.worst_edge_cycles() <= EDGE_TOLERANCE_CYCLES
    assert rig.no_backlog()
    assert len(pulses_of(wires.sound)) > 12 and all(light.edges for light in wires.lights.values())


# --- watchdog

FED = """
import time
from thecal.drivers.watchdog import Watchdog
watchdog = Watchdog()
for _ in range(%d):
    watchdog.feed(%s, 0b1011)
    time.sleep_ms(100)
"""
CAUSE = "import machine; print(machine.reset_cause() == machine.WDT_RESET)"


@pytest.mark.req("SAFE-03")
def test_a_loop_in_which_everything_checks_in_is_never_reset(prompt):
    prompt.run(FED % (80, "0b1011"))
    assert prompt.board.resets == 0


@pytest.mark.req("SAFE-03", "SAFE-04")
@pytest.mark.parametrize("checked_in", ["0b0011", "0b1010", "0b0000", "0b1111"])
def test_one_missing_check_in_resets_the_chip_in_two_seconds(prompt, checked_in):
    board = prompt.board
    assert prompt.run(CAUSE) == "False\n"
    began_ns = board.now_ns
    prompt.start(FED % (80, checked_in))
    board.run_for_ms(1_900)
    assert board.resets == 0
    board.run_for_ms(300)
    assert board.resets == 1 and 1_990 < (board.reset_at_ns - began_ns) / 1e6 < 2_100
    board.boot()
    assert RawRepl(board).run(CAUSE) == "True\n"


@pytest.mark.req("SAFE-03", "SAFE-04")
def test_a_hang_resets_the_chip_and_an_erase_of_the_flash_does_not(prompt):
    board = prompt.board
    prompt.start(FED % (100, "0b1011"))
    for _ in range(4):
        board.run_for_ms(350)
        board.stall_cpu_ms(600)
        board.run_for_ms(600)
    assert board.resets == 0
    board.hang()
    hung_ns = board.now_ns
    board.run_for_ms(2_100)
    assert board.resets == 1 and (board.reset_at_ns - hung_ns) / 1e6 <= 2_000
    assert board.pin("BUZZER") == 0 and board.pin("STEP") == 0
