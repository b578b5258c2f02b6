"""What may be programmed: one validator that says everything that is wrong at once.

`parse` takes the `therapy` object of the link's `program` command and a mechanism, and returns a
`Prescription` or raises `PrescriptionError` with a list of problems, each naming key, value and bound. What
has to be read in pieces (`dose/program.py`) uses the `Reader` behind it: the object without its steps, then
step by step, then `finish`. Keys:

    mode                continuous | flex | minimum | stopped
    rate_num, rate_den  continuous: basal rate, nL/h as a fraction
    drug, concentration_pg_nl
                        with them doses may stand for rates and volumes: dose_pg_day, dose_pg. A concentration
                        is a whole number of pg/nL (mcg/mL), or [num, den] where it is none
    steps               flex: list of {at_ms: time of day, days: bits, 1 is monday, 64 sunday;
                        rate_num, rate_den}
    kvo_num, kvo_den    keep-vein-open rate, nL/h; 0 where absent
    patient_bolus       {volume_nl, rate_num, rate_den or duration_ms, lockout_ms, max_per_day}
    limit               {volume_nl, window_ms}: no window of that length holds more (LIM-03)
    low_nl, empty_nl    reservoir volumes at which to warn and to stop
    on_low              continue | kvo
    line_nl             dead volume of tubing and catheter, for priming and bridging; 0 where unknown
    max_rate_nl_h       profile: the total of all flows is never above this
"""

