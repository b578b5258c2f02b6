"""What no key of a rig by itself can be wrong about: tables and keys held against each other.

`check` goes through a rig's tables, of which each key is within its own bounds, and raises `RigError` for the
first thing that cannot be. The message names table, key, value and bound, and ends with what to change:
"set TABLE.KEY to VALUE", which is accepted if nothing else is wrong.

The bounds of motor and head follow from integers of 30 bits: a microstep must not be so small that the counts
of them end after 10 mL, 1 nL/h must be a whole number of parts of a microstep per tick, and the motor must be
able to give the slowest basal.
"""

from .clock import TICKS_PER_HOUR, TICKS_PER_S
from .dose.head import END_STEPS_PER_REV, LEAST_PLACES, MOST_BACK, MOST_EXCESS, MOST_FLOW, PARTS
from .dose.mechanism import MOST_GRAINS_PER_STEP, MOST_NL_PER_REV, MOST_STEPS_PER_REV, parts_of
from .dose.prescription import LEAST_BASAL_NL_H
from .dose.units import reduced
from .watch.occlusion import UPSTREAM_PA
from .watch.readings import MOST_CODE, RAIL_CODES
from .watch.senses import SUPPLY_BACK_PART

LEAST_STEPS_PER_REV = 200
MOST_PART = 100_000  # of a ratio, num or den
MOST_STEPS_PER_NL = 100  # counts of 2^30 microsteps hold 10 mL, and a line of 0.3 mL (`mechanism`)
MOST_MICROSTEPS = 256
# Two pulses of the encoder count as two from so far apart (drivers/counter.py).
LEAST_PITCH_US = 2_926
LEAST_PITCH_STEPS = 2
LEAST_MOST_PA = 20_000  # a pressure sensor that ends below it sees no occlusion before it is out of range
SUCTION_PA = UPSTREAM_PA + 500  # and one upstream must see so much below the room's
LOW_CODE = RAIL_CODES + 1  # the smallest code that is no short ...
TOP_CODE = MOST_CODE - RAIL_CODES - 1  # ... and the largest that is no open wire
MOST_DIVISOR = 4_096  # that is looked for


class RigError(Exception):
    """A rig that cannot be; the message names table, key, value, bound, and what to do."""


def refuse(where: str, value, why: str, better) -> None:
    """RigError for the value of a key, with one that can be."""
    raise RigError("%s is %s, %s: set %s to %s" % (where, written(value), why, where, written(better)))


def written(value):
    """A value as the message says it."""
    if isinstance(value, tuple):
        return "[%s, %s]" % (str(value[0])[:12], str(value[1])[:12])
    return str(value)[:24]


def check(tables: dict) -> None:
    """RigError for the first thing that cannot be."""
    _check_gear(tables["motor"])
    _check_motor(tables)
    _check_rate(tables)
    _check_uncertainty(tables["head"])
    if tables["head"]["table"]:
        _check_table(tables)
    if "encoder" in tables:
        _check_encoder(tables)
    for name in ("pressure_down", "pressure_up"):
        if name in tables:
            _check_pressure(name, tables[name])
    if "supply" in tables:
        _check_supply(tables["supply"])


# --- motor and head


def steps_per_rev(motor: dict):
    """Microsteps for a turn of the rotor."""
    num, den = motor["gear"]
    return motor["full_steps"] * motor["microsteps"] * num // den


