"""How long a day of the pump takes in-process, against another commit: PERF-07.

24 h at 100 uL/h with the reference plant and its noise, every tick executed, in both trees by turns and piece
by piece, so that whatever else the machine does bears on both alike. Processor time counts, from the first
tick of the flow on. This tree runs as `thecal simulate` runs a day, in PyPy where there is one, and once more
without; the other commit ran without, and gets a worktree of its own, which is taken away at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from thecal_bench.pypy import starter

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "04ee318"
TICKS_PER_H = 36_000
PIECE_H = 2
MOST = 1 / 3

# Runs in either tree. Says how much processor time each piece took, and where the motor is at the end.
PROGRAM = """
import importlib.util, sys, time
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
# Its place then comes first: thecal_model is found wherever the project is installed.
if importlib.util.find_spec("thecal_host.link"):
    from thecal_host.link import LinkClient
else:
    from thecal_model.link import LinkClient
bench = HostBench(Plant())
client = LinkClient(bench.send)
bench.on_data = client.feed
def ask(cmd, **arguments):
    number = client.request(cmd, **arguments)
    while True:
        bench.advance_to_tick(bench.tick + 1)
        reply = client.reply(number)
        if reply is not None:
            assert reply["ok"], reply
            return reply
bench.advance_to_tick(5)
therapy = {"mode": "continuous", "rate_num": 100_000, "rate_den": 1}
ask("confirm", digest=ask("program", therapy=therapy)["digest"])
ask("start")
for line in sys.stdin:
    started_s = time.process_time()
    bench.advance_to_tick(bench.tick + int(line))
    print(time.process_time() - started_s, bench.plant.steps_seen, flush=True)
"""


class Run:
    """The day in one tree; `pypy` is the path of that, if it is to run there."""

    def __init__(self, tree: Path, pypy: str | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{tree / 'firmware'}:{tree / 'tools'}"}
        if pypy is not None:
            environment = starter.environment()
        older = "import thecal_bench.pypy.older\n" if pypy is not None else ""
        self.process = subprocess.Popen(
            [pypy or sys.executable, "-c", older + PROGRAM],
            env=environment,
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.seconds = 0.0
        self.steps = 0

    def go_on(self, ticks: int) -> None:
        """So many ticks more."""
        assert self.process.stdin and self.process.stdout
        print(ticks, file=self.process.stdin, flush=True)
        seconds, steps = self.process.stdout.readline().split()
        self.seconds += float(seconds)
        self.steps = int(steps)


def main(
    hours: Annotated[int, typer.Option(help="Of the day.")] = 24,
    commit: Annotated[str, typer.Option(help="What is run beside this tree.")] = COMMIT,
) -> None:
    """How long a day takes in-process, against another commit."""
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(other), commit], check=True)
        try:
            runs = {"plain": Run(ROOT), commit: Run(other)}
            if path := starter.find_or_tell():
                runs["here"] = Run(ROOT, path)
            for piece in range(0, hours, PIECE_H):
                for run in runs.values():
                    run.go_on(min(PIECE_H, hours - piece) * TICKS_PER_H)
            for run in runs.values():
                run.process.communicate()
        finally:
            subprocess.run([*git, "remove", "--force", str(other)], check=True)
    here, there = runs.get("here", runs["plain"]), runs[commit]
    for name, run in runs.items():
        typer.echo(f"{name:8} {run.seconds:8.1f} s of processor time, {run.steps} steps")
    share = here.seconds / there.seconds
    typer.echo(f"here / {commit}: {share:.2f}, PERF-07 asks for {MOST:.2f} at most")
    if len({run.steps for run in runs.values()}) > 1:
        raise SystemExit("the runs did not deliver the same")


if __name__ == "__main__":
    typer.run(main)
