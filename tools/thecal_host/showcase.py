"""What the pages show of `make run`: its picture and its summary, written by `make bench`.

Exit status 1 when the run does not hold what its scenario expects: then nothing is written.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from rich.console import Console
from thecal_bench.benchmarks import pages
from thecal_bench.scenario import load

from thecal_host.picture import draw
from thecal_host.record import run_of_loaded
from thecal_host.recording import load as load_record
from thecal_host.report import summary_rows
from thecal_host.run import DEMO, RecordedRun

PICTURE = Path(__file__).with_name("pictures") / "run.png"
FOLDER = Path(__file__).resolve().parents[2] / "build" / "run"


class DemoFails(Exception):
    """The demonstration does not hold; says what."""


def measure(board: str, folder: Path) -> pages.Sheet:
    """Run the demonstration on a board (`chip`, `host`, `micropython`); record and picture go to `folder`.

    Raises DemoFails if an expectation of it does.
    """
    recorded = RecordedRun(load(DEMO), board, folder / "record.ndjson", Console(file=io.StringIO()))
    result = recorded.go()
    failed = [record for record in recorded.expects if not record["ok"]]
    if failed or result.summary is None:
        raise DemoFails(f"`make run` fails: {failed}")
    run = run_of_loaded(folder / "record.ndjson", load_record(folder / "record.ndjson"), None)
    draw(run, folder / "delivered.png")
    counts = (
        ("microsteps commanded", f"{result.summary['commanded_steps']}"),
        ("counted back by the pump", f"{result.summary['executed_steps']}"),
        ("made by the plant", f"{recorded.plant.steps_seen}"),
    )
    return pages.run([*summary_rows(run), *counts])


def main() -> int:
    """Run it on the chip and write what the pages show."""
    try:
        sheet = measure("chip", FOLDER)
    except DemoFails as why:
        print(why, file=sys.stderr)
        return 1
    sheet.write()
    shutil.copyfile(FOLDER / "delivered.png", PICTURE)
    print(f"written into {sheet.page}, and {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
