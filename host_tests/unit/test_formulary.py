"""The drug library: every number against its source, judgements, the CRC, the wire, the pharmacy's file."""

import subprocess
import sys
from pathlib import Path

import pytest
import thecal
import thecal_host
from thecal.dose import formulary, formulary_data, library_wire, units
from thecal.link.frame import LINE_BYTES
from thecal_bench.unixport import micropython_command
from thecal_host import pharmacy
from thecal_model import link

LIBRARY = formulary_data.LIBRARY
FIRMWARE = Path(str(thecal.__file__)).parents[1]
EXAMPLE = Path(str(thecal_host.__file__)).with_name("pharmacy.toml")

# 1 mcg = 10^6 pg and 1 mg = 10^9 pg; 1 mcg/mL = 10^6 pg/10^6 nL = 1 pg/nL and 1 mg/mL = 1000 pg/nL
MCG = 1_000_000
MG = 1_000_000_000

# What is known, as it is said; one row a bound. The last column: verified.
BOUNDS = {
    # 19.2 mcg/day = 19.2 x 10^6 pg/day, 2.4 mcg/day = 2.4 x 10^6
    "ziconotide.dose_per_day.maximum": (19_200_000, True),
    "ziconotide.start_dose.high": (2_400_000, True),
    "ziconotide.dose_change.high": (2_400_000, True),
    # at most three changes a week: 7 x 24 h / 3 = 56 h = 56 x 3600 s; weekly: 7 x 86 400 s
    "ziconotide.change_interval.low": (201_600, True),
    "ziconotide.start_dose.low.consensus": (500_000, True),  # 0.5 mcg/day
    "ziconotide.start_dose.high.consensus": (1_200_000, True),
    "ziconotide.dose_change.high.consensus": (500_000, True),
    "ziconotide.change_interval.low.consensus": (604_800, True),
    # 0.2 mg/day = 0.2 x 10^9 pg/day, and 1, 10, 20, 15 mg/day; 20 mg/mL = 20 x 1000 pg/nL
    "morphine.start_dose.low.naive": (200_000_000, True),
    "morphine.start_dose.high.naive": (1_000_000_000, True),
    "morphine.start_dose.high.tolerant": (10_000_000_000, True),
    "morphine.dose_per_day.high": (20_000_000_000, True),
    "morphine.dose_per_day.high.consensus": (15_000_000_000, False),
    "morphine.concentration.high.consensus": (20_000, False),
    # 300, 800, 90, 700, 1000 mcg/day = as many x 10^6 pg/day
    "baclofen.dose_per_day.low.spinal": (300_000_000, False),
    "baclofen.dose_per_day.high.spinal": (800_000_000, False),
    "baclofen.dose_per_day.low.cerebral": (90_000_000, False),
    "baclofen.dose_per_day.high.cerebral": (700_000_000, False),
    "baclofen.dose_per_day.high": (1_000_000_000, False),
    "baclofen.dose_per_day.high.children": (1_199_000_000, False),
    "baclofen.rise_percent.high.spinal": (30, False),
    "baclofen.rise_percent.high.cerebral": (15, False),
    "baclofen.fall_percent.high": (20, False),
    "baclofen.change_interval.low": (86_400, False),  # 24 h
    "baclofen.first_change.low": (86_400, False),
    "baclofen.bolus.high.screening": (100_000_000, False),  # 100 mcg
    # 15 mg/mL = 15 x 1000 pg/nL, 10 mg/day = 10 x 10^9 pg/day
    "hydromorphone.concentration.high.consensus": (15_000, False),
    "hydromorphone.dose_per_day.high.consensus": (10_000_000_000, False),
    "hydromorphone.dose_per_day.high.practice": (25_000_000_000, False),
}

STRENGTHS = {
    "ziconotide": ((25, 100), True),  # 25 mcg/mL = 25 pg/nL for the first fill, 100 mcg/mL
    "morphine": ((10_000, 25_000), True),  # 10 mg/mL = 10 000 pg/nL, 25 mg/mL
    "baclofen": ((50, 500, 1_000, 2_000), False),  # 50, 500, 1000, 2000 mcg/mL, by two secondary sources
    "hydromorphone": ((), False),
}


def names(soft):
    return [name for name, _ in soft]


def judge(drug, concentration_pg_nl, *amounts, **named):
    return formulary.judge(LIBRARY, drug, concentration_pg_nl, *amounts, **named)


# --- the data


