"""The pump: one tick, and the only place where the rooms meet.

    inputs -> time -> dose (wanted position) -> link (commands) -> watch (what must not happen) -> motion
    (allowed position) -> outputs -> record

`loop.py` calls `decide`, `keep` and `report` once per tick of 100 ms; a tick that came too late to be run is
merged into the next one, which then lets more than one tick pass. Nothing here knows a pin, a clock or a
wall. The parts are built here, once, each with those that it needs; none holds the pump.
"""

from . import states, words
from .buttons import Buttons
from .clock import Clock
from .control import Control
from .crc import digits_into
from .critical import Critical
from .dose import prescription
from .dose.delivery import Delivery
from .dose.head import FAST_PART
from .dose.line import Line
from .dosing import Dosing
from .handlers.assembly import assemble
from .host import Host
from .link.frame import FrameWriter
from .link.session import Session
from .link.telemetry import Telemetry
from .motion import Motion
from .persistence import Persistence
from .position import Position
from .record import events
from .regimen import Regimen
from .signals import RX_BYTES
from .startup import Startup
from .status import Status
from .teller import Teller
from .watch import alarms
from .watch.button import Button
from .watch.counts import Counts
from .watch.guard import Guard
from .watch.limits import WindowLedger
from .watch.lockout import Lockout
from .watch.reservoir import Reservoir
from .watch.selftest import DOSE, LINK, MOTION, REPORT, TIME, WATCH
from .watch.senses import Senses
from .watching import Watching

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .rig import Rig
    from .signals import Inputs, Outputs

# Asked for in every tick: a name of this module is found sooner than one of another.
TIME_WORDS, DOSE_WORDS, PLAN_WORDS, HISTORY_WORDS = words.TIME, words.DOSE, words.PLAN, words.HISTORY


