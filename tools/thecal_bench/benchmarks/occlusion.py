"""How soon a blocked line is noticed, and what it then holds: `python -m thecal_bench.benchmarks.occlusion`.

For each rate and compliance some pumps run open for a while, then all lines are blocked, and the pump's
detector (in `vectorised_occlusion`, the same word for word) runs until it alarms. The motor stops at the
alarm. Then what the line holds is drawn back as the detector says: half of it, two seconds' wait, and again,
until it says next to nothing. Beside it:

    threshold   a plain one, as pumps have it: 10 psi over the open line's pressure. That is C * 10 psi of
                volume
    floor       no detector at all can be faster on average if it may be wrong once in 10^5 h: Lorden's
                bound. Told everything (C, R, flow, every step, a line without drift) but the moment, it
                must have gathered information of ln(10^5 h in samples) = 22: the sum of d^2 / (2 s^2)
                over the samples since onset, d what blocked and open line differ by in a sample, s the
                noise and the rounding of the converter
    innocent    what flows into a blocked line until it shows 1 kPa. A detector that only sees the
                pressure and must not take a change of back pressure by 1 kPa, at any pace, for an
                occlusion cannot be faster

Released is what leaves the catheter when the block goes away: all that the line holds above its rest, or
what the draw-back has left of that, either sign. Drift is that of the reference sensor, 5 K/day, up in
one half of the pumps and down in the other.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from thecal.watch.occlusion import THRESHOLD_PA, TREND, Occlusion
from thecal_model.text import rate_text

from thecal_bench.lives import DAILY_PA
from thecal_bench.vectorised_occlusion import (
    COMPLIANCE_NL_PA,
    LSB_PA,
    RESISTANCE_PA_ML_H,
    STEP_NL,
    TICKS_PER_H,
    Array,
    Detectors,
    Lines,
    Motors,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUT = Path(__file__).resolve().parents[3] / "build" / "bench"
RATES_UL_H = (2, 5, 10, 30, 100, 300, 1_000)
COMPLIANCES = (0.5, 1.0, 1.5)  # of the reference
PUMPS = 64  # of each rate and compliance
QUICK_PUMPS = 4
SEED = 4
NOISE_PA = 100.0
BACK_PA = 1_000.0
DRIFT_PA_H = 2 * DAILY_PA / 24
OPEN_STEPS = 8  # while the line is open, half a minute at least
OPEN_TICKS = 300
REST_TICKS = 20  # without a step, for the samples
DRAW_BACKS = 12
ENOUGH_NL = 50
MOST_UL = 5  # after that the detector has failed
FALSE_ALARM_H = 100_000
INNOCENT_PA = 1_000
BOUND_UL = 1.0  # OCC-03, from 2 to 100 uL/h
BOUND_RELEASED_UL = 0.3  # OCC-05


@dataclass(frozen=True)
class Row:
    """One rate and compliance. Volumes in nL since onset, times in s; trend's are mean and largest."""

    rate_ul_h: int
    compliance: float
    missed: int
    trend_nl: float
    trend_most_nl: float
    trend_s: float
    threshold_nl: float
    threshold_s: float
    floor_nl: float
    floor_s: float
    innocent_nl: float
    stored_nl: float  # all would be released without draw-back
    stored_most_nl: float
    left_most_nl: float  # of it after draw-back, largest of either sign

    @property
    def to_floor(self) -> float:
        return self.trend_nl / self.floor_nl


@dataclass(frozen=True)
class Blocked:
    """What became of some pumps of one rate and compliance."""

    missed: int
    volumes_nl: Array
    seconds: Array
    stored_nl: Array
    left_nl: Array


