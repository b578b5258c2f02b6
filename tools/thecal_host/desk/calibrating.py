"""The guided calibration on its page: what comes, what is asked now, what it says in the end."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from thecal_model.quantities import QuantityError

from thecal_host import ports
from thecal_host.desk import orders, proposals
from thecal_host.desk.course import COURSES, GRAMS, RIG, YES, Beaker, Course, Question
from thecal_host.desk.pages import Page
from thecal_host.readbacks import meant
from thecal_host.weighing import WeighingError
from thecal_host.weighing.balance import BAUD

BEFORE = (
    "Nobody may be connected. Put a beaker of water on a balance, the end of the line into the water and off "
    "the glass, a film of oil on it. The pump turns, you weigh (or the balance tells), three times at least."
)
MOST_REVOLUTIONS, LEAST_WEIGHINGS, MOST_WEIGHINGS = 1_000, 3, 31
LEAST_BAUD, MOST_BAUD = 300, 115_200


def show(page: Page) -> None:
    """Before it, while it goes on, after it."""
    name = page.session.name
    box = ui.element("section").classes("card").style("width: 100%").props('data-testid="calibration"')
    seen: list[Any] = []

    def look() -> None:
        course = COURSES.get(name)
        now = None if course is None else [course, len(course.told), course.question, course.over]
        if seen and seen[0] == now:
            return
        seen[:] = [now]
        box.clear()
        with box:
            if course is not None:
                _under_way(page, course)
            if course is None or course.over:
                _before(page)

    page.on_change(look)


def _before(page: Page) -> None:
    with ui.element("h2"):
        ui.label("Calibrate the head by weight")
    ui.label(BEFORE)
    with ui.element("div").classes("form"):
        rate = ui.input("At the rate", placeholder="that of the therapy in force").props("stack-label")
        turns = ui.number("Turns each time", value=10, min=1, max=MOST_REVOLUTIONS, precision=0)
        often = ui.number("Weighings", value=3, min=LEAST_WEIGHINGS, max=MOST_WEIGHINGS, precision=0)
        celsius = ui.number("Water, C", value=20.0, min=0, max=40)
        balance = ui.input(
            "Balance at the serial port", placeholder="none: you type what it shows", autocomplete=_balances()
        )
        baud = ui.number("Its baud rate", value=BAUD, min=LEAST_BAUD, max=MOST_BAUD, precision=0)
        loss = ui.input("Of the beaker evaporates", placeholder="as in 1 mg/h; not known")
        stands = ui.input("First weigh what evaporates, for", placeholder="as in 10 min; not at all")
    rate.props('data-testid="rate"')
    turns.props('data-testid="turns"')
    for field, name in ((balance, "balance"), (loss, "evaporation"), (stands, "stopped-for")):
        field.props(f'stack-label data-testid="{name}"')

    def begin() -> None:
        try:
            if not LEAST_BAUD <= (baud.value or 0) <= MOST_BAUD:
                raise WeighingError(f"expected a baud rate of {LEAST_BAUD} to {MOST_BAUD}")
            beaker = Beaker(balance.value or "", int(baud.value or 0), loss.value or "", stands.value or "")
            given = int(turns.value or 0), int(often.value or 0), float(celsius.value or 0)
            if not (1 <= given[0] <= MOST_REVOLUTIONS and LEAST_WEIGHINGS <= given[1] <= MOST_WEIGHINGS):
                raise WeighingError(f"expected 1 to {MOST_REVOLUTIONS} turns, three weighings at least")
            course = Course(page.session, rate.value or "", *given, beaker)
        except (QuantityError, WeighingError, *orders.MENDABLE) as why:
            page.say(str(why), refused=True)
            return
        COURSES[page.session.name] = course
        course.start()

    button = ui.button("Begin", on_click=begin).props('no-caps data-testid="begin"')
    button.style("align-self: flex-start")
    reason = orders.why_not(page.session, "jog")
    button.set_enabled(not reason)
    ui.label(reason).classes("why")


def _under_way(page: Page, course: Course) -> None:
    for line in course.told:
        ui.label(line)
    if course.question is not None:
        _asked(page, course, course.question)
    elif not course.over:
        ui.label("It goes on by itself. Stop ends what turns.").classes("small")
        _end_button(course)
    if course.why:
        ui.label(course.why).classes("said no").props('data-testid="ended"')
    if course.result:
        proposals.table(course.result, "The calibration says:")


def _asked(page: Page, course: Course, question: Question) -> None:
    """The question that the course waits with."""

    def give(answer: Any) -> None:
        try:
            course.answer(answer)
        except WeighingError as why:
            page.say(str(why), refused=True)

    with ui.element("div").classes("card asked").props('data-testid="question"'):
        ui.label(question.text)
        grams = ui.input("Grams", placeholder="as in 12.3456").props('stack-label data-testid="grams"')
        grams.on("keydown.enter", lambda: give(grams.value or ""))
        grams.set_visibility(question.kind == GRAMS)
        ticks: dict[str, ui.checkbox] = {}
        if question.kind == RIG and question.proposal is not None:
            proposals.table(question.rows, "The pump read back:")
            ticks = {name: ui.checkbox(f"{meant(name)}. That is meant.") for name in question.proposal.soft}

        def confirm() -> None:
            accepted = [name for name, tick in ticks.items() if tick.value]
            if len(accepted) == len(ticks):
                give(accepted)
            else:
                page.say("Each of these has to be meant before it is confirmed.", refused=True)

        with ui.element("div").classes("actions"):
            if question.kind == GRAMS:
                ui.button("That is what it shows", on_click=lambda: give(grams.value or "")).props("no-caps")
            elif question.kind == YES:
                ui.button("Yes", on_click=lambda: give(YES)).props("no-caps")
            else:
                ui.button("Confirm", on_click=confirm).props('no-caps data-testid="confirm"')
            if question.may_be_no:
                ui.button("No", on_click=lambda: give("no")).props("no-caps outline")
            _end_button(course)


def _end_button(course: Course) -> None:
    button = ui.button("End it here", on_click=course.end).props("no-caps outline")
    button.style("align-self: flex-start")


def _balances() -> list[str]:
    """The serial ports that are no pump."""
    return [port.name for port in ports.find_ports() if not port.is_pump]
