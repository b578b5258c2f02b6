"""LIM-01 to 07: whatever is pressed, programmed, stopped or clock-changed, in any order, for days.

`LimitsMachine` does at random what patient and clinician can do to the whole in-process pump; `Oracle`
(limits_oracle.py) keeps every step and says what may be. Days pass in milliseconds by `SkippingBench`, which
is held against the same pump run tick by tick at the end of this file. That the machine would see a pump that
is wrong is shown by planting faults in it.
"""

from __future__ import annotations

import itertools
import json
from array import array
from collections import Counter, deque
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from limits_oracle import DAY, TICKS_PER_HOUR, UNITS_PER_NL_H, Oracle
from pump_on_desk import request
from skipping_bench import SkippingBench, counts_by_tick
from thecal import forecast, states
from thecal.causes import CAUSES
from thecal.control import Control
from thecal.drivers import segment
from thecal.record import events
from thecal.record.repeats import code_and_numbers
from thecal.watch import alarms
from thecal.watch.ahead import peak_steps
from thecal.watch.limits import WindowLedger
from thecal.watch.lockout import Lockout
from thecal.watch.stretches import AHEAD_TICKS

HOUR_MS = 3_600_000
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
HALTED = 4
# The part of a microstep begins anew at a reset: up to one more, of which nobody knew. Limits that leave no
# room at all are in `test_limit.py`.
RESETS_NL = 4 * 32

days = st.sampled_from([127, 31, 96])
rates = st.sampled_from([2_000, 5_000, 12_000, 30_000])
windows_ms = st.sampled_from([600_000, 660_000, 1_800_000, HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS])
lockouts_ms = st.sampled_from([0, 100, 60_000, 600_000, HOUR_MS, 6 * HOUR_MS, 24 * HOUR_MS])


