"""The pump: one tick, and the only place where the rooms meet.

`Pump.step(inputs, outputs)` reads everything, decides, and leaves its orders in `outputs`:

    inputs -> link (commands) -> dose (wanted position) -> watch (allowed position) -> record (events) ->
    outputs

It is called once per tick of 100 ms with the nominal time of the tick; a tick that came too late to be run is
merged into the next one, which then lets more than one tick pass. Nothing here knows a pin, a clock or a
wall.
"""

from . import states, version
from .dose import prescription
from .dose.delivery import Delivery
from .link import commands
from .link.frame import FrameWriter, crc_into
from .link.session import Session, refusal
from .link.telemetry import STATUS_PERIOD_TICKS, TICKS_PER_S, Telemetry
from .record import events
from .signals import QUEUE_SEGMENTS, TICK_MS
from .smallint import small
from .watch.guard import Guard

# Why the state changed or an order was refused: the `cause` of a state event, the `b` of a denial.
CAUSES = (
    "power_on",
    "self_test",
    "command",
    "runaway",
    "illegal_move",
    "loop_fault",
    "not_running",
    "bolus_active",
    "prescription",
)
POWER_ON, SELF_TEST, COMMAND, RUNAWAY, ILLEGAL_MOVE, LOOP_FAULT, NOT_RUNNING, BOLUS_ACTIVE, PRESCRIPTION = (
    range(len(CAUSES))
)


class IllegalMove(Exception):
    """A change of state that the table does not know: a fault of the program, never ignored."""


