"""Tables of pump heads (`thecal.dose.head`): any that a rig may have, and what each says, exact."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import accumulate

from hypothesis import assume
from hypothesis import strategies as st
from thecal import rig as rigs
from thecal.dose.head import MOST_BACK, MOST_EXCESS, MOST_FLOW, PARTS
from thecal_model.rig import reference


@st.composite
def tables(draw) -> list[int]:
    """One that a rig may have; most of them take back somewhere."""
    count = draw(st.integers(8, 128))
    least, most = -(MOST_BACK + 1) * PARTS // count, (MOST_FLOW - 1) * PARTS // count
    turns = draw(st.lists(st.integers(least, most), min_size=count, max_size=count))
    if draw(st.booleans()):
        turns = [turn // 8 for turn in turns]
    table = [0, *accumulate(turns[:-1])]
    mean = Fraction(sum(turns), count)
    table = [round(excess - place * mean) for place, excess in enumerate(table)]
    assume(max(table) - min(table) <= MOST_EXCESS)
    ways = [after - before for before, after in zip(table, [*table[1:], 0], strict=True)]
    assume(all(-MOST_BACK * PARTS <= PARTS + way * count <= MOST_FLOW * PARTS for way in ways))
    return table


def displaced_steps(table: list[int], per_rev: int, rollers: int, at: Fraction | int) -> Fraction:
    """By the rotor at `at` steps behind the mark, in mean steps."""
    pitch = Fraction(per_rev, rollers)
    _, phase = divmod(at / pitch, 1)
    place, part = divmod(phase * len(table), 1)
    before = table[int(place)]
    after = table[(int(place) + 1) % len(table)]
    return at + pitch * (before + part * (after - before)) / PARTS


@cache
def _most(table: tuple[int, ...]) -> list[Fraction]:
    """The most that was displaced by each place, in pitches from the last beginning of one."""
    count = len(table)
    by_then = [Fraction(place, count) + Fraction(excess, PARTS) for place, excess in enumerate(table)]
    before = max(by_then) - 1
    return [max(before, *by_then[: place + 1]) for place in range(count)]


def exact_steps(table: list[int], per_rev: int, rollers: int, steps: int) -> Fraction:
    """The most that the head has displaced by so many steps behind the mark, in mean steps."""
    pitches, rest = divmod(steps * rollers, per_rev)
    most = _most(tuple(table))[rest * len(table) // per_rev]
    by_place = (pitches + most) * Fraction(per_rev, rollers)
    return max(by_place, displaced_steps(table, per_rev, rollers, steps))


def rig_with(table: list[int]) -> rigs.Rig:
    """The reference rig with that table."""
    given = reference().tables
    return rigs.read({**given, "head": {**given["head"], "table": table}})
