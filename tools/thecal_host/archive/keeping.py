"""How a run gets into the archive while it happens: `Recorder` hands each line to a `Keeping`.

A line that comes alone is committed at once. In a burst those of COMMIT_S go together; who feeds a `Keeping`
calls `turn` now and then, so that the last ones of a burst do not wait. So a host that is killed loses less
than COMMIT_S + the time between two turns, and that is marked (`store`).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from thecal_host.archive.gaps import Gaps
from thecal_host.archive.packing import Models
from thecal_host.archive.store import END, Archive, ArchiveError, lock
from thecal_host.recording import ENDS

COMMIT_S = 0.1

# Who else writes may hold the file for so long; lines wait here meanwhile.
PATIENCE_S = 30.0


class Keeping:
    """One run, from its header to its end. `number` is what `thecal runs` calls it. One that is closed
    before its end counts as cut off. Raises ArchiveError.
    """

    def __init__(self, archive: Archive, pump: str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._archive = archive
        self._pump = pump
        self._clock_ns = clock_ns
        self._models = Models()
        self._waiting: list[tuple[Any, ...]] = []
        self._gaps_waiting: list[tuple[Any, ...]] = []
        self._committed_s = 0.0
        self._lines = 0
        self._gaps = Gaps()
        self._tick_ms = 0
        self._lock = None
        self.number = 0

    def take(self, record: dict[str, Any], text: str) -> None:
        """The next line of the record, as the object and as it is written."""
        now_ns = self._clock_ns()
        self._lines += 1
        if self._lines == 1:
            self._begin(record, text, now_ns)
            return
        kind = record["type"]
        for after, gap, missing, from_ns in self._gaps.look(record, self._lines, now_ns):
            self._gaps_waiting.append((self.number, after, gap, missing, from_ns, now_ns))
        packed = self._models.pack(kind, text)
        self._waiting.append((self.number, self._lines, now_ns, self._pump_ms(record), kind, packed))
        if kind in ENDS:
            self._end()
        elif time.monotonic() - self._committed_s >= COMMIT_S:
            self._commit()

    def turn(self) -> None:
        """Commit what waits."""
        if self._waiting:
            self._commit()

    def close(self) -> None:
        """Commit what waits and let go of the run. May be called twice."""
        self.turn()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end(self) -> None:
        self._commit(patience_s=0)
        with self._archive.telling(), self._archive.writing():
            ended = (END, self._clock_ns(), self.number)
            self._archive.db.execute("UPDATE runs SET how=?, ended_ns=? WHERE run=?", ended)
        self.close()
        self._archive.lock_path(self.number).unlink(missing_ok=True)

    def _begin(self, record: dict[str, Any], text: str, now_ns: int) -> None:
        self._tick_ms = record.get("tick_ms", 0)
        db = self._archive.db
        with self._archive.telling(), self._archive.writing():
            row = (self._pump, text, now_ns)
            self.number = (
                db.execute("INSERT INTO runs (pump, header, begun_ns) VALUES (?, ?, ?)", row).lastrowid or 0
            )
            try:
                self._lock = lock(self._archive.lock_path(self.number))
            except OSError as why:
                raise ArchiveError(
                    f"{self._archive.lock_path(self.number)}: {why.strerror}: make room"
                ) from None
            db.execute(
                "UPDATE gaps SET to_ns=? WHERE kind='host' AND to_ns IS NULL AND run IN "
                "(SELECT run FROM runs WHERE pump=?)", (now_ns, self._pump),
            )  # fmt: skip

    def _pump_ms(self, record: dict[str, Any]) -> int | None:
        if "tick" in record and self._tick_ms:
            return record["tick"] * self._tick_ms
        return record.get("at_ms")

    def _commit(self, patience_s: float = PATIENCE_S) -> None:
        archive = self._archive
        try:
            with archive.writing():
                archive.db.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", self._waiting)
                archive.db.executemany("INSERT INTO gaps VALUES (?, ?, ?, ?, ?, ?)", self._gaps_waiting)
        except sqlite3.OperationalError as why:
            waits_s = (self._clock_ns() - self._waiting[0][2]) / 1e9 if self._waiting else 0
            if why.sqlite_errorcode != sqlite3.SQLITE_BUSY or waits_s >= patience_s:
                with archive.telling():
                    raise
            return
        self._waiting.clear()
        self._gaps_waiting.clear()
        self._committed_s = time.monotonic()


@contextmanager
def keeping(pump: str) -> Iterator[Keeping]:
    """A run of `pump` in the user's archive, as a context."""
    with Archive() as archive, closing(Keeping(archive, pump)) as kept:
        yield kept
