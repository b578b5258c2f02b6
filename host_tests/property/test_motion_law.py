"""DOSE-01 to 03, MOT-04 and 05 for the whole pump: the motor is within a step of what is owed, at every tick.

The in-process board runs the pump, its queue and the motor's exact schedule; the loop is held up at random:
on time, late, so late that ticks merge. The oracle is a `Fraction` integral of the rates, from the tick at
whose end each change took effect.
"""

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pump_on_bench import forgetful_pump
from thecal.drivers import pace
from thecal_bench.inprocess import TICK_CYCLES, HostBench
from thecal_model.link import LinkClient

NL_PER_STEP = Fraction(100_000, 3_200)
TICKS_PER_HOUR = 36_000
MOST_NL_H = 120_000_000

rates_nl_h = st.one_of(
    st.sampled_from([2_000, 60_000_000, 119_000_000, 59_999_999]),
    st.integers(2_000, 119_000_000),  # a bolus fills what is left of 120 mL/h
    st.integers(2_000, 200_000),
)
# After which change, nL, ms.
boluses = st.tuples(st.integers(0, 7), st.integers(1_000, 300_000), st.integers(1_000, 20_000))
counters_us = st.one_of(st.just(0), st.integers(pace.MASK - 3_000_000, pace.MASK), st.integers(0, 2**60))


class LawBench(HostBench):
    """Holds the motor against the oracle at every tick of the grid, those that the loop missed among them."""

    def __init__(self, **settings) -> None:
        self.owed = Fraction(0)
        self.rate_steps = Fraction(0)  # per tick
        self.bolus_left = self.bolus_rate = Fraction(0)
        self.changes: dict[int, list] = {}
        self.seen_tick = -1
        self.worst = Fraction(0)
        super().__init__(**settings)

    def change(self, tick: int, **rates: Fraction) -> None:
        self.changes.setdefault(tick, []).append(rates)

    def _turn(self, tick: int, at_cycles: int) -> None:
        for grid in range(self.seen_tick + 1, tick + 1):
            if self.seen_tick >= 0:
                room = steps_per_tick(MOST_NL_H) - self.rate_steps  # DOSE-12
                bolus = min(self.bolus_rate, self.bolus_left, room)
                self.bolus_left -= bolus
                self.owed += self.rate_steps + bolus
            for rates in self.changes.pop(grid, []):
                for name, value in rates.items():
                    setattr(self, name, value)
            self.judge(grid, self.motor.executed_steps(grid * TICK_CYCLES))
            self.seen_tick = grid
        super()._turn(tick, at_cycles)

    def judge(self, grid: int, made: int) -> None:
        """`made` by a tick of the grid, against what is owed by then."""
        self.worst = max(self.worst, abs(made - self.owed))
        assert abs(made - self.owed) <= 1, f"tick {grid}: owed {float(self.owed)}, executed {made}"


def ask(bench: HostBench, client: LinkClient, cmd: str, **arguments) -> tuple[dict, int]:
    """The reply, and the tick at whose beginning a change of flow is in force."""
    number = client.request(cmd, **arguments)
    while (reply := client.reply(number)) is None:
        bench.advance_to_tick(bench.tick + 1)
    assert reply["ok"], reply
    return reply, bench.tick + 1


def program(bench: HostBench, client: LinkClient, rate_nl_h: int, then: Callable[[int], object] = int) -> int:
    """The tick from which the rate is in force, if the pump runs, which `then` is told at once: the answer
    comes when it is written down.
    """
    therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
    proposal, _ = ask(bench, client, "program", therapy=therapy)
    before, tick = bench.pump.regimen.prescription, -1
    number = client.request("confirm", digest=proposal["digest"])
    while (reply := client.reply(number)) is None:
        bench.advance_to_tick(bench.tick + 1)
        if tick < 0 and bench.pump.regimen.prescription is not before:
            tick = bench.tick + 1
            then(tick)
    assert reply["ok"] and tick > 0, reply
    return tick


def steps_per_tick(rate_nl_h: int | Fraction) -> Fraction:
    return Fraction(rate_nl_h) / TICKS_PER_HOUR / NL_PER_STEP


