"""OCC-01: a reading is a value or an error. What is wrong is found, and what is right is not."""

from __future__ import annotations

import math
import random

import pytest
from small_ints import SmallInt
from thecal.watch import readings
from thecal.watch.readings import NO_SAMPLE, NOISE, NONE, OPEN, RANGE, SHORT, STALE, STUCK, Reading
from thecal_bench.analogue import E11_CODES, SAMPLE_NS, e11_code
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant

NOISE_CODES = 2.0  # 100 Pa rms at 50 Pa a code
LEAST_PA, MOST_PA = -20_000, 184_000  # up to code 4 080


def pressure_reading(**how):
    return Reading(400, 50, LEAST_PA, MOST_PA, **how)


class Feed:
    """A reading that is fed code by code."""

    def __init__(self, seed=1, **how):
        self.reading = pressure_reading(**how)
        self.draw = random.Random(seed)
        self.tick = 0

    def give(self, code):
        self.tick += 1
        self.reading.update(SmallInt(code), SmallInt(self.tick))
        return self.reading.fault

    def healthy(self, samples, code=420.0, rms=NOISE_CODES):
        """Codes of a sensor that is well, as the converter makes them."""
        for _ in range(samples):
            self.give(int(e11_code(self.draw.gauss(code, rms))))
        return self.reading.fault


@pytest.mark.req("OCC-01")
def test_a_good_sample_is_a_value_with_its_time_and_extremes():
    feed = Feed()
    reading = feed.reading
    assert not reading.good()
    feed.give(420)
    assert reading.good() and reading.fresh
    assert (reading.value, reading.taken_tick) == (1_000, 1)
    feed.give(380)
    feed.give(430)
    assert (reading.min_value, reading.max_value, reading.value) == (-1_000, 1_500, 1_500)
    assert reading.error_count == 0
    reading.forget_extremes()
    feed.give(421)
    assert (reading.min_value, reading.max_value) == (1_050, 1_050)


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize(
    ("code", "kind"), [(0, SHORT), (8, SHORT), (4_095, OPEN), (4_087, OPEN), (4_085, RANGE)]
)
def test_a_bad_sample_is_no_value_and_five_in_a_row_are_a_fault(code, kind):
    feed = Feed()
    feed.healthy(50)
    reading = feed.reading
    value, taken, least, most = reading.value, reading.taken_tick, reading.min_value, reading.max_value
    for number in range(1, 5):
        assert feed.give(code) == NONE
        assert not reading.fresh and reading.good()
        assert reading.age_ticks(feed.tick) == number
    assert feed.give(code) == kind
    assert not reading.good()
    assert (reading.value, reading.taken_tick, reading.min_value, reading.max_value) == (
        value,
        taken,
        least,
        most,
    )
    assert (reading.error_count, reading.fault_count) == (5, 1)


@pytest.mark.req("OCC-01")
def test_a_fault_is_withdrawn_after_twenty_good_samples_in_a_row():
    feed = Feed()
    for _ in range(40):
        feed.give(0)
    assert feed.healthy(19) == SHORT
    assert feed.reading.fresh and not feed.reading.good()  # a good sample of a channel that is still in fault
    feed.give(0)
    assert feed.healthy(19) == SHORT
    assert feed.healthy(1) == NONE
    assert feed.reading.fault_count == 1


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize(
    ("code", "good_between", "fault"),
    [(4_083, 3, True), (4_083, 4, False), (NO_SAMPLE, 1, True), (NO_SAMPLE, 2, False)],
)
def test_a_loose_contact_is_a_fault_from_more_than_one_bad_sample_in_five(code, good_between, fault):
    feed = Feed()
    kinds = set()
    for _ in range(400):
        kinds.add(feed.give(code))
        feed.healthy(good_between, code=4_070)  # near the limit, so that a bad one is no noise
    assert (kinds != {NONE}) is fault


