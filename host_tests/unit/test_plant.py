"""The plant against numbers worked out by hand, and against the plainest simulation of the same equations."""

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from thecal_bench.analogue import E11_CODES, E11_WIDTH_LSB, SAMPLE_NS, e11_code
from thecal_bench.parameters import NS_PER_MS, Geometry, PlantError, PlantParameters
from thecal_bench.plant import Plant
from thecal_bench.sensor_faults import ANALOGUE, KINDS, NOISE_CODES, SENSORS, fitted
from thecal_model import rig

TICK_NS = 100 * NS_PER_MS
S_NS = 1000 * NS_PER_MS
DAY_NS = 86_400 * S_NS
QUIET = PlantParameters(pressure_noise_pa=Fraction(0), pressure_drift_pa_k=Fraction(0))


def flow(plant, count, first_tick, last_tick):
    """`count` steps in each tick from one to the other."""
    for tick in range(first_tick, last_tick):
        plant.steps(count, tick * TICK_NS, (tick + 1) * TICK_NS)


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
def test_counts_backwards_are_the_rising_edges_of_the_levels_taken_off(geometry):
    plant = Plant(geometry=geometry, angle_steps=2 * geometry.steps_per_rev + 7)
    bulk = Plant(geometry=geometry, angle_steps=2 * geometry.steps_per_rev + 7)
    rises = index_rises = 0
    for step in range(3000):
        before = plant.encoder_level(), plant.index_level()
        plant.step(-1, step * NS_PER_MS)
        rises += not before[0] and plant.encoder_level()
        index_rises += not before[1] and plant.index_level()
        assert (plant.encoder_count, plant.index_count) == (-rises, -index_rises)
    bulk.steps(-3000, 0, S_NS)
    assert (bulk.encoder_count, bulk.index_count) == (-rises, -index_rises)


def displaced_by_each(plant, steps):
    """Of so many microsteps, nL."""
    displaced = []
    for step in range(steps):
        before = plant.displaced_nl()
        plant.step(1, step * NS_PER_MS)
        displaced.append(float(plant.displaced_nl() - before))
    return displaced


def test_pulsation_has_the_asked_peak_to_peak_and_is_near_a_sine():
    # A head of 32 microsteps per pitch would be too coarse to see the extremes, 3 000 a pitch is not.
    geometry = Geometry(nl_per_rev=9000, steps_per_rev=9000, rollers=3)
    plant = Plant(PlantParameters(pulsation_percent=Fraction(40)), geometry)
    flows = displaced_by_each(plant, 3000)  # mean 1
    assert max(flows) - min(flows) == pytest.approx(0.4, rel=1e-3)
    assert sum(flows) == pytest.approx(3000, rel=1e-12)
    for step, flow in enumerate(flows):
        assert flow == pytest.approx(1 + 0.2 * math.sin(2 * math.pi * (step + 0.5) / 3000), abs=0.2 * 0.061)


def test_a_dip_is_as_deep_and_as_wide_as_asked_and_takes_back():
    # 4 000 microsteps a pitch; 200 % deep: 20 % above the mean elsewhere, -80 % at 3/4 of the pitch.
    geometry = Geometry(nl_per_rev=12_000, steps_per_rev=12_000, rollers=3)
    plant = Plant(PlantParameters(dip_percent=Fraction(200)), geometry)
    flows = displaced_by_each(plant, 4000)
    assert sum(flows) == pytest.approx(4000, rel=1e-12)
    assert all(flow == pytest.approx(1.2, rel=1e-9) for flow in flows[:2700] + flows[3300:])
    for step in range(2700, 3300):
        z = (step + 0.5 - 2700) / 600
        assert flows[step] == pytest.approx(1.2 - 2 * 4 * z * (1 - z), abs=1e-4)
    # It flows backwards where 8 z (1 - z) is above 1.2; that takes back 2 x 600 x (2/3 (2 d)^3) with
    # d = sqrt(1/4 - 0.15): 5 % of the pitch, and 202.4 uL of it here.
    d = math.sqrt(1 / 4 - 0.15)
    assert -sum(flow for flow in flows if flow < 0) == pytest.approx(600 * 2 * 2 / 3 * (2 * d) ** 3, rel=1e-4)


