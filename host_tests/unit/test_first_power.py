"""`thecal rig check` (RIG-06) on the in-process board: the plant has one rig, the pump was told another.

Whoever stands beside the bench answers what the pump cannot see.
"""

from __future__ import annotations

import pytest
from pump_port import PumpPort
from thecal import rig as wire
from thecal_bench.bystander import Bystander
from thecal_bench.flash_model import FlashModel
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_host.first_power import Finding, Verdict
from thecal_host.first_power.walk import walk
from thecal_host.pump import Pump, PumpError
from thecal_model.asking import Ask
from thecal_model.rig import NAMES, named
from told import told


class Checked:
    """A pump that was told `rig`, on a plant built by `truth`, after `walk`."""

    def __init__(self, truth: str, rig: wire.Rig, prepare=lambda bench: None) -> None:
        self.plant = Plant(rig=named(truth))
        self.bench = HostBench(self.plant, flash=FlashModel.blank(rig))
        self.bench.advance_to_tick(40)
        prepare(self.bench)
        self.bystander = Bystander(self.bench)
        port = PumpPort(bench=self.bench)
        pump = Pump(port, port.clock_s)
        pump.connect()
        self.findings = {finding.part: finding for finding in walk(pump, rig, self.bystander)}
        self.state = pump.status()["state"]

    def wrong(self) -> dict[str, Finding]:
        return {part: found for part, found in self.findings.items() if found.verdict is Verdict.WRONG}

    def only_wrong(self) -> Finding:
        (found,) = self.wrong().values()
        assert found.do
        return found


@pytest.mark.req("RIG-06")
@pytest.mark.parametrize("name", NAMES)
def test_a_rig_that_is_as_it_was_told_passes(name):
    checked = Checked(name, named(name))
    assert checked.wrong() == {} and checked.state == "STOPPED"
    parts = list(checked.findings)
    assert parts[:4] == ["shaft", "EN", "STEP", "direction"]
    absent = {part for part, found in checked.findings.items() if found.verdict is Verdict.NOT_FITTED}
    assert ("encoder" in absent) == (not named(name).encoder_pulses_per_rev)
    assert ("supply" in absent) == (named(name).supply is None)


@pytest.mark.req("RIG-06")
def test_the_first_question_is_whether_the_shaft_is_free():
    checked = Checked("reference", named("reference"))
    assert checked.bystander.asked[0] is Ask.SHAFT_FREE
    assert checked.bystander.asked.index(Ask.DISCONNECTED) < checked.bystander.asked.index(Ask.MARK)


@pytest.mark.req("RIG-06", "MOT-06")
@pytest.mark.parametrize("name", ["reference", "bare"])
def test_a_wrong_direction_is_found_by_who_looks(name):
    found = Checked(name, told(name, driver__dir_forward=0)).only_wrong()
    assert found.part == "direction" and 'dir_forward = "high"' in found.do


@pytest.mark.req("RIG-06", "MOT-06")
@pytest.mark.parametrize("name", ["reference", "bare"])
def test_a_wrong_polarity_of_en_is_found_before_anything_moves(name):
    checked = Checked(name, told(name, driver__enable=1))
    found = checked.only_wrong()
    assert found.part == "shaft" and 'enable = "low"' in found.do
    assert checked.findings["motor"].verdict is Verdict.NOT_TRIED and checked.plant.steps_seen == 0


@pytest.mark.req("RIG-06", "MOT-06")
@pytest.mark.parametrize(
    ("name", "microsteps"), [("reference", 8), ("reference", 32), ("bare", 4), ("bare", 8)]
)
def test_wrong_microsteps_are_found_by_the_encoder_or_by_who_looks(name, microsteps):
    """The driver has 1/16; without an encoder somebody says how far a mark went."""
    checked = Checked(name, told(name, motor__microsteps=microsteps))
    found = checked.wrong()["turn"]
    assert "microsteps = 16" in found.do and f"driver to 1/{microsteps}" in found.do
    assert (Ask.TURNS in checked.bystander.asked) == (name == "bare")
    assert checked.state == ("HALTED" if name == "reference" else "STOPPED")


@pytest.mark.req("RIG-06", "MOT-06")
def test_microsteps_so_fine_that_no_pulse_comes_before_the_pump_stops_are_thought_of():
    found = Checked("reference", told("reference", motor__microsteps=4)).only_wrong()
    assert found.part == "encoder" and "finer than the rig's 1/4" in found.do


