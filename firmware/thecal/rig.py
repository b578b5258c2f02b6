"""What hangs on the pins, as data: motor, driver, head, and for every sensor none, or what it is (RIG-01).

On the link and in the journal a rig is an object of tables, as in its TOML file but in whole numbers of the
units that the keys name (`tables`). A table that is left out is not fitted; motor, driver, head and step are
compulsory. `read` makes a `Rig` of it, or raises `RigError`, which names table, key, value, bound and what to
do. Nothing is half-read.

A rig is in force from one boot to the next: everything is built from it once. `UNWATCHED` is the one table
that says which hazard goes unwatched where a part is missing, and what is judged instead (RIG-03).

Numbers: a scale turns the converter's code into a value, (code - zero_code) * num / den. Levels are 0 and 1.
The least pulse that a driver takes is 1 us (A4988), 2 us (DRV8825) or 5 us and more (TB6600 class), as their
makers' data sheets say; ours is never shorter than 5 us, so that a spike and a pulse can be told apart.
"""

from .dose.head import MOST_EXCESS, MOST_PLACES, Head
from .dose.mechanism import MOST_NL_PER_REV, Mechanism
from .rig_bounds import MOST_MICROSTEPS, MOST_PART, RigError, check, greatest_steps_s, steps_per_rev, written
from .watch.readings import RAIL_CODES

MOST_NAME = 24
LEAST_PULSE_NS = 5_000
MOST_PULSE_NS = 23_200  # what the step driver can make (drivers/segment.py)
MOST_STEPS_S = 1_200  # what the step driver can issue (drivers/segment.py)

WEAR_PULSES = 100  # parts of a revolution in which wear is counted where there is no encoder

NUMBER, RATIO, TEXT, CHOICE, LIST = range(5)


class Key:
    """One key of a table: `kind`, and its bounds, or the `choices` of a CHOICE. A key with a `default` may be
    left out. A LIST holds up to `most` whole numbers, each within `least` of 0.
    """

    def __init__(self, name, kind, least=0, most=0, default=None, choices=()) -> None:
        self.name = name
        self.kind = kind
        self.least = least
        self.most = most
        self.default = default
        self.choices = choices


def _level(name, default=None):
    return Key(name, NUMBER, 0, 1, default)


def tables():
    """The one table of a rig's tables and keys: (table, whether it must be there, keys). Made anew for each
    who asks, which is at a boot and when a rig is proposed: kept, it would take 4 kB of the board's heap.
    """
    return (
        ("rig", True, (Key("name", TEXT, 1, MOST_NAME),)),
        (
            "motor",
            True,
            (
                Key("full_steps", NUMBER, 20, 1_000),
                Key("microsteps", NUMBER, 1, MOST_MICROSTEPS),
                Key("gear", RATIO, 1, MOST_PART, (1, 1)),  # motor turns for one of the rotor
                Key("most_steps_s", NUMBER, 10, MOST_STEPS_S, MOST_STEPS_S),
            ),
        ),
        (
            "driver",
            True,
            (
                _level("dir_forward"),
                _level("enable"),
                Key("pulse_ns", NUMBER, 0, MOST_PULSE_NS, LEAST_PULSE_NS),
                Key("interval_us", NUMBER, 0, 80_000, 0),  # least time from step to step
            ),
        ),
        (
            "head",
            True,
            (
                Key("nl_per_rev", NUMBER, 1_000, MOST_NL_PER_REV),
                Key("uncertainty_nl", NUMBER, 0, MOST_NL_PER_REV, 0),  # expanded, at 95 %; 0: not calibrated
                Key("rollers", NUMBER, 1, 64, 3),
                Key("table", LIST, MOST_EXCESS, MOST_PLACES, ()),  # dose/head.py
                Key("service_revs", NUMBER, 1, 10_000_000, 100_000),
                Key("service_days", NUMBER, 1, 10_000, 730),
            ),
        ),
    ) + _senses()


