"""A rig file (TOML) to the rig that a pump takes, or to one `InputError` with all that is wrong.

How to read it: `PARTS` is the one table of what may stand in a file, part by part and key by key, each with
what it means; bounds and defaults are the firmware's own (`thecal.rig.tables`). `load(FILE)` gives a
`thecal.rig.Rig`, `reference()` that of this project's bench, `named` one of the eight in `FOLDER`. A part
that is left out is not fitted; a key that does not stand here is an error.

Sensors are written as people know them, in volts of the sensor's own output, and a divider where there is one
between it and the pin. The RP2040's converter has 4 096 codes over 3.3 V, which gives the code at no pressure
(rounded to a whole one) and pascals for each code (a ratio: exact, or as near as the bounds of the firmware
let one be, a few parts in a million).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

from thecal import rig as wire

from thecal_model import quantities as q
from thecal_model.document import Document, Expected, Key, read_text
from thecal_model.problems import InputError

FOLDER = Path(__file__).resolve().parents[2] / "host_tests" / "rigs"
NAMES = ("reference", "bare", "shield", "quiet", "geared", "lab", "weighed", "pressure")
"""The rigs of the project: what people really wire to a Pico."""

CODES_PER_V = Fraction(4096) / Fraction("3.3")
"""Of the RP2040's converter, whose reference is its supply."""

LEVELS = ("low", "high")

WireTables = dict[str, dict[str, Any]]
_BOUNDS = {(table, key.name): key for table, _, keys in wire.tables() for key in keys}


