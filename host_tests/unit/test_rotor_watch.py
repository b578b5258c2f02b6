"""The rotor against the motor (`watch/motion.py`): each alarm at its bound, and not one step before it.

The reference mechanism: 3 200 microsteps and 100 encoder pulses a revolution, a pitch of 32 microsteps.
"""

import pytest
from thecal.watch import motion
from thecal.watch.alarms import FREE_FLOW, OVER_INFUSION, RUNAWAY, SENSOR_FAULT, STALL, UNDER_INFUSION
from thecal.watch.motion import Motion
from thecal_model.rig import reference

REV, PULSES, PITCH = 3_200, 100, 32
QUIET = -1


class Desk:
    """A `Motion` and the counters it looks at, turned by hand; `look` lets one tick pass."""

    def __init__(self):
        self.motion = Motion(REV, PULSES, 100_000, 730)
        self.tick = 0
        self.steps = 0
        self.encoder = 0
        self.index = 0

    def look(self, steps=0, encoder=0, index=0, moving=True, lead=0):
        """So much more of each, with orders `lead` steps ahead."""
        self.tick += 1
        self.steps += steps
        self.encoder += encoder
        self.index += index
        return self.motion.look(self.tick, self.steps, self.encoder, self.index, moving, self.steps + lead)


@pytest.fixture
def desk():
    return Desk()


# --- encoder against steps


@pytest.mark.req("MOT-02")
def test_two_pitches_behind_are_borne_and_a_step_more_is_a_stall(desk):
    assert desk.look(steps=2 * PITCH) == QUIET
    assert desk.look(steps=1) == STALL
    assert desk.look() == STALL, "it stays until the motor starts anew"
    desk.motion.begin(desk.steps)
    assert desk.look(steps=2 * PITCH) == QUIET


@pytest.mark.req("MOT-02")
def test_two_pitches_ahead_are_borne_and_a_pulse_more_is_a_runaway(desk):
    # With enough steps between the pulses that no free flow is in question.
    for steps, pulses, ahead in ((33, 2, 31), (33, 2, 62), (30, 1, 64)):
        assert desk.look(steps=steps, encoder=pulses) == QUIET
        assert desk.encoder * PITCH - desk.steps == ahead
    assert desk.look(steps=31, encoder=1) == RUNAWAY


@pytest.mark.req("MOT-02")
def test_what_was_lost_before_the_motor_stopped_is_not_held_against_the_next_start(desk):
    desk.look(steps=60)
    desk.motion.begin(desk.steps)
    assert desk.look(steps=60) == QUIET
    assert desk.look(steps=5) == STALL


@pytest.mark.req("MOT-02")
@pytest.mark.parametrize("steps_per_tick", [1, 53, 107, 500])
def test_a_rotor_that_follows_again_says_how_long_it_stood(desk, steps_per_tick):
    while desk.look(steps=steps_per_tick) != STALL:
        assert desk.steps <= 2 * PITCH
    stalled_tick = desk.tick
    assert desk.motion.recovered_ticks(desk.tick, desk.steps) == -1
    for _ in range(50):
        assert desk.look(moving=False) == QUIET
    desk.motion.begin(desk.steps)
    turned = 0
    while turned < 3 * PITCH:
        assert desk.motion.recovered_ticks(desk.tick, desk.steps) == -1
        new = (turned + steps_per_tick) // PITCH - turned // PITCH
        turned += steps_per_tick
        assert desk.look(steps=steps_per_tick, encoder=new) == QUIET
    assert desk.motion.recovered_ticks(desk.tick, desk.steps) == desk.tick - stalled_tick
    assert desk.motion.recovered_ticks(desk.tick, desk.steps) == -1, "it is told once"


@pytest.mark.req("MOT-02")
def test_a_rotor_that_stalls_again_at_once_has_not_recovered(desk):
    assert desk.look(steps=65) == STALL
    desk.motion.begin(desk.steps)
    assert desk.look(steps=64, encoder=2) == QUIET
    assert desk.look(steps=65) == STALL
    assert desk.motion.recovered_ticks(desk.tick, desk.steps) == -1


