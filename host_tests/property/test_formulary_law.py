"""The drug library's law: whatever a dose is written in, rate and decisions are those of `Fraction`."""

from fractions import Fraction

import largest
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from thecal.dose import formulary, library_wire, units
from thecal.dose.formulary_data import LIBRARY
from thecal_host import pharmacy
from thecal_model import quantities as q

DRUGS = [drug[0] for drug in LIBRARY[1]]
DOSES = ("dose_per_day", "start_dose", "dose_change", "bolus")
# Every spelling, with what one of it is; written out here so that it does not come from the code under test.
MASS_PG = {"pg": 1, "ng": 10**3, "ug": 10**6, "mcg": 10**6, "mg": 10**9, "g": 10**12}
VOLUME_NL = {"nL": 1, "uL": 10**3, "mL": 10**6, "L": 10**9, "nl": 1, "ul": 10**3, "ml": 10**6, "l": 10**9}
TIMES_A_DAY = {
    "ms": 86_400_000,
    "s": 86_400,
    "min": 1_440,
    "h": 24,
    "hour": 24,
    "hours": 24,
    "d": 1,
    "day": 1,
    "days": 1,
    "week": Fraction(1, 7),
    "weeks": Fraction(1, 7),
}
DECIMALS = st.tuples(st.integers(1, 10**9), st.integers(0, 4)).map(
    lambda drawn: (Fraction(drawn[0], 10 ** drawn[1]), drawn[1])
)


def text_of(decimal, unit):
    number, places = decimal
    whole, rest = divmod(int(number * 10**places), 10**places)
    return f"{whole}.{rest:0{places}d} {unit}" if places else f"{whole} {unit}"


def outside(value, kind, bound):
    return value < bound if kind in ("minimum", "low") else value > bound


def expected(entry, concentration, daily, most, bolus, limit, previous, changed_s=None, started_s=None):
    """Names that refuse and names that ask, from the library's data and `Fraction` alone."""
    refuse, ask = set(), set()
    name, strengths, _, marketed_verified, bounds, _ = entry
    changes = previous is not None and daily != previous
    percent = (daily - previous) * 100 / previous if changes and previous else None
    if strengths and concentration not in strengths:
        ask.add(f"{name}.concentration.strength")
    for quantity, kind, use, bound, _, verified in bounds:
        held = {
            "concentration": [("concentration", concentration)],
            "dose_per_day": [("dose_per_day", daily)]
            if kind in ("minimum", "low")
            else [("dose_per_day", most), ("limit", limit)],
            "start_dose": [("start_dose", daily if previous is None else None)],
            "dose_change": [("dose_change", None if previous is None else abs(daily - previous))],
            "bolus": [("bolus", bolus)],
            "rise_percent": [("rise_percent", percent if percent and percent > 0 else None)],
            "fall_percent": [("fall_percent", -percent if percent and percent < 0 else None)],
            "change_interval": [("change_interval", changed_s if changes else None)],
            "first_change": [("first_change", started_s if changes else None)],
        }[quantity]
        for called, value in held:
            if value is not None and outside(value, kind, bound):
                hard = kind in ("minimum", "maximum") and verified
                full = f"{name}.{called}.{kind}" + (f".{use}" if use else "")
                (refuse if hard else ask).add(full)
    if not marketed_verified or not all(bound[5] for bound in bounds):
        ask.add(f"{name}.unverified")
    return refuse, ask


def value_of(number):
    return Fraction(*number) if isinstance(number, tuple) else Fraction(number)


def in_one_form(text):
    num, _, den = text.partition("/")
    return (int(num), int(den)) if den else int(num)


def as_pair(value):
    return None if value is None else (value.numerator, value.denominator)


