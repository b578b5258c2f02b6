"""Where pumps are and how to reach one: serial devices, emulated benches, TCP.

`find_ports` lists what there is; `choose_port` picks the only pump or says what to do; `open_port` opens a
device path, a pty or `socket://HOST:PORT`. All three give the same `Port` of `connection`.
A running `thecal bench` announces itself by a small JSON file in the user's runtime folder
(`announce_bench`), so that the other commands find it without being told.

pyserial is imported where it is used, because `thecal --help` should not wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thecal_host import sharing
from thecal_host.connection import Port, PortBusy, PortError, SerialPort, TcpPort, runtime_folder

# Raspberry Pi's USB vendor id; MicroPython's rp2 port uses it for its serial port.
PICO_VENDOR_ID = 0x2E8A


@dataclass(frozen=True)
class FoundPort:
    """One place where a pump may be. `is_pump` is a guess from the vendor id; an emulated bench is sure."""

    name: str
    kind: str
    description: str
    is_pump: bool


def open_port(name: str) -> Port:
    """Open a device path, a pty or `socket://HOST:PORT`, for this command and, through it, for others.

    Where another `thecal` of this user has it open, the port is that one's. Raises PortError with what to do,
    NotAnswered where that one is suspended.
    """
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


def open_in_a_hurry(name: str, tell: Callable[[str], object] = lambda text: None) -> Port:
    """The same for a stop, past a command that has it open and is suspended; `tell` is told of that one. A
    serial port may be opened twice: what the pump says comes to one of the two then.
    """
    try:
        return open_port(name)
    except sharing.NotAnswered as why:
        if name.startswith("socket://"):
            raise
        tell(f"{why}; this goes past it")
        return SerialPort(name, exclusive=False)


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
def announce_bench(
    pty: str | None, tcp_port: int | None, what: str, is_pump: bool = True, balance: str | None = None
) -> Iterator[None]:
    """Let the other commands find this process's bench for as long as the context lasts.

    `is_pump` is whether a pump answers there, and not a prompt; `balance` is the pty of one below the pump.
    """
    try:
        folder = runtime_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except PermissionError as why:
        raise PortError(
            f"the bench cannot be announced ({why}): set XDG_RUNTIME_DIR to a folder of yours"
        ) from None
    path = _announcement(os.getpid())
    state = {
        "process_id": os.getpid(),
        "pty": pty,
        "tcp_port": tcp_port,
        "what": what,
        "is_pump": is_pump,
        "balance": balance,
    }
    path.write_text(json.dumps(state))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def bench_of(process_id: int) -> str | None:
    """The port of the bench that a process serves; None as long as it announces none."""
    found = _bench_at(_announcement(process_id))
    return found[0].name if found else None


def _announcement(process_id: int) -> Path:
    return runtime_folder() / f"bench-{process_id}.json"


def _bench_at(path: Path) -> list[FoundPort]:
    """The bench that a file announces, and its balance; the file is removed where it has died."""
    try:
        state = json.loads(path.read_text())
        keys = ("process_id", "pty", "tcp_port", "what", "is_pump")
        process_id, pty, tcp_port, what, is_pump = (state[key] for key in keys)
        balance = state.get("balance")
    except (OSError, ValueError, KeyError, TypeError):
        # Half written by a bench that starts just now, or not ours: the next look tells.
        return []
    if not _is_running(process_id):
        path.unlink(missing_ok=True)
        return []
    also = f", also socket://localhost:{tcp_port}" if pty and tcp_port else ""
    name = pty or f"socket://localhost:{tcp_port}"
    bench = FoundPort(name, "emulated", f"{what}, process {process_id}{also}", is_pump)
    if balance is None:
        return [bench]
    return [bench, FoundPort(balance, "emulated", f"balance below it, process {process_id}", False)]


def find_benches() -> list[FoundPort]:
    """The emulated benches that run on this machine, each before its balance; files of those that have died
    are removed.
    """
    try:
        paths = sorted(runtime_folder().glob("bench-*.json"))
    except PermissionError:
        # A runtime folder that is not ours: no bench of ours is in it.
        return []
    return [found for path in paths for found in _bench_at(path)]


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
