"""Does the rotor do what the motor was told? Microsteps made against the rotor's encoder, and against what is
owed.

`Motion.look` is called once per tick, `Motion.compare` once per tick while something is to flow. Both return
the row of the alarm to raise, or -1. All counts are small integers; one encoder pulse is `pitch_steps`
microsteps (the reference: 32, 1 uL).

- Encoder against microsteps made (MOT-02): within two pitches of each other since the motor was last started
  from rest. Too few pulses: STALL; too many: RUNAWAY.
- Pulses while hardly a step was made: the rotor turns by itself, FREE_FLOW, at once, in any state; or, if
  steps were ordered that never came back, the wire that counts them is broken, SENSOR_FAULT.
- Pulses against index marks: a revolution that has not its number of pulses, give or take one and what came
  in the ticks of its two marks, is a SENSOR_FAULT.
- Executed and encoder against owed (SAFE-10): beyond the tolerance, in one direction, for longer than five
  minutes, or one while a bolus flows: OVER_INFUSION or UNDER_INFUSION. At exactly the tolerance never.
- Revolutions ever made and days of service (RES-04): SERVICE_DUE.

The times of SAFE-10 are those of the Open PCA Pump's requirements 1.0.0 (R5.4.0, basal 5 min, bolus 1 min).
The tolerances are own choices: one pitch of steps made, and what the encoder can tell, two pitches more.
"""

from . import alarms

AGREE_PITCHES = 2
BASAL_TICKS = 3_000
BOLUS_TICKS = 600
TICKS_PER_DAY = 864_000
# Own choice for the bench: 10 L through one tubing, or two years.
SERVICE_REVOLUTIONS = 100_000
SERVICE_DAYS = 730


class Motion:
    """Watches one rotor: so many microsteps and encoder pulses per revolution."""

    def __init__(self, steps_per_rev, pulses_per_rev):
        self.pitch_steps = steps_per_rev // pulses_per_rev
        self.pulses_per_rev = pulses_per_rev
        self.tolerance_steps = self.pitch_steps
        self.pulses = 0  # ever made, over resets
        self.days = 0
        self.stall_tick = -1  # when the rotor stopped to follow; -1 while it follows
        self.begin_board()

    def begin_board(self):
        """The board's counters begin at 0, the motor rests."""
        self.seen_encoder = 0
        self.seen_index = 0
        self.index_encoder = -1  # encoder count at the last index mark; -1 before the first ...
        self.index_new = 0  # ... and how many of its pulses came in the same tick
        self.begin(0)

    def begin(self, executed_steps):
        """The motor starts from rest here: what the encoder said before is not held against it."""
        self.from_steps = executed_steps
        self.from_encoder = self.seen_encoder
        self.turn_steps = executed_steps  # at the last look at single pulses
        self.turn_encoder = self.seen_encoder
        self.beyond_ticks = 0
        self.beyond_sign = 0

    def look(self, tick, executed_steps, encoder_count, index_count, moving, ordered_steps):
        """One tick. `moving`: motion may be ordered; `ordered_steps`: the furthest order."""
        new = encoder_count - self.seen_encoder
        if new > 0:
            self.pulses += new
        self.seen_encoder = encoder_count
        row = self._look_at_index(encoder_count, index_count, new)
        turned = self._look_at_single_pulses(executed_steps, encoder_count, moving, ordered_steps)
        if turned >= 0:
            row = turned
        if moving:
            behind = executed_steps - self.from_steps - (encoder_count - self.from_encoder) * self.pitch_steps
            most = AGREE_PITCHES * self.pitch_steps
            if behind > most:
                if self.stall_tick < 0:
                    self.stall_tick = tick
                row = alarms.STALL
            elif behind < -most and row < 0:
                row = alarms.RUNAWAY
        return row

    def recovered_ticks(self, tick, executed_steps):
        """How long the rotor stood still, once, when it follows again; else -1."""
        if self.stall_tick < 0 or self.seen_encoder - self.from_encoder < AGREE_PITCHES + 1:
            return -1
        if executed_steps - self.from_steps > (AGREE_PITCHES + 2) * self.pitch_steps + self.pitch_steps:
            return -1
        ticks = tick - self.stall_tick
        self.stall_tick = -1
        return ticks

    def _look_at_single_pulses(self, executed_steps, encoder_count, moving, ordered_steps):
        """Two pulses are more than one pitch of steps apart; half a pitch is doubt enough."""
        if encoder_count - self.turn_encoder < 2:
            return -1
        made = executed_steps - self.turn_steps
        self.turn_encoder = encoder_count
        self.turn_steps = executed_steps
        if made < 0:
            made = -made
        if made > self.pitch_steps // 2:
            return -1
        if moving and ordered_steps - executed_steps > 2 * self.pitch_steps:
            return alarms.SENSOR_FAULT
        return alarms.FREE_FLOW

    def _look_at_index(self, encoder_count, index_count, new):
        marks = index_count - self.seen_index
        if marks == 0:
            return -1
        self.seen_index = index_count
        row = -1
        if self.index_encoder >= 0 and marks == 1:
            off = encoder_count - self.index_encoder - self.pulses_per_rev
            if off > 1 + new or off < -1 - self.index_new:
                row = alarms.SENSOR_FAULT
        self.index_encoder = encoder_count
        self.index_new = new
        return row

    def compare(self, ticks, owed_steps, executed_steps, bolus):
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

    def service_due(self, tick):
        """Whether revolutions or days have reached their number."""
        self.days = tick // TICKS_PER_DAY
        return self.pulses // self.pulses_per_rev >= SERVICE_REVOLUTIONS or self.days >= SERVICE_DAYS
