"""The tables of figures that the pages show, made from what `make bench` measured.

Each is a `Sheet`: its place, its header, its rows. `published` writes them. Where two controls were measured,
a row takes the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from thecal_model.text import rate_text

from thecal_bench.benchmarks import occlusion, published, tables
from thecal_bench.benchmarks.boot import Boot
from thecal_bench.benchmarks.motion import LATE, NOMINAL, THECAL, Motion

DELIVERY = (
    ("volume error, largest", False),
    ("interval error, largest", False),
    ("steps lost, both", True),
    ("volume error, largest", True),
)
"""Rows of `tables.case_rows` that are shown, and of which cases: in peace or disturbed. In peace the middle
rate has rows of its own, EVENNESS."""
EVENNESS = ("interval error, median", "edge off an even row, largest")
SHOWN_COMPLIANCE = 1.0  # of the reference line


@dataclass(frozen=True)
class Sheet:
    """A table of figures in a page."""

    page: Path
    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def write(self, command: str = "bench") -> None:
        """Put it into its place."""
        published.write(self.page, self.name, command, self.header, self.rows)

    def differences(self, tolerance: float) -> list[str]:
        """Where the page says something else, a line each."""
        said = published.read(self.page, self.name)
        return published.differences(said, published.figures(self.header, self.rows), tolerance)


def delivery(cases: Sequence[dict[str, Motion]]) -> Sheet:
    """How exact and how even, of the fastest rate in peace and disturbed and of the slower ones."""
    fastest = max(case[THECAL].task.rate_nl_h for case in cases)
    rows = []
    for case in cases:
        task = case[THECAL].task
        names = [name for name, disturbed in DELIVERY if disturbed == task.disturbed]
        of = {row.name: row for row in tables.case_rows(case)}
        for name in names if task.rate_nl_h == fastest else EVENNESS:
            values = of[name].values
            timer = min(abs(values[NOMINAL]), abs(values[LATE]))
            unit = f" {of[name].unit}" if of[name].unit else ""
            cells = (f"{tables.number(abs(value))}{unit}" for value in (values[THECAL], timer))
            rows.append((f"{tables.case_title(task)}: {name.removesuffix(', both')}", *cells))
    return Sheet(published.README, "delivery", ("", "Thecal", "Timer"), rows)


def reset(boots: Sequence[Boot], stock_us: float | None) -> Sheet:
    """From a reset to a motor that is off, and to dosing again."""
    header = ("", "EN driven off", "motor under power before the self-test is over", "motor on", "first step")
    rows = []
    for boot in boots:
        journal = "full journal" if boot.journal_full else "young journal"
        name = f"{rate_text(boot.rate_nl_h)}, {journal}, {boot.reset}"
        step = "" if boot.step_us is None else _ms(boot.step_us)
        en_active = f"{boot.en_active_in_post_us:.0f} us"
        rows.append((name, _ms(boot.en_driven_us), en_active, _ms(boot.motor_on_us), step))
    if stock_us is not None:
        rows.append(("MicroPython's own board, power cycle", _ms(stock_us), "", "", ""))
    return Sheet(published.TESTS, "a reset", header, rows)


def blocked_line(measured: Sequence[occlusion.Row]) -> Sheet:
    """How soon a blocked line is noticed, and what it lets go."""
    header = ("", "volume until the alarm", "time", "threshold", "bound", "released", "drawn back first")
    rows = [
        (
            rate_text(row.rate_ul_h * 1_000),
            _ul(row.trend_nl),
            f"{row.trend_s:,.1f} s",
            _ul(row.threshold_nl),
            _ul(row.floor_nl),
            _ul(row.stored_most_nl),
            _ul(row.left_most_nl),
        )
        for row in measured
        if row.compliance == SHOWN_COMPLIANCE
    ]
    return Sheet(published.TESTS, "a blocked line", header, rows)


def run(rows: Sequence[tuple[str, str]]) -> Sheet:
    """The summary of `make run`, by name and value."""
    return Sheet(published.TESTS, "a run", ("", "`make run`"), rows)


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1_000:,.2f} ms"


def _ul(nanolitres: float) -> str:
    return f"{nanolitres / 1_000:.3f} uL"
