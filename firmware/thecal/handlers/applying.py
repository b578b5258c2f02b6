"""What a confirmed therapy does: to the line, the windows, the flow, and what is remembered of it."""

from .. import states
from ..causes import COMMAND
from ..dose import program
from ..dose.prescription import PrescriptionError
from ..record import events
from ..record.layout import THERAPY
from .judge import UNPAIRED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.delivery import Delivery
    from ..dose.line import Line
    from ..dose.prescription import Prescription
    from ..forecast import Forecast


class Applying:
    """Puts confirmed therapies into force."""

    def __init__(
        self,
        regimen,
        line: "Line",
        delivery: "Delivery",
        forecast: "Forecast",
        judge,
        persistence,
        control: "Control",
    ) -> None:
        self.regimen = regimen
        self.line = line
        self.delivery = delivery
        self.forecast = forecast
        self.judge = judge
        self.persistence = persistence
        self.control = control

    def apply(self, proposal, digest: str) -> None:
        """A `TherapyProposal` was confirmed. Raises, and changes nothing, where it fits no more."""
        regimen = self.regimen
        line = self.line
        clock = self.control.clock
        therapy = proposal.therapy
        bridge = self._bridge_under(therapy, proposal.bridge)
        # What it breaks by now and did not then: the drug may have been started since the read-back (LIM-08).
        late = [
            name + ": " + text for name, text in self.judge.soft_limits(therapy) if name not in proposal.soft
        ]
        if late:
            raise PrescriptionError(late + ["not so at the read-back, propose it again"])
        runs = self.control.state == states.RUNNING
        if runs and therapy.basal:
            self.forecast.check_history(therapy, clock.week_tick(1), bridge)
        opens_bridge = bridge is not line.bridge
        ratio = line.unit_change(therapy)
        rig = self.persistence.rig_number() if self.persistence else 0
        packed = program.pack(digest, clock.tick_s, proposal.head, therapy, rig)
        if self.persistence:
            self.persistence.applied(THERAPY, packed)
        other = therapy.drug and therapy.drug != line.drug
        if other:
            self.delivery.remainder.drop()
        regimen.changes.applied(clock.tick + 1, other, self.judge.changes_dose(therapy), runs)
        regimen.changes.accept(regimen.library, therapy.drug, proposal.soft)
        line.take(therapy, bridge)
        if opens_bridge:
            self.control.teller.event(events.BRIDGE, therapy.line_nl, 1)
        if ratio:
            regimen.rescale(*ratio)
        regimen.put_in_force(therapy)
        self._tell(therapy, proposal.soft, packed)
        if runs and therapy.basal:
            self.control.follow_schedule()
        elif runs or self.control.state in states.JUDGED:
            # DOSE-11: that is what is prescribed now.
            self.control.enter(states.STOPPED, COMMAND)
        elif self.control.state == states.DRAW_BACK:
            # No faster than that from now on: the guard would cut it, untold.
            owed = self.delivery.owed
            owed.most_steps, owed.most_grains = therapy.mechanism.grains_per_tick(therapy.max_rate_nl_h, 1)
            owed.set_rates()
            self.delivery.replan = True

    def _tell(self, therapy: "Prescription", soft, packed) -> None:
        teller = self.control.teller
        fastest = therapy.fastest()
        confirmed = len([name for name in soft if name != UNPAIRED])  # that it was so, `keys` tells
        if confirmed:
            teller.event(events.SOFT_LIMITS, confirmed, self.regimen.library[0])
        self.regimen.therapies.add(packed)
        teller.event(events.THERAPY, fastest[0] // fastest[1], therapy.max_rate_nl_h)

    def _bridge_under(self, therapy: "Prescription", proposed):
        """The bridge that is open once `therapy` is in force; raises for what the line forbids, or where it
        has changed since that was `proposed`.
        """
        line = self.line
        # What is executed up to the end of this tick comes out before a new one.
        ahead = 0
        if self.control.state in states.MOVING:
            ahead = max(self.delivery.position() - self.control.position.executed_steps, 0)
        bridge = line.bridge_under(therapy, ahead)
        opens = bridge is not line.bridge
        if opens and self.delivery.owed.flowing() >= 0:
            # Its volume was a dose of the old drug.
            state = self.control.state
            what = "a bolus is under way; stop the pump"
            if state != states.RUNNING:
                what = "the pump is %s; stop it" % states.STATES[state]
            raise PrescriptionError(["concentration_pg_nl: %s, or wait for its end" % what])
        if opens and (proposed is None or proposed is line.bridge):
            raise PrescriptionError(
                ["concentration_pg_nl: the line has changed since the read-back, propose it again"]
            )
        return bridge
