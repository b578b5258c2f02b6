"""A run of the archive as one page: what `thecal report` makes of it, made when it is asked for, and held
against the log of its pump where that is at the desk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nicegui import ui
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from thecal_host.desk import orders
from thecal_host.desk.pages import Page
from thecal_host.desk.session import Session
from thecal_host.pump import PumpError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from thecal_host.desk.server import Desk
    from thecal_host.page.facts import Export
    from thecal_host.recording import Loaded

END = "End this run and report it"


def register(app: FastAPI, desk: Desk) -> None:
    """The address of a report."""

    async def report(run: int) -> Response:
        try:
            return HTMLResponse(await asyncio.to_thread(html_of_run, run, desk.sessions.values()))
        except orders.MENDABLE as why:
            return PlainTextResponse(f"No report was made of run {run}: {why}\n", 409)

    # Before the application that takes every other address.
    app.add_api_route("/runs/{run}/report", report, include_in_schema=False)


def html_of_run(run: int, sessions: Iterable[Session] = ()) -> str:
    """The page of a run that has ended; its pump may be among `sessions`. RecordError where it cannot be
    read.
    """
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
    given = Given(name, text, loaded, run_of_loaded(name, loaded, None))
    try:
        given.log = log_since(loaded, sessions)
    except orders.MENDABLE as why:
        given.no_log = str(why)
    return html_of(given)


def log_since(loaded: Loaded, sessions: Iterable[Session]) -> Export:
    """The log of the pump that was recorded, from the first event of the record on. Raises one of MENDABLE
    where it cannot be had.
    """
    from thecal_host import log as pump_log
    from thecal_host.page.facts import Export

    serial = loaded.header.get("hello", {}).get("serial")
    session = next((one for one in sessions if serial and one.hello.get("serial") == serial), None)
    if session is None:
        raise PumpError("its pump is not at this desk (`thecal report RUN --log FILE` takes an export)")
    told = [record["seq"] for record in loaded.records if record["type"] == "event"]
    with orders.conversation(session, "log") as pump:
        log = pump_log.read(pump, pump_log.EVENTS, min(told, default=pump_log.BEYOND))
    return Export(f"read at {session.name}", pump_log.export(log).encode("ascii"))


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