@pytest.mark.req("OCC-01")
def test_ten_missing_samples_are_stale():
    feed = Feed()
    feed.healthy(50)
    assert [feed.give(NO_SAMPLE) for _ in range(10)] == [NONE] * 9 + [STALE]
    assert feed.reading.age_ticks(feed.tick) == 10


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize("code", [401, 513, 2_000])
def test_a_code_that_does_not_move_for_half_a_minute_is_stuck(code):
    feed = Feed()
    feed.healthy(50, code=code)
    feed.give(code + 1)
    assert [feed.give(code) for _ in range(300)] == [NONE] * 299 + [STUCK]


@pytest.mark.req("OCC-01")
def test_at_a_wide_code_an_hour_is_waited():
    feed = Feed()
    feed.give(500)
    for _ in range(readings.WIDE_SAMPLES - 1):
        assert feed.give(E11_CODES[0]) == NONE
    assert feed.give(E11_CODES[0]) == STUCK


@pytest.mark.req("OCC-01")
def test_a_channel_may_be_allowed_to_stand_still():
    feed = Feed(stuck_samples=0)
    for _ in range(40_000):
        feed.give(2_400)
    assert feed.reading.good()


@pytest.mark.req("OCC-01")
def test_an_implausible_spread_is_a_fault_after_three_windows_and_goes_again():
    feed = Feed()
    assert feed.healthy(64, code=1_000) == NONE
    assert feed.healthy(2 * 64, code=1_000, rms=30) == NONE
    assert feed.healthy(64 + 2, code=1_000, rms=30) == NOISE
    assert feed.healthy(200, code=1_000, rms=30) == NOISE
    assert feed.healthy(64 + 22 + 64, code=1_000) == NONE


@pytest.mark.req("OCC-01")
def test_a_bolus_is_no_noise():
    # 60 mL/h on twice the reference resistance and half its compliance: 120 kPa up and down, time
    # constant 1.8 s.
    feed = Feed()
    for _ in range(6):
        for tick in range(100):
            feed.healthy(1, code=420 + 2_400 * (1 - math.exp(-tick / 18)))
        for tick in range(100):
            feed.healthy(1, code=420 + 2_400 * math.exp(-tick / 18))
    assert feed.reading.fault_count == 0


@pytest.mark.req("OCC-01")
@pytest.mark.parametrize("code", [420.0, *(float(code) for code in E11_CODES)])
@pytest.mark.parametrize("rms", [NOISE_CODES, 1.5])
def test_a_healthy_sensor_has_no_fault_not_even_at_the_wide_codes(code, rms):
    feed = Feed(seed=int(code))
    feed.healthy(60_000, code=code, rms=rms)
    assert (feed.reading.error_count, feed.reading.fault_count) == (0, 0)


@pytest.mark.req("OCC-01")
def test_the_chances_of_a_healthy_sensor_to_be_called_stuck_are_those_of_the_docstring():
    def same(width_codes, rms):
        return math.erf(width_codes / 2 / rms / math.sqrt(2))

    assert same(1, 2.0) < 0.20 and same(1, 0.3) < 0.91
    assert same(1, 0.3) ** readings.STUCK_SAMPLES < 1e-12
    assert same(9, 2.0) < 0.976
    assert 1 / 1_800 < same(9, 2.0) ** readings.STUCK_SAMPLES < 1 / 1_600
    assert readings.WIDE_SAMPLES * math.log10(same(9, 2.0)) < -300
    assert readings.WIDE_SAMPLES * math.log10(same(9, 1.5)) < -42


@pytest.mark.req("OCC-01")
def test_the_plant_s_sensors_are_well_for_an_hour():
    plant = Plant(PlantParameters(), seed=5)
    down, up = pressure_reading(), pressure_reading()
    for tick in range(1, 36_001):
        down.update(plant.adc_pressure_down(tick * SAMPLE_NS), tick)
        up.update(plant.adc_pressure_up(tick * SAMPLE_NS), tick)
    assert down.good() and up.good()
    assert (down.error_count, up.error_count) == (0, 0)


@pytest.mark.req("OCC-01")
def test_the_counts_stop_before_they_leave_the_small_integers():
    feed = Feed()
    words = feed.reading.words
    words[readings.ERRORS] = words[readings.FAULTS] = 2**30 - 1
    for _ in range(10):
        feed.give(0)
    assert feed.reading.error_count == feed.reading.fault_count == 2**30 - 1