def test_a_dip_and_a_sine_add_up():
    geometry = Geometry(nl_per_rev=9000, steps_per_rev=9000, rollers=3)
    both, sine, dip, plain = (
        Plant(PlantParameters(pulsation_percent=Fraction(a), dip_percent=Fraction(d)), geometry)
        for a, d in ((40, 150), (40, 0), (0, 150), (0, 0))
    )
    for tick in range(97):
        for plant in (both, sine, dip, plain):
            plant.steps(61, tick * TICK_NS, (tick + 1) * TICK_NS)
        ripples = [plant.displaced_nl() - plain.displaced_nl() for plant in (both, sine, dip)]
        assert ripples[0] == ripples[1] + ripples[2]
    assert both.reservoir_nl() == both.fill_nl - both.displaced_nl()


def test_reading_is_linear_in_pressure_without_noise_drift_and_erratum():
    plant = Plant(replace(QUIET, adc_e11=False))
    assert plant.adc_pressure_down(0) == 400 + 1000 // 50
    assert plant.adc_pressure_up(0) == 400
    assert plant.adc_supply(0) == 2400  # 12 V at 5 mV a code


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
        ({"dip_percent": Fraction(501)}, "a dip of 501 % of the flow, must be 0 to 500 %"),
        ({"dip_percent": Fraction(-1)}, "a dip of -1 %"),
        ({"pulsation_percent": Fraction(-1)}, "pulsation is -1 %"),
        ({"calibration_error_percent": Fraction(-100)}, "calibration_error"),
    ],
)
def test_impossible_plants_are_refused(changes, says):
    with pytest.raises(PlantError, match=says):
        Plant(PlantParameters(**changes))


# --- what may go wrong


def test_an_occluded_line_stores_all_and_gives_it_back_when_opened():
    """5 nL/ms for 10 s are 50 uL; into 0.5 nL/Pa that is 100 kPa. Once open they leave with RC = 1.8 s."""
    plant = Plant()
    plant.occlude("downstream", 0)
    flow(plant, 16, 0, 100)
    assert plant.occluded_down
    assert plant.pressure_down_pa(10 * S_NS) == pytest.approx(1000 + 100_000)
    assert plant.pressure_down_pa(7 * DAY_NS) == plant.pressure_down_pa(10 * S_NS)
    assert plant.outflow_nl(7 * DAY_NS) == pytest.approx(0, abs=1e-9)
    plant.unocclude("downstream", 7 * DAY_NS)
    assert not plant.occluded_down
    assert plant.outflow_nl(7 * DAY_NS) == pytest.approx(0, abs=1e-9)
    assert plant.outflow_nl(7 * DAY_NS + 1800 * NS_PER_MS) == pytest.approx(50_000 * (1 - 1 / math.e))
    assert plant.outflow_nl(7 * DAY_NS + 60 * S_NS) == pytest.approx(50_000)
    assert plant.pressure_peak_pa() == pytest.approx(101_000)
    assert plant.displaced_nl() == 50_000


def test_an_occlusion_in_full_flow_starts_from_the_pressure_of_the_flow():
    plant = Plant()
    flow(plant, 16, 0, 600)  # 18 mL/h: 18 kPa over the back pressure, 9 uL stored
    before_nl = plant.outflow_nl(60 * S_NS)
    plant.occlude("downstream", 60 * S_NS)
    flow(plant, 16, 600, 700)
    assert plant.outflow_nl(70 * S_NS) == pytest.approx(before_nl)
    assert plant.pressure_down_pa(70 * S_NS) == pytest.approx(1000 + 18_000 + 100_000, rel=1e-9)
    plant.step(1, 70 * S_NS)
    assert plant.pressure_down_pa(80 * S_NS) == pytest.approx(119_062.5, rel=1e-9)