# --- a rotor that turns by itself


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("ticks_between", [0, 1, 6, 36_000])
def test_the_second_pulse_without_orders_is_free_flow(desk, moving, ticks_between):
    for _ in range(3):
        desk.look(moving=moving)
    assert desk.look(encoder=1, moving=moving) == QUIET
    for _ in range(min(ticks_between, 100)):
        assert desk.look(moving=moving) == QUIET
    assert desk.look(encoder=1, moving=moving) == FREE_FLOW


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("pulses", [2, 3, 33])
def test_two_pulses_and_more_in_one_tick_are_free_flow_whatever_came_before(desk, pulses):
    for _ in range(8):
        assert desk.look(steps=64, encoder=2) == QUIET
    for _ in range(100):
        assert desk.look() == QUIET
    desk.look(steps=30)
    assert desk.look(steps=1, encoder=pulses) == FREE_FLOW


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("already", [0, 1, 31])
def test_free_flow_over_a_slow_basal_is_told_before_it_is_a_runaway(desk, already):
    # 2 uL/h: a step in 56 s. The rotor is anywhere between two pulses when 6 mL/h begin, a pulse each 0.6 s.
    desk.look(steps=64, encoder=2)
    for _ in range(already):
        assert desk.look(steps=1) == QUIET
        assert [desk.look() for _ in range(560)] == [QUIET] * 560
    assert desk.look(encoder=1, lead=1) == QUIET
    assert [desk.look(lead=1) for _ in range(5)] == [QUIET] * 5
    assert desk.look(encoder=1, lead=1) == FREE_FLOW


@pytest.mark.req("SAFE-10", "MOT-01")
def test_pulses_that_steps_ordered_and_not_counted_explain_are_a_broken_wire(desk):
    # 2 uL/h and no step comes back: the second pulse comes after 33 to 64 of them.
    assert desk.look(encoder=1, lead=10) == QUIET
    assert desk.look(encoder=1, lead=33) == SENSOR_FAULT
    other = Desk()
    other.look(encoder=1, lead=10)
    assert other.look(encoder=1, lead=31) == FREE_FLOW
    at_rest = Desk()
    at_rest.look(encoder=1, moving=False, lead=33)
    assert at_rest.look(encoder=1, moving=False, lead=33) == FREE_FLOW


# --- encoder against index marks


def turn(desk, pulses, index_at=(), moving=True):
    """So many pulses, a pitch of steps and a tick each; the alarms that came."""
    return {desk.look(steps=PITCH, encoder=1, index=int(n in index_at), moving=moving) for n in range(pulses)}


@pytest.mark.req("MOT-02", "OCC-01")
def test_revolutions_of_a_hundred_pulses_are_sound_wherever_the_first_mark_is(desk):
    for first in (0, 1, 50, 99):
        desk.motion.begin(desk.steps)
        assert turn(desk, 400, [first, first + 100, first + 200, first + 300]) == {QUIET}


@pytest.mark.req("MOT-02", "OCC-01")
@pytest.mark.parametrize(
    ("second", "alarm"), [(97, SENSOR_FAULT), (98, QUIET), (100, QUIET), (101, QUIET), (103, SENSOR_FAULT)]
)
def test_a_revolution_that_has_not_its_pulses_is_a_fault_of_the_sensors(desk, second, alarm):
    # Give or take one, and the one of the tick of the mark: 98 to 102 may be.
    found = turn(desk, 110, [5, 5 + second])
    assert found - {QUIET} == ({alarm} - {QUIET})


@pytest.mark.req("OCC-01")
def test_a_mark_that_does_not_come_is_a_fault_after_a_revolution(desk):
    assert turn(desk, 102) == {QUIET}
    assert turn(desk, 1) == {SENSOR_FAULT}
    assert desk.look() == QUIET, "a rotor at rest owes no mark, so the alarm can be acknowledged"
    desk.motion.begin(desk.steps)
    assert turn(desk, 100, [99]) == {QUIET}
    assert turn(desk, 102) == {QUIET}
    assert turn(desk, 1) == {SENSOR_FAULT}


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize("moving", [False, True])
def test_marks_that_come_like_mains_hum_are_a_fault_at_once(desk, moving):
    assert desk.look(index=5, moving=moving) == SENSOR_FAULT
    assert desk.look(index=1, moving=moving) == SENSOR_FAULT
    assert desk.look(moving=moving) == QUIET


@pytest.mark.req("MOT-03")
def test_a_rotor_that_is_drawn_back_over_a_mark_and_goes_over_it_again_is_sound(desk):
    assert turn(desk, 3, [2]) == {QUIET}
    desk.motion.begin(desk.steps)
    assert {desk.look(steps=-PITCH, encoder=-1, index=-int(n == 2)) for n in range(10)} == {QUIET}
    desk.motion.begin(desk.steps)
    assert turn(desk, 120, [9, 109]) == {QUIET}


