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

A position is what is owed rounded to the step after adding a quarter: with pulses a quarter of a period after
the period's start (drivers/segment.py) the edges made and the volume owed then never differ by more than one
step, at a tick or between.

A stop gives up what is owed and not made, but for the part of a microstep (`remainder`), with which the next
start of a dose begins. Fillings of the line and draw-backs are no dose: they leave it alone.
"""

# A schedule that changes at some tick is there.

from ..clock import TICKS_PER_WEEK
from ..signals import QUEUE_SEGMENTS, SEGMENT_TICKS
from .rate import Flow
from .remainder import Remainder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .mechanism import Mechanism
    from .schedule import Schedule


PATIENT, CLINICIAN = range(2)  # who a bolus is for; the patient's goes first
KINDS = 2
AHEAD_TICKS = (QUEUE_SEGMENTS + 1) * SEGMENT_TICKS  # MOT-04: no further than this is ever ordered


class Course:
    """Who flows how much, tick by tick. All values are small integers; nothing allocates but `follow`."""

    def __init__(self, grains_per_step: int) -> None:
        self.basal = Flow(grains_per_step)
        self.boluses = [Flow(grains_per_step), Flow(grains_per_step)]
        self.active = [False, False]
        self.wanted_steps = [
            0,
            0,
        ]  # rate of each bolus as asked for, per tick; it flows slower if the total needs it
        self.wanted_grains = [0, 0]
        self.most_steps = 0  # total of all flows, per tick
        self.most_grains = 0
        self.kvo_steps = 0
        self.kvo_grains = 0
        self.kvo = False  # keep-vein-open instead of the schedule
        self.schedule = None
        self.week_tick = 0
        self.index = 0
        self.next_start = -1
        self.turned = False  # something else changed than what is owed; for who keeps a copy (words.py)

    def copy(self, other) -> None:
        """Become a copy of `other`."""
        self.turned = True
        self.basal.copy(other.basal)
        for kind in range(KINDS):
            self.boluses[kind].copy(other.boluses[kind])
            self.active[kind] = other.active[kind]
            self.wanted_steps[kind] = other.wanted_steps[kind]
            self.wanted_grains[kind] = other.wanted_grains[kind]
        self.most_steps = other.most_steps
        self.most_grains = other.most_grains
        self.kvo_steps = other.kvo_steps
        self.kvo_grains = other.kvo_grains
        self.kvo = other.kvo
        self.schedule = other.schedule
        self.week_tick = other.week_tick
        self.index = other.index
        self.next_start = other.next_start

    def clear(self) -> None:
        """Owe nothing, no bolus, no basal."""
        self.turned = True
        self.basal.clear()
        for kind in range(KINDS):
            self.boluses[kind].clear()
            self.active[kind] = False
        self.schedule = None
        self.next_start = -1

    def follow(self, schedule: "Schedule", week_tick: int, clock_known: bool) -> None:
        """Take the basal from `schedule` at that time of the week; with the time unknown, from its lowest
        entry.
        """
        self.schedule = schedule
        self.week_tick = week_tick
        if clock_known:
            self.index = schedule.index_at(week_tick)
            self.next_start = schedule.next_start(self.index)
        else:
            self.index = schedule.lowest()
            self.next_start = -1
        self.set_rates()

    def set_rates(self) -> None:
        """Share out the flow: basal first, then one bolus within what the total leaves."""
        self.turned = True
        basal = self.basal
        if self.schedule is not None:
            schedule = self.schedule
            basal.set_rate(schedule.rate_steps[self.index], schedule.rate_grains[self.index])
            if self.kvo and _above(basal, self.kvo_steps, self.kvo_grains):
                basal.set_rate(self.kvo_steps, self.kvo_grains)
        flowing = self.flowing()
        for kind in range(KINDS):
            bolus = self.boluses[kind]
            if kind != flowing:
                bolus.set_rate(0, 0)
                continue
            bolus.set_rate(self.wanted_steps[kind], self.wanted_grains[kind])
            room_steps = self.most_steps - basal.rate_steps
            room_grains = self.most_grains - basal.rate_grains
            if room_grains < 0:
                room_grains += basal.grains_per_step
                room_steps -= 1
            if _above(bolus, room_steps, room_grains):
                bolus.set_rate(room_steps, room_grains)

    def flowing(self):
        """The kind of bolus that flows now: the patient's before the clinician's, -1 if none is active."""
        if self.active[PATIENT]:
            return PATIENT
        return CLINICIAN if self.active[CLINICIAN] else -1

    def advance_tick(self):
        """Let one tick pass. Returns the kind of bolus that is through at its end, or -1."""
        if self.week_tick == self.next_start:
            self.index = self.index + 1 if self.index + 1 < len(self.schedule.starts) else 0  # pyright: ignore[reportOptionalMemberAccess]
            self.next_start = self.schedule.next_start(self.index)  # pyright: ignore[reportOptionalMemberAccess]
            self.set_rates()
        self.week_tick += 1
        if self.week_tick == TICKS_PER_WEEK:
            self.week_tick = 0
        self.basal.advance_tick()
        active = self.active
        if not active[0] and not active[1]:
            return -1
        kind = self.flowing()
        bolus = self.boluses[kind]
        bolus.advance_tick()
        if not bolus.done():
            return -1
        # What it owed stays owed, to the grain.
        active[kind] = False
        self.basal.absorb(bolus)
        self.set_rates()
        return kind

    def steady_ticks(self):
        """For how many ticks, 1 or SEGMENT_TICKS, the flow surely does not change but at the end."""
        to_start = self.next_start - self.week_tick
        if 0 < to_start < SEGMENT_TICKS or to_start == 1 - TICKS_PER_WEEK:
            return 1
        active = self.active
        if (active[0] or active[1]) and self.boluses[self.flowing()].ends_within(SEGMENT_TICKS):
            return 1
        return SEGMENT_TICKS

    def position_after(self, ticks: int, quarter: int):
        """`position` a few ticks later, if the flow does not change until then."""
        steps = self.basal.steps
        grains = self.basal.grains
        one = self.basal.grains_per_step
        flowing = self.flowing()
        for kind in range(KINDS):
            if self.active[kind]:
                steps += self.boluses[kind].steps
                grains += self.boluses[kind].grains
                if grains >= one:
                    grains -= one
                    steps += 1
        while ticks > 0:
            ticks -= 1
            steps += self.basal.rate_steps
            grains += self.basal.rate_grains
            if grains >= one:
                grains -= one
                steps += 1
            if flowing >= 0:
                steps += self.boluses[flowing].rate_steps
                grains += self.boluses[flowing].rate_grains
                if grains >= one:
                    grains -= one
                    steps += 1
        return steps if grains < one - quarter else steps + 1

    def position(self, quarter: int):
        """What is owed, rounded to the step after adding a quarter."""
        basal = self.basal
        steps = basal.steps
        grains = basal.grains
        one = basal.grains_per_step
        active = self.active
        if active[0] or active[1]:
            for kind in range(KINDS):
                if active[kind]:
                    steps += self.boluses[kind].steps
                    grains += self.boluses[kind].grains
                    if grains >= one:
                        grains -= one
                        steps += 1
        return steps + 1 if grains >= one - quarter else steps


def _above(flow: "Flow", rate_steps: int, rate_grains: int) -> bool:
    return flow.rate_steps > rate_steps or (flow.rate_steps == rate_steps and flow.rate_grains > rate_grains)


class Delivery:
    """The course of the pump on one `mechanism`, owed and planned."""

    def __init__(self, mechanism: "Mechanism") -> None:
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
        self.remainder = Remainder(mechanism.grains_per_step, mechanism.steps_per_tick_max * AHEAD_TICKS)

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
        return self.owed.advance_tick()

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
        through = -1
        while ticks > 0:
            kind = self.owed.advance_tick()
            if kind >= 0:
                through = kind
            ticks -= 1
        return through

    def position(self) -> int:
        """Where the motor ought to be now, or at the end of this tick after `to_boundary` or `begin`."""
        return self.origin_steps + self.owed.position(self.quarter)

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
        return self.origin_steps + self.planned.position_after(ticks, self.quarter)

    def plan(self, ticks: int) -> int:
        """Plan one more segment of `ticks` ticks and return the position at its end."""
        while ticks:
            self.planned.advance_tick()
            ticks -= 1
        return self.origin_steps + self.planned.position(self.quarter)

    def cut_plan(self, steps: int) -> None:
        """Plan without `steps` of what was to come: they are not ordered, and not made up for while this plan
        holds.
        """
        self.planned.basal.steps -= steps

    def drop(self, steps: int) -> None:
        """Give up `steps` (any sign) of what is owed: the motor did not make them and will not. The plan
        stays as it is.
        """
        self.owed.basal.steps -= steps

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