from .. import plain
from ..clock import TICK_MS, TICKS_PER_DAY
from ..problems import Problems, shown
from .schedule import MOST_STEPS_A_DAY, Schedule
from .units import (
    CONCENTRATION_TEXT,
    concentration_of,
    dose_of_rate,
    rate_of_dose,
    reduced,
    volume_of_dose,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .mechanism import Mechanism


MINUTE_MS = 60_000
DAY_MS = 86_400_000

# DOSE-04: a basal of at least 0.048 mL/day, the slowest rate of implantable pumps; at most 120 mL/h in total,
# whatever its components are.
LEAST_BASAL_NL_H = 2_000
MOST_RATE_NL_H = 120_000_000
MOST_BOLUS_NL = 60_000_000  # 60 mL, more than the largest reservoir
MOST_BOLUS_MS = DAY_MS
MOST_RESERVOIR_NL = 60_000_000
MOST_LINE_NL = 5_000_000  # a metre of wide tubing; catheters hold 0.1 to 0.3 mL
MOST_LOCKOUT_MS = DAY_MS
MOST_A_DAY = 96  # as many as `watch.lockout` remembers
PAGE_STEPS = 24  # of a read-back in one frame: a day of hours; their making takes a third of a tick
LEAST_WINDOW_MS = 600_000
MOST_WINDOW_MS = DAY_MS
# SCENARIOS and RES-02: LOW at 1 mL, EMPTY at 0.5 mL unless programmed otherwise.
LOW_NL = 1_000_000
EMPTY_NL = 500_000

KEYS = (
    "mode",
    "rate_num",
    "rate_den",
    "drug",
    "concentration_pg_nl",
    "dose_pg_day",
    "steps",
    "kvo_num",
    "kvo_den",
    "patient_bolus",
    "limit",
    "low_nl",
    "empty_nl",
    "on_low",
    "line_nl",
    "max_rate_nl_h",
)
BOLUS_KEYS = ("volume_nl", "dose_pg", "rate_num", "rate_den", "duration_ms", "lockout_ms", "max_per_day")
LIMIT_KEYS = ("volume_nl", "dose_pg", "window_ms")
STEP_KEYS = ("at_ms", "days", "rate_num", "rate_den", "dose_pg_day")
MODES = ("continuous", "flex", "minimum", "stopped")
ON_LOW = ("continue", "kvo")


class PrescriptionError(Exception):
    """What was asked cannot be given; `problems` is the list of all reasons, as texts."""

    def __init__(self, problems: list) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class PatientBolus:
    """What the patient may ask for. Volume and rate are fractions of nL and nL/h, times are ticks."""

    def __init__(self, volume: tuple, rate: tuple, lockout_ticks: int, max_per_day: int) -> None:
        self.volume = volume
        self.rate = rate
        self.lockout_ticks = lockout_ticks
        self.max_per_day = max_per_day


class Prescription:
    """A therapy as the device understood it. Rates are reduced fractions of nL/h that the mechanism reaches
    exactly.

    `basal` is a Schedule in grains of `mechanism`, without entries for a therapy that is stopped.
    `concentration` is a fraction of pg/nL, None without a drug. `limit` is a volume as a fraction of nL, or
    None, and `window_ticks` its window.
    """

    def __init__(self, mode: str, basal, mechanism: "Mechanism", max_rate_nl_h) -> None:
        self.mode = mode
        self.basal = basal  # type: Schedule
        self.mechanism = mechanism
        self.kvo = (0, 1)  # type: tuple[int, int]
        self.max_rate_nl_h = max_rate_nl_h
        self.drug = ""
        self.concentration = None  # type: tuple[int, int] | None
        self.patient_bolus = None  # type: PatientBolus | None
        self.limit = None  # type: tuple[int, int] | None
        self.window_ticks = 0
        self.low_nl = LOW_NL  # type: int | None
        self.empty_nl = EMPTY_NL  # type: int | None
        self.on_low_kvo = False
        self.line_nl = 0  # type: int | None

    def rate_nl_h(self, index: int):
        """The rate of an entry of the basal, a reduced fraction of nL/h."""
        one = self.mechanism.grains_per_step
        return self.mechanism.rate_nl_h(self.basal.grains(index, one), one)

    def fastest(self):
        """The fastest basal rate, a fraction of nL/h."""
        return self.rate_nl_h(self.basal.highest()) if self.basal else (0, 1)

    def slowest(self):
        """The slowest basal rate, a fraction of nL/h."""
        return self.rate_nl_h(self.basal.lowest()) if self.basal else (0, 1)

    def readback(self):
        """What the device will do, for the human to read and confirm: a dict of integers, short texts and
        lists.
        """
        weekly_num, weekly_den = self._weekly_nl()
        said = {
            "mode": self.mode,
            "daily_nl": (2 * weekly_num + 7 * weekly_den) // (14 * weekly_den),
            "kvo_num": self.kvo[0],
            "kvo_den": self.kvo[1],
            "max_rate_nl_h": self.max_rate_nl_h,
            "low_nl": self.low_nl,
            "empty_nl": self.empty_nl,
            "on_low": ON_LOW[1 if self.on_low_kvo else 0],
            "line_nl": self.line_nl,
        }
        if len(self.basal) == 1:
            said["rate_num"], said["rate_den"] = rate = self.rate_nl_h(0)
            steps = self.mechanism.steps_per_tick(*rate)
            said["steps_per_tick_num"], said["steps_per_tick_den"] = steps
        elif self.basal:
            said["step_count"] = len(self.basal)
            said["steps"] = self.steps_from(0)
        if self.patient_bolus:
            said["bolus_volume_num"], said["bolus_volume_den"] = self.patient_bolus.volume
            said["bolus_rate_num"], said["bolus_rate_den"] = self.patient_bolus.rate
            said["lockout_ms"] = self.patient_bolus.lockout_ticks * TICK_MS
            said["max_per_day"] = self.patient_bolus.max_per_day
        if self.limit:
            said["limit_num"], said["limit_den"] = self.limit
            said["window_ms"] = self.window_ticks * TICK_MS
        if self.concentration:
            said["drug"] = self.drug
            num, den = self.concentration
            said["concentration_pg_nl"] = num if den == 1 else [num, den]
            said["daily_pg"] = dose_of_rate(weekly_num, weekly_den * 7 * 24, self.concentration)
        return said

    def steps_from(self, first: int):
        """The entries of the basal from number `first` on, PAGE_STEPS of them at most: [ms of the week, num,
        den] each, with the rate in nL/h.
        """
        indices = range(first, min(first + PAGE_STEPS, len(self.basal)))
        return [[self.basal.starts[index] * TICK_MS] + list(self.rate_nl_h(index)) for index in indices]

    def _weekly_nl(self):
        mechanism = self.mechanism
        one = mechanism.grains_per_step
        grains = self.basal.week_grains(one)
        return reduced(grains * mechanism.nl_per_rev, one * mechanism.steps_per_rev)


class Reader:
    """One therapy object being read; collects problems. `head` first, then each `step` of a flex therapy,
    then `finish`.
    """

    def __init__(self, therapy, mechanism: "Mechanism") -> None:
        self.mechanism = mechanism
        self.problems = Problems()
        self.concentration = None
        self.basal = Schedule()
        self.therapy = therapy
        self.most_nl_h = min(MOST_RATE_NL_H, mechanism.max_rate_nl_h())  # of any rate
        self.most_nl = min(MOST_BOLUS_NL, mechanism.most_nl)  # of a bolus or a limit

    def say(self, text: str) -> None:
        self.problems.append(text)

    def check(self) -> None:
        """PrescriptionError for all problems so far."""
        if self.problems:
            raise PrescriptionError(self.problems.told())

    def keys(self, values, known, prefix: str = "") -> None:
        for key in sorted(values):
            if key not in known:
                self.say("%s%s: unknown key" % (prefix, shown(key)))

    def whole(self, values, key: str, least: int, most: int, default=None, prefix: str = ""):
        value = values.get(key, default)
        if type(value) is not int or not least <= value <= most:
            if type(value) is int:
                bounds = plain.by_key(key, least), plain.by_key(key, most)
                found = plain.by_key(key, value, bounds[0] if value < least else bounds[1])
                self.say("%s%s: %s, must be %s to %s" % (prefix, key, shown(found), bounds[0], bounds[1]))
            else:
                sent = shown(value)
                self.say("%s%s: %s, must be a whole number from %d to %d" % (prefix, key, sent, least, most))
            return None
        return value

    def fraction(self, values, name: str, prefix: str = ""):
        num = self.whole(values, name + "_num", 0, 10**18, prefix=prefix)
        den = self.whole(values, name + "_den", 1, 10**18, prefix=prefix)
        return None if num is None or den is None else reduced(num, den)

    def rate(self, values, prefix: str = ""):
        """A basal rate, given as one or as a dose per day."""
        if "dose_pg_day" in values:
            if "rate_num" in values or "rate_den" in values:
                self.say(prefix + "rate_num: give a dose or a rate, not both")
            dose_pg_day = self.whole(values, "dose_pg_day", 1, 10**15, prefix=prefix)
            if not self.concentration:
                self.say(prefix + "dose_pg_day: a dose needs a drug and its concentration")
            elif dose_pg_day is not None:
                return self.reachable(prefix + "rate", rate_of_dose(dose_pg_day, self.concentration))
            return None
        rate = self.fraction(values, "rate", prefix)
        return rate and self.reachable(prefix + "rate", rate)

    def reachable(self, name: str, rate: tuple, least: int = LEAST_BASAL_NL_H):
        num, den = rate
        most = self.most_nl_h
        if num < least * den or num > most * den:
            bounds = plain.rate(least), plain.rate(most)
            found = plain.rate(num, den, bounds[0] if num < least * den else bounds[1])
            self.say("%s: %s, must be %s to %s" % ((name, found) + bounds))
        elif not self.mechanism.reaches(num, den):
            asked = plain.rate(num, den)
            nearest = plain.rate(*self.mechanism.nearest_reachable(num, den), unlike=asked)
            self.say(
                "%s: %s cannot be delivered exactly, the nearest that can is %s" % (name, asked, nearest)
            )
        else:
            return rate
        return None

    def volume(self, values: dict, prefix: str):
        """A volume in nL as a fraction, given as one or as a mass."""
        if "dose_pg" not in values:
            volume_nl = self.whole(values, "volume_nl", 1, self.most_nl, prefix=prefix)
            return volume_nl and (volume_nl, 1)
        if "volume_nl" in values:
            self.say(prefix + "volume_nl: give a dose or a volume, not both")
        dose_pg = self.whole(values, "dose_pg", 1, 10**15, prefix=prefix)
        if not self.concentration:
            self.say(prefix + "dose_pg: a dose needs a drug and its concentration")
        elif dose_pg is not None:
            volume = volume_of_dose(dose_pg, self.concentration)
            if volume[0] <= self.most_nl * volume[1]:
                return volume
            most = plain.volume(self.most_nl)
            self.say("%sdose_pg: %s, must be at most %s" % (prefix, plain.volume(*volume, unlike=most), most))
        return None

    def concentrated(self):
        """The concentration as a fraction of pg/nL, None where it is none."""
        value = self.therapy.get("concentration_pg_nl")
        found = concentration_of(value)
        if found is None:
            self.say("concentration_pg_nl: %s, must be %s" % (shown(value), CONCENTRATION_TEXT))
        return found

    def put(self, start: int, rate: tuple):
        steps, grains = self.mechanism.grains_per_tick(*rate)
        return self.basal.put(start, steps, grains)

    def steps(self):
        """The steps that stand in the object itself."""
        if self.therapy.get("mode") != "flex":
            return ()
        steps = self.therapy.get("steps")
        if isinstance(steps, list):
            return steps
        self.say("steps: flex needs a list of them")
        return ()

    def step(self, step, name: str) -> None:
        """One of the steps; `name` is what it is called in problems."""
        if not isinstance(step, dict):
            self.say("%s: must be an object" % name)
            return
        prefix = name + "."
        self.keys(step, STEP_KEYS, prefix)
        at_ms = self.whole(step, "at_ms", 0, DAY_MS - 1, prefix=prefix)
        days = self.whole(step, "days", 1, 127, 127, prefix)
        rate = self.rate(step, prefix)
        if at_ms is None or days is None or rate is None:
            return
        if at_ms % TICK_MS:
            self.say("%sat_ms: %d, must be a multiple of %d ms" % (prefix, at_ms, TICK_MS))
            return
        for day in range(7):
            if days >> day & 1:
                self._step_of_day(day, at_ms, rate, prefix)

    def _step_of_day(self, day: int, at_ms: int, rate: tuple, prefix: str) -> None:
        start = day * TICKS_PER_DAY + at_ms // TICK_MS
        if self.basal.between(day * TICKS_PER_DAY, (day + 1) * TICKS_PER_DAY) == MOST_STEPS_A_DAY:
            self.say("%sat_ms: day %d has %d steps already" % (prefix, day + 1, MOST_STEPS_A_DAY))
        elif not self.put(start, rate):
            self.say("%sat_ms: %d stands twice on day %d of the week" % (prefix, at_ms, day + 1))

    def take(self, basal) -> None:
        """Take the steps as they were kept, after the same checks as `step` makes of each."""
        before = -1
        for index in range(len(basal)):
            start = basal.starts[index]
            day = start - start % TICKS_PER_DAY
            sound = before < start < 7 * TICKS_PER_DAY
            sound = sound and basal.rate_grains[index] < self.mechanism.grains_per_step
            if not sound or basal.between(day, day + TICKS_PER_DAY) > MOST_STEPS_A_DAY:
                self.say("steps[%d]: not a step of a week" % index)
                return
            before = start
        self.basal = self.found.basal = basal
        for rate in (self.found.slowest(), self.found.fastest()):
            self.reachable("steps", rate)

    def patient_bolus(self):
        values = self.table("patient_bolus", BOLUS_KEYS)
        if values is None:
            return None
        prefix = "patient_bolus."
        volume = self.volume(values, prefix)
        lockout_ms = self.whole(values, "lockout_ms", 0, MOST_LOCKOUT_MS, prefix=prefix)
        max_per_day = self.whole(values, "max_per_day", 1, MOST_A_DAY, prefix=prefix)
        if "duration_ms" in values:
            duration_ms = self.whole(values, "duration_ms", 1, MOST_BOLUS_MS, prefix=prefix)
            if "rate_num" in values or "rate_den" in values:
                self.say(prefix + "rate_num: give a duration or a rate, not both")
            rate = volume and duration_ms and reduced(volume[0] * 3_600_000, volume[1] * duration_ms)
            rate = rate and self.mechanism.reachable_below(*rate)
        else:
            rate = self.fraction(values, "rate", prefix)
        rate = rate and self.reachable(prefix + "rate", rate, 0)
        if not volume or not rate or lockout_ms is None or max_per_day is None:
            return None
        return PatientBolus(volume, rate, -(-lockout_ms // TICK_MS), max_per_day)

    def limit(self, found) -> None:
        values = self.table("limit", LIMIT_KEYS)
        if values is None:
            if found.patient_bolus:
                self.say("limit: a therapy with patient boluses must have one")  # LIM-12
            return
        found.limit = self.volume(values, "limit.")
        window_ms = self.whole(values, "window_ms", LEAST_WINDOW_MS, MOST_WINDOW_MS, prefix="limit.")
        if window_ms is not None:
            if window_ms % MINUTE_MS:
                self.say("limit.window_ms: %s, must be whole minutes" % plain.time(window_ms))
            found.window_ticks = window_ms // TICK_MS

    def table(self, name, keys):
        values = self.therapy.get(name)
        if values is None:
            return None
        if not isinstance(values, dict):
            self.say("%s: must be an object" % name)
            return None
        self.keys(values, keys, name + ".")
        return values

    def head(self):
        """Read all but the steps."""
        therapy = self.therapy
        self.keys(therapy, KEYS)
        mode = therapy.get("mode")
        if mode not in MODES:
            self.say("mode: %s, must be one of %s" % (shown(mode), ", ".join(MODES)))
        largest = self.most_nl_h
        max_rate_nl_h = self.whole(therapy, "max_rate_nl_h", LEAST_BASAL_NL_H, largest, largest)
        self.most_nl_h = max_rate_nl_h or largest
        if "drug" in therapy or "concentration_pg_nl" in therapy:
            if not isinstance(therapy.get("drug"), str) or not 0 < len(therapy["drug"]) <= 32:
                self.say("drug: %s, must be a name of 1 to 32 characters" % shown(therapy.get("drug")))
            self.concentration = self.concentrated()
        rate = None
        if mode == "minimum":
            rate = (LEAST_BASAL_NL_H, 1)
        elif mode == "continuous":
            rate = self.rate(therapy)
        if rate:
            self.put(0, rate)
        self.found = found = Prescription(mode, self.basal, self.mechanism, max_rate_nl_h)
        if "kvo_num" in therapy or "kvo_den" in therapy:
            found.kvo = self.fraction(therapy, "kvo") or (0, 1)
            if found.kvo[0]:
                self.reachable("kvo", found.kvo)
        found.drug = therapy.get("drug", "")
        found.concentration = self.concentration
        found.patient_bolus = self.patient_bolus()
        self.limit(found)
        self.levels(found)

    def levels(self, found):
        therapy = self.therapy
        most_nl = min(MOST_RESERVOIR_NL, self.mechanism.most_nl)
        found.low_nl = self.whole(therapy, "low_nl", 0, most_nl, LOW_NL)
        found.empty_nl = self.whole(therapy, "empty_nl", 0, most_nl, EMPTY_NL)
        if found.low_nl is not None and found.empty_nl is not None and found.empty_nl > found.low_nl:
            low = plain.volume(found.low_nl)
            empty = plain.volume(found.empty_nl, unlike=low)
            self.say("empty_nl: %s, must not be above low_nl %s" % (empty, low))
        found.line_nl = self.whole(therapy, "line_nl", 0, min(MOST_LINE_NL, self.mechanism.most_line_nl), 0)
        on_low = therapy.get("on_low", ON_LOW[0])
        if on_low not in ON_LOW:
            self.say("on_low: %s, must be one of %s" % (shown(on_low), ", ".join(ON_LOW)))
        found.on_low_kvo = on_low == ON_LOW[1]

    def finish(self):
        """The Prescription. Raises PrescriptionError naming every problem."""
        found = self.found
        if found.mode == "flex" and not self.basal and not self.problems:
            self.say("steps: flex needs a list of them")
        rate = found.slowest()
        if self.basal and found.kvo[0] * rate[1] > rate[0] * found.kvo[1]:
            basal = plain.rate(rate[0], rate[1])
            kvo = plain.rate(found.kvo[0], found.kvo[1], basal)
            self.say("kvo: %s, must not be above the basal rate %s" % (kvo, basal))
        if found.patient_bolus and found.max_rate_nl_h:
            fastest, bolus = found.fastest(), found.patient_bolus.rate
            if fastest[0] * bolus[1] + bolus[0] * fastest[1] > found.max_rate_nl_h * fastest[1] * bolus[1]:
                self.say(
                    "patient_bolus.rate: %s on top of the basal is above max_rate_nl_h %s"
                    % (plain.rate(*bolus), plain.rate(found.max_rate_nl_h))
                )
        self.check()
        return found


def parse(therapy: dict, mechanism: "Mechanism"):
    """A Prescription from the link's `therapy` object. Raises PrescriptionError naming every problem."""
    reader = Reader(therapy, mechanism)
    reader.head()
    for number, step in enumerate(reader.steps()):
        reader.step(step, "steps[%d]" % number)
    return reader.finish()
