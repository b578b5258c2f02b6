"""Commands about what hangs on the pins: propose another rig, ask for one that the journal keeps (RIG-02).

A rig that is confirmed is written whole into the journal, and when all is written and read back the board
starts anew from it (`Persistence.restart_due`). Until then the old one is in force; nothing of the new one
counts before. The therapy ends with the confirmation, and nothing that would take effect is carried out any
more.

An alarm of a part cannot be got rid of by a rig without the part, and a pump that an alarm has halted keeps
its rig, as long as there is a therapy with a flow. Without one nothing can start, so there is nothing that
the part watches over, and it may never have been there: a board that was told a wrong rig has alarms without
end.
"""

import json

from .. import recount, states
from .. import rig as rigs
from ..causes import ALARM_STANDS, BAD_RIG, NOT_KEPT, Refused
from ..dose.prescription import MOST_RATE_NL_H
from ..dose.units import reduced
from ..record import events
from ..record.layout import CALIBRATION
from ..watch import alarms, parts
from ..watch.counts import END_STEPS
from .proposals import RigProposal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..rig import Rig
    from ..watch.reservoir import Reservoir
    from .denials import Denials

RATIO = 2  # numbers

# What a part is needed for as long as it stands: its alarms, and any fault of the part itself.
ALARMS_OF = (
    ("encoder", (alarms.FREE_FLOW, alarms.STALL, alarms.OVER_INFUSION, alarms.UNDER_INFUSION)),
    ("pressure_down", (alarms.OCCLUSION_DOWN,)),
    ("pressure_up", (alarms.OCCLUSION_UP,)),
    ("supply", (alarms.SUPPLY_LOW, alarms.SUPPLY_CRITICAL)),
    ("air", (alarms.AIR,)),
    ("fault", (alarms.DRIVER_FAULT,)),
    ("button_stop", (alarms.STOP_HELD,)),
)


class Rigging:
    """Proposes them. `rig` is the one in force; `persistence`: None without a flash."""

    COMMANDS = ("rig", "rig_kept")

    def __init__(
        self,
        rig: "Rig",
        regimen,
        reservoir: "Reservoir",
        persistence,
        denials: "Denials",
        proposals,
        control: "Control",
    ) -> None:
        self.rig = rig
        self.regimen = regimen
        self.reservoir = reservoir
        self.persistence = persistence
        self.denials = denials
        self.proposals = proposals
        self.control = control

    def do_rig(self, request: dict):
        """Another rig."""
        rig = self._judged(request["rig"])
        data = json.dumps(rig.tables).encode()
        proposal = RigProposal(self, data, readback(rig, self.rig))
        answer = self.proposals.propose(proposal)
        texts = {code: text for _, code, text in rigs.UNWATCHED}
        answer["why"] = ["%s: %s" % (code, texts[code]) for code in proposal.soft]
        return answer

    def do_rig_kept(self, request: dict):
        """The rig in force, or one of the last before it, by its number."""
        number = request.get("number", self.rig.serial)
        data = self.persistence.journal.slots.read(CALIBRATION, number) if self.persistence else None
        if data is None:
            raise Refused(NOT_KEPT, "number: the pump keeps no rig %d" % number)
        return {"number": number, "in_force": self.rig.serial, "rig": json.loads(bytes(data))}

    def confirmed(self, data: bytes, unwatched) -> None:
        """It is to be written, and then in force. Raises, and changes nothing, where that cannot be now."""
        self._judged(json.loads(data))  # an alarm may stand by now, and more have been counted
        self.persistence.applied(CALIBRATION, (data,))
        self.control.teller.event(events.RIG, self.persistence.journal.slots.serial, len(unwatched))
        self.regimen.end()

    def _judged(self, tables):
        """The rig of these tables. Raises for one that cannot be, or not now."""
        self._check_rests()
        if self.persistence is None or not self.persistence.writes():
            raise Refused(NOT_KEPT, "a rig cannot be written down: the journal is out of order")
        try:
            rig = rigs.read(tables)
            self._check_counts(rig)
        except rigs.RigError as problem:
            raise Refused(BAD_RIG, str(problem)) from None  # the interpreter would print that it chains none
        self._check_alarms(rig)
        return rig

    def _may_flow(self):
        """Whether there is a therapy that could start."""
        therapy = self.regimen.prescription
        return therapy is not None and len(therapy.basal) > 0

    def _check_rests(self) -> None:
        """Refused in any state but STOPPED, and HALTED if nothing could flow."""
        if self.control.state != states.HALTED or self._may_flow():
            self.denials.check_stopped()

    def _check_alarms(self, rig: "Rig") -> None:
        """Refused while what a part has found stands, if `rig` is without it and something could flow."""
        if not self._may_flow():
            return
        control = self.control
        for part, rows in ALARMS_OF:
            if not self.rig.has(part) or rig.has(part):
                continue
            standing = [alarms.ALARMS[row].code for row in rows if control.alarms.standing[row]]
            failed = control.failures | control.senses.failed.bits
            if part in parts.PARTS and failed >> parts.PARTS.index(part) & 1:
                standing.append(part + " failed")
            if standing:
                raise Refused(
                    ALARM_STANDS,
                    "%s: must stay while %s stands; see to it and acknowledge it first, or program a stopped"
                    " therapy if it was never there" % (part, ", ".join(standing)),
                )

    def _check_counts(self, rig: "Rig") -> None:
        """Refused where what was counted so far would be more of its steps than can be counted. RigError."""
        ratio = recount.step_ratio(self.rig, rig)
        control = self.control
        executed_steps = control.position.executed_steps
        line = control.dosing.line
        ahead = max(self.reservoir.left_steps(executed_steps), line.credit_steps)
        if line.bridge:
            ahead = max(ahead, line.bridge.left_steps)
        if recount.steps_up(executed_steps, ratio) + recount.steps_up(ahead, ratio) > END_STEPS:
            raise rigs.RigError(
                "motor, head: %d steps a revolution of %d nL make more steps of what was delivered so far"
                " than can be counted, %d; take fewer microsteps, or begin anew (begin_anew)"
                % (rig.steps_per_rev, rig.nl_per_rev, END_STEPS)
            )


def readback(rig: "Rig", before: "Rig"):
    """What a pump says of a rig that is proposed: each key as table.key, what follows from them, `soft` the
    codes of what goes unwatched, and `changes`: key, old and new value for each that differs from the rig
    in force, None where it is not fitted, and of a list that is no ratio its length.
    """
    mechanism = rig.mechanism()
    said = {}
    changes = []
    old = {} if before.missing else before.tables
    for name, _, keys in rigs.tables():
        for key in keys:
            where = "%s.%s" % (name, key.name)
            value = _said(rig.tables, name, key.name)
            was = _said(old, name, key.name)
            if value is not None:
                said[where] = value
            if value != was:
                changes.append([where, _short(was), _short(value)])
    said["steps_per_rev"] = mechanism.steps_per_rev
    said["nl_per_step"] = list(reduced(mechanism.nl_per_rev, mechanism.steps_per_rev))
    said["max_rate_nl_h"] = min(MOST_RATE_NL_H, mechanism.max_rate_nl_h())
    if not before.missing:
        said["changes"] = changes
    unwatched = rig.unwatched()
    if unwatched:
        said["soft"] = unwatched
    return said


def _short(value):
    return len(value) if isinstance(value, list) and len(value) != RATIO else value


def _said(tables, table, key):
    """A value as the link has it, None where the table is not there."""
    if table not in tables:
        return None
    value = tables[table][key]
    return list(value) if isinstance(value, tuple) else value
