"""Height, breathing, pulse and temperature at the end of the line: by hand, and against plain integration."""

import math
from fractions import Fraction

import pytest
from thecal_bench import scenario as s
from thecal_bench.line import MOST_HEIGHT_PA, SLOT_NS, TONE_HZ, TONE_PA, TONES
from thecal_bench.parameters import NS_PER_MS, PlantError, PlantParameters
from thecal_bench.plant import Plant
from thecal_model.problems import InputError
from thecal_model.quantities import PA_PER_MM

S_NS = 1000 * NS_PER_MS
TICK_NS = 100 * NS_PER_MS
LOWERED_PA = 500 * PA_PER_MM  # by 50 cm


def test_a_pump_let_down_fills_its_line_from_the_far_end():
    plant = Plant()
    plant.set_height(LOWERED_PA, S_NS)
    assert plant.pressure_down_pa(S_NS) == pytest.approx(1000)  # nothing jumps
    assert plant.pressure_down_pa(S_NS + 1800 * NS_PER_MS) == pytest.approx(
        1000 + 4903.325 * (1 - 1 / math.e)
    )
    assert plant.pressure_down_pa(60 * S_NS) == pytest.approx(1000 + 4903.325)
    assert plant.stored_nl(60 * S_NS) == pytest.approx(2451.66, abs=0.01)
    assert plant.outflow_nl(60 * S_NS) == pytest.approx(-2451.66, abs=0.01)
    plant.set_height(0, 60 * S_NS)
    assert plant.outflow_nl(120 * S_NS) == pytest.approx(0, abs=1e-6)
    assert plant.pressure_peak_pa() == pytest.approx(1000 + 4903.325)


def test_a_blocked_line_feels_no_height_and_no_breath():
    plant = Plant()
    plant.steps(320, 0, S_NS)
    plant.occlude("downstream", S_NS)
    before = plant.pressure_down_pa(S_NS)
    plant.set_height(LOWERED_PA, 2 * S_NS)
    plant.set_tone("breathing", 300, 0.25, 2 * S_NS)
    for at in (2 * S_NS, 3 * S_NS, 900 * S_NS):
        assert plant.pressure_down_pa(at) == pytest.approx(before)
    plant.steps(16, 900 * S_NS, 901 * S_NS)
    assert plant.pressure_down_pa(901 * S_NS) == pytest.approx(before + 1000)  # 0.5 uL
    plant.unocclude("downstream", 901 * S_NS)
    assert plant.pressure_down_pa(1000 * S_NS) == pytest.approx(1000 + 4903.325, abs=101)


def test_breathing_reaches_the_head_late_and_by_a_third():
    plant = Plant()
    plant.set_tone("breathing", 300, 0.25, 0)
    seen = [plant.pressure_down_pa(60 * S_NS + ms * NS_PER_MS) - 1000 for ms in range(0, 4000, 10)]
    turn = 2 * math.pi * 0.25 * 1.8
    assert max(seen) == pytest.approx(300 / math.hypot(1, turn), rel=1e-3)
    assert min(seen) == pytest.approx(-max(seen), rel=1e-3)
    assert seen.index(max(seen)) / 100 == pytest.approx(1 + math.atan(turn) / (2 * math.pi * 0.25), abs=0.011)
    plant.set_tone("breathing", 0, 0.25, 64 * S_NS)
    assert plant.pressure_down_pa(120 * S_NS) == pytest.approx(1000)


def test_a_line_that_grows_warm_takes_volume_and_a_blocked_one_loses_pressure():
    # 120 K/day are 5 K an hour, at 4 %/K 20 % more compliance: 0.5 uL/kPa against 10 kPa are 5 uL, then 6.
    warm = PlantParameters(
        compliance_drift_percent_k=Fraction(4),
        temperature_drift_k_day=Fraction(120),
        back_pressure_pa=Fraction(10_000),
    )
    hour_ns = 3600 * S_NS
    assert Plant(warm).outflow_nl(hour_ns + 30 * S_NS) == pytest.approx(-1000)
    assert Plant(warm).pressure_down_pa(hour_ns + 30 * S_NS) == pytest.approx(10_000)
    blocked = Plant(warm)
    blocked.occlude("downstream", 0)
    assert blocked.outflow_nl(hour_ns) == pytest.approx(0, abs=1e-6)
    assert blocked.pressure_down_pa(hour_ns) == pytest.approx(10_000 / 1.2)


