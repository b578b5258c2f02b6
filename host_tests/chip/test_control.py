"""The benchmark's control is a fair one: it really steps, at the rate it was told, on the same board."""

import json
import subprocess
import sys

import pytest
from thecal_bench.benchmarks import figures, float32
from thecal_bench.benchmarks.cost import accumulate_on_chip, measure_cost
from thecal_bench.benchmarks.motion import DESIGNS, LATE, NOMINAL, THECAL, Task, run_task

pytestmark = pytest.mark.chip

FAST_NL_H = 60_000_000


@pytest.mark.req("PERF-01", "PERF-03")
@pytest.mark.parametrize("design", DESIGNS)
def test_every_design_delivers_at_the_rate_it_was_told(image, design):
    motion = run_task(Task(design, FAST_NL_H, 1, image=image))
    worst, _ = figures.errors_steps(motion.edges, motion.task.steps_per_cycle, motion.end_cycle)
    # A control makes a step within a callback of its time, which is half a step at this rate.
    assert abs(worst) <= (1 if design == THECAL else 2)
    assert motion.plant_steps == len(motion.edges) > 500
    assert figures.too_close(motion.edges) == 0
    assert motion.cycles_per_tick > 10_000


@pytest.mark.req("PERF-01")
def test_a_stall_costs_each_design_what_its_kind_must(image):
    """What is printed under `disturbed` is the doing of the design, not of the benchmark."""
    lost, close = {}, {}
    for design in DESIGNS:
        motion = run_task(Task(design, FAST_NL_H, 2, disturbed=True, image=image))
        lost[design] = figures.lost_steps(motion.edges, motion.task.steps_per_cycle, motion.end_cycle)
        close[design] = figures.too_close(motion.edges)
        if design == THECAL:
            off = figures.schedule_deviations(motion.edges, motion.taken, motion.end_cycle)
            assert len(off) == len(motion.edges) and max(map(abs, off)) <= 16
    owed_in_stall = 400 * 160 / 300
    assert lost[THECAL] == close[THECAL] == 0
    assert lost[NOMINAL] == pytest.approx(owed_in_stall, abs=10)  # but for 8 callbacks that were kept
    assert lost[LATE] == 0, "it makes up for all of it ..."
    assert close[LATE] == pytest.approx(owed_in_stall, abs=15), "... in a burst"


@pytest.mark.req("PERF-03")
def test_only_the_control_allocates(image):
    assert measure_cost(THECAL, FAST_NL_H, 5, image).bytes_per_tick == 0
    assert measure_cost(NOMINAL, FAST_NL_H, 5, image).bytes_per_tick > 100 * 16  # a float a callback


@pytest.mark.parametrize("rate_nl_h", [FAST_NL_H, 5_000])
def test_the_host_adds_floats_as_the_chip_does(image, rate_nl_h):
    here = float32.accumulate(rate_nl_h, 1_000)
    assert accumulate_on_chip(rate_nl_h, 1_000, image) == (here.steps, float32.bits(here.left))


@pytest.mark.req("PERF-01", "PERF-03", "PERF-04")
def test_the_benchmark_runs_end_to_end(image, tmp_path):
    command = [sys.executable, "-m", "thecal_bench.benchmark", "--quick", "--jobs", "2"]
    done = subprocess.run(
        [*command, "--image", str(image), "--out", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for words in ("ticks per second", "CPU cycles per uL", "interval error", "better Timer", "stock"):
        assert words in done.stdout
    told = json.loads((tmp_path / "bench.json").read_text())
    (case,) = told["cases"]
    assert set(case["edges"]) == {THECAL, NOMINAL, LATE} and min(case["edges"].values()) > 500
    assert case["thecal_off_schedule_cycles"]["worst"] <= 16
    assert {loop["design"]: loop["bytes_per_tick"] for loop in told["loop"]}[THECAL] == 0
    (boot,) = told["boots"]
    assert boot["en_active_in_post_us"] == 0 < boot["en_driven_us"] < boot["loop_us"] < boot["motor_on_us"]
    assert (tmp_path / "edges.png").read_bytes().startswith(b"\x89PNG")


def test_a_benchmark_without_an_image_says_so(tmp_path):
    command = [sys.executable, "-m", "thecal_bench.benchmark", "--quick", "--image", str(tmp_path / "no.uf2")]
    done = subprocess.run([*command, "--out", str(tmp_path), "--jobs", "1"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "make image" in done.stderr
