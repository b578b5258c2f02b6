"""The emulated board's serial port for other programs: a pty, a TCP port, or both.

`serve` is what `thecal bench` calls. `mpremote connect /dev/pts/N`, `mpremote connect socket://host:port`,
a terminal program or any script can then talk to the board as to a real one. The port follows its user: DTR
is up while somebody has it open, and a user who does not read is a host that does not read.

One thread does everything: a slice of simulated time, then whatever the sockets want. With `speed` 1 the
board's clock keeps to the wall's; a busy chip may be slower than that, and is then not hurried afterwards.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from thecal_model.link import IN_USE

from thecal_bench.pty_line import READ_BYTES, PtyLine

from .board import MS_NS, EmulatedBoard

__all__ = ("Server", "serve")

SLICE_MS = 2  # simulated time between two looks at the outside
LONGEST_LAG_S = 0.25  # how far behind the wall the board may fall and still catch up
UNREAD_BYTES = 4096  # output that waits for a slow user before the host stops reading


class _Tcp:
    """A listening socket that serves one user at a time; whoever else comes is told so and hung up on."""

    def __init__(self, port: int, host: str) -> None:
        self._listener = socket.create_server((host, port))
        self._listener.setblocking(False)
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._user: socket.socket | None = None

    @property
    def in_use(self) -> bool:
        """Whether somebody is connected."""
        with contextlib.suppress(BlockingIOError):
            user, _ = self._listener.accept()
            user.setblocking(False)
            if self._user is None:
                user.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._user = user
            else:
                with user, contextlib.suppress(OSError):
                    user.send(IN_USE)
        return self._user is not None

    def fileno(self) -> int:
        return (self._user or self._listener).fileno()

    def read(self) -> bytes:
        """What the user has sent, empty if nothing."""
        if self._user is None:
            return b""
        try:
            data = self._user.recv(READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._leave()
        return data

    def write(self, data: bytes | bytearray) -> int:
        """Pass on what the user takes of `data`; how much that was."""
        if self._user is None:
            return len(data)
        try:
            return self._user.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._leave()
            return len(data)

    def _leave(self) -> None:
        if self._user is not None:
            self._user.close()
            self._user = None

    def close(self) -> None:
        self._leave()
        self._listener.close()


class Server:
    """Serves one board until `stop`. `pty_path` and `tcp_address` say where, None where it does not."""

    def __init__(
        self,
        board: EmulatedBoard,
        *,
        pty: bool = True,
        tcp_port: int | None = None,
        tcp_host: str = "127.0.0.1",
        speed: float | None = 1.0,
        beside: Callable[[], object] | None = None,
    ) -> None:
        if speed is not None and speed <= 0:
            raise ValueError(f"speed is {speed}, must be above 0, or None for as fast as it goes")
        self.board = board
        self.pty_path: str | None = None
        self.tcp_address: tuple[str, int] | None = None
        self._speed = speed
        self._beside = beside  # what else is served, called after each slice
        self._stopped = False
        self._lines: list[PtyLine | _Tcp] = []
        self._unread: dict[PtyLine | _Tcp, bytearray] = {}
        if tcp_port is not None:
            tcp = _Tcp(tcp_port, tcp_host)
            self._lines.append(tcp)
            self.tcp_address = tcp.address
        if pty:
            terminal = PtyLine()
            self._lines.append(terminal)
            self.pty_path = terminal.path
        board.on_data = self._from_board
        board.host.close_port()

    def run(self) -> None:
        """Serve until `stop` is called, by a signal handler or from another thread."""
        wall_s, board_ns = time.monotonic(), self.board.now_ns
        while not self._stopped:
            self.board.run_for_ms(SLICE_MS)
            if self._beside is not None:
                self._beside()
            wait_s = 0.0
            if self._speed is not None:
                ahead_s = (self.board.now_ns - board_ns) / (1000 * MS_NS) / self._speed - (
                    time.monotonic() - wall_s
                )
                if ahead_s < -LONGEST_LAG_S:
                    wall_s, board_ns = time.monotonic(), self.board.now_ns
                wait_s = max(ahead_s, 0.0)
            self.exchange(wait_s)

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopped = True

    def close(self) -> None:
        """Hang up on everybody."""
        for line in self._lines:
            line.close()
        self._lines.clear()

    def exchange(self, wait_s: float) -> None:
        """Carry bytes both ways, then wait: a byte from a user ends the wait."""
        used = [line for line in self._lines if line.in_use]
        host = self.board.host
        if not used:
            self._unread = {}
            host.close_port()
            time.sleep(wait_s)
            return
        if not host.open:
            host.open_port()
        self._unread = {line: self._unread.get(line, bytearray()) for line in used}
        for line, unread in self._unread.items():
            data = line.read()
            if data:
                self.board.send(data)
            if unread:
                del unread[: line.write(unread)]
        if any(len(unread) > UNREAD_BYTES for unread in self._unread.values()):
            host.stop_reading()
        else:
            host.resume_reading()
        used = [line for line in used if line.in_use]
        if wait_s > 0:
            select.select(used, [], [], wait_s)

    def _from_board(self, data: bytes) -> None:
        for unread in self._unread.values():
            unread += data


def serve(
    board: EmulatedBoard,
    pty: bool = True,
    tcp_port: int | None = None,
    *,
    speed: float | None = 1.0,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve `board` until Ctrl-C, saying first where. `tcp_port` 0 takes any free port.

    `speed` is simulated seconds per second, None as many as the machine makes.
    """
    server = Server(board, pty=pty, tcp_port=tcp_port, speed=speed)
    try:
        if server.pty_path is not None:
            announce(f"serial port: {server.pty_path}")
        if server.tcp_address is not None:
            announce("serial port: socket://{}:{}".format(*server.tcp_address))
        with contextlib.suppress(KeyboardInterrupt):
            server.run()
    finally:
        server.close()
