"""A minute on a rig: a board that was never told of one is given it, started, asked for a bolus, stopped."""

from thecal_bench import scenario
from thecal_bench.parameters import Geometry
from thecal_bench.runner import make_plant, run_scenario
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


def run_a_minute(name, open_bench):
    """The plant of a rig of the project, and all records. `open_bench(plant)` makes a board without a rig."""
    step_nl = Geometry.of(rig.named(name)).step_nl
    step = f"{step_nl.numerator}/{step_nl.denominator} nL"
    experiment = scenario.parse(MINUTE.format(rig=name, rate=f"{RATE_ML_H} mL/h", step=step))
    plant = make_plant(experiment)
    with open_bench(plant) as bench:
        result = run_scenario(experiment, bench, LinkClient(bench.send), rig=plant.rig)
        records = list(result)
    return plant, records


def check(plant, records):
    """Commanded, executed and plant agree, and before the stop with what was owed, to one microstep; nothing
    alarmed.
    """
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
