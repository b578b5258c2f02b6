"""The plant against numbers worked out by hand, and against the plainest simulation of the same equations."""

import math
from fractions import Fraction

import pytest
from thecal_bench.plant import (
    E11_CODES,
    E11_WIDTH_LSB,
    NS_PER_MS,
    PRESSURE_ZERO_CODE,
    SAMPLE_NS,
    Geometry,
    Plant,
    PlantError,
    PlantParameters,
    e11_code,
)

TICK_NS = 100 * NS_PER_MS
S_NS = 1000 * NS_PER_MS
DAY_NS = 86_400 * S_NS
QUIET = {"pressure_noise_pa": Fraction(0), "pressure_drift_pa_k": Fraction(0)}


def test_a_revolution_of_the_reference_head_is_100_ul():
    plant = Plant()
    for index in range(3200):
        plant.step(1, index * NS_PER_MS)
    assert plant.displaced_nl() == 100_000
    assert plant.encoder_count == 100
    assert plant.index_count == 1
    assert plant.reservoir_nl() == 20_000_000 - 100_000


def test_a_microstep_is_31_25_nl_and_a_calibration_error_scales_it():
    plant = Plant(PlantParameters(calibration_error_percent=Fraction(-2)))
    plant.step(1, 0)
    assert plant.displaced_nl() == Fraction("31.25") * Fraction("0.98")


def test_backward_steps_draw_back():
    plant = Plant()
    plant.steps(64, 0, S_NS)
    plant.steps(-32, S_NS, 2 * S_NS)
    assert plant.displaced_nl() == 1000
    assert plant.steps_seen == 96
    plant.step(-1, 2 * S_NS)
    assert plant.displaced_nl() == Fraction("968.75")


def test_an_empty_reservoir_stays_empty():
    plant = Plant(fill_nl=1000)
    plant.steps(40, 0, S_NS)
    assert plant.reservoir_nl() == 0


def test_steady_flow_gives_flow_times_resistance_over_the_back_pressure():
    # 6 mL/h through 1 kPa h/mL is 6 kPa, on top of 1 kPa; 60 s are 33 time constants of 1.8 s.
    plant = Plant()
    for tick in range(600):
        plant.steps(16, tick * TICK_NS, (tick + 1) * TICK_NS)  # 160 steps/s of 31.25 nL are 18 mL/h
    assert plant.pressure_down_pa(60 * S_NS) == pytest.approx(1000 + 18_000, rel=1e-9)
    assert plant.stored_nl(60 * S_NS) == pytest.approx(9000, rel=1e-9)  # 18 kPa times 0.5 uL/kPa
    assert plant.pressure_peak_pa() == pytest.approx(19_000, rel=1e-9)


def test_pressure_falls_by_a_factor_e_in_1800_ms():
    plant = Plant()
    plant.step(1, 0)
    at_once = plant.pressure_down_pa(0) - 1000
    assert at_once == pytest.approx(62.5)  # 31.25 nL into 0.5 nL/Pa
    assert plant.pressure_down_pa(1800 * NS_PER_MS) - 1000 == pytest.approx(62.5 / math.e)


