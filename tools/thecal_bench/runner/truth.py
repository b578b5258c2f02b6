"""The plant as it was at chosen ticks: what was delivered, samples, the fullest window of the limit.

It is read just before the inputs of a tick are, through `Bench.schedule`. A board without a plant knows none
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from thecal.clock import TICK_MS
from thecal_model.quantities import MS_PER_HOUR
from thecal_model.therapy import Limit

from thecal_bench.bench import TICK_NS, Bench
from thecal_bench.checks import Truth
from thecal_bench.parameters import NS_PER_MS
from thecal_bench.runner.findings import Findings, Record
from thecal_bench.window import WindowPeak


class Truths:
    """Those of one run, in ticks from t=0, which is the device's `begin_tick`; the run ends at `end_tick`."""

    def __init__(
        self, bench: Bench, findings: Findings, limit: Limit | None, begin_tick: int, end_tick: int
    ) -> None:
        self._bench = bench
        self._findings = findings
        self._limit = limit
        self._begin = begin_tick
        self._end = end_tick
        self._start = Truth(0, Fraction(0), 0.0)
        self._window: WindowPeak | None = None
        self._credit_nl = 0  # of a line that was new at t=0
        self._every_ticks = 0
        self._sampled_nl = Fraction(0)
        self.at: dict[int, Truth] = {}

    def watch(self, ticks: Iterable[int], every_ticks: int | None) -> None:
        """Look at these ticks, and take a sample every so many."""
        self._bench.schedule(self._begin, self._at_begin)
        for tick in ticks:
            self._bench.schedule(self._begin + tick, self._keeper(tick))
        if every_ticks is not None:
            self._every_ticks = every_ticks
            self._bench.schedule(self._begin + every_ticks, self._sample)
        self._bench.schedule(self._begin + self._end, self._at_end)

    def exempt(self, volume_nl: int) -> None:
        """So much that is displaced from now on fills a new line and is no dose; 0: nothing more does."""
        self._credit_nl = volume_nl
        if self._window is not None:
            self._window.exempt(volume_nl)

    @property
    def peak_nl(self) -> Fraction | None:
        """The most that a window of the limit held; None without a limit or a plant."""
        return None if self._window is None else self._window.peak_nl

    @property
    def peak_tick(self) -> int:
        """The tick up to which the fullest window lasts; 0 where there is none."""
        if self._window is None or self._window.peak_at_ns is None:
            return 0
        return -((self._start.now_ns - self._window.peak_at_ns) // TICK_NS)

    def _now(self) -> Truth:
        plant = self._bench.plant
        if plant is None:
            return Truth(0, Fraction(0), 0.0)
        now_ns = self._bench.now_ns
        return Truth(now_ns, plant.displaced_nl(), plant.outflow_nl(now_ns))

    def _at_begin(self) -> None:
        self._start = self._now()
        plant = self._bench.plant
        if self._limit is not None and plant is not None:
            self._window = WindowPeak(plant, self._limit.window_ms * NS_PER_MS)
            self._window.exempt(self._credit_nl)

    def _at_end(self) -> None:
        if self._window is not None:
            self._window.close()

    def _keeper(self, tick: int) -> Callable[[], None]:
        def keep() -> None:
            self.at[tick] = self._now().since(self._start)

        return keep

    def _sample(self) -> None:
        tick = self._bench.tick + 1 - self._begin
        sample: Record = {
            "type": "sample",
            "at_ms": tick * TICK_MS,
            "delivered_nl": None,
            "rate_nl_h": None,
            "pressure_pa": None,
            "state": None,
            "reservoir_nl": None,
        }
        plant = self._bench.plant
        if plant is not None:
            delivered_nl = plant.displaced_nl() - self._start.displaced_nl
            hours = Fraction(self._every_ticks * TICK_MS, MS_PER_HOUR)
            sample["delivered_nl"] = round(delivered_nl)
            sample["rate_nl_h"] = round((delivered_nl - self._sampled_nl) / hours)
            sample["pressure_pa"] = round(plant.pressure_down_pa(self._bench.now_ns))
            sample["reservoir_nl"] = round(plant.reservoir_nl())
            self._sampled_nl = delivered_nl
        self._findings.records.append(sample)
        if tick + self._every_ticks <= self._end:
            self._bench.schedule(self._begin + tick + self._every_ticks, self._sample)
