"""A Pump on the in-process board, with a client: ask, advance, read events."""

from __future__ import annotations

from fractions import Fraction

from memory_bench import MemoryBench
from thecal_bench.flash_model import FlashModel, blank_flash
from thecal_bench.inprocess import TICK_CYCLES, HostBench
from thecal_host.link import LinkClient

SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
NL_PER_STEP = Fraction(100_000, 3_200)


class PumpOnBench:
    """`events` are (tick, code, a, b) of everything since power-on."""

    def __init__(self) -> None:
        self.bench = MemoryBench()
        self.pump = self.bench.pump
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed

    @property
    def tick(self) -> int:
        return self.bench.tick

    def run(self, ticks: int) -> None:
        self.bench.advance_to_tick(self.bench.tick + ticks)

    def ask(self, cmd: str, **arguments) -> dict:
        """One request, carried out in the next tick."""
        number = self.client.request(cmd, **arguments)
        self.run(1)
        reply = self.client.reply(number)
        assert reply is not None
        return reply

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


class Kept(PumpOnBench):
    """A pump with a flash. A command is answered when what it needs is written down."""

    def __init__(self, flash: FlashModel | None = None) -> None:
        self.bench = HostBench(flash=flash or blank_flash())
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.run(10)

    @property
    def pump(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.bench.pump

    def ask(self, cmd: str, **arguments) -> dict:
        number = self.client.request(cmd, **arguments)
        for _ in range(30):
            self.run(1)
            reply = self.client.reply(number)
            if reply is not None:
                return reply
        raise AssertionError(f"no answer to {cmd}")

    def power_cycle(self) -> None:
        self.bench.reset()
        self.run(15)
