"""Commands that only ask: who the pump is, how it is, what it remembers."""

from .. import states, version
from ..causes import NOT_KEPT, Refused
from ..clock import TICK_MS
from ..dose import prescription, program
from ..link.session import refusal
from ..record.pages import STREAMS, page
from ..watch import alarms, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.mechanism import Mechanism
    from ..dose.prescription import Prescription
    from ..link.signing import Keys
    from ..rig import Rig
    from ..watch.lockout import Lockout


class Questions:
    """Answers them. `persistence`: None without a flash."""

    COMMANDS = ("hello", "status", "therapy", "log", "attempts", "alarms")

    def __init__(
        self,
        rig: "Rig",
        mechanism: "Mechanism",
        regimen,
        lockout: "Lockout",
        control: "Control",
        persistence,
        keys: "Keys",
    ) -> None:
        self.rig = rig
        self.mechanism = mechanism
        self.regimen = regimen
        self.lockout = lockout
        self.control = control
        self.persistence = persistence
        self.journal = persistence.journal if persistence else None
        self.keys = keys

    def do_hello(self, request: dict):
        """What speaks here, and the numbers that a host reckons with."""
        mechanism = self.mechanism
        rig = self.rig
        answer = {
            "protocol": version.PROTOCOL,
            "product": "thecal",
            "version": version.VERSION,
            "boot": self.persistence.resets.count if self.persistence else 0,
            "tick": self.control.clock.tick,
            "tick_ms": TICK_MS,
            "state": states.STATES[self.control.state],
            "nl_per_rev": mechanism.nl_per_rev,
            "steps_per_rev": mechanism.steps_per_rev,
            "max_rate_nl_h": min(prescription.MOST_RATE_NL_H, mechanism.max_rate_nl_h()),
            "rig": rig.name,
            "rig_number": rig.serial,
            "rollers": rig.rollers,
            "uncertainty_nl": rig.uncertainty_nl,
            "unwatched": rig.unwatched(),
            "paired": self.keys.paired,
            "nonce": self.keys.nonce.decode(),
            "serial": self.keys.serial.decode(),
        }
        if self.keys.paired:
            answer["counters"] = self.keys.counters()
        if rig.missing:
            answer["no_rig"] = rig.missing
        return answer

    def do_status(self, request: dict):
        """The answer beside the status frame."""
        answer = {"state": states.STATES[self.control.state], "paired": self.keys.paired}
        if self.rig.missing:
            answer["no_rig"] = self.rig.missing
        return answer

    def do_therapy(self, request: dict):
        """One of the last therapies, from some step of its week on."""
        therapies = self.regimen.therapies
        number = request.get("number", therapies.count)
        data = therapies.get(number)
        if data is None:
            raise Refused(NOT_KEPT, "number: %d is not kept, the last is %d" % (number, therapies.count))
        kept = program.Packed(data)
        answer = {"number": number, "tick_s": kept.tick_s, "digest": kept.digest, "therapy": kept.head}
        if kept.basal:
            answer.update(steps_page(kept.read(self.mechanism), request.get("from", 0)))
        return answer

    def do_log(self, request: dict):
        """Some of what the journal's streams hold."""
        stream = request["stream"]
        if stream not in STREAMS:
            return refusal(
                request, "bad_argument", "stream: %s, must be %s" % (stream[:16], " or ".join(STREAMS))
            )
        if self.journal is None:
            raise Refused(NOT_KEPT, "this pump has no flash to keep a log in")
        return page(self.journal, STREAMS.index(stream), request["from"])

    def do_attempts(self, request: dict):
        """How often the patient asked for a bolus."""
        lockout = self.lockout
        tick = self.control.clock.tick
        return {
            "granted_last_day": lockout.in_last_day(tick),
            "denied_last_day": lockout.denied_in_last_day(tick),
            "granted": lockout.count,
            "denied": lockout.denied_count,
        }

    def do_alarms(self, request: dict):
        """What stands, the first cause, and which parts are to blame."""
        standing = self.control.alarms
        rows = []
        row = standing.after(-1)
        while row >= 0:
            rows.append([alarms.ALARMS[row].code, alarms.PRIORITIES[standing.priority[row]]])
            row = standing.after(row)
        first = standing.first_cause
        failed = self.control.senses.failed
        bits = self.control.failures | failed.bits
        return {
            "state": states.STATES[self.control.state],
            "alarms": rows,
            "first_cause": alarms.ALARMS[first].code if first >= 0 else "",
            "failed": [
                [parts.PARTS[part], parts.KINDS[failed.kinds[part]]]
                for part in range(len(parts.PARTS))
                if bits >> part & 1
            ],
        }


def steps_page(therapy: "Prescription", first: int):
    """The steps of `therapy` from number `first` on, as many as fit in a frame."""
    count = len(therapy.basal)
    first = min(first, count)
    return {
        "from": first,
        "steps": therapy.steps_from(first),
        "next": min(first + prescription.PAGE_STEPS, count),
        "step_count": count,
    }
