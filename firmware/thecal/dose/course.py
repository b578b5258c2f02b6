"""Who flows how much, tick by tick: a `Course`, of which `delivery` keeps two."""

from ..clock import TICKS_PER_WEEK
from ..signals import SEGMENT_TICKS
from .rate import Flow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .schedule import Schedule


PATIENT, CLINICIAN = range(2)  # who a bolus is for; the patient's goes first
KINDS = 2
MOST_FLOW = (1 << 19) - 1  # twice that, a thousand times, is small


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
        self.flow_steps = 0  # of all, per tick ...
        self.flow_grains = 0
        self.flow = 0  # ... and in grains alone, less `shift` bits
        self.shift = 0
        self.due_steps = 0  # what is owed, rounded to the step after adding a quarter ...
        self.part = 0  # ... and grains since it came to that
        self.foreseen = False  # what follows holds still: both as of the tick that has come
        self.next_due_steps = 0
        self.next_part = 0

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
        self.flow_steps = other.flow_steps
        self.flow_grains = other.flow_grains
        self.flow = other.flow
        self.shift = other.shift
        self.due_steps = other.due_steps
        self.part = other.part

    def clear(self) -> None:
        """Owe nothing, no bolus, no basal."""
        self.turned = True
        self.basal.clear()
        for kind in range(KINDS):
            self.boluses[kind].clear()
            self.active[kind] = False
        self.schedule = None
        self.next_start = -1
        self.flow = self.flow_steps = self.flow_grains = 0
        self.foreseen = False

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
        self._set_flow(flowing)

    def _set_flow(self, flowing) -> None:
        """That of basal and bolus, at most MOST_FLOW: what is reckoned with it stays small."""
        one = self.basal.grains_per_step
        steps = self.basal.rate_steps
        grains = self.basal.rate_grains
        if flowing >= 0:
            steps += self.boluses[flowing].rate_steps
            grains += self.boluses[flowing].rate_grains
            if grains >= one:
                grains -= one
                steps += 1
        self.flow_steps = steps
        self.flow_grains = grains
        self.foreseen = False
        shift = 0
        if steps:
            while one >> shift > MOST_FLOW // (steps + 1):
                shift += 1
        else:
            while grains >> shift > MOST_FLOW:
                shift += 1
        below = (1 << shift) - 1
        self.shift = shift
        self.flow = steps * (one >> shift) + (grains >> shift)
        self.flow += steps * (one & below) + (grains & below) >> shift

    def flowing(self):
        """The kind of bolus that flows now: the patient's before the clinician's, -1 if none is active."""
        if self.active[PATIENT]:
            return PATIENT
        return CLINICIAN if self.active[CLINICIAN] else -1

    def next_step(self) -> None:
        """The next step of the day begins."""
        self.index = self.index + 1 if self.index + 1 < len(self.schedule.starts) else 0  # pyright: ignore[reportOptionalMemberAccess]
        self.next_start = self.schedule.next_start(self.index)  # pyright: ignore[reportOptionalMemberAccess]
        self.set_rates()

    def advance_tick(self):
        """Let one tick pass. Returns the kind of bolus that is through at its end, or -1."""
        if self.week_tick == self.next_start:
            self.next_step()
        self.week_tick += 1
        if self.week_tick == TICKS_PER_WEEK:
            self.week_tick = 0
        # The basal has no end; its own `advance_tick` would take longer.
        basal = self.basal
        grains = basal.grains + basal.rate_grains
        if grains >= basal.grains_per_step:
            basal.grains = grains - basal.grains_per_step
            basal.steps += basal.rate_steps + 1
        else:
            basal.grains = grains
            basal.steps += basal.rate_steps
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

    def place(self, quarter: int) -> None:
        """Reckon anew what is owed, a quarter added: `due_steps`, and the `part` of the next step."""
        basal = self.basal
        one = basal.grains_per_step
        steps = basal.steps
        part = basal.grains + quarter
        for kind in range(KINDS):
            if part >= one:
                part -= one
                steps += 1
            if self.active[kind]:
                steps += self.boluses[kind].steps
                part += self.boluses[kind].grains
        if part >= one:
            part -= one
            steps += 1
        self.due_steps = steps
        self.part = part

    def foresee(self, ticks: int) -> None:
        """Both so many ticks later, if the flow does not change until then."""
        one = self.basal.grains_per_step
        steps = self.due_steps
        part = self.part
        while ticks > 0:
            ticks -= 1
            steps += self.flow_steps
            part += self.flow_grains
            if part >= one:
                part -= one
                steps += 1
        self.next_due_steps = steps
        self.next_part = part

    def come(self, quarter: int) -> None:
        """The ticks have passed that were foreseen, if they were: both as of now."""
        if self.foreseen:
            self.foreseen = False
            self.due_steps = self.next_due_steps
            self.part = self.next_part
        else:
            self.place(quarter)


def time_of(grains: int, flow: int, shift: int):
    """In which so many grains flow, 0.1 us, to 1 us: for less than two ticks."""
    if flow == 0:
        return 0
    thousands = (grains >> shift) * 1_000
    time = thousands // flow
    return time * 1_000 + (thousands - time * flow) * 1_000 // flow


def _above(flow: "Flow", rate_steps: int, rate_grains: int) -> bool:
    return flow.rate_steps > rate_steps or (flow.rate_steps == rate_steps and flow.rate_grains > rate_grains)
