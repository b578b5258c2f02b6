"""A TOML file that is being read: its tables, and the problems found so far, each with file, line, key
and what was expected. It goes on after a problem, so that all are reported.

`Key` says how one key is read; a reader gives the value or raises `Expected` or a `QuantityError`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from thecal_model import quantities as q
from thecal_model.problems import InputError, Problem
from thecal_model.toml_lines import Lines, Path, after_error


class Expected(Exception):
    """What a reader expected instead of the value that it was given."""


Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Key:
    """How a key is read, and whether it must be there."""

    read: Read
    required: bool = False


Keys = Mapping[str, Key]


class Document:
    """The text of a file as tables. InputError where it is no TOML."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        try:
            self.top = tomllib.loads(text)
        except (ValueError, RecursionError) as why:
            line, key = after_error(text, str(why))
            message = f"{key}: expected TOML, found what is none: {why}"
            raise InputError([Problem(name, line, key, message)]) from None
        self._lines = Lines(text)

    def line_of(self, path: Path) -> int:
        """The line of a key."""
        return self._lines.of(path)

    def finish(self) -> None:
        """Raise what was found wrong, in the order of the file."""
        if self.problems:
            raise InputError(sorted(self.problems, key=lambda problem: problem.line))

    def problem(self, path: Path, message: str) -> None:
        """Something is wrong at `path`."""
        key = dotted(path)
        self.problems.append(Problem(self.name, self.line_of(path), key, f"{key}: {message}"))

    def values(
        self,
        table: Mapping[str, Any],
        keys: Mapping[str, Key],
        path: Path,
        others: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The values of `table` that could be read; `others` are keys that the caller reads."""
        values: dict[str, Any] = {}
        for name, value in table.items():
            where = (*path, name)
            if name in others:
                continue
            key = keys.get(name)
            if key is None:
                known = (*keys, *others)
                near = get_close_matches(name, known, 1)
                hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(known)}"
                self.problem(where, f"unknown key; {hint}")
            else:
                try:
                    values[name] = key.read(value)
                except (Expected, q.QuantityError) as why:
                    self.problem(where, str(why))
        for name, key in keys.items():
            if key.required and name not in table:
                self.problem((*path, name), "missing; expected in this table")
        return values

    def table(self, name: str, parent: Mapping[str, Any], path: Path = ()) -> Mapping[str, Any]:
        """One table of `parent`; a problem, and an empty one, where it is something else."""
        table = parent.get(name, {})
        if isinstance(table, dict):
            return table
        self.problem((*path, name), f"expected a table [{dotted((*path, name))}], found {table!r}")
        return {}

    def tables(
        self, name: str, parent: Mapping[str, Any], path: Path = ()
    ) -> list[tuple[Path, Mapping[str, Any]]]:
        """The tables of an array, each with its path."""
        tables = parent.get(name, [])
        where = (*path, name)
        if isinstance(tables, list):
            found = []
            for index, table in enumerate(tables):
                if isinstance(table, dict):
                    found.append(((*where, index), table))
                else:
                    self.problem((*where, index), f"expected tables [[{dotted(where)}]], found {table!r}")
            return found
        found_text = "a table" if isinstance(tables, dict) else repr(tables)
        self.problem(where, f"expected tables [[{dotted(where)}]], found {found_text}")
        return []

    def one_of_two(
        self, table: Mapping[str, Any], path: Path, first: str, second: str, else_at: str = ""
    ) -> str | None:
        """Which of two keys is there; None, and a problem, where it is not exactly one."""
        given = [name for name in (first, second) if name in table]
        if len(given) == 1:
            return given[0]
        where = (*path, given[1]) if given else (*path, else_at) if else_at else path
        self.problem(where, f"expected one of {first} and {second}")
        return None

    def kind(
        self, table: Mapping[str, Any], path: Path, selector: str, kinds: Mapping[str, Keys]
    ) -> Keys | None:
        """The keys of an event or expectation, by the name that stands at `selector`."""
        name = table.get(selector)
        if selector not in table:
            self.problem((*path, selector), f"missing; expected one of {', '.join(kinds)}")
            return None
        if not isinstance(name, str) or name not in kinds:
            near = get_close_matches(str(name), kinds, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"expected one of {', '.join(kinds)}"
            self.problem((*path, selector), f"found {name!r}; {hint}")
            return None
        return kinds[name]

    def in_time(self, values: dict[str, Any], path: Path, duration_ms: int) -> bool:
        """Whether the time of an event is there; a problem where it is past the end."""
        at_ms = values.get("at", 0)
        if duration_ms and at_ms > duration_ms:
            shown = q.show(duration_ms, q.TIME, "s")
            self.problem((*path, "at"), f"expected a time within the duration of {shown}")
        return "at" in values or path[0] == "expect"


def dotted(path: Path) -> str:
    """A path as people write it, without the numbers of tables."""
    return ".".join(part for part in path if isinstance(part, str)) or "(file)"


def read_text(path: str | FilePath, what: str = "a scenario file") -> str:
    """The text of a file. InputError where it is none; `what` it should have been."""
    try:
        data = FilePath(path).read_bytes()
    except OSError as why:
        message = f"cannot be read: {why.strerror}, expected {what} (TOML)"
        raise InputError([Problem(str(path), 1, "(file)", message)]) from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as why:
        line = data.count(b"\n", 0, why.start) + 1
        message = "expected text in UTF-8, found another encoding or a binary file"
        raise InputError([Problem(str(path), line, "(file)", message)]) from None
