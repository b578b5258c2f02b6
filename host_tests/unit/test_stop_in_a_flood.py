"""ALM-05, LNK-05: a stop acts when it has come, however many lines wait to be read before it."""

from __future__ import annotations

from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from thecal import states
from thecal.link.frame import LINE_BYTES, MOST_AHEAD_BYTES
from thecal.link.session import PATIENCE_TICKS, Session
from thecal.signals import RX_BYTES
from thecal_bench.inprocess import host_crc
from thecal_model.link import encode

HELD_BYTES = LINE_BYTES + RX_BYTES  # what the pump has of a flood at once
WEEK = {
    "mode": "flex",
    "steps": [{"at_ms": hour * 3_600_000, "rate_num": 36_000, "rate_den": 1} for hour in range(24)],
}
FLOODS = {
    "words": b"hello\n",
    "frames": encode({"id": 1, "cmd": "status"}),
    "noise": b"x\n",
    "blank": b"\n",
    "therapies": encode({"id": 2, "run": "00000001", "cmd": "program", "therapy": WEEK}),
    "no stops": b'stop is what {"cmd":"stop"} 00000000\n',
}
STOPS = {
    "word": b"stop\n",
    "word and blanks": b"stop  \r\n",
    "no CRC": b'{"cmd":"stop"}\n',
    "frame": encode({"id": 3, "run": "7fffffff", "cmd": "stop"}),
}
SAYS_STOP = encode({"id": 4, "cmd": "outcome", "of_run": "stop", "of": 1})  # is looked at ahead, each of them


def flood(line: bytes, least_bytes: int = HELD_BYTES - 300) -> bytes:
    return line * (least_bytes // len(line))


def ticks_late(desk: PumpOnBench, data: bytes) -> int:
    """From the tick in which the last byte of `data` came to the one in which the pump is STOPPED."""
    desk.bench.send(data)
    while desk.bench._rx:
        desk.run(1)
    came = desk.tick
    while desk.pump.control.state != states.STOPPED:
        desk.run(1)
        assert desk.tick < came + 100
    return desk.tick - came


@pytest.fixture
def runs() -> PumpOnBench:
    desk = PumpOnBench()
    desk.start()
    desk.run(20)
    return desk


@pytest.mark.req("ALM-05", "LNK-05")
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("kind", FLOODS)
def test_a_stop_acts_in_the_tick_in_which_it_has_come(runs, kind, stop):
    assert ticks_late(runs, flood(FLOODS[kind]) + STOPS[stop]) == 0


@pytest.mark.req("ALM-05", "LNK-05")
def test_lines_that_only_speak_of_a_stop_hold_one_up_for_less_than_a_second(runs):
    """85 of them in 5 ticks; 7 are answered in each and 4 beyond them looked at."""
    assert 1 <= ticks_late(runs, flood(SAYS_STOP) + b"stop\n") <= 8


@pytest.mark.req("ALM-05", "LNK-05")
def test_a_stop_acts_while_a_host_that_reads_no_answer_is_waited_for(runs, monkeypatch):
    """It comes in two pieces, and nothing is read between."""
    monkeypatch.setattr(runs.bench, "transmit", lambda _: None)
    waiting = runs.pump.host.session
    while waiting.unread_ticks < PATIENCE_TICKS // 2 or waiting.reader.looked == waiting.reader.fill:
        runs.bench.send(b"hello\n" * 20)
        runs.run(1)
    runs.bench.send(b"st")
    runs.run(1)
    assert ticks_late(runs, b"op\n") == 0


@pytest.mark.req("ALM-05", "LNK-02", "REC-03")
def test_what_came_before_the_stop_is_cancelled_and_what_came_after_it_acts(runs):
    """Each in its turn, and the reading ones are answered."""
    ids = {}
    ids["before"] = runs.client.request("bolus", volume_nl=9_000, duration_ms=60_000)
    runs.bench.send(b"hello\n" * 400)
    for name in ("start", "patient_bolus", "set_time"):
        ids[name] = runs.client.request(name, **({"week_s": 0} if name == "set_time" else {}))
    ids["held"] = runs.client.request("stop", at_tick=runs.pump.clock.tick + 300)
    ids["alarms"] = runs.client.request("alarms")
    ids["stop"] = runs.client.request("stop")
    runs.bench.send(b"hello\n" * 20)
    ids["after"] = runs.client.request("start")
    runs.run(4)
    assert runs.pump.control.state == states.STOPPED
    while runs.client.reply(ids["stop"]) is None:
        runs.run(1)
        assert runs.pump.control.state == states.STOPPED
    runs.run(40)
    answers: dict[str, Any] = {name: runs.client.reply(number) or {} for name, number in ids.items()}
    assert [name for name in ids if answers[name].get("error") == "cancelled"] == [
        "start",
        "patient_bolus",
        "set_time",
        "held",
    ]
    assert answers["before"]["granted"] and answers["alarms"]["ok"]
    assert answers["stop"]["state"] == "STOPPED" and answers["after"]["state"] == "RUNNING"
    assert runs.pump.control.state == states.RUNNING and not runs.of("clock", "patient_bolus_start")
    asked = runs.ask("outcome", of_run=runs.client.run, of=ids["start"])
    assert asked["outcome"] == "cancelled"


def waits(data: bytes) -> Session:
    session = Session(host_crc)
    session.reader.take_in(data[:RX_BYTES], len(data[:RX_BYTES]))
    return session


@pytest.mark.req("ALM-05", "LNK-02")
def test_only_a_stop_that_would_act_when_it_is_read_acts_before():
    stop = {"id": 3, "cmd": "stop"}
    frame = encode(stop)
    for line in (
        frame[:-2] + b"x\n",
        frame.upper(),
        frame[:-1],
        encode({**stop, "at_tick": 1_000_000}),
        encode({**stop, "x": 1}),
        encode({"id": 3, "cmd": "program", "therapy": stop}),
        encode([stop]),  # pyright: ignore[reportArgumentType]  # what no client would send
        frame.replace(b"}", b"}" + b" " * MOST_AHEAD_BYTES),
        b"stop \0\n",
        b"xstop\n",
    ):
        assert not waits(b"hello\n" + line).stop_ahead(), line
    session = waits(b"hello\n" + frame)
    assert session.stop_ahead() and not session.stop_ahead() and session.before_stop()


@pytest.mark.req("ALM-05", "LNK-02")
def test_the_end_of_an_overlong_line_is_no_stop():
    session = waits(b"x" * RX_BYTES)
    for _ in range(4):
        session.reader.take_in(b"x" * RX_BYTES, RX_BYTES)
        session.reader.next()
    session.reader.take_in(b" \nstop\n"[1:], 6)
    assert session.stop_ahead(), "the line after it is one"
    session = waits(b"x" * RX_BYTES)
    for _ in range(4):
        session.reader.take_in(b"x" * RX_BYTES, RX_BYTES)
        session.reader.next()
    session.reader.take_in(b"stop\n", 5)
    assert session.reader.overlong and not session.stop_ahead()
