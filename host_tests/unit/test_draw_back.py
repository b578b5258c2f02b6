"""OCC-05: what a blocked line holds is drawn back before it is opened, on the reference plant.

In-process: the pump, its motor and the plant's line. The released bolus is what leaves the catheter within
ten seconds of its opening (five time constants of the line) while nothing is delivered: nothing is owed then.
"""

import pytest
from blocked_line import Blocked
from pump_on_bench import NL_PER_STEP
from thecal import states
from thecal.handlers.running import MOST_DRAW_BACK_NL
from thecal.watch import alarms

MOST_RELEASED_NL = 300


@pytest.mark.req("OCC-05")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rate_ul_h", [2, 10, 100, 1_000])
def test_the_released_bolus_is_small_after_a_draw_back_and_all_that_is_stored_without(rate_ul_h, seed):
    without = Blocked(rate_ul_h, seed)
    stored_nl = without.plant.stored_nl(without.now_ns)
    assert stored_nl > 500
    assert without.opened() == pytest.approx(stored_nl, rel=0.01)

    drawn = Blocked(rate_ul_h, seed)
    drawn.acknowledge()
    assert abs(drawn.opened()) <= MOST_RELEASED_NL
    assert drawn.ask("start")["ok"]
    drawn.run(600)
    assert drawn.pump.control.state == states.RUNNING


@pytest.mark.req("OCC-05")
def test_it_is_told_with_the_volume_at_the_alarm_and_when_it_is_drawn():
    desk = Blocked(100)
    ((_, _, stored_nl, _),) = desk.of("occlusion")
    assert stored_nl == pytest.approx(desk.plant.stored_nl(desk.now_ns), abs=100)
    before_nl = desk.plant.displaced_nl()
    desk.acknowledge()
    begun, done = desk.of("draw_back")
    assert (begun[3], done[3]) == (1, 0) and begun[2] == done[2]
    drawn_nl = before_nl - desk.plant.displaced_nl()
    assert abs(begun[2] - drawn_nl) <= NL_PER_STEP


@pytest.mark.req("OCC-05")
def test_a_line_that_came_open_by_itself_is_not_drawn_back():
    desk = Blocked(100)
    desk.opened()
    before_nl = desk.plant.displaced_nl()
    desk.acknowledge()
    assert before_nl - desk.plant.displaced_nl() < 100, "noise of the sensor at most"


@pytest.mark.req("RES-01", "LIM-03", "OCC-05")
def test_the_reservoir_gets_it_back_and_the_window_credits_nothing():
    limit = {"volume_nl": 1_000_000, "window_ms": 14_400_000}
    desk = Blocked(100, limit=limit)
    pump = desk.pump
    left_steps = pump.reservoir.left_steps(pump.position.executed_steps)
    in_window = pump.ledger.content_steps()
    executed_steps = pump.position.executed_steps
    assert in_window == executed_steps > 0
    desk.acknowledge()
    drawn_steps = executed_steps - pump.position.executed_steps
    assert drawn_steps > 16
    assert pump.reservoir.left_steps(pump.position.executed_steps) == left_steps + drawn_steps
    assert pump.ledger.content_steps() == in_window
    desk.opened()
    assert desk.ask("start")["ok"]
    desk.run(600)
    again = pump.position.executed_steps - (executed_steps - drawn_steps)
    assert again > 0
    assert pump.ledger.content_steps() == in_window + again, "what goes forward once more counts once more"


@pytest.fixture
def open_again():
    """So slow, and open, that the sensor bears it when far too much is drawn back."""
    desk = Blocked(1_000, max_rate_nl_h=6_000_000)
    desk.opened()
    return desk


@pytest.mark.req("MOT-03")
@pytest.mark.parametrize("estimate_nl", [MOST_DRAW_BACK_NL, 10_000_000])
def test_no_more_is_drawn_back_than_a_line_may_hold(open_again, monkeypatch, estimate_nl):
    monkeypatch.setattr(open_again.pump.senses, "stored_nl", lambda: estimate_nl)
    before = open_again.pump.position.executed_steps
    open_again.acknowledge()
    assert before - open_again.pump.position.executed_steps == MOST_DRAW_BACK_NL // NL_PER_STEP == 1_664


@pytest.mark.req("MOT-03")
def test_an_order_to_go_back_is_cut_whatever_is_planned(open_again, monkeypatch):
    dosing = open_again.pump.control.dosing
    run_motor = dosing.run_motor
    monkeypatch.setattr(open_again.pump.senses, "stored_nl", lambda: MOST_DRAW_BACK_NL)
    monkeypatch.setattr(dosing, "run_motor", lambda volume, *rest: run_motor((3 * volume[0], 1), *rest))
    before = open_again.pump.position.executed_steps
    open_again.acknowledge()
    assert before - open_again.pump.position.executed_steps == 1_664


@pytest.mark.req("OCC-05", "OCC-01")
def test_a_line_that_is_drawn_back_far_too_much_is_seen(monkeypatch):
    desk = Blocked(1_000)
    monkeypatch.setattr(desk.pump.senses, "stored_nl", lambda: MOST_DRAW_BACK_NL)
    before_nl = desk.plant.displaced_nl()
    desk.ask("acknowledge")
    desk.run(100)
    assert desk.pump.control.state == states.HALTED and desk.pump.alarms.standing[alarms.SENSOR_FAULT]
    # The 1.9 uL that it held, 9.5 uL to 19 kPa of suction, where the sensor ends, and 0.5 s at 120 mL/h.
    assert before_nl - desk.plant.displaced_nl() < 1_900 + 9_500 + 17_000


@pytest.mark.req("OCC-05")
def test_nothing_starts_by_itself_after_it():
    desk = Blocked(100)
    desk.acknowledge()
    desk.opened()
    before = desk.pump.position.executed_steps
    desk.run(6_000)
    assert desk.pump.control.state == states.STOPPED and desk.pump.position.executed_steps == before
