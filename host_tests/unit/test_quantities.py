"""Text to exact numbers: every unit once, every kind of mistake once."""

from fractions import Fraction

import pytest
from thecal_model import quantities as q


@pytest.mark.req("DOSE-13")
@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("6 mL/h", q.RATE, 6_000_000),
        ("100 uL", q.VOLUME, 100_000),
        ("31.25 nL", q.VOLUME, Fraction(125, 4)),
        ("0.048 mL/day", q.RATE, 2000),
        ("2.4 mg/day", q.MASS_RATE, 2_400_000_000),
        ("20 mg/mL", q.CONCENTRATION, 20_000),
        ("25 mcg/mL", q.CONCENTRATION, 25),
        ("25 ug/mL", q.CONCENTRATION, 25),
        ("25 \N{MICRO SIGN}g/mL", q.CONCENTRATION, 25),
        ("25 \N{GREEK SMALL LETTER MU}g/mL", q.CONCENTRATION, 25),
        ("1 mg/h", q.MASS_RATE, 24 * 10**9),
        ("0.1 mg", q.MASS, 100_000_000),
        ("30 min", q.TIME, 1_800_000),
        ("1min", q.TIME, 60_000),
        ("2 days", q.TIME, 172_800_000),
        ("50 Pa", q.PRESSURE, 50),
        ("-1.5 kPa", q.PRESSURE, -1500),
        ("760 mmHg", q.PRESSURE, Fraction("101325.0144354")),
        ("5 K/day", q.TEMPERATURE_RATE, 5),
        ("200 Pa/K", q.PRESSURE_PER_KELVIN, 200),
        ("0.5 uL/kPa", q.COMPLIANCE, Fraction(1, 2)),
        ("1 kPa h/mL", q.RESISTANCE, 3600),
        ("1 h kPa/mL", q.RESISTANCE, 3600),
        ("0 %", q.RATIO, 0),
        ("-2.5%", q.RATIO, Fraction(-5, 2)),
        ("4500 mV", q.VOLTAGE, Fraction(9, 2)),
        ("1e3 nL", q.VOLUME, 1000),
        ("24h", q.TIME, 86_400_000),
        ("24 h", q.TIME, 86_400_000),
        ("90 minute", q.TIME, 5_400_000),
        ("30 sec", q.TIME, 30_000),
        ("2 hr", q.TIME, 7_200_000),
        ("5 mL/24h", q.RATE, Fraction(5_000_000, 24)),
        ("5 mL/24 h", q.RATE, Fraction(5_000_000, 24)),
        ("5 mL / 24 hours", q.RATE, Fraction(5_000_000, 24)),
        ("5 mL/d", q.RATE, Fraction(5_000_000, 24)),
        ("2.4mg/24h", q.MASS_RATE, 2_400_000_000),
        ("5 mcg/ml", q.CONCENTRATION, 5),
    ],
)
def test_reads_exactly(text, dimension, value):
    assert q.parse(text, dimension) == value


def test_ten_psi_is_the_occlusion_threshold_of_69_kpa():
    # 10 lbf/in2 with the pound, standard gravity and the inch exact by definition.
    pounds_to_newtons, square_inch = Fraction("4.4482216152605"), Fraction("0.00064516")
    assert q.parse("10 psi", q.PRESSURE) == 10 * pounds_to_newtons / square_inch
    assert round(q.parse("10 psi", q.PRESSURE)) == 68_948


