"""From readings of a balance while a head turns, the head's table: how its flow pulsates over a roller pitch.

How to read it: `fit` explains the readings of some `Stretch`es by what the head displaces and what the line
makes of it, and gives `Harmonics`; `table_of` makes the rig's table of them, or says in one sentence why the
readings do not support one. Nothing here reads a balance or turns a head.

The model. At phase x, in pitches since the index mark, a head has displaced V (x + e(x)), with V what a pitch
displaces and e its excess, periodic, a sum of harmonics Re c_k exp(2 pi i k x), k up to MOST_HARMONICS. A
line of compliance and resistance gives that on late and flattened: a low pass with one time constant, which
is not known. A balance that thinks before it answers is one more delay of the same kind. A delay alone looks
like a head turned a little, so one rate cannot tell the two apart. Two rates can: the same delay is more of a
shorter pitch. So stretches at two rates at least are fitted together, with one set of harmonics, one time
constant, and for each stretch an offset and a slope of its own, which take what evaporates and a zero that
drifts evenly. V is the slope of the fastest stretch, in which these are least.

Uncertainties. Readings are fitted by least squares; the scatter of what is left gives the covariance. What is
left need not be white: a draught, a drop, rollers that differ. So each harmonic's variance is raised by how
much more of it there is at the frequencies between the harmonics, close by, where a head that repeats itself
gives nothing. A harmonic counts where it is beyond zero at 99.9 % (F test); the others are left out, and what
they showed stays in the uncertainty. Expanded uncertainties are those at 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thecal.dose.head import PARTS

from thecal_host.weighing import WeighingError

Reals = NDArray[Any]
Complexes = NDArray[Any]

MOST_HARMONICS = 40
LEAST_PITCHES = 10
"""At the slowest rate. What does not repeat itself shows between the harmonics only over some pitches."""

LEAST_RATIO = 2.0
"""Of the fastest rate to the slowest: closer ones do not tell the line from the head."""

CHANCE = 0.001
"""That a harmonic which is not there counts."""

COVERAGE = 2.0
"""Standard uncertainties in an expanded one, at 95 %; there are hundreds of degrees of freedom."""

PEAKS = 3.0
"""Standard uncertainties from the mean to the peaks over a pitch, at 95 %: it holds dozens of windows."""

SUPPORTED = 4
"""So many times less pulsation at least must a table promise, or the readings do not support one."""

ALIKE = 10
"""So many times more than pitches differ from each other must one move."""

WINDOW_STEPS = 36
"""Pulsation is that of the flow over so many steps."""

_ROWS_PER_PITCH = 8 * MOST_HARMONICS
_NEAR = 2  # harmonics on either side whose surroundings count too
_FIRST_S, _BIT_S, _CLOSE_S, _TURNS = 1.5, 0.01, 1e-4, 20
_FEW = 8  # up to this harmonic 64 entries follow the curve, beyond it takes 128


class NotSupported(WeighingError):
    """The readings support no table; the message says why and what to do."""


@dataclass(frozen=True)
class Stretch:
    """Readings while the head turned: at `times_s`, ascending, it stood at `phases`, in pitches since a mark
    and not wrapped, and the balance showed `volumes_nl`. It had stood still before the first one. `name` says
    which it is.
    """

    name: str
    times_s: Reals
    phases: Reals
    volumes_nl: Reals

    @property
    def pitches(self) -> float:
        """How many it has turned."""
        return float(self.phases[-1] - self.phases[0])

    @property
    def pitch_s(self) -> float:
        """How long one took."""
        return float(self.times_s[-1] - self.times_s[0]) / self.pitches


@dataclass(frozen=True)
class Harmonics:
    """What the readings say. `c` are the harmonics of the excess, parts of a pitch, k from 1 on; `kept` those
    that count; `covariance` that of real and imaginary parts, (Re c_1 ... Re c_K, Im c_1 ... Im c_K).
    """

    c: Complexes
    kept: NDArray[np.bool_]
    covariance: Reals
    nl_per_pitch: float
    loss_nl_h: float
    """What evaporated, and what the balance's zero drifted."""
    line_s: float
    line_error_s: float
    """Time constant of line and balance together, and its standard uncertainty."""
    reading_nl: float
    """Standard deviation of a reading."""
    colour: float
    """How much more than white noise there is around the harmonics; 1: it is white."""
    unlike_nl: float
    """By how much pitches differ from each other beyond the readings' own scatter, rms."""
    pitches: int
    pitch_s: float
    """Of the slowest stretch."""
    readings: int

    @property
    def count(self) -> int:
        """How many harmonics count."""
        return int(self.kept.sum())

    @property
    def highest(self) -> int:
        """The highest one that counts; 0 where none does."""
        return int(np.nonzero(self.kept)[0][-1]) + 1 if self.count else 0

    def excess(self, x: Reals) -> Reals:
        """How much more than a uniform head it has displaced at phases x: parts of a pitch, 0 at the mark."""
        return _real(self._from_mark(x), np.where(self.kept, self.c, 0))

    def excess_error(self, x: Reals) -> Reals:
        """Standard uncertainty of that."""
        return self._error(self._from_mark(x))

    def flow(self, x: Reals, width: float) -> Reals:
        """Mean flow from phases x on over `width`, of the mean flow."""
        return 1 + _real(self._over(x, width), np.where(self.kept, self.c, 0))

    def flow_error(self, x: Reals, width: float) -> Reals:
        """Standard uncertainty of that."""
        return self._error(self._over(x, width))

    def _from_mark(self, x: Reals) -> Complexes:
        return _waves(x, len(self.c)) - 1

    def _over(self, x: Reals, width: float) -> Complexes:
        return (_waves(x + width, len(self.c)) - _waves(x, len(self.c))) / width

    def _error(self, rows: Complexes) -> Reals:
        """Of rows of factors to the harmonics: theirs, and what the ones left out showed."""
        kept = np.tile(self.kept, 2)
        parts = np.hstack((np.real(rows), -np.imag(rows)))[:, kept]
        known = np.einsum("ij,jk,ik->i", parts, self.covariance[np.ix_(kept, kept)], parts)
        # Noise alone has a power of 2 u^2: what is seen beyond it, and by how much that may be chance.
        noise = np.where(self.kept, 0, self._variances)
        shown = np.where(self.kept, 0, np.abs(self.c) ** 2 / 2 - noise)
        squares = np.abs(rows) ** 2
        left_out = np.maximum(squares @ shown, 0) + np.sqrt(squares**2 @ noise**2)
        return np.sqrt(known + left_out)

    @property
    def _variances(self) -> Reals:
        """Of one part of each harmonic."""
        return np.diag(self.covariance).reshape(2, -1).mean(axis=0)


