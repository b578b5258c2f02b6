"""The one door to the pump's state, and the one to its alarms.

`Control.enter` moves along the table of `states` and does what belongs to a move: flow begins or ends, what
ran is told. An alarm whose response is a stop goes through it as well (`raise_alarm`). Nobody else writes the
state, and all that is to flow from now on begins or ends here.
"""

from . import states
from .causes import ALARM, COMMAND, ILLEGAL_MOVE
from .record import events
from .watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .teller import Teller
    from .watch.senses import Senses

ENDS_BY_ITSELF = (states.PRIMING, states.DRAW_BACK, states.JOGGING)  # nothing else was to flow


class IllegalMove(Exception):
    """A change of state that the table does not know: a fault of the program, never ignored."""


class Control:
    """State and alarms of one pump."""

    def __init__(self, clock: "Clock", position, dosing, senses: "Senses", teller: "Teller") -> None:
        self.clock = clock
        self.position = position
        self.dosing = dosing
        self.senses = senses
        self.teller = teller
        self.alarms = alarms.Alarms()
        self.state = states.BOOT
        self.found_state = states.BOOT  # the one in which a reset found the pump
        self.stopped_tick = 0  # of the last change of state, but for those of a boot
        self.failures = 0  # parts whose self-test failed, as bits: the motor stays off until a reset
        self.unsettled = False  # a move or an order may have changed any critical word ...
        self.unwritten = True  # ... and what is kept over a reset

    # --- state

    def enter(self, state: int, cause: int) -> None:
        """The one door to a change of state. IllegalMove, after halting, for a move not in the table."""
        left = self.state
        self.unsettled = True
        if state not in states.MOVES[left]:
            self.state = states.HALTED
            self.teller.event(events.FAULT, left, ILLEGAL_MOVE)
            raise IllegalMove("%s to %s" % (states.STATES[left], states.STATES[state]))
        self.state = state
        if state in states.MOVING:
            self.dosing.begin(state == states.RUNNING)
            self.senses.begin(self.position.counted_steps, state == states.DRAW_BACK)
        if state == states.RUNNING:
            self.follow_schedule()
        if left in states.MOVING:
            self.dosing.delivery.back_to_now()
        self.teller.event(events.STATE, left, state)
        if left in states.MOVING:
            self.alarms.motion_stopped()
            self.dosing.end()
        if left > states.POST:  # a reset begins no rest
            self.stopped_tick = self.clock.tick
            self.clear_alarm(alarms.LONG_STOP)
        if left in states.MOVING:
            self.end_draw_back()

    def end_draw_back(self) -> None:
        """OCC-05: one that was cut short, by a stop, an alarm or a reset. The line still holds the rest, so
        the alarm stands again until that is drawn back too.
        """
        if self.dosing.cut_draw_back():
            self.raise_alarm(alarms.OCCLUSION_DOWN)

    def stop_ordered(self) -> None:
        """Somebody wants flow and sound to end, whatever the state: nothing resumes after the self-test."""
        self.alarms.stop()
        self.end_flow()

    def end_flow(self) -> None:
        """The same, but for what is heard."""
        if self.state in states.MOVING:
            self.enter(states.STOPPED, COMMAND)
        elif self.state in (states.BOOT, states.POST) and self.found_state == states.RUNNING:
            self.found_state = states.STOPPED

    def make_loggable(self) -> None:
        """Whatever the words say now, it must be possible to halt and to write down that it was so."""
        self.clock.make_loggable()
        if not states.BOOT < self.state < len(states.STATES):
            self.state = states.RUNNING  # from where a halt ends all that may be under way

    # --- alarms

    def raise_alarm(self, row: int) -> bool:
        """Raise an alarm and respond to it. True if it did not stand yet."""
        if not self.alarms.set(row):
            return False
        self.teller.event(events.ALARM, row, 1)
        if alarms.ALARMS[row].response == alarms.STOP and self.state != states.HALTED:
            self.enter(states.HALTED, ALARM)
        return True

    def clear_alarm(self, row: int) -> None:
        """Take an alarm away."""
        if self.alarms.clear(row):
            self.teller.event(events.ALARM, row, 0)

    def follow_alarm(self, row: int, stands: bool) -> None:
        """An alarm that stands as long as its cause."""
        if stands == self.alarms.standing[row]:
            return
        if stands:
            self.raise_alarm(row)
        else:
            self.clear_alarm(row)

    # --- the flow

    def follow_schedule(self) -> None:
        """Let flow what the therapy in force says now."""
        if not self.dosing.follow_schedule(self.alarms.standing[alarms.RESERVOIR_LOW]):
            self.raise_alarm(alarms.CLOCK_LOST)

    def to_boundary(self) -> None:
        """Owe up to the end of this tick, where what is ordered now takes effect."""
        if self.state in states.MOVING:
            through = self.dosing.delivery.to_boundary()
            if through >= 0:
                self.complete(through)

    def complete(self, kind: int) -> None:
        """A bolus is through; where nothing else was to flow the pump stops."""
        self.unwritten = True
        if self.dosing.complete(kind) and self.state in ENDS_BY_ITSELF:
            self.enter(states.STOPPED, COMMAND)
