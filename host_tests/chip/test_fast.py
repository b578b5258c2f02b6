"""What is written in the chip's own instructions does what the plain function does, on every branch."""

import pytest

pytestmark = pytest.mark.chip


def test_a_counter_counts_as_its_state_machine_does(prompt):
    """In either block and direction, with nothing to count, either way round, at the pad of an output."""
    printed = prompt.run(
        """
from machine import Pin
from time import sleep_us
from thecal.drivers.counter import AT_HIGH, AT_LOW, STEP_HZ, X, Counter, count_program
step = Pin(Pin.board.STEP, Pin.OUT, value=0)
direction = Pin(Pin.board.DIR, Pin.OUT, value=1)
sense = Pin(Pin.board.STEP_SENSE, Pin.IN, Pin.PULL_DOWN)
program = count_program(9)
def held(machine):
    machine.exec(0x4020)  # in_(x, 32)
    machine.exec(0x8000)  # push(noblock)
    return machine.get()
def pulse(forward, count):
    direction.value(forward)
    for _ in range(count):
        step.value(1)
        sleep_us(190)
        step.value(0)
        sleep_us(190)
for number, pin in ((1, sense), (4, sense), (7, step)):
    counter = Counter(number, program, pin, direction, True, STEP_HZ)
    machine = counter.machine
    begin = held(machine)
    sleep_us(400)
    made = [0, 0]
    for forward, count in ((1, 3), (0, 2), (1, 0), (0, 0), (1, 9), (0, 1)):
        pulse(forward, count)
        made[forward] += count
        net = counter.read()
        words = counter.words
        print(net == made[1] - made[0], counter.backward() == made[0], words[X] == held(machine),
            held(machine) == begin - net, words[AT_LOW] == made[0], words[AT_HIGH] == made[1])
    pulse(1, 5)
    pulse(0, 2)
    print(counter.read() == net + 3, counter.backward() == made[0])
    counter.clear()
    print(counter.read() == counter.backward() == 0)
    backward = Counter(number, program, pin, direction, False, STEP_HZ)
    sleep_us(400)
    pulse(1, 2)
    print(backward.read() == -2, backward.backward() == 2)
    pulse(0, 5)
    print(backward.read() == 3, backward.backward() == 2)
    machine.active(0)
"""
    )
    assert "False" not in printed and printed.count("True") == 3 * (6 * 6 + 2 + 1 + 4), printed


def test_a_template_is_filled_as_by_the_plain_function(prompt):
    """Numbers of every length and sign, and every length of buffer that is too short or just enough."""
    printed = prompt.run(
        """
from array import array
from thecal.drivers import fast_text
from thecal.link import frame
values = array("i", [0, 7, -1, 9, 10, -10, 99, 100, 12345, -99999, 1000000000, 1073741823, -1073741824, 5])
for power in range(1, 10):
    values.append(10 ** power - 1)
    values.append(-(10 ** power))
templates = (b"", b"abc", b"\\0", b"{\\0,", b"\\0\\0x", b'"a":\\0' * len(values) + b"}")
same = tried = 0
for template in templates:
    wanted = array("i", values[:template.count(b"\\0")])
    for size in list(range(3, 60)) + list(range(380, 440)):
        for at in (0, 3):
            plain, fast = bytearray(size), bytearray(size)
            end = frame.fill_into(plain, at, template, wanted)
            tried += 1
            same += end == fast_text.fill_into(fast, at, template, wanted) and (end < 0 or plain == fast)
print(same, tried, end)
""",
        limit_ms=120_000,
    )
    same, tried, end = printed.split()
    assert same == tried == str(6 * (57 + 60) * 2)
    assert int(end) > 0


