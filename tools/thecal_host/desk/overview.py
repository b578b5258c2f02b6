"""The first page: every pump in a few words, and its STOP."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from nicegui import ui
from thecal_model.rig_words import unwatched_text

from thecal_host.desk import orders, pages
from thecal_host.desk.alarms import age_text, alarm_box
from thecal_host.desk.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from thecal_host.desk.server import Desk

NONE = "No pump is found: plug one in, or start an emulated one with `thecal bench`."


def show(desk: Desk) -> None:
    with pages.frame("Thecal: all pumps") as shell:
        none = ui.label(NONE)
        cards = ui.element("main").classes("cards")
        shown: set[int] = set()

        def look() -> None:
            none.set_visibility(not desk.sessions)
            for number, session in desk.sessions.items():
                if number not in shown:
                    shown.add(number)
                    with cards:
                        shell.shown.append(_card(number, session, shell.say))

        shell.shown.append(look)


def _card(number: int, session: Session, say: Callable[..., Any]) -> Callable[[], None]:
    """One pump; the function that shows it anew."""
    with ui.element("section").classes("card").props(f'data-testid="pump-{number}"'):
        with ui.element("div").classes("head"):
            stop = pages.stop_button(session).style("order: 2")
            with ui.element("div").classes("grow"):
                ui.link(session.name, f"/pump/{number}").classes("name")
                what = ui.label().classes("small")
        state = ui.label().classes("big")
        alarm = alarm_box(session)
        link = ui.label().classes("small")
        unwatched = ui.label().classes("small")
    stop.on_click(partial(pages.carry_out, say, orders.stop, session))

    def look() -> None:
        hello = session.hello
        what.set_text(
            f"{hello.get('product', 'pump')} {hello.get('version', '')}, rig {hello.get('rig', 'none')}"
        )
        state.set_text(pages.state_text(session))
        alarm()
        link.set_text(age_text(session))
        unwatched.set_text(f"not watched: {unwatched_text(hello.get('unwatched', []))}")

    look()
    return look
