"""What the self-test finds on the chip, at the start and while the pump runs: each failure has its code, and
each keeps the motor off.
"""

import json
import struct
import zlib

import pytest
from rig import Rig
from thecal.watch import alarms, parts
from thecal_bench.chip.bench import ChipBench
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient

pytestmark = pytest.mark.chip

FLASH_SHARE = 640 * 1024
SEAL_AT = FLASH_SHARE - 256


class Powered:
    """A board with something wrong from before its first instruction on, and what it says."""

    def __init__(self, image, harm):
        self.bench = ChipBench(Plant(), image)
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.board = self.bench.board
        self.mend = harm(self.board)
        self.board.power_cycle()
        self.board.boot()
        self.bench.advance_to_tick(4)

    def ask(self, cmd, **arguments):
        number = self.client.request(cmd, **arguments)
        self.bench.advance_to_tick(self.bench.tick + 5)
        reply = self.client.reply(number)
        assert reply is not None
        return reply

    def failed(self):
        return [event["a"] for event in self.client.events if event["code"] == "post_failed"]


def text_at(flash):
    """Where a text stands that the image could do without."""
    return bytes(flash).index(b"Thecal pump bench on")


def spoil_image(board):
    board.mcu.flash[text_at(board.mcu.flash)] ^= 1


def spoil_seal(board):
    board.mcu.flash[SEAL_AT + 8] ^= 1


def pull_buzzer(board):
    board.unplug("BUZZER_SENSE")


def pull_step_sense(board):
    board.unplug("STEP_SENSE")


def sensor_at(channel, code):
    """From now on, until what this returns is called."""

    def harm(board):
        number = board.gpio_of(channel) - 26
        sound = board._adc_sources[number]
        board.set_adc(channel, code)
        return lambda: board.set_adc(number, sound)

    return harm


@pytest.mark.req("SAFE-02", "SAFE-01")
@pytest.mark.parametrize(
    ("harm", "check"),
    [
        (spoil_image, parts.IMAGE),
        (spoil_seal, parts.IMAGE),
        (pull_buzzer, parts.BUZZER),
        (pull_step_sense, parts.DRIVER),
        (sensor_at("PRESSURE_UP", 0), parts.PRESSURE_UP),
        (sensor_at("PRESSURE_UP", 4095), parts.PRESSURE_UP),
        (sensor_at("SUPPLY", 4095), parts.SUPPLY),
    ],
    ids=["image", "seal", "buzzer", "step_sense", "sensor_low", "sensor_high", "supply"],
)
def test_each_failure_of_the_self_test_has_its_code_and_keeps_the_motor_off(image, harm, check):
    powered = Powered(image, harm)
    enabled = []
    powered.board.listen("EN", lambda level, now_ns, cycle: enabled.append(level))
    powered.ask("hello")
    assert powered.failed() == [check]
    raised = [event["a"] for event in powered.client.events if event["code"] == "alarm"]
    assert raised[0] == alarms.POST_FAILED
    if powered.mend:
        powered.mend()
        powered.bench.advance_to_tick(powered.bench.tick + 30)
    assert powered.ask("acknowledge")["state"] == "STOPPED"
    therapy = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
    powered.ask("confirm", digest=powered.ask("program", therapy=therapy)["digest"])
    reply = powered.ask("start")
    assert not reply["ok"] and parts.PARTS[check] in reply["message"], reply
    assert enabled == [] and powered.board.pin("EN") == 1


@pytest.mark.req("SAFE-02")
def test_the_image_carries_its_length_and_crc(image):
    flash = flash_of(image)
    mark, length, low, high = struct.unpack_from("<4I", flash, SEAL_AT)
    assert mark == int.from_bytes(b"SEAL", "little")
    assert low | high << 16 == zlib.crc32(flash[:length])
    record = json.loads(image.with_suffix(".json").read_text())
    assert length == record["flash"]["image_bytes"]


def flash_of(image):
    """What is in flash once an image is on the board."""
    flash = bytearray()
    data = image.read_bytes()
    for at in range(0, len(data), 512):
        address, size = struct.unpack_from("<2I", data, at + 12)
        offset = address - 0x1000_0000
        flash.extend(bytes(max(offset + size - len(flash), 0)))
        flash[offset : offset + size] = data[at + 32 : at + 32 + size]
    return flash


@pytest.mark.req("SAFE-08", "SAFE-02")
def test_an_image_that_changes_while_the_pump_runs_stops_it(image):
    """A look at the whole image takes eleven minutes, so the driver is taken to near the change, and to
    near the end.
    """
    at = text_at(flash_of(image))
    rig = Rig(
        image,
        program=f"""
from thecal import app
class Near(app.App):
    turns = 0
    def tick(self):
        self.turns += 1
        if self.turns == 30:
            while self.image.at + 40 * 64 < {at}:
                self.image.look()
        if self.turns == 100:
            while self.image.at + 10 * 64 < self.image.end:
                self.image.look()
        super().tick()
app.App = Near
app.run()
""",
    )
    rig.start(6_000_000)
    rig.run_ticks(5)
    raised = [event["a"] for event in rig.client.events if event["code"] == "alarm"]
    assert raised == []
    spoil_image(rig.board)
    rig.run_ticks(150)
    codes = [(event["code"], event["a"]) for event in rig.client.events]
    assert ("post_failed", parts.IMAGE) in codes and ("alarm", alarms.POST_FAILED) in codes
    assert rig.status()["state"] == "HALTED" and rig.board.pin("EN") == 1