@pytest.mark.req("LIM-08")
def test_every_number_is_the_one_of_its_source_and_there_is_no_other():
    found = {
        ".".join(part for part in (drug[0], *bound[:3]) if part): (bound[3], bound[5])
        for drug in LIBRARY[1]
        for bound in drug[4]
    }
    assert found == BOUNDS
    assert {drug[0]: (drug[1], drug[3]) for drug in LIBRARY[1]} == STRENGTHS
    assert {drug[0] for drug in LIBRARY[1] if not drug[5]} == {"hydromorphone"}, "not approved for this use"
    hard = [
        name for name, (_, verified) in BOUNDS.items() if verified and name.split(".")[2] in formulary.HARD
    ]
    assert hard == ["ziconotide.dose_per_day.maximum"], "no dose that a label allows is refused"
    assert all(bound[4] for drug in LIBRARY[1] for bound in drug[4]), "each says where it is from"
    assert {name for drug in LIBRARY[1] for name in formulary.limit_names(drug)} == {
        *BOUNDS,
        *(f"{drug}.concentration.strength" for drug, (strengths, _) in STRENGTHS.items() if strengths),
    }


@pytest.mark.req("LIM-09")
def test_the_crc_in_the_image_is_that_of_its_data():
    sealed = formulary.seal(formulary_data.VERSION, formulary_data.DRUGS)
    assert sealed[2] == formulary_data.CRC, f"write 0x{sealed[2]:08X}, if the change is meant"
    assert formulary.check(LIBRARY)


# --- judgements


@pytest.mark.req("LIM-08")
def test_ziconotide_at_its_maximum_is_given_and_a_trillionth_of_a_gram_above_refused():
    assert judge("ziconotide", 100, 19_200_000, previous=19_200_000) == ([], [])
    problems, soft = judge("ziconotide", 100, 19_200_001, previous=19_200_000)
    assert problems == [
        "ziconotide.dose_per_day.maximum: 19.200001 mcg/day is above 19.2 mcg/day (prescribing information)"
    ]
    assert soft == []
    # a third of a picogram above; the text shows the next whole one, never the bound itself
    problems, _ = judge("ziconotide", 100, (57_600_001, 3), previous=19_200_000)
    assert "19.200001 mcg/day is above 19.2" in problems[0]


@pytest.mark.req("LIM-08")
def test_a_bound_that_is_not_verified_asks_and_says_so():
    problems, soft = judge("baclofen", 2_000, 1_200 * MCG, previous=1_200 * MCG)
    assert problems == []
    assert soft == [
        ("baclofen.dose_per_day.high.spinal", "1.2 mg/day is above 800 mcg/day (unverified)"),
        ("baclofen.dose_per_day.high.cerebral", "1.2 mg/day is above 700 mcg/day (unverified)"),
        ("baclofen.dose_per_day.high", "1.2 mg/day is above 1 mg/day (unverified)"),
        ("baclofen.dose_per_day.high.children", "1.2 mg/day is above 1.199 mg/day (unverified)"),
        ("baclofen.unverified", "13 of 13 entries on baclofen are not verified"),
    ]
    # what a label gives to a child, and the strength that it is sold in, is never refused
    assert judge("baclofen", 1_000, 1_199 * MCG, previous=1_199 * MCG)[0] == []
    assert "baclofen.concentration.strength" not in names(judge("baclofen", 1_000, 500 * MCG)[1])


@pytest.mark.req("LIM-08")
def test_a_maximum_of_a_pharmacy_that_is_not_verified_asks_and_a_verified_one_refuses():
    for verified in (False, True):
        bound = ("dose_per_day", "maximum", "", 1_000, "own", verified)
        library = formulary.seal(7, [("saline", (), "own", True, (bound,), True)])
        problems, soft = formulary.judge(library, "saline", 10, 1_001)
        assert bool(problems) == verified
        assert ("saline.dose_per_day.maximum" in names(soft)) != verified


@pytest.mark.req("LIM-08")
def test_a_drug_with_entries_not_verified_always_needs_its_confirmation():
    assert names(judge("hydromorphone", 10_000, 5 * MG)[1]) == ["hydromorphone.unverified"]
    assert names(judge("morphine", 10_000, MG)[1]) == ["morphine.unverified"]
    assert names(judge("baclofen", 500, 500 * MCG)[1]) == ["baclofen.unverified"]
    assert judge("ziconotide", 25, MCG) == ([], [])


