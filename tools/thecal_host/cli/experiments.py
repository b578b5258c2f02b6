"""Commands that run an experiment, draw what came of one, or serve an emulated pump."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from thecal_model import quantities

from thecal_host.cli.base import (
    EXPERIMENTS,
    SAID_NO,
    app,
    err,
    option_ms,
    out,
    print_object,
    print_rows,
    say,
)

SAMPLES = 1000

if TYPE_CHECKING:
    from thecal_model.therapy import Profile, Therapy

    from thecal_host.recording import Loaded


@app.command(rich_help_panel=EXPERIMENTS)
def simulate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Scenario (TOML)")],
    on: Annotated[
        str, typer.Option(metavar="BOARD", help="host, micropython, chip, or the port of a real pump")
    ] = "host",
    as_json: Annotated[bool, typer.Option("--json", help="Every record as one JSON object per line")] = False,
    every: Annotated[str | None, typer.Option(help='Samples of the plant this often, as in "1 min"')] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the run in the archive (`thecal runs`)")] = False,
) -> None:
    """Run a scenario. Exit status 1 when an expectation fails, 2 for a file that is not understood."""
    from thecal_bench.bench import TICK_MS
    from thecal_bench.pypy.starter import run_anywhere
    from thecal_bench.runner import make_plant
    from thecal_bench.scenario import load

    from thecal_host.archive import keeping
    from thecal_host.experiment import BOARDS, line_of, open_bench, prescription, summary_rows
    from thecal_host.progress import progress_bar
    from thecal_host.record import PLANT, header
    from thecal_host.recording import Recorder

    scenario = load(file)
    every_ms = None if every is None else option_ms("--every", every)
    if every_ms is not None and every_ms < 1:
        raise quantities.QuantityError(f'--every: expected 1 ms at least, found "{every}"')
    plant = make_plant(scenario)
    shown = as_json or every_ms is not None or not keep
    if not shown:
        # A run that is kept can be drawn.
        every_ms = _sample_ms(scenario.duration_ms)
    board = BOARDS.get(on, on)
    with (
        keeping(board) if keep else nullcontext() as kept,
        open_bench(on, plant, plant.rig, ctx.obj.role) as bench,
        progress_bar(file.name, err, out) as progress,
    ):
        head = header(
            title=f"{scenario.title} ({board})",
            source=PLANT,
            nl_per_step=plant.geometry.step_nl,
            rig=plant.rig,
            tick_ms=TICK_MS,
            prescription=prescription(scenario, scenario.clock_ms),
        )
        # With its header what is printed needs no other file for `thecal report`.
        recorder = Recorder(sys.stdout if as_json else None, head, kept)
        result = run_anywhere(on, scenario, bench, every_ms, progress)
        for record in result:
            recorder.write(record)
            line = None if as_json or not (shown or record["type"] != "sample") else line_of(record)
            if line is not None:
                print(line)
    if not as_json and result.summary is not None:
        in_archive = [] if kept is None else [("archive", f"run {kept.number}")]
        print_rows([*summary_rows(result.summary), *in_archive], scenario.title)
    if result.expect_failed:
        count = len(scenario.expects)
        err.print(f"{result.expect_failed} of {count} expectations failed", style="red", highlight=False)
        raise typer.Exit(SAID_NO)


def _sample_ms(duration_ms: int) -> int:
    """How often a run is sampled that is kept and of which nothing was said: a picture needs no more."""
    from thecal_bench.bench import TICK_MS

    return max(duration_ms // SAMPLES // TICK_MS, 1) * TICK_MS


@app.command("run", rich_help_panel=EXPERIMENTS)
def run_demo(
    file: Annotated[
        Path | None, typer.Argument(help="Scenario (TOML)", show_default="a basal rate and a bolus")
    ] = None,
    on: Annotated[str, typer.Option(metavar="BOARD", help="chip, host or micropython")] = "chip",
    folder: Annotated[Path, typer.Option("--into", help="Where the record and the picture go")] = Path(
        "build/run"
    ),
) -> None:
    """Run a therapy on the emulated board, live; then a summary, a record and a picture."""
    from thecal_bench.scenario import load

    from thecal_host.experiment import BOARDS, NoSuchBoard, line_of, microsteps_text
    from thecal_host.recording import load as load_record
    from thecal_host.run import DEMO, RecordedRun

    if on not in BOARDS:
        raise NoSuchBoard(
            f"--on {on}: expected one of {', '.join(BOARDS)}; `thecal record` records a real pump"
        )
    scenario = load(file or DEMO)
    record_path = folder / "record.ndjson"
    run = RecordedRun(scenario, on, record_path, out)
    result = run.go()
    for record in run.expects:
        say(line_of(record) or "")
    assert result.summary is not None
    counted = ("microsteps", f"{microsteps_text(result.summary)}, {run.plant.steps_seen} by the plant")
    kept = ("archive", f"run {run.number}")
    print_report(record_path, folder / "delivered.png", load_record(record_path), None, [counted, kept])
    if result.expect_failed:
        raise typer.Exit(SAID_NO)


def print_report(
    record_path: Path | str,
    picture: Path,
    loaded: Loaded,
    therapy: tuple[Therapy, Profile] | None,
    more: Sequence[tuple[str, str]] = (),
    as_json: bool = False,
) -> None:
    from thecal_host.record import run_of_loaded

    with err.status("drawing") if err.is_terminal else nullcontext():
        from thecal_host.picture import draw
        from thecal_host.report import summary_rows

        run = run_of_loaded(record_path, loaded, therapy)
        draw(run, picture)
    rows = [*summary_rows(run), *more, ("record", str(record_path)), ("picture", str(picture))]
    if as_json:
        print_object({"type": "report", "title": run.title, **dict(rows)})
    else:
        print_rows(rows, run.title)


@app.command("bench", rich_help_panel=EXPERIMENTS)
def serve_bench(
    tcp: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve TCP too; 0: any")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Simulated seconds per second; 0: as fast as it goes")
    ] = 1.0,
    image: Annotated[
        Path | None, typer.Option(help="UF2 to boot", show_default="what `make image` built")
    ] = None,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="Fit the jumper: a prompt, no pump")
    ] = False,
    balance: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Serve a balance too that weighs what it delivers: asked, prints"),
    ] = None,
    rig: Annotated[
        str, typer.Option(metavar="FILE", help="What hangs on its pins: a rig file, or one of the project's")
    ] = "reference",
    blank: Annotated[
        bool, typer.Option("--blank", help="Leave the pump without a rig, as a board comes")
    ] = False,
) -> None:
    """Boot the image on the emulated board and serve it as a serial port, until Ctrl-C.

    Its first step is to program the rig, as `thecal rig program` does. In its terminal s presses the pump's
    STOP button, p the patient's, and m fits the MAINTENANCE jumper or takes it off.
    """
    from thecal_model import rig as rigs

    from thecal_host import emulated

    if not math.isfinite(speed):
        raise typer.BadParameter(f"{speed} is no number of seconds", param_hint="--speed")
    if balance is not None and balance not in emulated.BALANCES:
        kinds = " or ".join(emulated.BALANCES)
        raise typer.BadParameter(f'expected {kinds}, found "{balance}"', param_hint="--balance")
    emulated.serve_bench(image, tcp, speed or None, maintenance, out, balance, rigs.load(rig), blank)
