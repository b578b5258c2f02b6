"""The image's motor on the emulated chip: every edge, where it should be, whatever the CPU is busy with."""

import random
from fractions import Fraction

import pytest
from forked import from_boot
from rig import COLLECT_EVERY_TICK, STEPS_PER_NL, Rig
from thecal.signals import EARLY_US

pytestmark = pytest.mark.chip

EDGE_TOLERANCE_CYCLES = 16


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-07", "MOT-01", "SIM-01")
@from_boot
def test_thirty_thousand_edges_are_made_counted_and_where_they_should_be(rig, measured):
    rig.start(60_000_000)
    rig.run_ticks(70)
    rig.bolus(300_000, 20_000)  # 54 mL/h more
    rig.run_ticks(230)
    rig.change_rate(2_000)  # from the fastest basal to the slowest: nothing may be left over
    rig.run_ticks(20)
    rig.change_rate(60_000_000)
    rig.run_ticks(100)
    off_steps = rig.worst_off_steps()
    assert off_steps <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device >= 30_000
    assert rig.worst_edge_cycles() <= EDGE_TOLERANCE_CYCLES
    measured(at_pin, off_steps)
    assert rig.no_backlog()


@pytest.mark.req("MOT-05", "LNK-03", "LNK-05", "PERF-01")
@pytest.mark.parametrize("host", ["floods", "stops reading"])
def test_garbage_collection_and_a_bad_host_move_no_edge(image, host, measured):
    rig = Rig(image, program=COLLECT_EVERY_TICK)
    rig.start(60_000_000)
    noise = random.Random(1)
    crc_errors = rig.client.crc_errors  # the prompt's own words at the start are no frames
    if host == "stops reading":
        rig.board.host.stop_reading()
    for _ in range(80):
        if host == "floods":
            rig.bench.send(noise.randbytes(700).replace(b"\n", b" ") + b"\n")
        rig.run_ticks(1)
    rig.board.host.resume_reading()
    rig.run_ticks(10)
    assert rig.worst_off_steps() <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 4_000
    assert rig.worst_edge_cycles() <= EDGE_TOLERANCE_CYCLES
    measured(at_pin)
    assert rig.no_backlog()
    assert rig.client.crc_errors == crc_errors, "frames are sent whole or not at all"


@pytest.mark.req("MOT-05")
@from_boot
def test_a_stall_of_the_flash_of_400_ms_moves_no_edge(rig, measured):
    rig.start(60_000_000)
    for phase_ms in (0, 3, 37, 61, 95):
        rig.run_ticks(5)
        rig.board.run_for_ms(phase_ms)
        rig.board.stall_cpu_ms(400)
        rig.run_ticks(8)
    assert rig.worst_off_steps() <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device
    assert rig.worst_edge_cycles() <= EDGE_TOLERANCE_CYCLES
    measured(at_pin)
    assert not [event for event in rig.client.events if event["code"] == "starved"]
    assert [event for event in rig.client.events if event["code"] == "merged"], "the loop was really held up"


@pytest.mark.req("MOT-04", "SAFE-04")
@pytest.mark.parametrize("phase_ms", [0, 1, 42, 99])
@from_boot
def test_a_hung_loop_stops_the_motor_within_a_second(rig, phase_ms):
    rig.start(60_000_000)
    rig.run_ticks(20)
    rig.board.run_for_ms(phase_ms)
    made = len(rig.edges.rising)
    hung_cycle = rig.board.now_cycle
    rig.board.hang()
    rig.board.run_for_ms(1_500)
    assert rig.edges.rising[-1] - hung_cycle + 125_000_000 // 500 >= 0.6 * 125_000_000
    assert rig.edges.rising[-1] - hung_cycle <= 125_000_000
    assert len(rig.edges.rising) - made <= 60_000_000 * STEPS_PER_NL / 3_600 + 1
    assert rig.board.pin("STEP") == 0
    # Within 2 s the watchdog restarts the board: one pulse is the self-test's, to a driver without power.
    stopped = len(rig.edges.rising)
    rig.board.run_for_ms(500)
    assert rig.board.pin("EN") == 1
    while len(rig.edges.rising) == stopped and rig.board.now_cycle - hung_cycle < 3 * 125_000_000:
        rig.board.run_for_ms(10)
    assert rig.board.pin("EN") == 1 and len(rig.edges.rising) == stopped + 1


@pytest.mark.req("SAFE-01")
@from_boot
def test_the_motor_driver_is_off_from_reset_until_started_and_again_after_one(rig):
    seen = []
    rig.board.listen("EN", lambda level, _ns, _cycle: seen.append(level))
    rig.run_ticks(5)
    assert rig.board.pin("EN") == 1 and 0 not in seen and not rig.edges.rising
    rig.start(60_000_000)
    assert rig.board.pin("EN") == 0
    rig.run_ticks(3)
    rig.board.reset()
    assert rig.board.pin("EN") == 1, "the pull-up holds it as soon as the pad lets go"
    made = len(rig.edges.rising)
    seen.clear()
    rig.board.run_for_ms(300)
    assert rig.board.pin("EN") == 1 and 0 not in seen and len(rig.edges.rising) <= made + 1
    rig.board.run_for_ms(1_700)  # it was RUNNING, and its memory is kept
    assert rig.board.pin("EN") == 0 and seen == [0] and len(rig.edges.rising) > made + 1


@pytest.mark.req("DOSE-01")
@from_boot
def test_the_first_pulse_of_a_slow_rate_is_where_arithmetic_puts_it(rig):
    """2 mL/h is 16/9 microsteps a tick: the first pulse is due three quarters of a period after the start,
    where it is owed but for the quarter that is added (dose/delivery).
    """
    rig.start(2_000_000)
    tick = max(rig.changes)
    rig.run_ticks(12)
    period_ns = 100_000_000 / Fraction(16, 9)
    due_ns = rig.bench._due_ns(tick)
    assert -EARLY_US * 1_000 <= rig.edges.rising[0] * 8 - due_ns - period_ns * Fraction(3, 4) < 8_000
    assert abs((rig.edges.rising[9] - rig.edges.rising[0]) * 8 - 9 * period_ns) < 8_000