def _waves(x: Reals, count: int) -> Complexes:
    return np.exp(2j * np.pi * np.outer(x, np.arange(1, count + 1)))


def _real(rows: Complexes, c: Complexes) -> Reals:
    return np.real(rows @ c)


# --- the fit


def fit(stretches: Sequence[Stretch]) -> Harmonics:
    """The harmonics of a head. NotSupported where the readings cannot tell."""
    _check(stretches)
    rows = [_averaged(stretch) for stretch in stretches]
    weights = np.concatenate([np.sqrt(row.counts) for row in rows])
    y = np.concatenate([row.volumes_nl for row in rows]) * weights

    def design(line_s: float) -> Reals:
        return _design(rows, line_s) * weights[:, None]

    line_s = _line_s(design, y, min(stretch.pitch_s for stretch in stretches) / 2)
    whole = _with_slope(design, line_s, y)
    solution, inverse = _solved(whole, y)
    left = y - whole @ solution
    variance = float(left @ left) / (len(y) - whole.shape[1])
    pitch_nl = solution[: 2 * len(rows)][1::2]
    per_s, nl_per_pitch = np.polyfit([stretch.pitch_s for stretch in stretches], pitch_nl, 1)
    if nl_per_pitch <= 0:
        raise NotSupported("the weight does not grow as the head turns: is the line's end in the beaker?")
    ends = np.cumsum([len(row.phases) for row in rows])[:-1]
    return _harmonics(
        stretches=stretches,
        rows=rows,
        left=np.split(left, ends),
        solution=solution[2 * len(rows) : -1] / nl_per_pitch,
        covariance=inverse[2 * len(rows) : -1, 2 * len(rows) : -1] * variance / nl_per_pitch**2,
        variance=variance,
        line=(line_s, math.sqrt(inverse[-1, -1] * variance)),
        volumes=(float(nl_per_pitch), -3_600 * float(per_s)),
    )


