"""What happens to the plant reaches the chip's pins and converters, and a bench in-process reads the same."""

import ast

import pytest
from programs import COUNTER
from rig import Rig
from thecal_bench import runner, scenario
from thecal_bench.chip.bench import ChipBench
from thecal_bench.chip.plant_wiring import wire_plant, wire_world
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient
from thecal_model.rig import reference

pytestmark = pytest.mark.chip

INVERTED = {
    "rig": {"name": "inverted"},
    "motor": {"full_steps": 200, "microsteps": 16},
    "driver": {"dir_forward": 1, "enable": 0},
    "head": {"nl_per_rev": 100_000},
    "step": {"sense": "wire"},
    "fault": {"level": 1},
    "air": {"level": 0},
}
"""As the reference bench is not wired, and without anything that the converter reads."""

READ = f"""
from thecal import rig
from thecal.drivers.sensors import Sensors
from thecal.signals import Inputs
inputs = Inputs()
def sense(tables):
    global sensors
    sensors = Sensors(rig.read(tables))
sense({reference().tables!r})
def read():
    sensors.read(inputs)
    pressures = inputs.pressure_down_raw, inputs.pressure_up_raw
    print(pressures + (inputs.supply_raw, inputs.air, inputs.driver_fault))
"""


@pytest.fixture
def wired(prompt):
    plant = Plant()
    wire_plant(prompt.board, plant)
    wire_world(prompt.board, plant)
    return prompt, plant


@pytest.mark.req("SIM-01")
def test_the_drivers_read_air_faults_and_broken_sensors(wired):
    prompt, plant = wired
    prompt.run(READ)

    def read():
        return ast.literal_eval(prompt.run("read()"))

    down, up, supply, air, driver_fault = read()
    assert (390 < up < 410 < down < 430) and (supply, air, driver_fault) == (2400, False, False)
    plant.set_air(True)
    plant.set_driver_fault(True, prompt.board.now_ns)
    plant.sensor_fault("pressure_up", "short", prompt.board.now_ns)
    plant.sensor_fault("supply", "open", prompt.board.now_ns)
    plant.sensor_fault("pressure_down", "stuck", prompt.board.now_ns)
    stuck = plant.adc_pressure_down(prompt.board.now_ns)
    for _ in range(3):
        assert read() == (stuck, 0, 4095, True, True)
    plant.set_air(False)
    plant.set_driver_fault(False, prompt.board.now_ns)
    assert read() == (stuck, 0, 4095, False, False)
    prompt.run(f"inputs = Inputs(); sense({INVERTED!r})")
    # As the rig says, and nothing of what it does not have. The reference driver lets go of its line while it
    # is sound: where high is a fault, that is none.
    assert read() == (0, 0, 0, True, False)
    plant.set_air(True)
    assert read() == (0, 0, 0, False, False)


@pytest.mark.req("SIM-01")
@pytest.mark.parametrize(
    ("net", "happens", "pulses"),
    [
        # 120 mL/h for 3 s are 100 uL: 100 pulses of the encoder, one mark of the index
        ("ENCODER", lambda plant, now_ns: plant.free_flow(120_000_000, now_ns), 100),
        ("INDEX", lambda plant, now_ns: plant.free_flow(120_000_000, now_ns), 1),
        ("ENCODER", lambda plant, now_ns: plant.sensor_fault("encoder", "noise", now_ns), 150),
        ("STEP_SENSE", lambda plant, now_ns: plant.sensor_fault("step_sense", "noise", now_ns), 150),
        ("STEP_SENSE", lambda plant, now_ns: plant.sensor_fault("step_sense", "open", now_ns), 0),
    ],
)
def test_pulses_that_come_by_themselves_are_counted(wired, net, happens, pulses):
    prompt, plant = wired
    board = prompt.board
    prompt.run(COUNTER + f"watch('{net}')")
    before = int(prompt.run("print(counted())"))
    start_ns = board.now_ns
    happens(plant, start_ns)
    board.run_until_ns(start_ns + 3_002_000_000)
    assert int(prompt.run("print(counted())")) - before in range(
        pulses, pulses + 3
    )  # the prompt takes time too
    assert all(block.backlog_drops == 0 for block in board.pio)


# What the pump makes of what it feels is not asked here: it would stop the motor.
BLIND = """
from thecal import app
loop = app.App()
loop.pump.senses.look = lambda *_: -1
while True:
    loop.wait()
    loop.tick()
"""


def blind_host(plant):
    bench = HostBench(plant)
    bench.pump.senses.look = lambda *_: -1
    return bench


