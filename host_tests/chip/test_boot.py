"""A reset while the pump delivers: no power to the motor before the self-test is over, and basal again within
2 s of emulated time, however much the journal holds.
"""

import pytest
from images import on_release_image
from thecal.watch import alarms
from thecal_bench.bench import BOOT_TICKS, TICK_NS
from thecal_bench.benchmarks.boot import POWER, RUN, WATCHDOG, RunningPump

pytestmark = pytest.mark.chip

RESUMED_WITHIN_US = 2_000_000
AUTO_RESUMED = {"code": "alarm", "a": alarms.AUTO_RESUMED, "b": 1}


def resets_and_resumes(pump: RunningPump, how: str) -> float:
    """Returns the seconds to the first step."""
    boot = pump.reset(how)
    assert boot.en_active_in_post_us == 0 and boot.step_us is not None
    assert boot.pulses_in_post == 1, "the self-test's, to a driver without power"
    assert boot.en_driven_us < boot.loop_us < boot.post_over_us <= boot.motor_on_us
    assert boot.motor_on_us < boot.ordered_us < boot.step_us
    assert boot.step_us < RESUMED_WITHIN_US
    assert [e for e in pump.client.events if AUTO_RESUMED.items() <= e.items()], "nobody is told"
    status = pump.client.last_status
    assert status is not None and status["state"] == "RUNNING"
    pump.ask("acknowledge")  # so that the next reset raises it anew
    assert all(block.backlog_drops == 0 for block in pump.board.pio)
    return boot.step_us / 1e6


@pytest.mark.req("PERF-04", "REC-04", "SAFE-01")
def test_after_any_reset_the_motor_is_off_until_post_is_over_and_basal_resumes_within_two_seconds(
    image, measured
):
    pump = RunningPump(60_000_000, image)
    assert pump.bench.first_tick_ns < BOOT_TICKS * TICK_NS, "a journal that was never written costs no time"
    young_s = [resets_and_resumes(pump, how) for how in (RUN, WATCHDOG)]
    pump.fill_journal()  # all rings and therapies
    full_s = resets_and_resumes(pump, POWER)
    pump.close()
    measured(max(young_s), full_s)


@pytest.mark.req("PERF-04", "REC-04", "SAFE-01", "SIM-01")
@on_release_image
def test_the_release_image_boots_and_resumes_as_soon(image):
    pump = RunningPump(60_000_000, image)
    resets_and_resumes(pump, POWER)
    pump.close()
