"""A run of the pump, weighed: starts it, reads the balance again and again into a file, and stops it.

The file is that of `series`, line by line as it is read, so what is there after Ctrl-C is a file up to there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

from thecal_model.quantities import RATE, VOLUME, show
from thecal_model.text import alarm_name

from thecal_host.connection import PortError
from thecal_host.files import writing
from thecal_host.pump import Pump, PumpError
from thecal_host.weighing import WeighingError
from thecal_host.weighing.accuracy import BOLUSES
from thecal_host.weighing.balance import Balance
from thecal_host.weighing.motion import Cut, stop_again

# The line gives back what it has stored within some seconds.
REST_S = 10.0


@dataclass(frozen=True)
class BolusTest:
    """Boluses of `volume_nl` within `duration_ms` each, one every `every_s`. WeighingError if too often."""

    volume_nl: int
    duration_ms: int
    every_s: float

    def __post_init__(self) -> None:
        if self.duration_ms / 1000 + REST_S > self.every_s:
            raise WeighingError(
                f"a bolus every {self.every_s:g} s: one of {self.duration_ms / 1000:g} s, and {REST_S:g} s "
                "for the line to rest, take longer (--over, --every)"
            )


class WeighedRun:
    """The therapy in force of one pump, over one balance. `wait` passes seconds and listens to the pump."""

    def __init__(
        self, pump: Pump, balance: Balance, wait: Callable[[float], object], tell: Callable[[str], object]
    ) -> None:
        self._pump = pump
        self._balance = balance
        self._wait = wait
        self._tell = tell
        self._begun_s = pump.clock_s()
        state, kept = pump.status()["state"], pump.therapy()
        if state != "STOPPED":
            raise PumpError(f"the pump is {state}: a weighed run begins with `thecal stop`")
        if kept is None or "rate_num" not in kept["therapy"]:
            raise PumpError("no continuous therapy is programmed, which this would run")
        self.rate_nl_h = Fraction(kept["therapy"]["rate_num"], kept["therapy"]["rate_den"])

    def flow(self, path: Path, stopped_s: float, for_s: float, sample_s: float) -> None:
        """Readings each `sample_s`: so long with the pump stopped, then so long with it running."""
        with writing(path) as file:
            self._heading(file)
            self._begun_s = self._pump.clock_s()
            self._rows(file, 0.0, stopped_s, sample_s)
            self._start(file)
            try:
                begun_s = self._now_s()
                self._rows(file, begun_s, begun_s + for_s, sample_s, running=True)
            finally:
                self._stop()

    def boluses(self, path: Path, test: BolusTest) -> None:
        """A reading before each of 25 boluses and after the last one."""
        with writing(path) as file:
            self._heading(file)
            print(f"# bolus: {show(test.volume_nl, VOLUME)}", file=file)
            self._begun_s = self._pump.clock_s()
            self._pump.ask("start")
            try:
                for number in range(1, BOLUSES + 2):
                    self._wait_until(number * test.every_s)
                    self._row(file)
                    if number <= BOLUSES:
                        self._tell(f"Bolus {number} of {BOLUSES}.")
                        self._give(test)
            finally:
                self._stop()

    def _give(self, test: BolusTest) -> None:
        reply = self._pump.ask("bolus", volume_nl=test.volume_nl, duration_ms=test.duration_ms)
        if reply.get("granted") is not True:
            raise PumpError(f"the bolus is denied: {reply.get('message') or reply.get('reason')}")

    def _heading(self, file: IO[str]) -> None:
        print(f"# rate: {show(self.rate_nl_h, RATE)}", file=file)

    def _start(self, file: IO[str]) -> None:
        self._pump.ask("start")
        print(f"# start: {self._now_s():.1f} s", file=file, flush=True)
        self._tell("The pump runs.")

    def _stop(self) -> None:
        try:
            self._pump.ask("stop")
        except PortError as why:
            raise Cut(f"{why}\n{stop_again(self._pump)}") from None

    def _now_s(self) -> float:
        return self._pump.clock_s() - self._begun_s

    def _wait_until(self, at_s: float) -> None:
        left_s = at_s - self._now_s()
        if left_s > 0:
            self._wait(left_s)

    def _rows(
        self, file: IO[str], begin_s: float, end_s: float, sample_s: float, running: bool = False
    ) -> None:
        count = int((end_s - begin_s) / sample_s + 1e-6)
        for number in range(count + 1):
            self._wait_until(begin_s + number * sample_s)
            if running:
                self._check_running()
            self._row(file)

    def _row(self, file: IO[str]) -> None:
        at_s = self._now_s()
        weight = self._balance.grams()
        places = max(round(-math.log10(weight.resolution_g)), 0)
        print(f"{at_s:.1f},{weight.grams:.{places}f}", file=file, flush=True)

    def _check_running(self) -> None:
        status = self._pump.status()
        if status["state"] != "RUNNING":
            raise Cut(
                f"the pump is {status['state']}, alarm {alarm_name(status['alarm'])}: see `thecal alarms`"
            )
