"""What a day of telemetry costs: 24 h of four pumps through the archive, as fast as it goes, and out again.

`python -m thecal_host.archive_day` (`make bench-archive`) prints sizes, CPU time and the most memory of each
part, each in a process of its own. The frames are those of a pump in this process over ten minutes, repeated
with their numbers and clocks going on.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PUMPS = 4
HOURS = 24
PATTERN_S = 600
S_PER_H = 3_600
TICKS_PER_S = 10
THERAPY = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}


def pattern() -> list[dict[str, Any]]:
    """The statuses of ten minutes of a pump that runs."""
    from thecal_bench.inprocess import HostBench
    from thecal_model.link import LinkClient

    found: list[dict[str, Any]] = []
    with HostBench() as bench:
        client = LinkClient(bench.send)
        bench.on_data = lambda data: found.extend(client.feed(data))

        def ask(cmd: str, **arguments: Any) -> dict[str, Any]:
            asked = client.request(cmd, **arguments)
            while (reply := client.reply(asked)) is None:
                bench.advance_to_tick(bench.tick + 1)
            return reply

        ask("confirm", digest=ask("program", therapy=THERAPY)["digest"])
        ask("start")
        found.clear()
        bench.advance_to_tick(bench.tick + PATTERN_S * TICKS_PER_S)
    return [frame for frame in found if frame["type"] == "status"][:PATTERN_S]


def day(frames: list[dict[str, Any]], seconds: int) -> Iterator[dict[str, Any]]:
    """A status a second; what counts goes on from one repetition to the next."""
    grows = {
        key: frames[-1][key] - frames[0][key] for key in ("owed_steps", "executed_steps", "ordered_steps")
    }
    first = frames[0]
    for number in range(seconds):
        repeated, index = divmod(number, len(frames))
        frame = dict(frames[index])
        for key, grown in grows.items():
            frame[key] += repeated * grown
        frame["seq"], frame["tick"] = first["seq"] + number, first["tick"] + number * TICKS_PER_S
        yield frame


def keep(path: str, frames: list[dict[str, Any]], seconds: int) -> None:
    """Four runs at once, as four recordings would write them."""
    from thecal_host.archive import Archive, Keeping
    from thecal_host.recording import Recorder, host_time

    with Archive(Path(path)) as archive:
        runs = [Keeping(archive, f"pump {number}") for number in range(PUMPS)]
        head = {"title": "a day", "tick_ms": 100, "source": "counted pulses", "nl_per_step": [125, 4]}
        recorders = [Recorder(None, head, run) for run in runs]
        for frame in day(frames, seconds):
            for recorder in recorders:
                recorder.write({**frame, "host_time": host_time()})
        for recorder in recorders:
            recorder.end()


def export(path: str, target: str) -> None:
    """Every run of the archive to a file each."""
    from thecal_host.archive import Archive
    from thecal_host.archive.exporting import export_run

    with Archive(Path(path)) as archive:
        for run in archive.runs():
            file = Path(target.replace("RUN", str(run.number)))
            export_run(archive, run.number, file, True, lambda _done, _total: None)


def most_memory_mb() -> float:
    """The most memory that this process has had. `getrusage` would say its parent's, if that had more."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000


def _measured(work: Callable[..., None], arguments: tuple[Any, ...], pipe: Any) -> None:
    begun_s = time.process_time()
    work(*arguments)
    pipe.send((time.process_time() - begun_s, most_memory_mb()))


def measure(work: Callable[..., None], *arguments: Any) -> tuple[float, float]:
    """CPU seconds and the most memory (MB) of `work` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(work, arguments, theirs))
    process.start()
    theirs.close()
    with closing(ours):
        found = ours.recv()
    process.join()
    return found


def benchmark(hours: int, console: Console) -> dict[str, tuple[float, float, float]]:
    """The table, printed: for each part its size (MB), CPU (s) and memory (MB)."""
    frames = pattern()
    found: dict[str, tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "archive.sqlite")
        cost = measure(keep, archive, frames, hours * S_PER_H)
        found["archive"] = (os.path.getsize(archive) / 1e6, *cost)
        for ending in ("ndjson", "csv", "parquet"):
            cost = measure(export, archive, os.path.join(folder, f"RUN.{ending}"))
            size = sum(path.stat().st_size for path in Path(folder).glob(f"*.{ending}"))
            found[ending] = (size / 1e6, *cost)
    table = Table("", "size", "CPU", "memory at most", title=f"{hours} h of telemetry of {PUMPS} pumps")
    for name, (size, cpu, memory) in found.items():
        table.add_row(name, f"{size:.1f} MB", f"{cpu:.1f} s", f"{memory:.0f} MB")
    console.print(table)
    return found


if __name__ == "__main__":
    benchmark(HOURS, Console())
