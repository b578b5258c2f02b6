"""The drug library: what is known of each drug, what a therapy with it may be, and whether to believe it.

A library is a tuple (version, drugs, crc), frozen as it stands in `formulary_data` or read from a pharmacy's
file or over the link (`library.py`). Masses are whole pg, doses whole pg/day; a concentration is
a whole number of pg/nL, or (num, den) in lowest terms where it is none. A change of dose is bounded in pg/day
(`dose_change`) and in whole percent of the dose in force (`rise_percent`, `fall_percent`), the time between
two of them and from the first start to the first one in whole seconds (`change_interval`, `first_change`).

    drug    (name, strengths, source, verified, bounds, approved): `strengths` are the concentrations on the
            market, with their source; none if they are not known, and then any concentration will do;
            `approved` for this use, or not, which the read-back of a therapy says
    bound   (quantity, kind, use, value, source, verified): see QUANTITIES and KINDS; `use` is "" or what
            sets the bound apart from others of its kind, such as "naive" for the patient it is meant for

What binds how (`judge`):

- minimum and maximum are hard: outside of them a therapy is refused. One that is not verified is taken for
  soft, since a number that nobody has looked up must not keep a patient from what he needs.
- low and high are soft, and so are the strengths, as pharmacies compound others: outside of them a therapy
  needs a confirmation that names the limit.
- a drug with anything about it that is not verified always needs one more, `<drug>.unverified` (LIM-08).
- several bounds for different uses all bind: the pump does not know whom it is in.

A limit is called `<drug>.<quantity>.<kind>` and `.<use>` if it has one, as in
"morphine.start_dose.high.naive"; a concentration that is not marketed is `<drug>.concentration.strength`.
What a therapy's window limit (LIM-12) breaks is called `<drug>.limit.<kind>`: one window must not hold more
than a day may.

The CRC is over `canonical`, a text of every field, one line for each drug and bound; no field can hold a tab
or a line feed, so two libraries with one text are the same. `check` computes it anew each time (LIM-09).
"""

import binascii

from .. import plain

QUANTITIES = (
    "concentration",
    "dose_per_day",
    "start_dose",
    "dose_change",
    "bolus",
    "rise_percent",
    "fall_percent",
    "change_interval",
    "first_change",
)
CONCENTRATION, DOSE_PER_DAY, START_DOSE, DOSE_CHANGE, BOLUS, RISE, FALL, INTERVAL, FIRST_CHANGE = QUANTITIES
PERCENTS = (RISE, FALL)
TIMES = (INTERVAL, FIRST_CHANGE)
LIMIT = "limit"  # the content of a therapy's window, held against the bounds of DOSE_PER_DAY

# In ascending order of what they allow.
KINDS = ("minimum", "low", "high", "maximum")
MINIMUM, LOW, HIGH, MAXIMUM = KINDS
LOWER = (MINIMUM, LOW)
UPPER = (HIGH, MAXIMUM)
HARD = (MINIMUM, MAXIMUM)


# --- whether to believe it


def canonical(library: tuple):
    """The lines that the CRC is over, one after the other, as bytes."""
    yield ("library\t%d\n" % library[0]).encode()
    for drug in library[1]:
        for line in _drug_lines(drug):
            yield line


def _drug_lines(drug: str):
    name, strengths, source, verified, bounds, approved = drug
    marketed = ",".join([written(strength) for strength in strengths])
    yield ("drug\t%s\t%s\t%s\t%d\t%d\n" % (name, marketed, source, verified, approved)).encode()
    for quantity, kind, use, value, source, verified in bounds:
        row = (quantity, kind, use, written(value), source, verified)
        yield ("%s\t%s\t%s\t%s\t%s\t%d\n" % row).encode()


def written(value):
    num, den = fraction(value)
    return str(num) if den == 1 else "%d/%d" % (num, den)


def _crc(lines):
    crc = 0
    for line in lines:
        crc = binascii.crc32(line, crc)
    return crc


def seal(version, drugs):
    """The library of these drugs, with its CRC."""
    library = (version, tuple(drugs), 0)
    return library[:2] + (_crc(canonical(library)),)


def check(library) -> bool:
    """Whether the library is there and as it was made. Never raises."""
    try:
        version, drugs, crc = library
        return version > 0 and len(drugs) > 0 and _crc(canonical(library)) == crc
    except (TypeError, ValueError, IndexError, AttributeError):  # not even of the right shape, or None
        return False


