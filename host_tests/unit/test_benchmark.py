"""The benchmark's figures, from edges few enough to work out by hand, and what it prints of them.

A rate of 1/100 microstep a cycle is used throughout where nothing else is said: a step is owed every 100
cycles, the first at 100.
"""

import dataclasses
import io
import re
import struct
from fractions import Fraction

import pytest
import typer
from rich.console import Console
from thecal.drivers import segment
from thecal_bench import benchmark
from thecal_bench.bench import BenchError
from thecal_bench.benchmarks import figures, float32, pages, tables
from thecal_bench.benchmarks.boot import POWER, Boot
from thecal_bench.benchmarks.day import DAY_TICKS, SHORTEST_TICKS, Day, run_day
from thecal_bench.benchmarks.figures import CYCLES_PER_PIO_CYCLE, ScheduleBroken, Spread
from thecal_bench.benchmarks.motion import CONTROL, DESIGNS, LATE, NOMINAL, THECAL, Motion, Task
from thecal_bench.parameters import REFERENCE
from typer.testing import CliRunner

RATE = Fraction(1, 100)


def test_a_percentile_is_one_of_the_values():
    values = list(range(1, 11))
    assert figures.percentile(values, 50) == 5
    assert figures.percentile(values, 90) == 9
    assert figures.percentile(values, 91) == 10
    assert figures.percentile(values, 99) == 10
    assert figures.percentile(values, 0) == 1
    assert figures.percentile([7], 50) == 7


def test_a_spread_leaves_signs_out():
    assert figures.spread([-4, 1, -2, 3]) == Spread(2, 4, 4)


def test_steps_on_time_are_a_step_behind_just_before_each():
    assert figures.errors_steps([100, 200, 300], RATE, 350) == (-1.0, -0.5)


def test_the_largest_error_is_found_between_the_edges_with_its_sign():
    # before 250: 2.5 owed, none made
    assert figures.errors_steps([250, 260, 300], RATE, 300) == (-2.5, 0.0)
    # after 40: three made, 0.4 owed
    assert figures.errors_steps([20, 30, 40], RATE, 300) == (2.6, 0.0)
    # a motor that stops is furthest off at the end
    assert figures.errors_steps([100], RATE, 900) == (-8.0, -8.0)
    assert figures.errors_steps([], RATE, 70) == (-0.7, -0.7)


def test_bands_hold_every_error_of_their_span():
    # first half: from 0 down to -0.5, up by the step at 50 to 0.5, down to 0; then nothing is made
    assert figures.error_bands([50], RATE, 200, 2) == [(-0.5, 0.5), (-1.0, 0.0)]
    bands = figures.error_bands([250, 260, 300], RATE, 300, 3)
    assert min(low for low, _ in bands) == -2.5
    assert len(bands) == 3


def test_a_step_is_lost_when_it_was_due_for_a_while():
    rate = Fraction(1, figures.ON_THE_WAY_CYCLES)
    at = figures.ON_THE_WAY_CYCLES
    assert figures.lost_steps([], rate, 10 * at) == 9  # the tenth has just become due
    assert figures.lost_steps([1, 2, 3], rate, 10 * at) == 6
    assert figures.lost_steps(list(range(12)), rate, 10 * at) == 0


def test_intervals_are_held_against_the_even_one():
    # 1 us is 125 cycles
    assert figures.interval_deviations_us([0, 100, 325, 300 + 100], RATE) == [0, 1, -0.2]
    assert figures.interval_deviations_us([0, 125], Fraction(1, 125) * Fraction(1, 2)) == [-1]


def test_an_even_row_that_begins_late_is_even():
    assert figures.spacing_deviations_us([777, 877, 977], RATE) == [0, 0, 0]
    assert figures.spacing_deviations_us([0, 100, 325, 300, 400], RATE) == [0, 0, 1, 0, 0]


def test_a_motor_follows_pulses_416_us_apart_and_no_closer():
    closest = 416 * 125
    assert closest == figures.CLOSEST_CYCLES
    assert figures.too_close([0, closest, 2 * closest]) == 0
    assert figures.too_close([0, closest - 1, 2 * closest - 2, 4 * closest]) == 2


SEGMENT_CYCLES = 25_000_000  # 200 ms


def segments(begins: int, *all_steps: int) -> tuple[list[tuple[int, int]], list[list[int]]]:
    """Words of segments of so many steps, one after the other, as they are taken; and the edges of each."""
    cutter = segment.Cutter(segment.LEAST_PULSE, segment.MIN_PERIOD_CYCLES)
    taken: list[tuple[int, int]] = []
    edges: list[list[int]] = []
    at = Fraction(begins)
    for steps in all_steps:
        cutter.cut(steps, segment.SEGMENT_CYCLES, 50_000, 150_000)
        taken.append((int(at), cutter.q | steps << 24))
        taken.append((int(at) + 40, cutter.lead | cutter.tail << 16))
        due = [cutter.first_edge() + number * cutter.period() for number in range(steps)]
        edges.append([int(int(at) + cycles * CYCLES_PER_PIO_CYCLE) for cycles in due])
        at = int(at) + cutter.length() * CYCLES_PER_PIO_CYCLE
    return taken, edges


