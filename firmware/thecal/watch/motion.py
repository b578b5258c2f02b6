"""Does the rotor do what the motor was told? Microsteps made against what is owed, and against what is fitted
to the rotor: an encoder, an index mark, both, or nothing.

`look` is called once per tick, `compare` once per tick while something is to flow. Both return the row of the
alarm to raise, or -1. All counts are small integers.

`Steps` has nothing on the rotor:

- Executed against owed (SAFE-10): beyond the tolerance, in one direction, for longer than five minutes, or
  one while a bolus flows: OVER_INFUSION or UNDER_INFUSION. At exactly the tolerance never.
- Revolutions ever made, by the steps, and days of service (RES-04): SERVICE_DUE.

`Marks` has an index mark and no encoder:

- Marks that are not a revolution of steps apart, give or take a fiftieth of one and what was made in the
  ticks of the marks, are a SENSOR_FAULT, and so is a revolution without one: of the mark, as nothing says
  that it was the rotor.

`Motion` has an encoder; one of its pulses is a pitch, `steps_per_rev` / `pulses_per_rev` microsteps (the
reference: 32, 1 uL). A pitch that is no whole number is reckoned with to the last part:

- Encoder against microsteps made (MOT-02): within two pitches of each other since the motor was last started
  from rest. Too few pulses: STALL; too many: RUNAWAY.
- Two pulses while hardly a step was made: the rotor turns by itself, FREE_FLOW, at once, in any state; or, if
  steps were ordered that never came back and can have turned it so far, the wire that counts them is broken,
  SENSOR_FAULT.
- Pulses against index marks, if there is one: marks that are not a revolution of pulses apart, give or take
  one and what came in the ticks of the marks, are a SENSOR_FAULT; so is a revolution without a mark. It is
  the encoder's where the encoder does not agree with the steps either, else that of the mark.
- The encoder against owed as well (SAFE-10). Revolutions are counted by it.

The times of SAFE-10 are those of the Open PCA Pump's requirements 1.0.0 (R5.4.0, basal 5 min, bolus 1 min).
The tolerances are own choices: a hundredth of a revolution of steps made, or a pitch if that is less, and two
pitches more for what the encoder can tell.
"""

from ..clock import TICKS_PER_DAY
from . import alarms
from .parts import ENCODER, EXTRA, FAILED, INDEX, MISSING, STEP_SENSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rig import Rig


AGREE_PITCHES = 2
TOLERANCE_PART = 100  # of a revolution
SLACK_PART = 50
LEAST_TOLERANCE_STEPS = 2  # one is what rounding and the time of reading are worth
BASAL_TICKS = 3_000
BOLUS_TICKS = 600


