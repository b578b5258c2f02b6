"""What survives a reset and a power cut: the pump's state and the journal, turned into each other.

`Persistence.restore` fills what has just been built from what `journal.recover` found. Then, once per tick,
`begin` hears what came of the last flash command, and `end` brings the journal's fields up to date and orders
the next one. `booking` sees to it that no motion is made before it is booked.

A snapshot is written whenever a field other than the ledger's differs from the one written last. Nothing
allocates but programming and `restore`.
"""

import struct

from . import phase
from .booking import Booking
from .clock import TICKS_PER_S
from .dose import library_wire, program
from .dose.course import KINDS
from .dose.line import Bridge
from .dose.prescription import PrescriptionError
from .dose.units import concentration_of
from .record import events
from .record.layout import (
    CALIBRATION,
    DRUG_SERIAL,
    LIBRARY,
    SERIALS,
    SOUND,
    THERAPY,
    VIRGIN,
    place_of,
)
from .states import DRAW_BACK, MOVING, POST
from .watch import alarms, parts
from .watch.resets import MOST_RESETS, Resets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .critical import Critical
    from .motion import Motion
    from .signals import Inputs
    from .watch.lockout import Lockout
    from .watch.reservoir import Reservoir


STATE = place_of("state")
ALARMS = place_of("alarms")
FIRST_CAUSE = place_of("first_cause")
FAILED_PARTS = place_of("failed_parts")
FILL = place_of("fill_nl")
FILLED_AT = place_of("filled_at_steps")
LINE_EMPTY = place_of("line_empty")
CREDIT_END = place_of("credit_end_steps")
BRIDGE_END = place_of("bridge_end_steps")
BRIDGE_OLD = place_of("bridge_old")
BRIDGE_NEW = place_of("bridge_new")
DRAWN_FROM = place_of("drawn_from_steps")
LEAST = place_of("least_steps")
OCCLUSION_BASE = place_of("occlusion_base_16")
OCCLUSION_NL_KPA = place_of("occlusion_nl_kpa")
BOLUS_NL = place_of("bolus_nl_0")
BOLUS_FROM = place_of("bolus_from_steps_0")
LOCKOUT_END = place_of("lockout_end_tick")
GRANTS = place_of("grants")
DENIALS = place_of("denials")
PULSES = place_of("rotor_pulses")
RESETS = place_of("resets")
RESET_TICKS = tuple(place_of("boot_tick_%d" % number) for number in range(MOST_RESETS))
STRIKE_ALARM = place_of("strike_alarm")
STRIKE_TICK = place_of("strike_tick")
STRIKE_BEFORE_TICK = place_of("strike_before_tick")
ALARMS_STOPPED = place_of("alarms_stopped")
DRUG_STARTED = place_of("drug_started")
DOSE_CHANGED = place_of("dose_changed")
ACCEPTED = place_of("bounds_accepted")
# What makes a snapshot when it changes: not what goes with every step, or has a record of its own.
LINE = (LINE_EMPTY, CREDIT_END, BRIDGE_END, BRIDGE_OLD, BRIDGE_NEW, DRUG_SERIAL, DRAWN_FROM, LEAST)
OTHERS = (
    STATE,
    ALARMS,
    FIRST_CAUSE,
    FILL,
    FILLED_AT,
    OCCLUSION_NL_KPA,
    BOLUS_NL,
    BOLUS_NL + 1,
    LOCKOUT_END,
    RESETS,
    STRIKE_TICK,
    ALARMS_STOPPED,
    FAILED_PARTS,
    DRUG_STARTED,
    DOSE_CHANGED,
    ACCEPTED,
)
WATCHED = LINE + OTHERS + phase.FIELDS


UNREADABLE = "?"  # for the name of a drug
NO_LIBRARY = (0, (), 0)  # fails its check


def _ends_rest(image, at: int):
    """Whether the event there is a change of state that is none of a boot, or a boot that found motion."""
    _, _, _, code, a, _, _ = struct.unpack_from(events.RECORD, image, at)
    return a > POST if code == events.STATE else code == events.BOOT and a in MOVING


