"""The line between head and patient, as far as a dose depends on it: what it holds, and what of it is still
to be filled (DOSE-09, DOSE-10, OCC-05).

`Line` is told every microstep that was executed, and says what of it is dose.

Credit. A new line is empty, and what fills it reaches nobody. The confirmed act `new_line` gives as much
credit as the dead volume in force. Every forward step in any state uses it up, the first start ends it, a
line that is programmed longer afterwards does not raise it and a shorter one lowers it. Only steps made on
credit are in no window, and only credit lets the line be primed. A refill gives none: the line stays full. A
therapy that is confirmed ends a prime that is under way: of the one before were the line and the rate.

Bridge. After a change of concentration the line still holds the old drug. What is prescribed governs at
once, but while the old drug leaves the catheter the flow is the *dose* in force over the *old* concentration:
the prescribed rate times new/old, slowed to the grain below. So a dose changed, set to minimum or stopped
acts at once. `minimum` is its 2 uL/h of whatever leaves. Windows and limits are reckoned in microsteps of the
old drug meanwhile: a volume of the new one weighs new/old as much. What is left of a bridge is a state of the
line: it survives stops, alarms and resets, and grows by what is drawn back.

What the line holds is known by its drug's name and concentration, those of the last therapy that named any. A
line that is new, or that nothing has flowed through yet, holds nothing: then there is nothing to be bridged,
and any drug may come. Otherwise another drug is refused, since of a dose of one nothing follows for another.
A therapy without a drug is a volume and says nothing about what the line holds; none but `minimum` and
`stopped` is taken while a bridge is open, because its dose is not known.

Jogs. A pump that is built, checked or calibrated moves as well (RIG-06), with nobody connected: a clinician
confirms that, for `jog_steps` microsteps in all, and a start, a prime, a new line and another therapy end it.
Where a drug may be in the line it has to be new first. A jog counts as a dose and ends the credit.

Draw-back. `drawn_from_steps` is the position at which the motor began to draw a blocked line back, -1 while
it does not. `least_steps` is the one behind which it never goes, however often that is cut short and begun
again, -1 until the first time; a start, a new line and what fills it end the count.
"""

from .. import plain
from ..clock import TICKS_PER_S, TICKS_PER_WEEK
from ..smallint import LARGEST
from .prescription import PrescriptionError
from .schedule import Schedule
from .units import HOURS_PER_DAY, ratio, reduced

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .prescription import Prescription


MINIMUM = "minimum"  # the mode whose rate is a volume, whatever leaves
LEAVES = "the old drug has not left the line yet"
NO_POSITION = -1