@pytest.mark.parametrize(
    ("stored_ul", "rate_ul_h", "published_min"), [(500, 100, 300), (420, 500, 50), (420, 5000, 5)]
)
def test_time_to_a_pressure_is_stored_volume_over_rate_as_published(stored_ul, rate_ul_h, published_min):
    """An ambulatory pump with a threshold alarms 0.42 to 0.50 mL past an occlusion at 100, 500 and 5 000
    uL/h: after 5 h, 50 min and 5 min. A line whose 10 psi hold as much shows the same times.
    """
    threshold_pa = Fraction("68947.57")
    plant = Plant(PlantParameters(compliance_nl_pa=stored_ul * 1000 / threshold_pa))
    plant.occlude("downstream", 0)
    steps_per_s = Fraction(rate_ul_h * 1000, 3600) / Fraction("31.25")
    second = 0
    while plant.pressure_down_pa(second * S_NS) < 1000 + threshold_pa:
        second += 1
        count = int(steps_per_s * second) - plant.steps_seen
        plant.steps(count, (second - 1) * S_NS, second * S_NS)
    assert second / 60 == pytest.approx(published_min, rel=0.01)


def test_a_closed_inlet_is_sucked_down_to_boiling_and_no_further():
    """0.5 nL/Pa: a psi, 6 895 Pa, is 3.45 uL, 110 steps; 99 kPa are 49.5 uL, 1 584 steps, less what was."""
    plant = Plant(fill_nl=10_000_000)
    flow(plant, 16, 0, 100)
    assert plant.pressure_up_pa(10 * S_NS) == 0
    plant.occlude("upstream", 10 * S_NS)
    flow(plant, 11, 100, 110)
    assert plant.pressure_up_pa(11 * S_NS) == pytest.approx(-110 * 31.25 * 2)
    assert plant.reservoir_nl() == 10_000_000 - 50_000
    flow(plant, 100, 110, 130)
    assert plant.pressure_up_pa(13 * S_NS) == -99_000
    assert plant.displaced_nl() == 50_000 + 49_500
    assert plant.inlet_lacks_nl() == 49_500 and plant.reservoir_nl() == 10_000_000 - 50_000
    assert plant.angle_steps == 1600 + 110 + 2000 == plant.steps_seen and plant.encoder_count == 115
    assert plant.outflow_nl(20 * S_NS * 60) == pytest.approx(99_500)
    plant.unocclude("upstream", 20 * S_NS * 60)
    assert plant.pressure_up_pa(20 * S_NS * 60) == 0
    assert plant.reservoir_nl() == 10_000_000 - 99_500
    plant.steps(32, 1200 * S_NS, 1201 * S_NS)
    assert plant.displaced_nl() == 100_500


def test_a_refill_behind_a_closed_inlet_fills_the_reservoir():
    plant = Plant(fill_nl=10_000_000)
    plant.occlude("upstream", 0)
    plant.steps(320, 0, S_NS)
    plant.refill(5_000_000)
    assert plant.reservoir_nl() == 5_000_000
    plant.unocclude("upstream", S_NS)
    assert plant.reservoir_nl() == 5_000_000 - 10_000


def test_drawing_back_into_a_closed_inlet_presses_on_it():
    plant = Plant()
    plant.occlude("upstream", 0)
    plant.steps(-32, 0, S_NS)
    assert plant.pressure_up_pa(S_NS) == 2000
    assert plant.displaced_nl() == -1000 and plant.reservoir_nl() == 20_000_000


def test_a_motor_that_stalls_or_has_no_driver_turns_nothing():
    for fault in (
        lambda plant, there: plant.set_stalled(there),
        lambda plant, there: plant.set_driver_fault(there, 2 * S_NS if there else 4 * S_NS),
    ):
        plant = Plant()
        plant.steps(320, 0, 2 * S_NS)
        fault(plant, True)
        plant.steps(320, 2 * S_NS, 3 * S_NS)
        plant.step(1, 3 * S_NS)
        assert (plant.steps_seen, plant.angle_steps, plant.encoder_count) == (641, 320, 10)
        assert plant.displaced_nl() == 10_000
        fault(plant, False)
        plant.steps(320, 4 * S_NS, 5 * S_NS)
        assert (plant.steps_seen, plant.angle_steps, plant.encoder_count) == (961, 640, 20)


