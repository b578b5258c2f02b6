"""How evenly a head gives, by its step edges: pulsation of flow, and of what leaves the catheter (PERF-05).

Flow is the volume of WINDOW_STEPS steps over the time between their edges, by the plant's exact displacement;
its pulsation is peak to peak over the mean. Windows in which a roller takes back volume are left out and said
apart (`Dip`): there no order of steps makes the flow even, it can only be short. A dip reaches from the crest
of the volume to where as much has been displaced again. Where a table (`head.table` of a rig) has one too, it
counts beside the plant's, and so do the steps right before and behind that are made as fast: those that share
its segment, and those by which the head makes up for the time that it took.

Outflow is what left the catheter between edges that are at least as far apart as WINDOW_STEPS mean steps, all
of them, over the time between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from thecal.dose.head import PARTS
from thecal.rig import MOST_STEPS_S

from thecal_bench.displacement import Displacement
from thecal_bench.inprocess import CYCLE_NS, HostBench
from thecal_bench.line import Line
from thecal_bench.parameters import Geometry, PlantParameters

Reals = NDArray[Any]

WINDOW_STEPS = 36
SETTLED = 20
"""Time constants of the line after which its beginning is forgotten."""

HURRY_S = 1.5 / MOST_STEPS_S
"""A step that comes so soon is made at the greatest rate, but for how finely segments are cut."""

_NEARLY = 0.999  # a window of so much of WINDOW_STEPS counts: edges are not on the nanosecond


class EdgeBench(HostBench):
    """Writes down each step that the motor has taken: `edges_ns`; `positions` is where it stood after it."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.edges_ns: list[int] = []
        self.positions: list[int] = []
        super().__init__(*arguments, **settings)
        take = self.motor._next

        def taken(at_cycles: int) -> None:
            take(at_cycles)
            if self.motor._running:
                cut, base = self.motor._cut, self.motor._base_steps
                for number in range(cut.steps):
                    self.edges_ns.append((at_cycles + cut.first + number * cut.period) * CYCLE_NS)
                    self.positions.append(base + self.motor.sign * (number + 1))

        halt = self.motor.halt

        def halted(at_cycles: int) -> None:
            halt(at_cycles)
            while self.edges_ns and self.edges_ns[-1] > at_cycles * CYCLE_NS:
                self.edges_ns.pop()
                self.positions.pop()

        self.motor._next = taken
        self.motor.halt = halted


@dataclass(frozen=True)
class Dip:
    """One pitch's of the plant: so many steps, which take back `back_nl` and then give it again."""

    steps: int
    back_nl: float


@dataclass(frozen=True)
class Evenness:
    """`flow` and `outflow` are pulsations, parts of the mean; `dip` is None where nothing is taken back, and
    `outflow` not a number where the edges end before the line has settled.
    """

    flow: float
    outflow: float
    dip: Dip | None
    windows: int
    """In which the flow was taken, of all."""
    all_windows: int


def evenness(
    edges_ns: Sequence[int],
    positions: Sequence[int],
    parameters: PlantParameters,
    geometry: Geometry,
    table: Sequence[int] = (),
) -> Evenness:
    """Of edges of a constant flow, forward, over whole pitches at best; `table` is that of the rig."""
    at_s = np.array(edges_ns, dtype=float) * 1e-9
    volume_nl = _volumes(parameters, geometry, np.asarray(positions))
    first, last = int(positions[0]), int(positions[-1])
    # Dips are known once a pitch has been turned, so two more are put in front.
    before = 2 * geometry.steps_per_rev // geometry.rollers + 2
    whole = np.arange(first - before, last + 1)
    real_nl = _volumes(parameters, geometry, whole)
    in_dip = _below_crest(real_nl) | _below_crest(_by_table(table, geometry, whole))
    counted = _windows_outside(_with_hurry(in_dip[before:], at_s))
    width = WINDOW_STEPS
    flow = (volume_nl[width:] - volume_nl[:-width]) / (at_s[width:] - at_s[:-width])
    mean = _mean(at_s, volume_nl, geometry)
    return Evenness(
        flow=float(np.ptp(flow[counted]) / mean),
        outflow=_outflow(edges_ns, volume_nl, parameters, WINDOW_STEPS * float(geometry.step_nl), mean),
        dip=_dip(real_nl, geometry),
        windows=int(counted.sum()),
        all_windows=len(counted),
    )