class Bridge:
    """`left_steps` of the old drug are still in the line; `old` and `new` relate as the concentrations do."""

    def __init__(self, left_steps: int, old, new) -> None:
        self.left_steps = left_steps
        self.old = old
        self.new = new
        self._therapy = None  # whose schedule was converted last, and what came of it
        self._schedule = Schedule()

    def step(self, steps: int) -> int:
        """So many microsteps were executed. Returns how many of the old drug weigh as much, rounded up."""
        old_steps = min(steps, self.left_steps)
        self.left_steps -= old_steps
        return old_steps + -(-(steps - old_steps) * self.new // self.old)

    def volume(self, num: int, den: int):
        """The volume of old drug with the mass of num/den nL of the new one, as a fraction."""
        return num * self.new, den * self.old

    def schedule(self, therapy: "Prescription"):
        """What flows of the old drug under `therapy`: each rate of its basal slowed to the nearest that the
        mechanism reaches, by less than a grain per tick.
        """
        basal = therapy.basal
        if therapy.mode == MINIMUM:
            return basal
        if self._therapy is not therapy:
            self._therapy = therapy
            self._schedule = basal.scaled(self.new, self.old, therapy.mechanism.grains_per_step)
        return self._schedule

    def check(self, therapy: "Prescription", old_concentration) -> None:
        """PrescriptionError where the dose cannot be given with the old drug, a fraction of pg/nL."""
        basal = therapy.basal
        if therapy.mode == MINIMUM or not basal:
            return
        one = therapy.mechanism.grains_per_step
        if basal.grains(basal.lowest(), one) * self.new < self.old:
            raise PrescriptionError(
                ["bridge: so little of the old drug cannot be delivered; confirm a new line (new_line)"]
            )
        num, den = reduced(*self.volume(*therapy.fastest()))
        if num > therapy.max_rate_nl_h * den:
            most = plain.rate(therapy.max_rate_nl_h)
            most_pg_day = therapy.max_rate_nl_h * HOURS_PER_DAY * old_concentration[0]
            raise PrescriptionError(
                [
                    "bridge: while the old drug leaves the line the dose takes %s, max_rate_nl_h is %s; the"
                    " highest dose that fits is %s/day"
                    % (plain.rate(num, den, most), most, plain.mass(most_pg_day, old_concentration[1]))
                ]
            )

    def readback(self, therapy: "Prescription", old_concentration, week_tick: int):
        """How long the old drug still flows under `therapy`, and at what rate, for a read-back: one rate, or
        what each step of the week is multiplied by.
        """
        mechanism = therapy.mechanism
        num, den = old_concentration
        said = {
            "bridge_left_nl": mechanism.volume_nl(self.left_steps),
            "bridge_pg_nl": num if den == 1 else [num, den],
        }
        if not therapy.basal:
            return said
        schedule = self.schedule(therapy)
        if len(schedule) == 1:
            one = mechanism.grains_per_step
            rate = mechanism.rate_nl_h(schedule.grains(0, one), one)
            said["bridge_rate_num"], said["bridge_rate_den"] = rate
        else:
            said["bridge_times_num"], said["bridge_times_den"] = self.new, self.old
        said["bridge_s"] = self._clears_s(schedule, mechanism.grains_per_step, week_tick)
        return said

    def _clears_s(self, schedule: "Schedule", one: int, week_tick: int):
        """In how many seconds of flow the line is through, rounded up. `week_tick` is -1 where the time is
        not known: at the lowest rate then.
        """
        left = self.left_steps * one
        if week_tick < 0:
            return -(-left // (schedule.grains(schedule.lowest(), one) * TICKS_PER_S))
        weekly = schedule.week_grains(one)
        weeks = max(left - 1, 0) // weekly
        left -= weeks * weekly
        done_ticks = weeks * TICKS_PER_WEEK
        for ticks, grains in schedule.profile(week_tick, TICKS_PER_WEEK, one):
            if ticks * grains >= left:
                done_ticks += -(-left // grains)
                break
            left -= ticks * grains
            done_ticks += ticks
        return -(-done_ticks // TICKS_PER_S)


class Line:
    """The line of one pump. Nothing is known to be in it, and it may not be primed."""

    def __init__(self) -> None:
        self.credit_steps = 0  # forward steps still to come that fill the line and are no dose
        self.empty = True  # nothing was to flow since it was new
        self.drug = ""  # of the last therapy that named one ...
        self.concentration = None  # type: tuple[int, int] | None  # ... and its, a fraction of pg/nL
        self.bridge = None  # type: Bridge | None
        self.jogged = False  # nothing but jogs has moved it since it was new
        self.jog_steps = 0  # that may be jogged, since nobody is connected
        self.drawn_from_steps = NO_POSITION
        self.least_steps = NO_POSITION

    # --- what flows

    def moved(self, steps: int):
        """So many microsteps were executed, negative ones backward. Returns how many of them are dose, in the
        unit of the windows. Backward ones credit nothing.
        """
        bridge = self.bridge
        if steps < 0:
            if bridge:
                bridge.left_steps -= steps
            return 0
        self.empty = False
        filling = min(steps, self.credit_steps)
        self.credit_steps -= filling
        steps -= filling
        if bridge:
            bridge.step(filling)
            steps = bridge.step(steps)
        return steps

    def cleared(self) -> None:
        """The old drug is through."""
        self.bridge = None

    def started(self) -> None:
        """The therapy runs: whatever moves from now on is dose, and what a draw-back left is gone."""
        self.credit_steps = 0
        self._may_reach_somebody()

    def primed(self) -> None:
        """The line is being filled."""
        self._may_reach_somebody()

    def jogs(self, steps: int) -> None:
        """So many microsteps are made for whoever builds or calibrates the pump. They count as a dose."""
        self.jog_steps -= steps
        self.jogged = self.jogged or self.empty
        self.empty = False
        self.credit_steps = 0
        self.least_steps = NO_POSITION

    def may_hold_drug(self) -> bool:
        """Whether a drug that a therapy named may have flowed since the line was new."""
        return not (self.concentration is None or self.empty or self.jogged)

    def _may_reach_somebody(self) -> None:
        self.empty = False
        self.jogged = False
        self.jog_steps = 0
        self.least_steps = NO_POSITION

    def schedule(self, therapy: "Prescription"):
        """What flows under `therapy` now."""
        return self.bridge.schedule(therapy) if self.bridge else therapy.basal

    def volume(self, num: int, den: int):
        """The volume of what leaves now with the dose of num/den nL of what is prescribed, as a fraction."""
        return self.bridge.volume(num, den) if self.bridge else (num, den)

    # --- what is prescribed

    def holds(self, therapy: "Prescription"):
        """Whether the line holds something that `therapy` must take into account."""
        return bool(self.concentration and therapy.concentration and not self.empty)

    def bridge_under(self, therapy: "Prescription", ahead_steps: int = 0):
        """The bridge that is open once `therapy` is in force, None without. A new one is as long as the
        therapy's line, and `ahead_steps` that come out before it. Raises PrescriptionError for what the line
        forbids.
        """
        bridge = self.bridge
        old_concentration = self.leaving()
        if bridge and therapy.basal and therapy.mode != MINIMUM and not therapy.concentration:
            raise PrescriptionError(
                ["drug: %s; name the drug and its concentration, or confirm a new line (new_line)" % LEAVES]
            )
        if self.holds(therapy):
            if therapy.drug != self.drug:
                raise PrescriptionError(
                    [
                        "drug: %s, the line holds %s; exchange the line and confirm it first (new_line)"
                        % (therapy.drug, self.drug)
                    ]
                )
            if therapy.concentration != self.concentration:
                if bridge:
                    raise PrescriptionError(
                        ["concentration_pg_nl: the last change has not left the line yet"]
                    )
                old_concentration = self.concentration
                bridge = Bridge(0, *convertible(self.concentration, therapy.concentration))
                if therapy.line_nl:  # the step that is begun comes out before it as well
                    bridge.left_steps = line_steps(therapy) + 1 + ahead_steps
        if bridge:
            bridge.check(therapy, old_concentration)
        return bridge

    def leaving(self):
        """The concentration of what leaves the catheter, a fraction of pg/nL; None where it is not known."""
        if not self.bridge or not self.concentration:
            return self.concentration
        num, den = self.concentration
        return reduced(num * self.bridge.old, den * self.bridge.new)

    def unit_change(self, therapy: "Prescription"):
        """(a, b): what was given so far has to count a/b from now on, where no bridge tells the old drug from
        the new one: the line is empty, and the therapy has another concentration of the same drug. None where
        nothing changes. Between two drugs there is no ratio: what was given counts by volume.
        """
        new = therapy.concentration
        if not self.empty or not new or not self.concentration or therapy.drug != self.drug:
            return None
        return convertible(self.concentration, new) if new != self.concentration else None

    def take(self, therapy: "Prescription", bridge: "Bridge | None") -> None:
        """`therapy` is in force, with the `bridge_under` it."""
        self.bridge = bridge
        self.jog_steps = 0
        if therapy.concentration:
            self.drug = therapy.drug
            self.concentration = therapy.concentration
        self.credit_steps = min(self.credit_steps, line_steps(therapy))

    def renew(self, therapy: "Prescription"):
        """The line is new or empty: what fills it is no dose. Returns the bridge that this ends."""
        bridge = self.bridge
        self.bridge = None
        self.empty = True
        self.credit_steps = line_steps(therapy)
        self.jogged = False
        self.jog_steps = 0
        self.least_steps = NO_POSITION
        return bridge

    # --- drawing back

    def draw_back(self, at_steps: int, most_steps: int) -> None:
        """The motor begins to draw the line back from here, by `most_steps` at most in all (MOT-03)."""
        self.drawn_from_steps = at_steps
        if self.least_steps == NO_POSITION:
            self.least_steps = at_steps - most_steps

    def drawn_back(self):
        """The motor does not draw back any more. False if it did not."""
        drew = self.drawn_from_steps != NO_POSITION
        self.drawn_from_steps = NO_POSITION
        return drew

    def may_draw_steps(self, at_steps: int, most_steps: int) -> int:
        """By how much it may still be drawn back."""
        if self.least_steps == NO_POSITION:
            return most_steps
        return max(at_steps - self.least_steps, 0)


def line_steps(therapy: "Prescription"):
    """The whole microsteps of the dead volume that `therapy` programs, 0 without one."""
    return therapy.mechanism.grains_of_volume(therapy.line_nl)[0] if therapy else 0


def convertible(old, new):
    """How two concentrations relate, as whole numbers. PrescriptionError where they are not small."""
    relation = ratio(old, new)
    if max(relation) > LARGEST:
        raise PrescriptionError(
            ["concentration_pg_nl: %d/%d of the last is too fine a ratio to convert" % relation]
        )
    return relation
