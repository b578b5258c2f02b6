"""Why an order cannot be carried out now, and the sentence that says so (LIM-02, LIM-15).

What is looked at stands in the order of the table of `causes`: the first that is true is the reason. A reason
is a number, which the log keeps; a sentence has the value and the bound, in the units in which people write
them.
"""

from .. import plain, states
from ..causes import (
    ALREADY_RUNNING,
    BOLUS_ACTIVE,
    BRIDGE,
    CAUSES,
    COUNT_END,
    EMPTY,
    GRANTED,
    LIBRARY_DAMAGED,
    LOCKOUT,
    MAX_DOSE,
    MAX_PER_DAY,
    NOT_ACKNOWLEDGED,
    NOT_PRESCRIBED,
    NOT_PROPOSED,
    NOT_RUNNING,
    NOT_STOPPED,
    OVER_LIBRARY,
    SELF_TEST_FAILED,
    Refused,
)
from ..clock import TICK_MS
from ..dose import formulary
from ..dose.course import CLINICIAN, PATIENT
from ..link import commands
from ..record import events
from ..watch import alarms
from ..watch.parts import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.delivery import Delivery
    from ..dose.line import Line
    from ..dose.mechanism import Mechanism
    from ..forecast import Forecast
    from ..watch.counts import Counts
    from ..watch.lockout import Lockout
    from ..watch.reservoir import Reservoir


WHOSE = ("patient", "clinician")


