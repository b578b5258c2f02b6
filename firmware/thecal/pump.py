"""The pump: one tick, and the only place where the rooms meet.

`Pump.step(inputs, outputs)` reads everything, decides, and leaves its orders in `outputs`:

    inputs -> link (commands) -> dose (wanted position) -> watch (allowed position) -> record (events) ->
    outputs

It is called once per tick of 100 ms with the nominal time of the tick; a tick that came too late to be run is
merged into the next one, which then lets more than one tick pass. Nothing here knows a pin, a clock or a
wall.
"""

# The prescription is there in every state that asks for it, a command once it has been read.
# pyright: reportOptionalMemberAccess=false

from . import states, words
from .causes import ALARM, COMMAND, ILLEGAL_MOVE, POWER_ON, RESET_FAULT, RESUME, SELF_TEST
from .clock import MS_PER_S, TICK_MS, TICKS_PER_HOUR, TICKS_PER_MIN, TICKS_PER_S, Clock
from .dose import formulary, prescription
from .dose.boluses import Boluses
from .dose.delivery import KINDS, PATIENT, Delivery
from .dose.line import Line
from .host import Host
from .keeper import Keeper
from .link.frame import FrameWriter, crc_into
from .link.telemetry import STATUS_PERIOD_TICKS, Telemetry
from .orders import Orders
from .position import Position
from .prospect import Prospect
from .record import events
from .record.repeats import Repeats, kind_of
from .regimen import Regimen
from .signals import QUEUE_SEGMENTS, RX_BYTES, SEGMENT_TICKS
from .smallint import LARGEST
from .watch import alarms, parts, selftest
from .watch.button import StopButton
from .watch.counts import Counts
from .watch.guard import Guard
from .watch.limits import WindowLedger
from .watch.lockout import Lockout
from .watch.reservoir import Reservoir
from .watch.resets import Resets
from .watch.senses import Senses

CUT_TICKS = SEGMENT_TICKS * (QUEUE_SEGMENTS + 2)
TELL_TICKS = TICKS_PER_MIN  # from one event of cut orders to the next
LONG_STOP_TICKS = 12 * TICKS_PER_HOUR  # own choice: half a day without a flow that is programmed

ENDS = (events.PATIENT_BOLUS_END, events.BOLUS_END)


class IllegalMove(Exception):
    """A change of state that the table does not know: a fault of the program, never ignored."""


