"""DOSE-11 over resets: a pump that rests is found to rest as long as it does, however often it is reset."""

from __future__ import annotations

import pytest
from pump_on_bench import PumpOnBench
from thecal import states, watching
from thecal.clock import TICKS_PER_MIN
from thecal.watch import alarms

REST_TICKS = 10 * TICKS_PER_MIN
SLOWEST = {"mode": "continuous", "rate_num": 200_000, "rate_den": 1}


@pytest.fixture
def kept(monkeypatch) -> PumpOnBench:
    monkeypatch.setattr(watching, "LONG_STOP_TICKS", REST_TICKS)
    return PumpOnBench()


def rests_with_resets(desk: PumpOnBench, *after_ticks: int) -> int:
    """Ticks until LONG_STOP stands, with a reset after each of those; each is a boot of some ticks more."""
    begun = desk.tick
    for ticks in after_ticks:
        desk.run(ticks)
        assert not desk.pump.alarms.standing[alarms.LONG_STOP]
        desk.bench.power_cut(0)
    while not desk.pump.alarms.standing[alarms.LONG_STOP]:
        desk.run(10)
        assert desk.tick - begun < 3 * REST_TICKS
    return desk.tick - begun


@pytest.mark.req("DOSE-11", "REC-01")
@pytest.mark.parametrize("after_ticks", [(), (3_000,), (5_700,), (2_000, 2_000, 1_000)])
def test_a_reset_puts_off_no_long_stop(kept, after_ticks):
    """What was given is known by the minute, and so is the time of a pump that rests."""
    kept.confirm(SLOWEST)
    assert kept.ask("start")["ok"]
    kept.run(1_000)
    kept.ask("stop")
    took = rests_with_resets(kept, *after_ticks)
    assert REST_TICKS <= took <= REST_TICKS + (2 + len(after_ticks)) * TICKS_PER_MIN


@pytest.mark.req("DOSE-11", "REC-01")
def test_a_pump_that_never_ran_rests_since_it_was_new(kept):
    kept.confirm(SLOWEST)
    assert rests_with_resets(kept, 4_000) <= REST_TICKS + 2 * TICKS_PER_MIN


@pytest.mark.req("DOSE-11", "ALM-08", "REC-01")
def test_a_long_stop_goes_on_rising_over_a_reset(kept, monkeypatch):
    monkeypatch.setattr("thecal.watch.alarms.RISING", ((alarms.LONG_STOP, REST_TICKS),))
    kept.confirm(SLOWEST)
    begun = kept.tick
    kept.run(REST_TICKS + 3_000)
    assert kept.pump.alarms.priority[alarms.LONG_STOP] == alarms.LOW
    kept.reset()
    assert kept.pump.alarms.standing[alarms.LONG_STOP]
    while kept.pump.alarms.priority[alarms.LONG_STOP] != alarms.HIGH:
        kept.run(10)
        assert kept.tick - begun <= 2 * REST_TICKS + 3 * TICKS_PER_MIN


@pytest.mark.req("DOSE-11", "REC-04")
def test_a_reset_of_a_pump_that_runs_begins_no_rest(kept):
    kept.confirm(SLOWEST)
    kept.run(REST_TICKS - 600)
    kept.ask("start")
    kept.run(1_300)
    kept.reset()
    assert kept.pump.control.state == states.RUNNING
    assert not kept.pump.alarms.standing[alarms.LONG_STOP]
    kept.ask("stop")
    assert REST_TICKS <= rests_with_resets(kept, 2_500) <= REST_TICKS + 3 * TICKS_PER_MIN


@pytest.mark.req("DOSE-11", "REC-04", "ALM-05")
def test_a_pump_that_ran_and_does_not_resume_rests_since_the_reset(kept):
    kept.confirm(SLOWEST)
    kept.ask("start")
    kept.run(REST_TICKS + 600)
    kept.bench.inputs.button_stop = True
    kept.reset()
    kept.bench.inputs.button_stop = False
    assert kept.pump.control.state == states.STOPPED
    kept.run(50)
    assert not kept.pump.alarms.standing[alarms.LONG_STOP]
    assert REST_TICKS - 60 <= rests_with_resets(kept, 2_500) <= REST_TICKS + 3 * TICKS_PER_MIN
