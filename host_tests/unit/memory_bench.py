"""A board whose pump keeps nothing in a flash: the bench holds its memory over a reset, and it boots at once.

For tests of what a pump does with its time, to the tick: there is no record for a command to wait for, and a
reset takes no time and counts nothing twice. What the journal makes of it is asked in `test_keeper.py`,
`test_pump_power_cuts.py` and by the scenarios.
"""

from __future__ import annotations

from typing import Any

from thecal import words
from thecal.dose.delivery import KINDS
from thecal.dose.mechanism import reference
from thecal.drivers import segment
from thecal.pump import Pump
from thecal.signals import SEGMENT_TICKS
from thecal.states import BOOT, POST, PRIMING
from thecal_bench.inprocess import HostBench, host_crc

KEPT = (
    "ledger",
    "lockout",
    "reservoir",
    "alarms",
    "line",
    "regimen",
    "boluses",
    "log",
    "resets",
)
"""Attributes of the pump that outlast a reset. What is not here is rebuilt: plans, queues, the link."""


def started_anew(pump: Any) -> Pump:
    """The pump that `pump` is after a reset."""
    for kind in range(KINDS):
        pump.boluses.given_nl[kind] = pump._given_nl(kind)
    after = Pump(pump.mechanism, host_crc)
    for name in KEPT:
        setattr(after, name, getattr(pump, name))
    after.clock.resume(pump.clock.tick)
    after.position.resume(pump.position.executed_steps, pump.position.dose_steps)
    after.senses.motion.pulses = pump.senses.motion.pulses
    down = pump.senses.down
    if down.alarm:
        after.senses.down.resume(down.base_16, down.compliance_nl_kpa())
    after.was_reset = True
    after.resumed_from = pump.resumed_from if pump.state in (BOOT, POST) else pump.state
    after.line.priming = after.resumed_from == PRIMING
    after.words = words.Words(after)
    after.words.keep_all()
    return after


class MemoryBench(HostBench):
    """The in-process board with such a pump."""

    def _new_pump(self) -> Any:
        if hasattr(self, "pump"):
            return started_anew(self.pump)
        return Pump(reference(segment.MAX_STEPS // SEGMENT_TICKS), host_crc)

    def reset(self) -> None:
        self._start_anew(self._tick)