def test_agrees_with_euler():
    """The closed form against C dp/dt = q - p/R in steps of 1 ms, over flow, pause and flow again."""
    plant = Plant(PlantParameters(compliance_nl_pa=Fraction(3, 4), resistance_pa_ms_nl=Fraction(7200)))
    c, r_ms, excess, outflow = 0.75, 7200.0, 0.0, 0.0
    spans = [(20, 3000), (0, 1700), (5, 400), (0, 5000), (40, 2500)]
    now_ms = 0
    for per_100_ms, span_ms in spans:
        for _ in range(span_ms // 100):
            plant.steps(per_100_ms, now_ms * NS_PER_MS, (now_ms + 100) * NS_PER_MS)
            now_ms += 100
        for _ in range(span_ms * 10):
            q = per_100_ms * 31.25 / 100
            out = excess / r_ms
            excess += (q - out) / c * 0.1
            outflow += out * 0.1
        assert plant.pressure_down_pa(now_ms * NS_PER_MS) - 1000 == pytest.approx(excess, rel=2e-3, abs=0.1)
        assert plant.outflow_nl(now_ms * NS_PER_MS) == pytest.approx(outflow, rel=2e-3, abs=1)


def test_encoder_levels_and_counts_follow_the_angle():
    plant = Plant()
    rises = index_rises = 0
    for step in range(1, 6401):
        before = plant.encoder_level(), plant.index_level()
        plant.step(1, step * NS_PER_MS)
        rises += not before[0] and plant.encoder_level()
        index_rises += not before[1] and plant.index_level()
        assert plant.encoder_count == rises == step // 32
        assert plant.index_count == index_rises == step // 3200


@pytest.mark.parametrize("geometry", [Geometry(), Geometry(steps_per_rev=1000, encoder_pulses_per_rev=48)])
def test_counts_backwards_are_the_rising_edges_of_the_levels(geometry):
    plant = Plant(geometry=geometry, angle_steps=2 * geometry.steps_per_rev + 7)
    bulk = Plant(geometry=geometry, angle_steps=2 * geometry.steps_per_rev + 7)
    rises = index_rises = 0
    for step in range(3000):
        before = plant.encoder_level(), plant.index_level()
        plant.step(-1, step * NS_PER_MS)
        rises += not before[0] and plant.encoder_level()
        index_rises += not before[1] and plant.index_level()
        assert (plant.encoder_count, plant.index_count) == (rises, index_rises)
    bulk.steps(-3000, 0, S_NS)
    assert (bulk.encoder_count, bulk.index_count) == (rises, index_rises)


def test_pulsation_has_the_asked_peak_to_peak_and_is_near_a_sine():
    # A head of 32 microsteps per pitch would be too coarse to see the extremes, 3 000 a pitch is not.
    geometry = Geometry(nl_per_rev=9000, steps_per_rev=9000, rollers=3)
    plant = Plant(PlantParameters(pulsation_percent=Fraction(40)), geometry)
    flows = []
    for step in range(3000):
        before = plant.displaced_nl()
        plant.step(1, step * NS_PER_MS)
        flows.append(float(plant.displaced_nl() - before))  # nL per microstep, mean 1
    assert max(flows) - min(flows) == pytest.approx(0.4, rel=1e-3)
    assert sum(flows) == pytest.approx(3000, rel=1e-12)
    for step, flow in enumerate(flows):
        assert flow == pytest.approx(1 + 0.2 * math.sin(2 * math.pi * (step + 0.5) / 3000), abs=0.2 * 0.061)


def test_reading_is_linear_in_pressure_without_noise_drift_and_erratum():
    plant = Plant(PlantParameters(adc_e11=False, **QUIET))
    assert plant.adc_pressure_down(0) == PRESSURE_ZERO_CODE + 1000 // 50
    assert plant.adc_pressure_up(0) == PRESSURE_ZERO_CODE
    assert plant.adc_supply() == 2400  # 12 V at 5 mV a code


@pytest.mark.parametrize(("back_pa", "code"), [(Fraction(-(10**6)), 0), (Fraction(10**6), 4095)])
def test_reading_stays_within_twelve_bits(back_pa, code):
    plant = Plant(PlantParameters(back_pressure_pa=back_pa))
    assert plant.adc_pressure_down(0) == code


def test_the_four_wide_codes_of_e11():
    ideal = [i / 8 for i in range(8 * 4096)]
    codes = [int(e11_code(x)) for x in ideal]
    assert codes == sorted(codes)
    widths = {code: codes.count(code) / 8 for code in (*E11_CODES, 300, 1000, 2000, 4000)}
    for code in E11_CODES:
        assert widths.pop(code) == pytest.approx(E11_WIDTH_LSB + 1, abs=0.2)
    assert all(width == pytest.approx(1, abs=0.15) for width in widths.values())
    assert e11_code(0) == pytest.approx(0) and e11_code(4096) == pytest.approx(4096)
    assert max(abs(e11_code(x) - x) for x in ideal) == pytest.approx(E11_WIDTH_LSB / 2, abs=0.01)


def test_noise_has_the_asked_rms_and_no_memory():
    ambient = PlantParameters(adc_e11=False, pressure_drift_pa_k=Fraction(0), back_pressure_pa=Fraction(25))
    plant = Plant(ambient)
    codes = [plant.adc_pressure_down(k * SAMPLE_NS) for k in range(20_000)]
    mean = sum(codes) / len(codes)
    deviations = [(code - mean) * 50 for code in codes]
    rms = math.sqrt(sum(d * d for d in deviations) / len(codes))
    # 100 Pa of noise and 50/sqrt(12) of rounding; 20 000 samples know the rms to 0.5 %
    assert rms == pytest.approx(math.hypot(100, 50 / math.sqrt(12)), rel=0.02)
    lag_1 = sum(a * b for a, b in zip(deviations, deviations[1:], strict=False)) / len(codes) / rms**2
    assert abs(lag_1) < 4 / math.sqrt(20_000)


@pytest.mark.req("SIM-03")
def test_noise_belongs_to_seed_channel_and_sample_not_to_who_asks():
    samples = [0, 1, 1023, 1024, 5000, 1_000_000]
    reference = Plant(seed=7)
    forward = [
        (reference.adc_pressure_down(k * SAMPLE_NS), reference.adc_pressure_up(k * SAMPLE_NS))
        for k in samples
    ]
    other = Plant(seed=7)
    for k, (down, up) in reversed(list(zip(samples, forward, strict=True))):
        assert other.adc_pressure_up(k * SAMPLE_NS + SAMPLE_NS - 1) == up
        assert other.adc_pressure_down(k * SAMPLE_NS + 1) == down
        assert other.adc_pressure_down(k * SAMPLE_NS) == down
    quiet = Plant(PlantParameters(adc_e11=False, back_pressure_pa=Fraction(0)), seed=7)
    down = [quiet.adc_pressure_down(k * SAMPLE_NS) for k in range(100)]
    assert down != [quiet.adc_pressure_up(k * SAMPLE_NS) for k in range(100)]
    other = Plant(PlantParameters(adc_e11=False, back_pressure_pa=Fraction(0)), seed=8)
    assert down != [other.adc_pressure_down(k * SAMPLE_NS) for k in range(100)]


def test_drift_follows_a_temperature_that_goes_up_and_down_at_5_k_a_day():
    ambient = PlantParameters(adc_e11=False, pressure_noise_pa=Fraction(0), back_pressure_pa=Fraction(25))
    plant = Plant(ambient)
    at_start = plant.adc_pressure_down(0)
    for quarters, kelvin in ((1, 1.25), (2, 2.5), (3, 1.25), (4, 0), (36, 0)):
        at_ns = DAY_NS * quarters // 4
        assert plant.temperature_k(at_ns) == pytest.approx(kelvin)
        assert plant.adc_pressure_down(at_ns) - at_start == round(kelvin * 200 / 50)


def test_time_does_not_go_back():
    plant = Plant()
    plant.step(1, S_NS)
    with pytest.raises(PlantError, match="asked for 5 ns"):
        plant.pressure_down_pa(5)
    with pytest.raises(PlantError, match="span of time"):
        plant.steps(3, S_NS, S_NS)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"compliance_nl_pa": Fraction(0)}, "above 0"),
        ({"resistance_pa_ms_nl": Fraction(0)}, "above 0"),
        ({"pressure_lsb_pa": Fraction(0)}, "above 0"),
        ({"pulsation_percent": Fraction(201)}, "pulsation is 201 %"),
        ({"pulsation_percent": Fraction(-1)}, "pulsation is -1 %"),
        ({"calibration_error_percent": Fraction(-100)}, "calibration_error"),
    ],
)
def test_impossible_plants_are_refused(changes, says):
    with pytest.raises(PlantError, match=says):
        Plant(PlantParameters(**changes))
