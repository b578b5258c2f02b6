"""A pump on the in-process board that a block of its catheter has halted."""

from __future__ import annotations

from pump_on_bench import PumpOnBench
from thecal import states
from thecal.watch import alarms
from thecal_bench.plant import Plant

TICK_NS = 100_000_000


class Blocked(PumpOnBench):
    """A pump that runs at `rate_ul_h` until a block of the catheter halts it."""

    def __init__(self, rate_ul_h, seed=1, **therapy):
        self.plant = Plant(seed=seed)
        super().__init__(self.plant)
        self.refill(20_000_000)
        self.start(rate_num=rate_ul_h * 1_000, **therapy)
        self.run(6_000)
        self.plant.occlude("downstream", self.now_ns)
        before_nl = self.plant.displaced_nl()
        while self.pump.control.state != states.HALTED:
            self.run(1)
            assert self.plant.displaced_nl() - before_nl < 3_000
        assert self.pump.alarms.standing[alarms.OCCLUSION_DOWN]
        self.run(100)

    @property
    def now_ns(self):
        return self.tick * TICK_NS

    def acknowledge(self):
        assert self.ask("acknowledge")["ok"]
        while self.pump.control.state == states.DRAW_BACK:
            self.run(1)
        assert self.pump.control.state == states.STOPPED
        self.run(20)

    def opened(self):
        """Open the line; what leaves it, nL."""
        before_nl = self.plant.outflow_nl(self.now_ns)
        self.plant.unocclude("downstream", self.now_ns)
        self.run(100)
        return self.plant.outflow_nl(self.now_ns) - before_nl
