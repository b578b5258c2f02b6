"""LIM-03 with tables of heads: no window holds more than its limit by a step of the rotor, whatever is
pressed, programmed, stopped or reset, in any order, and whatever the table.

The machine is `test_limits_machine`'s, and its oracle, which is told here what the head has displaced by the
table: a `Fraction` of it, at the phase that the pump took the mark to be at, which has to be the plant's. A
head that counts as uniform displaces a microstep with each step. What a dip takes back counts as given: so a
window that begins in a dip may hold what is in the dip besides, and no more.

A small head, for there to be many pitches in a window: 400 steps a revolution, one roller, and flows of a
hundredth of a pitch a tick; every tick is run. Drugs and their bridges are the other machine's.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
from head_tables import exact_steps, tables
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from skipping_bench import SkippingBench, StillPlant
from test_limits_machine import HOUR_MS, RESETS_NL, LimitsMachine, profile
from thecal import rig as rigs
from thecal.dose.head import WIDTH_PART
from thecal_model.rig import reference

PER_REV = 400
TO_MARK_STEPS = 30

rates = st.sampled_from([60_000, 300_000, 1_200_000])
windows_ms = st.sampled_from([600_000, 660_000, 1_200_000])
lockouts_ms = st.sampled_from([0, 100, 60_000, 300_000])


def small_rig(table: list[int]) -> rigs.Rig:
    """A microstep is the reference's, 31.25 nL."""
    given = reference().tables
    motor = {**given["motor"], "microsteps": 2}
    head = {**given["head"], "nl_per_rev": 12_500, "rollers": 1, "table": table}
    return rigs.read({**given, "motor": motor, "head": head})


class TurningPlant(StillPlant):
    """Its rotor stands TO_MARK_STEPS before the mark."""

    def __init__(self, table: list[int]) -> None:
        self.rig = small_rig(table)

    def steps(self, count: int, from_ns: int, to_ns: int) -> None:
        self.made_steps += count
        self.encoder_count = self.made_steps // 4
        self.index_count = (self.made_steps + PER_REV - TO_MARK_STEPS) // PER_REV


class EvenedBench(SkippingBench):
    """`on_steps` gets the tick of each microstep of volume. Nothing is skipped while the motor runs."""

    def __init__(self, table: list[int]) -> None:
        self.table = table
        self.given: Any = Fraction(0)
        self.made_steps = 0
        self.compensated_ticks = 0
        self.was = (False, 0)
        super().__init__(plant=TurningPlant(table))

    def _given_steps(self) -> int:
        """By how the head counted in this tick."""
        compensates, turn_at = self.was
        made = self._executed_steps
        if made != self.made_steps:
            ends = [self.made_steps, made]
            if compensates:
                ends = [exact_steps(self.table, PER_REV, 1, at - turn_at) for at in ends]
            self.given += ends[1] - ends[0]
            self.made_steps = made
        self.compensated_ticks += compensates
        position = self.pump.position
        turn_at = position.head.turn_at - position.base_steps + self._origin_steps
        self.was = (position.head.compensates, turn_at)
        if position.head.compensates:
            off = (turn_at - TO_MARK_STEPS + PER_REV // 2) % PER_REV - PER_REV // 2
            assert abs(off) <= PER_REV // WIDTH_PART // 2 + 1, f"the mark is {off} steps away"
        return int(self.given)


@st.composite
def therapies(draw) -> dict[str, Any]:
    """Fast ones, with boluses and a limit that they reach soon."""
    rate_nl_h = draw(rates)
    window_ms = draw(windows_ms)
    volume_nl = draw(st.sampled_from([5_000, 20_000, 50_000]))
    bolus = {
        "volume_nl": volume_nl,
        # The last one is too fast for the table.
        "rate_num": draw(st.sampled_from([600_000, 3_600_000, 12_000_000])),
        "rate_den": 1,
        "lockout_ms": draw(lockouts_ms),
        "max_per_day": 96,
    }
    basal_nl = -(-rate_nl_h * window_ms // HOUR_MS)
    room_nl = volume_nl * draw(st.sampled_from([0, 1, 2, 3, 4, 7])) // 2
    limit = {"volume_nl": basal_nl + room_nl + RESETS_NL, "window_ms": window_ms}
    therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1, "max_rate_nl_h": 20_000_000}
    therapy |= {"patient_bolus": bolus, "limit": limit, "line_nl": draw(st.sampled_from([0, 2_000]))}
    return {**therapy, "low_nl": 20_000, "empty_nl": 10_000}


class EvenedMachine(LimitsMachine):
    @initialize(data=st.data(), table=tables())
    def begin(self, data: Any, table: list[int]) -> None:
        bench = EvenedBench(table)
        self.oracle.behind = bench.pump.position.head.behind_steps
        self.use(bench)
        self.program(data.draw(therapies()))
        self.start()

    @rule(data=st.data())
    def program_anew(self, data: Any) -> None:
        self.program(data.draw(therapies()))

    @precondition(lambda self: self.oracle.therapy and "limit" in self.oracle.therapy)
    @rule(window_ms=windows_ms, part=st.sampled_from([3, 5, 8, 12]), lockout_ms=lockouts_ms)
    def program_limit(self, window_ms: int, part: int, lockout_ms: int) -> None:
        self.program_another_limit(window_ms, part, lockout_ms)

    @precondition(lambda self: self.oracle.running)
    @rule(volume_nl=st.sampled_from([3_000, 20_000]), minutes=st.sampled_from([1, 5]))
    def clinician_bolus(self, volume_nl: int, minutes: int) -> None:
        self.give_clinician_bolus(volume_nl, minutes)

    @rule(volume_nl=st.sampled_from([25_000, 60_000, 5_000_000]))
    def refill(self, volume_nl: int) -> None:
        self.fill_up(volume_nl)

    @precondition(lambda self: False)
    @rule()
    def press_as_a_grant_leaves_the_day(self) -> None:
        """It takes a day."""

    @rule(ticks=st.integers(1, 20) | st.integers(1, 600) | st.integers(1, 6_000) | st.just(6_600))
    def advance(self, ticks: int) -> None:
        self.run_to(self.bench.tick + ticks)


@pytest.mark.req("LIM-03", "LIM-04", "LIM-05", "LIM-06", "PERF-05", "DOSE-01")
def test_no_order_of_events_gives_more_than_the_limit_whatever_the_table():
    run_state_machine_as_test(EvenedMachine, settings=profile(15, steps=12))


@pytest.mark.long
@pytest.mark.req("LIM-03", "LIM-04", "LIM-05", "LIM-06", "PERF-05", "DOSE-01")
def test_no_long_order_of_events_gives_more_than_the_limit_whatever_the_table():
    run_state_machine_as_test(EvenedMachine, settings=profile(2_000, steps=25))
