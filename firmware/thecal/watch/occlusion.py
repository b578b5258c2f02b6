"""Whether the way out, or the way in, is blocked: from the line's pressure and the steps that the motor made.

`Occlusion` watches the pressure between head and catheter (OCC-02, OCC-03, OCC-05), `UpstreamOcclusion`
the one between reservoir and head. Both are fed once a tick; ticks that were merged are fed as one.

What a line does. It is an elastic volume C that drains through a resistance R against the back pressure
b: C dp/dt = q - (p - b) / R. Open, at the rates of intrathecal therapy, p is b and the flow hardly shows;
at 60 mL/h the reference line stands at 60 kPa. Blocked, it drains nothing: p rises by v/C for a displaced
volume v, however long that takes. A sensor's drift or a change of posture goes by time. So the judgement
is made in volume.

How it is made. Samples are averaged over a block, which ends with the first step after `BLOCK_TICKS`: one
step's time at slow rates, about a second at fast ones. From each block's mean the pressure that the flow
explains is taken (R times the flow, smoothed as the line smooths it). `level_16` follows what is left, block
by block, and of each rise counts as much as a blocked line could do:

    counted = min(rise, v / C_least)      C_least = 0.5 C; 0 of a rise beyond that by more than noise
    S       = max(0, S + counted - k v)   k = 1 / (2 C_most), C_most = 1.5 C; onset is where S was last 0
    D       = the sum of `counted` since onset

TREND when D reaches `change_pa`: the pressure has risen by so much, never faster than a blocked line's
and always faster than k. S is a CUSUM in the volume domain; it only marks the onset. It is the size of
what an innocent line may do, not noise, that sets `change_pa`, and k: on the reference line k is 667
Pa/uL.

The world moves. Who stands up changes the pressure at the catheter's end by 3 kPa at once; an open line
follows with RC, a blocked one not at all. So a rise that no blocked line makes is the world's, and so is
what comes after it: as much as the slowest line would still make of it (`tail_16`), less with every block,
nothing once the pressure has fallen again. A step of less than about 1 kPa in a slow line at 50 to 100 uL/h
looks like a block, but it ends: each third of `change_pa` must take about as much volume as those before
it, within a factor of 2.5, else a third more is asked for.

What that costs, chosen in the open (host_tests/moving_world.toml has the figures of all of it): before,
postures of 3 kPa every 10 minutes on average gave a false alarm every 7 pump-hours. Of lines of 0.5 to 1.5
C that are blocked while the world moves, 95 % or more alarm within 1 uL at each rate from 2 to 100 uL/h,
and all within 2 uL. Where the pressure jumped just before the block, the trend waits for what that jump
might still do. During a bolus nothing of this holds: there a block rises as fast as a posture does, so
above 150 uL/h a posture may be taken for one, and after a bolus too, by what stands below of the
resistance: missing a block would be worse.

    it tolerates  a change of back pressure of up to 0.9 kPa at any pace, either way (0.8 kPa at 100 uL/h,
                  where fewer samples make a block); any change within the time in which 0.1 uL flow (3 min
                  at 2 uL/h); any that is slower than k for good: 1.3 kPa/h at 2 uL/h, where the
                  reference sensor drifts by 1 kPa/h at 5 K/h
    it needs      change_pa * C of displaced volume, and two steps: 0.6 uL on the reference line, 0.9 uL
                  at 1.5 C
    not so        where the RP2040's wide codes (E11) swallow up to 450 Pa: so much more pressure is
                  needed there

Resistance. `change_pa` grows with what R is not known by, times the largest flow of late: above about
150 uL/h until R is known. A steady flow without any rise teaches R, the better the faster it was. For ten
seconds after a change of flow half of R counts as not known, since a line may follow up to four times as
fast as the model, or three times as slowly. While the pressure settles after a fall of the flow by more
than 100 uL/h (20 s after 3 mL/h, 45 s after 60 mL/h) the level follows freely: then only the threshold
sees anything. When it has settled, the rise since before the flow counts as D, if that is not half an hour
ago: a block that came near the end of a bolus shows by that the pressure does not go back.

THRESHOLD, of single samples, three in a row: `threshold_pa` above what flow and baseline explain, or
above `MOST_PA` in any case. The default is 10 psi, as in Open PCA's requirements. The baseline is the
level at the last onset, at most `MOST_BASE_PA`: a line that was under pressure at power-on is not taken
for an open one.

Stored volume (OCC-05) is what the line holds above its baseline, C (p - b). C is what the rise itself has
shown, displaced volume over counted rise since D reached a third of `change_pa`, kept within 0.5 to 1.5
C; of a rise too short for that, the calibration's C. It is good to 15 % after a trend, to a factor of 0.5
to 2 otherwise. It follows the pressure, so it falls as the line is drawn back, and to nothing if the
block went away by itself. Draw back half of it, wait two seconds, and ask again: that comes to rest
within 0.2 uL of the baseline whatever C is, and does not overdraw.

Everything is an integer below 2^30 for flows up to 200 mL/h; small pressures are kept in 1/16 Pa (`_16`),
flow in 1/16384 step per tick. A step here is a microstep, or so many of them (`unit_steps`) that they are 15
nL at least: finer ones would be lost in the rounding. The sensor's own noise, two codes rms, is the same for
any scale, so `change_pa` and what is let pass as noise are as many codes at least as on the reference sensor
of 50 Pa a code. A tick takes about 170 bytecodes, one that ends a block 530. Nothing is
allocated. No errors are raised: a sample that is not `good` is left out.
"""

