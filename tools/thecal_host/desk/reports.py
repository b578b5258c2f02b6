"""A run of the archive as one page: what `thecal report` makes of it, made when it is asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nicegui import ui
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from thecal_host.desk.pages import Page
from thecal_host.desk.session import Session

if TYPE_CHECKING:
    from fastapi import FastAPI

    from thecal_host.desk.server import Desk

END = "End this run and report it"


def register(app: FastAPI, _desk: Desk) -> None:
    """The address of a report."""

    async def report(run: int) -> Response:
        from thecal_host.desk.orders import MENDABLE

        try:
            return HTMLResponse(await asyncio.to_thread(html_of_run, run))
        except MENDABLE as why:
            return PlainTextResponse(f"No report was made of run {run}: {why}\n", 409)

    # Before the application that takes every other address.
    app.add_api_route("/runs/{run}/report", report, include_in_schema=False)


def html_of_run(run: int) -> str:
    """The page of a run that has ended. RecordError where something is missing in it."""
    from thecal_host.archive import Archive
    from thecal_host.page.facts import Given
    from thecal_host.page.render import html_of
    from thecal_host.record import run_of_loaded
    from thecal_host.recording import load_text

    name = f"run {run}"
    with Archive() as archive:
        text = archive.text(run)
    # What is missing is said on the page itself, at its head.
    loaded = load_text(name, text)
    return html_of(Given(name, text, loaded, run_of_loaded(name, loaded, None)))


def show(page: Page) -> None:
    """The button, and where the report is then."""
    with ui.element("div").classes("actions"):
        button = ui.button(END).props('no-caps outline data-testid="end-run"')
        where = ui.element("div").classes("ways")

    async def go() -> None:
        number = await page.give(_turned_over)
        if number is not None:
            with where:
                ui.link(f"Report of run {number}", f"/runs/{number}/report", new_tab=True).props(
                    f'data-testid="report-{number}"'
                )
            page.say(f"Run {number} has ended, and another one has begun.")

    button.on_click(go)


def _turned_over(session: Session) -> int:
    from thecal_host.archive import ArchiveError

    number = session.turn_over()
    if not number:
        raise ArchiveError(
            f"no run has ended: {session.why or session.not_kept or 'the pump does not answer'}"
        )
    return number
