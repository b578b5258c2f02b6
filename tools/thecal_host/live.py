"""A run as it happens: one screen that is redrawn on a terminal, plain lines anywhere else.

`Reading` is what is known at one moment, whoever measured it: `from_status` takes it from the pump's own
telemetry, `thecal run` from the plant. `LiveView` shows the last one and the last events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from thecal.dose.prescription import EMPTY_NL
from thecal.rig import Rig
from thecal_model.rig_words import unwatched_text
from thecal_model.text import alarm_name, clock_text, parts_text, short_rate, short_volume

from thecal_host import vitals

# As many as fit under the numbers on a small terminal.
EVENT_LINES = 8

STATE_STYLES = {"RUNNING": "bold green", "STOPPED": "bold yellow", "HALTED": "bold red"}


@dataclass(frozen=True)
class Reading:
    """One moment. What nobody measured is None; volumes in nL, error in microsteps."""

    at_ms: int
    state: str
    rate_nl_h: Fraction
    delivered_nl: Fraction
    programmed_nl: Fraction
    error_steps: Fraction
    pressure: str
    bolus: str = ""
    supply: str = ""
    reservoir: str = ""
    alarm: str = ""
    head: str = ""


def from_status(
    status: dict[str, Any],
    nl_per_step: Fraction,
    tick_ms: int,
    empty_nl: int = EMPTY_NL,
    rig: Rig | None = None,
) -> Reading:
    """The pump's own view: what it owes against the pulses it counted back, on the rig in force."""
    owed_steps, executed_steps = status["owed_steps"], status["executed_steps"]
    flows = vitals.flowing(status)
    bolus = f"{flows}, {short_volume(status['bolus_left_nl'])} left" if flows else ""
    return Reading(
        at_ms=status["tick"] * tick_ms,
        state=status["state"],
        rate_nl_h=Fraction(status["rate_nl_h"]),
        delivered_nl=executed_steps * nl_per_step,
        programmed_nl=owed_steps * nl_per_step,
        error_steps=Fraction(executed_steps - owed_steps),
        pressure=vitals.pressures_text(status, rig),
        bolus=bolus,
        supply=vitals.supply_text(status["supply_raw"], rig),
        reservoir=vitals.reservoir_text(status, empty_nl),
        alarm=_alarm_text(status),
        head=vitals.head_text(status, rig) if rig is not None and rig.table else "",
    )


def _alarm_text(status: dict[str, Any]) -> str:
    """The alarm that is shown, and what failed; empty if nothing is wrong."""
    said = [] if status["alarm"] < 0 else [alarm_name(status["alarm"])]
    if status["failed"]:
        said.append(f"(failed: {parts_text(status['failed'])})")
    return " ".join(said)


class LiveView:
    """Shows readings and events. On a terminal one screen, else one line each. Use as a context.

    `keys` says which keys do what, on the last line of the screen; `unwatched` is what nobody watches for.
    """

    def __init__(
        self,
        title: str,
        console: Console,
        total_ms: int | None = None,
        keys: str = "",
        unwatched: Iterable[str] = (),
    ) -> None:
        self._title = title
        self._keys = keys
        self._unwatched = f"not watched: {unwatched_text(unwatched)}" if unwatched else ""
        self._console = console
        self._total_ms = total_ms
        self._reading: Reading | None = None
        self._events: deque[str] = deque(maxlen=EVENT_LINES)
        self._note = ""
        self._live = (
            Live(console=console, refresh_per_second=8, get_renderable=self._screen)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> LiveView:
        if self._live is not None:
            self._live.start()
        elif self._unwatched:
            self._line(self._unwatched)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, reading: Reading) -> None:
        """Take a new reading. As a line, one a second is enough."""
        last, self._reading = self._reading, reading
        if self._live is None and (last is None or reading.at_ms // 1000 != last.at_ms // 1000):
            what = "" if reading.state in vitals.TURNED else "bolus "
            bolus = f"  {what}{reading.bolus}" if reading.bolus else ""
            more = "".join(
                f"  {name} {text}"
                for name, text in (
                    ("supply", reading.supply),
                    ("alarm", reading.alarm),
                    ("head", reading.head.partition(", ")[0]),
                )
                if text
            )
            self._line(
                f"{clock_text(reading.at_ms):>9}  {reading.state:8} {short_rate(reading.rate_nl_h):>16}  "
                f"delivered {short_volume(reading.delivered_nl)} of {short_volume(reading.programmed_nl)}  "
                f"error {float(reading.error_steps):+.2f} microsteps  "
                f"pressure {reading.pressure}{more}{bolus}"
            )

    def event(self, line: str) -> None:
        """Take an event, a line of its own."""
        self._events.append(line)
        if self._live is None:
            self._line(line)

    def note(self, text: str) -> None:
        """A word about the run itself, as what it waits for."""
        if text != self._note and self._live is None and text:
            self._line(text)
        self._note = text

    def _line(self, text: str) -> None:
        # Not print: a pipe must get one line per reading, however narrow rich thinks it is.
        self._console.out(text, highlight=False)

    def _screen(self) -> Panel:
        if self._reading is None:
            text = Text(self._note or "waiting for the first status", style="dim")
            return Panel(Text("\n").join([text, Text(self._keys, style="bold")]), title=self._title)
        reading = self._reading
        numbers = Table.grid(padding=(0, 2))
        numbers.add_column(justify="right", style="dim")
        numbers.add_column(min_width=26)
        numbers.add_column(justify="right", style="dim")
        numbers.add_column(min_width=22)
        style = "" if abs(reading.error_steps) <= 1 else "red"
        error = Text(f"{float(reading.error_steps):+.2f} microsteps", style=style)
        numbers.add_row(
            "state",
            Text(reading.state, style=STATE_STYLES.get(reading.state, "bold")),
            "delivered",
            short_volume(reading.delivered_nl),
        )
        numbers.add_row(
            "rate", short_rate(reading.rate_nl_h), "programmed", short_volume(reading.programmed_nl)
        )
        numbers.add_row("bolus", reading.bolus or "none", "error", error)
        at = clock_text(reading.at_ms) + (f" of {clock_text(self._total_ms)}" if self._total_ms else "")
        numbers.add_row("time", at, "pressure", reading.pressure)
        if reading.supply or reading.reservoir:
            numbers.add_row("supply", reading.supply, "reservoir", reading.reservoir)
        if reading.alarm:
            numbers.add_row("alarm", Text(reading.alarm, style="bold red"))
        parts: list[Any] = [numbers]
        if reading.head:
            parts.append(Text(f"head: {reading.head}"))
        if self._total_ms:
            parts.append(ProgressBar(total=self._total_ms, completed=min(reading.at_ms, self._total_ms)))
        if self._unwatched:
            parts.append(Text(self._unwatched, style="yellow"))
        if self._events:
            parts.append(Text("\n" + "\n".join(self._events), style="dim"))
        if self._note:
            parts.append(Text(self._note, style="italic"))
        if self._keys:
            parts.append(Text(self._keys, style="bold"))
        return Panel(Group(*parts), title=self._title, expand=False)