@st.composite
def therapies(draw):
    """A drug's entry and the arguments of `judge` as fractions, most of them close to one of its bounds."""
    entry = draw(st.sampled_from(LIBRARY[1]))
    bounds = sorted({bound[3] for bound in entry[4] if bound[0] in DOSES})
    percents = [bound[3] for bound in entry[4] if "percent" in bound[0]]
    times_s = [bound[3] for bound in entry[4] if bound[0] in ("change_interval", "first_change")]

    def mass_pg():
        bound = draw(st.sampled_from(bounds))
        off = Fraction(draw(st.integers(-3, 3)), draw(st.integers(1, 5)))
        return draw(
            st.sampled_from([bound + off, bound + off, off % 1 * bound, draw(st.integers(0, 10**12))])
        )

    def mass_or_none():
        return Fraction(mass_pg()) if draw(st.booleans()) else None

    concentrations = [*entry[1], *(bound[3] for bound in entry[4] if bound[0] == "concentration")]
    off = Fraction(draw(st.integers(-3, 3)), draw(st.integers(1, 5)))
    concentration = draw(st.sampled_from(concentrations)) + off
    daily, most, bolus, limit = Fraction(mass_pg()), mass_or_none(), mass_or_none(), mass_or_none()
    previous = None
    if draw(st.booleans()):
        previous = abs(daily + draw(st.sampled_from([-1, 1])) * mass_pg())
        if percents and draw(st.booleans()):
            percent = draw(st.sampled_from(percents)) + Fraction(draw(st.integers(-2, 2)), 7)
            previous = daily / (1 + draw(st.sampled_from([-1, 1])) * percent / 100)

    def time_s():
        known = times_s and draw(st.booleans())
        return max(draw(st.sampled_from(times_s)) + draw(st.integers(-1, 1)), 0) if known else None

    return entry, concentration, daily, most, bolus, limit, previous, time_s(), time_s()


@pytest.mark.req("LIM-08", "LIM-12")
@settings(max_examples=400)
@given(therapies())
def test_limits_decide_as_fractions_do(therapy):
    entry, concentration, daily, most, bolus, limit, previous, changed_s, started_s = therapy
    problems, soft = formulary.judge(
        LIBRARY,
        entry[0],
        as_pair(concentration),
        as_pair(daily),
        as_pair(most),
        as_pair(bolus),
        as_pair(limit),
        as_pair(previous),
        changed_s,
        started_s,
    )
    most = daily if most is None else most
    refuse, ask = expected(entry, concentration, daily, most, bolus, limit, previous, changed_s, started_s)
    assert sorted(text.partition(":")[0] for text in problems) == sorted(refuse)
    assert sorted(name for name, _ in soft) == sorted(ask), "each once"


@pytest.mark.req("DOSE-13", "LIM-08")
@given(
    st.sampled_from(DRUGS),
    DECIMALS,
    st.sampled_from(sorted(MASS_PG)),
    st.sampled_from(sorted(TIMES_A_DAY)),
    DECIMALS,
    st.sampled_from(sorted(MASS_PG)),
    st.sampled_from(sorted(VOLUME_NL)),
)
@example("morphine", (Fraction(24, 10), 1), "mg", "day", (Fraction(20), 0), "mg", "mL")
@example("ziconotide", (Fraction(8, 10), 1), "mcg", "h", (Fraction(1, 10), 1), "mg", "ml")
def test_a_dose_in_any_spelling_gives_its_rate_and_its_decision(
    drug, dose, mass, time, strength, strength_mass, volume
):
    dose_text = text_of(dose, f"{mass}/{time}")
    strength_text = text_of(strength, f"{strength_mass}/{volume}")
    daily_pg = q.parse(dose_text, q.MASS_RATE)
    concentration_pg_nl = q.parse(strength_text, q.CONCENTRATION)
    assert daily_pg == dose[0] * MASS_PG[mass] * TIMES_A_DAY[time]
    assert concentration_pg_nl == strength[0] * MASS_PG[strength_mass] / VOLUME_NL[volume]
    # what is no whole number of the pump's units is refused where it is read
    assume(daily_pg.denominator == 1)
    concentration = units.concentration_of([concentration_pg_nl.numerator, concentration_pg_nl.denominator])
    allowed = Fraction(1, 100) <= concentration_pg_nl <= 10**9 and concentration_pg_nl.denominator <= 10_000
    assert (concentration is not None) == allowed
    if concentration is None:
        return
    num, den = units.rate_of_dose(daily_pg.numerator, concentration)
    assert Fraction(num, den) == daily_pg / concentration_pg_nl / 24
    assert units.dose_of_rate(num, den, concentration) == daily_pg
    problems, soft = formulary.judge(
        LIBRARY, drug, concentration, (num * 24 * concentration[0], den * concentration[1])
    )
    refuse, ask = expected(
        formulary.find(LIBRARY, drug), concentration_pg_nl, daily_pg, daily_pg, None, None, None
    )
    assert {text.partition(":")[0] for text in problems} == refuse
    assert {name for name, _ in soft} == ask