@st.composite
def delays_us(draw):
    """How long the loop is held up before each turn, as a repeating pattern."""
    delay = st.one_of(st.just(0), st.integers(0, 45_000), st.sampled_from([44_000, 60_000, 150_000, 390_000]))
    return draw(st.lists(delay, min_size=1, max_size=12))


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-03", "DOSE-07", "MOT-05")
@given(
    st.lists(st.tuples(rates_nl_h, st.integers(1, 400)), min_size=1, max_size=8),
    st.one_of(st.none(), boluses),
    delays_us(),
    counters_us,
)
@example([(2_000, 1), (119_000_000, 1), (2_000, 1), (2_000, 1)], (1, 1_000, 1_000), [0], 0)
@settings(max_examples=300, deadline=None)
def test_the_motor_is_within_a_step_of_what_is_owed_at_every_tick(changes, bolus, pattern, counter_us):
    """Without a flash: what is held up for 390 ms again and again is late with its records, too."""
    lateness_us = lambda turn: pattern[turn % len(pattern)]  # noqa: E731
    follow(LawBench(pump=forgetful_pump(), lateness_us=lateness_us, counter_us=counter_us), changes, bolus)


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-07", "REC-02")
@given(
    st.lists(st.tuples(rates_nl_h, st.integers(1, 400)), min_size=1, max_size=8),
    st.one_of(st.none(), boluses),
)
@example([(13_148, 399), (13_148, 399), (2_000, 1), (60_000_000, 38), (4_603, 400)], None)
@settings(max_examples=40, deadline=None)
def test_nothing_that_is_owed_is_cut_because_it_was_not_booked(changes, bolus):
    """On the journal: the reservation follows each change, and covers the first step after it."""
    follow(LawBench(), changes, bolus)


def follow(bench: LawBench, changes, bolus) -> None:
    client = LinkClient(bench.send)
    bench.on_data = client.feed
    program(bench, client, changes[0][0])
    _, tick = ask(bench, client, "start")
    bench.change(tick, rate_steps=steps_per_tick(changes[0][0]))
    for index, (rate_nl_h, ticks) in enumerate(changes):
        if index:
            rate_steps = steps_per_tick(rate_nl_h)
            program(
                bench, client, rate_nl_h, lambda tick, rate=rate_steps: bench.change(tick, rate_steps=rate)
            )
        if bolus and bolus[0] == index and bolus[1] * 3_600 <= bolus[2] * 60_000:
            _, tick = ask(bench, client, "bolus", volume_nl=bolus[1], duration_ms=bolus[2])
            # The rate of the answer is what the basal leaves of it now.
            asked = Fraction(bolus[1] * 3_600_000, bolus[2])
            whole = bench.pump.mechanism.reachable_below(asked.numerator, asked.denominator)
            bench.change(tick, bolus_left=bolus[1] / NL_PER_STEP, bolus_rate=steps_per_tick(Fraction(*whole)))
        bench.advance_to_tick(bench.tick + ticks)
    assert not bench.motor.starved


@pytest.mark.req("MOT-04")
@given(rates_nl_h, st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_hung_loop_leaves_at_most_a_second_of_the_commanded_flow(rate_nl_h, ticks):
    bench = HostBench()
    client = LinkClient(bench.send)
    bench.on_data = client.feed
    program(bench, client, rate_nl_h)
    ask(bench, client, "start")
    bench.advance_to_tick(bench.tick + ticks)
    hung_tick = bench.tick
    before = bench.motor.executed_steps(hung_tick * TICK_CYCLES)
    bench.hang()
    after = bench.motor.executed_steps((hung_tick + 10) * TICK_CYCLES)
    assert after - before <= steps_per_tick(rate_nl_h) * 10 + 1
    assert bench.motor.executed_steps((hung_tick + 10_000) * TICK_CYCLES) == after


def test_the_oracle_sees_a_motor_that_is_two_steps_off():
    """The law can fail: a bench whose motor is pushed is caught."""
    bench = LawBench()
    client = LinkClient(bench.send)
    bench.on_data = client.feed
    program(bench, client, 6_000_000)
    _, tick = ask(bench, client, "start")
    bench.change(tick, rate_steps=steps_per_tick(6_000_000))
    bench.advance_to_tick(bench.tick + 20)
    bench.motor._base_steps += 2
    with pytest.raises(AssertionError, match="owed"):
        bench.advance_to_tick(bench.tick + 5)
