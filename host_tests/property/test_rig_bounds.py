"""The law of what a rig may be: whatever is refused says what to change, and that is then accepted.

The oracle of what has to hold of an accepted one are fractions.
"""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rigs import Tables, change, mended, motors, sensors, tables_of
from thecal import rig as rigs
from thecal.watch.occlusion import UPSTREAM_PA
from thecal_model.rig import reference

LEAST_NL_H = 2_000


@pytest.mark.req("RIG-01", "MOT-06", "DOSE-04")
@given(motors())
def test_any_motor_and_head_are_accepted_after_the_changes_that_the_refusals_name(tables):
    rig = mended(tables)
    head = rig.mechanism()
    motor = rig.tables["motor"]
    steps = motor["full_steps"] * motor["microsteps"] * Fraction(*motor["gear"])
    assert steps == rig.steps_per_rev == head.steps_per_rev and 200 <= steps <= 5_120_000
    assert 1_000 <= rig.nl_per_rev <= 1_000_000
    assert Fraction(rig.nl_per_rev, rig.steps_per_rev) >= Fraction(1, 100)
    assert 2 * head.grains_per_step < 2**30
    assert head.max_rate_nl_h() >= LEAST_NL_H and head.reaches(1, 1)
    most_steps_s = Fraction(head.max_rate_nl_h()) * steps / rig.nl_per_rev / 3_600
    assert most_steps_s <= motor["most_steps_s"]
    assert most_steps_s * rig.interval_us <= 800_000
    if rig.encoder_pulses_per_rev:
        pitch = steps / rig.encoder_pulses_per_rev
        assert pitch >= 2 and pitch / rig.most_steps_s >= Fraction(2_926, 1_000_000)


@pytest.mark.req("RIG-01", "OCC-01", "OCC-02", "SAFE-09")
@given(sensors())
def test_any_sensors_are_accepted_after_the_changes_that_the_refusals_name(tables):
    rig = mended(tables)
    up, down, supply = rig.pressure_up, rig.pressure_down, rig.supply
    assert up is not None and down is not None and supply is not None
    # A blocked inlet, a blocked catheter and a supply that is back are seen.
    assert up.least <= -UPSTREAM_PA and up.value(9) <= -UPSTREAM_PA
    for scale in (up, down):
        assert scale.least < 0 and scale.most >= 20_000 and scale.value(4_086) >= 20_000
        assert 9 <= scale.zero_code <= 4_086
    assert rig.supply_critical_mv < rig.supply_low_mv
    back_mv = rig.supply_low_mv + rig.supply_low_mv // 36
    assert back_mv < supply.most and back_mv < supply.value(4_086)


def numbers():
    """Every key that is a number or a ratio, with one of its values out of bounds."""
    for table, _, keys in rigs.tables():
        for key in keys:
            if key.kind == rigs.NUMBER:
                yield table, key, key.least - 1
                yield table, key, key.most + 1
            elif key.kind == rigs.RATIO:
                yield table, key, [0, 1]
                yield table, key, [1, key.most + 1]


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize(("table", "key", "value"), list(numbers()))
def test_a_value_out_of_its_bounds_is_named_with_both(table, key, value):
    tables = tables_of(reference())
    tables[table][key.name] = value
    with pytest.raises(rigs.RigError) as why:
        rigs.read(tables)
    message = str(why.value)
    assert message.startswith(f"{table}.{key.name} is {value}, must be ")
    if key.kind == rigs.NUMBER:
        assert message.endswith(f" from {key.least} to {key.most}")
    else:
        assert message.endswith(f" 1 to {key.most}")


JUNK = st.one_of(
    st.none(), st.booleans(), st.text(max_size=40), st.lists(st.integers(), max_size=3), st.just({}),
    st.floats(), st.lists(st.text(max_size=3), min_size=2, max_size=2), st.just(10**20),
)  # fmt: skip


