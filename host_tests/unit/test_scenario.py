"""Scenario files: what they mean, and that everything wrong with one is said at once, with line and key."""

from fractions import Fraction

import pytest
from thecal_bench import scenario as s
from thecal_bench.parameters import PlantParameters
from thecal_bench.scenario.format import MODES, NESTED, PLANT_FIELDS
from thecal_model import rig as rigs
from thecal_model.link import FRAME_MAX_BYTES, encode
from thecal_model.problems import InputError
from thecal_model.quantities import MS_PER_DAY, MS_PER_HOUR
from thecal_model.therapy import Limit, PatientBolus, Profile, Step, Therapy
from thecal_model.toml_lines import Lines

SPIKES = "[[event]]\nat = '1 s'\ndo = 'spikes'\nwhich = '{}'\ncount = 9\nfor = '1 s'\n"
BOUNCE = "[[event]]\nat = '1 s'\ndo = 'bounce'\nwhich = '{}'\nfor = '5 ms'\n"
MINIMAL = """
duration = "1 h"
[therapy]
mode = "continuous"
rate = "6 mL/h"
"""

FULL = """
title = "Everything that is understood"
duration = "90 min"
clock = "tue 06:30"
seed = 7
[profile]
max_rate = "60 mL/h"
on_low_reservoir = "kvo"
mechanism = "reference"
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
kvo = "2 uL/h"
[therapy.patient_bolus]
dose = "0.1 mg"
duration = "5 min"
lockout = "4 h"
max_per_day = 4
[therapy.limit]
dose = "3.0 mg"
window = "24 h"
[reservoir]
fill = "40 mL"
low = "2 mL"
empty = "0 mL"
[plant]
compliance = "0.75 uL/kPa"
resistance = "2 kPa h/mL"
catheter_volume = "150 uL"
pressure_noise = "50 Pa"
pressure_lsb = "25 Pa"
pressure_drift = "-100 Pa/K"
temperature_drift = "2 K/day"
pulsation = "40 %"
adc_e11 = false
calibration_error = "-2 %"
back_pressure = "-1 kPa"
[[event]]
at = "30 min"
do = "clinician_bolus"
dose = "0.1 mg"
duration = "5 min"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "40 min"
do = "program"
[event.therapy]
mode = "continuous"
rate = "1 mL/h"
[[event]]
at = "50 min"
do = "clinician_bolus"
volume = "10.5 nL"
rate = "1 mL/h"
[[event]]
at = "52 min"
do = "patient_bolus"
[[event]]
at = "54 min"
do = "refill"
volume = "18 mL"
[[event]]
at = "56 min"
do = "set_time"
to = "sun 23:59:30"
[[event]]
at = "57 min"
do = "press"
button = "patient"
for = "2 s"
[[event]]
at = "58 min"
do = "press"
button = "patient"
[[event]]
at = "60 min"
do = "hang"
[[expect]]
what = "bolus"
at = "30 min"
granted = true
[[expect]]
what = "window_peak"
at_most = "150 uL"
[[expect]]
what = "reservoir"
at = "1 h"
value = "18 mL"
within = "1 uL"
[[expect]]
what = "delivered"
value = "1 mL"
within = "31.25 nL"
[[expect]]
what = "outflow"
at = "10 min"
at_least = "1 uL"
at_most = "2 uL"
[[expect]]
what = "state"
value = "RUNNING"
at = "1 min"
within = "1 s"
[[expect]]
what = "alarm"
code = "LOOP_FAULT"
never = true
[[expect]]
what = "resets"
value = 0
"""


WORLD = """
duration = "1 h"
[therapy]
mode = "stopped"
[[event]]
at = "1 min"
do = "occlude"
where = "downstream"
[[event]]
at = "2 min"
do = "occlude"
where = "upstream"
[[event]]
at = "3 min"
do = "unocclude"
where = "downstream"
[[event]]
at = "4 min"
do = "stall"
[[event]]
at = "5 min"
do = "unstall"
[[event]]
at = "6 min"
do = "free_flow"
rate = "1 mL/h"
[[event]]
at = "7 min"
do = "free_flow"
rate = "0 mL/h"
[[event]]
at = "8 min"
do = "air"
for = "2 s"
[[event]]
at = "9 min"
do = "air"
[[event]]
at = "10 min"
do = "sensor_fault"
which = "pressure_down"
kind = "stuck"
[[event]]
at = "11 min"
do = "low_supply"
to = "9.5 V"
[[event]]
at = "12 min"
do = "audio_pause"
[[event]]
at = "13 min"
do = "press"
button = "stop"
for = "10 s"
[[event]]
at = "13 min"
do = "press"
button = "patient"
[[event]]
at = "11 min"
do = "height"
to = "-50 cm"
[[event]]
at = "11 min"
do = "breathing"
amplitude = "0 Pa"
[[event]]
at = "11 min"
do = "pulse_wave"
"""


def test_what_happens_to_the_plant():
    events = s.parse(WORLD).events
    assert [(event.do, dict(event.keys)) for event in events if event.do in s.ON_THE_PLANT] == [
        ("occlude", {"where": "downstream"}),
        ("occlude", {"where": "upstream"}),
        ("unocclude", {"where": "downstream"}),
        ("stall", {}),
        ("unstall", {}),
        ("free_flow", {"rate": 1_000_000}),
        ("free_flow", {"rate": 0}),
        ("air", {"for": 2000}),
        ("air", {}),
        ("sensor_fault", {"which": "pressure_down", "kind": "stuck"}),
        ("low_supply", {"to": Fraction("9.5")}),
        ("height", {"to": Fraction("-4903.325")}),
        ("breathing", {"amplitude": 0}),
        ("pulse_wave", {}),
    ]
    assert [event.for_ms for event in events if event.do == "air"] == [2000, 0]
    assert [(event.button, event.asks_for_a_bolus) for event in events[-2:]] == [
        ("stop", False),
        ("patient", True),
    ]
    assert {event.do for event in events} >= set(s.ON_THE_PLANT)


def problems(text):
    with pytest.raises(InputError) as error:
        s.parse(text, "x.toml")
    return [(problem.line, problem.key, problem.message) for problem in error.value.problems]


def test_a_minimal_file_has_the_reference_values():
    scenario = s.parse(MINIMAL, "name.toml")
    assert scenario.title == "name"
    assert scenario.duration_ms == 3_600_000
    assert scenario.therapy == Therapy("continuous", Fraction(6_000_000))
    assert (scenario.clock_ms, scenario.seed) == (0, 1)
    assert scenario.plant == PlantParameters()
    assert scenario.events == scenario.expects == ()


