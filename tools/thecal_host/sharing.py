"""One port, several commands: whoever has the port open lets the others of this user talk through it.

A serial port has one owner. So that `thecal stop` reaches a pump while `thecal monitor`, `record` or a
`program` that waits for a yes has its port, `Hub` wraps the owner's port: a thread reads it, and a Unix
socket beside it, in the user's runtime folder, gives every other command the same bytes and takes whole lines
from it. `join` is the other end. A hub greets whoever has joined with an empty line; one that does not is
suspended. Requests are told apart by their ids, which every command begins anywhere (`pump`), so all commands
work through a hub as they do on the port itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import selectors
import socket
import threading
from pathlib import Path

from thecal_model.link import FRAME_MAX_BYTES

from thecal_host.connection import CONNECT_TIMEOUT_S, READ_BYTES, Port, PortError, runtime_folder

# How long a thread waits before it looks whether it should end.
LOOK_S = 0.05

GREETING = b"\n"
GREETING_TIMEOUT_S = 2.0

# Someone who reads nothing for so long is hung up on: the others must not wait.
SLOW_S = 0.5

# Pieces of at most READ_BYTES that the owner has not read: of more the oldest are dropped, as a serial port
# does. Telemetry of a quarter of an hour.
MOST_UNREAD = 1_000


def _socket_path(name: str) -> Path:
    """Where the hub of a port is: by the device that the name leads to, since several names may."""
    key = name if name.startswith("socket://") else os.path.realpath(name)
    return runtime_folder() / f"port-{hashlib.sha256(key.encode()).hexdigest()[:16]}.sock"


class NotAnswered(PortError):
    """The command that has the port open does nothing with it."""


class GuestPort(Port):
    """A port that another command of this user has open."""

    def __init__(self, name: str, connection: socket.socket) -> None:
        self.name = name
        self._socket = connection

    def read(self, timeout_s: float) -> bytes:
        self._socket.settimeout(max(timeout_s, 1e-3))
        try:
            data = self._socket.recv(READ_BYTES)
        except TimeoutError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise PortError(f"the command that had {self.name} open has ended: give yours again")
        return data

    def write(self, data: bytes) -> None:
        self._socket.settimeout(CONNECT_TIMEOUT_S)
        try:
            self._socket.sendall(data)
        except OSError:
            raise PortError(f"the command that had {self.name} open has ended: give yours again") from None

    def close(self) -> None:
        self._socket.close()


def join(name: str) -> Port | None:
    """The port through the command that has it open; None where none of this user's has. NotAnswered."""
    if not hasattr(socket, "AF_UNIX"):
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_TIMEOUT_S)
    try:
        connection.connect(str(_socket_path(name)))
    except OSError:
        # None there, one that died and left its socket (whoever opens the port replaces it), or no folder.
        connection.close()
        return None
    connection.settimeout(GREETING_TIMEOUT_S)
    try:
        greeting = connection.recv(len(GREETING))
    except TimeoutError:
        connection.close()
        raise NotAnswered(
            f"the command that has {name} open does not answer: continue it (`fg`) if it is suspended, or "
            "end it"
        ) from None
    except OSError:
        greeting = b""
    if not greeting:
        # It has ended just now.
        connection.close()
        return None
    return GuestPort(name, connection)


class Hub(Port):
    """Owns `port`, and shares it for as long as it is open. `note` says why it is not shared, if so."""

    def __init__(self, port: Port) -> None:
        self.name = port.name
        self.note = ""
        self._port = port
        self._data: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._write_lock = threading.Lock()
        self._guests: dict[socket.socket, bytearray] = {}
        self._guests_lock = threading.Lock()
        self._ended = threading.Event()
        self._why_ended: PortError | None = None
        self._path = _socket_path(port.name)
        self._listener = self._listen()
        self._threads = [threading.Thread(target=self._read_port, daemon=True)]
        if self._listener is not None:
            self._threads.append(threading.Thread(target=self._serve, daemon=True))
        for thread in self._threads:
            thread.start()

    # --- the owner's side

    def read(self, timeout_s: float) -> bytes:
        try:
            data = self._data.get(timeout=0 if self._ended.is_set() else max(timeout_s, 1e-3))
        except queue.Empty:
            data = b""
        while not self._data.empty():
            data += self._data.get()
        if not data and self._why_ended is not None:
            raise self._why_ended
        return data

    def write(self, data: bytes) -> None:
        try:
            with self._write_lock:
                self._port.write(data)
        except PortError as why:
            # Who reads may have been told more: that the pump is in use by another.
            self._ended.wait(2 * LOOK_S)
            raise self._why_ended or why from None

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(CONNECT_TIMEOUT_S)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)
        for guest in list(self._guests):
            self._hang_up(guest)
            guest.close()
        self._port.close()

    # --- the threads

    def _listen(self) -> socket.socket | None:
        if not hasattr(socket, "AF_UNIX"):
            self.note = "while this command has the port, no other reaches the pump: no Unix sockets here"
            return None
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # The port is ours, so whoever had a socket here has died.
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            listener.listen()
        except OSError as why:
            listener.close()
            self.note = f"while this command has the port, no other reaches the pump ({why})"
            return None
        return listener

    def _read_port(self) -> None:
        while not self._ended.is_set():
            try:
                data = self._port.read(LOOK_S)
            except PortError as why:
                self._why_ended = why
                self._ended.set()
                self._data.put(b"")  # wakes the owner
                return
            if not data:
                continue
            self._data.put(data)
            while self._data.qsize() > MOST_UNREAD:
                with contextlib.suppress(queue.Empty):  # the owner reads just now
                    self._data.get_nowait()
            with self._guests_lock:
                guests = list(self._guests)
            for guest in guests:
                try:
                    guest.sendall(data)
                except OSError:
                    self._hang_up(guest)

    def _serve(self) -> None:
        assert self._listener is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(LOOK_S):
                    if key.fileobj is self._listener:
                        guest, _ = self._listener.accept()
                        guest.settimeout(SLOW_S)
                        with contextlib.suppress(OSError):  # gone again: that shows when it is read
                            guest.sendall(GREETING)
                        selector.register(guest, selectors.EVENT_READ)
                        with self._guests_lock:
                            self._guests[guest] = bytearray()
                    else:
                        assert isinstance(key.fileobj, socket.socket)
                        if not self._take(key.fileobj):
                            selector.unregister(key.fileobj)
                            self._hang_up(key.fileobj)
                            key.fileobj.close()

    def _take(self, guest: socket.socket) -> bool:
        """Pass on the whole lines that a guest has sent; False when it has gone or sends no lines."""
        try:
            data = guest.recv(READ_BYTES)
        except OSError:
            return False
        pending = self._guests.get(guest)
        if not data or pending is None:
            return False
        pending += data
        end = pending.rfind(b"\n") + 1
        if end:
            try:
                self.write(bytes(pending[:end]))
            except PortError:
                # The thread that reads finds the same, and tells the owner.
                return False
            del pending[:end]
        return len(pending) <= FRAME_MAX_BYTES

    def _hang_up(self, guest: socket.socket) -> None:
        """Its own end, and the thread that serves it, see it close."""
        with self._guests_lock:
            self._guests.pop(guest, None)
        with contextlib.suppress(OSError):
            guest.shutdown(socket.SHUT_RDWR)
