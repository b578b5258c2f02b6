"""What a pump would refuse is known before anything is sent, with file, line and key, in units of people."""

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pump_port import PumpPort, SilentPort
from thecal_bench import scenario
from thecal_bench.inprocess import HostBench
from thecal_model import foreknown
from thecal_model.link import LinkClient
from thecal_model.problems import InputError
from thecal_model.therapy import Limit, PatientBolus, Profile, Step, Therapy

HEAD = """duration = "1 h"
[therapy]
mode = "continuous"
rate = "6 mL/h"
"""
BOLUS = """[therapy.patient_bolus]
volume = "5 uL"
rate = "600 uL/h"
lockout = "1 h"
max_per_day = 6
[therapy.limit]
volume = "30 mL"
window = "4 h"
"""
FLEX = """duration = "1 h"
[therapy]
mode = "flex"
drug = "morphine"
concentration = "10 mg/mL"
[[therapy.step]]
at = "06:00"
rate = "50 uL/h"
[[therapy.step]]
at = "22:00"
dose = "2.4 mg/day"
"""


@pytest.mark.req("LIM-15")
@pytest.mark.parametrize(
    ("text", "old", "new", "line", "says"),
    [
        (HEAD, "6 mL/h", "1 uL/h", 4, "therapy.rate: 1 uL/h, must be 2 uL/h to 120 mL/h"),
        (HEAD, "6 mL/h", "121 mL/h", 4, "therapy.rate: 121 mL/h, must be"),
        (HEAD, '6 mL/h"', '6 mL/h"\nkvo = "7 mL/h"', 5, "therapy.kvo: 7 mL/h, must not be above the basal"),
        (HEAD + BOLUS, "= 6\n", "= 97\n", 9, "therapy.patient_bolus.max_per_day: 97"),
        (HEAD + BOLUS, '"1 h"\nmax', '"25 h"\nmax', 8, "therapy.patient_bolus.lockout: "),
        (HEAD + BOLUS, '"4 h"', '"5 min"', 12, "therapy.limit.window: 5 min, must be 10 min"),
        (HEAD + BOLUS, '"30 mL"', '"20 mL"', 10, "therapy.limit: the basal alone gives 24 mL in 240 min"),
        (HEAD + BOLUS[: BOLUS.index("[therapy.limit]")], "", "", 2, "patient boluses must have one"),
        (HEAD + BOLUS, "600 uL/h", "115 mL/h", 7, "therapy.patient_bolus.rate: 115 mL/h on top of the basal"),
        (HEAD + '[reservoir]\nempty = "3 mL"\n', "", "", 6, "reservoir.empty: 3 mL, must not be above"),
        (FLEX, '"50 uL/h"', '"1 uL/h"', 8, "therapy.step.rate: 1 uL/h, must be"),
        (FLEX, '"2.4 mg/day"', '"0.2 mg/day"', 11, "therapy.step.dose: 0.833 uL/h, must be 2 uL/h to"),
        (HEAD + '[[event]]\nat = "5 min"\ndo = "program"\n[event.therapy]\nmode = "continuous"\n'
         'rate = "1 uL/h"\n', "", "", 10, "event.therapy.rate: 1 uL/h"),
    ],
)  # fmt: skip
def test_it_is_said_with_line_and_key(text, old, new, line, says):
    with pytest.raises(InputError) as refused:
        scenario.parse(text.replace(old, new, 1) if old else text, "file.toml")
    (problem,) = refused.value.problems
    assert problem.line == line and says in str(problem)
    assert str(problem).startswith(f"file.toml:{line}: ")


@settings(max_examples=40, deadline=None)
@given(
    rates=st.lists(st.tuples(st.integers(0, 1439), st.integers(2, 400)), min_size=1, max_size=5,
                   unique_by=lambda step: step[0]),
    window_min=st.integers(10, 1440),
    begin_min=st.integers(0, 10_079),
)  # fmt: skip
def test_no_window_of_the_week_holds_more_than_the_peak(rates, window_min, begin_min):
    """Minute by minute, against the peak over the corners alone."""
    steps = tuple(Step(minute * 60_000, Fraction(rate * 60)) for minute, rate in sorted(rates))
    therapy = Therapy("flex", steps=steps)
    by_minute = [therapy.basal_nl_h(minute * 60_000) / 60 for minute in range(1440)]
    held = sum(by_minute[(begin_min + minute) % 1440] for minute in range(window_min))
    peak = foreknown._peak_nl(therapy, window_min * 60_000)
    assert held <= peak
    assert peak <= max(by_minute) * window_min


