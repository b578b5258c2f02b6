"""The desk's server: which pumps it has, and the application that shows them, behind its guard.

`Desk` finds pumps and has a `Session` of each; `serve` binds the address first, so that it can say where the
pages are, and runs until it is interrupted.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from thecal_host import ports
from thecal_host.beside import beside
from thecal_host.connection import PortError
from thecal_host.desk import guard
from thecal_host.desk.session import Session
from thecal_host.pump import PumpError

LOOK_S = 2.0
ADDRESS = "127.0.0.1"

# An emulated board under load boots in some ten seconds.
BENCH_S = 120.0


class Desk:
    """All pumps there are, or the one at `port`; each by a number that stays its own."""

    def __init__(self, port: str | None = None, role: str | None = None) -> None:
        self.port = port
        self.role = role
        self.sessions: dict[int, Session] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True, name="desk")

    def start(self) -> None:
        """Look for pumps from now on."""
        self._look()
        self._thread.start()

    def close(self) -> None:
        """Let go of all pumps; they go on."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        for session in self.sessions.values():
            session.close()

    def _look_on(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        found = [self.port] if self.port else [port.name for port in ports.find_ports() if port.is_pump]
        known = {session.name for session in self.sessions.values()}
        for name in found:
            if name not in known:
                session = Session(name, self.role)
                self.sessions = {**self.sessions, len(self.sessions) + 1: session}
                session.start()


@contextmanager
def bench(rig: str) -> Iterator[str]:
    """The port of an emulated pump of its own, over a balance, in a process beside. PumpError where that does
    not boot.
    """
    command = "bench", "--rig", rig, "--balance", "asked"
    with beside(*command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        yield _port_of(process)


def _port_of(process: subprocess.Popen[str]) -> str:
    until_s = time.monotonic() + BENCH_S
    while time.monotonic() < until_s:
        name = ports.bench_of(process.pid)
        if name is not None:
            return name
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr else ""
            raise PumpError(f"the emulated pump does not boot: {said.removeprefix('thecal: ')}")
        time.sleep(0.1)
    raise PumpError(f"the emulated pump has not booted within {BENCH_S:.0f} s")


def bound(address: str, port: int) -> socket.socket:
    """A socket at the address; with port 0 at one that is free. PortError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        # Who comes before the server is ready waits for it.
        made.listen()
    except OSError as why:
        made.close()
        raise PortError(
            f"{address}:{port} cannot be served ({why.strerror}): name others with --address and --at"
        ) from None
    return made


def serve(desk: Desk, address: str, port: int, tell: Callable[[str], object]) -> None:
    """Serve the desk until it is interrupted; `tell` is given the address with the token."""
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui

    from thecal_host.desk import pages, reports

    listening = bound(address, port)
    port = listening.getsockname()[1]
    token = guard.new_token()

    @asynccontextmanager
    async def attended(_app: FastAPI) -> AsyncIterator[None]:
        # No sooner: when it begins NiceGUI walks through all objects, those too that another thread is just
        # making, and Python lets no such thing be finished.
        desk.start()
        yield

    app = FastAPI(openapi_url=None, lifespan=attended)
    pages.register(desk)
    reports.register(app, desk)
    ui.run_with(
        app,
        title="Thecal",
        favicon=Path(__file__).with_name("favicon.svg"),
        language="en-US",
        show_welcome_message=False,
    )
    # What is shown must be today's: nothing of a page is kept by the browser but what never changes.
    config = uvicorn.Config(
        guard.Guard(app, token, address, port), log_level="warning", access_log=False, lifespan="on",
        timeout_graceful_shutdown=2, server_header=False,
    )  # fmt: skip
    try:
        shown = f"[{address}]" if ":" in address else address
        shown = "127.0.0.1" if address in guard.EVERYWHERE else shown
        tell(f"http://{shown}:{port}/?{guard.KEY}={token}")
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        desk.close()
        listening.close()
