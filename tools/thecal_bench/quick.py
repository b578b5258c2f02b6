"""`make bench-quick`: what a tick of the pump costs, in under a minute, written into the README.

Emulated cycles of a tick at three rates and bytes of the heap, beside the cheaper of the two controls of
`make bench` in the same run; a reset; the size of the image. `make test` measures them again and fails when
the README is off by more than a tenth.

The cycles are those of steady delivery, PERF-03: the mean of the seconds 1 to 6 after its beginning, of the
pump and of the control alike. In the first second the pump writes down that it was started, which costs it a
quarter more; the control collects its garbage in every sixth or seventh, of which no more than one counts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from thecal_model.text import rate_text

from thecal_bench.benchmarks import published
from thecal_bench.benchmarks.boot import POWER, measure_boots
from thecal_bench.benchmarks.cost import measure_cost
from thecal_bench.benchmarks.motion import NOMINAL, THECAL, Task, run_task
from thecal_bench.chip.bench import DEFAULT_IMAGE

NAME = "a tick"
RATES = (60_000_000, 6_000_000, 5_000)  # nL/h
SECONDS = 6  # of flow, of which the first does not count
SETTLING_SECONDS = 1
MOST_OF_CONTROL = 0.75  # PERF-03
DESIGNS = (THECAL, NOMINAL)  # the other control does the same and more
HEAP_TURNS = 5
HEADER = ("", "Thecal", "Timer")


def _task(design: str, rate_nl_h: int, image: Path) -> Task:
    return Task(design, rate_nl_h, SECONDS, image=image, settling_seconds=SETTLING_SECONDS)


def _cycles(task: Task) -> float:
    return run_task(task).cycles_per_tick


def measure(image: Path = DEFAULT_IMAGE, jobs: int = 2) -> list[Sequence[str]]:
    """The rows of the table, under HEADER. Raises BenchError if something did not run."""
    tasks = [_task(design, rate, image) for rate in RATES for design in DESIGNS]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        boots = pool.submit(measure_boots, RATES[0], False, (POWER,), image)
        heaps = [pool.submit(measure_cost, design, RATES[0], HEAP_TURNS, image) for design in DESIGNS]
        cycles = dict(zip(tasks, pool.map(_cycles, tasks), strict=True))
        (boot,) = boots.result()
        grown = [f"{heap.result().bytes_per_tick:,.0f} bytes" for heap in heaps]
    rows: list[Sequence[str]] = []
    for rate in RATES:
        of_rate = (cycles[_task(design, rate, image)] for design in DESIGNS)
        rows.append((_cycles_row(rate), *(f"{number:,.0f}" for number in of_rate)))
    rows.append((f"heap allocated in 100 ms, {rate_text(RATES[0])}", *grown))
    rows.append(
        (
            "from power to EN driven off (a resistor holds it before)",
            f"{boot.en_driven_us / 1000:,.2f} ms",
            "",
        )
    )
    dosing_s = (boot.step_us or 0) / 1e6
    rows.append((f"from power to dosing again, {rate_text(RATES[0])}", f"{dosing_s:,.2f} s", ""))
    made = json.loads(image.with_suffix(".json").read_text())
    rows.append(("image", f"{made['flash']['image_bytes']:,} bytes", ""))
    return rows


def _cycles_row(rate_nl_h: int) -> str:
    return f"CPU cycles in 100 ms, {rate_text(rate_nl_h)}"


def too_dear(found: published.Figures) -> list[str]:
    """At which rates a tick of the pump costs more of the control's than it may."""
    thecal, timer = HEADER[1:]
    parts = {rate: found[_cycles_row(rate), thecal] / found[_cycles_row(rate), timer] for rate in RATES}
    return [f"{rate_text(rate)}: {part:.2f}" for rate, part in parts.items() if part > MOST_OF_CONTROL]


def main(
    image: Annotated[Path, typer.Option(help="The UF2 to run.")] = DEFAULT_IMAGE,
    readme: Annotated[Path, typer.Option(help="The page that is written to.")] = published.README,
) -> None:
    """What a tick of the pump costs, beside the usual way."""
    rows = measure(image, os.cpu_count() or 1)
    published.write(readme, NAME, "bench-quick", HEADER, rows)
    for row in rows:
        typer.echo("  ".join(f"{cell:>14}" if number else f"{cell:45}" for number, cell in enumerate(row)))
    typer.echo(f"written into {readme}")


if __name__ == "__main__":
    typer.run(main)
