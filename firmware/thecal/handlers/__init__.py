"""What the commands of the host do: one method `do_<name>` per row of `link/commands.py`.

How to read it: each file is a subject, with a class that names its commands in `COMMANDS` and is given the
parts of the pump that they need. A method takes the request, whose arguments `link` has checked, and returns
the answer. Commands that change the flow are carried out with what is owed already at the end of the tick,
where they take effect. Whatever is refused (`Refused`, `PrescriptionError`) changes nothing. `Handlers` finds
the method and answers for what it raises.
"""

from ..causes import CAUSES, NO_RIG, PRESCRIPTION, Refused
from ..dose.prescription import PrescriptionError
from ..link import commands
from ..link.session import refusal, reply_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..dose.mechanism import Mechanism
    from ..rig import Rig
    from .denials import Denials


NO_RIG_TEXT = "the pump has no rig (%s): say what hangs on its pins first (thecal rig program FILE)"


class Handlers:
    """Carries out the commands of `subjects`; one of them goes on with what takes more than a tick."""

    def __init__(
        self,
        rig: "Rig",
        mechanism: "Mechanism",
        persistence,
        denials: "Denials",
        programming,
        running,
        boluses,
        keyring,
        subjects,
    ) -> None:
        self.rig = rig
        self.mechanism = mechanism
        self.persistence = persistence
        self.denials = denials
        self.programming = programming
        self.running = running
        self.boluses = boluses
        self.keyring = keyring
        self.by_name = {}
        for subject in (programming, running, boluses, keyring) + subjects:
            for name in subject.COMMANDS:
                self.by_name[name] = subject

    def ready(self, request: dict):
        """Whether `request`, which changes the flow, can be carried out in this tick: what it needs has been
        written down, or will never be.
        """
        persistence = self.persistence
        if persistence.journal.failed:
            return True
        if persistence.restarting:
            return False
        name = request["cmd"]
        if name == "confirm":
            return self.programming.proposals.ready(persistence, request["digest"])
        if name in ("start", "prime", "jog") and persistence.busy():
            return False  # a cut would find the pump moving, and no therapy or another
        booking = persistence.booking
        flow = booking.own_steps, booking.own_grains
        most_nl_h = self.running.motor_nl_h()
        if name == "prime":
            flow = self.mechanism.grains_per_tick(most_nl_h, 1)
        elif name == "jog":
            flow = self.mechanism.grains_per_tick(min(request["rate_nl_h"], most_nl_h), 1)
        elif name == "bolus" and request["duration_ms"] > 0:
            hours = request["volume_nl"] * 3_600_000 // request["duration_ms"] + 1
            flow = booking.sum(flow, self.mechanism.grains_per_tick(min(hours, most_nl_h), 1))
        return booking.covers(flow)

    def carry_out(self, request: dict):
        """The answer to `request`, None where it takes more ticks (`go_on`); refusals are logged, but not
        those of a question.
        """
        name = request["cmd"]
        return self._answer_of(getattr(self.by_name[name], "do_" + name), request)

    def go_on(self, request: dict):
        """This tick's part of a request that takes more of them; as `carry_out`."""
        return self._answer_of(self._go_on, request)

    def forget_proposals(self) -> None:
        """What was proposed and not confirmed is over, and so is what comes in parts."""
        self.programming.forget()

    def _go_on(self, request: dict):
        return self.programming.go_on()

    def _answer_of(self, do, request: dict):
        try:
            if self.rig.missing and commands.COMMANDS[commands.COMMANDS.find(request["cmd"])].needs_rig:
                raise Refused(NO_RIG, NO_RIG_TEXT % self.rig.missing)
            answer = do(request)
        except PrescriptionError as error:
            return self._refuse(request, PRESCRIPTION, "; ".join(error.problems))
        except Refused as refused:
            return self._refuse(request, refused.cause, refused.text)
        if answer is not None and answer.get("ok", True):
            if "digest" in answer:
                command = commands.COMMANDS[commands.COMMANDS.find(request["cmd"])]
                if command.proposes:
                    self.keyring.keys.proposed_by = command.role
            answer.update(reply_to(request))
            answer["ok"] = True
        return answer

    def _refuse(self, request: dict, cause: int, text: str):
        if commands.changes_of(request) != commands.READS:
            self.denials.deny(request["cmd"], cause)
        answer = refusal(request, "refused", text)
        answer["reason"] = CAUSES[cause]
        return answer
