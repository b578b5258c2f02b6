"""The therapy form: fields that write a file, the file itself, and what the pump reads back of it.

The fields are the common case; everything that a file can say can be typed or pasted below them. What is sent
is that text, read by the same reader as a file, so what is wrong is said with its line.
"""

from __future__ import annotations

from datetime import datetime

from nicegui import ui

from thecal_host.desk import orders, proposals
from thecal_host.desk.pages import Page
from thecal_host.readbacks import Proposal, kept_rows, readback_rows

MODES = {"continuous": "continuous", "minimum": "minimum (0.048 mL/day)"}

FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "therapy": {
        "rate": ("Rate, where no drug is named", "6 mL/h"),
        "drug": ("Drug", "morphine"),
        "concentration": ("Concentration", "20 mg/mL"),
        "dose": ("Dose", "2.4 mg/day"),
        "kvo": ("Keep vein open", "2 uL/h"),
        "line": ("Line: dead volume", "200 uL"),
    },
    "therapy.patient_bolus": {
        "volume": ("Patient bolus: volume", "5 uL"),
        "dose": ("or its dose", "0.1 mg"),
        "duration": ("over", "5 min"),
        "lockout": ("Lockout", "60 min"),
        "max_per_day": ("At most a day", "6"),
    },
    "therapy.limit": {
        "volume": ("Limit: volume", "10 mL"),
        "dose": ("or its dose", "4 mg"),
        "window": ("in any", "4 h"),
    },
    "reservoir": {"low": ("Reservoir low at", "1 mL"), "empty": ("empty at", "500 uL")},
}
"""By the table of the file: its keys, what they are called, and an example."""

NUMBERS = ("max_per_day",)
DRUGGED = "Flex steps, `max_rate` and all else that a file can say goes below, as in host_tests/scenarios."


def file_text(mode: str, given: dict[tuple[str, str], str]) -> str:
    """The file that the fields make; what is empty is left out."""
    lines = []
    for table, keys in FIELDS.items():
        said = [(key, given.get((table, key), "").strip()) for key in keys]
        filled = [(key, text) for key, text in said if text]
        if not filled and table != "therapy":
            continue
        lines += ["", f"[{table}]"] if lines else [f"[{table}]"]
        lines += [f'mode = "{mode}"'] if table == "therapy" else []
        lines += [
            f"{key} = {text if key in NUMBERS and text.isdecimal() else _quoted(text)}"
            for key, text in filled
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def show(page: Page) -> None:
    """The therapy in force, the form, and its button."""
    session = page.session
    _in_force(page)
    with ui.element("section").classes("card").style("width: 100%"):
        with ui.element("h2"):
            ui.label("Program another one")
        fields: dict[tuple[str, str], ui.input] = {}
        with ui.element("div").classes("form"):
            mode = ui.select(MODES, label="Mode", value="continuous")
            for table, keys in FIELDS.items():
                for key, (label, example) in keys.items():
                    field = ui.input(label, placeholder=f"as in {example}").props("stack-label")
                    fields[table, key] = field.props(f'data-testid="{table}.{key}"')
        ui.label(DRUGGED).classes("small")
        text = (
            ui.textarea("The file that is sent").props('rows=8 outlined data-testid="file"').classes("w-full")
        )

        def write() -> None:
            text.set_value(file_text(mode.value, {name: field.value or "" for name, field in fields.items()}))

        mode.on_value_change(write)
        for field in fields.values():
            field.on_value_change(write)
        write()
        button = ui.button("Have it read back", on_click=lambda: _propose(page, text.value or ""))
        button.props('no-caps data-testid="propose"').style("align-self: flex-start")
        why = ui.label().classes("why").props('data-testid="may-not"')

        def look() -> None:
            reason = orders.why_not(session, "program")
            button.set_enabled(not reason)
            why.set_text(reason)

        page.on_change(look)


def _in_force(page: Page) -> None:
    session = page.session
    box = ui.element("section").classes("card").style("width: 100%").props('data-testid="in-force"')
    shown: list[object] = []

    def look() -> None:
        kept, rig = session.kept, session.rig
        if shown and shown[0] is kept:
            return
        shown[:] = [kept]
        box.clear()
        with box:
            if kept is None or rig is None:
                ui.label("No therapy is in force.")
            else:
                proposals.table(kept_rows(kept, rig), f"Therapy {kept['number']} is in force:")

    page.on_change(look)


async def _propose(page: Page, text: str) -> None:
    proposal: Proposal | None = await page.give(orders.propose_therapy, text)
    if proposal is not None:
        done = f"Therapy {proposal.digest} is in force; Start on the page Live starts it."
        rows = readback_rows(proposal, datetime.now())
        proposals.ask(page, proposal, rows, "This is the therapy that I want.", done)
