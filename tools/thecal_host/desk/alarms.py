"""The alarms of a pump on a page, each in its colour, with its shape, its marks and its words; and how long
ago the pump was heard, without which no alarm is no news.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import ui
from thecal_model.text import alarm_name, alarm_rows, failed_text

from thecal_host.desk import style
from thecal_host.desk.session import Session

NOT_HEARD = "Not known: the pump is not heard."
NO_ALARM = "✓ No alarm stands."


def alarm_box(session: Session) -> Callable[[], None]:
    """Every alarm that stands, in colour, mark and word; the function that shows it anew."""
    box = ui.element("div").classes("alarms")
    shown: list[Any] = []

    def look() -> None:
        alarms = session.alarms
        status = session.status or {"first_cause": -1, "state": ""}
        first = "" if status["first_cause"] < 0 else alarm_name(status["first_cause"])
        heard = not session.silence and bool(session.hello)
        what = [alarms["alarms"], first, alarms["failed"], status["state"] == "HALTED", heard]
        if what == shown:
            return
        shown[:] = what
        box.clear()
        with box:
            for priority, code, text in alarm_rows(alarms["alarms"]):
                with ui.element("div").classes(f"alarm {priority}").props(f'data-alarm="{code}"'):
                    mark = f"{style.SHAPES.get(priority, '')} {style.MARKS.get(priority, '')}"
                    with ui.element("span").classes("marks"):
                        ui.label(mark).style("display: inline")
                    ui.label(f"{priority} {code.replace('_', ' ')}: {text}").style("display: inline")
            if not alarms["alarms"]:
                ui.label(NO_ALARM if heard else NOT_HEARD)
            if first:
                ui.label(f"First cause: {first.replace('_', ' ')}").classes("small")
            if alarms["failed"]:
                ui.label(f"Failed: {failed_text(alarms['failed'])}").classes("small")
            if status["state"] == "HALTED":
                ui.label("The pump is HALTED: Acknowledge comes next.").classes("small")

    look()
    return look


def age_text(session: Session) -> str:
    """How long ago the pump was heard, in words."""
    age_s, silence = session.age_s, session.silence
    if age_s is None:
        return f"never heard: {silence}" if silence else "never heard"
    if silence:
        return f"not heard for {age_s:.0f} s: {silence}"
    return "heard just now" if age_s < 2 else f"heard {age_s:.0f} s ago"
