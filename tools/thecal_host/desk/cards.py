"""The live cards of a pump: what it does, what is wrong, how much, how full, what watches it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from nicegui import ui
from thecal.clock import TICKS_PER_HOUR
from thecal.dose.prescription import Prescription
from thecal.forecast import find_low
from thecal_model.rig_words import uncertainty_text, unwatched_rows
from thecal_model.text import (
    clock_text,
    event_text,
    rate_text,
    short_volume,
    volume_text,
)

from thecal_host import vitals
from thecal_host.desk import chart
from thecal_host.desk.alarms import age_text, alarm_box
from thecal_host.desk.pages import Page, state_text
from thecal_host.desk.session import Session
from thecal_host.readbacks import kept_rows

EVENT_LINES = 8
MIN_PER_H = 60

UNPAIRED = "whoever has its port may do everything"
OLD = "What is shown is old, for the pump is not heard"


def show(page: Page) -> None:
    """All of them, as long as the page is open."""
    session = page.session
    old = ui.label().props('data-testid="old"')
    with ui.element("main").classes("cards") as cards:
        for title, name, text in (
            ("State", "state", _state),
            ("Rate", "rate", _rate),
            ("Bolus", "bolus", _bolus),
            ("Pressure and supply", "pressure", _pressure),
            ("Reservoir", "reservoir", _reservoir),
        ):
            _card(page, title, name, text)
            if name == "state":
                with _section("Alarms", "alarms"):
                    page.on_change(alarm_box(session))
        _card(page, "Link and archive", "link", _link, "card wide")
        _delivered(page)
        _events(page)
        _card(page, "Rig", "rig", _rig, "card full")

    def look() -> None:
        silence = session.silence
        old.set_text(f"{OLD}: {silence}" if silence else "")
        old.classes(replace="said no" if silence else "none")
        cards.classes(replace="cards old" if silence else "cards")

    page.on_change(look)


def _section(title: str, name: str, classes: str = "card") -> ui.element:
    section = ui.element("section").classes(classes).props(f'data-testid="card-{name}" aria-label="{title}"')
    with section, ui.element("h2"):
        ui.label(title)
    return section


def _card(
    page: Page, title: str, name: str, text: Callable[[Session], tuple[str, str]], classes: str = "card"
) -> None:
    """One thing in big letters, and what belongs to it in small ones."""
    session = page.session
    with _section(title, name, classes):
        big, small = ui.label().classes("big"), ui.label().classes("small")

    def look() -> None:
        said = ("not known", "") if session.status is None else text(session)
        big.set_text(said[0])
        small.set_text(said[1])

    page.on_change(look)


def _state(session: Session) -> tuple[str, str]:
    assert session.status is not None
    up = clock_text(session.status["tick"] * session.hello["tick_ms"])
    keys = "paired" if session.paired else f"not paired (`thecal pair`): {UNPAIRED}"
    return state_text(session).partition(",")[0], f"since its first boot {up}\n{keys}"


def _rate(session: Session) -> tuple[str, str]:
    assert session.status is not None
    rows: list[tuple[str, str]] = []
    if session.kept is not None and session.rig is not None:
        rows = [
            row for row in kept_rows(session.kept, session.rig) if row[0] in ("mode", "drug", "dose", "rate")
        ]
    programmed = ", ".join(text for _, text in rows)
    return rate_text(session.status["rate_nl_h"]), (
        f"programmed: {programmed}" if programmed else "no therapy is programmed"
    )


def _bolus(session: Session) -> tuple[str, str]:
    status = session.status
    assert status is not None
    big = "none flows"
    if flows := vitals.flowing(status):
        big = f"{flows}: {short_volume(status['bolus_left_nl'])} left"
    lines = []
    left_ms = session.lockout_left_ms
    if status["bolus"] == "patient":
        lines.append("the lockout begins when it ends")
    elif left_ms is not None:
        lines.append(f"lockout: {clock_text(left_ms).partition('.')[0]} left")
    elif session.therapy is not None and session.therapy.patient_bolus is not None:
        lines.append("no lockout runs")
    else:
        lines.append("the therapy has no patient bolus")
    if status["limit_steps"]:
        held, most = (status[key] * session.nl_per_step for key in ("window_steps", "limit_steps"))
        lines.append(f"window of the limit: {short_volume(held)} of {short_volume(most)}")
    return big, "\n".join(lines)


def _pressure(session: Session) -> tuple[str, str]:
    assert session.status is not None
    supply = vitals.supply_text(session.status["supply_raw"], session.rig)
    return vitals.pressures_text(session.status, session.rig), f"motor supply: {supply}"


def _reservoir(session: Session) -> tuple[str, str]:
    status = session.status
    assert status is not None
    if not vitals.reservoir_is_known(status):
        return "not known", "Refill tells the pump what it holds"
    left, _, empty = vitals.reservoir_text(status, session.empty_nl).partition(", ")
    return left, "\n".join(filter(None, (refill_text(session.therapy, status, datetime.now()), empty)))


def refill_text(therapy: Prescription | None, status: dict[str, Any], now: datetime) -> str:
    """By when it has to be refilled: the earliest at which LOW can come, every permitted patient bolus taken,
    at whatever time of the week the pump is.
    """
    if therapy is None:
        return "no therapy is programmed"
    if not therapy.basal:
        return ""
    if status["bridge_left_nl"]:
        return "when to refill is told once the old drug has left the line"
    one = therapy.mechanism.grains_per_step
    left_nl = status["reservoir_ul"] * vitals.NL_PER_UL - therapy.low_nl
    left_steps = therapy.mechanism.grains_of_volume(max(left_nl, 0))[0]
    # At which rate a bolus flows is not told here: as if at once.
    bolus = (therapy.mechanism.grains_of_volume(status["bolus_left_nl"])[0] + 1) * one
    *_, ticks = find_low(therapy, left_steps, one, -1, [(bolus, bolus)])
    hours = Fraction(ticks or 0, TICKS_PER_HOUR)
    date = now + timedelta(minutes=int(hours * MIN_PER_H))
    return f"refill by {date:%Y-%m-%d %H:%M}, in {vitals.span_text(hours)}"


def _rig(session: Session) -> tuple[str, str]:
    rig = session.rig
    if rig is None:
        why = session.hello.get("no_rig", "not told")
        return "none", f"{why}: nothing moves before `thecal rig program FILE` says what hangs on the pins"
    rows = unwatched_rows(rig.unwatched())
    watched = [f"✖ {code.replace('_', ' ')} unwatched: {text}" for code, text in rows] or [
        "✓ everything is watched"
    ]
    lines = [f"{volume_text(rig.nl_per_rev)} a turn, {uncertainty_text(rig)}"]
    if rig.table and session.status is not None:
        lines.append(f"its flow: {vitals.head_text(session.status, rig)}")
    return rig.name, "\n".join([*lines, *watched])


def _link(session: Session) -> tuple[str, str]:
    age = age_text(session)
    kept = f"run {session.run} of the archive" if session.run else f"NOT KEPT: {session.not_kept}"
    return age.partition(":")[0], "\n".join(
        filter(None, (session.silence, kept, session.losses, session.no_keys))
    )


def _delivered(page: Page) -> None:
    """Numbers, and the chart of the last ten minutes."""
    session = page.session
    with _section("Delivered against programmed", "delivered", "card wide"):
        big, small = ui.label().classes("big"), ui.label().classes("small")
        drawn = ui.echart(chart.options(())).style("height: 240px; width: 100%")
    seen = [-1]

    def look() -> None:
        status = session.status
        if status is None or status["tick"] == seen[0]:
            return
        seen[0] = status["tick"]
        made, owed = (status[key] * session.nl_per_step for key in ("executed_steps", "owed_steps"))
        big.set_text(f"{short_volume(made)} of {short_volume(owed)}")
        error = status["executed_steps"] - status["owed_steps"]
        small.set_text(f"since the first boot; error {error:+d} microsteps")
        drawn.options.update(chart.options(list(session.points)))
        drawn.update()

    page.on_change(look)


def _events(page: Page) -> None:
    session = page.session
    with _section("Last events", "events", "card wide"):
        lines = ui.label().classes("small")

    def look() -> None:
        told = list(session.events)[-EVENT_LINES:][::-1]
        tick_ms = session.hello.get("tick_ms", 100)
        lines.set_text(
            "\n".join(f"{clock_text(event['tick'] * tick_ms)}  {event_text(event)}" for event in told)
        )

    page.on_change(look)
