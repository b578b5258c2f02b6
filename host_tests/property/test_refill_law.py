"""RES-03: the refill date is the earliest at which LOW can come, never later, and as early as it must be.

The oracle lives the days of a patient who takes each bolus in the first tick in which lockout and daily count
allow it, and adds what flows in `Fraction`s, stretch by stretch, until LOW. It knows nothing of weeks or of
closed forms. Where a limit denies boluses it has no say: then the answer is held against a pump on the bench.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pump_on_bench import ForgetfulOnBench
from thecal.clock import TICKS_PER_DAY, TICKS_PER_WEEK
from thecal.dose.prescription import Prescription, parse
from thecal.forecast import find_low
from thecal.watch import alarms
from thecal_model.rig import reference

MECHANISM = reference().mechanism()
ONE = MECHANISM.grains_per_step
NL_PER_STEP = Fraction(MECHANISM.nl_per_rev, MECHANISM.steps_per_rev)


def found(*arguments: Any) -> int:
    *between, last = find_low(*arguments)
    assert set(between) <= {None} and last is not None
    return last


def whole_ticks(grains: int, rate: int) -> int:
    return -(-grains // rate)


class Life:
    """Of a therapy from a tick of the week on; `rate` is the basal's."""

    def __init__(self, therapy: Prescription, week_tick: int) -> None:
        self.therapy = therapy
        self.week_tick = week_tick

    def _basal(self, at: int) -> tuple[int, int]:
        """The rate at a tick from now, and until when it holds."""
        schedule = self.therapy.basal
        week_tick = (self.week_tick + at) % TICKS_PER_WEEK
        starts = list(schedule.starts)
        begun = [index for index, start in enumerate(starts) if start <= week_tick]
        index = begun[-1] if begun else len(starts) - 1
        rate = schedule.rate_steps[index] * ONE + schedule.rate_grains[index]
        return rate, at + min((start - week_tick - 1) % TICKS_PER_WEEK + 1 for start in starts)

    def _boluses(self) -> Iterator[tuple[int, int, int]]:
        """From which tick to which, and at which rate; of the last tick with what is left."""
        bolus = self.therapy.patient_bolus
        grants: list[int] = []
        free = 0
        while bolus:
            steps, grains = MECHANISM.grains_of_volume(*bolus.volume)
            volume = steps * ONE + grains
            steps, grains = MECHANISM.grains_per_tick(*bolus.rate)
            rate = steps * ONE + grains
            at = free
            if len(grants) >= bolus.max_per_day:
                at = max(at, grants[-bolus.max_per_day] + TICKS_PER_DAY)
            grants.append(at)
            full = volume // rate
            if full:
                yield at, at + full, rate
            if volume % rate:
                yield at + full, at + full + 1, volume % rate
            free = at + whole_ticks(volume, rate) + bolus.lockout_ticks

    def low(self, need: int) -> int:
        """The first tick by which `need` grains have flowed."""
        boluses = self._boluses()
        bolus = next(boluses, None)
        at = 0
        while True:
            basal, until = self._basal(at)
            rate = basal
            if bolus is not None and bolus[0] <= at:
                rate += bolus[2]
                until = min(until, bolus[1])
            elif bolus is not None:
                until = min(until, bolus[0])
            if need <= rate * (until - at):
                return at + whole_ticks(need, rate)
            need -= rate * (until - at)
            at = until
            if bolus is not None and at == bolus[1]:
                bolus = next(boluses)


RATES = st.integers(2_000, 400_000)
STEPS = st.lists(st.tuples(st.integers(0, 863_999), st.integers(1, 127), RATES), min_size=1, max_size=10)
BOLUSES = st.none() | st.fixed_dictionaries(
    {
        "volume_nl": st.integers(100, 500_000),
        "rate_num": st.integers(10_000, 5_000_000),
        "rate_den": st.just(1),
        "lockout_ms": st.integers(0, 864_000).map(lambda ticks: 100 * ticks),
        "max_per_day": st.integers(1, 96),
    }
)


@st.composite
def therapies(draw: Any) -> Prescription:
    told: dict[str, Any] = {"mode": "continuous", "rate_num": draw(RATES), "rate_den": 1}
    steps = draw(st.none() | STEPS)
    if steps:
        days = [(day, at, rate) for at, bits, rate in steps for day in range(7) if bits >> day & 1]
        entries = {(day, at): rate for day, at, rate in days}
        told = {
            "mode": "flex",
            "steps": [
                {"at_ms": 100 * at, "days": 1 << day, "rate_num": rate, "rate_den": 1}
                for (day, at), rate in entries.items()
            ],
        }
    bolus = draw(BOLUSES)
    if bolus:
        told |= {"patient_bolus": bolus, "limit": {"volume_nl": 60_000_000, "window_ms": 600_000}}
    return parse(told, MECHANISM)


