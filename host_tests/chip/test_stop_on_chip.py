"""ALM-05, REC-04 on the chip: the orders of arrival in which a stop was once overtaken, each on the image.

One board: what comes before the stop goes out with it in one burst, so that it waits for the flash while the
stop is read. After the stop no edge may come but those of the tick in which it was read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig import Rig
from thecal_bench.chip.bench import ChipBench

pytestmark = pytest.mark.chip

FRAMES = Path(__file__).parents[1] / "field_link"
THERAPY = {"mode": "continuous", "rate_num": 30_000_000, "rate_den": 1, "line_nl": 200_000}
QUIET_TICKS = 25
# The tick of the stop, and the one in which the motor had its orders from before.
STOP_TICKS = 3


class Board(Rig):
    """With a therapy programmed, and at rest."""

    def settle(self) -> None:
        self.run_ticks(QUIET_TICKS)
        assert self.client.last_status is not None and self.client.last_status["state"] == "STOPPED"

    def propose(self, cmd: str, **arguments: Any) -> str:
        return self.ask(cmd, **arguments)["digest"]

    def is_quiet_after(self, *numbers: int) -> list[dict[str, Any]]:
        """Let the stop be read, then see that nothing moves; the answers."""
        self.run_ticks(STOP_TICKS)
        edges = len(self.edges.rising)
        self.settle()
        assert len(self.edges.rising) == edges, "the motor moves after a stop"
        assert self.board.pin("EN") == 1
        answers = [self.client.reply(number) or {} for number in numbers]
        assert all("held" not in answer for answer in answers), "something waits still"
        return answers


@pytest.mark.req("ALM-05", "REC-03", "REC-04", "LNK-02", "SIM-01")
def test_no_stop_is_overtaken_on_the_chip(image):
    board = Board(image)
    bench: ChipBench = board.bench
    request = board.client.request

    # A first confirmation and a start, both of which wait for the flash.
    digest = board.propose("program", therapy=THERAPY)
    answers = board.is_quiet_after(request("confirm", digest=digest), request("start"), request("stop"))
    assert [answer.get("error") for answer in answers] == ["cancelled", "cancelled", None]

    # A prime, as it came in the field, and as one that is accepted.
    board.ask("confirm", digest=board.propose("program", therapy=THERAPY))
    board.ask("confirm", digest=board.propose("new_line"))
    for line in (FRAMES / "prime_then_stop.frames").read_bytes().splitlines(keepends=True):
        bench.send(line)
    board.is_quiet_after()
    prime, stop = request("prime", volume_nl=100_000), request("stop")
    answers = board.is_quiet_after(prime, stop)
    assert answers[0]["message"] == "cancelled: stop" and answers[1]["state"] == "STOPPED"

    # A start that is held, and a stop; the same with the button.
    held = request("start", at_tick=bench.tick + 12)
    board.run_ticks(3)
    answers = board.is_quiet_after(held, request("stop"))
    assert answers[0]["error"] == "cancelled"
    held = request("start", at_tick=bench.tick + 12)
    board.run_ticks(3)
    bench.schedule(bench.tick + 1, lambda: bench.press("stop", 3))
    answers = board.is_quiet_after(held)
    assert answers[0]["error"] == "cancelled"

    # A pump that runs, a bolus and a stop in one burst; the stop is answered, and no reset undoes it.
    board.ask("start")
    board.run_ticks(10)
    running = len(board.edges.rising)
    assert running > 0
    request("bolus", volume_nl=5_000, duration_ms=20_000)
    stop = request("stop")
    for _ in range(5):
        board.run_ticks(1)
        if board.client.reply(stop) is not None:
            break
    assert (board.client.reply(stop) or {})["state"] == "STOPPED"
    bench.schedule(bench.tick + 1, bench.reset)
    board.run_ticks(16)
    edges = len(board.edges.rising)
    board.run_ticks(QUIET_TICKS)
    assert len(board.edges.rising) == edges and board.client.last_status is not None
    assert board.client.last_status["state"] == "STOPPED"

    # Behind more lines than 50 ticks read: in the tick in which the last of five times 1 kB has come.
    board.ask("start")
    board.run_ticks(10)
    bench.send(b"hello\n" * 800 + b"stop\n")
    board.run_ticks(5 + STOP_TICKS - 1)
    edges = len(board.edges.rising)
    board.run_ticks(5)
    assert len(board.edges.rising) == edges and board.board.pin("EN") == 1
