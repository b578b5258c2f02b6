"""What may still be given: what any coming window and the reservoir would hold (LIM-04, LIM-06, RES-05).

Here `dose` (the schedule, what is owed) and `watch` (what was given) are held against each other, on command
and never in the steady loop. All is reckoned in grains of a microstep; while a bridge is open, in microsteps
of the old drug.
"""

from . import plain, states
from .causes import GRANTED, HISTORY, MAX_DOSE, RESERVOIR, Refused
from .clock import TICK_MS, TICKS_PER_DAY, TICKS_PER_S, TICKS_PER_WEEK
from .dose.course import CLINICIAN, PATIENT
from .dose.prescription import PrescriptionError
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


PIECES_A_SLICE = 8  # of a week's steps that are looked at before a generator yields
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

    def check_steady_limit(self, therapy: "Prescription") -> None:
        """LIM-06: a basal that breaks its own limit is refused whenever it were to start. Takes long, unless
        its peak was found in pieces before.
        """
        if not therapy.limit or not therapy.basal:
            return
        mechanism = self.mechanism
        one = mechanism.grains_per_step
        peak = therapy.basal.peak_grains(therapy.window_ticks, one)
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
        early = 0 if self.control.state == states.STOPPED else late
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

    def find_low(self, therapy: "Prescription", bridge: "Bridge | None"):
        """`find_low` for the reservoir as it is, which is known, and the `bridge` that would be open."""
        reservoir = self.reservoir
        mechanism = self.mechanism
        low_nl = (therapy.low_nl or 0) - reservoir.fill_nl
        steps = -(low_nl * mechanism.steps_per_rev // mechanism.nl_per_rev)
        left_steps = reservoir.filled_at_steps + steps - self.control.position.executed_steps
        delivery = self.delivery
        running = [bolus[1:] for bolus in delivery.boluses_to_come()] if delivery.doses else ()
        week_tick = self.control.clock.week_tick(1) if self.control.clock.known else -1
        return find_low(therapy, left_steps, self._owed_grains(), week_tick, running, bridge)

    def _owed_grains(self):
        """What is to be executed by now, with the quarter of a step that `Delivery.position` adds."""
        delivery = self.delivery
        executed_steps = self.control.position.executed_steps
        if self.control.state in states.MOVING:
            return delivery.owed_grains(executed_steps) + delivery.quarter
        return delivery.remainder.owed_grains(executed_steps) + delivery.quarter

    def _peak_steps(self, profile, window_ticks: int, enough, rest=(0, 1)):
        owed = self._owed_grains()
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


def find_low(therapy: "Prescription", left_steps: int, owed: int, week_tick: int, running=(), bridge=None):
    """RES-03: after how many ticks `left_steps` more can have been made at the earliest, if `therapy` runs
    from now on and the patient takes each bolus as soon as lockout and daily count allow. A generator that
    yields None in between, at last the ticks.

    `owed` grains are to be executed now, `running` is what boluses that flow still owe: (grains, grains per
    tick) each; `week_tick` is -1 where the time is not known. While a `bridge` is open there are no boluses.
    The limit holds as well: so many windows begin before. What was given already is left out, which can only
    make it earlier.
    """
    mechanism = therapy.mechanism
    one = mechanism.grains_per_step
    need = left_steps * one - owed
    ticks = 0
    if bridge and bridge.left_steps:
        need -= sum([grains for grains, _ in running])
        running = ()
        # The step before may be the last one, as it is made before all of it is owed.
        part = min(need, (bridge.left_steps - 1) * one - owed)
        if part > 0:
            schedule = bridge.schedule(therapy)
            for found in _when(schedule, one, week_tick, part, lambda ticks: 0):
                if found is None:
                    yield
                else:
                    ticks, flowed = found
                    need -= flowed
            if week_tick >= 0:
                week_tick = (week_tick + ticks) % TICKS_PER_WEEK
    if need > 0:
        for found in _when(therapy.basal, one, week_tick, need, _taken(therapy, running)):
            if found is None:
                yield
            else:
                ticks += found[0]
    if therapy.limit:
        num, den = therapy.limit
        most = -(-num * mechanism.steps_per_rev // (den * mechanism.nl_per_rev))
        if bridge:  # what leaves first weighs less or more, and rounds to a step of the heavier
            most = max(most, -(-most * bridge.new // bridge.old)) + 1 - (-bridge.old // bridge.new)
        ticks = max(ticks, (-(-left_steps // most) - 1) * therapy.window_ticks)
    yield ticks


def _taken(therapy: "Prescription", running):
    """A function that says what boluses take at the most by so many ticks from now, grains."""
    volume = rate = most = period = 0
    bolus = therapy.patient_bolus
    if bolus:
        mechanism = therapy.mechanism
        one = mechanism.grains_per_step
        steps, grains = mechanism.grains_of_volume(*bolus.volume)
        volume = steps * one + grains
        steps, grains = mechanism.grains_per_tick(*bolus.rate)
        rate = steps * one + grains
        period = -(-volume // rate) + bolus.lockout_ticks
        most = bolus.max_per_day

    def by(ticks: int):
        taken = sum([min(left, flow * ticks) for left, flow in running])
        if not volume:
            return taken
        of_day = ticks  # more than there can be
        if most * period < TICKS_PER_DAY:
            of_day = most
            taken += ticks // TICKS_PER_DAY * most * volume
            ticks %= TICKS_PER_DAY
        whole, ticks = divmod(ticks, period)
        if whole >= of_day:
            return taken + of_day * volume
        return taken + whole * volume + min(volume, ticks * rate)

    return by


def _when(schedule: "Schedule", one: int, week_tick: int, need: int, more):
    """After how many ticks the schedule and `more(ticks)` have given `need` grains, and how many the schedule
    alone has given by then. A generator as `find_low`.
    """
    weekly = schedule.week_grains(one)
    weeks, enough = 0, need // weekly + 1
    while enough - weeks > 1:
        middle = (weeks + enough) // 2
        if middle * weekly + more(middle * TICKS_PER_WEEK) < need:
            weeks = middle
        else:
            enough = middle
    done = weeks * TICKS_PER_WEEK
    flowed = weeks * weekly
    ticks = rate = 0
    for number, (ticks, rate) in enumerate(_pieces(schedule, one, week_tick, weekly)):
        if flowed + ticks * rate + more(done + ticks) >= need:
            break
        done += ticks
        flowed += ticks * rate
        if (number + 1) % PIECES_A_SLICE == 0:
            yield
    few = 0
    while ticks - few > 1:
        middle = (few + ticks) // 2
        if flowed + middle * rate + more(done + middle) < need:
            few = middle
        else:
            ticks = middle
    yield done + ticks, flowed + ticks * rate


def _pieces(schedule: "Schedule", one: int, week_tick: int, weekly: int):
    """A week from that time on as (ticks, grains per tick). With the time unknown all of it as early as its
    fastest step can give it: the clock may be set to any time at once.
    """
    if week_tick < 0:
        fastest = schedule.grains(schedule.highest(), one)
        yield weekly // fastest, fastest
        yield 1, weekly % fastest
        yield TICKS_PER_WEEK, 0
        return
    index = schedule.index_at(week_tick)
    start = schedule.next_start(index)
    ticks = TICKS_PER_WEEK if start < 0 else (start - week_tick - 1) % TICKS_PER_WEEK + 1
    left = TICKS_PER_WEEK
    while left > 0:
        yield min(ticks, left), schedule.grains(index, one)
        left -= ticks
        index = index + 1 if index + 1 < len(schedule) else 0
        ticks = schedule.ticks(index)