@pytest.mark.req("LIM-08")
def test_a_compounded_strength_asks():
    _, soft = judge("morphine", 20_000, MG)
    assert soft[0] == (
        "morphine.concentration.strength",
        "20 mg/mL is not marketed (10 mg/mL, 25 mg/mL)",
    )
    # marketed, and yet above what the consensus has as a maximum
    assert ("morphine.concentration.high.consensus", "25 mg/mL is above 20 mg/mL (unverified)") in judge(
        "morphine", 25_000, MG
    )[1]
    assert (
        "hydromorphone.concentration.high.consensus",
        "15.001 mg/mL is above 15 mg/mL (unverified)",
    ) in judge("hydromorphone", 15_001, MG)[1]


@pytest.mark.req("LIM-08")
@pytest.mark.parametrize(
    ("daily_pg", "asked"),
    [
        (199_999_999, ["morphine.start_dose.low.naive"]),
        (200_000_000, []),
        (MG, []),
        (MG + 1, ["morphine.start_dose.high.naive"]),
        (10 * MG, ["morphine.start_dose.high.naive"]),
        (10 * MG + 1, ["morphine.start_dose.high.naive", "morphine.start_dose.high.tolerant"]),
    ],
)
def test_what_a_start_with_morphine_asks(daily_pg, asked):
    assert names(judge("morphine", 10_000, daily_pg)[1]) == [*asked, "morphine.unverified"]
    # who has had it before does not start
    assert names(judge("morphine", 10_000, daily_pg, previous=MG)[1]) == ["morphine.unverified"]


@pytest.mark.req("LIM-08")
def test_a_change_is_held_against_its_bound_upwards_and_downwards():
    consensus = ["ziconotide.dose_change.high.consensus"]
    change = ["ziconotide.dose_change.high", *consensus]
    for previous, daily, asked in (
        (2_400_000, 4_800_000, consensus),
        (2_400_000, 2_900_000, []),
        (2_400_000, 4_800_001, change),
        (4_800_001, 2_400_000, change),
        ((7_200_001, 3), 0, change),  # 2 400 000 1/3
        ((7_200_001, 3), (1, 3), consensus),
    ):
        problems, soft = judge("ziconotide", 100, daily, previous=previous)
        assert (problems, names(soft)) == ([], asked)
    _, soft = judge("ziconotide", 100, 5 * MCG, previous=MCG)
    assert soft == [
        ("ziconotide.dose_change.high", "4 mcg/day is above 2.4 mcg/day"),
        ("ziconotide.dose_change.high.consensus", "4 mcg/day is above 500 ng/day"),
    ]


@pytest.mark.req("LIM-08")
def test_a_change_is_held_against_the_dose_in_force_in_percent():
    rise = ["baclofen.rise_percent.high.spinal", "baclofen.rise_percent.high.cerebral"]
    for previous, daily, asked in (
        (400 * MCG, 460 * MCG, []),  # + 15 %
        (400 * MCG, 460 * MCG + 1, rise[1:]),
        (400 * MCG, 520 * MCG, rise[1:]),  # + 30 %
        (400 * MCG, 520 * MCG + 1, rise),
        (400 * MCG, 320 * MCG, []),  # - 20 %
        (400 * MCG, 320 * MCG - 1, ["baclofen.fall_percent.high"]),
        (0, 400 * MCG, []),  # of nothing there is no percentage
        (400 * MCG, 400 * MCG, []),
    ):
        _, soft = judge("baclofen", 500, daily, previous=previous)
        assert [name for name in names(soft) if "percent" in name] == asked, (previous, daily)
    _, soft = judge("baclofen", 500, 600 * MCG, previous=400 * MCG)
    assert ("baclofen.rise_percent.high.spinal", "50 % is above 30 % (unverified)") in soft
    _, soft = judge("baclofen", 500, 520 * MCG + 1, previous=400 * MCG)
    assert dict(soft)["baclofen.rise_percent.high.spinal"].startswith("30.00000025 % is above 30 %")


@pytest.mark.req("LIM-08")
def test_two_changes_are_so_far_apart_and_none_comes_in_the_first_day():
    def asked(drug, daily, previous, **since):
        return [
            name for name in names(judge(drug, 100, daily, previous=previous, **since)[1]) if "change" in name
        ]

    day = 86_400
    first, interval = "baclofen.first_change.low", "baclofen.change_interval.low"
    assert asked("baclofen", 410 * MCG, 400 * MCG, since_start_s=day - 1) == [first]
    assert asked("baclofen", 410 * MCG, 400 * MCG, since_start_s=day) == []
    assert asked("baclofen", 410 * MCG, 400 * MCG, since_start_s=9 * day, since_change_s=day - 1) == [
        interval
    ]
    assert asked("baclofen", 410 * MCG, 400 * MCG, since_start_s=9 * day, since_change_s=day) == []
    # what leaves the dose as it is changes nothing, and a start is none
    assert asked("baclofen", 400 * MCG, 400 * MCG, since_start_s=0, since_change_s=0) == []
    assert asked("baclofen", 400 * MCG, None, since_start_s=0, since_change_s=0) == []
    weekly = "ziconotide.change_interval.low.consensus"
    assert asked("ziconotide", MCG, MCG - 1, since_change_s=7 * day - 1) == [weekly]
    assert asked("ziconotide", MCG, MCG - 1, since_change_s=56 * 3_600 - 1) == [
        "ziconotide.change_interval.low",
        weekly,
    ]
    _, soft = judge("ziconotide", 100, MCG, previous=MCG - 1, since_change_s=12 * 3_600)
    assert soft[0] == ("ziconotide.change_interval.low", "12 h is below 56 h")


