"""What should have flowed: the programmed volume over time, exact, computed on the host alone.

This is the line that a run is judged by, so it shares no code with the firmware: rates are `Fraction`s of
nL/h, and the volume is their integral, a line with a few corners. Tell it what happened in order of time
(`start`, `stop`, `set_basal`, `bolus`), then ask `volume_nl(at_ms)`.

Rules it applies: nothing accrues while stopped; a bolus flows on top of the basal rate until its volume is
complete, slower where both together would pass the limit of the machine; a stop ends a bolus for good. A
patient's bolus suspends the clinician's, which goes on after it with what was left. While it does not run the
pump may be told to turn by so much: to prime a line, or to jog.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

MS_PER_H = 3_600_000
_NEVER = Fraction(1 << 60)

PATIENT, CLINICIAN = "patient", "clinician"
"""Whose bolus it is; of two the first one flows."""


@dataclass(frozen=True)
class Corner:
    """From `at_ms` on the volume grows from `volume_nl` at `rate_nl_h`, of which `basal_nl_h` is basal."""

    at_ms: Fraction
    volume_nl: Fraction
    rate_nl_h: Fraction
    basal_nl_h: Fraction = Fraction(0)


@dataclass
class _Bolus:
    left_nl: Fraction = Fraction(0)
    rate_nl_h: Fraction = Fraction(0)


class Programmed:
    """The programmed volume of one pump since time 0, by events told in order of time."""

    def __init__(self, basal_nl_h: Fraction | int = 0, max_rate_nl_h: Fraction | int | None = None) -> None:
        self._basal_nl_h = Fraction(basal_nl_h)
        self._max_rate_nl_h = None if max_rate_nl_h is None else Fraction(max_rate_nl_h)
        self._running = False
        self._boluses = {PATIENT: _Bolus(), CLINICIAN: _Bolus()}
        self._turned = _Bolus()
        self._primes: list[tuple[Fraction, Fraction]] = []  # from when to when, the last without an end
        self.corners = [Corner(Fraction(0), Fraction(0), Fraction(0))]

    def start(self, at_ms: int | Fraction) -> None:
        """The pump runs from here; the basal rate accrues."""
        self._advance(at_ms)
        self._end_turning(at_ms)
        self._running = True
        self._turn(at_ms)

    def stop(self, at_ms: int | Fraction) -> None:
        """Nothing accrues from here; what is left of a bolus is forfeited."""
        self._advance(at_ms)
        self._end_turning(at_ms)
        self._running = False
        self._boluses = {PATIENT: _Bolus(), CLINICIAN: _Bolus()}
        self._turn(at_ms)

    def set_basal(self, at_ms: int | Fraction, rate_nl_h: Fraction | int) -> None:
        """Another basal rate from here."""
        self._advance(at_ms)
        self._basal_nl_h = Fraction(rate_nl_h)
        self._turn(at_ms)

    def bolus(
        self,
        at_ms: int | Fraction,
        volume_nl: Fraction | int,
        rate_nl_h: Fraction | int,
        kind: str = CLINICIAN,
    ) -> None:
        """A bolus from here, on top of the basal rate. ValueError when stopped or when one of it runs."""
        self._advance(at_ms)
        if not self._running or self._boluses[kind].left_nl:
            why = "one is running" if self._running else "stopped"
            raise ValueError(f"no bolus can begin at {at_ms} ms: {why}")
        if volume_nl <= 0 or rate_nl_h <= 0:
            raise ValueError(f"a bolus of {volume_nl} nL at {rate_nl_h} nL/h is none")
        self._boluses[kind] = _Bolus(Fraction(volume_nl), Fraction(rate_nl_h))
        self._turn(at_ms)

    def turn(
        self,
        at_ms: int | Fraction,
        volume_nl: Fraction | int,
        rate_nl_h: Fraction | int,
        primes: bool = False,
    ) -> None:
        """So much from here, and no therapy; `primes`: into a new line."""
        self._advance(at_ms)
        self._end_turning(at_ms)
        self._turned = _Bolus(Fraction(volume_nl), Fraction(rate_nl_h))
        if primes:
            self._primes.append((Fraction(at_ms), _NEVER))
        self._turn(at_ms)

    def primed_nl(self, at_ms: int | Fraction) -> Fraction:
        """What of the programmed volume has filled a line by then, which no limit counts."""
        return sum(
            (self.volume_nl(min(at_ms, end_ms)) - self.volume_nl(begin_ms)
             for begin_ms, end_ms in self._primes if begin_ms < at_ms),
            Fraction(0),
        )  # fmt: skip

    def volume_nl(self, at_ms: int | Fraction) -> Fraction:
        """Programmed volume at a time not before the last thing told."""
        corner = self._corner(at_ms)
        return corner.volume_nl + corner.rate_nl_h * (at_ms - corner.at_ms) / MS_PER_H

    def rate_nl_h(self, at_ms: int | Fraction) -> Fraction:
        """Programmed rate just after a time."""
        return self._corner(at_ms).rate_nl_h

    def finish(self, at_ms: int | Fraction) -> None:
        """Run on to the end, so that a bolus that completes before it has its corner."""
        self._advance(at_ms)

    @property
    def bolus_left_nl(self) -> Fraction:
        """What was left of all boluses at that time."""
        return sum((bolus.left_nl for bolus in self._boluses.values()), Fraction(0))

    def _corner(self, at_ms: int | Fraction) -> Corner:
        self._complete_boluses(at_ms)
        index = bisect_right(self.corners, at_ms, key=lambda corner: corner.at_ms) - 1
        return self.corners[max(index, 0)]

    def _flowing(self) -> _Bolus | None:
        """The bolus that flows, or what is turned by."""
        if not self._running:
            return self._turned if self._turned.left_nl else None
        return next((bolus for bolus in self._boluses.values() if bolus.left_nl), None)

    def _flow_nl_h(self, bolus: _Bolus | None) -> Fraction:
        if bolus is None:
            return Fraction(0)
        if self._max_rate_nl_h is None or bolus is self._turned:
            return bolus.rate_nl_h
        return max(Fraction(0), min(bolus.rate_nl_h, self._max_rate_nl_h - self._basal_nl_h))

    def _complete_boluses(self, at_ms: int | Fraction) -> None:
        """Lay the corners where running boluses are complete, as far as these are at or before `at_ms`."""
        while True:
            bolus = self._flowing()
            flow_nl_h = self._flow_nl_h(bolus)
            if bolus is None or not flow_nl_h:
                return
            end_ms = self.corners[-1].at_ms + bolus.left_nl * MS_PER_H / flow_nl_h
            if end_ms > at_ms:
                return
            bolus.left_nl = Fraction(0)
            self._turn(end_ms)

    def _end_turning(self, at_ms: int | Fraction) -> None:
        self._turned = _Bolus()
        if self._primes and self._primes[-1][1] is _NEVER:
            self._primes[-1] = self._primes[-1][0], Fraction(at_ms)

    def _advance(self, at_ms: int | Fraction) -> None:
        if at_ms < self.corners[-1].at_ms:
            raise ValueError(f"told of {at_ms} ms after {self.corners[-1].at_ms} ms")
        self._complete_boluses(at_ms)
        last = self.corners[-1]
        bolus = self._flowing()
        if bolus is not None:
            bolus.left_nl -= self._flow_nl_h(bolus) * (at_ms - last.at_ms) / MS_PER_H
        # What is left of a bolus counts from the last corner, so there has to be one here.
        self._turn(at_ms)

    def _turn(self, at_ms: int | Fraction) -> None:
        last = self.corners[-1]
        at_ms = Fraction(at_ms)
        volume_nl = last.volume_nl + last.rate_nl_h * (at_ms - last.at_ms) / MS_PER_H
        basal_nl_h = self._basal_nl_h if self._running else Fraction(0)
        rate_nl_h = basal_nl_h + self._flow_nl_h(self._flowing())
        corner = Corner(at_ms, volume_nl, rate_nl_h, basal_nl_h)
        if at_ms == last.at_ms:
            self.corners[-1] = corner
        else:
            self.corners.append(corner)
