"""The guided calibration of a head by weight (CAL-01): some turns, weighed, again and again; and its result.

How to read it: `Calibration.run` is the course of it, with a `Mover` that turns the head, a `Scale` that
gives weights (typed in, or read from a balance) and a `Notebook` that keeps them. `result_of` makes the new
volume per revolution of what the notebook holds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from thecal import rig as wire
from thecal.dose.mechanism import Mechanism, MechanismError
from thecal.handlers.service import MOST_JOG_NL_H
from thecal_model.quantities import MS_PER_HOUR
from thecal_model.text import clock_text, rate_text, volume_text

from thecal_host.pump import Pump, PumpError
from thecal_host.weighing import WeighingError
from thecal_host.weighing.balance import BETWEEN_S, Balance, Weight, stable
from thecal_host.weighing.estimate import Estimate, estimate
from thecal_host.weighing.motion import Mover
from thecal_host.weighing.notebook import Begun, Notebook, Plan, Weighing
from thecal_host.weighing.water import Water

# What the line holds under pressure leaves it with a time constant of a second or two.
REST_S = 10.0

# Its noise, which is about a digit, falls by two.
READINGS = 5

S_PER_H = 3_600
MOST_ROUNDING_NL = 1_000


def rate_of_use(pump: Pump, asked_nl_h: Fraction | int | None) -> int:
    """The rate to turn a head at, whole nL/h: the one that was asked for, or that of the therapy in force.
    PumpError where the pump is not STOPPED, where no rate is known, and where it is not jogged at that one.
    """
    state = pump.status()["state"]
    if state != "STOPPED":
        raise PumpError(f"the pump is {state}: a calibration begins with `thecal stop`")
    rate_nl_h = asked_nl_h
    if rate_nl_h is None:
        kept = pump.therapy()
        if kept is None or "rate_num" not in kept["therapy"]:
            raise PumpError("no continuous therapy is in force: say with --rate at which rate to turn")
        rate_nl_h = Fraction(kept["therapy"]["rate_num"], kept["therapy"]["rate_den"])
    most_nl_h = min(MOST_JOG_NL_H, pump.hello["max_rate_nl_h"])
    if not 1 <= rate_nl_h <= most_nl_h:
        raise PumpError(
            f"a calibration turns at {rate_text(most_nl_h)} at most, not at {rate_text(rate_nl_h)}: say with "
            "--rate at which rate to turn"
        )
    return int(rate_nl_h)


def what_comes(plan: Plan, weighings: int) -> str:
    """What will be done, and how long it takes."""
    volume_nl = plan.nl_per_rev * plan.revolutions
    span = clock_text(Fraction(volume_nl, plan.rate_nl_h) * MS_PER_HOUR)
    each = f"about {volume_text(volume_nl)} at {rate_text(plan.rate_nl_h)}, which take {span}"
    return f"{weighings} weighings of {each} each. What flows counts as given, like any other volume."


class Scale(Protocol):
    """Where weights come from."""

    def read(self, what: str) -> Weight:
        """The weight of now; `what` is said to a person. Raises BalanceError or WeighingError."""
        ...

    @property
    def often_s(self) -> float | None:
        """How often it can be read while nothing happens; None where a person has to."""
        ...


@dataclass(frozen=True)
class BalanceScale:
    """A balance at a port, read when it has settled: the mean of some readings."""

    balance: Balance
    wait: Callable[[float], object]
    clock_s: Callable[[], float]
    often_s: float | None = 10.0

    def read(self, what: str) -> Weight:
        seen = []
        for _ in range(READINGS):
            seen.append(stable(self.balance, self.wait, self.clock_s))
            self.wait(BETWEEN_S)
        return Weight(statistics.fmean(weight.grams for weight in seen), True, seen[0].resolution_g)


class Calibration:
    """One calibration, from where its notebook stands. `tell` says to a person what happens."""

    def __init__(
        self,
        notebook: Notebook,
        mover: Mover,
        scale: Scale,
        wait: Callable[[float], object],
        tell: Callable[[str], object],
    ) -> None:
        self._notebook = notebook
        self._mover = mover
        self._scale = scale
        self._wait = wait
        self._tell = tell
        self._tick_s = mover.pump.tick_ms / 1000

    def prime(self) -> None:
        """One revolution that is not weighed: it takes up the play of motor and tube, and fills the end."""
        steps = self._mover.status()["executed_steps"] + self._notebook.plan.steps_per_rev
        self._mover.turn_to(steps)
        self._wait(REST_S)

    def settle_loss(self, loss_g_h: float | None, stopped_s: float | None) -> None:
        """What evaporates: as given, or weighed for so long, unless that was done before."""
        notebook = self._notebook
        if loss_g_h is not None and loss_g_h != notebook.loss_g_h:
            notebook.set_loss(loss_g_h)
        elif stopped_s is not None and notebook.loss_g_h is None:
            self.weigh_loss(stopped_s)

    def weigh_loss(self, seconds: float) -> None:
        """What evaporates in so long, with the pump stopped."""
        self._tell(f"The pump stands for {seconds / 60:g} min, to see what evaporates.")
        often_s = min(self._scale.often_s or seconds, seconds)
        seen: list[tuple[float, Weight]] = []
        while not seen or seen[-1][0] - seen[0][0] < seconds:
            if seen:
                self._wait(often_s)
            weight = self._scale.read("after that" if seen else "with the pump stopped")
            seen.append((self._mover.status()["tick"] * self._tick_s, weight))
        self._notebook.set_loss(*loss_of([(at_s, weight.grams) for at_s, weight in seen], seen[0][1]))

    def run(self, weighings: int) -> None:
        """Weigh until there are so many weighings."""
        while len(self._notebook.weighings) < weighings:
            number = len(self._notebook.weighings) + 1
            self._weigh(f"{number} of {weighings}")

    def _weigh(self, which: str) -> None:
        notebook, plan = self._notebook, self._notebook.plan
        if notebook.begun is None:
            before = self._scale.read(f"weighing {which}, before")
            status = self._mover.status()
            notebook.begin(Begun(before.grams, status["executed_steps"], status["tick"], before.resolution_g))
        begun = notebook.begun
        assert begun is not None
        self._tell(f"Weighing {which}: the pump turns.")
        self._mover.turn_to(begun.steps + plan.revolutions * plan.steps_per_rev)
        self._wait(REST_S)
        after = self._scale.read(f"weighing {which}, after")
        status = self._mover.status()
        weighing = Weighing(
            steps=status["executed_steps"] - begun.steps,
            before_g=begun.before_g,
            after_g=after.grams,
            seconds=(status["tick"] - begun.tick) * self._tick_s,
            resolution_g=max(begun.resolution_g, after.resolution_g),
        )
        if weighing.after_g <= weighing.before_g:
            notebook.drop_begun()
            raise WeighingError(
                f"the beaker weighs {weighing.after_g:.4f} g after it, and {weighing.before_g:.4f} g before: "
                "nothing came into it. Is the line full, and its end in the beaker? The weighings before "
                f"this one are kept in {notebook.path}"
            )
        notebook.add(weighing)


def loss_of(seen: list[tuple[float, float]], first: Weight) -> tuple[float, float]:
    """The loss and its uncertainty at 95 %, both g/h, by (seconds, grams): the slope by least squares.

    Two readings have no scatter: they are taken to be a digit off each.
    """
    times, grams = zip(*seen, strict=True)
    line = statistics.linear_regression(times, grams)
    spread_s2 = sum((at_s - statistics.fmean(times)) ** 2 for at_s in times)
    free = len(seen) - 2
    scatter_g2 = sum((g - line.intercept - line.slope * at_s) ** 2 for at_s, g in seen) / max(free, 1)
    least_g = first.resolution_g
    error_g_s = 2 * max(math.sqrt(scatter_g2), least_g) / math.sqrt(spread_s2)
    return -line.slope * S_PER_H, error_g_s * S_PER_H


@dataclass(frozen=True)
class Result:
    """What a calibration says: `nl_per_rev` and `uncertainty_nl` (expanded, 95 %) in whole nanolitres."""

    plan: Plan
    values_nl: list[float]
    estimate: Estimate
    nl_per_rev: int
    uncertainty_nl: int
    loss_g_h: float | None

    @property
    def change_percent(self) -> float:
        """Against the volume in force."""
        return 100 * (self.nl_per_rev / self.plan.nl_per_rev - 1)

    @property
    def uncertainty_percent(self) -> float:
        """The expanded uncertainty, of the value."""
        return 100 * self.uncertainty_nl / self.nl_per_rev

    def head(self) -> dict[str, int]:
        """The two keys of the rig's head that it changes."""
        return {"nl_per_rev": self.nl_per_rev, "uncertainty_nl": self.uncertainty_nl}

    def rig(self, before: wire.Rig) -> wire.Rig:
        """The rig in force with this head, and nothing else changed. WeighingError where that is none."""
        try:
            return wire.read({**before.tables, "head": {**before.tables["head"], **self.head()}})
        except wire.RigError as why:
            raise WeighingError(f"the rig would be none with this head: {why}") from None

    def record(self) -> dict[str, Any]:
        """For the end of the notebook."""
        return {**self.head(), "values_nl": [round(value, 2) for value in self.values_nl]}


