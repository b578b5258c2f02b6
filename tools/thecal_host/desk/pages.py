"""The pages: what stands at the head of each, the ways between them, and which there are.

The head of a pump's page never scrolls away: its name, its state, its most urgent alarm, and STOP, the first
thing that the keyboard reaches. A page is made anew for each browser; its timer looks whether the session has
heard something since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nicegui import ui
from thecal_model.text import alarm_name, short_rate

from thecal_host.desk import style
from thecal_host.desk.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from thecal_host.desk.server import Desk

LOOK_S = 0.5

NOTHING = "What becomes of an order is said here."
NEVER = "A bench prototype: never for use on a person or an animal, never with a drug in it."

WAYS = (("", "Live"), ("therapy", "Therapy"), ("calibration", "Calibration"), ("log", "Log"))
"""The pages of a pump: the end of the address, and what it is called."""


def register(desk: Desk) -> None:
    """Make all pages known. Once in a process."""
    from thecal_host.desk import calibrating, cards, drive, logs, overview, programming, reports

    ui.page("/")(lambda: overview.show(desk))

    def live(page: Page) -> None:
        drive.show(page)
        cards.show(page)
        reports.show(page)

    shown = {"": live, "therapy": programming.show, "calibration": calibrating.show, "log": logs.show}
    for end, name in WAYS:
        path = f"/pump/{{number}}/{end}".rstrip("/")
        ui.page(path, title=f"{name} - Thecal")(_page_of(desk, end, shown[end]))


def _page_of(desk: Desk, end: str, show: Callable[[Page], None]) -> Callable[..., None]:
    def page(number: int) -> None:
        session = desk.sessions.get(number)
        if session is None:
            with frame("Thecal"):
                ui.label(f"There is no pump {number} on this desk.")
            return
        with frame(session.name, session, lambda: _ways(number, end)) as shell:
            show(Page(session, number, shell))

    return page


def _ways(number: int, here: str) -> None:
    """Links to the pages of a pump."""
    with ui.element("nav").classes("ways").props('aria-label="Pages of this pump"'):
        ui.link("All pumps", "/")
        for end, name in WAYS:
            link = ui.link(name, f"/pump/{number}/{end}".rstrip("/"))
            if end == here:
                link.props('aria-current="page"')


class Page:
    """One page of one pump: `on_change` calls what shows, `give` sends, `say` tells, `asking` asks."""

    def __init__(self, session: Session, number: int, shell: Shell) -> None:
        self.session = session
        self.number = number
        self.say = shell.say
        self._shell = shell

    def on_change(self, show: Callable[[], None]) -> None:
        """Call it now, and whenever the page looks again."""
        self._shell.shown.append(show)
        show()

    @contextmanager
    def asking(self, title: str) -> Iterator[Callable[[], None]]:
        """A question on the page itself, not before it: Stop stays within reach. Gives what takes it away."""
        box = self._shell.asked
        box.clear()
        box.classes(remove="none")

        def away() -> None:
            box.clear()
            box.classes("none")

        with box:
            with ui.element("h2"):
                ui.label(title)
            yield away
        box.run_method("scrollIntoView", {"block": "nearest"})

    async def give(self, order: Callable[..., Any], *given: Any) -> Any:
        """Carry out an order beside this page, and tell what came of it; None where it was refused."""
        return await carry_out(self.say, order, self.session, *given)


async def carry_out(say: Callable[..., None], order: Callable[..., Any], *given: Any) -> Any:
    """What an order gives, told if it is a sentence; None where it was refused, which is told."""
    from thecal_host.desk.orders import MENDABLE

    say("Sent to the pump, which has not answered yet.")
    try:
        found = await asyncio.to_thread(order, *given)
    except MENDABLE as why:
        say(str(why), refused=True)
        return None
    say(found if isinstance(found, str) else "")
    return found


class Shell:
    """What each page has: the line that tells what came of an order, the place of a question, and the list of
    what is shown anew.
    """

    def __init__(self) -> None:
        self.shown: list[Callable[[], None]] = []
        self._said = ui.label(NOTHING).classes("said quiet").props('role="status" data-testid="said"')
        self.asked = ui.element("section").classes("card asked none").props('data-testid="asked"')

    def say(self, text: str, refused: bool = False) -> None:
        """Tell, with the time of day, as it goes on standing there; nothing to take back what was told. The
        line keeps its place, so that no button moves.
        """
        self._said.set_text(f"{datetime.now():%H:%M:%S}  {text}" if text else NOTHING)
        self._said.classes(replace="said quiet" if not text else "said no" if refused else "said")


@contextmanager
def frame(
    title: str, session: Session | None = None, ways: Callable[[], None] = lambda: None
) -> Iterator[Shell]:
    """The head, what `ways` makes below it, and the foot; within stands the page."""
    ui.add_css(style.CSS)
    ui.colors(primary=style.PRIMARY)
    heads: list[Callable[[], None]] = []
    with ui.header(elevated=True), ui.element("div").classes("head"):
        stop = None if session is None else stop_button(session)
        with ui.element("div").classes("grow"):
            ui.label(title).classes("name").props('role="heading" aria-level="1"')
            if session is not None:
                state = ui.label().classes("sub").props('data-testid="head-state"')
                alarm = ui.label().classes("none").props('data-testid="head-alarm" role="alert"')
                heads.append(lambda: _show_head(session, state, alarm))
        if stop is not None:
            # After the name for the eye, before it for the keyboard.
            stop.style("order: 2")
    ways()
    shell = Shell()
    shell.shown += heads
    if stop is not None and session is not None:
        from thecal_host.desk import orders

        stop.on_click(lambda: carry_out(shell.say, orders.stop, session))
    yield shell
    ui.label(NEVER).classes("never")

    def look() -> None:
        for show in shell.shown:
            show()

    look()
    ui.timer(LOOK_S, look)


def stop_button(session: Session) -> ui.button:
    """What it does is for who makes it to say."""
    button = ui.button("■ Stop", color=None).classes("stop")
    return button.props(f'no-caps unelevated accesskey="s" aria-label="Stop the pump {session.name}"')


def state_text(session: Session) -> str:
    """State and rate, or why neither is known."""
    status = session.status
    silence = session.silence
    if status is None or silence:
        return f"NOT HEARD: {silence}"
    mark = style.STATES.get(status["state"], "")
    return f"{mark} {status['state']}, {short_rate(status['rate_nl_h'])}".strip()


def alarm_line(session: Session) -> str:
    """The most urgent alarm in a few words; empty if none stands."""
    status = session.status
    if status is None or status["alarm"] < 0:
        return ""
    code = alarm_name(status["alarm"])
    priority = next((urgent for name, urgent in session.alarms["alarms"] if name == code), "")
    return f"{style.SHAPES.get(priority, '')} {priority} ALARM: {code.replace('_', ' ')}".strip()


def _show_head(session: Session, state: ui.label, alarm: ui.label) -> None:
    state.set_text(state_text(session))
    line = alarm_line(session)
    if line != alarm.text:
        alarm.set_text(line)
        urgent = next((priority for priority in style.SHAPES if priority in line), "")
        alarm.classes(replace=f"flag {urgent}" if line else "none")