@pytest.mark.req("LIM-14")
def test_a_clinician_bolus_is_held_against_its_own_bounds_and_those_of_a_day():
    def broken(bolus, in_a_day, accepted=0):
        return names(formulary.over_bounds(LIBRARY, "baclofen", (bolus, 1), (in_a_day, 1), accepted))

    day = [f"baclofen.dose_per_day.high{use}" for use in (".spinal", ".cerebral", "", ".children")]
    bolus = "baclofen.bolus.high.screening"
    assert broken(100 * MCG, 700 * MCG) == []
    assert broken(100 * MCG + 1, 700 * MCG) == [bolus]
    assert broken(100 * MCG, 700 * MCG + 1) == day[1:2]
    assert broken(100 * MCG, 2_000 * MCG) == day
    entry = formulary.find(LIBRARY, "baclofen")
    assert entry is not None
    bits = {formulary.limit_name("baclofen", bound): 1 << n for n, bound in enumerate(entry[4])}
    assert broken(101 * MCG, 2_000 * MCG, bits[day[0]] | bits[bolus]) == day[1:]
    # a hard one as well
    assert names(formulary.over_bounds(LIBRARY, "ziconotide", (1, 1), (19_200_001, 1), 0)) == [
        "ziconotide.dose_per_day.maximum"
    ]


@pytest.mark.req("LIM-08", "LIM-12")
def test_boluses_count_against_the_day_and_so_does_the_window():
    basal = {"daily": 18 * MCG, "previous": 18 * MCG}
    assert judge("ziconotide", 100, most_daily=19_200_000, limit=19_200_000, **basal) == ([], [])
    problems, _ = judge("ziconotide", 100, most_daily=19_200_001, **basal)
    assert [text.split(":")[0] for text in problems] == ["ziconotide.dose_per_day.maximum"]
    problems, _ = judge("ziconotide", 100, limit=20 * MCG, **basal)
    assert problems == ["ziconotide.limit.maximum: 20 mcg is above 19.2 mcg (prescribing information)"]
    # the lower bound looks at the basal alone: boluses that nobody asks for relieve nothing
    _, soft = judge("baclofen", 500, 80 * MCG, most_daily=400 * MCG, previous=80 * MCG)
    assert names(soft) == [
        "baclofen.dose_per_day.low.spinal",
        "baclofen.dose_per_day.low.cerebral",
        "baclofen.unverified",
    ]


@pytest.mark.req("LIM-08")
def test_lower_hard_limits_and_bolus_limits_of_a_pharmacy_bind():
    drug = (
        "saline",
        (),
        "own",
        True,
        (
            ("concentration", "minimum", "", 10, "own", True),
            ("dose_per_day", "minimum", "", 1_000, "own", True),
            ("dose_per_day", "low", "", 2_000, "own", True),
            ("bolus", "high", "", 500, "own", True),
            ("bolus", "maximum", "", 900, "own", True),
        ),
        True,
    )
    library = formulary.seal(7, [drug])
    assert formulary.judge(library, "saline", 10, 2_000, bolus=500) == ([], [])
    problems, soft = formulary.judge(library, "saline", 9, (1_999, 2), bolus=901)
    assert problems == [
        "saline.concentration.minimum: 9 mcg/mL is below 10 mcg/mL (own)",
        "saline.dose_per_day.minimum: 999 pg/day is below 1 ng/day (own)",
        "saline.bolus.maximum: 901 pg is above 900 pg (own)",
    ]
    assert soft == [
        ("saline.dose_per_day.low", "999 pg/day is below 2 ng/day"),
        ("saline.bolus.high", "901 pg is above 500 pg"),
    ]