def _senses():
    """Those of what comes back to the pump, and of its sounder."""
    scale = (
        Key("zero_code", NUMBER, RAIL_CODES + 1, 4_000),
        Key("pa_per_code", RATIO, 1, MOST_PART),
        Key("least_pa", NUMBER, -100_000, -1),
        Key("most_pa", NUMBER, 1, 1_000_000),
    )
    button = _level("level", 0), Key("debounce_ms", NUMBER, 0, 1_000, 30)  # while pressed
    return (
        ("step", True, (Key("sense", CHOICE, choices=("wire", "pad")),)),
        ("fault", False, (_level("level"),)),  # of the driver's output, while there is one
        ("encoder", False, (Key("pulses_per_rev", NUMBER, 1, 10_000),)),
        ("index", False, (Key("marks_per_rev", NUMBER, 1, 1, 1),)),
        ("pressure_down", False, scale),
        ("pressure_up", False, scale),
        (
            "supply",
            False,
            (
                Key("mv_per_code", RATIO, 1, 1_000),
                Key("low_mv", NUMBER, 2, 100_000),
                Key("critical_mv", NUMBER, 1, 100_000),
                Key("most_mv", NUMBER, 1, 110_000),
            ),
        ),
        ("air", False, (_level("level"),)),  # while there is air
        ("sounder", False, (Key("sensed", NUMBER, 0, 1, 0),)),
        ("button_stop", False, button),
        ("button_patient", False, button),
    )


# What goes unwatched: the part without which it does, a code for links and logs, and for people what is not
# seen and what is judged instead. Where a code stands twice, either part is enough to miss.
UNWATCHED = (
    ("encoder", "stall", "a rotor that stands or slips is not seen: steps are judged, not turns"),
    ("encoder", "free_flow", "a rotor that turns by itself is not seen"),
    ("encoder", "rotor_infusion", "over- and under-infusion are judged by steps alone"),
    ("index", "encoder_slip", "an encoder or a rotor that slips a little in each turn is not seen"),
    ("pressure_down", "occlusion_down", "a blocked catheter is not seen"),
    ("pressure_up", "occlusion_up", "a blocked or empty inlet is not seen"),
    ("supply", "supply", "a failing supply is not seen before the pump is without power"),
    ("air", "air", "air in the line is not seen"),
    ("fault", "driver_fault", "a driver that reports a fault is not heard"),
    ("step_wire", "step_wire", "steps are counted at the chip: a broken wire to the driver is not seen"),
    ("sounder", "sounder", "alarms are not heard"),
    ("sounder_sense", "sounder_dead", "a sounder that does not sound is not seen"),
    ("button_stop", "button_stop", "there is no STOP button: stop by the link, or cut the motor's supply"),
)


class Scale:
    """Of an analogue sensor: value = (code - zero_code) * num // den, plausible from `least` to `most`."""

    def __init__(self, zero_code: int, per_code: tuple, least: int, most: int) -> None:
        self.zero_code = zero_code
        self.num, self.den = per_code
        self.least = least
        self.most = most

    def value(self, code: int):
        """What a code means, rounded down."""
        return (code - self.zero_code) * self.num // self.den


