"""REC-06: no edit of a byte, no line removed, doubled or moved in an exported log goes unseen."""

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thecal.record import events
from thecal_host import log


def exported(stream: str, count: int, seed: int) -> bytes:
    chance = random.Random(seed)
    crc = chance.randbytes(4)
    found = log.Log(stream, crc, made=5_000)
    number = chance.randrange(100)
    for _ in range(count):
        code = chance.randrange(len(events.EVENTS))
        signed = [chance.randrange(-(1 << 29), 1 << 29) for _ in range(3)]
        record = struct.pack(events.RECORD, number, number * 3, number % 10 * 100, code, *signed)
        crc = log.carried_on(record, crc)
        found.entries.append(record + crc)
        number += 1 if stream == log.EVENTS else chance.randrange(1, 9)
    return log.export(found).encode()


exports = st.builds(
    exported, st.sampled_from((log.EVENTS, log.FAULTS)), st.integers(0, 12), st.integers(0, 1 << 16)
)


@given(data=exports)
def test_what_is_untouched_is_sound(data):
    assert log.check(data)[1] == []


@pytest.mark.req("REC-06")
@given(data=exports, place=st.integers(0, 1 << 20), other=st.integers(1, 255))
def test_an_edited_byte_is_found(data, place, other):
    edited = bytearray(data)
    edited[place % len(data)] ^= other
    assert log.check(bytes(edited))[1]


@pytest.mark.req("REC-06")
@given(data=exports, place=st.integers(0, 1 << 20), other=st.integers(0, 1 << 20), way=st.integers(0, 2))
def test_a_line_that_is_removed_doubled_or_swapped_is_found(data, place, other, way):
    lines = data.splitlines(keepends=True)
    place, other = place % len(lines), other % len(lines)
    if way == 0:
        del lines[place]
    elif way == 1:
        lines.insert(other, lines[place])
    else:
        lines[place], lines[other] = lines[other], lines[place]
    assert b"".join(lines) == data or log.check(b"".join(lines))[1]


@pytest.mark.req("REC-06")
@given(data=exports, length=st.integers(0, 1 << 20))
def test_an_end_that_is_cut_off_is_found(data, length):
    assert log.check(data[: length % len(data)])[1]
