"""Motion is booked in flash before it is made: how much of it, for which flow.

Booked is always enough for the fastest flow that the therapy may take by itself (a patient bolus on top of
its basal), so a press needs no flash command before its first step. What is faster (a clinician bolus, a
prime, another therapy) waits for its booking, two ticks at most, or was announced by an `at_tick`.

Flows are steps and grains per tick. The ledger's records follow the motion (`record/ledger.py`).
"""

from .clock import TICKS_PER_MIN
from .record.ledger import Ledger
from .signals import QUEUE_SEGMENTS, SEGMENT_TICKS
from .smallint import small
from .states import DRAW_BACK, MOVING, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .dose.line import Bridge
    from .dose.prescription import Prescription
    from .motion import Motion


AHEAD_TICKS = QUEUE_SEGMENTS * SEGMENT_TICKS + SEGMENT_TICKS + 1
NL_PER_UL = 1_000


class Booking:
    """For one motor, in `journal`, which has recovered."""

    def __init__(self, journal, control: "Control", motion: "Motion", regimen) -> None:
        dosing = control.dosing
        self.journal = journal
        self.control = control
        self.motion = motion
        self.regimen = regimen
        self.clock = control.clock
        self.position = control.position
        self.mechanism = dosing.mechanism
        self.line = dosing.line
        self.delivery = dosing.delivery
        head = self.position.head
        most_steps = min(self.mechanism.grains_of_volume(NL_PER_UL)[0], head.quantum_steps)
        self.ledger = Ledger(journal, most_steps, head.behind_steps)
        # What is about to begin, the fastest that the therapy takes by itself, and what is booked for.
        self.expected_steps = 0
        self.expected_grains = 0
        self.own_steps = 0
        self.own_grains = 0
        self.flow_steps = -1
        self.flow_grains = 0

    def begin(self) -> int:
        """After the journal has heard. Returns the position up to which motion is booked."""
        self.ledger.heard()
        self.expected_steps = 0
        self.expected_grains = 0
        return self.ledger.booked_steps

    def ready(self):
        """Whether this boot is written down, and the motion that resumes with it booked."""
        covered = self.covers((self.own_steps, self.own_grains))
        return self.journal.failed or (self.journal.state.started and covered)

    def therapy_changed(self) -> None:
        """The fastest flow that the therapy in force takes by itself."""
        self.own_steps, self.own_grains = self.fastest(self.regimen.prescription, self.line.bridge)

    def fastest(self, therapy: "Prescription", bridge: "Bridge | None"):
        """That of a therapy, as steps and grains per tick: its basal with a patient bolus on top, or what
        flows through a `bridge` before that.
        """
        if not therapy or not therapy.basal:
            return 0, 0
        mechanism = self.mechanism
        flow = mechanism.grains_per_tick(*therapy.fastest())
        if therapy.patient_bolus:
            flow = self.sum(flow, mechanism.grains_per_tick(*therapy.patient_bolus.rate))
        if bridge:
            schedule = bridge.schedule(therapy)
            index = schedule.highest()
            bridged = schedule.rate_steps[index], schedule.rate_grains[index]
            if _above(bridged[0], bridged[1], flow[0], flow[1]):
                flow = bridged
        return flow

    def sum(self, flow, other):
        """Two flows, steps and grains per tick, as one."""
        grains = flow[1] + other[1]
        one = self.mechanism.grains_per_step
        return flow[0] + other[0] + grains // one, grains % one

    def covers(self, flow):
        """Whether `flow`, steps and grains per tick, may begin at the end of this tick; if not, its motion is
        being booked. In a draw-back nothing begins, and nothing can be booked: what is ordered is refused.
        """
        if flow == (0, 0) or self.control.state == DRAW_BACK:
            return True
        if _above(flow[0], flow[1], self.expected_steps, self.expected_grains):
            self.expected_steps, self.expected_grains = flow
        moving = self.control.state in MOVING
        needed = self.delivery.position() if moving else self.position.executed_steps
        part_steps = small(flow[1] * AHEAD_TICKS // self.mechanism.grains_per_step)
        return self.ledger.booked_steps > needed + flow[0] * AHEAD_TICKS + part_steps

    def step(self, moving: bool):
        """After the tick's orders: have the motion booked that comes next. Whether an erase may begin."""
        position = self.position
        executed_steps = position.executed_steps
        state = self.control.state
        self._follow_flow(moving, state)
        # Nothing is booked of what goes backward: then it counts as made when it is.
        ahead = (self.flow_steps > 0 or self.flow_grains > 0) and state != DRAW_BACK
        ordered_steps = self.motion.planned_steps if moving else executed_steps
        tick = self.clock.tick
        if state != DRAW_BACK or tick & 1:  # a record each; what else is to be written has its turns as well
            self.ledger.step(tick, executed_steps, ordered_steps, position.dose_steps, ahead)
        if not moving and tick % TICKS_PER_MIN < self.clock.passed_ticks:
            # Nothing else is written of a rest, and each reset would make it shorter.
            self.journal.state.reserve()
        # A motor that rests, or waits for its first booking, is late for nothing.
        return not moving or ordered_steps <= executed_steps or self.ledger.covers_erase()

    def _follow_flow(self, moving: bool, state: int) -> None:
        """Tell the ledger the largest of what flows, what flows next and what may begin by itself."""
        steps = self.expected_steps
        grains = self.expected_grains
        if self.regimen.prescription is not None and (moving or state == STOPPED):
            own_steps = self.own_steps
            if own_steps > steps or (own_steps == steps and self.own_grains > grains):
                steps = own_steps
                grains = self.own_grains
        if moving:
            owed = self.delivery.owed
            basal = owed.basal
            rate_steps = basal.rate_steps
            rate_grains = basal.rate_grains
            active = owed.active
            if active[0] or active[1]:
                one, other = owed.boluses
                rate_steps += one.rate_steps + other.rate_steps
                rate_grains += one.rate_grains + other.rate_grains
                if rate_grains >= basal.grains_per_step:
                    rate_grains -= basal.grains_per_step
                    rate_steps += 1
            if rate_steps > steps or (rate_steps == steps and rate_grains > grains):
                steps = rate_steps
                grains = rate_grains
        if steps != self.flow_steps or grains != self.flow_grains:
            self.flow_steps = steps
            self.flow_grains = grains
            self.ledger.set_flow(steps, grains, self.mechanism.grains_per_step)


def _above(steps: int, grains: int, other_steps: int, other_grains: int) -> bool:
    return steps > other_steps or (steps == other_steps and grains > other_grains)
