"""DOSE-01: over any sequence of starts and stops, the steps made are within one of the integral of the flow.

The oracle adds rate times time as a `Fraction`, while the pump is told to deliver and at no other time: a
start counts from the end of the tick that accepts it, a stop from its beginning; a bolus that a stop ends is
owed as far as it came. Nothing is rounded, so a part of a step that is lost at a stop, or made twice, adds
up: after as many stops as a law looks at, it shows.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pump_on_bench import NL_PER_STEP, ForgetfulOnBench
from thecal.dose.course import CLINICIAN, PATIENT
from thecal.dose.delivery import Delivery
from thecal.dose.schedule import Schedule
from thecal_model.rig import reference

TICKS_PER_HOUR = 36_000
MECHANISM = reference().mechanism()

rates_nl_h = st.one_of(st.integers(2_000, 30_000), st.integers(2_000, 60_000_000))
stretches = st.one_of(st.integers(1, 5), st.integers(1, 150))


class Integral:
    """What is owed by the definition, in microsteps."""

    def __init__(self) -> None:
        self.steps = Fraction(0)
        self.basal_nl_h = 0
        self.runs = False
        self.boluses: dict[int, list[Fraction]] = {}  # kind: rate and what is left of it, in steps
        self.next: list = []  # changes at the end of this tick

    def advance(self, ticks: int) -> None:
        while ticks:
            if self.runs:
                self.steps += Fraction(self.basal_nl_h, TICKS_PER_HOUR) / NL_PER_STEP
                for kind in sorted(self.boluses)[:1]:  # the patient's first
                    rate, left = self.boluses[kind]
                    self.steps += min(rate, left)
                    self.boluses[kind][1] -= min(rate, left)
                    if self.boluses[kind][1] == 0:
                        del self.boluses[kind]
            for change in self.next:
                change()
            self.next = []
            ticks -= 1

    def start(self) -> None:
        self.runs = True

    def stop(self) -> None:
        self.runs = False
        self.next = []
        self.boluses = {}

    def bolus(self, kind: int, volume_nl: int, rate_nl_h: Fraction) -> None:
        self.boluses[kind] = [rate_nl_h / TICKS_PER_HOUR / NL_PER_STEP, Fraction(volume_nl) / NL_PER_STEP]


# --- the delivery alone, with a motor that runs on by a few steps when it is stopped

orders = st.lists(
    st.one_of(
        st.tuples(st.just("start"), rates_nl_h),
        st.tuples(st.just("stop"), st.integers(0, 6)),
        st.tuples(st.just("run"), stretches),
        st.tuples(st.just("bolus"), st.integers(1, 5_000), st.sampled_from((PATIENT, CLINICIAN))),
        st.tuples(st.just("other"), st.integers(0, 40)),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.req("DOSE-01", "DOSE-07", "DOSE-15")
@given(orders)
@example([("start", 2_000), ("run", 150), ("stop", 0)] * 40)
@example([("start", 2_000), ("run", 150), ("bolus", 17, PATIENT), ("run", 1), ("stop", 0), ("other", 7)] * 8)
@settings(max_examples=150, deadline=None)
def test_a_delivery_that_is_stopped_and_started_owes_the_integral(asked):
    delivery = Delivery(MECHANISM)
    integral = Integral()
    doses = executed = 0  # steps of dose, and where the motor is
    over = Fraction(1)  # by how much the last stop left it ahead

    def advance(ticks):
        nonlocal doses, executed
        integral.advance(ticks)
        if integral.runs:
            delivery.advance(ticks)
            made = max(delivery.position() - executed, 0)
            doses += made
            executed += made
            assert -1 <= doses - integral.steps <= over

    def start(rate_nl_h):
        delivery.begin(executed)
        delivery.owed.most_steps, delivery.owed.most_grains = MECHANISM.grains_per_tick(120_000_000, 1)
        flow = MECHANISM.grains_per_tick(rate_nl_h, 1)
        delivery.owed.follow(Schedule([(0, *flow, rate_nl_h)]), 0, True)
        integral.basal_nl_h = rate_nl_h
        integral.start()
        delivery.ahead = 0  # here a start counts at once

    for what, *values in asked:
        if what == "start" and not integral.runs:
            start(*values)
        elif what == "run":
            advance(values[0])
        elif what == "stop" and integral.runs:
            delivery.forfeit(executed)
            integral.stop()
            # Until it hears of the stop the motor goes on, at most as it was ordered.
            doses += values[0]
            executed += values[0]
            over = max(doses - integral.steps, Fraction(1))
        elif what == "bolus" and integral.runs and values[1] not in integral.boluses:
            volume_nl, kind = values
            delivery.begin_bolus(kind, (volume_nl, 1), (50_000, 1))
            integral.bolus(kind, volume_nl, Fraction(50_000))
        elif what == "other" and not integral.runs:
            # The line is filled, or drawn back: no dose, and the part of a step stays owed over it.
            delivery.begin(executed, doses=False)
            executed += values[0] - 20
            delivery.forfeit(executed)
    # What the motor ran on by comes out of the next dose.
    if integral.runs:
        delivery.forfeit(executed)
        integral.stop()
    start(60_000_000)
    advance(5)
    assert abs(doses - integral.steps) <= 1


# --- the whole pump

commands = st.lists(
    st.tuples(
        st.sampled_from(("start", "stop", "bolus", "stop start", "start stop", "bolus stop", "rate")),
        stretches,
        rates_nl_h,
    ),
    min_size=4,
    max_size=14,
)


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-15")
@pytest.mark.parametrize("examples", [10, pytest.param(400, marks=pytest.mark.long)])
def test_a_pump_that_is_stopped_and_started_delivers_the_integral(examples):
    @given(commands)
    @example([("start", 150, 5_000), ("stop", 3, 5_000)] * 8)  # 0.67 of a step each time
    @settings(max_examples=examples, deadline=None)
    def law(asked):
        _follow(asked)

    law()


def _follow(asked):
    desk = ForgetfulOnBench()
    desk.run(3)
    integral = Integral()
    integral.basal_nl_h = asked[0][2]
    desk.program(rate_num=asked[0][2])

    def flow(change, *arguments):
        integral.next.append(lambda: change(*arguments))

    for what, ticks, rate_nl_h in asked:
        integral.advance(0)
        if what == "rate":
            therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
            proposal = desk.ask("program", therapy=therapy)
            integral.advance(1)
            assert desk.ask("confirm", digest=proposal["digest"])["ok"]
            integral.advance(1)
            flow(setattr, integral, "basal_nl_h", rate_nl_h)
        else:
            runs = integral.runs
            numbers = {}
            for cmd in what.split():
                arguments = {"volume_nl": 3_001, "duration_ms": 7_000} if cmd == "bolus" else {}
                numbers[cmd] = desk.client.request(cmd, **arguments)
            desk.run(1)
            replies = {cmd: desk.client.reply(number) for cmd, number in numbers.items()}
            integral.advance(1)
            for cmd in what.split():
                reply = replies[cmd]
                assert reply is not None, f"no answer to {cmd}"
                if cmd == "stop":
                    integral.stop()
                    runs = False
                elif cmd == "start":
                    assert reply["ok"] == (not runs)
                    runs = True
                    flow(integral.start)
                elif reply.get("granted"):
                    rate = Fraction(reply["rate_num"], reply["rate_den"])
                    flow(integral.bolus, CLINICIAN, 3_001, rate)
        desk.run(ticks)
        integral.advance(ticks)
        assert abs(desk.executed_nl / NL_PER_STEP - integral.steps) <= 1
