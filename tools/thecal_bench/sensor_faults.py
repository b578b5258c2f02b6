"""What a broken sensor gives: the one table of `FAULTS`, and what it means in codes and pulses.

A fault replaces what the sensor says, whatever it measures, until it is cleared; the same on every board.

    kind   pressure_down, pressure_up, supply              encoder, index, step_sense

    open   4095: the input floats up to the reference      low, no pulse: the input is pulled down
    short  0: the input lies on ground                     low, no pulse: the input lies on ground
    stuck  the code that it gave last, without noise       the level that it had last, no pulse
    noise  its code and Gaussian noise of `NOISE_CODES`    a square wave of `NOISE_HZ` instead of its
           rms, white, one value per sample, cut off at    own pulses: mains hum on a broken screen
           the rails
    clear  sound again                                     sound again; what was missed stays missed

A pulse is counted where the level rises. So a mark that is high while its sensor is cleared of a low level is
one pulse. STEP_SENSE is low between two pulses of STEP, so nothing is lost or won there but the pulses.

Own choice, all of it: these are the ways in which wires and inputs fail, not figures of a sensor. 400 codes
are 20 kPa on a pressure channel and 2 V on the supply: two hundred times the sound noise, and within the
range, so that no single reading tells.
"""

from __future__ import annotations

from collections.abc import Callable

from thecal.rig import Rig

ANALOGUE = ("pressure_down", "pressure_up", "supply")
PULSES = ("encoder", "index", "step_sense")
SENSORS = (*ANALOGUE, *PULSES)

CLEAR = "clear"
FAULTS = ("open", "short", "stuck", "noise")
KINDS = (*FAULTS, CLEAR)

ADC_MAX = 4095
NOISE_CODES = 400
NOISE_HZ = 50
_HALF_WAVE_NS = 1_000_000_000 // (2 * NOISE_HZ)


def fitted(rig: Rig, which: str) -> bool:
    """Whether a rig has one of SENSORS."""
    return not rig.step_at_pad if which == "step_sense" else which in rig.tables


class AnalogueFault:
    """A fault of an analogue sensor that gave `last_code`. `noise_at` gives a standard normal number."""

    def __init__(self, kind: str, last_code: int, noise_at: Callable[[int], float]) -> None:
        self.kind = kind
        self._last_code = last_code
        self._noise_at = noise_at

    def code(self, sound_code: int, at_ns: int) -> int:
        """What is read instead of `sound_code`."""
        if self.kind == "open":
            return ADC_MAX
        if self.kind == "short":
            return 0
        if self.kind == "stuck":
            return self._last_code
        return min(ADC_MAX, max(0, sound_code + round(NOISE_CODES * self._noise_at(at_ns))))


class PulseFault:
    """A fault, from `since_ns` on, of a sensor that gives pulses and was at `last_level`."""

    def __init__(self, kind: str, last_level: int, since_ns: int) -> None:
        self.kind = kind
        self._held = last_level if kind == "stuck" else 0
        self._since_ns = since_ns
        self._told = 0

    def level(self, at_ns: int) -> int:
        """What the input sees. The square wave begins with its low half."""
        if self.kind == "noise":
            return (at_ns - self._since_ns) // _HALF_WAVE_NS & 1
        return self._held

    def new_pulses(self, at_ns: int) -> int:
        """Pulses that were none, since this was asked last."""
        if self.kind != "noise":
            return 0
        so_far = ((at_ns - self._since_ns) // _HALF_WAVE_NS + 1) // 2
        new = so_far - self._told
        self._told = so_far
        return new


def pulse_fault(kind: str, last_level: int, since_ns: int) -> PulseFault | None:
    """The fault of that kind; None for a sensor that is sound again."""
    return None if kind == CLEAR else PulseFault(kind, last_level, since_ns)