def _mean(at_s: Reals, volume_nl: Reals, geometry: Geometry) -> float:
    """The flow over whole pitches, nL/s; over all where there is not one."""
    pitches = (len(at_s) - 1) * geometry.rollers // geometry.steps_per_rev
    end = round(pitches * geometry.steps_per_rev / geometry.rollers) or -1
    return float((volume_nl[end] - volume_nl[0]) / (at_s[end] - at_s[0]))


def _volumes(parameters: PlantParameters, geometry: Geometry, positions: NDArray[np.integer]) -> Reals:
    """What the head has displaced there, nL."""
    displacement = Displacement(parameters, geometry)
    start = displacement.units_at(int(positions[0]))
    units = [displacement.units_at(int(position)) - start for position in positions]
    return np.array([unit / displacement.units_per_nl for unit in units])


def _by_table(table: Sequence[int], geometry: Geometry, positions: NDArray[np.integer]) -> Reals:
    """What a head of that table has displaced there, in pitches."""
    pitches = positions * (geometry.rollers / geometry.steps_per_rev)
    if not table:
        return pitches
    closed = np.array([*table, table[0]]) / PARTS
    return pitches + np.interp(pitches % 1, np.arange(len(closed)) / len(table), closed)


def _below_crest(volumes: Reals) -> NDArray[np.bool_]:
    """At which positions no more has been displaced than before."""
    crest = np.maximum.accumulate(np.concatenate(([-np.inf], volumes[:-1])))
    return volumes <= crest


def _windows_outside(in_dip: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each window whether none of its edges is in a dip."""
    sums = np.concatenate(([0], np.cumsum(in_dip)))
    return sums[WINDOW_STEPS + 1 :] == sums[: -WINDOW_STEPS - 1]


def _with_hurry(in_dip: NDArray[np.bool_], at_s: Reals) -> NDArray[np.bool_]:
    """The dips, and the steps beside them at the greatest rate, where that is not the rate of all."""
    spans_s = np.diff(at_s)
    hurried = spans_s < HURRY_S
    if np.median(spans_s) < 2 * HURRY_S:
        return in_dip
    found = in_dip.copy()
    for number in range(1, len(found)):
        found[number] |= found[number - 1] & hurried[number - 1]
    for number in range(len(found) - 2, -1, -1):
        found[number] |= found[number + 1] & hurried[number]
    return found


def _dip(volumes: Reals, geometry: Geometry) -> Dip | None:
    """That of the second pitch: the first has no crest before it."""
    pitch = geometry.steps_per_rev // geometry.rollers
    crest = np.maximum.accumulate(volumes)
    below = (crest - volumes)[pitch : 2 * pitch]
    if not below.any():
        return None
    return Dip(int((below > 0).sum()), float(below.max()))


def _outflow(
    edges_ns: Sequence[int], volume_nl: Reals, parameters: PlantParameters, window_nl: float, mean: float
) -> float:
    """Of what the line gives on; `mean` is the flow, nL/s, `window_nl` what comes in a window."""
    line = Line(parameters, lambda at_ns: 0.0)
    line.at_ns = edges_ns[0]
    left_nl = np.zeros(len(volume_nl))
    for number in range(1, len(volume_nl)):
        line.add(volume_nl[number] - volume_nl[number - 1], edges_ns[number])
        left_nl[number] = volume_nl[number] - line.stored_nl(edges_ns[number])
    at_s = np.array(edges_ns, dtype=float) * 1e-9
    settled_s = SETTLED * float(parameters.compliance_nl_pa * parameters.resistance_pa_ms_nl) / 1000
    begin = int(np.searchsorted(at_s, at_s[0] + settled_s))
    at_s, left_nl = at_s[begin:], left_nl[begin:]
    ends = np.searchsorted(at_s, at_s + _NEARLY * window_nl / mean)
    begins = np.nonzero(ends < len(at_s))[0]
    if not begins.size:
        return math.nan
    ends = ends[begins]
    flow = (left_nl[ends] - left_nl[begins]) / (at_s[ends] - at_s[begins])
    return float(np.ptp(flow) / mean)
