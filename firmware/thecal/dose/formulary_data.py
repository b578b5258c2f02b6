"""The library that is frozen into the image: what is known of each drug, and what that rests on.

How to read it: `formulary` says what the fields mean. 1 mg = 1 000 mcg = 1 000 000 000 pg; 1 mg/mL =
1 000 mcg/mL = 1 000 pg/nL. A bound that is not here is one for which no source was found; none is invented.
No dose that a label allows is refused: what one source forbids and another gives is a `high`, which asks.
Whoever changes a number raises VERSION and replaces CRC by what `test_formulary` computes: it is written
here, not computed, so that a damaged image does not vouch for itself. The same texts stand here repeatedly
because tuples of literals are frozen into flash; with a name in them they would be made on the heap.
"""

VERSION = 2
CRC = 0x4791DB20

DRUGS = (
    (
        "baclofen",
        (50, 500, 1_000, 2_000),  # mcg/mL
        "marketed strengths, two secondary sources",
        False,
        (
            # 300-800 mcg/day spinal, 90-700 cerebral origin
            ("dose_per_day", "low", "spinal", 300_000_000, "secondary sources", False),
            ("dose_per_day", "high", "spinal", 800_000_000, "secondary sources", False),
            ("dose_per_day", "low", "cerebral", 90_000_000, "secondary sources", False),
            ("dose_per_day", "high", "cerebral", 700_000_000, "secondary sources", False),
            # One source says never above 1000 mcg/day; a labelled range for children goes up to 1199.
            ("dose_per_day", "high", "", 1_000_000_000, "secondary sources", False),
            ("dose_per_day", "high", "children", 1_199_000_000, "secondary sources", False),
            # While titrating: up by 10-30 % (spinal), 5-15 % (cerebral) in 24 h, down by 10-20 %.
            ("rise_percent", "high", "spinal", 30, "secondary sources", False),
            ("rise_percent", "high", "cerebral", 15, "secondary sources", False),
            ("fall_percent", "high", "", 20, "secondary sources", False),
            ("change_interval", "low", "", 86_400, "secondary sources", False),  # 24 h
            ("first_change", "low", "", 86_400, "secondary sources", False),  # none in the first 24 h
            ("bolus", "high", "screening", 100_000_000, "secondary sources", False),  # 50, 75, 100 mcg
        ),
        True,
    ),
    (
        "hydromorphone",
        (),  # none is known to this library
        "no strength known",
        False,
        (
            ("concentration", "high", "consensus", 15_000, "consensus, from memory", False),  # 15 mg/mL
            ("dose_per_day", "high", "consensus", 10_000_000_000, "consensus, from memory", False),  # 10 mg
            ("dose_per_day", "high", "practice", 25_000_000_000, "secondary sources", False),  # 25 mg/day
        ),
        False,
    ),
    (
        "morphine",
        (10_000, 25_000),  # 10 and 25 mg/mL
        "marketed strengths",
        True,
        (
            # The consensus lies below the label's own 25 mg/mL and 20 mg/day.
            ("concentration", "high", "consensus", 20_000, "consensus, from memory", False),  # 20 mg/mL
            ("dose_per_day", "high", "", 20_000_000_000, "prescribing information", True),  # 20 mg/day
            ("dose_per_day", "high", "consensus", 15_000_000_000, "consensus, from memory", False),
            # 0.2-1 mg/day naive, 1-10 tolerant. The tolerant range's lower end is the naive one's upper: as a
            # bound of its own it would ask about every patient who begins with less, as he should.
            ("start_dose", "low", "naive", 200_000_000, "prescribing information", True),
            ("start_dose", "high", "naive", 1_000_000_000, "prescribing information", True),
            ("start_dose", "high", "tolerant", 10_000_000_000, "prescribing information", True),
        ),
        True,
    ),
    (
        "ziconotide",
        (25, 100),  # 100 mcg/mL, 25 mcg/mL for the first fill
        "marketed strengths",
        True,
        (
            ("dose_per_day", "maximum", "", 19_200_000, "prescribing information", True),  # 19.2 mcg/day
            ("start_dose", "high", "", 2_400_000, "prescribing information", True),  # 2.4 mcg/day
            ("dose_change", "high", "", 2_400_000, "prescribing information", True),  # steps of 2.4 mcg/day
            # At most two or three changes a week: a third of a week apart.
            ("change_interval", "low", "", 201_600, "prescribing information", True),
            # Start with 0.5-1.2 mcg/day, steps of at most 0.5 mcg/day, at most weekly.
            ("start_dose", "low", "consensus", 500_000, "maker, citing a consensus of 2017", True),
            ("start_dose", "high", "consensus", 1_200_000, "maker, citing a consensus of 2017", True),
            ("dose_change", "high", "consensus", 500_000, "maker, citing a consensus of 2017", True),
            ("change_interval", "low", "consensus", 604_800, "maker, citing a consensus of 2017", True),
        ),
        True,
    ),
)

LIBRARY = (VERSION, DRUGS, CRC)
