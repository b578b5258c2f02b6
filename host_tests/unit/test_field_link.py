"""Bytes that stopped pumps in the field, on a pump that runs in-process."""

import pytest
from field_link import FILES, RunningPump, most_ticks
from thecal_bench.inprocess import HostBench


def started() -> RunningPump:
    bench = HostBench()
    return RunningPump(bench, lambda: bench._executed_steps)


@pytest.mark.req("LNK-02", "LNK-03", "LNK-05", "SAFE-05")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_came_from_the_field_leaves_a_running_pump_running_and_exact(path):
    pump = started()
    data = path.read_bytes()
    pump.bench.send(data)
    if path.stem == "prime_then_stop":
        pump.run(30)
        assert {reply["id"]: reply["ok"] for reply in pump.replies} == {1: False, 2: True}
        assert pump.ask("hello")["state"] == "STOPPED"
    else:
        assert pump.run(most_ticks(data)) <= 1
        assert len(pump.replies) == data.count(b"\n")
        assert pump.ask("hello")["state"] == "RUNNING"
    assert pump.raised == [] and pump.client.restarts == pump.client.gaps == 0
    assert pump.statuses[-1]["frames_dropped"] == 0
    assert [status["tick"] for status in pump.statuses if status["tick"] % 10 == 0] == list(
        range(0, pump.bench.tick + 1, 10)
    )
