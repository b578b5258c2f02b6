"""The image on the emulated board, its motor under a logic analyser, against schedule and prescription."""

from __future__ import annotations

import math
from bisect import bisect
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

from thecal.drivers import segment
from thecal_bench.chip.bench import ChipBench
from thecal_bench.chip.pio_clock import CYCLE_NS
from thecal_bench.chip.recorders import EdgeRecorder, SegmentRecorder
from thecal_bench.plant import Plant
from thecal_model.link import LinkClient

CPU_CYCLES_PER_PIO_CYCLE = Fraction(125_000_000, segment.PIO_HZ)
STEPS_PER_NL = Fraction(3_200, 100_000)
TICKS_PER_HOUR = 36_000
FAILING_LOOP = """
from thecal import app
class Broken(app.App):
    turns = 0
    def tick(self):
        self.turns += 1
        if self.turns > 30:
            raise ValueError
        super().tick()
app.App = Broken
app.run()
"""
"""A pump whose ticks all fail from the thirty-first on."""
COLLECT_EVERY_TICK = """
import gc
from thecal import app
pump = app.App()
while True:
    pump.wait()
    pump.tick()
    gc.collect()
"""
"""The pump's own parts in a loop of the test's: garbage is collected in every tick."""


def pulse_cycles(word: int, other: int) -> list[int]:
    """When the pulses of a segment rise, in PIO cycles after its first word was taken: lead, then periods."""
    q, steps = word & 0xFFFFFF, word >> 24
    lead = 38 + 32 * (other & 0xFFFF)
    return [lead + number * (q + 62) for number in range(steps)]


def segment_cycles(word: int, other: int) -> int:
    """How long the step machine is busy with a segment's words, in PIO cycles."""
    waits = 32 * ((other & 0xFFFF) + (other >> 16))
    if not word >> 24:
        return 71 + waits
    return waits + 38 + ((word >> 24) - 1) * ((word & 0xFFFFFF) + 62) + 91


class Rig:
    """One powered board. `owe` tells the oracle what the device was told; `law` compares."""

    def __init__(self, image: Path, program: str | None = None, plant: Plant | None = None) -> None:
        self.plant = plant or Plant()
        self.bench = ChipBench(self.plant, image, program)
        self.board = self.bench.board
        self.edges = EdgeRecorder(self.board, "STEP")
        self.segments = SegmentRecorder(self.board, 0)
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.statuses: list[dict] = []
        self.client.on_status = self.statuses.append
        self.changes: dict[int, dict[str, Fraction]] = defaultdict(dict)
        self.bench.advance_to_tick(2)  # what is sent before the loop runs may go to the prompt
        assert len(self.edges.rising) == 1, "the self-test's pulse, to a driver without power"
        self.edges.clear()

    def ask(self, cmd: str, **arguments) -> dict:
        number = self.client.request(cmd, **arguments)
        limit = self.bench.tick + 50
        while (reply := self.client.reply(number)) is None:
            assert self.bench.tick < limit, f"no reply to {cmd}"
            self.run_ticks(1)
        assert reply["ok"], reply
        return reply

    def run_ticks(self, ticks: int) -> None:
        self.bench.advance_to_tick(self.bench.tick + ticks)

    def program(self, rate_nl_h: int) -> int:
        therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
        digest = self.ask("program", therapy=therapy)["digest"]
        # It acts in its tick, which tells an event, and is answered when it is written down.
        applied = self._applied()
        number = self.client.request("confirm", digest=digest)
        while self._applied() == applied:
            self.run_ticks(1)
        tick = self.bench.tick + 1
        while (reply := self.client.reply(number)) is None:
            self.run_ticks(1)
        assert reply["ok"], reply
        return tick

    def _applied(self) -> int:
        """How many therapies have come in force."""
        return sum(event["code"] == "therapy" for event in self.client.events)

    def start(self, rate_nl_h: int) -> None:
        self.program(rate_nl_h)
        self.ask("start")
        self.changes[self.bench.tick + 1]["basal"] = rate_nl_h * STEPS_PER_NL / TICKS_PER_HOUR

    def change_rate(self, rate_nl_h: int) -> None:
        self.changes[self.program(rate_nl_h)]["basal"] = rate_nl_h * STEPS_PER_NL / TICKS_PER_HOUR

    def bolus(self, volume_nl: int, duration_ms: int) -> None:
        reply = self.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms)
        change = self.changes[self.bench.tick + 1]
        change["bolus"] = Fraction(reply["rate_num"], reply["rate_den"]) * STEPS_PER_NL / TICKS_PER_HOUR
        change["left"] = volume_nl * STEPS_PER_NL

    def status(self) -> dict:
        self.run_ticks(12)
        return self.statuses[-1]

    # --- what is held against what

    def worst_edge_cycles(self) -> int:
        """The largest deviation of an edge from its segment's schedule, in CPU cycles; every pulse must be
        there.

        The schedule is that of the words which the step machine took, by the cycle counts of its program. A
        segment that was cut off by a flush or a halt owes its pulses up to the last one that came.
        """
        seen = self.edges.rising
        taken = self.segments.taken
        starts = [entry.cycle for entry in taken[::2]]
        words = [(entry.word, other.word) for entry, other in zip(taken[::2], taken[1::2], strict=True)]
        worst = matched = 0
        for start, pair, following in zip(starts, words, [*starts[1:], 1 << 62], strict=True):
            expected = [start + at * CPU_CYCLES_PER_PIO_CYCLE for at in pulse_cycles(*pair)]
            end = start + segment_cycles(*pair) * CPU_CYCLES_PER_PIO_CYCLE
            came = seen[matched : bisect(seen, following)]
            matched += len(came)
            if abs(following - end) > CPU_CYCLES_PER_PIO_CYCLE:
                assert following < end or following == 1 << 62, "a pause between segments"
                expected = expected[: len(came)]
            assert len(came) == len(expected), f"{len(came)} pulses of {len(expected)} at cycle {start}"
            for made, due in zip(came, expected, strict=True):
                worst = max(worst, math.ceil(abs(made - due)))
        assert matched == len(seen), "pulses before the first segment"
        return worst

    def worst_off_steps(self) -> Fraction:
        """The largest difference between edges made and steps owed, over every tick since power-on."""
        owed = basal = bolus = left = worst = Fraction(0)
        rising = self.edges.rising
        made = 0
        for tick in range(self.bench.tick + 1):
            if tick:
                now = min(bolus, left)
                left -= now
                owed += basal + now
            change = self.changes.get(tick, {})
            basal, bolus, left = (
                change.get("basal", basal),
                change.get("bolus", bolus),
                change.get("left", left),
            )
            due_cycle = (self.bench._due_ns(tick)) // CYCLE_NS
            while made < len(rising) and rising[made] <= due_cycle:
                made += 1
            worst = max(worst, abs(made - owed))
        return worst

    def three_counts(self) -> tuple[int, int, int]:
        """Steps at the pin, in the plant, and by the device's own counter, once the motor rests."""
        self.ask("stop")
        return len(self.edges.rising), self.plant.steps_seen, self.status()["executed_steps"]

    def no_backlog(self) -> bool:
        return all(block.backlog_drops == 0 for block in self.board.pio)