def find(library: tuple, drug: str):
    """The entry of a drug, or None."""
    for entry in library[1]:
        if entry[0] == drug:
            return entry
    return None


def bounds_of(library: tuple, drug: str) -> tuple:
    """The bounds of a drug; none of one that the library does not have."""
    entry = find(library, drug)
    return entry[4] if entry else ()


def readback(library):
    """What the device understood of a whole library, for a human to confirm: version, CRC, and each drug with
    the CRC of its own lines.
    """
    said = {
        "library_version": library[0],
        "library_crc": "%08x" % library[2],
        "library_drugs": len(library[1]),
    }
    for drug in library[1]:
        said["crc_" + drug[0]] = "%08x" % _crc(_drug_lines(drug))
    return said


# --- what a therapy may be


def judge(
    library,
    drug: str,
    concentration,
    daily=None,
    most_daily=None,
    bolus=None,
    limit=None,
    previous=None,
    since_change_s=None,
    since_start_s=None,
):
    """What is wrong with a therapy: (problems, soft).

    `problems` are texts, each reason enough to refuse it; `soft` are (name, text), each to be confirmed by
    its name. The concentration is pg/nL, masses are pg, as whole numbers or fractions (num, den); None where
    the therapy has no such thing. `daily` is the most that the basal gives in any 24 h, `most_daily` that
    with all boluses the patient may ask for, `bolus` a single one, `limit` what a window may hold, `previous`
    the `daily` of the therapy with the same drug that this one follows; None makes it a start. So long ago
    the dose was changed last, and the drug started first: None for never.
    """
    if not check(library):
        return ["library: absent or damaged (bad CRC), no drug may be given"], []
    entry = find(library, drug)
    if entry is None:
        known = ", ".join([each[0] for each in library[1]])
        return ["drug: %s is not in the library (%s)" % (drug, known)], []
    problems = []
    soft = []
    strengths = entry[1]
    concentration = fraction(concentration)
    if strengths and concentration not in [fraction(strength) for strength in strengths]:
        text = "%s is not marketed (%s)%s" % (
            quantity_text(CONCENTRATION, concentration),
            ", ".join([quantity_text(CONCENTRATION, strength) for strength in strengths]),
            "" if entry[3] else " (unverified)",
        )
        soft.append(("%s.%s.strength" % (drug, CONCENTRATION), text))
    asked = _asked(concentration, daily, most_daily, bolus, limit, previous)
    if previous is not None and _differ(daily, previous):
        asked += _times_asked(since_change_s, since_start_s)
    for called, quantity, kinds, value in asked:
        for bound in entry[4]:
            if bound[0] == quantity and bound[1] in kinds and _outside(value, bound[1], bound[3]):
                name = _name(drug, called, bound)
                text = _outside_text(called, value, bound)
                if is_hard(bound):
                    problems.append("%s: %s (%s)" % (name, text, bound[4]))
                else:
                    soft.append((name, text))
    of = len(entry[4]) + 1
    believed = sum([1 for bound in entry[4] if bound[5]]) + (1 if entry[3] else 0)
    if believed < of:
        soft.append(
            (drug + ".unverified", "%d of %d entries on %s are not verified" % (of - believed, of, drug))
        )
    return problems, soft


def is_hard(bound: tuple):
    """Whether a bound refuses; else it asks."""
    return bound[1] in HARD and bound[5]


def limit_names(drug: tuple):
    """The names of all limits on a drug, as a confirmation gives them."""
    names = [_name(drug[0], bound[0], bound) for bound in drug[4]]
    if drug[1]:
        names.append("%s.%s.strength" % (drug[0], CONCENTRATION))
    return names


def limit_name(drug: str, bound: tuple):
    """The name of a limit on a drug."""
    return _name(drug, bound[0], bound)


def _name(drug: str, called: str, bound):
    name = "%s.%s.%s" % (drug, called, bound[1])
    return name + "." + bound[2] if bound[2] else name


def _asked(concentration: tuple, daily, most_daily, bolus, limit, previous):
    """What is held against what: (name, quantity whose bounds hold, their kinds, value as a fraction)."""
    asked = []
    asked.append((CONCENTRATION, CONCENTRATION, KINDS, concentration))
    if daily is not None:
        daily = fraction(daily)
        asked.append((DOSE_PER_DAY, DOSE_PER_DAY, LOWER, daily))
        most = daily if most_daily is None else fraction(most_daily)
        asked.append((DOSE_PER_DAY, DOSE_PER_DAY, UPPER, most))
        if previous is None:
            asked.append((START_DOSE, START_DOSE, KINDS, daily))
        else:
            before = fraction(previous)
            rise = daily[0] * before[1] - before[0] * daily[1]
            asked.append((DOSE_CHANGE, DOSE_CHANGE, KINDS, (abs(rise), daily[1] * before[1])))
            if before[0] and rise:
                called = RISE if rise > 0 else FALL
                asked.append((called, called, KINDS, (abs(rise) * 100, before[0] * daily[1])))
    if bolus is not None:
        asked.append((BOLUS, BOLUS, KINDS, fraction(bolus)))
    if limit is not None:
        asked.append((LIMIT, DOSE_PER_DAY, UPPER, fraction(limit)))
    return asked


