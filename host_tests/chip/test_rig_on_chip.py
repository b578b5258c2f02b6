"""SAFE-01, RIG-02: a board that was never told what hangs on its pins drives none of them; told so over the
link it starts anew, and delivers.
"""

from __future__ import annotations

from typing import Any

import pytest
from rp2040py.gpio_pin import GPIOPinState
from thecal_bench.chip.bench import ChipBench
from thecal_bench.chip.recorders import EdgeRecorder
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient
from thecal_model.rig import reference

pytestmark = pytest.mark.chip

INPUTS = (GPIOPinState.INPUT, GPIOPinState.INPUT_PULL_DOWN)
DRIVER = ("EN", "STEP", "DIR")
OUTPUTS = (*DRIVER, "BUZZER", "LED_RED", "LED_YELLOW", "LED_CYAN")
RESTART_MS = 3_000
SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
TEN_SECONDS_STEPS = 533


class Board:
    """The image on a board without a rig."""

    def __init__(self, image: Any) -> None:
        self.bench = ChipBench(Plant(), image, rig=None)
        self.board = self.bench.board
        self.edges = {net: EdgeRecorder(self.board, net) for net in DRIVER}
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.bench.advance_to_tick(3)

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        number = self.client.request(cmd, **arguments)
        limit = self.bench.tick + 50
        while (reply := self.client.reply(number)) is None:
            assert self.bench.tick < limit, f"no reply to {cmd}"
            self.bench.advance_to_tick(self.bench.tick + 1)
        return reply

    def confirm(self, proposal: dict[str, Any]) -> None:
        assert proposal["ok"], proposal
        assert self.ask("confirm", digest=proposal["digest"])["ok"]

    def driven(self) -> list[str]:
        """The nets that the chip drives now."""
        gpio = self.board.mcu.gpio
        return [net for net in OUTPUTS if gpio[self.board.gpio_of(net)].value not in INPUTS]


@pytest.mark.req("SAFE-01", "RIG-02", "RIG-03")
def test_a_blank_board_drives_nothing_takes_a_rig_over_the_link_and_delivers(image):
    board = Board(image)
    hello = board.ask("hello")
    assert hello["state"] == "STOPPED" and hello["no_rig"] == "no rig was ever programmed"
    assert board.driven() == []
    assert board.board.mcu.gpio[board.board.gpio_of("EN")].value == GPIOPinState.INPUT, "the resistor's alone"
    assert board.board.pin("EN") == 1
    assert [board.ask(cmd)["reason"] for cmd in ("start", "patient_bolus")] == ["no_rig"] * 2
    assert board.ask("log", stream="events", **{"from": 0})["made"] > 0
    assert not any(edges.rising for edges in board.edges.values()), "not even a self-test's pulse"

    proposal = board.ask("rig", rig=reference().tables)
    assert "changes" not in proposal["readback"]
    assert board.board.resets == 0
    board.confirm(proposal)
    board.board.run_until(lambda: board.board.resets == 1, RESTART_MS, "the restart")
    assert board.driven() == [], "the reset let go of them"
    board.bench.advance_to_tick(board.bench.tick + 30)
    hello = board.ask("hello")
    assert (hello["rig"], hello["rig_number"], hello["state"]) == ("reference", 1, "STOPPED")
    assert "no_rig" not in hello
    boots = [(event["a"], event["b"]) for event in board.client.events if event["code"] == "boot"]
    assert boots == [(0, 0), (2, 2)], "the second from STOPPED, by command"

    board.confirm(board.ask("program", therapy=SIX_ML_H))
    made = len(board.edges["STEP"].rising)
    assert made == 1, "the self-test's pulse"
    assert board.ask("start")["ok"]
    board.bench.advance_to_tick(board.bench.tick + 100)
    assert board.ask("stop")["ok"]
    status = board.client.last_status
    steps = len(board.edges["STEP"].rising) - made
    board.bench.advance_to_tick(board.bench.tick + 11)
    status = board.client.last_status
    assert status is not None and status["executed_steps"] == steps
    assert abs(steps - status["owed_steps"]) <= 1
    assert TEN_SECONDS_STEPS <= steps <= TEN_SECONDS_STEPS + 20, "and until the stop came"
    assert board.ask("alarms")["alarms"] == []
