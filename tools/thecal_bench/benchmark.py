"""`make bench`: how exact, how steady and how fast, beside the usual way to drive a stepper.

Four questions, one run:

- how long a day of the pump takes in-process (`benchmarks.day`);
- what a turn of the pump's loop costs on the chip: cycles, time, bytes of the heap (`benchmarks.cost`);
- how long a reset keeps a running pump from dosing, and from a motor that is surely off (`benchmarks.boot`);
- how far delivery is off, and how unevenly the steps come, for the pump and for two controls that do the same
  duty on the same image and the same emulated chip (`benchmarks.motion`, `control_stepper.py`).

The controls are a soft `machine.Timer` with a float accumulator, the usual MicroPython stepper: one takes its
period for granted, one measures it. Ratios are those of the better one, line by line.

Tables go to the terminal, the most telling figures into the pages, all numbers to build/bench/bench.json, the
picture to build/bench/edges.png. What is printed here is measured, not judged: the tests do that. Only wall
times depend on the machine.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from thecal_bench.bench import BenchError
from thecal_bench.benchmarks import figures, float32, pages, picture, tables
from thecal_bench.benchmarks.boot import POWER, RESETS, STOCK_IMAGE, Boot, measure_boots, measure_stock
from thecal_bench.benchmarks.cost import Cost, accumulate_on_chip, measure_cost
from thecal_bench.benchmarks.day import DAY_TICKS, SHORTEST_TICKS, Day, run_day
from thecal_bench.benchmarks.motion import DESIGNS, LATE, NOMINAL, THECAL, Motion, Task, run_task
from thecal_bench.chip.bench import DEFAULT_IMAGE

OUT = Path(__file__).resolve().parents[2] / "build" / "bench"
FAST, MIDDLE, SLOW = 60_000_000, 6_000_000, 5_000  # nL/h
PAPER_COLUMNS = 120  # where there is no terminal to ask
COST_TURNS = 20
COST_S = 4  # simulated, with what comes before: only the progress bar asks
BOOT_S = 6  # so much is each reset


@dataclass(frozen=True)
class Plan:
    """How much is run. `cases` are (rate, seconds, disturbed), each for all designs; `boots` are (rate,
    whether the journal is full), each for all `resets`.
    """

    day_ticks: int
    cases: tuple[tuple[int, int, bool], ...]
    slow_seconds: int
    additions: int
    chip_additions: int
    boots: tuple[tuple[int, bool], ...]
    resets: tuple[str, ...]


FULL = Plan(
    DAY_TICKS,
    ((FAST, 60, False), (FAST, 20, True), (MIDDLE, 60, False)),
    20,
    3_600_000,
    3_000,
    ((FAST, False), (SLOW, False), (FAST, True)),
    RESETS,
)
QUICK = Plan(2 * SHORTEST_TICKS, ((FAST, 1, False),), 1, 20_000, 200, ((SLOW, False),), (POWER,))


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    day: Day
    cases: list[dict[str, Motion]]
    loops: dict[tuple[str, int], Motion]
    costs: dict[tuple[str, int], Cost]
    sums: list[tuple[float32.Accumulated, int]]
    boots: list[Boot]
    stock_boot_us: float | None  # None: that image is not there


# --- work in several processes

_told: Any = None  # in a worker: where it says how far it is


def _listen(told: Any) -> None:
    global _told
    _told = told


def _run_task_telling(task: Task) -> Motion:
    return run_task(task, _told.put)


class _Workers:
    """Runs functions in `jobs` processes (none of its own if that is 1) under one progress bar."""

    def __init__(self, jobs: int, progress: Progress, total_s: float) -> None:
        # Not forked: the parent has threads by then.
        context = multiprocessing.get_context("spawn")
        self._bar = progress.add_task("on the chip", total=total_s)
        self._progress = progress
        self._total_s = total_s
        self._told = context.Queue() if jobs > 1 else None
        self._pool = (
            ProcessPoolExecutor(jobs, mp_context=context, initializer=_listen, initargs=(self._told,))
            if jobs > 1
            else None
        )

    def motion(self, task: Task) -> Future[Motion]:
        """Run a task; it tells how far it is by itself."""
        if self._pool is None:
            return self._now(lambda: run_task(task, self._advance))
        return self._pool.submit(_run_task_telling, task)

    def call(self, simulated_s: float, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function that counts for so much of the bar when it is done."""
        if self._pool is None:
            future = self._now(lambda: function(*arguments))
            self._advance(simulated_s)
            return future
        future = self._pool.submit(function, *arguments)
        told = self._told
        assert told is not None
        future.add_done_callback(lambda _done: told.put(simulated_s))
        return future

    def wait(self, futures: list[Future[Any]]) -> None:
        """Until all are done, or the first has failed: its exception is raised."""
        pending = set(futures)
        while pending:
            if self._told is not None:
                with suppress(queue.Empty):
                    self._advance(self._told.get(timeout=0.5))
            done, pending = wait(pending, timeout=0)
            for future in done:
                future.result()
        self._progress.update(self._bar, completed=self._total_s)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _advance(self, simulated_s: float) -> None:
        self._progress.advance(self._bar, simulated_s)

    @staticmethod
    def _now(function: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function())
        return future


