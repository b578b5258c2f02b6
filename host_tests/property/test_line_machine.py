"""DOSE-09, DOSE-10 and OCC-05 as laws: new lines, fillings, refills, starts, stops, therapies, resets, cuts
of the power, blocks and draw-backs, in any order, on the whole in-process pump with its journal.

`Truth` watches the motor and what was confirmed, and asks the pump nothing. It knows how much of the line a
`new_line` left to be filled, which drug leaves the catheter with each step, and what all steps of dose weigh.
Then

- the pump's window holds at least that mass, and exactly that (rounded up) where no reset over-counted;
- nothing is primed without credit, and no credit is withheld without a reset;
- while a bridge is open the dose per time is that in force, whatever was prescribed before;
- the motor goes back only while it draws back, and a draw-back that is cut short ends HALTED.

Four planted faults are seen, one for each way in which the line was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pump_on_bench import PumpOnBench
from thecal import states
from thecal.dose.line import Bridge, Line
from thecal.handlers.supply import Supply
from thecal.persistence import Persistence
from thecal.watch import alarms
from thecal.watch.resets import Resets

NL_PER_STEP = Fraction(125, 4)
TICKS_PER_HOUR = 36_000
MINIMUM_NL_H = 2_000
ANSWER_TICKS = 60
DRUGS = {"hydromorphone": (1_000, 1_300, 4_000), "morphine": (10_000, 25_000)}

lines_nl = st.sampled_from([0, 2_000, 20_000, 20_000, 60_000])
rates_nl_h = st.sampled_from([1_500_000, 3_000_000, 6_000_000, 12_000_000])


def steps_of(volume_nl: int) -> int:
    return volume_nl // NL_PER_STEP


class Truth:
    """What is so. `content` is the dose so far in steps of the drug that leaves now, of `unit` pg/nL."""

    def __init__(self) -> None:
        self.credit = 0
        self.empty = True
        self.drug = ""
        self.strength = Fraction(0)  # of the last therapy that named a drug, 0 before any
        self.old: Fraction | None = None  # what leaves before it ...
        self.old_left = 0  # ... and how many steps of it
        self.content = Fraction(0)
        self.mode, self.rate_nl_h = "stopped", Fraction(0)
        self.cuts = 0

    @property
    def leaving(self) -> Fraction:
        return (self.old if self.old is not None else self.strength) or Fraction(1)

    @property
    def mass(self) -> Fraction:
        return self.content * self.leaving

    def moved(self, steps: int) -> None:
        if steps < 0:
            self.old_left -= steps if self.old is not None else 0
            return
        filling = min(steps, self.credit)
        self.credit -= filling
        if self.old is None:
            self.content += steps - filling
            return
        of_old = min(steps, self.old_left)
        self.old_left -= of_old
        of_old_dose = max(of_old - filling, 0)
        of_new_dose = steps - filling - of_old_dose
        self.content += of_old_dose + of_new_dose * self.strength / self.old
        if not self.old_left:
            self.content *= self.old / self.strength
            self.old = None

    def flow_nl_h(self, bridged: bool, old: Fraction | None) -> Fraction:
        if self.mode == "minimum" or not bridged or not old:
            return self.rate_nl_h
        return self.rate_nl_h * self.strength / old

    def program(self, therapy: dict[str, Any], ahead: int) -> None:
        self.mode = therapy["mode"]
        programmed_nl_h: int = therapy.get("rate_num", 0)
        self.rate_nl_h = Fraction({"stopped": 0, "minimum": MINIMUM_NL_H}.get(self.mode, programmed_nl_h))
        line_nl = therapy["line_nl"]
        self.credit = min(self.credit, steps_of(line_nl))
        if "drug" not in therapy:
            return
        strength = Fraction(therapy["concentration_pg_nl"])
        known = self.strength and self.drug == therapy["drug"]
        if known and strength != self.strength:
            assert self.old is None, "a second change of concentration in a bridge"
            if self.empty or not line_nl:
                self.content *= self.strength / strength
            else:
                self.old, self.old_left = self.strength, steps_of(line_nl) + 1 + ahead
        assert known or self.empty or not self.strength, "another drug behind this one"
        self.drug, self.strength = therapy["drug"], strength

    def new_line(self, line_nl: int) -> None:
        if self.old is not None:
            self.content *= self.old / self.strength
        self.old = None
        self.old_left = 0
        self.empty = True
        self.credit = steps_of(line_nl)


class LineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = PumpOnBench()
        self.truth = Truth()
        self.line_nl = 0
        self.seen = 0  # where the motor stands
        self.blocked = False
        self.cut_since_new_line = False

    @property
    def pump(self) -> Any:
        return self.desk.pump

    @property
    def state(self) -> int:
        return self.pump.control.state

    # --- time

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()

    def tick(self) -> None:
        before = self.state
        self.desk.run(1)
        at = self.desk.bench.motor.executed_steps(self.desk.bench._at_cycles)
        steps, self.seen = at - self.seen, at
        if steps < 0:
            assert states.DRAW_BACK in (before, self.state), "it went backward"
        self.truth.moved(steps)

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        number = self.desk.client.request(cmd, **arguments)
        for _ in range(ANSWER_TICKS):
            self.tick()
            reply = self.desk.client.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        raise AssertionError(f"no answer to {cmd}")

    def confirm(self, proposal: dict[str, Any], acts: Callable[[], object] = bool) -> dict[str, Any]:
        """`acts` is called in the tick in which a therapy does: it is answered when it is written down."""
        accept = proposal["readback"].get("soft", [])
        before, acted = self.pump.regimen.prescription, False
        number = self.desk.client.request("confirm", digest=proposal["digest"], accept=accept)
        for _ in range(ANSWER_TICKS):
            self.tick()
            if not acted and self.pump.regimen.prescription is not before:
                acted = True
                acts()
            reply = self.desk.client.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        raise AssertionError("no answer to confirm")

    def settle(self) -> None:
        """What is so now, two ticks later: what was ordered before has come."""
        self.run(3)
        held = self.pump.ledger.content_steps()
        leaving = self.pump.line.leaving()
        pump_mass = held * (Fraction(*leaving) if leaving else Fraction(1))
        # Each rounding up is less than a step of any drug there was.
        slack = 12 * max(self.truth.leaving, self.truth.strength, Fraction(1))
        assert self.truth.mass <= pump_mass, (
            f"{float(self.truth.mass - pump_mass):g} pg outside of every window"
        )
        if not self.truth.cuts:
            assert pump_mass <= self.truth.mass + slack, f"{float(pump_mass - self.truth.mass):g} pg too many"
            assert self.pump.line.credit_steps == self.truth.credit
            bridge = self.pump.line.bridge
            assert (bridge.left_steps if bridge else 0) == self.truth.old_left
        assert self.pump.line.credit_steps <= self.truth.credit, "credit that no new line gave"

    # --- rules

    @initialize(line_nl=lines_nl, rate_nl_h=rates_nl_h, start=st.booleans())
    def begin(self, line_nl: int, rate_nl_h: int, start: bool) -> None:
        self.program("continuous", "hydromorphone", 0, rate_nl_h, line_nl)
        if start:
            self.start()
            self.advance(40)

    @rule(
        mode=st.sampled_from(["continuous", "continuous", "continuous", "minimum", "stopped"]),
        drug=st.sampled_from(["same", "same", "same", "same", "other", "none"]),
        strength=st.integers(0, 2),
        rate_nl_h=rates_nl_h,
        line_nl=lines_nl,
    )
    def program_anew(self, mode: str, drug: str, strength: int, rate_nl_h: int, line_nl: int) -> None:
        name = self.truth.drug or "hydromorphone"
        if drug == "other":
            name = next(other for other in DRUGS if other != name)
        self.program(mode, "" if drug == "none" else name, strength, rate_nl_h, line_nl)

    @precondition(lambda self: self.truth.old is not None)
    @rule(rate_nl_h=rates_nl_h, mode=st.sampled_from(["continuous", "continuous", "minimum"]))
    def program_in_a_bridge(self, rate_nl_h: int, mode: str) -> None:
        """Another dose of the same drug, while the old one leaves."""
        strengths = DRUGS[self.truth.drug]
        self.program(
            mode, self.truth.drug, strengths.index(int(self.truth.strength)), rate_nl_h, self.line_nl
        )
        self.advance(25)

    @precondition(lambda self: self.state == states.RUNNING and self.truth.drug and not self.truth.old)
    @rule(strength=st.integers(0, 2), rates=st.tuples(rates_nl_h, rates_nl_h))
    def open_a_bridge_and_change_the_dose(self, strength: int, rates: tuple[int, int]) -> None:
        for rate_nl_h in rates:
            self.program("continuous", self.truth.drug, strength, rate_nl_h, 20_000)
            self.advance(25)

    def program(self, mode: str, drug: str, strength: int, rate_nl_h: int, line_nl: int) -> None:
        therapy: dict[str, Any] = {"mode": mode, "line_nl": line_nl, "max_rate_nl_h": 60_000_000}
        if mode == "continuous":
            therapy.update(rate_num=rate_nl_h, rate_den=1)
        if drug:
            strengths = DRUGS[drug]
            therapy.update(drug=drug, concentration_pg_nl=strengths[strength % len(strengths)])
        proposal = self.ask("program", therapy=therapy)
        if not proposal["ok"]:
            if not drug and mode != "continuous":
                raise AssertionError(f"{mode} without a drug is taken at any time: {proposal['message']}")
            self.settle()
            return
        running = self.state == states.RUNNING

        def acts() -> None:
            # What is made up to the end of the tick of the confirm comes out before what it changes.
            bridge = self.pump.line.bridge
            changed = bridge if drug and self.truth.old is None else None
            made = self.pump.position.executed_steps
            ahead = changed.left_steps - steps_of(line_nl) - 1 if changed is not None else 0
            self.truth.program(therapy, ahead)
            assert made == self.pump.position.executed_steps
            if changed is not None:
                assert 0 <= ahead <= 60_000_000 * 3 // TICKS_PER_HOUR // NL_PER_STEP
            self.line_nl = line_nl

        reply = self.confirm(proposal, acts)
        if reply["ok"]:
            if running and mode == "stopped":
                assert self.state == states.STOPPED
            for _ in range(ANSWER_TICKS):  # a cut before it is written finds the last one: test_line.py
                if self.pump.persistence.busy():
                    self.tick()
        self.settle()

    @rule()
    def start(self) -> None:
        if self.ask("start")["ok"]:
            self.truth.credit = 0
            self.truth.empty = False
        self.settle()

    @rule()
    def stop(self) -> None:
        drawing = self.state == states.DRAW_BACK
        self.ask("stop")
        if drawing and self.desk.of("draw_back")[-1][3] == 2:
            assert self.state == states.HALTED
        self.settle()

    @rule(volume_nl=st.sampled_from([5_000_000, 20_000_000]))
    def refill(self, volume_nl: int) -> None:
        assert self.confirm(self.ask("refill", volume_nl=volume_nl))["ok"]
        self.settle()

    @rule()
    def new_line(self) -> None:
        proposal = self.ask("new_line")
        assert proposal["ok"] == (self.state == states.STOPPED)
        if proposal["ok"]:
            assert proposal["readback"]["new_line_nl"] == self.line_nl
            assert self.confirm(proposal)["ok"]
            self.truth.new_line(self.line_nl)
            self.cut_since_new_line = False
        self.settle()

    @rule(part=st.sampled_from([1, 2, 2, 3]), wait=st.sampled_from([0, 1, 5, 60]))
    def prime(self, part: int, wait: int) -> None:
        """The line, half of it, or more than it holds."""
        volume_nl = self.line_nl * part // 2
        stopped = self.state == states.STOPPED and not self.pump.control.failures
        reply = self.ask("prime", volume_nl=volume_nl)
        fits = 0 < volume_nl <= self.line_nl and steps_of(volume_nl) <= self.truth.credit
        if reply["ok"]:
            assert fits, "a prime that no new line gave credit for"
            self.truth.empty = False
        elif stopped and not self.cut_since_new_line:
            assert not fits or not self.truth.credit, reply
        self.run(wait)
        self.settle()

    @precondition(lambda self: self.state == states.STOPPED and self.line_nl > 5_000)
    @rule(part=st.sampled_from([1, 2]), cut=st.booleans())
    def renew_prime_and_prime_again(self, part: int, cut: bool) -> None:
        """What was given once is not given twice."""
        self.new_line()
        self.prime(part, 60)
        if cut:
            self.reset(0)
        self.refill(20_000_000)
        self.prime(part, 60)
        self.prime(2, 60)

    @rule(off_ticks=st.sampled_from([0, 0, 7, 100]))
    def reset(self, off_ticks: int) -> None:
        before = self.state
        self.truth.cuts += 1
        self.cut_since_new_line = True
        if off_ticks:
            self.desk.bench.power_cut(off_ticks)
        else:
            self.desk.bench.reset()
        self.run(off_ticks + 16)
        if before == states.DRAW_BACK:
            assert self.state == states.HALTED and self.pump.alarms.standing[alarms.OCCLUSION_DOWN]
        elif before == states.PRIMING:
            assert self.state == states.STOPPED
        self.settle()

    @precondition(lambda self: self.state == states.RUNNING and self.truth.rate_nl_h > 1_000_000)
    @rule(cut=st.sampled_from(["", "", "reset", "stop"]), ticks=st.integers(0, 3))
    def block_and_acknowledge(self, cut: str, ticks: int) -> None:
        plant = self.desk.bench.plant
        assert plant is not None
        plant.occlude("downstream", self.desk.bench.now_ns)
        for _ in range(300):
            self.tick()
            if self.state == states.HALTED:
                break
        self.run(10)
        number = self.desk.client.request("acknowledge")
        while self.desk.client.reply(number) is None:
            self.tick()
        self.run(ticks)
        if cut:
            getattr(self, cut)(*([0] if cut == "reset" else []))
            self.ask("acknowledge")
        for _ in range(60):
            self.tick()
        plant.unocclude("downstream", self.desk.bench.now_ns)
        self.settle()

    @rule()
    def acknowledge(self) -> None:
        self.ask("acknowledge")
        self.run(20)
        self.settle()

    @rule(ticks=st.sampled_from([1, 10, 40, 40, 120]))
    def advance(self, ticks: int) -> None:
        """Let it flow, and see how much."""
        self.settle()
        wanted = made = slack = Fraction(0)
        last = None
        for _ in range(ticks):
            flowing = self.state == states.RUNNING
            bridge = self.pump.line.bridge
            if not self.truth.cuts:
                assert bool(bridge) == (self.truth.old is not None)
            old = self.truth.strength * bridge.old / bridge.new if bridge else None
            flow = self.truth.flow_nl_h(bool(bridge), old) if flowing else Fraction(0)
            if last is not None and flow != last:
                slack += 3 * abs(flow - last) / TICKS_PER_HOUR / NL_PER_STEP
            last = flow
            before = self.seen
            self.tick()
            wanted += flow / TICKS_PER_HOUR / NL_PER_STEP
            made += self.seen - before
            if self.state not in (states.RUNNING, states.STOPPED):
                return
        assert abs(made - wanted) <= 2 + slack, (
            f"{float(made):g} steps in {ticks} ticks, not {float(wanted):g}"
        )


ALL_CHECKS: Any = list(HealthCheck)


def profile(sequences: int, steps: int = 14) -> settings:
    return settings(
        max_examples=sequences, stateful_step_count=steps, deadline=None, suppress_health_check=ALL_CHECKS
    )


@pytest.fixture(autouse=True)
def no_reset_loop(monkeypatch):
    """A machine resets more often than may be."""
    monkeypatch.setattr(Resets, "too_many", lambda self, tick: False)


@pytest.mark.req("DOSE-09", "DOSE-10", "DOSE-11", "LIM-03", "OCC-05", "REC-01", "MOT-03")
def test_nothing_leaves_the_head_outside_a_window_but_what_a_new_line_gave_credit_for():
    run_state_machine_as_test(LineMachine, settings=profile(60))


@pytest.mark.long
@pytest.mark.req("DOSE-09", "DOSE-10", "DOSE-11", "LIM-03", "OCC-05", "REC-01", "MOT-03")
def test_nothing_leaves_the_head_outside_a_window_in_many_long_lives():
    run_state_machine_as_test(LineMachine, settings=profile(3_000, steps=30))


# --- planted faults


def refill_gives_credit(patch: pytest.MonkeyPatch) -> None:
    refilled = Supply.refilled

    def generous(supply: Any, volume_nl: int) -> None:
        refilled(supply, volume_nl)
        supply.line.credit_steps = steps_of(supply.regimen.prescription.line_nl)

    patch.setattr(Supply, "refilled", generous)


def bridge_keeps_the_old_schedule(patch: pytest.MonkeyPatch) -> None:
    schedule = Bridge.schedule

    def stale(bridge: Any, therapy: Any) -> Any:
        if not hasattr(bridge, "first"):
            bridge.first = therapy
        return schedule(bridge, bridge.first)

    patch.setattr(Bridge, "schedule", stale)


def credit_outlasts_the_start(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "started", lambda line: setattr(line, "empty", False))


def credit_is_whole_again_after_a_reset(patch: pytest.MonkeyPatch) -> None:
    restore = Persistence.restore

    def forgetful(persistence: Any) -> None:
        restore(persistence)
        if persistence.line.credit_steps:
            persistence.line.credit_steps = steps_of(persistence.regimen.prescription.line_nl)

    patch.setattr(Persistence, "restore", forgetful)


@pytest.mark.req("DOSE-09", "DOSE-10")
@pytest.mark.parametrize(
    "plant_fault",
    [
        refill_gives_credit,
        bridge_keeps_the_old_schedule,
        credit_outlasts_the_start,
        credit_is_whole_again_after_a_reset,
    ],
)
def test_the_machine_sees_a_planted_fault(plant_fault, monkeypatch):
    plant_fault(monkeypatch)
    quick = settings(profile(300), database=None, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(LineMachine, settings=quick)
