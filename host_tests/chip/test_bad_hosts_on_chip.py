"""LNK-03, LNK-05 on the chip: what a host costs that reads nothing; a minute of bad hosts."""

import ast
import random

import pytest
from images import on_each_image
from rig import Rig

pytestmark = pytest.mark.chip

MINUTE_TICKS = 600
SETTLE_TICKS = 180  # until all is full that takes what nobody reads
COST = """
import gc, micropython
from array import array
from thecal import app
a = app.App()
took_us = array("I", bytes(4 * {ticks}))
stuck = bytearray({ticks})
for _ in range(12):
    a.wait()
    a.tick()
gc.collect()
for n in range({ticks}):
    a.wait()
    a.tick()
    took_us[n] = a.inputs.loop_us
    stuck[n] = a.outputs.tx_start < a.outputs.tx_end
a.stepper.halt()
micropython.kbd_intr(3)
"""
TOLD = """
unread = took_us[{first}:{end}]
print()
print((sum(took_us[10:100]) / 90, sum(unread) / {count}, sum(stuck[:100]), sum(stuck[{first}:{end}])))
"""


@pytest.mark.req("LNK-03")
@pytest.mark.parametrize("count", [100, pytest.param(MINUTE_TICKS, marks=pytest.mark.long)])
def test_a_host_that_reads_nothing_costs_the_loop_less_than_a_millisecond_in_a_second(pump_prompt, count):
    board = pump_prompt.board
    ticks = SETTLE_TICKS + count + 30
    pump_prompt.start(COST.format(ticks=ticks))
    board.run_for_ms(13_500)  # its first ticks, and some more than a hundred
    board.host.stop_reading()
    board.run_for_ms(100 * (ticks + 15) - 13_500)
    board.host.resume_reading()
    pump_prompt.result(limit_ms=20_000)
    told = TOLD.format(first=SETTLE_TICKS, end=SETTLE_TICKS + count, count=count)
    quiet_us, unread_us, *stuck = ast.literal_eval(pump_prompt.run(told).strip().splitlines()[-1])
    print(f"a tick takes {quiet_us:.0f} us, {unread_us:.0f} us while nobody reads")
    assert stuck == [0, count], "the one read all, the other nothing"
    assert 10 * (unread_us - quiet_us) <= 1_000


@pytest.mark.long
@pytest.mark.req("MOT-05", "LNK-03", "LNK-05", "SIM-01")
@on_each_image
@pytest.mark.parametrize("host", ["floods", "stops reading", "both"])
def test_after_a_minute_of_a_bad_host_no_step_is_lost_and_the_next_status_is_in_time(image, host):
    rig = Rig(image)
    rig.start(6_000_000)
    noise = random.Random(1)
    late = []

    def hear(status):
        late.append((status["tick"], rig.bench.tick - status["tick"]))
        rig.statuses.append(status)

    rig.client.on_status = hear
    if host != "floods":
        rig.board.host.stop_reading()
    for _ in range(MINUTE_TICKS):
        if host != "stops reading":
            rig.bench.send(noise.randbytes(700).replace(b"\n", b" ") + b"\n")
        rig.run_ticks(1)
    if host == "floods":
        assert {tick for tick, _ in late} >= set(range(20, rig.bench.tick - 2, 10))
        assert max(ticks for _, ticks in late) <= 1
    rig.board.host.resume_reading()
    back = rig.bench.tick
    rig.run_ticks(35)
    since = [(tick, ticks) for tick, ticks in late if tick > back + 1]
    assert {tick for tick, _ in since} >= set(range((back // 10 + 1) * 10 + 10, rig.bench.tick - 2, 10))
    assert max(ticks for _, ticks in since) <= 1
    assert rig.worst_off_steps() <= 1 and rig.worst_edge_cycles() <= 16 and rig.no_backlog()
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 3_000
    assert rig.board.resets == 0