def _line_s(design: Callable[[float], Reals], y: Reals, most_s: float) -> float:
    """The time constant that leaves least, by Newton's way."""
    line_s = _FIRST_S
    for _ in range(_TURNS):
        before = line_s
        solution, _ = _solved(_with_slope(design, line_s, y), y)
        line_s = min(max(line_s + float(solution[-1]), 0.0), most_s)
        if abs(line_s - before) < _CLOSE_S:
            break
    return line_s


def _with_slope(design: Callable[[float], Reals], line_s: float, y: Reals) -> Reals:
    """The columns of a time constant, and one of how the readings change with it."""
    x = design(line_s)
    solution, _ = _solved(x, y)
    return np.column_stack((x, (design(line_s + _BIT_S) @ solution - x @ solution) / _BIT_S))


def _solved(x: Reals, y: Reals) -> tuple[Reals, Reals]:
    """The solution by least squares, and the inverse of X'X; 0 for what no reading tells of."""
    size = np.linalg.norm(x, axis=0)
    size[size == 0] = 1
    scaled = x / size
    inverse = np.linalg.pinv(scaled.T @ scaled, rcond=1e-12, hermitian=True)
    return inverse @ (scaled.T @ y) / size, inverse / np.outer(size, size)


def _check(stretches: Sequence[Stretch]) -> None:
    if not stretches:
        raise NotSupported("there are no readings")
    pitch_s = [stretch.pitch_s for stretch in stretches]
    slowest_s = max(pitch_s)
    if slowest_s < LEAST_RATIO * min(pitch_s):
        raise NotSupported(
            f"all readings are at one rate, a pitch in {slowest_s:.0f} s: one rate does not tell the line's "
            "delay from the head's phase; weigh at a second one too"
        )
    slow = [stretch for stretch in stretches if stretch.pitch_s > slowest_s / LEAST_RATIO]
    pitches = sum(stretch.pitches for stretch in slow)
    if round(pitches, 1) < LEAST_PITCHES:
        raise NotSupported(
            f"{pitches:.1f} pitches were weighed at the slow rate, it takes {LEAST_PITCHES}: let it go on"
        )
    for stretch in slow:
        seen = len(stretch.times_s) / stretch.pitches
        if seen < 4 * MOST_HARMONICS:
            raise NotSupported(
                f"{stretch.name}: {seen:.0f} readings a pitch, it takes {4 * MOST_HARMONICS}: a slower rate, "
                "or a balance that answers faster"
            )
        longest_s = max(after - before for before, after in pairwise(stretch.times_s))
        if longest_s > stretch.pitch_s / 8:
            raise NotSupported(
                f"{stretch.name}: the balance gave no reading for {longest_s:.0f} s, an eighth of a pitch "
                "and more: weigh anew"
            )


@dataclass(frozen=True)
class _Rows:
    """A stretch with readings that lie close together averaged: `counts` of them in each row."""

    times_s: Reals
    phases: Reals
    volumes_nl: Reals
    counts: Reals
    waves: Complexes


def _averaged(stretch: Stretch) -> _Rows:
    numbers = np.floor((stretch.phases - stretch.phases[0]) * _ROWS_PER_PITCH)
    begins = np.concatenate(([0], np.nonzero(np.diff(numbers))[0] + 1))
    counts = np.diff(np.append(begins, len(numbers))).astype(float)

    def means(values: Reals) -> Reals:
        return np.add.reduceat(values, begins) / counts

    phases = means(stretch.phases)
    waves = _waves(phases, MOST_HARMONICS)
    return _Rows(means(stretch.times_s), phases, means(stretch.volumes_nl), counts, waves)