FILE = """version = 1
[[drug]]
name = "{drug}"
strengths = ["{strength}"]
source = "s"
verified = true
approved = false
[[drug.bound]]
on = "{on}"
kind = "high"
value = "{value}"
source = "s"
verified = true
"""

SPELLED = {
    "concentration": [f"{mass}/{volume}" for mass in MASS_PG for volume in VOLUME_NL],
    "dose": [f"{mass}/{time}" for mass in MASS_PG for time in TIMES_A_DAY],
    "mass": list(MASS_PG),
    "rate": [f"{volume}/{time}" for volume in VOLUME_NL for time in TIMES_A_DAY],
    "volume": list(VOLUME_NL),
    "inverse": [f"{volume}/{mass}" for mass in MASS_PG for volume in VOLUME_NL],
    "percent": ["%"],
    "time": list(TIMES_A_DAY),
    "none": [""],
}
WANTED = {
    "concentration": "concentration",
    "dose_per_day": "dose",
    "start_dose": "dose",
    "dose_change": "dose",
    "bolus": "mass",
    "rise_percent": "percent",
    "fall_percent": "percent",
    "change_interval": "time",
    "first_change": "time",
}
MOST = {"concentration": 10**9, "percent": 1_000, "time": 31 * 86_400}
ONE_OF = {
    **{f"{m}/{v}": Fraction(MASS_PG[m], VOLUME_NL[v]) for m in MASS_PG for v in VOLUME_NL},
    **{f"{m}/{t}": Fraction(MASS_PG[m] * TIMES_A_DAY[t]) for m in MASS_PG for t in TIMES_A_DAY},
    **MASS_PG,
    **{time: Fraction(86_400) / times for time, times in TIMES_A_DAY.items()},  # in seconds
    "%": Fraction(1),
}


@pytest.mark.req("DOSE-13", "LIM-08")
@example("baclofen", "concentration", ("concentration", "pg/uL"), 10)
@example("baclofen", "concentration", ("concentration", "pg/uL"), 9)
@given(
    st.sampled_from(DRUGS),
    st.sampled_from(sorted(WANTED)),
    st.sampled_from(sorted(SPELLED)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.sampled_from(SPELLED[kind]))
    ),
    st.integers(1, 10**4),
)
def test_a_bound_in_the_wrong_unit_is_refused_and_in_the_right_one_exact(drug, on, spelled, number):
    kind, unit = spelled
    text = FILE.format(drug=drug, strength="10 mg/mL", on=on, value=f"{number} {unit}".strip())
    most = MOST.get(WANTED[on], 10**15)
    value = number * ONE_OF.get(unit, Fraction(0))
    # 10 pg/uL is the weakest that is taken.
    fine = WANTED[on] == "concentration" and value >= Fraction(1, 100)
    if kind == WANTED[on] and (fine or value.denominator == 1) and value <= most:
        [read] = pharmacy.parse(text).wire["drugs"]
        wire = value if value.denominator == 1 else [value.numerator, value.denominator]
        assert read["bounds"] == [[on, "high", "", wire, "s", True]]
        return
    with pytest.raises(pharmacy.PharmacyError) as caught:
        pharmacy.parse(text, "p.toml")
    [problem] = caught.value.problems
    assert (problem.line, problem.key) == (11, "drug[0].bound[0].value")


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=48)
USES = st.from_regex(r"[a-z][a-z0-9_-]{0,11}", fullmatch=True)


