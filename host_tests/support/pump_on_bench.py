"""A Pump on the in-process board, with a client: ask, advance, read events."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from thecal.pump import Pump
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.flash_model import FlashModel
from thecal_bench.inprocess import TICK_CYCLES, HostBench, host_crc
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient
from thecal_model.rig import reference

ANSWER_TICKS = 30
POST_TICKS = 3
SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
NL_PER_STEP = Fraction(100_000, 3_200)

MOST_PROPOSAL_TICKS = 100


def forgetful_pump() -> Pump:
    """A pump without a flash: it forgets all at a reset, and no command waits for a record."""
    return Pump(reference(), host_crc)


class PumpOnBench:
    """`events` are (tick, code, a, b) of everything since power-on."""

    def __init__(self, plant: Plant | None = None, flash: FlashModel | None = None) -> None:
        self.bench = self.board(plant, flash)
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.run(ANSWER_TICKS)  # the first snapshot is written

    def board(self, plant: Plant | None, flash: FlashModel | None) -> HostBench:
        return HostBench(plant, flash=flash)

    @property
    def pump(self) -> Any:
        """The one that runs: another one after a reset."""
        return self.bench.pump

    @property
    def tick(self) -> int:
        return self.bench.tick

    def run(self, ticks: int) -> None:
        self.bench.advance_to_tick(self.bench.tick + ticks)

    def ask(self, cmd: str, **arguments) -> dict:
        """One request, carried out when what it needs is written down: in this tick or one of the next."""
        number = self.client.request(cmd, **arguments)
        for _ in range(MOST_PROPOSAL_TICKS if cmd == "program" else ANSWER_TICKS):
            self.run(1)
            reply = self.client.reply(number)
            if reply is not None:
                return reply
        raise AssertionError(f"no answer to {cmd}")

    def reset(self, ticks: int = 0) -> None:
        """Cut the power for so long, and wait until the pump is itself again."""
        self.bench.power_cut(ticks)
        self.run(ticks + BOOT_TICKS + POST_TICKS)

    def program(self, **therapy) -> None:
        self.confirm({**SIX_ML_H, **therapy})

    def confirm(self, therapy: dict) -> None:
        """Program exactly this."""
        proposal = self.ask("program", therapy=therapy)
        assert proposal["ok"], proposal
        accept = proposal["readback"].get("soft", [])
        confirmed = self.ask("confirm", digest=proposal["digest"], accept=accept)
        assert confirmed["ok"], confirmed

    def refill(self, volume_nl: int) -> None:
        assert self.ask("confirm", digest=self.ask("refill", volume_nl=volume_nl)["digest"])["ok"]

    def new_line(self) -> None:
        assert self.ask("confirm", digest=self.ask("new_line")["digest"])["ok"]

    def start(self, **therapy) -> int:
        """Program and start; the tick at whose beginning the flow begins."""
        self.program(**therapy)
        assert self.ask("start")["ok"]
        return self.tick + 1

    @property
    def events(self) -> list[tuple[int, str, int, int]]:
        return [(event["tick"], event["code"], event["a"], event["b"]) for event in self.client.events]

    def of(self, *codes: str) -> list[tuple[int, str, int, int]]:
        return [event for event in self.events if event[1] in codes]

    @property
    def executed_nl(self) -> Fraction:
        """What was delivered at the beginning of the current tick."""
        return self.bench.motor.executed_steps(self.tick * TICK_CYCLES) * NL_PER_STEP


class ForgetfulOnBench(PumpOnBench):
    """With a pump that forgets all at a reset: every command is carried out and answered in the next tick."""

    def board(self, plant: Plant | None, flash: FlashModel | None) -> HostBench:
        return HostBench(plant, pump=forgetful_pump())
