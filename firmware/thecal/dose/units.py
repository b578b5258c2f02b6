"""Drug mass and volume: the exact way from a dose to a rate.

On the link and on the device a mass is picograms, a volume nanolitres, a concentration picograms per
nanolitre (1 mcg/mL = 1 pg/nL, 1 mg/mL = 1 000 pg/nL), a rate a reduced fraction of nL/h. The name of every
value carries its unit, so a mass can not stand where a volume is wanted. Works at programming time only:
numbers may be larger than 2^30 here.
"""

HOURS_PER_DAY = 24


def reduced(num, den):
    """The fraction num/den in lowest terms as (num, den), den > 0."""
    a, b = num, den
    while b:
        a, b = b, a % b
    return num // a, den // a


def rate_of_dose(dose_pg_day, concentration_pg_nl):
    """Rate in nL/h, a reduced fraction (num, den), that gives `dose_pg_day` at `concentration_pg_nl`; both >
    0.
    """
    return reduced(dose_pg_day, concentration_pg_nl * HOURS_PER_DAY)


def dose_of_rate(num, den, concentration_pg_nl):
    """Dose in pg/day, rounded to nearest, of a rate of num/den nL/h."""
    return (2 * num * HOURS_PER_DAY * concentration_pg_nl + den) // (2 * den)
