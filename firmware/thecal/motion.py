"""What the motor is ordered to do: the plan of the delivery, cut to what the guard allows, as segments.

`Motion.order` is the last part of a tick. It throws the queue away and plans anew where the flow changed, or
fills up the queue; while the motor rests it is halted. What the guard withholds is told (`Cut`).
"""

from . import states
from .clock import TICK_MS, TICKS_PER_MIN
from .record import events
from .signals import QUEUE_SEGMENTS, SEGMENT_TICKS
from .smallint import LARGEST
from .watch import alarms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .control import Control
    from .dose.delivery import Delivery
    from .dose.line import Line
    from .signals import Inputs, Outputs
    from .teller import Teller
    from .watch.guard import Guard
    from .watch.limits import WindowLedger


CUT_TICKS = SEGMENT_TICKS * (QUEUE_SEGMENTS + 2)
TELL_TICKS = TICKS_PER_MIN  # from one event of cut orders to the next
TICK_CYCLES = TICK_MS * 10_000
# After one that is cut in two: so of any four that wait no more than two are short, and last 600 ms (MOT-05).
STRAIGHT_SEGMENTS = 2
BENT_STEPS = 4  # of fewer in a segment none is far off an even flow
CROSSING_PART = 4  # times what flows: the rotor turns so far only where it crosses a dip


class Cut:
    """Steps that were planned and not ordered. They are given up when their time comes."""

    def __init__(self, clock: "Clock", position, delivery: "Delivery", teller: "Teller") -> None:
        self.clock = clock
        self.position = position
        self.delivery = delivery
        self.teller = teller
        self.ticks = 0  # for so long orders that were cut may be due
        self.steps = 0  # of those, not told in an event yet
        self.told_tick = -TELL_TICKS

    def begin(self, steps: int) -> None:
        """So many were cut from the plan: none is made up for while this plan holds."""
        self.delivery.cut_plan(steps)
        self.ticks = CUT_TICKS

    def told(self, steps: int) -> None:
        """An event for all that was cut, once a minute: for each order it would fill the log."""
        self.steps = min(self.steps + steps, LARGEST)
        self.tell()

    def tell(self) -> None:
        """What is still to be told, if it is time."""
        if self.steps and self.clock.tick - self.told_tick >= TELL_TICKS:
            self.teller.event(events.LIMITED, self.steps, 0)
            self.told_tick = self.clock.tick
            self.steps = 0

    def pass_tick(self) -> None:
        """What was cut and would be due now is not owed any more."""
        self.tell()
        if self.ticks > 0:
            self.ticks -= 1
            # Between two ends of segments a motor that is cut nowhere may be a step behind, too.
            missing_steps = self.delivery.position() - self.position.executed_steps - 1
            missing_steps -= self.position.head.behind_steps
            if missing_steps > 0:
                self.delivery.drop(missing_steps)


