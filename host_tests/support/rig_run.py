"""A minute on a rig: a board that was never told of one is given it, started, asked for a bolus, stopped.

All the time the plant is held against what was owed: exact, computed on the host alone from the prescription
and from when the pump said that it began and ended something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal_bench import scenario
from thecal_bench.bench import TICK_NS, Bench
from thecal_bench.parameters import Geometry
from thecal_bench.plant import Plant
from thecal_bench.run_log import LEDGER_FIELDS, STATUS_PERIOD_TICKS
from thecal_bench.runner import make_plant, run_scenario
from thecal_host.experiment import prescription
from thecal_host.programmed import MS_PER_H, Programmed
from thecal_host.record import programmed_by_events
from thecal_model import rig
from thecal_model.link import LinkClient

MINUTE = """
title = "A minute at a rate of use, with a bolus"
duration = "62 s"
[profile]
rig = "{rig}"
[therapy]
mode = "continuous"
rate = "{rate}"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "20 s"
do = "clinician_bolus"
volume = "20 uL"
duration = "30 s"
[[event]]
at = "60 s"
do = "stop"
[[expect]]
what = "ledger"
at = "60 s"
value = "120 uL"
within = "{step}"
"""
RATE_ML_H = 6
STOP_MS = 60_000
END_TICK = 620
TICK_MS = TICK_NS // 1_000_000
HALT_MS = 10
"""From the tick of a stop until the motor stands (OCC-04)."""


@dataclass
class Minute:
    """What came of it. Ticks are those from t=0; `plant_nl` is what had been displaced at each of them,
    `executed_steps` what the pump said in each status.

    The bench's grid of ticks may be off that of a pump that has started anew, by less than `slack_ms`; the
    pump reads its count within `read_ms` of a tick.
    """

    plant: Plant
    records: list[dict[str, Any]]
    programmed: Programmed
    slack_ms: int
    read_ms: int
    plant_nl: dict[int, Fraction]
    executed_steps: dict[int, int]

    def off_steps(self, late_ms: Fraction) -> tuple[Fraction, Fraction]:
        """The least and the largest that the plant was ahead, in microsteps, while the pump ran, if the bench
        was so late.
        """
        step_nl = self.plant.geometry.step_nl
        off = [
            (made_nl - self.programmed.volume_nl(max(tick * TICK_MS + late_ms, Fraction(0)))) / step_nl
            for tick, made_nl in self.plant_nl.items()
            if tick * TICK_MS + late_ms <= STOP_MS
        ]
        return min(off), max(off)

    def worst_of_plant_steps(self) -> Fraction:
        """The largest difference of the plant from what was owed, at every tick while the pump ran, with the
        bench as late as fits best: later, and more is owed at all ticks.
        """
        low, high = Fraction(-self.slack_ms), Fraction(self.slack_ms)
        while high - low > Fraction(1, 100):
            late = (low + high) / 2
            least, most = self.off_steps(late)
            low, high = (late, high) if -least < most else (low, late)
        return max(map(abs, self.off_steps(low)))

    def worst_of_pump_steps(self) -> Fraction:
        """The same of the pump's own count, in every status."""
        step_nl, owed_nl = self.plant.geometry.step_nl, self.programmed.volume_nl
        worst = Fraction(0)
        for tick, steps in self.executed_steps.items():
            if (at_ms := tick * TICK_MS) <= STOP_MS:
                over = steps - owed_nl(at_ms + self.read_ms) / step_nl
                worst = max(worst, over, owed_nl(at_ms) / step_nl - steps)
        return worst


def run_a_minute(
    name: str, open_bench: Callable[[Plant], Bench], slack_ms: int = 0, read_ms: int = 0
) -> Minute:
    """On a rig of the project. `open_bench(plant)` makes a board without a rig."""
    step_nl = Geometry.of(rig.named(name)).step_nl
    step = f"{step_nl.numerator}/{step_nl.denominator} nL"
    experiment = scenario.parse(MINUTE.format(rig=name, rate=f"{RATE_ML_H} mL/h", step=step))
    plant = make_plant(experiment)
    seen_nl: dict[int, Fraction] = {}

    def look() -> None:
        tick = bench.tick + 1
        seen_nl[tick] = plant.displaced_nl()
        bench.schedule(tick + 1, look)

    with open_bench(plant) as bench:
        bench.schedule(bench.tick + 1, look)
        result = run_scenario(experiment, bench, LinkClient(bench.send), rig=plant.rig, keep_ledger=True)
        records = list(result)
    begin = result.log.begin_tick
    assert begin is not None and result.log.ledger is not None
    events = [(record["at_ms"], record) for record in records if record["type"] == "event"]
    ledger, width = result.log.ledger, 1 + len(LEDGER_FIELDS)
    executed = 1 + LEDGER_FIELDS.index("executed_steps")
    return Minute(
        plant,
        records,
        programmed_by_events(prescription(experiment), events, END_TICK * TICK_MS),
        slack_ms,
        read_ms,
        {tick - begin: nl for tick, nl in seen_nl.items() if 0 <= tick - begin <= END_TICK},
        dict(zip(ledger[::width], ledger[executed::width], strict=True)),
    )


def check(minute: Minute) -> None:
    """Commanded, executed and plant agree; at every tick and in every status they are what was owed, to one
    microstep, and so they are after the stop, but for what the motor made until it stood; nothing alarmed.
    """
    plant, records = minute.plant, minute.records
    assert list(minute.plant_nl) == list(range(END_TICK + 1))
    assert set(minute.executed_steps) >= set(range(STATUS_PERIOD_TICKS, END_TICK, STATUS_PERIOD_TICKS))
    of_plant, of_pump = minute.worst_of_plant_steps(), minute.worst_of_pump_steps()
    print(f"{plant.rig.name}: plant {float(of_plant):.3f}, pump {float(of_pump):.3f} microsteps off at most")
    assert of_plant <= 1 and of_pump <= 1
    flow_steps_ms = RATE_ML_H * 1_000_000 / plant.geometry.step_nl / MS_PER_H
    over_steps = (
        plant.displaced_nl() - minute.programmed.volume_nl(END_TICK * TICK_MS)
    ) / plant.geometry.step_nl
    assert -1 <= over_steps <= 1 + HALT_MS * flow_steps_ms
    assert len({minute.plant_nl[tick] for tick in range(END_TICK - 18, END_TICK + 1)}) == 1
    summary = records[-1]
    assert summary["type"] == "summary"
    assert [record["name"] for record in records if record["type"] == "rig"] == [plant.rig.name]
    told = next(record for record in records if record["type"] == "rig")
    assert told["unwatched"] == plant.rig.unwatched()
    assert summary["commanded_steps"] == summary["executed_steps"] == plant.steps_seen == plant.angle_steps
    assert [record["ok"] for record in records if record["type"] == "expect"] == [True]
    assert plant.displaced_nl() == plant.angle_steps * plant.geometry.step_nl
    assert [bolus["granted"] for bolus in summary["boluses"]] == [True]
    assert summary["alarms"] == [] and summary["resets"] == 0
    assert [(state["state"], state["cause"]) for state in summary["states"]] == [
        ("STOPPED", "self_test"),
        ("RUNNING", "command"),
        ("STOPPED", "command"),
    ]
    assert [record for record in records if record["type"] in ("warning", "refused", "skipped")] == []
