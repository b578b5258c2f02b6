"""Commands about what hangs on the pump: a refilled reservoir, a new line, a journal begun anew. Each is
proposed, read back and confirmed.
"""

from .. import plain, states
from ..causes import JOURNAL_IN_USE, NO_THERAPY, NOT_RESTED, Refused
from ..clock import TICKS_PER_DAY, TICKS_PER_MIN
from ..dose.prescription import MOST_RESERVOIR_NL, PrescriptionError
from ..record import events
from ..record.layout import SOUND, STATUSES, USELESS
from ..smallint import LARGEST
from ..watch import alarms
from .proposals import BeginAnewProposal, NewLineProposal, RefillProposal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.line import Line
    from ..dose.mechanism import Mechanism
    from ..watch.counts import Counts
    from ..watch.reservoir import Reservoir
    from .denials import Denials


QUIET_TICKS = TICKS_PER_DAY  # no window, lockout or daily count reaches back further than a day
USED_UP = "used_up"


class Supply:
    """Proposes them, and does what was confirmed."""

    COMMANDS = ("refill", "new_line", "begin_anew")

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        line: "Line",
        reservoir: "Reservoir",
        counts: "Counts",
        persistence,
        denials: "Denials",
        proposals,
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.line = line
        self.reservoir = reservoir
        self.counts = counts
        self.persistence = persistence
        self.denials = denials
        self.proposals = proposals
        self.control = control

    def do_refill(self, request: dict):
        """The reservoir holds so much."""
        volume_nl = request["volume_nl"]
        # Its end is a position of the motor, and those are small.
        countable_nl = self.mechanism.volume_nl(LARGEST - self.control.position.executed_steps)
        most_nl = min(MOST_RESERVOIR_NL, countable_nl)
        if not 0 < volume_nl <= most_nl:
            said = plain.volume(volume_nl), plain.volume(most_nl)
            raise PrescriptionError(["volume_nl: %s, must be 1 nL to %s" % said])
        return self.proposals.propose(RefillProposal(self, volume_nl))

    def do_new_line(self, request: dict):
        """DOSE-09: the line is new or empty, and what fills it is no dose. A clinician says so."""
        self._check_new_line()
        readback = {"new_line_nl": self._line_nl()}
        bridge = self.line.bridge
        if bridge:
            readback["bridge_ends_nl"] = self.mechanism.volume_nl(bridge.left_steps)
        since_tick = self.control.stopped_tick
        return self.proposals.propose(NewLineProposal(self, readback, since_tick))

    def do_begin_anew(self, request: dict):
        """Only where the journal holds nothing that could be gone on with, or its counts are used up and
        nothing of the last day is forgotten with it.
        """
        control = self.control
        status = self.persistence.journal.status if self.persistence else SOUND
        if status == SOUND and self.counts.ended and control.state not in states.MOVING:
            quiet_ticks = control.clock.tick - control.stopped_tick
            if quiet_ticks < QUIET_TICKS:
                quiet_min = quiet_ticks // TICKS_PER_MIN
                raise Refused(NOT_RESTED, "the pump has rested for %d min, not for a day" % quiet_min)
            return self.proposals.propose(BeginAnewProposal(self.persistence, USED_UP))
        if status not in USELESS:
            raise Refused(JOURNAL_IN_USE, "the journal is %s: it is gone on with" % STATUSES[status])
        return self.proposals.propose(BeginAnewProposal(self.persistence, STATUSES[status]))

    # --- confirmed

    def refilled(self, volume_nl: int) -> None:
        """The reservoir holds so much now."""
        control = self.control
        executed_steps = control.position.executed_steps
        left_ul = self.mechanism.volume_ul(self.reservoir.left_steps(executed_steps))
        self.reservoir.refill(volume_nl, executed_steps)
        self.regimen.set_reservoir_most()
        control.teller.event(events.REFILL, volume_nl, left_ul)
        control.clear_alarm(alarms.RESERVOIR_EMPTY)
        control.clear_alarm(alarms.RESERVOIR_LOW)
        if control.state == states.RUNNING:
            control.to_boundary()
            control.follow_schedule()
        control.dosing.delivery.replan = True

    def renew_line(self, since_tick: int) -> None:
        """The line is new, and nothing has gone through it since that was read back."""
        self._check_new_line()
        self.denials.check_rested(since_tick)
        teller = self.control.teller
        therapy = self.regimen.prescription
        bridge = self.line.renew(therapy)
        self.control.dosing.delivery.remainder.drop()
        teller.event(events.NEW_LINE, self._line_nl(), 0)
        if bridge:
            teller.event(events.BRIDGE, self.mechanism.volume_nl(bridge.left_steps), 0)
            self.regimen.rescale(bridge.old, bridge.new)
            self.regimen.set_limit()

    def _check_new_line(self) -> None:
        self.denials.check_stopped()
        if self.regimen.prescription is None and not self.line.may_hold_drug():
            raise Refused(NO_THERAPY, "no therapy says what the line holds (line_nl): program one first")

    def _line_nl(self):
        therapy = self.regimen.prescription
        return therapy.line_nl if therapy else 0