@pytest.mark.req("PERF-01")
def test_edges_are_held_against_their_own_segment():
    taken, made = segments(7, 107, 0, 1, 240)
    edges = sum(made, [])
    end = 4 * SEGMENT_CYCLES + 7
    off = figures.schedule_deviations(edges, taken, end)
    assert len(off) == 348 and all(-1 < deviation <= 0 for deviation in off)  # cut to whole cycles
    edges[5] += 3
    edges[-1] -= 17
    moved = figures.schedule_deviations(edges, taken, end)
    assert (moved[5] - off[5], moved[-1] - off[-1]) == (3, -17)
    assert moved[:5] + moved[6:-1] == off[:5] + off[6:-1]


@pytest.mark.req("PERF-01")
def test_a_pulse_too_few_or_too_many_is_no_small_deviation():
    taken, made = segments(0, 10, 10)
    edges = made[0] + made[1]
    end = 2 * SEGMENT_CYCLES
    with pytest.raises(ScheduleBroken, match="9 pulses of 10 in the segment at cycle 0"):
        figures.schedule_deviations(edges[1:], taken, end)
    with pytest.raises(ScheduleBroken, match="11 pulses of 10"):
        figures.schedule_deviations(sorted([*edges, 1_000_000]), taken, end)
    with pytest.raises(ScheduleBroken, match="1 pulses before the first segment"):
        figures.schedule_deviations([-5, *edges], taken, end)
    with pytest.raises(ScheduleBroken, match="20 pulses before the first segment"):
        figures.schedule_deviations(edges, [], end)
    late = [(taken[2][0] + 500, taken[2][1]), taken[3]]
    with pytest.raises(ScheduleBroken, match="a pause of 500"):
        figures.schedule_deviations(edges, taken[:2] + late, end)


def test_a_segment_that_was_cut_off_owes_what_came():
    half = SEGMENT_CYCLES // 2
    taken, (whole,) = segments(0, 10)
    others, (cut,) = segments(half, 10)
    edges = [edge for edge in whole if edge < half] + cut[:3]
    found = figures.schedule_deviations(edges, taken + others, half + cut[3] - half - 1)
    assert len(found) == len(edges) and all(-1 < deviation <= 0 for deviation in found)


def test_a_ratio_knows_what_can_not_be_seen():
    assert figures.ratio(-10, 4, 1) == figures.Ratio(2.5, False)
    assert str(figures.ratio(10, 4, 1)) == "2.5"
    assert str(figures.ratio(1234.5, 0, 0.5)) == "> 2,469"
    assert str(figures.ratio(0.2, 0, 1)) == "1"  # neither can be told from nothing
    assert str(figures.ratio(0, 4, 1)) == "0.25"


# --- single precision


def test_single_precision_is_rounded_as_the_board_rounds():
    assert float32.single(0.1) == 0.100000001490116119384765625
    assert float32.single(1 + 2**-24) == 1.0  # a tie goes to the even one
    assert float32.bits(1.0) == struct.pack("<f", 1.0).hex()


def test_an_accumulator_that_adds_what_it_can_hold_is_exact():
    # 112.5 mL/h are 1 000 microsteps a second, one in each callback, if 0.001 were a binary fraction
    total = float32.accumulate(112_500_000, 50)
    assert float32.owed_steps(112_500_000, 50) == 50
    assert total.steps + total.left == pytest.approx(50, abs=1e-4)
    assert total.error_steps == pytest.approx(total.steps + total.left - 50)


@pytest.mark.req("PERF-03")
def test_the_error_of_a_sum_is_that_of_exact_arithmetic():
    total = float32.accumulate(5_000, 1_000)
    owed, by = Fraction(0), Fraction(float32.share(5_000))
    for _ in range(1_000):
        owed = Fraction(float32.single(float(owed + by)))  # below one step: nothing is taken out
    assert total.steps == 0 and total.left == float(owed)
    exact = Fraction(5_000, 3_600_000) / REFERENCE.step_nl * 1_000
    assert total.error_steps == float(owed - exact) != 0
    assert total.off_ppm == pytest.approx(float((owed - exact) / exact) * 1e6)
    assert total.off_steps_day == pytest.approx(total.error_steps * 86_400)


# --- what is run and printed


def test_a_task_knows_its_rate():
    # 112.5 mL/h is one microstep in a millisecond
    assert Task(THECAL, 112_500_000, 1).steps_per_cycle == Fraction(1, 125_000)


def test_work_per_volume():
    motion = Motion(Task(THECAL, 6_000_000, 1), 125_000_000, [], cycles_per_tick=250_000)
    # 6 mL/h are 1/6 uL in 100 ms
    assert motion.cycles_per_ul == pytest.approx(1_500_000)


