"""What may be ordered: the commands of the host and the patient's button, carried out on a `Pump`.

One method per row of `link/commands.py`: `_do_<name>` takes the request, whose arguments `link` has checked,
and returns the answer. Commands that change the flow are carried out with what is owed already at the end of
the tick, where they take effect. Whatever is refused changes nothing.
"""

import json

from . import denials, plain, states, version
from .causes import (
    CAUSES,
    COMMAND,
    GRANTED,
    JOURNAL_IN_USE,
    LIBRARY_DAMAGED,
    MAX_DOSE,
    NO_NEW_LINE,
    NO_THERAPY,
    NOT_ACCEPTED,
    NOT_KEPT,
    NOT_PROPOSED,
    NOT_RESTED,
    OVER_LIBRARY,
    PRESCRIPTION,
    THREE_STRIKES,
    Refused,
)
from .clock import TICK_MS, TICKS_PER_DAY, TICKS_PER_MIN, TICKS_PER_S, TICKS_PER_WEEK
from .dose import formulary, prescription, program
from .dose.delivery import CLINICIAN, PATIENT
from .link import commands
from .link.session import refusal, reply_to
from .proposing import Proposing
from .record import events
from .record.layout import LIBRARY, SOUND, STATUSES, THERAPY, USELESS
from .record.pages import STREAMS, page
from .watch import alarms, parts

# OCC-05: 69 kPa in a line of 0.75 uL/kPa; more can not be stored before the threshold is reached.
MOST_DRAW_BACK_NL = 52_000
PRIME_RATE_NL_H = 60_000_000  # or what the profile allows

BEGIN_ANEW = "begin_anew"
NEW_LINE = "new_line"
QUIET_TICKS = TICKS_PER_DAY  # no window, lockout or daily count reaches back further than a day
USED_UP = "used_up"

STARTS = (events.PATIENT_BOLUS_START, events.BOLUS_START)


