"""LIM-02 and LIM-03 across resets and losses of power: the whole pump on its journal, tick by tick.

`Ward` is one pump and what is true of it: where the motor stood after each tick of the world, and when the
patient's boluses were granted and ended. The pump knows that only by its flash. Whatever is pressed and
stopped, and whenever the power goes, no ten minutes may hold more than the limit (time without power counts
as time here), no bolus may come before the lockout has passed, and no command may wait for ever.
`test_limits_machine.py` holds a pump whose resets take no time to much more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy
import pytest
from hypothesis import Phase, example, given, settings
from pump_on_bench import SIX_ML_H
from thecal.persistence import Persistence
from thecal.watch.limits import WindowLedger
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.inprocess import HostBench
from thecal_model.link import LinkClient

STEPS_PER_UL = 32
WINDOW_TICKS = 6_000
LOCKOUT_TICKS = 600
ANSWER_TICKS = 60
POST_TICKS = 3

bolus_ul = st.sampled_from([20, 100, 150])
limits_ul = st.sampled_from([1_020, 1_100, 1_250, 1_400])
waits = st.one_of(st.integers(1, 40), st.integers(41, 900), st.sampled_from([600, 1_200, 3_000, 6_000]))
acts = st.tuples(
    waits, st.sampled_from(["press", "press", "press", "clinician", "stop", "start", "cut", "cut"])
)


class Ward:
    """A pump that gives 6 mL/h, 1 mL of the `limit_ul` that ten minutes may hold."""

    def __init__(self, bolus_ul: int, limit_ul: int) -> None:
        self.limit_steps = limit_ul * STEPS_PER_UL
        self.bench = HostBench()
        self.client = LinkClient(self.bench.send)
        self.bench.on_data = self.client.feed
        self.positions = [0]
        self.events_seen = 0
        self.bolus_runs = False
        self.ended_tick: int | None = None  # of the last patient bolus, in the world
        self.advance(10)
        therapy = {
            **SIX_ML_H,
            "patient_bolus": {
                "volume_nl": bolus_ul * 1_000,
                "rate_num": 30_000_000,
                "rate_den": 1,
                "lockout_ms": LOCKOUT_TICKS * 100,
                "max_per_day": 20,
            },
            "limit": {"volume_nl": limit_ul * 1_000, "window_ms": WINDOW_TICKS * 100},
        }
        proposal = self.ask("program", therapy=therapy)
        assert self.ask("confirm", digest=proposal["digest"])["ok"]
        assert self.ask("start")["ok"]

    def advance(self, ticks: int) -> None:
        bench = self.bench
        for _ in range(ticks):
            bench.advance_to_tick(bench.tick + 1)
            self.positions.append(bench.motor.executed_steps(bench._at_cycles))
            for event in self.client.events[self.events_seen :]:
                if event["code"] == "patient_bolus_end":
                    self.bolus_runs = False
                    self.ended_tick = bench.tick
            self.events_seen = len(self.client.events)

    def ask(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        number = self.client.request(cmd, **arguments)
        for _ in range(ANSWER_TICKS):
            self.advance(1)
            reply = self.client.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        raise AssertionError(f"`{cmd}` is not answered in {ANSWER_TICKS} ticks")

    def press(self) -> None:
        ended_tick = self.ended_tick
        reply = self.ask("patient_bolus")
        if reply.get("granted"):
            assert not self.bolus_runs, "two patient boluses at once"
            if ended_tick is not None:
                # A tick is lost between an end and the event that tells it, another from here to the grant.
                assert self.bench.tick - ended_tick >= LOCKOUT_TICKS - 2, "the lockout opened early"
            self.bolus_runs = True

    def cut(self, off_ticks: int) -> None:
        if self.bolus_runs:
            self.bolus_runs = False
            self.ended_tick = self.bench.tick
        self.bench.power_cut(off_ticks)
        self.advance(off_ticks + BOOT_TICKS + POST_TICKS + 1)

    def do(self, act: str, wait: int) -> None:
        self.advance(wait)
        if act == "press":
            self.press()
        elif act == "clinician":
            self.ask("bolus", volume_nl=60_000, duration_ms=60_000)
        elif act == "cut":
            self.cut(wait % 100)
        else:
            self.ask(act)

    def check(self) -> None:
        positions = numpy.array(self.positions)
        outside = numpy.concatenate([numpy.zeros(WINDOW_TICKS, dtype=positions.dtype), positions])
        before = outside[: len(positions)]
        fullest = int((positions - before).max())
        assert fullest <= self.limit_steps, f"{fullest} steps in ten minutes, the limit is {self.limit_steps}"


def live(bolus_ul: int, limit_ul: int, story: list[tuple[int, str]]) -> Ward:
    ward = Ward(bolus_ul, limit_ul)
    for wait, act in story:
        ward.do(act, wait)
    ward.advance(700)
    ward.check()
    return ward


FULL = [(610, "press"), (610, "press"), (610, "press"), (610, "press")]
EAGER = [(50, "press")] * 130
LAW = [*FULL, (5, "cut"), *FULL, (59, "cut"), *FULL]
"""Full to the limit, and the power goes whenever a bolus or a lockout runs."""
LATER = [(1_050, "press"), (620, "press"), (5, "cut"), *EAGER]
"""As soon as something leaves the window, more is asked for."""
SOON = [(610, "press"), (200, "cut"), (20, "press")]
"""In the lockout, after a loss of power."""


@pytest.mark.req("LIM-02", "LIM-03", "LIM-05", "REC-01", "REC-03")
@settings(max_examples=40, deadline=None)
@given(bolus_ul=bolus_ul, limit_ul=limits_ul, story=st.lists(acts, min_size=4, max_size=14))
@example(bolus_ul=100, limit_ul=1_250, story=LAW)
@example(bolus_ul=20, limit_ul=1_020, story=LAW)
@example(bolus_ul=100, limit_ul=1_250, story=LATER)
@example(bolus_ul=20, limit_ul=1_400, story=SOON)
def test_no_loss_of_power_opens_a_window_or_a_lockout(bolus_ul, limit_ul, story):
    live(bolus_ul, limit_ul, story)


# --- planted faults


def history_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    load = WindowLedger.load
    monkeypatch.setattr(
        WindowLedger, "load", lambda self, minutes, tick: load(self, [0] * len(minutes), tick)
    )


def minutes_count_from_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    load = WindowLedger.load
    monkeypatch.setattr(
        WindowLedger, "load", lambda self, minutes, tick: load(self, [0, *minutes[:-1]], tick)
    )


def lockout_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Persistence.restore

    def forgetful(persistence: Persistence) -> None:
        restore(persistence)
        persistence.lockout.__init__()

    monkeypatch.setattr(Persistence, "restore", forgetful)


@pytest.mark.req("LIM-02", "LIM-03", "REC-01")
@pytest.mark.parametrize("plant", [history_forgotten, minutes_count_from_their_beginning, lockout_forgotten])
def test_a_planted_fault_is_seen(monkeypatch, plant: Callable[[pytest.MonkeyPatch], None]):
    plant(monkeypatch)

    @settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.generate), derandomize=True)
    @given(bolus_ul=bolus_ul, limit_ul=limits_ul, story=st.lists(acts, min_size=4, max_size=14))
    @example(bolus_ul=100, limit_ul=1_250, story=LAW)
    @example(bolus_ul=20, limit_ul=1_020, story=LAW)
    @example(bolus_ul=100, limit_ul=1_250, story=LATER)
    @example(bolus_ul=20, limit_ul=1_400, story=SOON)
    def law(bolus_ul: int, limit_ul: int, story: list[tuple[int, str]]) -> None:
        live(bolus_ul, limit_ul, story)

    with pytest.raises(BaseException, match=r"ten minutes|lockout opened early"):
        law()
