"""What the desk costs: a day of telemetry of four pumps goes by while a browser shows one of them.

`python -m thecal_host.desk.cost` (`make bench-archive`) prints the server's CPU time for each status that a
page shows, and the most memory that it took while 24 h of four pumps went through it into an archive. The
pumps are sessions that are fed the frames of one in this process; server, guard, pages and browser are the
real ones.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thecal_host.archive_day import HOURS, PUMPS, S_PER_H, day, most_memory_mb, pattern
from thecal_host.desk import pages, server, showcase
from thecal_host.desk.session import Session

STEADY_S = 20.0

# A status a second, as a pump sends it.
EVERY_S = 1.0


@dataclass(frozen=True)
class Cost:
    """What was measured: seconds of CPU and megabytes."""

    replay_s: float
    memory_mb: float
    refresh_s: float


class Replayed(Session):
    """A session that hears no port: it is given statuses."""

    def start(self) -> None:
        self.why = ""

    def close(self) -> None:
        pass


def _sessions() -> list[Replayed]:
    """Four that know what a pump in this process says of itself."""
    from thecal_host import rigging
    from thecal_host.python.pump import Pump

    sessions = [Replayed(f"pump {number}") for number in range(1, PUMPS + 1)]
    with Pump.on_bench() as pump:
        for session in sessions:
            session.hello, session.rig = pump.conversation.hello, rigging.in_force(pump.conversation)
            session.start()
    return sessions


def _replay(sessions: list[Replayed], frames: list[dict[str, Any]], archive: str, seconds: int) -> None:
    """All of it as fast as it goes, to the pages and into the archive."""
    from thecal_host.archive import Archive, Keeping
    from thecal_host.recording import Recorder, host_time

    head = {"title": "a day", "tick_ms": 100, "source": "counted pulses", "nl_per_step": [125, 4]}
    with Archive(Path(archive)) as kept, ExitStack() as stack:
        keepings = [stack.enter_context(closing(Keeping(kept, session.name))) for session in sessions]
        recorders = [Recorder(None, head, keeping) for keeping in keepings]
        for frame in day(frames, seconds):
            for session, recorder in zip(sessions, recorders, strict=True):
                session.take_status(frame)
                recorder.write({**frame, "host_time": host_time()})
        for recorder in recorders:
            recorder.end()


def _cpu_of(sessions: list[Replayed], later: Iterator[dict[str, Any]], seconds: float) -> float:
    """CPU time of this process while statuses come as from pumps."""
    begun_s, until_s = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until_s:
        frame = next(later)
        for session in sessions:
            session.take_status(frame)
        time.sleep(EVERY_S)
    return time.process_time() - begun_s


def _serve(seconds: int, steady_s: float, archive: str, pipe: Any) -> None:
    """The server's process: it tells where it is, and is told when somebody looks and when nobody does."""
    desk = server.Desk(port="none")
    sessions = _sessions()
    desk.sessions = dict(enumerate(sessions, 1))
    desk.start = lambda: None
    desk.close = lambda: None
    frames = pattern()

    def measure() -> None:
        pipe.recv()  # a page is open
        begun_s = time.process_time()
        _replay(sessions, frames, archive, seconds)
        replay_s = time.process_time() - begun_s
        later = (frame for frame in day(frames, seconds + S_PER_H))
        looked_s = _cpu_of(sessions, later, steady_s)
        pipe.send("enough")
        pipe.recv()  # no page is open
        alone_s = _cpu_of(sessions, later, steady_s)
        pipe.send(Cost(replay_s, most_memory_mb(), (looked_s - alone_s) * EVERY_S / steady_s))

    def measure_or_end() -> None:
        try:
            measure()
        except (EOFError, OSError):  # who wants to know is gone
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=measure_or_end, daemon=True).start()
    server.serve(desk, server.ADDRESS, 0, pipe.send)


def benchmark(seconds: int, console: Console, steady_s: float = STEADY_S) -> Cost:
    """Measure with so many seconds of telemetry, and print it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with tempfile.TemporaryDirectory() as folder, showcase.chromium() as browser:
        archive = os.path.join(folder, "archive.sqlite")
        process = context.Process(target=_serve, args=(seconds, steady_s, archive, theirs))
        process.start()
        address = ours.recv()
        browser.get(address)
        browser.get(address.partition("?")[0] + "pump/1")
        ours.send("looking")
        ours.recv()
        browser.get("about:blank")
        time.sleep(pages.LOOK_S * 8)  # until the server has noticed
        ours.send("gone")
        cost = ours.recv()
        process.terminate()
        process.join()
    table = Table("", "", title=f"The desk: {seconds / S_PER_H:g} h of {PUMPS} pumps, a page of one open")
    table.add_row("CPU of a refresh", f"{1000 * cost.refresh_s:.1f} ms, every {EVERY_S:g} s")
    table.add_row("CPU of all that, archive and page", f"{cost.replay_s:.1f} s")
    table.add_row("memory at most", f"{cost.memory_mb:.0f} MB")
    console.print(table)
    return cost


if __name__ == "__main__":
    benchmark(HOURS * S_PER_H, Console())
