"""link/parser.py against CPython's own `json`: the same requests, and nothing else."""

import json
from typing import NoReturn

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thecal.link.parser import (
    BAD_FRAME,
    MOST_BLANKS,
    MOST_DEPTH,
    MOST_DIGITS,
    MOST_TEXT,
    MOST_VALUES,
    TOO_LARGE,
    Parser,
)

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=12).filter(
    lambda text: max(map(ord, text), default=0) < 0xD800
)
whole = st.integers(-(10**MOST_DIGITS), 10**MOST_DIGITS)
values = st.recursive(
    st.none() | st.booleans() | whole | texts | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :"), (",\t", ":")])


@st.composite
def sentences(draw):
    """JSON, with its bytes changed, cut out, put in or twice."""
    value = draw(st.one_of(st.dictionaries(texts, values, max_size=6), values))
    text = bytearray(json.dumps(value, separators=draw(separators)).encode())
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 8)))
        piece = draw(
            st.sampled_from([b"", text[at:end] * 2, b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"1"])
        )
        text[at:end] = piece
    return bytes(text)


def no_float(text: str) -> NoReturn:
    raise ValueError(text)


def once(pairs):
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)


def strict(text: bytes):
    """CPython's reading of a request; ValueError where it is none."""
    if not text.isascii() or b"\n" in text or b"\x7f" in text:
        raise ValueError
    found = json.loads(
        text, parse_float=no_float, parse_constant=no_float, object_pairs_hook=once, parse_int=int
    )
    if not isinstance(found, dict) or any(0xD800 <= ord(each) < 0xE000 for each in repr(found)):
        raise ValueError
    if b"\\ud" in text.lower() and any(surrogate(each) for each in parts(found)):
        raise ValueError
    return found


def surrogate(value) -> bool:
    return isinstance(value, str) and any(
        0xD800 <= ord(each) < 0xE000 or ord(each) > 0xFFFF for each in value
    )


def parts(value):
    yield value
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from parts(item)


@pytest.mark.req("LNK-01", "LNK-02")
@given(sentences(), st.integers(1, 5))
@settings(max_examples=300, deadline=None)
@example(b'{"a":1}', 1)
@example(b"{1:2}", 1)
def test_what_is_read_is_what_json_says_and_the_rest_is_refused(text, bite):
    parser = Parser()
    parser.begin(text, 0, len(text))
    for _ in range(len(text) + 1):
        if parser.work(bite):
            break
    else:
        pytest.fail("it does not end")
    try:
        expected = strict(text)
    except (ValueError, RecursionError):
        assert parser.error in (BAD_FRAME, TOO_LARGE)
        return
    if parser.error == TOO_LARGE:
        longest = max(len(part) for part in text.split(b'"'))
        found = list(parts(expected))
        assert (
            longest > MOST_TEXT
            or len(found) > MOST_VALUES
            or text.count(b"[") + text.count(b"{") > MOST_DEPTH
            or b" " * MOST_BLANKS in text
            or any(type(part) is int and abs(part) >= 10**MOST_DIGITS for part in found)
        ), parser.message
        return
    assert parser.error == "" and parser.request == expected
    assert repr(parser.request) == repr(expected), "true is not 1"
