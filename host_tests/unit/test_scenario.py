"""Scenario files: what they mean, and that everything wrong with one is said at once, with line and key."""

from fractions import Fraction

import pytest
from thecal_bench import scenario as s
from thecal_bench.plant import PlantParameters
from thecal_bench.toml_lines import Lines

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
mechanism = "reference"
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
kvo = "2 uL/h"
[reservoir]
fill = "40 mL"
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
at = "60 min"
do = "hang"
[[expect]]
what = "bolus"
at = "30 min"
granted = true
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


def problems(text):
    with pytest.raises(s.ScenarioError) as error:
        s.parse(text, "x.toml")
    return [(problem.line, problem.key, problem.message) for problem in error.value.problems]


def test_a_minimal_file_has_the_reference_values():
    scenario = s.parse(MINIMAL, "name.toml")
    assert scenario.title == "name"
    assert scenario.duration_ms == 3_600_000
    assert scenario.therapy == s.Therapy("continuous", Fraction(6_000_000))
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
    adc_e11 = true
    calibration_error = "0 %"
    back_pressure = "1 kPa"
    """
    assert s.parse(f"{MINIMAL}[plant]{written}").plant == PlantParameters()
    assert set(s.PLANT_FIELDS) == set(s.TABLES["plant"])


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
    assert scenario.profile.max_rate_nl_h == 60_000_000
    assert scenario.reservoir.fill_nl == 40_000_000
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
        (3_600_000, "hang"),
    ]
    # 0.1 mg at 20 mg/mL
    assert scenario.events[1].bolus == s.BolusRequest(5000, 300_000)
    # 10.5 nL are 10 whole ones; at 1 mL/h they take 36.0 ms
    assert scenario.events[3].bolus == s.BolusRequest(10, 36)
    assert scenario.events[2].therapy == s.Therapy("continuous", Fraction(1_000_000))
    bolus, delivered, outflow, state, alarm, resets = scenario.expects
    assert (bolus.at_ms, bolus.granted, bolus.reason) == (1_800_000, True, None)
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
        "max_rate_nl_h": 60_000_000,
    }
    third = s.parse(MINIMAL.replace("6 mL/h", "1 uL/day")).therapy
    assert third.message(s.Profile()) == {"mode": "continuous", "rate_num": 125, "rate_den": 3}


def test_mode_stopped_programs_nothing():
    scenario = s.parse('duration = "1 h"\n[therapy]\nmode = "stopped"\n')
    assert scenario.therapy.message(scenario.profile) is None


def test_a_bolus_by_dose_is_rounded_down_to_whole_nanolitres_and_its_time_up():
    event = '[[event]]\nat="1 min"\ndo="clinician_bolus"\ndose="100 mcg"\nrate="7 mL/h"\n'
    therapy = MINIMAL.replace('rate = "6 mL/h"', 'drug="d"\nconcentration="30 mg/mL"\ndose="1 mg/day"')
    (bolus,) = (e.bolus for e in s.parse(therapy + event).events)
    assert bolus is not None
    assert bolus.volume_nl == 3333  # 3 333.3 nL
    assert bolus.duration_ms == 1715  # 3 333 nL at 7 mL/h take 1 714.1 ms
    assert bolus.rate_nl_h <= 7_000_000


def test_a_bolus_by_dose_takes_the_concentration_in_force_then():
    text = FULL.replace('volume = "10.5 nL"', 'dose = "1 mg"')
    assert problems(text) == [
        (46, "event.dose", "event.dose: expected a volume: no drug and concentration are set")
    ]


# --- not supported yet, unknown


def test_features_of_later_pumps_are_refused_by_name_once_each():
    text = """\
