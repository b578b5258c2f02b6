"""Property tests of the host's frame codec: any cut of the stream, any garbage in it.

Each test feeds a byte stream in pieces of any size; the oracle is the list of frames that went in.
"""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thecal_model.link import FRAME_MAX_BYTES, Decoder, FrameError, LinkClient, LinkError, decode_line, encode

integers = st.integers(min_value=-(1 << 62), max_value=1 << 62)
leaves = st.none() | st.booleans() | integers | st.text(max_size=12)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=8), values, max_size=5).filter(
    lambda obj: len(json.dumps(obj)) < FRAME_MAX_BYTES - 16
)


@st.composite
def cut(draw, stream: bytes) -> list[bytes]:
    """The stream in pieces of any size, none lost."""
    marks = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *marks, len(stream)]
    return [stream[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@pytest.mark.req("LNK-01")
@given(st.lists(objects, max_size=5), st.sampled_from([b"\n", b"\r\n"]), st.data())
def test_frames_survive_any_cut_and_any_line_end(sent, line_end, data):
    stream = b"".join(encode(obj)[:-1] + line_end for obj in sent)
    decoder = Decoder()
    assert [item for piece in data.draw(cut(stream)) for item in decoder.feed(piece)] == sent


@pytest.mark.req("LNK-02")
@given(st.binary(max_size=3 * FRAME_MAX_BYTES), objects, st.data())
def test_after_any_garbage_the_next_good_line_is_understood(garbage, obj, data):
    stream = garbage + b"\n" + encode(obj)
    decoder = Decoder()
    found = [item for piece in data.draw(cut(stream)) for item in decoder.feed(piece)]
    assert found[-1] == obj


@pytest.mark.req("LNK-02")
@given(objects, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_never_taken_for_a_frame(obj, position, flip):
    frame = bytearray(encode(obj)[:-1])
    frame[position % len(frame)] ^= flip
    # The flip may make a LF, which cuts the line in two: neither half may be a frame.
    for item in Decoder().feed(bytes(frame) + b"\n"):
        assert isinstance(item, FrameError)


@pytest.mark.req("LNK-02")
@given(objects, st.data())
def test_a_torn_frame_is_an_error_and_costs_only_itself(obj, data):
    frame = encode(obj)
    torn = frame[: data.draw(st.integers(1, len(frame) - 2))]
    found = Decoder().feed(torn + b"\n" + frame)
    assert len(found) == 2 and isinstance(found[0], FrameError) and found[1] == obj


@pytest.mark.req("LNK-02")
@given(st.lists(st.binary(max_size=700), max_size=20))
def test_memory_of_the_decoder_is_bounded(pieces):
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        assert len(decoder.unfinished) <= FRAME_MAX_BYTES


@pytest.mark.req("LNK-01")
@given(st.floats(), values)
def test_no_float_leaves_the_host_however_deep(number, sibling):
    for obj in ({"a": number}, {"a": [sibling, number]}, {"a": {"b": [{"c": number}]}}):
        with pytest.raises(LinkError, match="float"):
            encode(obj)


@pytest.mark.req("LNK-01")
@given(st.floats(allow_nan=True).map(json.dumps))
def test_a_float_from_the_device_is_refused_although_the_crc_holds(text):
    body = b'{"x":' + text.encode() + b"}"
    assert isinstance(decode_line(body + b" %08x" % zlib.crc32(body)), FrameError)


@pytest.mark.req("LNK-04")
@given(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted))
def test_gaps_are_the_numbers_that_are_missing(numbers):
    client = LinkClient(lambda _: None)
    for seq in numbers:
        client.feed(encode({"type": "event", "seq": seq, "code": "x"}))
    assert client.gaps == numbers[-1] - numbers[0] + 1 - len(numbers)
    assert client.restarts == 0
