"""Quantities as people write them: rates in uL/h and mL/h, doses in mcg/day, times in minutes and hours.

For the sentences in which the pump says no (LIM-15). A number is a whole one or a fraction (num, den); three
decimals are shown, and more where two values would read alike that are not (`unlike`, the text of the other).
Allocates: for replies only.
"""

PLACES = (3, 6, 9)
PG_UNITS = (("mg", 10**9), ("mcg", 10**6), ("ng", 10**3))
MS_UNITS = (("days", 172_800_000, 86_400_000), ("h", 7_200_000, 3_600_000), ("min", 120_000, 60_000))


def decimal(num: int, den: int = 1, places: int = 3):
    """num/den as a decimal of at most so many places, rounded to nearest, no zeros at its end."""
    scaled = (2 * abs(num) * 10**places + den) // (2 * den)
    text = str(scaled)
    if len(text) <= places:
        text = "0" * (places + 1 - len(text)) + text
    whole, part = text[:-places], text[-places:].rstrip("0")
    sign = "-" if num < 0 and scaled else ""
    return sign + whole + ("." + part if part else "")


def _in(unit, num: int, den: int, unlike):
    text = ""
    for places in PLACES:
        text = "%s %s" % (decimal(num, den, places), unit)
        if text != unlike:
            break
    return text


def rate(num: int, den: int = 1, unlike=""):
    """A rate of num/den nL/h."""
    if num < 10**6 * den:
        return _in("uL/h", num, den * 1_000, unlike)
    return _in("mL/h", num, den * 10**6, unlike)


def volume(num: int, den: int = 1, unlike=""):
    """A volume of num/den nL."""
    if num < 1_000 * den:
        return _in("nL", num, den, unlike)
    if num < 10**6 * den:
        return _in("uL", num, den * 1_000, unlike)
    return _in("mL", num, den * 10**6, unlike)


def mass(num: int, den: int = 1, unlike=""):
    """A mass of num/den pg."""
    for unit, size in PG_UNITS:
        if num >= size * den:
            return _in(unit, num, den * size, unlike)
    return _in("pg", num, den, unlike)


def percent(num: int, den: int = 1, unlike=""):
    """num/den percent."""
    return _in("%", num, den, unlike)


def time(ms: int, unlike=""):
    """A time of `ms` milliseconds."""
    for unit, least, size in MS_UNITS:
        if ms >= least:
            return _in(unit, ms, size, unlike)
    return _in("s", ms, 1_000, unlike)


def seconds(s):
    """A time of `s` seconds in whole days, h, min and s, none of it rounded."""
    said = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if s >= size:
            said.append("%d %s" % (s // size, unit))
            s %= size
    return " ".join(said) or "0 s"


def by_key(key: str, value, unlike=""):
    """The whole number of a key of the link, in the unit that the end of its name says."""
    if key.endswith("_ms") and key != "at_ms":  # that is a time of day
        return time(value, unlike)
    if key.endswith("_pg_nl"):
        return "%d mcg/mL" % value
    if key.endswith("_nl"):
        return volume(value, 1, unlike)
    if key.endswith("_nl_h"):
        return rate(value, 1, unlike)
    if key.endswith("_pg"):
        return mass(value, 1, unlike)
    if key.endswith("_pg_day"):
        return mass(value, 1, unlike) + "/day"
    return str(value)
