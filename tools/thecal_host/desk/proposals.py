"""What a pump read back, and the questions that come before it is put in force: each soft limit by its name.

Confirm stays shut until every question has its yes; `orders.confirm` looks again.
"""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from thecal_host.desk import orders
from thecal_host.desk.pages import Page
from thecal_host.readbacks import Proposal, meant

Rows = Sequence[tuple[str, str]]


def table(rows: Rows, caption: str) -> None:
    """Names and values."""
    with ui.element("div").classes("scroll"), ui.element("table").classes("rows"):
        if caption:
            with ui.element("caption").style("text-align: left; font-weight: 600"):
                ui.label(caption)
        for row in rows:
            with ui.element("tr"):
                for cell in row:
                    with ui.element("td"):
                        ui.label(cell)


def ask(page: Page, proposal: Proposal, rows: Rows, question: str, done: str) -> None:
    """The read-back, a tick for each soft limit, a tick for `question`, Confirm. `done` is said when the pump
    has confirmed.
    """
    with page.asking("The pump read back:") as away:
        table(rows, "")
        ticks = [(name, ui.checkbox(f"{meant(name)}. That is meant.")) for name in proposal.soft]
        whole = ui.checkbox(question)
        for name, tick in ticks:
            tick.props(f'data-soft="{name}"')
        whole.props('data-testid="is-it"')

        async def confirm() -> None:
            accepted = [name for name, tick in ticks if tick.value]
            if whole.value:
                away()
                await page.give(_confirm, proposal, accepted, done)

        with ui.element("div").classes("actions"):
            button = ui.button("Confirm", on_click=confirm).props('no-caps data-testid="confirm"')
            ui.button("Change nothing", on_click=away).props("no-caps outline")

        def look() -> None:
            button.set_enabled(bool(whole.value) and all(tick.value for _, tick in ticks))

        for tick in [whole, *(tick for _, tick in ticks)]:
            tick.on_value_change(look)
        look()


def _confirm(session: orders.Session, proposal: Proposal, accepted: Sequence[str], done: str) -> str:
    orders.confirm(session, proposal, accepted)
    return done