@pytest.mark.req("RES-03")
@settings(max_examples=150, deadline=None)
@given(
    therapies(),
    st.integers(0, TICKS_PER_WEEK - 1),
    st.integers(1, 3_000_000) | st.integers(1, 30_000_000),
    st.integers(-ONE, ONE),
)
def test_it_is_the_tick_in_which_the_greediest_patient_brings_it_to_low(therapy, week_tick, left_nl, owed):
    left_steps = int(left_nl / NL_PER_STEP) + 2
    low = Life(therapy, week_tick).low(left_steps * ONE - owed)
    assert found(therapy, left_steps, owed, week_tick) == low
    unknown = found(therapy, left_steps, owed, -1)
    assert unknown <= low if len(therapy.basal) > 1 else unknown == low
    # And not by more than what the steps of a week can be moved about.
    assert low - unknown <= TICKS_PER_WEEK


@pytest.mark.req("RES-03", "LIM-03")
@settings(max_examples=60, deadline=None)
@given(therapies(), st.integers(1, 30_000_000), st.integers(100_000, 3_000_000), st.integers(10, 1_440))
def test_no_window_holds_more_than_its_limit_on_the_way(therapy, left_nl, limit_nl, window_min):
    left_steps = int(left_nl / NL_PER_STEP) + 2
    without = found(therapy, left_steps, 0, 0)
    therapy.limit, therapy.window_ticks = (limit_nl, 1), window_min * 600
    windows = -(-left_steps // -(-limit_nl // NL_PER_STEP))
    low = found(therapy, left_steps, 0, 0)
    assert low == max(without, (windows - 1) * therapy.window_ticks)


# --- a pump and a patient who presses in every tick

PUMPS = st.fixed_dictionaries(
    {
        "rate_nl_h": st.integers(1_000_000, 6_000_000),
        "left_nl": st.integers(5_000, 150_000),
        "bolus_nl": st.integers(1_000, 50_000),
        "bolus_nl_h": st.integers(1_000_000, 30_000_000),
        "lockout_s": st.integers(0, 60),
        "max_per_day": st.integers(1, 20),
        "limit_nl": st.integers(2_000_000, 3_000_000),
        "step_s": st.integers(1, 60),
        "running_nl": st.sampled_from([0, 0, 10_000, 60_000]),
    }
)


def low_of_a_pump(told: dict[str, int]) -> tuple[int, int, int]:
    """LOW as it was foreseen, as it came, and as it was foreseen without the limit; ticks from the start."""
    desk = ForgetfulOnBench()
    rate = told["rate_nl_h"]
    noon_ms = 12 * 3_600_000
    steps = [(0, rate), (noon_ms, 2 * rate), (noon_ms + 1_000 * told["step_s"], rate // 2)]
    therapy = {
        "mode": "flex",
        "steps": [{"at_ms": at_ms, "rate_num": rate, "rate_den": 1} for at_ms, rate in steps],
        "patient_bolus": {
            "volume_nl": told["bolus_nl"],
            "rate_num": told["bolus_nl_h"],
            "rate_den": 1,
            "lockout_ms": 1_000 * told["lockout_s"],
            "max_per_day": told["max_per_day"],
        },
        "limit": {"volume_nl": told["limit_nl"], "window_ms": 600_000},
    }
    assert desk.ask("set_time", week_s=12 * 3_600 - 20)["ok"]
    desk.refill(1_000_000 + told["left_nl"])
    desk.confirm(therapy)
    assert desk.ask("start")["ok"]
    if told["running_nl"]:
        assert "granted" in desk.ask("bolus", volume_nl=told["running_nl"], duration_ms=60_000)
    pump = desk.pump
    prescription = pump.regimen.prescription
    *_, foreseen = pump.handlers.programming.proposing.forecast.find_low(prescription, None)
    begun = desk.tick
    limit, prescription.limit = prescription.limit, None
    *_, unlimited = pump.handlers.programming.proposing.forecast.find_low(prescription, None)
    prescription.limit = limit
    while not pump.alarms.standing[alarms.RESERVOIR_LOW]:
        desk.client.request("patient_bolus")
        desk.run(2)
    return foreseen, desk.tick - begun, unlimited


@pytest.mark.req("RES-03", "LIM-02", "LIM-04")
@settings(max_examples=8, deadline=None)
@given(PUMPS)
def test_no_pump_is_low_before(told):
    foreseen, came, unlimited = low_of_a_pump(told)
    assert foreseen <= came
    assert unlimited <= came
