"""What a pump may do, worked out from what it was told and from nothing it says about itself.

`Oracle` is told every command that was accepted, with the tick at whose end it took effect, and the tick of
every step that was made. From that it knows

- what is owed: basal by the clock, a patient bolus, a clinician bolus that waits for it, exact, in units;
- when each bolus ends, so from when on the lockout runs, and how many were granted in the last day;
- which drug leaves the catheter: after a change of concentration the old one, at the dose in force, until the
  line is through;
- what every window holds, as mass where there is a drug; what fills a new line is in no window.

Steps are stamped with the tick by which they were made, so a step of tick k came between k - 1 and k; windows
are (t - W, t] at every tick t. A window holds more than its limit when it does so by a microstep or more; of
a head that is evened out (`thecal.dose.head`), whose steps displace up to `behind` microsteps, by that more.

A limit judges each step that is made after the confirm of its therapy: the window that ends with this step
must not hold more. What was given under an earlier, larger limit is in that window too: while it alone is
above the limit no step may be made at all.

Times are ticks. Nothing here is imported from the firmware.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy

NL_PER_STEP = Fraction(125, 4)  # the reference mechanism: 0.1 mL and 3 200 microsteps a revolution
TICKS_PER_HOUR = 36_000
DAY = 864_000
WEEK = 7 * DAY
# 1 UNIT = 1/420 nL/h for one tick: every rate of these tests is a whole number of them.
UNITS_PER_NL_H = 420
UNITS_PER_STEP = int(NL_PER_STEP * TICKS_PER_HOUR * UNITS_PER_NL_H)
NEVER = 1 << 60


def rate_units(num: int, den: int = 1) -> int:
    units = Fraction(num * UNITS_PER_NL_H, den)
    assert units.denominator == 1, f"{num}/{den} nL/h is no whole number of units"
    return int(units)


def volume_units(volume_nl: int) -> int:
    return volume_nl * TICKS_PER_HOUR * UNITS_PER_NL_H


def steps_of(volume_nl: int) -> int:
    return volume_nl // NL_PER_STEP


class Week:
    """The basal rate over the week; `starts` ascend, an entry holds until the next one, round the week."""

    def __init__(self, therapy: dict[str, Any]) -> None:
        entries: dict[int, int] = {}
        self.concentration = therapy.get("concentration_pg_nl", 1)
        self.minimum = therapy["mode"] == "minimum"
        if therapy["mode"] == "continuous":
            entries[0] = rate_units(therapy["rate_num"], therapy["rate_den"])
        elif therapy["mode"] == "minimum":
            entries[0] = rate_units(2_000)
        else:
            for step in therapy["steps"]:
                for day in range(7):
                    if step.get("days", 127) >> day & 1:
                        at = day * DAY + step["at_ms"] // 100
                        entries[at] = rate_units(step["rate_num"], step["rate_den"])
        self.starts = sorted(entries)
        self.rates = [entries[start] for start in self.starts]

    def rate(self, week_tick: int | None) -> int:
        """With the time unknown, the lowest."""
        if week_tick is None:
            return min(self.rates)
        begun = [rate for start, rate in zip(self.starts, self.rates, strict=True) if start <= week_tick]
        return begun[-1] if begun else self.rates[-1]

    def rate_of(self, concentration: int, week_tick: int | None) -> int:
        """The same dose of another concentration, slowed by less than a unit; a minimum is a volume."""
        rate = self.rate(week_tick)
        return rate if self.minimum else rate * self.concentration // concentration

    def ticks_to_change(self, week_tick: int | None) -> int:
        if week_tick is None or len(self.starts) == 1:
            return NEVER
        return min((start - week_tick - 1) % WEEK + 1 for start in self.starts)


@dataclass
class Bolus:
    left: int
    rate: int


@dataclass
class Bridge:
    """The old drug's concentration, and from which position on it is in the line, and how much."""

    concentration: int
    from_steps: int
    line_nl: int