def refused_by_a_pump(therapy):
    bench = HostBench()
    bench.advance_to_tick(5)
    link = LinkClient(bench.send)
    bench.on_data = link.feed
    asked = link.request("program", therapy=therapy)
    bench.advance_to_tick(8)
    reply = link.reply(asked)
    assert reply is not None
    return not reply["ok"]


@given(
    rate=st.fractions(0, 130_000_000, max_denominator=9), kvo=st.integers(0, 5_000), a_day=st.integers(0, 100)
)
def test_it_refuses_what_a_pump_refuses(rate, kvo, a_day):
    assume(rate > 0)
    bolus = PatientBolus(3_600_000, a_day, volume_nl=5_000, rate_nl_h=Fraction(600_000))
    therapy = Therapy(
        "continuous", rate, Fraction(kvo), patient_bolus=bolus, limit=Limit(3_600_000, 60_000_000)
    )
    found = foreknown.problems(therapy, Profile())
    if _exactly_at_its_limit(therapy):
        return
    assert bool(found) == refused_by_a_pump(therapy.message(Profile()))


def _exactly_at_its_limit(therapy):
    """Where host and pump may differ: the pump's windows are longer than programmed, by a bucket."""
    return Fraction(59, 60) <= therapy.rate_nl_h / 60_000_000 <= 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("morphine.dose_per_day.maximum: is 30 mg/day, above", ("therapy", "dose")),
        ("morphine.concentration.strength: 3 mg/mL", ("therapy", "concentration")),
        ("drug: aspirin is not in the library", ("therapy", "drug")),
        ("library: absent or damaged", ("therapy", "library")),
        ("nothing that has a key", ("therapy",)),
        ("the pump has no rig: say what hangs on its pins", ("therapy",)),
        ("and 3 more", ("therapy",)),
    ],
)
def test_what_the_pump_alone_can_know_has_its_key_too(text, key):
    therapy = Therapy("continuous", Fraction(1), drug="morphine", dose_pg_day=1)
    assert foreknown.key_of(text, therapy) == key


def test_a_refusal_of_the_pump_names_the_line_of_the_file(tmp_path, run):
    file = tmp_path / "therapy.toml"
    file.write_text(FLEX.replace("morphine", "aspirin"))
    result = run(PumpPort(), "program", file, "--yes")
    assert result.exit_code == 1 and f"{file}:4: therapy.drug: " in result.stderr
    assert "aspirin is not in the library" in result.stderr


@pytest.mark.req("LIM-15")
def test_a_refusal_about_the_pump_names_no_line():
    refusals = (
        "the pump has no rig (none was programmed): say what hangs on its pins; drug: aspirin is not known"
    )
    said = foreknown.placed("file.toml", FLEX, Therapy("continuous", Fraction(1)), refusals)
    assert said == (
        "the pump has no rig (none was programmed): say what hangs on its pins\n"
        "file.toml:4: therapy.drug: drug: aspirin is not known"
    )


@pytest.mark.req("LIM-15")
def test_a_dose_below_the_least_rate_is_refused_before_anything_is_sent(run, tmp_path):
    """0.5 mcg/day of 25 mcg/mL is 0.833 uL/h."""
    file = tmp_path / "slow.toml"
    file.write_text(
        'duration = "2 min"\n[therapy]\nmode = "continuous"\ndrug = "ziconotide"\n'
        'concentration = "25 mcg/mL"\ndose = "0.5 mcg/day"\n[[event]]\nat = "0 s"\ndo = "start"\n'
    )
    port = SilentPort()
    for command in ("simulate", "program"):
        result = run(port, command, file)
        assert result.exit_code == 2 and port.sent == b""
        assert f"{file}:6: therapy.dose: 0.833 uL/h, must be 2 uL/h" in result.stderr
