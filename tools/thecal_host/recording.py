"""The file of a record: how it is written, and how it is read again so that damage shows.

A record is one JSON object per line. The first is a `header`, which says what is known beforehand; the last
is an `end`, or the `summary` of a scenario, with the number of lines; a `gap` is where the line was lost.
`Recorder` hands each line to the system at once, so what is there after a kill or a full disk is a record up
to there; `load` reads it, and says with file and line what is missing, torn or joined. What cannot be read at
all is a `RecordError`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn, Protocol

FORMAT = 3

# Numbers in a record are below this, so they have 19 digits at most.
_MOST = 1 << 63

ENDS = ("end", "summary")
"""Of which a whole record has one, in its last line."""


def host_time() -> str:
    """The time of now by the host's clock, with its zone."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


class RecordError(Exception):
    """A file that is no record, or one that does not hold enough; the message says what is missing."""


class Keeper(Protocol):
    """Who else is given each line: the archive."""

    def take(self, record: dict[str, Any], text: str) -> None: ...


class Recorder:
    """Writes a record, and hands it to `keeper` too. `lines` counts what was written, the header included."""

    def __init__(self, file: IO[str] | None, header: dict[str, Any], keeper: Keeper | None = None) -> None:
        self._file = file
        self._keeper = keeper
        self.lines = 0
        self.write({"type": "header", "format": FORMAT, **header})

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and hand it to the system at once, so that a kill loses nothing.

        What ends the file is given the number of lines, by which a reader knows that all is there.
        """
        if record["type"] in ENDS:
            record = {**record, "lines": self.lines + 1}
        line = json.dumps(record, separators=(",", ":"))
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()
        if self._keeper is not None:
            self._keeper.take(record, line)
        self.lines += 1

    def end(self) -> None:
        """Append the line that ends the record of a pump."""
        self.write({"type": "end"})


@dataclass
class Loaded:
    """A record as it was read; `problems` is what is damaged or missing in it, each with file and line."""

    header: dict[str, Any]
    records: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def load(path: Path) -> Loaded:
    """Read a record. Raises RecordError with the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as why:
        raise RecordError(f"{path}: is not readable as a record: {why.strerror}") from None
    except UnicodeDecodeError as why:
        raise RecordError(f"{path}: is not readable as a record: {why}") from None
    return load_text(path, text)


def load_text(path: Path | str, text: str) -> Loaded:
    """The same of the text of a record; `path` is what it is called."""
    *lines, rest = text.split("\n")
    numbered = [(number, _parse(path, number, line)) for number, line in enumerate(lines, 1) if line]
    torn = ""
    if rest:
        # No LF: the line that was being written when the recording ended.
        torn = f"{path}:{len(lines) + 1}: this line is torn: the recording was cut off in it"
    loaded = Loaded(_header(path, numbered))
    sequences: dict[str, int] = {}
    for number, record in numbered[1:]:
        if loaded.records and loaded.records[-1]["type"] in ENDS:
            raise RecordError(f"{path}:{number}: goes on after its end: were two records joined?")
        if record["type"] == "header":
            raise RecordError(f"{path}:{number}: a second record begins here: cut the file into two")
        loaded.problems += _gap(path, number, record, sequences)
        loaded.records.append(record)
    if torn:
        loaded.problems.append(torn)
    elif not loaded.records or loaded.records[-1]["type"] not in ENDS:
        last = numbered[-1][0]
        loaded.problems.append(f"{path}:{last}: has no end after this line: the recording was cut off there")
    elif loaded.records[-1].get("lines", len(numbered)) != len(numbered):
        number, record = numbered[-1]
        loaded.problems.append(
            f"{path}:{number}: {len(numbered)} of the {record['lines']} lines that were written are there"
        )
    return loaded


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a whole number that a record can hold")


def _whole(text: str) -> int:
    # Longer ones take long to convert, and Python refuses them.
    number = int(text) if len(text) <= 20 else _MOST
    return number if abs(number) < _MOST else _refuse(text)


def _parse(path: Path | str, number: int, line: str) -> dict[str, Any]:
    where = f"{path}:{number}"
    try:
        record = json.loads(line, parse_int=_whole, parse_float=_refuse, parse_constant=_refuse)
    except json.JSONDecodeError as why:
        if "Extra data" in why.msg:
            raise RecordError(f"{where}: two lines are joined here: expected one object per line") from None
        raise RecordError(f"{where}: is not JSON; expected one object per line") from None
    except RecursionError:
        raise RecordError(f"{where}: is nested too deep for a record") from None
    except ValueError as why:
        raise RecordError(f"{where}: {why}") from None
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise RecordError(f"{where}: expected an object with a `type`")
    return record


def _header(path: Path | str, numbered: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    if not numbered or numbered[0][1]["type"] != "header":
        raise RecordError(
            f"{path}:1: expected a header of format {FORMAT}: is this a file that `thecal record` wrote?"
        )
    header = numbered[0][1]
    if header.get("format") != FORMAT:
        raise RecordError(
            f"{path}:1: expected a header of format {FORMAT}, found {header.get('format')!r}: another "
            "version of thecal wrote this file"
        )
    return header


def _seconds(gap: dict[str, Any]) -> str:
    away_ms = gap.get("away_ms")
    return f"{away_ms / 1000:.1f} s" if type(away_ms) is int else "a time that it does not say"


def _gap(path: Path | str, number: int, record: dict[str, Any], sequences: dict[str, int]) -> list[str]:
    """What is missing before a frame, by its number: the link lost it, or the file did."""
    kind, seq = record["type"], record.get("seq")
    if kind == "gap":
        sequences.pop("status", None)  # these are what is missing; events may have come from the log
        return [f"{path}:{number}: the line was lost here for {_seconds(record)}: {record.get('why')}"]
    if kind not in ("status", "event") or type(seq) is not int:
        return []
    missing = seq - sequences.get(kind, seq - 1) - 1
    sequences[kind] = seq
    return [f"{path}:{number}: {missing} of type {kind} are missing before this one"] if missing > 0 else []
