"""What is owed, by whom, and where the rotor therefore ought to be.

A `Course` says for every tick what flows: the basal of the schedule (or KVO), a patient bolus on top of it,
or, while none runs, a clinician bolus. `Delivery` keeps two courses: `owed`, up to a tick, and `planned`, up
to the end of the last segment ordered, at most a second ahead. Every change of rate from outside throws the
plan away (the queue is flushed) and plans anew from what is owed. Positions are microsteps on the scale of
`Inputs.executed_steps`.

A change takes effect at the end of the tick that accepts it (`to_boundary`): a point on the grid that the
motor can still be brought to exactly, however long the tick takes to think and however late it came. So the
old rate holds up to there and the new one from there, on the board as on paper. What the course does by
itself (a step of the day, the end of a bolus) comes at its own time and is planned ahead.

A position is what is owed rounded to the step after adding a quarter, and a step is due when that grows: the
edges made and the volume owed then never differ by more than one step, at a tick or between. So each segment
says when its first and its last step are due (`first`, `lag`); the driver spreads the others evenly between
them (drivers/segment.py), and in a constant flow each comes at its ideal time.

A step counts in the tick in which it was due: a tick that is late reads the count late, and what was made
meanwhile is left to the next one (`due`). Else the history of what was executed would hold the loop's
lateness.

A stop gives up what is owed and not made, but for the part of a microstep (`remainder`), with which the next
start of a dose begins. Fillings of the line and draw-backs are no dose: they leave it alone.
"""

from ..clock import TICK_MS, TICKS_PER_WEEK
from ..signals import EARLY_US, QUEUE_SEGMENTS, SEGMENT_TICKS
from .course import KINDS, Course, time_of
from .remainder import Remainder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .mechanism import Mechanism


# A tick that is run is late by less than half of one (drivers/pace.py), after a few that were merged into it;
# no motor makes more than 1 200 steps a second, and they are counted a little after the lateness was taken.
MOST_LATE_TICKS = 8
MOST_LATE_STEPS = 61
LATE_SLACK_US = 200
MOST_LAG = TICK_MS * 10_000
AHEAD_TICKS = (QUEUE_SEGMENTS + 1) * SEGMENT_TICKS  # MOT-04: no further than this is ever ordered


