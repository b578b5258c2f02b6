"""ALM-05, REC-03, REC-04 on MicroPython's unix port: a fixed sample of what is done to a pump in
`stop_world.py`, done to one over there. It must say and do the same, and here the law was held.
"""

from __future__ import annotations

from typing import Any

import pytest
from stop_world import World
from thecal_bench.inprocess import HostBench
from thecal_bench.unixport import MicropythonBench
from thecal_model.link import Decoder

SEQUENCES = 25


def done_again(bench: HostBench, script: list[tuple[int, str, Any]], end_tick: int) -> tuple[list[Any], int]:
    """Frames, and steps made, when `script` is done to `bench`."""
    said: list[Any] = []
    decoder = Decoder()
    bench.on_data = lambda data: said.extend(decoder.feed(data))
    for tick, what, argument in script:
        bench.advance_to_tick(tick)
        if what == "send":
            bench.send(argument)
        elif what == "press":
            bench.press(*argument)
        else:
            bench.reset()
    bench.advance_to_tick(end_tick)
    steps = bench.motor.executed_steps(bench._at_cycles)
    return [frame for frame in said if frame["type"] != "status"], steps


@pytest.mark.req("ALM-05", "REC-03", "REC-04", "SIM-02")
@pytest.mark.parametrize("seed", [14, 20, 22])
def test_a_pump_on_micropython_obeys_the_law_of_stop_too(seed):
    world = World(seed, plain=True)
    for _ in range(SEQUENCES):
        world.sequence()
    seen = world.oracle.seen
    assert seen["stop while something waits"] > 3 and seen["RUNNING"] > 50 and seen["cuts"] > 0
    assert seen["flood"] > 1
    here = done_again(HostBench(), world.script, world.bench.tick)
    with MicropythonBench() as bench:
        there = done_again(bench, world.script, world.bench.tick)
    assert here == there and here[1] > 0
