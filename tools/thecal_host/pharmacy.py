"""A pharmacy's drug library: its TOML file, the form in which it goes over the link, and tables for people.

How to read it: `load(FILE)` gives a `Library`, or one `PharmacyError` with all that is wrong, each with file,
line and key. `Library.parts()` are what the command `library` carries, one drug each, and
`Library.readback()` is what the pump must answer to the last one; its CRC is computed here by other code than
the pump's. `as_toml` writes a library back, `limit_rows` and `unit_rows` are tables to print. What the fields
mean stands in `thecal.dose.formulary`; `pharmacy.toml` beside this file is the library of the image.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from thecal.dose import formulary, library_wire, units
from thecal_model import crc, toml_lines
from thecal_model import quantities as q
from thecal_model.problems import InputError, Problem

DIMENSIONS = {
    "concentration": q.CONCENTRATION,
    "dose_per_day": q.MASS_RATE,
    "start_dose": q.MASS_RATE,
    "dose_change": q.MASS_RATE,
    "bolus": q.MASS,
    "rise_percent": q.RATIO,
    "fall_percent": q.RATIO,
    "change_interval": q.TIME,
    "first_change": q.TIME,
}
"""What each quantity of a bound is measured in; its whole numbers are in the dimension's unit, a time's in
seconds."""

DRUG_KEYS = ("name", "strengths", "source", "verified", "approved", "bound")
BOUND_KEYS = ("on", "kind", "use", "value", "source", "verified")


MS_PER_S = 1_000


class PharmacyError(InputError):
    """A file that is no drug library; `problems` holds all that is wrong with it."""


@dataclass(frozen=True)
class Library:
    """A drug library in its wire form."""

    wire: dict[str, Any]

    @property
    def version(self) -> int:
        return self.wire["version"]

    def parts(self) -> list[dict[str, Any]]:
        """One `part` for each `library` command, in the order in which they must be sent."""
        drugs = self.wire["drugs"]
        return [
            {"version": self.version, "index": index, "count": len(drugs), **drug}
            for index, drug in enumerate(drugs)
        ]

    def readback(self) -> dict[str, Any]:
        """What the pump must read back when it has understood the whole."""
        drugs = {drug["name"]: _drug_text(drug) for drug in self.wire["drugs"]}
        return {
            "library_version": self.version,
            "library_crc": _crc(f"library\t{self.version}\n" + "".join(drugs.values())),
            "library_drugs": len(drugs),
            **{f"crc_{name}": _crc(text) for name, text in drugs.items()},
        }


def _drug_text(drug: Mapping[str, Any]) -> str:
    strengths = ",".join(map(_written, drug["strengths"]))
    rows = [("drug", drug["name"], strengths, drug["source"], int(drug["verified"]), int(drug["approved"]))]
    rows += [(*bound[:3], _written(bound[3]), bound[4], int(bound[5])) for bound in drug["bounds"]]
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def _written(value: int | list[int]) -> str:
    return f"{value[0]}/{value[1]}" if isinstance(value, list) else str(value)


def _crc(text: str) -> str:
    return crc.digits(text.encode("ascii")).decode()


# --- reading


def load(path: str | Path) -> Library:
    """Read and check a pharmacy file. Raises `PharmacyError` with all problems."""
    name = str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as why:
        message = f"cannot be read: {why.strerror}, expected a pharmacy file (TOML)"
        raise PharmacyError([Problem(name, 1, "(file)", message)]) from None
    except UnicodeDecodeError:
        message = "expected text in UTF-8, found another encoding or a binary file"
        raise PharmacyError([Problem(name, 1, "(file)", message)]) from None
    return parse(text, name)


def parse(text: str, name: str = "pharmacy") -> Library:
    """The same for a text; `name` stands for the file in messages."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as why:
        line, key = toml_lines.after_error(text, str(why))
        message = f"{key}: expected TOML, found what is none: {why}"
        raise PharmacyError([Problem(name, line, key, message)]) from None
    reader = _Reader(name, toml_lines.Lines(text))
    wire = reader.library(document)
    if reader.problems:
        raise PharmacyError(sorted(reader.problems, key=lambda problem: problem.line))
    return Library(wire)


class _Expected(Exception):
    """What was expected instead of the value that was there."""


