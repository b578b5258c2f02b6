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

from . import states, version
from .dose import formulary, prescription
from .dose.delivery import CLINICIAN, KINDS, PATIENT, Delivery
from .dose.formulary_data import LIBRARY
from .dose.schedule import TICKS_PER_WEEK
from .link import commands
from .link.frame import FrameWriter, crc_into
from .link.session import Session, refusal
from .link.telemetry import STATUS_PERIOD_TICKS, TICKS_PER_S, Telemetry
from .record import events
from .record.memory import Memory
from .signals import QUEUE_SEGMENTS, TICK_MS
from .smallint import LARGEST, small
from .watch import alarms
from .watch.guard import Guard
from .watch.limits import WindowLedger, bucket_ticks_of
from .watch.lockout import Lockout
from .watch.reservoir import Reservoir

# Why the state changed or an order was refused: the `cause` of a state event, the `b` of a denial.
CAUSES = (
    "power_on",
    "self_test",
    "command",
    "alarm",
    "illegal_move",
    "resume",
    "not_running",
    "bridge",
    "bolus_active",
    "lockout",
    "max_per_day",
    "max_dose",
    "reservoir",
    "prescription",
)
POWER_ON, SELF_TEST, COMMAND, ALARM, ILLEGAL_MOVE, RESUME = range(6)
NOT_RUNNING, BRIDGE, BOLUS_ACTIVE, LOCKOUT, MAX_PER_DAY, MAX_DOSE, RESERVOIR, PRESCRIPTION = range(
    6, len(CAUSES)
)
GRANTED = -1

# DOSE-08: a clinician bolus takes at least the patient's lockout and at most six hours.
MOST_CLINICIAN_BOLUS_MS = 6 * 3_600_000

PRIME_RATE_NL_H = 60_000_000  # or what the profile allows
LONG_STOP_TICKS = 12 * 36_000  # own choice: half a day without a flow that is programmed

STARTS = (events.PATIENT_BOLUS_START, events.BOLUS_START)
ENDS = (events.PATIENT_BOLUS_END, events.BOLUS_END)


class IllegalMove(Exception):
    """A change of state that the table does not know: a fault of the program, never ignored."""