from ..smallint import LARGEST, small

NONE, THRESHOLD, TREND = range(3)

THRESHOLD_PA = 68_948  # 10 psi
UPSTREAM_PA = 6_895  # 1 psi
CHANGE_PA = 1_100  # own choice: posture and strain move the pressure of the spinal fluid by up to 1 kPa
COMPLIANCE_NL_KPA = 500
RESISTANCE_PA_ML_H = 1_000

MOST_PA = 150_000  # the reference sensor ends at 185 kPa, twice the reference resistance at 60 mL/h needs 121
MOST_BASE_PA = 10_000
BLOCK_TICKS = 10
BLOCK_SAMPLES = 5  # good ones
MOST_SAMPLES = 4_096  # of 200 kPa: below 2^30, and of a sensor that goes further so many less
MOST_STEPS = 30_000  # in a block: below 2^15
MOST_BLOCK_PL = 937_500_000  # nor more than so much: 0.9 mL
MOST_SLOPE_STEPS = 10_000  # since onset, for the compliance to be shown
LEAST_STEP_NL = 15
CHANGE_CODES = 22  # 1 100 Pa of the reference sensor
CARRY_CODES = 3
LINE_TICKS = 18  # time constant of the reference line, 1.8 s
TAIL_TICKS = 36  # a sudden change may go on for that, as 1/t and so longer than a line of 54 does
STEADY_TICKS = 300  # five time constants of the slowest line, 3 times the reference's, and 3 s
HALF_TICKS = 55  # the largest flow of late is forgotten by half: half as slowly again as the slowest line
REST_TICKS = 18_000  # half an hour: 5 K within an hour are 500 Pa then
SETTLE_TICKS = 100  # after a change of flow: the same for lines that are as slow as the model or faster
UNMODELLED_PA = 150  # of flow times what R is not known by: belongs to what `change_pa` tolerates
CARRY_16 = 150 * 16  # of a rise beyond the possible: noise, three sigma of two blocks of 1 s
MOST_TAIL_16 = 1_000_000 * 16  # small once multiplied
UNEVEN_8 = 20  # a third of `change_pa` may take 2.5 times the volume that those before took, or the reverse
CONFIRM = 3  # samples
RESISTANCE_PART = 16  # R is never believed to better than this part of itself


