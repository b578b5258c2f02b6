"""Commands about the runs that the archive keeps: list, show, compare, export, delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from thecal_model.text import clock_text

from thecal_host.cli.base import (
    EXPERIMENTS,
    SAID_NO,
    JsonOption,
    YesOption,
    app,
    err,
    option_ms,
    out,
    print_object,
    print_rows,
    say,
)

if TYPE_CHECKING:
    from thecal_host.archive import KeptRun
    from thecal_host.archive.store import Gap

runs_app = typer.Typer(
    no_args_is_help=True,
    help="The runs that were recorded on this machine: list, show, compare, export, delete.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(runs_app, name="runs", rich_help_panel=EXPERIMENTS)


def _runs_there(begun: str) -> list[tuple[str, str]]:
    """For the shell: numbers of runs that begin so, each with what it is."""
    from thecal_host.archive import Archive

    with Archive() as archive:
        runs = archive.runs()
    return [(str(run.number), run.title) for run in runs if str(run.number).startswith(begun)]


RunArgument = Annotated[
    int,
    typer.Argument(metavar="RUN", min=1, autocompletion=_runs_there, help="Its number in `thecal runs list`"),
]

HOW = {"end": "ended", "cut": "cut off", None: "is recorded"}
GAPS = {"link": "the link lost it", "restart": "the pump was restarted", "host": "the recording was cut off"}


@runs_app.command("list")
def list_runs(as_json: JsonOption = False) -> None:
    """List the runs, the oldest first."""
    from thecal_host.archive import Archive

    with Archive() as archive:
        runs = archive.runs()
    if as_json:
        for run in runs:
            print_object(_as_object(run))
        return
    if not runs:
        say("No runs: `thecal record`, `thecal run` and `thecal simulate --keep` write them.")
        return
    table = Table("run", "begun", "pump's time", "lines", "gaps", "", "what")
    for run in runs:
        gaps = str(run.gaps or "")
        table.add_row(
            str(run.number), _when(run.begun_ns), _span(run), str(run.lines), gaps, HOW[run.how], run.title
        )
    out.print(table)


@runs_app.command()
def show(number: RunArgument, as_json: JsonOption = False) -> None:
    """Show one run: what is known of it, what is missing from it."""
    from thecal_host.archive import Archive

    with Archive() as archive:
        run, gaps = archive.run(number), archive.gaps(number)
        kinds = Counter(kind for *_, kind, _text in archive.lines(number))
        size = archive.size_bytes([number])
    if as_json:
        found = [vars(gap) for gap in gaps]
        print_object({**_as_object(run), "kinds": kinds, "header": run.header, "missing": found})
        return
    rows = [
        ("what", run.title),
        ("pump", run.pump),
        ("pump's time", _span(run)),
        ("by the host's clock", _by_the_host(run)),
        ("lines", ", ".join(f"{count} {kind}" for kind, count in kinds.items())),
        ("in the archive", f"{size / 1000:.1f} kB"),
    ]
    if "rig" in run.header:
        from thecal_model.rig_words import unwatched_text

        name = run.header["rig"].get("rig", {}).get("name", "")
        rows.append(("rig", name or "has no name"))
        rows.append(("not watched", unwatched_text(run.header.get("unwatched", []))))
    rows += [("missing", _gap_text(gap)) for gap in gaps]
    print_rows(rows, f"Run {number}:")


@runs_app.command()
def compare(
    first: RunArgument,
    second: RunArgument,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", "-o", help="Where the picture goes", show_default="runs-FIRST-SECOND.png"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Lay two runs over each other, as a table and a picture."""
    from thecal_host.archive import Archive
    from thecal_host.archive.comparing import comparison_rows, draw
    from thecal_host.archive.runs import run_of_archive
    from thecal_host.picture import check_picture

    target = picture or Path(f"runs-{first}-{second}.png")
    check_picture(target)
    with Archive() as archive, err.status("comparing") if err.is_terminal else nullcontext():
        runs = [run_of_archive(archive, number)[0] for number in (first, second)]
        draw((first, runs[0]), (second, runs[1]), target)
    rows = comparison_rows(*runs)
    if as_json:
        for name, one, other in rows:
            print_object({"type": "row", "name": name, str(first): one, str(second): other})
        return
    table = Table("", f"run {first}", f"run {second}")
    for row in rows:
        table.add_row(*row)
    out.print(table)
    say(f"Picture: {target}")