def test_reference_plant_is_the_table_of_scenarios_md():
    """The reference values as SCENARIOS.md writes them, read, are the plant's own defaults."""
    written = """
    compliance = "0.5 uL/kPa"
    resistance = "1 kPa h/mL"
    catheter_volume = "200 uL"
    pressure_noise = "100 Pa"
    pressure_lsb = "50 Pa"
    pressure_drift = "200 Pa/K"
    temperature_drift = "5 K/day"
    pulsation = "0 %"
    dip = "0 %"
    adc_e11 = true
    calibration_error = "0 %"
    back_pressure = "1 kPa"
    compliance_drift = "0 %/K"
    """
    lsb = rigs.reference().pressure_down
    assert lsb is not None
    reference = PlantParameters(pressure_lsb_pa=Fraction(lsb.num, lsb.den))  # else what the rig has
    assert s.parse(f"{MINIMAL}[plant]{written}").plant == reference
    assert set(PLANT_FIELDS) == set(s.TABLES["plant"])


@pytest.mark.req("DOSE-13")
def test_a_full_file():
    scenario = s.parse(FULL)
    assert scenario.clock_ms == (24 + 6) * 3_600_000 + 30 * 60_000
    therapy = scenario.therapy
    # 2.4 mg/day at 20 mg/mL are 120 uL/day, 5 uL/h
    assert therapy.rate_nl_h == 5000
    assert (therapy.drug, therapy.concentration_pg_nl, therapy.dose_pg_day) == (
        "morphine",
        20_000,
        2_400_000_000,
    )
    assert therapy.kvo_nl_h == 2000
    assert therapy.patient_bolus == PatientBolus(14_400_000, 4, dose_pg=100_000_000, duration_ms=300_000)
    assert therapy.limit == Limit(86_400_000, dose_pg=3_000_000_000)
    assert scenario.profile == Profile(Fraction(60_000_000), None, "kvo", 2_000_000, 0, 150_000)
    assert scenario.reservoir == s.Reservoir(40_000_000)
    assert scenario.plant == PlantParameters(
        compliance_nl_pa=Fraction(3, 4),
        resistance_pa_ms_nl=Fraction(7200),
        catheter_volume_nl=Fraction(150_000),
        pressure_noise_pa=Fraction(50),
        pressure_lsb_pa=Fraction(25),
        pressure_drift_pa_k=Fraction(-100),
        temperature_drift_k_day=Fraction(2),
        pulsation_percent=Fraction(40),
        adc_e11=False,
        calibration_error_percent=Fraction(-2),
        back_pressure_pa=Fraction(-1000),
    )
    assert [(e.at_ms, e.do) for e in scenario.events] == [
        (0, "start"),
        (1_800_000, "clinician_bolus"),
        (2_400_000, "program"),
        (3_000_000, "clinician_bolus"),
        (3_120_000, "patient_bolus"),
        (3_240_000, "refill"),
        (3_360_000, "set_time"),
        (3_420_000, "press"),
        (3_480_000, "press"),
        (3_600_000, "hang"),
    ]
    # 0.1 mg at 20 mg/mL
    assert scenario.events[1].bolus == s.BolusRequest(5000, 300_000)
    # 10.5 nL are 10 whole ones; at 1 mL/h they take 36.0 ms
    assert scenario.events[3].bolus == s.BolusRequest(10, 36)
    assert scenario.events[2].therapy == Therapy("continuous", Fraction(1_000_000))
    refill, set_time, long_press, press = scenario.events[5:9]
    assert refill.volume_nl == 18_000_000
    assert set_time.week_ms == 7 * MS_PER_DAY - 30_000
    assert (long_press.button, long_press.for_ms, press.for_ms) == ("patient", 2000, 500)
    bolus, peak, reservoir, delivered, outflow, state, alarm, resets = scenario.expects
    assert (bolus.at_ms, bolus.granted, bolus.reason) == (1_800_000, True, None)
    assert (peak.at_most_nl, peak.within_nl) == (150_000, None)
    assert (reservoir.at_ms, reservoir.value, reservoir.within_nl) == (3_600_000, 18_000_000, 1000)
    assert (delivered.at_ms, delivered.value, delivered.within_nl) == (None, 10**6, Fraction("31.25"))
    assert (outflow.at_ms, outflow.at_least_nl, outflow.at_most_nl) == (600_000, 1000, 2000)
    assert (state.value, state.within_ms) == ("RUNNING", 1000)
    assert (alarm.code, alarm.never) == ("LOOP_FAULT", True)
    assert resets.value == 0


def test_what_goes_over_the_link_is_whole_numbers():
    scenario = s.parse(FULL)
    assert scenario.therapy.message(scenario.profile) == {
        "mode": "continuous",
        "drug": "morphine",
        "concentration_pg_nl": 20_000,
        "dose_pg_day": 2_400_000_000,
        "kvo_num": 2000,
        "kvo_den": 1,
        "patient_bolus": {
            "dose_pg": 100_000_000,
            "duration_ms": 300_000,
            "lockout_ms": 14_400_000,
            "max_per_day": 4,
        },
        "limit": {"dose_pg": 3_000_000_000, "window_ms": 86_400_000},
        "max_rate_nl_h": 60_000_000,
        "on_low": "kvo",
        "low_nl": 2_000_000,
        "empty_nl": 0,
        "line_nl": 150_000,
    }
    third = s.parse(MINIMAL.replace("6 mL/h", "50 uL/day")).therapy
    assert third.message(Profile()) == {"mode": "continuous", "rate_num": 6250, "rate_den": 3}


def test_volumes_and_rates_of_a_patient_bolus_go_over_the_link_as_they_were_written():
    text = """
[therapy.patient_bolus]
volume = "1 mL"
rate = "1 mL/day"
lockout = "0 s"
max_per_day = 48
[therapy.limit]
volume = "26.5 mL"
window = "240 min"
"""
    therapy = s.parse(MINIMAL + text).therapy
    said = therapy.message(Profile())
    assert said["patient_bolus"] == {
        "volume_nl": 1_000_000,
        "rate_num": 125_000,
        "rate_den": 3,
        "lockout_ms": 0,
        "max_per_day": 48,
    }
    assert said["limit"] == {"volume_nl": 26_500_000, "window_ms": 14_400_000}
    assert therapy.patient_bolus is not None
    assert therapy.patient_bolus.flow_nl_h(Fraction(0)) == Fraction(125_000, 3)
    # 0.1 mg at 20 mg/mL in 5 min: 5 uL in a twelfth of an hour
    by_dose = s.parse(FULL).therapy.patient_bolus
    assert by_dose is not None
    strength = Fraction(20_000)
    assert (by_dose.volume_in_nl(strength), by_dose.flow_nl_h(strength)) == (5000, 60_000)


