"""Unit tests of the host's link client: the bytes of a frame, replies by id, telemetry, and what is counted.

The property tests of the codec are in host_tests/property/test_frame_client.py.
"""

import zlib

import pytest
from pump_port import SilentPort
from thecal_host.pump import MOST_EVENTS, Pump
from thecal_model import link
from thecal_model.link import FRAME_MAX_BYTES, Decoder, FrameError, LinkClient, LinkError, encode


def frame_of(length: int) -> bytes:
    """A frame of exactly `length` bytes, line end and all."""
    bare = len(encode({"a": ""}))
    return encode({"a": "x" * (length - bare)})


@pytest.mark.req("LNK-01")
def test_the_bytes_of_a_frame():
    # CRC-32 of the 22 bytes before the space, computed with another tool (gzip's trailer).
    assert encode({"id": 1, "cmd": "hello"}) == b'{"id":1,"cmd":"hello"} a1907c01\n'


@pytest.mark.req("LNK-01")
def test_a_frame_is_ascii_even_when_the_text_is_not():
    assert encode({"a": "µL"}).startswith(b'{"a":"\\u00b5L"} ')


@pytest.mark.req("LNK-02")
def test_the_longest_frame_passes_and_one_byte_more_does_not():
    longest = frame_of(FRAME_MAX_BYTES)
    assert len(longest) == FRAME_MAX_BYTES
    assert isinstance(Decoder().feed(longest)[0], dict)
    assert isinstance(Decoder().feed(longest[:-1] + b"\r\n")[0], dict)
    with pytest.raises(LinkError, match=f"{FRAME_MAX_BYTES + 1} bytes"):
        frame_of(FRAME_MAX_BYTES + 1)


@pytest.mark.req("LNK-02")
def test_an_oversize_line_is_one_error_and_then_it_goes_on():
    decoder = Decoder()
    found = [item for _ in range(10) for item in decoder.feed(b"y" * 500)]
    found += decoder.feed(b"\n" + encode({"a": 1}))
    assert [item.code if isinstance(item, FrameError) else item for item in found] == ["oversize", {"a": 1}]


@pytest.mark.req("LNK-01")
def test_uppercase_digits_are_not_our_crc():
    good = encode({"id": 1, "cmd": "hello"})
    shouted = good[:-9] + good[-9:].upper()
    assert shouted != good
    (found,) = Decoder().feed(shouted)
    assert isinstance(found, FrameError) and found.code == "bad_frame"


@pytest.mark.req("LNK-02")
def test_the_crc_must_hold_for_something_that_is_an_object():
    for body in (b"[1]", b"1", b"nonsense", b"[" * 900):
        (found,) = Decoder().feed(body + b" %08x\n" % zlib.crc32(body))
        assert isinstance(found, FrameError) and found.code == "bad_frame"
        assert found.message.startswith("CRC holds, but")


@pytest.mark.req("LNK-01")
def test_only_integers_strings_and_truth_values_are_sent():
    assert encode({"a": [True, None, 1, "x", {"b": -1}]})
    for wrong in (1.0, b"x", object()):
        with pytest.raises(LinkError, match=r"frame\.a\[0\]"):
            encode({"a": [wrong]})
    with pytest.raises(LinkError, match="not a string"):
        encode({"a": {1: 2}})


@pytest.mark.req("LNK-01")
def test_requests_are_numbered_and_replies_come_back_by_number():
    sent = []
    client = LinkClient(sent.append, run="0123abcd")
    first = client.request("hello")
    second = client.request("bolus", volume_nl=5000, duration_ms=300000)
    assert sent == [
        encode({"id": first, "cmd": "hello"}),
        encode({"id": second, "run": "0123abcd", "cmd": "bolus", "volume_nl": 5000, "duration_ms": 300000}),
    ]
    assert client.reply(first) is None
    late = {"type": "reply", "id": second, "ok": True}
    early = {"type": "reply", "id": first, "ok": False, "error": "busy"}
    client.feed(encode(late) + encode(early))
    assert client.reply(first) == early and client.reply(second) == late


@pytest.mark.req("DESK-05")
def test_a_client_that_asks_for_ever_keeps_the_last_replies_only(monkeypatch):
    monkeypatch.setattr(link, "MOST_REPLIES", 3)
    client = LinkClient(lambda _: None)
    asked = [client.request("hello") for _ in range(9)]
    for number in asked:
        client.feed(encode({"type": "reply", "id": number, "ok": True}))
        assert client.reply(number) is not None
    assert [number for number in asked if client.reply(number) is not None] == asked[-3:]


@pytest.mark.req("DESK-05")
def test_requests_that_nobody_answers_are_forgotten_the_oldest_first(monkeypatch):
    monkeypatch.setattr(link, "MOST_ASKED", 3)
    client = LinkClient(lambda _: None)
    asked = [client.request("hello") for _ in range(9)]
    for number in asked:
        client.feed(encode({"type": "reply", "id": number, "ok": True}))
    assert [number for number in asked if client.reply(number) is not None] == asked[-3:]
    assert client.stray_replies == 6, "a late answer to one of them is nobody's"


