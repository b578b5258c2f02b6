"""What must not happen, looked for in every tick once the motor's steps and the sensors are known.

The rooms' detectors (`watch`) say what they see; here stands which alarm that is and what follows from it.
"""

from . import states
from .clock import TICKS_PER_HOUR, TICKS_PER_S
from .record import events
from .watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .critical import Critical
    from .signals import Inputs
    from .watch.counts import Counts
    from .watch.guard import Guard
    from .watch.limits import WindowLedger
    from .watch.reservoir import Reservoir


LONG_STOP_TICKS = 12 * TICKS_PER_HOUR  # own choice: half a day without a flow that is programmed


class Watching:
    """Watches one pump. `journal`: None where there is none."""

    def __init__(
        self,
        control: "Control",
        critical: "Critical",
        startup,
        regimen,
        ledger: "WindowLedger",
        guard: "Guard",
        reservoir: "Reservoir",
        counts: "Counts",
        journal,
    ) -> None:
        self.control = control
        self.critical = critical
        self.startup = startup
        self.regimen = regimen
        self.ledger = ledger
        self.guard = guard
        self.reservoir = reservoir
        self.journal = journal
        self.counts = counts

    def look(self, inputs: "Inputs", ticks: int) -> None:
        """All of a tick; so many have passed."""
        control = self.control
        executed_steps = control.position.executed_steps
        failed = inputs.post_failures & ~control.failures
        if failed:  # SAFE-08: found while running
            self.critical.before_change()
            control.failures |= failed
            self.startup.tell_failed(failed)
        self._look_at_sensors(inputs, ticks)
        moving = control.state in states.MOVING
        # While it moves once a second: days are left when one is near its end.
        if not moving or control.clock.tick % TICKS_PER_S < control.clock.passed_ticks:
            self._look_at_counts()
        if not self.ledger.sound():
            self.critical.fault()
        if control.position.counted_steps > self.guard.ordered_steps:
            control.raise_alarm(alarms.RUNAWAY)
        bridge = control.dosing.line.bridge
        if bridge and bridge.left_steps == 0:
            self._bridge_cleared(bridge)
        if control.alarms.first >= 0 and self.reservoir.known:
            self._look_if_more_is_left(executed_steps)
        if control.state not in states.MOVING:
            self._look_at_rest()
            return
        if self.reservoir.known:
            self._look_at_reservoir(executed_steps)

    def _look_at_reservoir(self, executed_steps: int) -> None:
        control = self.control
        newly_low = self.reservoir.low(executed_steps) and control.raise_alarm(alarms.RESERVOIR_LOW)
        if newly_low and control.state == states.RUNNING and self.regimen.prescription.on_low_kvo:
            self.critical.before_change()
            control.to_boundary()
            control.follow_schedule()
        if self.reservoir.empty(executed_steps):
            control.raise_alarm(alarms.RESERVOIR_EMPTY)

    def _look_if_more_is_left(self, executed_steps: int) -> None:
        """A level may have been programmed lower, or something drawn back. An alarm that went on standing
        would not stop the pump at the new level.
        """
        control = self.control
        standing = control.alarms.standing
        if not standing[alarms.RESERVOIR_LOW] and not standing[alarms.RESERVOIR_EMPTY]:
            return
        if not self.reservoir.empty(executed_steps):
            control.clear_alarm(alarms.RESERVOIR_EMPTY)
        if self.reservoir.low(executed_steps):
            return
        self.critical.before_change()
        control.clear_alarm(alarms.RESERVOIR_LOW)
        if control.state == states.RUNNING and self.regimen.prescription.on_low_kvo:
            control.to_boundary()
            control.follow_schedule()

    def _look_at_sensors(self, inputs: "Inputs", ticks: int) -> None:
        control = self.control
        senses = control.senses
        teller = control.teller
        tick = control.clock.tick
        counted_steps = control.position.counted_steps
        moving = control.state in states.MOVING
        running = control.state == states.RUNNING
        row = senses.look(inputs, tick, ticks, counted_steps, self.guard.ordered_steps, moving, running)
        while senses.failed.untold:
            part = senses.failed.tell()
            teller.event(events.PART_FAILED, part, senses.failed.kinds[part])
        if row >= 0 and control.raise_alarm(row) and row == alarms.OCCLUSION_DOWN:
            teller.event(events.OCCLUSION, senses.stored_nl(), senses.blocked())
        if moving and senses.motion.stall_tick >= 0:
            stalled_ticks = senses.motion.recovered_ticks(tick, counted_steps)
            if stalled_ticks >= 0:
                teller.event(events.STALL_RECOVERED, stalled_ticks // TICKS_PER_S, 0)
        if self.journal is not None and self.journal.failed:
            control.raise_alarm(alarms.JOURNAL_FAULT)
        standing = control.alarms.standing
        if senses.supply_low != standing[alarms.SUPPLY_LOW]:
            control.follow_alarm(alarms.SUPPLY_LOW, senses.supply_low)
        button = self.startup.stop_button
        if button.held_ticks or standing[alarms.STOP_HELD]:
            control.follow_alarm(alarms.STOP_HELD, button.stuck())

    def _look_at_counts(self) -> None:
        control = self.control
        position = control.position
        counts = self.counts
        tick = control.clock.tick
        worn = control.senses.motion
        sequence = self.journal.last_sequence() if self.journal is not None else 0
        counts.look(
            tick,
            position.executed_steps,
            position.dose_steps,
            worn.pulses,
            control.teller.log.count,
            sequence,
        )
        control.follow_alarm(alarms.SERVICE_DUE, worn.service_due(tick) or counts.due)
        control.follow_alarm(alarms.COUNT_END, counts.ended)

    def _look_at_rest(self) -> None:
        therapy = self.regimen.prescription
        rests_ticks = self.control.clock.tick - self.control.stopped_tick
        if rests_ticks > LONG_STOP_TICKS and therapy and therapy.basal:
            self.control.raise_alarm(alarms.LONG_STOP)
            # After a reset it stands, and rises as it would have.
            since_tick = self.control.stopped_tick + LONG_STOP_TICKS + 1
            self.control.alarms.raised_tick[alarms.LONG_STOP] = since_tick

    def _bridge_cleared(self, bridge):
        control = self.control
        self.critical.before_change()
        control.dosing.line.cleared()
        self.regimen.rescale(bridge.old, bridge.new)
        self.regimen.set_limit()
        control.teller.event(events.BRIDGE, 0, 0)
        if control.state == states.RUNNING:
            control.to_boundary()
            control.follow_schedule()