def greatest_steps_s(tables: dict):
    """The greatest rate, steps/s, as motor and driver allow it. A step that is late is made up for, so no
    more than four fifths of what the driver's interval lets through are ever asked for.
    """
    interval_us = tables["driver"]["interval_us"]
    most = tables["motor"]["most_steps_s"]
    return most if interval_us == 0 else min(most, 800_000 // interval_us)


def _check_gear(motor: dict) -> None:
    num, den = motor["gear"]
    full_steps = motor["full_steps"]
    if num < den:
        refuse("motor.gear", motor["gear"], "a rotor is never faster than its motor", 1)
    if full_steps * motor["microsteps"] * num % den:
        why = "full_steps * microsteps * gear must be whole"
        better = reduced(round_ratio(num * full_steps, den), full_steps)
        if better[0] > MOST_PART:
            better = num // den
        refuse("motor.gear", motor["gear"], why, better)


def round_ratio(num: int, den: int):
    """The whole number nearest to num/den."""
    return (2 * num + den) // (2 * den)


def _problem(per_rev: int, nl_per_rev: int):
    """What is wrong with so many steps of so large a revolution, as a text; empty if nothing."""
    if per_rev < LEAST_STEPS_PER_REV:
        return "a turn of the rotor of %d steps is less than %d" % (per_rev, LEAST_STEPS_PER_REV)
    if per_rev > MOST_STEPS_PER_REV:
        return "a turn of the rotor of %d steps is more than %d" % (per_rev, MOST_STEPS_PER_REV)
    if per_rev > nl_per_rev * MOST_STEPS_PER_NL:
        return "a step of %d/%d nL is less than 1/%d nL" % (nl_per_rev, per_rev, MOST_STEPS_PER_NL)
    return ""


def _check_motor(tables: dict) -> None:
    motor, nl_per_rev = tables["motor"], tables["head"]["nl_per_rev"]
    per_rev = steps_per_rev(motor)
    why = _problem(per_rev, nl_per_rev)
    if why:
        better = _better_microsteps(motor, nl_per_rev)
        if better:
            refuse("motor.microsteps", motor["microsteps"], why, better)
        refuse("motor.gear", motor["gear"], why, _better_gear(motor, nl_per_rev))
    if parts_of(nl_per_rev, per_rev) == 0:
        why = "1 nL/h is not exact in 30 bits with %d steps a turn" % per_rev
        refuse("head.nl_per_rev", nl_per_rev, why, _better_nl(nl_per_rev, per_rev))


def _better_microsteps(motor: dict, nl_per_rev: int):
    """Those nearest to the motor's with which nothing is wrong, 0 where there are none."""
    now = motor["microsteps"]
    num, den = motor["gear"]
    num *= motor["full_steps"]
    for away in range(1, MOST_MICROSTEPS):
        for microsteps in (now - away, now + away):
            whole = 1 <= microsteps <= MOST_MICROSTEPS and microsteps * num % den == 0
            if whole and not _problem(microsteps * num // den, nl_per_rev):
                return microsteps
    return 0


def _better_gear(motor: dict, nl_per_rev: int):
    """The largest whole one that is not too large for these microsteps."""
    most = min(MOST_STEPS_PER_REV, nl_per_rev * MOST_STEPS_PER_NL)
    return max(most // (motor["full_steps"] * motor["microsteps"]), 1)


def _better_nl(nl_per_rev: int, per_rev: int):
    """A volume of a revolution near this one of which 1 nL/h is exact: a multiple of a divisor of the steps,
    and the smallest such divisor that will do.
    """
    rest = reduced(per_rev, TICKS_PER_HOUR)[0]  # of the steps, what an hour has no part in
    divisor = nl_per_rev * TICKS_PER_HOUR * rest // (per_rev * MOST_GRAINS_PER_STEP) + 1
    while divisor < rest:
        if rest % divisor == 0:
            better = multiple_of(divisor, nl_per_rev)
            if parts_of(better, per_rev):
                return better
        divisor = divisor + 1 if divisor < MOST_DIVISOR else rest
    return multiple_of(rest, nl_per_rev)


def multiple_of(divisor: int, nl_per_rev: int):
    """The multiple that is nearest to a volume of a revolution, of those that one may have."""
    times = max(round_ratio(nl_per_rev, divisor), 1)
    return divisor * min(times, MOST_NL_PER_REV // divisor)


def _check_rate(tables: dict) -> None:
    """The slowest basal must be possible."""
    motor, driver = tables["motor"], tables["driver"]
    per_rev = steps_per_rev(motor)
    nl_per_hour = tables["head"]["nl_per_rev"] * TICKS_PER_HOUR
    needed_s = max(-(-LEAST_BASAL_NL_H * per_rev // nl_per_hour), 1) * TICKS_PER_S
    why = "the slowest basal of %d nL/h takes %d steps a second" % (LEAST_BASAL_NL_H, needed_s)
    if motor["most_steps_s"] < needed_s:
        refuse("motor.most_steps_s", motor["most_steps_s"], why, needed_s)
    if greatest_steps_s(tables) < needed_s:
        refuse("driver.interval_us", driver["interval_us"], why, 800_000 // needed_s)


def _check_uncertainty(head: dict) -> None:
    if head["uncertainty_nl"] >= head["nl_per_rev"]:
        why = "it must be below nl_per_rev, %d" % head["nl_per_rev"]
        refuse("head.uncertainty_nl", head["uncertainty_nl"], why, 0)


def _check_table(tables: dict) -> None:
    """Of the head: what a step displaces must be bounded, and the phase be found."""
    table = tables["head"]["table"]
    count = len(table)
    why = ""
    if count < LEAST_PLACES:
        why = "it must have %d places or more" % LEAST_PLACES
    elif table[0]:
        why = "a head is ahead by nothing at the mark, but its first place is %d" % table[0]
    elif max(table) - min(table) > MOST_EXCESS:
        why = "from its least to its largest place there are %d, more than %d" % (
            max(table) - min(table),
            MOST_EXCESS,
        )
    elif "index" not in tables:
        why = "the phase of the rollers is only known by an index mark, and the rig has none"
    elif steps_per_rev(tables["motor"]) >= END_STEPS_PER_REV:
        why = "a turn of %d steps is too fine for one, %d is too much" % (
            steps_per_rev(tables["motor"]),
            END_STEPS_PER_REV,
        )
    for place in range(count if not why else 0):
        flow = PARTS + (table[(place + 1) % count] - table[place]) * count
        if not -MOST_BACK * PARTS <= flow <= MOST_FLOW * PARTS:
            why = "behind place %d the flow is %d %% of the mean, it must be -%d to %d %%" % (
                place,
                flow * 100 // PARTS,
                MOST_BACK * 100,
                MOST_FLOW * 100,
            )
            break
    if why:
        raise RigError("head.table: %s: measure it anew, or leave it out" % why)


def _check_encoder(tables: dict) -> None:
    pulses = tables["encoder"]["pulses_per_rev"]
    per_rev = steps_per_rev(tables["motor"])
    steps_s = greatest_steps_s(tables)
    most = min(per_rev // LEAST_PITCH_STEPS, per_rev * 1_000_000 // (steps_s * LEAST_PITCH_US))
    if pulses > most:
        why = "at %d steps a second, %d a turn, no more than %d can be counted" % (steps_s, per_rev, most)
        refuse("encoder.pulses_per_rev", pulses, why, most)


# --- sensors


def _check_pressure(name: str, keys: dict) -> None:
    zero = keys["zero_code"]
    num, den = keys["pa_per_code"]
    if keys["most_pa"] < LEAST_MOST_PA:
        refuse(name + ".most_pa", keys["most_pa"], "it must be %d or more" % LEAST_MOST_PA, LEAST_MOST_PA)
    top_pa = (TOP_CODE - zero) * num // den
    if top_pa < LEAST_MOST_PA:
        why = "the largest code means %d Pa, less than %d Pa" % (top_pa, LEAST_MOST_PA)
        better = -(-LEAST_MOST_PA // (TOP_CODE - zero))
        if name == "pressure_up" and zero > LOW_CODE:
            better = max(better, -(-SUCTION_PA // (zero - LOW_CODE)))
        refuse(name + ".pa_per_code", keys["pa_per_code"], why, better)
    if name == "pressure_up":
        _check_suction(name, keys)


def _check_suction(name: str, keys: dict) -> None:
    """An inlet that is blocked, or a reservoir that is empty, shows by a pressure below the room's."""
    num, den = keys["pa_per_code"]
    if keys["least_pa"] > -SUCTION_PA:
        why = "a blocked inlet is seen from %d Pa on" % -UPSTREAM_PA
        refuse(name + ".least_pa", keys["least_pa"], why, -SUCTION_PA)
    needed_code = LOW_CODE + -(-SUCTION_PA * den // num)
    if keys["zero_code"] < needed_code:
        why = "codes below %d are a short, so that %d Pa is never seen" % (LOW_CODE, -SUCTION_PA)
        refuse(name + ".zero_code", keys["zero_code"], why, needed_code)


def _check_supply(supply: dict) -> None:
    num, den = supply["mv_per_code"]
    low, critical, most = supply["low_mv"], supply["critical_mv"], supply["most_mv"]
    if critical >= low:
        refuse("supply.critical_mv", critical, "it must be below low_mv, %d" % low, low - 1)
    top_mv = TOP_CODE * num // den
    back_mv = low + low // SUPPLY_BACK_PART
    if back_mv >= top_mv:
        why = "the largest code means %d mV, and a supply is back at %d mV" % (top_mv, back_mv)
        refuse("supply.mv_per_code", supply["mv_per_code"], why, back_mv // TOP_CODE + 1)
    if back_mv >= most:
        refuse("supply.most_mv", most, "a supply that was low is back at %d mV" % back_mv, back_mv + 1)
