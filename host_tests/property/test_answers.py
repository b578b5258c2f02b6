"""LNK-02: answers, which are written piece by piece."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from thecal.crc import digits_into
from thecal.link import frame
from thecal.link.frame import LINE_BYTES, FrameWriter
from thecal_model.crc import digits

NAMES = st.text("abcdefghij_.", min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
MOST_TEXT = LINE_BYTES - len('{"id":7,"a":""} 01234567\n')
ANSWERS = st.dictionaries(NAMES, VALUES, max_size=8)


def outputs(waiting: int = 0, room: int = 8_192) -> Any:
    return SimpleNamespace(tx=bytearray(room), tx_start=0, tx_end=waiting)


@pytest.mark.req("LNK-02")
@given(ANSWERS, st.integers(0, 300))
@example({"changes": [["head.table", 0, 128], []], "empty": {}, "rows": []}, 1)
def test_an_answer_is_its_json_whatever_waits_before_it(value, waiting):
    out = outputs(waiting)
    writer = FrameWriter(digits_into)
    answer = {"id": 7, **value}
    assert writer.send_object(out, answer)
    wanted = json.dumps(answer, separators=(",", ":"), ensure_ascii=True).encode()
    line = bytes(out.tx[waiting : out.tx_end])
    assert json.loads(line[:-10]) == json.loads(wanted) and len(line) == len(wanted) + 10
    assert line == wanted + b" " + digits(wanted) + b"\n"
    assert writer.sent_json(len(wanted)) == wanted and writer.sent_json(len(wanted) - 1) == b""
    again = outputs()
    assert writer.send_json(again, wanted) and bytes(again.tx[: again.tx_end]) == line


@pytest.mark.req("LNK-02")
@pytest.mark.parametrize("length", [MOST_TEXT, MOST_TEXT + 1, 20_000])
def test_an_answer_longer_than_a_line_is_refused_whole(length):
    out = outputs()
    writer = FrameWriter(digits_into)
    assert writer.send_object(out, {"id": 7, "a": "x" * length})
    said = json.loads(bytes(out.tx[: out.tx_end - 10]))
    assert (len(said) == 2) == (length == MOST_TEXT)
    if len(said) > 2:
        assert (said["id"], said["ok"], said["error"]) == (7, False, frame.TOO_LARGE)


@pytest.mark.req("LNK-02")
def test_an_answer_that_finds_no_room_is_counted_and_not_kept():
    out = outputs(8_000)
    writer = FrameWriter(digits_into)
    assert not writer.send_object(out, {"id": 7, "a": "x" * 300})
    assert writer.dropped == 1 and out.tx_end == 8_000 and writer.sent_json(1_000) == b""


@pytest.mark.req("LNK-02", "RIG-02")
def test_no_piece_of_an_answer_is_long(monkeypatch):
    """Memory may be in pieces of 3 kB: of the longest answer, that to the largest rig, no part needs more."""
    from largest import RIG
    from thecal import rig as rigs
    from thecal.handlers.rigging import readback
    from thecal_model.rig import reference

    lengths = []
    dumps = json.dumps

    def measured(value, **how):
        text = dumps(value, **how)
        lengths.append(len(text))
        return text

    monkeypatch.setattr(frame.json, "dumps", measured)
    out = outputs()
    answer = {"id": 7, "readback": readback(rigs.read(RIG), reference())}
    assert FrameWriter(digits_into).send_object(out, answer)
    assert out.tx_end > 2_900 and max(lengths) < 1_024
