"""The pump's log with filters: which stream, which events, from when to when, the last how many."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from nicegui import ui
from thecal.clock import TICK_MS
from thecal.record.events import EVENTS
from thecal_model import quantities
from thecal_model.text import clock_text, event_text

from thecal_host import log as pump_log
from thecal_host.desk import orders
from thecal_host.desk.pages import Page
from thecal_host.desk.session import Session

LAST = 50
CODES = sorted(row.name for row in EVENTS)
COLUMNS = [
    {"name": name, "label": label, "field": name, "align": "left", "style": style}
    for name, label, style in (
        ("number", "number", ""),
        ("at", "pump's time", ""),
        ("here", "host's time", "min-width: 80px"),  # on a phone the time goes below its date
        ("event", "event", "overflow-wrap: anywhere"),
    )
]


def read(
    session: Session, stream: str, codes: list[str], since: str, until: str, last: str
) -> list[dict[str, Any]]:
    """The rows that are chosen, the newest first; then, if the chain of the log breaks, why. LogError,
    PumpError, QuantityError.
    """
    count = _whole(last)
    since_ms, until_ms = (
        pump_log.since_first_boot_ms(name, text.strip() or None)
        for name, text in (("from", since), ("up to", until))
    )
    chosen = (codes, since_ms, until_ms, count)
    with orders.conversation(session, "log") as pump:
        now, now_tick = datetime.now().astimezone(), pump.hello["tick"]
        if count is not None and not (codes or since or until):
            found = pump_log.read_last(pump, stream, count)
        else:
            found = pump_log.read(pump, stream)
    told = [pump_log.event_of(entry) for entry in found.entries]
    pump_log.add_host_times(told, now, now_tick)
    rows = [_row(event) for event in pump_log.choose(told, *chosen)][::-1]
    gaps = [
        {"number": "", "at": "", "here": "", "event": f"THE LOG HAS A GAP: {why}"}
        for _, why in pump_log.breaks_of(found)
    ]
    return gaps + rows


def _row(event: dict[str, Any]) -> dict[str, Any]:
    here = event["host_time"][5:19].replace("T", " ")  # as `thecal log` has it
    return {
        "number": event["seq"],
        "at": clock_text(event["tick"] * TICK_MS),
        "here": f"< {here}" if event["at_the_latest"] else here,
        "event": event_text(event),
    }


def _whole(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or int(text) < 1:
        raise quantities.QuantityError(f'last: expected a whole number, 1 at least, found "{text}"')
    return int(text)


def show(page: Page) -> None:
    """The filters, the button, the table."""
    with ui.element("section").classes("card").style("width: 100%"):
        with ui.element("div").classes("form"):
            stream = ui.select([pump_log.EVENTS, pump_log.FAULTS], label="Stream", value=pump_log.EVENTS)
            codes = ui.select(CODES, label="Only these events (all)", multiple=True).props("use-chips")
            since = ui.input("Since the first boot, from", placeholder="as in 2 h").props("stack-label")
            until = ui.input("up to", placeholder="as in 3 h").props("stack-label")
            last = ui.input("Only the last", value=str(LAST)).props('stack-label data-testid="last"')
        button = ui.button("Read the log").props('no-caps data-testid="read"').style("align-self: flex-start")
        table = ui.table(columns=COLUMNS, rows=[], row_key="number", pagination=25).classes("w-full")
        table.props('flat dense wrap-cells data-testid="log" no-data-label="Nothing of that is in the log."')

    async def go() -> None:
        button.set_enabled(False)
        try:
            given = (stream.value, codes.value or [], since.value or "", until.value or "", last.value or "")
            found = await page.give(read, *given)
            if found is not None:
                table.rows = found
        finally:
            button.set_enabled(True)

    button.on_click(go)
    ui.timer(0.1, lambda: asyncio.ensure_future(go()), once=True)