duration = "1 h"
[profile]
on_low_reservoir = "continue"
[therapy]
mode = "continuous"
rate = "6 mL/h"
[[therapy.step]]
at = "06:00"
[therapy.patient_bolus]
volume = 5
nonsense = true
[therapy.limit]
window = "4 h"
[reservoir]
low = "1 mL"
empty = "0.5 mL"
[[event]]
at = "1 min"
do = "patient_bolus"
[[event]]
at = "2 min"
do = "patient_bolus"
[[event]]
at = "3 min"
do = "refill"
[[expect]]
what = "window_peak"
[[expect]]
what = "alarm"
code = "RESERVOIR_LOW"
never = true
"""
    with pytest.raises(s.ScenarioError) as error:
        s.parse(text, "x.toml")
    assert str(error.value).split("\n") == [
        "x.toml:3: not supported yet: profile.on_low_reservoir",
        "x.toml:7: not supported yet: therapy.step",
        "x.toml:9: not supported yet: therapy.patient_bolus",
        "x.toml:12: not supported yet: therapy.limit",
        "x.toml:15: not supported yet: reservoir.low",
        "x.toml:16: not supported yet: reservoir.empty",
        "x.toml:19: not supported yet: event.patient_bolus",
        "x.toml:25: not supported yet: event.refill",
        "x.toml:27: not supported yet: expect.window_peak",
        "x.toml:30: not supported yet: expect.alarm.RESERVOIR_LOW",
    ]


@pytest.mark.parametrize("mode", ["flex", "minimum"])
def test_modes_of_later_pumps(mode):
    text = MINIMAL.replace("continuous", mode)
    assert problems(text) == [(4, f"therapy.mode.{mode}", f"not supported yet: therapy.mode.{mode}")]


def test_every_name_of_scenarios_md_is_in_a_table():
    """The lists of SCENARIOS.md, typed off: a name missing here would be refused as a typing error."""
    events = """start stop patient_bolus clinician_bolus prime bridge program refill acknowledge audio_pause
        set_time occlude unocclude stall unstall free_flow air sensor_fault low_supply reset power_cut hang
        host_disconnect host_connect press"""
    expects = "bolus alarm state delivered ledger outflow window_peak resets reservoir"
    therapy = "mode rate drug concentration dose kvo step patient_bolus limit"
    alarms = """OCCLUSION_DOWN OCCLUSION_UP AIR STALL RUNAWAY FREE_FLOW OVER_INFUSION UNDER_INFUSION
        RESERVOIR_LOW RESERVOIR_EMPTY MAX_DOSE LIMIT_GUARD SENSOR_FAULT DRIVER_FAULT SUPPLY_LOW
        SUPPLY_CRITICAL LONG_STOP
        CLOCK_LOST AUTO_RESUMED POST_FAILED LIBRARY_FAULT JOURNAL_FAULT MEMORY_FAULT LOOP_FAULT RESET_LOOP
        THREE_STRIKES SERVICE_DUE BAD_AUTH"""
    assert set(s.EVENTS) == set(events.split())
    assert set(s.EXPECTS) == set(expects.split())
    assert set(s.ALARM_CODES) == set(alarms.split())
    assert set(s.MODES) == {"continuous", "flex", "minimum", "stopped"}
    assert set(s.TABLES["therapy"]) == set(therapy.split())
    assert set(s.TABLES["profile"]) == {"max_rate", "on_low_reservoir", "mechanism"}
    assert set(s.TABLES["reservoir"]) == {"fill", "low", "empty"}
    assert set(s.ON_THE_LINK) <= set(s.EVENTS)


START = '[[event]]\nat = "0 s"\ndo = "start"\n'


@pytest.mark.parametrize(
    ("text", "line", "key", "says"),
    [
        ("duration = 5" + MINIMAL.replace('duration = "1 h"', ""), 1, "duration", "expected a time"),
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
        (MINIMAL.replace("continuous", "cont"), 4, "therapy.mode", "expected one of continuous, stopped"),
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
        (MINIMAL + START.replace("start", "strat"), 8, "event.do", 'did you mean "start"'),
        (MINIMAL + START.replace('do = "start"', ""), 6, "event.do", "missing"),
        (MINIMAL + START.replace('"start"', "[1]"), 8, "event.do", "found [1]"),
        (MINIMAL + START.replace('at = "0 s"', ""), 6, "event.at", "missing"),
        (MINIMAL + START.replace("0 s", "2 h"), 7, "event.at", "within the duration of 3600 s"),
        (MINIMAL + START + "volume = '1 mL'\n", 9, "event.volume", "unknown key"),
        (MINIMAL + START.replace("start", "program"), 6, "event.therapy", "missing"),
        (
            MINIMAL + START.replace("start", "program") + "[event.therapy]\nmode = 'stopped'\n",
            10,
            "event.therapy.mode",
            "a therapy that flows",
        ),
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
            "2 s or more after the last program",
        ),
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
    with pytest.raises(s.ScenarioError, match=r"no\.toml:1: can not be read"):
        s.load(tmp_path / "no.toml")
    with pytest.raises(s.ScenarioError, match="can not be read"):
        s.load(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b'a = 1\nb = "\xff"\n')
    with pytest.raises(s.ScenarioError, match=r"binary\.toml:2: expected text in UTF-8"):
        s.load(binary)


def test_windows_line_ends_and_byte_order_mark(tmp_path):
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert s.load(file).duration_ms == 3_600_000


def test_a_therapy_alone_needs_no_duration(tmp_path):
    file = tmp_path / "therapy.toml"
    file.write_text('[therapy]\nmode = "continuous"\nrate = "1 mL/h"\n[profile]\nmax_rate = "60 mL/h"\n')
    assert s.load_therapy(file) == (s.Therapy("continuous", Fraction(10**6)), s.Profile(Fraction(60_000_000)))
    file.write_text('[therapy]\nmode = "continuous"\nrate = "1 mg/h"\n')
    with pytest.raises(s.ScenarioError, match=r"therapy\.toml:3: therapy\.rate: expected a volume per time"):
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
