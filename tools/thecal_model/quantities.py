"""Text such as "6 mL/h" to an exact number, and nothing else: no floats, no rounding, no guessing.

How to read it: a unit is a factor and a vector of exponents over `BASE`; `UNITS` is the one table of them.
A `Dimension` is such a vector with the unit its numbers are reported in (`RATE` in nL/h, `VOLUME` in nL, and
so on); `parse(text, RATE)` gives a `Fraction` in that unit, or a `QuantityError` that names the text, what
was expected, and an example. Because the check is made on exponents, before any number is computed, a dose
can never be taken for a rate (DOSE-13).

A number is a decimal or, where that does not end, a fraction: "25/3 mcg/mL". Unit expressions read from left
to right: "/" divides by the next unit only, a space or "*" multiplies, so
"kPa h/mL" is (kPa times h) per mL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

BASE = ("volume", "mass", "time", "pressure", "temperature", "voltage", "length", "frequency")
"""What is counted apart from each other; in nL, pg, ms, Pa, K, V, mm and Hz."""

Exponents = tuple[int, ...]
NONE: Exponents = (0,) * len(BASE)


def _exponents(name: str) -> Exponents:
    return tuple(int(name == base) for base in BASE)


# Pressure units that are not powers of ten: the pound-force (0.45359237 kg x 9.80665 m/s2) per square inch
# (0.0254 m squared), the conventional millimetre of mercury (13 595.1 kg/m3 x 9.80665 m/s2 x 1 mm) and
# centimetre of water (1 000 kg/m3 x 9.80665 m/s2 x 1 cm), exact by definition (SI brochure, NIST SP 811 B.8).
_PA_PER_PSI = Fraction("0.45359237") * Fraction("9.80665") / Fraction("0.0254") ** 2
_PA_PER_MMHG = Fraction("13595.1") * Fraction("9.80665") / 1000
_PA_PER_CMH2O = Fraction("98.0665")

HOURS_PER_DAY = 24
DAYS_PER_WEEK = 7
MS_PER_HOUR = 3_600_000
MS_PER_DAY = MS_PER_HOUR * HOURS_PER_DAY
MS_PER_WEEK = MS_PER_DAY * DAYS_PER_WEEK

_TABLE: dict[str, dict[str, Fraction | int]] = {
    "volume": {"nL nl": 1, "uL ul": 10**3, "mL ml": 10**6, "L l": 10**9},
    "mass": {"pg": 1, "ng": 10**3, "mcg ug": 10**6, "mg": 10**9, "g": 10**12},
    "time": {
        "ns": Fraction(1, 10**6),
        "us": Fraction(1, 1000),
        "ms": 1,
        "s sec second seconds": 1000,
        "min minute minutes": 60_000,
        "h hr hour hours": MS_PER_HOUR,
        "d day days": MS_PER_DAY,
        "week weeks": MS_PER_WEEK,
    },
    "pressure": {
        "Pa": 1,
        "hPa": 100,
        "kPa": 1000,
        "MPa": 10**6,
        "mbar": 100,
        "bar": 10**5,
        "psi": _PA_PER_PSI,
        "mmHg": _PA_PER_MMHG,
        "cmH2O": _PA_PER_CMH2O,
    },
    "temperature": {"K": 1},
    "voltage": {"V": 1, "mV": Fraction(1, 1000)},
    "length": {"mm": 1, "cm": 10, "m": 1000},
    "frequency": {"Hz": 1, "mHz": Fraction(1, 1000)},
    "": {"%": Fraction(1, 100)},
}
"""By what they measure: the spellings of each unit, the usual one first, and its factor. The parser, the
messages and `--help` read this table, and a test holds that of the scenarios' README to it. There is no
megalitre and no megagram: "ML" and "MG" are mistakes."""

PA_PER_MM = _PA_PER_CMH2O / 10
"""Of a column of water, upright."""

UNITS: dict[str, tuple[Fraction, Exponents]] = {
    name: (Fraction(factor), _exponents(base))
    for base, units in _TABLE.items()
    for names, factor in units.items()
    for name in names.split()
}
"""Every unit that can be written, with its factor to the base unit and what it measures."""


def spellings(base: str) -> list[list[str]]:
    """The units of one of BASE ("" for a ratio), each as the list of its spellings, the usual one first."""
    return [names.split() for names in _TABLE[base]]


MICRO_SIGNS = ("\N{MICRO SIGN}", "\N{GREEK SMALL LETTER MU}")
"""Two characters that look alike and both stand for micro; either is read as "u"."""

MAX_TEXT = 64
"""Longest quantity that is read: far above any sensible one, and it bounds the arithmetic below."""


class QuantityError(Exception):
    """A text that is no quantity of the wanted kind; the message says what it should have been."""


@contextmanager
def named(name: str) -> Iterator[None]:
    """A QuantityError raised within says what it is about: an option, an argument, a field."""
    try:
        yield
    except QuantityError as why:
        raise QuantityError(f"{name}: {why}") from None


@dataclass(frozen=True)
class Dimension:
    """A kind of quantity: what it is called, the unit its numbers are reported in, and an example."""

    name: str
    unit: str
    example: str
    signed: bool = False

    @property
    def exponents(self) -> Exponents:
        return _unit_expression(self.unit)[1]

    @property
    def factor(self) -> Fraction:
        return _unit_expression(self.unit)[0]


def _fold(text: str) -> str:
    for sign in MICRO_SIGNS:
        text = text.replace(sign, "u")
    return text


def _unit_expression(text: str) -> tuple[Fraction, Exponents]:
    """Factor and exponents of a unit expression; `KeyError` carries the unit that is not known."""
    factor, total = Fraction(1), NONE
    text = _PER_24_H.sub("d", text)
    for number, part in enumerate(text.split("/")):
        names = [name for name in re.split(r"[ *\N{MIDDLE DOT}]+", part) if name]
        if not names:
            raise KeyError(text)
        for position, name in enumerate(names):
            unit_factor, unit_exponents = UNITS[name]
            # Only the first unit behind a "/" divides: "kPa/mL h" would be kPa h per mL.
            sign = -1 if number and position == 0 else 1
            factor *= unit_factor**sign
            total = tuple(a + sign * b for a, b in zip(total, unit_exponents, strict=True))
    return factor, total


VOLUME = Dimension("a volume", "nL", "100 uL")
RATE = Dimension("a volume per time", "nL/h", "6 mL/h")
MASS = Dimension("a mass of drug", "pg", "0.1 mg")
CONCENTRATION = Dimension("a concentration", "pg/nL", "20 mg/mL")
MASS_RATE = Dimension("a mass of drug per time", "pg/day", "2.4 mg/day")
TIME = Dimension("a time", "ms", "30 min")
PRESSURE = Dimension("a pressure", "Pa", "10 psi", signed=True)
COMPLIANCE = Dimension("a compliance", "nL/Pa", "0.5 uL/kPa")
RESISTANCE = Dimension("a flow resistance", "Pa ms/nL", "1 kPa h/mL")
TEMPERATURE_RATE = Dimension("a temperature per time", "K/day", "5 K/day", signed=True)
PRESSURE_PER_KELVIN = Dimension("a pressure per temperature", "Pa/K", "200 Pa/K", signed=True)
VOLTAGE_PER_PRESSURE = Dimension("a voltage per pressure", "V/Pa", "40 mV/kPa")
RATIO = Dimension("a percentage", "%", "2 %", signed=True)
VOLTAGE = Dimension("a voltage", "V", "4.5 V")
LENGTH = Dimension("a length", "mm", "50 cm", signed=True)
FREQUENCY = Dimension("a frequency", "Hz", "0.25 Hz")
RATIO_PER_KELVIN = Dimension("a percentage per temperature", "%/K", "2 %/K", signed=True)

DIMENSIONS = (
    VOLUME,
    RATE,
    MASS,
    CONCENTRATION,
    MASS_RATE,
    TIME,
    PRESSURE,
    COMPLIANCE,
    RESISTANCE,
    TEMPERATURE_RATE,
    PRESSURE_PER_KELVIN,
    VOLTAGE_PER_PRESSURE,
    RATIO,
    VOLTAGE,
    LENGTH,
    FREQUENCY,
    RATIO_PER_KELVIN,
)

_NUMBER = re.compile(
    r"([+-]?[0-9]+(?:/[0-9]*[1-9][0-9]*|(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?))[ ]*(.*)", re.DOTALL
)
# A day as prescriptions say it: "10 mL/24 h" is 10 mL a day, whether or not there is a space.
_PER_24_H = re.compile(r"(?<=/)[ ]*24[ ]*(?:h|hr|hours?)\b")
# What looks like a number and must not be guessed at: is "1,000 mL" a litre or a millilitre?
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]")
_NO_ZERO = re.compile(r"[+-]?\.[0-9]")
_SPLIT_NUMBER = re.compile(r"[+-]?[0-9.]+[ ]+[0-9]")
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _expected(dimension: Dimension) -> str:
    return f'expected {dimension.name} such as "{dimension.example}"'


def _known_as(exponents: Exponents) -> str | None:
    return next((d.name for d in DIMENSIONS if d.exponents == exponents), None)


def _mistyped(text: str) -> str:
    """What is wrong with the way the number is written; empty if it is not one of the common ways."""
    if _COMMA.match(text):
        return 'write a decimal point, as in "0.5", and no comma between thousands'
    if _NO_ZERO.match(text):
        return 'write a 0 before the decimal point, as in "0.5"'
    if _SPLIT_NUMBER.match(text):
        return "write the number without spaces in it"
    return ""


def units_text(dimension: Dimension) -> str:
    """The units that a quantity of this kind is made of, other spellings in brackets: "ms, s (sec), min"."""
    kinds = [base for base, exponent in zip(BASE, dimension.exponents, strict=True) if exponent] or [""]
    return "; ".join(", ".join(map(_spelt, spellings(kind))) for kind in kinds)


def _spelt(names: list[str]) -> str:
    usual, *others = names
    return f"{usual} ({', '.join(others)})" if others else usual


def parse(text: object, dimension: Dimension) -> Fraction:
    """The exact number in `dimension.unit`, or `QuantityError`."""
    if not isinstance(text, str):
        raise QuantityError(f"{_expected(dimension)}, found {text!r} without a unit")
    if len(text) > MAX_TEXT:
        raise QuantityError(f"{_expected(dimension)}, found {len(text)} characters")
    shown = f'found "{text}"'
    plain = _fold(text).strip(" ")
    mistyped = _mistyped(plain)
    if mistyped:
        raise QuantityError(f"{_expected(dimension)}, {shown}: {mistyped}")
    match = _NUMBER.fullmatch(plain)
    if match is None:
        raise QuantityError(f"{_expected(dimension)}, {shown}, which does not start with a decimal number")
    number, unit_text = match.groups()
    if not unit_text:
        raise QuantityError(f"{_expected(dimension)}, {shown} without a unit")
    try:
        factor, exponents = _unit_expression(unit_text)
    except KeyError as unknown:
        name = str(unknown.args[0])
        near = next((known for known in UNITS if known.lower() == name.lower()), None)
        hint = f'did you mean "{near}"?' if near else f"known are {units_text(dimension)}"
        raise QuantityError(
            f'{_expected(dimension)}, {shown}: "{name}" is not a known unit; {hint}'
        ) from None
    if exponents != dimension.exponents:
        kind = _known_as(exponents)
        raise QuantityError(f"{_expected(dimension)}, {shown}, which is {kind or 'something else'}")
    value = Fraction(number) * factor / dimension.factor
    if value < 0 and not dimension.signed:
        raise QuantityError(f"{_expected(dimension)}, {shown}, which is negative")
    return value


def as_message(value: Fraction) -> int | list[int]:
    """A number as the link carries a concentration: whole, or [num, den] where it is none."""
    return value.numerator if value.denominator == 1 else [value.numerator, value.denominator]


def of_message(value: int | list[int]) -> Fraction:
    """The number of `as_message`."""
    return Fraction(*value) if isinstance(value, list) else Fraction(value)


def parse_time_ms(text: object) -> int:
    """A time in whole milliseconds."""
    value = parse(text, TIME)
    if value.denominator != 1:
        raise QuantityError(f'expected whole milliseconds, found "{text}"')
    return value.numerator


def parse_time_of_day_ms(text: object) -> int:
    """ "06:00" (or "06:00:30") as milliseconds since midnight."""
    match = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        if hours < 24 and minutes < 60 and seconds < 60:
            return ((hours * 60 + minutes) * 60 + seconds) * 1000
    raise QuantityError(f'expected a time of day such as "06:00", found {text!r}')


def parse_clock_ms(text: object) -> int:
    """ "mon 00:00" as milliseconds since Monday midnight."""
    day, _, time_of_day = text.partition(" ") if isinstance(text, str) else ("", "", "")
    if day in DAYS:
        try:
            return DAYS.index(day) * MS_PER_DAY + parse_time_of_day_ms(time_of_day)
        except QuantityError:
            pass  # said again below, with the day that belongs to it
    raise QuantityError(f'expected a day and a time such as "mon 00:00", found {text!r}')


def show(value: Fraction | int, dimension: Dimension, unit: str | None = None) -> str:
    """The number with a unit, exact where a decimal can be, else to six places; `parse` reads it back."""
    unit = unit or dimension.unit
    factor, exponents = _unit_expression(unit)
    if exponents != dimension.exponents:
        raise QuantityError(f'{_expected(dimension)}, asked to show it in "{unit}"')
    number = Fraction(value) * dimension.factor / factor
    return f"{decimal_text(number)} {unit}"


def decimal_text(number: Fraction | int, places: int = 6) -> str:
    """A decimal without exponent: exact if it ends, else rounded half away from zero at `places`."""
    number = Fraction(number)
    exact_places = 0
    rest = number.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest == 1:
        exact_places = places = max(twos, fives)
    scaled = abs(number) * 10**places
    whole = scaled.numerator // scaled.denominator
    if not exact_places and 2 * (scaled - whole) >= 1:
        whole += 1
    digits = str(whole).rjust(places + 1, "0")
    sign = "-" if number < 0 and whole else ""
    return sign + (digits[:-places] + "." + digits[-places:] if places else digits)
