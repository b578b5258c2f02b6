"""PERF-06 in-process: every step of a constant flow at its ideal time, at any rate, however late the loop is.

The ideal time of step k is that at which k - 1/4 steps are owed, a `Fraction`; all are early by EARLY_US.
"""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pump_on_bench import forgetful_pump
from test_motion_law import ask, delays_us, program, rates_nl_h, steps_per_tick
from thecal.drivers import segment
from thecal.signals import EARLY_US
from thecal_bench.inprocess import TICK_CYCLES, HostBench
from thecal_model.link import LinkClient

WORST_CYCLES = 8 * segment.CYCLES_PER_US


class EdgeBench(HostBench):
    """Writes down when each step was made: in cycles, by the words that the motor has taken."""

    def __init__(self, **settings) -> None:
        self.edges: list[int] = []
        super().__init__(**settings)
        take = self.motor._next

        def taken(at_cycles: int) -> None:
            take(at_cycles)
            if self.motor._running:
                cut = self.motor._cut
                self.edges += [at_cycles + cut.first + number * cut.period for number in range(cut.steps)]

        self.motor._next = taken


def off_cycles(edges: list[int], rate: Fraction, tick: int) -> list[Fraction]:
    """By how much each is later than its ideal time, for a flow of `rate` steps a tick from that tick on."""
    return [
        edge - (tick + (number - Fraction(1, 4)) / rate) * TICK_CYCLES + EARLY_US * segment.CYCLES_PER_US
        for number, edge in enumerate(edges, 1)
    ]


@pytest.mark.req("PERF-06", "DOSE-01", "MOT-05")
@given(rates_nl_h, st.integers(20, 400), delays_us())
@example(120_000_000, 400, [0])
@example(60_000_000, 400, [0, 44_000])
@example(6_000_000, 400, [390_000, 0, 0, 0, 0])
@settings(max_examples=60, deadline=None)
def test_every_step_of_a_constant_flow_is_made_when_it_is_due(rate_nl_h, ticks, pattern):
    bench = EdgeBench(pump=forgetful_pump(), lateness_us=lambda turn: pattern[turn % len(pattern)])
    client = LinkClient(bench.send)
    bench.on_data = client.feed
    program(bench, client, rate_nl_h)
    _, tick = ask(bench, client, "start")
    bench.advance_to_tick(tick + ticks)
    found = off_cycles(bench.edges, steps_per_tick(rate_nl_h), tick)
    assert len(found) >= int(ticks * steps_per_tick(rate_nl_h))
    assert all(abs(off) <= WORST_CYCLES for off in found), max(found, key=abs)


@pytest.mark.req("PERF-06")
def test_the_oracle_sees_an_edge_that_is_9_us_late():
    assert max(off_cycles([100_000 + 250_000 - EARLY_US * 10 + 90], Fraction(3), 0)) > WORST_CYCLES