def blocked(rate_ul_h: float, compliance: float, pumps: int, seed: int = SEED, **calibration: int) -> Blocked:
    """Run the pumps until all have alarmed."""
    rng = np.random.default_rng([seed, int(rate_ul_h * 1000), int(compliance * 1000)])
    line_c = np.full(pumps, COMPLIANCE_NL_PA * compliance)
    lines = Lines(line_c, np.full(pumps, RESISTANCE_PA_ML_H), np.float64)
    phase = (np.arange(pumps) + 0.5) / pumps  # of the step that comes next
    motors, detectors = Motors(np.full(pumps, float(rate_ul_h)), phase), Detectors(pumps, **calibration)
    drift = np.where(np.arange(pumps) % 2, 1, -1) * DRIFT_PA_H / TICKS_PER_H
    per_tick = rate_ul_h * 1_000 / STEP_NL / TICKS_PER_H
    onset = max(OPEN_TICKS, math.ceil(OPEN_STEPS / per_tick))
    most = onset + math.ceil(MOST_UL * 1_000 / STEP_NL / per_tick)
    volume = np.zeros(pumps)
    alarm_tick = np.zeros(pumps, dtype=int)
    alarm_nl = np.zeros(pumps)
    alarmed: dict[int, Occlusion] = {}

    def run(tick: int, steps: Array) -> Array:
        lines.flow(steps)
        pressure = lines.pressures(BACK_PA + drift * tick, rng.normal(0, NOISE_PA, pumps))
        return detectors.update(np.maximum(steps, 0), pressure)

    tick = 0
    while tick < most and len(alarmed) < pumps:
        if tick == onset:
            lines.block(slice(None))
        steps = motors.tick()
        steps[alarm_tick > 0] = 0
        volume += steps * (STEP_NL if tick >= onset else 0)
        for lane in map(int, run(tick, steps)):
            if lane not in alarmed and detectors.word("alarm")[lane] == TREND and tick >= onset:
                alarm_tick[lane], alarm_nl[lane] = tick, volume[lane]
                alarmed[lane] = detectors.one_like(lane)
        tick += 1
    stored = lines.excess_pa * line_c
    for _ in range(DRAW_BACKS):
        for _ in range(REST_TICKS):
            run(tick, np.zeros(pumps, dtype=np.int32))
            tick += 1
        back = np.zeros(pumps, dtype=np.int32)
        for lane, detector in alarmed.items():
            detector.sample_16 = int(detectors.word("sample_16")[lane])
            if detector.stored_nl() > ENOUGH_NL:
                back[lane] = -math.ceil(detector.stored_nl() / 2 / STEP_NL)
        run(tick, back)
        tick += 1
    left = lines.excess_pa * line_c
    seen = alarm_tick > 0
    seconds = (alarm_tick[seen] - onset) / 10
    return Blocked(int((~seen).sum()), alarm_nl[seen], seconds, stored[seen], left[seen])


def floor(rate_ul_h: float, compliance: float, phases: int = 16) -> tuple[float, float]:
    """Lorden's bound in (nL, s), the mean over when the first step comes after onset."""
    information = math.log(FALSE_ALARM_H * TICKS_PER_H)
    noise = math.sqrt(NOISE_PA**2 + LSB_PA**2 / 12)
    found = np.zeros(phases)
    volumes, seconds = np.zeros(phases), np.zeros(phases)
    c = np.full(phases, COMPLIANCE_NL_PA * compliance)
    both = [Lines(c, np.full(phases, RESISTANCE_PA_ML_H), np.float64) for _ in range(2)]
    motors = Motors(np.full(phases, float(rate_ul_h)), np.arange(phases) / phases)
    steady_pa = rate_ul_h * RESISTANCE_PA_ML_H / 1_000
    for lines in both:
        lines.excess_pa[:] = steady_pa
    both[1].block(slice(None))
    volume, tick = np.zeros(phases), 0
    while (found < information).any():
        tick += 1
        steps = motors.tick()
        for lines in both:
            lines.flow(steps)
        volume += steps * STEP_NL
        running = found < information
        found += ((both[1].excess_pa - both[0].excess_pa) / noise) ** 2 / 2
        volumes[running], seconds[running] = volume[running], tick / 10
    return float(volumes.mean()), float(seconds.mean())


def row(rate_ul_h: int, compliance: float, pumps: int = PUMPS, **calibration: int) -> Row:
    """All figures of one rate and compliance."""
    seen = blocked(rate_ul_h, compliance, pumps, **calibration)
    floor_nl, floor_s = floor(rate_ul_h, compliance)
    threshold_nl = THRESHOLD_PA * COMPLIANCE_NL_PA * compliance
    return Row(
        rate_ul_h,
        compliance,
        seen.missed,
        float(seen.volumes_nl.mean()),
        float(seen.volumes_nl.max()),
        float(seen.seconds.mean()),
        threshold_nl,
        threshold_nl / rate_ul_h * 3.6,
        floor_nl,
        floor_s,
        INNOCENT_PA * COMPLIANCE_NL_PA * compliance,
        float(seen.stored_nl.mean()),
        float(seen.stored_nl.max()),
        float(np.abs(seen.left_nl).max()),
    )


def measure(pumps: int = PUMPS) -> list[Row]:
    """All rows of the table: some 15 s of one core."""
    return [row(rate, compliance, pumps) for rate in RATES_UL_H for compliance in COMPLIANCES]


