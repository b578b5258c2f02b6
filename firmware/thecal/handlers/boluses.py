"""Boluses, on the patient's demand or by a clinician's order: granted, or denied with the reason."""

from ..causes import CAUSES, GRANTED, OVER_LIBRARY
from ..dose.boluses import bolus_rate
from ..dose.course import CLINICIAN, PATIENT
from ..record import events
from .denials import over_library, why_not_accepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.mechanism import Mechanism
    from ..forecast import Forecast
    from ..watch.lockout import Lockout
    from .denials import Denials


STARTS = (events.PATIENT_BOLUS_START, events.BOLUS_START)


class Boluses:
    """Grants them."""

    COMMANDS = ("patient_bolus", "bolus")

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        lockout: "Lockout",
        forecast: "Forecast",
        denials: "Denials",
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.lockout = lockout
        self.forecast = forecast
        self.denials = denials
        self.control = control

    def do_patient_bolus(self, request: dict):
        """The patient's button, pressed by the host."""
        reason = self.ask_for_patient()
        therapy = self.regimen.prescription
        bolus = therapy and therapy.patient_bolus
        return self._answer(PATIENT, reason, bolus.volume if bolus else (0, 1))

    def do_bolus(self, request: dict):
        """A clinician's."""
        volume = (request["volume_nl"], 1)
        rate = slowed = (0, 1)
        broken = ()
        reason = self.denials.why_no_clinician_bolus()
        if reason == GRANTED:
            owed = self.control.dosing.delivery.owed
            rate, slowed = bolus_rate(owed, self.mechanism, volume[0], request["duration_ms"])
            broken = self.denials.bounds_broken(volume, rate)
            reason = why_not_accepted(broken, request.get("accept", ()))
        if reason == GRANTED:
            reason = self.forecast.why_no_room(volume, rate)
        if reason == OVER_LIBRARY:
            answer = over_library(broken, request.get("accept", ()))
        else:
            answer = self._answer(CLINICIAN, reason, volume)
        if reason == GRANTED:
            if broken:
                self.control.teller.event(events.SOFT_LIMITS, len(broken), self.regimen.library[0])
            self._begin(CLINICIAN, volume, rate, slowed)
            answer["rate_num"], answer["rate_den"] = slowed
        else:
            self.denials.deny("bolus", reason)
        return answer

    def ask_for_patient(self):
        """What comes of a patient's request; the tick is at its boundary. Logs it. Returns the reason."""
        reason = self.denials.why_no_patient_bolus()
        if reason == GRANTED:
            bolus = self.regimen.prescription.patient_bolus
            self.lockout.grant(self.control.clock.tick + 1)
            self._begin(PATIENT, bolus.volume, bolus.rate, bolus.rate)
        else:
            self.denials.deny("patient_bolus", reason)
        return reason

    def _begin(self, kind: int, volume: tuple, rate: tuple, slowed: tuple) -> None:
        dosing = self.control.dosing
        dosing.begin_bolus(kind, volume, rate)
        self.control.teller.event(STARTS[kind], dosing.boluses.volume_nl[kind], slowed[0] // slowed[1])

    def _answer(self, kind, reason, volume):
        if reason == GRANTED:
            return {"granted": True, "reason": ""}
        said = self.denials.sentence(kind, reason, volume)
        return {"granted": False, "reason": CAUSES[reason], "message": said}
