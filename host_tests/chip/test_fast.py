"""What is written in the chip's own instructions does what the plain function does, on every branch."""

import pytest

pytestmark = pytest.mark.chip


def test_a_counter_counts_as_its_state_machine_does(prompt):
    """In either block, in either direction, with nothing to count, and where x and y pass zero."""
    printed = prompt.run(
        """
from machine import Pin
from thecal.drivers.counter import AT_HIGH, AT_LOW, Counter, X, Y
step = Pin(Pin.board.STEP, Pin.OUT, value=0)
direction = Pin(Pin.board.DIR, Pin.OUT, value=1)
sense = Pin(Pin.board.STEP_SENSE, Pin.IN, Pin.PULL_DOWN)
def held(machine, in_register):
    machine.exec(0xA0C3)
    machine.exec(in_register)
    machine.exec(0x8000)
    return machine.get()
def pulse(forward, count):
    direction.value(forward)
    for _ in range(count):
        step.value(1)
        step.value(0)
for number in (1, 4, 7):
    counter = Counter(number, sense, direction, True)
    machine = counter.machine
    low, high = held(machine, 0x4030), held(machine, 0x4050)
    made = [0, 0]
    for forward, count in ((1, 3), (0, 2), (1, 0), (0, 0), (1, 9), (0, 1)):
        pulse(forward, count)
        made[forward] += count
        net = counter.read()
        words = counter.words
        now_low, now_high = held(machine, 0x4030), held(machine, 0x4050)
        print(net == made[1] - made[0], counter.backward() == made[0])
        print(words[X] == now_low, words[Y] == now_high,
            words[AT_LOW] == low - now_low & 0xFFFF, words[AT_HIGH] == high - now_high & 0xFFFF)
    machine.exec(0xE021)  # set(x, 1)
    machine.exec(0xE041)  # set(y, 1)
    counter.read()
    counter.clear()
    pulse(1, 3)
    pulse(0, 4)
    print(counter.read() == -1, counter.backward() == 4, words[X] > 60000, words[Y] > 60000)
    backward = Counter(number, sense, direction, False)
    pulse(1, 2)
    pulse(0, 5)
    print(backward.read() == 3, backward.backward() == 2)
    machine.active(0)
"""
    )
    lines = printed.split("\n")
    told = [line for line in lines if line.strip()]
    assert len(told) == 3 * 14, printed
    assert "False" not in printed, printed


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
