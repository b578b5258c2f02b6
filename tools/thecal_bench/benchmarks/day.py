"""A day of the pump in-process: the experiment whose wall time `make bench` reports.

5 uL/h for 24 h, 864 000 ticks, with a bolus of 50 uL in the first half hour, run by the scenario runner as
any scenario is: with the plant, the sensors, the link and its checksums.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from thecal_model.therapy import Therapy

from thecal_bench.bench import TICK_MS, BenchError
from thecal_bench.inprocess import HostBench
from thecal_bench.runner import make_plant, run_scenario
from thecal_bench.scenario import BolusRequest, Event, Scenario

DAY_TICKS = 24 * 3_600_000 // TICK_MS
BASAL_NL_H = 5_000
BOLUS = BolusRequest(50_000, 60_000)
BOLUS_AT_MS = 60_000
SHORTEST_TICKS = 1_800  # the bolus is through


@dataclass(frozen=True)
class Day:
    """How it went. The times of a part are also given as they would be for the whole day."""

    ticks: int
    wall_s: float
    processor_s: float
    error_steps: float

    @property
    def ticks_per_s(self) -> float:
        return self.ticks / self.wall_s

    @property
    def day_wall_s(self) -> float:
        return self.wall_s * DAY_TICKS / self.ticks


def run_day(
    ticks: int = DAY_TICKS, progress: Callable[[int, int], object] = lambda _at_ms, _of_ms: None
) -> Day:
    """Run the scenario, or its first `ticks` ticks. Raises BenchError if it went wrong."""
    from thecal_model.link import LinkClient

    if ticks < SHORTEST_TICKS:
        raise ValueError(f"ticks is {ticks}, must be at least {SHORTEST_TICKS}: the bolus takes that long")
    duration_ms = ticks * TICK_MS
    scenario = Scenario(
        path="benchmark",
        title="a day at 5 uL/h with a bolus",
        duration_ms=duration_ms,
        therapy=Therapy("continuous", Fraction(BASAL_NL_H)),
        events=(
            Event(0, "start", 1),
            Event(BOLUS_AT_MS, "clinician_bolus", 2, bolus=BOLUS),
        ),
    )
    bench = HostBench(make_plant(scenario))
    started_s, started_processor_s = time.perf_counter(), time.process_time()
    summary = run_scenario(scenario, bench, LinkClient(bench.send), progress=progress).finish()
    wall_s, processor_s = time.perf_counter() - started_s, time.process_time() - started_processor_s
    if summary["executed_steps"] is None or not summary["boluses"][0]["granted"]:
        raise BenchError(f"the scenario of a day did not run: {summary}")
    owed_nl = Fraction(BASAL_NL_H * duration_ms, 3_600_000) + BOLUS.volume_nl
    assert bench.plant is not None
    error = summary["executed_steps"] - owed_nl / bench.plant.geometry.step_nl
    return Day(ticks, wall_s, processor_s, float(error))
