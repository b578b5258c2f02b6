"""The host's side of the pump: the `thecal` command and the modules it is made of.

Read `cli` for what there is. It stands on `thecal_model` (the link, therapies, text). Talking to a pump:
`ports` (where pumps are), `connection` (a line to one), `pump` (a conversation), `verbs` (what it is told,
and what is said of that), `live` (watching it). Judging one: `programmed` (what should have flowed), `record`
(runs as files), `report` and `picture` (tables and pictures). Experiments, all that knows a bench:
`experiment`, `run` (`make run`, with `demo.toml`), `emulated` (`thecal bench`), `serial_bench` (a pump as a
board of the scenario runner). Nothing here is needed on the device, and nothing here is imported by the
firmware.

For programs in Python: `Pump`, `AsyncPump` and `LabPump` (`python`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thecal_host.python.answers import Alarm, Event, Readback, Status
    from thecal_host.python.asynchronous import AsyncPump
    from thecal_host.python.lab import LabPump
    from thecal_host.python.pump import Denied, Pump

__all__ = ["Alarm", "AsyncPump", "Denied", "Event", "LabPump", "Pump", "Readback", "Status"]

_HOMES = {
    "answers": ("Alarm", "Event", "Readback", "Status"),
    "asynchronous": ("AsyncPump",),
    "lab": ("LabPump",),
    "pump": ("Denied", "Pump"),
}


def __getattr__(name: str) -> Any:
    # Imported when asked for: the command should not wait for it.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"thecal_host.python.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