@pytest.mark.parametrize("mode", ["stopped", "minimum"])
def test_modes_without_a_rate_say_only_their_name(mode):
    scenario = s.parse(f'duration = "1 h"\n[therapy]\nmode = "{mode}"\n')
    assert scenario.therapy.message(scenario.profile) == {"mode": mode, "line_nl": 200_000}
    assert scenario.therapy.basal_nl_h(0) == (2000 if mode == "minimum" else 0)


FLEX = """
duration = "1 h"
[therapy]
mode = "flex"
drug = "baclofen"
concentration = "500 mcg/mL"
[[therapy.step]]
at = "22:00"
rate = "3 uL/h"
[[therapy.step]]
at = "06:30"
days = ["mon", "tue", "wed", "thu", "fri"]
dose = "240 mcg/day"
[[therapy.step]]
at = "09:00:30"
days = ["sun", "sat"]
rate = "12 uL/h"
"""


@pytest.mark.req("DOSE-06")
def test_steps_of_the_day():
    therapy = s.parse(FLEX).therapy
    hour_ms, day_ms = MS_PER_HOUR, MS_PER_DAY
    assert therapy.message(Profile()) == {
        "mode": "flex",
        "drug": "baclofen",
        "concentration_pg_nl": 500,
        "steps": [
            {"at_ms": 22 * hour_ms, "rate_num": 3000, "rate_den": 1},
            {"at_ms": 6 * hour_ms + 1_800_000, "days": 0b0011111, "dose_pg_day": 240_000_000},
            {"at_ms": 9 * hour_ms + 30_000, "days": 0b1100000, "rate_num": 12_000, "rate_den": 1},
        ],
    }
    # 240 mcg/day at 500 mcg/mL are 480 uL/day
    night, weekday, weekend = 3000, 20_000, 12_000
    morning, late_morning = 6 * hour_ms + 1_800_000, 9 * hour_ms + 30_000
    for at_ms, rate_nl_h in (
        (0, night),  # monday before its first step: since sunday evening
        (morning - 1, night),
        (morning, weekday),
        (22 * hour_ms - 1, weekday),
        (22 * hour_ms, night),
        (day_ms, night),
        (4 * day_ms + 12 * hour_ms, weekday),
        (5 * day_ms + late_morning - 1, night),  # saturday
        (5 * day_ms + late_morning, weekend),
        (7 * day_ms - 1, night),
        (7 * day_ms, night),
        (7 * day_ms + morning, weekday),
    ):
        assert therapy.basal_nl_h(at_ms) == rate_nl_h, at_ms


def test_a_step_late_in_the_week_holds_until_the_first_of_the_next():
    therapy = Therapy("flex", steps=(Step(1000, Fraction(2000), 0b1000000), Step(0, Fraction(9), 0b10)))
    assert [therapy.basal_nl_h(day * MS_PER_DAY) for day in range(8)] == [2000, 9, 9, 9, 9, 9, 9, 2000]
    assert therapy.basal_nl_h(6 * MS_PER_DAY + 999) == 9


def test_thirteen_steps_with_everything_else_fit_into_a_frame():
    steps = "".join(
        f'[[therapy.step]]\nat = "{hour:02}:30:30"\ndose = "{hour}.35 mg/day"\n' for hour in range(10, 23)
    )
    text = FULL.replace('mode = "continuous"\ndrug', 'mode = "flex"\ndrug').replace(
        'dose = "2.4 mg/day"\n', ""
    )
    text = text.replace('dose = "3.0 mg"', 'dose = "30 mg"')  # of which the basal alone takes 20
    scenario = s.parse(text.replace("[reservoir]", steps + "[reservoir]"))
    assert len(scenario.therapy.steps) == 13
    message = scenario.therapy.message(scenario.profile)
    frame = encode({"id": 1 << 29, "cmd": "program", "at_tick": 1 << 29, "therapy": message})
    assert len(frame) <= FRAME_MAX_BYTES


def test_a_bolus_by_dose_is_rounded_down_to_whole_nanolitres_and_its_time_up():
    event = '[[event]]\nat="1 min"\ndo="clinician_bolus"\ndose="100 mcg"\nrate="7 mL/h"\n'
    therapy = MINIMAL.replace('rate = "6 mL/h"', 'drug="d"\nconcentration="30 mg/mL"\ndose="1.8 mg/day"')
    (bolus,) = (e.bolus for e in s.parse(therapy + event).events)
    assert bolus is not None
    assert bolus.volume_nl == 3333  # 3 333.3 nL
    assert bolus.duration_ms == 1715  # 3 333 nL at 7 mL/h take 1 714.1 ms
    assert bolus.rate_nl_h <= 7_000_000


def test_a_bolus_by_dose_takes_the_concentration_in_force_then():
    text = FULL.replace('volume = "10.5 nL"', 'dose = "1 mg"')
    assert problems(text) == [
        (57, "event.dose", "event.dose: expected a volume: no drug and concentration are set")
    ]


BY_MASS = """
duration = "1 h"
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "10 mg/mL"
dose = "2.4 mg/day"
[therapy.patient_bolus]
dose = "0.1 mg"
duration = "5 min"
lockout = "4 h"
max_per_day = 4
[therapy.limit]
dose = "3.0 mg"
window = "24 h"
"""
BRIDGE = '[[event]]\nat = "30 min"\ndo = "bridge"\nconcentration = "25 mg/mL"\n'


@pytest.mark.req("DOSE-10")
def test_a_bridge_is_the_therapy_in_force_with_the_same_doses():
    scenario = s.parse(BY_MASS + BRIDGE + BRIDGE.replace("30", "40").replace("25 mg", "20 mg"))
    first, second = (event.therapy for event in scenario.events)
    assert first is not None and second is not None
    assert scenario.therapy.rate_nl_h == 10_000  # 240 uL/day
    assert (first.concentration_pg_nl, first.rate_nl_h, first.dose_pg_day) == (25_000, 4000, 2_400_000_000)
    assert (second.concentration_pg_nl, second.rate_nl_h) == (20_000, 5000)
    assert (first.patient_bolus, first.limit) == (scenario.therapy.patient_bolus, scenario.therapy.limit)
    message = first.message(scenario.profile)
    was = scenario.therapy.message(scenario.profile)
    assert message == {**was, "concentration_pg_nl": 25_000}


