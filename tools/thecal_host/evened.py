"""What a head's table is worth: `python -m thecal_host.evened`.

On the in-process bench two heads, one whose flow goes up and down like a sine and one whose roller takes
back besides, are weighed as by `thecal calibrate --pulsation`. Each then runs without a table and with the
one that was found: how even its flow is (`thecal_bench.pulsation`), and its start-up and trumpet curves over
each other, in a picture. `make bench` writes the page's figures and picture by it. It runs for as long as the
longest window of the trumpet needs that is looked at for rates of microlitres an hour.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from thecal import rig as wire
from thecal_bench.balance import BalanceParameters, ModelBalance
from thecal_bench.benchmarks import pages
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench, Evenness, evenness
from thecal_model.rig import reference
from thecal_model.text import rate_text

from thecal_host.pump import Pump
from thecal_host.python.bench_port import TICKS_PER_S, BenchPort
from thecal_host.weighing import evening
from thecal_host.weighing.accuracy import (
    BEGIN_MIN,
    LONG_WINDOWS_MIN,
    SAMPLE_S,
    STARTUP_MIN,
    Accuracy,
    judge,
)
from thecal_host.weighing.balance import Balance, Weight
from thecal_host.weighing.chart import draw_beside
from thecal_host.weighing.motion import Mover
from thecal_host.weighing.series import Series
from thecal_host.weighing.trace import Trace

FOLDER = Path(__file__).resolve().parents[2] / "build" / "evened"
PAGE = Path(__file__).with_name("weighing") / "README.md"
PICTURE = Path(__file__).with_name("pictures") / "evened.png"
RATE_NL_H = 500_000
PITCHES = 12
RUN_MIN = BEGIN_MIN + max(LONG_WINDOWS_MIN)
ANGLE_STEPS = 2_345
"""Where the rotor stands at first: anywhere."""

LEARN_S = 1_750
"""Two index marks and a half come by at RATE_NL_H: a table with a dip is used from the second one on."""

WITHOUT, WITH = "without a table", "with the table that was found"


@dataclass(frozen=True)
class Head:
    """A head, and how fine a balance it is weighed on."""

    name: str
    parameters: PlantParameters
    digit_g: float


HEADS = (
    Head("sine", PlantParameters(pulsation_percent=Fraction(40)), 1e-4),
    Head(
        "roller that takes back",
        PlantParameters(pulsation_percent=Fraction(40), dip_percent=Fraction(150)),
        1e-5,
    ),
)


class _ModelScale(Balance):
    """The modelled balance under a plant, read at once."""

    name = "model"

    def __init__(self, plant: Plant, bench: EdgeBench, digit_g: float) -> None:
        lost = {"evaporation_g_h": 4e-3, "drift_g_h": 1e-4}
        of_balance = BalanceParameters(resolution_g=digit_g, noise_g=digit_g, **lost)
        self._model = ModelBalance(plant.outflow_nl, of_balance)
        self._bench = bench
        self._digit_g = digit_g

    def grams(self) -> Weight:
        grams, still = self._model.shows(self._bench.now_ns)
        return Weight(grams, still, self._digit_g)


def connected(plant: Plant) -> tuple[EdgeBench, Pump]:
    """A pump on that plant, in this process."""
    bench = EdgeBench(plant)
    port = BenchPort(bench)
    pump = Pump(port, port.clock_s)
    pump.sleep = lambda seconds: wait(bench, seconds)
    pump.connect()
    return bench, pump


def wait(bench: EdgeBench, seconds: float) -> None:
    """Let the bench go on."""
    bench.advance_to_tick(bench.tick + round(TICKS_PER_S * seconds))


def weighed(head: Head, folder: Path) -> list[int]:
    """The table that is found for a head."""
    plant = Plant(head.parameters, angle_steps=ANGLE_STEPS)
    bench, pump = connected(plant)
    setting = evening.setting_of(plant.rig, RATE_NL_H, 20.0, True)
    trace = Trace(folder / f"{head.name}.ndjson", setting, pump.tick_ms / 1000)
    mover = Mover(pump, setting.fast_nl_h, lambda said: None)
    scale = _ModelScale(plant, bench, head.digit_g)
    course = evening.Course(trace, mover, scale, lambda seconds: wait(bench, seconds), lambda text: None)
    course.prime()
    course.run(PITCHES)
    return evening.result_of(trace).table.entries


def run(head: Head, table: list[int]) -> tuple[Evenness, Accuracy]:
    """A head by that table, once the pump knows its phase: how even the first two hours are, and the curves
    of RUN_MIN.
    """
    tables = reference().tables
    rig = wire.read({**tables, "head": {**tables["head"], "table": table}})
    plant = Plant(head.parameters, rig=rig, angle_steps=ANGLE_STEPS)
    bench, pump = connected(plant)
    pump.confirm(pump.propose({"mode": "continuous", "rate_num": RATE_NL_H, "rate_den": 1}))
    pump.ask("start")
    wait(bench, LEARN_S)
    pump.ask("stop")
    wait(bench, evening.REST_S)
    begun_nl, first = plant.outflow_nl(bench.now_ns), len(bench.edges_ns)
    pump.ask("start")
    times_s, volumes_nl = [0.0], [0.0]
    last = None
    for number in range(1, int(RUN_MIN * 60 / SAMPLE_S) + 1):
        if number * SAMPLE_S > STARTUP_MIN * 60 and last is None:
            last = len(bench.edges_ns)
        wait(bench, SAMPLE_S)
        times_s.append(number * SAMPLE_S)
        volumes_nl.append(plant.outflow_nl(bench.now_ns) - begun_nl)
    series = Series(f"{head.name}, {WITH if table else WITHOUT}", times_s, volumes_nl, float(RATE_NL_H))
    # The first steps make up for what was owed at the stop.
    first += 100
    positions = [ANGLE_STEPS + position for position in bench.positions[first:last]]
    even = evenness(bench.edges_ns[first:last], positions, head.parameters, REFERENCE, table)
    return even, judge(series)


def measure() -> list[pages.Sheet]:
    """Weigh both heads, run both, draw both; what the page shows of it: pulsation, and the trumpets."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []
    trumpets: dict[int, list[str]] = {}
    header = ["window"]
    for head in HEADS:
        with tempfile.TemporaryDirectory() as folder:
            table = weighed(head, Path(folder))
        plain, even = run(head, []), run(head, table)
        for what in ("flow", "outflow"):
            before, after = getattr(plain[0], what), getattr(even[0], what)
            shares = f"{100 * before:.1f} %", f"{100 * after:.2f} %"
            rows.append((f"{head.name}, {what}", *shares, f"{before / after:.0f}"))
        for name, accuracy in ((WITHOUT, plain[1]), (WITH, even[1])):
            header.append(f"{head.name}, {name}")
            for window in accuracy.windows:
                worst = max(window.most_percent, -window.least_percent)
                trumpets.setdefault(window.minutes, []).append(f"{worst:.3f} %")
        draw_beside(
            f"{head.name}, {rate_text(RATE_NL_H)}", {WITHOUT: plain[1], WITH: even[1]}, picture_of(head)
        )
    return [
        pages.Sheet(PAGE, "evened", ("pulsation", WITHOUT, WITH, "times less"), rows),
        pages.Sheet(
            PAGE, "trumpets", header, [(f"{minutes} min", *found) for minutes, found in trumpets.items()]
        ),
    ]


def picture_of(head: Head) -> Path:
    """Where its picture goes."""
    return FOLDER / f"{head.name.replace(' ', '_')}.png"


def main() -> None:
    """Measure, and write what the page shows."""
    for sheet in measure():
        sheet.write()
    shutil.copyfile(picture_of(HEADS[-1]), PICTURE)
    print(f"written into {PAGE}, and {PICTURE}")


if __name__ == "__main__":
    main()
