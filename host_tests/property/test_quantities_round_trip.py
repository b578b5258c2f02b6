"""Quantities: reading undoes writing, and nothing that is typed can do anything but be read or be refused."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thecal_model import quantities as q

DECIMALS = st.decimals(min_value=0, max_value=10**9, places=9, allow_nan=False, allow_infinity=False)


@pytest.mark.req("DOSE-13")
@given(DECIMALS, st.sampled_from(q.DIMENSIONS))
def test_a_shown_quantity_is_read_back_exactly(number, dimension):
    value = Fraction(number)
    assert q.parse(q.show(value, dimension), dimension) == value


@pytest.mark.req("DOSE-13")
@given(DECIMALS, st.sampled_from(sorted(q.UNITS)))
def test_a_unit_scales_and_never_changes_its_kind(number, unit):
    factor, exponents = q.UNITS[unit]
    text = f"{number:f} {unit}"
    for dimension in q.DIMENSIONS:
        if dimension.exponents == exponents:
            assert q.parse(text, dimension) == Fraction(number) * factor / dimension.factor
        else:
            with pytest.raises(q.QuantityError):
                q.parse(text, dimension)


@given(st.one_of(st.text(max_size=80), st.integers(), st.floats(), st.booleans(), st.none(), st.binary()))
def test_whatever_is_typed_is_read_or_refused(text):
    for read in (
        lambda t: q.parse(t, q.RATE),
        q.parse_time_ms,
        q.parse_clock_ms,
        q.parse_time_of_day_ms,
    ):
        try:
            read(text)
        except q.QuantityError as error:
            assert "expected" in str(error)
