"""RIG-02: every number of the journal that counts steps, turned into another rig's: the same volume within a
step, on the side that is no risk. Over random rigs, states and histories.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from thecal import recount
from thecal.record.history import DAY_MINUTES, MOST_STEPS, History
from thecal.record.journal import Journal
from thecal.record.layout import CALIBRATION, DOSE, EXECUTED, FIELDS, RESERVED, SERIALS, place_of
from thecal.rig import Rig
from thecal.smallint import LARGEST, bounded_ratio
from thecal.watch.counts import END_STEPS
from thecal.watch.limits import WindowLedger
from thecal_bench.flash_model import blank_flash, crc_into
from thecal_model.rig import named

UP, DOWN = 1, -1
DISTANCES = {
    "filled_at_steps": UP,
    "bolus_from_steps_0": UP,
    "bolus_from_steps_1": UP,
    "drawn_from_steps": DOWN,
    "least_steps": DOWN,
}
"""Positions behind the motor, and how their distance is rounded."""

AHEAD = {"credit_end_steps": DOWN, "bridge_end_steps": UP}
UNTOUCHED = ("tick", "fill_nl", "grants", "lockout_end_tick", "denials", "therapy_serial", "bridge_old")

# Nanolitres and steps of a revolution.
UNITS = st.tuples(st.integers(1_000, 1_000_000), st.sampled_from((200, 3_200, 16_576, 51_200, 1_024_000)))


def rig_of(unit: tuple[int, int], serial: int = 2, pulses: int = 100) -> Rig:
    rig = Rig(named("reference").tables)
    rig.nl_per_rev, rig.steps_per_rev = unit
    rig.serial, rig.wear_pulses_per_rev = serial, pulses
    return rig


@cache
def blank_journal() -> Journal:
    journal = Journal(crc_into)
    journal.recover(blank_flash(None).image)
    return journal


def recovered() -> Journal:
    """A journal that holds nothing."""
    journal = blank_journal()
    journal.state.blank()
    journal.history = History(journal.words, journal.history_writer.ring, [])
    journal.history_writer.go_on(journal.history)
    return journal


@st.composite
def states(draw: st.DrawFn) -> dict[str, int]:
    """The fields of a pump that has delivered something."""
    at = draw(st.integers(0, 1 << 20))
    fields = {"reserved_steps": at, "executed_steps": at - draw(st.integers(0, min(at, 600)))}
    fields["dose_steps"] = draw(st.integers(0, at))
    for name in DISTANCES:
        fields[name] = draw(st.integers(0, at))
    for name in ("drawn_from_steps", "least_steps"):
        fields[name] = draw(st.sampled_from((-1, fields[name])))
    for name in AHEAD:
        fields[name] = draw(st.sampled_from((0, at + draw(st.integers(0, 10_000)))))
    fields.update({name: draw(st.integers(0, 1 << 20)) for name in UNTOUCHED})
    fields["rotor_pulses"] = draw(st.integers(0, 1 << 20))
    return fields


def turned(journal: Journal, was: tuple[int, int], now: tuple[int, int], fields: dict[str, int]) -> list[int]:
    words = journal.words
    for name, value in fields.items():
        words[place_of(name)] = value
    words[place_of("nl_per_rev")], words[place_of("steps_per_rev")] = was
    words[place_of("pulses_per_rev")] = 100
    before = list(words)
    recount.recount(journal, rig_of(now))
    return before


def rounded(steps: Fraction, way: int) -> tuple[Fraction, Fraction]:
    """Between what a number of steps may be that has come from so many."""
    return (steps, steps + 1) if way == UP else (steps - 1, steps)


@pytest.mark.req("RIG-02", "REC-01", "RES-01", "DOSE-09", "DOSE-10", "OCC-05")
@settings(max_examples=200)
@given(UNITS, UNITS, states())
def test_every_count_keeps_its_volume_within_a_step_and_to_no_risk(was, now, fields):
    journal = recovered()
    before = turned(journal, was, now, fields)
    words = journal.words
    exact = Fraction(was[0] * now[1], was[1] * now[0])
    ratio = bounded_ratio(exact.numerator, exact.denominator)
    slack = exact * Fraction(1, 1 << 18) if Fraction(*ratio) != exact else Fraction(0)
    assume(exact != 1 and (fields["reserved_steps"] + 10_000) * exact < END_STEPS)  # or it is refused
    at_before, at = before[RESERVED], words[RESERVED]
    assert words[EXECUTED] == at == journal.state.booked_steps
    for steps, found in (
        (at_before, at),
        (before[DOSE] + at_before - before[EXECUTED], words[DOSE]),
        *(
            (at_before - before[place_of(n)], at - words[place_of(n)])
            for n, way in DISTANCES.items()
            if way == UP
        ),
    ):
        assert steps * exact <= found < steps * (exact + slack) + 1
    for name in ("drawn_from_steps", "least_steps"):
        index = place_of(name)
        if before[index] < 0:
            assert words[index] == -1
        else:
            steps = at_before - before[index]
            assert steps * exact - 1 < at - words[index] <= steps * (exact + slack)
    for name, way in AHEAD.items():
        index = place_of(name)
        if before[index] == 0:
            assert words[index] == 0
        else:
            low, high = rounded((before[index] - at_before) * exact, way)
            assert low <= words[index] - at <= high + (before[index] - at_before) * slack
    for name in UNTOUCHED:
        assert words[place_of(name)] == before[place_of(name)]
    assert all(-LARGEST <= word <= LARGEST for word in words)
    assert words[SERIALS[CALIBRATION]] == 2 and words[place_of("rotor_pulses")] == fields["rotor_pulses"]


@pytest.mark.req("RIG-02", "LIM-03", "LIM-13")
@settings(max_examples=60)
@given(UNITS, UNITS, st.lists(st.integers(0, 72_000), min_size=1, max_size=40), st.integers(1, 1 << 20))
def test_each_minute_of_the_day_keeps_its_volume_and_what_is_too_much_is_no_less(was, now, minutes, spread):
    journal = recovered()
    history = journal.history
    assert history is not None
    ages = [(number * spread) % (DAY_MINUTES + 1) for number in range(len(minutes))]
    for age, steps in zip(ages, minutes, strict=True):
        history.minutes[age] = steps
    before = list(history.minutes)
    turned(journal, was, now, {"reserved_steps": 0})
    exact = Fraction(was[0] * now[1], was[1] * now[0])
    after = list(history.minutes)
    if sum(steps * exact + 1 for steps in before) < MOST_STEPS:
        for steps, found in zip(before, after, strict=True):
            assert steps * exact <= found < steps * exact * (1 + Fraction(1, 1 << 18)) + 1
    else:
        assert sum(after) <= MOST_STEPS
        assert sum(after) >= min(MOST_STEPS, sum(before) * exact), "the newest first"
    WindowLedger().load(history.minutes, 0)  # fits


@pytest.mark.req("RIG-02")
@pytest.mark.parametrize(("pulses", "wanted", "unit"), [(200, 8_642, 200), (50, 2_160, 50), (48, 2_074, 48)])
def test_pulses_are_revolutions_whatever_counts_them(pulses, wanted, unit):
    journal = recovered()
    words = journal.words
    words[place_of("rotor_pulses")] = 4_321
    words[place_of("nl_per_rev")], words[place_of("steps_per_rev")] = 100_000, 3_200
    words[place_of("pulses_per_rev")] = 100
    recount.recount(journal, rig_of((100_000, 3_200), pulses=pulses))
    assert (words[place_of("rotor_pulses")], words[place_of("pulses_per_rev")]) == (wanted, unit)


@pytest.mark.req("RIG-02")
def test_the_same_rig_changes_nothing():
    journal = recovered()
    recount.recount(journal, rig_of((100_000, 3_200)))
    words = journal.words
    words[EXECUTED], words[RESERVED] = 70, 100
    before = list(words)
    recount.recount(journal, rig_of((100_000, 3_200)))
    assert list(words) == before and journal.history_writer.rescale_ticket == 0
    assert len(before) == len(FIELDS)


@settings(max_examples=200)
@given(st.integers(1, 1 << 62), st.integers(1, 1 << 62))
def test_a_bounded_ratio_is_exact_or_the_least_bit_above(num, den):
    exact = Fraction(num, den)
    found = Fraction(*bounded_ratio(num, den))
    assert max(bounded_ratio(num, den)) <= LARGEST
    if max(exact.numerator, exact.denominator) <= LARGEST:
        assert found == exact
    elif exact < LARGEST:
        assert found >= exact
        if 1 / Fraction(1 << 10) <= exact <= 1 << 10:
            assert found <= exact * (1 + Fraction(1, 1 << 17))