def test_agrees_with_euler_whatever_moves():
    """C p is what the line holds: d(C p)/dt = q - (p - b)/R, in steps of 0.5 ms over three minutes."""
    parameters = PlantParameters(
        compliance_drift_percent_k=Fraction(30), temperature_drift_k_day=Fraction(1200)
    )
    plant = Plant(parameters)
    held, out, height, step_ns = 500.0, 0.0, 0.0, NS_PER_MS // 2
    c = 0.5
    for tick in range(1800):
        now_ns = tick * TICK_NS
        if tick == 100:
            plant.set_tone("breathing", 300, 0.25, now_ns)
        if tick == 300:
            plant.set_tone("pulse_wave", 200, 1.2, now_ns)
        if tick in (500, 1300):
            height = 3000.0 if tick == 500 else -1500.0
            plant.set_height(height, now_ns)
        count = 8 if tick % 700 < 300 else 0
        plant.steps(count, now_ns, now_ns + TICK_NS)
        for part in range(200):
            at_ns = now_ns + part * step_ns
            c = 0.5 * (1 + 0.3 * plant.temperature_k(at_ns // SLOT_NS * SLOT_NS))
            b = 1000 + height
            for began, pa, hz in ((100, 300, 0.25), (300, 200, 1.2)):
                if tick >= began:
                    b += pa * math.sin(2 * math.pi * hz * (at_ns - began * TICK_NS) / S_NS)
            left = (held / c - b) / 3600 * 0.5
            held += count * 31.25 / 200 - left
            out += left
        end_ns = now_ns + TICK_NS
        if tick % 600 != 599:  # there C has just changed
            assert plant.pressure_down_pa(end_ns) == pytest.approx(held / c, abs=3)
        assert plant.outflow_nl(end_ns) == pytest.approx(out, abs=2)
    assert c > 0.52


def test_a_question_far_ahead_is_the_answer_of_many_small_ones():
    parameters = PlantParameters(compliance_drift_percent_k=Fraction(20))
    asked, often = Plant(parameters), Plant(parameters)
    for plant in (asked, often):
        plant.set_tone("breathing", 300, 0.25, 0)
        plant.steps(50, 0, S_NS)
    for second in range(2, 400):
        often.advance(second * S_NS)
        often.line.settle(second * S_NS)
    assert asked.pressure_down_pa(400 * S_NS) == pytest.approx(often.pressure_down_pa(400 * S_NS), rel=1e-12)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            lambda plant: plant.set_height(MOST_HEIGHT_PA + 1, 0),
            "height of 30001 Pa, must be -30000 to 30000",
        ),
        (lambda plant: plant.set_height(math.nan, 0), "height of nan Pa"),
        (lambda plant: plant.set_tone("hiccup", 1, 1, 0), "hiccup, must be one of breathing, pulse_wave"),
        (lambda plant: plant.set_tone("breathing", -1, 1, 0), "breathing has -1 Pa, must be 0 to 10000"),
        (lambda plant: plant.set_tone("pulse_wave", 1, 0, 0), "pulse_wave has 0 Hz, must be above 0"),
        (lambda plant: plant.set_tone("pulse_wave", 1, 5.1, 0), "5.1 Hz, must be above 0 and at most 5"),
        (
            lambda plant: Plant(PlantParameters(compliance_drift_percent_k=Fraction(-37))),
            "takes 92.5 % of the compliance, must be at most 90 %",
        ),
    ],
)
def test_what_no_world_does_is_refused(act, said):
    with pytest.raises(PlantError, match=said):
        act(Plant())


# --- in a file

FILE = 'duration = "1 h"\n[therapy]\nmode = "continuous"\nrate = "6 mL/h"\n'


def event(do, **keys):
    lines = [f'at = "1 min"\ndo = "{do}"', *(f'{key} = "{value}"' for key, value in keys.items())]
    return FILE + "[[event]]\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("to", ["50 cm", "0.5 m", "500 mm", "50 cmH2O"])
def test_a_height_is_a_length_or_the_pressure_of_it(to):
    (one,) = s.parse(event("height", to=to)).events
    assert one.keys == {"to": LOWERED_PA}


@pytest.mark.parametrize("do", TONES)
def test_a_tone_has_its_own_amplitude_and_frequency_unless_given(do):
    (plain,) = s.parse(event(do)).events
    (given,) = s.parse(event(do, amplitude="1 mmHg", frequency="500 mHz")).events
    assert plain.keys == {}
    assert given.keys == {"amplitude": Fraction("133.322387415"), "frequency": Fraction(1, 2)}
    assert 0 < TONE_PA[do] < 1000 and 0 < TONE_HZ[do] < 2


@pytest.mark.parametrize(
    ("do", "keys", "said"),
    [
        ("height", {}, "missing"),
        ("height", {"to": "3 mL"}, 'such as "10 psi", found "3 mL", which is a volume; or a length such as'),
        ("height", {"to": "4 m"}, 'at most 30 kPa (3 m of water) either way, found "4 m"'),
        ("height", {"to": "-31 kPa"}, "at most 30 kPa"),
        ("breathing", {"amplitude": "11 kPa"}, 'an amplitude of at most 10 kPa, found "11 kPa"'),
        ("breathing", {"amplitude": "-1 Pa"}, 'of 0 or more, found "-1 Pa"'),
        ("pulse_wave", {"frequency": "0 Hz"}, 'a frequency above 0 such as "0.25 Hz", found "0 Hz"'),
        ("pulse_wave", {"frequency": "6 Hz"}, 'a frequency of at most 5 Hz, half of what the sensor is read'),
        ("pulse_wave", {"frequency": "1 s"}, "which is a time"),
    ],
)  # fmt: skip
def test_what_no_world_does_is_refused_with_line_and_key(do, keys, said):
    with pytest.raises(InputError) as error:
        s.parse(event(do, **keys), "x.toml")
    (problem,) = error.value.problems
    assert said in problem.message
    assert problem.key == f"event.{next(iter(keys), 'to')}"


def test_a_drift_that_leaves_no_line_is_refused():
    text = FILE + '[plant]\ncompliance_drift = "-40 %/K"\n'
    with pytest.raises(InputError, match="leaves a tenth of the compliance, this takes 100 % of it"):
        s.parse(text)
    assert s.parse(text.replace("-40", "-36")).plant.compliance_drift_percent_k == -36