@dataclass(frozen=True)
class Entry:
    """One key of a part. `wire` is the key that it is on the link, "" where the part computes that; `default`
    is what it is where it is left out, as it would be written.
    """

    read: Callable[[Any], Any]
    wire: str
    says: str
    default: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be there."""
        return not self.default


@dataclass(frozen=True)
class Part:
    """One table of a file. `table` is the one that it is on the link; `to_wire` makes its keys."""

    table: str
    says: str
    entries: Mapping[str, Entry]
    to_wire: Callable[[dict[str, Any]], dict[str, Any]] = dict


# --- how values are read


def _text(value: Any) -> str:
    most = wire.MOST_NAME
    if isinstance(value, str) and 0 < len(value) <= most and value.isascii() and value.isprintable():
        return value
    raise Expected(f'expected a name of 1 to {most} plain characters such as "bench 2", found {value!r}')


def _one_of(names: tuple[str, ...], value: Any) -> str:
    if isinstance(value, str) and value in names:
        return value
    raise Expected(f"expected {' or '.join(names)}, found {value!r}")


def _level(value: Any) -> int:
    return LEVELS.index(_one_of(LEVELS, value))


def _yes(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    raise Expected(f"expected true or false, found {value!r}")


def _whole(table: str, key: str, value: Any) -> int:
    bounds = _BOUNDS[table, key]
    if type(value) is int and bounds.least <= value <= bounds.most:
        return value
    raise Expected(f"expected a whole number from {bounds.least} to {bounds.most}, found {value!r}")


def _table(value: Any) -> list[int] | tuple[()]:
    if value == "none":
        return ()
    bounds = _BOUNDS["head", "table"]
    good = isinstance(value, list) and len(value) <= bounds.most
    if good and all(type(each) is int and abs(each) <= bounds.least for each in value):
        return value
    whole = f"whole numbers from -{bounds.least} to {bounds.least}"
    raise Expected(f'expected "none" or a list of at most {bounds.most} {whole}, found {str(value)[:40]}')


def _quantity(dimension: q.Dimension, unit: str, table: str, key: str, value: Any) -> int:
    """A quantity that is a whole number of `unit` on the link, within its bounds there."""
    bounds = _BOUNDS[table, key]
    factor = q.parse(f"1 {unit}", dimension)
    number = q.parse(value, dimension) / factor
    if number.denominator != 1 or not bounds.least <= number <= bounds.most:
        least, most = f"{bounds.least} {unit}", f"{bounds.most} {unit}"
        raise Expected(f'expected {dimension.name} in whole {unit}, {least} to {most}, found "{value}"')
    return number.numerator


def _ratio(value: Any) -> Fraction:
    if type(value) is int and value > 0:
        return Fraction(value)
    try:
        number = Fraction(value) if isinstance(value, str) else None
    except (ValueError, ZeroDivisionError):
        number = None
    if number is None or number <= 0:
        raise Expected(f'expected a number above 0 in quotes such as "5.18" or "10/57", found {value!r}')
    return number


def _gear(value: Any) -> tuple[int, int]:
    number, most = _ratio(value), _BOUNDS["motor", "gear"].most
    if max(number.numerator, number.denominator) > most:
        raise Expected(f'expected a ratio of two numbers up to {most}, found "{value}"')
    return number.numerator, number.denominator


def _divider(value: Any) -> Fraction:
    number = _ratio(value)
    if number > 1:
        raise Expected(f'expected the part that reaches the pin, at most 1, as in "10/57", found "{value}"')
    return number


def _above_zero(dimension: q.Dimension, value: Any) -> Fraction:
    number = q.parse(value, dimension)
    if number <= 0:
        raise Expected(f'expected {dimension.name} above 0 such as "{dimension.example}", found "{value}"')
    return number


# --- scales


def as_ratio(number: Fraction, most: int) -> tuple[int, int] | None:
    """The nearest num/den with both at most `most`; None where there is none."""
    if not Fraction(1, most) <= number <= most:
        return None
    near = number.limit_denominator(most if number <= 1 else int(most / number))
    return near.numerator, near.denominator


def _pressure(values: dict[str, Any]) -> dict[str, Any]:
    """Of a sensor that gives `zero` at no pressure and `slope` more for each pascal, behind a divider."""
    to_pin = values.get("divider", Fraction(1)) * CODES_PER_V
    zero_code = round(values["zero"] * to_pin)
    if not zero_code <= 4095:
        raise Expected("expected 3.3 V at most at the pin (zero times divider): change zero or divider")
    most = _BOUNDS["pressure_down", "pa_per_code"].most
    per_code = as_ratio(1 / (values["slope"] * to_pin), most)
    if per_code is None:
        raise Expected(f"expected 1/{most} to {most} Pa for each code: change slope or divider")
    keys = {"zero_code": zero_code, "pa_per_code": per_code}
    return {**keys, "least_pa": values["least"], "most_pa": values["most"]}


def _supply(values: dict[str, Any]) -> dict[str, Any]:
    most = _BOUNDS["supply", "mv_per_code"].most
    per_code = as_ratio(1000 / (values["divider"] * CODES_PER_V), most)
    if per_code is None:
        raise Expected(f"expected 1/{most} to {most} mV for each code: change divider")
    return {
        "mv_per_code": per_code,
        **{f"{name}_mv": values[name] for name in ("low", "critical", "most")},
    }


# --- the one table


def _of_pressure(table: str, where: str) -> Part:
    in_pa = partial(_quantity, q.PRESSURE, "Pa", table)
    entries = {
        "zero": Entry(partial(_above_zero, q.VOLTAGE), "", "what the sensor gives at the room's pressure"),
        "slope": Entry(partial(_above_zero, q.VOLTAGE_PER_PRESSURE), "", "what it gives more"),
        "divider": Entry(_divider, "", "the part of that which reaches the pin", "1"),
        "least": Entry(partial(in_pa, "least_pa"), "least_pa", "below this the sensor is broken"),
        "most": Entry(partial(in_pa, "most_pa"), "most_pa", "above this the sensor is broken"),
    }
    return Part(table, f"a pressure sensor {where}", entries, _pressure)


def _of_button(table: str, name: str) -> Part:
    debounce = partial(_quantity, q.TIME, "ms", table, "debounce_ms")
    entries = {
        "pressed": Entry(_level, "level", "level of its pin while it is pressed", "low"),
        "debounce": Entry(debounce, "debounce_ms", "how long its contacts bounce", "30 ms"),
    }
    return Part(table, f"the {name} button", entries)


def _in_mv(key: str) -> Callable[[Any], int]:
    return partial(_quantity, q.VOLTAGE, "mV", "supply", key)


PARTS: dict[str, Part] = {
    "": Part("rig", "", {"name": Entry(_text, "name", "what the rig is called")}),
    "motor": Part(
        "motor",
        "the stepper motor, its driver's microsteps, its gear",
        {
            "full_steps": Entry(partial(_whole, "motor", "full_steps"), "full_steps", "of one turn"),
            "microsteps": Entry(
                partial(_whole, "motor", "microsteps"), "microsteps", "of a full step, as the driver is set"),
            "gear": Entry(_gear, "gear", 'turns of the motor for one of the rotor, as in "5.18"', "1"),
            "most_steps_per_s": Entry(
                partial(_whole, "motor", "most_steps_s"), "most_steps_s", "as fast as it follows", "1200"),
        },
    ),
    "driver": Part(
        "driver",
        "what the motor driver wants of its pins",
        {
            "dir_forward": Entry(_level, "dir_forward", "level of DIR that turns the rotor forward"),
            "enable": Entry(_level, "enable", "level of EN at which the driver moves"),
            "pulse": Entry(
                partial(_quantity, q.TIME, "ns", "driver", "pulse_ns"), "pulse_ns",
                "the shortest pulse of STEP that it takes; never shorter than 5 us is given", "5 us"),
            "interval": Entry(
                partial(_quantity, q.TIME, "us", "driver", "interval_us"), "interval_us",
                "the least time from one step to the next", "0 us"),
        },
    ),
    "driver.fault": Part(
        "fault", "the driver's fault output", {"level": Entry(_level, "level", "while it reports one")}
    ),
    "head": Part(
        "head",
        "the pump head and its tube",
        {
            "volume_per_rev": Entry(
                partial(_quantity, q.VOLUME, "nL", "head", "nl_per_rev"), "nl_per_rev",
                "volume of one turn of the rotor"),
            "uncertainty": Entry(
                partial(_quantity, q.VOLUME, "nL", "head", "uncertainty_nl"), "uncertainty_nl",
                "of that volume, expanded, at 95 %; 0 nL says that nobody has weighed it", "0 nL"),
            "rollers": Entry(partial(_whole, "head", "rollers"), "rollers", "of the rotor", "3"),
            "table": Entry(
                _table, "table",
                "by how much the head is ahead of a uniform one, from the index mark over the pitch of a "
                "roller, in 1/100000 of what that displaces; none says that nobody has measured it", "none"),
            "service_revs": Entry(
                partial(_whole, "head", "service_revs"), "service_revs",
                "turns that the tube is good for", "100000",
            ),
            "service_days": Entry(
                partial(_whole, "head", "service_days"), "service_days",
                "days that the tube is good for", "730",
            ),
        },
    ),
    "sense.step": Part(
        "step",
        "where STEP is counted",
        {
            "at": Entry(
                partial(_one_of, ("wire", "pad")), "sense",
                '"wire": what a wire brings back from the driver to STEP_SENSE; "pad": the chip\'s own pin')
        },
    ),
    "sense.encoder": Part(
        "encoder",
        "an encoder on the rotor",
        {
            "pulses_per_rev": Entry(
                partial(_whole, "encoder", "pulses_per_rev"), "pulses_per_rev", "of the rotor")
        },
    ),
    "sense.index": Part(
        "index",
        "a mark of the rotor, once a turn",
        {},
    ),
    "sense.pressure_down": _of_pressure("pressure_down", "between head and catheter"),
    "sense.pressure_up": _of_pressure("pressure_up", "between reservoir and head"),
    "sense.supply": Part(
        "supply",
        "the motor's supply, behind a divider",
        {
            "divider": Entry(_divider, "", "the part of it that reaches the pin"),
            "low": Entry(_in_mv("low_mv"), "low_mv", "below this the supply is low"),
            "critical": Entry(_in_mv("critical_mv"), "critical_mv", "below this the motor stops"),
            "most": Entry(_in_mv("most_mv"), "most_mv", "above this the reading is broken"),
        },
        _supply,
    ),
    "sense.air": Part(
        "air", "an air detector", {"level": Entry(_level, "level", "while there is air")}
    ),
    "sounder": Part(
        "sounder",
        "a sounder",
        {"sensed": Entry(_yes, "sensed", "whether a wire tells BUZZER_SENSE that it sounds", "false")},
    ),
    "button.stop": _of_button("button_stop", "STOP"),
    "button.patient": _of_button("button_patient", "patient's"),
}  # fmt: skip
"""The tables of a file by their names, in the order in which they are written and shown."""

GROUPS = tuple(dict.fromkeys(name.partition(".")[0] for name in PARTS if "." in name))

COMPULSORY = tuple(name for name, part in PARTS.items() if {t: n for t, n, _ in wire.tables()}[part.table])


# --- a file


def load(path: str | Path) -> wire.Rig:
    """The rig of a file, or of one of NAMES. Raises `InputError` with all problems."""
    if str(path) in NAMES:
        path = FOLDER / f"{path}.toml"
    return parse(read_text(path, f"a rig file, or one of {', '.join(NAMES)}"), str(path))


@cache
def named(name: str) -> wire.Rig:
    """One of NAMES."""
    return load(FOLDER / f"{name}.toml")


def reference() -> wire.Rig:
    """This project's bench: everything fitted."""
    return named("reference")