@st.composite
def therapies(draw, drug: bool = False) -> dict[str, Any]:
    """With `drug`, of one drug, whose concentration makes the rates into doses."""
    mode = draw(st.sampled_from(["continuous", "continuous", "flex", "minimum"]))
    therapy: dict[str, Any] = {"mode": mode, "max_rate_nl_h": 10_000_000}
    therapy.update(low_nl=20_000, empty_nl=10_000)
    fastest = 2_000
    if mode == "continuous":
        fastest = draw(rates)
        therapy.update(rate_num=fastest, rate_den=1)
    elif mode == "flex":
        times = draw(st.lists(st.sampled_from(range(0, 24, 3)), min_size=1, max_size=4, unique=True))
        therapy["steps"] = [
            {"at_ms": hour * HOUR_MS, "days": draw(days), "rate_num": draw(rates), "rate_den": 1}
            for hour in times
        ]
        fastest = max(step["rate_num"] for step in therapy["steps"])
    volume_nl = draw(st.sampled_from([500, 2_000, 10_000]))
    if draw(st.integers(0, 5)):
        therapy["patient_bolus"] = {
            "volume_nl": volume_nl,
            "rate_num": draw(st.sampled_from([30_000, 600_000, 3_600_000])),
            "rate_den": 1,
            "lockout_ms": draw(lockouts_ms),
            "max_per_day": draw(st.sampled_from([1, 2, 5, 96])),
        }
    if "patient_bolus" in therapy or draw(st.booleans()):
        window_ms = draw(windows_ms)
        # What the basal takes, and room for so many boluses, rarely none.
        basal_nl = -(-fastest * window_ms // HOUR_MS)
        room_nl = volume_nl * draw(st.sampled_from([0, 1, 2, 2, 3, 4, 5, 7, 40])) // 2
        therapy["limit"] = {"volume_nl": basal_nl + room_nl + RESETS_NL, "window_ms": window_ms}
    therapy["line_nl"] = draw(st.sampled_from([0, 700, 2_000, 12_000]))
    if drug:
        therapy["drug"] = "hydromorphone"
        therapy["concentration_pg_nl"] = draw(st.sampled_from([1_000, 1_300, 4_000]))
    return therapy


class LimitsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle()
        self.replies: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.ends: list[tuple[str, int, bool]] = []
        self.denied = 0
        self.drug = False
        self.halted = False
        self.denials_seen = 0
        self.unanswered: set[int] = set()  # alarms since the last start
        self.restarts: dict[int, list[int]] = {}  # ticks of the starts after an alarm, by its row
        self.use(SkippingBench())

    def use(self, bench: SkippingBench) -> None:
        """From its first tick on."""
        self.bench = bench
        bench.pump.startup.resets.too_many = lambda tick: False  # a machine resets more often than may be
        bench.on_steps = self.oracle.stepped
        bench.on_data = self._read
        bench.advance_to_tick(0)
        self.events.clear()

    def _read(self, data: bytes) -> None:
        for line in data.splitlines():
            if line.startswith(b'{"type":"reply"'):
                self.replies.append(json.loads(line[:-9]))
            elif not line.startswith(b'{"type":"status"'):
                sent = json.loads(line[:-9])
                (self.replies if sent["type"] == "reply" else self.events).append(sent)

    # --- to do something, and to see what came of it

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        """One request, in a tick of its own. The oracle then stands at the end of that tick, or of the one in
        which it was answered: a week is looked through in several ticks.
        """
        self.bench.send(request(cmd, **arguments))
        self.bench.advance_to_tick(self.bench.tick + 1)
        while not self.replies:
            assert cmd == "program", f"no reply to `{cmd}`"
            self.bench.advance_to_tick(self.bench.tick + 1)
        (reply,) = self.replies
        self.replies.clear()
        self.follow_events()  # an alarm may have stopped it in this tick
        self.oracle.advance(self.bench.tick + (cmd not in ("stop", "acknowledge")))
        return reply

    def follow_events(self) -> None:
        """What the pump says happened by itself: bolus ends, and alarms that stopped it."""
        for sent in self.events:
            code, tick, a, b = sent["code"], sent["tick"], sent["a"], sent["b"]
            assert code not in ("limited", "starved", "fault", "merged"), sent
            if code == "alarm" and b:
                assert a != alarms.LIMIT_GUARD, f"LIMIT_GUARD at tick {tick}: the planning failed"
                assert a not in (alarms.LOOP_FAULT, alarms.RUNAWAY), sent
                if a == alarms.THREE_STRIKES:
                    assert any(
                        len(ticks) > 2 and tick - ticks[-3] <= alarms.STRIKE_TICKS
                        for ticks in self.restarts.values()
                    ), "not the third start after an alarm"
                    self.halted = True
                else:
                    self.unanswered.add(a)
            elif code == "state" and b == HALTED:
                at_empty = self.oracle.executed + self.oracle.behind >= self.oracle.cap
                assert self.halted or at_empty, "stopped for no reason"
                self.halted = True  # until acknowledged, over resets
                self.oracle.stop(tick)
            elif code in ("patient_bolus_end", "bolus_end"):
                kind = "patient" if code == "patient_bolus_end" else "clinician"
                self.ends.append((kind, tick, bool(b)))
            elif code == "denied":
                self.denials_seen += 1
            elif code == "repeated" and code_and_numbers(a)[0] == events.DENIED:
                self.denials_seen += b
        self.events.clear()

    def settle(self) -> None:
        """To the end of the tick in which something was asked, and see that all is right there."""
        self.run_to(self.bench.tick + 1)

    def run_to(self, tick: int) -> None:
        while self.bench.tick < tick:  # a fault is to be told before days have passed, which are not skipped
            self.bench.advance_to_tick(min(tick, self.bench.tick + 2 * TICKS_PER_HOUR))
            self.follow_events()
        self.oracle.advance(tick)
        assert self.ends == self.oracle.ends, f"boluses ended {self.ends}, should {self.oracle.ends}"
        self.ends.clear()
        self.oracle.ends.clear()
        self.oracle.check()
        assert self.denials_seen + self.untold().total() == self.denied

    def untold(self) -> Counter[int]:
        """Denials by cause that came again and again, and of which no event has told yet."""
        repeats = self.bench.pump.teller.repeats
        untold: Counter[int] = Counter()
        for kind, more in zip(repeats.kinds, repeats.more, strict=True):
            code, _, cause = code_and_numbers(kind) if more else (0, 0, 0)
            if code == events.DENIED:
                untold[cause] += more
        return untold

    # --- rules

    @initialize(data=st.data(), drug=st.booleans(), start=st.booleans())
    def begin(self, data: Any, drug: bool, start: bool) -> None:
        self.drug = drug
        self.program(data.draw(therapies(drug)))
        if start:
            self.start()

    @rule(data=st.data())
    def program_anew(self, data: Any) -> None:
        self.program(data.draw(therapies(self.drug)))

    @precondition(lambda self: self.drug and self.oracle.therapy)
    @rule(
        concentration_pg_nl=st.sampled_from([1_000, 1_300, 4_000]),
        line_nl=st.sampled_from([0, 2_000, 12_000]),
    )
    def change_concentration(self, concentration_pg_nl: int, line_nl: int) -> None:
        """The same dose of another strength: volumes and rates change with it, where they can."""
        therapy = json.loads(json.dumps(self.oracle.therapy))
        ratio = Fraction(therapy["concentration_pg_nl"], concentration_pg_nl)
        therapy["concentration_pg_nl"] = concentration_pg_nl
        therapy["line_nl"] = line_nl
        if "limit" in therapy:
            therapy["limit"]["volume_nl"] = int(therapy["limit"]["volume_nl"] * ratio)
        self.program(therapy)

    @precondition(lambda self: self.oracle.therapy and "limit" in self.oracle.therapy)
    @rule(window_ms=windows_ms, part=st.sampled_from([3, 5, 8, 12]), lockout_ms=lockouts_ms)
    def program_limit(self, window_ms: int, part: int, lockout_ms: int) -> None:
        self.program_another_limit(window_ms, part, lockout_ms)

    def program_another_limit(self, window_ms: int, part: int, lockout_ms: int) -> None:
        """The same therapy, with another limit and lockout."""
        therapy = json.loads(json.dumps(self.oracle.therapy))
        old = therapy["limit"]
        assert self.oracle.week is not None
        rate_nl_h = max(self.oracle.week.rates) // UNITS_PER_NL_H
        room_nl = max(old["volume_nl"] - rate_nl_h * old["window_ms"] // HOUR_MS, 0)
        volume_nl = -(-rate_nl_h * window_ms // HOUR_MS) + room_nl * part // 8 + RESETS_NL
        therapy["limit"] = {"volume_nl": volume_nl, "window_ms": window_ms}
        if "patient_bolus" in therapy:
            therapy["patient_bolus"]["lockout_ms"] = lockout_ms
        self.program(therapy)

    def program(self, therapy: dict[str, Any]) -> None:
        if self.oracle.prime:
            self.stop()  # a shorter line would take its credit away, and the limit cut the rest of the prime
        proposal = self.ask("program", therapy=therapy)
        self.settle_denied(proposal)
        if proposal["ok"]:
            accept = proposal["readback"].get("soft", [])
            applied = self.ask("confirm", digest=proposal["digest"], accept=accept)
            if applied["ok"]:
                # Up to the end of this tick the old limit judges.
                self.bench.advance_to_tick(self.bench.tick + 1)
                self.oracle.check_windows()
                self.oracle.program(therapy)
            self.settle_denied(applied)

    def settle_denied(self, reply: dict[str, Any]) -> None:
        if not reply["ok"] or reply.get("granted") is False:
            self.denied += 1
        self.settle()

    @precondition(lambda self: not self.oracle.running)
    @rule()
    def start(self) -> None:
        for row in self.unanswered:
            self.restarts.setdefault(row, []).append(self.bench.tick)
        self.unanswered.clear()
        reply = self.ask("start")
        if reply["ok"]:
            self.oracle.start()
        self.settle_denied(reply)

    @rule()
    def stop(self) -> None:
        assert self.ask("stop")["ok"]
        self.oracle.stop(self.bench.tick)
        self.settle()

    @rule()
    def acknowledge(self) -> None:
        assert self.ask("acknowledge")["ok"]
        self.halted = False
        self.settle()

    @rule(button=st.booleans())
    def press(self, button: bool) -> None:
        if button:
            counted = self.untold()
            self.bench.inputs.button_patient = True
            self.bench.advance_to_tick(self.bench.tick + 1)
            self.bench.inputs.button_patient = False
            self.oracle.advance(self.bench.tick + 1)
            said = [(sent["code"], sent["b"]) for sent in self.events]
            said = [(code, cause) for code, cause in said if code in ("denied", "patient_bolus_start")]
            said += [("denied", cause) for cause in (self.untold() - counted).elements()]
            assert len(said) == 1, "a press is granted or denied within its tick"
            ((code, cause),) = said
            granted = code == "patient_bolus_start"
            reason = "" if granted else CAUSES[cause]
        else:
            reply = self.ask("patient_bolus")
            granted, reason = reply["granted"], reply["reason"]
        self.judge(granted, reason)

    def judge(self, granted: bool, reason: str) -> None:
        oracle = self.oracle
        plain = oracle.why_not()
        if granted:
            assert plain == "", f"granted at {oracle.tick}, but {plain}"
            assert oracle.therapy is not None
            assert oracle.reservoir_short(oracle.therapy["patient_bolus"]["volume_nl"]) is not True
            oracle.give_patient()
        else:
            self.denied += 1
            assert reason == plain or (not plain and reason in ("max_dose", "reservoir")), (
                f"denied at {oracle.tick} for {reason!r}, should be {plain!r}"
            )
            if reason == "reservoir":
                assert oracle.therapy is not None
                assert oracle.reservoir_short(oracle.therapy["patient_bolus"]["volume_nl"]) is not False
        self.settle()

    @precondition(lambda self: self.oracle.lockout_opens() is not None)
    @rule(off=st.sampled_from([-1, -1, 0]), button=st.booleans())
    def press_at_the_lockout(self, off: int, button: bool) -> None:
        self.press_as_the_lockout_opens(off, button)

    def press_as_the_lockout_opens(self, off: int, button: bool) -> None:
        """A request in tick t counts at its end, t + 1."""
        opens = self.oracle.lockout_opens()
        assert opens is not None
        tick = opens + off - 1
        if self.bench.tick < tick - 1 <= self.bench.tick + 2 * DAY:
            self.run_to(tick - 1)
        self.press(button)

    @precondition(lambda self: self.oracle.running)
    @rule(off=st.sampled_from([-1, -1, 0]))
    def press_and_again_as_the_lockout_opens(self, off: int) -> None:
        self.press(False)
        if bolus := self.oracle.patient:
            self.run_to(self.bench.tick + bolus.left // bolus.rate + 2)
        if self.oracle.lockout_opens() is not None:
            self.press_as_the_lockout_opens(off, False)

    @precondition(lambda self: self.oracle.grants)
    @rule(off=st.sampled_from([-1, 0, 1]))
    def press_as_a_grant_leaves_the_day(self, off: int) -> None:
        ticks = [grant + DAY + off - 2 for grant in self.oracle.grants]
        ahead = [tick for tick in ticks if tick > self.bench.tick]
        if ahead:
            self.run_to(ahead[0])
        self.press(False)

    @precondition(lambda self: self.oracle.running)
    @rule(volume_nl=st.sampled_from([300, 3_000, 20_000]), minutes=st.sampled_from([1, 10, 60, 360]))
    def clinician_bolus(self, volume_nl: int, minutes: int) -> None:
        self.give_clinician_bolus(volume_nl, minutes)

    def give_clinician_bolus(self, volume_nl: int, minutes: int) -> None:
        reply = self.ask("bolus", volume_nl=volume_nl, duration_ms=minutes * 60_000)
        if reply["ok"] and reply["granted"]:
            assert not self.oracle.clinician
            assert reply["rate_num"] * minutes <= 60 * volume_nl * reply["rate_den"]
            self.oracle.give_clinician(volume_nl, reply["rate_num"], reply["rate_den"])
        self.settle_denied(reply)

    @rule(volume_nl=st.sampled_from([12_000, 25_000, 60_000, 5_000_000]))
    def refill(self, volume_nl: int) -> None:
        self.fill_up(volume_nl)

    def fill_up(self, volume_nl: int) -> None:
        proposal = self.ask("refill", volume_nl=volume_nl)
        self.settle()
        assert self.ask("confirm", digest=proposal["digest"])["ok"]
        self.oracle.refill(volume_nl)
        self.settle()

    @precondition(lambda self: not self.oracle.running and self.oracle.therapy)
    @rule()
    def new_line(self) -> None:
        proposal = self.ask("new_line")
        self.settle_denied(proposal)
        if proposal["ok"]:
            assert self.ask("confirm", digest=proposal["digest"])["ok"]
            self.oracle.new_line()
            self.settle()

    @precondition(lambda self: not self.oracle.running)
    @rule(part=st.sampled_from([1, 2, 2, 3]), wait=st.sampled_from([1, 5, 80, 80]))
    def prime(self, part: int, wait: int) -> None:
        """The line, half of it, or more than it holds."""
        line_nl = (self.oracle.therapy or {}).get("line_nl", 0)
        volume_nl = line_nl * part // 2
        reply = self.ask("prime", volume_nl=volume_nl)
        if reply["ok"]:
            assert 0 < volume_nl <= line_nl
            self.oracle.fill_line(volume_nl)
        else:
            assert reply.get("reason") != "no_new_line" or not self.oracle.credit
        self.settle_denied(reply)
        self.run_to(self.bench.tick + wait)

    @rule()
    def reset(self) -> None:
        self.denied -= self.untold().total()  # this bench keeps no journal, which would
        self.bench.reset()
        self.bench.advance_to_tick(self.bench.tick + 1)
        self.oracle.reset(self.bench.tick - 1)
        self.settle()

    @precondition(lambda self: self.oracle.running)
    @rule(by_reset=st.booleans(), most=st.integers(1, 4))
    def press_until_denied_then_start_anew_and_press(self, by_reset: bool, most: int) -> None:
        """What a start or a reset forgot would be open to one more."""
        for _ in range(most):
            self.press(False)
            if bolus := self.oracle.patient:
                self.run_to(self.bench.tick + min(bolus.left // bolus.rate + 2, DAY))
        if by_reset:
            self.reset()
        else:
            self.stop()
            self.start()
        self.press(False)
        self.run_to(self.bench.tick + 600)

    @rule(hour=st.integers(0, 7 * 24 - 1), second=st.sampled_from([0, 1, 1800, 3599]))
    def set_time(self, hour: int, second: int) -> None:
        week_s = hour * 3600 + second
        reply = self.ask("set_time", week_s=week_s)
        if reply["ok"]:
            self.oracle.set_time(week_s)
        else:
            assert "limit: with what was given already" in reply["message"]
            self.settle_denied(reply)
        self.settle()

    @rule(
        ticks=st.one_of(
            st.integers(1, 20),
            st.integers(1, 600),
            st.integers(1, 36_000),
            st.integers(1, DAY),
            st.just(3 * DAY),
        )
    )
    def advance(self, ticks: int) -> None:
        self.run_to(self.bench.tick + ticks)


ALL_CHECKS: Any = list(HealthCheck)  # Any: the type checker does not see an enumeration in it


def profile(sequences: int, steps: int = 20) -> settings:
    return settings(
        max_examples=sequences,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=ALL_CHECKS,
    )


@pytest.mark.req("LIM-01", "LIM-02", "LIM-03", "LIM-04", "LIM-05", "LIM-06", "LIM-13", "RES-05")
@pytest.mark.req("DOSE-06", "DOSE-09", "DOSE-10", "DOSE-14", "DOSE-15")
def test_no_order_of_events_gives_more_than_the_limit():
    run_state_machine_as_test(LimitsMachine, settings=profile(600))


@pytest.mark.long
@pytest.mark.req("LIM-01", "LIM-02", "LIM-03", "LIM-04", "LIM-05", "LIM-06", "LIM-13", "RES-05")
@pytest.mark.req("DOSE-06", "DOSE-09", "DOSE-10", "DOSE-14", "DOSE-15")
def test_no_long_order_of_events_gives_more_than_the_limit():
    run_state_machine_as_test(LimitsMachine, settings=profile(20_000, steps=40))


# --- what the pump gets wrong


def therapy(rate_nl_h: int, bolus_nl: int, limit_nl: int, window_ms: int) -> dict[str, Any]:
    return {
        "mode": "continuous",
        "rate_num": rate_nl_h,
        "rate_den": 1,
        "max_rate_nl_h": 10_000_000,
        "low_nl": 0,
        "empty_nl": 0,
        "patient_bolus": {
            "volume_nl": bolus_nl,
            "rate_num": 60_000,
            "rate_den": 1,
            "lockout_ms": 0,
            "max_per_day": 96,
        },
        "limit": {"volume_nl": limit_nl, "window_ms": window_ms},
    }


@pytest.fixture
def freely() -> LimitsMachine:
    """A machine that is told where to go."""
    return LimitsMachine()


@pytest.mark.req("LIM-01", "REC-06")
def test_presses_that_are_only_counted_any_more_are_judged_as_well(freely):
    """More denials within ten minutes than are logged one by one."""
    freely.program(therapy(2_000, 10_000, 20_000, HOUR_MS))
    for press in range(25):
        freely.press(press % 2 == 1)
    assert freely.untold().total() == 5


@pytest.mark.req("LIM-05", "LIM-06")
def test_a_smaller_limit_during_a_bolus_is_refused_or_kept(freely):
    """A bolus of 10 uL takes ten minutes; after two of them the limit is set to 6 uL in an hour."""
    freely.program(therapy(2_000, 10_000, 20_000, HOUR_MS))
    freely.start()
    freely.press(False)
    freely.advance(1_200)
    freely.program(therapy(2_000, 10_000, 6_000, HOUR_MS))
    freely.advance(36_000)


@pytest.mark.req("LIM-03", "LIM-10")
def test_a_refused_confirm_leaves_the_window_as_it_was(freely):
    """2 uL an hour and one bolus of 4 uL are within 14 uL in four hours, a second one is not: that must hold
    after a therapy with a window of ten minutes was refused as well.
    """
    freely.program(therapy(2_000, 4_000, 14_000, 4 * HOUR_MS))
    freely.start()
    freely.press(False)
    freely.advance(6_000)
    freely.program(therapy(2_000, 4_000, 1_000, 600_000))
    assert freely.oracle.therapy["limit"]["window_ms"] == 4 * HOUR_MS, "it was to be refused"
    for _ in range(3):
        freely.advance(7_000)
        freely.press(False)
    freely.advance(36_000)


@pytest.mark.req("DOSE-01", "RES-02")
def test_a_refill_before_an_order_that_was_cut_comes_due_loses_nothing(freely):
    """3.2 steps a tick and EMPTY 48 steps away: the orders of the last second end there and are cut."""
    fast: dict[str, Any] = therapy(2_000, 10_000, 20_000, HOUR_MS)
    fast.update(low_nl=10_000, empty_nl=10_000)
    fast["patient_bolus"]["rate_num"] = 3_600_000
    freely.program(fast)
    freely.start()
    freely.press(False)
    freely.refill(11_500)
    freely.advance(8)
    freely.refill(60_000)
    freely.advance(60)
    assert freely.oracle.executed > 200


@pytest.mark.req("LIM-06")
@pytest.mark.parametrize("window_ticks", [36_000, 144_000, DAY])
def test_a_start_that_has_to_wait_a_whole_window_can_be_searched_for(window_ticks):
    """As `check_history` asks: nothing for almost a window, then the basal for as long."""
    one = 472_500_000
    ledger = WindowLedger()
    ledger.set_window(window_ticks)
    ledger.advance(10, 5)
    profile = [(window_ticks - 1, 0), (window_ticks, 1_000_000)]
    flows = window_ticks * 1_000_000
    assert peak_steps(ledger, window_ticks, profile, 0, one) == max(flows // one, 5)
    assert peak_steps(ledger, window_ticks, profile, one - 1, one) == max((flows + one - 1) // one, 5)


@pytest.mark.req("LIM-05", "DOSE-14")
def test_a_clock_that_is_set_back_again_and_again_does_not_run_into_the_guard(freely):
    """A fast hour a day, and a limit of two in four hours: held in that hour the basal alone is above it."""
    flex = therapy(2_000, 500, 70_000, 4 * HOUR_MS)
    del flex["rate_num"], flex["rate_den"]
    flex["mode"] = "flex"
    flex["steps"] = [
        {"at_ms": 0, "days": 127, "rate_num": 30_000, "rate_den": 1},
        {"at_ms": HOUR_MS, "days": 127, "rate_num": 2_000, "rate_den": 1},
    ]
    freely.set_time(0, 0)
    freely.program(flex)
    freely.start()
    for _ in range(4):
        freely.advance(35_000)
        freely.set_time(0, 0)


# --- the machine sees a pump that is wrong


def lockout_off_by_one_tick(patch) -> None:
    patch.setattr(
        Lockout,
        "locked",
        lambda self, tick, lockout_ticks: self.ended and tick - self.end_tick < lockout_ticks - 1,
    )


def window_measured_from_the_last_start(patch) -> None:
    enter = Control.enter

    def forgetful(self, state, cause):
        if state == states.RUNNING:
            ledger = self.dosing.regimen.ledger
            ledger.history.begin()
            ledger.recount()
        enter(self, state, cause)

    patch.setattr(Control, "enter", forgetful)


def bolus_not_counted_in_the_prediction(patch) -> None:
    with_boluses = forecast.with_boluses
    patch.setattr(
        forecast,
        "with_boluses",
        lambda basal, boluses, most, after: with_boluses(basal, [], most, after),
    )


def basal_forgotten_in_the_prediction(patch) -> None:
    with_boluses = forecast.with_boluses
    patch.setattr(
        forecast,
        "with_boluses",
        lambda basal, boluses, most, after: with_boluses(
            lambda ticks: [(piece, 0) for piece, _ in basal(ticks)], boluses, most, after
        ),
    )


FAULTS = [
    lockout_off_by_one_tick,
    window_measured_from_the_last_start,
    bolus_not_counted_in_the_prediction,
    basal_forgotten_in_the_prediction,
]


class EagerMachine(LimitsMachine):
    """It begins where a fault shows soon: a limit with room for one bolus and a half, a minute of lockout."""

    @initialize(start=st.just(True))
    def begin(self, start: bool) -> None:
        eager = therapy(5_000, 2_000, 8_000 + RESETS_NL, HOUR_MS)
        eager["patient_bolus"].update(rate_num=3_600_000, lockout_ms=60_000)
        self.program(eager)
        self.start()


@pytest.mark.req("LIM-02", "LIM-03", "LIM-04")
@pytest.mark.parametrize("plant_fault", FAULTS)
def test_the_machine_sees_a_planted_fault(plant_fault, monkeypatch):
    plant_fault(monkeypatch)
    # The first failure will do: nothing is made smaller.
    quick = settings(profile(2_000), database=None, derandomize=True, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(EagerMachine, settings=quick)


# --- the bench that skips is the bench that does not


def fields(thing: Any, path: str = "pump", seen: set[int] | None = None) -> dict[str, Any]:
    """Every number, text and list that can be reached from `thing`, by its path."""
    seen = set() if seen is None else seen
    if thing is None or isinstance(thing, int | str | bytes | bytearray):
        return {path: thing}
    if isinstance(thing, list | tuple | deque):
        found = {}
        for index, item in enumerate(thing):
            found.update(fields(item, f"{path}[{index}]", seen))
        return found
    if isinstance(thing, array):
        return {path: thing.tolist()}
    if id(thing) in seen or not hasattr(thing, "__dict__"):
        return {}
    seen.add(id(thing))
    found = {}
    for name, value in vars(thing).items():
        found.update(fields(value, f"{path}.{name}", seen))
    return found


# Room for the answer to the next question, which no pump looks at before it has written it, and what the
# senses made of samples: those of skipped ticks are missing.
SCRATCH = (
    # The same history may be told in other stretches: `counts_by_tick` compares what they say.
    "pump.ledger.history",
    "pump.ledger.reader",
    "pump.ledger.scout",
    "pump.ledger.turn",
    "pump.ledger.leaving",
    "pump.ledger.turned",
    "pump.guard.window_most",
    "pump.critical.words",
    "pump.host.writer",
    "pump.senses",
    "pump.control.alarms.tick",
    # Of the last segment that was planned.
    "pump.delivery.first",
    "pump.delivery.lag",
    # To a unit of a motor's waits: what is carried from segment to segment comes of all segments before.
    "motor.cutter",
    "motor._cut",
    "motor._waiting",
    "motor._start_cycles",
    "motor._end_cycles",
)

stretches = st.lists(
    st.tuples(
        st.sampled_from(["press", "press", "bolus", "stop", "start", "refill", "time", "wait"]),
        st.one_of(st.integers(1, 200), st.integers(1, 6_000), st.integers(3_000, 9_000)),
    ),
    min_size=2,
    max_size=5,
)


def lived(therapy: dict[str, Any], stretches: list[tuple[str, int]], skip: bool) -> tuple[Any, Any, int]:
    """Steps made and all fields of a pump after some time, and how many ticks were skipped."""
    bench = SkippingBench(skip)
    made: list[int] = []
    bench.on_steps = made.extend
    asks: dict[str, dict[str, Any]] = {
        "press": {"cmd": "patient_bolus"},
        "bolus": {"cmd": "bolus", "volume_nl": 3_000, "duration_ms": 600_000},
        "stop": {"cmd": "stop"},
        "start": {"cmd": "start"},
        "time": {"cmd": "set_time", "week_s": 2 * 86_400 + 3 * 3_600 - 300},
        "refill": {"cmd": "refill", "volume_nl": 12_000},
        "wait": {"cmd": "hello"},
    }
    replies: list[bytes] = []
    bench.on_data = lambda data: replies.extend(line for line in data.splitlines() if b'"reply"' in line)

    numbers = itertools.count(1)  # the same in both lives: the pump keeps them

    def ask(asked: dict[str, Any]) -> dict[str, Any]:
        bench.send(request(**asked, id=next(numbers)))
        for _ in range(60):  # a long week is looked at over several ticks
            if not replies:
                bench.advance_to_tick(bench.tick + 1)
        return json.loads(replies.pop()[:-9])

    bench.advance_to_tick(0)
    proposal = ask({"cmd": "program", "therapy": therapy})
    if proposal["ok"]:
        ask({"cmd": "confirm", "digest": proposal["digest"]})
        ask(asks["time"])
        ask(asks["start"])
    for what, ticks in stretches:
        reply = ask(asks[what])
        if what == "refill":
            ask({"cmd": "confirm", "digest": reply["digest"]})
        bench.advance_to_tick(bench.tick + ticks)
    # On until a status has been sent, whose numbers are kept.
    bench.advance_to_tick(bench.tick + 12)
    motor = bench.motor
    left = fields(bench.pump) | fields(motor, "motor")
    left["segments"] = [cut.steps for cut in (motor._cut, *motor._waiting)]
    left["ends"] = round(motor._end_cycles / segment.TICK_CYCLES)
    # The last line; behind it stands what is left of longer ones.
    left["pump.writer.buffer"] = bytes(left["pump.writer.buffer"]).split(b"\n")[0]
    ledger = bench.pump.ledger
    left["history"] = counts_by_tick(ledger).tolist()
    left["content"] = [ledger.content_then(ticks) for ticks in range(AHEAD_TICKS + 1)]
    return made, {path: left[path] for path in left if not path.startswith(SCRATCH)}, bench.skipped_ticks


@given(therapies(), stretches)
@settings(max_examples=12, deadline=None, suppress_health_check=ALL_CHECKS)
def test_a_pump_whose_dull_ticks_are_skipped_is_the_same_pump(therapy, stretches):
    made, left, skipped = lived(therapy, stretches, skip=False)
    made_so, left_so, skipped_so = lived(therapy, stretches, skip=True)
    assert skipped == 0
    event(f"{skipped_so // 1000} thousand ticks skipped")
    assert made == [int(tick) for tick in made_so]
    different = {path: (left[path], left_so.get(path)) for path in left if left[path] != left_so.get(path)}
    assert not different and left.keys() == left_so.keys()


@pytest.mark.long
@given(therapies(), stretches)
@settings(max_examples=200, deadline=None, suppress_health_check=ALL_CHECKS)
def test_many_pumps_whose_dull_ticks_are_skipped_are_the_same_pumps(therapy, stretches):
    made, left, _ = lived(therapy, stretches, skip=False)
    made_so, left_so, _ = lived(therapy, stretches, skip=True)
    assert made == [int(tick) for tick in made_so] and left == left_so


def test_a_day_is_skipped_but_for_a_few_ticks():
    """What the equality above compares is no bench that never skips."""
    _, _, skipped = lived(therapy(5_000, 500, 60_000, HOUR_MS), [("press", 6_000), ("wait", DAY)], skip=True)
    assert skipped > DAY


@pytest.mark.req("LIM-05", "LIM-06")
def test_a_limit_made_smaller_just_after_a_press_leaves_the_guard_nothing_to_cut(freely):
    """2 uL in two seconds, and the limit lowered meanwhile: accepted, and then cut by the guard."""
    idle = {"mode": "minimum", "max_rate_nl_h": 10_000_000, "low_nl": 20_000, "empty_nl": 10_000}
    freely.program(idle)
    freely.start()
    bolus = {"volume_nl": 2_000, "rate_num": 3_600_000, "rate_den": 1, "lockout_ms": 0, "max_per_day": 1}
    limit = {"volume_nl": 5_433, "window_ms": 600_000}
    plain = {"mode": "continuous", "max_rate_nl_h": 10_000_000, "low_nl": 20_000, "empty_nl": 10_000}
    rate = {"rate_num": 2_000, "rate_den": 1}
    freely.program({**plain, **rate, "patient_bolus": bolus, "limit": limit})
    freely.press(button=False)
    freely.program_limit(lockout_ms=0, part=3, window_ms=600_000)
    freely.advance(ticks=5_463)
