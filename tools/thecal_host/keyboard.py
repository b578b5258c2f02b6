"""Single keys of a terminal, read without waiting."""

from __future__ import annotations

import os
import select
import sys
from types import TracebackType
from typing import Any


class Keyboard:
    """The keys of the terminal at `stdin`, as a context: in it a key needs no Enter and is not echoed.

    From a pipe, and in the background of a terminal, no key is read and nothing changed.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._before: list[Any] | None = None

    def __enter__(self) -> Keyboard:
        try:
            import termios
            import tty
        except ImportError:
            # No POSIX terminal: there are no keys, Ctrl-C ends it.
            return self
        if sys.stdin is not None and sys.stdin.isatty() and _in_front(sys.stdin.fileno()):
            file = self._file = sys.stdin.fileno()
            self._before = termios.tcgetattr(file)
            tty.setcbreak(file)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._file is not None and self._before is not None:
            import termios

            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    @property
    def there(self) -> bool:
        """Whether there is a terminal to read keys from."""
        return self._file is not None

    def pressed(self) -> str:
        """The keys that were pressed since the last look."""
        if self._file is None or not _in_front(self._file):
            return ""
        if not select.select([self._file], [], [], 0)[0]:
            return ""
        return os.read(self._file, 64).decode("ascii", "ignore")


def _in_front(file: int) -> bool:
    """Whether this process may read that terminal: in its background it would be suspended."""
    try:
        return os.tcgetpgrp(file) == os.getpgrp()
    except OSError:
        return True  # that of another session, which suspends nobody here
