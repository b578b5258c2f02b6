"""What `make bench` prints, from what it measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from thecal_model.text import rate_text

from thecal_bench.benchmarks import figures
from thecal_bench.benchmarks.boot import Boot
from thecal_bench.benchmarks.cost import Cost
from thecal_bench.benchmarks.day import DAY_TICKS, Day
from thecal_bench.benchmarks.float32 import Accumulated
from thecal_bench.benchmarks.motion import DESIGNS, LATE, NOMINAL, STALL_MS, THECAL, Motion, Task

NAMES = {THECAL: "Thecal", NOMINAL: "Timer", LATE: "Timer, late-aware"}
ONE_CYCLE_US = 1 / figures.CYCLES_PER_US


@dataclass(frozen=True)
class Row:
    """One figure of all designs. `ratio` is that of the better control, in this very line, to Thecal."""

    name: str
    unit: str
    values: dict[str, float]
    ratio: figures.Ratio
    signed: bool = False


def case_title(task: Task) -> str:
    """The rate, the length, and what is done to the board."""
    title = f"{rate_text(task.rate_nl_h)} for {task.seconds} s"
    return f"{title}, disturbed" if task.disturbed else title


DISTURBED_TEXT = (
    f"disturbed: garbage collected in every turn of the loop, noise from the host (which the Timers leave "
    f"unread), and a stall of {STALL_MS} ms in the middle"
)


def case_rows(motions: dict[str, Motion]) -> list[Row]:
    """All figures of one case: the same rate under the same conditions, by design."""
    rows: list[Row] = []

    def row(name: str, unit: str, values: dict[str, float], resolution: float, signed: bool = False) -> None:
        better = min(abs(values[NOMINAL]), abs(values[LATE]))
        rows.append(Row(name, unit, values, figures.ratio(better, values[THECAL], resolution), signed))

    def of_all(figure: dict[str, figures.Spread], name: str, resolution: float) -> None:
        for part, what in (("p50", "median"), ("p99", "99 %"), ("worst", "largest")):
            row(f"{name}, {what}", "us", {d: getattr(s, part) for d, s in figure.items()}, resolution)

    errors = {
        d: figures.errors_steps(m.edges, m.task.steps_per_cycle, m.end_cycle) for d, m in motions.items()
    }
    row("volume error, largest", "microsteps", {d: e[0] for d, e in errors.items()}, 1, signed=True)
    row("volume error, at the end", "microsteps", {d: e[1] for d, e in errors.items()}, 1, signed=True)
    lost = {d: figures.lost_steps(m.edges, m.task.steps_per_cycle, m.end_cycle) for d, m in motions.items()}
    close = {d: figures.too_close(m.edges) for d, m in motions.items()}
    row("steps never made", "", dict(lost), 1)
    row("steps too close for the motor", "", dict(close), 1)
    row("steps lost, both", "", {d: lost[d] + close[d] for d in motions}, 1)
    intervals = {
        d: figures.spread(figures.interval_deviations_us(m.edges, m.task.steps_per_cycle))
        for d, m in motions.items()
    }
    of_all(intervals, "interval error", ONE_CYCLE_US)
    places = {
        d: figures.spread(figures.spacing_deviations_us(m.edges, m.task.steps_per_cycle))
        for d, m in motions.items()
    }
    of_all(places, "edge off an even row", ONE_CYCLE_US)
    if motions[THECAL].task.disturbed:
        return rows  # the controls leave the noise unread: their work is not comparable
    row("CPU cycles per 100 ms", "", {d: m.cycles_per_tick for d, m in motions.items()}, 1)
    row("CPU cycles per uL", "", {d: m.cycles_per_ul for d, m in motions.items()}, 1)
    return rows


def case_table(motions: dict[str, Motion], rows: Sequence[Row]) -> Table:
    """One case, the designs side by side."""
    thecal = motions[THECAL]
    task = thecal.task
    scheduled = figures.schedule_deviations(thecal.edges, thecal.taken, thecal.end_cycle)
    off = figures.spread(scheduled)
    caption = (
        f"Thecal's {len(scheduled):,} edges against its segments: {off.p50:.0f} cycles off in the median, "
        f"{off.worst:.0f} at most (1 cycle is 8 ns)"
    )
    if task.disturbed:
        caption = f"{DISTURBED_TEXT}\n{caption}"
    table = Table(title=f"On the chip: {case_title(task)}", caption=caption)
    table.add_column("")
    table.add_column("")
    for design in DESIGNS:
        table.add_column(NAMES[design], justify="right")
    table.add_column("better Timer / Thecal", justify="right")
    for row in rows:
        table.add_row(
            row.name, row.unit, *(number(row.values[d], row.signed) for d in DESIGNS), str(row.ratio)
        )
    return table


def cost_table(costs: dict[tuple[str, int], Cost], motions: dict[tuple[str, int], Motion]) -> Table:
    """What the loop costs, by design and rate."""
    table = Table(title="On the chip: one turn of the loop, 100 ms")
    table.add_column("")
    table.add_column("")
    for design, rate_nl_h in costs:
        table.add_column(f"{NAMES[design]}\n{rate_text(rate_nl_h)}", justify="right")
    table.add_row("CPU cycles", "", *(number(motions[key].cycles_per_tick) for key in costs))
    table.add_row("CPU cycles per uL", "", *(number(motions[key].cycles_per_ul) for key in costs))
    table.add_row("heap allocated", "bytes", *(number(round(cost.bytes_per_tick)) for cost in costs.values()))
    table.add_row("loop time, median", "us", *(number(cost.loop_p50_us) for cost in costs.values()))
    table.add_row("loop time, largest", "us", *(number(cost.loop_worst_us) for cost in costs.values()))
    table.caption = "emulated cycles, without the wait states of flash: for comparing, not for timing"
    return table


def boot_table(boots: Sequence[Boot], stock_us: float | None) -> Table:
    """Each reset of a running pump, and MicroPython's own board beside it."""
    table = Table(
        title="On the chip: from a reset while running to dosing again, microseconds",
        caption=(
            "EN active: before the self-test is over. First step at a slow rate: when a whole one is owed.\n"
            "emulated: no wait states of flash; an erase, up to 400 ms more on silicon, takes no time here\n"
            "stock: RPI_PICO of the same MicroPython, less micropython-lib, to a pin raised by main.py"
        ),
    )
    for name in ("", "journal", "reset"):
        table.add_column(name)
    for name in (
        "first line of\nmain.py (EN off)",
        "EN\nactive",
        "first turn\nof the loop",
        "RUNNING,\nmotor on",
        "motion\nordered",
        "first\nstep",
    ):
        table.add_column(name, justify="right")
    for boot in boots:
        table.add_row(
            rate_text(boot.rate_nl_h),
            "full" if boot.journal_full else "young",
            boot.reset,
            number(boot.en_driven_us),
            number(boot.en_active_in_post_us),
            number(boot.loop_us),
            number(boot.motor_on_us),
            number(boot.ordered_us),
            "-" if boot.step_us is None else number(boot.step_us),
        )
    table.add_row("stock", "", "power cycle", "not built" if stock_us is None else number(stock_us))
    return table