@pytest.mark.req("DOSE-13")
@pytest.mark.parametrize(
    ("text", "dimension", "says"),
    [
        ("2.4 mL/day", q.MASS_RATE, "which is a volume per time"),
        ("2.4 mg/day", q.RATE, "which is a mass of drug per time"),
        ("2.4 mg", q.MASS_RATE, "which is a mass of drug"),
        ("20 mg/mL", q.MASS_RATE, "which is a concentration"),
        ("20 mL/mg", q.CONCENTRATION, "which is something else"),
        ("6", q.RATE, "without a unit"),
        (6, q.RATE, "without a unit"),
        (6.0, q.RATE, "without a unit"),
        (True, q.RATE, "without a unit"),
        ("", q.RATE, "does not start with a decimal number"),
        ("mL/h", q.RATE, "does not start with a decimal number"),
        (".5 mL/h", q.RATE, "write a 0 before the decimal point"),
        ("0,5 mL", q.VOLUME, "write a decimal point"),
        (",5 mL", q.VOLUME, "write a decimal point"),
        ("1,000 mL", q.VOLUME, "no comma between thousands"),
        ("1 000 mL", q.VOLUME, "without spaces in it"),
        ("6 mL/240h", q.RATE, '"240h" is not a known unit'),
        ("3 fortnights", q.TIME, "known are ns, us, ms, s (sec, second, seconds), min (minute, minutes)"),
        ("nan mL/h", q.RATE, "does not start with a decimal number"),
        ("inf mL/h", q.RATE, "does not start with a decimal number"),
        ("1_000 uL", q.VOLUME, '"_000" is not a known unit'),
        ("\N{ARABIC-INDIC DIGIT THREE} uL", q.VOLUME, "does not start with a decimal number"),
        ("6 ML/h", q.RATE, 'did you mean "mL"'),
        ("6 gallon", q.VOLUME, '"gallon" is not a known unit'),
        ("6 mL/", q.RATE, "not a known unit"),
        ("6 /h", q.RATE, "not a known unit"),
        ("6 mL//h", q.RATE, "not a known unit"),
        ("-6 mL/h", q.RATE, "which is negative"),
        ("1e999 mL", q.VOLUME, "not a known unit"),
        ("1" * 65 + " mL", q.VOLUME, "found 68 characters"),
    ],
)
def test_says_what_was_expected(text, dimension, says):
    with pytest.raises(q.QuantityError) as error:
        q.parse(text, dimension)
    message = str(error.value)
    assert message.startswith(f'expected {dimension.name} such as "{dimension.example}", found')
    assert says in message


@pytest.mark.parametrize("dimension", q.DIMENSIONS, ids=lambda d: d.name)
def test_the_example_in_the_message_is_itself_read(dimension):
    assert q.parse(dimension.example, dimension) > 0


def test_no_two_dimensions_are_the_same():
    assert len({d.exponents for d in q.DIMENSIONS}) == len(q.DIMENSIONS)


def test_milliseconds_are_whole():
    assert q.parse_time_ms("1.5 s") == 1500
    with pytest.raises(q.QuantityError, match="whole milliseconds"):
        q.parse_time_ms("1.5 ms")


def test_clock():
    assert q.parse_clock_ms("mon 00:00") == 0
    assert q.parse_clock_ms("sun 23:59:59") == 7 * 86_400_000 - 1000
    assert q.parse_time_of_day_ms("06:30") == 23_400_000


@pytest.mark.parametrize(
    "text", ["mon", "monday 00:00", "mon 24:00", "mon 0:00", "00:00", "mon  00:00", "", 5, None]
)
def test_clock_refusals(text):
    with pytest.raises(q.QuantityError, match='such as "mon 00:00"'):
        q.parse_clock_ms(text)


@pytest.mark.parametrize("text", ["24:00", "23:60", "6:00", "06:00:60", "", 600])
def test_time_of_day_refusals(text):
    with pytest.raises(q.QuantityError, match='such as "06:00"'):
        q.parse_time_of_day_ms(text)


def test_show():
    assert q.show(Fraction(125, 4), q.VOLUME) == "31.25 nL"
    assert q.show(6_000_000, q.RATE, "mL/h") == "6 mL/h"
    assert q.show(Fraction(2, 3), q.VOLUME) == "0.666667 nL"
    assert q.show(Fraction(-1, 3_000_000), q.PRESSURE) == "0.000000 Pa"
    with pytest.raises(q.QuantityError, match="asked to show it"):
        q.show(1, q.VOLUME, "mL/h")