@pytest.mark.req("RIG-06")
@pytest.mark.parametrize(
    ("prepare", "part", "words"),
    [
        (lambda bench: bench.plant.sensor_fault("step_sense", "open", bench.now_ns), "STEP", "STEP_SENSE"),
        (
            lambda bench: bench.plant.sensor_fault("encoder", "open", bench.now_ns),
            "encoder",
            "open-collector",
        ),
        (lambda bench: bench.plant.set_stalled(True), "motor", "coils"),
        (lambda bench: bench.plant.set_supply(10.5), "supply", "low"),
        (lambda bench: setattr(bench.inputs, "button_stop", True), "STOP button", 'level = "high"'),
    ],
    ids=["step sense", "encoder", "stalled", "supply", "button"],
)
def test_what_is_broken_is_named_with_what_to_do(prepare, part, words):
    assert words in Checked("reference", named("reference"), prepare).wrong()[part].do


@pytest.mark.req("RIG-06", "OCC-01")
def test_a_sensor_whose_zero_is_off_is_found_at_rest():
    found = Checked("pressure", told("pressure", pressure_down__zero_code=100)).only_wrong()
    assert found.part == "pressure_down" and "zero is at code" in found.do


@pytest.mark.req("RIG-06", "SAFE-02")
def test_a_failed_self_test_moves_nothing_and_says_which_part():
    def broken(bench: HostBench) -> None:
        bench.pump.control.failures |= 1 << 7
        bench.pump.startup.tell_failed(1 << 7)
        bench.pump.senses.failed.found(7, 1)
        bench.pump.critical.words.keep_all()
        bench.advance_to_tick(bench.tick + 2)

    checked = Checked("reference", named("reference"), broken)
    assert checked.findings["motor"].verdict is Verdict.NOT_TRIED
    assert "pressure down" in checked.findings["motor"].says
    assert checked.only_wrong().part == "pressure_down" and checked.plant.steps_seen == 0


@pytest.mark.req("RIG-06")
def test_only_a_pump_at_rest_is_checked():
    bench = HostBench()
    bench.advance_to_tick(40)
    port = PumpPort(bench=bench)
    pump = Pump(port, port.clock_s)
    pump.connect()
    pump.confirm(pump.propose_disconnected())
    pump.ask("jog", steps=1_600, rate_nl_h=6_000_000)
    with pytest.raises(PumpError, match="JOGGING: `thecal stop` comes first"):
        next(walk(pump, named("reference"), Bystander(bench)))


@pytest.mark.req("RIG-06")
def test_nothing_moves_where_somebody_may_be_connected():
    class Unsure(Bystander):
        def yes(self, ask: Ask, text: str) -> bool:
            return ask is not Ask.DISCONNECTED and super().yes(ask, text)

    plant = Plant()
    bench = HostBench(plant)
    bench.advance_to_tick(40)
    port = PumpPort(bench=bench)
    pump = Pump(port, port.clock_s)
    pump.connect()
    with pytest.raises(PumpError, match="nothing is moved"):
        list(walk(pump, named("reference"), Unsure(bench)))
    assert plant.steps_seen == 0


@pytest.mark.req("RIG-06")
def test_a_person_is_walked_through_it_at_the_terminal(run):
    bench = HostBench(Plant(rig=named("bare")))
    bench.advance_to_tick(40)
    port = PumpPort(bench=bench)
    # Free, nobody connected, a mark, moved, forward, and a slip before half a turn.
    done = run(port, "rig", "check", answer="y\ny\n\ny\ny\nhalf\n0.5\n")
    assert done.exit_code == 0, done.output
    assert done.output.index("is it free?") < done.output.index("no patient connected")
    assert 'expected a number such as 0.5 or 1/2, found "half"' in done.output
    assert "All that could be checked is as the rig says." in done.output
    again = run(port, "rig", "check", answer="y\ny\n\ny\nn\n")
    assert again.exit_code == 1 and 'dir_forward = "low"' in again.output and "1 found wrong" in again.output


@pytest.mark.req("RIG-02", "RIG-06")
def test_a_board_without_a_rig_is_told_what_comes_first(run):
    plant = Plant()
    bench = HostBench(plant, flash=FlashModel.blank(None))
    bench.advance_to_tick(40)
    done = run(PumpPort(bench=bench), "rig", "check")
    assert done.exit_code == 1 and "`thecal rig program FILE` comes first" in done.output
    assert plant.steps_seen == 0