class Steps:
    """Watches a motor on whose rotor nothing is fitted: so many microsteps per revolution, in which the wear
    is counted in so many parts, and so many revolutions, or days, until its service is due.
    """

    stall_tick = -1  # nobody sees it stand still

    def __init__(self, steps_per_rev: int, pulses_per_rev: int, service_revs: int, service_days: int) -> None:
        self.service_revs = service_revs
        self.service_days = service_days
        self.steps_per_rev = steps_per_rev
        self.pulses_per_rev = pulses_per_rev
        self.tolerance_steps = max(steps_per_rev // TOLERANCE_PART, LEAST_TOLERANCE_STEPS)
        self.pulses = 0  # ever made, over resets
        self.part = 0  # of the next one, in steps times `pulses_per_rev`
        self.days = 0
        self.failed_part = INDEX  # at the last SENSOR_FAULT: which, and how
        self.failed_kind = FAILED
        self.begin_board()

    def begin_board(self) -> None:
        """The board's counters begin at 0, the motor rests."""
        self.seen_index = 0
        self.seen_steps = 0
        self.begin(0)

    def begin(self, executed_steps: int) -> None:
        """The motor starts from rest here."""
        self.beyond_ticks = 0
        self.beyond_sign = 0

    def look(
        self,
        tick: int,
        executed_steps: int,
        encoder_count: int,
        index_count: int,
        moving: bool,
        ordered_steps: int,
    ) -> int:
        """One tick. `moving`: motion may be ordered; `ordered_steps`: the furthest order."""
        if executed_steps != self.seen_steps:
            self._wear(executed_steps)
        return -1

    def _wear(self, executed_steps: int) -> None:
        """Steps forward wear the tube, as an encoder's pulses would."""
        made = executed_steps - self.seen_steps
        self.seen_steps = executed_steps
        if made > 0:
            part = self.part + made * self.pulses_per_rev
            if part >= self.steps_per_rev:
                self.pulses += part // self.steps_per_rev
                part %= self.steps_per_rev
            self.part = part

    def recovered_ticks(self, tick: int, executed_steps: int) -> int:
        """How long the rotor stood still, once, when it follows again; else -1."""
        return -1

    def compare(self, ticks: int, owed_steps: int, executed_steps: int, bolus) -> int:
        """What was made against what is owed now; `ticks` passed since the last call."""
        off = executed_steps - owed_steps
        slack = self.tolerance_steps
        return self._beyond(1 if off > slack else -1 if off < -slack else 0, ticks, bolus)

    def _beyond(self, sign: int, ticks: int, bolus):
        """The row for what is beyond the tolerance, above or below it, when it has been so for long."""
        if sign == 0 or sign != self.beyond_sign:
            self.beyond_sign = sign
            self.beyond_ticks = 0
            return -1
        self.beyond_ticks += ticks
        if self.beyond_ticks <= (BOLUS_TICKS if bolus else BASAL_TICKS):
            return -1
        return alarms.OVER_INFUSION if sign > 0 else alarms.UNDER_INFUSION

    def service_due(self, tick: int) -> bool:
        """Whether revolutions or days have reached their number."""
        self.days = tick // TICKS_PER_DAY
        return self.pulses // self.pulses_per_rev >= self.service_revs or self.days >= self.service_days

    def _failed(self, part, kind: int):
        self.failed_part = part
        self.failed_kind = kind
        return alarms.SENSOR_FAULT


class Marks(Steps):
    """Watches a rotor with an index mark and no encoder."""

    def begin(self, executed_steps: int) -> None:
        """The motor starts from rest here: where on its turn the rotor is, nobody knows."""
        super().begin(executed_steps)
        self.mark_known = False
        # The last mark came when so many steps were made, from the one to the other.
        self.mark_from_steps = self.mark_to_steps = executed_steps

    def look(
        self,
        tick: int,
        executed_steps: int,
        encoder_count: int,
        index_count: int,
        moving: bool,
        ordered_steps: int,
    ) -> int:
        """One tick. A mark that comes begins another revolution, right or wrong."""
        before_steps = self.seen_steps
        if executed_steps != before_steps:
            self._wear(executed_steps)
        rev = self.steps_per_rev
        slack = rev // SLACK_PART + LEAST_TOLERANCE_STEPS
        if index_count == self.seen_index:
            if moving and executed_steps - self.mark_to_steps > rev + slack:
                return self._failed(INDEX, MISSING)
            return -1
        marks = index_count - self.seen_index
        self.seen_index = index_count
        row = -1
        if marks > 0:
            if before_steps - self.mark_to_steps > marks * rev + slack:
                row = self._failed(INDEX, MISSING)
            elif executed_steps - self.mark_from_steps < (marks - (not self.mark_known)) * rev - slack:
                row = self._failed(INDEX, EXTRA)
        self.mark_known = marks > 0  # backward a mark begins where it ends forward
        self.mark_from_steps = min(before_steps, executed_steps)
        self.mark_to_steps = max(before_steps, executed_steps)
        return row


class Motion(Steps):
    """Watches a rotor with an encoder of `pulses_per_rev`, and an index mark if it `has_index`."""

    def __init__(
        self,
        steps_per_rev: int,
        pulses_per_rev: int,
        service_revs: int,
        service_days: int,
        has_index: bool = True,
    ) -> None:
        self.has_index = has_index
        self.seen_encoder = 0
        self.pitch_steps = steps_per_rev // pulses_per_rev  # and `rest_steps` of `pulses_per_rev` more
        self.rest_steps = steps_per_rev % pulses_per_rev
        super().__init__(steps_per_rev, pulses_per_rev, service_revs, service_days)
        self.tolerance_steps = min(self.tolerance_steps, self.pitch_steps)
        self.agree_steps = self.steps_of(AGREE_PITCHES)
        self.stall_tick = -1  # when the rotor stopped to follow; -1 while it follows

    def begin_board(self) -> None:
        """The board's counters begin at 0, the motor rests."""
        self.seen_encoder = 0
        super().begin_board()

    def begin(self, executed_steps: int) -> None:
        """The motor starts from rest here: what the encoder said before is not held against it."""
        super().begin(executed_steps)
        self.from_steps = executed_steps
        self.from_encoder = self.seen_encoder
        self.turned_steps = 0  # of the rotor since then
        self.pulse_steps = executed_steps  # before the tick of the last pulse ...
        self.pulse_new = 0  # ... and how many came in it
        self.index_known = False  # whether there was a mark
        self.index_encoder = self.seen_encoder  # encoder count at the last mark ...
        self.index_new = 0  # ... and how many of its pulses came in the same tick

    def steps_of(self, pulses: int):
        """So many pitches, in whole steps, rounded down. Small where the steps are."""
        turns = pulses // self.pulses_per_rev
        pulses -= turns * self.pulses_per_rev
        return (
            turns * self.steps_per_rev
            + pulses * self.pitch_steps
            + pulses * self.rest_steps // self.pulses_per_rev
        )

    def look(
        self,
        tick: int,
        executed_steps: int,
        encoder_count: int,
        index_count: int,
        moving: bool,
        ordered_steps: int,
    ) -> int:
        """One tick. `moving`: motion may be ordered; `ordered_steps`: the furthest order."""
        row = -1
        if encoder_count != self.seen_encoder or index_count != self.seen_index:
            row = self._look_at_pulses(executed_steps, encoder_count, index_count, moving, ordered_steps)
        self.seen_steps = executed_steps
        if moving:
            behind_steps = executed_steps - self.from_steps - self.turned_steps
            if behind_steps > self.agree_steps:
                if self.stall_tick < 0:
                    self.stall_tick = tick
                row = alarms.STALL
            elif behind_steps < -self.agree_steps and row < 0:
                row = alarms.RUNAWAY
        return row

    def _look_at_pulses(
        self, executed_steps: int, encoder_count: int, index_count: int, moving: bool, ordered_steps: int
    ):
        """The rotor has turned: of which row its pulses and marks are, or -1."""
        new = encoder_count - self.seen_encoder
        if new > 0:
            self.pulses += new
        self.seen_encoder = encoder_count
        self.turned_steps = self.steps_of(encoder_count - self.from_encoder)
        row = self._look_at_index(index_count, new, executed_steps) if self.has_index else -1
        if new == 0:
            return row
        turned = self._look_at_single_pulses(executed_steps, new, moving, ordered_steps)
        return turned if turned >= 0 else row

    def _behind_steps(self, executed_steps: int) -> int:
        """So far the rotor is behind the motor, to a pitch."""
        return executed_steps - self.from_steps - self.turned_steps

    def recovered_ticks(self, tick: int, executed_steps: int) -> int:
        """How long the rotor stood still, once, when it follows again; else -1."""
        if self.stall_tick < 0 or self.seen_encoder - self.from_encoder <= AGREE_PITCHES:
            return -1
        if self._behind_steps(executed_steps) > self.agree_steps:
            return -1
        ticks = tick - self.stall_tick
        self.stall_tick = -1
        return ticks

    def _look_at_single_pulses(self, executed_steps: int, new, moving: bool, ordered_steps: int):
        """Two pulses are more than one pitch of steps apart; half a pitch is doubt enough."""
        if new < 0:
            new = -new
        from_steps = self.pulse_steps
        pulses = self.pulse_new + new
        if new > 1:  # enough by themselves
            from_steps = self.seen_steps
            pulses = new
        self.pulse_steps = self.seen_steps
        self.pulse_new = new
        made = executed_steps - from_steps
        if made < 0:
            made = -made
        if pulses < 2 or made > self.pitch_steps // 2:
            return -1
        if moving and ordered_steps - executed_steps >= (pulses - 1) * self.pitch_steps:
            return self._failed(STEP_SENSE, MISSING)
        return alarms.FREE_FLOW

    def _marks_off(self, executed_steps: int, missing: int):
        """Too few marks for the pulses, or too many: one of the two is wrong."""
        behind_steps = self._behind_steps(executed_steps)
        if -self.agree_steps <= behind_steps <= self.agree_steps:
            return self._failed(INDEX, MISSING if missing else EXTRA)
        return self._failed(ENCODER, EXTRA if missing else MISSING)

    def _look_at_index(self, index_count: int, new, executed_steps: int):
        """Before the first mark since the motor started, a part of a revolution may lie."""
        marks = index_count - self.seen_index
        self.seen_index = index_count
        if marks < 0 or (new == 0 and marks == 0):  # backward a mark begins where it ends forward
            return -1
        off = self.seen_encoder - self.index_encoder - (marks or 1) * self.pulses_per_rev
        row = self._marks_off(executed_steps, True) if off > 1 + new else -1
        if marks:
            if not self.index_known:
                off += self.pulses_per_rev
            if off < -1 - self.index_new:
                row = self._marks_off(executed_steps, False)
            self.index_known = True
            self.index_encoder = self.seen_encoder
            self.index_new = new
        return row

    def compare(self, ticks: int, owed_steps: int, executed_steps: int, bolus) -> int:
        """What was made and what the rotor turned, against what is owed now; `ticks` passed since the last
        call.
        """
        off = executed_steps - owed_steps
        slack = self.tolerance_steps
        sign = 1 if off > slack else -1 if off < -slack else 0
        if sign == 0:
            off = self.from_steps + self.turned_steps - owed_steps
            slack += self.agree_steps
            sign = 1 if off > slack else -1 if off < -slack else 0
        return self._beyond(sign, ticks, bolus)


def motion_of(rig: "Rig"):
    """What watches the rotor of a rig."""
    wear = rig.service_revs, rig.service_days
    if rig.encoder_pulses_per_rev:
        return Motion(rig.steps_per_rev, rig.encoder_pulses_per_rev, *wear, rig.has_index)
    watch = Marks if rig.has_index else Steps
    return watch(rig.steps_per_rev, rig.wear_pulses_per_rev, *wear)
