"""How the value of a key is read: from what stands in the file to a number or a name, or `Expected`."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from thecal.dose import units
from thecal.dose.prescription import MOST_RESERVOIR_NL
from thecal.rig import UNWATCHED
from thecal_model import quantities as q
from thecal_model.document import Expected, Read

from thecal_bench.line import MOST_HEIGHT_PA, MOST_TONE_HZ, MOST_TONE_PA
from thecal_bench.plant import MOST_FREE_FLOW_NL_H


def text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    raise Expected(
        f'expected text in quotes, found "{value}"' if value == "" else f"expected text, found {value!r}"
    )


def name_of_drug(value: Any) -> str:
    # 32 characters are what the pump keeps; it compares names by their bytes.
    if isinstance(value, str) and 0 < len(value) <= 32 and value.isascii() and value.isprintable():
        return value
    raise Expected(f'expected a name of up to 32 ASCII characters such as "morphine", found {value!r}')


def whole(value: Any) -> int:
    if type(value) is int and 0 <= value < 2**63:
        return value
    raise Expected(f"expected a whole number such as 1, found {value!r}")


def yes(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Expected(f"expected true or false, found {value!r}")


def only_true(value: Any) -> bool:
    if value is True:
        return True
    raise Expected(f"expected true, found {value!r} (leave the key out otherwise)")


def one_of(names: tuple[str, ...], value: Any) -> str:
    if isinstance(value, str) and value in names:
        return value
    raise Expected(f"expected one of {', '.join(names)}; found {value!r}")


def above_zero(dimension: q.Dimension, value: Any) -> Fraction:
    number = q.parse(value, dimension)
    if number <= 0:
        raise Expected(f'expected {dimension.name} above 0 such as "{dimension.example}", found "{value}"')
    return number


def duration(value: Any) -> int:
    number = q.parse_time_ms(value)
    if number <= 0:
        raise Expected(f'expected a time above 0 such as "30 min", found "{value}"')
    return number


def whole_in_unit(dimension: q.Dimension, unit: str, value: Any) -> int:
    number = above_zero(dimension, value)
    if number.denominator != 1:
        raise Expected(f'expected {dimension.name} in whole {unit}, found "{value}"')
    return number.numerator


def concentration(value: Any) -> Fraction:
    number = above_zero(q.CONCENTRATION, value)
    if units.concentration_of([number.numerator, number.denominator]) is None:
        least = q.show(Fraction(*units.LEAST_PG_NL), q.CONCENTRATION, "mcg/mL")
        raise Expected(
            f"expected a concentration from {least} to 1 kg/mL in parts of mcg/mL of "
            f'1/{units.MOST_PG_NL_DEN} or coarser, found "{value}"'
        )
    return number


def refill_volume(value: Any) -> int:
    volume_nl = whole_volume(value)
    if volume_nl > MOST_RESERVOIR_NL:
        most = q.show(MOST_RESERVOIR_NL, q.VOLUME, "mL")
        raise Expected(
            f'expected a volume of at most {most}, which is what a reservoir holds, found "{value}"'
        )
    return volume_nl


def whole_volume_or_none(value: Any) -> int:
    return 0 if q.parse(value, q.VOLUME) == 0 else whole_volume(value)


def days(value: Any) -> int:
    if not isinstance(value, list) or not value:
        raise Expected(f'expected a list of days such as ["sat", "sun"], found {value!r}')
    bits = 0
    for day in value:
        bit = 1 << q.DAYS.index(one_of(q.DAYS, day))
        if bits & bit:
            raise Expected(f'expected each day once, found "{day}" twice')
        bits |= bit
    return bits


def bounds(value: Any) -> tuple[str, ...]:
    names = value if isinstance(value, list) else []
    if not names or not all(isinstance(name, str) and name for name in names):
        raise Expected(
            f'expected a list of bounds such as ["baclofen.bolus.high.screening"], found {value!r}'
        )
    return tuple(names)


def hazards(value: Any) -> tuple[str, ...]:
    known = [code for _, code, _ in UNWATCHED]
    if not isinstance(value, list):
        raise Expected(f'expected a list of hazards such as ["stall", "air"], found {value!r}')
    named = [one_of(tuple(known), code) for code in value]
    return tuple(code for code in known if code in named)


def percent_up_to(most: int, value: Any) -> Fraction:
    number = q.parse(value, q.RATIO)
    if not 0 <= number <= most:
        raise Expected(f'expected 0 % to {most} %, found "{value}"')
    return number


def calibration_error(value: Any) -> Fraction:
    number = q.parse(value, q.RATIO)
    if number <= -100:
        raise Expected(f'expected more than -100 %, found "{value}"')
    return number


def free_flow(value: Any) -> Fraction:
    number = q.parse(value, q.RATE)
    if number > MOST_FREE_FLOW_NL_H:
        most = q.show(MOST_FREE_FLOW_NL_H, q.RATE, "mL/h")
        raise Expected(f'expected a rate of at most {most}, as fast as the motor turns, found "{value}"')
    return number


def height(value: Any) -> Fraction:
    """In Pa, of a length or of the pressure of such a column of water."""
    try:
        pressure_pa = q.parse(value, q.LENGTH) * q.PA_PER_MM
    except q.QuantityError:
        try:
            pressure_pa = q.parse(value, q.PRESSURE)
        except q.QuantityError as problem:
            raise Expected(f'{problem}; or {q.LENGTH.name} such as "{q.LENGTH.example}"') from None
    if abs(pressure_pa) > MOST_HEIGHT_PA:
        most = q.show(MOST_HEIGHT_PA, q.PRESSURE, "kPa")
        raise Expected(f'expected a height of at most {most} (3 m of water) either way, found "{value}"')
    return pressure_pa


def amplitude(value: Any) -> Fraction:
    number = not_negative(q.PRESSURE, value)
    if number > MOST_TONE_PA:
        most = q.show(MOST_TONE_PA, q.PRESSURE, "kPa")
        raise Expected(f'expected an amplitude of at most {most}, found "{value}"')
    return number


def frequency(value: Any) -> Fraction:
    number = above_zero(q.FREQUENCY, value)
    if number > MOST_TONE_HZ:
        text = f"expected a frequency of at most {MOST_TONE_HZ} Hz, half of what the sensor is read at"
        raise Expected(f'{text}, found "{value}"')
    return number


def not_negative(dimension: q.Dimension, value: Any) -> Fraction:
    number = q.parse(value, dimension)
    if number < 0:
        raise Expected(f'expected {dimension.name} of 0 or more, found "{value}"')
    return number


def quantity(dimension: q.Dimension) -> Read:
    return lambda value: q.parse(value, dimension)


def positive(dimension: q.Dimension) -> Read:
    return partial(above_zero, dimension)


whole_volume = partial(whole_in_unit, q.VOLUME, "nL")
