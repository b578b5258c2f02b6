"""A run as a file: the record itself (`.ndjson`), or a table with a row for each line (`.csv`, `.parquet`).

A table has the columns `number`, `host_ns`, `pump_ms` and `type`, then one for each key that any line has;
what is not a plain value stands there as JSON. It is written in parts, so that a day of telemetry takes
little memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from thecal_host.archive.store import Archive, ArchiveError
from thecal_host.files import FileError, check_new, why_not, writing

Row = dict[str, Any]
Progress = Callable[[int, int], None]

FIRST = ("number", "host_ns", "pump_ms", "type")
ENDINGS = (".ndjson", ".csv", ".parquet")

# Rows of a part of a Parquet file; some megabytes.
PART_ROWS = 20_000

NO_PYARROW = (
    "Parquet needs the package pyarrow, which is not installed: `make desk` brings it; .csv needs none"
)


def export_run(archive: Archive, number: int, path: Path, force: bool, progress: Progress) -> int:
    """Write a run to `path` as its ending says. Gives the number of lines. Raises FileError, ArchiveError."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise FileError(f"{path}: expected a name that ends in {', '.join(ENDINGS)}")
    check_new(path, force)
    total = archive.run(number).lines
    if ending == ".ndjson":
        return _write_record(archive, number, path, lambda done: progress(done, total))
    if ending == ".parquet" and find_spec("pyarrow") is None:
        raise ArchiveError(NO_PYARROW)
    # Twice through it: first for the columns.
    columns = _columns(archive, number, lambda done: progress(done, 2 * total))
    rows = _rows(archive, number, lambda done: progress(total + done, 2 * total))
    return (_write_csv if ending == ".csv" else _write_parquet)(path, columns, rows)


def _write_record(archive: Archive, number: int, path: Path, progress: Callable[[int], None]) -> int:
    done = 0
    with writing(path) as file:
        for done, *_, text in archive.lines(number):
            file.write(text + "\n")
            progress(done)
    return done


def _rows(archive: Archive, number: int, progress: Callable[[int], None]) -> Iterator[Row]:
    for line, host_ns, pump_ms, kind, text in archive.lines(number):
        progress(line)
        plain = {
            key: json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else value
            for key, value in json.loads(text).items()
        }
        yield {**plain, "number": line, "host_ns": host_ns, "pump_ms": pump_ms, "type": kind}


def _columns(archive: Archive, number: int, progress: Callable[[int], None]) -> dict[str, set[type]]:
    """The columns in the order in which they come up, with the types that are met in each."""
    columns: dict[str, set[type]] = {name: set() for name in FIRST}
    for row in _rows(archive, number, progress):
        for key, value in row.items():
            types = columns.setdefault(key, set())
            if value is not None:
                types.add(type(value))
    return columns


def _write_csv(path: Path, columns: dict[str, set[type]], rows: Iterator[Row]) -> int:
    done = 0
    with writing(path) as file:
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
            done += 1
    return done


def _write_parquet(path: Path, columns: dict[str, set[type]], rows: Iterator[Row]) -> int:
    import pyarrow
    import pyarrow.parquet

    plain = {frozenset({int}): pyarrow.int64(), frozenset({bool}): pyarrow.bool_()}
    # What is met in several types, or in none, is text.
    schema = pyarrow.schema(
        [(name, plain.get(frozenset(types), pyarrow.string())) for name, types in columns.items()]
    )
    texts = {field.name for field in schema if field.type == pyarrow.string()}
    done = 0
    try:
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            part: list[Row] = []

            def write_part() -> None:
                writer.write_table(pyarrow.Table.from_pylist(part, schema))
                part.clear()

            for row in rows:
                done += 1
                part.append({key: _as_text(value) if key in texts else value for key, value in row.items()})
                if len(part) == PART_ROWS:
                    write_part()
            write_part()
    except OSError as why:
        raise why_not(path, why) from None
    return done


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