class Pump:
    """The whole pump but for its hardware, on one rig. `crc` may be a faster one for the link. `journal` has
    recovered and `log` is its ring of events; without them it forgets all at a reset. `chip` is the board's
    own number, `chance` bytes that nobody foresees.
    """

    def __init__(
        self, rig: "Rig", crc=digits_into, journal=None, log=None, chip: bytes = b"", chance: bytes = b""
    ) -> None:
        self.mechanism = mechanism = rig.mechanism()
        nl_per_rev, steps_per_rev = mechanism.nl_per_rev, mechanism.steps_per_rev
        most_nl_h = min(prescription.MOST_RATE_NL_H, mechanism.max_rate_nl_h())
        # What it knows ...
        self.clock = clock = Clock()
        self.position = position = Position(rig.pump_head())
        self.line = line = Line()
        self.delivery = delivery = Delivery(mechanism, position.head.behind_steps)
        self.ledger = ledger = WindowLedger()
        self.guard = guard = Guard(nl_per_rev, steps_per_rev, most_nl_h)
        self.lockout = lockout = Lockout()
        self.reservoir = reservoir = Reservoir(nl_per_rev, steps_per_rev)
        self.senses = Senses(rig)
        self.regimen = regimen = Regimen(clock, line, ledger, guard, reservoir)
        # ... and what it does with it.
        self.log = log or events.EventLog()
        self.teller = Teller(clock, position, delivery, self.log, journal)
        dosing = Dosing(mechanism, clock, position, line, delivery, regimen, lockout, self.teller)
        self.control = control = Control(clock, position, dosing, self.senses, self.teller)
        self.alarms = control.alarms
        self.motion = Motion(position, line, delivery, ledger, guard, control)
        kept = words.Words(
            clock, position, line, delivery, ledger, guard, lockout, reservoir, regimen, self.motion
        )
        self.critical = critical = Critical(kept, control)
        self.persistence = persistence = None
        if journal is not None:
            self.persistence = persistence = Persistence(
                journal, control, critical, self.motion, regimen, ledger, lockout, reservoir, self.log
            )
        regimen.persistence = persistence  # pyright: ignore[reportAttributeAccessIssue]
        counts = Counts()
        stop = Button(rig.debounce_ms("button_stop"))
        patient = Button(rig.debounce_ms("button_patient"))
        session = Session(crc)
        self.writer = FrameWriter(crc)
        telemetry = Telemetry(self.writer, states.STATES, [event.name for event in events.EVENTS])
        self.status = Status(telemetry, session, control, guard, ledger, reservoir, rig, mechanism)
        self.handlers = assemble(
            rig, control, regimen, ledger, guard, reservoir, counts, persistence, session.keys
        )
        self.host = Host(
            control, critical, self.handlers, self.status, stop, persistence, session, self.writer
        )
        self.buttons = Buttons(control, critical, self.host, self.handlers.boluses, stop, patient)
        self.startup = startup = Startup(control, regimen, session.keys, guard, stop, persistence)
        self.watching = Watching(
            control, critical, startup, regimen, ledger, guard, reservoir, counts, journal
        )
        if persistence:
            persistence.restore()
            startup.was_reset = persistence.was_reset
        self.handlers.keyring.restore(chip, chance)
        kept.keep_all()

    # --- one tick

    def decide(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """All of a tick but what is kept and told. Never blocks; in the steady state allocates nothing."""
        outputs.clear_orders()
        if self.persistence is not None:
            self.guard.booked_most = self.persistence.begin(inputs)
        ticks = self._time_part(inputs)
        outputs.checked_in |= TIME
        self._dose_part(inputs, ticks)
        outputs.checked_in |= DOSE
        self._link_part(inputs, outputs)
        outputs.checked_in |= LINK
        self._watch_part(inputs, ticks)
        outputs.checked_in |= WATCH
        self._motion_part(inputs, outputs)
        outputs.checked_in |= MOTION
        self._annunciate(outputs)

    def keep(self) -> None:
        """Choose what is written down of this tick; the motor need not wait for that either. Numbers that are
        not to be trusted are not written: a reset goes back to those before.
        """
        if self.persistence is not None and self.critical.words.trusted:
            self.persistence.end(self.control.state in states.MOVING)
            self.host.kept()

    def report(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """The rest of the tick: events and status, as far as there is room."""
        self.teller.send(outputs, self.status.telemetry)
        self.status.send_when_due(inputs, outputs)
        if self.persistence is not None and self.persistence.restarting:
            outputs.restart = self.persistence.restart_due()
        outputs.checked_in |= REPORT

    def fail(self) -> None:
        """The loop around the pump failed in this tick: halt. The motor is off already."""
        self.control.make_loggable()
        self.control.raise_alarm(alarms.LOOP_FAULT)
        self.control.unsettled = True
        self.critical.settle()

    # --- its parts, each between the comparing of the critical words and the keeping (SAFE-07)

    def _time_part(self, inputs: "Inputs"):
        """Let the time pass that has passed, and enter in the window what the motor made of it."""
        critical = self.critical
        if not critical.words.trusted:
            critical.fault()
        critical.compare(TIME_WORDS)
        critical.compare(HISTORY_WORDS)
        if not critical.words.trusted:
            self.clock.stand_still(inputs.tick_s, inputs.tick_ms)  # whatever it was: no jump of time
        ticks = self.clock.advance(inputs.tick_s, inputs.tick_ms)
        self.alarms.advance(self.clock.tick)
        self.senses.read(inputs, self.clock.tick)
        position = self.position
        executed_steps = counted_steps = inputs.executed_steps + position.base_steps
        if inputs.index_count != position.seen_marks:
            position.look(counted_steps, inputs.index_count)
            self.control.unwritten = position.evens or self.control.unwritten
        position.counted_steps = counted_steps
        if position.evens:
            executed_steps = position.head.volume_at(counted_steps)
        if self.delivery.owed.flow:
            executed_steps = self.delivery.due(executed_steps, ticks, inputs.late_us)
        if position.evens:
            executed_steps = self.motion.evened(executed_steps)
        position.executed_steps = executed_steps
        if critical.words.trusted:
            self.ledger.advance(ticks, position.enter(self.line))
        stop = self.buttons.stop
        if inputs.button_stop or stop.held:
            stop.look(inputs.button_stop, self.clock.passed_ticks)
        if self.control.state <= states.POST:
            self.startup.go_on(inputs)
        if position.evens:
            self._follow_head(counted_steps)
        critical.words.keep(HISTORY_WORDS)
        critical.keep(TIME_WORDS)
        return ticks

    def _follow_head(self, counted_steps: int) -> None:
        """Even out the head's pulsation while the phase is known and a dose flows, not too fast."""
        delivery = self.delivery
        fast = delivery.owed.flow_steps * FAST_PART >= self.mechanism.steps_per_tick_max
        moving = self.control.state in states.MOVING and self.line.drawn_from_steps < 0
        head = self.position.head
        turn = head.turn_at
        if head.follow(counted_steps, moving and not fast, self.position.executed_steps):
            delivery.replan = delivery.replan or moving
        elif turn == head.turn_at:
            return
        self.control.unwritten = True
        self.critical.words.keep_set()

    def _dose_part(self, inputs: "Inputs", ticks: int) -> None:
        """Owe what is due by now."""
        if self.control.state in states.MOVING:
            self.critical.compare(DOSE_WORDS)
        if self.control.state in states.MOVING:
            self._owe(ticks, inputs)
            self.critical.keep(DOSE_WORDS)

    def _link_part(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Do what the buttons and the host order."""
        buttons = self.buttons
        if buttons.stop.pressed:
            buttons.obey_stop(outputs)
        self.host.obey(inputs, outputs)
        if inputs.button_patient or buttons.patient.held:
            buttons.obey_patient(inputs, self.clock.passed_ticks)
        outputs.rx_most = min(self.host.session.reader.room(), RX_BYTES)
        if self.control.unsettled:
            self.critical.settle()

    def _watch_part(self, inputs: "Inputs", ticks: int) -> None:
        """Look for what must not happen."""
        self.watching.look(inputs, ticks)
        self.teller.tell_repeats()
        if self.control.unsettled:
            self.critical.settle()

    def _motion_part(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Order the motor's next segments."""
        motion = self.motion
        orders = self.control.state in states.MOVING
        if orders:
            if not inputs.queue_free and not self.delivery.replan:
                outputs.enable = True
                return
            self.critical.compare(PLAN_WORDS)
        comes_to_rest = self.control.state not in states.MOVING and motion.settling == 1
        if self.delivery.replan and self.control.state in states.MOVING:
            self.critical.before_change()
        motion.order(inputs, outputs)
        if orders or comes_to_rest:
            self.critical.keep(PLAN_WORDS)

    def _annunciate(self, outputs: "Outputs") -> None:
        row = self.alarms.first
        if row < 0:
            outputs.alarm_priority = -1
            outputs.alarm_sound = False
            return
        outputs.alarm_priority = self.alarms.priority[row]
        outputs.alarm_sound = self.alarms.sounding()

    def _owe(self, ticks: int, inputs: "Inputs") -> None:
        delivery = self.delivery
        if ticks > 1:
            self.teller.event(events.MERGED, ticks - 1, 0)
        through = delivery.advance(ticks)
        if inputs.starved:
            forfeited = delivery.position() - self.position.executed_steps
            delivery.drop(forfeited)
            self.teller.event(events.STARVED, forfeited, 0)
            delivery.replan = True
        if self.line.drawn_from_steps < 0:
            active = delivery.owed.active
            bolus = through >= 0 or active[0] or active[1]
            executed_steps = self.position.executed_steps
            owed_steps = delivery.position()
            if executed_steps != owed_steps or self.senses.motion.beyond_sign:
                if self.position.evens:  # the encoder turns with the rotor
                    lead_steps = self.position.lead_steps()
                    owed_steps += lead_steps
                    executed_steps += lead_steps
                row = self.senses.motion.compare(ticks, owed_steps, executed_steps, bolus)
                if row >= 0:
                    self.control.raise_alarm(row)
        cut = self.motion.cut
        if cut.ticks or cut.steps:
            cut.pass_tick()
        if through >= 0:
            self.critical.compare(TIME_WORDS)
            self.control.complete(through)
            self.critical.words.keep_set()
