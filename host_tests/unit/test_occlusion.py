"""OCC-02, OCC-03, OCC-05: what the occlusion detector sees, what it bears, what it says the line holds."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from rich.console import Console
from thecal.watch import occlusion
from thecal.watch.occlusion import NONE, THRESHOLD, TREND, Occlusion, UpstreamOcclusion
from thecal_bench.benchmarks.occlusion import COMPLIANCES, RATES_UL_H, blocked, figure_of, floor, row, table
from thecal_bench.vectorised_occlusion import COMPLIANCE_NL_PA, STEP_NL, TICKS_PER_H, Detectors, Lines, Motors

PUMPS = 12
BOUND_NL = 1_000
RELEASED_NL = 300
BACK_PA = 1_000.0
PSI_10_NL = 68_948 * COMPLIANCE_NL_PA


class Bench:
    """One detector at one line, tick by tick; `blocked` may be set at any time."""

    def __init__(self, compliance=1.0, resistance=1.0, seed=1, back_pa=BACK_PA, **calibration):
        self.draw = random.Random(seed)
        self.lines = Lines([COMPLIANCE_NL_PA * compliance], [1_000 * resistance], np.float64)
        self.motors = Motors([0.0], [self.draw.random()])
        self.detector = Occlusion(100_000, 3_200, **calibration)
        self.back_pa = back_pa
        self.position = 0
        self.tick = 0

    def run(self, seconds, rate_ul_h, until_alarm=False):
        """So many seconds at a rate. Returns the alarm."""
        self.motors.set_rate([0], rate_ul_h)
        for _ in range(int(seconds * 10)):
            self.step(self.motors.tick())
            if until_alarm and self.detector.alarm:
                break
        return self.detector.alarm

    def step(self, steps, good=True, ticks=1):
        self.tick += 1
        self.lines.flow(np.asarray(steps))
        self.position += int(np.asarray(steps)[0])
        pressure = self.lines.pressures(np.array([self.back_pa]), np.array([self.draw.gauss(0, 100)]))
        return self.detector.update(ticks, self.position, int(pressure[0]), good)

    def block(self):
        self.lines.block([0])
        self.onset = self.position
        return self

    @property
    def past_onset_nl(self):
        return (self.position - self.onset) * STEP_NL

    @property
    def true_stored_nl(self):
        return self.lines.excess_pa[0] * self.lines.compliance_nl_pa[0]


# --- a blocked line is found


@pytest.mark.req("OCC-02", "OCC-03", "OCC-05")
@pytest.mark.parametrize("compliance", COMPLIANCES)
@pytest.mark.parametrize("rate", RATES_UL_H)
def test_a_blocked_line_is_found_within_a_microlitre_and_its_volume_known(rate, compliance):
    seen = blocked(rate, compliance, PUMPS)
    assert seen.missed == 0
    # 2 to 100 uL/h is what is asked for; beyond, R that is not known costs volume.
    assert seen.volumes_nl.max() <= (BOUND_NL if rate <= 100 else BOUND_NL * (1 + rate / 1_000))
    assert np.abs(seen.left_nl).max() <= RELEASED_NL
    assert seen.stored_nl.min() > RELEASED_NL  # which the draw-back has to prevent


@pytest.mark.req("OCC-02", "OCC-03")
@pytest.mark.parametrize("compliance", COMPLIANCES)
@pytest.mark.parametrize("rate", [10, 30, 100])
def test_a_line_that_was_blocked_before_the_start_is_found_within_a_microlitre(rate, compliance):
    for seed in range(4):
        bench = Bench(compliance, seed=seed)
        bench.run(20, 0)
        bench.block()
        assert bench.run(600, rate, until_alarm=True) == TREND
        assert bench.past_onset_nl <= BOUND_NL


@pytest.mark.req("OCC-02")
@pytest.mark.parametrize("compliance", COMPLIANCES)
@pytest.mark.parametrize("rate", [200, 1_000, 3_000, 10_000, 60_000])
def test_and_at_any_higher_rate_before_it_shows_three_times_what_an_open_line_would(rate, compliance):
    # R is known to a factor of two, and the half of it is not believed while the flow is new: 2.5 R q,
    # and a block of a second on either side of it. At the fastest the threshold comes first.
    bench = Bench(compliance)
    bench.run(20, 0)
    bench.block()
    assert bench.run(30, rate, until_alarm=True)
    second_nl = rate / 3.6
    allowed_nl = (occlusion.CHANGE_PA + 2.5 * rate) * COMPLIANCE_NL_PA * compliance + 2 * second_nl
    assert bench.past_onset_nl <= allowed_nl
    assert bench.past_onset_nl <= (occlusion.THRESHOLD_PA + rate) * COMPLIANCE_NL_PA * compliance + second_nl


@pytest.mark.req("OCC-02")
@pytest.mark.parametrize("rate", [3_000, 20_000, 60_000])
@pytest.mark.parametrize("resistance", [0.5, 1, 2])
def test_a_block_in_a_steady_bolus_is_found_soon_once_the_resistance_is_learnt(rate, resistance):
    bench = Bench(resistance=resistance)
    bench.run(20, 5)
    assert bench.run(75, rate) == NONE
    if rate > 3_000:
        assert bench.detector.resistance_pa_ml_h == pytest.approx(1_000 * resistance, rel=0.1)
    bench.block()
    assert bench.run(30, rate, until_alarm=True)
    assert bench.past_onset_nl < BOUND_NL + 2 * rate / 3.6  # two blocks of a second


@pytest.mark.req("OCC-02")
@pytest.mark.parametrize("compliance", COMPLIANCES)
def test_the_plain_threshold_is_ten_psi_above_the_baseline(compliance):
    # A trend that never comes leaves the threshold alone.
    bench = Bench(compliance, change_pa=1_000_000)
    bench.run(20, 1_000)
    bench.block()
    assert bench.run(300, 1_000, until_alarm=True) == THRESHOLD
    # The converter's wide codes stretch the scale by 1 %, and three samples are waited for.
    assert bench.past_onset_nl == pytest.approx(PSI_10_NL * compliance, rel=0.03)


@pytest.mark.req("OCC-02")
def test_a_line_under_pressure_at_power_on_is_no_baseline():
    bench = Bench(back_pa=60_000)
    assert bench.run(30, 0) == NONE  # 10 kPa is the highest baseline, and 10 psi come on top
    bench.back_pa = 75_000
    assert bench.run(30, 0) == NONE
    bench.back_pa = 82_000
    assert bench.run(1, 0) == THRESHOLD


@pytest.mark.req("OCC-02")
def test_a_single_wild_sample_is_no_threshold_and_three_are():
    detector = Occlusion(100_000, 3_200)
    said = [
        detector.update(1, 0, pressure, True) for pressure in [1_000, 99_000, 99_000, 1_000] + [99_000] * 4
    ]
    assert said == [NONE] * 6 + [THRESHOLD] * 2


# --- what it bears


def alarms_of(lines, motors, ambient_pa, ticks, noise_pa=100.0, seed=1):
    """Lanes that alarm while `ambient_pa(tick)` is the pressure around them."""
    rng = np.random.default_rng(seed)
    count = len(lines.excess_pa)
    detectors, found = Detectors(count), set()
    for tick in range(ticks):
        steps = motors.tick()
        lines.flow(steps)
        noise = rng.normal(0, noise_pa, count)
        found.update(map(int, detectors.update(steps, lines.pressures(ambient_pa(tick), noise))))
    return found


@pytest.mark.req("OCC-03")
@pytest.mark.parametrize(("rate", "change_pa"), [(2, 900), (10, 900), (60, 900), (100, 800)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_change_of_back_pressure_is_borne_at_any_pace(rate, change_pa, sign):
    # Most dangerous is a pace that a blocked line would have: so much while 0.2 to 1.5 uL flow.
    volumes_ul = np.array([0.001, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.5])
    ramp_ticks = volumes_ul / rate * TICKS_PER_H
    count = len(volumes_ul)
    lines = Lines(np.full(count, COMPLIANCE_NL_PA), np.full(count, 1_000.0))
    motors = Motors(np.full(count, float(rate)), np.linspace(0, 0.9, count))
    start = 600

    def ambient_pa(tick):
        return BACK_PA + sign * change_pa * np.clip((tick - start) / ramp_ticks, 0, 1)

    ticks = start + int(1.7 / rate * TICKS_PER_H)
    assert alarms_of(lines, motors, ambient_pa, ticks) == set()


@pytest.mark.req("OCC-03")
def test_a_change_by_more_is_taken_for_a_block_at_its_pace_and_borne_if_sudden():
    # 3 kPa over half a microlitre: just what a blocked line does. Over a tenth, at five rates: no line
    # does that.
    rates = np.array([10.0, 2, 5, 10, 30, 100])
    lines = Lines(np.full(6, COMPLIANCE_NL_PA), np.full(6, 1_000.0))
    ramp_ticks = np.array([0.5, 0.1, 0.1, 0.1, 0.1, 0.1]) / rates * TICKS_PER_H

    def ambient_pa(tick):
        return BACK_PA + 3_000 * np.clip((tick - 1_200) / ramp_ticks, 0, 1)

    assert alarms_of(lines, Motors(rates, np.full(6, 0.5)), ambient_pa, 8_000) == {0}


@pytest.mark.req("OCC-03")
def test_five_kelvin_within_an_hour_are_borne_for_hours_either_way():
    count = 8
    lines = Lines(np.full(count, COMPLIANCE_NL_PA), np.full(count, 1_000.0))
    rates = np.repeat([2.0, 2.0, 5.0, 50.0], 2)
    sign = np.tile([1, -1], 4)
    back = np.repeat([3_500.0, 5_000.0, 3_500.0, 3_500.0], 2)  # and through the first wide code

    def ambient_pa(tick):
        return back + sign * 1_000 * tick / TICKS_PER_H

    assert alarms_of(lines, Motors(rates, np.full(count, 0.5)), ambient_pa, 2 * TICKS_PER_H) == set()


def move(bench, pa):
    """The far end of an open line is higher by so much: the line follows with its time constant."""
    bench.back_pa += pa
    bench.lines.excess_pa -= pa


@pytest.mark.req("OCC-03")
@pytest.mark.parametrize("rate", [2, 10, 30, 60, 100])
@pytest.mark.parametrize(("compliance", "resistance"), [(0.5, 0.5), (1, 1), (1.5, 2)])
def test_a_change_of_posture_is_borne_and_a_block_soon_after_it_found(rate, compliance, resistance):
    bench = Bench(compliance, resistance, seed=rate)
    bench.run(max(30, 450 / rate), rate)
    for pa in (3_000, -3_000, 3_000, 3_000):
        move(bench, pa)
        assert bench.run(max(40, 450 / rate), rate) == NONE
    bench.block()
    assert bench.run(9_000 / rate, rate, until_alarm=True) == TREND
    assert bench.past_onset_nl <= BOUND_NL * 1.5


@pytest.mark.req("OCC-03")
@pytest.mark.parametrize("seed", range(8))
def test_a_small_change_in_a_slow_line_is_no_block_whatever_the_noise_adds(seed):
    # 1 050 Pa in a line of 5.4 s at 90 uL/h begin as in a stiff one that is blocked, and then they stop.
    bench = Bench(1.5, 2, seed)
    bench.run(60, 90)
    move(bench, 1_050)
    assert bench.run(30, 90) == NONE


FLOWS = (0, 2, 10, 100, 300, 1_000, 3_000, 10_000, 60_000)


@pytest.mark.req("OCC-03")
@pytest.mark.parametrize("hold_ticks", [3, 15, 100, 330])
def test_no_change_between_two_flows_is_taken_for_a_block(hold_ticks):
    combos = np.array(
        [
            (one, other, c, r)
            for one, other in itertools.permutations(FLOWS, 2)
            for c in COMPLIANCES
            for r in (0.5, 1, 2)
        ]
    )
    rng = np.random.default_rng(hold_ticks)
    lines = Lines(COMPLIANCE_NL_PA * combos[:, 2], 1_000 * combos[:, 3])
    motors = Motors(combos[:, 0], rng.uniform(0, 1, len(combos)))
    detectors = Detectors(len(combos))
    for tick in range(1_400):
        motors.set_rate(slice(None), combos[:, tick // hold_ticks % 2])
        steps = motors.tick()
        lines.flow(steps)
        noise = rng.normal(0, 100, len(combos))
        lanes = detectors.update(steps, lines.pressures(np.float32(BACK_PA), noise))
        assert [tuple(combos[lane]) for lane in lanes] == [], f"at tick {tick}"


@pytest.mark.req("OCC-03")
@pytest.mark.parametrize("compliance", COMPLIANCES)
def test_beside_a_wide_code_a_block_costs_what_the_code_swallows(compliance):
    bench = Bench(compliance, back_pa=4_900)
    bench.run(30, 60)
    bench.block()
    assert bench.run(300, 60, until_alarm=True) == TREND
    assert bench.past_onset_nl <= BOUND_NL + 450 * COMPLIANCE_NL_PA * compliance


# --- samples that are bad, ticks that are merged


@pytest.mark.req("OCC-01", "OCC-02")
@pytest.mark.parametrize("seed", range(3))
def test_merged_ticks_and_bad_samples_do_not_hide_a_block(seed):
    bench = Bench(1.5, seed=seed)
    bench.run(30, 20)
    bench.block()
    bench.motors.set_rate([0], 20)
    waiting, steps = 0, 0
    while not bench.detector.alarm:
        steps = steps + bench.motors.tick()
        waiting += 1
        if waiting < bench.draw.choice([1, 1, 1, 2, 4]):
            continue
        bench.step(steps, good=bench.draw.random() > 0.3, ticks=waiting)
        waiting, steps = 0, np.zeros(1, int)
        assert bench.past_onset_nl < BOUND_NL


def test_an_hour_without_a_good_sample_is_nothing_that_was_seen():
    bench = Bench()
    bench.run(20, 60_000)
    before = bench.detector.rise_16
    for _ in range(36_000):
        bench.position += 53
        assert bench.detector.update(1, bench.position, 0, False) == NONE
    assert bench.detector.rise_16 == before
    assert bench.detector.steps <= occlusion.MOST_STEPS
    bench.lines.excess_pa[:] = 60_000
    assert bench.run(60, 60_000) == NONE


def test_steps_back_are_no_delivery():
    bench = Bench()
    bench.run(20, 5)
    detector = bench.detector
    before = (detector.steps, detector.volume_steps, detector.rise_16)
    for _ in range(50):
        bench.position -= 1
        assert detector.update(1, bench.position, 1_300, True) == NONE
    assert (detector.steps, detector.volume_steps, detector.rise_16) == before


# --- what it remembers


@pytest.mark.req("OCC-02")
def test_an_alarm_stays_until_it_is_dealt_with_and_what_was_learnt_stays_longer():
    bench = Bench(resistance=0.5)
    bench.run(20, 5)
    bench.run(80, 60_000)
    bench.run(60, 100)
    learnt = bench.detector.resistance_pa_ml_h
    assert learnt == pytest.approx(500, rel=0.1)
    bench.block()
    bench.run(120, 100, until_alarm=True)
    assert bench.detector.alarm == TREND
    bench.lines.excess_pa[:] = 0
    assert bench.run(5, 0) == TREND
    bench.detector.begin()
    assert bench.run(5, 0) == NONE
    assert bench.detector.resistance_pa_ml_h == learnt
    bench.detector.forget()
    assert bench.detector.resistance_pa_ml_h == 1_000


# --- what the line holds


@pytest.mark.req("OCC-05")
@pytest.mark.parametrize("compliance", COMPLIANCES)
def test_the_compliance_is_read_from_the_rise_and_the_volume_follows_the_pressure(compliance):
    bench = Bench(compliance)
    bench.run(60, 30)
    bench.block()
    bench.run(300, 30, until_alarm=True)
    bench.run(3, 0)
    assert bench.detector.compliance_nl_kpa() == pytest.approx(500 * compliance, rel=0.12)
    assert bench.detector.stored_nl() == pytest.approx(bench.true_stored_nl, abs=120)
    bench.lines.excess_pa[:] /= 2  # half of it was drawn back
    bench.run(3, 0)
    assert bench.detector.stored_nl() == pytest.approx(bench.true_stored_nl, abs=120)
    bench.lines.excess_pa[:] = 0  # or the block went away by itself: there is nothing to draw back
    bench.run(3, 0)
    assert bench.detector.stored_nl() < 60


@pytest.mark.req("OCC-05")
def test_without_a_rise_to_learn_from_the_calibration_counts():
    bench = Bench(1.5)
    bench.run(20, 0)
    assert bench.detector.compliance_nl_kpa() == 500
    bench.block()
    bench.run(20, 60_000, until_alarm=True)
    bench.run(3, 0)
    assert bench.true_stored_nl * 0.5 < bench.detector.stored_nl() < bench.true_stored_nl * 1.2


def draw_back(bench):
    """As the pump is to do it: half of what is stored, and look again. Returns how often."""
    for count in range(20):
        bench.run(2, 0)
        volume_nl = bench.detector.stored_nl()
        if volume_nl < 100:
            return count
        for _ in range(int(volume_nl / 2 / STEP_NL) + 1):
            bench.step(np.array([-1]))
    raise AssertionError("the line never empties")


@pytest.mark.req("OCC-05")
@pytest.mark.parametrize("compliance", COMPLIANCES)
@pytest.mark.parametrize("bolus_rate", [1_000, 3_000, 10_000, 60_000])
def test_a_bolus_into_a_blocked_line_is_found_after_it_and_all_of_it_is_drawn_back(bolus_rate, compliance):
    # Too small a bolus to be told from what R may do while it flows; and the basal goes on.
    bench = Bench(compliance)
    bench.run(60, 5)
    bench.block()
    bolus_nl = (1_500 + bolus_rate) * COMPLIANCE_NL_PA * compliance
    assert bench.run(bolus_nl / bolus_rate * 3.6, bolus_rate) == NONE
    before_nl = bench.past_onset_nl
    assert bench.run(90, 5, until_alarm=True) == TREND
    assert bench.past_onset_nl - before_nl <= 200
    draw_back(bench)
    assert abs(bench.true_stored_nl) <= RELEASED_NL


@pytest.mark.req("OCC-05")
@pytest.mark.parametrize("compliance", COMPLIANCES)
@pytest.mark.parametrize("rate", [5, 300, 60_000])
def test_drawing_back_half_and_looking_again_needs_no_compliance(rate, compliance):
    bench = Bench(compliance)
    bench.run(60, rate)
    bench.block()
    assert bench.run(1_200, rate, until_alarm=True)
    assert draw_back(bench) <= 16
    assert abs(bench.true_stored_nl) <= RELEASED_NL


# --- the floor that the table compares with


@pytest.mark.parametrize("rate", [300, 1_000])
def test_the_floor_is_that_of_a_ramp_where_steps_are_many(rate):
    # With a steep ramp of a Pa per sample in noise of s, information is a^2 n^3 / (6 s^2) after n
    # samples. The open line's own flow runs off with RC, so this holds once n is short against its 18
    # samples or the ramp is all.
    _, seconds = floor(rate, 1.0)
    per_sample = rate / 3.6 / 10 / COMPLIANCE_NL_PA
    information = np.log(100_000 * TICKS_PER_H)
    ramp_s = (6 * (100**2 + 50**2 / 12) * information / per_sample**2) ** (1 / 3) / 10
    assert seconds == pytest.approx(ramp_s, rel=0.25)


def test_the_table_and_the_picture_show_what_was_measured(tmp_path):
    rows = [row(rate, compliance, pumps=2) for rate in (100, 300) for compliance in COMPLIANCES]
    console = Console(width=160, record=True)
    console.print(table(rows, 2))
    text = console.export_text()
    for one in rows:
        assert f"{one.trend_nl / 1000:.2f} ({one.trend_most_nl / 1000:.2f}) uL" in text
        assert one.floor_nl < one.trend_nl < one.threshold_nl
        assert one.left_most_nl < one.stored_most_nl
    figure = figure_of(rows)
    drawn = [float(np.asarray(line.get_ydata())[0]) for line in figure.axes[0].lines[:3]]
    assert drawn == [rows[0].threshold_nl / 1000, rows[0].trend_nl / 1000, rows[0].floor_nl / 1000]
    figure.savefig(tmp_path / "occlusion.png")
    assert (tmp_path / "occlusion.png").stat().st_size > 10_000


# --- upstream


@pytest.mark.req("OCC-02")
def test_upstream_alarms_one_psi_below_ambient_and_not_by_noise():
    draw = random.Random(3)
    up = UpstreamOcclusion()
    for _ in range(20_000):
        assert up.update(int(draw.gauss(-5_800, 300)), True) == NONE
    for _ in range(100):
        assert up.update(-50_000, False) == NONE  # a bad sample says nothing
    said = [up.update(int(draw.gauss(-7_600, 300)), True) for _ in range(60)]
    assert said[-1] == THRESHOLD
    assert up.update(0, True) == THRESHOLD
    up.begin()
    assert up.update(0, True) == NONE


# --- bounds that the reference line does not reach


@pytest.mark.req("OCC-02")
@pytest.mark.parametrize(("pa", "found"), [(149_000, False), (151_000, True)])
def test_no_flow_explains_a_pressure_near_the_end_of_the_sensor(pa, found):
    """A line of three times the resistance: 60 mL/h take 180 kPa, so the model has nothing against it."""
    detector = Occlusion(100_000, 3_200, resistance_pa_ml_h=3_000, change_pa=1_000_000)
    position = 0
    for tick in range(400):
        position += 53 + (tick % 3 == 0)
        detector.update(1, position, min(tick * 1_000, 100_000), True)
    assert detector.alarm == NONE
    for _ in range(3):
        position += 53
        detector.update(1, position, pa, True)
    assert (detector.alarm == THRESHOLD) == found


@pytest.mark.req("OCC-02", "OCC-03")
@pytest.mark.parametrize("minutes", [2, 12, 25])
def test_a_block_near_the_end_of_a_long_bolus_shows_when_the_pressure_does_not_go_back(minutes):
    bench = Bench()
    bench.run(120, 5)
    assert bench.run(minutes * 60, 3_000) == NONE
    bench.block()
    assert bench.run(1.2, 3_000) == NONE
    assert bench.run(180, 5, until_alarm=True) == TREND
    assert bench.past_onset_nl <= BOUND_NL + 1.2 * 3_000 / 3.6