def day_table(day: Day) -> Table:
    """The scenario of a day."""
    table = Table(title="In-process: 24 h at 5 uL/h with a bolus of 50 uL, 10 Hz", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("ticks run", f"{day.ticks:,} of {DAY_TICKS:,}")
    table.add_row("wall time", f"{day.wall_s:.1f} s, of which the processor worked {day.processor_s:.1f} s")
    if day.ticks != DAY_TICKS:
        table.add_row("at that pace the whole day", f"{day.day_wall_s:.1f} s")
    table.add_row("ticks per second", f"{day.ticks_per_s:,.0f}")
    table.add_row("delivered - programmed at the end", f"{day.error_steps:+.2f} microsteps")
    return table


def float_table(sums: Sequence[tuple[Accumulated, int]]) -> Table:
    """The control's accumulator alone. With each sum comes how many additions the chip has confirmed."""
    first = sums[0][0]
    table = Table(
        title=f"The Timer's float accumulator, {first.additions:,} callbacks, none late",
        caption=(
            f"single precision, compared bit for bit with {sums[0][1]:,} on the chip\n"
            "Thecal counts in integers and is never off by more than 1 microstep"
        ),
    )
    for name in ("rate", "error", "part of the volume", "error after a day"):
        table.add_column(name, justify="right")
    for total, _ in sums:
        table.add_row(
            rate_text(total.rate_nl_h),
            f"{total.error_steps:+.3f} microsteps",
            f"{total.off_ppm:+.3f} ppm",
            f"{total.off_steps_day:+.2f} microsteps",
        )
    return table


def number(value: float, signed: bool = False) -> str:
    """A number in as many digits as tell something."""
    sign = "+" if signed else ""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.2f}"