def parse(text: str, name: str = "rig") -> wire.Rig:
    """The same for a text; `name` stands for the file in messages."""
    document = Document(name, text)
    tables = _tables(document)
    document.finish()
    try:
        return wire.read(tables)
    except wire.RigError as why:
        document.problem(*_placed(str(why)))
    raise InputError(document.problems)


def _tables(document: Document) -> WireTables:
    """Every part that could be read; the problems are the document's."""
    tables: WireTables = {}
    groups = {group: document.table(group, document.top) for group in GROUPS if group in document.top}
    for name, part in PARTS.items():
        path = tuple(name.split(".")) if name else ()
        parent = groups.get(path[0], {}) if len(path) > 1 else document.top
        if path and path[-1] not in parent:
            if name in COMPULSORY:
                document.problem(path, f"missing; expected a table [{name}]: {part.says}")
            continue
        table = document.table(path[-1], parent, path[:-1]) if path else parent
        before = len(document.problems)
        keys = {key: Key(entry.read, entry.required) for key, entry in part.entries.items()}
        values = document.values(table, keys, path, _tables_within(name))
        if len(document.problems) > before:
            continue
        try:
            made = part.to_wire(values)
        except Expected as why:
            document.problem(path, str(why))
        else:
            own = part.entries
            tables[part.table] = {own[key].wire if key in own else key: made[key] for key in made}
    for group, table in groups.items():
        if group not in PARTS:
            document.values(table, {}, (group,), _tables_within(group))
    return tables