def result_of(notebook: Notebook) -> Result:
    """The result of what was weighed so far. WeighingError with fewer weighings than three."""
    plan = notebook.plan
    water = Water(plan.celsius, plan.buoyancy)
    loss_g_h = notebook.loss_g_h or 0.0
    values, digits, losses = [], [], []
    for weighing in notebook.weighings:
        turns = weighing.steps / plan.steps_per_rev
        grams = weighing.after_g - weighing.before_g + loss_g_h * weighing.seconds / S_PER_H
        values.append(water.volume_nl(grams) / turns)
        digits.append(water.volume_nl(weighing.resolution_g) / turns)
        # What the loss may be off is common to all weighings.
        losses.append(water.volume_nl(notebook.loss_error_g_h * weighing.seconds / S_PER_H) / turns)
    found = estimate(values, least=max(digits, default=0.0))
    nl_per_rev = nearest_nl_per_rev(found.mean, plan.steps_per_rev)
    expanded = math.hypot(found.expanded, statistics.fmean(losses))
    uncertainty_nl = math.ceil(expanded + abs(found.mean - nl_per_rev))
    return Result(plan, values, found, nl_per_rev, uncertainty_nl, notebook.loss_g_h)


def nearest_nl_per_rev(value_nl: float, steps_per_rev: int) -> int:
    """The whole volume nearest to `value_nl` that the pump can reckon with. WeighingError where none is."""
    middle = round(value_nl)
    problem = ""
    for away in range(MOST_ROUNDING_NL):
        for nl_per_rev in (middle + away, middle - away):
            try:
                Mechanism(nl_per_rev, steps_per_rev, 1)
            except MechanismError as why:
                problem = str(why)
            else:
                return nl_per_rev
    raise WeighingError(
        f"{value_nl:.0f} nL for a revolution is nothing that the pump can reckon with: {problem}"
    )


