"""What is proposed and not confirmed yet (LIM-10): read back with a digest, applied when that is confirmed.

Each kind of proposal is a class with the same things: `readback`, of which the digest is made, with the steps
of a `basal`; the `therapy`, if it is one; `soft`, the names that the confirmation must accept; `ready`,
whether it can be applied in this tick, if it is the one that is `meant`; `apply`.
"""

from ..dose import formulary, library_wire, program
from ..record import events
from ..record.layout import LIBRARY
from ..watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.line import Bridge


BEGIN_ANEW = "begin_anew"


class TherapyProposal:
    """A therapy, read from `head` and its steps; `bridge` is the one that would be open."""

    def __init__(self, applying, therapy, head: dict, readback: dict, bridge: "Bridge | None") -> None:
        self.applying = applying
        self.therapy = therapy
        self.head = head  # the object that it was read from, without its steps
        self.readback = readback
        self.bridge = bridge
        self.basal = therapy.basal
        self.soft = readback.get("soft", ())

    def ready(self, persistence, meant):
        """Once its flow is booked and the therapy before it is written."""
        if not meant:
            return True
        booking = persistence.booking
        return booking.covers(booking.fastest(self.therapy, self.bridge)) and not persistence.busy()

    def apply(self, digest: str) -> None:
        """It is in force."""
        self.applying.apply(self, digest)


class LibraryProposal:
    """A drug library that is whole."""

    soft = ()
    basal = ()
    therapy = None

    def __init__(self, regimen, persistence, control: "Control", library: tuple) -> None:
        self.regimen = regimen
        self.persistence = persistence
        self.control = control
        self.library = library
        self.readback = formulary.readback(library)

    def ready(self, persistence, meant) -> bool:
        """Once what was applied before it is written."""
        return not meant or not persistence.busy()

    def apply(self, digest: str) -> None:
        """It is in force."""
        regimen = self.regimen
        library = self.library
        if self.persistence:
            self.persistence.applied(LIBRARY, library_wire.Packed(library))
        self.control.teller.event(events.LIBRARY, library[0], regimen.library[0])
        regimen.library = library
        regimen.changes.accepted = 0  # of bounds that may be others now
        self.control.clear_alarm(alarms.LIBRARY_FAULT)


class RefillProposal:
    """The reservoir was filled and holds `volume_nl`."""

    soft = ()
    basal = ()
    therapy = None

    def __init__(self, supply, volume_nl: int) -> None:
        self.supply = supply
        self.volume_nl = volume_nl
        self.readback = {"refill_nl": volume_nl}

    def ready(self, persistence, meant) -> bool:
        """At any time."""
        return True

    def apply(self, digest: str) -> None:
        """It counts from now on."""
        self.supply.refilled(self.volume_nl)


class NewLineProposal:
    """The line is new or empty, and what fills it is no dose (DOSE-09)."""

    soft = ()
    basal = ()
    therapy = None

    def __init__(self, supply, readback: dict, since_tick: int) -> None:
        self.supply = supply
        self.readback = readback
        self.since_tick = since_tick  # when the pump came to its rest

    def ready(self, persistence, meant) -> bool:
        """Once the therapy that says what the line holds is written."""
        return not persistence.busy()

    def apply(self, digest: str) -> None:
        """It counts from now on."""
        self.supply.renew_line(self.since_tick)


class DisconnectedProposal:
    """No patient is connected: the motor may be moved for whoever builds or calibrates the pump (RIG-06)."""

    soft = ()
    basal = ()
    therapy = None

    def __init__(self, service, readback: dict, since_tick: int) -> None:
        self.service = service
        self.readback = readback
        self.since_tick = since_tick  # when the pump came to its rest

    def ready(self, persistence, meant) -> bool:
        """At any time."""
        return True

    def apply(self, digest: str) -> None:
        """It counts from now on."""
        self.service.disconnected(self.readback["jog_steps"], self.since_tick)


class BeginAnewProposal:
    """The journal is to be begun anew, as its `status` allows."""

    soft = ()
    basal = ()
    therapy = None

    def __init__(self, persistence, status) -> None:
        self.persistence = persistence
        self.readback = {BEGIN_ANEW: status}

    def ready(self, persistence, meant) -> bool:
        """At any time."""
        return True

    def apply(self, digest: str) -> None:
        """What the flash holds is forgotten."""
        self.persistence.begin_anew()


class RigProposal:
    """A rig, `data` as the journal keeps it. What it leaves unwatched has to be accepted by name."""

    basal = ()
    therapy = None

    def __init__(self, rigging, data: bytes, readback: dict) -> None:
        self.rigging = rigging
        self.data = data
        self.readback = readback
        self.soft = readback.get("soft", ())

    def ready(self, persistence, meant) -> bool:
        """Once what was applied before it is written."""
        return not meant or not persistence.busy()

    def apply(self, digest: str) -> None:
        """It is in force when the board starts anew."""
        self.rigging.confirmed(self.data, self.soft)


class Proposals:
    """The last proposal, if it was neither confirmed nor forgotten."""

    def __init__(self) -> None:
        self.last = None
        self.digest = ""

    def propose(self, proposal):
        """The answer that reads it back."""
        self.last = proposal
        self.digest = program.digest(proposal.readback, proposal.basal)
        return {"digest": self.digest, "readback": proposal.readback}

    def ready(self, persistence, digest: str):
        """Whether a confirmation of `digest` can be carried out in this tick."""
        meant = digest == self.digest
        if self.last is None:
            return not meant or not persistence.busy()
        return self.last.ready(persistence, meant)

    def forget(self) -> None:
        """It cannot be confirmed any more."""
        self.last = None
