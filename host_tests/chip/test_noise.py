"""Wires as they are beside a motor driver: spikes, bounces and trembling edges at the pins of the image."""

from pathlib import Path

import pytest
from rig import Rig
from thecal.drivers import segment
from thecal.watch import alarms
from thecal_bench import runner, scenario
from thecal_bench.chip.bench import ChipBench
from thecal_bench.chip.recorders import EdgeRecorder
from thecal_bench.plant import Plant
from thecal_model import rig as rigs
from thecal_model.link import LinkClient

pytestmark = pytest.mark.chip

SCENARIO = Path(__file__).parents[1] / "scenarios" / "noisy_wires.toml"
X_BEGINS = 3 << 29
ENCODER_MACHINE, INDEX_MACHINE = 1, 2  # of block 1
PIO_CYCLE = 100
AT_PAD = (rigs.FOLDER / "reference.toml").read_text().replace('at = "wire"', 'at = "pad"')


def counted(board, machine):
    """What a counter has counted, as its machine knows it."""
    return X_BEGINS - board.pio[1].machines[machine].x


def pulse_cycles(edges):
    """How long STEP was high, each time."""
    times = [edge.cycle for edge in edges.edges]
    return [fall - rise for rise, fall in zip(times[::2], times[1::2], strict=False)]


def alarms_of(rig):
    return [event["a"] for event in rig.client.events if event["code"] == "alarm"]


@pytest.mark.req("MOT-01", "MOT-02", "SIM-01")
def test_spikes_bounces_and_trembling_edges_are_no_pulses_and_a_broken_wire_is_still_one(image):
    """60 mL/h: a revolution in 6 s, so there is an index mark."""
    rig = Rig(image, plant=Plant(angle_steps=2_400))
    rig.start(60_000_000)
    for net in ("step_sense", "encoder", "index", "button_stop", "driver_fault", "air"):
        rig.bench.disturb("spikes", net, 3_000, 500)
    rig.bench.disturb("tremble", "encoder", 5)
    rig.bench.disturb("bounce", "index", 5)
    rig.run_ticks(31)
    assert set(rig.bench.noise.made.values()) == {500} and len(rig.bench.noise.made) == 6
    assert counted(rig.board, ENCODER_MACHINE) == rig.plant.encoder_count > 50
    assert counted(rig.board, INDEX_MACHINE) == rig.plant.index_count == 1
    assert alarms_of(rig) == []
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 1_600
    assert set(pulse_cycles(rig.edges)) == {segment.LEAST_PULSE * PIO_CYCLE}
    assert rig.no_backlog()
    rig.ask("start")
    rig.plant.sensor_fault("step_sense", "open", rig.bench.now_ns)
    rig.run_ticks(5)
    assert alarms_of(rig) == [alarms.SENSOR_FAULT]


@pytest.mark.req("RIG-03", "MOT-01")
def test_without_a_wire_back_steps_are_counted_at_the_pad(image):
    plant = Plant(rig=rigs.parse(AT_PAD))
    rig = Rig(image, plant=plant)
    assert not rig.board.plugged("STEP_SENSE")
    rig.start(60_000_000)
    rig.run_ticks(10)
    rig.change_rate(2_000_000)
    rig.run_ticks(10)
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 530
    assert alarms_of(rig) == []


BY_HAND = """
import rp2
from time import sleep_ms
from thecal.drivers import segment, stepper
from thecal.signals import Inputs
inputs = Inputs()
wired = stepper.Stepper(True, False)
print(wired.self_test())
wired.halt()
rp2.PIO(0).remove_program()
rp2.PIO(1).remove_program()
motor = stepper.Stepper(True, False, segment.MOST_PULSE * 800, True, False, False)
print(motor.self_test())
motor.halt()
for steps in (3, 1, 0, 2):
    motor.queue(motor.ordered_steps + steps, 200_000, 5_000, 15_000)
motor.go()
sleep_ms(90)
motor.read(inputs)
print(inputs.executed_steps, inputs.encoder_count, inputs.index_count)
motor.machine.active(0)
motor.machine.exec(stepper.STEP_HIGH)
motor.halt()
motor.read(inputs)
print(inputs.executed_steps, motor.turned, motor.marked)
"""


@pytest.mark.req("RIG-01", "RIG-03", "MOT-01")
def test_a_pulse_is_as_long_as_asked_even_where_it_is_cut_off_and_what_is_not_fitted_is_not_counted(prompt):
    board = prompt.board
    board.unplug("STEP_SENSE")
    edges = EdgeRecorder(board)
    board.set_pin("ENCODER", 1)
    lines = prompt.run(BY_HAND).split("\n")
    assert [line.strip() for line in lines[:4]] == ["False", "True", "6 0 0", "7 None None"]
    widths = pulse_cycles(edges)[2:]
    assert widths[:-1] == [segment.MOST_PULSE * PIO_CYCLE] * 6
    assert widths[-1] >= segment.MOST_PULSE * PIO_CYCLE
    rising = edges.rising[2:8]
    due = []
    cutter = segment.Cutter(segment.MOST_PULSE, segment.MIN_PERIOD_CYCLES)
    start = 0
    for steps in (3, 1, 0, 2):
        cutter.cut(steps, 200_000, 5_000, 15_000)
        due += [start + cutter.first_edge() + index * cutter.period() for index in range(steps)]
        start += cutter.length()
    # A cycle of the machine is 12 or 13 of the processor's.
    assert all(abs(at - rising[0] - (by - due[0]) * 12.5) < 1 for at, by in zip(rising, due, strict=True))


BARE_COUNTERS = """
import rp2
from thecal import app
from thecal.drivers import stepper
@rp2.asm_pio()
def bare():
    wrap_target()
    label("next")
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(x_dec, "next")
    wrap()
stepper.count_program = lambda turn: bare
app.run()
"""


@pytest.mark.long
@pytest.mark.req("MOT-01", "MOT-02")
def test_the_same_spikes_fool_counters_that_take_any_edge_for_a_pulse(image):
    rig = Rig(image, BARE_COUNTERS)
    rig.start(60_000_000)
    rig.run_ticks(10)
    assert alarms_of(rig) == []
    for net in ("step_sense", "encoder", "index"):
        rig.bench.disturb("spikes", net, 3_000, 500)
    rig.run_ticks(32)
    assert {alarms.RUNAWAY, alarms.FREE_FLOW, alarms.SENSOR_FAULT} <= set(alarms_of(rig))
    assert rig.status()["executed_steps"] > rig.plant.steps_seen + 300


@pytest.mark.long
@pytest.mark.req("MOT-01", "MOT-02", "ALM-05", "LIM-01")
def test_ten_thousand_spikes_a_minute_on_six_wires_change_nothing(image):
    experiment = scenario.load(SCENARIO)
    with ChipBench(runner.make_plant(experiment), image) as bench:
        result = runner.run_scenario(experiment, bench, LinkClient(bench.send))
        result.finish()
        plant = bench.plant
        assert plant is not None
        assert set(bench.noise.made.values()) == {10_000} and len(bench.noise.made) == 6
        assert counted(bench.board, ENCODER_MACHINE) == plant.encoder_count
        assert counted(bench.board, INDEX_MACHINE) == plant.index_count
    assert result.expect_failed == 0 and result.summary["alarms"] == []