@pytest.mark.req("DESK-05", "LNK-04")
def test_who_listens_for_ever_is_told_of_every_event_and_keeps_the_last_ones():
    seen = []
    all_kept, few_kept = LinkClient(lambda _: None), Pump(SilentPort()).client
    few_kept.on_event = lambda frame: seen.append(frame["seq"])
    made = 5 * MOST_EVENTS
    for seq in range(made):
        frame = encode({"type": "event", "seq": seq, "code": "state"})
        all_kept.feed(frame)
        few_kept.feed(frame)
    assert seen == list(range(made)) and (few_kept.gaps, few_kept.restarts) == (0, 0)
    assert [event["seq"] for event in few_kept.events] == seen[-MOST_EVENTS:]
    assert few_kept.events_forgotten == made - MOST_EVENTS
    assert len(all_kept.events) == made and all_kept.events_forgotten == 0


@pytest.mark.req("LNK-01")
def test_a_request_held_for_its_tick_is_answered_twice():
    client = LinkClient(lambda _: None)
    asked = client.request("start", at_tick=600)
    held = {"type": "reply", "id": asked, "ok": True, "held": True}
    client.feed(encode(held))
    assert client.reply(asked) == held
    outcome = {"type": "reply", "id": asked, "ok": True, "state": "RUNNING"}
    client.feed(encode(outcome) + encode(held))
    assert client.reply(asked) == outcome and client.stray_replies == 1


@pytest.mark.req("LNK-01")
def test_a_reply_nobody_asked_for_is_counted_not_kept():
    client = LinkClient(lambda _: None)
    asked = client.request("hello")
    for nobodys in (asked + 1, None):
        client.feed(encode({"type": "reply", "id": nobodys}))
    assert client.reply(asked + 1) is None and client.stray_replies == 2
    assert client.last_stray_reply == {"type": "reply", "id": None}


@pytest.mark.req("LNK-01")
def test_a_float_is_refused_before_anything_is_sent_and_costs_no_number():
    sent = []
    client = LinkClient(sent.append, first_id=5)
    with pytest.raises(LinkError):
        client.request("bolus", volume_nl=0.5)
    assert sent == [] and client.request("hello") == 5


@pytest.mark.req("LNK-01", "REC-03")
def test_request_numbers_start_over_below_two_to_the_thirty_in_another_run():
    client = LinkClient(lambda _: None, first_id=(1 << 30) - 1)
    first = client.run
    assert [client.request("status"), client.request("status")] == [(1 << 30) - 1, 1]
    assert client.run != first, "an ID would be used twice"


@pytest.mark.req("REC-03")
def test_each_client_has_a_run_of_31_random_bits_and_takes_no_reply_of_another():
    clients = [LinkClient(lambda _: None) for _ in range(50)]
    assert len({client.run for client in clients}) == 50
    assert all(len(client.run) == 8 and int(client.run, 16) < 1 << 31 for client in clients)
    asked = clients[0].request("start")
    clients[0].feed(encode({"type": "reply", "id": asked, "run": clients[1].run, "ok": True}))
    assert clients[0].reply(asked) is None and clients[0].stray_replies == 1
    clients[0].feed(encode({"type": "reply", "id": asked, "run": clients[0].run, "ok": True}))
    assert clients[0].reply(asked) is not None


@pytest.mark.req("LNK-04")
def test_telemetry_reaches_its_callback_in_order_and_events_are_kept():
    seen = []
    client = LinkClient(lambda _: None)
    client.on_event = lambda frame: seen.append(frame["seq"])
    client.on_status = lambda frame: seen.append(frame["tick"])
    frames = [
        {"type": "event", "seq": 0, "code": "boot"},
        {"type": "status", "seq": 0, "tick": 100},
        {"type": "event", "seq": 1, "code": "state"},
        {"type": "something_new", "seq": 0},
    ]
    assert client.feed(b"".join(encode(f) for f in frames)) == frames
    assert seen == [0, 100, 1]
    assert client.events == [frames[0], frames[2]] and client.last_status == frames[1]


@pytest.mark.req("LNK-04")
def test_each_type_counts_its_own_gaps_and_a_new_beginning_is_a_restart():
    client = LinkClient(lambda _: None)
    for kind, seq in (("status", 7), ("event", 0), ("status", 8), ("status", 11), ("event", 2), ("event", 0)):
        client.feed(encode({"type": kind, "seq": seq}))
    assert (client.gaps, client.restarts) == (2 + 1, 1)


@pytest.mark.req("LNK-02")
def test_errors_are_counted_by_kind_and_the_last_lines_are_kept():
    client = LinkClient(lambda _: None)
    good = encode({"type": "status", "seq": 0})
    client.feed(good.replace(b"status", b"statue"))
    client.feed(b"MicroPython v1.25.0 on 2025-04-15\r\n>>> \r\n\r\n" + b"z" * 2000 + b"\n")
    assert (client.crc_errors, client.bad_frames) == (1, 3)
    assert client.noise[1] == b"MicroPython v1.25.0 on 2025-04-15"
    for n in range(100):
        client.feed(b"line %d\n" % n)
    assert len(client.noise) == 8
