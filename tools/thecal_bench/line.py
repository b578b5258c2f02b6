"""The line behind the head, and the world that presses on its end: pressure in closed form between the calls.

`plant` says what the line is; here is what moves its end. Pressure p over ambient is that at the head, where
the sensor sits, as deep as the pump; b is the pressure that p comes to rest at without a flow.

Height. `set_height` puts the pump so much lower than at the start, as the pressure of that column of water
(98.0665 Pa for each cm): b is higher by it from then on. An open line is filled from its far end until p is b
again, with its time constant RC: C times the step flows back in, and must be displaced once more before the
catheter has given what it had given before. C is at the head, so a blocked line feels no height at all.

Tones. Breathing and the pulse move b as b + A sin(2 pi f (t - t0)), t0 when it began. The line follows late
and less: A G sin(2 pi f (t - t0) - lag), with G = 1/sqrt(1 + (2 pi f RC)^2) and lag = atan(2 pi f RC).

Compliance. C = C0 (1 + k T), k the `compliance_drift` and T the temperature over that at the start, taken
anew each `SLOT_NS`. What the line holds, C p, stays when C changes: p falls as C grows, and the catheter
takes or gives what brings it back.

Between two such moments p - b goes from any x to y + (x - y) exp(-t/RC) + q R (1 - exp(-t/RC)), y what the
tones alone would make of it, or by q t / C while blocked. Only a drifting C has anything here loop over time:
once for each slot. What the line holds more than at the start, C p - C0 b0, is `stored_nl`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from thecal_bench.parameters import NS_PER_MS, PlantError, PlantParameters

MOST_HEIGHT_PA = 30_000
"""Three metres of water, either way: further apart than a pump and the end of its catheter can be."""

MOST_TONE_PA = 10_000
MOST_TONE_HZ = 5
"""The sensor is read ten times a second: what is faster it shows as something slower."""

BREATHING, PULSE_WAVE = TONES = ("breathing", "pulse_wave")
TONE_PA = {BREATHING: 300, PULSE_WAVE: 200}
TONE_HZ = {BREATHING: Fraction(1, 4), PULSE_WAVE: Fraction(6, 5)}
"""Half of what lies between crest and trough, and how often. Own choice: what breathing and the heart move
the pressure of the spinal fluid by, at rest."""

SLOT_NS = 60_000 * NS_PER_MS
SAMPLE_SPAN_NS = 100 * NS_PER_MS


@dataclass(frozen=True)
class Tone:
    """One of TONES since `began_ns`."""

    amplitude_pa: float
    hz: float
    began_ns: int

    def passed_pa(self, at_ns: int, tau_ns: float) -> float:
        """What a line of that time constant makes of it."""
        rad_per_ns = 2e-9 * math.pi * self.hz
        turn = rad_per_ns * tau_ns
        angle = rad_per_ns * (at_ns - self.began_ns) - math.atan(turn)
        return self.amplitude_pa / math.hypot(1.0, turn) * math.sin(angle)


class Line:
    """State of a line; times are the plant's, in ns. `temperature_k` is that of a time."""

    def __init__(self, p: PlantParameters, temperature_k: Callable[[int], float]) -> None:
        self._temperature_k = temperature_k
        self._first_c = self._c = float(p.compliance_nl_pa)
        self._drift_k = float(p.compliance_drift_percent_k) / 100
        self._r_ns = float(p.resistance_pa_ms_nl) * NS_PER_MS  # Pa per (nL/ns)
        self._tau_ns = self._c * self._r_ns
        self._first_back_pa = self.back_pa = float(p.back_pressure_pa)
        self.tones: dict[str, Tone] = {}
        self.blocked = False
        self._excess_pa = 0.0  # line pressure over the back pressure ...
        self.at_ns = 0  # ... then, by when all that is said of it has happened
        self._lift_pa = 0.0  # back pressure over that at the start
        self._shift_nl = 0.0  # what the line holds at the back pressure more than then
        self._peak_pa = 0.0
        self._decay_span_ns = SAMPLE_SPAN_NS
        self._decay = math.exp(-SAMPLE_SPAN_NS / self._tau_ns)

    # --- what flows in

    def add(self, volume_nl: float, at_ns: int) -> None:
        """An impulse of volume."""
        if self._drift_k:
            self._take_compliance(at_ns)
        excess = self.excess_at(at_ns) + volume_nl / self._c
        self._keep(excess, at_ns)

    def flow(self, volume_nl: float, from_ns: int, to_ns: int) -> None:
        """A volume spread evenly over a span, which has nothing else in it."""
        span_ns = to_ns - from_ns
        excess = self.excess_at(from_ns)
        if self._drift_k or self.tones:
            self._keep(excess, from_ns)
            self._keep(self._later(to_ns, volume_nl / span_ns), to_ns)
        elif self.blocked:
            self._keep(excess + volume_nl / self._c, to_ns)
        else:
            if span_ns != self._decay_span_ns:  # nearly always one tick, so nearly never
                self._decay_span_ns = span_ns
                self._decay = math.exp(-span_ns / self._tau_ns)
            decay = self._decay
            self._keep(excess * decay + volume_nl / span_ns * self._r_ns * (1.0 - decay), to_ns)

    def _keep(self, excess_pa: float, at_ns: int) -> None:
        if self._drift_k:
            self._take_compliance(at_ns)
        self._excess_pa, self.at_ns = excess_pa, at_ns
        if excess_pa + self._lift_pa > self._peak_pa:
            self._peak_pa = excess_pa + self._lift_pa

    # --- what happens to it

    def settle(self, at_ns: int) -> None:
        """Bring all up to then, before something changes."""
        self._keep(self.excess_at(at_ns), at_ns)

    def block(self, blocked: bool) -> None:
        """Its end lets nothing through, or everything again, from where it was settled on."""
        self.blocked = blocked

    def set_height(self, pressure_pa: float, at_ns: int) -> None:
        """The pump is so far below where it was at the start."""
        if not -MOST_HEIGHT_PA <= pressure_pa <= MOST_HEIGHT_PA:
            raise PlantError(
                f"a height of {pressure_pa:g} Pa, must be -{MOST_HEIGHT_PA} to {MOST_HEIGHT_PA}: the pump "
                "lies within 3 m of where it was"
            )
        self.settle(at_ns)
        line_pa = self.back_pa + self._excess_pa
        self.back_pa = self._first_back_pa + pressure_pa
        self._lift_pa = pressure_pa
        self._excess_pa = line_pa - self.back_pa
        self._shift()

    def set_tone(self, name: str, amplitude_pa: float, hz: float, at_ns: int) -> None:
        """One of TONES begins anew, or ends with an amplitude of 0."""
        if name not in TONES:
            raise PlantError(f"a tone is {name}, must be one of {', '.join(TONES)}")
        if not 0 <= amplitude_pa <= MOST_TONE_PA:
            raise PlantError(f"{name} has {amplitude_pa:g} Pa, must be 0 to {MOST_TONE_PA}")
        if not 0 < hz <= MOST_TONE_HZ:
            raise PlantError(f"{name} has {hz:g} Hz, must be above 0 and at most {MOST_TONE_HZ}")
        self.settle(at_ns)
        self.tones.pop(name, None)
        if amplitude_pa:
            self.tones[name] = Tone(float(amplitude_pa), float(hz), at_ns)

    # --- how it is

    def excess_at(self, at_ns: int) -> float:
        """Pressure over the back pressure without its tones."""
        span_ns = at_ns - self.at_ns
        if not span_ns:
            return self._excess_pa
        if span_ns < 0:
            raise PlantError(f"asked for {at_ns} ns, the rotor has turned at {self.at_ns} ns")
        if self._drift_k or self.tones:
            return self._later(at_ns, 0.0)
        return self._excess_pa if self.blocked else self._excess_pa * math.exp(-span_ns / self._tau_ns)

    def pressure_pa(self, at_ns: int) -> float:
        """At the head, over ambient."""
        return self.back_pa + self.excess_at(at_ns)

    @property
    def peak_pa(self) -> float:
        """The highest pressure that was seen with a step or when something changed."""
        return self._first_back_pa + self._peak_pa

    def stored_nl(self, at_ns: int) -> float:
        """What the line holds more than at the start."""
        if not self._drift_k:
            return self._c * self.excess_at(at_ns) + self._shift_nl
        held_nl = self._compliance(at_ns) * (self.back_pa + self.excess_at(at_ns))
        return held_nl - self._first_c * self._first_back_pa

    # --- tones and a compliance that drifts

    def _later(self, to_ns: int, flow_nl_ns: float) -> float:
        """The excess at that time, with a steady flow from `at_ns` on: one turn for each slot."""
        at_ns, excess = self.at_ns, self._excess_pa
        c = self._compliance(at_ns)
        while True:
            slot_end_ns = (at_ns // SLOT_NS + 1) * SLOT_NS if self._drift_k else to_ns
            stop_ns = min(to_ns, slot_end_ns)
            excess = self._in_slot(excess, c, at_ns, stop_ns, flow_nl_ns)
            if stop_ns == slot_end_ns and self._drift_k:
                before, c = c, self._compliance(stop_ns)
                excess = (self.back_pa + excess) * before / c - self.back_pa
            if stop_ns == to_ns:
                return excess
            at_ns = stop_ns

    def _in_slot(self, excess: float, c: float, from_ns: int, to_ns: int, flow_nl_ns: float) -> float:
        span_ns = to_ns - from_ns
        if self.blocked:
            return excess + flow_nl_ns * span_ns / c
        tau_ns = c * self._r_ns
        steady = flow_nl_ns * self._r_ns
        before = after = steady
        for tone in self.tones.values():
            before += tone.passed_pa(from_ns, tau_ns)
            after += tone.passed_pa(to_ns, tau_ns)
        return after + (excess - before) * math.exp(-span_ns / tau_ns)

    def _compliance(self, at_ns: int) -> float:
        if not self._drift_k:
            return self._first_c
        return self._first_c * (1.0 + self._drift_k * self._temperature_k(at_ns // SLOT_NS * SLOT_NS))

    def _take_compliance(self, at_ns: int) -> None:
        self._c = self._compliance(at_ns)
        self._tau_ns = self._c * self._r_ns
        self._decay_span_ns = 0  # of another line
        self._shift()

    def _shift(self) -> None:
        self._shift_nl = self._c * self.back_pa - self._first_c * self._first_back_pa