class Denials:
    """Says what may not be done now, and tells what was denied."""

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        line: "Line",
        delivery: "Delivery",
        lockout: "Lockout",
        reservoir: "Reservoir",
        counts: "Counts",
        forecast: "Forecast",
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.line = line
        self.delivery = delivery
        self.lockout = lockout
        self.reservoir = reservoir
        self.counts = counts
        self.forecast = forecast
        self.control = control

    def deny(self, name: str, reason) -> None:
        """Tell that the command of that name was denied."""
        control = self.control
        control.teller.event(events.DENIED, commands.COMMANDS.find(name), reason)
        if name == "patient_bolus":
            self.lockout.deny(control.clock.tick + 1)
        if reason == MAX_DOSE:
            control.raise_alarm(alarms.MAX_DOSE)

    def why_no_patient_bolus(self):
        """The reason to deny the patient a bolus, or GRANTED; the tick is at its boundary."""
        if self.control.state != states.RUNNING:
            return NOT_RUNNING
        bolus = self.regimen.prescription.patient_bolus
        if not bolus:
            return NOT_PRESCRIBED
        if self.line.bridge:
            return BRIDGE
        if self.delivery.owed.active[PATIENT]:
            return BOLUS_ACTIVE
        tick = self.control.clock.tick + 1
        if self.lockout.locked(tick, bolus.lockout_ticks):
            return LOCKOUT
        if self.lockout.in_last_day(tick) >= bolus.max_per_day:
            return MAX_PER_DAY
        return self.forecast.why_no_room(bolus.volume, bolus.rate)

    def why_no_clinician_bolus(self):
        """The reason to deny the clinician any bolus at all, or GRANTED."""
        if self.control.state != states.RUNNING:
            return NOT_RUNNING
        if self.line.bridge:
            return BRIDGE
        return BOLUS_ACTIVE if self.delivery.owed.active[CLINICIAN] else GRANTED

    def bounds_broken(self, volume: tuple, rate: tuple):
        """The bounds of the drug library that a clinician bolus of `volume` nL at `rate` nL/h breaks beyond
        those that were accepted with the therapy, as (name, text).
        """
        therapy = self.regimen.prescription
        if not therapy.concentration:
            return ()
        if (
            not formulary.check(self.regimen.library)
            or formulary.find(self.regimen.library, therapy.drug) is None
        ):
            raise Refused(LIBRARY_DAMAGED, "the drug library is damaged, or %s is not in it" % therapy.drug)
        num, den = therapy.concentration
        mechanism = self.mechanism
        steps = self.forecast.most_in_a_day(volume, rate)
        return formulary.over_bounds(
            self.regimen.library,
            therapy.drug,
            (volume[0] * num, volume[1] * den),
            (steps * mechanism.nl_per_rev * num, mechanism.steps_per_rev * den),
            self.regimen.changes.accepted,
        )

    def sentence(self, kind: int, reason: int, volume: tuple, what="bolus"):
        """What the pump says of a denied bolus of `volume` nL, (num, den); `kind` is whose, `what` it is."""
        if reason == NOT_RUNNING:
            return self._not_running()
        if reason == NOT_PRESCRIBED:
            return "the therapy in force provides for no patient bolus"
        if reason == BRIDGE:
            bridge = self.line.bridge
            left = plain.volume(self.mechanism.volume_nl(bridge.left_steps if bridge else 0))
            return "the line still holds %s of the drug of before: no bolus until it is through" % left
        if reason == BOLUS_ACTIVE:
            left = plain.volume(self.mechanism.volume_nl(self.delivery.bolus_left_steps(kind)))
            return "a %s bolus is flowing, with %s to come" % (WHOSE[kind], left)
        if reason == LOCKOUT:
            ticks = self.regimen.prescription.patient_bolus.lockout_ticks
            left = ticks - (self.control.clock.tick + 1 - self.lockout.end_tick)
            return "the lockout of %s has another %s to run" % (
                plain.time(ticks * TICK_MS),
                plain.time(left * TICK_MS),
            )
        if reason == MAX_PER_DAY:
            given = self.lockout.in_last_day(self.control.clock.tick + 1)
            return "%d patient boluses in the last 24 h, at most %d a day" % (
                given,
                self.regimen.prescription.patient_bolus.max_per_day,
            )
        if reason == MAX_DOSE:
            return "a window of %s would hold more than its limit of %s, with this %s of %s" % (
                plain.time(self.regimen.prescription.window_ticks * TICK_MS),
                plain.volume(*self.regimen.prescription.limit),
                what,
                plain.volume(*volume),
            )
        left_nl = self.mechanism.volume_nl(
            max(self.reservoir.left_steps(self.control.position.executed_steps), 0)
        )
        return "%s are left, EMPTY is at %s: that is not enough for this %s of %s" % (
            plain.volume(left_nl),
            plain.volume(self.reservoir.empty_nl),
            what,
            plain.volume(*volume),
        )

    def _not_running(self):
        if self.control.state == states.HALTED:
            return self._halted()
        if self.control.state == states.STOPPED:
            return "the pump is STOPPED: start it first"
        return "the pump is %s, not RUNNING" % states.STATES[self.control.state]

    def _halted(self) -> str:
        codes = []
        row = self.control.alarms.after(-1)
        while row >= 0:
            if alarms.ALARMS[row].response == alarms.STOP:
                codes.append(alarms.ALARMS[row].code)
            row = self.control.alarms.after(row)
        if codes:
            return "the pump is HALTED by %s: acknowledge comes next" % ", ".join(codes)
        return "the pump is HALTED, though no alarm holds it any more: acknowledge comes next"

    def check_stopped(self, starts: bool = False):
        """Refused in any state but STOPPED; `starts`: somebody wants the pump to run."""
        if self.control.state == states.STOPPED:
            return
        if self.control.state == states.HALTED:
            raise Refused(NOT_ACKNOWLEDGED, self._halted())
        if self.control.state == states.RUNNING:
            if starts:
                raise Refused(ALREADY_RUNNING, "the pump is RUNNING already")
            raise Refused(NOT_STOPPED, "the pump is RUNNING: stop it first")
        raise Refused(NOT_STOPPED, "the pump is %s, not STOPPED yet" % states.STATES[self.control.state])

    def check_rested(self, since_tick: int) -> None:
        """Refused where the pump has moved since it came to the rest in which something was read back."""
        if self.control.stopped_tick != since_tick:
            raise Refused(NOT_PROPOSED, "the pump has moved since the read-back: propose it again")

    def check_fit(self) -> None:
        """Refused after a self-test that has failed, and at the end of a count."""
        if self.counts.ended:
            raise Refused(
                COUNT_END, "a count has come to its end (COUNT_END): service the pump, then begin it anew"
            )
        if self.control.failures:
            failed = ", ".join(names(self.control.failures))
            raise Refused(
                SELF_TEST_FAILED, "the self-test has failed (%s): see to it, then reset the pump" % failed
            )

    def check_not_empty(self) -> None:
        """Refused where nothing is left above EMPTY."""
        if self.reservoir.empty(self.control.position.executed_steps):
            raise Refused(EMPTY, "the reservoir is EMPTY: refill it")


def why_not_accepted(broken, accepted):
    """OVER_LIBRARY where one of the bounds is not named in `accepted`, else GRANTED."""
    for name, _ in broken:
        if name not in accepted:
            return OVER_LIBRARY
    return GRANTED


def over_library(broken, accepted):
    """The answer to a bolus that is denied for its bounds: each of them, and their names apart."""
    left = [each for each in broken if each[0] not in accepted]
    return {
        "granted": False,
        "reason": CAUSES[OVER_LIBRARY],
        "bounds": [name for name, _ in left],
        "message": "; ".join(["%s: %s" % each for each in left]) + ": accept it by name, or give less",
    }
