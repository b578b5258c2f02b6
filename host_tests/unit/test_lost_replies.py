"""A reply that does not come is no riddle: the pump is asked what became of the command, by its ID.

`LossyPort` is the pump's own code behind a port that loses one reply, or whose cable is pulled at a command:
before the pump has heard it, or after it was carried out.
"""

import pytest
from pump_port import CutAtPort
from thecal_host import lost
from thecal_host.connection import PortError
from thecal_host.pump import Pump, PumpError, Refused
from thecal_model.link import Decoder, encode

RATE = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
BOLUS = {"volume_nl": 20_000, "duration_ms": 20_000}


class LossyPort(CutAtPort):
    """`lose` is the command whose first reply is lost."""

    def __init__(self):
        super().__init__()
        self.lose = self._lost_id = None
        self.away = 2
        self._decoder = Decoder()

    def sends(self, request, line):
        super().sends(request, line)
        if request["cmd"] == self.lose:
            self.lose, self._lost_id = None, request["id"]

    def read(self, timeout_s):
        said = b""
        for frame in self._decoder.feed(super().read(timeout_s)):
            assert isinstance(frame, dict)
            if frame["type"] == "reply" and frame["id"] == self._lost_id:
                self._lost_id = None
            else:
                said += encode(frame)
        return said

    @property
    def boluses(self):
        return self.bench.pump.boluses.clinician


@pytest.fixture
def lossy():
    port = LossyPort()
    pump = Pump(port, port.clock_s)
    pump.reopen, pump.sleep = port.reopen, port.sleep
    pump.connect()
    pump.confirm(pump.propose(RATE))
    pump.ask("start")
    port.sent.clear()
    return port, pump


def count_of(pump, *codes):
    return sum(event["code"] in codes for event in pump.client.events)


@pytest.mark.req("REC-03")
def test_the_answer_to_a_bolus_whose_reply_is_lost_comes_after_all(lossy):
    port, pump = lossy
    port.lose = "bolus"
    reply = pump.ask("bolus", **BOLUS)
    assert reply["granted"] is True and reply["rate_num"] == 3_600_000
    assert port.sent == ["bolus", "outcome", "bolus"]
    port.sleep(3)
    pump.poll(0)
    assert count_of(pump, "bolus_start") == 1


@pytest.mark.req("REC-03")
def test_what_was_denied_refused_or_done_is_told_so(lossy):
    port, pump = lossy
    pump.ask("bolus", **BOLUS)
    port.lose = "bolus"
    assert pump.ask("bolus", **BOLUS)["reason"] == "bolus_active"
    port.lose = "start"
    with pytest.raises(Refused) as refused:
        pump.ask("start")
    assert refused.value.code == "refused"
    port.lose = "audio_pause"
    assert pump.ask("audio_pause")["ok"] is True
    port.lose = "stop"
    assert pump.ask("stop")["state"] == "STOPPED" and "outcome" not in port.sent[-2:]


@pytest.mark.req("REC-03")
def test_a_bolus_that_never_came_to_the_pump_is_not_sent_again(lossy):
    port, pump = lossy
    port.cut_at, port.deaf = "bolus", True
    with pytest.raises(
        PumpError, match="the line was lost before `bolus` was answered: .*was not carried out"
    ):
        pump.ask("bolus", **BOLUS)
    assert port.sent.count("bolus") == 1 and port.opened == 3
    port.sleep(5)
    pump.poll(0)
    assert count_of(pump, "bolus_start", "denied") == 0


@pytest.mark.req("REC-03")
def test_a_bolus_given_while_the_cable_was_out_is_told_of(lossy):
    port, pump = lossy
    port.cut_at = "bolus"
    assert pump.ask("bolus", **BOLUS)["granted"] is True
    assert port.opened == 3 and port.sent.count("bolus") == 2
    kept = lost.outcome(pump, lost.Id(pump.client.run, pump.client.last_id))
    assert kept["outcome"] == "unknown"  # of the last ID, which is that of `outcome` itself