@pytest.mark.req("DOSE-10")
def test_the_steps_of_the_day_are_bridged_too():
    flex = FLEX.replace('rate = "3 uL/h"', 'dose = "36 mcg/day"').replace("12 uL/h", "12 uL/h")
    flex = flex.replace('rate = "12 uL/h"', 'dose = "144 mcg/day"')
    (event,) = s.parse(flex + BRIDGE.replace("25 mg", "0.75 mg")).events
    assert event.therapy is not None
    # two thirds of 3, 20 and 12 uL/h
    assert [step.rate_nl_h for step in event.therapy.steps] == [2000, Fraction(40_000, 3), 8000]


def test_a_bolus_by_dose_takes_the_concentration_that_was_bridged_to():
    bolus = '[[event]]\nat = "40 min"\ndo = "clinician_bolus"\ndose = "0.1 mg"\nduration = "5 min"\n'
    (_, event) = s.parse(BY_MASS + BRIDGE + bolus).events
    assert event.bolus is not None and event.bolus.volume_nl == 4000


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (MINIMAL, "mode, rate"),
        (BY_MASS.replace('dose = "0.1 mg"', 'volume = "10 uL"'), "patient_bolus.volume"),
        (BY_MASS.replace('dose = "3.0 mg"', 'volume = "1 mL"'), "limit.volume"),
        (FLEX, "step.rate"),
        (MINIMAL.replace('continuous"\nrate = "6 mL/h', "minimum"), "mode"),
    ],
)
def test_only_what_is_given_by_mass_can_be_bridged(text, keys):
    line = text.count("\n") + 3
    assert problems(text + BRIDGE) == [
        (line, "event.do", f"event.do: expected a therapy given by drug mass all through, not {keys}")
    ]


# --- unknown


def test_every_name_of_scenarios_md_is_in_a_table():
    """The lists of SCENARIOS.md, typed off: a name missing here would be refused as a typing error."""
    events = """start stop patient_bolus clinician_bolus prime bridge program refill acknowledge audio_pause
        set_time occlude unocclude stall unstall free_flow air sensor_fault low_supply reset power_cut hang
        host_disconnect host_connect press new_line rig spikes bounce tremble
        height breathing pulse_wave pair"""
    expects = "bolus alarm state delivered ledger outflow window_peak resets reservoir refused unwatched"
    therapy = "mode rate drug concentration dose kvo line step patient_bolus limit"
    alarms = """OCCLUSION_DOWN OCCLUSION_UP AIR STALL RUNAWAY FREE_FLOW OVER_INFUSION UNDER_INFUSION
        RESERVOIR_LOW RESERVOIR_EMPTY MAX_DOSE LIMIT_GUARD SENSOR_FAULT DRIVER_FAULT SUPPLY_LOW
        SUPPLY_CRITICAL LONG_STOP
        CLOCK_LOST AUTO_RESUMED POST_FAILED LIBRARY_FAULT JOURNAL_FAULT MEMORY_FAULT LOOP_FAULT RESET_LOOP
        THREE_STRIKES SERVICE_DUE STOP_HELD COUNT_END BAD_AUTH"""
    assert set(s.EVENTS) == set(events.split())
    assert set(s.EXPECTS) == set(expects.split())
    assert set(s.ALARM_CODES) == set(alarms.split())
    assert set(MODES) == {"continuous", "flex", "minimum", "stopped"}
    assert {*s.TABLES["therapy"], *NESTED} == set(therapy.split())
    assert set(s.TABLES["profile"]) == {"max_rate", "on_low_reservoir", "mechanism", "rig"}
    assert set(s.TABLES["reservoir"]) == {"fill", "low", "empty"}
    assert set(s.ON_THE_LINK) <= set(s.EVENTS)


