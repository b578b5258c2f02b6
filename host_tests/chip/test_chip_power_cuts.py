"""REC-01 to REC-05 on the chip: the power fails at a flash command, and the very image boots again, many
times.

One board lives through all cuts. Each life is short: boot, whatever it resumes with, a stop and a start or a
patient bolus, until its power fails before, in the middle of, or after some flash command. The plant knows
what the motor really did.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from images import BENCH, RELEASE
from thecal_bench.chip import EmulatedBoard
from thecal_bench.chip.plant_wiring import wire_plant, wire_world
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient

pytestmark = pytest.mark.chip

PROGRAM, ERASES = 0x02, (0x20, 0xD8)
PAGE = 256
THERAPY = {
    "mode": "continuous",
    "rate_num": 30_000_000,
    "rate_den": 1,
    "patient_bolus": {
        "volume_nl": 40_000,
        "rate_num": 20_000_000,
        "rate_den": 1,
        "lockout_ms": 60_000,
        "max_per_day": 5,
    },
    "limit": {"volume_nl": 60_000_000, "window_ms": 3_600_000},
}
# 2 s of basal and bolus: 44.4 steps in a tick
QUANTUM_STEPS = 890


class Cutter:
    """Takes the power from a board at its flash command number `at`, counted from now."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        self.ssi: Any = board.mcu.ssi
        self.apply = self.ssi._apply_command
        self.ssi._apply_command = self._command
        self.left = -1
        self.way = "after"
        self.chance = random.Random(0)
        self.cut = False

    def arm(self, commands: int, way: str, seed: int) -> None:
        self.left, self.way, self.chance, self.cut = commands, way, random.Random(seed), False

    def _command(self) -> None:
        sent = self.ssi._tx_buffer
        if self.cut or not sent or sent[0] not in (PROGRAM, *ERASES):
            if not self.cut:
                self.apply()
            return
        self.left -= 1
        if self.left != 0:
            self.apply()
            return
        flash = self.board.mcu.flash
        length = PAGE if sent[0] == PROGRAM else 4096
        start = self.ssi._address_from_buffer() & ~(length - 1)
        before = bytes(flash[start : start + length])
        if self.way != "before":
            self.apply()
        if self.way == "torn":
            for index in range(length):
                done = flash[start + index]
                # Any of the bits that were to change may have stayed.
                flash[start + index] = done ^ ((done ^ before[index]) & self.chance.getrandbits(8))
        self.cut = True
        self.board.hang()


class Life:
    """A board, its host and its plant."""

    def __init__(self, image) -> None:
        self.board = EmulatedBoard(image)
        self.board.set_pin("MAINTENANCE", 1)
        self.plant = Plant()
        wire_plant(self.board, self.plant)
        wire_world(self.board, self.plant)
        self.cutter = Cutter(self.board)
        self.client = LinkClient(self.board.send)
        self.board.on_data = self.client.feed
        self.over_steps = 0

    def run(self, seconds: float) -> bool:
        """Let it live; False if its power fails meanwhile."""
        end_ns = self.board.now_ns + int(seconds * 1e9)
        while self.board.now_ns < end_ns and not self.cutter.cut:
            self.board.run_for_ms(50)
        return not self.cutter.cut

    def boot(self) -> bool:
        return self.run(2.5)

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any] | None:
        """None if the power failed before the answer."""
        number = self.client.request(cmd, **arguments)
        for _ in range(40):
            if not self.run(0.1):
                return None
            reply = self.client.reply(number)
            if reply is not None:
                return reply
        raise AssertionError(f"no answer to {cmd}")

    def live(self, number: int) -> None:
        """Until the power fails: something new every second."""
        asks = ("hello", "patient_bolus", "stop", "start", "acknowledge", "start")
        while self.run(0.6):
            self.ask(asks[number % len(asks)])
            number += 1

    def power_up(self) -> None:
        self.board.power_cycle()
        self.cutter.cut = False
        self.client = LinkClient(self.board.send)
        self.board.on_data = self.client.feed


@pytest.mark.req("REC-01", "REC-02", "REC-03", "REC-04", "REC-05", "SIM-01")
@pytest.mark.parametrize(
    ("image", "cuts"),
    [
        (BENCH, 5),
        (RELEASE, 2),
        pytest.param(BENCH, 50, marks=pytest.mark.long),
        pytest.param(RELEASE, 50, marks=pytest.mark.long),
    ],
    indirect=["image"],
)
def test_the_image_forgets_nothing_whenever_its_power_fails(image, cuts):
    life = Life(image)
    assert life.boot()
    proposal = life.ask("program", therapy=THERAPY)
    assert proposal is not None and proposal["ok"]
    assert life.ask("confirm", digest=proposal["digest"])
    assert life.run(1)
    assert life.ask("start")
    chance = random.Random(cuts)
    resumed = 0
    for number in range(cuts):
        was_running = life.client.last_status is not None and life.client.last_status["state"] == "RUNNING"
        life.cutter.arm(chance.randrange(1, 14), chance.choice(("before", "torn", "after")), number)
        life.live(number)
        made = life.plant.steps_seen
        life.power_up()
        life.cutter.left = -1
        assert life.boot()
        status = life.client.last_status
        assert status is not None, "nothing is heard of it"
        began = [event for event in life.client.events if event["code"] == "boot"]
        assert began, "it has not booted"
        over_steps = began[0]["executed_steps"] - made
        assert over_steps >= 0, f"cut {number}: {-over_steps} steps were made and forgotten"
        assert over_steps <= life.over_steps + QUANTUM_STEPS, f"cut {number}: {over_steps} steps too many"
        life.over_steps = over_steps
        assert status["bolus"] == "none", "a bolus went on after a cut"
        codes = [event["code"] for event in life.client.events]
        assert "patient_bolus_start" not in codes and "fault" not in codes
        therapy = life.ask("therapy")
        assert therapy is not None and therapy["therapy"] == THERAPY
        resumed += status["state"] == "RUNNING" and was_running
        if status["state"] == "HALTED":  # so many resets are a loop
            assert life.ask("acknowledge")
            assert life.ask("start")
    assert resumed > 0, "never was it cut while it ran"