@dataclass
class Oracle:
    tick: int = 0  # up to here everything is owed
    running: bool = False
    therapy: dict[str, Any] | None = None
    week: Week | None = None
    clock_offset: int | None = None
    base_steps: int = 0
    owed: int = 0
    part: int = 0  # of it, at the last stop
    patient: Bolus | None = None
    clinician: Bolus | None = None
    grants: list[int] = field(default_factory=list)
    patient_end: int | None = None
    ends: list[tuple[str, int, bool]] = field(default_factory=list)  # kind, tick, complete
    bridge: Bridge | None = None
    prime: int | None = None  # steps at which the line is full, while it is being filled
    credit: int = 0  # steps still to come that fill a new line
    empty: bool = True  # nothing has flowed since it was new
    behind: int = 0
    fill_nl: int | None = None
    filled_at: int = 0
    executed: int = 0
    checked: int = 0
    _ticks: Any = field(default_factory=lambda: numpy.empty(1 << 16, dtype=numpy.int64))
    _masses: Any = field(default_factory=lambda: numpy.empty(1 << 16, dtype=numpy.int64))  # 1/4 pg each

    # --- what was done

    def stepped(self, ticks: Any) -> None:
        """Steps were made, by these ticks."""
        count = len(ticks)
        while self.executed + count > len(self._ticks):
            self._ticks = numpy.concatenate((self._ticks, numpy.empty_like(self._ticks)))
            self._masses = numpy.concatenate((self._masses, numpy.empty_like(self._masses)))
        if count:
            assert self.running or self.prime, "the motor moved while nothing was to flow"
            self._ticks[self.executed : self.executed + count] = ticks
            masses = self._masses_of(count)
            filling = min(count, self.credit)
            masses[:filling] = 0
            self.credit -= filling
            self._masses[self.executed : self.executed + count] = masses
            self.executed += count
            assert not self.prime or self.executed <= self.prime, "more than fills the line"
            last = int(ticks[-1])
            assert self.executed <= self.cap, f"tick {last}: a step from the empty reservoir"

    def _masses_of(self, count: int) -> Any:
        """Mass of the next `count` steps, 31.25 nL each, in 1/4 pg."""
        assert self.week is not None
        masses = numpy.full(count, 125 * self.week.concentration, dtype=numpy.int64)
        if self.bridge:
            # Volume of old drug in each step, in 1/4 nL.
            begins = (numpy.arange(count) + self.executed - self.bridge.from_steps) * 125
            old = numpy.clip(4 * self.bridge.line_nl - begins, 0, 125)
            masses += old * (self.bridge.concentration - self.week.concentration)
        return masses

    @property
    def cap(self) -> int:
        """The position at which the reservoir is EMPTY."""
        if self.fill_nl is None or self.therapy is None:
            return NEVER
        return self.filled_at + steps_of(self.fill_nl - self.therapy["empty_nl"])

    # --- what was told

    def week_tick(self, tick: int) -> int | None:
        return None if self.clock_offset is None else (tick + self.clock_offset) % WEEK

    def basal_rate(self) -> int:
        assert self.week is not None
        week_tick = self.week_tick(self.tick)
        # The old drug's until the tick after the one by which the line is through.
        if self.bridge and self.tick < self.bridge_over():
            return self.week.rate_of(self.bridge.concentration, week_tick)
        return self.week.rate(week_tick)

    def bridge_over(self) -> int:
        """The tick at whose beginning the new schedule takes over; NEVER while that cannot be known."""
        assert self.bridge is not None
        through = self.bridge.from_steps + steps_of(self.bridge.line_nl)
        return int(self._ticks[through]) + 1 if through < self.executed else NEVER

    def advance(self, tick: int) -> None:
        """Owe up to `tick`."""
        while self.running and self.tick < tick:
            assert self.week is not None and self.therapy is not None
            basal = self.basal_rate()
            ticks = min(tick - self.tick, self.week.ticks_to_change(self.week_tick(self.tick)))
            if self.bridge and self.tick < self.bridge_over():
                ticks = min(ticks, self.bridge_over() - self.tick)
            kind = "patient" if self.patient else "clinician"
            bolus = self.patient or self.clinician
            if bolus:
                rate = min(bolus.rate, rate_units(self.therapy["max_rate_nl_h"]) - basal)
                if rate:
                    ticks = min(ticks, -(-bolus.left // rate))
                given = min(bolus.left, rate * ticks)
                bolus.left -= given
                self.owed += given
            self.owed += basal * ticks
            self.tick += ticks
            if bolus and not bolus.left:
                self._end(kind, self.tick, True)
        self.tick = max(self.tick, tick)

    def _end(self, kind: str, tick: int, complete: bool) -> None:
        setattr(self, kind, None)
        self.ends.append((kind, tick, complete))
        if kind == "patient":
            self.patient_end = tick

    def start(self) -> None:
        self.running = True
        self.prime = None
        self.empty = False
        self.credit = 0
        self.base_steps = self.executed
        self.owed = self.part

    def stop(self, tick: int) -> None:
        """By command or alarm: nothing flows after `tick`, boluses are over."""
        self.advance(tick)
        self.prime = None
        if self.running:
            self.running = False
            # DOSE-01: the part of a step stays owed, and so does what the motor is ahead.
            left = (self.base_steps - self.executed) * UNITS_PER_STEP + self.owed
            waits = left <= self.behind * UNITS_PER_STEP  # for a step of the rotor
            self.part = left if waits else left % UNITS_PER_STEP
            for kind in ("patient", "clinician"):
                if getattr(self, kind):
                    self._end(kind, self.tick, False)

    def program(self, therapy: dict[str, Any]) -> None:
        old = self.week
        if old and old.concentration != Week(therapy).concentration:
            assert not self.patient and not self.clinician, "the rest of a bolus by another dose"
        self.therapy = therapy
        self.week = Week(therapy)
        if self.bridge and self.bridge_over() <= self.tick:
            self.bridge = None
        line_nl = therapy.get("line_nl", 0)
        self.credit = min(self.credit, steps_of(line_nl))
        if old and old.concentration != self.week.concentration and line_nl and not self.empty:
            assert not self.bridge, "two bridges"
            self.bridge = Bridge(old.concentration, self.executed, line_nl)

    def new_line(self) -> None:
        """It is new or empty: nothing of an old drug is in it, and of none is a part of a step owed."""
        assert self.therapy is not None
        self.part = 0
        self.bridge = None
        self.empty = True
        self.credit = steps_of(self.therapy.get("line_nl", 0))

    def fill_line(self, volume_nl: int) -> None:
        """The line is being filled, and a begun step is made, if there is credit for it."""
        assert steps_of(volume_nl) <= self.credit, "primed without credit"
        self.empty = False
        self.prime = self.executed + min(steps_of(volume_nl) + 1, self.credit)

    def reset(self, tick: int) -> None:
        """The board starts anew after `tick`; the pump is itself again at the end of the next tick."""
        self.advance(tick)
        self.clock_offset = None
        was_running = self.running
        self.running = False
        self.prime = None
        for kind in ("patient", "clinician"):
            if getattr(self, kind):
                self._end(kind, tick + 1, False)
        self.tick = tick + 2
        self.part = 0
        if was_running:
            self.start()

    def refill(self, volume_nl: int) -> None:
        self.fill_nl = volume_nl
        self.filled_at = self.executed

    def set_time(self, week_s: int) -> None:
        self.clock_offset = (week_s * 10 - self.tick) % WEEK

    def give_patient(self) -> None:
        assert self.therapy is not None
        bolus = self.therapy["patient_bolus"]
        self.grants.append(self.tick)
        rate = rate_units(bolus["rate_num"], bolus["rate_den"])
        self.patient = Bolus(volume_units(bolus["volume_nl"]), rate)

    def give_clinician(self, volume_nl: int, rate_num: int, rate_den: int) -> None:
        self.clinician = Bolus(volume_units(volume_nl), rate_units(rate_num, rate_den))

    # --- what may be

    def lockout_opens(self) -> int | None:
        """From this tick on the lockout interval is over."""
        if self.patient_end is None or not self.therapy or "patient_bolus" not in self.therapy:
            return None
        return self.patient_end + -(-self.therapy["patient_bolus"]["lockout_ms"] // 100)

    def why_not(self) -> str:
        """The first reason of LIM-02 that is plain from time alone; "" if there is none."""
        if not self.running or not self.therapy:
            return "not_running"
        if "patient_bolus" not in self.therapy:
            return "not_prescribed"
        if self.bridge and self.tick <= self.bridge_over():
            return "bridge"
        if self.patient:
            return "bolus_active"
        opens = self.lockout_opens()
        if opens is not None and self.tick < opens:
            return "lockout"
        recent = sum(1 for grant in self.grants if self.tick - grant < DAY)
        return "max_per_day" if recent >= self.therapy["patient_bolus"]["max_per_day"] else ""

    def reservoir_short(self, volume_nl: int) -> bool | None:
        """Whether a patient bolus would reach EMPTY with all that flows beside it.

        None where it is a matter of a step, or of how much of the fastest basal flows meanwhile.
        """
        if self.cap == NEVER:
            return False
        assert self.therapy is not None and self.week is not None
        bolus = self.therapy["patient_bolus"]
        ticks = -(-volume_units(volume_nl) // rate_units(bolus["rate_num"], bolus["rate_den"]))
        wanted = volume_units(volume_nl) + sum(b.left for b in (self.patient, self.clinician) if b)
        left = (self.cap - self.base_steps) * UNITS_PER_STEP - self.owed
        doubt = (3 + self.behind) * UNITS_PER_STEP
        if wanted > left + doubt:
            return True
        return None if wanted + max(self.week.rates) * ticks >= left - doubt else False

    def check(self) -> None:
        """Volume owed and made, and every window that ends with a step not looked at yet."""
        if self.running:
            owed = min(self.base_steps + Fraction(self.owed, UNITS_PER_STEP), self.cap)
            assert abs(self.executed - owed) <= 1 + self.behind, (
                f"tick {self.tick}: executed {self.executed}, owed {float(owed)}"
            )
        self.check_windows()

    def check_windows(self) -> None:
        new = self._ticks[self.checked : self.executed]
        if len(new) and self.therapy and "limit" in self.therapy:
            limit = self.therapy["limit"]
            ticks = self._ticks[: self.executed]
            first = numpy.searchsorted(ticks, new - limit["window_ms"] // 100, side="right")
            given = numpy.concatenate(([0], numpy.cumsum(self._masses[: self.executed])))
            # No dose comes with what fills the line: it judges no window, not even one too full already.
            dose = self._masses[self.checked : self.executed] > 0
            content = numpy.where(dose, given[self.checked + 1 :] - given[first], 0)
            worst = int(content.argmax())
            assert self.week is not None
            most = 4 * limit["volume_nl"] * self.week.concentration
            # What is more than the limit is so by a step, of the heaviest drug in the last day.
            recent = int(numpy.searchsorted(ticks, ticks[-1] - DAY, side="right"))
            step = int(self._masses[recent : self.executed].max())
            assert content[worst] < most + (1 + self.behind) * step, (
                f"LIM-03: {content[worst] / 4:g} pg in the {limit['window_ms']} ms before tick {new[worst]}, "
                f"at most {most / 4:g}"
            )
        self.checked = self.executed