@contextmanager
def _bars(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} simulated seconds"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield progress


# --- the benchmark


def measure(plan: Plan, image: Path, stock: Path, jobs: int, console: Console) -> Results:
    """Measure all of it. Raises BenchError if something did not run."""
    with _bars(console) as progress:
        bar = progress.add_task("a day in-process", total=plan.day_ticks / 10)
        # Alone on the machine, as far as it is ours: its wall time is what is asked for.
        day = run_day(plan.day_ticks, lambda at_ms, _of_ms: progress.update(bar, completed=at_ms / 1000))

        cases = [[Task(d, rate, s, disturbed, image) for d in DESIGNS] for rate, s, disturbed in plan.cases]
        slow = Task(THECAL, SLOW, plan.slow_seconds, image=image)
        tasks = [task for case in cases for task in case] + [slow]
        cost_keys = [(THECAL, FAST), (THECAL, SLOW), (NOMINAL, FAST), (LATE, FAST)]
        rates = sorted({rate for rate, _, _ in plan.cases} | {SLOW}, reverse=True)
        addition_s = plan.chip_additions / 1000
        boots_s = BOOT_S * len(plan.resets)
        total_s = sum(t.seconds for t in tasks) + COST_S * len(cost_keys) + addition_s * len(rates)
        total_s += boots_s * len(plan.boots)
        workers = _Workers(jobs, progress, total_s)
        try:
            # The longest first, so that the processes end together.
            motions = {task: workers.motion(task) for task in sorted(tasks, key=lambda task: -task.seconds)}
            costs = {key: workers.call(COST_S, measure_cost, *key, COST_TURNS, image) for key in cost_keys}
            sums = [workers.call(0, float32.accumulate, rate, plan.additions) for rate in rates]
            on_chip = [
                workers.call(addition_s, accumulate_on_chip, rate, plan.chip_additions, image)
                for rate in rates
            ]
            boots = [workers.call(boots_s, measure_boots, *boot, plan.resets, image) for boot in plan.boots]
            stock_boot = [workers.call(0, measure_stock, stock)] if stock.is_file() else []
            workers.wait([*motions.values(), *costs.values(), *sums, *on_chip, *boots, *stock_boot])
        finally:
            workers.close()
        for rate, there in zip(rates, on_chip, strict=True):
            here = float32.accumulate(rate, plan.chip_additions)
            if there.result() != (here.steps, float32.bits(here.left)):
                raise BenchError(
                    f"after {plan.chip_additions} additions at {rate} nL/h the chip has {there.result()}, "
                    f"the host's single precision {(here.steps, float32.bits(here.left))}"
                )
    fast_case = next(case for case in cases if case[0].rate_nl_h == FAST and not case[0].disturbed)
    loops = {(task.design, task.rate_nl_h): motions[task].result() for task in [*fast_case, slow]}
    return Results(
        day,
        [{task.design: motions[task].result() for task in case} for case in cases],
        loops,
        {key: future.result() for key, future in costs.items()},
        [(future.result(), plan.chip_additions) for future in sums],
        [boot for future in boots for boot in future.result()],
        stock_boot[0].result() if stock_boot else None,
    )


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    console.print(tables.day_table(results.day))
    console.print(tables.cost_table(results.costs, results.loops))
    console.print(tables.boot_table(results.boots, results.stock_boot_us))
    for case in results.cases:
        console.print(tables.case_table(case, tables.case_rows(case)))
    console.print(tables.float_table(results.sums))


