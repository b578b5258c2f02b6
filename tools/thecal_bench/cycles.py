"""`make cycles`: where the cycles of a steady tick go, by Python function, on the image.

Two columns of thousands of emulated cycles a tick for each rate: what a function spends itself, with the C
code that it calls, and what it spends with all the functions that it calls. Nothing is wrapped and the chip
does nothing that it does not do anyway (`chip.profile`), so the sum is that of `make bench-quick`, of another
second. The ELF file that is read for names must be that of the image.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
from thecal_model.text import rate_text

from thecal_bench.bench import TICK_NS
from thecal_bench.benchmarks.motion import THECAL, Task, steady
from thecal_bench.chip.bench import DEFAULT_IMAGE
from thecal_bench.chip.profile import Profile

RATES = (60_000_000, 6_000_000, 5_000)  # nL/h
ELF = DEFAULT_IMAGE.parent / "build" / "firmware" / "firmware.elf"


def profile(rate_nl_h: int, ticks: int, image: Path, elf: Path) -> tuple[Counter[str], Counter[str]]:
    """Cycles by function in so many ticks of steady flow: its own, and with what it calls."""
    with steady(Task(THECAL, rate_nl_h, 0, image=image)) as bench:
        sampled = Profile(bench.board, elf)
        bench.board.run_until_ns(bench.board.now_ns + ticks * TICK_NS)
        sampled.end()
        return sampled.own, sampled.total


def main(
    ticks: Annotated[int, typer.Option(help="Ticks of steady flow, after one second of it.")] = 20,
    rate: Annotated[list[int] | None, typer.Option(help="nL/h; three rates without it.")] = None,
    rows: Annotated[int, typer.Option(help="Functions shown, the dearest first.")] = 60,
    image: Annotated[Path, typer.Option(help="The UF2 to run.")] = DEFAULT_IMAGE,
    elf: Annotated[Path, typer.Option(help="The same with symbols.")] = ELF,
) -> None:
    """Where the cycles of a tick go."""
    rates = rate or list(RATES)
    count = len(rates)
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        done = list(pool.map(profile, rates, [ticks] * count, [image] * count, [elf] * count))
    names = {name for own, _ in done for name in own}
    ordered = sorted(names, key=lambda name: -sum(own[name] for own, _ in done))
    typer.echo("thousands of cycles a tick, itself and with what it calls")
    typer.echo("".join(f"{rate_text(rate):>17}" for rate in rates))
    kilo = 1000 * ticks
    sums = "".join(f"{own.total() / kilo:17.1f}" for own, _ in done)
    typer.echo(f"{sums}  all")
    for name in ordered[:rows]:
        cells = "".join(f"{own[name] / kilo:9.1f}{total[name] / kilo:8.1f}" for own, total in done)
        typer.echo(f"{cells}  {name}")


if __name__ == "__main__":
    typer.run(main)