def table(rows: list[Row], pumps: int) -> Table:
    """What is printed."""
    made = Table(
        title=f"A blocked line: volume past onset and time until the alarm, {pumps} pumps a line",
        caption=(
            "trend: mean (largest); floor: Lorden's bound given the noise, one false alarm in 10^5 h;\n"
            "1 kPa: until a blocked line shows what the back pressure may do; released: largest"
        ),
    )
    for name in (
        "rate",
        "C",
        "trend",
        "",
        "threshold",
        "",
        "floor",
        "",
        "trend/floor",
        "1 kPa",
        "released",
        "drawn back",
    ):
        made.add_column(name, justify="right")
    for r in rows:
        made.add_row(
            rate_text(r.rate_ul_h * 1_000),
            f"{r.compliance:g}x",
            f"{r.trend_nl / 1000:.2f} ({r.trend_most_nl / 1000:.2f}) uL"
            + (f", {r.missed} missed" * (r.missed > 0)),
            _time(r.trend_s),
            f"{r.threshold_nl / 1000:.1f} uL",
            _time(r.threshold_s),
            f"{r.floor_nl / 1000:.3f} uL",
            _time(r.floor_s),
            f"{r.to_floor:.0f}x",
            f"{r.innocent_nl / 1000:.2f} uL",
            f"{r.stored_most_nl / 1000:.2f} uL",
            f"{r.left_most_nl / 1000:.2f} uL",
            end_section=r.compliance == COMPLIANCES[-1],
        )
    return made


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6_000 else f"{seconds / 3600:.1f} h"


COLOURS = {0.5: "#0072B2", 1.0: "#E69F00", 1.5: "#444444"}  # palette of Okabe and Ito, and grey
MARKS = {0.5: "o", 1.0: "s", 1.5: "^"}
# Volumes until a blocked line was noticed, as published (rate in uL/h, uL): MiniMed after 12.5 h at 1
# uL/h, DEKA.
PUBLISHED = {"MiniMed, 12.5 uL at 1 uL/h": 12.5, "DEKA, 10 uL": 10.0}


def figure_of(rows: list[Row]) -> Figure:
    """Volume until the alarm on the left, released bolus on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle("A blocked line: how soon it is noticed, and what it lets go", fontweight="bold")
    left, right = figure.subplots(1, 2)
    rates = sorted({r.rate_ul_h for r in rows})
    for c in sorted({r.compliance for r in rows}):
        of = [r for r in rows if r.compliance == c]
        style = {"color": COLOURS[c], "marker": MARKS[c]}
        name = f"{c:g}x compliance"
        left.plot(rates, [r.threshold_nl / 1000 for r in of], linestyle=":", alpha=0.8, **style)
        left.plot(rates, [r.trend_nl / 1000 for r in of], linewidth=2.2, label=name, **style)
        left.plot(rates, [r.floor_nl / 1000 for r in of], linestyle="--", alpha=0.8, **style)
        right.plot(
            rates, [r.stored_most_nl / 1000 for r in of], linewidth=2.2, label=f"{name}, as it is", **style
        )
        label = f"{name}, drawn back first"
        right.plot(rates, [r.left_most_nl / 1000 for r in of], linestyle="--", label=label, **style)
    for at, (name, volume) in enumerate(PUBLISHED.items()):
        left.axhline(volume, color="#999999", linewidth=0.8)
        left.annotate(
            name, (rates[0], volume), (4, 3 if at == 0 else -11), textcoords="offset points", fontsize=8
        )
    left.plot([2, 100], [BOUND_UL, BOUND_UL], color="#D55E00", linewidth=2)
    left.annotate("bound, 2 to 100 uL/h", (2, BOUND_UL), (4, 4), textcoords="offset points", color="#D55E00")
    stiff = next(r for r in reversed(rows) if r.compliance == COMPLIANCES[0])
    for text, value_nl in (
        ("threshold, 10 psi", stiff.threshold_nl),
        ("trend", stiff.trend_nl),
        ("floor", stiff.floor_nl),
    ):
        at = (stiff.rate_ul_h, value_nl / 1000)
        left.annotate(text, at, (2, -14), textcoords="offset points", ha="right")
    right.axhline(BOUND_RELEASED_UL, color="#D55E00", linewidth=2)
    right.annotate(
        "bound", (rates[0], BOUND_RELEASED_UL), (4, -13), textcoords="offset points", color="#D55E00"
    )
    _axes(left, "volume from onset to alarm, mean [uL]")
    left.legend(loc="lower right", framealpha=0.95, fontsize=8)
    _axes(right, "released when the block goes, largest [uL]")
    right.legend(loc="upper left", framealpha=0.95, fontsize=8)
    return figure


def _axes(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rate [uL/h]")
    axes.set_ylabel(label)
    axes.grid(alpha=0.25, which="both")


def main(
    quick: Annotated[bool, typer.Option(help="Few pumps, to see that it works.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for occlusion.json and occlusion.png.")] = OUT,
) -> None:
    """How soon a blocked line is noticed, and what it then holds; unless `quick` into the pages, too."""
    from thecal_bench.benchmarks import pages

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    pumps = QUICK_PUMPS if quick else PUMPS
    rows = measure(pumps)
    console.print(table(rows, pumps))
    out.mkdir(parents=True, exist_ok=True)
    (out / "occlusion.json").write_text(json.dumps([dataclasses.asdict(r) for r in rows], indent=2) + "\n")
    figure_of(rows).savefig(out / "occlusion.png", dpi=120)
    if not quick:
        pages.blocked_line(rows).write()
    for path in (out / "occlusion.json", out / "occlusion.png"):
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
