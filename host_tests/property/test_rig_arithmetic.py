"""DOSE-01 and what guards it on any rig: 200 to 5 120 000 steps a turn, 1 to 1 000 uL, any whole gear.

The oracle are fractions; what the board computes in its steady loop is computed with integers that refuse to
leave 30 bits.
"""

from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pump_on_bench import PumpOnBench
from rigs import drawn_rigs, tables_of
from small_ints import SmallInt
from thecal import rig as rigs
from thecal.dose import prescription
from thecal.dose.mechanism import MOST_LINE_STEPS, MOST_STEPS
from thecal.dose.rate import Flow
from thecal.drivers import segment
from thecal.record.ledger import QUANTUM_TICKS, Ledger
from thecal.smallint import LARGEST
from thecal.watch.counts import END_STEPS
from thecal.watch.guard import Guard
from thecal.watch.occlusion import NONE, Occlusion
from thecal.watch.reservoir import Reservoir
from thecal_bench.flash_model import blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant
from thecal_model.rig import reference

TICKS_PER_HOUR = 36_000


def step_nl(rig) -> Fraction:
    return Fraction(rig.nl_per_rev, rig.steps_per_rev)


def rates_of(rig):
    """Basal rates of it, whole nL/h."""
    most = min(prescription.MOST_RATE_NL_H, rig.mechanism().max_rate_nl_h())
    return st.integers(prescription.LEAST_BASAL_NL_H, most) | st.just(most)


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-04", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=200, deadline=None)
def test_any_flows_are_owed_exactly_on_any_rig(rig, data):
    head = rig.mechanism()
    one = head.grains_per_step
    flow = Flow(SmallInt(one))
    flow.steps = flow.grains = SmallInt(0)
    expected = Fraction(0)
    for _ in range(data.draw(st.integers(1, 8))):
        rate_nl_h = data.draw(rates_of(rig))
        assert head.reaches(rate_nl_h, 1)
        steps, grains = map(SmallInt, head.grains_per_tick(rate_nl_h, 1))
        assert head.flow_nl_h(steps, grains) == rate_nl_h
        flow.set_rate(steps, grains)
        ticks = data.draw(st.integers(1, 864_000 if data.draw(st.booleans()) else 50))
        flow.advance(SmallInt(ticks))
        expected += rate_nl_h * ticks / step_nl(rig) / TICKS_PER_HOUR
        assert Fraction(flow.steps) + Fraction(flow.grains, one) == expected
        flow.steps = SmallInt(flow.steps % 1_000)
        expected -= int(expected) - flow.steps


@pytest.mark.req("DOSE-01", "RES-01", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=200, deadline=None)
def test_steps_are_rounded_to_volume_once_on_any_rig(rig, data):
    head, board = rig.mechanism(), rig.mechanism()
    for name in ("nl_per_rev", "steps_per_rev"):
        setattr(board, name, SmallInt(getattr(board, name)))
    steps = data.draw(st.integers(0, LARGEST) | st.integers(0, 2 * rig.steps_per_rev))
    exact_nl = steps * step_nl(rig)
    if exact_nl < 1_000_000_000:
        assert board.volume_nl(SmallInt(steps)) == exact_nl // 1
    assert board.volume_ul(SmallInt(steps)) == exact_nl // 1_000
    most_nl = min(prescription.MOST_BOLUS_NL, head.most_nl)
    volume = Fraction(data.draw(st.integers(1, most_nl * 7)), 7)
    whole, grains = head.grains_of_volume(volume.numerator, volume.denominator)
    assert whole <= MOST_STEPS
    owed = volume / step_nl(rig)
    assert 0 <= owed - (whole + Fraction(grains, head.grains_per_step)) < Fraction(1, head.grains_per_step)
    assert head.most_line_nl / step_nl(rig) <= MOST_LINE_STEPS
    # What is refused for its size is refused by the smallness of steps alone, and no default is.
    assert head.most_nl >= prescription.LOW_NL and head.most_line_nl >= 300_000