START = '[[event]]\nat = "0 s"\ndo = "start"\n'
NAMED = """\
[[event]]
at = "0 s"
do = "clinician_bolus"
volume = "1 uL"
duration = "1 s"
"""
DRUG = 'drug = "baclofen"\nconcentration = "500 mcg/mL"\n'
BOLUS = """\
[therapy.patient_bolus]
volume = "1 mL"
rate = "6 mL/h"
lockout = "4 h"
max_per_day = 4
"""
LIMIT = """\
[therapy.limit]
volume = "1 mL"
window = "4 h"
"""


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("duration = 5" + MINIMAL.replace('duration = "1 h"', ""), 1, "duration", "expected a time"),
        (MINIMAL + NAMED + "accept = []", 11, "event.accept", 'a list of bounds such as ["baclofen.bolus'),
        (MINIMAL + NAMED + 'accept = "x"', 11, "event.accept", "found 'x'"),
        (MINIMAL + START + '[[expect]]\nwhat = "refused"\nat = "1 s"', 11, "expect.at", "tells the pump"),
        (MINIMAL + START + '[[expect]]\nwhat = "refused"', 9, "expect.at", "missing"),
        (MINIMAL.replace("1 h", "0 s"), 2, "duration", "above 0"),
        (MINIMAL.replace("1 h", "0.5 ms"), 2, "duration", "whole milliseconds"),
        (MINIMAL.replace("duration", "durations"), 2, "durations", 'did you mean "duration"'),
        ('[therapy]\nmode = "stopped"\n', 1, "duration", "missing"),
        ('duration = "1 h"\n', 1, "therapy", "missing"),
        ('therapy = 5\nduration = "1 h"\n', 1, "therapy", "expected a table [therapy]"),
        ('clock = "noon"' + MINIMAL, 1, "clock", 'such as "mon 00:00"'),
        ("seed = -1" + MINIMAL, 1, "seed", "whole number"),
        ("seed = true" + MINIMAL, 1, "seed", "whole number"),
        ("seed = 1.5" + MINIMAL, 1, "seed", "whole number"),
        ('title = ""' + MINIMAL, 1, "title", "text in quotes"),
        ("nonsense = 1" + MINIMAL, 1, "nonsense", "unknown key; expected one of title, duration"),
        ("event = 5" + MINIMAL, 1, "event", "expected tables [[event]]"),
        (MINIMAL + "[event]\n", 6, "event", "expected tables [[event]], found a table"),
        ("event = [5]" + MINIMAL, 1, "event", "expected tables [[event]]"),
        (
            MINIMAL.replace("continuous", "cont"),
            4,
            "therapy.mode",
            "expected one of continuous, flex, minimum, stopped",
        ),
        (MINIMAL.replace("6 mL/h", "6 mL"), 5, "therapy.rate", "which is a volume"),
        (MINIMAL.replace("6 mL/h", "2.4 mg/day"), 5, "therapy.rate", "a mass of drug per time"),
        (MINIMAL.replace("6 mL/h", "0 mL/h"), 5, "therapy.rate", "above 0"),
        (MINIMAL.replace('rate = "6 mL/h"', ""), 4, "therapy.mode", "expected rate, or drug"),
        (MINIMAL.replace('rate = "6 mL/h"', 'drug = "m"'), 4, "therapy.mode", "concentration and dose"),
        (MINIMAL + 'drug = "m"\n', 6, "therapy.drug", "not both"),
        (MINIMAL + 'kvo = "1 mg/h"\n', 6, "therapy.kvo", "expected a volume per time"),
        (MINIMAL.replace("continuous", "stopped"), 5, "therapy.rate", "no such key"),
        (MINIMAL + "[profile]\nmechanism = 'own'\n", 7, "profile.mechanism", "expected one of reference"),
        (MINIMAL + "[plant]\nadc_e11 = 1\n", 7, "plant.adc_e11", "true or false"),
        (MINIMAL + "[plant]\ncompliance = '0 uL/kPa'\n", 7, "plant.compliance", "above 0"),
        (MINIMAL + "[plant]\npressure_noise = '-1 Pa'\n", 7, "plant.pressure_noise", "0 or more"),
        (MINIMAL + "[plant]\npulsation = '300 %'\n", 7, "plant.pulsation", "0 % to 200 %"),
        (MINIMAL + "[plant]\ncalibration_error = '-100 %'\n", 7, "plant.calibration_error", "-100 %"),
        (MINIMAL + "[plant]\nresistence = '0 uL/kPa'\n", 7, "plant.resistence", 'did you mean "resistance"'),
        (MINIMAL + SPIKES.format("supply"), 9, "event.which", "expected one of step_sense, encoder, index"),
        (MINIMAL + SPIKES.format("air").replace("9", "-9"), 10, "event.count", "whole number"),
        (MINIMAL + BOUNCE.format("air").replace("'5 ms'", "5"), 10, "event.for", "5 without a unit"),
        (MINIMAL + START.replace("start", "strat"), 8, "event.do", 'did you mean "start"'),
        (MINIMAL + START.replace('do = "start"', ""), 6, "event.do", "missing"),
        (MINIMAL + START.replace('"start"', "[1]"), 8, "event.do", "found [1]"),
        (MINIMAL + START.replace('at = "0 s"', ""), 6, "event.at", "missing"),
        (MINIMAL + START.replace("0 s", "2 h"), 7, "event.at", "within the duration of 3600 s"),
        (MINIMAL + START + "volume = '1 mL'\n", 9, "event.volume", "unknown key"),
        (MINIMAL + START.replace("start", "program"), 6, "event.therapy", "missing"),
        (
            MINIMAL
            + START.replace("start", "program")
            + "[event.therapy]\nmode = 'continuous'\nrate = '1 mL'\n",
            11,
            "event.therapy.rate",
            "expected a volume per time",
        ),
        (MINIMAL + START.replace("start", "clinician_bolus"), 8, "event.do", "one of volume and dose"),
        (
            MINIMAL
            + START.replace("start", "clinician_bolus")
            + "volume='1 mL'\ndose='1 mg'\nduration='1 s'\n",
            10,
            "event.dose",
            "one of volume and dose",
        ),
        (
            MINIMAL + START.replace("start", "clinician_bolus") + "volume='1 mL'\nrate='0 mL/h'\n",
            10,
            "event.rate",
            "above 0",
        ),
        (
            MINIMAL + START.replace("start", "clinician_bolus") + "volume='0.5 nL'\nrate='1 mL/h'\n",
            9,
            "event.volume",
            "1 nL or more",
        ),
        (MINIMAL + START.replace("start", "host_connect"), 8, "event.do", "disconnected until then"),
        (
            MINIMAL + START.replace("start", "host_disconnect") + START,
            11,
            "event.do",
            "no start reaches the pump",
        ),
        (
            MINIMAL
            + START.replace("start", "host_disconnect")
            + START.replace("start", "host_connect").replace("0 s", "3 s")
            + START.replace("0 s", "3.9 s"),
            13,
            "event.at",
            "1 s or more after host_connect",
        ),
        (
            MINIMAL
            + (START.replace("start", "program") + "[event.therapy]\nmode = 'continuous'\nrate = '1 mL/h'\n")
            * 2,
            13,
            "event.at",
            "2 s or more after the last program or refill",
        ),
        (
            MINIMAL + (START.replace("start", "refill") + "volume = '1 mL'\n") * 2,
            11,
            "event.at",
            "2 s or more after the last program or refill",
        ),
        (MINIMAL + START.replace("start", "occlude"), 6, "event.where", "missing"),
        (WORLD.replace("upstream", "up"), 12, "event.where", "expected one of downstream, upstream"),
        (WORLD.replace("upstream", "downstream"), 11, "event.do", "its end before another occlude"),
        (WORLD.replace("unocclude", "occlude"), 15, "event.do", "its end before another occlude"),
        (WORLD.replace('do = "occlude"', 'do = "unocclude"'), 7, "event.do", "expected occlude before"),
        (WORLD.replace("unstall", "stall"), 22, "event.do", "its end before another stall"),
        (WORLD.replace('"stall"', '"unstall"'), 19, "event.do", "expected stall before"),
        (WORLD.replace('do = "stall"', 'do = "stall"\nwhere = "upstream"'), 20, "event.where", "unknown key"),
        (WORLD.replace('rate = "1 mL/h"', ""), 23, "event.rate", "missing"),
        (WORLD.replace("1 mL/h", "120.1 mL/h"), 26, "event.rate", "at most 120 mL/h"),
        (WORLD.replace("1 mL/h", "-1 mL/h"), 26, "event.rate", "negative"),
        (WORLD.replace("1 mL/h", "1 mg/h"), 26, "event.rate", "expected a volume per time"),
        (WORLD.replace("2 s", "0 s"), 34, "event.for", "above 0"),
        (WORLD.replace("2 s", "61 s"), 36, "event.at", "the air before it to have passed"),
        (WORLD.replace('for = "2 s"', ""), 36, "event.at", "the air before it to have passed"),
        (WORLD.replace("pressure_down", "pressure"), 41, "event.which", "expected one of pressure_down"),
        (WORLD.replace("stuck", "dead"), 42, "event.kind", "one of open, short, stuck, noise, clear"),
        (WORLD.replace('kind = "stuck"', ""), 38, "event.kind", "missing"),
        (WORLD.replace('which = "pressure_down"', ""), 38, "event.which", "missing"),
        (WORLD.replace("9.5 V", "9.5"), 46, "event.to", "without a unit"),
        (WORLD.replace("9.5 V", "-1 V"), 46, "event.to", "negative"),
        (WORLD.replace('to = "9.5 V"', ""), 43, "event.to", "missing"),
        (WORLD.replace('do = "audio_pause"', 'do = "audio_pause"\nfor = "1 s"'), 50, "event.for", "unknown"),
        (
            MINIMAL + START.replace("start", "host_disconnect") + START.replace("start", "audio_pause"),
            11,
            "event.do",
            "no audio_pause reaches the pump",
        ),
        (MINIMAL + START.replace("start", "prime"), 6, "event.volume", "missing"),
        (MINIMAL + START.replace("start", "prime") + "volume='1 mL/h'\n", 9, "event.volume", "a volume"),
        (MINIMAL + START.replace("start", "prime") + "volume='0.5 nL'\n", 9, "event.volume", "in whole nL"),
        (MINIMAL + START.replace("start", "prime") + "volume='0 nL'\n", 9, "event.volume", "above 0"),
        (MINIMAL + START.replace("start", "reset") + "for='1 s'\n", 9, "event.for", "unknown key"),
        (MINIMAL + START.replace("start", "reset") + START, 10, "event.at", "3 s or more after reset"),
        (
            MINIMAL + START.replace("start", "reset") + START.replace("0 s", "2.9 s"),
            10,
            "event.at",
            "3 s or more after reset",
        ),
        (BY_MASS + BRIDGE.replace('concentration = "25 mg/mL"\n', ""), 16, "event.concentration", "missing"),
        (BY_MASS + BRIDGE.replace("25 mg/mL", "25 mg"), 19, "event.concentration", "a concentration"),
        (BY_MASS + BRIDGE.replace("25", "10"), 19, "event.concentration", "another concentration"),
        (BY_MASS + BRIDGE + BRIDGE.replace("30 min", "1801 s"), 21, "event.at", "2 s or more after the last"),
        (MINIMAL + "[plant]\ncatheter_volume = '0.5 nL'\n", 7, "plant.catheter_volume", "in whole nL"),
        (MINIMAL + START.replace("start", "refill"), 6, "event.volume", "missing"),
        (MINIMAL + START.replace("start", "refill") + "volume='1.5 nL'\n", 9, "event.volume", "in whole nL"),
        (MINIMAL + START.replace("start", "refill") + "volume='60.1 mL'\n", 9, "event.volume", "most 60 mL"),
        (MINIMAL + "[reservoir]\nfill = '60.1 mL'\n", 7, "reservoir.fill", "most 60 mL"),
        (MINIMAL + START.replace("start", "refill") + "volume='0 mL'\n", 9, "event.volume", "above 0"),
        (MINIMAL + START.replace("start", "set_time"), 6, "event.to", "missing"),
        (MINIMAL + START.replace("start", "set_time") + "to='noon'\n", 9, "event.to", 'such as "mon 00:00"'),
        (MINIMAL + START.replace("start", "patient_bolus") + "volume='1 mL'\n", 9, "event.volume", "unknown"),
        (MINIMAL + START.replace("start", "press"), 6, "event.button", "missing"),
        (MINIMAL + START.replace("start", "press") + "button='red'\n", 9, "event.button", "of patient, stop"),
        (
            MINIMAL
            + START.replace("start", "press")
            + "button='patient'\nfor='2 s'\n"
            + START.replace("start", "press").replace("0 s", "2.1 s")
            + "button='patient'\n",
            12,
            "event.at",
            "200 ms or more between two presses",
        ),
        (
            MINIMAL + START.replace("start", "host_disconnect") + START.replace("start", "patient_bolus"),
            11,
            "event.do",
            "no patient_bolus reaches the pump",
        ),
        (MINIMAL + "[reservoir]\nfill = '1.5 nL'\n", 7, "reservoir.fill", "in whole nL"),
        (MINIMAL + "[reservoir]\nlow = '0.5 nL'\n", 7, "reservoir.low", "in whole nL"),
        (MINIMAL + "[reservoir]\nempty = '-1 nL'\n", 7, "reservoir.empty", "negative"),
        (MINIMAL + "[profile]\non_low_reservoir = 'stop'\n", 7, "profile.on_low_reservoir", "continue, kvo"),
        (MINIMAL + BOLUS.replace("1 mL", "31.25 nL"), 7, "therapy.patient_bolus.volume", "in whole nL"),
        (
            MINIMAL + BOLUS.replace("volume", "dose").replace("mL", "pg"),
            7,
            "therapy.patient_bolus.dose",
            "a volume: no drug",
        ),
        (
            MINIMAL + BOLUS + 'duration = "1 min"\n',
            11,
            "therapy.patient_bolus.duration",
            "one of rate and duration",
        ),
        (
            MINIMAL + BOLUS.replace('rate = "6 mL/h"', ""),
            6,
            "therapy.patient_bolus",
            "one of rate and duration",
        ),
        (MINIMAL + BOLUS.replace('lockout = "4 h"', ""), 6, "therapy.patient_bolus.lockout", "missing"),
        (MINIMAL + BOLUS.replace("= 4", "= 4.5"), 10, "therapy.patient_bolus.max_per_day", "whole number"),
        (
            MINIMAL + BOLUS.replace("lockout", "lock_out"),
            9,
            "therapy.patient_bolus.lock_out",
            'mean "lockout"',
        ),
        (MINIMAL + LIMIT.replace("1 mL", "0 mL"), 7, "therapy.limit.volume", "above 0"),
        (MINIMAL + LIMIT.replace("1 mL", "1.5 nL"), 7, "therapy.limit.volume", "in whole nL"),
        (MINIMAL + LIMIT.replace('volume = "1 mL"', ""), 6, "therapy.limit", "one of volume and dose"),
        (MINIMAL + LIMIT.replace('window = "4 h"', ""), 6, "therapy.limit.window", "missing"),
        (MINIMAL + LIMIT.replace("4 h", "0 h"), 8, "therapy.limit.window", "above 0"),
        (MINIMAL + "limit = 5\n", 6, "therapy.limit", "expected a table [therapy.limit]"),
        (
            MINIMAL.replace("continuous", "stopped") + LIMIT,
            6,
            "therapy.limit",
            'no such key in mode "stopped"',
        ),
        (MINIMAL.replace("continuous", "minimum"), 5, "therapy.rate", 'no such key in mode "minimum"'),
        (
            MINIMAL + "[[therapy.step]]\nat='06:00'\nrate='1 mL/h'\n",
            6,
            "therapy.step",
            'in mode "continuous"',
        ),
        (
            FLEX.replace('drug = "baclofen"', ""),
            6,
            "therapy.concentration",
            "drug and concentration, or neither",
        ),
        (FLEX.replace(DRUG, "\n\n"), 13, "therapy.step.dose", "a rate: no drug"),
        (FLEX.replace("therapy.step", "therapy.steps"), 7, "therapy.steps", 'did you mean "step"'),
        (FLEX[: FLEX.index("[[")], 4, "therapy.mode", "expected tables [[therapy.step]]"),
        (MINIMAL.replace("continuous", "flex") + "[therapy.step]\n", 6, "therapy.step", "found a table"),
        (FLEX.replace("22:00", "24:00"), 8, "therapy.step.at", 'a time of day such as "06:00"'),
        (FLEX.replace('"sun", "sat"', ""), 16, "therapy.step.days", "expected a list of days"),
        (FLEX.replace('"sun", "sat"', '"sun", "sun"'), 16, "therapy.step.days", '"sun" twice'),
        (FLEX.replace('"sun", "sat"', '"sonday"'), 16, "therapy.step.days", "expected one of mon, tue"),
        (FLEX.replace("09:00:30", "22:00"), 15, "therapy.step.at", "the step of line 7 has sat too"),
        (FLEX + 'dose = "1 mg/day"\n', 18, "therapy.step.dose", "one of rate and dose"),
        (FLEX.replace('rate = "12 uL/h"', ""), 15, "therapy.step.at", "one of rate and dose"),
        (FLEX.replace('at = "22:00"', ""), 7, "therapy.step.at", "missing"),
        (FLEX.replace('rate = "3 uL/h"', 'rate = "0 uL/h"'), 9, "therapy.step.rate", "above 0"),
        (MINIMAL + "[[expect]]\nwhat = 'bolus'\ngranted = true\n", 6, "expect.at", "missing"),
        (
            MINIMAL + "[[expect]]\nwhat = 'bolus'\nat = '1 s'\ngranted = true\n",
            8,
            "expect.at",
            "an event that asks",
        ),
        (MINIMAL + "[[expect]]\nwhat = 'delivered'\n", 7, "expect.what", "one of value, at_most"),
        (
            MINIMAL + "[[expect]]\nwhat = 'ledger'\nvalue='1 mL'\nat_most='1 mL'\n",
            9,
            "expect.at_most",
            "either value",
        ),
        (MINIMAL + "[[expect]]\nwhat = 'window_peak'\n", 6, "expect.at_most", "missing"),
        (
            MINIMAL + "[[expect]]\nwhat = 'window_peak'\nat_most='1 mL'\n",
            7,
            "expect.what",
            "expected a [therapy.limit]",
        ),
        (MINIMAL + "[[expect]]\nwhat = 'reservoir'\nat='1 s'\n", 6, "expect.value", "missing"),
        (MINIMAL + "[[expect]]\nwhat = 'outflow'\nvalue='1 s'\n", 8, "expect.value", "expected a volume"),
        (MINIMAL + "[[expect]]\nwhat = 'state'\nvalue='HAPPY'\n", 8, "expect.value", "expected one of BOOT"),
        (MINIMAL + "[[expect]]\nwhat = 'alarm'\ncode='RUNAWAY'\n", 8, "expect.code", "at, or never"),
        (
            MINIMAL + "[[expect]]\nwhat = 'alarm'\ncode='RUNAWAY'\nnever=false\n",
            9,
            "expect.never",
            "expected true",
        ),
        (MINIMAL + "[[expect]]\nwhat = 'resets'\nvalue='no'\n", 8, "expect.value", "whole number"),
        (MINIMAL + "[[expect]]\nwhat = 'reset'\n", 7, "expect.what", 'did you mean "resets"'),
        ("rate = = 5\n", 1, "rate", "expected TOML"),
        ('a = 1\nb = "\n', 2, "b", "expected TOML"),
        ("[a\n", 1, "a", "expected TOML"),
        ("x" * 5000 + "=" + "[" * 100_000, 1, "x" * 5000, "expected TOML"),
    ],
)
def test_each_mistake_is_said_with_line_key_and_what_was_expected(text, line, key, says):
    found = problems(text)
    assert (line, key) in [(at, name) for at, name, _ in found], found
    assert any(says in message for at, name, message in found if (at, name) == (line, key)), found


