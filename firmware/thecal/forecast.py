"""What may still be given: what any coming window and the reservoir would hold (LIM-04, LIM-06, RES-05).

Here `dose` (the schedule, what is owed) and `watch` (what was given) are held against each other, on command
and never in the steady loop. All is reckoned in grains of a microstep; while a bridge is open, in microsteps
of the old drug.
"""

from . import plain
from .causes import GRANTED, HISTORY, MAX_DOSE, RESERVOIR, Refused
from .clock import TICK_MS, TICKS_PER_DAY, TICKS_PER_S, TICKS_PER_WEEK
from .dose.course import CLINICIAN, PATIENT
from .dose.prescription import PrescriptionError
from .states import MOVING, STOPPED
from .watch.ahead import MOST_LOOKS, peak_steps
from .watch.stretches import AHEAD_TICKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .dose.delivery import Delivery
    from .dose.line import Bridge, Line
    from .dose.mechanism import Mechanism
    from .dose.prescription import Prescription
    from .dose.schedule import Schedule
    from .watch.guard import Guard
    from .watch.limits import WindowLedger
    from .watch.reservoir import Reservoir


LEAST_LEFT_TICKS = 2 * AHEAD_TICKS  # of a window with what was given; before less is left nothing is to start


class Forecast:
    """Looks ahead for one pump. `ledger` is the window of what was given."""

    def __init__(
        self,
        mechanism: "Mechanism",
        regimen,
        line: "Line",
        delivery: "Delivery",
        ledger: "WindowLedger",
        guard: "Guard",
        reservoir: "Reservoir",
        control: "Control",
    ) -> None:
        self.mechanism = mechanism
        self.regimen = regimen
        self.line = line
        self.delivery = delivery
        self.ledger = ledger
        self.guard = guard
        self.reservoir = reservoir
        self.control = control

    def why_no_room(self, volume: tuple, rate: tuple):
        """RESERVOIR, MAX_DOSE or GRANTED for one more bolus, nL and nL/h, on top of all that is committed."""
        one = self.mechanism.grains_per_step
        bolus = self._grains_of(volume)
        if self.regimen.prescription.limit:
            window_ticks = self.regimen.prescription.window_ticks
            profile = self._with_one_more(volume, rate, window_ticks)
            limit_steps = self.guard.limit_steps
            if self._peak_steps(profile, window_ticks, limit_steps, self.guard.limit_rest) > limit_steps:
                return MAX_DOSE
        if self.reservoir.known:
            committed = self.delivery.committed_grains(self.control.position.executed_steps)
            # Until the last of them is through: they flow one after the other.
            ticks = sum([piece[0] for piece in self._with_one_more(volume, rate, 0)])
            basal = 0
            week_tick = self.control.clock.week_tick(1)
            for piece_ticks, grains in self._basal(
                self.regimen.prescription, week_tick, ticks, self.line.bridge
            ):
                basal += piece_ticks * grains
            left = self.reservoir.empty_steps - self.control.position.executed_steps
            if bolus + committed + basal > left * one:
                return RESERVOIR
        return GRANTED

    def why_no_jog(self, steps: int, rate_nl_h: int):
        """The same for so many microsteps of a motor that rests otherwise."""
        one = self.mechanism.grains_per_step
        therapy = self.regimen.prescription
        if therapy and therapy.limit:
            rate = self._grains_per_tick((rate_nl_h, 1))
            ticks, rest = divmod(steps * one, rate)
            profile = [(ticks, rate), (1, rest)]
            limit_steps = self.guard.limit_steps
            peak = self._peak_steps(profile, therapy.window_ticks, limit_steps, self.guard.limit_rest)
            if peak > limit_steps:
                return MAX_DOSE
        if self.reservoir.known:
            left = self.reservoir.empty_steps - self.control.position.executed_steps
            if steps > left:
                return RESERVOIR
        return GRANTED

    def most_in_a_day(self, volume: tuple, rate: tuple) -> int:
        """The most steps that any 24 h hold, with what flowed, one more bolus (nL at nL/h) and all that is
        committed, none of which a bridge is open for.
        """
        # A flow that fills a bound makes the begun step as well: more is by a step or more.
        return self._peak_steps(self._with_one_more(volume, rate, TICKS_PER_DAY), TICKS_PER_DAY, None) - 1

    def steady_ticks(self, therapy: "Prescription") -> int:
        """The length of the windows that `check_steady_limit` looks at; to be looked at in pieces before."""
        return therapy.window_ticks

    def check_steady_limit(self, therapy: "Prescription") -> None:
        """LIM-06: a basal that breaks its own limit is refused whenever it were to start."""
        if not therapy.limit or not therapy.basal:
            return
        mechanism = self.mechanism
        one = mechanism.grains_per_step
        peak = therapy.basal.peak_grains(self.steady_ticks(therapy), one)
        if peak > self._grains_of(therapy.limit):
            volume = peak * mechanism.nl_per_rev, one * mechanism.steps_per_rev
            limit = plain.volume(*therapy.limit, unlike=plain.volume(*volume))
            gives = plain.volume(*volume, unlike=limit)
            window = plain.time(therapy.window_ticks * TICK_MS)
            text = "limit: the basal alone gives %s in %s, the limit is %s" % (gives, window, limit)
            raise PrescriptionError([text])

    def check_history(self, therapy: "Prescription", week_tick: int, bridge: "Bridge | None"):
        """LIM-06: with what was given so far the basal must not break the limit; says when it would not.

        `week_tick` is the time of the week at the end of this tick, `bridge` the one that would be open.
        """
        if not therapy.limit or not therapy.basal:
            return
        if self._fits(therapy, week_tick, bridge):
            return
        late = therapy.window_ticks
        # Each look takes a part of a tick: only a motor at rest has the time to search.
        early = 0 if self.control.state == STOPPED else late
        while late - early > TICKS_PER_S:
            middle = (late + early) // 2
            if self._basal_fits_after(therapy, week_tick, middle, bridge):
                late = middle
            else:
                early = middle
        # In whole seconds, up: a start before that would be refused again.
        raise Refused(
            HISTORY,
            "limit: with what was given already the therapy could start in %s"
            % plain.seconds(-(-late // TICKS_PER_S)),
        )

    def _fits(self, therapy: "Prescription", week_tick: int, bridge: "Bridge | None"):
        """Whether the basal of `therapy` from now on is within its limit, with all that was given and the
        boluses that run.
        """
        boluses = [bolus[1:] for bolus in self.delivery.boluses_to_come()]

        def basal(ticks: int):
            return self._basal(therapy, week_tick, ticks, bridge)

        most = self._grains_per_tick((therapy.max_rate_nl_h, 1))
        profile = with_boluses(basal, boluses, most, therapy.window_ticks)
        return self._within_limit(profile, therapy.window_ticks, therapy, bridge)

    def _basal_fits_after(
        self, therapy: "Prescription", week_tick: int, delay_ticks: int, bridge: "Bridge | None"
    ):
        """The same for a motor that rests so many ticks first. Windows that end before do not count. In one
        that ends later all that flows from then on stays, until nothing is left in it of what was given:
        it holds what a window shorter by the delay would, if the flow began now.
        """
        ticks = therapy.window_ticks - delay_ticks
        if ticks < LEAST_LEFT_TICKS:
            return False
        profile = self._basal(therapy, (week_tick + delay_ticks) % TICKS_PER_WEEK, ticks, bridge)
        return self._within_limit(profile, ticks, therapy, bridge)

    def _within_limit(self, profile, window_ticks, therapy, bridge):
        """Whether no window of that length holds more than the limit of `therapy` with `profile`."""
        guard = self.guard
        limit = bridge.volume(*therapy.limit) if bridge else therapy.limit
        limit_steps = guard.steps_of_limit(*limit)
        rest = guard.rest_of_limit(*limit)
        return self._peak_steps(profile, window_ticks, limit_steps, rest) <= limit_steps

    def _with_one_more(self, volume: tuple, rate: tuple, window_ticks: int):
        """What flows with one more bolus of nL at nL/h, until a whole window after the last one."""
        therapy = self.regimen.prescription
        boluses = self.delivery.boluses_to_come()
        # Of a kind there is one at a time, and the patient's goes first.
        kind = PATIENT if self.delivery.owed.active[CLINICIAN] else CLINICIAN
        boluses.append((kind, self._grains_of(volume), self._grains_per_tick(rate)))
        boluses.sort()

        def basal(ticks: int):
            return self._basal(therapy, self.control.clock.week_tick(1), ticks, self.line.bridge)

        most = self._grains_per_tick((therapy.max_rate_nl_h, 1))
        return with_boluses(basal, [bolus[1:] for bolus in boluses], most, window_ticks)

    def _peak_steps(self, profile, window_ticks: int, enough, rest=(0, 1)):
        delivery = self.delivery
        if self.control.state in MOVING:
            owed = delivery.owed_grains(self.control.position.executed_steps)
        else:
            owed = delivery.remainder.owed_grains(self.control.position.executed_steps)
        owed += delivery.quarter
        one = self.mechanism.grains_per_step
        return peak_steps(self.ledger, window_ticks, profile, owed, one, enough, MOST_LOOKS, rest)

    def _basal(self, therapy: "Prescription", week_tick: int, ticks: int, bridge: "Bridge | None"):
        """What the basal gives in the next `ticks`: a list of (ticks, grains per tick)."""
        if not bridge:
            return self._scheduled(therapy.basal, week_tick, ticks)
        profile = []
        left = bridge.left_steps * self.mechanism.grains_per_step
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

    def _scheduled(self, schedule: "Schedule", week_tick: int, ticks: int):
        one = self.mechanism.grains_per_step
        if self.control.clock.known or len(schedule) == 1:
            return schedule.profile(week_tick, ticks, one)
        # With the time unknown the lowest entry flows, but the clock may be set at any moment.
        return [(ticks, schedule.grains(schedule.highest(), one))]

    def _grains_of(self, volume: tuple) -> int:
        steps, grains = self.mechanism.grains_of_volume(*volume)
        return steps * self.mechanism.grains_per_step + grains

    def _grains_per_tick(self, rate: tuple) -> int:
        steps, grains = self.mechanism.grains_per_tick(*rate)
        return steps * self.mechanism.grains_per_step + grains


def with_boluses(basal, boluses, most: int, after_ticks: int):
    """The flow until the last bolus is through and `after_ticks` longer, as a list of (ticks, grains per
    tick): what `basal(ticks)` gives, and above it one bolus after the other, (grains, grains per tick),
    within `most` for all; the last tick of each with what is left of it.
    """
    ticks = after_ticks
    for grains, rate in boluses:
        ticks += -(-grains // rate)
    while True:
        profile, done = _laid_over(basal(ticks), boluses, most)
        if done >= 0 and ticks == done + after_ticks or ticks >= TICKS_PER_WEEK:
            return profile
        ticks = done + after_ticks if done >= 0 else 2 * ticks


def _laid_over(basal, boluses, most: int):
    """As `with_boluses`, as long as `basal`; and when the last bolus is through, -1 for not yet."""
    profile = []
    waiting = list(boluses)
    at = done = 0
    for ticks, flow in basal:
        while ticks:
            now = ticks
            more = 0
            if waiting:
                left, rate = waiting[0]
                rate = min(rate, most - flow)
                if rate > 0:
                    more = rate
                    now = min(ticks, left // rate)
                    if now == 0:
                        now = 1
                        more = left
                    left -= now * more
                    waiting[0] = (left, waiting[0][1])
                    if left == 0:
                        waiting.pop(0)
                        done = at + now
            profile.append((now, flow + more))
            ticks -= now
            at += now
    return profile, -1 if waiting else done