class Pump:
    """The whole pump but for its hardware. `mechanism` is the calibration, `crc` may be a faster one for the
    link.
    """

    def __init__(self, mechanism, crc=crc_into):
        self.mechanism = mechanism
        self.state = states.BOOT
        self.cause = POWER_ON
        self.tick = 0
        self.tick_s = 0
        self.tick_ms = 0
        self.executed_steps = 0
        self.prescription = None
        self.proposed = None
        self.proposed_digest = ""
        self.basal_nl_h = 0  # rates for the status frame, rounded down
        self.bolus_nl_h = 0
        self.bolus_nl = 0  # volume of the running bolus, 0 if there is none
        self.bolus_ms = 0  # and the duration that was asked for
        self.early = False  # a command that changes the flow is being carried out
        self.replan = False
        self.settling = 0  # ticks until the motor is known to rest: the one that halts it and the next
        self.delivery = Delivery(mechanism)
        self.guard = Guard(
            mechanism.nl_per_rev,
            mechanism.steps_per_rev,
            min(prescription.MOST_RATE_NL_H, mechanism.max_rate_nl_h()),
        )
        self.planned_steps = 0  # position at the end of the last segment ordered
        self.log = events.EventLog()
        self.writer = FrameWriter(crc)
        self.telemetry = Telemetry(self.writer, states.STATES, [event.name for event in events.EVENTS])
        self.session = Session(crc)

    # --- one tick
    # ---------------------------------------------------------------------------------------------------

    def step(self, inputs, outputs):
        """One tick. Never blocks; in the steady state allocates nothing."""
        outputs.clear_orders()
        ticks = self._let_time_pass(inputs)
        if self.state == states.BOOT:
            self._event(events.BOOT, 0, 0)
            self.enter(states.POST, POWER_ON)
            self.guard.rest(inputs.executed_steps)
            self.enter(states.STOPPED, SELF_TEST)
        if self.state == states.RUNNING:
            self._owe(ticks, inputs)
        self._obey_host(inputs, outputs)
        self._order_motion(inputs, outputs)
        self._report(inputs, outputs)

    def enter(self, state, cause):
        """The one door to a change of state. Raises IllegalMove, after halting, for a move that is not in the
        table.
        """
        left = self.state
        if state not in states.MOVES[left]:
            self.state = states.HALTED
            self.cause = ILLEGAL_MOVE
            self._event(events.FAULT, left, ILLEGAL_MOVE)
            raise IllegalMove("%s to %s" % (states.STATES[left], states.STATES[state]))
        self.state = state
        self.cause = cause
        if state == states.RUNNING:
            self.delivery.begin(self.executed_steps, self.prescription.rate_num, self.prescription.rate_den)
            self.replan = True
        self._event(events.STATE, left, state)
        if left == states.RUNNING:
            self._end_bolus(complete=False)
            self.delivery.forfeit(self.executed_steps)

    def _let_time_pass(self, inputs):
        ticks = (inputs.tick_s - self.tick_s) * TICKS_PER_S + (inputs.tick_ms - self.tick_ms) // TICK_MS
        self.tick += ticks
        self.tick_s = inputs.tick_s
        self.tick_ms = inputs.tick_ms
        self.executed_steps = inputs.executed_steps
        return ticks

    # --- dose
    # -------------------------------------------------------------------------------------------------------

    def _owe(self, ticks, inputs):
        if ticks > 1:
            self._event(events.MERGED, ticks - 1, 0)
        bolus_through = self.delivery.advance(ticks)
        if inputs.starved:
            forfeited = self.delivery.position() - inputs.executed_steps
            self.delivery.drop(forfeited)
            self._event(events.STARVED, forfeited, 0)
            self.replan = True
        if bolus_through:
            self._end_bolus(complete=True)

    def _to_boundary(self):
        if self.state == states.RUNNING and self.delivery.to_boundary():
            self._end_bolus(complete=True)

    def _end_bolus(self, complete):
        if self.bolus_nl:
            owed_nl = self.mechanism.volume_nl(self.delivery.bolus.steps)
            self._event(events.BOLUS_END, self.bolus_nl if complete else owed_nl, 1 if complete else 0)
            self.bolus_nl = 0

    # --- motion
    # -----------------------------------------------------------------------------------------------------

    def _order_motion(self, inputs, outputs):
        runaway = self.guard.runaway_steps(inputs.executed_steps)
        if runaway and self.state != states.HALTED:
            self._event(events.FAULT, self.state, RUNAWAY)
            self.enter(states.HALTED, RUNAWAY)
        outputs.enable = self.state == states.RUNNING
        if self.state != states.RUNNING:
            outputs.halt = True
            if self.settling:
                self.settling -= 1
                if self.settling == 0:
                    # The queue was emptied after the last tick, so this is where the motor came to rest.
                    self.guard.rest(inputs.executed_steps)
            return
        self.settling = 2
        if self.replan:
            self.replan = False
            outputs.motion_flush = True
            # First to where the motor ought to be at the end of this tick, then on from there.
            self._to_boundary()
            self.planned_steps = inputs.executed_steps
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
            self._event(events.LIMITED, wanted - allowed, 0)
        outputs.targets[outputs.target_count] = allowed
        outputs.target_ticks[outputs.target_count] = ticks
        outputs.target_count += 1
        if allowed > self.planned_steps:
            self.planned_steps = allowed

    # --- link
    # -------------------------------------------------------------------------------------------------------

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
        self.proposed = prescription.parse(request["therapy"], self.mechanism)
        readback = self.proposed.readback(self.mechanism)
        self.proposed_digest = prescription.digest(readback)
        return {"digest": self.proposed_digest, "readback": readback}

    def _do_confirm(self, request):
        if self.proposed is None or request["digest"] != self.proposed_digest:
            return refusal(
                request, "refused", "digest: %s is not that of the last proposal" % request["digest"][:16]
            )
        therapy = self.proposed
        if self.delivery.bolus_active:
            self._set_bolus_rate(
                prescription.bolus_rate(therapy, self.mechanism, self.bolus_nl, self.bolus_ms)
            )
        self.proposed = None
        self.prescription = therapy
        self.guard.set_max_rate(therapy.max_rate_nl_h)
        self._event(events.THERAPY, therapy.rate_num // therapy.rate_den, therapy.max_rate_nl_h)
        self.basal_nl_h = small(therapy.rate_num // therapy.rate_den)
        if self.state == states.RUNNING:
            self.delivery.set_basal(therapy.rate_num, therapy.rate_den)
            self.replan = True
        return {"digest": self.proposed_digest}

    def _do_start(self, request):
        if self.state != states.STOPPED:
            return refusal(
                request, "refused", "start: the pump is %s, not STOPPED" % states.STATES[self.state]
            )
        if self.prescription is None:
            return refusal(request, "refused", "start: no therapy is programmed")
        self.enter(states.RUNNING, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_stop(self, request):
        if self.state == states.RUNNING:
            self.enter(states.STOPPED, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_acknowledge(self, request):
        if self.state == states.HALTED:
            self.guard.rest(self.executed_steps)
            self.enter(states.STOPPED, COMMAND)
        return {"state": states.STATES[self.state]}

    def _do_bolus(self, request):
        if self.state != states.RUNNING:
            return self._bolus_denied(NOT_RUNNING)
        if self.delivery.bolus_active:
            return self._bolus_denied(BOLUS_ACTIVE)
        volume_nl = request["volume_nl"]
        duration_ms = request["duration_ms"]
        rate = prescription.bolus_rate(self.prescription, self.mechanism, volume_nl, duration_ms)
        self.delivery.begin_bolus(volume_nl)
        self._set_bolus_rate(rate)
        self.bolus_nl = volume_nl
        self.bolus_ms = duration_ms
        self._event(events.BOLUS_START, volume_nl, self.bolus_nl_h)
        return {"granted": True, "reason": "", "rate_num": rate[0], "rate_den": rate[1]}

    def _set_bolus_rate(self, rate):
        self.delivery.set_bolus_rate(*rate)
        self.bolus_nl_h = small(rate[0] // rate[1])
        self.replan = True

    def _bolus_denied(self, reason):
        self._event(events.DENIED, _row("bolus"), reason)
        return {"granted": False, "reason": CAUSES[reason]}

    # --- record
    # -----------------------------------------------------------------------------------------------------

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
        values = self.telemetry.values
        values[0] = self.tick
        values[1] = self._rate_nl_h()
        values[2] = self.delivery.position()
        values[3] = inputs.executed_steps
        values[4] = self.guard.ordered_steps
        values[5] = self.mechanism.volume_ul(inputs.executed_steps)
        values[6] = self.mechanism.volume_nl(self.delivery.bolus_left_steps())
        values[7] = inputs.pressure_down_raw
        values[8] = inputs.pressure_up_raw
        values[9] = inputs.supply_raw
        values[10] = inputs.encoder_count
        values[11] = inputs.loop_us
        values[12] = inputs.heap_bytes
        values[13] = self.writer.dropped
        values[14] = self.session.reader.bad_lines
        self.telemetry.status(outputs, self.state, 1 if self.delivery.bolus_active else 0)

    def _rate_nl_h(self):
        if self.state != states.RUNNING:
            return 0
        return self.basal_nl_h + (self.bolus_nl_h if self.delivery.bolus_active else 0)


def _row(name):
    for index in range(len(commands.COMMANDS)):
        if commands.COMMANDS[index].name == name:
            return index
    return -1
