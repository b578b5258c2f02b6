"""Every rig of the project in this process: a minute on it, and what a wrong one does."""

import pytest
from rig_run import check, run_a_minute
from thecal_bench import scenario
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_bench.runner import RunError, make_plant, run_scenario
from thecal_bench.unixport import MicropythonBench
from thecal_model import rig
from thecal_model.link import LinkClient


def without_a_rig(plant):
    return HostBench(plant, flash=blank_flash(None))


@pytest.mark.req("RIG-01", "RIG-02", "RIG-03", "RIG-04", "RIG-05")
@pytest.mark.parametrize("name", rig.NAMES)
def test_a_minute_on_every_rig(name):
    check(*run_a_minute(name, without_a_rig))


@pytest.mark.req("RIG-05")
def test_a_minute_on_micropython():
    def without(plant):
        return MicropythonBench(plant, flash=blank_flash(None))

    check(*run_a_minute("pressure", without))


RUN = """
duration = "60 s"
[therapy]
mode = "continuous"
rate = "6 mL/h"
[[event]]
at = "0 s"
do = "start"
"""


def run_on(name, told):
    """A minute on the plant of rig `name`, whose pump was told another one."""
    experiment = scenario.parse(RUN + f'[profile]\nrig = "{name}"\n')
    plant = make_plant(experiment)
    bench = HostBench(plant, flash=blank_flash(told))
    return plant, run_scenario(experiment, bench, LinkClient(bench.send)).finish()


def changed(name, table, **keys):
    """A rig of the project with other keys in one of its tables."""
    tables = {where: dict(what) for where, what in rig.named(name).tables.items()}
    tables[table] |= keys
    return rig.wire.read(tables)


@pytest.mark.req("RIG-05")
@pytest.mark.parametrize("name", ["reference", "geared", "bare"])
def test_a_wrong_level_of_dir_turns_the_rotor_backward(name):
    level = 0 if rig.named(name).dir_forward_high else 1
    plant, summary = run_on(name, changed(name, "driver", dir_forward=level))
    assert plant.angle_steps == -summary["executed_steps"] < 0
    assert summary["alarms"] == []  # nothing tells the pump: the encoder counts by the level of DIR


@pytest.mark.req("RIG-05", "MOT-02")
def test_a_wrong_level_of_en_does_not_turn_it_and_an_encoder_tells():
    plant, summary = run_on("reference", changed("reference", "driver", enable=1))
    assert plant.angle_steps == 0
    assert [alarm["code"] for alarm in summary["alarms"]] == ["STALL"]
    plant, summary = run_on("bare", changed("bare", "driver", enable=1))
    assert plant.angle_steps == 0 and summary["executed_steps"] > 0 and summary["alarms"] == []


@pytest.mark.req("RIG-05", "MOT-02")
def test_wrong_microsteps_are_told_by_an_encoder():
    plant, summary = run_on("reference", changed("reference", "motor", microsteps=32))
    assert [alarm["code"] for alarm in summary["alarms"]] == ["RUNAWAY"]
    assert plant.angle_steps == summary["executed_steps"]


@pytest.mark.req("RIG-02")
def test_a_board_without_a_rig_answers_and_moves_nothing():
    plant = Plant(rig=rig.named("bare"))
    experiment = scenario.parse(RUN)
    bench = without_a_rig(plant)
    with pytest.raises(RunError, match="rig"):
        run_scenario(experiment, bench, LinkClient(bench.send)).finish()
    assert plant.steps_seen == 0