@pytest.mark.req("LIM-08", "LIM-09")
def test_an_unknown_drug_and_a_bad_library_give_nothing():
    problems, soft = judge("fentanyl", 50, MCG)
    assert problems == [
        "drug: fentanyl is not in the library (baclofen, hydromorphone, morphine, ziconotide)"
    ]
    assert soft == []
    for bad in (None, (), 5, (1, (), 0), formulary.seal(1, []), (*LIBRARY[:2], LIBRARY[2] ^ 1), "library"):
        assert not formulary.check(bad)
        assert formulary.judge(bad, "morphine", 10_000, MG) == (
            ["library: absent or damaged (bad CRC), no drug may be given"],
            [],
        )


@pytest.mark.req("LIM-09")
def test_every_changed_field_is_noticed():
    def others(value):
        """The value with one thing in it changed, in every way that counts."""
        if isinstance(value, tuple):
            for index, part in enumerate(value):
                for other in others(part):
                    yield (*value[:index], other, *value[index + 1 :])
            yield (*value, *value[:1])
            if value:
                yield value[:-1]
        elif isinstance(value, bool):
            yield not value
        elif isinstance(value, int):
            yield from (value ^ 1 << bit for bit in range(40))
        else:
            yield from (value + "x", value[:-1], value[:-1] + "~" if value else "~")

    damaged = [library for library in others(LIBRARY) if library != LIBRARY]
    assert len(damaged) > 1_000
    assert [library for library in damaged if formulary.check(library)] == []


@pytest.mark.req("LIM-09")
def test_the_crc_detects_every_single_flipped_bit():
    whole = b"".join(formulary.canonical(LIBRARY))
    assert formulary._crc([whole]) == LIBRARY[2], "however it is cut into lines"
    for index in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[index] ^= 1 << bit
            assert formulary._crc([bytes(flipped)]) != LIBRARY[2]


@pytest.mark.req("LIM-08")
def test_quantities_are_written_exactly():
    for quantity, value, text in (
        ("dose_per_day", 19_200_000, "19.2 mcg/day"),
        ("dose_per_day", 999_999_999, "999.999999 mcg/day"),
        ("dose_per_day", 20 * MG, "20 mg/day"),
        ("bolus", 100_000_000, "100 mcg"),
        ("limit", 1_500, "1.5 ng"),
        ("bolus", 7, "7 pg"),
        ("dose_change", 0, "0 pg/day"),
        ("concentration", 999, "999 mcg/mL"),
        ("concentration", 20_500, "20.5 mg/mL"),
    ):
        assert formulary.quantity_text(quantity, value) == text


# --- over the wire


def parts():
    return pharmacy.Library(library_wire.to_wire(LIBRARY)).parts()


@pytest.mark.req("LIM-10")
def test_a_library_crosses_the_wire_drug_by_drug_and_is_read_back():
    draft = library_wire.Draft()
    for part in parts()[:-1]:
        assert draft.take(part) == (None, [])
    library, problems = draft.take(parts()[-1])
    assert (library, problems) == (LIBRARY, [])
    assert formulary.readback(library) == pharmacy.Library(library_wire.to_wire(LIBRARY)).readback()
    assert library_wire.from_wire(library_wire.to_wire(LIBRARY)) == (LIBRARY, [])


@pytest.mark.req("LIM-10")
def test_the_longest_drug_and_the_longest_answers_fit_in_a_line():
    text = '"' * library_wire.MOST_SOURCE  # two bytes a character on the wire
    bound = ["concentration", "maximum", "u" * library_wire.MOST_USE, library_wire.MOST_PG, text, False]
    part = {
        **{
            "version": library_wire.MOST_VERSION,
            "index": 99,
            "count": 99,
            "name": "n" * library_wire.MOST_NAME,
        },
        **{
            "source": text,
            "verified": False,
            "bounds": [bound] * library_wire.MOST_BOUNDS,
            "approved": False,
        },
        "strengths": [[units.MOST_PG_NL - 1, units.MOST_PG_NL_DEN - 1]] * library_wire.MOST_STRENGTHS,
    }
    assert len(link.encode({"cmd": "library", "id": 1 << 31, "part": part})) <= LINE_BYTES
    for drug in STRENGTHS:
        lavish = 999 * MG
        _, soft = judge(drug, 999_999, lavish, bolus=lavish, limit=lavish)
        assert len(str(soft)) < LINE_BYTES // 2, "leaves as much again for the rest of the read-back"


