"""The control's accumulator, bit for bit, without a chip: single precision as the board has it.

A sum or a product of two single-precision numbers is formed in double precision here and then rounded once
more; double has more than twice the digits, so that is the same as rounding once (the benchmark compares
with the chip).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

from thecal_bench.parameters import REFERENCE

CALLBACK_MS = 1
MS_PER_H = 3_600_000
_SINGLE = struct.Struct("<f")


def single(value: float) -> float:
    """`value` rounded to single precision."""
    return _SINGLE.unpack(_SINGLE.pack(value))[0]


def bits(value: float) -> str:
    """The four bytes of a single-precision number as hex digits."""
    return _SINGLE.pack(value).hex()


def share(rate_nl_h: int) -> float:
    """What one callback adds: the arithmetic of `control_stepper`, in its order."""
    steps_per_s = single(single(single(rate_nl_h) / 3600) / 31.25)
    return single(steps_per_s * single(0.001))


@dataclass(frozen=True)
class Accumulated:
    """After some additions: whole steps taken out, what is left, and how far the sum is off."""

    rate_nl_h: int
    additions: int
    steps: int
    left: float
    error_steps: float

    @property
    def off_ppm(self) -> float:
        """The error as a part of what was owed."""
        owed = owed_steps(self.rate_nl_h, self.additions)
        return float(self.error_steps / owed * 1_000_000)

    @property
    def off_steps_day(self) -> float:
        """The error after a day at this pace."""
        return float(self.off_ppm * owed_steps(self.rate_nl_h, 24 * MS_PER_H // CALLBACK_MS) / 1_000_000)


def owed_steps(rate_nl_h: int, callbacks: int) -> Fraction:
    """What `callbacks` callbacks owe, exactly."""
    return Fraction(rate_nl_h * callbacks * CALLBACK_MS, MS_PER_H) / REFERENCE.step_nl


def accumulate(rate_nl_h: int, additions: int) -> Accumulated:
    """What the control's accumulator does in so many callbacks, none of them late or lost."""
    pack, unpack = _SINGLE.pack, _SINGLE.unpack
    by = share(rate_nl_h)
    owed, steps = 0.0, 0
    for _ in range(additions):
        (owed,) = unpack(pack(owed + by))
        if owed >= 1.0:
            owed -= 1.0  # exact: from 1 up the digits are no finer than below
            steps += 1
    error = steps + Fraction(owed) - owed_steps(rate_nl_h, additions)
    return Accumulated(rate_nl_h, additions, steps, owed, float(error))
