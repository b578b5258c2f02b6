"""SEC-04: the release image has no prompt, whatever comes over the line, whatever is fitted, and whatever
breaks; and none of it costs a step.

Two images under the same keys: where the bench's gives its prompt, the release image must not, so what gives
no prompt here is known to be able to.
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from images import BENCH, PATHS, RELEASE, on_each_image, on_release_image
from rig import Rig
from thecal.watch import alarms
from thecal_bench.chip import EmulatedBoard
from thecal_bench.chip import bench as chip_bench

pytestmark = pytest.mark.chip

# What MicroPython says at a prompt, on the way to one, and when a program has ended.
OF_A_PROMPT = (b">>>", b"raw REPL", b"MicroPython", b"MPY:", b"Traceback", b"=== ", b"1337")
CONTROL = b"\x01\x02\x03\x04\x05\r"
ASKED = b"print(7*191)"
ENTRANCES = (
    bytes(range(256)),
    b"\r\x03\x03",  # as mpremote
    b"\r\x03\x03\r\x01" + ASKED + b"\x04",
    b"\x05A\x01" + ASKED + b"\x04",  # raw paste
    b"\x05" + ASKED + b"\x04",  # paste
    b"\x02\r\n" + ASKED + b"\r\n",
    b"\x03\x04" * 20,
    b"\x04" * 20,
    b"\x01\x04\x02\x03" * 10,
    b"import machine\r\nmachine.bootloader()\r\n",
    *(bytes([key]) * 30 for key in CONTROL),
)
BAUDS = (0, 1, 134, 300, 1200, 9600, 115_200, 0xFFFF_FFFF)
SEND_BREAK = 0x23  # USB CDC PSTN 1.2, table 13


def storm(seed: int, count: int) -> bytes:
    """Keys that lead to prompts, in any order, and what a person would type there."""
    draw = random.Random(seed)
    return b"".join(draw.choice((*ENTRANCES, draw.choice(CONTROL).to_bytes())) for _ in range(count))


class Attacked(Rig):
    """A pump whose every byte is kept."""

    def __init__(self, image: Path) -> None:
        self.said = bytearray()
        super().__init__(image)
        feed = self.client.feed
        self.bench.on_data = lambda data: (self.said.extend(data), feed(data))[1]

    def under(self, keys: bytes) -> None:
        """Send `keys`, then what ends any line or program that they may have begun."""
        self.bench.send(keys)
        self.run_ticks(2)
        self.bench.send(b"\r\n" + ASKED + b"\r\n")
        self.run_ticks(1)

    def dosed_exactly(self) -> None:
        assert self.ask("hello")["state"] == "RUNNING"
        self.run_ticks(12)
        assert self.worst_edge_cycles() <= 16 and self.no_backlog()
        assert self.worst_off_steps() <= 1
        assert len(self.edges.rising) > 100
        raised = [event["a"] for event in self.client.events if event["code"] == "alarm" and event["b"]]
        assert raised == [] and self.board.resets == 0

    def said_frames_only(self) -> None:
        """Since power-on: not a byte that is not of a frame."""
        assert self.client.last_status is not None, "it has said nothing at all"
        assert self.client.bad_frames == self.client.crc_errors == 0, self.client.noise
        no_prompt(self.said)


def no_prompt(said: bytes | bytearray) -> None:
    assert [mark for mark in OF_A_PROMPT if mark in said] == []


@pytest.fixture(scope="module")
def runs(image) -> Attacked:
    rig = Attacked(image)
    rig.start(6_000_000)
    return rig


@pytest.mark.req("SEC-04", "MOT-05")
@on_release_image
@pytest.mark.parametrize("count", [60, pytest.param(3_000, marks=pytest.mark.long)])
def test_no_keys_give_a_prompt_or_cost_a_step(runs, count):
    for keys in ENTRANCES:
        runs.under(keys)
    for seed in range(0, count, 20):
        runs.under(storm(seed, 20))
    runs.dosed_exactly()
    runs.said_frames_only()


@pytest.mark.req("SEC-04", "MOT-05")
@on_release_image
def test_no_line_state_gives_a_prompt_or_costs_a_step(runs):
    """Breaks, every baud rate with both lines dropped (1200 and a drop sends other boards to their boot
    loader), DTR and RTS in every order, with and without keys.
    """
    host = runs.board.host
    for duration_ms in (0, 1, 500, 0xFFFF):
        host._send_class_request(SEND_BREAK, duration_ms, None, w_length=0)
        runs.under(b"\x03")
    for baud in BAUDS:
        host.set_line_coding(baud)
        runs.run_ticks(1)
        assert host.line_coding.baud_rate == baud, "the chip has not taken it"
        for dtr, rts in ((True, False), (False, True), (False, False), (True, True)):
            host.set_control_lines(dtr=dtr, rts=rts)
            runs.under(b"\x03\x01")
    host.set_line_coding(1200)
    runs.run_ticks(1)
    host.close_port()
    runs.run_ticks(15)
    host.open_port()
    runs.under(b"\x03\x03")
    runs.dosed_exactly()
    no_prompt(runs.said)


@pytest.mark.req("SEC-06", "SIM-01")
@on_release_image
def test_an_unpaired_one_takes_no_drug(runs):
    flow = {"mode": "continuous", "rate_num": 5_000, "rate_den": 1}
    therapy = {**flow, "drug": "morphine", "concentration_pg_nl": 1_000}
    number = runs.client.request("program", therapy=therapy)
    runs.run_ticks(10)
    reply = runs.client.reply(number)
    assert reply and not reply["ok"] and "pair it first" in reply["message"], reply


class Stormed(EmulatedBoard):
    """A board under keys for its first two seconds, its jumper as the class says."""

    jumper = 1

    def set_pin(self, pin: str | int, level: int) -> None:
        super().set_pin(pin, self.jumper if pin == "MAINTENANCE" else level)

    def boot(self) -> None:
        for number in range(100):
            keys = storm(number, 4) + b"\r\n" + ASKED + b"\r\n"
            self.schedule_ns(number * 20_000_000, lambda keys=keys: self.send(keys))
        super().boot()


@pytest.mark.req("SEC-04", "SAFE-04", "MOT-05")
@on_release_image
@pytest.mark.parametrize(
    "jumper", [pytest.param(1, id="open", marks=pytest.mark.long), pytest.param(0, id="fitted")]
)
def test_a_storm_from_power_on_gives_no_prompt_and_no_reset_with_the_jumper_fitted_either(
    image, jumper, monkeypatch
):
    monkeypatch.setattr(Stormed, "jumper", jumper)
    monkeypatch.setattr(chip_bench, "EmulatedBoard", Stormed)
    rig = Attacked(image)
    assert rig.board.pin("MAINTENANCE") == jumper
    rig.run_ticks(15)
    assert rig.board.host.unsent_bytes == 0, "not all of the storm has come"
    rig.start(6_000_000)
    for seed in range(10):
        rig.under(storm(100 + seed, 10))
    rig.run_ticks(30)
    rig.dosed_exactly()
    rig.said_frames_only()


# --- what breaks inside


@pytest.mark.req("SEC-04", "SAFE-01")
@on_each_image
def test_where_no_program_is_left_the_bench_has_a_prompt_and_the_release_image_starts_again(image):
    """With main.py ended or gone, MicroPython goes to its prompt. Here it is frozen under another name."""
    board = EmulatedBoard(image)
    at = bytes(board.mcu.flash).index(b"\0main.py\0thecal/")
    board.mcu.flash[at + 1] = ord("n")
    said = bytearray()
    board.on_data = said.extend
    for _ in range(8):
        board.send(b"\x03\x03\r\n" + ASKED + b"\r\n")
        board.run_for_ms(50)
        assert board.pin("EN") == 1
    board.close()
    if image == PATHS[BENCH]:
        assert b">>>" in said and b"1337" in said and board.resets == 0
    else:
        no_prompt(said)
        assert board.resets > 2


def symbols(image: Path) -> dict[str, tuple[int, int]]:
    """Address and bytes of what the linker has placed."""
    folder = image.parent / "thecal-pico-release" if image == PATHS[RELEASE] else image.parent
    elf = folder / "build" / "firmware" / "firmware.elf"
    lines = subprocess.run(
        ["arm-none-eabi-nm", "-S", elf], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[3]: (int(row[0], 16), int(row[1], 16)) for row in rows if len(row) == 4}


SRAM = 0x2000_0000


def make_ctrl_c_raise(rig: Rig, image: Path, name: str) -> None:
    """From now on Ctrl-C raises `name` wherever the pump is, as if something had switched it on again."""
    where = symbols(image)
    sram = rig.board.mcu.sram

    def poke(address: int, value: int) -> None:
        sram[address - SRAM : address - SRAM + 4] = value.to_bytes(4, "little")

    poke(where["mp_interrupt_char"][0], 3)
    start, length = where["mp_state_ctx"]
    state = bytes(sram[start - SRAM : start - SRAM + length])
    made = [
        at
        for at in range(0, length, 4)
        if int.from_bytes(state[at : at + 4], "little") == where["mp_type_KeyboardInterrupt"][0]
    ]
    assert len(made) == 1, "where the exception of Ctrl-C is kept"
    poke(start + made[0], where[f"mp_type_{name}"][0])


@pytest.mark.req("SEC-04", "SAFE-04", "SAFE-05")
@on_release_image
@pytest.mark.parametrize(
    "name",
    [
        "SystemExit",  # to the port a wish for a soft reset
        pytest.param("KeyboardInterrupt", marks=pytest.mark.long),
        pytest.param("ValueError", marks=pytest.mark.long),
    ],
)
def test_an_exception_at_the_edge_of_the_loop_ends_in_a_halted_pump_and_no_prompt(image, name):
    """Raised while the loop waits, where nothing catches it."""
    rig = Attacked(image)
    rig.start(6_000_000)
    rig.run_ticks(5)
    make_ctrl_c_raise(rig, image, name)
    rig.bench.send(b"\x03")
    rig.run_ticks(1)
    made = len(rig.edges.rising)
    assert made > 20
    for _ in range(10):
        rig.bench.send(CONTROL + b"\r\n" + ASKED + b"\r\n")
        rig.run_ticks(3)
    assert rig.board.resets == 1
    status = rig.status()
    assert (status["state"], status["alarm"]) == ("HALTED", alarms.LOOP_FAULT)
    assert rig.board.pin("EN") == 1
    assert len(rig.edges.rising) <= made + 1, "the pulse of the self-test"
    rig.said_frames_only()