class Orders:
    """Carries out orders on `pump`; keeps what was proposed and not confirmed yet."""

    def __init__(self, pump):
        self.pump = pump
        self.proposed = None  # a Prescription, a drug library, the volume of a refill, BEGIN_ANEW or NEW_LINE
        self.proposed_bridge = None  # the one that would be open, of a Prescription
        self.proposed_head = None  # the object that a Prescription was read from, without its steps
        self.proposed_digest = ""
        self.proposed_soft = ()  # names of the soft limits that the confirmation must accept
        self.library_draft = formulary.Draft()
        self.proposing = Proposing(pump, self)

    def ready(self, request):
        """Whether `request`, which changes the flow, can be carried out in this tick: what it needs has been
        written down, or will never be.
        """
        pump = self.pump
        keeper = pump.keeper
        if keeper.journal.failed:
            return True
        name = request["cmd"]
        if name == "confirm":
            if self.proposed == NEW_LINE:
                return not keeper.busy()
            if isinstance(self.proposed, (int, str)) or request["digest"] != self.proposed_digest:
                return True
            flow = 0, 0
            if not isinstance(self.proposed, tuple):
                flow = keeper.fastest(self.proposed, self.proposed_bridge)
            return keeper.covers(flow) and not keeper.busy()
        if name in ("start", "prime") and keeper.busy():
            return False  # a cut would find the pump moving, and no therapy or another
        flow = keeper.own_steps, keeper.own_grains
        if name == "prime":
            flow = pump.mechanism.grains_per_tick(self._motor_nl_h(), 1)
        elif name == "bolus" and request["duration_ms"] > 0:
            hours = request["volume_nl"] * 3_600_000 // request["duration_ms"] + 1
            flow = keeper.sum(flow, pump.mechanism.grains_per_tick(min(hours, self._motor_nl_h()), 1))
        return keeper.covers(flow)

    def carry_out(self, request):
        """The answer to `request`, None where it takes more ticks (`go_on`); refusals are logged, but not
        those of a question.
        """
        return self._answer_of(getattr(self, "_do_" + request["cmd"]), request)

    def go_on(self, request):
        """This tick's part of a request that takes more of them; as `carry_out`."""
        return self._answer_of(self._go_on, request)

    def _answer_of(self, do, request):
        try:
            answer = do(request)
        except prescription.PrescriptionError as error:
            return self._refuse(request, PRESCRIPTION, "; ".join(error.problems))
        except Refused as refused:
            return self._refuse(request, refused.cause, refused.text)
        if answer is not None and answer.get("ok", True):
            answer.update(reply_to(request))
            answer["ok"] = True
        return answer

    def forget_proposals(self):
        """What was proposed and not confirmed is over, and so is what comes in parts."""
        self.proposed = self.proposed_head = None
        self.library_draft = formulary.Draft()
        self.proposing.forget()

    def _refuse(self, request, cause, text):
        if commands.changes_of(request) != commands.READS:
            self._deny(request["cmd"], cause)
        answer = refusal(request, "refused", text)
        answer["reason"] = CAUSES[cause]
        return answer

    def _do_hello(self, request):
        pump = self.pump
        return {
            "protocol": version.PROTOCOL,
            "product": "thecal",
            "version": version.VERSION,
            "tick": pump.clock.tick,
            "tick_ms": TICK_MS,
            "state": states.STATES[pump.control.state],
            "nl_per_rev": pump.mechanism.nl_per_rev,
            "steps_per_rev": pump.mechanism.steps_per_rev,
            "max_rate_nl_h": min(prescription.MOST_RATE_NL_H, pump.mechanism.max_rate_nl_h()),
        }

    def _do_status(self, request):
        pump = self.pump
        return {"state": states.STATES[pump.control.state]}

    def _do_program(self, request):
        if ("part" in request) == ("therapy" in request):
            return refusal(request, "bad_argument", "program: give a therapy or a part of one")
        self.proposing.begin(request)
        return self.proposing.go_on()

    def _go_on(self, request):
        return self.proposing.go_on()

    def propose_therapy(self, therapy, head, readback, bridge):
        """The answer that proposes `therapy`, which was read from `head` and its steps; `bridge` is the one
        that would be open.
        """
        answer = self._propose(therapy, readback, therapy.basal)
        self.proposed_head = head
        self.proposed_bridge = bridge
        self.proposed_soft = readback.get("soft", ())
        return answer

    def _do_readback(self, request):
        therapy = self.proposed
        if not isinstance(therapy, prescription.Prescription):
            raise Refused(NOT_PROPOSED, "readback: no therapy is proposed")
        answer = _page(therapy, request["from"])
        answer["digest"] = self.proposed_digest
        return answer

    def judge(self, therapy):
        """The soft limits of the library that a therapy breaks, as (name, text). Raises for hard ones."""
        pump = self.pump
        if not therapy.concentration:
            return []
        problems, soft = formulary.judge(
            pump.regimen.library, therapy.drug, therapy.concentration, **self._doses(therapy)
        )
        if problems:
            raise prescription.PrescriptionError(problems)
        return soft

    def _doses(self, therapy):
        """The doses of a therapy in pg, as fractions, for the drug library."""
        pump = self.pump
        num, den = therapy.concentration
        doses = {"daily": self._daily_pg(therapy)}
        bolus = therapy.patient_bolus
        if bolus:
            each = (bolus.volume[0] * num, bolus.volume[1] * den)
            daily = doses["daily"]
            doses["bolus"] = each
            doses["most_daily"] = (
                daily[0] * each[1] + bolus.max_per_day * each[0] * daily[1],
                daily[1] * each[1],
            )
        if therapy.limit:
            doses["limit"] = (therapy.limit[0] * num, therapy.limit[1] * den)
        old = pump.regimen.prescription
        if old and old.drug == therapy.drug and old.concentration and old.basal:
            doses["previous"] = self._daily_pg(old)
            changes = pump.regimen.changes
            doses["since_change_s"] = changes.since_s(pump.clock.tick, changes.changed_tick)
            doses["since_start_s"] = changes.since_s(pump.clock.tick, changes.started_tick)
        return doses

    def _daily_pg(self, therapy):
        """The most that the basal gives in any 24 hours."""
        pump = self.pump
        if not therapy.basal:
            return (0, 1)
        one = pump.mechanism.grains_per_step
        peak = therapy.basal.peak_grains(TICKS_PER_DAY, one)
        return (
            peak * pump.mechanism.nl_per_rev * therapy.concentration[0],
            pump.mechanism.steps_per_rev * one * therapy.concentration[1],
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
                [
                    "volume_nl: %s, must be 1 nL to %s"
                    % (plain.volume(volume_nl), plain.volume(prescription.MOST_RESERVOIR_NL))
                ]
            )
        return self._propose(volume_nl, {"refill_nl": volume_nl})

    def _do_begin_anew(self, request):
        """Only where the journal holds nothing that could be gone on with, or its counts are used up and
        nothing of the last day is forgotten with it.
        """
        pump = self.pump
        keeper = pump.keeper
        status = keeper.journal.status if keeper else SOUND
        if status == SOUND and pump.watching.counts.ended and pump.control.state not in states.MOVING:
            quiet_ticks = pump.clock.tick - pump.control.stopped_tick
            if quiet_ticks < QUIET_TICKS:
                quiet_min = quiet_ticks // TICKS_PER_MIN
                raise Refused(NOT_RESTED, "the pump has rested for %d min, not for a day" % quiet_min)
            return self._propose(BEGIN_ANEW, {BEGIN_ANEW: USED_UP})
        if status not in USELESS:
            raise Refused(JOURNAL_IN_USE, "the journal is %s: it is gone on with" % STATUSES[status])
        return self._propose(BEGIN_ANEW, {BEGIN_ANEW: STATUSES[status]})

    def _propose(self, proposed, readback, basal=()):
        self.proposed = proposed
        self.proposed_soft = ()
        self.proposed_digest = program.digest(readback, basal)
        return {"digest": self.proposed_digest, "readback": readback}

    def _do_confirm(self, request):
        pump = self.pump
        if self.proposed is None or request["digest"] != self.proposed_digest:
            raise Refused(
                NOT_PROPOSED, "digest: %s is not that of the last proposal" % request["digest"][:16]
            )
        missing = [name for name in self.proposed_soft if name not in request.get("accept", ())]
        if missing:
            raise Refused(NOT_ACCEPTED, "accept: not confirmed: %s" % ", ".join(missing))
        proposed = self.proposed
        if isinstance(proposed, int):
            self._refilled(proposed)
        elif proposed == BEGIN_ANEW:
            pump.keeper.begin_anew()
        elif proposed == NEW_LINE:
            self._renew_line()
        elif isinstance(proposed, tuple):
            if pump.keeper:
                pump.keeper.applied(LIBRARY, json.dumps(proposed).encode())
            pump.teller.event(events.LIBRARY, proposed[0], pump.regimen.library[0])
            pump.regimen.library = proposed
            pump.regimen.changes.accepted = 0  # of bounds that may be others now
            pump.control.clear_alarm(alarms.LIBRARY_FAULT)
        else:
            self._apply(proposed)
        self.proposed = None
        return {"digest": self.proposed_digest}

    def _apply(self, therapy):
        pump = self.pump
        line = pump.line
        bridge = self._bridge_under(therapy)
        if pump.control.state == states.RUNNING and therapy.basal:
            pump.prospect.check_history(therapy, pump.clock.week_tick(1), bridge)
        opens_bridge = bridge is not line.bridge
        ratio = line.unit_change(therapy)
        packed = program.pack(self.proposed_digest, pump.clock.tick_s, self.proposed_head, therapy)
        if pump.keeper:
            pump.keeper.applied(THERAPY, packed)
        other = therapy.drug and therapy.drug != line.drug
        if other:
            pump.delivery.remainder.drop()
        runs = pump.control.state == states.RUNNING
        pump.regimen.changes.applied(pump.clock.tick + 1, other, self._changes_dose(therapy), runs)
        pump.regimen.changes.accept(pump.regimen.library, therapy.drug, self.proposed_soft)
        line.take(therapy, bridge)
        if opens_bridge:
            pump.teller.event(events.BRIDGE, therapy.line_nl, 1)
        if ratio:
            pump.regimen.rescale(*ratio)
        pump.regimen.put_in_force(therapy)
        fastest = therapy.fastest()
        if self.proposed_soft:
            pump.teller.event(events.SOFT_LIMITS, len(self.proposed_soft), pump.regimen.library[0])
        pump.regimen.therapies.add(packed)
        pump.teller.event(events.THERAPY, fastest[0] // fastest[1], therapy.max_rate_nl_h)
        if pump.control.state == states.RUNNING:
            if therapy.basal:
                pump.control.follow_schedule()
            else:  # DOSE-11: that is what is prescribed now
                pump.control.enter(states.STOPPED, COMMAND)

    def _changes_dose(self, therapy):
        """Whether another dose of the drug is in force with `therapy` than now."""
        old = self.pump.regimen.prescription
        if not old or not old.concentration or not therapy.concentration:
            return False
        before, after = self._daily_pg(old), self._daily_pg(therapy)
        return before[0] * after[1] != after[0] * before[1]

    def _bridge_under(self, therapy):
        """The bridge that is open once `therapy` is in force; raises for what the line forbids."""
        pump = self.pump
        line = pump.line
        # What is executed up to the end of this tick comes out before a new one.
        ahead = (
            pump.delivery.position() - pump.position.executed_steps
            if pump.control.state in states.MOVING
            else 0
        )
        bridge = line.bridge_under(therapy, max(ahead, 0))
        opens = bridge is not line.bridge
        if opens and pump.delivery.owed.flowing() >= 0:
            # Its volume was a dose of the old drug.
            raise prescription.PrescriptionError(
                ["concentration_pg_nl: a bolus is under way; stop the pump, or wait for its end"]
            )
        if opens and (self.proposed_bridge is None or self.proposed_bridge is line.bridge):
            raise prescription.PrescriptionError(
                ["concentration_pg_nl: the line has changed since the read-back, propose it again"]
            )
        return bridge

    def _do_new_line(self, request):
        """DOSE-09: the line is new or empty, and what fills it is no dose. A clinician says so."""
        pump = self.pump
        self._check_new_line()
        readback = {"new_line_nl": pump.regimen.prescription.line_nl}
        bridge = pump.line.bridge
        if bridge:
            readback["bridge_ends_nl"] = pump.mechanism.volume_nl(bridge.left_steps)
        return self._propose(NEW_LINE, readback)

    def _check_new_line(self):
        denials.check_stopped(self.pump)
        if self.pump.regimen.prescription is None:
            raise Refused(NO_THERAPY, "no therapy says what the line holds (line_nl): program one first")

    def _renew_line(self):
        pump = self.pump
        self._check_new_line()
        bridge = pump.line.renew(pump.regimen.prescription)
        pump.delivery.remainder.drop()
        pump.teller.event(events.NEW_LINE, pump.regimen.prescription.line_nl, 0)
        if bridge:
            pump.teller.event(events.BRIDGE, pump.mechanism.volume_nl(bridge.left_steps), 0)
            pump.regimen.rescale(bridge.old, bridge.new)
            pump.regimen.set_limit()

    def _refilled(self, volume_nl):
        pump = self.pump
        left_ul = pump.mechanism.volume_ul(pump.reservoir.left_steps(pump.position.executed_steps))
        pump.reservoir.refill(volume_nl, pump.position.executed_steps)
        pump.regimen.set_reservoir_most()
        pump.teller.event(events.REFILL, volume_nl, left_ul)
        pump.control.clear_alarm(alarms.RESERVOIR_EMPTY)
        pump.control.clear_alarm(alarms.RESERVOIR_LOW)
        if pump.control.state == states.RUNNING:
            pump.control.to_boundary()
            pump.control.follow_schedule()
        pump.delivery.replan = True

    def _do_start(self, request):
        pump = self.pump
        denials.check_stopped(pump, starts=True)
        if pump.regimen.prescription is None or not pump.regimen.prescription.basal:
            raise Refused(NO_THERAPY, "no therapy with a flow is programmed")
        denials.check_not_empty(pump)
        denials.check_fit(pump)
        if not formulary.check(pump.regimen.library):
            pump.control.raise_alarm(alarms.LIBRARY_FAULT)
            raise Refused(LIBRARY_DAMAGED, "the drug library is damaged: send it again")
        pump.prospect.check_history(pump.regimen.prescription, pump.clock.week_tick(1), pump.line.bridge)
        if pump.alarms.third_start():
            pump.control.raise_alarm(alarms.THREE_STRIKES)
            raise Refused(THREE_STRIKES, "this is the third start after the same alarm: look for its cause")
        pump.control.enter(states.RUNNING, COMMAND)
        pump.regimen.changes.started(pump.clock.tick + 1, pump.regimen.prescription.drug)
        return {"state": states.STATES[pump.control.state]}

    def _do_prime(self, request):
        pump = self.pump
        volume_nl = request["volume_nl"]
        line_nl = pump.regimen.prescription.line_nl if pump.regimen.prescription else 0
        credit_steps = pump.line.credit_steps
        denials.check_stopped(pump)
        denials.check_fit(pump)
        if not line_nl:
            raise prescription.PrescriptionError(["no therapy says how much the line holds (line_nl)"])
        if not 0 < volume_nl <= line_nl:
            said = plain.volume(volume_nl), plain.volume(line_nl)
            raise prescription.PrescriptionError(["volume_nl: %s, must be 1 nL to %s (line_nl)" % said])
        if not credit_steps:
            raise Refused(
                NO_NEW_LINE,
                "the line counts as full, and this would be a dose; confirm a new line first (new_line)",
            )
        if pump.mechanism.grains_of_volume(volume_nl)[0] > credit_steps:
            said = plain.volume(volume_nl), plain.volume(pump.mechanism.volume_nl(credit_steps))
            raise prescription.PrescriptionError(
                ["volume_nl: %s, but only %s of the new line are still to be filled" % said]
            )
        denials.check_not_empty(pump)
        self._prime(volume_nl)
        return {"state": states.STATES[pump.control.state]}

    def _prime(self, volume_nl):
        pump = self.pump
        pump.control.enter(states.PRIMING, COMMAND)
        pump.line.primed()
        self._run_motor(volume_nl)
        # Not a step that would be rounded up to beyond the credit.
        pump.delivery.end_by(CLINICIAN, pump.line.credit_steps)
        pump.teller.event(events.PRIME_START, volume_nl, 0)

    def _motor_nl_h(self):
        therapy = self.pump.regimen.prescription
        return min(PRIME_RATE_NL_H, therapy.max_rate_nl_h) if therapy else PRIME_RATE_NL_H

    def _run_motor(self, volume_nl):
        """So much, as fast as may be, and nothing else."""
        pump = self.pump
        most_nl_h = self._motor_nl_h()
        owed = pump.delivery.owed
        owed.most_steps, owed.most_grains = pump.mechanism.grains_per_tick(most_nl_h, 1)
        pump.delivery.begin_bolus(CLINICIAN, (volume_nl, 1), (most_nl_h, 1))
        pump.control.dosing.boluses.begin(CLINICIAN, (volume_nl, 1), pump.position.executed_steps)
        pump.delivery.replan = True

    def _do_therapy(self, request):
        pump = self.pump
        number = request.get("number", pump.regimen.therapies.count)
        data = pump.regimen.therapies.get(number)
        if data is None:
            raise Refused(
                NOT_KEPT, "number: %d is not kept, the last is %d" % (number, pump.regimen.therapies.count)
            )
        kept = program.Packed(data)
        answer = {"number": number, "tick_s": kept.tick_s, "digest": kept.digest, "therapy": kept.head}
        if kept.basal:
            answer.update(_page(kept.read(pump.mechanism), request.get("from", 0)))
        return answer

    def _do_log(self, request):
        pump = self.pump
        stream = request["stream"]
        if stream not in STREAMS:
            return refusal(
                request, "bad_argument", "stream: %s, must be %s" % (stream[:16], " or ".join(STREAMS))
            )
        if not pump.keeper:
            raise Refused(NOT_KEPT, "this pump has no flash to keep a log in")
        return page(pump.keeper.journal, STREAMS.index(stream), request["from"])

    def _draw_back(self, volume_nl):
        """OCC-05: relieve the line before it is opened and delivery resumes."""
        pump = self.pump
        pump.control.enter(states.DRAW_BACK, COMMAND)
        pump.line.draw_back(pump.position.executed_steps, self._most_back_steps())
        self._run_motor(volume_nl)
        pump.teller.event(events.DRAW_BACK, volume_nl, 1)

    def _to_draw_back_nl(self):
        """What the line holds above its rest, as far as it may be drawn back."""
        pump = self.pump
        may_steps = pump.line.may_draw_steps(pump.position.executed_steps, self._most_back_steps())
        return min(pump.senses.stored_nl(), pump.mechanism.volume_nl(may_steps))

    def _most_back_steps(self):
        return self.pump.mechanism.grains_of_volume(MOST_DRAW_BACK_NL)[0]

    def _do_attempts(self, request):
        pump = self.pump
        return {
            "granted_last_day": pump.lockout.in_last_day(pump.clock.tick),
            "denied_last_day": pump.lockout.denied_in_last_day(pump.clock.tick),
            "granted": pump.lockout.count,
            "denied": pump.lockout.denied_count,
        }

    def _do_stop(self, request):
        self.pump.control.stop_ordered()
        return {"state": states.STATES[self.pump.control.state]}

    def _do_audio_pause(self, request):
        paused = self.pump.alarms.pause_audio()
        self.pump.teller.event(events.AUDIO_PAUSE, 1 if paused else 0, 0)
        return {"paused": paused}

    def _do_alarms(self, request):
        pump = self.pump
        standing = pump.alarms
        rows = []
        row = standing.after(-1)
        while row >= 0:
            rows.append([alarms.ALARMS[row].code, alarms.PRIORITIES[standing.priority[row]]])
            row = standing.after(row)
        first = standing.first_cause
        failed = pump.senses.failed
        bits = pump.control.failures | failed.bits
        return {
            "state": states.STATES[pump.control.state],
            "alarms": rows,
            "first_cause": alarms.ALARMS[first].code if first >= 0 else "",
            "failed": [
                [parts.PARTS[part], parts.KINDS[failed.kinds[part]]]
                for part in range(len(parts.PARTS))
                if bits >> part & 1
            ],
        }

    def _do_acknowledge(self, request):
        pump = self.pump
        stored_nl = self._to_draw_back_nl() if pump.control.state == states.HALTED else 0
        for row in range(len(alarms.ALARMS)):
            if alarms.ALARMS[row].latching:
                pump.control.clear_alarm(row)
        pump.alarms.clear_first_cause()
        pump.senses.failed.forget()
        if pump.control.state == states.HALTED:
            pump.guard.rest(pump.position.executed_steps)
            if stored_nl > 0 and pump.regimen.prescription and not pump.control.failures:
                self._draw_back(stored_nl)
            else:
                pump.control.enter(states.STOPPED, COMMAND)
        return {"state": states.STATES[pump.control.state]}

    def _do_set_time(self, request):
        pump = self.pump
        week_s = request["week_s"]
        if not 0 <= week_s < TICKS_PER_WEEK // TICKS_PER_S:
            raise prescription.PrescriptionError(
                ["week_s: %d, must be 0 to %d seconds" % (week_s, TICKS_PER_WEEK // TICKS_PER_S - 1)]
            )
        if pump.control.state == states.RUNNING and len(pump.regimen.prescription.basal) > 1:
            # Set back again and again, a clock could hold the fastest step of the day for ever.
            pump.prospect.check_history(pump.regimen.prescription, week_s * TICKS_PER_S, pump.line.bridge)
        was_s = pump.clock.week_tick(1) // TICKS_PER_S if pump.clock.known else -1
        # The time that is given is that of the end of this tick, when it takes effect.
        pump.clock.set_week(week_s * TICKS_PER_S)
        pump.teller.event(events.CLOCK, week_s, was_s)
        pump.control.clear_alarm(alarms.CLOCK_LOST)
        if pump.control.state == states.RUNNING:
            pump.control.follow_schedule()
        return {"week_s": week_s}

    def _do_patient_bolus(self, request):
        reason = self.patient_bolus()
        bolus = self.pump.regimen.prescription and self.pump.regimen.prescription.patient_bolus
        return self._answer(PATIENT, reason, bolus.volume if bolus else (0, 1))

    def _do_bolus(self, request):
        pump = self.pump
        volume = (request["volume_nl"], 1)
        broken = ()
        reason = denials.why_no_clinician_bolus(pump)
        if reason == GRANTED:
            rate = prescription.bolus_rate(
                pump.regimen.prescription, pump.mechanism, volume[0], request["duration_ms"]
            )
            broken = denials.bounds_broken(pump, volume, rate)
            reason = denials.why_not_accepted(broken, request.get("accept", ()))
        if reason == GRANTED:
            reason = pump.prospect.why_no_room(volume, rate)
        if reason == OVER_LIBRARY:
            answer = denials.over_library(broken, request.get("accept", ()))
        else:
            answer = self._answer(CLINICIAN, reason, volume)
        if reason == GRANTED:
            if broken:
                pump.teller.event(events.SOFT_LIMITS, len(broken), pump.regimen.library[0])
            self._begin_bolus(CLINICIAN, volume, rate)
            answer["rate_num"], answer["rate_den"] = rate
        else:
            self._deny("bolus", reason)
        return answer

    def _answer(self, kind, reason, volume):
        if reason == GRANTED:
            return {"granted": True, "reason": ""}
        said = denials.sentence(self.pump, kind, reason, volume)
        return {"granted": False, "reason": CAUSES[reason], "message": said}

    def _begin_bolus(self, kind, volume, rate):
        pump = self.pump
        pump.delivery.begin_bolus(kind, volume, rate)
        pump.control.dosing.boluses.begin(kind, volume, pump.position.executed_steps)
        pump.delivery.replan = True
        pump.teller.event(STARTS[kind], pump.control.dosing.boluses.volume_nl[kind], rate[0] // rate[1])

    def _deny(self, name, reason):
        pump = self.pump
        pump.teller.event(events.DENIED, commands.row_of(name), reason)
        if name == "patient_bolus":
            pump.lockout.deny(pump.clock.tick + 1)
        if reason == MAX_DOSE:
            pump.control.raise_alarm(alarms.MAX_DOSE)

    def patient_bolus(self):
        """What comes of a patient's request; the tick is at its boundary. Logs it."""
        pump = self.pump
        reason = denials.why_no_patient_bolus(pump)
        if reason == GRANTED:
            bolus = pump.regimen.prescription.patient_bolus
            pump.lockout.grant(pump.clock.tick + 1)
            self._begin_bolus(PATIENT, bolus.volume, bolus.rate)
        else:
            self._deny("patient_bolus", reason)
        return reason


def _page(therapy, first):
    """The steps of `therapy` from number `first` on, as many as fit in a frame."""
    count = len(therapy.basal)
    first = min(first, count)
    return {
        "from": first,
        "steps": therapy.steps_from(first),
        "next": min(first + prescription.PAGE_STEPS, count),
        "step_count": count,
    }