def rows_of(result: Result) -> list[tuple[str, str]]:
    """The result for a person, as name and value."""
    plan, found = result.plan, result.estimate
    rows = [
        (f"weighing {number}", f"{value / 1000:.4f} uL a revolution, {100 * (value / found.mean - 1):+.3f} %")
        for number, value in enumerate(result.values_nl, 1)
    ]
    loss = result.loss_g_h
    of_loss = "" if loss is None else ", and what the loss may be off"
    evaporation = "not taken into account" if loss is None else f"{1000 * loss:.3g} mg/h, added again"
    return [
        *rows,
        ("mean", f"{found.mean / 1000:.4f} uL a revolution"),
        (
            "spread",
            f"{100 * found.spread / found.mean:.3f} % (standard deviation of {found.count} weighings)",
        ),
        ("new volume", f"{volume_text(result.nl_per_rev)} a revolution"),
        (
            "uncertainty",
            f"{volume_text(result.uncertainty_nl)}, {result.uncertainty_percent:.3f} % "
            f"(expanded, at 95 %: Student's t{of_loss})",
        ),
        ("volume in force", f"{volume_text(plan.nl_per_rev)} a revolution"),
        ("change", f"{result.change_percent:+.3f} %"),
        (
            "turns each time",
            f"{plan.revolutions} at {rate_text(plan.rate_nl_h)}, of {plan.steps_per_rev} microsteps",
        ),
        ("water", Water(plan.celsius, plan.buoyancy).text()),
        ("evaporation", evaporation),
        ("not in it", "the balance's own error, and 0.02 % for each kelvin that the water is off"),
    ]


def rig_file_lines(result: Result) -> list[str]:
    """What a rig file says of this head."""
    volume, uncertainty = volume_text(result.nl_per_rev), volume_text(result.uncertainty_nl)
    return ["[head]", f'volume_per_rev = "{volume}"', f'uncertainty = "{uncertainty}"']