def _design(rows: Sequence[_Rows], line_s: float) -> Reals:
    """A column for each unknown: offset and slope of each stretch, then the harmonics' two parts."""
    blocks = []
    for number, row in enumerate(rows):
        ramp, waves = _through_line(row, line_s)
        own = np.zeros((len(ramp), 2 * len(rows)))
        own[:, 2 * number] = 1
        own[:, 2 * number + 1] = ramp
        blocks.append(np.hstack((own, np.real(waves), -np.imag(waves))))
    return np.vstack(blocks)


def _through_line(row: _Rows, line_s: float) -> tuple[Reals, Complexes]:
    """What a low pass makes of the phase itself, and of each wave of it, from rest on; the phase grows evenly
    from row to row.
    """
    phases, waves = row.phases - row.phases[0], row.waves
    if line_s <= 0:
        return phases, waves
    span_s = np.diff(row.times_s)
    per_s = np.diff(row.phases) / span_s
    decay = np.exp(-span_s / line_s)
    lags = line_s * per_s
    steady = 1 / (1 + 2j * np.pi * np.outer(lags, np.arange(1, MOST_HARMONICS + 1)))
    held = np.column_stack((phases[:-1] - lags, waves[:-1] * steady))
    comes = np.column_stack((phases[1:] - lags, waves[1:] * steady))
    given = comes - held * decay[:, None]
    state = np.concatenate(([phases[0]], waves[0])).astype(complex)
    out = np.empty((len(phases), MOST_HARMONICS + 1), dtype=complex)
    out[0] = state
    for number in range(len(span_s)):
        state = state * decay[number] + given[number]
        out[number + 1] = state
    return np.real(out[:, 0]), out[:, 1:]


def _harmonics(
    stretches: Sequence[Stretch],
    rows: Sequence[_Rows],
    left: Sequence[Reals],
    solution: Reals,
    covariance: Reals,
    variance: float,
    line: tuple[float, float],
    volumes: tuple[float, float],
) -> Harmonics:
    """Of a solution whose unit is a pitch, with its covariance and what it left of each stretch."""
    count = MOST_HARMONICS
    slowest_s = max(stretch.pitch_s for stretch in stretches)
    slow = [number for number, s in enumerate(stretches) if s.pitch_s > slowest_s / LEAST_RATIO]
    power = np.concatenate([_between(rows[number], left[number], variance) for number in slow], axis=1)
    colours = np.array([power[max(0, k - _NEAR) : min(count, k + _NEAR + 1)].mean() for k in range(count)])
    raised = np.sqrt(np.tile(np.maximum(colours, 1), 2))
    covariance = covariance * np.outer(raised, raised)
    c = solution[:count] + 1j * solution[count:]
    return Harmonics(
        c=c,
        kept=_counting(c, covariance, 2 * power.shape[1] * (_NEAR + 1)),
        covariance=covariance,
        nl_per_pitch=volumes[0],
        loss_nl_h=volumes[1],
        line_s=line[0],
        line_error_s=line[1],
        reading_nl=math.sqrt(variance),
        colour=float(colours.mean()),
        unlike_nl=max(_unlike_nl(rows[number], left[number], variance) for number in slow),
        pitches=round(sum(stretches[number].pitches for number in slow)),
        pitch_s=slowest_s,
        readings=sum(len(stretch.times_s) for stretch in stretches),
    )