def test_a_reading_is_judged_as_by_the_plain_function(prompt):
    """Each fault from its first doubt to its end, equal codes, wide ones, noise, full counts."""
    printed = prompt.run(
        """
from thecal.drivers import fast_readings
from thecal.watch import readings
from thecal.watch.readings import Reading
state = 12345
def draw(below):
    global state
    state = (state * 69 + 13) & 0xFFFF
    return state % below
def sound(number):
    return 420 + draw(9)
def steady(number):
    return 600 + (draw(4) == 0)
def noisy(number):
    return 400 + draw(300)
def rails(number):
    return (8, 9, 4087, 4086, 4085, 19, 20, 4081, 0, 4095)[number % 10]
def missing(number):
    return -1 if number % 3 else 500 + number % 7
phases = (
    (sound, 80), (lambda n: -1, 12), (sound, 30), (lambda n: 3, 8), (sound, 30), (lambda n: 4090, 6),
    (sound, 30), (lambda n: 4085, 3), (sound, 30), (rails, 60), (missing, 60), (sound, 90), (noisy, 260),
    (sound, 220), (lambda n: 700, 320), (sound, 30), (lambda n: 512, 340), (lambda n: 1536, 20),
    (steady, 200), (sound, 70))
# The second and the third scale are fractions; code 20 is the least of each.
for scale, how in (
    ((400, 50, -19000, 184000), {}),
    ((400, 50, -2715, 26285, 7), {"stuck_samples": 0, "noise_codes": 400}),
    ((400, 99999, -380, 184000, 100000), {"stuck_samples": 5}),
):
    plain, fast = Reading(*scale, **how), Reading(*scale, **how)
    same = tick = 0
    kinds = set()
    for made, count in phases:
        for number in range(count):
            code = made(number)
            tick += 1
            readings.advance(plain.words, code, tick)
            fast_readings.advance(fast.words, code, tick)
            same += plain.words == fast.words
            kinds.add(plain.words[readings.WRONG])
    print(same == tick, sorted(kinds), plain.words[readings.FAULTS])
    for reading, advance in ((plain, readings.advance), (fast, fast_readings.advance)):
        words = reading.words
        words[readings.ERRORS] = words[readings.FAULTS] = readings.LARGEST
        words[readings._EQUAL] = 35998
        for tick in range(40):
            advance(words, 2560 if tick < 10 else -1, tick)
    print(plain.words == fast.words, plain.words[readings.FAULTS] == readings.LARGEST)
""",
        limit_ms=120_000,
    )
    lines = [line for line in printed.splitlines() if line.strip()]
    assert len(lines) == 6, printed
    assert "False" not in printed, printed
    assert "[0, 1, 2, 3, 4, 5, 6]" in lines[0], printed
    assert "[0, 1, 2, 4, 5, 6]" in lines[2], printed


def test_a_critical_word_is_compared_where_it_lies_as_by_its_name(prompt):
    """Each word changed in turn and back, with boluses and without, with what there is only now and then; a
    table that grows.
    """
    printed = prompt.run(
        """
from thecal import app, words
from thecal.word_table import FIRST, GROUPS, OF_BOLUSES
a = app.App()
pump = a.pump
placed = pump.critical.words
named = words.Words(placed.clock, placed.position, placed.line, placed.delivery, placed.ledger, placed.guard,
    placed.lockout, placed.reservoir, placed.regimen, placed.motion)
def way(name):
    owner = placed
    steps = name.replace("[", ".").replace("]", "").split(".")
    for step in steps[:-1]:
        owner = owner[int(step)] if isinstance(owner, list) else getattr(owner, step)
        if owner is None:
            return None, None
    return owner, int(steps[-1]) if isinstance(owner, list) else steps[-1]
def put(owner, place, value):
    if isinstance(owner, list):
        owner[place] = value
    else:
        setattr(owner, place, value)
def flipped(value, number):
    return not value if isinstance(value, bool) else value ^ 1 << number % 29
tried = found = wrong = 0
def all_flips():
    global tried, found, wrong
    placed.keep_all()
    named.keep_all()
    for group in GROUPS:
        for number in range(FIRST[group + 1] - FIRST[group]):
            owner, place = way(words.name(FIRST[group] + number))
            if owner is None:
                continue
            value = owner[place] if isinstance(owner, list) else getattr(owner, place)
            put(owner, place, flipped(value, number))
            tried += 1
            by_name = named.agree(group)
            found += not by_name
            wrong += placed.agree(group) != by_name
            if number % 8 == 0:
                wrong += placed.differing(group) != [FIRST[group] + number]
                wrong += named.differing(group) != [FIRST[group] + number]
            put(owner, place, value)
            wrong += not placed.agree(group) or not named.agree(group)
all_flips()
print(tried, found, wrong, OF_BOLUSES)
for course in (pump.delivery.owed, pump.delivery.planned):
    course.active[0] = course.active[1] = True
all_flips()
for number in range(40):
    setattr(pump.clock, "more%d" % number, number)
pump.clock.tick += 1
print(tried, found, wrong, placed.agree(0))
pump.clock.tick -= 1
print(placed.agree(0))
class Numbers:
    pass
regimen, line = placed.regimen, placed.line
regimen.prescription = Numbers()
regimen.prescription.patient_bolus = bolus = Numbers()
line.bridge = bridge = Numbers()
bolus.lockout_ticks, bolus.max_per_day, bridge.left_steps, bridge.old, bridge.new = 600, 4, 70, 20, 10
before = tried
found = 0
all_flips()
print(tried - before, found, wrong)
regimen.prescription = line.bridge = None
print(placed.agree(0), named.agree(0))
""",
        limit_ms=300_000,
    )
    first, last, again, optional, gone = [line.split() for line in printed.splitlines() if line.strip()]
    tried, found, wrong, boluses = map(int, first)
    assert tried >= 140 and wrong == 0
    assert found == tried - 2 * boluses  # those of boluses are compared while there is one
    assert list(map(int, last[:3])) == [2 * tried, found + tried, 0]
    assert last[3] == "False"
    assert again == ["True"]
    assert list(map(int, optional)) == [tried + 5, tried + 5, 0]
    assert gone == ["False", "False"]