class _Reader:
    """One file on its way to the wire form. Collects problems and goes on, so that all are reported."""

    def __init__(self, name: str, lines: toml_lines.Lines) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._lines = lines

    def library(self, document: Mapping[str, Any]) -> dict[str, Any]:
        self._known(document, ("version", "drug"), ())
        wire = {
            "version": self._read(document, "version", (), _whole(1, library_wire.MOST_VERSION)),
            "drugs": [],
        }
        drugs = self._tables(document, "drug", (), library_wire.MOST_DRUGS)
        if not drugs and not self.problems:
            self._problem(("drug",), "missing; expected tables [[drug]]")
        names = []
        for where, table in drugs:
            drug = self._drug(table, where)
            if drug["name"] is not None and drug["name"] in names:
                self._problem((*where, "name"), f'expected another name, "{drug["name"]}" stands twice')
            names.append(drug["name"])
            wire["drugs"].append(drug)
        return wire

    def _drug(self, table: Mapping[str, Any], path: toml_lines.Path) -> dict[str, Any]:
        self._known(table, DRUG_KEYS, path)
        bounds = []
        for where, row in self._tables(table, "bound", path, library_wire.MOST_BOUNDS):
            self._bound(row, where, bounds)
        return {
            "name": self._read(table, "name", path, _name(library_wire.MOST_NAME)),
            "strengths": self._strengths(table, path),
            "source": self._read(table, "source", path, _source),
            "verified": self._read(table, "verified", path, _flag),
            "bounds": bounds,
            "approved": self._read(table, "approved", path, _flag),
        }

    def _strengths(self, table: Mapping[str, Any], path: toml_lines.Path) -> list[int | list[int]]:
        values = table.get("strengths")
        where = (*path, "strengths")
        if not isinstance(values, list) or len(values) > library_wire.MOST_STRENGTHS:
            most = library_wire.MOST_STRENGTHS
            found = "none" if values is None else repr(values)
            self._problem(where, f'expected a list of up to {most} such as ["10 mg/mL"], found {found}')
            return []
        read = []
        for index, value in enumerate(values):
            try:
                strength = _concentration(value)
                if strength in read:
                    raise _Expected(f'expected each strength once, found "{value}" again')
                read.append(strength)
            except (_Expected, q.QuantityError) as why:
                self._problem((*where, index), str(why))
        return read

    def _bound(self, row: Mapping[str, Any], path: toml_lines.Path, bounds: list[list[Any]]) -> None:
        before = len(self.problems)
        self._known(row, BOUND_KEYS, path)
        quantity = self._read(row, "on", path, _one_of(formulary.QUANTITIES))
        kind = self._read(row, "kind", path, _one_of(formulary.KINDS))
        use = self._read(row, "use", path, _name(library_wire.MOST_USE)) if "use" in row else ""
        # Without knowing what it bounds, its unit cannot be judged.
        value = self._read(row, "value", path, _amount(quantity)) if quantity else None
        source = self._read(row, "source", path, _source)
        verified = self._read(row, "verified", path, _flag)
        if len(self.problems) > before:
            return
        assert kind is not None and value is not None
        for other in bounds:
            if [other[0], other[2]] != [quantity, use]:
                continue
            if other[1] == kind:
                self._problem((*path, "kind"), f"expected another kind, {quantity}.{kind} stands twice")
                return
            elif _allows(other[1]) < _allows(kind) and q.of_message(other[3]) > q.of_message(value):
                self._contradicts(path, "at least", other)
            elif _allows(other[1]) > _allows(kind) and q.of_message(other[3]) < q.of_message(value):
                self._contradicts(path, "at most", other)
        bounds.append([quantity, kind, use, value, source, verified])

    def _contradicts(self, path: toml_lines.Path, side: str, other: list[Any]) -> None:
        shown = formulary.quantity_text(other[0], other[3])
        self._problem((*path, "value"), f"expected {side} {shown}, which is the {other[1]}")

    def _read(
        self, table: Mapping[str, Any], key: str, path: toml_lines.Path, read: Callable[[Any], Any]
    ) -> Any:
        if key not in table:
            self._problem((*path, key), "missing; expected in this table")
            return None
        try:
            return read(table[key])
        except (_Expected, q.QuantityError) as why:
            self._problem((*path, key), str(why))
            return None

    def _known(self, table: Mapping[str, Any], known: tuple[str, ...], path: toml_lines.Path) -> None:
        for key in table:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(known)}"
                self._problem((*path, key), f"unknown key; {hint}")

    def _tables(
        self, parent: Mapping[str, Any], name: str, path: toml_lines.Path, most: int
    ) -> list[tuple[toml_lines.Path, Mapping[str, Any]]]:
        tables = parent.get(name, [])
        where = (*path, name)
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._problem(where, f"expected tables [[{_dotted(where)}]], found {tables!r}")
            return []
        if len(tables) > most:
            self._problem((*where, most), f"expected at most {most}, found {len(tables)}")
        return [((*where, index), table) for index, table in enumerate(tables)]

    def _problem(self, path: toml_lines.Path, message: str) -> None:
        key = _dotted(path)
        self.problems.append(Problem(self._name, self._lines.of(path), key, f"{key}: {message}"))


