"""A file of JSON objects, one a line, that an interruption leaves whole: of a notebook, and of a trace.

A line that is not whole was being written when something ended, and is taken off before the file is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thecal_host.files import FileError, why_not
from thecal_host.weighing import WeighingError

OR_ELSE = "name another file with --file"
"""What to do about a file of another weighing."""


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line. FileError."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as why:
        raise why_not(path, why) from None


def sync(path: Path) -> None:
    """See that what was written stays, whatever happens to this computer. FileError."""
    try:
        with path.open("ab") as file:
            os.fsync(file.fileno())
    except OSError as why:
        raise why_not(path, why) from None


def read(path: Path, take: Callable[[dict[str, Any], int], None], what: str) -> int:
    """Give each object and the number of its line to `take`; how many there are. FileError, or WeighingError
    that says of `what` a line should be, and what to do, where `take` makes nothing of one.
    """
    try:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(path, len(whole))
    except OSError as why:
        raise FileError(f"{path}: cannot be read: {why.strerror}") from None
    lines = whole.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            take(json.loads(line), number)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError):
            raise WeighingError(f"{path}:{number}: is no line of {what}") from None
    return len(lines)


def check_same(path: Path, before: dict[str, Any], now: dict[str, Any], or_else: str) -> None:
    """WeighingError where the file was begun with another head, other rates or other water than `now`;
    `or_else` is what else can be done about it.
    """
    for key, here in now.items():
        if before.get(key) != here:
            raise WeighingError(
                f"{path}: was begun with {key} {before.get(key)}, this one has {here}: give the same, or "
                f"{or_else}"
            )
