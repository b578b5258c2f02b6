"""What is not fitted is not watched, and what is fitted is (RIG-03): part by part, with the same garbage."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thecal import rig as rigs
from thecal.rig import WEAR_PULSES
from thecal.signals import Inputs
from thecal.watch import alarms, parts
from thecal.watch.motion import Marks, Motion, Steps
from thecal.watch.senses import Senses
from thecal_model.rig import NAMES, named, reference

QUIET = -1


def without(*tables):
    """The reference rig less some of its tables."""
    return rigs.read({name: keys for name, keys in reference().tables.items() if name not in tables})


class Feel:
    """The senses of a rig and the inputs of a sound pump at 6 mL/h, turned by hand."""

    def __init__(self, rig):
        self.rig = rig
        self.senses = Senses(rig)
        self.inputs = Inputs()
        self.tick = 0
        self.rows = set()

    def turn(self, ticks, **garbage):
        """So many ticks; what `garbage` names comes instead of what is sound, as a function of the tick."""
        inputs, rig = self.inputs, self.rig
        for _ in range(ticks):
            self.tick += 1
            steps = self.tick * 6_000_000 * rig.steps_per_rev // (rig.nl_per_rev * 36_000)
            inputs.pressure_down_raw = inputs.pressure_up_raw = 414 + self.tick % 2
            inputs.supply_raw = 2_400
            inputs.encoder_count = steps * rig.encoder_pulses_per_rev // rig.steps_per_rev
            inputs.index_count = steps // rig.steps_per_rev
            for name, value in garbage.items():
                setattr(inputs, name, value(self.tick))
            self.senses.read(inputs, self.tick)
            self.rows.add(self.senses.look(inputs, self.tick, 1, steps, steps, True, True))
        return self.rows - {QUIET}


GARBAGE = {
    "encoder": ({"encoder_count": lambda tick: -tick * 7}, alarms.STALL),
    "index": ({"index_count": lambda tick: tick * 3}, alarms.SENSOR_FAULT),
    "pressure_down": ({"pressure_down_raw": lambda tick: 4_095 * (tick % 2)}, alarms.SENSOR_FAULT),
    "pressure_up": ({"pressure_up_raw": lambda tick: -1}, alarms.SENSOR_FAULT),
    "supply": ({"supply_raw": lambda tick: 900 + tick % 3}, alarms.SUPPLY_CRITICAL),
    "air": ({"air": lambda tick: True}, alarms.AIR),
    "fault": ({"driver_fault": lambda tick: True}, alarms.DRIVER_FAULT),
}


@pytest.mark.req("RIG-03", "OCC-01")
@pytest.mark.parametrize("part", GARBAGE)
def test_garbage_on_the_pins_of_a_part_alarms_where_it_is_fitted_and_not_where_it_is_not(part):
    garbage, row = GARBAGE[part]
    fitted = Feel(reference())
    assert row in fitted.turn(400, **garbage)
    absent = Feel(without(part))
    assert absent.turn(400, **garbage) == set()
    assert absent.senses.failed.bits == 0 and absent.senses.unbelievable() == 0
    assert not absent.senses.supply_low


@pytest.mark.req("RIG-03", "RIG-04")
@pytest.mark.parametrize("name", NAMES)
def test_a_rig_alarms_for_nothing_that_floats(name):
    """Whatever the pins say that nothing is wired to."""
    rig = named(name)
    open_pins = [part for part in GARBAGE if part not in rig.tables]
    feel = Feel(rig)
    garbage = {key: value for part in open_pins for key, value in GARBAGE[part][0].items()}
    assert feel.turn(400, **garbage) == set()
    assert feel.senses.failed.bits == 0 and feel.senses.unbelievable() == 0


@pytest.mark.req("RIG-03", "SAFE-02")
@pytest.mark.parametrize("part", ["pressure_down", "pressure_up", "supply"])
def test_a_fitted_sensor_without_a_value_fails_the_self_test(part):
    number = parts.PARTS.index(part)
    broken = Feel(reference())
    broken.turn(1, **{f"{part}_raw": lambda tick: 0})
    assert broken.senses.unbelievable() == 1 << number
    assert broken.senses.failed.kinds[number] == parts.SHORT


# --- without an encoder


class Rotor:
    """A watch of a rotor without an encoder, its marks at whole turns from `angle` on."""

    def __init__(self, watch, rev, angle=0):
        self.watch = watch(rev, WEAR_PULSES, 100_000, 730)
        self.rev, self.angle = rev, angle
        self.steps = self.tick = 0

    def turn(self, steps, marks=None, moving=True):
        self.tick += 1
        self.steps += steps
        if marks is None:
            marks = (self.steps + self.angle) // self.rev
        return self.watch.look(self.tick, self.steps, 0, marks, moving, self.steps)


REVS = st.sampled_from([200, 1_036, 3_200, 6_400, 33_152, 5_120_000])


@pytest.mark.req("RIG-03", "OCC-01")
@given(REVS, st.data())
def test_marks_that_come_with_the_turns_are_right_at_any_pace(rev, data):
    rotor = Rotor(Marks, rev, data.draw(st.integers(0, rev - 1)))
    for steps in data.draw(st.lists(st.integers(0, min(rev * 2, 240)), max_size=100)):
        assert rotor.turn(steps) == QUIET
    while rotor.steps < 4 * rev:
        assert rotor.turn(max(rev // 37, 1)) == QUIET


@pytest.mark.req("RIG-03", "OCC-01")
@given(REVS, st.integers(1, 37))
def test_a_mark_that_stays_out_is_missed_within_a_fiftieth_of_a_turn(rev, part):
    each = max(rev // 37 // part, 1)
    rotor = Rotor(Marks, rev)
    while rotor.steps < 2 * rev:
        assert rotor.turn(each) == QUIET
    marks = rotor.steps // rev
    last = marks * rev
    row = QUIET
    while row == QUIET:
        row = rotor.turn(each, marks)
        assert rotor.steps <= last + rev + rev // 50 + 2 + 2 * each
    assert row == alarms.SENSOR_FAULT and rotor.steps > last + rev
    assert (rotor.watch.failed_part, rotor.watch.failed_kind) == (parts.INDEX, parts.MISSING)
    assert rotor.turn(0, marks, moving=False) == QUIET, "a motor that rests is not due a mark"


@pytest.mark.req("RIG-03", "OCC-01")
@given(REVS, st.integers(1, 90))
def test_a_mark_too_early_is_one_too_many(rev, percent):
    rotor = Rotor(Marks, rev)
    while rotor.steps < 2 * rev:
        rotor.turn(max(rev // 100, 1))
    marks, from_steps = rotor.steps // rev, rotor.steps
    while rotor.steps - from_steps < rev * percent // 100:
        assert rotor.turn(max(rev // 200, 1), marks) == QUIET
    assert rotor.turn(0, marks + 1) == alarms.SENSOR_FAULT
    assert (rotor.watch.failed_part, rotor.watch.failed_kind) == (parts.INDEX, parts.EXTRA)


@pytest.mark.req("RIG-03", "RES-04")
@given(REVS, st.lists(st.integers(-30, 240), max_size=60))
def test_without_an_encoder_the_steps_forward_are_what_wears(rev, moves):
    rotor = Rotor(Steps, rev)
    forward = 0
    for steps in moves:
        rotor.turn(steps)
        forward += max(steps, 0)
    assert rotor.watch.pulses == forward * WEAR_PULSES // rev
    rotor.watch.pulses = 100_000 * WEAR_PULSES - 1
    assert not rotor.watch.service_due(0)
    while rotor.watch.pulses < 100_000 * WEAR_PULSES:
        rotor.turn(rev // 50)
    assert rotor.watch.service_due(0)


@pytest.mark.req("RIG-03", "RES-04")
@pytest.mark.parametrize("name", NAMES)
def test_wear_is_counted_in_the_unit_that_the_rig_says(name):
    rig = named(name)
    motion = Senses(rig).motion
    assert motion.pulses_per_rev == rig.wear_pulses_per_rev == (rig.encoder_pulses_per_rev or WEAR_PULSES)
    assert (motion.service_revs, motion.service_days) == (rig.service_revs, rig.service_days)


@pytest.mark.req("RIG-03", "SAFE-10")
@pytest.mark.parametrize(("name", "tolerance"), [("bare", 32), ("geared", 165), ("lab", 64)])
@pytest.mark.parametrize(("bolus", "ticks"), [(False, 3_000), (True, 600)])
def test_without_an_encoder_steps_are_held_against_what_is_owed(name, tolerance, bolus, ticks):
    for sign, row in ((1, alarms.OVER_INFUSION), (-1, alarms.UNDER_INFUSION)):
        watch = Senses(named(name)).motion
        at = [watch.compare(1, 0, sign * tolerance, bolus) for _ in range(ticks * 2)]
        assert at == [QUIET] * (ticks * 2)
        beyond = [watch.compare(1, 0, sign * (tolerance + 1), bolus) for _ in range(ticks + 2)]
        assert beyond == [QUIET] * (ticks + 1) + [row]


# --- a pitch that is no whole number of steps


@pytest.mark.req("RIG-01", "MOT-02")
@given(st.integers(200, 40_000), st.integers(1, 1_000), st.integers(1, 200), st.integers(1_000, 100_000))
def test_a_pitch_of_any_length_follows_for_ever_and_tells_a_stall_by_its_third(rev, pulses, each, turns):
    pulses = min(pulses, rev // 2)
    watch = Motion(rev, pulses, 1 << 30, 1 << 30, False)
    pitch = Fraction(rev, pulses)
    # Far along already: remainders that were dropped would show.
    watch.seen_steps, watch.seen_encoder = turns * rev, turns * pulses
    watch.begin(0)
    watch.from_encoder = 0
    watch.turned_steps = watch.steps_of(turns * pulses)
    watch.pulse_steps = turns * rev - rev
    steps = turns * rev
    for tick in range(60):
        steps += each
        assert watch.look(tick, steps, int(steps / pitch), 0, True, steps) == QUIET
    encoder, stood = int(steps / pitch), steps
    row = QUIET
    while row == QUIET:
        steps += each
        row = watch.look(100, steps, encoder, 0, True, steps)
    assert row == alarms.STALL
    assert 2 * pitch - 1 < steps - encoder * pitch and steps - stood <= 2 * pitch + each + 1