@pytest.mark.req("LIM-10")
def test_parts_out_of_order_are_refused_and_forgotten():
    first, second, third, last = parts()
    draft = library_wire.Draft()
    assert draft.take(second) == (None, ["index: 1, the next one is 0"])
    draft.take(first)
    assert draft.take(third) == (None, ["index: 2, the next one is 1"])
    assert draft.take(second)[1] == ["index: 1, the next one is 0"], "a bad part ends the draft"
    draft.take(first)
    assert draft.take({**second, "version": 3})[1] == ["version, count: 3, 4, the first part said 2, 4"]
    draft.take(first)
    assert draft.take({**second, "name": "baclofen"})[1] == ["name: baclofen stands twice"]
    # index 0 begins anew
    for part in (first, second, first, second, third):
        assert draft.take(part) == (None, [])
    assert draft.take(last)[0] == LIBRARY


@pytest.mark.req("LIM-08", "LIM-10")
def test_all_that_is_wrong_with_a_library_is_said_at_once():
    good = library_wire.to_wire(LIBRARY)["drugs"][3]
    bound = ["dose_per_day", "high", "", 5, "own", True]
    wire = {
        "version": 0,
        "extra": 1,
        "drugs": [
            {
                "name": "Ziconotide",
                "strengths": [0, 25, 25],
                "source": "",
                "verified": 1,
                "bounds": [
                    bound,
                    bound,
                    ["dose_per_day", "maximum", "", 4, "own", True],
                    ["dose_per_day", "low", "", 6, "own", True],
                    ["dose", "most", "A", 1.5, "tab\there", 0],
                    [1, 2],
                ],
            },
            good,
            good,
            5,
        ],
    }
    library, problems = library_wire.from_wire(wire)
    assert library is None
    assert problems == [
        "extra: unknown key",
        "version: 0, must be a whole number from 1 to 1073741823",
        "drugs[0].name: Ziconotide, must be 1 to 32 of a-z, 0-9, - and _, a letter first",
        "drugs[0].strengths[0]: 0, must be 1/100 to 1000000000 pg/nL, whole or [num, den] with den up to "
        "10000",
        "drugs[0].strengths[2]: 25 stands twice",
        "drugs[0].source: must be a text of 1 to 48 ASCII characters",
        "drugs[0].verified: 1, must be true or false",
        "drugs[0].bounds[1]: dose_per_day.high stands twice",
        "drugs[0].bounds[2].value: dose_per_day.maximum is 4, must not contradict high, which is 5",
        "drugs[0].bounds[3].value: dose_per_day.low is 6, must not contradict high, which is 5",
        "drugs[0].bounds[3].value: dose_per_day.low is 6, must not contradict maximum, which is 4",
        "drugs[0].bounds[4].quantity: dose, must be one of concentration, dose_per_day, start_dose, "
        "dose_change, bolus, rise_percent, fall_percent, change_interval, first_change",
        "drugs[0].bounds[4].kind: most, must be one of minimum, low, high, maximum",
        'drugs[0].bounds[4].use: A, must be "" or 1 to 12 of a-z, 0-9, - and _',
        "drugs[0].bounds[4].value: 1.5, must be a whole number from 1 to 1000000000000000",
        "drugs[0].bounds[4].source: must be a text of 1 to 48 ASCII characters",
        "drugs[0].bounds[4].verified: 0, must be true or false",
        "drugs[0].bounds[5]: must be [quantity, kind, use, value, source, verified]",
        "drugs[0].approved: None, must be true or false",
        "name: ziconotide stands twice",
        "drugs[3]: must be an object",
    ]


@pytest.mark.req("LIM-10")
def test_the_answer_to_a_hopeless_part_still_fits_in_a_line():
    _, problems = library_wire.Draft().take({"bounds": [["x" * 90] * 6] * 10, "y" * 900: "z" * 900})
    assert len("; ".join(problems)) < 900
    assert problems[-1].startswith("and ")
    assert library_wire.Draft().take([]) == (None, ["part: must be an object"])
    assert library_wire.from_wire(None) == (None, ["library: must be an object"])


# --- the pharmacy's file


GOOD = """version = 3
[[drug]]
name = "ziconotide"
strengths = ["25 mcg/mL", "0.1 mg/mL"]
source = "marketed"
verified = true
approved = true
[[drug.bound]]
on = "dose_per_day"
kind = "maximum"
value = "0.8 mcg/h"
source = "leaflet"
verified = true
"""


@pytest.mark.req("LIM-08", "DOSE-13")
def test_the_example_is_the_library_of_the_image():
    library = pharmacy.load(EXAMPLE)
    assert library.wire == library_wire.to_wire(LIBRARY)
    assert library.readback() == formulary.readback(LIBRARY)