def sheets(results: Results) -> list[pages.Sheet]:
    """What the pages show of it."""
    return [pages.delivery(results.cases), pages.reset(results.boots, results.stock_boot_us)]


def as_json(results: Results) -> dict[str, Any]:
    """All numbers, without the edges they were made of."""
    cases = []
    for case in results.cases:
        thecal = case[THECAL]
        off = figures.schedule_deviations(thecal.edges, thecal.taken, thecal.end_cycle)
        cases.append(
            {
                "rate_nl_h": thecal.task.rate_nl_h,
                "seconds": thecal.task.seconds,
                "disturbed": thecal.task.disturbed,
                "edges": {design: len(motion.edges) for design, motion in case.items()},
                "plant_steps": {design: motion.plant_steps for design, motion in case.items()},
                "thecal_off_schedule_cycles": dataclasses.asdict(figures.spread(off)),
                "rows": [
                    {
                        "name": row.name,
                        "unit": row.unit,
                        **row.values,
                        "better_control_to_thecal": row.ratio.value,
                        "at_least": row.ratio.at_least,
                    }
                    for row in tables.case_rows(case)
                ],
            }
        )
    return {
        "day": {
            **dataclasses.asdict(results.day),
            "ticks_per_s": results.day.ticks_per_s,
            "day_wall_s": results.day.day_wall_s,
        },
        "loop": [
            {
                "design": design,
                "rate_nl_h": rate_nl_h,
                "cycles_per_tick": results.loops[design, rate_nl_h].cycles_per_tick,
                "cycles_per_ul": results.loops[design, rate_nl_h].cycles_per_ul,
                **dataclasses.asdict(cost),
            }
            for (design, rate_nl_h), cost in results.costs.items()
        ],
        "boots": [dataclasses.asdict(boot) for boot in results.boots],
        "stock_boot_us": results.stock_boot_us,
        "cases": cases,
        "float_accumulator": [
            {**dataclasses.asdict(total), "off_ppm": total.off_ppm, "off_steps_day": total.off_steps_day}
            for total, _ in results.sums
        ],
    }


def main(
    quick: Annotated[bool, typer.Option(help="Tiny lengths, to see that it works.")] = False,
    image: Annotated[Path, typer.Option(help="The UF2 to run.")] = DEFAULT_IMAGE,
    stock: Annotated[Path, typer.Option(help="MicroPython's own UF2, for how it boots.")] = STOCK_IMAGE,
    out: Annotated[Path, typer.Option(help="Folder for bench.json and edges.png.")] = OUT,
    jobs: Annotated[
        int, typer.Option(help="Processes for what runs on the emulated chip; 0: one a core.", min=0)
    ] = 0,
) -> None:
    """How exact, how steady and how fast, beside the usual way to drive a stepper."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PAPER_COLUMNS)
    try:
        plan = QUICK if quick else FULL
        results = measure(plan, image, stock, jobs or min(os.cpu_count() or 1, 4), console)
    except BenchError as error:
        Console(stderr=True).print(f"bench: {error}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    show(results, console)
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.json").write_text(json.dumps(as_json(results), indent=2) + "\n")
    # The picture shows the fast rate, in peace and disturbed.
    picture.draw([case for case in results.cases if case[THECAL].task.rate_nl_h == FAST], out / "edges.png")
    if not quick:
        for sheet in sheets(results):
            sheet.write()
    for path in (out / "bench.json", out / "edges.png"):
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
