"""SAFE-04: resets that come too often latch the pump, on the in-process board."""

import pytest
from pump_on_bench import PumpOnBench
from thecal import states
from thecal.watch import alarms
from thecal.watch.resets import MOST_RESETS, WINDOW_TICKS, Resets


def reset(desk, after_ticks):
    desk.run(after_ticks)
    desk.reset()


def halted(desk):
    return desk.bench.pump.control.state == states.HALTED


@pytest.mark.req("SAFE-04", "REC-04")
def test_more_resets_than_may_be_latch_the_pump_and_a_reset_does_not_free_it():
    desk = PumpOnBench()
    desk.run(3)
    desk.start()
    for _ in range(MOST_RESETS):
        reset(desk, 20)
        assert desk.bench.pump.control.state == states.RUNNING
    reset(desk, 20)
    assert halted(desk) and desk.of("alarm")[-1][2:] == (alarms.RESET_LOOP, 1)
    made = desk.bench._plant.steps_seen
    reset(desk, 20)
    assert halted(desk) and desk.bench.pump.alarms.standing[alarms.RESET_LOOP]
    assert desk.bench._plant.steps_seen == made
    assert not desk.ask("start")["ok"]
    desk.ask("acknowledge")
    assert desk.ask("start")["ok"]
    reset(desk, 20)
    assert desk.bench.pump.control.state == states.RUNNING, "those that were acknowledged count no more"


@pytest.mark.req("SAFE-04")
@pytest.mark.parametrize(("gap", "latches"), [(WINDOW_TICKS - 1, True), (WINDOW_TICKS, False)])
def test_only_resets_within_the_window_count(gap, latches):
    resets = Resets()
    assert [resets.too_many(100) for _ in range(MOST_RESETS)] == [False] * MOST_RESETS
    assert resets.too_many(100 + gap) is latches
