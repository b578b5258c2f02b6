"""OCC-03: the fast twins of the detector and of the line are the device's and the plant's, tick for tick."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_ints import LARGEST, SmallInt
from thecal.watch.occlusion import NONE, Occlusion
from thecal_bench.analogue import SAMPLE_NS
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.vectorised_occlusion import Detectors, Lines, Motors

rates_ul_h = st.one_of(
    st.sampled_from([0.0, 2.0, 5.0, 100.0, 60_000.0]),
    st.floats(2, 60_000),
)
courses = st.lists(st.tuples(st.integers(1, 700), rates_ul_h), min_size=1, max_size=6)
"""Ticks and the rate that they flow at."""


def pressures(seed: int, course, compliance: float, resistance: float, blocked_at: int, precision=np.float64):
    """Steps and pressures of one lane, tick by tick."""
    draw = random.Random(seed)
    lines = Lines([compliance / 2], [1_000 * resistance], precision)
    motors = Motors([0.0], [draw.random()])
    tick = 0
    for ticks, rate_ul_h in course:
        motors.set_rate([0], rate_ul_h)
        for _ in range(ticks):
            if tick == blocked_at:
                lines.block([0])
            steps = motors.tick()
            lines.flow(steps)
            yield steps, lines.pressures(np.array([1_000.0]), np.array([draw.gauss(0, 100)]))
            tick += 1


@pytest.mark.req("OCC-03")
@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32),
    courses,
    st.floats(0.5, 1.5),
    st.floats(0.5, 2),
    st.integers(0, 2_000),
)
@example(1, [(300, 5.0), (700, 60_000.0), (700, 10.0), (700, 60_000.0), (700, 100.0)], 0.7, 1.6, 3_050)
@example(2, [(300, 5.0), (400, 4_000.0), (1, 0.0), (5_000, 0.0), (700, 30.0)], 1.4, 0.6, 10_000)
def test_the_fast_detector_is_the_device_s_word_for_word(seed, course, compliance, resistance, blocked_at):
    fast, slow = Detectors(1), Occlusion(100_000, 3_200)
    position = 0
    for steps, pressure_pa in pressures(seed, course, compliance, resistance, blocked_at):
        position += int(steps[0]) if slow.known else 0
        raised = fast.update(steps, pressure_pa)
        alarm = slow.update(SmallInt(1), SmallInt(position), SmallInt(pressure_pa[0]), True)
        if alarm != NONE:
            # An alarm stops the class, a lane goes on: they part here, at the same tick and for the same
            # reason.
            assert list(raised) == [0] and int(fast.word("alarm")[0]) == alarm
            assert not [
                name
                for name in ("rise_16", "base_16", "sample_16")
                if fast.word(name)[0] != getattr(slow, name)
            ]
            return
        assert not len(raised)
        assert not fast.agrees_with(0, slow)


@pytest.mark.req("OCC-03")
@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**20),
    courses,
    st.fractions(Fraction(1, 4), Fraction(3, 4), max_denominator=100),
    st.integers(1_800, 7_200),
)
def test_the_vectorised_line_gives_the_plant_s_codes(seed, course, compliance, resistance):
    plant = Plant(
        PlantParameters(compliance_nl_pa=compliance, resistance_pa_ms_nl=Fraction(resistance)), seed=seed
    )
    lines = Lines([float(compliance)], [resistance / 3.6], np.float64)
    motors = Motors([0.0], [0.0])
    back_pa = float(plant.parameters.back_pressure_pa)
    tick = 0
    for ticks, rate_ul_h in course:
        motors.set_rate([0], rate_ul_h)
        for _ in range(ticks):
            tick += 1
            now_ns = tick * SAMPLE_NS
            steps = motors.tick()
            plant.steps(int(steps[0]), now_ns - SAMPLE_NS, now_ns)
            lines.flow(steps)
            drift_pa = float(plant.parameters.pressure_drift_pa_k) * plant.temperature_k(now_ns)
            noise_pa = 100 * plant.analogue.noise_down.at(tick)
            code = lines.codes(np.array([back_pa + drift_pa]), np.array([noise_pa]))[0]
            assert code == plant.adc_pressure_down(now_ns), f"tick {tick}"


@pytest.mark.req("OCC-02")
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 400),  # updates
            st.sampled_from([1, 1, 1, 2, 5, 700]),  # ticks each
            st.sampled_from([0, 1, 3, 53, 178]),  # steps a tick
            st.sampled_from([-20_000, 0, 1_000, 60_000, 184_750]),
            st.sampled_from([0.0, 1.0, 1.0, 0.5]),  # of samples that are good
        ),
        max_size=12,
    ),
)
def test_whatever_is_read_every_number_stays_small(seed, course):
    draw = random.Random(seed)
    detector = Occlusion(100_000, 3_200)
    position = 0
    for updates, ticks, steps, pressure_pa, good in course:
        for _ in range(updates):
            position = min(position + steps * ticks, LARGEST)
            noisy = SmallInt(pressure_pa + draw.randrange(-600, 600))
            detector.update(SmallInt(ticks), SmallInt(position), noisy, draw.random() < good)
            assert 0 <= detector.stored_nl() < 2**30
            if detector.alarm and draw.random() < 0.3:
                detector.begin()
