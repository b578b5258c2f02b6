"""Files that a command reads or writes: what goes wrong with one becomes a sentence with its name and what to
do.

`writing(path)` opens a text file for writing; whatever fails in it, from a missing folder to a disk that
fills up while it is written or closed, is a `FileError`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_WHAT_TO_DO = {
    errno.ENOENT: "there is no such folder: make it, or name another place",
    errno.ENOTDIR: "a part of its path is a file: name another place",
    errno.EISDIR: "this is a folder: name a file in it",
    errno.EACCES: "you may not write there: name another place",
    errno.EPERM: "you may not write there: name another place",
    errno.EROFS: "nothing can be written there: name another place",
    errno.ENOSPC: "no space is left there: make room, or name another place",
    errno.EDQUOT: "your share of that disk is used up: make room, or name another place",
    errno.ENAMETOOLONG: "the name is too long: name another",
    errno.ELOOP: "its links lead in a circle: name another place",
}


class FileError(Exception):
    """A file that cannot be read or written, or made; the message says which, why and what to do."""


def why_not(path: str | Path, why: OSError) -> FileError:
    """The error to raise for `path` when the system said `why`."""
    told = _WHAT_TO_DO.get(why.errno or 0, why.strerror or str(why))
    return FileError(f"{path}: cannot be written: {told}")


def check_new(path: Path, force: bool) -> None:
    """FileError when `path` is there and may not be written over, or its folder is not there."""
    try:
        if not path.parent.is_dir():
            raise OSError(errno.ENOTDIR if path.parent.exists() else errno.ENOENT, "")
        if path.is_dir():
            raise OSError(errno.EISDIR, "")
        there = path.exists()
    except OSError as why:
        raise why_not(path, why) from None
    if there and not force:
        raise FileError(f"{path} is there already: name another file, or write over it with --force")


@contextmanager
def writing(path: Path, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """`path` open for text. FileError for every OSError that comes up, which must be one of this file."""
    try:
        with path.open("w", encoding=encoding) as file:
            yield file
    except OSError as why:
        raise why_not(path, why) from None
