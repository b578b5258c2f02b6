"""What a scenario expects of a part that its rig does not have (RIG-05): refused by name.

A rig changes what the pump can notice and nothing about what may happen to it. So an occlusion without a
pressure sensor is an experiment; an alarm that only the sensor could raise, a fault of the sensor, noise on
its wire, a press of the button or a pairing by it is a mistake.
"""

from __future__ import annotations

from typing import Any

from thecal.rig import Rig
from thecal_model.document import Document
from thecal_model.toml_lines import Path

from thecal_bench.disturbances import KINDS, PINS, disturbed
from thecal_bench.sensor_faults import SENSORS, fitted

RAISED_BY = {
    "OCCLUSION_DOWN": "pressure_down",
    "OCCLUSION_UP": "pressure_up",
    "AIR": "air",
    "STALL": "encoder",
    "FREE_FLOW": "encoder",
    "SUPPLY_LOW": "supply",
    "SUPPLY_CRITICAL": "supply",
    "DRIVER_FAULT": "fault",
    "STOP_HELD": "button_stop",
}
"""Alarms that one part of a rig alone can raise."""


def look(document: Document, rig: Rig) -> None:
    """Every problem with what `rig` has not."""
    for path, table in document.tables("event", document.top):
        do = table.get("do")
        which = table.get("which")
        if (do == "sensor_fault" and which in SENSORS and not fitted(rig, which)) or (
            do in KINDS and which in PINS and not disturbed(rig, which)
        ):
            _missing(document, rig, (*path, "which"), which)
        elif do == "press" and not _has(rig, f"button_{table.get('button')}"):
            _missing(document, rig, (*path, "button"), f"button {table.get('button')}")
        elif do == "pair" and not _has(rig, "button_stop"):
            _missing(document, rig, (*path, "do"), "button stop, by which it is paired")
    for path, table in document.tables("expect", document.top):
        part = RAISED_BY.get(str(table.get("code")))
        if table.get("what") == "alarm" and "at" in table and part is not None and not _has(rig, part):
            _missing(document, rig, (*path, "code"), f"{part}, which raises {table['code']}")


def _has(rig: Rig, part: str) -> Any:
    return part in rig.tables


def _missing(document: Document, rig: Rig, path: Path, what: str) -> None:
    document.problem(path, f"expected something that rig {rig.name} has: it has no {what}")
