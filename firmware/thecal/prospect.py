"""What may still be given: what any coming window and the reservoir would hold (LIM-04, LIM-06, RES-05).

Here `dose` (the schedule, what is owed) and `watch` (what was given) are held against each other, on command
and never in the steady loop. All is reckoned in grains of a microstep; while a bridge is open, in microsteps
of the old drug.
"""

from .causes import GRANTED, HISTORY, MAX_DOSE, RESERVOIR, Refused
from .dose.prescription import PrescriptionError
from .dose.schedule import TICKS_PER_WEEK
from .signals import TICK_MS
from .states import STOPPED
from .watch.limits import DAY_TICKS, bucket_ticks_of

TICKS_PER_S = 1_000 // TICK_MS


class Prospect:
    """Looks ahead for `pump`."""

    def __init__(self, pump):
        self.pump = pump

    def why_no_room(self, volume, rate):
        """RESERVOIR, MAX_DOSE or GRANTED for one more bolus, nL and nL/h, on top of all that is committed."""
        pump = self.pump
        one = pump.mechanism.grains_per_step
        bolus = self._grains_of(volume)
        committed = pump.delivery.committed_grains(pump.executed_steps)
        if pump.prescription.limit and not self._fits_limit(bolus, rate, committed):
            return MAX_DOSE
        if pump.reservoir.known:
            ticks = -(-bolus // self._grains_per_tick(rate))
            basal = 0
            for piece_ticks, grains in self._basal(pump.prescription, pump.week_tick(1), ticks, pump.bridge):
                basal += piece_ticks * grains
            left = pump.reservoir.empty_steps - pump.executed_steps
            if bolus + committed + basal > left * one:
                return RESERVOIR
        return GRANTED

    def most_in_a_day(self, volume, rate):
        """The most steps that any 24 h hold, with what flowed, one more bolus (nL at nL/h) and all that is
        committed, none of which a bridge is open for.
        """
        pump = self.pump
        one = pump.mechanism.grains_per_step
        bolus = self._grains_of(volume)
        committed = pump.delivery.committed_grains(pump.executed_steps)
        ticks = min(-(-bolus // self._grains_per_tick(rate)), DAY_TICKS)
        horizon = ticks + DAY_TICKS
        flows = [
            self._basal(pump.prescription, pump.week_tick(1), horizon, None),
            [(ticks, -(-bolus // ticks)), (DAY_TICKS, 0)],
            [(1, committed), (horizon - 1, 0)],
        ]
        # The ledger rounds a step that is begun up: more than a bound is by a step or more.
        return pump.ledger.trial_peak_steps(flows, one, DAY_TICKS, pump.tick) - 1

    def steady_ticks(self, therapy):
        """The length of the windows that `check_steady_limit` looks at; to be looked at in pieces before."""
        return therapy.window_ticks + bucket_ticks_of(therapy.window_ticks) + TICKS_PER_S

    def check_steady_limit(self, therapy):
        """LIM-06: a basal that breaks its own limit is refused whenever it were to start."""
        if not therapy.limit or not therapy.basal:
            return
        mechanism = self.pump.mechanism
        one = mechanism.grains_per_step
        peak = therapy.basal.peak_grains(self.steady_ticks(therapy), one)
        if peak > mechanism.grains_of_volume(*therapy.limit)[0] * one:
            raise PrescriptionError(
                [
                    "limit: the basal alone gives %d nL in %d ms, the limit is %d nL"
                    % (
                        mechanism.volume_nl(peak // one),
                        therapy.window_ticks * TICK_MS,
                        therapy.limit[0] // therapy.limit[1],
                    )
                ]
            )

    def check_history(self, therapy, week_tick, bridge):
        """LIM-06: with what was given so far the basal must not break the limit; says when it would not.

        `week_tick` is the time of the week at the end of this tick, `bridge` the one that would be open.
        """
        if not therapy.limit or not therapy.basal:
            return
        limit = bridge.volume(*therapy.limit) if bridge else therapy.limit
        limit_steps = self.pump.mechanism.grains_of_volume(*limit)[0]
        horizon = therapy.window_ticks + bucket_ticks_of(therapy.window_ticks)
        if self._peak_after(therapy, week_tick, 0, horizon, bridge) <= limit_steps:
            return
        late = horizon
        # Each look takes most of a tick: only a motor at rest has the time to search.
        early = 0 if self.pump.state == STOPPED else late
        while late - early > TICKS_PER_S:
            middle = (late + early) // 2
            if self._peak_after(therapy, week_tick, middle, horizon, bridge) <= limit_steps:
                late = middle
            else:
                early = middle
        # In whole seconds, up: a start before that would be refused again.
        raise Refused(
            HISTORY,
            "limit: with what was given already the therapy could start in %d s" % -(-late // TICKS_PER_S),
        )

    def _peak_after(self, therapy, week_tick, delay_ticks, horizon, bridge):
        pump = self.pump
        one = pump.mechanism.grains_per_step
        profile = self._basal(therapy, week_tick, horizon, bridge)
        if delay_ticks:
            profile = [(delay_ticks, 0)] + profile
        # What is owed and what boluses still owe counts at once.
        committed = pump.delivery.committed_grains(pump.executed_steps)
        flows = [profile, [(1, committed), (delay_ticks + horizon - 1, 0)]]
        return pump.ledger.trial_peak_steps(flows, one, therapy.window_ticks, pump.tick)

    def _fits_limit(self, bolus, rate, committed):
        """LIM-04 for `bolus` grains at `rate` nL/h and `committed` grains that are owed already."""
        pump = self.pump
        therapy = pump.prescription
        one = pump.mechanism.grains_per_step
        window_ticks = therapy.window_ticks
        bucket_ticks = pump.ledger.window.bucket_ticks
        flow = self._grains_per_tick(rate)
        ticks = -(-bolus // flow)
        if ticks <= window_ticks:
            horizon = ticks + window_ticks + bucket_ticks
            bolus_profile = [(ticks, -(-bolus // ticks)), (horizon - ticks, 0)]
        else:
            # It fills whole windows: past the first one they are all alike but for the schedule.
            horizon = 2 * window_ticks + bucket_ticks
            bolus_profile = [(horizon, flow)]
            full_ticks = window_ticks + bucket_ticks + TICKS_PER_S
            peak = therapy.basal.peak_grains(full_ticks, one) + flow * full_ticks
            if peak > pump.guard.limit_steps * one:
                return False
        # What is committed counts at once, which errs on the safe side.
        flows = [
            self._basal(therapy, pump.week_tick(1), horizon, pump.bridge),
            bolus_profile,
            [(1, committed), (horizon - 1, 0)],
        ]
        return pump.ledger.peak_steps(flows, one) <= pump.guard.limit_steps

    def _basal(self, therapy, week_tick, ticks, bridge):
        """What the basal gives in the next `ticks`: a list of (ticks, grains per tick)."""
        if not bridge:
            return self._scheduled(therapy.basal, week_tick, ticks)
        profile = []
        left = bridge.left_steps * self.pump.mechanism.grains_per_step
        old = bridge.schedule(therapy)
        done = 0
        for piece_ticks, grains in self._scheduled(old, week_tick, ticks) if left else ():
            piece_ticks = min(piece_ticks, -(-left // grains))
            profile.append((piece_ticks, grains))
            left -= piece_ticks * grains
            done += piece_ticks
            if left <= 0:
                break
        if done < ticks:
            schedule = therapy.basal
            week_tick = (week_tick + done) % TICKS_PER_WEEK
            for piece_ticks, grains in self._scheduled(schedule, week_tick, ticks - done):
                profile.append((piece_ticks, -(-grains * bridge.new // bridge.old)))
        return profile

    def _scheduled(self, schedule, week_tick, ticks):
        one = self.pump.mechanism.grains_per_step
        if self.pump.clock_known or len(schedule) == 1:
            return schedule.profile(week_tick, ticks, one)
        # With the time unknown the lowest entry flows, but the clock may be set at any moment.
        return [(ticks, schedule.grains(schedule.highest(), one))]

    def _grains_of(self, volume):
        steps, grains = self.pump.mechanism.grains_of_volume(*volume)
        return steps * self.pump.mechanism.grains_per_step + grains

    def _grains_per_tick(self, rate):
        steps, grains = self.pump.mechanism.grains_per_tick(*rate)
        return steps * self.pump.mechanism.grains_per_step + grains
