"""A loop that fails again and again resets the board before anything is written: what the next boot makes of
it.
"""

import pytest
from field_link import RunningPump
from thecal import causes, states
from thecal.watch import alarms
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.inprocess import HostBench

LOOP_FAULT = alarms.ALARMS[alarms.LOOP_FAULT].code


def boot(pump: RunningPump[HostBench], cause: int, ticks: int = 12) -> None:
    pump.bench.reset()
    pump.bench.inputs.reset_cause = cause
    pump.run(BOOT_TICKS + ticks)


@pytest.fixture
def pump() -> RunningPump[HostBench]:
    bench = HostBench()
    return RunningPump(bench, lambda: bench._executed_steps)


def faults(pump: RunningPump[HostBench]) -> list[tuple[int, int, int]]:
    """(code, a, b) of the log of faults, as it stands in the flash."""
    from thecal_host import log

    journal = pump.bench._journal
    assert journal is not None
    found = [log.event_of(entry) for _, entry, _ in journal.entries(3, 0)]
    return [(event["code"], event["a"], event["b"]) for event in found]


@pytest.mark.req("SAFE-04", "SAFE-05", "MOT-06")
@pytest.mark.parametrize("found", ["RUNNING", "STOPPED", "HALTED"])
def test_what_faulted_three_times_comes_back_halted_until_acknowledged_whatever_it_was(pump, found):
    if found == "HALTED":
        pump.bench.pump.fail()
    elif found == "STOPPED":
        pump.ask("stop")
    pump.run(5)
    made = pump.executed()
    boot(pump, causes.RESET_FAULT)
    for cause in (causes.RESET_POWER, causes.RESET_WATCHDOG, None):
        hello = pump.ask("hello")
        assert hello["state"] == "HALTED" and not pump.bench.outputs.enable
        assert [LOOP_FAULT, "HIGH"] in pump.ask("alarms")["alarms"]
        number = pump.client.request("start")
        pump.run(20)
        reply = pump.client.reply(number)
        assert reply and not reply["ok"] and pump.bench.pump.control.state == states.HALTED
        if cause is not None:
            boot(pump, cause)
    assert pump.executed() == made
    assert ("boot", states.STATES.index(found), causes.RESET_FAULT) in faults(pump)
    assert ("alarm", alarms.LOOP_FAULT, 1) in faults(pump)
    assert pump.ask("acknowledge")["state"] == "STOPPED"
    assert pump.ask("start")["state"] == "RUNNING"


@pytest.mark.req("REC-04", "SAFE-04")
@pytest.mark.parametrize("cause", [causes.RESET_POWER, causes.RESET_WATCHDOG, causes.RESET_COMMAND])
def test_after_any_other_reset_it_goes_on(pump, cause):
    boot(pump, cause)
    assert pump.ask("hello")["state"] == "RUNNING" and LOOP_FAULT not in pump.raised