# In their one form: whole, or a fraction in lowest terms.
CONCENTRATIONS = st.one_of(
    st.integers(1, 10**9),
    st.builds(Fraction, st.integers(100, 10**9), st.integers(1, 10_000)).map(
        lambda value: value.numerator if value.denominator == 1 else (value.numerator, value.denominator)
    ),
)


@st.composite
def drugs(draw):
    bounds = []
    for quantity in draw(st.lists(st.sampled_from(formulary.QUANTITIES), max_size=2, unique=True)):
        kinds = draw(st.lists(st.sampled_from(formulary.KINDS), unique=True, max_size=4))
        most = MOST.get(WANTED[quantity], 10**15)
        one = CONCENTRATIONS if quantity == "concentration" else st.integers(1, most)
        values = sorted(draw(st.lists(one, min_size=4, max_size=4)), key=value_of)
        use = draw(st.just("") | USES)
        for kind in kinds:
            value = values[formulary.KINDS.index(kind)]
            bounds.append((quantity, kind, use, value, draw(TEXTS), draw(st.booleans())))
    name = draw(st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True))
    strengths = draw(st.lists(CONCENTRATIONS, unique=True, max_size=6))
    return (name, tuple(strengths), draw(TEXTS), draw(st.booleans()), tuple(bounds), draw(st.booleans()))


LIBRARIES = st.builds(
    formulary.seal,
    st.integers(1, library_wire.MOST_VERSION),
    st.lists(drugs(), min_size=1, max_size=4, unique_by=lambda drug: drug[0]),
)


@pytest.mark.req("LIM-09", "LIM-10")
@given(LIBRARIES)
def test_file_wire_and_read_back_carry_any_library_whole(library):
    wire = library_wire.to_wire(library)
    assert library_wire.from_wire(wire) == (library, [])
    read = pharmacy.parse(pharmacy.as_toml(wire))
    assert read.wire == wire
    draft = library_wire.Draft()
    taken = [draft.take(part) for part in read.parts()]
    assert taken == [(None, [])] * (len(taken) - 1) + [(library, [])]
    assert read.readback() == formulary.readback(library)


@pytest.mark.req("LIM-09")
@given(LIBRARIES)
def test_the_canonical_form_can_be_read_back_so_no_two_libraries_share_one(library):
    head, *lines = b"".join(formulary.canonical(library)).decode().split("\n")[:-1]
    found = []
    for line in lines:
        fields = line.split("\t")
        if fields[0] == "drug":
            name, strengths, source, verified, approved = fields[1:]
            whole = tuple(in_one_form(strength) for strength in strengths.split(",") if strength)
            found.append((name, whole, source, verified == "1", (), approved == "1"))
        else:
            quantity, kind, use, value, source, verified = fields
            bound = (quantity, kind, use, in_one_form(value), source, verified == "1")
            found[-1] = (*found[-1][:4], (*found[-1][4], bound), found[-1][5])
    assert (int(head.split("\t")[1]), tuple(found)) == library[:2]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(
            st.sampled_from([*library_wire.DRUG_KEYS, *library_wire.PART_KEYS, "drugs", "x"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@pytest.mark.req("LIM-10")
@given(JSON)
def test_whatever_comes_over_the_link_is_read_or_refused(anything):
    for library, problems in (library_wire.from_wire(anything), library_wire.Draft().take(anything)):
        assert library is None or formulary.check(library)
        assert library is not None or problems


@pytest.mark.req("LIM-09", "REC-01")
def test_the_largest_library_is_kept_in_lines_and_read_again():
    sealed, problems = library_wire.from_wire(largest.library())
    lines = library_wire.Packed(sealed)
    pieces = [lines[index] for index in range(len(lines))]
    assert not problems and max(map(len, pieces)) <= 2_048
    kept = b"".join(pieces)
    assert library_wire.MOST_BYTES * 9 // 10 < len(kept) <= library_wire.MOST_BYTES
    assert library_wire.unpack(memoryview(kept)) == sealed
