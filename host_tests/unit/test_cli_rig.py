"""`thecal rig`: what a pump runs on, and another one."""

import pytest
from pump_port import PumpPort
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_host.rigging import _change
from thecal_model import rig


def port_of(plant_rig, told=None, looks=None):
    """A pump on a plant, told of a rig or of none."""
    bench = HostBench(Plant(rig=plant_rig), flash=blank_flash(told))
    bench.advance_to_tick(20)  # the self-test is over
    return PumpPort(looks, bench=bench)


@pytest.fixture
def bare_port():
    return port_of(rig.named("bare"))


@pytest.mark.req("RIG-02", "RIG-03")
def test_a_pump_is_given_its_first_rig(run, bare_port):
    shown = run(bare_port, "rig", "show")
    assert shown.exit_code == 1
    assert (
        "no rig was ever programmed: the pump moves nothing until `thecal rig program FILE`" in shown.output
    )
    status = run(bare_port, "status")
    assert status.exit_code == 0 and "nothing moves" in status.output

    done = run(bare_port, "rig", "program", "bare", "--yes")
    assert done.exit_code == 0, done.output
    assert "250 uL a turn, not calibrated by weighing" in done.output
    for words in ("occlusion down", "a blocked catheter is not seen", "step wire", "alarms are not heard"):
        assert words in done.output
    assert "Rig 1, bare, is in force; the pump is STOPPED." in done.output

    shown = run(bare_port, "rig", "show")
    assert shown.exit_code == 0 and "Rig 1:" in shown.output and "not calibrated by weighing" in shown.output
    assert "Not watched:" in shown.output and "there is no STOP button" in shown.output
    assert "stall, free flow" in run(bare_port, "status").output


@pytest.mark.req("RIG-02")
@pytest.mark.parametrize("answer", ["n\n", "y\nn\n"])
def test_a_no_changes_nothing(run, bare_port, answer):
    done = run(bare_port, "rig", "program", "bare", answer=answer)
    assert done.exit_code == 1 and "Not confirmed; the pump has no rig." in done.output
    assert "Nobody watches for these. Is that meant?" in done.output
    assert run(bare_port, "rig", "show").exit_code == 1


@pytest.mark.req("RIG-02", "RIG-03")
def test_another_rig_says_what_changes(run):
    port = port_of(rig.reference(), rig.reference())
    done = run(port, "rig", "program", "lab", answer="y\ny\n")
    assert done.exit_code == 0, done.output
    assert "head.nl_per_rev: 100000 to 120000" in done.output
    assert "encoder.pulses_per_rev: 100 to not fitted" in done.output
    assert "Rig 2, lab, is in force" in done.output
    watched = run(port, "rig", "program", "reference", answer="y\n")
    assert watched.exit_code == 0 and "Everything is watched." in watched.output


@pytest.mark.req("RIG-02")
def test_a_table_of_a_head_is_not_told_place_by_place():
    assert _change("head.table", 0, 128) == "0 places to 128"
    assert _change("head.table", 8, 8) == "another one of 8 places"


@pytest.mark.req("RIG-01")
def test_a_rig_that_is_wrong_never_reaches_a_pump(run, bare_port, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((rig.FOLDER / "bare.toml").read_text().replace("= 200", "= 0"))
    done = run(bare_port, "rig", "program", path)
    assert done.exit_code == 2
    assert "mine.toml:5: motor.full_steps: expected a whole number from 20 to 1000, found 0" in done.output
    missing = run(bare_port, "rig", "program", "bear")
    assert missing.exit_code == 2 and "or one of reference, bare" in missing.output


@pytest.mark.req("RIG-02")
def test_a_pump_that_runs_keeps_its_rig(run, therapy_file):
    port = port_of(rig.reference(), rig.reference())
    assert run(port, "program", "--yes", therapy_file).exit_code == 0
    assert run(port, "start").exit_code == 0
    done = run(port, "rig", "program", "bare", "--yes")
    assert done.exit_code == 1 and "the pump refuses `rig`" in done.output
    assert "Rig 1:" in run(port, "rig", "show").output


@pytest.mark.req("RIG-03", "SAFE-02")
def test_a_fitted_sensor_that_fails_is_told_after_the_restart(run):
    port = port_of(rig.named("pressure"))
    plant = port.bench.plant
    assert plant is not None
    plant.sensor_fault("pressure_down", "short", port.bench.now_ns)
    done = run(port, "rig", "program", "pressure", "--yes")
    assert done.exit_code == 1
    assert "its self-test failed: pressure_down" in done.output


@pytest.mark.req("RIG-03")
def test_monitor_and_record_say_what_nobody_watches(run, tmp_path):
    port = port_of(rig.named("bare"), rig.named("bare"), looks=40)
    assert "not watched: stall, free flow, rotor infusion" in run(port, "monitor").output
    path = tmp_path / "record.ndjson"
    port = port_of(rig.named("bare"), rig.named("bare"))
    assert run(port, "record", path, "--for", "3 s").exit_code == 0
    assert '"unwatched":["stall"' in path.read_text().replace(": ", ":").splitlines()[0].replace(", ", ",")
