"""What a scenario expects, held against what was found.

`Checks` says beforehand for which ticks the truth of the plant (`truth_ticks`) and a status of the pump
(`status_ticks`) are needed, and judges afterwards from the `Evidence`. Each expectation gives one record:
`ok` is true, false, or null where this board cannot tell (a real one has no plant to ask).

Where `within` is not given, a volume may be off by what flows in one tick at the programmed rate and one
microstep, a time by one tick; a board whose link is slow gets its slack on top. The programmed rate is that
of the therapies confirmed and the boluses granted about that time, whatever the pump made of them.

The reservoir is what the pump believes it holds. It says so in whole microlitres, rounded down: any volume
that it may mean by that may be the expected one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from thecal.rig import UNWATCHED
from thecal_model.quantities import MS_PER_HOUR, TIME, VOLUME, show
from thecal_model.therapy import Therapy

from thecal_bench.bench import TICK_MS
from thecal_bench.run_log import RunLog
from thecal_bench.scenario import Expect, Scenario

OF_THE_PLANT = ("delivered", "outflow")
OF_THE_PUMP = ("ledger", "reservoir", "unwatched")

CLINICIAN, PATIENT = "clinician", "patient"
"""Whose bolus it is."""

NL_PER_UL = 1000


@dataclass(frozen=True)
class Truth:
    """The plant at one time."""

    now_ns: int
    displaced_nl: Fraction
    outflow_nl: float

    def since(self, start: Truth) -> Truth:
        """What has come since `start`."""
        return Truth(
            self.now_ns - start.now_ns,
            self.displaced_nl - start.displaced_nl,
            self.outflow_nl - start.outflow_nl,
        )


@dataclass
class Bolus:
    """A bolus that was asked for. `volume_nl` is what was asked, once it has ended what was given.

    `pressed`: with the button; `skipped`: this board has no button to press. `answered`: the reply has come;
    `logged`: the pump's event about it has.
    """

    asked_ms: int
    tick: int
    volume_nl: int
    rate_nl_h: Fraction
    kind: str = CLINICIAN
    pressed: bool = False
    skipped: bool = False
    answered: bool = False
    logged: bool = False
    granted: bool = False
    reason: str | None = None
    message: str = ""
    ended_tick: int | None = None

    def record(self) -> dict[str, Any]:
        """As the summary has it."""
        return {
            "asked_ms": self.asked_ms,
            "granted": self.granted,
            "reason": self.reason,
            "volume_nl": self.volume_nl,
            "ended_ms": None if self.ended_tick is None else self.ended_tick * TICK_MS,
        }


@dataclass(frozen=True)
class Refusal:
    """A command of the scenario that the pump did not take: `reason` is a name of the firmware's table (or
    what kept it from being sent), `message` the pump's sentence.
    """

    at_ms: int
    reason: str
    message: str


@dataclass(frozen=True)
class Evidence:
    """All that was found. `truths` is None without a plant.

    `therapies` are (tick, therapy) as confirmed, `clocks` (tick, time of the week in ms) as set, in order.
    The fullest window held `peak_nl` (None without a plant or a limit) and ended at `peak_tick`. From
    `astray_tick` on it is another experiment: this board left out an event of that time (None: it did all).
    """

    log: RunLog
    truths: dict[int, Truth] | None
    step_nl: Fraction
    boluses: list[Bolus]
    therapies: list[tuple[int, Therapy]]
    clocks: list[tuple[int, int]]
    slack_ticks: int
    peak_nl: Fraction | None
    peak_tick: int
    astray_tick: int | None = None
    refusals: tuple[Refusal, ...] = ()

    def rate_near_nl_h(self, tick: int) -> Fraction:
        """The largest programmed rate within a tick (and the board's slack) of that tick."""
        first, last = tick - 1 - self.slack_ticks, tick + 1 + self.slack_ticks
        in_force = [self._basal_nl_h(at) for at in range(max(0, first), last + 1)]
        flowing = [
            bolus.rate_nl_h
            for bolus in self.boluses
            if bolus.granted
            and bolus.tick <= last
            and (bolus.ended_tick is None or bolus.ended_tick >= first)
        ]
        return max(in_force, default=Fraction(0)) + sum(flowing)

    def _basal_nl_h(self, tick: int) -> Fraction:
        """The programmed basal from that tick on."""
        therapies = [therapy for at, therapy in self.therapies if at <= tick]
        set_tick, week_ms = [clock for clock in self.clocks if clock[0] <= tick][-1]
        return therapies[-1].basal_nl_h(week_ms + (tick - set_tick) * TICK_MS) if therapies else Fraction(0)


class Checks:
    """The expectations of one scenario that ends after `end_tick` ticks."""

    def __init__(self, scenario: Scenario, end_tick: int) -> None:
        self._expects = scenario.expects
        self._end_tick = end_tick
        self.truth_ticks = [self._tick(e) for e in self._expects if e.what in OF_THE_PLANT]
        self.status_ticks = [self._tick(e) for e in self._expects if e.what in OF_THE_PUMP]

    def _tick(self, expect: Expect) -> int:
        return self._end_tick if expect.at_ms is None else -(-expect.at_ms // TICK_MS)

    def judge(self, evidence: Evidence) -> Iterator[dict[str, Any]]:
        """One record for each expectation, in the order of the file."""
        for expect in self._expects:
            ok, expected, found = getattr(self, "_" + expect.what)(expect, evidence)
            if evidence.astray_tick is not None and self._tick(expect) >= evidence.astray_tick:
                ok, found = None, "cannot be told: this board skipped an event before"
            yield {
                "type": "expect",
                "line": expect.line,
                "what": expect.what,
                "at_ms": expect.at_ms if expect.at_ms is not None else self._end_tick * TICK_MS,
                "ok": ok,
                "expected": expected,
                "found": found,
            }

    # Each of these gives (ok, expected, found).

    def _bolus(self, expect: Expect, evidence: Evidence) -> tuple[bool | None, str, str]:
        expected = "granted" if expect.granted else "denied"
        if expect.reason is not None:
            expected += f" ({expect.reason})"
        asked = [bolus for bolus in evidence.boluses if bolus.asked_ms == expect.at_ms]
        if all(bolus.skipped for bolus in asked):
            return None, expected, "cannot be told: this board has no button to press"
        found = [
            "granted" if b.granted else f"denied ({b.reason})" if b.reason else "not answered" for b in asked
        ]
        ok = any(
            bolus.granted == expect.granted
            and (bolus.granted or bolus.reason is not None)
            and (expect.reason is None or bolus.reason == expect.reason)
            for bolus in asked
        )
        return ok, expected, ", ".join(found)

    def _refused(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        denied = [
            Refusal(bolus.asked_ms, bolus.reason or "", bolus.message)
            for bolus in evidence.boluses
            if not bolus.granted and not bolus.pressed and bolus.reason is not None
        ]
        found = [each for each in (*evidence.refusals, *denied) if each.at_ms == expect.at_ms]
        ok = any(
            expect.why is None or expect.why == each.reason or expect.why in each.message for each in found
        )
        told = [f"refused ({each.reason}): {each.message}" for each in found]
        expected = "refused" if expect.why is None else f"refused ({expect.why})"
        return ok, expected, "; ".join(told) or "nothing was refused then"

    def _alarm(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        raised = [alarm.raised_tick * TICK_MS for alarm in evidence.log.alarms if alarm.code == expect.code]
        found = ", ".join(f"{expect.code} at {_time(at)}" for at in raised) or f"no {expect.code}"
        if expect.never:
            return not raised, f"no {expect.code}", found
        assert expect.at_ms is not None
        within_ms = self._within_ms(expect, evidence)
        ok = any(abs(at - expect.at_ms) <= within_ms for at in raised)
        return ok, f"{expect.code} at {_time(expect.at_ms)} within {_time(within_ms)}", found

    def _within_ms(self, expect: Expect, evidence: Evidence) -> int:
        return (1 + evidence.slack_ticks) * TICK_MS if expect.within_ms is None else expect.within_ms

    def _state(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        tick, log = self._tick(expect), evidence.log
        if expect.within_ms is None:
            state = log.state_at(tick)
            if state != expect.value and evidence.slack_ticks:
                ticks = log.states_between(tick, tick + evidence.slack_ticks)
                return expect.value in ticks, str(expect.value), ", ".join(ticks)
            return state == expect.value, str(expect.value), state
        reach = expect.within_ms // TICK_MS
        states = log.states_between(tick - reach, tick + reach)
        return expect.value in states, f"{expect.value} within {_time(expect.within_ms)}", ", ".join(states)

    def _resets(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        return evidence.log.resets == expect.value, str(expect.value), str(evidence.log.resets)

    def _unwatched(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        assert isinstance(expect.value, tuple)
        bits = evidence.log.status_at(self._tick(expect), "unwatched")
        if bits is None:
            return False, _hazards(expect.value), "nothing: the pump did not answer"
        found = tuple(code for row, (_, code, _) in enumerate(UNWATCHED) if bits >> row & 1)
        return found == expect.value, _hazards(expect.value), _hazards(found)

    def _delivered(self, expect: Expect, evidence: Evidence) -> tuple[bool | None, str, str]:
        truth = None if evidence.truths is None else evidence.truths.get(self._tick(expect))
        if evidence.truths is None:
            return self._no_plant(expect, evidence)
        return self._volume(expect, evidence, None if truth is None else truth.displaced_nl)

    def _outflow(self, expect: Expect, evidence: Evidence) -> tuple[bool | None, str, str]:
        truth = None if evidence.truths is None else evidence.truths.get(self._tick(expect))
        if evidence.truths is None:
            return self._no_plant(expect, evidence)
        return self._volume(expect, evidence, None if truth is None else Fraction(truth.outflow_nl))

    def _ledger(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        steps = evidence.log.steps_at(self._tick(expect))
        return self._volume(expect, evidence, None if steps is None else steps * evidence.step_nl)

    def _reservoir(self, expect: Expect, evidence: Evidence) -> tuple[bool, str, str]:
        tick = self._tick(expect)
        left_ul = evidence.log.status_at(tick, "reservoir_ul")
        if left_ul is None:
            return self._volume(expect, evidence, None)
        least_nl = Fraction(left_ul * NL_PER_UL)
        # All up to the next microlitre may be meant: the expected volume, if it is among them.
        assert isinstance(expect.value, Fraction)
        meant_nl = min(max(expect.value, least_nl), least_nl + NL_PER_UL)
        ok, expected, _ = self._volume(expect, evidence, meant_nl)
        return ok, expected, f"{_volume(least_nl)}, rounded down"

    def _window_peak(self, expect: Expect, evidence: Evidence) -> tuple[bool | None, str, str]:
        if evidence.truths is None:
            return self._no_plant(expect, evidence)
        return self._volume(expect, evidence, evidence.peak_nl, evidence.peak_tick)

    def _no_plant(self, expect: Expect, evidence: Evidence) -> tuple[None, str, str]:
        _, expected, _ = self._volume(expect, evidence, None)
        return None, expected, "cannot be told: this board has no plant to ask"

    def _volume(
        self, expect: Expect, evidence: Evidence, found_nl: Fraction | None, tick: int | None = None
    ) -> tuple[bool, str, str]:
        """`tick` where it is not that of the expectation."""
        tick = self._tick(expect) if tick is None else tick
        if expect.within_nl is not None:
            within_nl = expect.within_nl
        else:
            tick_nl = evidence.rate_near_nl_h(tick) * TICK_MS / MS_PER_HOUR
            within_nl = tick_nl * (1 + evidence.slack_ticks) + evidence.step_nl
        assert not isinstance(expect.value, (str, tuple))
        bounds = []
        least, most = expect.at_least_nl, expect.at_most_nl
        if expect.value is not None:
            least = most = Fraction(expect.value)
            bounds.append(_volume(least))
        else:
            bounds += [f"at least {_volume(least)}"] if least is not None else []
            bounds += [f"at most {_volume(most)}"] if most is not None else []
        expected = f"{', '.join(bounds)} within {_volume(within_nl)}"
        if found_nl is None:
            return False, expected, "nothing: the pump did not answer"
        ok = (least is None or found_nl >= least - within_nl) and (
            most is None or found_nl <= most + within_nl
        )
        return ok, expected, _volume(found_nl)


def _hazards(codes: tuple[str, ...]) -> str:
    return ", ".join(codes) or "none"


def _volume(volume_nl: Fraction) -> str:
    unit = "nL" if abs(volume_nl) < 1000 else "uL" if abs(volume_nl) < 10**6 else "mL"
    return show(round(volume_nl, 3), VOLUME, unit)


def _time(time_ms: int) -> str:
    return show(time_ms, TIME, "s" if time_ms < 60_000 else "min" if time_ms < 3_600_000 else "h")