# --- what was owed


def compare(desk, executed, ticks, owed=0, turned=None, bolus=False):
    """The first tick of `ticks` in which an alarm came, and which; or None."""
    desk.motion.turned_steps = (executed if turned is None else turned) // PITCH * PITCH
    for tick in range(1, ticks + 1):
        row = desk.motion.compare(1, owed, executed, bolus)
        if row != QUIET:
            return tick, row
    return None


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bolus", [False, True])
def test_at_exactly_the_tolerance_nothing_is_ever_said(desk, sign, bolus):
    assert desk.motion.tolerance_steps == PITCH
    assert compare(desk, sign * PITCH, 10_000, bolus=bolus) is None


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize(("bolus", "minutes"), [(False, 5), (True, 1)])
@pytest.mark.parametrize(("sign", "row"), [(1, OVER_INFUSION), (-1, UNDER_INFUSION)])
def test_a_step_beyond_it_is_said_after_its_minutes(desk, bolus, minutes, sign, row):
    # It is beyond from the first tick on, so `minutes` have passed in the tick after as many.
    assert compare(desk, sign * (PITCH + 1), 10_000, bolus=bolus) == (minutes * 600 + 2, row)


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize(("turned", "row"), [(4 * PITCH, OVER_INFUSION), (-4 * PITCH, UNDER_INFUSION)])
def test_the_rotor_is_held_against_what_is_owed_as_well(desk, turned, row):
    assert compare(desk, 0, 10_000, turned=turned) == (3_002, row)
    other = Desk()
    assert compare(other, 0, 10_000, turned=turned * 3 // 4) is None


@pytest.mark.req("SAFE-10")
def test_a_moment_within_the_tolerance_or_on_the_other_side_begins_the_time_anew(desk):
    assert compare(desk, 40, 3_001) is None
    assert compare(desk, 0, 1) is None
    assert compare(desk, 40, 3_001) is None
    assert compare(desk, -40, 3_001) is None
    assert compare(desk, 40, 3_002) == (3_002, OVER_INFUSION)


@pytest.mark.req("SAFE-10")
def test_ticks_that_were_merged_count_as_many(desk):
    motion_ = desk.motion
    assert motion_.compare(1, 0, 40, False) == QUIET
    assert motion_.compare(3_000, 0, 40, False) == QUIET
    assert motion_.compare(1, 0, 40, False) == OVER_INFUSION


# --- service


@pytest.mark.req("RES-04")
def test_service_is_due_after_its_revolutions_or_its_days(desk):
    desk.motion.pulses = 100_000 * PULSES - 1
    assert not desk.motion.service_due(0)
    desk.look(steps=PITCH, encoder=1)
    assert desk.motion.service_due(0)
    assert not Desk().motion.service_due(730 * motion.TICKS_PER_DAY - 1)
    assert Desk().motion.service_due(730 * motion.TICKS_PER_DAY)


@pytest.mark.req("RES-04")
def test_what_is_drawn_back_wears_nothing_off(desk):
    desk.look(steps=64, encoder=2)
    desk.look(steps=-64, encoder=-2)
    assert desk.motion.pulses == 2


@pytest.mark.req("RES-04", "MOT-02", "SAFE-10")
def test_the_numbers_of_the_rotor_s_watch_are_those_that_were_decided():
    """10 L at 0.1 mL a revolution, or two years; two pitches; five minutes, one with a bolus."""
    assert (reference().service_revs, reference().service_days) == (100_000, 730)
    assert (motion.AGREE_PITCHES, motion.BASAL_TICKS, motion.BOLUS_TICKS) == (2, 3_000, 600)


@pytest.mark.req("SAFE-10")
@pytest.mark.parametrize(("made", "row"), [(16, FREE_FLOW), (17, QUIET)])
def test_two_pulses_with_at_most_half_a_pitch_of_steps_between_are_free_flow(desk, made, row):
    for _ in range(8):
        assert desk.look(steps=64, encoder=2) == QUIET
    desk.look()
    assert desk.look(encoder=1) == QUIET
    assert [desk.look(steps=1) for _ in range(made)] == [QUIET] * made
    assert desk.look(encoder=1) == row
