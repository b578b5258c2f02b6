"""Drug mass and volume: the exact way from a dose to a rate.

On the link and on the device a mass is picograms, a volume nanolitres, a concentration a reduced fraction of
picograms per nanolitre (1 mcg/mL = 1 pg/nL, 1 mg/mL = 1 000 pg/nL), a rate one of nL/h. The name of every
value carries its unit, so a mass cannot stand where a volume is wanted. Works at programming time only:
numbers may be larger than 2^30 here.
"""

HOURS_PER_DAY = 24
# Own choice: from the weakest dilution that is given (0.5 mcg/mL) down by fifty, to 1 kg/mL, a bound against
# nonsense only; and the finest part, so that what is reckoned with it stays short.
LEAST_PG_NL = (1, 100)
MOST_PG_NL = 10**9
MOST_PG_NL_DEN = 10_000
CONCENTRATION_TEXT = "%d/%d to %d pg/nL, whole or [num, den] with den up to %d" % (
    LEAST_PG_NL + (MOST_PG_NL, MOST_PG_NL_DEN)
)


def reduced(num: int, den: int):
    """The fraction num/den in lowest terms as (num, den), den > 0."""
    a, b = num, den
    while b:
        a, b = b, a % b
    return num // a, den // a


def concentration_of(value):
    """A concentration as the link gives it, a whole number of pg/nL or a list of two, num and den, as a
    reduced fraction; None where it is none.
    """
    num, den = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, 1)
    if type(num) is not int or type(den) is not int or num <= 0 or not 0 < den <= MOST_PG_NL_DEN:
        return None
    num, den = reduced(num, den)
    if num * LEAST_PG_NL[1] < den * LEAST_PG_NL[0] or num > MOST_PG_NL * den:
        return None
    return num, den


def ratio(one, other):
    """How two fractions relate, as whole numbers (a, b) in lowest terms: one / other = a / b."""
    return reduced(one[0] * other[1], one[1] * other[0])


def rate_of_dose(dose_pg_day: int, concentration: tuple):
    """Rate in nL/h, a reduced fraction (num, den), that gives `dose_pg_day` at a concentration; both > 0."""
    return reduced(dose_pg_day * concentration[1], concentration[0] * HOURS_PER_DAY)


def volume_of_dose(dose_pg: int, concentration: tuple):
    """Volume in nL, a reduced fraction, that holds `dose_pg` at a concentration; both > 0."""
    return reduced(dose_pg * concentration[1], concentration[0])


def dose_of_rate(num: int, den: int, concentration: tuple) -> int:
    """Dose in pg/day, rounded to nearest, of a rate of num/den nL/h."""
    den *= concentration[1]
    return (2 * num * HOURS_PER_DAY * concentration[0] + den) // (2 * den)
