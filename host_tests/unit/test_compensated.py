"""PERF-05 and what a head's table touches besides: booking, the reservoir, a stop, the guard, a draw-back."""

from fractions import Fraction

import pytest
from head_tables import rig_with
from pump_on_bench import NL_PER_STEP, PumpOnBench
from thecal import states
from thecal.watch import alarms
from thecal_bench.displacement import table_of
from thecal_bench.parameters import REFERENCE, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.pulsation import EdgeBench, evenness
from thecal_host.live import from_status
from thecal_host.vitals import head_text
from thecal_model.rig import reference

TICKS_PER_HOUR = 36_000
SETTLED_TICKS = 370  # 20 time constants of the line
SINE = PlantParameters(pulsation_percent=Fraction(40))
DIP = PlantParameters(dip_percent=Fraction(150))
ROLLER = PlantParameters(pulsation_percent=Fraction(40), dip_percent=Fraction(150))
UNEVEN = PlantParameters()
TO_MARK_STEPS = 30
START = REFERENCE.steps_per_rev - TO_MARK_STEPS
FIND_NL_H, FIND_TICKS = 500_000, 250  # so slow that a tick is half a step, and the mark is known to one
STEEP = [0, 1_000, 15_000, 5_000, 0, 0, 0, 0]  # from its third place on the head takes back
RISE = [0, 3_000, 20_000, 15_000, 10_000, 5_000, 0, 0]  # its second place displaces 2.4 times the mean