@pytest.mark.req("DOSE-13")
def test_a_file_gives_whole_numbers_in_the_units_of_the_pump():
    # 0.1 mg/mL = 100 mcg/mL = 100 pg/nL; 0.8 mcg/h x 24 h/day = 19.2 mcg/day
    library = pharmacy.parse(GOOD)
    [drug] = library.wire["drugs"]
    assert drug["strengths"] == [25, 100]
    assert drug["bounds"] == [["dose_per_day", "maximum", "", 19_200_000, "leaflet", True]]
    assert library.version == 3
    assert library_wire.from_wire(library.wire)[1] == []
    for on, value, number in (
        ("rise_percent", "12 %", 12),
        ("fall_percent", "0.2 %", None),
        ("change_interval", "2.5 h", 9_000),
        ("first_change", "31 days", 2_678_400),
        ("first_change", "1500 ms", None),
        ("change_interval", "32 days", None),
    ):
        text = GOOD.replace('"dose_per_day"', f'"{on}"').replace('"0.8 mcg/h"', f'"{value}"')
        if number is None:
            with pytest.raises(pharmacy.PharmacyError, match="bound.0..value: expected a"):
                pharmacy.parse(text)
        else:
            assert pharmacy.parse(text).wire["drugs"][0]["bounds"][0][3] == number