class Persistence:
    """Keeps in `journal`, which has recovered, what `control` and its parts, `motion`, `window` and the rest
    are to be again after a reset.
    """

    def __init__(
        self,
        journal,
        control: "Control",
        critical: "Critical",
        motion: "Motion",
        regimen,
        window,
        lockout: "Lockout",
        reservoir: "Reservoir",
        log,
    ) -> None:
        dosing = control.dosing
        self.journal = journal
        self.control = control
        self.alarms = control.alarms
        self.senses = control.senses
        self.clock = control.clock
        self.position = control.position
        self.mechanism = dosing.mechanism
        self.line = dosing.line
        self.boluses = dosing.boluses
        self.critical = critical
        self.regimen = regimen
        self.window = window
        self.lockout = lockout
        self.reservoir = reservoir
        self.log = log
        self.resets = Resets()
        self.booking = Booking(journal, control, motion, regimen)
        self.written = list(journal.words)  # as of the last snapshot asked for
        self.was_reset = False
        # The therapy in force, or the last that named a drug, cannot be read; or a pump that ran has none.
        self.therapy_lost = False
        self.restarting = False  # another rig is being written, or is: the board has to start anew
        self.ratio = None  # a change of unit that is still to be written
        regimen.therapies.use(self._stored_therapy, 0)
        # What the fields were filled from last, as far as it changes without a word from anybody.
        self.alarm_bits = 0
        self.raised_bits = 0
        self.failed_bits = 0
        self.had_credit = False

    def sound(self) -> bool:
        """Whether the journal can be written and what it says believed."""
        return self.journal.status in (VIRGIN, SOUND)

    def writes(self):
        """Whether what is to be written down will be, some day."""
        return self.sound() and not self.journal.failed and self.critical.words.trusted

    def rests(self):
        """Whether a reset, now, would find the pump at rest and leave it so: all is written and read back."""
        journal = self.journal
        saved = journal.state.started and journal.state.saved_ticket == journal.state.save_ticket
        return saved and self.written[STATE] not in MOVING

    def restart_due(self):
        """Whether the board has to start anew, now that all is written and read back."""
        return self.restarting and not self.busy() and self.journal.idle()

    def rig_number(self):
        """Of the rig in force, 0 without one."""
        return self.journal.rig_number

    def begin_anew(self) -> None:
        """Use a flash that holds something else, or a journal whose state is lost, and forget what it holds
        but its rig, which does not change with what was counted; a clinician wants it. The self-test finds it
        sound after the next reset. A sound journal, whose counts are used up, is wiped, and the motor stays
        off until that reset.
        """
        if self.sound():
            self.journal.wipe()
            self.control.failures |= 1 << parts.JOURNAL
            return
        self.journal.begin_anew()
        self.journal.state.save()

    # --- at boot

    def restore(self):
        """Fill the pump from the journal."""
        journal = self.journal
        words = journal.words
        history = journal.history
        journal.history = None  # its arrays go with it
        self.log.count = self.log.sent = journal.log_count
        if journal.status != SOUND:
            journal.state.save()
            return
        self.clock.resume(words[place_of("tick")])
        self.position.resume(words[place_of("executed_steps")], words[place_of("dose_steps")])
        self.control.found_state = words[place_of("state")]
        self.resets.count = words[RESETS]
        for index in range(min(words[RESETS], MOST_RESETS)):
            self.resets.ticks[index] = words[RESET_TICKS[index]]
        self.was_reset = True
        self.window.load(history.minutes, self.clock.tick)
        moved = self.control.found_state in MOVING
        self.control.stopped_tick = self.clock.tick if moved else self._stopped_tick()
        self._restore_alarms()
        lockout = self.lockout
        lockout.count = words[place_of("grants")]
        lockout.denied_count = words[place_of("denials")]
        for index in range(len(lockout.grants)):
            lockout.grants[index] = history.grants[index]
            lockout.denials[index] = history.denials[index]
        lockout.ended = words[place_of("lockout_end_tick")] >= 0
        lockout.end_tick = max(words[place_of("lockout_end_tick")], 0)
        self._restore_line()
        if self.position.evens:
            phase.restore(words, self.position, self.booking.ledger.unsure_steps)
        for kind in range(KINDS):
            given_steps = max(self.position.executed_steps - words[BOLUS_FROM + kind], 0)
            self.boluses.resume(kind, words[BOLUS_NL + kind], self.mechanism.volume_nl(given_steps))
        if words[place_of("fill_nl")] >= 0:
            reservoir = self.reservoir
            reservoir.refill(words[place_of("fill_nl")], words[place_of("filled_at_steps")])
        changes = self.regimen.changes
        changes.started_tick = words[DRUG_STARTED] - 1
        changes.changed_tick = words[DOSE_CHANGED] - 1
        changes.accepted = words[ACCEPTED]
        self._restore_library()
        self._restore_therapies()
        self._make_solid()
        self.senses.motion.pulses = words[PULSES]
        journal.state.save()

    def _stopped_tick(self) -> int:
        """Since when the pump has rested, by the log; the oldest event that is kept may be younger. Of a stop
        that a cut left out of the log nothing is known but that it was before the last record.
        """
        image = self.journal.region.image
        at = self.journal.events.last(lambda at: _ends_rest(image, at))
        if at < 0:
            return 0
        _, tick_s, _, code, _, b, _ = struct.unpack_from(events.RECORD, image, at)
        if code == events.STATE and b in MOVING:
            return self.clock.tick
        return min(tick_s * TICKS_PER_S, self.clock.tick)

    def _restore_alarms(self) -> None:
        words = self.journal.words
        self.alarms.advance(self.clock.tick)
        for row in range(len(alarms.ALARMS)):
            if words[place_of("alarms")] >> row & 1:
                self.alarms.set(row)
        self.alarms.first_cause = words[place_of("first_cause")]
        self.senses.failed.bits = words[FAILED_PARTS]
        self.alarms.raised_bits = 0  # the reset has stopped the pump
        self.alarms.stopped_bits = words[ALARMS_STOPPED]
        self.alarms.struck = row = words[STRIKE_ALARM] - 1
        if row >= 0:
            self.alarms.strike_tick[row] = words[STRIKE_TICK]
            self.alarms.strike_before_tick[row] = words[STRIKE_BEFORE_TICK]

    def _restore_library(self) -> None:
        serial = self.journal.words[SERIALS[LIBRARY]]
        text = self.journal.slots.read(LIBRARY, serial)
        if text is not None:
            self.regimen.library = library_wire.unpack(text)
        elif serial:
            self.regimen.library = NO_LIBRARY

    def _restore_therapies(self) -> None:
        words = self.journal.words
        serial = words[SERIALS[THERAPY]]
        self.regimen.therapies.use(self._stored_therapy, serial)
        therapy, ended = self._therapy(serial)
        self.regimen.prescription = therapy
        if therapy is None and not (ended and self.control.found_state not in MOVING):
            self.therapy_lost = self.therapy_lost or serial > 0

    def _make_solid(self) -> None:
        """A rig that a boot finds and no snapshot speaks of: a cut came when it was written, and may have
        left it such that it reads otherwise some day. So it is written once more.
        """
        number = self.rig_number()
        if number > self.journal.found_rig_number:
            data = self.journal.slots.read(CALIBRATION, number)
            self.journal.slots.begin(CALIBRATION, (bytes(data),))

    def _restore_line(self) -> None:
        """What is booked counts as made: it has used up credit, and cleared a bridge."""
        words = self.journal.words
        line = self.line
        line.credit_steps = max(words[CREDIT_END] - self.position.executed_steps, 0)
        line.jogged = words[LINE_EMPTY] == 2
        line.empty = words[LINE_EMPTY] == 1 and self.control.found_state not in MOVING
        if words[BRIDGE_OLD]:
            left_steps = max(words[BRIDGE_END] - self.position.executed_steps, 0)
            line.bridge = Bridge(left_steps, words[BRIDGE_OLD], words[BRIDGE_NEW])
        line.drawn_from_steps = words[DRAWN_FROM]
        line.least_steps = words[LEAST]
        if words[DRUG_SERIAL]:
            data = self._stored_therapy(words[DRUG_SERIAL])
            if data is None:  # no drug that anybody can name: only a new line lets another one come
                self.therapy_lost = True
                line.drug, line.concentration = UNREADABLE, (1, 1)
            else:
                held = program.Packed(data).head
                line.drug, line.concentration = held["drug"], concentration_of(held["concentration_pg_nl"])
        if words[OCCLUSION_NL_KPA] and self.senses.down:
            self.senses.down.resume(words[OCCLUSION_BASE], words[OCCLUSION_NL_KPA])

    def _stored_therapy(self, serial: int):
        data = self.journal.slots.read(THERAPY, serial)
        return None if data is None else (data,)

    def _therapy(self, serial: int):
        """The Prescription of that number, None where none can be read; and whether another rig ended it."""
        data = self._stored_therapy(serial)
        if data is None:
            return None, False
        try:
            kept = program.Packed(data)
            if kept.rig != self.rig_number():
                return None, True
            return kept.read(self.mechanism), False
        except PrescriptionError:
            return None, False  # whole, and yet no therapy of this mechanism: the caller says that it is lost

    # --- once per tick

    def begin(self, inputs: "Inputs"):
        """Hear what came of the last flash command. Returns the position up to which motion is booked."""
        self.journal.heard(inputs.flash_done, inputs.flash_ok)
        return self.booking.begin()

    def end(self, moving: bool) -> None:
        """Bring the journal's fields up to date and choose the next flash command."""
        journal = self.journal
        may_erase = self.booking.step(moving)
        if journal.slots.done():
            self._adopt()
        if self._changed():
            self._fill()
        if self.ratio and not self.busy() and not journal.history_writer.rescale_ticket:
            journal.history_writer.rescale(self.ratio[0], self.ratio[1], self.position.dose_steps)
            self.ratio = None
        journal.log_count = self.log.count
        journal.order(may_erase)

    def _changed(self) -> bool:
        """Whether anything may have changed since the fields were filled: by a command or a move, which say
        so (`unwritten`), or by itself.
        """
        control = self.control
        alarm_bits = self.alarms.bits
        raised_bits = self.alarms.raised_bits
        failed_bits = self.senses.failed.bits
        down = self.senses.down
        has_credit = self.line.credit_steps > 0
        self.journal.words[PULSES] = self.senses.motion.pulses  # they go with every step
        if not (
            control.unwritten
            or alarm_bits != self.alarm_bits
            or raised_bits != self.raised_bits
            or failed_bits != self.failed_bits
            or has_credit
            or self.had_credit
            or control.state == DRAW_BACK  # a bridge grows
            or (down is not None and down.alarm)  # as what is known of the line does
        ):
            return False
        control.unwritten = False
        self.alarm_bits = alarm_bits
        self.raised_bits = raised_bits
        self.failed_bits = failed_bits
        self.had_credit = has_credit
        return True

    def _fill(self) -> None:
        """The state of this tick into the fields; a snapshot if any has changed."""
        words = self.journal.words
        self.fill(words)
        changed = False
        written = self.written
        for index in WATCHED:
            if words[index] != written[index]:
                written[index] = words[index]
                changed = True
        if self.lockout.count > words[GRANTS]:
            self.journal.history_writer.grant(self.clock.tick + 1)
        elif changed:
            self.journal.state.save()

    def fill(self, words) -> None:
        """The state of this tick into fields."""
        control = self.control
        words[STATE] = control.state if control.state > POST else control.found_state
        words[ALARMS] = self.alarms.bits
        words[FIRST_CAUSE] = self.alarms.first_cause
        words[FAILED_PARTS] = self.senses.failed.bits
        words[ALARMS_STOPPED] = self.alarms.raised_bits | self.alarms.stopped_bits
        # Of the strikes only those of the row that struck last.
        struck = self.alarms.struck
        words[STRIKE_ALARM] = struck + 1
        words[STRIKE_TICK] = self.alarms.strike_tick[struck] if struck >= 0 else 0
        words[STRIKE_BEFORE_TICK] = self.alarms.strike_before_tick[struck] if struck >= 0 else 0
        reservoir = self.reservoir
        words[FILL] = reservoir.fill_nl if reservoir.known else -1
        words[FILLED_AT] = reservoir.filled_at_steps
        self._fill_line(words)
        if self.position.evens:
            drawn = control.state == DRAW_BACK or (self.senses.down is not None and self.senses.down.alarm)
            phase.fill(words, self.position, -1 if drawn else self.booking.ledger.quantum_steps)
        for kind in range(KINDS):
            words[BOLUS_NL + kind] = self.boluses.volume_nl[kind]
            words[BOLUS_FROM + kind] = self.boluses.from_steps[kind] if self.boluses.volume_nl[kind] else 0
        lockout = self.lockout
        words[LOCKOUT_END] = lockout.end_tick if lockout.ended else -1
        words[DENIALS] = lockout.denied_count
        words[RESETS] = self.resets.count
        for index in range(MOST_RESETS):
            words[RESET_TICKS[index]] = self.resets.ticks[index]
        if not self.busy():
            self._fill_changes(words)

    def _fill_line(self, words) -> None:
        line = self.line
        words[LINE_EMPTY] = 1 if line.empty else 2 if line.jogged else 0
        words[CREDIT_END] = self.position.executed_steps + line.credit_steps if line.credit_steps else 0
        words[DRAWN_FROM] = line.drawn_from_steps
        words[LEAST] = line.least_steps
        if not self.busy():  # what a therapy changed of the line is written with it
            bridge = line.bridge
            words[BRIDGE_END] = self.position.executed_steps + bridge.left_steps if bridge else 0
            words[BRIDGE_OLD] = bridge.old if bridge else 0
            words[BRIDGE_NEW] = bridge.new if bridge else 0
        down = self.senses.down
        words[OCCLUSION_BASE] = words[OCCLUSION_NL_KPA] = 0
        if down is not None and down.alarm:
            words[OCCLUSION_BASE] = down.base_16
            words[OCCLUSION_NL_KPA] = down.compliance_nl_kpa()

    # --- what is long

    def busy(self) -> bool:
        """Whether the last therapy, library or rig is still being written."""
        return self.journal.slots.kind >= 0

    def applied(self, kind: int, pieces) -> None:
        """A therapy or a library, in pieces of bytes, is in force, or a rig is to be: have it written. A cut
        before that is done finds the last one, with all that was delivered meanwhile.
        """
        if self.busy():  # and always will be: the journal has failed
            self.journal.slots.drop()
        self.journal.slots.begin(kind, pieces)
        if kind == CALIBRATION:
            self.restarting = True
            self.resets.forget()  # whoever changes the rig again and again makes no loop of resets

    def rescale(self, num: int, den: int) -> None:
        """All dose so far counts num/den from now on; written with the therapy that makes it so."""
        self.ratio = (num, den)

    def _adopt(self) -> None:
        journal = self.journal
        kind = journal.slots.kind
        therapy = kind == THERAPY
        self._fill_changes(journal.words)
        serial = journal.slots.adopt()
        if kind == CALIBRATION and not self.restarting:
            journal.rig_number = serial  # the same one, made solid
        if therapy:
            self.regimen.therapies.written()
        if therapy and self.regimen.prescription.concentration:
            journal.words[DRUG_SERIAL] = serial
        self.control.unwritten = True  # what waited for it
        journal.state.save()

    def _fill_changes(self, words) -> None:
        """They belong to the therapy in force: written no sooner than it is."""
        changes = self.regimen.changes
        words[DRUG_STARTED] = changes.started_tick + 1
        words[DOSE_CHANGED] = changes.changed_tick + 1
        words[ACCEPTED] = changes.accepted