def _times_asked(since_change_s, since_start_s):
    asked = []
    if since_change_s is not None:
        asked.append((INTERVAL, INTERVAL, LOWER, (since_change_s, 1)))
    if since_start_s is not None:
        asked.append((FIRST_CHANGE, FIRST_CHANGE, LOWER, (since_start_s, 1)))
    return asked


def over_bounds(library: tuple, drug: str, bolus, in_a_day, accepted):
    """The bounds that a clinician bolus breaks, hard and soft, as (name, text): `bolus` pg, and `in_a_day`
    the most that any 24 h hold with it (LIM-14); but for those with a bit in `accepted`, which were accepted
    with the therapy.
    """
    bounds = bounds_of(library, drug)
    broken = []
    for number in range(len(bounds)):
        bound = bounds[number]
        if bound[0] == BOLUS:
            outside = _outside(bolus, bound[1], bound[3])
        else:
            outside = (
                bound[0] == DOSE_PER_DAY and bound[1] in UPPER and _outside(in_a_day, bound[1], bound[3])
            )
        if outside and not accepted >> number & 1:
            value = bolus if bound[0] == BOLUS else in_a_day
            broken.append((limit_name(drug, bound), _outside_text(bound[0], value, bound)))
    return broken


def _differ(value, other):
    return below(value, other) or below(other, value)


def fraction(value):
    """A whole number or a fraction as a fraction (num, den)."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, 1)


def below(value, other) -> bool:
    """Whether one whole number or fraction is below another."""
    value, other = fraction(value), fraction(other)
    return value[0] * other[1] < other[0] * value[1]


def _outside(value, kind: int, bound: tuple):
    return below(value, bound) if kind in LOWER else below(bound, value)


def _outside_text(called: str, value, bound: tuple):
    side = "below" if bound[1] in LOWER else "above"
    limit = quantity_text(called, bound[3])
    if called in PERCENTS:
        found = plain.percent(value[0], value[1], unlike=limit)
    elif called in TIMES:
        found = plain.time(value[0] * 1_000, unlike=limit)
    else:
        if called == CONCENTRATION:
            shown = value
        elif bound[1] in LOWER:
            # Rounded away from the bound, so that the text never shows a number that would be allowed.
            shown = value[0] // value[1]
        else:
            shown = -(-value[0] // value[1])
        found = quantity_text(called, shown)
    text = "%s is %s %s" % (found, side, limit)
    return text if bound[5] else text + " (unverified)"


def quantity_text(quantity, value):
    """A value of a bound with the unit in which it reads best, exact: whole pg, percent or seconds, or a
    concentration in pg/nL.
    """
    if quantity in PERCENTS:
        return "%d %%" % value
    if quantity in TIMES:
        for unit, seconds in (("days", 86_400), ("h", 3_600), ("min", 60)):
            if value % seconds == 0 and value >= 2 * seconds:
                return "%d %s" % (value // seconds, unit)
        return "%d s" % value
    if quantity == CONCENTRATION:
        num, den = fraction(value)
        if 1_000_000 % den:
            return "%d/%d mcg/mL" % (num, den)
        # Six decimals of mcg are enough for it.
        millionths = num * (1_000_000 // den)
        return _scaled(millionths, 9, "mg/mL") if num >= 1_000 * den else _scaled(millionths, 6, "mcg/mL")
    per = "" if quantity in (BOLUS, LIMIT) else "/day"
    for places, unit in ((9, "mg"), (6, "mcg"), (3, "ng")):
        if value >= 10**places:
            return _scaled(value, places, unit + per)
    return "%d pg%s" % (value, per)


def _scaled(value, places: int, unit) -> str:
    text = str(value)
    text = "0" * (places + 1 - len(text)) + text
    decimals = text[-places:].rstrip("0")
    return "%s%s %s" % (text[:-places], "." + decimals if decimals else "", unit)
