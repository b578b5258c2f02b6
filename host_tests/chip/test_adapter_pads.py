"""The chip's pads: an input sees what is driven onto it, by a wire, by the chip itself or by a resistor."""

import pytest
from programs import COUNTER, PULSES
from thecal_bench.chip import EdgeRecorder
from thecal_bench.chip.nets import load_nets
from thecal_bench.chip.plant_wiring import wire_plant
from thecal_bench.plant import Plant
from thecal_model import rig

pytestmark = pytest.mark.chip


@pytest.mark.req("MOT-01", "SIM-01")
def test_pulses_come_back_over_the_wire(prompt):
    prompt.run(PULSES + COUNTER + "watch('STEP_SENSE'); pulses(200, 100_000)")
    prompt.board.run_for_ms(100)
    assert prompt.run("print(counted())") == "200\n"


@pytest.mark.req("MOT-01")
def test_without_the_wire_no_pulse_is_counted(prompt):
    prompt.board.unplug("STEP_SENSE")
    prompt.run(PULSES + COUNTER + "watch('STEP_SENSE'); pulses(200, 100_000)")
    prompt.board.run_for_ms(100)
    assert prompt.run("print(counted())") == "0\n"
    prompt.board.plug("STEP", "STEP_SENSE")
    prompt.run("pulses(20, 100_000)")
    prompt.board.run_for_ms(100)
    assert prompt.run("print(counted())") == "20\n"


@pytest.mark.req("MOT-01")
def test_pio_sees_the_level_of_an_output_of_the_chip(prompt):
    """The direction counter jumps on DIR, which the chip itself drives."""
    prompt.run(
        PULSES
        + """
@rp2.asm_pio()
def up_or_down():
    label("next")
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(pin, "forward")
    jmp(x_dec, "next")
    label("forward")
    jmp(y_dec, "next")

direction = Pin(NET['DIR'], Pin.OUT)
sense = Pin(NET['STEP_SENSE'], Pin.IN)
counter = rp2.StateMachine(4, up_or_down, freq=1_000_000, in_base=sense, jmp_pin=direction)
counter.exec("set(x, 31)")
counter.exec("set(y, 31)")
counter.active(1)
import time
for level, count in ((1, 7), (0, 4), (1, 2)):
    direction.value(level)
    pulses(count, 100_000)
    time.sleep_ms(5)
"""
    )
    prompt.run("counter.exec('mov(isr, x)'); counter.exec('push()')")
    prompt.run("counter.exec('mov(isr, y)'); counter.exec('push()')")
    assert prompt.run("print(31 - counter.get(), 31 - counter.get())") == "4 9\n"


def test_a_resistor_holds_enable_high_until_the_chip_drives_it(make_board):
    board = make_board(maintenance=True)
    assert board.pin("EN") == 1
    levels = EdgeRecorder(board, "EN")
    board.boot()
    assert not [edge for edge in levels.edges if edge.level == 0]


def test_a_reset_lets_go_of_every_pin(prompt):
    board = prompt.board
    prompt.run("from machine import Pin\nPin(NET['EN'], Pin.OUT, value=0)\nPin(NET['LED'], Pin.OUT, value=1)")
    assert (board.pin("EN"), board.pin("LED")) == (0, 1)
    board.reset()
    assert (board.pin("EN"), board.pin("LED")) == (1, 0)


def test_a_button_reaches_the_chip_and_an_output_reaches_the_bench(prompt):
    board = prompt.board
    prompt.run("from machine import Pin\nbutton = Pin(NET['BUTTON_STOP'], Pin.IN, Pin.PULL_UP)")
    assert prompt.run("print(button.value())") == "1\n"
    board.set_pin("BUTTON_STOP", 0)
    assert prompt.run("print(button.value())") == "0\n"
    board.release_pin("BUTTON_STOP")
    assert prompt.run("print(button.value())") == "1\n"
    prompt.run("tone = Pin(NET['BUZZER'], Pin.OUT, value=1)\nheard = Pin(NET['BUZZER_SENSE'], Pin.IN)")
    assert board.pin("BUZZER") == 1
    assert prompt.run("print(heard.value())") == "1\n"


