"""Quantities as a person writes them, `"5 uL"`, `"6 mL/h"`, `"20 min"`, read exactly. QuantityError for all
else.

A number without a unit is none: what somebody takes for microlitres somebody else takes for millilitres.
"""

from __future__ import annotations

from fractions import Fraction

from thecal_model import quantities
from thecal_model.quantities import RATE, TIME, VOLUME, Dimension, QuantityError

EXAMPLES = {"volume": "5 uL", "rate": "6 mL/h", "time": "20 min"}


def volume_nl(name: str, text: str) -> int:
    """A volume of whole nanolitres, 1 at least; `name` is what the argument is called."""
    return _whole(name, _parsed(name, text, VOLUME, "volume"), text, "nanolitres")


def rate_nl_h(name: str, text: str) -> Fraction:
    """A rate above nought."""
    rate = _parsed(name, text, RATE, "rate")
    if rate <= 0:
        raise QuantityError(f'{name}: expected a rate above nought, found "{text}"')
    return rate


def time_ms(name: str, text: str) -> int:
    """A time of whole milliseconds, 1 at least."""
    return _whole(name, _parsed(name, text, TIME, "time"), text, "milliseconds")


def _parsed(name: str, text: object, dimension: Dimension, kind: str) -> Fraction:
    example = EXAMPLES[kind]
    if not isinstance(text, str):
        raise QuantityError(
            f'{name}: expected a {kind} with its unit, as in "{example}", found {text!r}: of which unit?'
        )
    with quantities.named(name):
        return quantities.parse(text, dimension)


def _whole(name: str, value: Fraction, text: str, unit: str) -> int:
    if value.denominator != 1 or value < 1:
        raise QuantityError(f'{name}: expected whole {unit}, 1 at least, found "{text}"')
    return int(value)