@pytest.mark.req("REC-03")
@pytest.mark.parametrize("ticks_before", [0, LossyPort.TICKS_TO_ACT])
def test_a_reset_in_between_is_told_of_and_the_bolus_never_comes_late(lossy, ticks_before):
    port, pump = lossy
    port.cut_at, port.deaf = "bolus", not ticks_before
    heard = port.reopen

    def reopen_after_a_reset():
        if port.opened == 0:
            port.bench.power_cut(20)
            port.bench.advance_to_tick(port.bench.tick + 60)
        return heard()

    pump.reopen = reopen_after_a_reset
    if ticks_before:
        # It was granted, and that is in the flash; what is left of it the reset has cancelled.
        reply = pump.ask("bolus", **BOLUS)
        assert reply["outcome"] == "done"
    else:
        # It named the boot in which it was sent, and nobody knows of that any more.
        with pytest.raises(PumpError, match="the pump was reset: it may have been carried out or not"):
            pump.ask("bolus", **BOLUS)
    port.sleep(10)
    pump.poll(0)
    assert count_of(pump, "bolus_start") <= bool(ticks_before)


@pytest.mark.req("REC-03")
def test_a_line_that_does_not_come_back_leaves_the_id_to_ask_with(lossy):
    port, pump = lossy
    port.cut_at, port.away = "bolus", 10_000
    with pytest.raises(
        PortError, match=r"once the pump is there again ask with `thecal outcome (\S+)`"
    ) as why:
        pump.ask("bolus", **BOLUS)
    text = str(why.value).partition("`thecal outcome ")[2].partition("`")[0]
    id = lost.Id.of(text)
    assert str(id) == text and id.run == pump.client.run and id.boot == 0
    port.away = 0
    assert pump.open_again()
    assert lost.text_of(lost.outcome(pump, id)) == "it has been carried out"


def test_who_wants_a_stop_is_told_soon_that_the_line_is_lost(lossy):
    port, pump = lossy
    port.cut_at, port.deaf, port.away = "stop", True, 10_000
    begun_s = pump.clock_s()
    with pytest.raises(PortError, match="the cable is out"):
        pump.ask("stop")
    assert lost.STOP_TIMEOUT_S <= pump.clock_s() - begun_s <= lost.STOP_TIMEOUT_S + 1
    port.away = 0
    assert pump.open_again() and pump.ask("stop")["state"] == "STOPPED"


def test_a_question_is_not_asked_again_by_itself(lossy):
    port, pump = lossy
    port.cut_at = "attempts"
    with pytest.raises(PortError, match="the cable is out"):
        pump.ask("attempts")


def test_another_pump_at_the_port_is_told_apart(lossy):
    port, pump = lossy
    pump.hello["serial"] = "0123456789abcdef"
    port.cut_at = "bolus"
    with pytest.raises(PumpError, match="another pump answers at test pump"):
        pump.ask("bolus", **BOLUS)


@pytest.mark.parametrize("text", ["", "3f2a91c0", "3f2a91c0.", "9f2a91c0.1", "3f2a91c0.1073741824", "x.1.2"])
def test_what_is_no_id_is_said(text):
    with pytest.raises(ValueError, match="expected the ID of a command"):
        lost.Id.of(text)


@pytest.mark.req("REC-03")
def test_the_python_api_does_not_take_a_granted_bolus_for_a_denied_one(lossy, monkeypatch):
    """After a reset the pump knows that it was granted, and its rate no more."""
    from thecal_host import Pump as Steered

    port, _ = lossy
    steered = Steered(port)
    told = {"ok": True, "outcome": "done", "command": "bolus"}
    monkeypatch.setattr(steered.conversation, "ask", lambda cmd, **amounts: told)
    assert steered.bolus("20 uL", over="20 s") == 3_600_000