def test_all_mistakes_are_said_at_once_in_the_order_of_the_file():
    text = 'seed = 0.5\nduration = "1 mL"\n[therapy]\nmode = "continuous"\nrate = "1"\nrat = 2\n'
    assert [(line, key) for line, key, _ in problems(text)] == [
        (1, "seed"),
        (2, "duration"),
        (5, "therapy.rate"),
        (6, "therapy.rat"),
    ]


def test_files_that_can_not_be_read(tmp_path):
    with pytest.raises(InputError, match=r"no\.toml:1: cannot be read"):
        s.load(tmp_path / "no.toml")
    with pytest.raises(InputError, match="cannot be read"):
        s.load(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b'a = 1\nb = "\xff"\n')
    with pytest.raises(InputError, match=r"binary\.toml:2: expected text in UTF-8"):
        s.load(binary)


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert s.load(file).duration_ms == 3_600_000


def test_a_therapy_alone_needs_no_duration(tmp_path):
    file = tmp_path / "therapy.toml"
    file.write_text('[therapy]\nmode = "continuous"\nrate = "1 mL/h"\n[profile]\nmax_rate = "60 mL/h"\n')
    assert s.load_therapy(file) == (Therapy("continuous", Fraction(10**6)), Profile(Fraction(60_000_000)))
    file.write_text('[therapy]\nmode = "continuous"\nrate = "1 mg/h"\n')
    with pytest.raises(InputError, match=r"therapy\.toml:3: therapy\.rate: expected a volume per time"):
        s.load_therapy(file)


