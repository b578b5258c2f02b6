"""PERF-06 on the chip: every step of a constant flow at its ideal time, whatever the processor is busy with.

The ideal time of step k is that at which k - 1/4 steps are owed, a `Fraction`. All edges may be early by the
same time, a little, since motion ends before the tick (`signals.EARLY_US`): a row that is early as a whole is
as even as any.
"""

import random
from fractions import Fraction
from statistics import median_low

import pytest
from rig import COLLECT_EVERY_TICK, STEPS_PER_NL, TICKS_PER_HOUR, Rig
from thecal.signals import EARLY_US

pytestmark = pytest.mark.chip

WORST_NS = 8_000
TICK_NS = 100_000_000
CYCLE_NS = 8
# nL/h, and how many edges the long run sees; the ordinary one sees a tenth.
FLOWS = [(60_000_000, 30_000), (6_000_000, 3_000), (500_000, 1_000), (20_000, 50)]
STALL_MS = 400


def off_ns(rig: Rig, rate_nl_h: int, tick: int) -> list[Fraction]:
    """By how much each edge is later than it should be, for a flow from that tick on."""
    steps_per_ns = rate_nl_h * STEPS_PER_NL / TICKS_PER_HOUR / TICK_NS
    start_ns = rig.bench._due_ns(tick)
    made = [edge * CYCLE_NS - start_ns for edge in rig.edges.rising]
    flowing = [at for at in made if at > -EARLY_US * 1_000]  # before that only the self-test's
    return [at - (number - Fraction(1, 4)) / steps_per_ns for number, at in enumerate(flowing, 1)]


def deliver(rig: Rig, rate_nl_h: int, edges: int, disturbed: bool) -> int:
    """Until so many edges are made; the tick from which it flows."""
    rig.start(rate_nl_h)
    tick = rig.bench.tick + 1
    noise = random.Random(1)
    ticks = int(edges / (rate_nl_h * STEPS_PER_NL / TICKS_PER_HOUR)) + 1
    for number in range(ticks):
        if disturbed:
            rig.bench.send(noise.randbytes(700).replace(b"\n", b" ") + b"\n")
            if number % 50 == 25:
                rig.board.stall_cpu_ms(STALL_MS)
        rig.run_ticks(1)
    return tick


@pytest.mark.req("PERF-06", "PERF-01", "MOT-05", "DOSE-01")
@pytest.mark.parametrize("disturbed", [False, True])
@pytest.mark.parametrize("part", [10, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize(("rate_nl_h", "edges"), FLOWS)
def test_every_step_of_a_constant_flow_is_made_when_it_is_due(image, rate_nl_h, edges, part, disturbed):
    rig = Rig(image, program=COLLECT_EVERY_TICK if disturbed else None)
    tick = deliver(rig, rate_nl_h, edges // part, disturbed)
    found = off_ns(rig, rate_nl_h, tick)
    assert len(found) >= edges // part - 1
    row = median_low(found)
    assert -EARLY_US * 1_000 - WORST_NS <= row <= 0
    assert max(abs(off - row) for off in found) <= WORST_NS
    assert rig.worst_off_steps() <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device
    assert rig.no_backlog()