@pytest.mark.req("LIM-03", "LIM-05", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=200, deadline=None)
def test_the_guard_of_any_rig_lets_through_what_its_rate_and_limit_allow(rig, data):
    rate_nl_h = data.draw(rates_of(rig))
    guard = Guard(rig.nl_per_rev, rig.steps_per_rev, rate_nl_h)
    for ticks in (1, 2):
        due = rate_nl_h * ticks / step_nl(rig) / TICKS_PER_HOUR
        assert due + 2 <= guard.segment_most[ticks] < due + 3
    most_nl = min(prescription.MOST_BOLUS_NL, rig.mechanism().most_nl)
    volume = Fraction(data.draw(st.integers(1, most_nl) | st.just(most_nl)))
    guard.set_limit(volume.numerator, volume.denominator)
    guard.limit_steps = SmallInt(guard.limit_steps)
    content = SmallInt(data.draw(st.integers(0, guard.limit_steps) | st.just(0)))
    executed = SmallInt(data.draw(st.integers(0, END_STEPS) | st.just(END_STEPS)))
    guard.rest(executed)
    guard.look_at_window(executed, content, SmallInt(0))
    allowed = guard.allow(executed, executed + guard.segment_most[2], 2)
    # More is by a whole microstep or more.
    assert content + (allowed - executed) < volume / step_nl(rig) + 1
    assert allowed == min(executed + guard.segment_most[2], executed + guard.limit_steps - content)
    # A line that is still to be filled comes on top, as far as lines go.
    guard.look_at_window(executed, content, SmallInt(MOST_LINE_STEPS))
    assert guard.window_most == executed + MOST_LINE_STEPS + guard.limit_steps - content
    # A limit in the volume of an old drug may be any number of times as large, and then binds nothing.
    guard.set_limit(volume.numerator * 10**9, volume.denominator)
    assert guard.limit_steps <= MOST_STEPS


@pytest.mark.req("RES-01", "RES-02", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=200, deadline=None)
def test_the_reservoir_of_any_rig_is_exact(rig, data):
    reservoir = Reservoir(rig.nl_per_rev, rig.steps_per_rev)
    most_nl = min(prescription.MOST_RESERVOIR_NL, rig.mechanism().most_nl)
    low_nl = data.draw(st.integers(0, most_nl))
    empty_nl = data.draw(st.integers(0, low_nl))
    reservoir.set_levels(low_nl, empty_nl)
    at = data.draw(st.integers(0, END_STEPS))
    countable_nl = rig.mechanism().volume_nl(LARGEST - at)
    fill_nl = data.draw(st.integers(1, min(prescription.MOST_RESERVOIR_NL, countable_nl)))
    reservoir.refill(fill_nl, at)
    made = (fill_nl - low_nl) / step_nl(rig)
    assert reservoir.low_steps - at - 1 < made <= reservoir.low_steps - at
    assert 0 <= (fill_nl - empty_nl) / step_nl(rig) - (reservoir.empty_steps - at) < 1
    assert 0 <= fill_nl / step_nl(rig) - reservoir.left_steps(at) < 1
    assert reservoir.fill_steps <= LARGEST


class Words(dict):
    def __missing__(self, key):
        return SmallInt(0)


class NoJournal:
    words = Words()


