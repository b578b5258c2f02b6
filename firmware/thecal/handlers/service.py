"""Commands for whoever builds, checks or calibrates a pump (RIG-06): nobody is connected, the motor moves.

`disconnected` proposes that no patient is connected; confirmed, it allows so many microsteps in all. `jog`
moves the motor by some of them, forward, and the pump is STOPPED again. It counts in every window and in the
ledger like a dose, and stop, alarms and the STOP button act as always.
"""

from .. import plain, states
from ..causes import COMMAND, CONNECTED, DRUG_IN_LINE, GRANTED, Refused
from ..clock import TICK_MS
from ..dose.course import CLINICIAN
from ..dose.prescription import PrescriptionError
from ..record import events
from .proposals import DisconnectedProposal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.line import Line
    from ..dose.mechanism import Mechanism
    from ..forecast import Forecast
    from .denials import Denials
    from .running import Running


# RIG-06: ten revolutions or 1 mL in all for one confirmation, whichever is less, and no faster than 6 mL/h.
MOST_JOG_REVS = 10
MOST_JOG_NL = 1_000_000
MOST_JOG_NL_H = 6_000_000
MOST_JOG_MS = 86_400_000  # own choice: a motion that nobody waits for is a mistake


class Service:
    """Carries them out."""

    COMMANDS = ("disconnected", "jog")

    def __init__(
        self,
        mechanism: "Mechanism",
        line: "Line",
        forecast: "Forecast",
        denials: "Denials",
        running: "Running",
        proposals,
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.line = line
        self.forecast = forecast
        self.denials = denials
        self.running = running
        self.proposals = proposals
        self.control = control

    def do_disconnected(self, request: dict):
        """No patient is connected. A person says so."""
        self._check_line()
        steps = most_jog_steps(self.mechanism)
        readback = {"disconnected": 1, "jog_steps": steps, "jog_nl": self.mechanism.volume_nl(steps)}
        since_tick = self.control.stopped_tick
        return self.proposals.propose(DisconnectedProposal(self, readback, since_tick))

    def disconnected(self, steps: int, since_tick: int) -> None:
        """That was confirmed: so many microsteps may be jogged."""
        self._check_line()
        self.denials.check_rested(since_tick)
        self.line.jog_steps = steps
        self.control.teller.event(events.DISCONNECTED, steps, 0)

    def do_jog(self, request: dict):
        """Move the motor."""
        control = self.control
        mechanism = self.mechanism
        steps = request["steps"]
        rate_nl_h = request["rate_nl_h"]
        self._check_line()
        self.denials.check_fit()
        if not self.line.jog_steps:
            raise Refused(
                CONNECTED, "nothing may be jogged: confirm that no patient is connected (disconnected)"
            )
        if not 0 < steps <= self.line.jog_steps:
            raise PrescriptionError(
                [
                    "steps: %d, must be 1 to %d: a confirmation (disconnected) allows no more"
                    % (steps, self.line.jog_steps)
                ]
            )
        self._check_rate(steps, rate_nl_h)
        self.denials.check_not_empty()
        volume = steps * mechanism.nl_per_rev, mechanism.steps_per_rev
        reason = self.forecast.why_no_jog(steps, rate_nl_h)
        if reason != GRANTED:
            raise Refused(reason, self.denials.sentence(CLINICIAN, reason, volume, "jog"))
        control.enter(states.JOGGING, COMMAND)
        self.line.jogs(steps)
        control.dosing.run_motor(volume, rate_nl_h, events.JOG_END)
        control.teller.event(events.JOG_START, steps, rate_nl_h)
        return {"state": states.STATES[control.state], "left_steps": self.line.jog_steps}

    def _check_line(self) -> None:
        self.denials.check_stopped()
        if self.line.may_hold_drug():
            text = "%s may be in the line: exchange it and confirm a new line first (new_line)"
            raise Refused(DRUG_IN_LINE, text % self.line.drug)

    def _check_rate(self, steps: int, rate_nl_h: int) -> None:
        most_nl_h = min(MOST_JOG_NL_H, self.running.motor_nl_h(), self.mechanism.max_rate_nl_h())
        if not 0 < rate_nl_h <= most_nl_h:
            most = plain.rate(most_nl_h)
            said = plain.rate(rate_nl_h, unlike=most), plain.rate(1), most
            raise PrescriptionError(["rate_nl_h: %s, must be %s to %s" % said])
        num, den = self.mechanism.steps_per_tick(rate_nl_h, 1)
        if steps * den * TICK_MS > num * MOST_JOG_MS:
            least_nl_h = -(-steps * self.mechanism.nl_per_rev // (self.mechanism.steps_per_rev * 24))
            raise PrescriptionError(
                [
                    "rate_nl_h: %s takes more than a day, %s does not"
                    % (plain.rate(rate_nl_h), plain.rate(least_nl_h))
                ]
            )


def most_jog_steps(mechanism: "Mechanism"):
    """How many microsteps one confirmation allows."""
    by_volume = MOST_JOG_NL * mechanism.steps_per_rev // mechanism.nl_per_rev
    return min(MOST_JOG_REVS * mechanism.steps_per_rev, by_volume)
