"""How evenly a head gives with its table and without: `python -m thecal_bench.benchmarks.pulsation`.

Two heads of the plant, in-process: the sine of 40 % and a roller whose dip takes back. Of each the pulsation
of flow and of outflow (`thecal_bench.pulsation`) and the trumpet curve of what left the catheter in the
second hour (`thecal_host.weighing.accuracy`), both at RATE_NL_H: a pitch takes four minutes there, so the
shorter windows show it. The table is the head's own; what `thecal calibrate --pulsation` finds of it, its
tests show.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from thecal import rig as wire
from thecal_host.weighing.accuracy import Accuracy, judge
from thecal_host.weighing.series import Series
from thecal_model.link import LinkClient
from thecal_model.rig import reference
from thecal_model.text import rate_text

from thecal_bench.benchmarks import published
from thecal_bench.displacement import table_of
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench, Evenness, evenness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATE_NL_H = 500_000
TO_MARK_STEPS = 30
TURN_TICKS = 580  # at TURN_NL_H nearly a turn
TURN_NL_H = 6_000_000
MARK_TICKS = 250
TICKS_PER_HOUR = 36_000
HOURS = 2
SAMPLE_TICKS = 300
PICTURE = Path(__file__).resolve().parents[3] / "host_tests" / "pictures" / "trumpet.png"

HEADS = {
    "sine of 40 %": PlantParameters(pulsation_percent=Fraction(40)),
    "dip of 150 %, which takes back": PlantParameters(dip_percent=Fraction(150)),
}


@dataclass(frozen=True)
class Given:
    """Of one head with a table, or without."""

    head: str
    evened: bool
    even: Evenness
    trumpet: Accuracy


class _Desk:
    """A pump in this process."""

    def __init__(self, parameters: PlantParameters, table: Sequence[int]) -> None:
        given = reference().tables
        rig = wire.read({**given, "head": {**given["head"], "table": list(table)}})
        self.start_steps = REFERENCE.steps_per_rev - TO_MARK_STEPS
        self.plant = Plant(parameters, rig=rig, angle_steps=self.start_steps)
        self.bench = EdgeBench(self.plant)
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.statuses: deque[dict[str, Any]] = deque(maxlen=1)
        self.client.on_status = self.statuses.append
        self.run(30)

    def run(self, ticks: int) -> None:
        self.bench.advance_to_tick(self.bench.tick + ticks)

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        number = self.client.request(cmd, **arguments)
        while (reply := self.client.reply(number)) is None:
            self.run(1)
        if not reply["ok"]:
            raise RuntimeError(f"{cmd}: {reply['message']}")
        return reply

    def start(self, rate_nl_h: int) -> None:
        therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
        self.ask("confirm", digest=self.ask("program", therapy=therapy)["digest"])
        self.ask("start")

    def go_over_mark(self) -> None:
        self.start(RATE_NL_H)
        self.run(MARK_TICKS)
        self.ask("stop")


def measure(head: str, evened: bool) -> Given:
    """Two hours of one of HEADS at RATE_NL_H, once its mark has come twice."""
    parameters = HEADS[head]
    table = table_of(parameters, REFERENCE) if evened else []
    desk = _Desk(parameters, table)
    desk.go_over_mark()
    desk.start(TURN_NL_H)
    desk.run(TURN_TICKS)
    desk.ask("stop")
    desk.go_over_mark()
    desk.start(RATE_NL_H)
    begun, start_ns = len(desk.bench.edges_ns), desk.bench.now_ns
    start_nl = desk.plant.outflow_nl(start_ns)
    times_s, volumes_nl = [0.0], [0.0]
    for _ in range(HOURS * TICKS_PER_HOUR // SAMPLE_TICKS + 1):
        desk.run(SAMPLE_TICKS)
        now_ns = desk.bench.now_ns
        times_s.append((now_ns - start_ns) * 1e-9)
        volumes_nl.append(desk.plant.outflow_nl(now_ns) - start_nl)
    if bool(desk.statuses[-1]["compensated"]) != evened:
        raise RuntimeError(f"{head}: the table is {'not ' if evened else ''}in force")
    positions = [desk.start_steps + position for position in desk.bench.positions[begun:]]
    even = evenness(desk.bench.edges_ns[begun:], positions, parameters, REFERENCE, table)
    return Given(head, evened, even, judge(Series("the plant", times_s, volumes_nl, float(RATE_NL_H))))


def rows(found: Sequence[Given]) -> list[tuple[str, ...]]:
    """Of each head a row for what is measured: without the table, with it."""
    table = []
    for plain, evened in zip(found[::2], found[1::2], strict=True):
        both = (plain.even, evened.even)
        table.append((f"{plain.head}: flow, peak to peak", *(f"{100 * even.flow:.2f} %" for even in both)))
        table.append((f"{plain.head}: outflow", *(f"{100 * even.outflow:.2f} %" for even in both)))
        for place, window in enumerate(plain.trumpet.windows):
            widest = [
                max(given.trumpet.windows[place].most_percent, -given.trumpet.windows[place].least_percent)
                for given in (plain, evened)
            ]
            name = f"{plain.head}: window of {window.minutes} min"
            table.append((name, *(f"{percent:.2f} %" for percent in widest)))
    return table


def figure_of(found: Sequence[Given]) -> Figure:
    """Trumpet curves of each head, with the table and without."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from thecal_host.picture import DELIVERED_COLOUR, DENIED_COLOUR, MARK_COLOUR

    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(found) // 2, sharey=True)
    for place, axes in enumerate(panels):
        for given in found[2 * place : 2 * place + 2]:
            colour = DELIVERED_COLOUR if given.evened else DENIED_COLOUR
            label = "with the head's table" if given.evened else "without"
            minutes = [window.minutes for window in given.trumpet.windows]
            most = [window.most_percent for window in given.trumpet.windows]
            least = [window.least_percent for window in given.trumpet.windows]
            axes.plot(minutes, most, marker="o", color=colour, label=label)
            axes.plot(minutes, least, marker="o", color=colour)
            axes.fill_between(minutes, least, most, color=colour, alpha=0.15)
        axes.axhline(0, color=MARK_COLOUR, linewidth=0.9)
        axes.set_title(found[2 * place].head)
        axes.set_xlabel("observation window [min]")
        axes.set_xticks(minutes)
        axes.legend(frameon=False)
    panels[0].set_ylabel("largest flow errors Ep [%]")
    figure.suptitle(f"Trumpet curves at {rate_text(RATE_NL_H)}: what left the catheter in the second hour")
    return figure


def main() -> None:
    """Measure, print, draw, and write the table into its page."""
    found = [measure(head, evened) for head in HEADS for evened in (False, True)]
    header = ("", "without", "with the head's table")
    table = Table(*header, title=f"Pulsation at {rate_text(RATE_NL_H)}")
    for row in rows(found):
        table.add_row(*row)
    Console().print(table)
    PICTURE.parent.mkdir(exist_ok=True)
    figure_of(found).savefig(PICTURE, dpi=100)
    published.write(published.TESTS, "pulsation", "bench", header, rows(found))


if __name__ == "__main__":
    main()
