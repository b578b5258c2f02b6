"""A pseudo-terminal as a serial line of the bench: one end is ours, the other a path that others open."""

from __future__ import annotations

import os
import select

READ_BYTES = 4096


class PtyLine:
    """A pseudo-terminal: one end is ours, the other a path that anybody may open, again and again."""

    def __init__(self) -> None:
        import pty
        import tty

        self._fd, user_fd = pty.openpty()
        tty.setraw(user_fd)  # bytes, not lines, and no echo of the board's output back to the board
        self.path = os.ttyname(user_fd)
        os.close(user_fd)
        os.set_blocking(self._fd, False)
        self._hung_up = select.poll()
        self._hung_up.register(self._fd, 0)

    @property
    def in_use(self) -> bool:
        """Whether somebody has the other end open."""
        return not self._hung_up.poll(0)

    def fileno(self) -> int:
        return self._fd

    def read(self) -> bytes:
        """What the user has written, empty if nothing."""
        try:
            return os.read(self._fd, READ_BYTES)
        except (BlockingIOError, OSError):  # OSError: the user has just closed it
            return b""

    def write(self, data: bytes | bytearray) -> int:
        """Pass on what the user takes of `data`; how much that was."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        os.close(self._fd)