class Rig:
    """One rig. `tables` is the object that it was read from, with all defaults filled in; what is not fitted
    is None.
    """

    def __init__(self, tables: dict) -> None:
        self.tables = tables
        self.serial = 0  # its number in the journal
        self.missing = ""  # why this only stands for a rig, where it does (`installed`)
        motor, driver, head = tables["motor"], tables["driver"], tables["head"]
        self.name = tables["rig"]["name"]
        self.steps_per_rev = steps_per_rev(motor)
        self.nl_per_rev = head["nl_per_rev"]
        self.uncertainty_nl = head["uncertainty_nl"]
        self.rollers = head["rollers"]
        self.table = head["table"]
        self.service_revs = head["service_revs"]
        self.service_days = head["service_days"]
        self.most_steps_s = greatest_steps_s(tables)
        self.interval_us = driver["interval_us"]
        self.dir_forward_high = driver["dir_forward"] == 1
        self.enable_high = driver["enable"] == 1
        self.pulse_ns = max(driver["pulse_ns"], LEAST_PULSE_NS)
        self.step_at_pad = tables["step"]["sense"] == "pad"
        self.fault_level = self._level("fault")
        self.encoder_pulses_per_rev = tables["encoder"]["pulses_per_rev"] if "encoder" in tables else 0
        self.wear_pulses_per_rev = self.encoder_pulses_per_rev or WEAR_PULSES
        self.has_index = "index" in tables
        self.pressure_down = self._pressure("pressure_down")
        self.pressure_up = self._pressure("pressure_up")
        self.supply = None
        if "supply" in tables:
            supply = tables["supply"]
            self.supply = Scale(0, supply["mv_per_code"], 0, supply["most_mv"])
            self.supply_low_mv = supply["low_mv"]
            self.supply_critical_mv = supply["critical_mv"]
        self.air_level = self._level("air")
        self.has_sounder = "sounder" in tables
        self.sounder_sensed = self.has_sounder and tables["sounder"]["sensed"] == 1
        self.button_stop_level = self._level("button_stop")
        self.button_patient_level = self._level("button_patient")

    def _level(self, table):
        return self.tables[table]["level"] if table in self.tables else None

    def _pressure(self, table):
        if table not in self.tables:
            return None
        keys = self.tables[table]
        return Scale(keys["zero_code"], keys["pa_per_code"], keys["least_pa"], keys["most_pa"])

    def mechanism(self):
        """The arithmetic of its motor and head."""
        return Mechanism(self.nl_per_rev, self.steps_per_rev, self.most_steps_s // 10)

    def pump_head(self):
        """The volume of its head over the phase of the rollers."""
        return Head(self.steps_per_rev, self.rollers, self.table)

    def has(self, part) -> bool:
        """Whether a part of `UNWATCHED` is fitted."""
        if part == "step_wire":
            return not self.step_at_pad
        if part == "sounder_sense":
            return self.sounder_sensed or not self.has_sounder
        return part in self.tables

    def pitch_us(self):
        """Time from pulse to pulse of the encoder at the greatest rate, us; 0 without one."""
        if not self.encoder_pulses_per_rev:
            return 0
        return self.steps_per_rev * 1_000_000 // (self.encoder_pulses_per_rev * self.most_steps_s)

    def debounce_ms(self, button):
        """For how long the contact of a button may bounce, ms; 0 where it is not fitted."""
        return self.tables[button]["debounce_ms"] if button in self.tables else 0

    def unwatched(self):
        """The codes of what goes unwatched."""
        return [code for part, code, _ in UNWATCHED if not self.has(part)]

    def unwatched_bits(self):
        """The same, a bit for each row of the table."""
        bits = 0
        for row in range(len(UNWATCHED)):
            if not self.has(UNWATCHED[row][0]):
                bits |= 1 << row
        return bits


def read(given) -> Rig:
    """The rig that an object of the link or the journal means. Raises RigError."""
    if not isinstance(given, dict):
        raise RigError("rig: must be an object of tables")
    rows = tables()
    known = [name for name, _, _ in rows]
    for name in given:
        if name not in known:
            raise RigError("%s: unknown table, must be one of %s" % (str(name)[:24], ", ".join(known)))
    whole = {}
    for name, needed, keys in rows:
        if name in given:
            whole[name] = _read_table(name, given[name], keys)
        elif needed:
            raise RigError("%s: missing, this table must be there" % name)
    check(whole)
    return Rig(whole)


def _read_table(name, given, keys):
    if not isinstance(given, dict):
        raise RigError("%s is %s, must be a table of keys" % (name, written(given)))
    known = [key.name for key in keys]
    for key in given:
        if key not in known:
            raise RigError("%s.%s: unknown key, must be one of %s" % (name, str(key)[:24], ", ".join(known)))
    whole = {}
    for key in keys:
        where = "%s.%s" % (name, key.name)
        if key.name in given:
            whole[key.name] = _read_value(where, given[key.name], key)
        elif key.default is None:
            raise RigError("%s: missing, %s" % (where, _bounds(key)))
        else:
            whole[key.name] = key.default
    return whole


def _bounds(key: "Key"):
    """What a key may be, for people."""
    if key.kind == TEXT:
        return "must be a text of %d to %d plain characters" % (key.least, key.most)
    if key.kind == CHOICE:
        return "must be " + " or ".join(key.choices)
    if key.kind == RATIO:
        return "must be a whole number or [num, den], each 1 to %d" % key.most
    if key.kind == LIST:
        return "must be a list of at most %d whole numbers from -%d to %d" % (key.most, key.least, key.least)
    return "must be a whole number from %d to %d" % (key.least, key.most)


def _read_value(where, value, key: "Key"):
    if key.kind == TEXT:
        sound = isinstance(value, str) and key.least <= len(value) <= key.most
        sound = sound and all(" " <= letter <= "~" for letter in value)
    elif key.kind == CHOICE:
        sound = value in key.choices
    elif key.kind == RATIO:
        num, den = value if isinstance(value, (list, tuple)) and len(value) == 2 else (value, 1)
        sound = type(num) is int and type(den) is int and 0 < num <= key.most and 0 < den <= key.most
        value = num, den
    elif key.kind == LIST:
        sound = isinstance(value, (list, tuple)) and len(value) <= key.most
        sound = sound and all(type(each) is int and -key.least <= each <= key.least for each in value)
        value = tuple(value) if sound else value
    else:
        sound = type(value) is int and key.least <= value <= key.most
    if not sound:
        raise RigError("%s is %s, %s" % (where, written(value), _bounds(key)))
    return value
