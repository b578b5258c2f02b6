"""Rigs of any kind: what the tests draw, and what a refusal says has to be changed."""

from __future__ import annotations

import copy
import re
from typing import Any

from hypothesis import strategies as st
from thecal import rig as rigs
from thecal_model.rig import reference

Tables = dict[str, dict[str, Any]]

SET = re.compile(r"set (\w+)\.(\w+) to (?:\[(\d+), (\d+)\]|(-?\d+))$")
MOST_CHANGES = 12


def tables_of(rig: rigs.Rig) -> Tables:
    return {name: dict(keys) for name, keys in copy.deepcopy(rig.tables).items()}


def change(tables: Tables, message: str) -> None:
    """Do what a refusal says."""
    match = SET.search(message)
    assert match is not None, message
    table, key, num, den, value = match.groups()
    tables[table][key] = [int(num), int(den)] if value is None else int(value)


def mended(tables: Tables) -> rigs.Rig:
    """The rig that comes of doing what the refusals say, one after the other."""
    tables = copy.deepcopy(tables)
    told: list[str] = []
    while len(told) <= MOST_CHANGES:
        try:
            return rigs.read(tables)
        except rigs.RigError as why:
            told.append(str(why))
            change(tables, told[-1])
    raise AssertionError(f"{told} for {tables}")


MICROSTEPS = st.one_of(st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128, 256]), st.integers(1, 256))
GEARS = st.one_of(
    st.sampled_from([1, [259, 50], [27, 1], [3_249, 121], 100, [19_811, 200]]),
    st.tuples(st.integers(1, 100_000), st.integers(1, 100_000)).map(list),
    st.integers(1, 100_000),
)
VOLUMES = st.one_of(
    st.integers(1_000, 1_000_000), st.sampled_from([1_000, 10_000, 60_000, 100_000, 250_000, 10**6])
)


@st.composite
def motors(draw) -> Tables:
    """Tables of any motor, driver and head, each key within its bounds; with an encoder or without."""
    tables: Tables = {
        "rig": {"name": "drawn"},
        "motor": {
            "full_steps": draw(st.one_of(st.sampled_from([200, 400, 48]), st.integers(20, 1_000))),
            "microsteps": draw(MICROSTEPS),
            "gear": draw(GEARS),
            "most_steps_s": draw(st.one_of(st.just(1_200), st.integers(10, 1_200))),
        },
        "driver": {"dir_forward": 1, "enable": 0, "interval_us": draw(st.integers(0, 80_000) | st.just(0))},
        "head": {"nl_per_rev": draw(VOLUMES), "uncertainty_nl": draw(st.integers(0, 2_000))},
        "step": {"sense": "pad"},
    }
    pulses = draw(st.none() | st.integers(1, 10_000))
    if pulses is not None:
        tables["encoder"] = {"pulses_per_rev": pulses}
    if draw(st.booleans()):
        tables["index"] = {}
    return tables


def drawn_rigs():
    """Rigs that there can be, of any motor."""
    return motors().map(mended)


@st.composite
def sensors(draw) -> Tables:
    """The reference rig with any sensors, each key within its bounds."""
    tables = tables_of(reference())
    for name in ("pressure_down", "pressure_up", "supply"):
        row = next(keys for table, _, keys in rigs.tables() if table == name)
        for key in row:
            if key.kind == rigs.RATIO:
                tables[name][key.name] = [draw(st.integers(1, key.most)), draw(st.integers(1, key.most))]
            else:
                tables[name][key.name] = draw(st.integers(key.least, key.most))
    return tables
