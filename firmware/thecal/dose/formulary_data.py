"""The library that is frozen into the image: what is known of each drug, and what that rests on.

How to read it: `formulary` says what the fields mean. 1 mg = 1 000 mcg = 1 000 000 000 pg; 1 mg/mL =
1 000 mcg/mL = 1 000 pg/nL. A bound that is not here is one for which no source was found; none is invented.
Whoever changes a number raises VERSION and replaces CRC by what `test_formulary` computes: it is written
here, not computed, so that a damaged image does not vouch for itself. The same texts stand here repeatedly
because tuples of literals are frozen into flash; with a name in them they would be made on the heap.
"""

VERSION = 1
CRC = 0xFD2E153D

DRUGS = (
    (
        "baclofen",
        (50, 500, 2_000),  # 50, 500, 2000 mcg/mL
        "marketed strengths",
        True,
        (
            # 300-800 mcg/day spinal, 90-700 cerebral origin, rarely above 1000
            ("dose_per_day", "low", "spinal", 300_000_000, "secondary sources", False),
            ("dose_per_day", "high", "spinal", 800_000_000, "secondary sources", False),
            ("dose_per_day", "low", "cerebral", 90_000_000, "secondary sources", False),
            ("dose_per_day", "high", "cerebral", 700_000_000, "secondary sources", False),
            ("dose_per_day", "maximum", "", 1_000_000_000, "secondary sources", False),
        ),
    ),
    (
        "hydromorphone",
        (),  # none is known to this library
        "no strength known",
        False,
        (
            ("concentration", "maximum", "", 15_000, "PACC 2016, from memory", False),  # 15 mg/mL
            ("dose_per_day", "maximum", "", 10_000_000_000, "PACC 2016, from memory", False),  # 10 mg/day
        ),
    ),
    (
        "morphine",
        (10_000, 25_000),  # 10 and 25 mg/mL
        "marketed strengths",
        True,
        (
            ("concentration", "maximum", "", 20_000, "PACC 2016, from memory", False),  # 20 mg/mL
            # caution above 20 mg/day; consensus maximum 15 mg/day
            ("dose_per_day", "high", "", 20_000_000_000, "prescribing information", True),
            ("dose_per_day", "maximum", "consensus", 15_000_000_000, "PACC 2016, from memory", False),
            # 0.2-1 mg/day naive, 1-10 tolerant. The tolerant range's lower end is the naive one's upper: as a
            # bound of its own it would ask about every patient who begins with less, as he should.
            ("start_dose", "low", "naive", 200_000_000, "prescribing information", True),
            ("start_dose", "high", "naive", 1_000_000_000, "prescribing information", True),
            ("start_dose", "high", "tolerant", 10_000_000_000, "prescribing information", True),
        ),
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
        ),
    ),
)

LIBRARY = (VERSION, DRUGS, CRC)