def _dotted(path: toml_lines.Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _allows(kind: str) -> int:
    return formulary.KINDS.index(kind)


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is int and least <= value <= most:
            return value
        raise _Expected(f"expected a whole number from {least} to {most}, found {value!r}")

    return read


def _one_of(names: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if isinstance(value, str) and value in names:
            return value
        raise _Expected(f"expected one of {', '.join(names)}; found {value!r}")

    return read


def _name(most: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if library_wire.is_name(value, most):
            return value
        raise _Expected(
            f'expected 1 to {most} of a-z, 0-9, - and _ such as "morphine", a letter first; found {value!r}'
        )

    return read


def _source(value: Any) -> str:
    most = library_wire.MOST_SOURCE
    if isinstance(value, str) and 0 < len(value) <= most and value.isascii() and value.isprintable():
        return value
    raise _Expected(f"expected a text of 1 to {most} ASCII characters that says where it is from")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _Expected(f"expected true or false, found {value!r}")


def _concentration(value: Any) -> int | list[int]:
    """A concentration as the pump takes it."""
    number = q.parse(value, q.CONCENTRATION)
    if units.concentration_of([number.numerator, number.denominator]) is None:
        raise _Expected(
            f"expected a concentration of {units.CONCENTRATION_TEXT}, "
            f'found "{value}", which is {q.show(number, q.CONCENTRATION)}'
        )
    return q.as_message(number)


def _amount(quantity: str) -> Callable[[Any], Any]:
    """How the value of a bound on `quantity` is read."""
    if quantity == formulary.CONCENTRATION:
        return _concentration
    dimension, most = DIMENSIONS[quantity], library_wire.most_of(quantity)
    if quantity in formulary.TIMES:
        return _whole_amount(dimension, "s", MS_PER_S, most)
    return _whole_amount(dimension, dimension.unit, 1, most)


def _whole_amount(dimension: q.Dimension, unit: str, size: int, most: int) -> Callable[[Any], int]:
    """A quantity that is a whole number, above 0, of the pump's `unit`, which is `size` of the
    dimension's."""

    def read(value: Any) -> int:
        number = q.parse(value, dimension) / size
        if number.denominator != 1 or not 1 <= number <= most:
            raise _Expected(
                f"expected {dimension.name} in whole {unit} from 1 to {most}, "
                f'found "{value}", which is {q.show(number * size, dimension, unit)}'
            )
        return number.numerator

    return read


# --- writing


def as_toml(wire: Mapping[str, Any]) -> str:
    """A library as a pharmacy file, each quantity with the unit in which it reads best."""
    lines = [f"version = {wire['version']}"]
    for drug in wire["drugs"]:
        strengths = ", ".join(
            _quoted(formulary.quantity_text("concentration", value)) for value in drug["strengths"]
        )
        lines += [
            "",
            "[[drug]]",
            f"name = {_quoted(drug['name'])}",
            f"strengths = [{strengths}]",
            f"source = {_quoted(drug['source'])}",
            f"verified = {_truth(drug['verified'])}",
            f"approved = {_truth(drug['approved'])}",
        ]
        for quantity, kind, use, value, source, verified in drug["bounds"]:
            lines += [
                "[[drug.bound]]",
                f"on = {_quoted(quantity)}",
                f"kind = {_quoted(kind)}",
                *([f"use = {_quoted(use)}"] if use else []),
                f"value = {_quoted(formulary.quantity_text(quantity, value))}",
                f"source = {_quoted(source)}",
                f"verified = {_truth(verified)}",
            ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _truth(value: bool) -> str:
    return "true" if value else "false"


# --- tables for people


def limit_rows(wire: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Every limit of a library: name, value, what is outside of it, what it rests on."""
    rows = []
    for drug in wire["drugs"]:
        name = drug["name"]
        if drug["strengths"]:
            marketed = ", ".join(formulary.quantity_text("concentration", each) for each in drug["strengths"])
            told = _source_text(drug["source"], drug["verified"])
            rows.append((f"{name}.concentration.strength", marketed, "others need confirmation", told))
        if not drug["approved"]:
            rows.append((f"{name}.approved", "no", "told in every read-back", drug["source"]))
        for bound in drug["bounds"]:
            quantity, kind, use, value, source, verified = bound
            rows.append(
                (
                    ".".join([name, quantity, kind] + ([use] if use else [])),
                    formulary.quantity_text(quantity, value),
                    ("below " if kind in formulary.LOWER else "above ")
                    + ("refused" if formulary.is_hard(bound) else "needs confirmation"),
                    _source_text(source, verified),
                )
            )
    return rows


def _source_text(source: str, verified: bool) -> str:
    return source if verified else f"{source} (unverified)"


def unit_rows() -> list[tuple[str, str, str]]:
    """What a dose may be written in: quantity, units, and the unit that the pump counts in."""
    masses, volumes, times = (
        [unit for unit, (_, exponents) in q.UNITS.items() if exponents == dimension.exponents]
        for dimension in (q.MASS, q.VOLUME, q.TIME)
    )
    mass, volume, time = "|".join(masses), "|".join(volumes), "|".join(times)
    return [
        ("concentration", f"({mass})/({volume})", q.CONCENTRATION.unit),
        ("dose", f"({mass})/({time})", q.MASS_RATE.unit),
        ("bolus of a drug", mass, q.MASS.unit),
        ("rate", f"({volume})/({time})", q.RATE.unit),
        ("volume", volume, q.VOLUME.unit),
        ("change of a dose", "%", q.RATIO.unit),
        ("time between two changes", time, "s"),
    ]
