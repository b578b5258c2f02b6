"""The head's table against fractions: any table, any head, and a mark that comes when it comes."""

from fractions import Fraction
from typing import Any

import pytest
from head_tables import exact_steps, tables
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ints import LARGEST
from thecal.dose.head import END_STEPS_PER_REV, MOST_FLOW, Head

steps_per_rev = st.one_of(
    st.sampled_from([200, 3_200, 1_016, 51_200]), st.integers(200, END_STEPS_PER_REV - 1)
)
rollers = st.integers(1, 12) | st.just(64)


@pytest.mark.req("DOSE-01", "PERF-05")
@given(tables(), steps_per_rev, rollers, st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
@settings(max_examples=200)
def test_the_volume_at_a_step_is_the_most_that_the_table_says_by_then(table, per_rev, rollers, places):
    head = Head(per_rev, rollers, table)
    # To a unit at each place, and a bit of what lies between two.
    evened: Any = head.units_of
    slack = Fraction(3, head.unit) + Fraction(MOST_FLOW << evened.__self__.bits, rollers * len(table))
    for place in places:
        steps = place % (2 * per_rev)
        units = head.units_of(steps)
        assert abs(units) <= LARGEST
        assert abs(Fraction(units, head.unit) - exact_steps(table, per_rev, rollers, steps)) <= slack
        assert head.units_of(steps + per_rev) == units + per_rev * head.unit


@pytest.mark.req("DOSE-01")
@given(tables(), steps_per_rev, rollers, st.lists(st.integers(0, 1 << 29), min_size=1, max_size=8))
@settings(max_examples=200)
def test_a_step_is_due_when_what_it_displaces_is_owed(table, per_rev, rollers, owed):
    head = Head(per_rev, rollers, table)
    for each in owed:
        units = each % (2 * per_rev * head.unit)
        steps = head.steps_at(units)
        assert head.units_of(steps) <= units < head.units_of(steps + 1)
        if not head.takes_back:
            assert units - head.units_of(steps) <= head.behind_steps * head.unit


@pytest.mark.req("DOSE-01", "DOSE-02")
@given(tables(), st.sampled_from([(200, 3), (3_200, 3), (3_200, 64), (10_360, 4)]), st.data())
@settings(max_examples=150)
def test_nothing_jumps_where_the_table_is_taken_up_or_left(table, kind, data):
    """The volume that is counted is the same before and after, but for what shows as a part of a step of the
    rotor; and over any number of changes no part is lost.
    """
    per_rev, rollers = kind
    head = Head(per_rev, rollers, table)
    counted = 0
    exact: Any = Fraction(0)
    draw_steps = st.integers(0, per_rev // 3)
    for _ in range(data.draw(st.integers(1, 25))):
        before = head.volume_at(counted)
        executed = before + (data.draw(st.integers(0, head.behind_steps)) if head.compensates else 0)
        wanted = data.draw(st.booleans())
        head.follow(counted, wanted, executed)
        ahead_steps = executed - head.volume_at(counted)
        assert 0 <= ahead_steps <= (head.behind_steps if head.compensates else 0)
        made = data.draw(draw_steps)
        was_units = head.units_of(counted - head.turn_at) if head.compensates else 0
        counted += made
        exact += (
            Fraction(head.units_of(counted - head.turn_at) - was_units, head.unit)
            if head.compensates
            else made
        )
        if head.compensates:
            assert 0 <= exact - head.volume_at(counted) < 1
        else:
            assert exact - head.volume_at(counted) == Fraction(head.part, head.unit)
            assert -head.behind_steps <= exact - head.volume_at(counted) < 1
        if counted // per_rev != (counted - made) // per_rev:
            head.look(counted - min(made, per_rev // (rollers * 80)), counted, 1)
        for value in (head.shift, head.turn_at, head.turn_steps, head.turn_part):
            assert -LARGEST <= value <= LARGEST


@pytest.mark.req("PERF-05", "MOT-03")
def test_the_phase_is_known_by_the_mark_and_forgotten_a_revolution_later():
    head = Head(3_200, 3, [0] * 8)
    assert head.phase_steps(0) == -1
    head.look(90, 95, 1)
    assert head.phase_steps(100) == 7
    head.look(3_285, 3_293, 1)  # both together: from 3290 to 3294
    assert (head.low, head.high, head.agreed) == (3_290, 3_294, 1)
    assert head.known(3_294 + 3_264) and not head.known(3_294 + 3_265)


@pytest.mark.req("PERF-05", "MOT-03")
@pytest.mark.parametrize("found", [(20, 17, 1), (20, 25, 2)], ids=["backward", "two at once"])
def test_a_mark_that_says_nothing_of_the_phase_makes_it_unknown(found):
    head = Head(3_200, 3, [0] * 8)
    head.look(10, 12, 1)
    assert head.known(20)
    head.look(*found)
    assert not head.known(20)


@pytest.mark.req("PERF-05", "MOT-03")
def test_a_phase_that_is_known_only_roughly_is_not():
    head = Head(3_200, 3, [0] * 8)
    head.look(0, 17, 1)
    assert not head.known(20)
    head.look(3_208, 3_220, 1)
    assert head.known(3_220)


@pytest.mark.req("PERF-05", "MOT-03")
def test_a_head_that_takes_back_is_evened_out_only_when_a_second_mark_agreed():
    table = [0, 5_000, 9_000, -5_000, -3_000, 0, 0, 0]
    head = Head(3_200, 3, table)
    assert head.takes_back
    head.look(10, 12, 1)
    assert not head.follow(20, True, 20)
    head.look(1_500, 1_505, 1)  # no: it came too early
    assert (head.low, head.high, head.agreed) == (1_500, 1_506, 0)
    assert not head.follow(1_510, True, 1_510)
    head.look(4_701, 4_704, 1)
    assert head.follow(4_710, True, 4_710) and head.compensates