def _between(row: _Rows, left: Reals, variance: float) -> Reals:
    """What is left of a stretch at the frequencies between the harmonics, the surroundings of each a row: 1
    is what white noise gives.
    """
    pitches = int(row.phases[-1] - row.phases[0])
    weighted = left * np.sqrt(row.counts)
    around = np.arange(-(pitches // 2), pitches // 2 + 1)
    around = around[around != 0] / max(pitches, 2)
    shifted = np.exp(-2j * np.pi * np.outer(around, row.phases)) * weighted
    return np.abs(shifted @ row.waves.conj()).T ** 2 / (variance * row.counts.sum())


def _counting(c: Complexes, covariance: Reals, freedom: int) -> NDArray[np.bool_]:
    """Which harmonics are beyond zero: F test with 2 and `freedom` degrees of freedom."""
    kept = []
    for k, value in enumerate(c):
        both = [k, k + len(c)]
        vector = np.array([value.real, value.imag])
        ratio = float(vector @ np.linalg.solve(covariance[np.ix_(both, both)], vector)) / 2
        kept.append((1 + 2 * ratio / freedom) ** (-freedom / 2) < CHANCE)
    return np.array(kept)


def _unlike_nl(row: _Rows, left: Reals, variance: float) -> float:
    """Rms of what is left in sixteenths of a pitch, less what the readings' own scatter gives there."""
    numbers = np.floor((row.phases - row.phases[0]) * 16).astype(int)
    weights = np.bincount(numbers, row.counts)
    sums = np.bincount(numbers, left * np.sqrt(row.counts))
    there = weights > 0
    means = sums[there] / weights[there]
    return math.sqrt(max(float(np.mean(means**2 - variance / weights[there])), 0.0))


# --- the table


@dataclass(frozen=True)
class Table:
    """The rig's table and what it promises. `pulsation` is that of the head without it, `left` what it leaves
    at 95 %, both peak to peak over the mean flow, windows of WINDOW_STEPS; `error` the greatest expanded
    uncertainty of an entry, in its unit.
    """

    entries: list[int]
    error: int
    pulsation: float
    left: float
    least_flow: float


def table_of(found: Harmonics, steps_per_rev: int, rollers: int) -> Table:
    """The table that the harmonics give. NotSupported, with the reason, where they give none."""
    x = np.arange(1024) / 1024
    width = WINDOW_STEPS * rollers / steps_per_rev
    error = COVERAGE * float(np.sqrt(np.mean(found.flow_error(x, width) ** 2)))
    amplitude_nl = float(np.ptp(found.excess(x))) * found.nl_per_pitch
    # Where no harmonic counts, pitches that differ may be why.
    if found.unlike_nl > (amplitude_nl / ALIKE if found.count else found.reading_nl / 2):
        raise NotSupported(
            f"pitches differ from each other by {found.unlike_nl:.0f} nL, where what they share moves "
            f"{amplitude_nl:.0f} nL: see that rollers are alike, that nothing drips, that nobody touches the "
            "beaker, that no bubble is in the line, and weigh anew"
        )
    if not found.count:
        raise NotSupported(
            f"no pulsation is seen beyond the uncertainty of {100 * error:.2g} % of the flow: this head "
            f"needs no table, or {_finer(found)}"
        )
    pulsation = float(np.ptp(found.flow(x, width)))
    entries, bent = _entries(found, width)
    left = 2 * PEAKS / COVERAGE * error + bent
    if left * SUPPORTED > pulsation:
        times = (left * SUPPORTED / pulsation) ** 2
        raise NotSupported(
            f"a table would leave {100 * left:.2g} % of a pulsation of {100 * pulsation:.2g} %: "
            f"{_finer(found)}, {times:.0f} times the readings at least"
        )
    at = np.arange(len(entries)) / len(entries)
    worst = math.ceil(COVERAGE * PARTS * float(found.excess_error(at).max()))
    slowest = float(found.flow(x, 1 / 1024).min())
    return Table(entries, worst, pulsation, left, slowest)


def _finer(found: Harmonics) -> str:
    return f"a reading scatters by {found.reading_nl:.0f} nL, so weigh more pitches or use a finer balance"


def _entries(found: Harmonics, width: float) -> tuple[list[int], float]:
    """The entries, and the flow that they add because they are whole and straight lines join them: peak to
    peak over windows.
    """
    size = 64 if found.highest <= _FEW else 128
    entries = [round(PARTS * value) for value in found.excess(np.arange(size) / size)]
    x = np.arange(16 * size + 1) / (16 * size)
    closed = np.array([*entries, entries[0]]) / PARTS
    off = np.interp(x, np.arange(size + 1) / size, closed) - found.excess(x)
    over = np.interp((x + width) % 1, x, off) - off
    return entries, float(np.ptp(over)) / width