class Motion:
    """Orders the motor of one pump. `ledger` is the window of what was given."""

    def __init__(
        self,
        position,
        line: "Line",
        delivery: "Delivery",
        ledger: "WindowLedger",
        guard: "Guard",
        control: "Control",
    ) -> None:
        self.position = position
        self.line = line
        self.delivery = delivery
        self.ledger = ledger
        self.guard = guard
        self.control = control
        self.cut = Cut(control.clock, position, delivery, control.teller)
        self.planned_steps = 0  # position at the end of the last segment ordered
        self.evens = position.evens
        self.planned_part = 0  # and parts of a step, as the head has them
        self.turned_steps = 0  # the count of steps then
        one = delivery.mechanism.grains_per_step
        self.part_bits = 0  # of a part of a step in grains that are too fine for the head
        while (one >> self.part_bits) * position.head.unit > LARGEST:
            self.part_bits += 1
        self.straight_due = 0  # of the next segments so many are not to be cut
        self.settling = 0  # ticks until the motor is known to rest: the one that halts it and the next

    def evened(self, executed_steps: int) -> int:
        """What a head that is evened out displaced, a step of its rotor more or less, counts as it is due:
        its history is as even as the dose. At rest no less counts than was displaced.
        """
        position = self.position
        head = position.head
        if not head.compensates:
            return executed_steps
        owed = self.delivery.owed
        due_steps = position.executed_steps
        least_steps = executed_steps
        if owed.flow and owed.foreseen:
            due_steps = self.delivery.origin_steps + owed.next_due_steps
            least_steps -= head.behind_steps
        most_steps = min(executed_steps + head.behind_steps, self.planned_steps)
        return max(least_steps, min(due_steps, most_steps))

    def order(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """The segments of this tick, or a halt."""
        moving = self.control.state in states.MOVING
        outputs.enable = moving
        if not moving:
            outputs.halt = True
            self._settle()
            return
        self.settling = 2
        free = inputs.queue_free
        if self.delivery.replan:
            self._begin_plan(outputs)
            free = QUEUE_SEGMENTS
        while free > 0:
            ahead = self.delivery.planned_ahead()
            ticks = self._segment_ticks(ahead)
            self._order(outputs, self.delivery.plan(ticks), ticks, ahead + ticks)
            free -= 1
        if self.control.state not in states.MOVING:  # a fault was found on the way
            outputs.enable = False
            outputs.halt = True

    def _settle(self) -> None:
        if self.settling:
            self.settling -= 1
            if self.settling == 0:
                # The queue was emptied after the last tick, so this is where the motor came to rest.
                self.guard.rest(self.position.counted_steps)

    def _begin_plan(self, outputs: "Outputs") -> None:
        """First to where the motor ought to be at the end of this tick, then on from there."""
        self.delivery.replan = False
        outputs.motion_flush = True
        self.control.to_boundary()
        self.planned_steps = self.position.executed_steps
        if self.evens:
            self._begin_turn()
        self._order(outputs, self.delivery.plan_to_boundary(), 1, 1)
        self.guard.tick_planned()
        self.delivery.plan_from_now()

    def _begin_turn(self) -> None:
        """From where the rotor is."""
        position = self.position
        head = position.head
        if head.compensates and self.line.drawn_from_steps >= 0:
            head.follow(position.counted_steps, False, position.executed_steps)
        lead_steps = position.lead_steps()
        if head.compensates:
            lead_steps += head.ripple_steps
        self.guard.lead(lead_steps)
        self.turned_steps = position.counted_steps
        self.planned_part = 0
        self.straight_due = STRAIGHT_SEGMENTS

    def _segment_ticks(self, ahead: int):
        """How long the segment is that begins so many ticks from now: up to an even tick; and a single tick
        where half of the steps are too many.
        """
        if (self.control.clock.tick + ahead) % SEGMENT_TICKS:
            return 1
        ticks = self.delivery.next_ticks()
        if ticks > 1 and self.evens:
            if self.straight_due:
                self.straight_due -= 1
            elif self._bends(ticks):
                self.straight_due = STRAIGHT_SEGMENTS
                return 1
        if ticks > 1 and self.guard.limit_steps:
            self._look_at_window(ahead + 1)
            room_steps = self.guard.room_steps(self.planned_steps)
            if room_steps < self.guard.segment_most[1]:
                steps = self.delivery.planned_position(ticks) - self.planned_steps
                if steps - steps // SEGMENT_TICKS > room_steps:
                    return 1
        return ticks

    def _bends(self, ticks: int):
        """Whether even steps, as those of a segment are, would be off an even flow by half a microstep in the
        middle of so many ticks. A dip is crossed in one.
        """
        head = self.position.head
        if not head.compensates:
            return False
        target_steps = self.delivery.planned_position(ticks)
        flows_steps = target_steps - self.planned_steps
        if flows_steps < BENT_STEPS:
            return False
        units = head.units_from_turn(target_steps, 0)
        turned = self.turned_steps - head.turn_at
        turns = head.counted_at(units) - self.turned_steps
        if turns > CROSSING_PART * flows_steps:
            return False
        off = head.units_of(turned) + units - 2 * head.units_of(turned + (turns >> 1))
        return not -head.unit <= off <= head.unit

    def _look_at_window(self, ahead: int) -> None:
        guard = self.guard
        content_steps = 0
        if guard.limit_steps:
            rest = guard.limit_rest
            content_steps = self.ledger.content_then(ahead, rest[0], rest[1])
        guard.look_at_window(self.position.executed_steps, content_steps, self.line.credit_steps)

    def _order(self, outputs: "Outputs", wanted, ticks: int, ahead: int) -> None:
        """A segment of so many ticks that ends so many ticks from now."""
        drawn_from_steps = self.line.drawn_from_steps
        if drawn_from_steps >= 0:
            self._order_back(outputs, drawn_from_steps - (wanted - drawn_from_steps), ticks)
            return
        guard = self.guard
        self._look_at_window(ahead)
        before = guard.ordered_steps
        allowed = guard.allow(self.planned_steps, wanted, ticks if ahead > 1 else 0)
        if allowed < wanted:
            # What the guard cuts is never made up for, but given up only when its time comes: this plan may
            # be thrown away before, and the reason with it.
            self.cut.begin(wanted - allowed)
            if allowed < guard.reservoir_most:
                self.cut.told(wanted - allowed)
            if allowed >= guard.window_most:
                self.control.raise_alarm(alarms.LIMIT_GUARD)
        if self.evens:
            most = guard.turn(before, allowed)
            self._turn(outputs, allowed, allowed == wanted, most, ticks)
        else:
            self._put(outputs, allowed, ticks)
        if allowed > self.planned_steps:
            self.planned_steps = allowed

    def _turn(self, outputs: "Outputs", target_steps: int, whole, most: int, ticks: int) -> None:
        """By the head's table: all steps are due that displace no more than `target_steps`, and the part of a
        step that is owed besides if `whole`, but for those beyond the count `most`. The first and the last
        one come at their times.
        """
        head = self.position.head
        if not head.compensates:
            self._put(outputs, target_steps + head.shift, ticks)
            return
        delivery = self.delivery
        part = 0
        if whole:
            bits = self.part_bits
            one = delivery.mechanism.grains_per_step >> bits
            part = (delivery.part >> bits) * head.unit // one
        before = head.units_from_turn(self.planned_steps, self.planned_part)
        units = head.units_from_turn(target_steps, part)
        turned = self.turned_steps
        target = head.counted_at(units)
        most = min(turned + delivery.mechanism.steps_per_tick_max * ticks, most)
        if target > most or delivery.first < 0:
            target = min(target, most)
            delivery.first = -1
            delivery.lag = 0
        elif target > turned:
            first = max(head.units_of(turned + 1 - head.turn_at) - before, 0)
            delivery.first = _share(first, units - before, ticks)
            delivery.lag = _share(units - head.units_of(target - head.turn_at), units - before, ticks)
        if target > turned:
            self.turned_steps = target
        self.planned_part = part
        self._put(outputs, target, ticks)

    def _order_back(self, outputs: "Outputs", wanted, ticks: int) -> None:
        """Only while the line is drawn back (MOT-03), and by no more than it may hold."""
        allowed = self.guard.allow_back(self.planned_steps, wanted, self.line.least_steps, ticks)
        outputs.reverse = True
        self._put(outputs, allowed + self.position.head.shift, ticks)
        self.planned_steps = min(self.planned_steps, allowed)

    def _put(self, outputs: "Outputs", target_count: int, ticks: int) -> None:
        index = outputs.target_count
        outputs.targets[index] = target_count - self.position.base_steps
        outputs.target_ticks[index] = ticks
        outputs.firsts[index] = self.delivery.first
        outputs.lags[index] = self.delivery.lag
        outputs.target_count = index + 1


def _share(units: int, whole: int, ticks: int):
    """When a constant flow of `whole` in so many ticks has come to `units` of it, 0.1 us."""
    if units >= whole:
        return ticks * TICK_CYCLES
    units *= 1_000
    thousandths = units // whole
    return (thousandths * 1_000 + (units - thousandths * whole) * 1_000 // whole) * ticks
