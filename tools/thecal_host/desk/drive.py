"""The buttons of a pump: what may be done with one click, and what asks for an amount or a read-back first.

A button that the role may not use is shut, and the line below says which key it takes. Whether the pump does
what was asked is for the pump to say: its sentence is shown above.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from thecal_model.text import volume_text

from thecal_host.desk import orders, proposals
from thecal_host.desk.pages import Page
from thecal_host.readbacks import Proposal


def show(page: Page) -> None:
    """All buttons but Stop, which is in the head."""
    buttons: list[tuple[str, str, ui.button]] = []

    def button(name: str, command: str, clicked: Callable[[], Any], outline: bool = True) -> None:
        made = ui.button(name, on_click=clicked).props(f"no-caps unelevated {'outline' if outline else ''}")
        buttons.append((name, command, made.props(f'data-testid="do-{command}"')))

    with ui.element("div").classes("actions").props('role="group" aria-label="Orders"'):
        button("Start", "start", lambda: page.give(orders.start), outline=False)
        button("Patient bolus", "patient_bolus", lambda: page.give(orders.patient_bolus))
        button("Clinician bolus…", "bolus", lambda: _bolus(page))
        button("Silence", "audio_pause", lambda: page.give(orders.silence))
        button("Acknowledge", "acknowledge", lambda: page.give(orders.acknowledge))
        button("Refill…", "refill", lambda: _refill(page))
        button("New line…", "new_line", lambda: _new_line(page))
        button("Prime…", "prime", lambda: _prime(page))
        button("Set the clock…", "set_time", lambda: _set_time(page))
    why = ui.label().classes("why").props('data-testid="may-not"')

    def look() -> None:
        shut: dict[str, list[str]] = {}
        for name, command, made in buttons:
            reason = orders.why_not(page.session, command)
            made.set_enabled(not reason)
            if reason:
                shut.setdefault(reason, []).append(name.rstrip("…"))
        why.set_text("\n".join(f"{', '.join(names)}: {reason}" for reason, names in shut.items()))
        why.set_visibility(bool(shut))

    page.on_change(look)


def _asked(page: Page, title: str, fields: dict[str, str], act: str, order: Callable[..., Any]) -> None:
    """A field for each text; what they hold is given to `order`."""
    with page.asking(title) as away:
        inputs = [
            ui.input(label, placeholder=f"as in {example}" if example else "").props("stack-label")
            for label, example in fields.items()
        ]

        async def go() -> None:
            given = [field.value or "" for field in inputs]
            away()
            await order(*given)

        with ui.element("div").classes("actions"):
            ui.button(act, on_click=go).props('no-caps data-testid="go"')
            ui.button("Cancel", on_click=away).props("no-caps outline")
        for field in inputs:
            field.classes("w-full").on("keydown.enter", go)
    inputs[0].run_method("focus")


def _bolus(page: Page) -> None:
    async def give(volume: str, duration: str, accept: str) -> None:
        await page.give(orders.bolus, volume, duration, accept.split())

    fields = {
        "Volume": "5 uL",
        "Over": "5 min",
        "Bounds of the library that it may break, by name (none)": "",
    }
    _asked(page, "A clinician bolus, on top of the basal rate", fields, "Give it", give)


def _prime(page: Page) -> None:
    async def give(volume: str) -> None:
        await page.give(orders.prime, volume)

    _asked(
        page,
        "Fill a line that is new, the pump stopped",
        {"Volume, up to that of the line": "200 uL"},
        "Prime",
        give,
    )


def _set_time(page: Page) -> None:
    async def give(time: str) -> None:
        await page.give(orders.set_time, time)

    title = "The clock by which flex therapy goes"
    _asked(page, title, {"The time of the week (that of here)": "mon 06:30"}, "Set it", give)


def _refill(page: Page) -> None:
    async def propose(volume: str) -> None:
        proposal: Proposal | None = await page.give(orders.propose_refill, volume)
        if proposal is not None:
            held = volume_text(proposal.readback["refill_nl"])
            rows = [("reservoir", held), ("digest", proposal.digest)]
            question = f"The reservoir holds {held} now."
            proposals.ask(page, proposal, rows, question, f"Refilled: the reservoir holds {held}.")

    _asked(page, "The reservoir was filled", {"What it holds now": "20 mL"}, "Have it read back", propose)


async def _new_line(page: Page) -> None:
    proposal: Proposal | None = await page.give(orders.propose_new_line)
    if proposal is None:
        return
    volume = volume_text(proposal.readback["new_line_nl"])
    rows = [("to fill", volume)]
    ends_nl = proposal.readback.get("bridge_ends_nl")
    if ends_nl is not None:
        rows.append(("bridge", f"open: the pump counts {volume_text(ends_nl)} of the old drug in the line"))
    rows.append(("digest", proposal.digest))
    done = f"The line is new: {volume} of it may be primed, and the first start ends that."
    proposals.ask(page, proposal, rows, f"The line is new or empty: {volume} to fill.", done)
