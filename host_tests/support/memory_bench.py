"""A board whose pump keeps nothing in a flash: the bench holds its memory over a reset, and it boots at once.

For tests of what a pump does with its time, to the tick: there is no record for a command to wait for, and a
reset takes no time and counts nothing twice. What the journal makes of it is asked in `test_persistence.py`,
`test_pump_power_cuts.py` and by the scenarios.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thecal.dose.course import KINDS
from thecal.pump import Pump
from thecal.states import BOOT, POST
from thecal_bench.inprocess import HostBench, host_crc

KEPT = (
    "regimen.prescription",
    "regimen.therapies",
    "regimen.library",
    "regimen.changes",
    "control.dosing.boluses",
    "log",
    "teller.log",
    "startup.resets",
    "senses.motion.pulses",
)
"""Attributes of the pump that outlast a reset."""

SHARED = ("ledger", "lockout", "reservoir", "alarms", "line")
"""Parts that outlast it and are known to many: what they hold is taken over. What is not here is rebuilt:
plans, queues, the link.
"""


def started_anew(pump: Any) -> Pump:
    """The pump that `pump` is after a reset."""
    boluses = pump.control.dosing.boluses
    woken = pump.control.state not in (BOOT, POST)
    for kind in range(KINDS):
        if woken:
            boluses.given_nl[kind] = pump.control.dosing.given_nl(kind)
    after = Pump(pump.handlers.rig, host_crc)
    for path in KEPT:
        *way, name = path.split(".")
        setattr(_at(after, way), name, getattr(_at(pump, way), name))
    for name in SHARED:
        getattr(after, name).__dict__.update(getattr(pump, name).__dict__)
    after.clock.resume(pump.clock.tick)
    after.position.resume(pump.position.executed_steps, pump.position.dose_steps)
    down, resumed = pump.senses.down, after.senses.down
    if resumed and down.alarm:
        resumed.resume(down.base_16, down.compliance_nl_kpa())
    after.startup.was_reset = True
    after.control.found_state = pump.control.state if woken else pump.control.found_state
    after.critical.words.keep_all()
    return after


def _at(part: Any, way: Sequence[str]) -> Any:
    for name in way:
        part = getattr(part, name)
    return part


class MemoryBench(HostBench):
    """The in-process board with such a pump."""

    def _new_pump(self) -> Any:
        if hasattr(self, "pump"):
            return started_anew(self.pump)
        return Pump(self._plant.rig, host_crc)

    def reset(self) -> None:
        self._start_anew(self._tick)
