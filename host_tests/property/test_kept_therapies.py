"""A therapy that a pump keeps is read back to what was prescribed: `therapy_of` undoes `Therapy.message`."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thecal_model.kept import therapy_of
from thecal_model.therapy import Limit, PatientBolus, Profile, Step, Therapy

RATES = st.fractions(1, 10**8, max_denominator=9)
AMOUNTS = st.one_of(
    st.tuples(st.integers(1, 10**6), st.just(0)), st.tuples(st.just(0), st.integers(1, 10**9))
)
CONCENTRATIONS = st.sampled_from([Fraction(500), Fraction(20_000), Fraction(1, 2), Fraction(2500, 3)])


@st.composite
def boluses(draw):
    volume_nl, dose_pg = draw(AMOUNTS)
    by_rate = draw(st.booleans())
    return PatientBolus(
        draw(st.integers(0, 10**7)),
        draw(st.integers(1, 96)),
        volume_nl,
        dose_pg,
        draw(RATES) if by_rate else None,
        None if by_rate else draw(st.integers(1, 10**7)),
    )


@st.composite
def therapies(draw):
    mode = draw(st.sampled_from(["continuous", "flex", "minimum", "stopped"]))
    drug = draw(st.booleans())
    concentration = draw(CONCENTRATIONS) if drug else Fraction(0)
    dose = draw(st.integers(1, 10**12)) if drug and mode == "continuous" else 0
    rate = {"minimum": Fraction(2000)}.get(mode, Fraction(0))
    if mode == "continuous":
        rate = Fraction(dose, concentration * 24) if dose else draw(RATES)
    steps = []
    if mode == "flex":
        for at_ms in draw(st.lists(st.integers(0, 86_399_999), min_size=1, max_size=4, unique=True)):
            by_dose = draw(st.integers(1, 10**12)) if drug and draw(st.booleans()) else 0
            step_rate = Fraction(by_dose, concentration * 24) if by_dose else draw(RATES)
            steps.append(Step(at_ms, step_rate, draw(st.integers(1, 127)), by_dose))
    limit = draw(st.none() | st.tuples(st.integers(600_000, 86_400_000), AMOUNTS))
    return Therapy(
        mode,
        rate,
        draw(st.none() | RATES),
        "morphine" if drug else "",
        concentration,
        dose,
        tuple(steps),
        draw(st.none() | boluses()),
        None if limit is None else Limit(limit[0], *limit[1]),
        draw(st.none() | st.integers(0, 10**6)),
    )


PROFILES = st.builds(
    Profile,
    max_rate_nl_h=st.none() | st.integers(2000, 10**8).map(Fraction),
    on_low_reservoir=st.sampled_from([None, "continue", "kvo"]),
    low_nl=st.none() | st.integers(0, 10**7),
    empty_nl=st.none() | st.integers(0, 10**7),
)


@pytest.mark.req("LIM-11")
@settings(max_examples=100, deadline=None)
@given(therapies(), PROFILES)
def test_what_is_kept_is_what_was_prescribed(therapy, profile):
    assert therapy_of(therapy.message(profile)) == (therapy, profile)
