"""A modelled balance: a beaker of water that the plant's outflow drips into, weighed in air.

On the pan stands a beaker with some water in it. What leaves the catheter comes to it, what evaporates leaves
it. The balance shows that mass as it shows in air (less the air that the water displaces, compared with steel
weights), with a zero that drifts and with Gaussian noise, rounded to its resolution. A reading is a stable
one when the mass has not changed by a digit for `settle_s`.

`line` is what it sends for `SI`; with `prints_every_s` it sends such a line by itself that often and does not
know `SI`. Noise is a function of the seed and of the number of the 100 ms sample, whoever asks how often.
The numbers are those of an analytical balance of 0.1 mg; own choice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from thecal_bench.bench import TICK_NS
from thecal_bench.pty_line import PtyLine

NS_PER_H = 3_600_000_000_000

# Physics of its own, so that what corrects for it is tested: tables of water and dry air at 20 C.
WATER_G_ML = 0.998_207
AIR_G_ML = 0.001_199
STEEL_G_ML = 8.0


@dataclass(frozen=True)
class BalanceParameters:
    """A balance and its beaker. An open beaker loses some milligrams an hour, one under oil nearly none."""

    resolution_g: float = 1e-4
    noise_g: float = 1e-4
    drift_g_h: float = 0.0
    evaporation_g_h: float = 0.0
    settle_s: float = 2.0
    beaker_g: float = 0.0  # as if tared with the water that is in it
    most_g: float = 220.0


class ModelBalance:
    """Weighs `outflow_nl`, a function of the time in ns that never goes back."""

    def __init__(
        self,
        outflow_nl: Callable[[int], float],
        parameters: BalanceParameters | None = None,
        seed: int = 1,
        prints_every_s: float | None = None,
    ) -> None:
        self._outflow_nl = outflow_nl
        self.parameters = parameters or BalanceParameters()
        self._seed = seed
        self._print_ns = None if prints_every_s is None else round(prints_every_s * 1e9)
        self._printed_ns = 0
        self._rested_g = float("nan")  # the mass that has not changed since ...
        self._rests_since_ns = 0
        self._asked = b""

    def true_g(self, at_ns: int) -> float:
        """The mass of the water in the beaker, more than at the beginning."""
        given_g = self._outflow_nl(at_ns) * WATER_G_ML * 1e-6
        return given_g - self.parameters.evaporation_g_h * at_ns / NS_PER_H

    def shows(self, at_ns: int) -> tuple[float, bool]:
        """The grams on its display, and whether they are stable."""
        p = self.parameters
        true_g = self.true_g(at_ns)
        if not abs(true_g - self._rested_g) < p.resolution_g:
            self._rested_g, self._rests_since_ns = true_g, at_ns
        in_air = (1 - AIR_G_ML / WATER_G_ML) / (1 - AIR_G_ML / STEEL_G_ML)
        noise_g = random.Random(f"{self._seed} {at_ns // TICK_NS}").gauss(0, p.noise_g)
        shown_g = p.beaker_g + true_g * in_air + p.drift_g_h * at_ns / NS_PER_H + noise_g
        digits = round(shown_g / p.resolution_g)
        return digits * p.resolution_g, at_ns - self._rests_since_ns >= p.settle_s * 1e9

    def line(self, at_ns: int) -> bytes:
        """What it sends: `S S    12.3456 g` and CR LF."""
        grams, stable = self.shows(at_ns)
        if grams > self.parameters.most_g:
            return b"S +\r\n"
        places = len(f"{self.parameters.resolution_g:.6f}".rstrip("0").partition(".")[2])
        return f"S {'S' if stable else 'D'} {grams:10.{places}f} g\r\n".encode("ascii")

    def exchange(self, received: bytes, at_ns: int) -> bytes:
        """What it sends by then, given what it has received since the last call."""
        self._asked += received
        *commands, self._asked = self._asked.split(b"\n")
        if self._print_ns is None:
            return b"".join(self._answer(command.strip(), at_ns) for command in commands)
        self.shows(at_ns)  # it looks by itself, too
        if at_ns - self._printed_ns < self._print_ns:
            return b""
        self._printed_ns = at_ns
        return self.line(at_ns)

    def _answer(self, command: bytes, at_ns: int) -> bytes:
        if command == b"SI":
            return self.line(at_ns)
        return b"ES\r\n" if command else b""


class BalanceOnPty:
    """A modelled balance at a pseudo-terminal, for whoever opens `path`; `turn` does what there is to do."""

    def __init__(self, model: ModelBalance, now_ns: Callable[[], int]) -> None:
        self._model = model
        self._now_ns = now_ns
        self._line = PtyLine()
        self.path = self._line.path

    def turn(self) -> None:
        """Answer, or print when the time has come. Nothing is kept for a user who is not there."""
        received = self._line.read()
        sent = self._model.exchange(received, self._now_ns())
        if sent and self._line.in_use:
            self._line.write(sent)

    def close(self) -> None:
        """Hang up."""
        self._line.close()
