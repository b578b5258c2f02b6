"""What a request costs on the chip: time for each value that is read, and heap for the largest."""

import ast

import pytest

pytestmark = pytest.mark.chip

# Apart from the rest, which is large itself.
BESIDE = """
import gc, micropython, time
from thecal import app
a = app.App()
for _ in range(12):
    a.wait()
    a.tick()
def free():
    gc.collect()
    return gc.mem_free()
def largest():
    size = 1024
    while True:
        try:
            piece = bytearray(size + 1024)
        except MemoryError:
            return size
        piece = None
        size += 1024
        gc.collect()
beside = free()
piece = largest()
"""
PROGRAM = """
TEXTS = (
    lambda: b'{"id":1,"cmd":"program","therapy":{"mode":"flex","steps":['
    + b",".join([b'{"at_ms":%d,"rate_num":%d,"rate_den":1}' % (n * 100, 5000 + n) for n in range(80)])
    + b"]}}",
    lambda: b'{"cmd":"x","a":[' + b",".join([b'"%s"' % (b"xy%02d" % (n % 97)) for n in range(490)]) + b"]}",
    lambda: b'{"cmd":"x","a":[' + b",".join([b"{}"] * 508) + b"]}",
    lambda: b'{"cmd":"x","a":[' + b",".join([b"%d" % (10**18 + n) for n in range(180)]) + b"]}",
    lambda: b'{"cmd":"x","a":['
    + b",".join([b"{" + b",".join([b'"k%d":0' % k for k in range(30)]) + b"}" for _ in range(13)])
    + b"]}",
)
found = []
reader = a.pump.host.session.reader
for make in TEXTS:  # one at a time: together they are larger than what the pump has to take
    text = make()
    digits = bytearray(8)
    a.pump.host.writer.crc(text, 0, len(text), digits)
    line = text + b" " + digits + b"\\n"
    worst_us = units = ticks = 0
    request = None
    at = 0
    before = free()
    while request is None:
        part = line[at : at + 1024]
        at += len(part)
        gc.collect()
        start_us = time.ticks_us()
        reader.take_in(part, len(part))
        request = reader.next()
        worst_us = max(worst_us, time.ticks_diff(time.ticks_us(), start_us))
        ticks += 1
        assert not reader.error, reader.message
    part = None
    found.append((len(line), reader.parser.count, ticks, worst_us, before - free()))
    request = text = line = None
micropython.kbd_intr(3)
a.stepper.halt()
print()
print((beside, piece, found))
"""

LEAST_FREE_BYTES = 64 * 1024
LEAST_PIECE_BYTES = 16 * 1024
MOST_TREE_BYTES = 24 * 1024
MOST_US = 75_000


@pytest.mark.req("LNK-02", "MOT-05")
def test_the_largest_requests_fit_into_what_is_free_and_no_tick_reads_for_long(pump_prompt, measured):
    pump_prompt.run(BESIDE, limit_ms=60_000)
    printed = pump_prompt.run(PROGRAM, limit_ms=60_000)
    beside, piece, found = ast.literal_eval(printed.strip().splitlines()[-1])
    print(f"free {beside} bytes, largest piece {piece}; bytes, values, ticks, us in the worst, heap: {found}")
    assert beside >= LEAST_FREE_BYTES and piece >= LEAST_PIECE_BYTES
    for length, values, ticks, worst_us, tree_bytes in found:
        assert values <= 512 and length <= 4_097
        assert ticks <= 4 + values // 32 + 1
        assert worst_us <= MOST_US, f"{values} values of {length} bytes"
        assert tree_bytes <= MOST_TREE_BYTES
    most_us, most_bytes = (max(line[at] for line in found) for at in (3, 4))
    measured(most_bytes / 1_000, beside / 1_000, most_us / 1_000)
