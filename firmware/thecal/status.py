"""The status frame: how the pump is, in the numbers of `link/telemetry.py`, once a second and when asked."""

from .link.telemetry import STATUS_PERIOD_TICKS
from .watch.readings import NO_SAMPLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .dose.mechanism import Mechanism
    from .dose.rate import Flow
    from .rig import Rig
    from .signals import Inputs, Outputs
    from .watch.guard import Guard
    from .watch.limits import WindowLedger
    from .watch.reservoir import Reservoir


class Status:
    """Of one pump."""

    def __init__(
        self,
        telemetry,
        session,
        control: "Control",
        guard: "Guard",
        ledger: "WindowLedger",
        reservoir: "Reservoir",
        rig: "Rig",
        mechanism: "Mechanism",
    ) -> None:
        self.telemetry = telemetry
        self.session = session
        self.control = control
        self.guard = guard
        self.ledger = ledger
        self.reservoir = reservoir
        self.mechanism = mechanism
        telemetry.values[23] = rig.unwatched_bits()  # from one boot to the next

    def send_when_due(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Once a period; merged ticks count as well."""
        clock = self.control.clock
        if clock.tick % STATUS_PERIOD_TICKS < clock.passed_ticks:
            self.send(inputs, outputs)

    def send(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """The frame, now."""
        control = self.control
        mechanism = self.mechanism
        delivery = control.dosing.delivery
        line = control.dosing.line
        executed_steps = control.position.executed_steps
        flowing = delivery.owed.flowing()
        values = self.telemetry.values
        values[0] = control.clock.tick
        values[1] = self.rate_nl_h()
        values[2] = delivery.position()
        values[3] = executed_steps
        values[4] = self.guard.ordered_steps - self.guard.lead_steps
        values[5] = mechanism.volume_ul(executed_steps)
        values[6] = mechanism.volume_nl(delivery.bolus_left_steps(flowing)) if flowing >= 0 else 0
        values[7] = mechanism.volume_ul(self.reservoir.left_steps(executed_steps))
        values[8] = self.ledger.content_steps()
        values[9] = self.guard.limit_steps
        senses = control.senses
        values[10] = inputs.pressure_down_raw if senses.down else NO_SAMPLE
        values[11] = inputs.pressure_up_raw if senses.up else NO_SAMPLE
        values[12] = inputs.supply_raw if senses.supply else NO_SAMPLE
        values[13] = inputs.encoder_count
        values[14] = inputs.loop_us
        values[15] = inputs.heap_bytes
        values[16] = control.alarms.annunciated()
        values[17] = control.alarms.first_cause
        values[18] = self.telemetry.writer.dropped
        values[19] = self.session.reader.bad_lines
        values[20] = control.failures | senses.failed.bits
        values[21] = mechanism.volume_nl(line.bridge.left_steps) if line.bridge else 0
        values[22] = mechanism.volume_nl(line.credit_steps)
        values[24] = 1 if self.session.keys.paired else 0
        position = control.position
        values[25] = position.head.phase_steps(position.counted_steps) if position.seen_marks else -1
        values[26] = 1 if position.evens and position.head.compensates else 0
        self.telemetry.status(outputs, control.state, flowing + 1)

    def rate_nl_h(self):
        """What flows now, nL/h, each component rounded down."""
        owed = self.control.dosing.delivery.owed
        total = self._nl_h(owed.basal)
        flowing = owed.flowing()
        return total + self._nl_h(owed.boluses[flowing]) if flowing >= 0 else total

    def _nl_h(self, flow: "Flow"):
        return self.mechanism.flow_nl_h(flow.rate_steps, flow.rate_grains)
