"""Where pumps are and how to reach one: serial devices, emulated benches, TCP.

`find_ports` lists what there is; `choose_port` picks the only pump or says what to do; `open_port` opens a
device path, a pty or `socket://HOST:PORT`. All three give the same `Port`: bytes out, bytes in.
A running `thecal bench` announces itself by a small JSON file in the user's runtime folder
(`announce_bench`), so that the other commands find it without being told.

pyserial is imported where it is used, because `thecal --help` should not wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from thecal_model.link import IN_USE

# Raspberry Pi's USB vendor id; MicroPython's rp2 port uses it for its serial port.
PICO_VENDOR_ID = 0x2E8A

# USB CDC has no baud rate; pyserial wants one.
BAUD = 115_200

# Opening a TCP bench on this machine takes no time; one elsewhere has this long.
CONNECT_TIMEOUT_S = 5.0

READ_BYTES = 4096


class PortError(Exception):
    """No port to use, or the one used does not open, or is gone. The message says what to do."""


@dataclass(frozen=True)
class FoundPort:
    """One place where a pump may be. `is_pump` is a guess from the vendor id; an emulated bench is sure."""

    name: str
    kind: str
    description: str
    is_pump: bool


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
    """A USB serial port, or the pty of an emulated bench."""

    def __init__(self, name: str) -> None:
        import serial

        self.name = name
        try:
            self._serial = serial.Serial(
                name, BAUD, timeout=0, write_timeout=CONNECT_TIMEOUT_S, exclusive=True
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


def open_port(name: str) -> Port:
    """Open a device path, a pty or `socket://HOST:PORT`, for this command and, through it, for others.

    Where another `thecal` of this user has it open, the port is that one's. Raises PortError with what to do.
    """
    from thecal_host import sharing

    shared = sharing.join(name)
    if shared is not None:
        return shared
    try:
        return sharing.Hub(TcpPort(name) if name.startswith("socket://") else SerialPort(name))
    except PortBusy:
        # Two commands that begin at the same time: the other one has opened it by now.
        shared = sharing.join(name)
        if shared is None:
            raise
        return shared


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


def _is_running(process_id: int) -> bool:
    if os.name != "posix":
        # os.kill would end it there; an entry that is stale shows when it is opened.
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def announce_bench(pty: str | None, tcp_port: int | None, what: str, is_pump: bool = True) -> Iterator[None]:
    """Let the other commands find this process's bench for as long as the context lasts.

    `is_pump` is whether a pump answers there, and not a prompt.
    """
    try:
        folder = runtime_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except PermissionError as why:
        raise PortError(
            f"the bench cannot be announced ({why}): set XDG_RUNTIME_DIR to a folder of yours"
        ) from None
    path = folder / f"bench-{os.getpid()}.json"
    state = {"process_id": os.getpid(), "pty": pty, "tcp_port": tcp_port, "what": what, "is_pump": is_pump}
    path.write_text(json.dumps(state))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find_benches() -> list[FoundPort]:
    """The emulated benches that run on this machine; files of those that have died are removed."""
    found = []
    try:
        paths = sorted(runtime_folder().glob("bench-*.json"))
    except PermissionError:
        # A runtime folder that is not ours: no bench of ours is in it.
        return []
    for path in paths:
        try:
            state = json.loads(path.read_text())
            keys = ("process_id", "pty", "tcp_port", "what", "is_pump")
            process_id, pty, tcp_port, what, is_pump = (state[key] for key in keys)
        except (OSError, ValueError, KeyError, TypeError):
            # Half written by a bench that starts just now, or not ours: the next look tells.
            continue
        if not _is_running(process_id):
            path.unlink(missing_ok=True)
            continue
        also = f", also socket://localhost:{tcp_port}" if pty and tcp_port else ""
        name = pty or f"socket://localhost:{tcp_port}"
        found.append(FoundPort(name, "emulated", f"{what}, process {process_id}{also}", is_pump))
    return found


def find_ports() -> list[FoundPort]:
    """Everything that may be a pump: boards first, then emulated benches, then other USB serial ports."""
    from serial.tools import list_ports

    boards, others = [], []
    for port in sorted(list_ports.comports()):
        if port.vid is None:
            # A serial port of the mainboard: there on every PC, never a Pico.
            continue
        is_pump = port.vid == PICO_VENDOR_ID
        description = f"{port.description or 'USB serial'} ({port.vid:04x}:{port.pid or 0:04x})"
        (boards if is_pump else others).append(FoundPort(port.device, "serial", description, is_pump))
    return boards + find_benches() + others


def choose_port(wanted: str | None) -> str:
    """The port the user named, or the only pump there is. Raises PortError when that is none or several."""
    if wanted:
        return wanted
    pumps = [port for port in find_ports() if port.is_pump]
    if len(pumps) == 1:
        return pumps[0].name
    if not pumps:
        raise PortError(
            "no pump found: plug one in, start an emulated one with `thecal bench`, or name its "
            "port with --port (a device path or socket://HOST:PORT)"
        )
    names = "\n".join(f"  --port {port.name}   {port.description}" for port in pumps)
    raise PortError(f"{len(pumps)} pumps found, say which one:\n{names}")
