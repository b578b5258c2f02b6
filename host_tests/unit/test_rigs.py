"""Every rig of the project in this process: a minute on it, and what a wrong one does."""

import pytest
from pump_port import PumpPort
from rig_run import TICK_MS, check, run_a_minute
from thecal.dose.delivery import Delivery
from thecal_bench import scenario
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_bench.runner import RunError, make_plant, run_scenario
from thecal_bench.unixport import MicropythonBench
from thecal_host import ports
from thecal_host.serial_bench import SerialBench
from thecal_model import rig
from thecal_model.link import LinkClient


def without_a_rig(plant):
    return HostBench(plant, flash=blank_flash(None))


@pytest.mark.req("RIG-01", "RIG-02", "RIG-03", "RIG-04", "RIG-05")
@pytest.mark.parametrize("name", rig.NAMES)
def test_a_minute_on_every_rig(name):
    check(run_a_minute(name, without_a_rig))


@pytest.mark.req("RIG-05")
def test_a_minute_on_micropython():
    def without(plant):
        return MicropythonBench(plant, flash=blank_flash(None))

    check(run_a_minute("pressure", without))


@pytest.mark.req("RIG-01", "DOSE-01")
def test_a_dose_that_lags_for_a_while_and_is_whole_at_the_stop_is_found(monkeypatch):
    """What the ledger and the counts at the stop do not tell."""
    for name in ("plan", "position", "planned_position"):
        right = getattr(Delivery, name)

        def lagging(delivery, *args, right=right):
            steps = right(delivery, *args)
            return steps - 2 if 300 <= steps < 400 else steps

        monkeypatch.setattr(Delivery, name, lagging)
    minute = run_a_minute("bare", without_a_rig)
    summary = minute.records[-1]
    assert summary["commanded_steps"] == summary["executed_steps"] == minute.plant.steps_seen
    assert [record["ok"] for record in minute.records if record["type"] == "expect"] == [True]
    assert minute.worst_of_plant_steps() > 2 and minute.worst_of_pump_steps() > 2
    minute.slack_ms = TICK_MS
    assert minute.worst_of_plant_steps() > 1


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


CHANGE = """
duration = "90 s"
[profile]
rig = "reference"
[therapy]
mode = "continuous"
rate = "6 mL/h"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "30 s"
do = "stop"
[[event]]
at = "40 s"
do = "rig"
file = "{rig}"
[[event]]
at = "50 s"
do = "program"
[event.therapy]
mode = "continuous"
rate = "6 mL/h"
[[event]]
at = "60 s"
do = "start"
[[expect]]
what = "unwatched"
at = "30 s"
value = []
[[expect]]
what = "ledger"
value = "100 uL"
[[expect]]
what = "resets"
value = 1
"""


def judged(text, told=None):
    """The plant, and what came of each expectation."""
    experiment = scenario.parse(text)
    plant = make_plant(experiment)
    bench = HostBench(plant, flash=blank_flash(told or plant.rig))
    records = list(run_scenario(experiment, bench, LinkClient(bench.send)))
    return plant, records, {record["what"]: record for record in records if record["type"] == "expect"}


@pytest.mark.req("RIG-02", "RIG-03")
def test_a_rig_is_changed_in_the_middle_of_an_experiment(tmp_path):
    """The head gives 100 uL a turn whatever the pump is told; told 120 uL, it turns less for the same."""
    missing = 'what = "unwatched"\nvalue = ["button_stop", "encoder_slip"]\n'
    plant, records, found = judged(CHANGE.format(rig="lab") + "[[expect]]\n" + missing)
    # 50 uL of the first half minute, and of the 50 uL of the second a sixth less: 6400 steps are two turns.
    assert float(plant.displaced_nl()) == pytest.approx(
        50_000 + 50_000 / 120_000 * 6_400 / 3_200 * 100_000, abs=40
    )
    assert found["ledger"]["ok"] and found["resets"]["ok"]
    assert found["unwatched"]["ok"] is False
    assert found["unwatched"]["found"] == ", ".join(rig.named("lab").unwatched())
    assert found["unwatched"]["expected"] == "encoder_slip, button_stop"
    told = [record["name"] for record in records if record["type"] == "soft_limit"]
    assert told[: len(rig.named("lab").unwatched())] == rig.named("lab").unwatched()


@pytest.mark.req("RIG-02")
def test_a_rig_is_refused_while_the_pump_runs():
    text = CHANGE.format(rig="bare").replace(
        'at = "30 s"\ndo = "stop"', 'at = "30 s"\ndo = "refill"\nvolume = "9 mL"'
    )
    _, records, found = judged(text)
    refused = [record for record in records if record["type"] == "refused"]
    assert [record["do"] for record in refused] == ["rig", "start"]
    assert not found["resets"]["ok"] and found["unwatched"]["ok"]


@pytest.mark.req("RIG-05")
def test_a_real_pump_must_run_on_the_rig_that_the_scenario_names(monkeypatch):
    board = HostBench(Plant(rig=rig.named("bare")))
    port = PumpPort(bench=board)
    monkeypatch.setattr(ports, "open_port", lambda name: port)
    for name, runs in (("lab", False), ("bare", True)):
        bench = SerialBench("test pump", port.clock_s)
        experiment = scenario.parse(RUN.replace("60 s", "5 s") + f'[profile]\nrig = "{name}"\n')
        result = run_scenario(experiment, bench, LinkClient(bench.send))
        if runs:
            assert result.finish()["executed_steps"] == 106  # 5 s at 6 mL/h, 78.125 nL each
        else:
            with pytest.raises(RunError, match="runs on rig bare, the scenario on lab: program that first"):
                result.finish()


FLEX = """
duration = "20 s"
clock = "mon 05:59:50"
[profile]
rig = "reference"
[therapy]
mode = "flex"
[[therapy.step]]
at = "00:00"
rate = "6 mL/h"
[[therapy.step]]
at = "06:00"
rate = "60 mL/h"
[[event]]
at = "0 s"
do = "start"
"""


@pytest.mark.req("RIG-05", "DOSE-06")
def test_a_pump_that_was_just_given_its_rig_has_the_time_of_the_experiment():
    """Its own ticks began anew with the restart. 10 s at 6 mL/h and 10 s at 60 mL/h."""
    experiment = scenario.parse(FLEX)
    plant = make_plant(experiment)
    bench = without_a_rig(plant)
    summary = run_scenario(experiment, bench, LinkClient(bench.send), rig=plant.rig).finish()
    assert abs(summary["ledger_nl"] - 66_000_000 * 10 / 3600) <= 32
