"""Rig files: what they may say, what it becomes on the link, and what is said of a mistake."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from thecal import rig as wire
from thecal_model import rig, rig_words
from thecal_model.problems import InputError

BARE = (rig.FOLDER / "bare.toml").read_text()
REFERENCE = (rig.FOLDER / "reference.toml").read_text()
PRESSURE = (rig.FOLDER / "pressure.toml").read_text()
PAGE = (rig.FOLDER / "README.md").read_text()


def refused(text):
    with pytest.raises(InputError) as why:
        rig.parse(text, "mine.toml")
    return str(why.value).split("\n")


@pytest.mark.req("RIG-01")
def test_the_folder_holds_the_eight_rigs_and_nothing_else():
    assert {path.stem for path in rig.FOLDER.glob("*.toml")} == set(rig.NAMES)
    for name in rig.NAMES:
        assert rig.named(name).name == name


@pytest.mark.req("RIG-01")
def test_the_reference_rig_is_the_bench_as_it_was():
    """The numbers that were compiled in before rigs were data."""
    reference = rig.reference()
    assert (reference.nl_per_rev, reference.steps_per_rev) == (100_000, 3_200)
    assert reference.dir_forward_high and not reference.enable_high and not reference.step_at_pad
    for scale in (reference.pressure_down, reference.pressure_up):
        assert scale is not None
        assert (scale.zero_code, scale.num, scale.den) == (400, 50, 1)
        assert (scale.least, scale.most) == (-19_000, 184_000)
    assert reference.supply is not None
    assert (reference.supply.num, reference.supply.den, reference.supply.most) == (5, 1, 20_000)
    assert (reference.supply_low_mv, reference.supply_critical_mv) == (10_800, 9_600)
    assert (reference.fault_level, reference.air_level) == (0, 1)
    assert reference.encoder_pulses_per_rev == 100 and reference.has_index and reference.sounder_sensed
    assert reference.unwatched() == []


@pytest.mark.req("RIG-03")
@pytest.mark.parametrize(
    ("name", "watched"),
    [
        ("bare", set()),
        ("shield", {"driver_fault"}),
        ("quiet", {"driver_fault", "button_stop"}),
        ("geared", set()),
        ("lab", {"encoder_slip"}),
        ("weighed", {"sounder"}),
        ("pressure", {"occlusion_down"}),
    ],
)
def test_what_goes_unwatched_is_what_is_not_fitted(name, watched):
    every = {code for _, code, _ in wire.UNWATCHED}
    unwatched = set(rig.named(name).unwatched())
    # A sounder that is not there cannot be dead; one that nobody senses may be.
    silent = {"sounder_dead"} if "sounder" not in watched else set()
    assert unwatched == every - watched - silent


@pytest.mark.req("RIG-01")
def test_a_ratiometric_sensor_behind_a_divider_is_worked_out_by_hand():
    """0.5 V x 2/3 is code 413.7 of 4 096 over 3.3 V; 40 mV/kPa x 2/3 are 33.1 codes for each kPa."""
    scale = rig.parse(PRESSURE).pressure_down
    assert scale is not None
    assert scale.zero_code == 414
    assert Fraction(scale.num, scale.den) == 1000 / (
        Fraction("0.04") * Fraction(2, 3) * 4096 / Fraction("3.3")
    )
    assert (scale.least, scale.most) == (-10_000, 110_000)


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize("divider", ["10/57", "0.1754", "1/7", "22/122"])
def test_a_scale_that_no_small_ratio_is_comes_as_near_as_it_can(divider):
    text = BARE + f'[sense.supply]\ndivider = "{divider}"\nlow = "9 V"\ncritical = "8 V"\nmost = "20 V"\n'
    supply = rig.parse(text).supply
    assert supply is not None
    exact = Fraction(3300, 4096) / Fraction(divider)
    assert abs(Fraction(supply.num, supply.den) / exact - 1) < Fraction(1, 10**5)


@pytest.mark.req("RIG-01")
def test_what_is_left_out_is_what_the_page_says():
    """Every default of the file is the one that the pump fills in."""
    for part in rig.PARTS.values():
        for key, entry in part.entries.items():
            bounds = {k.name: k for t, _, keys in wire.tables() if t == part.table for k in keys}.get(
                entry.wire
            )
            if bounds is None:
                assert key in ("zero", "slope", "divider")
            elif bounds.default is not None:
                assert not entry.required
                text = entry.default
                value = int(text) if text.isdecimal() else False if text == "false" else text
                assert entry.read(value) == bounds.default
            else:
                assert entry.required


@pytest.mark.req("RIG-01")
def test_the_page_has_every_key_as_the_table_says_it():
    rows = [
        tuple(cell.strip().strip("`").replace("`", "") for cell in line.strip("|").split("|"))
        for line in PAGE.splitlines()
        if re.match(r"\| `[a-z]", line)
    ]
    keys = [row for row in rows if len(row) == 3]
    hazards = [(code, part.replace("_", " "), words) for part, code, words in wire.UNWATCHED]
    assert keys == rig.key_rows() + hazards
    assert {row[0].removesuffix(".toml") for row in rows if len(row) == 4} == set(rig.NAMES)


BAD = [
    (BARE.replace("= 200", "= 0"), 5, "motor.full_steps", "from 20 to 1000, found 0"),
    (BARE.replace("= 16", "= 16\ngear = 5.18"), 7, "motor.gear", "in quotes such as"),
    (
        BARE.replace("= 16", '= 16\ngear = "57/11"'),
        7,
        "motor.gear",
        "must be whole: set motor.gear to ",
    ),
    (BARE.replace('"high"', "1"), 9, "driver.dir_forward", "expected low or high, found 1"),
    (BARE.replace('"1 us"', '"1 ml"'), 11, "driver.pulse", "expected a time"),
    (BARE.replace('"1 us"', '"1 ms"'), 11, "driver.pulse", "0 ns to 23200 ns"),
    (BARE.replace("250 uL", "20 mL"), 14, "head.volume_per_rev", "1000 nL to 1000000 nL"),
    (BARE.replace("pad", "pin"), 17, "sense.step.at", "expected wire or pad, found 'pin'"),
    (BARE.replace("[head]", "[haed]"), 13, "haed", 'did you mean "head"?'),
    (BARE + "[sense.presure_up]\n", 18, "sense.presure_up", 'did you mean "pressure_up"?'),
    (BARE + "[driver.falt]\n", 18, "driver.falt", 'did you mean "fault"?'),
    (BARE + "[button.patien]\n", 18, "button.patien", 'did you mean "patient"?'),
    (BARE + "[sounder]\nsensed = 1\n", 19, "sounder.sensed", "expected true or false"),
    (BARE + "[sense.encoder]\n", 18, "sense.encoder.pulses_per_rev", "missing"),
    (BARE.replace('name = "bare"', ""), 1, "name", "missing"),
    (BARE.replace('name = "bare"', f'name = "{"x" * 25}"'), 2, "name", "1 to 24 plain characters"),
    (PRESSURE.replace("0.5 V", "5 V"), 19, "sense.pressure_down", "change zero or divider"),
    (PRESSURE.replace("40 mV/kPa", "1 nV/kPa"), 21, "sense.pressure_down.slope", "not a known unit"),
    (PRESSURE.replace("40 mV/kPa", "0.00001 mV/MPa"), 19, "sense.pressure_down", "change slope or divider"),
    (PRESSURE.replace('"-10 kPa"', '"120 kPa"'), 23, "sense.pressure_down.least", "-100000 Pa to -1 Pa"),
    (PRESSURE.replace('"20/30"', '"3"'), 22, "sense.pressure_down.divider", "at most 1"),
]


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize(("text", "line", "key", "words"), BAD)
def test_a_mistake_is_named_with_its_line_key_value_and_bound(text, line, key, words):
    problems = refused(text)
    assert any(p.startswith(f"mine.toml:{line}: {key}: ") and words in p for p in problems), problems


@pytest.mark.req("RIG-01")
def test_all_mistakes_are_told_at_once():
    text = BARE.replace('"high"', "1").replace("pad", "pin").replace("= 200", "= 0")
    assert len(refused(text)) == 3
    compulsory = [line.split(": ")[1] for line in refused("")]
    assert compulsory == ["name", "motor", "driver", "head", "sense.step"]


@pytest.mark.req("RIG-01")
def test_a_file_that_is_not_there_says_what_it_should_be(tmp_path):
    with pytest.raises(InputError, match="expected a rig file, or one of reference, bare"):
        rig.load(tmp_path / "none.toml")
    assert rig.load("bare").tables == rig.load(Path(rig.FOLDER / "bare.toml")).tables


@pytest.mark.req("RIG-03")
def test_a_rig_is_shown_with_everything_that_is_missing():
    shown = dict(rig_words.rows(rig.named("weighed")))
    assert shown["head"].startswith("246.8 uL a turn, +/- 700 nL (0.28 %) at 95 %; 77.125 nL a microstep")
    assert shown["STEP"] == "counted at the chip's own pin"
    assert [part for part, words in shown.items() if words == "not fitted"] == [
        "driver's fault", "encoder", "index", "pressure down", "pressure up", "supply", "air", "STOP button",
        "patient's button",
    ]  # fmt: skip
    assert "not fitted" not in dict(rig_words.rows(rig.reference())).values()
    assert "gear 5.18:1: 16576 microsteps" in dict(rig_words.rows(rig.named("geared")))["motor"]


@pytest.mark.req("RIG-01")
@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (BARE.replace("= 16", '= 16\ngear = "57/11"'), 'set motor.gear to "259/50"'),
        (REFERENCE.replace('"9.6 V"', '"11 V"'), 'set sense.supply.critical to "10799 mV"'),
        (REFERENCE.replace("rev = 100", "rev = 5000"), "set sense.encoder.pulses_per_rev to 911"),
        (PRESSURE.replace("40 mV", "400 mV"), "change slope or divider"),
    ],
)
def test_what_to_change_is_said_as_the_file_has_it_and_helps(text, advice):
    (problem,) = refused(text)
    assert problem.endswith(advice)
    key, _, value = advice.removeprefix("set ").partition(" to ")
    if value:
        own = key.rpartition(".")[2]
        rig.parse(re.sub(rf"^{own} = .*$", f"{own} = {value}", text, flags=re.MULTILINE))