def test_an_analogue_input_is_read_at_the_instant_of_its_conversion(prompt):
    board = prompt.board
    sampled_ns = []

    def ramp(now_ns: int) -> int:
        sampled_ns.append(now_ns)
        return now_ns // 1_000_000 % 4096

    board.set_adc("PRESSURE_DOWN", ramp)
    board.set_adc("SUPPLY", 2345)
    answer = prompt.run("""
from machine import ADC, Pin
import time
down, supply = ADC(Pin(NET['PRESSURE_DOWN'])), ADC(Pin(NET['SUPPLY']))
readings = []
for _ in range(3):
    readings.append(down.read_u16() >> 4)
    time.sleep_ms(100)
print(readings, supply.read_u16() >> 4)
""")
    expected = [at_ns // 1_000_000 % 4096 for at_ns in sampled_ns]
    assert answer == f"{expected} 2345\n"
    assert len(set(expected)) == 3
    board.set_adc("SUPPLY", 5000)
    assert prompt.run("print(supply.read_u16() >> 4)") == "4095\n"


class RecordingPlant:
    """A rotor with an encoder pulse of ten steps, and pressures that tell when they were asked for."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.angle_steps = 0

    def step(self, direction: int, at_ns: int) -> None:
        self.seen.append((direction, at_ns))
        self.angle_steps += direction

    def encoder_level(self) -> int:
        return 1 - self.angle_steps // 5 % 2

    def index_level(self) -> int:
        return int(self.angle_steps % 50 < 5)

    def adc_pressure_down(self, at_ns: int) -> int:
        return at_ns // 1_000_000 % 4096

    def adc_pressure_up(self, at_ns: int) -> int:
        return 1000 + self.angle_steps

    def adc_supply(self, at_ns: int) -> int:
        return 3000


def test_the_plant_turns_while_enabled_and_its_marks_come_back(prompt):
    board = prompt.board
    plant = RecordingPlant()
    wire_plant(board, plant)
    edges = EdgeRecorder(board)
    encoder, index = EdgeRecorder(board, "ENCODER"), EdgeRecorder(board, "INDEX")
    prompt.run(
        PULSES
        + COUNTER
        + """
import time
from machine import ADC
enable, direction = Pin(NET['EN'], Pin.OUT, value=1), Pin(NET['DIR'], Pin.OUT, value=1)
watch('ENCODER')
def turn(enabled, forward, count):
    enable.value(not enabled)
    direction.value(forward)
    pulses(count, 100_000)
    time.sleep_ms(count // 2 + 2)
turn(0, 1, 5)
turn(1, 1, 100)
turn(1, 0, 8)
"""
    )
    assert [direction for direction, _ in plant.seen] == [1] * 100 + [-1] * 8
    assert [at_ns // 8 for _, at_ns in plant.seen] == edges.rising[5:]
    assert plant.angle_steps == 92
    assert len(encoder.rising) == 11  # ten on the way there, one more on the way back
    assert len(index.rising) == 2
    assert prompt.run("print(counted())") == "11\n"
    assert prompt.run("print(ADC(Pin(NET['PRESSURE_UP'])).read_u16() >> 4)") == "1092\n"


def test_a_net_that_is_not_there_is_named(make_board):
    board = make_board()
    with pytest.raises(KeyError, match="SETP"):
        board.pin("SETP")
    with pytest.raises(ValueError, match="no wire"):
        board.unplug("LED")
    with pytest.raises(ValueError, match="channels 0 to 4"):
        board.set_adc(5, 0)


def test_a_line_of_pins_csv_that_is_no_net_is_named(tmp_path):
    pins = tmp_path / "pins.csv"
    pins.write_text("# nets\nSTEP,GPIO2\n\nDIR,3\n")
    with pytest.raises(ValueError, match=r"line 4: .*'DIR,3'"):
        load_nets(pins)


@pytest.mark.req("RIG-04")
def test_a_pad_with_nothing_on_it_floats_unless_it_is_pulled(prompt):
    board = prompt.board
    board.let_float(["AIR", "INDEX", "BUTTON_STOP"], seed=3)
    prompt.run(
        "from machine import Pin\n"
        "pins = [Pin(NET['AIR'], Pin.IN, None), Pin(NET['INDEX'], Pin.IN, Pin.PULL_DOWN),"
        " Pin(NET['BUTTON_STOP'], Pin.IN, Pin.PULL_UP)]"
    )
    seen: list[set[int]] = [set(), set(), set()]
    for _ in range(12):
        board.run_for_ms(6)
        for net, levels in zip(("AIR", "INDEX", "BUTTON_STOP"), seen, strict=True):
            levels.add(board.pin(net))
    assert seen == [{0, 1}, {0}, {1}]
    read = "print(pins[0].value(), pins[1].value(), pins[2].value())"
    assert {prompt.run(read)[0] for _ in range(12)} == {"0", "1"}
    board.set_pin("AIR", 1)  # now something is wired to it
    board.run_for_ms(50)
    assert prompt.run(read) == "1 0 1\n"


@pytest.mark.req("RIG-05")
@pytest.mark.parametrize(("name", "forward", "enabled"), [("reference", 1, 0), ("geared", 0, 1)])
def test_driver_and_rotor_are_wired_as_the_rig_says(make_prompt, name, forward, enabled):
    plant = Plant(rig=rig.named(name))
    prompt = make_prompt(plant)
    pins = "from machine import Pin\nen, way, step = (Pin(NET[n], Pin.OUT) for n in ('EN', 'DIR', 'STEP'))\n"
    pulses = "for _ in range({}):\n step.value(1)\n step.value(0)\n"
    for en, way, count in ((enabled, forward, 7), (1 - enabled, forward, 5), (enabled, 1 - forward, 3)):
        prompt.run(pins + f"en.value({en}); way.value({way})\n" + pulses.format(count))
    assert plant.angle_steps == 7 - 3
    assert prompt.board.plugged("STEP_SENSE") != plant.rig.step_at_pad
