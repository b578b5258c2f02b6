"""LNK-02, LNK-03, LNK-05, SEC-03: hosts that flood a paired pump, that read nothing, and that do both.

The pump runs meanwhile, to the microstep; who reads gets every status in its tick or the next one, and who
comes back does so from then on.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from forger import Forger
from fuzz_frames import COMMANDS, Draw, line
from paired import PairedBench
from thecal import states
from thecal.signals import RX_BYTES

STEPS_PER_TICK = 6_000_000 * 3_200 / (100_000 * 36_000)
SECOND, MINUTE, HOUR = 10, 600, 36_000
AHEAD_BYTES = 4 * RX_BYTES  # of a flood, on their way to the pump
FIFO_BYTES = 256  # what USB takes for a host that reads nothing


class Desk(PairedBench):
    """Paired, started and watched: `off` is how far the motor was off at most, `late` how late a status came,
    both since the last look.
    """

    def __init__(self) -> None:
        super().__init__()
        self.confirm({"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1})
        assert self.ask("start")["ok"]
        self.began = self.tick + 1
        self.therapy = self.pump.regimen.prescription
        self.off = self.late = 0.0
        self.told: set[int] = set()
        self.reads = True
        self._transmit = self.bench.transmit
        self.bench.transmit = self._take  # type: ignore[method-assign]
        self.client.on_status = self._status
        self._taken = 0

    def ask(self, cmd: str, **arguments) -> dict:
        """As the clinician, once there are keys."""
        if not hasattr(self, "signer") or cmd in ("hello", "pair"):
            return super().ask(cmd, **arguments)
        return self.say("clinician", cmd, **arguments)

    def _take(self, outputs) -> None:
        if self.reads:
            self._taken = 0
            self._transmit(outputs)
            return
        taken = min(outputs.tx_end - outputs.tx_start, FIFO_BYTES - self._taken)
        outputs.tx_start += taken
        self._taken += taken

    def _status(self, status: dict) -> None:
        self.late = max(self.late, self.tick - status["tick"])
        self.told.add(status["tick"])

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            super().run(1)
            if hasattr(self, "began"):
                owed = max(self.tick - self.began, 0) * STEPS_PER_TICK
                self.off = max(self.off, abs(self.bench._executed_steps - owed))

    def under(self, flood: Callable[[], bytes], ticks: int) -> None:
        """So many ticks in which as much of a flood waits as the pump can take in."""
        for _ in range(ticks):
            while len(self.bench._rx) < AHEAD_BYTES:
                self.bench.send(flood())
            self.run(1)

    def is_well(self) -> None:
        """It runs as it was told, nothing has changed, and the next good line is obeyed."""
        pump = self.pump
        assert self.off <= 1 and pump.control.state == states.RUNNING
        assert self.client.restarts == 0 and pump.regimen.prescription is self.therapy
        self.bench.send(b"\n")
        self.run(40 * SECOND)  # for what is on its way, and the wait after bad signatures
        answer = self.ask("set_time", week_s=3)
        assert answer["ok"], str(answer)


def noise(_: Desk) -> Callable[[], bytes]:
    draw = random.Random(3)
    return lambda: draw.randbytes(500)


def words(_: Desk) -> Callable[[], bytes]:
    return lambda: b"hello\nstatus\n" * 20


def frames(_: Desk) -> Callable[[], bytes]:
    """Of every command but stop: nobody has signed them."""
    draw, ids = Draw(11), itertools.count(1)
    rows = [row for row in COMMANDS if row.name != "stop"]
    return lambda: line(draw, rows, ids)


def forged(desk: Desk) -> Callable[[], bytes]:
    forger = Forger(desk.signer, 5, lambda _: None)
    for _ in range(4):
        forger.owner_sends()
    kept = [forger.next()[1] for _ in range(3_000)]
    return lambda: forger.chance.choice(kept)


FLOODS = {"noise": noise, "words": words, "frames": frames, "forged": forged}
TICKS = [pytest.param(MINUTE, id="a minute"), pytest.param(HOUR, id="an hour", marks=pytest.mark.long)]


@pytest.mark.req("LNK-02", "LNK-03", "LNK-05", "SEC-03")
@pytest.mark.parametrize("ticks", TICKS)
@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_makes_no_status_late_and_moves_no_step(kind, ticks):
    desk = Desk()
    flood = FLOODS[kind](desk)
    first = desk.tick + 1
    desk.under(flood, ticks)
    assert desk.late <= 1
    assert desk.told >= {tick for tick in range(first, desk.tick) if tick % SECOND == 0}
    assert desk.client.last_status and desk.client.last_status["frames_dropped"] == 0
    desk.is_well()


@pytest.mark.req("LNK-03", "LNK-05")
@pytest.mark.parametrize("ticks", TICKS)
@pytest.mark.parametrize("kind", ["", *FLOODS])
def test_who_reads_nothing_holds_nothing_up_and_who_comes_back_is_told_in_time(kind, ticks):
    desk = Desk()
    flood = FLOODS[kind](desk) if kind else lambda: b"\n" * RX_BYTES
    desk.reads = False
    desk.under(flood, ticks) if kind else desk.run(ticks)
    desk.reads = True
    back = desk.tick + 1
    desk.run(2)
    desk.late, desk.told = 0, set()
    desk.run(30)
    assert desk.late <= 1
    assert {tick for tick in desk.told if tick % SECOND == 0} >= set(
        range(-(-back // 10) * 10 + 10, desk.tick, 10)
    )
    assert desk.client.last_status and desk.client.last_status["frames_dropped"] > 0
    desk.is_well()