class Head(PumpOnBench):
    """A pump whose rig has `table`, before the index mark."""

    bench: EdgeBench

    def __init__(self, table, parameters=UNEVEN, start=START):
        self.plant = Plant(parameters, rig=rig_with(table), angle_steps=start)
        super().__init__(self.plant)

    def board(self, plant, flash) -> EdgeBench:
        return EdgeBench(plant, flash=flash)

    @property
    def head(self):
        return self.pump.position.head

    def stop(self):
        assert self.ask("stop")["ok"]
        self.run(10)

    def find_mark(self, times=1):
        """Run slowly over the mark, and once more after a turn."""
        for number in range(times):
            if number:
                self.start(rate_num=6_000_000)
                self.run(REFERENCE.steps_per_rev * 3 // 16 - 20)
                self.stop()
            self.start(rate_num=FIND_NL_H)
            self.run(FIND_TICKS)
            self.stop()
        assert self.head.known(self.pump.position.counted_steps)


def evenness_of(parameters, table, rate_nl_h):
    """Over a pitch and a tenth."""
    desk = Head(table, parameters)
    desk.find_mark(2 if desk.head.takes_back else 1)
    desk.start(rate_num=rate_nl_h)
    desk.run(30)
    assert desk.head.compensates == bool(table)
    begun = len(desk.bench.edges_ns)
    desk.run(SETTLED_TICKS + TICKS_PER_HOUR * 110_000 // 3 // rate_nl_h)
    edges, positions = desk.bench.edges_ns[begun:], desk.bench.positions[begun:]
    return evenness(edges, [START + position for position in positions], parameters, REFERENCE, table)


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize("rate_nl_h", [20_000, 500_000, 6_000_000])
def test_the_true_table_makes_a_sine_fifty_times_more_even(rate_nl_h):
    without, found = (evenness_of(SINE, table, rate_nl_h) for table in ([], table_of(SINE, REFERENCE)))
    assert 0.38 < without.flow < 0.41
    assert found.flow * 50 <= without.flow
    assert found.outflow * 50 <= without.outflow


@pytest.mark.req("PERF-05")
@pytest.mark.parametrize(
    ("roller", "rate_nl_h"), [(DIP, 20_000), (DIP, 500_000), (ROLLER, 500_000), (ROLLER, 6_000_000)]
)
def test_the_true_table_makes_a_roller_that_takes_back_twenty_times_more_even(roller, rate_nl_h):
    """Faster, the steps of a segment would be off where the flow falls before the dip."""
    without, found = (evenness_of(roller, table, rate_nl_h) for table in ([], table_of(roller, REFERENCE)))
    assert found.dip is not None and found.dip.back_nl > 100
    assert without.dip is not None and without.dip.steps == found.dip.steps
    assert found.windows > 0.8 * found.all_windows
    assert found.flow * 20 <= without.flow


@pytest.mark.req("REC-02", "DOSE-01")
def test_a_flow_of_2_ul_h_goes_on_where_the_next_step_displaces_three():
    """A motor that waits for more to be booked, and a booking that waits for the motor, wait for ever."""
    desk = Head(RISE)
    desk.find_mark()
    assert desk.head.behind_steps == 3
    desk.start(rate_num=20_000)
    before = desk.pump.position.executed_steps
    desk.run(TICKS_PER_HOUR)
    assert desk.head.compensates
    assert abs((desk.pump.position.executed_steps - before) * NL_PER_STEP - 20_000) <= 4 * NL_PER_STEP
    assert not desk.of("limited")


@pytest.mark.req("RES-02", "RES-03")
def test_an_empty_reservoir_is_told_though_the_next_step_displaces_more_than_is_left():
    for spare in range(0, 100, 20):
        desk = Head(RISE)
        desk.find_mark()
        desk.program(low_nl=5_000, empty_nl=1_000)
        desk.refill(10_000 + spare)
        assert desk.ask("start")["ok"]
        desk.run(120)
        assert desk.pump.alarms.standing[alarms.RESERVOIR_EMPTY]
        left_steps = desk.pump.reservoir.left_steps(desk.pump.position.executed_steps)
        assert 32 <= left_steps <= 32 + 1


@pytest.mark.req("DOSE-01", "DOSE-02")
def test_a_flow_that_is_stopped_again_and_again_loses_nothing():
    made = []
    for table in ([], RISE):
        desk = Head(table)
        desk.find_mark()
        desk.program(rate_num=600_000)
        before = desk.pump.position.executed_steps
        for number in range(60):
            assert desk.ask("start")["ok"]
            desk.run(7 + number % 13)
            assert desk.ask("stop")["ok"]
            desk.run(5)
        made.append(desk.pump.position.executed_steps - before)
    assert made[0] > 300
    assert abs(made[1] - made[0]) <= 4


@pytest.mark.req("LIM-05", "SAFE-07")
def test_a_table_that_is_wrong_in_memory_turns_the_rotor_no_further_than_its_ripple():
    desk = Head(table_of(SINE, REFERENCE))
    desk.find_mark()
    desk.start(rate_num=600_000)
    desk.run(30)
    assert desk.head.compensates
    counted = desk.pump.position.counted_steps
    volume = desk.pump.position.executed_steps
    right = desk.head.steps_at
    desk.head.steps_at = lambda units: right(units) + 1_000
    desk.run(100)
    made = desk.pump.position.counted_steps - counted
    owed = desk.pump.delivery.position() - volume
    assert desk.head.ripple_steps - 5 <= made - owed <= desk.head.ripple_steps + 5


@pytest.mark.req("OCC-05", "MOT-03")
def test_a_head_counts_as_uniform_while_the_line_is_drawn_back():
    desk = Head(table_of(SINE, REFERENCE))
    desk.refill(20_000_000)
    desk.find_mark()
    desk.start(rate_num=1_000_000, max_rate_nl_h=2_000_000)
    desk.run(300)
    assert desk.head.compensates
    desk.plant.occlude("downstream", desk.tick * 100_000_000)
    for _ in range(3_000):
        desk.run(1)
        if desk.pump.control.state == states.HALTED:
            break
    desk.run(20)
    from_steps = desk.pump.position.counted_steps
    assert desk.ask("acknowledge")["ok"]
    drawn = flushed = 0
    while desk.pump.control.state == states.DRAW_BACK:
        assert not desk.head.compensates
        desk.run(1)
        drawn += 1
        flushed += desk.bench.outputs.motion_flush
    assert drawn > 5 and flushed <= 3  # it is planned once, not anew in each tick
    (_, _, begun_nl, begun), (_, _, back_nl, done) = desk.of("draw_back")
    assert (begun, done) == (1, 0) and begun_nl == back_nl > 500
    desk.run(10)
    assert abs((from_steps - desk.pump.position.counted_steps) * NL_PER_STEP - back_nl) <= NL_PER_STEP


@pytest.mark.req("PERF-05")
def test_the_pump_says_whether_it_evens_out_and_why_not():
    desk = Head(table_of(SINE, REFERENCE))
    statuses = []
    desk.client.on_status = statuses.append

    def said():
        desk.run(12)
        return head_text(statuses[-1], desk.plant.rig)

    assert said() == "counts as uniform: its phase is not known, until the next index mark"
    desk.find_mark()
    assert said() == "counts as uniform: it rests"
    desk.start(rate_num=600_000)
    desk.run(20)
    counted = desk.pump.position.counted_steps
    assert said().startswith("evened out by its table, ")
    assert TO_MARK_STEPS + statuses[-1]["phase_steps"] in range(counted - 1, counted + 12)
    assert head_text(statuses[-1], reference()) == "counts as uniform: it has no table"
    fast = {**statuses[-1], "compensated": 0, "rate_nl_h": 9_000_000}
    assert head_text(fast, desk.plant.rig).endswith("it is as fast as a 16th of the motor's greatest rate")
    waits = {**statuses[-1], "compensated": 0}
    assert head_text(waits, desk.plant.rig).endswith("waits for a mark that agrees with the one before")
    shown = from_status(statuses[-1], NL_PER_STEP, 100, rig=desk.plant.rig)
    assert shown.head.startswith("evened out by its table, ")
    assert not from_status(statuses[-1], NL_PER_STEP, 100, rig=reference()).head


@pytest.mark.req("DOSE-02")
def test_a_plan_that_was_given_up_stays_so_when_the_head_counts_otherwise():
    desk = Head(table_of(SINE, REFERENCE))
    desk.find_mark()
    desk.start(rate_num=600_000)
    desk.run(20)
    desk.client.request("stop")
    while desk.pump.control.state != states.STOPPED:
        desk.run(1)
    assert desk.head.compensates
    desk.pump.delivery.replan = True
    desk.run(1)
    assert not desk.head.compensates and desk.pump.delivery.replan


FILLS_NL_H = 1_700_000


@pytest.mark.req("LIM-03", "LIM-05", "LIM-06", "PERF-05")
@pytest.mark.parametrize("table", [table_of(SINE, REFERENCE), table_of(DIP, REFERENCE), RISE])
def test_a_basal_that_fills_the_limit_is_never_cut_though_the_rotor_turns_unevenly(table):
    """In ten minutes of it are nine pitches; the history of a flow does not hold the places of its table."""
    desk = Head(table)
    desk.refill(20_000_000)
    desk.find_mark(2 if desk.head.takes_back else 1)
    desk.run(6_000)
    desk.start(rate_num=FILLS_NL_H, limit={"volume_nl": -(-FILLS_NL_H // 6), "window_ms": 600_000})
    desk.run(6_500)
    assert desk.head.compensates
    assert desk.pump.ledger.content_steps() == desk.pump.guard.limit_steps
    assert desk.ask("stop")["ok"]
    assert desk.ask("start")["ok"], "what it gave does not keep it from going on"
    desk.run(500)
    assert not desk.of("limited")
    assert "LIMIT_GUARD" not in str(desk.ask("alarms")["alarms"])