def test_the_control_counts_volume_as_the_pump_does():
    said = re.search(r"^NL_PER_STEP = (.*)$", CONTROL.read_text(), re.MULTILINE)
    assert said is not None and Fraction(said[1]) == REFERENCE.step_nl


def motion_of(design: str, edges: list[int], disturbed: bool = False) -> Motion:
    taken = segments(0, 10)[0] if design == THECAL else []
    task = Task(design, 5_625_000, 1, disturbed)  # 50 a second: one every 2 500 000 cycles
    return Motion(task, SEGMENT_CYCLES, edges, taken, cycles_per_tick=1000)


@pytest.mark.parametrize("disturbed", [False, True])
def test_the_ratio_of_a_line_is_that_of_the_better_control(disturbed):
    _, (exact,) = segments(0, 10)
    even = [edge + number % 2 for number, edge in enumerate(exact)]
    late = [edge + (250_000 if n == 4 else 0) for n, edge in enumerate(even)]
    later = [edge + (500_000 if n == 4 else 0) for n, edge in enumerate(even)]
    motions = {
        THECAL: motion_of(THECAL, even, disturbed),
        NOMINAL: motion_of(NOMINAL, later, disturbed),
        LATE: motion_of(LATE, late, disturbed),
    }
    rows = {row.name: row for row in tables.case_rows(motions)}
    largest = rows["interval error, largest"]
    assert largest.values[NOMINAL] == pytest.approx(4_000, abs=4)
    assert largest.values[LATE] == pytest.approx(2_000, abs=4)
    assert largest.ratio.value == pytest.approx(largest.values[LATE] / largest.values[THECAL])
    assert rows["steps never made"].values == dict.fromkeys(DESIGNS, 0)
    assert ("CPU cycles per uL" in rows) is not disturbed, "a control that reads no noise does less"
    paper = io.StringIO()
    console = Console(width=140, file=paper)
    console.print(tables.case_table(motions, list(rows.values())))
    text = paper.getvalue()
    assert "5.625 mL/h for 1 s" in text and "10 edges" in text
    assert ("a stall of 400 ms" in text) is disturbed


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0, False, "0"), (1234.5, False, "1,234"), (-0.958, True, "-0.96"), (3.0, True, "+3.00")],
)
def test_numbers_are_written_with_the_digits_that_tell(value, signed, text):
    assert tables.number(value, signed) == text


@pytest.mark.req("SIM-01")
def test_the_scenario_of_a_day_delivers_what_is_programmed():
    day = run_day(SHORTEST_TICKS)
    assert day.ticks == SHORTEST_TICKS
    assert abs(day.error_steps) <= 1


def test_a_part_of_a_day_is_extended_to_the_whole():
    day = Day(ticks=8_640, wall_s=0.25, processor_s=0.2, error_steps=0.0)
    assert day.ticks_per_s == 34_560
    assert day.day_wall_s == 25
    assert DAY_TICKS == 864_000
    with pytest.raises(ValueError, match="ticks is 10"):
        run_day(10)


def test_the_command_takes_its_own_defaults(monkeypatch):
    """`make bench` gives no option at all: the defaults have to pass their own checks."""
    asked = []

    def measure(plan, image, stock, jobs, console):
        asked.append(jobs)
        raise BenchError("asked")

    monkeypatch.setattr(benchmark, "measure", measure)
    app = typer.Typer()
    app.command()(benchmark.main)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1 and asked and asked[0] >= 1


# --- the tables of the pages


def test_the_pages_take_the_better_control_and_only_what_is_to_be_shown():
    fast = {d: motion_of(d, [1_000 * n for n in range(1, 11 - at)]) for at, d in enumerate(DESIGNS)}
    noisy = {d: motion_of(d, motion.edges, disturbed=True) for d, motion in fast.items()}
    sheet = pages.delivery([fast, noisy])
    names = [row[0].partition(": ")[2] for row in sheet.rows]
    assert names == [
        "volume error, largest",
        "interval error, largest",
        "steps lost",
        "volume error, largest",
    ]
    by_name = {row.name: row for row in tables.case_rows(noisy)}
    lost = by_name["steps lost, both"].values
    assert sheet.rows[2][1:] == (f"{lost[THECAL]}", f"{min(lost[NOMINAL], lost[LATE])}")


def test_the_pages_show_a_reset_and_micropython_s_own():
    boot = Boot(POWER, 60_000_000, True, 1_690.0, 0.0, 1, 1e5, 2e5, 3e5, 4e5, 920_400.0)
    slow = dataclasses.replace(boot, rate_nl_h=5_000, journal_full=False, step_us=None)
    rows = pages.reset([boot, slow], 7_000.0).rows
    assert rows == [
        ("60 mL/h, full journal, power cycle", "1.69 ms", "0 us", "300.00 ms", "920.40 ms"),
        ("5 uL/h, young journal, power cycle", "1.69 ms", "0 us", "300.00 ms", ""),
        ("MicroPython's own board, power cycle", "7.00 ms", "", "", ""),
    ]
    assert len(pages.reset([boot], None).rows) == 1
