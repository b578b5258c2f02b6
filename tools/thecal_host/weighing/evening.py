"""The guided weighing of how a head pulsates (PERF-05): turned at two rates, read all the while; its result.

How to read it: `Course.run` is the course of it, with a `Mover` that turns the head, a balance, and a `Trace`
that keeps what both say. `result_of` makes the head's table of what the trace holds.

The user says the slow rate, the fast one is FASTER times that. A pitch at the slow rate must be long against
the line's time constant, some seconds, or what the line evens out is not seen: at 500 uL/h a pitch of the
reference head takes 240 s, and its line, 1.8 s, takes a tenth off the tenth harmonic. The slow stretch comes
first: slowly the pump learns where the index mark is to a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal import rig as wire
from thecal_model.quantities import MS_PER_HOUR
from thecal_model.text import clock_text, rate_text, volume_text

from thecal_host.weighing import WeighingError
from thecal_host.weighing.balance import Balance
from thecal_host.weighing.motion import Mover
from thecal_host.weighing.pulsation import (
    WINDOW_STEPS,
    Harmonics,
    NotSupported,
    Table,
    fit,
    table_of,
)
from thecal_host.weighing.trace import UNKNOWN, Setting, Trace
from thecal_host.weighing.water import Water

FASTER = 4
"""Less would not tell the line from the head; much more, and a line that is not quite a low pass shows."""

SLOW_NL_H = 500_000
MOST_SLOW_NL_H = 1_500_000
"""Four times that is as fast as a head is jogged."""

ENOUGH = 0.01
"""Pitches that may be missing: a status says whole steps."""

EVERY_S = 0.25
"""From reading to reading: balances think about as long."""

REST_S = 20.0
"""Until what the line held has left it: ten of its time constants."""

STRETCH_REVOLUTIONS = 8
"""Of a stretch at most: what one confirmation allows, and a revolution before it."""


def setting_of(rig: wire.Rig, rate_nl_h: int, celsius: float, buoyancy: bool) -> Setting:
    """The conditions of a weighing. WeighingError where the rig has no index mark, or a table already, and
    where the rate is too fast.
    """
    if not rig.has_index:
        raise WeighingError(
            f"rig {rig.name} has no index mark, so nobody knows where its rollers are: a table of the head "
            "needs one"
        )
    if rig.table:
        raise WeighingError(
            f"rig {rig.name} has a table of its head already, and a head is weighed without one: program the "
            "rig with `table` left out first (`thecal rig program FILE`)"
        )
    if rate_nl_h > MOST_SLOW_NL_H:
        raise WeighingError(
            f"--rate: {rate_text(rate_nl_h)} is too fast to see how the flow pulsates, at most "
            f"{rate_text(MOST_SLOW_NL_H)}: it is turned at {FASTER} times that too"
        )
    head = rig.nl_per_rev, rig.steps_per_rev, rig.rollers
    return Setting(*head, rate_nl_h, FASTER * rate_nl_h, celsius, buoyancy)


def what_comes(setting: Setting, pitches: int) -> str:
    """What will be done, and how long it takes."""
    pitch_nl = Fraction(setting.nl_per_rev, setting.rollers)
    volume = volume_text(round(2 * pitches * pitch_nl))
    told = []
    for rate_nl_h in (setting.rate_nl_h, setting.fast_nl_h):
        pitch_ms = pitch_nl / rate_nl_h * MS_PER_HOUR
        each_s = float(pitch_ms) / 1000
        told.append(f"{rate_text(rate_nl_h)}, {each_s:.0f} s each, {clock_text(pitches * pitch_ms)}")
    return (
        f"{pitches} roller pitches at {told[0]}; and at {told[1]}: {volume} in all. What flows counts as "
        "given, like any other volume."
    )


class Course:
    """One weighing, from where its trace stands. `tell` says to a person what happens, `progress` is called
    with (done, of) in steps.
    """

    def __init__(
        self,
        trace: Trace,
        mover: Mover,
        balance: Balance,
        wait: Callable[[float], object],
        tell: Callable[[str], object],
        progress: Callable[[float, float], object] = lambda done, of: None,
    ) -> None:
        self._trace = trace
        self._mover = mover
        self._balance = balance
        self._wait = wait
        self._tell = tell
        self._progress = progress
        self._read_s = 0.0
        self._from_steps = self._to_steps = 0
        mover.look = self._look
        self._reads = False

    def prime(self) -> None:
        """A revolution and a pitch that are not weighed take up the play, and the index mark comes by.
        NotSupported where the pump does not know its phase then.
        """
        setting = self._trace.setting
        steps = self._mover.status()["executed_steps"] + setting.steps_per_rev + setting.steps_of(1)
        self._mover.turn_to(steps, setting.fast_nl_h)
        if self._mover.status().get("phase_steps", UNKNOWN) == UNKNOWN:
            raise NotSupported(
                "the pump does not know its phase after a whole revolution: is the index mark wired (see "
                f"`thecal rig check`)? Or a pitch of {setting.steps_per_rev // setting.rollers} steps may be "
                "too coarse: more microsteps"
            )

    def wants(self, pitches: int) -> bool:
        """Whether anything is left to be weighed."""
        rates = self._trace.setting.rate_nl_h, self._trace.setting.fast_nl_h
        return any(self._trace.pitches(rate_nl_h) < pitches - ENOUGH for rate_nl_h in rates)

    def run(self, pitches: int) -> None:
        """Weigh until there are so many pitches at both rates."""
        setting = self._trace.setting
        most = STRETCH_REVOLUTIONS * setting.rollers
        for rate_nl_h in (setting.rate_nl_h, setting.fast_nl_h):
            while (left := pitches - self._trace.pitches(rate_nl_h)) > ENOUGH:
                # What is begun must be long enough to count.
                self._weigh(rate_nl_h, min(max(left, 3.0), most))

    def _weigh(self, rate_nl_h: int, pitches: float) -> None:
        trace, mover = self._trace, self._mover
        steps = trace.setting.steps_of(pitches)
        mover.allow(steps)
        self._wait(REST_S)
        self._tell(f"The pump turns {pitches:.3g} pitches at {rate_text(rate_nl_h)}.")
        trace.begin(rate_nl_h)
        status = mover.status()
        trace.add_status(mover.pump.clock_s(), status)
        self._from_steps = status["executed_steps"]
        self._to_steps = self._from_steps + steps
        self._reads = True
        try:
            self._read()
            mover.turn_to(self._to_steps, rate_nl_h)
            trace.add_status(mover.pump.clock_s(), mover.status())
        finally:
            self._reads = False
            trace.sync()

    def _look(self, frames: list[dict[str, Any]]) -> None:
        """What is done while the head turns."""
        if not self._reads:
            return
        now_s = self._mover.pump.clock_s()
        for frame in frames:
            if frame["type"] == "status":
                self._trace.add_status(now_s, frame)
                self._progress(frame["executed_steps"] - self._from_steps, self._to_steps - self._from_steps)
        if now_s - self._read_s >= EVERY_S:
            self._read()

    def _read(self) -> None:
        clock_s = self._mover.pump.clock_s
        asked_s = clock_s()
        grams = self._balance.grams().grams
        self._read_s = clock_s()
        self._trace.add_reading((asked_s + self._read_s) / 2, grams)


@dataclass(frozen=True)
class Result:
    """What a weighing says of a head."""

    found: Harmonics
    table: Table
    nl_per_rev: int
    rollers: int

    def rig(self, before: wire.Rig) -> wire.Rig:
        """The rig in force with this table, and nothing else changed. WeighingError where that is none."""
        head = {**before.tables["head"], "table": self.table.entries}
        try:
            return wire.read({**before.tables, "head": head})
        except wire.RigError as why:
            raise WeighingError(
                f"the rig would be none with this table: {why}. Is the number of rollers in the rig right?"
            ) from None

    def record(self) -> dict[str, Any]:
        """For the end of the trace."""
        return {
            "table": self.table.entries,
            "error": self.table.error,
            "pulsation": round(self.table.pulsation, 5),
            "left": round(self.table.left, 5),
            "line_s": round(self.found.line_s, 3),
        }


def result_of(trace: Trace) -> Result:
    """The result of what was weighed so far. NotSupported, with the reason, where it gives no table."""
    setting = trace.setting
    found = fit(trace.stretches())
    table = table_of(found, setting.steps_per_rev, setting.rollers)
    return Result(found, table, setting.nl_per_rev, setting.rollers)


def rows_of(result: Result, trace: Trace) -> list[tuple[str, str]]:
    """The result for a person, as name and value."""
    found, table, setting = result.found, result.table, trace.setting
    volume_nl = found.nl_per_pitch * result.rollers
    back = "" if table.least_flow >= 0 else ": it takes back"
    mg_h = found.loss_nl_h / Water(setting.celsius, setting.buoyancy).volume_nl(1e-3)
    scatter = (
        f"{found.reading_nl:.0f} nL; around the harmonics {found.colour:.2f} times what white noise gives"
    )
    late = f"{found.line_s:.2f} s late, standard uncertainty {found.line_error_s:.2f} s: taken into account"
    places = f"{len(table.entries)} entries from {min(table.entries)} to {max(table.entries)}"
    return [
        ("weighed", f"{found.pitches} pitches of {found.pitch_s:.0f} s, {found.readings} readings in all"),
        ("a reading scatters by", scatter),
        ("line and balance", late),
        ("pulsation", f"{100 * table.pulsation:.1f} % of the flow, peak to peak over {WINDOW_STEPS} steps"),
        ("least flow", f"{100 * table.least_flow:.0f} % of the mean{back}"),
        ("harmonics", f"{found.count}, up to number {found.highest}, are beyond zero at 99.9 %"),
        ("table", f"{places}, uncertain by {table.error} (95 %), in 1/100 000 of a pitch"),
        (
            "it leaves",
            f"{100 * table.left:.2g} % of the flow at most (95 %), where the head does not take back",
        ),
        ("a revolution", f"{volume_text(round(volume_nl))}, {volume_text(result.nl_per_rev)} in force"),
        ("evaporation and drift", f"{mg_h:.2g} mg/h, told apart by the two rates"),
        ("not in it", "a zero that drifts unevenly over the whole weighing; wear"),
    ]


def rig_file_lines(result: Result) -> list[str]:
    """What a rig file says of this head."""
    return ["[head]", f"table = {result.table.entries}"]