class Occlusion:
    """The downstream side, on a mechanism of so many nL and steps per revolution and a line of so much
    compliance and resistance, each known to a factor of 0.5 to 1.5 and 0.5 to 2.
    """

    def __init__(
        self,
        nl_per_rev: int,
        steps_per_rev: int,
        compliance_nl_kpa: int = COMPLIANCE_NL_KPA,
        resistance_pa_ml_h: int = RESISTANCE_PA_ML_H,
        threshold_pa: int = THRESHOLD_PA,
        change_pa: int = CHANGE_PA,
        pa_per_code: int = 50,
        most_sensed_pa: int = 184_000,
    ) -> None:
        self.threshold_pa = threshold_pa
        self.change_16 = max(change_pa, CHANGE_CODES * pa_per_code) * 16
        self.carry_16 = max(CARRY_16, CARRY_CODES * pa_per_code * 16)
        self.most_samples = min(MOST_SAMPLES, LARGEST // most_sensed_pa)
        self.nominal_nl_kpa = compliance_nl_kpa
        self.nominal_pa_ml_h = resistance_pa_ml_h
        self.unit_steps = -(-LEAST_STEP_NL * steps_per_rev // nl_per_rev)
        nl_per_rev *= self.unit_steps
        # Of one step: volume in pL, the flow of one step per tick in uL/h, and pressures in 1/16 Pa.
        self.step_pl = small(nl_per_rev * 1_000 // steps_per_rev)
        self.most_steps = min(MOST_STEPS, MOST_BLOCK_PL // self.step_pl)
        self.most_slope_steps = min(MOST_SLOPE_STEPS, LARGEST // self.step_pl)
        self.flow_ul_h = small(nl_per_rev * 36 // steps_per_rev)
        self.least_16 = small(nl_per_rev * 16_000 // (steps_per_rev * compliance_nl_kpa * 3))
        self.most_16 = small(nl_per_rev * 16_000 * 2 // (steps_per_rev * compliance_nl_kpa))
        self.alarm = NONE
        self.position_steps = 0
        self.sample_16 = 0  # pressure, smoothed over some samples
        self.forget()

    def forget(self) -> None:
        """Another line: what was learnt of the last one is not true of it."""
        self.resistance_pa_ml_h = self.nominal_pa_ml_h
        self.unknown_pa_ml_h = self.nominal_pa_ml_h  # R is at most so much larger
        self.step_pa = small(self.nominal_pa_ml_h * self.flow_ul_h // 1_000)  # of a flow of one step per tick
        self.rest_16 = 0  # level when the flow last hardly showed
        self.begin()

    def resume(self, base_16: int, nl_kpa: int) -> None:
        """An alarm stood before a reset, with this level at onset and compliance: go on to follow what the
        line holds.
        """
        self.alarm = THRESHOLD
        self.base_16 = base_16
        self.shown_nl_kpa = nl_kpa

    def begin(self) -> None:
        """Look anew: at power-on, and when an alarm has been dealt with. What was learnt stays."""
        self.alarm = NONE
        self.shown_nl_kpa = 0  # compliance as known from before a reset
        self.known = False  # the first sample is to come
        self.flow = 0  # smoothed as the line smooths it, 1/16384 step per tick
        self.base_16 = 0  # level at onset
        self.level_16 = 0
        self.since_16 = 0  # S
        self.rise_16 = 0  # D
        self.tail_16 = 0  # what a sudden change has still to come
        self.volume_steps = 0  # since onset
        self.slope_rise_16 = 0  # both, as they were when D reached a third of `change_pa`
        self.slope_steps = 0
        self.third_16 = 0  # both, as they were at the last third of `change_pa`
        self.third_steps = 0
        self.extra_16 = 0  # needed more, where the thirds differ too much
        self.follows = True  # the first block only says where the level is
        self.rest_ticks = REST_TICKS  # so long ago was `rest_16`
        self.hold_ul_h = 0  # largest flow of late, forgotten slowly
        self.steady_ul_h = 0  # about this has been the flow ...
        self.steady_ticks = 0  # ... for so long
        self.over = 0
        self._open_block()

    def _open_block(self) -> None:
        self.sum_pa = 0
        self.sum_flow = 0
        self.samples = 0
        self.ticks = 0
        self.steps = 0

    def update(self, ticks: int, executed_steps: int, pressure_pa: int, good: bool):
        """`ticks` have passed; the motor is at `executed_steps`; the sensor says `pressure_pa` if `good`.
        Returns NONE, THRESHOLD or TREND; an alarm stays until `begin`.
        """
        if self.unit_steps > 1:
            executed_steps //= self.unit_steps
        if not self.known:
            if not good:
                return self.alarm
            self.known = True
            self.position_steps = executed_steps
            self.sample_16 = pressure_pa * 16
        steps = executed_steps - self.position_steps
        self.position_steps = executed_steps
        if good:
            self.sample_16 += (pressure_pa * 16 - self.sample_16) >> 2
        if self.alarm:
            return self.alarm
        if steps < 0:
            steps = 0  # drawn back: no delivery, `begin` comes
        block_ticks = self.ticks + ticks
        block_steps = self.steps + steps
        self.ticks = block_ticks
        self.steps = block_steps
        if block_steps > self.most_steps:  # the sensor has been bad for long: nothing can be said of all that
            self.follows = True
            self._open_block()
            return self.alarm
        share = (steps << 14) // ticks if ticks else 0
        if ticks > STEADY_TICKS:
            ticks = STEADY_TICKS
        flow = self.flow
        while ticks > 0:
            flow += (share - flow) // LINE_TICKS
            ticks -= 1
        self.flow = flow
        if good:
            flow >>= 4
            self.sum_pa += pressure_pa
            self.sum_flow += flow
            samples = self.samples + 1
            self.samples = samples
            base_pa = self.base_16 >> 4
            if base_pa > MOST_BASE_PA:
                base_pa = MOST_BASE_PA
            above_pa = pressure_pa - (flow * self.step_pa >> 10) - base_pa
            if above_pa > self.threshold_pa or pressure_pa > MOST_PA:
                self.over += 1
                if self.over == CONFIRM:
                    self.alarm = THRESHOLD
            else:
                self.over = 0
            full = block_ticks >= BLOCK_TICKS and samples >= BLOCK_SAMPLES
            if full and (block_steps > 0 or self.follows or samples == self.most_samples):
                self._close_block()
        return self.alarm

    def _close_block(self) -> None:
        samples = self.samples
        mean_16 = (self.sum_pa // samples << 4) + (self.sum_pa % samples << 4) // samples
        mean_16 -= self.sum_flow // samples * self.step_pa >> 6
        flow_ul_h = self.steps * self.flow_ul_h // self.ticks
        steps = self.steps
        self._look_at_flow(flow_ul_h)
        unknown = self.unknown_pa_ml_h
        moving = unknown + (self.resistance_pa_ml_h >> 1)  # nor is it known how fast the line follows
        if self.steady_ticks < SETTLE_TICKS:
            unknown = moving
        unknown_pa = unknown * self.hold_ul_h // 1_000
        fallen_ul_h = self.hold_ul_h - flow_ul_h
        if steps:
            fallen_ul_h -= self.flow_ul_h // self.ticks  # a step is what the flow is known by
        falling = fallen_ul_h > self.hold_ul_h >> 3 and moving * fallen_ul_h // 1_000 > UNMODELLED_PA
        if self.rest_ticks < REST_TICKS:
            self.rest_ticks += self.ticks
        if self.follows or falling:
            self.follows = falling  # the block after it still has a part of the fall
            self.level_16 = mean_16
            self._onset()
            if not falling and unknown_pa <= UNMODELLED_PA:
                self._settled()
        else:
            counted_16 = self._counted(mean_16 - self.level_16, steps)
            self.level_16 += counted_16
            self.since_16 += counted_16 - self.least_16 * steps
            if self.since_16 <= 0:
                self._onset()
                if unknown_pa <= UNMODELLED_PA:
                    self._rest()
                elif self.steady_ticks >= STEADY_TICKS and self.rest_ticks < REST_TICKS:
                    self._learn(flow_ul_h)
            else:
                self._rising(counted_16, steps, unknown_pa)
        ticks = self.ticks if self.ticks < STEADY_TICKS * 4 else STEADY_TICKS * 4
        self.hold_ul_h >>= ticks // HALF_TICKS
        self.hold_ul_h -= self.hold_ul_h * (ticks % HALF_TICKS) // (2 * HALF_TICKS)
        self._open_block()

    def _counted(self, rise_16: int, steps: int):
        """So much of a rise is a blocked line's. What is sudden, and its tail, is the world's: level and
        baseline go with it.
        """
        sudden_16 = 0
        tail_16 = self.tail_16
        if tail_16:
            if rise_16 > 0:
                sudden_16 = rise_16 if rise_16 < tail_16 else tail_16
                rise_16 -= sudden_16
            elif rise_16 < -self.carry_16:
                tail_16 = 0  # it went away again
            self.tail_16 = tail_16 * TAIL_TICKS // (TAIL_TICKS + self.ticks)
        counted_16 = self.most_16 * steps
        # Of several steps in a block it is not known how they lay in it.
        if rise_16 - counted_16 > self.carry_16 + (counted_16 - self.most_16 >> 1):
            sudden_16 += rise_16
            tail_16 = rise_16 + rise_16 * TAIL_TICKS // self.ticks
            self.tail_16 = tail_16 if tail_16 < MOST_TAIL_16 else MOST_TAIL_16
            counted_16 = 0
        elif rise_16 < counted_16:
            counted_16 = rise_16
        if sudden_16:
            self.level_16 += sudden_16
            self.base_16 += sudden_16
        return counted_16

    def _look_at_flow(self, flow_ul_h: int) -> None:
        """The largest flow of late, and for how long it has been about the same, to a step."""
        if flow_ul_h > self.hold_ul_h:
            self.hold_ul_h = flow_ul_h
        changed_ul_h = flow_ul_h - self.steady_ul_h
        if changed_ul_h < 0:
            changed_ul_h = -changed_ul_h
        if changed_ul_h > (self.steady_ul_h >> 3) + self.flow_ul_h // self.ticks:
            self.steady_ul_h = flow_ul_h
            self.steady_ticks = 0
        elif self.steady_ticks < STEADY_TICKS:
            self.steady_ticks += self.ticks

    def _onset(self) -> None:
        self.since_16 = 0
        self.rise_16 = 0
        self.volume_steps = 0
        self.slope_rise_16 = 0
        self.slope_steps = 0
        self.third_16 = 0
        self.third_steps = 0
        self.extra_16 = 0
        self.base_16 = self.level_16

    def _rest(self) -> None:
        self.rest_16 = self.level_16
        self.rest_ticks = 0

    def _settled(self) -> None:
        """The flow has fallen and the pressure has settled: an open line is back where it was."""
        rise_16 = self.level_16 - self.rest_16
        if self.rest_ticks < REST_TICKS and rise_16 > 0:
            self.base_16 = self.rest_16
            self.since_16 = self.rise_16 = rise_16
            self._judge(0)
        else:
            self._rest()

    def _rising(self, counted_16: int, steps: int, unknown_pa: int) -> None:
        self.rise_16 += counted_16
        self.volume_steps += steps
        # From the first block on that rises from its beginning.
        if not self.slope_steps and self.rise_16 * 3 >= self.change_16:
            self.slope_rise_16 = self.rise_16
            self.slope_steps = self.volume_steps
        if (
            self.rise_16 - self.third_16
        ) * 3 >= self.change_16 or self.rise_16 >= self.change_16 + self.extra_16:
            self._third(unknown_pa)
        self._judge(unknown_pa)

    def _third(self, unknown_pa: int) -> None:
        """Another third of `change_pa`, or the last of it: did it take as much volume as those before?"""
        before = self.third_steps
        steps = self.volume_steps - before
        if before and steps and unknown_pa <= UNMODELLED_PA:
            average_16 = self.third_16 // before  # a step
            goes_16 = (self.rise_16 - self.third_16) // steps
            uneven = goes_16 * UNEVEN_8 < average_16 * 8 or goes_16 * 8 > average_16 * UNEVEN_8
            if uneven and average_16 <= self.most_16:  # else it did not begin as a blocked line does
                self.extra_16 += self.change_16 // 3
        self.third_16 = self.rise_16
        self.third_steps = self.volume_steps

    def _judge(self, unknown_pa: int) -> None:
        needed_16 = self.change_16 + self.extra_16
        if unknown_pa > UNMODELLED_PA:
            needed_16 += (unknown_pa - UNMODELLED_PA) * 16
        if self.rise_16 >= needed_16 and self.alarm == NONE:
            self.alarm = TREND

    def _learn(self, flow_ul_h: int) -> None:
        """R from a steady flow, if it shows R better than what is known. What is not known then: how far
        the back pressure may have moved since the flow was slow, and a part of R itself.
        """
        unknown = self.resistance_pa_ml_h // RESISTANCE_PART + self.change_16 * 1_000 // (16 * flow_ul_h)
        if unknown > self.unknown_pa_ml_h:
            return
        surplus_pa = self.level_16 - self.rest_16 >> 4
        resistance = self.resistance_pa_ml_h + surplus_pa * 1_000 // flow_ul_h
        resistance = max(self.nominal_pa_ml_h >> 1, min(resistance, self.nominal_pa_ml_h << 1))
        step_pa = resistance * self.flow_ul_h // 1_000
        self.level_16 -= self.sum_flow // self.samples * (step_pa - self.step_pa) >> 6
        self.base_16 = self.level_16
        self.step_pa = step_pa
        self.resistance_pa_ml_h = resistance
        self.unknown_pa_ml_h = unknown

    def compliance_nl_kpa(self):
        """The line's, as the present rise shows it; the calibration's if it is too short for that."""
        if self.shown_nl_kpa:
            return self.shown_nl_kpa
        rise_pa = self.rise_16 - self.slope_rise_16 >> 4
        steps = self.volume_steps - self.slope_steps
        # Half of `change_pa` at least.
        if not self.slope_steps or rise_pa * 32 < self.change_16 or steps > self.most_slope_steps:
            return self.nominal_nl_kpa
        shown = steps * self.step_pl // rise_pa
        return max(self.nominal_nl_kpa >> 1, min(shown, (self.nominal_nl_kpa * 3) >> 1))

    def stored_nl(self):
        """What the line holds above its baseline. Good from a second after the motor has stopped."""
        above_pa = self.sample_16 - self.base_16 >> 4
        return above_pa * self.compliance_nl_kpa() // 1_000 if above_pa > 0 else 0


class UpstreamOcclusion:
    """The reservoir's side: THRESHOLD when the pressure is `threshold_pa` below ambient. Smoothed over eight
    samples, so that noise of 1 kPa rms does not matter and it takes about a second.
    """

    def __init__(self, threshold_pa: int = UPSTREAM_PA) -> None:
        self.threshold_pa = threshold_pa
        self.begin()

    def begin(self) -> None:
        """Look anew, when an alarm has been dealt with."""
        self.alarm = NONE
        self.pressure_16 = 0

    def update(self, pressure_pa: int, good: bool):
        """A tick's sample, pressure over ambient. Returns NONE or THRESHOLD; an alarm stays until `begin`."""
        if good:
            self.pressure_16 += (pressure_pa * 16 - self.pressure_16) >> 3
            if self.pressure_16 <= -self.threshold_pa * 16:
                self.alarm = THRESHOLD
        return self.alarm
