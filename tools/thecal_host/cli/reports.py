"""The command that makes a picture or a page of what was recorded."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thecal_host.cli.base import EXPERIMENTS, SAID_NO, JsonOption, app, complain, err, say
from thecal_host.cli.experiments import print_report
from thecal_host.files import FileError, check_new

if TYPE_CHECKING:
    from thecal_model.therapy import Profile, Therapy

    from thecal_host.recording import Loaded


@app.command(rich_help_panel=EXPERIMENTS)
def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A number of `thecal runs list`, or the file of a record")
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", "-o", help="Where the picture goes", show_default="beside the record"),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make a page: .html, or .pdf", show_default="run-RUN.html"),
    ] = None,
    therapy: Annotated[
        Path | None, typer.Option(help="The file that was programmed, for a record that does not know")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Page: the pump's log, of `thecal log --export`")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Page: what was weighed, of `thecal weigh`")
    ] = None,
    temperature: Annotated[float, typer.Option(metavar="CELSIUS", help="Page: of the water weighed")] = 20.0,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Page: make it of a record that lacks something, and say so")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Judge what was recorded: a page that needs no other file of a run, a picture of a record.

    Exit status 1 when a part of the record is missing, which it says with the line.
    """
    from thecal_bench.scenario import load_therapy

    file = Path(run)
    number = int(run) if run.isdecimal() and not file.exists() else None
    if number is not None and page is None and picture is None:
        page = Path(f"run-{number}.html")
    if page is None and (log or weights):
        raise FileError("--log and --weights are for a page: name one with --page")
    _check_outputs(file, picture, page)
    name, text, loaded = _read(file, number)
    programmed = load_therapy(therapy) if therapy else None
    if page is not None:
        if loaded.problems and not incomplete:
            for problem in loaded.problems:
                complain(problem)
            complain(f"no page was made: {name} lacks something; --incomplete makes one that says so")
            raise typer.Exit(SAID_NO)
        _write_page((name, text, loaded), programmed, page, (log, weights, temperature))
        say(f"Page: {page}")
    if page is None or picture is not None:
        beside = file.with_suffix(".png")
        picture = picture or (beside if beside != file else Path(f"{file}.png"))
        print_report(name, picture, loaded, programmed, as_json=as_json)
        for problem in loaded.problems:
            complain(problem)
        if loaded.problems:
            raise typer.Exit(SAID_NO)


def _check_outputs(file: Path, picture: Path | None, page: Path | None) -> None:
    """FileError where something cannot be written; before anything is read."""
    from thecal_host.page.render import ENDINGS
    from thecal_host.picture import check_picture

    for what, path in (("picture", picture), ("page", page)):
        if path is not None and path.resolve() == file.resolve():
            raise FileError(f"{path} is the record itself: name another file for the {what}")
    if picture is not None:
        check_picture(picture)
    if page is not None:
        if page.suffix.lower() not in ENDINGS:
            raise FileError(f"{page}: expected a page ending in {' or '.join(ENDINGS)}")
        check_new(page, force=True)


def _read(file: Path, number: int | None) -> tuple[str, str, Loaded]:
    """What a record is called, its text, and what is in it."""
    from thecal_host.archive import Archive
    from thecal_host.recording import load, load_text

    if number is None:
        loaded = load(file)
        return str(file), file.read_text(encoding="utf-8"), loaded
    with Archive() as archive:
        text = archive.text(number)
    return f"run {number}", text, load_text(f"run {number}", text)


def _write_page(
    record: tuple[str, str, Loaded],
    therapy: tuple[Therapy, Profile] | None,
    page: Path,
    besides: tuple[Path | None, Path | None, float],
) -> None:
    from thecal_host import log as pump_log
    from thecal_host.page.facts import Export, Given
    from thecal_host.page.render import write_page
    from thecal_host.record import run_of_loaded

    name, text, loaded = record
    log, weights, temperature = besides
    exported = None if log is None else Export(log.name, pump_log.load(log))
    with err.status("drawing") if err.is_terminal else nullcontext():
        run = run_of_loaded(name, loaded, therapy)
        write_page(Given(name, text, loaded, run, exported, weights=weights, temperature=temperature), page)
