"""Does the rotor do what the motor was told? Microsteps made against the rotor's encoder, and against what is
owed.

`Motion.look` is called once per tick, `Motion.compare` once per tick while something is to flow. Both return
the row of the alarm to raise, or -1. All counts are small integers; one encoder pulse is `pitch_steps`
microsteps (the reference: 32, 1 uL).

- Encoder against microsteps made (MOT-02): within two pitches of each other since the motor was last started
  from rest. Too few pulses: STALL; too many: RUNAWAY.
- Two pulses while hardly a step was made: the rotor turns by itself, FREE_FLOW, at once, in any state; or, if
  steps were ordered that never came back and can have turned it so far, the wire that counts them is broken,
  SENSOR_FAULT.
- Pulses against index marks: marks that are not a revolution of pulses apart, give or take one and what came
  in the ticks of the marks, are a SENSOR_FAULT; so is a revolution without a mark. It is the encoder's where
  the encoder does not agree with the steps either, else that of the mark.
- Executed and encoder against owed (SAFE-10): beyond the tolerance, in one direction, for longer than five
  minutes, or one while a bolus flows: OVER_INFUSION or UNDER_INFUSION. At exactly the tolerance never.
- Revolutions ever made and days of service (RES-04): SERVICE_DUE.

The times of SAFE-10 are those of the Open PCA Pump's requirements 1.0.0 (R5.4.0, basal 5 min, bolus 1 min).
The tolerances are own choices: one pitch of steps made, and what the encoder can tell, two pitches more.
"""

from ..clock import TICKS_PER_DAY
from . import alarms
from .parts import ENCODER, EXTRA, FAILED, INDEX, MISSING, STEP_SENSE

AGREE_PITCHES = 2
BASAL_TICKS = 3_000
BOLUS_TICKS = 600


class Motion:
    """Watches one rotor: so many microsteps and encoder pulses per revolution, and so many of those, or days,
    until its service is due.
    """

    def __init__(self, steps_per_rev: int, pulses_per_rev: int, service_revs: int, service_days: int) -> None:
        self.service_revs = service_revs
        self.service_days = service_days
        self.pitch_steps = steps_per_rev // pulses_per_rev
        self.pulses_per_rev = pulses_per_rev
        self.tolerance_steps = self.pitch_steps
        self.pulses = 0  # ever made, over resets
        self.days = 0
        self.stall_tick = -1  # when the rotor stopped to follow; -1 while it follows
        self.failed_part = ENCODER  # at the last SENSOR_FAULT: which, and how
        self.failed_kind = FAILED
        self.begin_board()

    def begin_board(self) -> None:
        """The board's counters begin at 0, the motor rests."""
        self.seen_encoder = 0
        self.seen_index = 0
        self.seen_steps = 0
        self.begin(0)

    def begin(self, executed_steps: int) -> None:
        """The motor starts from rest here: what the encoder said before is not held against it."""
        self.from_steps = executed_steps
        self.from_encoder = self.seen_encoder
        self.pulse_steps = executed_steps  # before the tick of the last pulse ...
        self.pulse_new = 0  # ... and how many came in it
        self.index_known = False  # whether there was a mark
        self.index_encoder = self.seen_encoder  # encoder count at the last mark ...
        self.index_new = 0  # ... and how many of its pulses came in the same tick
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
    ):
        """One tick. `moving`: motion may be ordered; `ordered_steps`: the furthest order."""
        row = -1
        if encoder_count != self.seen_encoder or index_count != self.seen_index:
            row = self._look_at_pulses(executed_steps, encoder_count, index_count, moving, ordered_steps)
        self.seen_steps = executed_steps
        if moving:
            pitch_steps = self.pitch_steps
            turned_steps = (encoder_count - self.from_encoder) * pitch_steps
            behind_steps = executed_steps - self.from_steps - turned_steps
            if behind_steps > AGREE_PITCHES * pitch_steps:
                if self.stall_tick < 0:
                    self.stall_tick = tick
                row = alarms.STALL
            elif behind_steps < -AGREE_PITCHES * pitch_steps and row < 0:
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
        row = self._look_at_index(index_count, new, executed_steps)
        if new == 0:
            return row
        turned = self._look_at_single_pulses(executed_steps, new, moving, ordered_steps)
        return turned if turned >= 0 else row

    def _behind_steps(self, executed_steps: int) -> int:
        """So far the rotor is behind the motor, to a pitch."""
        turned_steps = (self.seen_encoder - self.from_encoder) * self.pitch_steps
        return executed_steps - self.from_steps - turned_steps

    def recovered_ticks(self, tick: int, executed_steps: int):
        """How long the rotor stood still, once, when it follows again; else -1."""
        if self.stall_tick < 0 or self.seen_encoder - self.from_encoder <= AGREE_PITCHES:
            return -1
        if self._behind_steps(executed_steps) > AGREE_PITCHES * self.pitch_steps:
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

    def _failed(self, part, kind: int):
        self.failed_part = part
        self.failed_kind = kind
        return alarms.SENSOR_FAULT

    def _marks_off(self, executed_steps: int, missing: int):
        """Too few marks for the pulses, or too many: one of the two is wrong."""
        behind_steps = self._behind_steps(executed_steps)
        if -AGREE_PITCHES * self.pitch_steps <= behind_steps <= AGREE_PITCHES * self.pitch_steps:
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

    def compare(self, ticks: int, owed_steps: int, executed_steps: int, bolus):
        """What was made and what the rotor turned, against what is owed now; `ticks` passed since the last
        call.
        """
        off = executed_steps - owed_steps
        turned = self.from_steps + (self.seen_encoder - self.from_encoder) * self.pitch_steps
        slack = self.tolerance_steps
        sign = 1 if off > slack else -1 if off < -slack else 0
        if sign == 0:
            off = turned - owed_steps
            slack = self.tolerance_steps + AGREE_PITCHES * self.pitch_steps
            sign = 1 if off > slack else -1 if off < -slack else 0
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
