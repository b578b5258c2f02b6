"""MOT-02, SAFE-10: a sound rotor never alarms, one that stands or turns by itself does, at its bound.

The rotor here is a wheel with levels: what the sensors count is found by stepping through every microstep and
looking whether a level rises, as the board's counters do, not by the arithmetic of the watch or of the plant.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_ints import SmallInt
from thecal.watch.alarms import FREE_FLOW, RUNAWAY, STALL
from thecal.watch.motion import Motion

REV, PULSES, PITCH = 3_200, 100, 32
MOST_BACK = 1_664  # steps: the 52 uL that are drawn back at most
LARGEST_RATE = 107  # steps in a tick: 120 mL/h


class Wheel:
    """A rotor at `angle` microsteps from a mark. An encoder level is high in the first half of a pulse, the
    mark for one pulse; a level that rises counts one, less one while the motor goes backward.
    """

    def __init__(self, angle: int) -> None:
        self.angle = angle
        self.encoder = 0
        self.index = 0

    def levels(self) -> tuple[bool, bool]:
        return self.angle % PITCH < PITCH // 2, self.angle % REV < PITCH

    def turn(self, steps: int) -> None:
        sign = 1 if steps >= 0 else -1
        for _ in range(abs(steps)):
            encoder, index = self.levels()
            self.angle += sign
            new_encoder, new_index = self.levels()
            self.encoder += sign * (new_encoder and not encoder)
            self.index += sign * (new_index and not index)


class Run:
    """A motor that makes what is ordered, on a wheel that follows unless told otherwise."""

    def __init__(self, angle: int) -> None:
        self.wheel = Wheel(angle)
        self.motion = Motion(REV, PULSES, 100_000, 730)
        self.tick = 0
        self.steps = 0

    def look(
        self, steps: int, lead: int = 0, ticks: int = 1, moving: bool = True, follows: bool = True
    ) -> int:
        self.tick += ticks
        self.steps += steps
        if follows:
            self.wheel.turn(steps)
        values = (self.tick, self.steps, self.wheel.encoder, self.wheel.index)
        tick, executed, encoder, index = map(SmallInt, values)
        return self.motion.look(tick, executed, encoder, index, moving, SmallInt(self.steps + lead))


flows = st.tuples(
    st.sampled_from([1, 1, 1, -1]),
    st.one_of(st.integers(0, LARGEST_RATE * 256), st.integers(0, 512)),  # steps in 256 ticks
    st.lists(st.one_of(st.just(1), st.integers(1, 30)), max_size=60),  # ticks, now and then merged
    st.integers(0, LARGEST_RATE * 10),  # steps that are ordered ahead
    st.integers(0, 20),  # steps of the last moment, made after the motor was told to halt
)


@pytest.mark.req("MOT-02", "MOT-03", "SAFE-10")
@settings(max_examples=150, deadline=None)
@given(st.integers(0, REV - 1), st.lists(flows, max_size=5))
@example(0, [(1, 107 * 256, [30], 0, 0), (-1, 107 * 256, [15], 0, 3), (1, 107 * 256, [30, 30], 0, 0)])
@example(REV - 5, [(1, 256, [10], 0, 0), (-1, 256, [10], 0, 0), (1, 25_600, [30, 30], 0, 0)])
def test_a_sound_rotor_never_alarms(angle, course):
    run = Run(angle)
    for sign, rate, ticks_each, lead, late in course:
        run.motion.begin(SmallInt(run.steps))
        made = 0
        parts = 0
        for ticks in ticks_each:
            parts += rate * ticks
            steps = parts // 256 - made
            if sign < 0:
                steps = min(steps, MOST_BACK - made)
            made += steps
            assert run.look(sign * steps, sign * lead, ticks) == -1
            assert run.motion.recovered_ticks(run.tick, run.steps) == -1
        assert run.look(sign * late, moving=False) == -1
        assert run.look(0, moving=False) == -1


@pytest.mark.req("MOT-02")
@settings(max_examples=100, deadline=None)
@given(st.integers(0, REV - 1), st.integers(1, LARGEST_RATE), st.integers(0, 4_000))
@example(0, 1, 0)
@example(31, 1, 31)
def test_a_rotor_that_stops_is_a_stall_within_three_pitches_and_not_before_one(angle, steps_per_tick, sound):
    run = Run(angle)
    while run.steps < sound:
        assert run.look(steps_per_tick) == -1
    stood_at = run.steps
    while True:
        row = run.look(steps_per_tick, follows=False)
        lost = run.steps - stood_at
        # The encoder tells a position to a pitch: two pitches of difference are one to three of lost steps.
        if lost > 3 * PITCH:
            assert row == STALL
        if row == STALL:
            assert lost > PITCH
            return
        assert row == -1


@pytest.mark.req("SAFE-10")
@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, REV - 1),
    st.integers(0, 300),  # steps before, slowly
    st.integers(1, LARGEST_RATE),  # steps of free flow in a tick
    st.booleans(),
)
@example(1, 31, 1, True)
def test_a_rotor_that_turns_by_itself_is_free_flow_within_two_pitches(angle, before, free_steps, moving):
    run = Run(angle)
    for _ in range(before):
        assert run.look(1, lead=1) == -1
        assert run.look(0, lead=1) == -1
    if not moving:
        assert run.look(0, moving=False) == -1
    turned = 0
    while True:
        run.wheel.turn(free_steps)
        turned += free_steps
        row = run.look(0, lead=1, moving=moving)
        assert row != RUNAWAY
        if turned >= 2 * PITCH + free_steps:
            assert row == FREE_FLOW
        if row == FREE_FLOW:
            assert turned >= PITCH // 2, "half a pitch is doubt enough, less is none"
            return
        assert row == -1
