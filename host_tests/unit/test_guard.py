"""The guard by itself: every bound, at it and a step beyond. The reference: 31.25 nL a microstep."""

import pytest
from thecal.watch.guard import ROUNDING_STEPS, Guard

REV_NL, REV_STEPS = 100_000, 3_200
ML_H = 1_000_000
FREE = 1 << 29


@pytest.fixture
def guard():
    """At 60 mL/h: 53 1/3 microsteps a tick."""
    return Guard(REV_NL, REV_STEPS, 60 * ML_H)


@pytest.mark.req("LIM-05", "DOSE-12", "MOT-04")
@pytest.mark.parametrize(("ticks", "most"), [(1, 54), (2, 107)])
def test_a_segment_holds_what_the_largest_rate_gives_in_its_ticks_and_a_rounding(guard, ticks, most):
    assert ROUNDING_STEPS == 2
    most += ROUNDING_STEPS
    assert guard.allow(1_000, 1_000 + most, ticks) == 1_000 + most
    assert guard.allow(1_000, FREE, ticks) == 1_000 + most
    guard.set_max_rate(6 * ML_H)
    assert guard.allow(1_000, FREE, ticks) == 1_000 + (6 if ticks == 1 else 11) + ROUNDING_STEPS


@pytest.mark.req("LIM-05", "RES-02", "REC-02")
@pytest.mark.parametrize("bound", ["window_most", "reservoir_most", "booked_most"])
@pytest.mark.parametrize("room", [0, 1, 50])
def test_no_step_passes_the_nearest_of_window_reservoir_and_booking(guard, bound, room):
    setattr(guard, bound, 1_000 + room)
    assert guard.allow(1_000, 1_060, 2) == 1_000 + room
    assert guard.ordered_steps == 1_000 + room, "what was allowed is ordered, and no more"
    assert guard.allow(1_000 + room + 5, FREE, 2) == 1_000 + room + 5, "nothing is taken back"


@pytest.mark.req("LIM-03", "LIM-05")
def test_the_window_has_the_room_that_the_limit_leaves_and_what_fills_the_line(guard):
    guard.look_at_window(5_000, 900, 0)
    assert guard.allow(5_000, 5_050, 1) == 5_050, "no limit"
    # More than the limit is by a whole microstep (LIM-03): of 31.25 nL, 1 000 are 31 250.
    guard.set_limit(31_250, 1)
    assert guard.limit_steps == 1_000
    guard.set_limit(62_501, 2)
    assert guard.limit_steps == 1_001
    guard.set_limit(31_219, 1)  # 31.25 above 999.008 would be 1 000.008 steps
    assert guard.limit_steps == 1_000
    guard.set_limit(62_499, 2)
    assert guard.limit_steps == 1_000
    guard.look_at_window(5_000, 900, 0)
    assert guard.window_most == 5_100
    guard.look_at_window(5_000, 900, 7)
    assert guard.window_most == 5_107
    guard.look_at_window(5_000, 1_200, 7)
    assert guard.window_most == 5_007
    guard.set_limit(0, 1)
    guard.look_at_window(5_000, 10**6, 0)
    assert guard.window_most >= FREE


@pytest.mark.req("MOT-01", "MOT-02")
def test_the_furthest_order_is_what_was_allowed_once(guard):
    guard.rest(1_000)
    assert guard.allow(1_000, 1_040, 1) == 1_040
    assert guard.allow(1_000, 1_010, 1) == 1_010, "thrown away, and still ordered once"
    assert guard.ordered_steps == 1_040
    guard.booked_most = 1_045
    guard.allow(1_040, 1_060, 1)
    assert guard.ordered_steps == 1_045, "what was wanted and not allowed was not ordered"
    guard.rest(1_046)
    assert guard.ordered_steps == 1_046


@pytest.mark.req("MOT-03")
def test_backward_it_goes_no_faster_and_no_further_than_it_may(guard):
    assert guard.allow_back(1_000, 980, 900, 1) == 980
    assert guard.allow_back(1_000, 0, 900, 1) == 944
    assert guard.allow_back(930, 0, 900, 1) == 900
