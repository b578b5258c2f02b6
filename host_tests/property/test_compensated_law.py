"""DOSE-01 with a head's table: what the head displaces is within a step of the rotor of what is owed, at
every tick, whatever the table, the rates and the lateness of the loop.

The oracle is `test_motion_law`'s, and of the head a `Fraction` of its table, at the phase that the pump took
the mark to be at; that nothing jumps where the table is taken up or left, says `test_head_law`.
"""

import math
from fractions import Fraction

import pytest
from head_tables import displaced_steps, exact_steps, rig_with, tables
from hypothesis import given, settings
from hypothesis import strategies as st
from test_motion_law import LawBench, delays_us, follow
from thecal.dose.head import FAST_PART
from thecal.pump import Pump
from thecal_bench.inprocess import host_crc
from thecal_bench.plant import Plant

PER_REV, ROLLERS = 3_200, 3
FIND_NL_H, FIND_TICKS = 500_000, 300  # finds the mark, to a step
TO_MARK_STEPS = 30
SLACK_STEPS = Fraction(1, 16)  # of the table's numbers on the board
CROSSING_STEPS = 100  # of the rotor in a tick, at least
LATE_TICKS = 6  # a crossing begins with a segment, and what was owed meanwhile follows

rates_nl_h = st.one_of(
    st.sampled_from([2_000, 6_000_000, 20_000, 60_000_000]),
    st.integers(2_000, 9_500_000),
    st.integers(2_000, 200_000),
)


class HeadBench(LawBench):
    """The head of the plant is that of the table."""

    def __init__(self, table: list[int], **settings) -> None:
        self.table = table
        ways = [after - before for before, after in zip(table, [*table[1:], 0], strict=True)]
        self.step_most = 1 + Fraction(max(ways) * len(table), 100_000)
        self.bend = Fraction((max(ways) - min(ways)) * len(table), 100_000) / 2
        self.compensated_ticks = 0
        self.crossed_tick = -1  # until then what was owed in a crossing may follow
        rig = rig_with(table)
        plant = Plant(rig=rig, angle_steps=PER_REV - TO_MARK_STEPS)
        super().__init__(plant=plant, pump=Pump(rig, host_crc), **settings)

    def judge(self, grid: int, made: int) -> None:
        head = self.pump.position.head
        if not head.compensates:
            volume = made - head.shift + Fraction(head.part, head.unit)
            assert abs(volume - self.owed) <= 1 + self.step_most
            return
        self.compensated_ticks += 1
        at = made - head.turn_at
        at_turn = head.turn_steps + Fraction(head.turn_part, head.unit)
        volume = at_turn + exact_steps(self.table, PER_REV, ROLLERS, at)
        raw = at_turn + displaced_steps(self.table, PER_REV, ROLLERS, at)
        # The steps of a segment are even: its end is exact, and its middle as the table is straight.
        slack = SLACK_STEPS + (self.bend * (self.rate_steps + self.bolus_rate) if grid % 2 else 0)
        assert volume - self.owed <= self.step_most + slack, f"tick {grid}: {float(volume - self.owed)} ahead"
        behind = self.step_most + slack
        if raw < volume:
            self.crossed_tick = grid + LATE_TICKS
        if grid <= self.crossed_tick:
            ticks = LATE_TICKS + math.ceil(head.ripple_steps * 5 / CROSSING_STEPS)
            behind += ticks * (self.rate_steps + self.bolus_rate)
        assert self.owed - volume <= behind, f"tick {grid}: {float(self.owed - volume)} behind"


def run(table, changes, bolus, pattern=(0,)) -> HeadBench:
    bench = HeadBench(table, lateness_us=lambda turn: pattern[turn % len(pattern)])
    follow(bench, [(FIND_NL_H, FIND_TICKS), *changes], bolus)
    return bench


@pytest.mark.req("DOSE-01", "DOSE-02", "PERF-05", "MOT-05")
@given(
    tables(),
    st.lists(st.tuples(rates_nl_h, st.integers(1, 400)), min_size=1, max_size=5),
    st.none() | st.tuples(st.integers(0, 5), st.integers(1_000, 100_000), st.integers(4_000, 20_000)),
    delays_us(),
)
@settings(max_examples=60, deadline=None)
def test_what_the_head_displaces_is_within_a_step_of_what_is_owed_at_every_tick(
    table, changes, bolus, pattern
):
    run(table, changes, bolus, pattern)


@pytest.mark.req("PERF-05")
def test_the_table_is_in_force_once_the_mark_has_come_and_left_above_a_sixteenth_of_the_greatest_rate():
    table = [0, 1_000, 2_000, 1_000, 0, -1_000, -2_000, -1_000]
    bench = run(table, [(8_900_000, 100)], None)
    assert bench.compensated_ticks > 200 and bench.pump.position.head.compensates
    assert 120 // FAST_PART == 7  # steps a tick: from 8 on, 9 mL/h, the head counts as uniform
    bench = run(table, [(9_000_000, 100)], None)
    assert bench.compensated_ticks > 200 and not bench.pump.position.head.compensates


@pytest.mark.req("DOSE-01")
def test_the_oracle_sees_a_head_that_is_not_the_table_s():
    table = [0, 1_000, 2_000, 1_000, 0, -1_000, -2_000, -1_000]
    bench = HeadBench([0] * 8)
    bench.table = table
    with pytest.raises(AssertionError, match="behind|ahead|step_most"):
        follow(bench, [(FIND_NL_H, FIND_TICKS), (6_000_000, 200)], None)