@runs_app.command()
def export(
    number: RunArgument,
    file: Annotated[Path, typer.Argument(help="Ends in .ndjson (a record), .csv or .parquet")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there")] = False,
) -> None:
    """Write a run to a file: as the record that it is, or as a table."""
    from thecal_host.archive import Archive
    from thecal_host.archive.exporting import export_run
    from thecal_host.progress import progress_bar

    with Archive() as archive, progress_bar(f"run {number}", err, out) as progress:
        lines = export_run(archive, number, file, force, progress)
    say(f"{lines} lines of run {number} in {file}.")


@runs_app.command()
def delete(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="RUN", help="Which ones")] = None,
    older: Annotated[str | None, typer.Option(help='All that ended longer ago than that: "30 days"')] = None,
    yes: YesOption = False,
) -> None:
    """Delete runs for good; it says which ones, and asks."""
    from thecal_host.archive import Archive

    if (numbers is None) == (older is None):
        raise typer.BadParameter('expected numbers of runs, or --older as in "30 days"')
    with Archive() as archive:
        if older is not None:
            found = archive.older_than(option_ms("--older", older) * 1_000_000)
        else:
            found = [archive.run(number) for number in dict.fromkeys(numbers or ())]
        if not found:
            say(f"No run ended longer ago than {older}.")
            return
        chosen = [run.number for run in found]
        say(f"To be deleted, {archive.size_bytes(chosen) / 1000:.1f} kB:")
        for run in found:
            say(f"  run {run.number}, {_when(run.begun_ns)}, {_span(run)}, {run.lines} lines: {run.title}")
        if not yes and not typer.confirm("Delete for good?"):
            say("Nothing was deleted.")
            raise typer.Exit(SAID_NO)
        archive.delete(chosen)
    say(f"Deleted: {_numbers(chosen)}.")


def _numbers(numbers: Sequence[int]) -> str:
    return ("run " if len(numbers) == 1 else "runs ") + ", ".join(map(str, numbers))


def _as_object(run: KeptRun) -> dict[str, Any]:
    return {
        "type": "run",
        "run": run.number,
        "pump": run.pump,
        "title": run.title,
        "begun": _iso(run.begun_ns),
        "ended": None if run.ended_ns is None else _iso(run.ended_ns),
        "how": run.how,
        "lines": run.lines,
        "first_ms": run.first_ms,
        "last_ms": run.last_ms,
        "gaps": run.gaps,
    }


def _gap_text(gap: Gap) -> str:
    lost = "" if gap.missing is None else f", {gap.missing} frames"
    until = "" if gap.to_ns is None else f" to {_when(gap.to_ns)}"
    return f"after line {gap.after}{lost}: {GAPS[gap.kind]} ({_when(gap.from_ns)}{until})"


def _span(run: KeptRun) -> str:
    """By the pump's clock."""
    if run.first_ms is None or run.last_ms is None or run.last_ms < run.first_ms:
        return ""
    return clock_text(run.last_ms - run.first_ms)


def _by_the_host(run: KeptRun) -> str:
    until = "" if run.ended_ns is None else f" to {_when(run.ended_ns)}"
    return f"{_when(run.begun_ns)}{until}, {HOW[run.how]}"


def _time(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9).astimezone()


def _when(at_ns: int) -> str:
    return f"{_time(at_ns):%Y-%m-%d %H:%M:%S}"


def _iso(at_ns: int) -> str:
    return _time(at_ns).isoformat(timespec="milliseconds")
