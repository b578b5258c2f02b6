"""link/parser.py: what is a request, and how each that is none is refused by its name."""

import json

import pytest
from thecal.link.parser import (
    BAD_FRAME,
    MOST_BLANKS,
    MOST_DEPTH,
    MOST_DIGITS,
    MOST_KEYS,
    MOST_TEXT,
    MOST_VALUES,
    TOO_LARGE,
    Parser,
)


def parsed(text: bytes, bite: int = 1_000_000) -> Parser:
    """`text` in the middle of other bytes, read `bite` members at a time."""
    parser = Parser()
    data = bytearray(b'{"x":1}' + text + b'"}]},1')
    parser.begin(data, 7, 7 + len(text))
    while not parser.work(bite):
        pass
    return parser


REQUESTS = [
    b"{}",
    b'{"cmd":"hello"}',
    b' { "id" : 1 ,\t"a" : [ ] , "b" : { } } ',
    b'{"a":[1,-2,0,-0,[true,false,null],{"b":{"c":"d"}}]}',
    b'{"a":9999999999999999999,"b":-1000000000000000000}',
    b'{"text":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC ~"}',
    b'{"":""}',
]


@pytest.mark.req("LNK-01")
@pytest.mark.parametrize("text", REQUESTS)
@pytest.mark.parametrize("bite", [1, 2, 1_000])
def test_a_request_is_what_json_says_in_whatever_bites_it_is_read(text, bite):
    parser = parsed(text, bite)
    assert (parser.error, parser.request) == ("", json.loads(text))


@pytest.mark.req("LNK-01", "LNK-02")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "byte 0: the line ends too soon"),
        (b"[]", "byte 0: a request is an object"),
        (b"7", "a request is an object"),
        (b"{1:2}", "byte 1: a key must be a text"),
        (b"{null:2}", "a key must be a text"),
        (b"{[]:2}", "a key must be a text"),
        (b'{"a":1,"a":2}', "the key a stands twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "the key b stands twice"),
        (b'{"a" 1}', "byte 5: a colon is missing"),
        (b'{"a":1 "b":2}', "a comma or an end is missing"),
        (b'{"a":1,}', "a key must be a text"),
        (b'{,"a":1}', "a key must be a text"),
        (b'{"a":[1,]}', "a value is missing"),
        (b'{"a":[,1]}', "a value is missing"),
        (b'{"a":[1}}', "a comma or an end is missing"),
        (b'{"a":}', "a value is missing"),
        (b'{"a":1', "the line ends too soon"),
        (b'{"a":"1', "a text without an end"),
        (b'{"a":"1\\', "a text without an end"),
        (b'{"a":1}}', "text after the end"),
        (b'{"a":1} {"b":2}', "text after the end"),
        (b'{"a":1.5}', "a number must be whole"),
        (b'{"a":1e3}', "a number must be whole"),
        (b'{"a":-}', "not a number"),
        (b'{"a":01}', "not a number"),
        (b'{"a":--1}', "not a number"),
        (b'{"a":+1}', "a value is missing"),
        (b'{"a":1_0}', "a comma or an end is missing"),
        (b'{"a":NaN}', "a value is missing"),
        (b'{"a":True}', "a value is missing"),
        (b'{"a":tru}', "a value is missing"),
        (b"{'a':1}", "a key must be a text"),
        ('{"é":1}'.encode(), "a text must be ASCII"),
        (b'{"a":"\x01"}', "a text must be ASCII"),
        (b'{"a":"\\x41"}', "an unknown escape"),
        (b'{"a":"\\u00g1"}', "an unknown escape"),
        (b'{"a":"\\ud83d\\ude00"}', "an unknown escape"),
        (b'{"a":"\\u00', "an unknown escape"),
    ],
)
def test_what_is_no_request_is_refused_and_the_byte_named(text, said):
    parser = parsed(text)
    assert parser.error == BAD_FRAME and said in parser.message and parser.message.startswith("byte ")


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.req("LNK-02")
@pytest.mark.parametrize(
    ("fits", "too_much", "said"),
    [
        (nested(MOST_DEPTH), nested(MOST_DEPTH + 1), "at most 6 objects and lists inside each other"),
        (
            b'{"a":[%s]}' % b",".join([b"0"] * (MOST_VALUES - 1)),
            b'{"a":[%s]}' % b",".join([b"0"] * MOST_VALUES),
            "at most 512 values in a request",
        ),
        (
            b"{%s}" % b",".join([b'"%d":0' % number for number in range(MOST_KEYS)]),
            b"{%s}" % b",".join([b'"%d":0' % number for number in range(MOST_KEYS + 1)]),
            "at most 32 keys in an object",
        ),
        (b'{"a":%s}' % (b"9" * MOST_DIGITS), b'{"a":-%s}' % (b"9" * (MOST_DIGITS + 1)), "at most 19 digits"),
        (b'{"a":"%s"}' % (b"x" * MOST_TEXT), b'{"a":"%s"}' % (b"x" * (MOST_TEXT + 1)), "at most 128 bytes"),
        (b'{"%s":0}' % (b"x" * MOST_TEXT), b'{"%s":0}' % (b"x" * (MOST_TEXT + 1)), "at most 128 bytes"),
        (
            b'{"a":"%s"}' % (b"\\n" * (MOST_TEXT // 2)),
            b'{"a":"%s"}' % (b"\\n" * (MOST_TEXT // 2 + 1)),
            "at most 128 bytes",
        ),
        (b'{"a":%s1}' % (b" " * MOST_BLANKS), b'{"a":%s1}' % (b" " * (MOST_BLANKS + 1)), "at most 16 blanks"),
        (b"{}" + b" " * MOST_BLANKS, b"{}" + b" " * (MOST_BLANKS + 1), "at most 16 blanks"),
    ],
)
def test_each_bound_is_kept_to_the_unit_and_named(fits, too_much, said):
    assert (parsed(fits).error, parsed(fits).request) == ("", json.loads(fits))
    parser = parsed(too_much)
    assert parser.error == TOO_LARGE and said in parser.message


@pytest.mark.req("LNK-02")
def test_the_number_of_a_refused_request_is_known_if_it_comes_first():
    assert parsed(b'{"id":77,"a":1.5}').number == 77
    assert parsed(b'{"a":1.5,"id":77}').number == 0
    assert parsed(b'{"id":true}').number == parsed(b'{"id":"7"}').number == parsed(b"").number == 0


@pytest.mark.req("LNK-02")
def test_no_bite_reads_more_than_it_says():
    parser = Parser()
    text = b'{"a":[%s],"b":{"c":1}}' % b",".join([b"0"] * 50)
    parser.begin(text, 0, len(text))
    counts = [parser.count]
    while not parser.work(7):
        counts.append(parser.count)
    assert parser.request == json.loads(text)
    assert all(later - before <= 7 for before, later in zip(counts, counts[1:], strict=False))