@pytest.mark.parametrize("every_ns", [TICK_NS, 7 * S_NS, 3600 * S_NS])
def test_free_flow_turns_the_rotor_at_its_rate_however_often_it_is_asked(every_ns):
    """6 mL/h from 10 s on for an hour: 6 mL, 60 turns; a stopped motor, and a stalled one, change nothing."""
    plant = Plant()
    plant.free_flow(6_000_000, 10 * S_NS)
    assert plant.restless
    plant.set_stalled(True)
    end_ns = 3610 * S_NS
    for at_ns in [*range(10 * S_NS, end_ns, every_ns), end_ns]:
        plant.advance(at_ns)
    assert plant.displaced_nl() == 6_000_000
    assert (plant.steps_seen, plant.encoder_count, plant.index_count) == (0, 6000, 60)
    assert plant.pressure_down_pa(end_ns) == pytest.approx(7000, abs=65)  # and up to a step on top
    plant.free_flow(0, end_ns)
    assert not plant.restless
    plant.advance(2 * end_ns)
    assert plant.displaced_nl() == 6_000_000


def test_free_flow_adds_to_what_the_motor_turns():
    plant, single = Plant(), Plant()
    for each in (plant, single):
        each.free_flow(18_000_000, 0)  # 16 steps a tick
    for tick in range(100):
        plant.steps(4, tick * TICK_NS, (tick + 1) * TICK_NS)
        for step in range(4):
            single.step(1, tick * TICK_NS + (2 * step + 1) * TICK_NS // 8)
        single.advance((tick + 1) * TICK_NS)
    assert plant.angle_steps == single.angle_steps == 2000
    assert plant.steps_seen == single.steps_seen == 400
    assert plant.stored_nl(10 * S_NS) == pytest.approx(single.stored_nl(10 * S_NS), rel=0.01)


@pytest.mark.parametrize("rate_nl_h", [-1, 120_000_001])
def test_free_flow_faster_than_the_motor_is_refused(rate_nl_h):
    with pytest.raises(PlantError, match="free flow is"):
        Plant().free_flow(rate_nl_h, 0)


def test_an_occlusion_elsewhere_is_refused():
    with pytest.raises(PlantError, match="must be one of downstream, upstream"):
        Plant().occlude("left", 0)
    with pytest.raises(PlantError, match="must be one of downstream, upstream"):
        Plant().unocclude("", 0)


# --- sensors that fail

CHANNELS = {
    "pressure_down": lambda plant, at_ns: plant.adc_pressure_down(at_ns),
    "pressure_up": lambda plant, at_ns: plant.adc_pressure_up(at_ns),
    "supply": lambda plant, at_ns: (plant.advance(at_ns), plant.adc_supply(at_ns))[1],
}


def test_the_sensors_are_those_of_the_table():
    assert (*CHANNELS, "encoder", "index", "step_sense") == SENSORS
    assert KINDS == ("open", "short", "stuck", "noise", "clear")


@pytest.mark.parametrize("which", CHANNELS)
def test_an_analogue_sensor_that_fails(which):
    plant, sound = Plant(seed=5), Plant(seed=5)
    read = CHANNELS[which]
    samples = [k * SAMPLE_NS for k in range(5, 2005)]
    plant.sensor_fault(which, "open", 0)
    assert {read(plant, at_ns) for at_ns in samples[:50]} == {4095}
    plant.sensor_fault(which, "short", samples[50])
    assert {read(plant, at_ns) for at_ns in samples[50:100]} == {0}
    plant.sensor_fault(which, "clear", samples[100])
    assert all(read(plant, at_ns) == read(sound, at_ns) for at_ns in samples[100:200])
    plant.sensor_fault(which, "stuck", samples[200])
    plant.supply_v = 6.0
    assert {read(plant, at_ns) for at_ns in samples[200:300]} == {read(sound, samples[200])}
    plant.supply_v = 12.0
    plant.sensor_fault(which, "clear", samples[300])
    plant.sensor_fault(which, "noise", samples[300])
    off = [read(plant, at_ns) - read(sound, at_ns) for at_ns in samples[300:]]
    again = [read(plant, at_ns + 1) - read(sound, at_ns + 1) for at_ns in samples[300:]]
    assert off == again
    if which == "supply":  # far enough from both rails to be seen whole
        assert math.sqrt(sum(d * d for d in off) / len(off)) == pytest.approx(NOISE_CODES, rel=0.05)
        assert abs(sum(off) / len(off)) < 4 * NOISE_CODES / math.sqrt(len(off))
    others = [channel for channel in CHANNELS if channel != which]
    later = [at_ns + 200 * S_NS for at_ns in samples]
    assert all(CHANNELS[name](plant, at) == CHANNELS[name](sound, at) for name in others for at in later)


def test_the_noise_of_two_broken_sensors_is_not_the_same():
    plant = Plant(replace(QUIET, adc_e11=False, back_pressure_pa=Fraction(0)))
    plant.set_supply(2)  # as a pressure at rest
    for which in CHANNELS:
        plant.sensor_fault(which, "noise", 0)
    codes = [tuple(read(plant, k * SAMPLE_NS) for read in CHANNELS.values()) for k in range(50)]
    assert plant.restless
    assert all(len({series[k] for series in codes}) > 30 for k in range(3))
    assert sum(len(set(series)) == 3 for series in codes) > 30


@pytest.mark.parametrize("kind", ["open", "short", "stuck"])
@pytest.mark.parametrize("which", ["encoder", "index"])
def test_marks_that_are_not_seen_are_not_counted(which, kind):
    plant = Plant()

    def count():
        return plant.encoder_count if which == "encoder" else plant.index_count

    def level():
        return plant.encoder_level() if which == "encoder" else plant.index_level()

    plant.steps(3200, 0, S_NS)
    before = count()
    assert level() == 1  # a mark begins there
    plant.sensor_fault(which, kind, S_NS)
    assert level() == (1 if kind == "stuck" else 0)
    plant.steps(3200, S_NS, 2 * S_NS)
    assert count() == before and level() == (1 if kind == "stuck" else 0)
    plant.sensor_fault(which, "clear", 2 * S_NS)
    # what was low all the time rises when it is sound again: the mark is still there
    assert count() == before + (kind != "stuck") and level() == 1
    plant.steps(3200, 2 * S_NS, 3 * S_NS)
    assert count() == 2 * before + (kind != "stuck")


@pytest.mark.parametrize("which", ["encoder", "index"])
def test_noise_on_a_mark_is_fifty_pulses_a_second_and_no_other(which):
    plant, rises, was = Plant(), 0, 0
    plant.steps(16, 0, S_NS)  # both marks low: the index is high for 32 steps
    plant.steps(16, S_NS, 2 * S_NS)
    start = plant.encoder_count if which == "encoder" else plant.index_count
    plant.sensor_fault(which, "noise", 2 * S_NS)
    assert plant.restless
    for ms in range(2000, 5000):
        at_ns = (ms + 1) * NS_PER_MS
        plant.steps(1, ms * NS_PER_MS, at_ns)
        plant.advance(at_ns)
        level = plant.encoder_level() if which == "encoder" else plant.index_level()
        rises += level > was
        was = level
        count = plant.encoder_count if which == "encoder" else plant.index_count
        assert count == start + rises
    assert rises == 150
    plant.sensor_fault(which, "clear", 5 * S_NS)
    assert not plant.restless


def test_the_wire_of_step_sense_is_left_to_the_bench():
    plant = Plant()
    plant.sensor_fault("step_sense", "noise", 7 * NS_PER_MS)
    fault = plant.step_sense_fault
    assert fault is not None and plant.restless
    # low for 10 ms, high for 10 ms
    assert [fault.level(at * NS_PER_MS) for at in (7, 16, 17, 26, 27, 37)] == [0, 0, 1, 1, 0, 1]
    assert [fault.new_pulses(at * NS_PER_MS) for at in (16, 17, 36, 37, 1007)] == [0, 1, 0, 1, 48]
    plant.sensor_fault("step_sense", "open", S_NS)
    fault = plant.step_sense_fault
    assert fault is not None
    assert (fault.level(2 * S_NS), fault.new_pulses(2 * S_NS), plant.restless) == (0, 0, False)
    plant.sensor_fault("step_sense", "clear", S_NS)
    assert plant.step_sense_fault is None


def test_what_the_pins_see_is_told():
    plant, told = Plant(), []
    plant.on_pins = lambda: told.append((plant.air, plant.driver_fault, plant.restless))
    plant.set_air(True)
    plant.set_driver_fault(True, 0)
    plant.free_flow(1000, 0)
    plant.sensor_fault("index", "open", 0)
    plant.set_air(False)
    assert told == [
        (True, False, False),
        (True, True, False),
        (True, True, True),
        (True, True, True),
        (False, True, True),
    ]


@pytest.mark.parametrize(("which", "kind"), [("air", "open"), ("supply", "dead")])
def test_faults_that_nobody_knows_are_refused(which, kind):
    with pytest.raises(PlantError, match=f"{kind} of {which}"):
        Plant().sensor_fault(which, kind, 0)


def test_an_empty_line_lets_nothing_out_until_it_is_full():
    plant = Plant(PlantParameters(catheter_volume_nl=Fraction(1_000), line_full=False))
    for number in range(1, 65):  # 2 uL in 6.4 s
        plant.step(1, number * 100_000_000)
    at_ns = 3_600 * 1_000_000_000
    assert plant.displaced_nl() == 2_000 and plant.outflow_nl(at_ns) == pytest.approx(1_000, abs=1)
    assert Plant(PlantParameters(line_full=False)).outflow_nl(0) == 0


# --- rigs


@pytest.mark.req("RIG-05")
@pytest.mark.parametrize("name", rig.NAMES)
def test_a_turn_of_a_rig_is_its_volume_and_its_marks(name):
    its = rig.named(name)
    plant = Plant(rig=its)
    for index in range(its.steps_per_rev):
        plant.step(1, index * NS_PER_MS)
    assert plant.displaced_nl() == its.nl_per_rev
    assert plant.encoder_count == its.encoder_pulses_per_rev
    assert plant.index_count == int(its.has_index)
    for index in range(its.steps_per_rev):
        plant.step(-1, (its.steps_per_rev + index) * NS_PER_MS)
    assert (plant.displaced_nl(), plant.encoder_count, plant.index_count) == (0, 0, 0)


@pytest.mark.req("RIG-05")
@pytest.mark.parametrize("name", rig.NAMES)
def test_what_is_not_fitted_gives_no_pulse_and_floats_from_rail_to_rail(name):
    its = rig.named(name)
    plant = Plant(QUIET, rig=its)
    levels, codes = set(), {which: set() for which in ANALOGUE}
    for index in range(its.steps_per_rev):
        plant.step(1, index * S_NS)
        plant.advance(index * S_NS)
        levels |= {("encoder", plant.encoder_level()), ("index", plant.index_level())}
        codes["pressure_down"].add(plant.adc_pressure_down(index * S_NS))
        codes["pressure_up"].add(plant.adc_pressure_up(index * S_NS))
        codes["supply"].add(plant.adc_supply(index * S_NS))
    for which in ("encoder", "index"):
        assert ((which, 1) in levels) == fitted(its, which)
    for which, found in codes.items():
        floats = max(found) - min(found) > 3_000
        assert floats != fitted(its, which), which


@pytest.mark.req("RIG-05")
def test_a_sensor_of_another_scale_reads_what_its_data_sheet_says():
    """1 kPa of back pressure on 0.5 V + 40 mV/kPa is 0.54 V, 0.36 V behind 2/3: code 446.8 of 4 096."""
    quiet = replace(QUIET, adc_e11=False)
    assert Plant(quiet, rig=rig.named("pressure")).adc_pressure_down(0) in (446, 447)
    other = replace(quiet, pressure_lsb_pa=Fraction(25))
    assert Plant(other, rig=rig.named("pressure")).adc_pressure_down(0) == 414 + 40


@pytest.mark.req("RIG-05")
def test_a_sensor_that_is_not_there_cannot_fail():
    plant = Plant(rig=rig.named("bare"))
    for which in SENSORS:
        with pytest.raises(PlantError, match=f"stuck of {which}: rig bare has none"):
            plant.sensor_fault(which, "stuck", 0)
