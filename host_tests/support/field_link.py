"""What bytes from the field must not do to a pump that runs; for a bench of any kind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

from thecal.watch import alarms
from thecal_bench.bench import Bench
from thecal_model.link import LinkClient

FILES = sorted((Path(__file__).resolve().parents[1] / "field_link").glob("*.frame*"))
RATE_NL_H = 6_000_000
STEPS_PER_TICK = Fraction(RATE_NL_H * 3_200, 100_000 * 36_000)
LEAD_TICKS = 50  # for an answer

OneBench = TypeVar("OneBench", bound=Bench)


class RunningPump(Generic[OneBench]):
    """A pump on `bench`, programmed and started. `executed` reads the steps that its motor has made."""

    def __init__(self, bench: OneBench, executed) -> None:
        self.bench = bench
        self.executed = executed
        self.client = LinkClient(bench.send, first_id=1_000_000)
        self.replies: list[dict] = []
        self.statuses: list[dict] = []
        self.client.on_status = self.statuses.append
        bench.on_data = self._feed
        bench.advance_to_tick(12)
        therapy = {"mode": "continuous", "rate_num": RATE_NL_H, "rate_den": 1}
        digest = self.ask("program", therapy=therapy)["digest"]
        self.ask("confirm", digest=digest)
        self.ask("start")
        self.began_tick = bench.tick + 1
        self.replies.clear()

    def _feed(self, data: bytes) -> None:
        self.replies += [sent for sent in self.client.feed(data) if sent["type"] == "reply"]

    def ask(self, cmd: str, **arguments) -> dict:
        """The answer to one request, which is to be carried out."""
        number = self.client.request(cmd, **arguments)
        limit = self.bench.tick + LEAD_TICKS
        while (reply := self.client.reply(number)) is None:
            assert self.bench.tick < limit, f"no reply to {cmd}"
            self.bench.advance_to_tick(self.bench.tick + 1)
        assert reply["ok"], reply
        return reply

    def run(self, ticks: int) -> Fraction:
        """Let time pass; the largest difference between steps made and owed at the end of a tick."""
        worst = Fraction(0)
        for _ in range(ticks):
            self.bench.advance_to_tick(self.bench.tick + 1)
            owed = (self.bench.tick - self.began_tick) * STEPS_PER_TICK
            worst = max(worst, abs(self.executed() - max(owed, Fraction(0))))
        return worst

    @property
    def raised(self) -> list[str]:
        """The alarms that were ever raised."""
        return [
            alarms.ALARMS[event["a"]].code
            for event in self.client.events
            if event["code"] == "alarm" and event["b"]
        ]


def most_ticks(data: bytes) -> int:
    """A bound on how long the pump may take over it: so many bytes in a tick, and so many lines."""
    return len(data) // 512 + data.count(b"\n") // 10 + 15