def _tables_within(name: str) -> tuple[str, ...]:
    """The names of the tables that stand in one."""
    if not name:
        return tuple(dict.fromkeys(part.partition(".")[0] for part in PARTS if part))
    return tuple(part.partition(".")[2] for part in PARTS if part.startswith(f"{name}."))


def _placed(message: str) -> tuple[tuple[str, ...], str]:
    """Path in the file and words of what the firmware refused: it begins with table and key of the link, and
    may end with what to set one to.
    """
    where, _, _ = message.partition(" ")
    name, own = _of_wire(*where.rstrip(":,").split(".", 1))
    path = (*(name.split(".") if name else ()), *((own,) if own else ()))
    return path, _SET.sub(_set_in_file, message)


def _of_wire(table: str, key: str = "") -> tuple[str, str]:
    """The part, and its key, that are those of the link; "" for a key that the part computes."""
    for name, part in PARTS.items():
        if part.table == table:
            return name, next((own for own, entry in part.entries.items() if entry.wire == key), "")
    return "", ""


_COMPUTED = {
    "zero_code": "zero or divider",
    "pa_per_code": "slope or divider",
    "mv_per_code": "divider",
}
"""Keys of the link that no key of the file is, and those that they come from."""

_SET = re.compile(r"set (\w+)\.(\w+) to (\[\d+, \d+\]|-?\d+)")


def _set_in_file(found: re.Match[str]) -> str:
    """What to set, as the file has it: `sense.supply.low to "10800 mV"`."""
    name, own = _of_wire(found[1], found[2])
    part = PARTS[name]
    if not own:
        return f"change {_COMPUTED[found[2]]}"
    read, value = part.entries[own].read, found[3]
    if read is _gear:
        value = '"' + value.strip("[]").replace(", ", "/") + '"'
    elif isinstance(read, partial) and read.func is _quantity:
        value = f'"{value} {read.args[1]}"'
    return f"set {name}.{own} to {value}"


def spread(tables: WireTables) -> dict[str, Any]:
    """Every key of a rig as a read-back has it, by table.key."""
    return {
        f"{table}.{key}": list(value) if isinstance(value, tuple) else value
        for table, keys in tables.items()
        for key, value in keys.items()
    }


def key_rows() -> list[tuple[str, str, str]]:
    """For the page: key, what it is, what it is where it is left out."""
    rows = []
    for name, part in PARTS.items():
        for key, entry in part.entries.items():
            rows.append((f"{name}.{key}" if name else key, entry.says, entry.default or "required"))
    return rows
