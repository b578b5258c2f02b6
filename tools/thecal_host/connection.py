"""An open line to a pump: bytes out, bytes in, over a serial device, a pty or TCP.

pyserial is imported where it is used, because `thecal --help` should not wait for it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

from thecal_model.link import IN_USE

# USB CDC has no baud rate; pyserial wants one.
BAUD = 115_200

# Opening a TCP bench on this machine takes no time; one elsewhere has this long.
CONNECT_TIMEOUT_S = 5.0

READ_BYTES = 4096


class PortError(Exception):
    """No port to use, or the one used does not open, or is gone. The message says what to do."""


class Port(ABC):
    """An open byte stream to a pump. `name` is what the user calls it."""

    name: str

    @abstractmethod
    def read(self, timeout_s: float) -> bytes:
        """What has arrived, waiting `timeout_s` at most for the first byte; b"" if nothing. PortError."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises PortError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the port. May be called twice."""

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class SerialPort(Port):
    """A USB serial port, or the pty of an emulated bench. `baud` is for what hangs on a real line. One that
    another program has is opened only if it need not be `exclusive`.
    """

    def __init__(self, name: str, baud: int = BAUD, exclusive: bool = True) -> None:
        import serial

        self.name = name
        try:
            self._serial = serial.Serial(
                name, baud, timeout=0, write_timeout=CONNECT_TIMEOUT_S, exclusive=exclusive
            )
        except (serial.SerialException, OSError, ValueError) as why:
            raise _why_not_open(name, why) from None

    def read(self, timeout_s: float) -> bytes:
        import serial

        try:
            self._serial.timeout = timeout_s
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as why:
            # pyserial raises TypeError when another thread or an unplugging closed the port under it.
            raise PortError(f"{self.name} is gone ({why}): was it unplugged, or the bench ended?") from None

    def write(self, data: bytes) -> None:
        import serial

        try:
            self._serial.write(data)
        except serial.SerialTimeoutException:
            raise PortError(f"{self.name} takes no more bytes: the pump does not read; reset it") from None
        except (serial.SerialException, OSError) as why:
            raise PortError(f"{self.name} is gone ({why}): was it unplugged, or the bench ended?") from None

    def close(self) -> None:
        self._serial.close()


class TcpPort(Port):
    """`socket://HOST:PORT`, as a bench serves it."""

    def __init__(self, name: str) -> None:
        self.name = name
        host, _, port = name.removeprefix("socket://").rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise PortError(
                f"{name} is not an address: expected socket://HOST:PORT, as in socket://localhost:2525"
            )
        try:
            self._socket = socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S)
            self._is_first = True
        except OSError as why:
            raise PortError(
                f"nothing answers at {name} ({why}): start a bench there with `thecal bench --tcp {port}`"
            ) from None

    def read(self, timeout_s: float) -> bytes:
        try:
            # Not by the socket's timeout, which is that of writing, maybe from another thread.
            if not select.select([self._socket], [], [], max(timeout_s, 0))[0]:
                return b""
            data = self._socket.recv(READ_BYTES)
        except (OSError, ValueError) as why:
            raise PortError(f"{self.name} is gone ({why}): has the bench ended?") from None
        if self._is_first and data.startswith(IN_USE):
            raise self._in_use()
        self._is_first = False
        if not data:
            raise PortError(f"{self.name} was closed by the other end: has the bench ended?")
        return data

    def write(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as why:
            # It may have said why it hung up.
            with contextlib.suppress(OSError):
                if self._is_first and self._socket.recv(READ_BYTES).startswith(IN_USE):
                    raise self._in_use() from None
            raise PortError(f"{self.name} is gone ({why}): has the bench ended?") from None

    def _in_use(self) -> PortError:
        return PortError(
            f"{self.name} is in use: another program (a monitor, a terminal) is connected to this pump; "
            "close that first"
        )

    def close(self) -> None:
        self._socket.close()


class PortBusy(PortError):
    """Another program has the port open."""


def _why_not_open(name: str, why: Exception) -> PortError:
    text = str(why).lower()
    if "lock" in text or "busy" in text or "access is denied" in text:
        return PortBusy(
            f"{name} is busy: another program (mpremote, a terminal) has it open; close that first"
        )
    if "permission" in text:
        return PortError(
            f"you may not open {name}: add yourself to the group that owns it (often `dialout`), log in again"
        )
    if "no such file" in text or "filenotfound" in text or "could not find" in text:
        return PortError(f"there is no port {name}: `thecal ports` lists those there are")
    if "ioctl" in text or "is a directory" in text:
        return PortError(f"{name} is no serial port: `thecal ports` lists those there are")
    return PortError(f"{name} does not open: {why}")


def runtime_folder() -> Path:
    """The folder of this user for what lasts as long as a process: where benches and shared ports are."""
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR it takes a temporary folder, and says so; that is good enough here.
        warnings.simplefilter("ignore")
        return user_runtime_path("thecal", appauthor=False)