def test_lines_of_keys():
    text = """# not = here
title = "x = 1" # nor = here
a.b."c d" = [1, 2, # z = 3
  { q = 1, r = \"\"\"
zz = 4
\"\"\" }, ]
[therapy]
mode = 'm=1'
 [ therapy . limit ]
w = 2
[[event]]
at = "1"
[event.therapy]
mode="x"
[[event]]
at = "2"
do = { a = 1, b = { c = 2 } }
s = '''
t = 5'''
u = "\\" v = 6"
"""
    lines = Lines(text)
    written = {
        ("title",): 2,
        ("a", "b", "c d"): 3,
        ("a", "b", "c d", 2, "q"): 4,
        ("a", "b", "c d", 2, "r"): 4,
        ("therapy",): 7,
        ("therapy", "mode"): 8,
        ("therapy", "limit", "w"): 10,
        ("event", 0): 11,
        ("event", 0, "at"): 12,
        ("event", 0, "therapy"): 13,
        ("event", 0, "therapy", "mode"): 14,
        ("event", 1): 15,
        ("event", 1, "at"): 16,
        ("event", 1, "do", "b", "c"): 17,
        ("event", 1, "s"): 18,
        ("event", 1, "u"): 20,
    }
    assert {path: lines.of(path) for path in written} == written
    assert lines.of(("event", 1, "not there")) == 15
    assert lines.of(("zz",)) == 1