@pytest.mark.req("REC-02", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=100, deadline=None)
def test_the_quantum_that_is_booked_is_a_microlitre_a_minute_or_a_step_on_any_rig(rig, data):
    head = rig.mechanism()
    ledger = Ledger(NoJournal(), head.grains_of_volume(1_000)[0])
    rate_nl_h = data.draw(rates_of(rig))
    steps, grains = map(SmallInt, head.grains_per_tick(rate_nl_h, 1))
    ledger.set_flow(steps, grains, SmallInt(head.grains_per_step))
    per_tick = rate_nl_h / step_nl(rig) / TICKS_PER_HOUR
    least = -int(-per_tick * 20 // 1)
    assert ledger.quantum_steps >= max(per_tick * 20 // 1, 1)
    assert ledger.quantum_steps <= max(min(per_tick * QUANTUM_TICKS, 1_000 / step_nl(rig)), least + 1, 1)


class Line:
    """An elastic line behind a motor on a rig, in closed form: open it stands at rest, blocked it fills."""

    def __init__(self, rig):
        self.step_nl = step_nl(rig)
        self.detector = Occlusion(rig.nl_per_rev, rig.steps_per_rev)
        for name in ("unit_steps", "step_pl", "flow_ul_h", "least_16", "most_16", "step_pa"):
            setattr(self.detector, name, SmallInt(getattr(self.detector, name)))
        self.steps = self.tick = 0
        self.blocked_at: int | None = None

    def turn(self, rate_nl_h):
        self.tick += 1
        self.steps = int(rate_nl_h * self.tick / self.step_nl / TICKS_PER_HOUR)
        pressure_pa = 1_000 + self.tick % 2 * 50
        if self.blocked_at is not None:
            pressure_pa += int((self.steps - self.blocked_at) * self.step_nl * 2)  # 0.5 uL/kPa
        return self.detector.update(1, SmallInt(self.steps), SmallInt(min(pressure_pa, 184_000)), True)


@pytest.mark.req("OCC-02", "OCC-03", "OCC-05", "RIG-01")
@given(drawn_rigs(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_blocked_line_is_seen_on_any_rig_and_an_open_one_is_none(rig, data):
    """At rates at which the flow itself hardly shows. Two steps at least are needed, and a block of time."""
    line = Line(rig)
    most = min(100_000, rig.mechanism().max_rate_nl_h())
    rate_nl_h = data.draw(st.integers(min(20_000, most), most))
    each = max(int(line.step_nl * TICKS_PER_HOUR / rate_nl_h), 10)  # ticks of a step, or of a block
    for _ in range(max(each * 4, 300)):
        assert line.turn(rate_nl_h) == NONE
    line.blocked_at = blocked_at = line.steps
    alarm, since_nl = NONE, Fraction(0)
    while alarm == NONE:
        alarm = line.turn(rate_nl_h)
        since_nl = (line.steps - blocked_at) * line.step_nl
        assert since_nl <= 1_000 + 3 * line.step_nl + Fraction(2 * each * rate_nl_h, TICKS_PER_HOUR)
    stored_nl = line.detector.stored_nl()
    assert stored_nl <= since_nl * 2 + 1_000


class LatePump(PumpOnBench):
    """Every turn of its loop is late, by up to nine tenths of a tick."""

    def board(self, plant, flash):
        return HostBench(plant, flash=flash, lateness_us=lambda turn: turn * 37_003 % 90_000)


def step_gaps_us(motor):
    """The shortest time from step to step in each segment that is ordered from now on."""
    gaps_us = []
    queue = motor.queue

    def watched(target_steps, cycles, first, lag, at_cycles):
        queue(target_steps, cycles, first, lag, at_cycles)
        cut = motor._waiting[-1] if motor._waiting else motor._cut
        if cut.steps > 1:
            gaps_us.append(cut.period // segment.CYCLES_PER_US)

    motor.queue = watched
    return gaps_us


@pytest.mark.req("DOSE-01", "DOSE-07", "MOT-02", "RIG-01", "RIG-03")
@given(drawn_rigs(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_pump_on_any_rig_makes_what_is_owed_to_a_step_and_a_bolus_to_its_volume(rig, data):
    late = data.draw(st.booleans())
    desk = (LatePump if late else PumpOnBench)(Plant(rig=rig), blank_flash(rig))
    gaps_us = step_gaps_us(desk.bench.motor)
    most_nl_h = min(prescription.MOST_RATE_NL_H, rig.mechanism().max_rate_nl_h())
    basal_nl_h = data.draw(st.integers(2_000, most_nl_h))
    start = desk.start(rate_num=basal_nl_h, line_nl=0)

    def made():
        return desk.pump.position.executed_steps

    def owed(rate_nl_h, ticks):
        return Fraction(rate_nl_h * ticks, TICKS_PER_HOUR) / step_nl(rig)

    for ticks in range(1, 60):
        desk.run(1)
        assert late or abs(made() - owed(basal_nl_h, desk.tick - start)) <= 1, ticks
    room_nl_h = most_nl_h - basal_nl_h
    bolus_nl = max(room_nl_h * 20 // TICKS_PER_HOUR, 1)
    answer = desk.ask("bolus", volume_nl=bolus_nl, duration_ms=2_000)
    if answer.get("granted"):
        rate = Fraction(answer["rate_num"], answer["rate_den"])
        ticks = int(-(-Fraction(bolus_nl * TICKS_PER_HOUR) // rate)) + 20
        if ticks > 400:
            return
        desk.run(ticks)
        total = owed(basal_nl_h, desk.tick - start) + bolus_nl / step_nl(rig)
        # A loop that is late hears of its steps late as well.
        assert late or abs(made() - total) <= 2
    assert desk.ask("stop")["ok"]
    desk.run(5)
    stood = made()
    desk.run(5)
    assert made() == stood == desk.bench.motor.executed_steps(desk.bench._at_cycles)
    assert all(gap_us >= max(rig.interval_us, 400) for gap_us in gaps_us)
    assert desk.of("alarm") == [] and desk.of("part_failed") == []


@pytest.mark.req("MOT-06", "RIG-01")
def test_a_slow_motor_gets_no_steps_faster_than_it_follows_after_a_reset_too():
    """One that follows from 5 ms on, with many more steps ordered."""
    tables = tables_of(reference())
    tables["driver"]["interval_us"] = 5_000
    rig = rigs.read(tables)
    desk = PumpOnBench(Plant(rig=rig), blank_flash(rig))
    for _ in range(2):
        motor = desk.bench.motor
        gaps_us = step_gaps_us(motor)
        before = motor.ordered_steps
        motor.queue(before + 1_000, segment.TICK_CYCLES, -1, 0, desk.bench._at_cycles)
        assert motor.ordered_steps - before == 19
        assert 5_000 <= min(gaps_us) < 5_300
        desk.reset()