class Pump:
    """The whole pump but for its hardware. `mechanism` is the calibration, `crc` may be a faster one for the
    link. `journal` has recovered and `log` is its ring of events; without them it forgets all at a reset.
    """

    def __init__(self, mechanism, crc=crc_into, journal=None, log=None):
        self.mechanism = mechanism
        self.state = states.BOOT
        self.clock = Clock()
        self.position = Position()
        self.regimen = Regimen()
        self.boluses = Boluses()
        self.line = Line()
        self.stopped_tick = 0
        self.button_was_pressed = False
        self.early = False  # a command that changes the flow is being carried out
        self.replan = False
        self.cut_ticks = 0  # for so long orders that were cut may be due
        self.cut_steps = 0  # of those, not told in an event yet
        self.cut_told_tick = -TELL_TICKS
        self.settling = 0  # ticks until the motor is known to rest: the one that halts it and the next
        self.delivery = Delivery(mechanism)
        nl_per_rev, steps_per_rev = mechanism.nl_per_rev, mechanism.steps_per_rev
        self.guard = Guard(
            nl_per_rev, steps_per_rev, min(prescription.MOST_RATE_NL_H, mechanism.max_rate_nl_h())
        )
        self.ledger = WindowLedger()
        self.lockout = Lockout()
        self.reservoir = Reservoir(nl_per_rev, steps_per_rev)
        self.alarms = alarms.Alarms()
        self.senses = Senses(nl_per_rev, steps_per_rev, mechanism.encoder_pulses_per_rev)
        self.resets = Resets()
        self.counts = Counts()
        self.was_reset = False
        self.post_failures = 0  # parts whose self-test failed, as bits; kept until a reset
        self.stop_button = StopButton()
        self.planned_steps = 0  # position at the end of the last segment ordered
        self.log = log or events.EventLog()
        self.repeats = Repeats()
        self.lost_told = 0  # events of the log that were lost, of those told
        self.writer = FrameWriter(crc)
        self.telemetry = Telemetry(self.writer, states.STATES, [event.name for event in events.EVENTS])
        self.host = Host(self, crc, journal)
        self.orders = Orders(self)
        self.prospect = Prospect(self)
        self.resumed_from = states.BOOT  # the state in which a reset found the pump
        self.keeper = None
        if journal is not None:
            self.keeper = Keeper(self, journal)
            self.keeper.restore()
            self.was_reset = self.keeper.was_reset
            self.resumed_from = self.state
            self.state = states.BOOT
            self.line.priming = self.resumed_from == states.PRIMING
        self.unsettled = False  # a move or an order may have changed any critical word
        self.words = words.Words(self)
        self.words.keep_all()

    # --- one tick

    def step(self, inputs, outputs):
        """One tick. Never blocks; in the steady state allocates nothing."""
        self.decide(inputs, outputs)
        self.keep()
        self.report(inputs, outputs)

    def decide(self, inputs, outputs):
        """All of a tick but what is told. The motor need not wait for that: telling takes milliseconds, and
        it is to stop within ten of the decision (OCC-04).
        """
        outputs.clear_orders()
        if self.keeper:
            self.guard.booked_most = self.keeper.begin(inputs)
        ticks = self._time_part(inputs)
        outputs.checked_in |= selftest.TIME
        self._dose_part(inputs, ticks)
        outputs.checked_in |= selftest.DOSE
        self._link_part(inputs, outputs)
        outputs.checked_in |= selftest.LINK
        self._watch_part(inputs, ticks)
        outputs.checked_in |= selftest.WATCH
        self._motion_part(inputs, outputs)
        outputs.checked_in |= selftest.MOTION
        self._annunciate(outputs)

    def keep(self):
        """Choose what is written down of this tick; the motor need not wait for that either. Numbers that are
        not to be trusted are not written: a reset goes back to those before.
        """
        if self.keeper and self.words.trusted:
            self.keeper.end(self.state in states.MOVING)
            self.host.kept()

    # --- its parts, each between the comparing of the critical words and the keeping (SAFE-07)

    def _time_part(self, inputs):
        if not self.words.trusted:
            self._memory_fault()
        self._compare(words.TIME)
        self._compare(words.HISTORY)
        if not self.words.trusted:
            self.clock.stand_still(inputs.tick_s, inputs.tick_ms)  # whatever it was: no jump of time
        ticks = self._let_time_pass(inputs)
        self.stop_button.look(inputs.button_stop, self.clock.passed_ticks)
        if self.state == states.BOOT:
            self._wake_up(inputs)
        if self.state == states.POST:
            self._leave_post()
        self.words.keep(words.HISTORY)
        self._keep(words.TIME)
        return ticks

    def _dose_part(self, inputs, ticks):
        if self.state in states.MOVING:
            self._compare(words.DOSE)
        if self.state in states.MOVING:
            self._owe(ticks, inputs)
            self._keep(words.DOSE)

    def _link_part(self, inputs, outputs):
        self._obey_stop_button(outputs)
        self.host.obey(inputs, outputs)
        self._obey_patient_button(inputs)
        outputs.rx_most = min(self.host.session.reader.room(), RX_BYTES)
        self._settle()

    def _watch_part(self, inputs, ticks):
        self._watch(inputs, ticks)
        self._tell_repeats()
        self._settle()

    def _motion_part(self, inputs, outputs):
        orders = self.state in states.MOVING and (self.replan or inputs.queue_free > 0)
        if orders:
            self._compare(words.PLAN)
        comes_to_rest = self.state not in states.MOVING and self.settling == 1
        self._order_motion(inputs, outputs)
        if orders or comes_to_rest:
            self._keep(words.PLAN)

    def _compare(self, group):
        if not self.words.agree(group):
            self._distrust(group)

    def _keep(self, group):
        self.words.keep(group)
        self._settle()

    def _settle(self):
        """Keep all words, after a move or an order, which changed them by right."""
        if self.unsettled:
            self.unsettled = False
            self.words.keep_all()
            if self.keeper:
                self.keeper.due = True

    def before_change(self):
        """What follows may use and change any word."""
        self._settle()
        for group in words.GROUPS:
            self._compare(group)
        self.unsettled = True

    def _distrust(self, group):
        """Words of a group are not what they were. Nothing is computed from them that moves the motor: it
        rests until a reset, and they are compared no more.
        """
        numbers = self.words.differing(group)
        self._make_loggable()
        for number in numbers:
            self.event(events.WORD, number, 0)
        self._memory_fault()

    def _memory_fault(self):
        self.words.trusted = False
        self.post_failures |= 1 << parts.WORDS
        self.raise_alarm(alarms.MEMORY_FAULT)
        if self.state in states.MOVING:  # the alarm stood already
            self.enter(states.HALTED, ALARM)

    def _make_loggable(self):
        """Whatever the words say now, it must be possible to halt and to write down that it was so."""
        self.clock.make_loggable()
        if not states.BOOT < self.state < len(states.STATES):
            self.state = states.RUNNING  # from where a halt ends all that may be under way

    def _wake_up(self, inputs):
        self.event(events.BOOT, self.resumed_from, inputs.reset_cause)
        if self.keeper and (self.keeper.journal.torn or not self.keeper.sound()):
            self.event(events.JOURNAL, self.keeper.journal.status, self.keeper.journal.torn)
        self.enter(states.POST, POWER_ON)
        self.guard.rest(self.position.executed_steps)
        if self.regimen.prescription:
            self.set_therapy(self.regimen.prescription)
        for kind in range(KINDS):
            # REC-03: a bolus that a reset cut is never started again by itself.
            self._bolus_ended(kind, complete=False)
        if self.line.drawn_from_steps >= 0:
            self._draw_back_cut_short()
        self._self_test(inputs)
        if inputs.reset_cause == RESET_FAULT:
            self._failed_before()
        if self.keeper and self.keeper.therapy_lost:
            self.raise_alarm(alarms.JOURNAL_FAULT)
        if self.was_reset and self.resets.too_many(self.clock.tick):
            self.raise_alarm(alarms.RESET_LOOP)

    def _failed_before(self):
        """The loop failed again and again and reset the board: it is halted for it now, as nothing could be
        written down then.
        """
        self.raise_alarm(alarms.LOOP_FAULT)
        if self.state != states.HALTED:  # the alarm stood already
            self.enter(states.HALTED, ALARM)

    def _leave_post(self):
        """Be again what the reset found, once that is written down."""
        if self.keeper and not self.keeper.ready():
            return
        if self.resumed_from == states.HALTED:
            self.enter(states.HALTED, ALARM)
            return
        self.enter(states.STOPPED, SELF_TEST)
        if self.resumed_from == states.RUNNING and not self.stop_button.held:
            self.raise_alarm(alarms.AUTO_RESUMED)
            self.enter(states.RUNNING, RESUME)

    def _self_test(self, inputs):
        """What the drivers found, and what the pump can tell of itself; any failure keeps the motor off."""
        self.post_failures = inputs.post_failures
        if not formulary.check(self.regimen.library):
            self.post_failures |= 1 << parts.LIBRARY
        if self.keeper and not self.keeper.sound():
            self.post_failures |= 1 << parts.JOURNAL
        self.post_failures |= self.senses.unbelievable()
        self.senses.failed.untold = 0  # the events of the self-test tell
        self._failed(self.post_failures)

    def _failed(self, bits):
        kinds = self.senses.failed.kinds
        for part in range(len(parts.PARTS)):
            if bits >> part & 1:
                self.event(events.POST_FAILED, part, kinds[part])
        if bits:
            self.raise_alarm(alarms.POST_FAILED)

    def enter(self, state, cause):
        """The one door to a change of state. IllegalMove, after halting, for a move not in the table."""
        left = self.state
        self.unsettled = True
        if state not in states.MOVES[left]:
            self.state = states.HALTED
            self.event(events.FAULT, left, ILLEGAL_MOVE)
            raise IllegalMove("%s to %s" % (states.STATES[left], states.STATES[state]))
        self.state = state
        if state in states.MOVING:
            self.delivery.begin(self.position.executed_steps, state == states.RUNNING)
            self.senses.begin(self.position.executed_steps, state == states.DRAW_BACK)
            self.line.priming = False
        if state == states.RUNNING:
            self.line.started()
            self.follow_schedule()
        self.event(events.STATE, left, state)
        if left in states.MOVING:
            self.alarms.motion_stopped()
            for kind in range(KINDS):
                self._bolus_ended(kind, complete=False)
            self.delivery.forfeit(self.position.executed_steps)
        self.stopped_tick = self.clock.tick
        self.clear_alarm(alarms.LONG_STOP)
        if self.line.drawn_from_steps >= 0 and left in states.MOVING:
            self._draw_back_cut_short()

    def fail(self):
        """The loop around the pump failed in this tick: halt. The motor is off already."""
        self._make_loggable()
        self.raise_alarm(alarms.LOOP_FAULT)
        self.unsettled = True
        self._settle()

    def _let_time_pass(self, inputs):
        ticks = self.clock.advance(inputs.tick_s, inputs.tick_ms)
        self.alarms.advance(self.clock.tick)
        self.senses.read(inputs, self.clock.tick)
        self.position.executed_steps = inputs.executed_steps + self.position.base_steps
        if self.words.trusted:
            self._enter_in_window(ticks)
        return ticks

    def _enter_in_window(self, ticks):
        steps = self.position.executed_steps - self.position.entered_steps
        if steps:  # what is drawn back credits nothing, and counts once more when it goes forward
            self.position.entered_steps = self.position.executed_steps
            steps = self.line.moved(steps)
        self.position.dose_steps += steps
        self.ledger.advance(ticks, steps)

    # --- dose

    def _owe(self, ticks, inputs):
        if ticks > 1:
            self.event(events.MERGED, ticks - 1, 0)
        through = self.delivery.advance(ticks)
        if inputs.starved:
            forfeited = self.delivery.position() - self.position.executed_steps
            self.delivery.drop(forfeited)
            self.event(events.STARVED, forfeited, 0)
            self.replan = True
        bolus = through >= 0 or self.delivery.owed.flowing() >= 0
        if self.line.drawn_from_steps < 0:
            row = self.senses.motion.compare(
                ticks, self.delivery.position(), self.position.executed_steps, bolus
            )
            if row >= 0:
                self.raise_alarm(row)
        self._tell_cut()
        if self.cut_ticks > 0:
            self.cut_ticks -= 1
            # Between two ends of segments a motor that is cut nowhere may be a step behind, too.
            missing_steps = self.delivery.position() - self.position.executed_steps - 1
            if missing_steps > 0:
                self.delivery.drop(missing_steps)
        if through >= 0:
            self._compare(words.TIME)
            self._bolus_ended(through, complete=True)
            self.words.keep_set()

    def _tell_cut(self):
        """An event for all that was cut, once a minute: for each order it would fill the log."""
        if self.cut_steps and self.clock.tick - self.cut_told_tick >= TELL_TICKS:
            self.event(events.LIMITED, self.cut_steps, 0)
            self.cut_told_tick = self.clock.tick
            self.cut_steps = 0

    def to_boundary(self):
        if self.state in states.MOVING:
            through = self.delivery.to_boundary()
            if through >= 0:
                self._bolus_ended(through, complete=True)

    def follow_schedule(self):
        therapy = self.regimen.prescription
        owed = self.delivery.owed
        owed.most_steps, owed.most_grains = self.mechanism.grains_per_tick(therapy.max_rate_nl_h, 1)
        owed.kvo_steps, owed.kvo_grains = self.mechanism.grains_per_tick(*self.line.volume(*therapy.kvo))
        owed.kvo = therapy.on_low_kvo and self.alarms.standing[alarms.RESERVOIR_LOW]
        schedule = self.line.schedule(therapy)
        owed.follow(schedule, self.clock.week_tick(self.delivery.ahead), self.clock.known)
        self.replan = True
        if therapy.mode == "flex" and not self.clock.known:
            self.raise_alarm(alarms.CLOCK_LOST)

    def _bolus_ended(self, kind, complete):
        volume_nl = self.boluses.end(kind)
        if not volume_nl:
            return
        if self.keeper:
            self.keeper.due = True
        if not complete:
            volume_nl = min(max(self._given_nl(kind), 0), volume_nl)
        if kind == PATIENT:
            self.lockout.end(self.clock.tick + self.delivery.ahead)
        if self.line.drawn_from_steps < 0:
            ended = events.PRIME_END if self.line.priming else ENDS[kind]
            self.event(ended, volume_nl, 1 if complete else 0)
        elif complete:
            self.line.drawn_from_steps = -1
            self.event(events.DRAW_BACK, volume_nl, 0)
        if self.state in (states.PRIMING, states.DRAW_BACK):
            self.enter(states.STOPPED, COMMAND)

    def _draw_back_cut_short(self):
        """OCC-05: by a stop, an alarm or a reset. The line still holds the rest, so the alarm stands again
        until that is drawn back too.
        """
        drawn_steps = self.line.drawn_from_steps - self.position.executed_steps
        self.line.drawn_from_steps = -1
        self.event(events.DRAW_BACK, self.mechanism.volume_nl(max(drawn_steps, 0)), 2)
        self.raise_alarm(alarms.OCCLUSION_DOWN)

    def _given_nl(self, kind):
        if self.state == states.POST:
            return self.boluses.given_nl[kind]
        return self.mechanism.volume_nl(self.delivery.bolus_owed_steps(kind))

    # --- watch

    def _watch(self, inputs, ticks):
        executed_steps = self.position.executed_steps
        failed = inputs.post_failures & ~self.post_failures
        if failed:  # SAFE-08: found while running
            self.before_change()
            self.post_failures |= failed
            self._failed(failed)
        self._feel(inputs, ticks)
        if not self.ledger.sound():
            self._memory_fault()
        if self.guard.runaway_steps(executed_steps):
            self.raise_alarm(alarms.RUNAWAY)
        if self.line.bridge and self.line.bridge.left_steps == 0:
            self._bridge_cleared(self.line.bridge)
        if self.state not in states.MOVING:
            self._watch_stop()
            return
        newly_low = self.reservoir.low(executed_steps) and self.raise_alarm(alarms.RESERVOIR_LOW)
        if newly_low and self.state == states.RUNNING and self.regimen.prescription.on_low_kvo:
            self.before_change()
            self.to_boundary()
            self.follow_schedule()
        if self.reservoir.empty(executed_steps):
            self.raise_alarm(alarms.RESERVOIR_EMPTY)

    def _feel(self, inputs, ticks):
        senses = self.senses
        moving = self.state in states.MOVING
        row = senses.look(
            inputs,
            self.clock.tick,
            ticks,
            self.position.executed_steps,
            self.guard.ordered_steps,
            moving,
            self.state == states.RUNNING,
        )
        while senses.failed.untold:
            part = senses.failed.tell()
            self.event(events.PART_FAILED, part, senses.failed.kinds[part])
        if row >= 0 and self.raise_alarm(row) and row == alarms.OCCLUSION_DOWN:
            self.event(events.OCCLUSION, senses.stored_nl(), senses.down.alarm)
        stalled_ticks = (
            senses.motion.recovered_ticks(self.clock.tick, self.position.executed_steps) if moving else -1
        )
        if stalled_ticks >= 0:
            self.event(events.STALL_RECOVERED, stalled_ticks // TICKS_PER_S, 0)
        if self.keeper and self.keeper.journal.failed:
            self.raise_alarm(alarms.JOURNAL_FAULT)
        self._follow(alarms.SUPPLY_LOW, senses.supply_low)
        self._follow(alarms.STOP_HELD, self.stop_button.stuck())
        self.counts.look(
            self.clock.tick,
            self.position.executed_steps,
            self.position.dose_steps,
            senses.motion.pulses,
            self.log.count,
            self.keeper.journal.last_sequence() if self.keeper else 0,
        )
        self._follow(alarms.SERVICE_DUE, senses.motion.service_due(self.clock.tick) or self.counts.due)
        self._follow(alarms.COUNT_END, self.counts.ended)

    def _follow(self, row, stands):
        """An alarm that stands as long as its cause."""
        if stands:
            self.raise_alarm(row)
        else:
            self.clear_alarm(row)

    def _annunciate(self, outputs):
        row = self.alarms.annunciated()
        outputs.alarm_priority = self.alarms.priority[row] if row >= 0 else -1
        outputs.alarm_sound = self.alarms.sounding()

    def _watch_stop(self):
        if (
            self.clock.tick - self.stopped_tick > LONG_STOP_TICKS
            and self.regimen.prescription
            and self.regimen.prescription.basal
        ):
            self.raise_alarm(alarms.LONG_STOP)

    def _bridge_cleared(self, bridge):
        self.before_change()
        self.line.bridge = None
        self.rescale(bridge.old, bridge.new)
        self._set_limit()
        self.event(events.BRIDGE, 0, 0)
        if self.state == states.RUNNING:
            self.to_boundary()
            self.follow_schedule()

    def rescale(self, old, new):
        """From now on all that was given counts in the new drug's steps; concentrations, pg/nL."""
        self.ledger.rescale(old, new)
        if self.keeper:
            self.keeper.rescale(old, new)
            self.keeper.therapy_changed()

    def raise_alarm(self, row):
        """Raise an alarm and respond to it. True if it did not stand yet."""
        if not self.alarms.set(row):
            return False
        self.event(events.ALARM, row, 1)
        if alarms.ALARMS[row].response == alarms.STOP and self.state != states.HALTED:
            self.enter(states.HALTED, ALARM)
        return True

    def clear_alarm(self, row):
        if self.alarms.clear(row):
            self.event(events.ALARM, row, 0)

    # --- motion

    def _order_motion(self, inputs, outputs):
        if self.replan and self.state in states.MOVING:
            self.before_change()
        outputs.enable = self.state in states.MOVING
        if self.state not in states.MOVING:
            outputs.halt = True
            if self.settling:
                self.settling -= 1
                if self.settling == 0:
                    # The queue was emptied after the last tick, so this is where the motor came to rest.
                    self.guard.rest(self.position.executed_steps)
            return
        self.settling = 2
        if self.replan:
            self.replan = False
            outputs.motion_flush = True
            # First to where the motor ought to be at the end of this tick, then on from there.
            self.to_boundary()
            self.planned_steps = self.position.executed_steps
            self._order(outputs, self.delivery.position(), 1, 1)
            self.delivery.plan_from_now()
            free = QUEUE_SEGMENTS
        else:
            free = inputs.queue_free
        while free > 0:
            ahead = self.delivery.planned_ahead()
            ticks = self._segment_ticks(ahead)
            self._order(outputs, self.delivery.plan(ticks), ticks, ahead + ticks)
            free -= 1
        if self.state not in states.MOVING:  # a fault was found on the way
            outputs.enable = False
            outputs.halt = True

    def _segment_ticks(self, ahead):
        """How long the segment is that begins so many ticks from now: up to an even tick, so that the history
        knows where the motor's segments end; and a single tick where half of the steps are too many.
        """
        if (self.clock.tick + ahead) % SEGMENT_TICKS:
            return 1
        ticks = self.delivery.next_ticks()
        if ticks > 1 and self.guard.limit_steps:
            self._look_at_window(ahead + 1)
            room_steps = self.guard.room_steps(self.planned_steps)
            if room_steps < self.guard.segment_most[1]:
                steps = self.delivery.planned_position(ticks) - self.planned_steps
                if steps - steps // SEGMENT_TICKS > room_steps:
                    return 1
        return ticks

    def _look_at_window(self, ahead):
        content_steps = 0
        if self.guard.limit_steps:
            rest = self.guard.limit_rest
            content_steps = self.ledger.content_then(ahead, rest[0], rest[1])
        self.guard.look_at_window(self.position.executed_steps, content_steps, self.line.credit_steps)

    def _order(self, outputs, wanted, ticks, ahead):
        """A segment of so many ticks that ends so many ticks from now."""
        drawn_from_steps = self.line.drawn_from_steps
        if drawn_from_steps >= 0:
            self._order_back(outputs, drawn_from_steps - (wanted - drawn_from_steps), ticks)
            return
        self._look_at_window(ahead)
        allowed = self.guard.allow(self.planned_steps, wanted, ticks)
        if allowed < wanted:
            # What the guard cuts is never made up for, but given up only when its time comes: this plan may
            # be thrown away before, and the reason with it.
            self.delivery.cut_plan(wanted - allowed)
            self.cut_ticks = CUT_TICKS
            if allowed < self.guard.reservoir_most:
                self.cut_steps = min(self.cut_steps + wanted - allowed, LARGEST)
                self._tell_cut()
            if allowed >= self.guard.window_most:
                self.raise_alarm(alarms.LIMIT_GUARD)
        outputs.targets[outputs.target_count] = allowed - self.position.base_steps
        outputs.target_ticks[outputs.target_count] = ticks
        outputs.target_count += 1
        if allowed > self.planned_steps:
            self.planned_steps = allowed

    def _order_back(self, outputs, wanted, ticks):
        """Only while the line is drawn back (MOT-03), and by no more than it may hold."""
        allowed = self.guard.allow_back(self.planned_steps, wanted, self.line.least_steps, ticks)
        outputs.reverse = True
        outputs.targets[outputs.target_count] = allowed - self.position.base_steps
        outputs.target_ticks[outputs.target_count] = ticks
        outputs.target_count += 1
        self.planned_steps = min(self.planned_steps, allowed)

    # --- link

    def _obey_stop_button(self, outputs):
        if self.stop_button.pressed:
            self.before_change()
            self.host.cancel_all(outputs)
            self.stop_ordered()

    def _obey_patient_button(self, inputs):
        # After the commands of this tick: those held for it were accepted before the press.
        pressed = inputs.button_patient
        if pressed and not self.button_was_pressed:
            self.before_change()
            self.to_boundary()
            self.early = True
            self.orders.patient_bolus()
            self.early = False
        self.button_was_pressed = pressed

    def stop_ordered(self):
        """Somebody wants flow and sound to end, whatever the state: nothing resumes after the self-test."""
        self.alarms.stop()
        if self.state in states.MOVING:
            self.enter(states.STOPPED, COMMAND)
        elif self.state in (states.BOOT, states.POST) and self.resumed_from == states.RUNNING:
            self.resumed_from = states.STOPPED

    def set_therapy(self, therapy):
        """Put a prescription in force; the flow follows it when it is asked for next."""
        self.regimen.prescription = therapy
        self.guard.set_max_rate(therapy.max_rate_nl_h)
        self._set_limit()
        if therapy.limit:
            self.ledger.set_window(therapy.window_ticks, self.clock.tick)
        if self.keeper:
            self.keeper.therapy_changed()
        self.reservoir.set_levels(therapy.low_nl, therapy.empty_nl)
        self.set_reservoir_most()

    def _set_limit(self):
        limit = self.regimen.prescription.limit or (0, 1)
        self.guard.set_limit(*self.line.volume(*limit))

    def set_reservoir_most(self):
        """Tell the guard where the reservoir is EMPTY."""
        self.guard.reservoir_most = self.reservoir.empty_steps if self.reservoir.known else LARGEST

    # --- record

    def event(self, code, a, b):
        if code in events.REPEATABLE and not self.repeats.is_single(self.clock.tick, kind_of(code, a, b)):
            return
        # What changes the flow, or is refused to, does so at the end of the tick.
        if not self.early and not self.delivery.ahead:
            self.log.add(self.clock.tick_s, self.clock.tick_ms, code, a, b, self.position.executed_steps)
        elif self.clock.tick_ms + TICK_MS < MS_PER_S:
            self.log.add(self.clock.tick_s, self.clock.tick_ms + TICK_MS, code, a, b, self._steps_ahead())
        else:
            self.log.add(self.clock.tick_s + 1, 0, code, a, b, self._steps_ahead())

    def _tell_repeats(self):
        """What came again and again, and what the log lost because of it."""
        repeats = self.repeats
        index = repeats.due(self.clock.tick)
        while index >= 0:
            self.event(events.REPEATED, repeats.kinds[index], repeats.more[index])
            repeats.told(index, self.clock.tick)
            index = repeats.due(self.clock.tick)
        if self.keeper:
            lost = self.keeper.journal.lost_events
            if lost > self.lost_told and not self.keeper.journal.is_behind():
                self.event(events.LOG_LOST, lost - self.lost_told, 0)
                self.lost_told = lost

    def _steps_ahead(self):
        return self.delivery.position() if self.delivery.ahead else self.position.executed_steps

    def report(self, inputs, outputs):
        """The rest of the tick: events and status, as far as there is room."""
        while True:
            number = self.log.unsent()
            if number < 0 or not self.telemetry.event(outputs, self.log.record(number)):
                break
            self.log.sent += 1
        if self.clock.tick % STATUS_PERIOD_TICKS < self.clock.passed_ticks:  # merged ticks count as well
            self.status(inputs, outputs)
        outputs.checked_in |= selftest.REPORT

    def status(self, inputs, outputs):
        flowing = self.delivery.owed.flowing()
        values = self.telemetry.values
        values[0] = self.clock.tick
        values[1] = self._rate_nl_h()
        values[2] = self.delivery.position()
        values[3] = self.position.executed_steps
        values[4] = self.guard.ordered_steps
        values[5] = self.mechanism.volume_ul(self.position.executed_steps)
        values[6] = self.mechanism.volume_nl(self.delivery.bolus_left_steps(flowing)) if flowing >= 0 else 0
        values[7] = self.mechanism.volume_ul(self.reservoir.left_steps(self.position.executed_steps))
        values[8] = self.ledger.content_steps()
        values[9] = self.guard.limit_steps
        values[10] = inputs.pressure_down_raw
        values[11] = inputs.pressure_up_raw
        values[12] = inputs.supply_raw
        values[13] = inputs.encoder_count
        values[14] = inputs.loop_us
        values[15] = inputs.heap_bytes
        values[16] = self.alarms.annunciated()
        values[17] = self.alarms.first_cause
        values[18] = self.writer.dropped
        values[19] = self.host.session.reader.bad_lines
        values[20] = self.post_failures | self.senses.failed.bits
        bridge = self.line.bridge
        values[21] = self.mechanism.volume_nl(bridge.left_steps) if bridge else 0
        values[22] = self.mechanism.volume_nl(self.line.credit_steps)
        self.telemetry.status(outputs, self.state, flowing + 1)

    def _rate_nl_h(self):
        """What flows now, nL/h, each component rounded down."""
        owed = self.delivery.owed
        total = self._nl_h(owed.basal)
        flowing = owed.flowing()
        return total + self._nl_h(owed.boluses[flowing]) if flowing >= 0 else total

    def _nl_h(self, flow):
        return self.mechanism.flow_nl_h(flow.rate_steps, flow.rate_grains)