@pytest.mark.req("DOSE-09")
def test_the_line_is_a_key_of_the_therapy_and_nothing_invents_one_for_a_real_pump(tmp_path):
    plant = MINIMAL + "[plant]\ncatheter_volume = '150 uL'\n"
    file = tmp_path / "therapy.toml"
    for text, experiment_nl, real_nl in (
        (MINIMAL, 200_000, None),
        (plant, 150_000, None),
        (MINIMAL + "line = '70 uL'\n", 70_000, 70_000),
        (MINIMAL + "line = '0 uL'\n", 0, 0),
    ):
        scenario = s.parse(text)
        assert scenario.therapy.message(scenario.profile)["line_nl"] == experiment_nl
        assert scenario.assumes_the_line == (real_nl is None)
        file.write_text(text)
        therapy, profile = s.load_therapy(file)
        assert therapy.message(profile).get("line_nl") == real_nl


# --- rigs

RIGGED = MINIMAL + "[profile]\nrig = '{}'\n"


def name_of_rig(scenario):
    assert scenario.profile.rig is not None
    return scenario.profile.rig.name


@pytest.mark.req("RIG-05")
def test_a_rig_is_one_of_the_project_or_a_file_beside_the_scenario(tmp_path):
    assert s.parse(MINIMAL).profile.rig is None
    assert name_of_rig(s.parse(RIGGED.format("geared"))) == "geared"
    (tmp_path / "rigs").mkdir()
    mine = (rigs.FOLDER / "bare.toml").read_text().replace('"bare"', '"mine"')
    (tmp_path / "rigs" / "mine.toml").write_text(mine)
    (tmp_path / "one.toml").write_text(RIGGED.format("rigs/mine.toml"))
    assert name_of_rig(s.load(tmp_path / "one.toml")) == "mine"


@pytest.mark.req("RIG-05")
def test_a_rig_that_is_wrong_is_told_with_its_own_file_and_line(tmp_path):
    (tmp_path / "mine.toml").write_text((rigs.FOLDER / "bare.toml").read_text().replace("pad", "pin"))
    (tmp_path / "one.toml").write_text(RIGGED.format("mine.toml"))
    with pytest.raises(InputError) as why:
        s.load(tmp_path / "one.toml")
    assert str(why.value).startswith(f"{tmp_path / 'mine.toml'}:17: sense.step.at: expected wire or pad")
    with pytest.raises(InputError, match="cannot be read"):
        s.parse(RIGGED.format("nowhere.toml"))
    with pytest.raises(InputError, match="expected one of rig and mechanism"):
        s.parse(RIGGED.format("bare") + "mechanism = 'reference'\n")


ALARM = "[[expect]]\nwhat = 'alarm'\ncode = '{}'\n{}\n"
FAULT = "[[event]]\nat = '1 s'\ndo = 'sensor_fault'\nwhich = '{}'\nkind = 'open'\n"
PRESS = "[[event]]\nat = '1 s'\ndo = 'press'\nbutton = '{}'\n"


@pytest.mark.req("RIG-05")
@pytest.mark.parametrize(
    ("rig", "text", "words"),
    [
        (
            "bare",
            ALARM.format("OCCLUSION_DOWN", "at = '1 s'"),
            "no pressure_down, which raises OCCLUSION_DOWN",
        ),
        ("pressure", ALARM.format("OCCLUSION_UP", "at = '1 s'"), "rig pressure has: it has no pressure_up"),
        ("lab", ALARM.format("STALL", "at = '1 s'"), "no encoder"),
        ("quiet", ALARM.format("SUPPLY_LOW", "at = '1 s'"), "no supply"),
        ("geared", ALARM.format("DRIVER_FAULT", "at = '1 s'"), "no fault"),
        ("shield", ALARM.format("STOP_HELD", "at = '1 s'"), "no button_stop"),
        ("bare", FAULT.format("pressure_up"), "rig bare has: it has no pressure_up"),
        ("bare", FAULT.format("step_sense"), "it has no step_sense"),
        ("bare", SPIKES.format("step_sense"), "it has no step_sense"),
        ("geared", SPIKES.format("driver_fault"), "it has no driver_fault"),
        ("shield", BOUNCE.format("button_stop"), "it has no button_stop"),
        ("quiet", PRESS.format("patient"), "it has no button patient"),
    ],
)
def test_what_is_expected_of_a_sensor_that_is_not_there_is_refused_by_name(rig, text, words):
    assert name_of_rig(s.parse(RIGGED.format("reference") + text)) == "reference"
    with pytest.raises(InputError) as why:
        s.parse(RIGGED.format(rig) + text)
    assert words in str(why.value)


@pytest.mark.req("RIG-05")
def test_what_a_rig_cannot_feel_may_happen_all_the_same():
    blocked = "[[event]]\nat = '1 s'\ndo = 'occlude'\nwhere = 'downstream'\n"
    assert s.parse(RIGGED.format("bare") + blocked + ALARM.format("OCCLUSION_DOWN", "never = true"))


@pytest.mark.req("RIG-05")
def test_a_therapy_is_held_against_the_rig_that_is_to_give_it():
    fast = MINIMAL.replace("6 mL/h", "20 mL/h")
    assert "20 mL/h" in fast and s.parse(fast)
    with pytest.raises(InputError, match="rate"):
        s.parse(fast + "[profile]\nrig = 'geared'\n")