@pytest.mark.req("MOT-01", "SIM-01")
def test_the_wire_of_step_sense_comes_off_and_on_again(image):
    """60 mL/h: the motor turns all the time, the pump counts only while the wire is there."""
    rig = Rig(image, BLIND)
    rig.start(60_000_000)
    rig.run_ticks(20)
    counted, made = rig.status()["executed_steps"], rig.plant.steps_seen
    rig.plant.sensor_fault("step_sense", "open", rig.bench.now_ns)
    rig.run_ticks(2)
    stands = rig.status()["executed_steps"]
    rig.run_ticks(4)  # no longer than the motion lasts that is booked
    assert rig.status()["executed_steps"] == stands and stands - counted < 1000
    assert rig.plant.steps_seen - made > 300
    rig.plant.sensor_fault("step_sense", "clear", rig.bench.now_ns)
    rig.ask("stop")  # what was booked is used up by motion that was not seen
    rig.ask("start")
    rig.run_ticks(10)
    assert rig.status()["executed_steps"] > stands


EXPERIMENT = """
duration = "40 s"
[therapy]
mode = "continuous"
rate = "12 mL/h"
[plant]
pressure_noise = "0 Pa"
compliance_drift = "10 %/K"
"""
EVENTS = (
    ("1 s", "start", {}),
    ("2 s", "height", {"to": "50 cm"}),
    ("2.5 s", "breathing", {}),
    ("3 s", "pulse_wave", {"amplitude": "100 Pa"}),
    ("5 s", "occlude", {"where": "downstream"}),
    ("10 s", "unocclude", {"where": "downstream"}),
    ("12 s", "occlude", {"where": "upstream"}),
    ("18 s", "unocclude", {"where": "upstream"}),
    ("20 s", "stall", {}),
    ("23 s", "unstall", {}),
    ("25 s", "free_flow", {"rate": "30 mL/h"}),
    ("28 s", "free_flow", {"rate": "0 mL/h"}),
    ("30 s", "low_supply", {"to": "7 V"}),
    ("33 s", "sensor_fault", {"which": "encoder", "kind": "stuck"}),
    ("35 s", "sensor_fault", {"which": "pressure_down", "kind": "stuck"}),
)


@pytest.mark.req("SIM-01", "SIM-02")
def test_one_story_of_faults_reads_the_same_on_the_host_and_on_the_chip(image):
    """Every second's status. A step in the milliseconds by which the chip reads late is a code or a pulse."""
    text = EXPERIMENT + "".join(
        f'[[event]]\nat = "{at}"\ndo = "{do}"\n'
        + "".join(f'{key} = "{value}"\n' for key, value in keys.items())
        for at, do, keys in EVENTS
    )
    experiment = scenario.parse(text)
    read, summaries = {}, {}
    for make in (blind_host, lambda plant: ChipBench(plant, image, BLIND)):
        with make(runner.make_plant(experiment)) as bench:
            link = LinkClient(bench.send)
            result = runner.run_scenario(experiment, bench, link)
            run = result._run
            take, seen = run.log.status, []
            link.on_status = lambda frame, take=take, seen=seen: (seen.append(frame), take(frame))[1]
            summaries[type(bench)] = dict(result.finish())
            begin = run.log.begin_tick or 0
            read[type(bench)] = {
                frame["tick"] - begin: frame for frame in seen if begin <= frame["tick"] <= begin + 400
            }
    on_host, on_chip = read.values()
    assert on_host.keys() == on_chip.keys() and len(on_host) == 41
    for tick, host in on_host.items():
        chip = on_chip[tick]
        for name, slack in (("executed_steps", 0), ("encoder_count", 1), ("supply_raw", 0)):
            assert abs(host[name] - chip[name]) <= slack, (tick, name)
        for name in ("pressure_down_raw", "pressure_up_raw"):
            assert abs(host[name] - chip[name]) <= 3, (tick, name, host[name], chip[name])
    codes = [on_host[tick]["pressure_down_raw"] for tick in (40, 100, 120)]
    # 4.9 kPa of height are 98 codes, and there all but a quarter of it 2 s after
    assert on_host[40]["pressure_down_raw"] > on_host[20]["pressure_down_raw"] + 60
    # 5 s at 3.33 uL/s are 33 kPa, 667 codes; a third of them is left after 2 s
    assert codes[1] > codes[0] + 600 and abs(codes[2] - codes[0]) < 300
    assert on_host[170]["pressure_up_raw"] == 0  # 33 kPa of suction, the channel ends at 20
    host, chip = summaries.values()
    assert host["delivered_nl"] == chip["delivered_nl"]
    assert host["outflow_nl"] == pytest.approx(chip["outflow_nl"], abs=60)
    assert host["pressure_peak_pa"] == pytest.approx(chip["pressure_peak_pa"], abs=150)