class Delivery:
    """The course of the pump on one `mechanism`, owed and planned; `behind_steps` as of `Remainder`."""

    def __init__(self, mechanism: "Mechanism", behind_steps: int = 0) -> None:
        self.mechanism = mechanism
        self.quarter = mechanism.grains_per_step >> 2
        self.origin_steps = 0  # executed count at which nothing was owed
        self.owed = Course(mechanism.grains_per_step)
        self.planned = Course(mechanism.grains_per_step)
        self.replan = False  # the flow has changed: the plan is to be thrown away
        self.ahead = 0  # ticks by which `owed` is ahead of the current tick, 0 or 1
        self.now_steps = 0  # what was owed at the current tick, while `owed` is ahead of it
        self.now_grains = 0
        self.doses = False  # what flows is the dose, not what fills or relieves the line
        self.first = 0  # when the first step of what was planned last comes after its beginning ...
        self.lag = 0  # ... and the last one before its end, 0.1 us
        self.part = 0  # grains that are owed at its end, beyond the step of the position
        self.remainder = Remainder(
            mechanism.grains_per_step, mechanism.steps_per_tick_max * AHEAD_TICKS, behind_steps
        )

    def begin(self, executed_steps: int, doses=True) -> None:
        """Owe from the end of this tick on; the motor rests. The course is to be followed next. `doses`: with
        the part of a step that was owed at the last stop.
        """
        remainder = self.remainder
        remainder.settle(executed_steps)
        self.doses = doses
        self.owed.clear()
        if doses:
            self.owed.basal.steps = remainder.steps
            self.owed.basal.grains = remainder.grains
        self.owed.place(self.quarter)
        self.origin_steps = executed_steps
        self.plan_from_now()
        self._see_now()
        self.ahead = 1

    def _see_now(self) -> None:
        """Note what is owed by all flows, before `owed` goes ahead of the tick."""
        owed = self.owed
        steps = owed.basal.steps
        grains = owed.basal.grains
        for kind in range(KINDS):
            if owed.active[kind]:
                steps += owed.boluses[kind].steps
                grains += owed.boluses[kind].grains
                if grains >= owed.basal.grains_per_step:
                    grains -= owed.basal.grains_per_step
                    steps += 1
        self.now_steps = steps
        self.now_grains = grains

    def to_boundary(self):
        """Owe up to the end of this tick, where a change that follows takes effect. Returns as `advance`."""
        if self.ahead:
            return -1
        self._see_now()
        self.ahead = 1
        through = self.owed.advance_tick()
        self.owed.place(self.quarter)
        return through

    def back_to_now(self) -> None:
        """The flow ends now, and not at the end of this tick, up to which it may be owed already. What is
        told of it keeps that time, as what was told before in this tick.
        """
        if not self.ahead:
            return
        one = self.owed.basal.grains_per_step
        grains = self.now_steps * one + self.now_grains
        for kind in range(KINDS):
            bolus = self.owed.boluses[kind]
            if self.owed.active[kind]:
                given = (bolus.steps - bolus.rate_steps) * one + bolus.grains - bolus.rate_grains
                bolus.steps, bolus.grains = divmod(max(given, 0), one)
                grains -= max(given, 0)
        self.owed.basal.steps, self.owed.basal.grains = divmod(grains, one)
        self.owed.place(self.quarter)

    def forfeit(self, executed_steps: int) -> None:
        """Owe nothing more: what was owed and not executed is given up, but for the part of a step. Ends
        boluses.
        """
        if self.doses:
            if not self.ahead:
                self._see_now()
            self.remainder.stop_at(self.origin_steps + self.now_steps, self.now_grains)
        self.doses = False
        self.owed.clear()
        self.owed.place(self.quarter)
        self.ahead = 0
        self.origin_steps = executed_steps
        self.plan_from_now()

    def begin_bolus(self, kind: int, volume: tuple, rate: tuple) -> None:
        """Owe `volume` nL more at up to `rate` nL/h, both fractions (num, den); the rate is reachable."""
        owed = self.owed
        owed.boluses[kind].clear()
        owed.boluses[kind].end_at(*self.mechanism.grains_of_volume(*volume))
        owed.wanted_steps[kind], owed.wanted_grains[kind] = self.mechanism.grains_per_tick(*rate)
        owed.active[kind] = True
        owed.set_rates()

    def end_by(self, kind: int, steps: int) -> None:
        """Let a bolus that has just begun end after so many microsteps at the latest."""
        bolus = self.owed.boluses[kind]
        if bolus.limit_steps >= steps:
            bolus.end_at(steps, 0)

    def advance(self, ticks: int):
        """Let `ticks` ticks pass. Returns the kind of bolus that came through in them, or -1."""
        ticks -= self.ahead
        self.ahead = 0
        owed = self.owed
        if ticks == 1:
            through = owed.advance_tick()
            if owed.foreseen:  # as `come`, without a call: this is every tick's
                owed.foreseen = False
                owed.due_steps = owed.next_due_steps
                owed.part = owed.next_part
            else:
                owed.place(self.quarter)
            return through
        through = -1
        while ticks > 0:
            kind = owed.advance_tick()
            if kind >= 0:
                through = kind
            ticks -= 1
        owed.place(self.quarter)
        return through

    def due(self, executed_steps: int, ticks: int, late_us: int) -> int:
        """While something flows: of the steps made by now, `late_us` after the end of so many ticks,
        those that were due by then. The others were due in the meantime.
        """
        owed = self.owed
        ticks -= self.ahead
        if ticks > MOST_LATE_TICKS:
            owed.foreseen = False
            return executed_steps
        owed.foresee(ticks)
        owed.foreseen = True
        due_steps = self.origin_steps + owed.next_due_steps
        more = executed_steps - due_steps
        if more <= 0 or more > MOST_LATE_STEPS:
            return executed_steps
        # Each of them a step after the other, the first one when what is owed has come to it.
        one = owed.basal.grains_per_step
        grains = (more - 1) * (one >> owed.shift) + ((one - owed.next_part) >> owed.shift)
        if grains >= owed.flow >> 1:
            return executed_steps
        late = time_of(grains, owed.flow, 0) // 10
        return due_steps if late <= late_us + EARLY_US + LATE_SLACK_US else executed_steps

    def position(self) -> int:
        """Where the motor ought to be now, or at the end of this tick after `to_boundary` or `begin`."""
        return self.origin_steps + self.owed.due_steps

    def plan_from_now(self) -> None:
        """Throw the plan away: the next segment begins where `position` is."""
        self.planned.copy(self.owed)

    def next_ticks(self):
        """How long the next segment is: the flow changes only at its end: its steps are spread evenly."""
        return self.planned.steady_ticks()

    def planned_ahead(self):
        """How many ticks from the current one what is planned reaches."""
        return (self.planned.week_tick - self.owed.week_tick) % TICKS_PER_WEEK + self.ahead

    def planned_position(self, ticks: int) -> int:
        """Where the motor will be that long after what is planned, if the flow stays as it is."""
        self.planned.foresee(ticks)
        return self.origin_steps + self.planned.next_due_steps

    def plan(self, ticks: int) -> int:
        """Plan one more segment of `ticks` ticks, in which the flow is the same (`next_ticks`), and return
        the position at its end.
        """
        planned = self.planned
        if planned.week_tick == planned.next_start:
            planned.next_step()
        before = planned.due_steps
        flow = planned.flow
        shift = planned.shift
        first = planned.basal.grains_per_step - planned.part
        planned.foresee(ticks)
        planned.foreseen = True
        while ticks:
            planned.advance_tick()
            ticks -= 1
        planned.come(self.quarter)
        steps = planned.due_steps
        self.part = planned.part
        if steps != before:
            self.first = time_of(first, flow, shift)
            self.lag = time_of(planned.part, flow, shift)
        return self.origin_steps + steps

    def plan_to_boundary(self) -> int:
        """The same of the rest of this tick: whatever is missing, evenly."""
        position = self.position()
        self.first = -1
        owed = self.owed
        self.part = owed.part
        # More than a tick is no less even.
        slow = owed.part >> owed.shift >= owed.flow
        self.lag = MOST_LAG if slow else time_of(owed.part, owed.flow, owed.shift)
        return position

    def cut_plan(self, steps: int) -> None:
        """Plan without `steps` of what was to come: they are not ordered, and not made up for while this plan
        holds.
        """
        self.planned.basal.steps -= steps
        self.planned.due_steps -= steps

    def drop(self, steps: int) -> None:
        """Give up `steps` (any sign) of what is owed: the motor did not make them and will not. The plan
        stays as it is.
        """
        self.owed.basal.steps -= steps
        self.owed.due_steps -= steps
        self.owed.foreseen = False

    def bolus_left_steps(self, kind: int) -> int:
        """Whole microsteps that a bolus still owes."""
        if not self.owed.active[kind]:
            return 0
        return self.owed.boluses[kind].limit_steps - self.owed.boluses[kind].steps

    def owed_grains(self, executed_steps: int):
        """What is still to be executed of all that is owed by now, grains; below 0 if the motor is ahead."""
        owed = self.owed
        one = owed.basal.grains_per_step
        grains = (self.origin_steps + owed.basal.steps - executed_steps) * one + owed.basal.grains
        for kind in range(KINDS):
            if owed.active[kind]:
                grains += owed.boluses[kind].steps * one + owed.boluses[kind].grains
        return grains

    def boluses_to_come(self):
        """What the active boluses do not owe yet: (kind, grains left, grains per tick as asked for)."""
        owed = self.owed
        one = owed.basal.grains_per_step
        found = []
        for kind in range(KINDS):
            if owed.active[kind]:
                bolus = owed.boluses[kind]
                left = (bolus.limit_steps - bolus.steps) * one + bolus.limit_grains - bolus.grains
                found.append((kind, left, owed.wanted_steps[kind] * one + owed.wanted_grains[kind]))
        return found

    def committed_grains(self, executed_steps: int) -> int:
        """What is still to be executed of all that is owed by now, and of the boluses that run: grains."""
        grains = self.owed_grains(executed_steps)
        for _, left, _ in self.boluses_to_come():
            grains += left
        return max(grains, 0)

    def bolus_owed_steps(self, kind: int):
        """Whole microsteps of an active bolus that are owed by now."""
        return self.owed.boluses[kind].steps
