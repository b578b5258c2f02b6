"""Commands that let the pump run or rest: start, stop, prime, acknowledge, the time of day, silence."""

from .. import plain, states
from ..causes import COMMAND, LIBRARY_DAMAGED, NO_NEW_LINE, NO_THERAPY, THREE_STRIKES, UNPAIRED, Refused
from ..clock import TICKS_PER_S, TICKS_PER_WEEK
from ..dose import formulary
from ..dose.course import CLINICIAN
from ..dose.prescription import PrescriptionError
from ..record import events
from ..regimen import is_barred
from ..watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..control import Control
    from ..dose.line import Line
    from ..dose.mechanism import Mechanism
    from ..forecast import Forecast
    from ..link.signing import Keys
    from ..watch.guard import Guard
    from .denials import Denials


# OCC-05: 69 kPa in a line of 0.75 uL/kPa; more cannot be stored before the threshold is reached.
MOST_DRAW_BACK_NL = 52_000
PRIME_RATE_NL_H = 60_000_000  # or what the profile allows


class Running:
    """Carries them out."""

    COMMANDS = ("start", "stop", "prime", "acknowledge", "set_time", "audio_pause")

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        line: "Line",
        guard: "Guard",
        forecast: "Forecast",
        denials: "Denials",
        keys: "Keys",
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.line = line
        self.guard = guard
        self.forecast = forecast
        self.denials = denials
        self.keys = keys
        self.control = control

    def do_start(self, request: dict):
        """Let flow what is prescribed."""
        control = self.control
        therapy = self.regimen.prescription
        self.denials.check_stopped(starts=True)
        if therapy is None or not therapy.basal:
            raise Refused(NO_THERAPY, "no therapy with a flow is programmed")
        if is_barred(therapy, self.keys):
            raise Refused(UNPAIRED, "the pump lost its keys: pair it before it gives a drug")
        self.denials.check_not_empty()
        self.denials.check_fit()
        if not formulary.check(self.regimen.library):
            control.raise_alarm(alarms.LIBRARY_FAULT)
            raise Refused(LIBRARY_DAMAGED, "the drug library is damaged: send it again")
        self.forecast.check_history(therapy, control.clock.week_tick(1), self.line.bridge)
        if control.alarms.third_start():
            control.raise_alarm(alarms.THREE_STRIKES)
            raise Refused(THREE_STRIKES, "this is the third start after the same alarm: look for its cause")
        control.enter(states.RUNNING, COMMAND)
        self.regimen.changes.started(control.clock.tick + 1, therapy.drug)
        return self._state()

    def do_stop(self, request: dict):
        """No flow, no sound."""
        self.control.stop_ordered()
        return self._state()

    def do_prime(self, request: dict):
        """Fill a new line, which is no dose."""
        volume_nl = request["volume_nl"]
        therapy = self.regimen.prescription
        line_nl = therapy.line_nl if therapy else 0
        credit_steps = self.line.credit_steps
        self.denials.check_stopped()
        self.denials.check_fit()
        if not line_nl:
            raise PrescriptionError(["no therapy says how much the line holds (line_nl)"])
        if not 0 < volume_nl <= line_nl:
            said = plain.volume(volume_nl), plain.volume(line_nl)
            raise PrescriptionError(["volume_nl: %s, must be 1 nL to %s (line_nl)" % said])
        if not credit_steps:
            raise Refused(
                NO_NEW_LINE,
                "the line counts as full, and this would be a dose; confirm a new line first (new_line)",
            )
        if self.mechanism.grains_of_volume(volume_nl)[0] > credit_steps:
            said = plain.volume(volume_nl), plain.volume(self.mechanism.volume_nl(credit_steps))
            raise PrescriptionError(
                ["volume_nl: %s, but only %s of the new line are still to be filled" % said]
            )
        self.denials.check_not_empty()
        self._prime(volume_nl)
        return self._state()

    def do_acknowledge(self, request: dict):
        """The clinician has seen the alarms: those that latch are over. A halted pump is stopped, its line
        relieved first.
        """
        control = self.control
        halted = control.state == states.HALTED
        stored_nl = self._to_draw_back_nl() if halted else 0
        for row in range(len(alarms.ALARMS)):
            if alarms.ALARMS[row].latching:
                control.clear_alarm(row)
        control.alarms.clear_first_cause()
        control.senses.failed.forget()
        if halted:
            self.guard.rest(control.position.counted_steps)
            if stored_nl > 0 and self.regimen.prescription and not control.failures:
                self._draw_back(stored_nl)
            else:
                control.enter(states.STOPPED, COMMAND)
        return self._state()

    def do_set_time(self, request: dict):
        """The time of the week."""
        control = self.control
        clock = control.clock
        running = control.state == states.RUNNING
        week_s = request["week_s"]
        if not 0 <= week_s < TICKS_PER_WEEK // TICKS_PER_S:
            raise PrescriptionError(
                ["week_s: %d, must be 0 to %d seconds" % (week_s, TICKS_PER_WEEK // TICKS_PER_S - 1)]
            )
        therapy = self.regimen.prescription
        if running and len(therapy.basal) > 1:
            # Set back again and again, a clock could hold the fastest step of the day for ever.
            self.forecast.check_history(therapy, week_s * TICKS_PER_S, self.line.bridge)
        was_s = clock.week_tick(1) // TICKS_PER_S if clock.known else -1
        # The time that is given is that of the end of this tick, when it takes effect.
        clock.set_week(week_s * TICKS_PER_S)
        control.teller.event(events.CLOCK, week_s, was_s)
        control.clear_alarm(alarms.CLOCK_LOST)
        if running:
            control.follow_schedule()
        return {"week_s": week_s}

    def do_audio_pause(self, request: dict):
        """Silence for two minutes."""
        paused = self.control.alarms.pause_audio()
        self.control.teller.event(events.AUDIO_PAUSE, 1 if paused else 0, 0)
        return {"paused": paused}

    def motor_nl_h(self):
        """How fast the line is filled and relieved."""
        therapy = self.regimen.prescription
        most_nl_h = therapy.max_rate_nl_h if therapy else self.mechanism.max_rate_nl_h()
        return min(PRIME_RATE_NL_H, most_nl_h)

    def _state(self):
        return {"state": states.STATES[self.control.state]}

    def _prime(self, volume_nl: int) -> None:
        control = self.control
        control.enter(states.PRIMING, COMMAND)
        self.line.primed()
        control.dosing.run_motor((volume_nl, 1), self.motor_nl_h(), events.PRIME_END)
        # Not a step that would be rounded up to beyond the credit.
        control.dosing.delivery.end_by(CLINICIAN, self.line.credit_steps)
        control.teller.event(events.PRIME_START, volume_nl, 0)

    def _draw_back(self, volume_nl: int) -> None:
        """OCC-05: relieve the line before it is opened and delivery resumes."""
        control = self.control
        control.enter(states.DRAW_BACK, COMMAND)
        self.line.draw_back(control.position.executed_steps, self._most_back_steps())
        control.dosing.run_motor((volume_nl, 1), self.motor_nl_h(), events.DRAW_BACK)
        control.teller.event(events.DRAW_BACK, volume_nl, 1)

    def _to_draw_back_nl(self):
        """What the line holds above its rest, as far as it may be drawn back."""
        control = self.control
        may_steps = self.line.may_draw_steps(control.position.executed_steps, self._most_back_steps())
        return min(control.senses.stored_nl(), self.mechanism.volume_nl(may_steps))

    def _most_back_steps(self):
        return self.mechanism.grains_of_volume(MOST_DRAW_BACK_NL)[0]