@pytest.mark.req("DOSE-13", "LIM-08")
@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("version = 3", "version = 0", 1, "version: expected a whole number from 1"),
        ("version = 3\n", "", 1, "version: missing"),
        ('"25 mcg/mL"', '"25 mL/mcg"', 4, "drug[0].strengths[0]: expected a concentration"),
        ('"25 mcg/mL"', '"25 mcg"', 4, "which is a mass of drug"),
        ('"25 mcg/mL"', "25", 4, "found 25 without a unit"),
        ('"25 mcg/mL"', '"100 pg/nL"', 4, "expected each strength once"),
        ('"25 mcg/mL"', '"0.009 pg/nL"', 4, "a concentration of 1/100 to 1000000000 pg/nL"),
        ('"25 mcg/mL"', '"1/10001 mg/mL"', 4, "with den up to 10000"),
        ('["25 mcg/mL", "0.1 mg/mL"]', '"25 mcg/mL"', 4, "strengths: expected a list"),
        ('"0.8 mcg/h"', '"0.8 mcg"', 11, "drug[0].bound[0].value: expected a mass of drug per time"),
        ('"0.8 mcg/h"', '"0.8 mL/h"', 11, "which is a volume per time"),
        ('"0.8 mcg/h"', '"0.8 mgc/h"', 11, '"mgc" is not a known unit'),
        ('"0.8 mcg/h"', '"0.8 mcg/mL"', 11, "which is a concentration"),
        ('"0.8 mcg/h"', '"0.7 pg/week"', 11, "whole pg/day from 1 to"),
        ('"0.8 mcg/h"', '"0 mcg/h"', 11, "which is 0 pg/day"),
        ('"0.8 mcg/h"', '"-1 mcg/h"', 11, "which is negative"),
        ('on = "dose_per_day"', 'on = "bolus"', 11, "expected a mass of drug such as"),
        ('on = "dose_per_day"', 'on = "dose"', 9, "drug[0].bound[0].on: expected one of concentration"),
        ('kind = "maximum"', 'kind = "max"', 10, "kind: expected one of minimum"),
        ('kind = "maximum"', 'kimd = "maximum"', 10, 'kimd: unknown key; did you mean "kind"?'),
        ("approved = true", 'approved = "yes"', 7, "expected true or false"),
        ('source = "leaflet"\n', "", 8, "source: missing"),
        ('source = "leaflet"', f'source = "{"x" * 49}"', 12, "expected a text of 1 to 48"),
        ('"ziconotide"', '"Zic onotide"', 3, "name: expected 1 to 32 of a-z"),
        ("approved = true\n", "", 2, "approved: missing"),
        ("[[drug]]", "[[drug]", 2, "expected TOML"),
        ("[[drug]]", "[drug]", 2, "expected tables [[drug]]"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(old, new, line, said):
    assert GOOD.count(old) == 1
    with pytest.raises(pharmacy.PharmacyError) as caught:
        pharmacy.parse(GOOD.replace(old, new), "here.toml")
    text = str(caught.value)
    assert f"here.toml:{line}: " in text and said in text


@pytest.mark.req("LIM-08")
def test_bounds_that_contradict_or_repeat_or_are_too_many_are_refused():
    def bound(kind, value, use=""):
        return (
            f'[[drug.bound]]\non = "dose_per_day"\nkind = "{kind}"\nvalue = "{value}"\n'
            'source = "s"\nverified = true\n' + (f'use = "{use}"\n' if use else "")
        )

    def problems(text):
        with pytest.raises(pharmacy.PharmacyError) as caught:
            pharmacy.parse(text)
        return [problem.message for problem in caught.value.problems]

    assert problems(GOOD + bound("maximum", "3 mcg/day") + bound("low", "20 mcg/day")) == [
        "drug[0].bound[1].kind: expected another kind, dose_per_day.maximum stands twice",
        "drug[0].bound[2].value: expected at most 19.2 mcg/day, which is the maximum",
    ]
    low_first = GOOD + bound("low", "2 mcg/day") + bound("high", "1 mcg/day")
    assert problems(low_first) == ["drug[0].bound[2].value: expected at least 2 mcg/day, which is the low"]
    assert problems(GOOD + GOOD.partition("\n")[2]) == [
        'drug[1].name: expected another name, "ziconotide" stands twice'
    ]
    many = GOOD + "".join(bound("high", "1 mcg/day", f"use-{number}") for number in range(15))
    assert len(pharmacy.parse(many).wire["drugs"][0]["bounds"]) == 16
    assert problems(many + bound("high", "1 mcg/day")) == ["drug[0].bound[16]: expected at most 16, found 17"]
    assert problems("version = 1\n") == ["drug: missing; expected tables [[drug]]"]


def test_a_file_that_can_not_be_read_says_so(tmp_path):
    with pytest.raises(pharmacy.PharmacyError, match="cannot be read"):
        pharmacy.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(pharmacy.PharmacyError, match="UTF-8"):
        pharmacy.load(tmp_path / "binary.toml")


@pytest.mark.req("LIM-08")
def test_tables_show_every_limit_and_every_unit():
    rows = pharmacy.limit_rows(library_wire.to_wire(LIBRARY))
    assert {row[0] for row in rows} == {
        *(name for drug in LIBRARY[1] for name in formulary.limit_names(drug)),
        "hydromorphone.approved",
    }
    assert (
        "ziconotide.dose_per_day.maximum",
        "19.2 mcg/day",
        "above refused",
        "prescribing information",
    ) in rows
    assert (
        "baclofen.dose_per_day.high",
        "1 mg/day",
        "above needs confirmation",
        "secondary sources (unverified)",
    ) in rows
    assert ("bolus of a drug", "pg|ng|mcg|ug|mg|g", "pg") in pharmacy.unit_rows()


# --- on MicroPython


ON_BOTH = """
import sys
sys.path.insert(0, sys.argv[1])
from thecal.dose import formulary as f
from thecal.dose import library_wire as w
from thecal.dose.formulary_data import LIBRARY
print(f.check(LIBRARY), f.check(None), f.check((1, LIBRARY[1], LIBRARY[2] ^ 64)), f.check(LIBRARY[:2] + (3,)))
said = f.readback(LIBRARY)
print([(key, said[key]) for key in sorted(said)])
for line in f.canonical(LIBRARY):
    print(line)
for drug in ("baclofen", "hydromorphone", "morphine", "ziconotide", "other"):
    for exponent in range(0, 13):
        for head in (1, 3, 10):
            daily = (head * 10**exponent, 3)
            print(f.judge(LIBRARY, drug, head * 10**(exponent // 2), daily, None, 10**exponent, 10**9, None))
            print(f.judge(LIBRARY, drug, 100, daily, (7 * 10**exponent, 2), None, None, 10**exponent))
wire = w.to_wire(LIBRARY)
print(w.from_wire(wire) == (LIBRARY, []))
draft = w.Draft()
for index in range(4):
    part = dict(wire["drugs"][index])
    part.update({"version": 9, "index": index, "count": 4})
    print(draft.take(part))
print(draft.take({"version": "x", "index": 0, "bounds": [[1] * 6, 2], "name": "A", "verified": 1, "q": ()}))
print(w.from_wire({"drugs": [{}, 3], "version": 10**20}))
"""


@pytest.mark.req("LIM-08", "LIM-09", "SIM-02")
def test_micropython_judges_as_cpython_does(tmp_path):
    program = tmp_path / "on_both.py"
    program.write_text(ON_BOTH)
    printed = [
        subprocess.run(
            [*command, str(program), str(FIRMWARE)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for command in ([sys.executable], [micropython_command(), "-X", "heapsize=180k"])
    ]
    assert printed[0] == printed[1]
    assert printed[0][0] == "True False False False"
    assert len(printed[0]) > 400
