"""The file of the archive: its tables, and what is read from them.

SQLite in WAL mode with `synchronous=NORMAL`: what was committed survives the death of this program, and
readers and writers do not wait for each other. A loss of power of the host may cost the last commits, never
the file.

A run that has no end and whose keeper is dead was cut off. A keeper that lives holds a lock (`flock`) on a
file of the run; the system lets go of it however the keeper ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from thecal_host.archive.packing import Models
from thecal_host.files import why_not

PLACE = "THECAL_ARCHIVE"

# A commit takes less than a millisecond; who has to wait longer meets a deletion, which is done in small
# parts.
BUSY_S = 5.0

# Lines that one transaction of a deletion removes, so that nobody waits for it for long.
DELETE_LINES = 20_000

END, CUT = "end", "cut"
"""How a run ended: as it should, or with its keeper. None while it goes on."""

VERSION = 1

SCHEMA = """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    pump TEXT NOT NULL,        -- the port or board
    header TEXT NOT NULL,      -- the first line of the record: rig, therapy, what goes unwatched
    begun_ns INTEGER NOT NULL, -- host's clock, since 1970, as all `_ns`
    ended_ns INTEGER,
    how TEXT                   -- 'end', 'cut', or NULL while it goes on
);
CREATE TABLE lines (
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,   -- as in the record: the header is 1
    host_ns INTEGER NOT NULL,
    pump_ms INTEGER,           -- the pump's own clock, where the line has one
    kind TEXT NOT NULL,        -- its `type`
    packed BLOB NOT NULL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE gaps (
    run INTEGER NOT NULL,
    after INTEGER NOT NULL,    -- the number of the last line before it
    kind TEXT NOT NULL,        -- 'link', 'restart', 'host'
    missing INTEGER,           -- frames; NULL where nobody knows
    from_ns INTEGER NOT NULL,
    to_ns INTEGER              -- NULL while nothing came after it
);
CREATE INDEX gaps_of_run ON gaps (run);
"""


class ArchiveError(Exception):
    """The archive cannot be opened, read or written, or has no such run. The message says what to do."""


@dataclass(frozen=True)
class KeptRun:
    """A run of the archive; times by the host's clock in ns since 1970."""

    number: int
    pump: str
    header: dict[str, Any]
    begun_ns: int
    ended_ns: int | None
    how: str | None
    lines: int
    gaps: int
    first_ms: int | None
    last_ms: int | None
    """The pump's clock in its first and last line that has it."""

    @property
    def title(self) -> str:
        """What the record calls itself."""
        return str(self.header.get("title", self.pump))


@dataclass(frozen=True)
class Gap:
    """Where lines are missing after line `after`; `missing` frames, None where nobody knows."""

    after: int
    kind: str
    missing: int | None
    from_ns: int
    to_ns: int | None


def place() -> Path:
    """Where the archive of this user is."""
    named = os.environ.get(PLACE)
    if named:
        return Path(named)
    from platformdirs import user_data_path

    return user_data_path("thecal", appauthor=False) / "archive.sqlite"


class Archive:
    """The archive at `path`, made where there is none; a context. Raises ArchiveError."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or place()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as why:
            raise ArchiveError(
                f"the archive {why_not(self.path, why)}; {PLACE} names another place"
            ) from None
        with self.telling():
            self.db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self.db.close()
                raise
        self._mark_cut()

    def _prepare(self) -> None:
        if self.db.execute("PRAGMA user_version").fetchone()[0] == 0:
            self.db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            self.db.execute("PRAGMA journal_mode=WAL")
            with self.writing():
                # Another one may have made it meanwhile.
                if self.db.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in SCHEMA.split(";\n"):
                        self.db.execute(statement)
                    self.db.execute(f"PRAGMA user_version={VERSION}")
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise ArchiveError(
                f"the archive {self.path} is of version {version}, this program reads {VERSION}: use the "
                f"thecal that wrote it, or name another archive in {PLACE}"
            )
        self.db.execute("PRAGMA synchronous=NORMAL")

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self.db.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What SQLite says becomes an ArchiveError with the file's name."""
        try:
            yield
        except sqlite3.Error as why:
            raise ArchiveError(
                f"the archive {self.path}: {why}; make room or name another archive in {PLACE}"
            ) from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    # --- who lives

    def lock_path(self, run: int) -> Path:
        """The file that the keeper of a run holds a lock on."""
        return self.path.with_name(f"{self.path.name}-run-{run}")

    def _lives(self, run: int) -> bool:
        """Whether somebody keeps this run just now."""
        try:
            with self.lock_path(run).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _mark_cut(self) -> None:
        """Give the runs whose keeper died an end and a gap."""
        with self.telling():
            opened = self.db.execute("SELECT run, begun_ns FROM runs WHERE how IS NULL").fetchall()
            for run, begun_ns in opened:
                if self._lives(run):
                    continue
                with self.writing():
                    last, last_ns = self.db.execute(
                        "SELECT number, host_ns FROM lines WHERE run=? ORDER BY number DESC LIMIT 1", (run,)
                    ).fetchone() or (1, begun_ns)
                    marked = self.db.execute(
                        "UPDATE runs SET how=?, ended_ns=? WHERE run=? AND how IS NULL", (CUT, last_ns, run)
                    )
                    if marked.rowcount:
                        gap = (run, last, "host", None, last_ns, None)
                        self.db.execute("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)", gap)
                self.lock_path(run).unlink(missing_ok=True)

    # --- reading

    def runs(self) -> list[KeptRun]:
        """All runs, the oldest first."""
        with self.telling():
            return [_kept(row) for row in self.db.execute(f"{_RUNS} ORDER BY run")]

    def run(self, number: int) -> KeptRun:
        """One run. ArchiveError where there is none of that number."""
        with self.telling():
            row = self.db.execute(f"{_RUNS} WHERE run=?", (number,)).fetchone()
        if row is None:
            raise ArchiveError(
                f"there is no run {number} in {self.path}: `thecal runs list` shows those there are"
            )
        return _kept(row)

    def gaps(self, number: int) -> list[Gap]:
        """What is missing from a run, in order."""
        with self.telling():
            rows = self.db.execute(
                "SELECT after, kind, missing, from_ns, to_ns FROM gaps WHERE run=? ORDER BY after, rowid",
                (number,),
            )
            return [Gap(*row) for row in rows]

    def lines(self, number: int) -> Iterator[tuple[int, int, int | None, str, str]]:
        """Number, host's time (ns), pump's time (ms), type and text of each line, the header first."""
        run = self.run(number)
        yield 1, run.begun_ns, None, "header", json.dumps(run.header, separators=(",", ":"))
        models = Models()
        with self.telling():
            columns = "number, host_ns, pump_ms, kind, packed"
            rows = self.db.execute(f"SELECT {columns} FROM lines WHERE run=? ORDER BY number", (number,))
            for line, host_ns, pump_ms, kind, packed in rows:
                try:
                    text = models.unpack(kind, packed)
                except ValueError as why:
                    where = f"run {number}, line {line} of {self.path}"
                    raise ArchiveError(f"{where} is damaged ({why}): take the archive from a copy") from None
                yield line, host_ns, pump_ms, kind, text

    def text(self, number: int) -> str:
        """A run as the file that `thecal record` would have written."""
        return "".join(f"{text}\n" for *_, text in self.lines(number))

    # --- deleting

    def older_than(self, age_ns: int, now_ns: int | None = None) -> list[KeptRun]:
        """The runs that ended longer ago than that."""
        since_ns = (time.time_ns() if now_ns is None else now_ns) - age_ns
        return [run for run in self.runs() if run.ended_ns is not None and run.ended_ns < since_ns]

    def size_bytes(self, numbers: Sequence[int]) -> int:
        """What the lines of these runs take, about."""
        total = "SELECT total(length(packed) + 24) FROM lines WHERE run=?"
        with self.telling():
            return round(sum(self.db.execute(total, (run,)).fetchone()[0] for run in numbers))

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete runs for good. ArchiveError for one that is being recorded."""
        for number in numbers:
            if self.run(number).how is None:
                raise ArchiveError(f"run {number} is being recorded: end the recording first")
        with self.telling():
            for number in numbers:
                self.db.execute("DELETE FROM gaps WHERE run=?", (number,))
                removed = DELETE_LINES
                while removed == DELETE_LINES:
                    removed = self.db.execute(
                        "DELETE FROM lines WHERE run=? AND number IN "
                        "(SELECT number FROM lines WHERE run=? ORDER BY number LIMIT ?)",
                        (number, number, DELETE_LINES),
                    ).rowcount
                self.db.execute("DELETE FROM runs WHERE run=?", (number,))
            self.db.execute("PRAGMA incremental_vacuum").fetchall()


_PUMP_MS = "SELECT pump_ms FROM lines WHERE lines.run = runs.run AND pump_ms IS NOT NULL ORDER BY number"

_RUNS = f"""
SELECT run, pump, header, begun_ns, ended_ns, how,
    coalesce((SELECT max(number) FROM lines WHERE lines.run = runs.run), 1),
    (SELECT count(*) FROM gaps WHERE gaps.run = runs.run),
    ({_PUMP_MS} LIMIT 1),
    ({_PUMP_MS} DESC LIMIT 1)
FROM runs
"""


def _kept(row: tuple[Any, ...]) -> KeptRun:
    number, pump, header, *more = row
    return KeptRun(number, pump, json.loads(header), *more)


def lock(path: Path) -> IO[str]:
    """The lock of a run: it is held as long as the file is open."""
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file
