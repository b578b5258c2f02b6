"""Commands that propose a therapy or a drug library, page through what was proposed, and confirm it."""

from ..causes import NOT_ACCEPTED, NOT_PROPOSED, Refused
from ..dose import library_wire
from ..dose.prescription import PrescriptionError
from ..link.session import refusal
from .proposals import LibraryProposal
from .questions import steps_page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control


class Programming:
    """Carries them out; `proposing` reads therapies, which takes more than a tick."""

    COMMANDS = ("program", "readback", "library", "confirm")

    def __init__(self, regimen, persistence, proposals, proposing, control: "Control") -> None:
        self.regimen = regimen
        self.persistence = persistence
        self.proposals = proposals
        self.proposing = proposing
        self.control = control
        self.draft = library_wire.Draft()  # a library of which some parts have come

    def do_program(self, request: dict):
        """A therapy, whole or in parts."""
        if ("part" in request) == ("therapy" in request):
            return refusal(request, "bad_argument", "program: give a therapy or a part of one")
        self.proposing.begin(request)
        return self.proposing.go_on()

    def go_on(self):
        """This tick's part of reading a therapy."""
        return self.proposing.go_on()

    def do_readback(self, request: dict):
        """Some steps of the therapy that is proposed."""
        therapy = self.proposals.last.therapy if self.proposals.last else None
        if therapy is None:
            raise Refused(NOT_PROPOSED, "readback: no therapy is proposed")
        answer = steps_page(therapy, request["from"])
        answer["digest"] = self.proposals.digest
        return answer

    def do_library(self, request: dict):
        """A drug library, in parts; the last one proposes it."""
        library, problems = self.draft.take(request["part"])
        if problems:
            raise PrescriptionError(problems)
        if library is None:
            return {"complete": False}
        proposal = LibraryProposal(self.regimen, self.persistence, self.control, library)
        answer = self.proposals.propose(proposal)
        answer["complete"] = True
        return answer

    def do_confirm(self, request: dict):
        """What was proposed last, if it has this digest, and its soft limits are accepted by name."""
        proposals = self.proposals
        if proposals.last is None or request["digest"] != proposals.digest:
            raise Refused(
                NOT_PROPOSED, "digest: %s is not that of the last proposal" % request["digest"][:16]
            )
        missing = [name for name in proposals.last.soft if name not in request.get("accept", ())]
        if missing:
            raise Refused(NOT_ACCEPTED, "accept: not confirmed: %s" % ", ".join(missing))
        proposals.last.apply(proposals.digest)
        proposals.forget()
        return {"digest": proposals.digest}

    def forget(self) -> None:
        """What was proposed and not confirmed is over, and so is what comes in parts."""
        self.proposals.forget()
        self.draft = library_wire.Draft()
        self.proposing.forget()