@pytest.mark.req("RIG-01")
@given(st.data())
def test_no_junk_in_a_rig_raises_anything_else_or_is_taken_in_part(data):
    tables: Tables = tables_of(reference())
    table = data.draw(st.sampled_from(sorted(tables)))
    if data.draw(st.booleans()):
        tables[table] = data.draw(JUNK)
        where = table
    else:
        key = data.draw(st.sampled_from(sorted(tables[table])) | st.text(max_size=40))
        tables[table][key] = data.draw(JUNK)
        where = f"{table}.{key[:24]}"
    try:
        rig = rigs.read(tables)
    except rigs.RigError as why:
        assert str(why).startswith(where)
    else:
        assert rigs.read(rig.tables).tables == rig.tables


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize("tables", [None, 3, [], "rig", {}, {"motor": {}}, {"rig": {"name": "x"}, "far": {}}])
def test_what_is_no_rig_is_told_so(tables):
    with pytest.raises(rigs.RigError, match=r"rig: must be|unknown table|missing|must be"):
        rigs.read(tables)


@pytest.mark.req("RIG-01", "MOT-06")
@pytest.mark.parametrize(
    ("table", "key", "value", "message"),
    [
        ("motor", "microsteps", 256, "ok"),
        ("motor", "gear", [50, 259], "motor.gear is [50, 259], a rotor is never faster than its motor"),
        ("motor", "gear", [3_249, 121], "full_steps * microsteps * gear must be whole: set motor.gear to"),
        (
            "motor",
            "gear",
            [10_000, 1],
            "motor.microsteps is 16, a turn of the rotor of 32000000 steps",
        ),
        ("head", "nl_per_rev", 1_000, "ok"),
        (
            "encoder",
            "pulses_per_rev",
            1_600,
            "pulses_per_rev is 1600, at 1200 steps a second, 3200 a turn",
        ),
        ("supply", "critical_mv", 10_800, "supply.critical_mv is 10800, it must be below low_mv, 10800: set"),
        (
            "pressure_up",
            "least_pa",
            -6_000,
            "least_pa is -6000, a blocked inlet is seen from -6895 Pa on",
        ),
        (
            "head",
            "uncertainty_nl",
            100_000,
            "uncertainty_nl is 100000, it must be below nl_per_rev, 100000",
        ),
    ],
)
def test_one_change_of_the_reference_rig_is_refused_by_its_name_and_one_change_mends_it(
    table, key, value, message
):
    tables = tables_of(reference())
    tables[table][key] = value
    if message == "ok":
        rigs.read(tables)
        return
    with pytest.raises(rigs.RigError) as why:
        rigs.read(tables)
    assert message in str(why.value)
    change(tables, str(why.value))
    rigs.read(tables)


@pytest.mark.req("RIG-01")
@given(st.data())
def test_whatever_one_key_of_the_reference_rig_is_few_changes_mend_it(data):
    tables = tables_of(reference())
    table, _, keys = data.draw(st.sampled_from(rigs.tables()))
    key = data.draw(st.sampled_from(keys))
    if key.kind == rigs.NUMBER:
        tables[table][key.name] = data.draw(st.integers(key.least, key.most))
    elif key.kind == rigs.RATIO:
        tables[table][key.name] = data.draw(st.lists(st.integers(1, key.most), min_size=2, max_size=2))
    for changes in range(3):
        try:
            rigs.read(tables)
        except rigs.RigError as why:
            assert changes < 2, why
            change(tables, str(why))
        else:
            return


@pytest.mark.req("RIG-01")
def test_the_finest_motor_that_was_asked_for_is_a_rig():
    """200 full steps, 256 microsteps, a gear of 100:1, at 51.2 to 1 000 uL a turn."""
    tables = tables_of(reference())
    tables["motor"].update(microsteps=256, gear=100)
    for nl_per_rev in (51_200, 100_000, 1_000_000):
        tables["head"]["nl_per_rev"] = nl_per_rev
        assert rigs.read(tables).steps_per_rev == 5_120_000
    tables["head"]["nl_per_rev"] = 51_199
    with pytest.raises(rigs.RigError, match=r"is 256, .* less than 1/100 nL: set motor.microsteps to 255"):
        rigs.read(tables)
