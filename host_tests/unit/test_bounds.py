"""Lockout, reservoir, resets, the STOP button, paired counts: each by itself, at its bound and beside it."""

import pytest
from thecal.watch.button import Button
from thecal.watch.lockout import Lockout
from thecal.watch.reservoir import Reservoir
from thecal.watch.resets import Resets
from thecal.watch.twice import PairedCounts

DAY = 864_000
STEPS_PER_ML = 32_000


# --- lockout


@pytest.mark.req("LIM-02")
@pytest.mark.parametrize("lockout_ticks", [0, 1, 600, DAY])
def test_the_lockout_runs_from_the_last_end_to_the_tick(lockout_ticks):
    lockout = Lockout()
    assert not lockout.locked(0, lockout_ticks), "nothing was given yet"
    lockout.end(1_000)
    lockout.end(5_000)
    if lockout_ticks:
        assert lockout.locked(5_000 + lockout_ticks - 1, lockout_ticks)
    assert not lockout.locked(5_000 + lockout_ticks, lockout_ticks)


@pytest.mark.req("LIM-01", "LIM-07")
@pytest.mark.parametrize("kind", ["grant", "deny"])
def test_a_day_holds_what_came_in_its_last_864_000_ticks_and_96_at_most(kind):
    lockout = Lockout()
    count = lockout.in_last_day if kind == "grant" else lockout.denied_in_last_day
    add = lockout.grant if kind == "grant" else lockout.deny
    for tick in (0, 1, 500):
        add(tick)
    assert [count(DAY - 1), count(DAY), count(DAY + 1), count(DAY + 500)] == [3, 2, 1, 0]
    came = [0, 1, 500]
    for tick in range(DAY, DAY + 200):
        add(tick)
        came.append(tick)
        assert count(tick) == min(sum(tick - other < DAY for other in came), 96)
    assert count(2 * DAY + 150) == 49
    assert (lockout.count, lockout.denied_count)[kind == "deny"] == 203


# --- reservoir


def filled(fill_ml=20, at=1_000, low_nl=1_000_000, empty_nl=500_000):
    reservoir = Reservoir(100_000, 3_200)
    reservoir.set_levels(low_nl, empty_nl)
    reservoir.refill(fill_ml * 1_000_000, at)
    return reservoir


@pytest.mark.req("RES-01", "RES-02")
def test_low_and_empty_come_on_their_step_and_count_from_the_last_fill():
    reservoir = filled()
    low, empty = 1_000 + 19 * STEPS_PER_ML, 1_000 + 39 * STEPS_PER_ML // 2
    assert not reservoir.low(low - 1) and reservoir.low(low)
    assert not reservoir.empty(empty - 1) and reservoir.empty(empty)
    assert reservoir.left_steps(1_000) == 20 * STEPS_PER_ML
    assert reservoir.left_steps(low) == STEPS_PER_ML
    reservoir.refill(5_000_000, empty)
    assert reservoir.left_steps(empty + 32) == 5 * STEPS_PER_ML - 32
    assert not reservoir.low(empty + 4 * STEPS_PER_ML - 1) and reservoir.low(empty + 4 * STEPS_PER_ML)
    reservoir.set_levels(2_000_000, 0)
    assert reservoir.low(empty + 3 * STEPS_PER_ML) and not reservoir.empty(empty + 5 * STEPS_PER_ML - 1)


@pytest.mark.req("RES-02")
def test_a_level_between_two_steps_is_low_on_the_step_that_passes_it_and_empty_before_it():
    reservoir = filled(fill_ml=1, at=0, low_nl=999_990, empty_nl=999_990)
    assert not reservoir.low(0) and reservoir.low(1), "10 nL are a third of a step"
    assert reservoir.empty(0)


def test_a_reservoir_that_was_never_filled_warns_of_nothing():
    reservoir = Reservoir(100_000, 3_200)
    reservoir.set_levels(1_000_000, 500_000)
    assert not reservoir.low(1 << 29) and not reservoir.empty(1 << 29) and reservoir.left_steps(5) == 0


# --- resets


@pytest.mark.req("SAFE-04")
def test_the_fifth_reset_within_ten_minutes_latches_and_then_the_count_begins_anew():
    resets = Resets()
    assert [resets.too_many(tick) for tick in (0, 100, 200, 300)] == [False] * 4
    assert resets.too_many(5_999)
    assert [resets.too_many(tick) for tick in (6_000, 6_001, 6_002)] == [False] * 3
    apart = Resets()
    assert not any(apart.too_many(tick) for tick in range(0, 60_000, 1_500))
    assert any(apart.too_many(tick) for tick in range(60_000, 67_000, 1_499))


# --- the STOP button


@pytest.mark.req("ALM-05")
def test_a_button_is_pressed_once_and_stuck_after_a_minute():
    button = Button()
    button.look(True, 1)
    assert button.pressed and button.held
    for _ in range(599):
        button.look(True, 1)
        assert not button.pressed and not button.stuck()
    button.look(True, 1)
    assert button.stuck()
    button.look(False, 1)
    assert not button.held and not button.stuck()
    button.look(True, 1)
    assert button.pressed and not button.stuck()
    button.look(True, 600)
    assert button.stuck(), "merged ticks count as many"


@pytest.mark.req("ALM-05", "LIM-01")
@pytest.mark.parametrize(
    ("debounce_ms", "looks"), [(0, 1), (30, 1), (99, 1), (100, 2), (250, 3), (1_000, 11)]
)
def test_the_first_contact_presses_a_button_and_no_bounce_does_so_again(debounce_ms, looks):
    """It bounces for `debounce_ms` when it closes and when it opens: so many looks may see anything."""
    for bits in range(1 << 2 * looks) if looks < 4 else (0b01010101010_10101010101, 0b1111111111_00000000000):
        button = Button(debounce_ms)
        presses = []
        closing = [bool(bits >> n & 1) for n in range(looks)]
        opening = [bool(bits >> looks + n & 1) for n in range(looks)]
        for number, down in enumerate([*closing, True, True, True, *opening, *[False] * looks]):
            button.look(down, 1)
            if button.pressed:
                presses.append(number)
            assert button.held or not down
        assert presses == [[*closing, True].index(True)], (bits, "at the first contact, once")
        assert not button.held
        button.look(True, 1)
        assert button.pressed, "then it can be pressed again"


def test_ticks_that_were_merged_do_not_end_a_bounce_that_nobody_saw_begin():
    button = Button(150)
    for down, ticks in ((True, 1), (False, 5), (True, 1)):
        button.look(down, ticks)
        assert button.held and button.pressed == (button.held_ticks == 0 and down)
    button.look(False, 1)
    button.look(False, 5)
    assert not button.held


# --- counts that are kept twice


@pytest.mark.req("SAFE-07")
def test_a_flipped_count_is_seen_when_it_is_taken_and_when_it_is_its_turn_and_never_mended():
    def flipped():
        counts = PairedCounts(5)
        counts.set(3, 700)
        counts.counts[3] ^= 64
        return counts

    counts = flipped()
    assert counts.take(3) != 700 and not counts.sound
    counts = flipped()
    counts.add(3, 5)
    counts.look(3)
    assert not counts.sound, "adding mends nothing"
    counts = flipped()
    for turn in range(5):
        assert counts.sound == (turn < 4)
        counts.look_at_next()
    assert not counts.sound
    whole = PairedCounts(5)
    for _ in range(3):
        whole.add(2, 9)
    assert whole.take(2) == 27 and whole.take(2) == 0
    for _ in range(12):
        whole.look_at_next()
    assert whole.sound