class Pump:
    """The whole pump but for its hardware. `mechanism` is the calibration, `crc` may be a faster one for the
    link.
    """

    def __init__(self, mechanism, crc=crc_into, memory=None):
        self.mechanism = mechanism
        self.state = states.BOOT
        self.board_s = 0  # the board's own time and count, which begin anew at every reset ...
        self.board_ms = 0
        self.base_steps = 0  # executed before the last reset
        self.tick = 0  # ... and the pump's, which go on
        self.tick_s = 0
        self.tick_ms = 0
        self.executed_steps = 0
        self.ledger_steps = 0  # executed and entered in the window
        self.prescription = None
        self.proposed = None  # a Prescription, a drug library, or the volume of a refill
        self.proposed_digest = ""
        self.proposed_soft = ()  # names of the soft limits that the confirmation must accept
        self.library = LIBRARY
        self.library_draft = formulary.Draft()
        self.bolus_nl = [0, 0]  # volume of each running bolus, rounded down, for the log
        self.bolus_given_nl = [0, 0]  # and what it had given when a reset cut it
        self.priming = False  # the bolus that runs fills the line
        self.line_primed = False  # since the last refill
        self.prime_left_steps = 0  # steps still to come that fill the line and are no dose
        self.bridge_left_steps = 0  # steps of old drug that are still in the line
        self.bridge_schedule = None  # what keeps the old dose until then
        self.bridge_limit = None  # in steps of the old drug
        self.bridge_ratio = (1, 1)  # old concentration over new
        self.stopped_tick = 0
        self.clock_offset = 0  # tick of the week at boot
        self.clock_known = False
        self.button_was_pressed = False
        self.early = False  # a command that changes the flow is being carried out
        self.replan = False
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
        self.planned_steps = 0  # position at the end of the last segment ordered
        self.log = events.EventLog()
        self.writer = FrameWriter(crc)
        self.telemetry = Telemetry(self.writer, states.STATES, [event.name for event in events.EVENTS])
        self.session = Session(crc)
        self.resumed_from = states.BOOT  # the state in which a reset found the pump
        if memory is not None:
            memory.restore(self)
            self.resumed_from = self.state
            self.state = states.BOOT
            self.base_steps = self.executed_steps

    # --- one tick

    def step(self, inputs, outputs):
        """One tick. Never blocks; in the steady state allocates nothing."""
        outputs.clear_orders()
        ticks = self._let_time_pass(inputs)
        if self.state == states.BOOT:
            self._wake_up()
        if self.state in states.MOVING:
            self._owe(ticks, inputs)
        self._obey_host(inputs, outputs)
        self._obey_buttons(inputs)
        self._watch(inputs)
        self._order_motion(inputs, outputs)
        self._report(inputs, outputs)

    def _wake_up(self):
        self._event(events.BOOT, self.resumed_from, 0)
        self.enter(states.POST, POWER_ON)
        self.guard.rest(self.executed_steps)
        if self.prescription:
            self._set_therapy(self.prescription)
        for kind in range(KINDS):
            # REC-03: a bolus that a reset cut is never started again by itself.
            self._bolus_ended(kind, complete=False)
        if self.resumed_from == states.HALTED:
            self.enter(states.HALTED, ALARM)
            return
        self.enter(states.STOPPED, SELF_TEST)
        if self.resumed_from == states.RUNNING:
            self._raise_alarm(alarms.AUTO_RESUMED)
            self.enter(states.RUNNING, RESUME)

    def enter(self, state, cause):
        """The one door to a change of state. IllegalMove, after halting, for a move not in the table."""
        left = self.state
        if state not in states.MOVES[left]:
            self.state = states.HALTED
            self._event(events.FAULT, left, ILLEGAL_MOVE)
            raise IllegalMove("%s to %s" % (states.STATES[left], states.STATES[state]))
        self.state = state
        if state in states.MOVING:
            self.delivery.begin(self.executed_steps)
            self.priming = False
        if state == states.RUNNING:
            self.prime_left_steps = 0
            self._follow_schedule()
        self._event(events.STATE, left, state)
        if left in states.MOVING:
            for kind in range(KINDS):
                self._bolus_ended(kind, complete=False)
            self.delivery.forfeit(self.executed_steps)
        self.stopped_tick = self.tick
        self._clear_alarm(alarms.LONG_STOP)

    def remember(self):
        """What a reset now would leave, to give to the next Pump."""
        for kind in range(KINDS):
            self.bolus_given_nl[kind] = self._given_nl(kind)
        return Memory(self)

    def fail(self):
        """The loop around the pump failed in this tick: halt. The motor is off already."""
        self._raise_alarm(alarms.LOOP_FAULT)

    def _let_time_pass(self, inputs):
        ticks = (inputs.tick_s - self.board_s) * TICKS_PER_S + (inputs.tick_ms - self.board_ms) // TICK_MS
        self.board_s = inputs.tick_s
        self.board_ms = inputs.tick_ms
        self.tick += ticks
        self.tick_s += ticks // TICKS_PER_S
        self.tick_ms += ticks % TICKS_PER_S * TICK_MS
        if self.tick_ms >= 1_000:
            self.tick_ms -= 1_000
            self.tick_s += 1
        self.executed_steps = inputs.executed_steps + self.base_steps
        steps = self.executed_steps - self.ledger_steps
        if steps > 0:  # draw-back credits nothing
            self.ledger_steps = self.executed_steps
            self.bridge_left_steps -= min(steps, self.bridge_left_steps)
            filling = min(steps, self.prime_left_steps)
            self.prime_left_steps -= filling
            steps -= filling
        self.ledger.advance(ticks, steps)
        return ticks

    # --- dose

    def _owe(self, ticks, inputs):
        if ticks > 1:
            self._event(events.MERGED, ticks - 1, 0)
        through = self.delivery.advance(ticks)
        if inputs.starved:
            forfeited = self.delivery.position() - self.executed_steps
            self.delivery.drop(forfeited)
            self._event(events.STARVED, forfeited, 0)
            self.replan = True
        if through >= 0:
            self._bolus_ended(through, complete=True)

    def _to_boundary(self):
        if self.state in states.MOVING:
            through = self.delivery.to_boundary()
            if through >= 0:
                self._bolus_ended(through, complete=True)

    def _follow_schedule(self):
        therapy = self.prescription
        owed = self.delivery.owed
        owed.most_steps, owed.most_grains = self.mechanism.grains_per_tick(therapy.max_rate_nl_h, 1)
        owed.kvo_steps, owed.kvo_grains = self.mechanism.grains_per_tick(*therapy.kvo)
        owed.kvo = therapy.on_low_kvo and self.alarms.standing[alarms.RESERVOIR_LOW]
        schedule = self.bridge_schedule or therapy.schedule(self.mechanism)
        owed.follow(schedule, self._week_tick(self.delivery.ahead), self.clock_known)
        self.replan = True
        if therapy.mode == "flex" and not self.clock_known:
            self._raise_alarm(alarms.CLOCK_LOST)

    def _week_tick(self, ahead):
        return (self.tick + ahead + self.clock_offset) % TICKS_PER_WEEK

    def _bolus_ended(self, kind, complete):
        if not self.bolus_nl[kind]:
            return
        volume_nl = self.bolus_nl[kind]
        if not complete:
            volume_nl = self._given_nl(kind)
        self.bolus_nl[kind] = 0
        if kind == PATIENT:
            self.lockout.end(self.tick + self.delivery.ahead)
        self._event(events.PRIME_END if self.priming else ENDS[kind], volume_nl, 1 if complete else 0)
        if self.state == states.PRIMING:
            self.enter(states.STOPPED, COMMAND)

    def _given_nl(self, kind):
        if self.state == states.POST:
            return self.bolus_given_nl[kind]
        return self.mechanism.volume_nl(self.delivery.bolus_owed_steps(kind))

    # --- watch

    def _watch(self, inputs):
        executed_steps = self.executed_steps
        if self.guard.runaway_steps(executed_steps):
            self._raise_alarm(alarms.RUNAWAY)
        self.guard.look_at_window(executed_steps + self.prime_left_steps, self.ledger.content_steps())
        if self.state not in states.MOVING:
            self._watch_stop()
            return
        if self.state == states.RUNNING and self.bridge_schedule and self.bridge_left_steps == 0:
            self._bridge_cleared()
        newly_low = self.reservoir.low(executed_steps) and self._raise_alarm(alarms.RESERVOIR_LOW)
        if newly_low and self.state == states.RUNNING and self.prescription.on_low_kvo:
            self._to_boundary()
            self._follow_schedule()
        if self.reservoir.empty(executed_steps):
            self._raise_alarm(alarms.RESERVOIR_EMPTY)

    def _watch_stop(self):
        if self.tick - self.stopped_tick > LONG_STOP_TICKS and self.prescription and self.prescription.basal:
            self._raise_alarm(alarms.LONG_STOP)

    def _bridge_cleared(self):
        self.bridge_schedule = None
        self.ledger.rescale(*self.bridge_ratio)
        self.guard.set_limit(*(self.prescription.limit or (0, 1)))
        self._event(events.BRIDGE, 0, 0)
        self._to_boundary()
        self._follow_schedule()

    def _raise_alarm(self, row):
        """Raise an alarm and respond to it. True if it did not stand yet."""
        if not self.alarms.set(row):
            return False
        self._event(events.ALARM, row, 1)
        if alarms.ALARMS[row].response == alarms.STOP and self.state != states.HALTED:
            self.enter(states.HALTED, ALARM)
        return True

    def _clear_alarm(self, row):
        if self.alarms.clear(row):
            self._event(events.ALARM, row, 0)

    # --- motion

    def _order_motion(self, inputs, outputs):
        outputs.enable = self.state in states.MOVING
        if self.state not in states.MOVING:
            outputs.halt = True
            if self.settling:
                self.settling -= 1
                if self.settling == 0:
                    # The queue was emptied after the last tick, so this is where the motor came to rest.
                    self.guard.rest(self.executed_steps)
            return
        self.settling = 2
        if self.replan:
            self.replan = False
            outputs.motion_flush = True
            # First to where the motor ought to be at the end of this tick, then on from there.
            self._to_boundary()
            self.planned_steps = self.executed_steps
            self._order(outputs, self.delivery.position(), 1)
            self.delivery.plan_from_now()
            free = QUEUE_SEGMENTS
        else:
            free = inputs.queue_free
        while free > 0:
            ticks = self.delivery.next_ticks()
            self._order(outputs, self.delivery.plan(ticks), ticks)
            free -= 1

    def _order(self, outputs, wanted, ticks):
        allowed = self.guard.allow(self.planned_steps, wanted, ticks)
        if allowed < wanted:
            # What the guard cuts is never made up for.
            self.delivery.drop(wanted - allowed)
            if allowed != self.guard.reservoir_most:
                self._event(events.LIMITED, wanted - allowed, 0)
            if allowed == self.guard.window_most:
                self._raise_alarm(alarms.LIMIT_GUARD)
        outputs.targets[outputs.target_count] = allowed - self.base_steps
        outputs.target_ticks[outputs.target_count] = ticks
        outputs.target_count += 1
        if allowed > self.planned_steps:
            self.planned_steps = allowed

    # --- link

    def _obey_host(self, inputs, outputs):
        session = self.session
        session.begin_tick()
        while True:
            request = session.next(inputs, self.tick)
            if session.refusal is not None:
                self.writer.send_object(outputs, session.refusal)
            elif request is None:
                return
            if request is not None:
                self._carry_out(request, inputs, outputs)

    def _obey_buttons(self, inputs):
        pressed = inputs.button_patient
        if pressed and not self.button_was_pressed:
            self._to_boundary()
            self.early = True
            self._patient_bolus()
            self.early = False
        self.button_was_pressed = pressed

    def _carry_out(self, request, inputs, outputs):
        name = request["cmd"]
        self.early = commands.find(name).changes == commands.FLOW
        if self.early:
            self._to_boundary()
        if name == "status":
            self._status(inputs, outputs)
            if "id" not in request:
                return
        try:
            answer = getattr(self, "_do_" + name)(request)
        except prescription.PrescriptionError as error:
            answer = refusal(request, "refused", "; ".join(error.problems))
        if not answer.get("ok", True):
            self._event(
                events.DENIED, _row(name), PRESCRIPTION if answer["error"] == "refused" else NOT_RUNNING
            )
        else:
            answer["ok"] = True
            answer["type"] = "reply"
            answer["id"] = request.get("id", 0)
        self.early = False
        self.writer.send_object(outputs, answer)

    def _do_hello(self, request):
        return {
            "protocol": version.PROTOCOL,
            "product": "thecal",
            "version": version.VERSION,
            "tick": self.tick,
            "tick_ms": TICK_MS,
            "state": states.STATES[self.state],
            "nl_per_rev": self.mechanism.nl_per_rev,
            "steps_per_rev": self.mechanism.steps_per_rev,
            "max_rate_nl_h": min(prescription.MOST_RATE_NL_H, self.mechanism.max_rate_nl_h()),
        }

    def _do_status(self, request):
        return {"state": states.STATES[self.state]}

    def _do_program(self, request):
        therapy = prescription.parse(request["therapy"], self.mechanism)
        self._check_steady_limit(therapy)
        soft = self._judge(therapy)
        readback = therapy.readback(self.mechanism)
        if soft:
            readback["soft"] = [name for name, _ in soft]
        if self.reservoir.known and therapy.basal:
            # RES-03: the earliest that LOW can come, every permitted bolus taken.
            left_nl = self.mechanism.volume_nl(self.reservoir.left_steps(self.executed_steps))
            readback["low_in_h"] = max(left_nl - therapy.low_nl, 0) * 24 // therapy.most_daily_nl()
        answer = self._propose(therapy, readback)
        self.proposed_soft = readback.get("soft", ())
        if soft:
            answer["why"] = ["%s: %s" % (name, text) for name, text in soft]
        return answer

    def _judge(self, therapy):
        """The soft limits of the library that a therapy breaks, as (name, text). Raises for hard ones."""
        if not therapy.concentration_pg_nl:
            return []
        problems, soft = formulary.judge(
            self.library, therapy.drug, therapy.concentration_pg_nl, **self._doses(therapy)
        )
        if problems:
            raise prescription.PrescriptionError(problems)
        return soft

    def _doses(self, therapy):
        """The doses of a therapy in pg, as fractions, for the drug library."""
        concentration = therapy.concentration_pg_nl
        doses = {"daily": self._daily_pg(therapy)}
        bolus = therapy.patient_bolus
        if bolus:
            each = (bolus.volume[0] * concentration, bolus.volume[1])
            num, den = doses["daily"]
            doses["bolus"] = each
            doses["most_daily"] = (num * each[1] + bolus.max_per_day * each[0] * den, den * each[1])
        if therapy.limit:
            doses["limit"] = (therapy.limit[0] * concentration, therapy.limit[1])
        old = self.prescription
        if old and old.drug == therapy.drug and old.concentration_pg_nl and old.basal:
            doses["previous"] = self._daily_pg(old)
        return doses

    def _daily_pg(self, therapy):
        """The most that the basal gives in any 24 hours."""
        if not therapy.basal:
            return (0, 1)
        one = self.mechanism.grains_per_step
        peak = therapy.schedule(self.mechanism).peak_grains(TICKS_PER_WEEK // 7, one)
        return (
            peak * self.mechanism.nl_per_rev * therapy.concentration_pg_nl,
            self.mechanism.steps_per_rev * one,
        )

    def _do_library(self, request):
        library, problems = self.library_draft.take(request["part"])
        if problems:
            raise prescription.PrescriptionError(problems)
        if library is None:
            return {"complete": False}
        answer = self._propose(library, formulary.readback(library))
        answer["complete"] = True
        return answer

    def _do_refill(self, request):
        volume_nl = request["volume_nl"]
        if not 0 < volume_nl <= prescription.MOST_RESERVOIR_NL:
            raise prescription.PrescriptionError(
                ["volume_nl: %d, must be 1 to %d" % (volume_nl, prescription.MOST_RESERVOIR_NL)]
            )
        return self._propose(volume_nl, {"refill_nl": volume_nl})

    def _propose(self, proposed, readback):
        self.proposed = proposed
        self.proposed_soft = ()
        self.proposed_digest = prescription.digest(readback)
        return {"digest": self.proposed_digest, "readback": readback}

    def _do_confirm(self, request):
        if self.proposed is None or request["digest"] != self.proposed_digest:
            return refusal(
                request, "refused", "digest: %s is not that of the last proposal" % request["digest"][:16]
            )
        missing = [name for name in self.proposed_soft if name not in request.get("accept", ())]
        if missing:
            return refusal(request, "refused", "accept: not confirmed: %s" % ", ".join(missing))
        proposed = self.proposed
        if isinstance(proposed, int):
            self._refilled(proposed)
        elif isinstance(proposed, tuple):
            self._event(events.LIBRARY, proposed[0], self.library[0])
            self.library = proposed
            self._clear_alarm(alarms.LIBRARY_FAULT)
        else:
            self._apply(proposed)
        self.proposed = None
        return {"digest": self.proposed_digest}

    def _apply(self, therapy):
        if self.state == states.RUNNING:
            if not therapy.basal:
                raise prescription.PrescriptionError(["mode: stopped, stop the pump first"])
            self._check_history(therapy, self._week_tick(1))
        self._bridge_to(therapy)
        self._set_therapy(therapy)
        fastest = therapy.fastest()
        if self.proposed_soft:
            self._event(events.SOFT_LIMITS, len(self.proposed_soft), self.library[0])
        self._event(events.THERAPY, fastest[0] // fastest[1], therapy.max_rate_nl_h)
        if self.state == states.RUNNING:
            self._follow_schedule()

    def _set_therapy(self, therapy):
        """What the watching rooms need to know of it."""
        self.prescription = therapy
        self.guard.set_max_rate(therapy.max_rate_nl_h)
        limit = self.bridge_limit if self.bridge_schedule else therapy.limit
        self.guard.set_limit(*(limit or (0, 1)))
        if therapy.limit:
            self.ledger.set_window(therapy.window_ticks, self.tick)
        self.reservoir.set_levels(therapy.low_nl, therapy.empty_nl)
        self._set_reservoir_most()

    def _bridge_to(self, therapy):
        """A change of concentration: what is in the line first keeps the old dose (DOSE-10)."""
        old = self.prescription
        if not old or not old.concentration_pg_nl or not therapy.concentration_pg_nl:
            return
        if old.concentration_pg_nl == therapy.concentration_pg_nl or not old.basal:
            return
        if self.bridge_schedule:
            raise prescription.PrescriptionError(
                ["concentration_pg_nl: the last change has not left the line yet"]
            )
        line = self.mechanism.grains_of_volume(therapy.line_nl)
        self.bridge_ratio = (old.concentration_pg_nl, therapy.concentration_pg_nl)
        if line == (0, 0):
            self.ledger.rescale(*self.bridge_ratio)
            return
        self.bridge_left_steps = line[0] + 1
        self.bridge_schedule = old.schedule(self.mechanism)
        self.bridge_limit = old.limit
        self._event(events.BRIDGE, therapy.line_nl, 1)

    def _refilled(self, volume_nl):
        left_ul = self.mechanism.volume_ul(self.reservoir.left_steps(self.executed_steps))
        self.reservoir.refill(volume_nl, self.executed_steps)
        self._set_reservoir_most()
        self.line_primed = False
        self._event(events.REFILL, volume_nl, left_ul)
        self._clear_alarm(alarms.RESERVOIR_EMPTY)
        self._clear_alarm(alarms.RESERVOIR_LOW)
        if self.state == states.RUNNING:
            self._to_boundary()
            self._follow_schedule()

    def _set_reservoir_most(self):
        self.guard.reservoir_most = self.reservoir.empty_steps if self.reservoir.known else LARGEST

    def _do_start(self, request):
        if self.state != states.STOPPED:
            return refusal(
                request, "refused", "start: the pump is %s, not STOPPED" % states.STATES[self.state]
            )
        if self.prescription is None or not self.prescription.basal:
            return refusal(request, "refused", "start: no therapy with a flow is programmed")
        if self.reservoir.empty(self.executed_steps):
            return refusal(request, "refused", "start: the reservoir is empty")
        if self.prescription.concentration_pg_nl and not formulary.check(self.library):
            self._raise_alarm(alarms.LIBRARY_FAULT)
            return refusal(request, "refused", "start: the drug library is damaged")
        self._check_history(self.prescription, self._week_tick(1))
        self.enter(states.RUNNING, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_prime(self, request):
        volume_nl = request["volume_nl"]
        most_nl = self.prescription.line_nl if self.prescription else 0
        if self.state != states.STOPPED:
            problem = "prime: the pump is %s, not STOPPED" % states.STATES[self.state]
        elif not 0 < volume_nl <= most_nl:
            problem = "volume_nl: %d, must be 1 to %d (line_nl)" % (volume_nl, most_nl)
        elif self.line_primed:
            problem = "prime: the line was primed since the last refill"
        elif self.reservoir.empty(self.executed_steps):
            problem = "prime: the reservoir is empty"
        else:
            self._prime(volume_nl)
            return {"state": states.STATES[self.state]}
        return refusal(request, "refused", problem)

    def _prime(self, volume_nl):
        self.line_primed = True
        self.prime_left_steps = self.mechanism.grains_of_volume(volume_nl)[0] + 1
        self.enter(states.PRIMING, COMMAND)
        most_nl_h = min(PRIME_RATE_NL_H, self.prescription.max_rate_nl_h)
        owed = self.delivery.owed
        owed.most_steps, owed.most_grains = self.mechanism.grains_per_tick(most_nl_h, 1)
        self.delivery.begin_bolus(CLINICIAN, (volume_nl, 1), (most_nl_h, 1))
        self.bolus_nl[CLINICIAN] = volume_nl
        self.priming = True
        self.replan = True
        self._event(events.PRIME_START, volume_nl, 0)

    def _do_attempts(self, request):
        return {
            "granted_last_day": self.lockout.in_last_day(self.tick),
            "denied_last_day": self.lockout.denied_in_last_day(self.tick),
            "granted": self.lockout.count,
            "denied": self.lockout.denied_count,
        }

    def _do_stop(self, request):
        if self.state in states.MOVING:
            self.enter(states.STOPPED, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_acknowledge(self, request):
        for row in range(len(alarms.ALARMS)):
            if alarms.ALARMS[row].latching:
                self._clear_alarm(row)
        if self.state == states.HALTED:
            self.guard.rest(self.executed_steps)
            self.enter(states.STOPPED, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_set_time(self, request):
        week_s = request["week_s"]
        if not 0 <= week_s < TICKS_PER_WEEK // TICKS_PER_S:
            raise prescription.PrescriptionError(
                ["week_s: %d, must be 0 to %d" % (week_s, TICKS_PER_WEEK // TICKS_PER_S - 1)]
            )
        if self.state == states.RUNNING and len(self.prescription.basal) > 1:
            # Set back again and again, a clock could hold the fastest step of the day for ever.
            self._check_history(self.prescription, week_s * TICKS_PER_S)
        was_s = self._week_tick(1) // TICKS_PER_S if self.clock_known else -1
        # The time that is given is that of the end of this tick, when it takes effect.
        self.clock_offset = (week_s * TICKS_PER_S - self.tick - 1) % TICKS_PER_WEEK
        self.clock_known = True
        self._event(events.CLOCK, week_s, was_s)
        self._clear_alarm(alarms.CLOCK_LOST)
        if self.state == states.RUNNING:
            self._follow_schedule()
        return {"week_s": week_s}

    # --- boluses

    def _do_patient_bolus(self, request):
        return _answer(self._patient_bolus())

    def _patient_bolus(self):
        """What comes of a patient's request; the tick is at its boundary. Logs it."""
        reason = self._why_no_patient_bolus()
        if reason == GRANTED:
            bolus = self.prescription.patient_bolus
            self.lockout.grant(self.tick + 1)
            self._begin_bolus(PATIENT, bolus.volume, bolus.rate)
        else:
            self._deny("patient_bolus", reason)
        return reason

    def _why_no_patient_bolus(self):
        bolus = self.prescription and self.prescription.patient_bolus
        if self.state != states.RUNNING or not bolus:
            return NOT_RUNNING
        if self.bridge_schedule:
            return BRIDGE
        if self.delivery.owed.active[PATIENT]:
            return BOLUS_ACTIVE
        tick = self.tick + 1
        if self.lockout.locked(tick, bolus.lockout_ticks):
            return LOCKOUT
        if self.lockout.in_last_day(tick) >= bolus.max_per_day:
            return MAX_PER_DAY
        return self._why_no_room(bolus.volume, bolus.rate)

    def _do_bolus(self, request):
        if self.state != states.RUNNING:
            reason = NOT_RUNNING
        elif self.bridge_schedule:
            reason = BRIDGE
        elif self.delivery.owed.active[CLINICIAN]:
            reason = BOLUS_ACTIVE
        else:
            volume_nl = request["volume_nl"]
            duration_ms = request["duration_ms"]
            self._check_clinician_bolus(duration_ms)
            rate = prescription.bolus_rate(self.prescription, self.mechanism, volume_nl, duration_ms)
            reason = self._why_no_room((volume_nl, 1), rate)
            if reason == GRANTED:
                self._begin_bolus(CLINICIAN, (volume_nl, 1), rate)
                answer = _answer(reason)
                answer["rate_num"], answer["rate_den"] = rate
                return answer
        self._deny("bolus", reason)
        return _answer(reason)

    def _check_clinician_bolus(self, duration_ms):
        patient_bolus = self.prescription.patient_bolus
        least_ms = patient_bolus.lockout_ticks * TICK_MS if patient_bolus else 0
        if not least_ms <= duration_ms <= MOST_CLINICIAN_BOLUS_MS:
            raise prescription.PrescriptionError(
                [
                    "duration_ms: %d, must be %d (the lockout) to %d"
                    % (duration_ms, least_ms, MOST_CLINICIAN_BOLUS_MS)
                ]
            )

    def _begin_bolus(self, kind, volume, rate):
        self.delivery.begin_bolus(kind, volume, rate)
        self.bolus_nl[kind] = small(volume[0] // volume[1]) or 1
        self.replan = True
        self._event(STARTS[kind], self.bolus_nl[kind], rate[0] // rate[1])

    def _deny(self, name, reason):
        self._event(events.DENIED, _row(name), reason)
        if name == "patient_bolus":
            self.lockout.deny(self.tick + 1)
        if reason == MAX_DOSE:
            self._raise_alarm(alarms.MAX_DOSE)

    def _why_no_room(self, volume, rate):
        """Whether limit and reservoir have room for one more bolus on top of all that is committed."""
        one = self.mechanism.grains_per_step
        steps, grains = self.mechanism.grains_of_volume(*volume)
        bolus = steps * one + grains
        committed = self.delivery.committed_grains(self.executed_steps)
        if self.prescription.limit and not self._fits_limit(bolus, rate, committed):
            return MAX_DOSE
        if self.reservoir.known:
            ticks = -(-bolus // self._grains_per_tick(rate))
            basal = 0
            for piece_ticks, grains in self._basal_profile(self.prescription, self._week_tick(1), ticks):
                basal += piece_ticks * grains
            left = self.reservoir.empty_steps - self.executed_steps
            if bolus + committed + basal > left * one:
                return RESERVOIR
        return GRANTED

    def _grains_per_tick(self, rate):
        steps, grains = self.mechanism.grains_per_tick(*rate)
        return steps * self.mechanism.grains_per_step + grains

    def _fits_limit(self, bolus, rate, committed):
        """LIM-04 for `bolus` grains at `rate` nL/h and `committed` grains that are owed already."""
        therapy = self.prescription
        one = self.mechanism.grains_per_step
        window_ticks = therapy.window_ticks
        bucket_ticks = self.ledger.window.bucket_ticks
        flow = self._grains_per_tick(rate)
        ticks = -(-bolus // flow)
        if ticks <= window_ticks:
            horizon = ticks + window_ticks + bucket_ticks
            bolus_profile = [(ticks, -(-bolus // ticks)), (horizon - ticks, 0)]
        else:
            # It fills whole windows: past the first one they are all alike but for the schedule.
            horizon = 2 * window_ticks + bucket_ticks
            bolus_profile = [(horizon, flow)]
            full_ticks = window_ticks + bucket_ticks + TICKS_PER_S
            peak = therapy.schedule(self.mechanism).peak_grains(full_ticks, one) + flow * full_ticks
            if peak > self.guard.limit_steps * one:
                return False
        # What is committed counts at once, which errs on the safe side.
        flows = [
            self._basal_profile(therapy, self._week_tick(1), horizon),
            bolus_profile,
            [(1, committed), (horizon - 1, 0)],
        ]
        return self.ledger.peak_steps(flows, one) <= self.guard.limit_steps

    def _basal_profile(self, therapy, week_tick, ticks):
        one = self.mechanism.grains_per_step
        schedule = therapy.schedule(self.mechanism)
        if self.clock_known or len(schedule.entries) == 1:
            return schedule.profile(week_tick, ticks, one)
        # With the time unknown the lowest entry flows, but the clock may be set at any moment.
        entry = schedule.entries[schedule.highest()]
        return [(ticks, entry[1] * one + entry[2])]

    def _check_steady_limit(self, therapy):
        """LIM-06: a basal that breaks its own limit is refused whenever it were to start."""
        if not therapy.limit or not therapy.basal:
            return
        one = self.mechanism.grains_per_step
        window_ticks = therapy.window_ticks + bucket_ticks_of(therapy.window_ticks) + TICKS_PER_S
        peak = therapy.schedule(self.mechanism).peak_grains(window_ticks, one)
        limit = self.mechanism.grains_of_volume(*therapy.limit)[0] * one
        if peak > limit:
            raise prescription.PrescriptionError(
                [
                    "limit: the basal alone gives %d nL in %d ms, the limit is %d nL"
                    % (
                        self.mechanism.volume_nl(peak // one),
                        therapy.window_ticks * TICK_MS,
                        therapy.limit[0] // therapy.limit[1],
                    )
                ]
            )

    def _check_history(self, therapy, week_tick):
        """LIM-06: with what was given so far the basal must not break the limit; says when it would not.

        `week_tick` is the time of the week at the end of this tick.
        """
        if not therapy.limit or not therapy.basal:
            return
        limit_num, limit_den = therapy.limit
        limit_steps = self.mechanism.grains_of_volume(limit_num, limit_den)[0]
        horizon = therapy.window_ticks + bucket_ticks_of(therapy.window_ticks)
        if self._peak_after(therapy, week_tick, 0, horizon) <= limit_steps:
            return
        late = horizon
        # Each look takes most of a tick: only a motor at rest has the time to search.
        early = 0 if self.state == states.STOPPED else late
        while late - early > TICKS_PER_S:
            middle = (late + early) // 2
            if self._peak_after(therapy, week_tick, middle, horizon) <= limit_steps:
                late = middle
            else:
                early = middle
        raise prescription.PrescriptionError(
            ["limit: with what was given already the therapy could start in %d s" % -(-late // TICKS_PER_S)]
        )

    def _peak_after(self, therapy, week_tick, delay_ticks, horizon):
        one = self.mechanism.grains_per_step
        profile = self._basal_profile(therapy, week_tick, horizon)
        if delay_ticks:
            profile = [(delay_ticks, 0)] + profile
        # What is owed and what boluses still owe counts at once.
        committed = self.delivery.committed_grains(self.executed_steps)
        flows = [profile, [(1, committed), (delay_ticks + horizon - 1, 0)]]
        return self.ledger.trial_peak_steps(flows, one, therapy.window_ticks, self.tick)

    # --- record

    def _event(self, code, a, b):
        # What changes the flow, or is refused to, does so at the end of the tick.
        if not self.early and not self.delivery.ahead:
            self.log.add(self.tick_s, self.tick_ms, code, a, b, self.executed_steps)
        elif self.tick_ms + TICK_MS < 1_000:
            self.log.add(self.tick_s, self.tick_ms + TICK_MS, code, a, b, self._steps_ahead())
        else:
            self.log.add(self.tick_s + 1, 0, code, a, b, self._steps_ahead())

    def _steps_ahead(self):
        return self.delivery.position() if self.delivery.ahead else self.executed_steps

    def _report(self, inputs, outputs):
        while True:
            number = self.log.unsent()
            if number < 0 or not self.telemetry.event(outputs, self.log.record(number)):
                break
            self.log.sent += 1
        if self.tick % STATUS_PERIOD_TICKS == 0:
            self._status(inputs, outputs)

    def _status(self, inputs, outputs):
        flowing = self.delivery.owed.flowing()
        values = self.telemetry.values
        values[0] = self.tick
        values[1] = self._rate_nl_h()
        values[2] = self.delivery.position()
        values[3] = self.executed_steps
        values[4] = self.guard.ordered_steps
        values[5] = self.mechanism.volume_ul(self.executed_steps)
        values[6] = self.mechanism.volume_nl(self.delivery.bolus_left_steps(flowing)) if flowing >= 0 else 0
        values[7] = self.mechanism.volume_ul(self.reservoir.left_steps(self.executed_steps))
        values[8] = self.ledger.content_steps()
        values[9] = self.guard.limit_steps
        values[10] = inputs.pressure_down_raw
        values[11] = inputs.pressure_up_raw
        values[12] = inputs.supply_raw
        values[13] = inputs.encoder_count
        values[14] = inputs.loop_us
        values[15] = inputs.heap_bytes
        values[16] = self.writer.dropped
        values[17] = self.session.reader.bad_lines
        self.telemetry.status(outputs, self.state, flowing + 1)

    def _rate_nl_h(self):
        """What flows now, nL/h, each component rounded down."""
        owed = self.delivery.owed
        total = self._nl_h(owed.basal)
        flowing = owed.flowing()
        return total + self._nl_h(owed.boluses[flowing]) if flowing >= 0 else total

    def _nl_h(self, flow):
        return self.mechanism.flow_nl_h(flow.rate_steps, flow.rate_grains)


def _answer(reason):
    return {"granted": reason == GRANTED, "reason": "" if reason == GRANTED else CAUSES[reason]}


def _row(name):
    for index in range(len(commands.COMMANDS)):
        if commands.COMMANDS[index].name == name:
            return index
    return -1
