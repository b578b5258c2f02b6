"""Rigs that a pump was told wrongly."""

from __future__ import annotations

import copy
from typing import Any

from thecal import rig as wire
from thecal_model.rig import named


def told(name: str, **changed: Any) -> wire.Rig:
    """The project's rig of that name with keys changed, as table__key."""
    tables = copy.deepcopy(named(name).tables)
    for where, value in changed.items():
        table, key = where.split("__")
        tables[table][key] = value
    return wire.read(tables)
