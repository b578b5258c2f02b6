"""From power-on to what the pump was before: what a reset found, the self-test, and the way on from there."""

from . import states
from .causes import ALARM, POWER_ON, RESET_FAULT, RESUME, SELF_TEST, UNPAIRED
from .dose import formulary
from .dose.course import KINDS
from .dosing import NONE
from .link import commands
from .record import events
from .regimen import is_barred
from .watch import alarms, parts
from .watch.resets import Resets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .link.signing import Keys
    from .signals import Inputs
    from .watch.guard import Guard

# What a reset cut short instead of a dose, by the state in which it found the pump.
OTHER_ENDS = {states.PRIMING: events.PRIME_END, states.JOGGING: events.JOG_END}


class Startup:
    """Wakes one pump up. `persistence` says what is kept over a reset; None: nothing is."""

    def __init__(
        self, control: "Control", regimen, keys: "Keys", guard: "Guard", stop_button, persistence
    ) -> None:
        self.control = control
        self.keys = keys
        self.regimen = regimen
        self.guard = guard
        self.stop_button = stop_button
        self.persistence = persistence
        self.resets = persistence.resets if persistence else Resets()
        self.was_reset = False

    def go_on(self, inputs: "Inputs") -> None:
        """This tick's part of it, in BOOT and POST."""
        if self.control.state == states.BOOT:
            self._wake_up(inputs)
        if self.control.state == states.POST:
            self._leave_post()

    def tell_failed(self, bits: int) -> None:
        """Parts have failed their self-test: any keeps the motor off until a reset."""
        control = self.control
        kinds = control.senses.failed.kinds
        for part in range(len(parts.PARTS)):
            if bits >> part & 1:
                control.teller.event(events.POST_FAILED, part, kinds[part])
        if bits:
            control.raise_alarm(alarms.POST_FAILED)

    def _wake_up(self, inputs: "Inputs") -> None:
        control = self.control
        dosing = control.dosing
        persistence = self.persistence
        dosing.other_end = OTHER_ENDS.get(control.found_state, NONE)
        control.teller.event(events.BOOT, control.found_state, inputs.reset_cause)
        if persistence and (persistence.journal.torn or not persistence.sound()):
            control.teller.event(events.JOURNAL, persistence.journal.status, persistence.journal.torn)
        control.enter(states.POST, POWER_ON)
        self.guard.rest(control.position.counted_steps)
        if self.regimen.prescription:
            self.regimen.put_in_force(self.regimen.prescription)
        for kind in range(KINDS):
            # REC-03: a bolus that a reset cut is never started again by itself.
            dosing.cut_short(kind, dosing.boluses.given_nl[kind])
        control.end_draw_back()
        self._self_test(inputs)
        if inputs.reset_cause == RESET_FAULT:
            self._failed_before()
        if persistence and persistence.therapy_lost:
            control.raise_alarm(alarms.JOURNAL_FAULT)
        if self.was_reset and self.resets.too_many(control.clock.tick):
            control.raise_alarm(alarms.RESET_LOOP)

    def _failed_before(self) -> None:
        """The loop failed again and again and reset the board: it is halted for it now, as nothing could be
        written down then.
        """
        self.control.raise_alarm(alarms.LOOP_FAULT)
        if self.control.state != states.HALTED:  # the alarm stood already
            self.control.enter(states.HALTED, ALARM)

    def _self_test(self, inputs: "Inputs") -> None:
        """What the drivers found, and what the pump can tell of itself."""
        control = self.control
        control.failures = inputs.post_failures
        if not formulary.check(self.regimen.library):
            control.failures |= 1 << parts.LIBRARY
        if self.persistence and not self.persistence.sound():
            control.failures |= 1 << parts.JOURNAL
        control.failures |= control.senses.unbelievable()
        control.senses.failed.untold = 0  # the events of the self-test tell
        self.tell_failed(control.failures)

    def _leave_post(self) -> None:
        """Be again what the reset found, once that is written down."""
        control = self.control
        if self.persistence and not self.persistence.booking.ready():
            return
        if control.found_state == states.HALTED:
            control.enter(states.HALTED, ALARM)
            return
        control.enter(states.STOPPED, SELF_TEST)
        if control.found_state != states.RUNNING or self.stop_button.held:
            return
        if is_barred(self.regimen.prescription, self.keys):
            control.teller.event(events.DENIED, commands.COMMANDS.find("start"), UNPAIRED)
        else:
            control.raise_alarm(alarms.AUTO_RESUMED)
            control.enter(states.RUNNING, RESUME)
