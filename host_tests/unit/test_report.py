"""Unit tests of what a run is judged by: programmed volume, errors, the content of the picture.

The programmed volumes are checked against numbers worked out by hand in the comments, and once against a sum
over small steps that shares nothing with the closed form.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.text import Text
from thecal.causes import CAUSES
from thecal.link.commands import COMMANDS
from thecal.states import JOGGING, RUNNING, STOPPED
from thecal.watch.alarms import RESERVOIR_LOW
from thecal_bench import scenario
from thecal_host import cli, picture, record, recording, report
from thecal_host.experiment import prescription
from thecal_host.programmed import CLINICIAN, PATIENT, Programmed
from thecal_host.report import Asked, Course, LimitInForce, Run, Sample, window_fill
from thecal_model import rig
from thecal_model.therapy import Profile, Therapy
from typer.testing import CliRunner

H = 3_600_000
MIN = 60_000
STEP_NL = Fraction(100_000, 3_200)


@pytest.mark.req("DOSE-05")
def test_one_rate_flows_from_start_to_stop_only():
    programmed = Programmed(Fraction(6_000_000))
    programmed.start(60 * MIN)
    programmed.stop(120 * MIN)
    assert [programmed.volume_nl(m * MIN) for m in (0, 60, 61, 120, 200)] == [
        0,
        0,
        100_000,
        6_000_000,
        6_000_000,
    ]


@pytest.mark.req("DOSE-07")
def test_an_ordinary_day_with_boluses():
    # Morphine 2.4 mg/day at 20 mg/mL is 120 uL/day, 5 uL/h; three boluses of 5 uL over 5 min on top: 135 uL.
    programmed = Programmed(Fraction(5_000))
    programmed.start(0)
    for hour in (8, 13, 18):
        programmed.bolus(hour * H, 5_000, Fraction(5_000 * 12))
    # In the middle of the first bolus: 8 h of basal, 2.5 min of basal and half a bolus.
    assert programmed.volume_nl(24 * H) == 135_000
    assert programmed.volume_nl(8 * H + 150_000) == 8 * 5_000 + Fraction(5_000, 24) + 2_500
    assert programmed.rate_nl_h(8 * H + 1) == 65_000 and programmed.rate_nl_h(8 * H + 5 * MIN) == 5_000


@pytest.mark.req("DOSE-12")
def test_a_bolus_slows_under_the_machine_s_limit_and_keeps_its_volume():
    # 40 of 120 mL/h are left for the bolus: 1 mL takes 90 s instead of 60 s.
    programmed = Programmed(Fraction(80_000_000), Fraction(120_000_000))
    programmed.start(0)
    programmed.bolus(0, 1_000_000, Fraction(60_000_000))
    assert programmed.rate_nl_h(0) == 120_000_000
    assert programmed.rate_nl_h(89_999) == 120_000_000 and programmed.rate_nl_h(90_000) == 80_000_000
    assert programmed.volume_nl(90_000) == 2_000_000 + 1_000_000


@pytest.mark.req("DOSE-07")
def test_a_stop_ends_a_bolus_for_good():
    programmed = Programmed(Fraction(0))
    programmed.start(0)
    programmed.bolus(0, 6_000, Fraction(360_000))  # 100 nL/s for a minute
    programmed.stop(20_000)
    programmed.start(30_000)
    assert programmed.volume_nl(100_000) == 2_000
    programmed.bolus(100_000, 1_000, Fraction(360_000))
    assert programmed.volume_nl(200_000) == 3_000


@pytest.mark.req("DOSE-09")
def test_what_fills_a_line_is_programmed_and_no_dose():
    programmed = Programmed(Fraction(6_000_000))
    programmed.turn(1_000, 200_000, 60_000_000, primes=True)  # 12 s
    assert programmed.volume_nl(7_000) == programmed.primed_nl(7_000) == 100_000
    programmed.stop(13_000)
    programmed.start(20_000)
    programmed.stop(50_000)
    programmed.turn(60_000, 200_000, 60_000_000, primes=True)
    programmed.stop(63_000)  # in a quarter of it
    programmed.turn(70_000, 10_000, 6_000_000)  # a jog, which is one
    programmed.stop(90_000)
    assert programmed.volume_nl(90_000) == 200_000 + 50_000 + 50_000 + 10_000
    assert programmed.primed_nl(90_000) == 250_000 and programmed.bolus_left_nl == 0


@pytest.mark.req("DOSE-09", "LIM-03", "RIG-06")
def test_a_run_whose_line_is_primed_is_off_by_a_microstep_and_its_window_holds_the_dose_alone(tmp_path):
    scenario_file = Path(__file__).parents[1] / "scenarios" / "prime_then_run.toml"
    said = CliRunner().invoke(cli.app, ["simulate", str(scenario_file), "--every", "500 ms", "--json"])
    path = tmp_path / "run.ndjson"
    path.write_text(said.stdout)
    run = record.run_of(path)
    assert abs(report.worst_error_steps(run)) <= 1
    rows = dict(report.summary_rows(run))
    assert rows["of it primed, in no limit"] == "250.000 uL"
    assert rows["fullest window at a sample"].startswith("150.000 uL")


def test_a_jog_is_programmed_by_its_steps():
    jogged = [(0, frame("state", STOPPED, JOGGING)), (0, frame("jog_start", 3_200, 6_000_000))]
    known = prescription(scenario.parse(WEEK), 0)
    events = [*jogged, (60_000, frame("state", JOGGING, STOPPED))]
    found = record.programmed_by_events(known, events, H, nl_per_step=STEP_NL)
    assert found.volume_nl(30_000) == 50_000 and found.volume_nl(H) == 100_000


def test_what_cannot_be_is_an_error():
    programmed = Programmed(Fraction(1_000))
    with pytest.raises(ValueError, match="stopped"):
        programmed.bolus(0, 1, Fraction(1))
    programmed.start(1_000)
    programmed.bolus(1_000, 10, Fraction(1))
    with pytest.raises(ValueError, match="one is running"):
        programmed.bolus(2_000, 1, Fraction(1))
    with pytest.raises(ValueError, match="told of 500 ms after 2000 ms"):
        programmed.stop(500)


@pytest.mark.req("DOSE-02")
@settings(deadline=None)
@given(st.data())
def test_the_closed_form_is_the_sum_of_small_steps(data):
    # Rates that are whole nL per 100 ms, times on that grid, boluses that end on it: the sum is exact.
    per_tick = H // 100
    programmed = Programmed(Fraction(0), None)
    basal = bolus = bolus_left = total = 0
    running = False
    expected = []
    for tick in range(60):
        at_ms = tick * 100
        act = data.draw(st.sampled_from(["", "", "", "start", "stop", "basal", "bolus"]))
        if act == "start":
            programmed.start(at_ms)
            running = True
        elif act == "stop":
            programmed.stop(at_ms)
            running, bolus_left = False, 0
        elif act == "basal":
            basal = data.draw(st.integers(0, 50))
            programmed.set_basal(at_ms, basal * per_tick)
        elif act == "bolus" and running and not bolus_left:
            bolus = data.draw(st.integers(1, 40))
            bolus_left = bolus * data.draw(st.integers(1, 9))
            programmed.bolus(at_ms, bolus_left, bolus * per_tick)
        expected.append(total)
        if running:
            total += basal
            if bolus_left:
                total += bolus
                bolus_left -= bolus
    programmed.finish(60 * 100)
    assert [programmed.volume_nl(tick * 100) for tick in range(60)] == expected
    assert programmed.volume_nl(6_000) == total


def small_run(offsets_steps=(0, 0, 0, 0), **changes) -> Run:
    """0.1 mL/h, 28 nL/s, for 30 s, delivered exactly but for the offsets."""
    programmed = Programmed(Fraction(100_000))
    programmed.start(0)
    programmed.finish(30_000)
    samples = [
        Sample(at_ms, programmed.volume_nl(at_ms) + offset * STEP_NL, 1_000 + at_ms // 10)
        for at_ms, offset in zip((0, 10_000, 20_000, 30_000), offsets_steps, strict=True)
    ]
    values = {"title": "A small run", "nl_per_step": STEP_NL, "programmed": programmed, "samples": samples,
              "source": "plant", "marks": [(10_000, "bolus")], **changes}  # fmt: skip
    return Run(**values)


@pytest.mark.req("DOSE-01")
def test_errors_are_exact_and_the_worst_keeps_its_sign():
    run = small_run((0, Fraction(1, 3), Fraction(-7, 8), Fraction(1, 4)))
    assert run.error_steps() == [0, Fraction(1, 3), Fraction(-7, 8), Fraction(1, 4)]
    assert report.worst_error_steps(run) == Fraction(-7, 8)


def test_the_summary_says_what_was_programmed_delivered_and_wrong():
    rows = dict(report.summary_rows(small_run((0, 0, Fraction(-1, 2), Fraction(1, 4)))))
    # 100 000 nL/h x 30 s = 833.33 nL; 0.25 step more is 7.8 nL more.
    assert rows["programmed"] == "0.833 uL"
    assert rows["delivered (plant)"] == "0.841 uL"
    assert rows["error at the end"] == "+0.25 microsteps (+7.8 nL)"
    assert rows["largest error"] == "-0.50 microsteps in 4 samples"
    assert rows["highest pressure"] == "4.0 kPa"


def y_of(line: Line2D) -> list[float]:
    """What a line shows."""
    return [float(value) for value in np.asarray(line.get_ydata())]


def test_the_picture_holds_the_run():
    run = small_run((0, Fraction(1, 2), -2, 0))
    volumes, errors = picture.figure_of(run).axes
    programmed, delivered = volumes.get_lines()[:2]
    assert str(programmed.get_label()).startswith("programmed: 0.833 uL")
    assert str(delivered.get_label()).startswith("delivered (plant): 0.833 uL")
    assert to_hex(programmed.get_color()) != to_hex(delivered.get_color())
    assert y_of(delivered) == [float(s.delivered_nl) for s in run.samples]
    assert y_of(programmed)[-1] == pytest.approx(833.33, abs=0.01)
    assert volumes.get_ylabel() == "volume [nL]" and errors.get_ylabel() == "error [microsteps]"
    assert "[s]" in errors.get_xlabel()
    (error,) = (line for line in errors.get_lines() if "largest" in str(line.get_label()))
    assert y_of(error) == [0, 0.5, -2, 0] and "-2.00" in str(error.get_label())
    low, high = errors.get_ylim()
    assert low < -2 and high > 1
    assert [text.get_text() for text in volumes.texts] == ["bolus"]
    assert volumes.figure.get_suptitle() == "A small run"


def test_the_picture_is_a_png(tmp_path):
    path = tmp_path / "delivered.png"
    picture.draw(small_run(), path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_nothing_makes_no_picture(tmp_path):
    with pytest.raises(ValueError, match="A small run: 0 samples"):
        picture.draw(small_run(samples=[]), tmp_path / "x.png")
    assert report.summary_rows(small_run(samples=[])) == [("samples", "none")]


# --- the course of a therapy

DAY = 24 * H


@pytest.mark.req("DOSE-08")
def test_a_patient_s_bolus_suspends_the_clinician_s_which_loses_nothing():
    programmed = Programmed(0)
    programmed.start(0)
    programmed.bolus(0, 6_000, 6_000, CLINICIAN)  # an hour
    programmed.bolus(30 * MIN, 1_000, 6_000, PATIENT)  # ten minutes, in which the other waits
    programmed.finish(90 * MIN)
    assert [programmed.volume_nl(m * MIN) for m in (30, 40, 60, 70, 90)] == [
        3_000,
        4_000,
        6_000,
        7_000,
        7_000,
    ]
    with pytest.raises(ValueError, match="one is running"):
        programmed.bolus(90 * MIN, 10, 1, PATIENT)
        programmed.bolus(90 * MIN, 10, 1, PATIENT)


def test_a_window_holds_what_came_in_it_and_a_step_at_its_begin_is_out():
    # 1 uL at 1 h, at 2 h and at 3 h, and a window of 2 h: (t - 2 h, t].
    samples = [Sample(hour * H, Fraction(min(hour, 3) * 1_000)) for hour in range(6)]
    fills = window_fill(samples, [LimitInForce(0, 2 * H, Fraction(2_500))])
    assert [fill.content_nl for fill in fills] == [0, 1_000, 2_000, 2_000, 1_000, 0]
    assert fills[2].share == Fraction(4, 5) and {fill.limit_nl for fill in fills} == {2_500}


def test_a_window_that_begins_between_samples_takes_their_flow_as_even():
    samples = [Sample(hour * H, Fraction(hour * 1_000)) for hour in range(4)]
    fills = window_fill(samples, [LimitInForce(0, 90 * MIN, Fraction(2_000))])
    assert [fill.content_nl for fill in fills] == [0, 1_000, 1_500, 1_500]


@pytest.mark.req("LIM-03")
def test_drug_of_another_concentration_counts_by_its_mass():
    samples = [Sample(hour * H, Fraction(hour * 1_000)) for hour in range(5)]
    limits = [
        LimitInForce(0, 2 * H, None, Fraction(10)),
        LimitInForce(2 * H, 2 * H, Fraction(9_000), Fraction(5)),
    ]
    # At 3 h: 1 uL of the old drug, worth 2 uL of the new, and 1 uL of the new. No limit, no fill before 2 h.
    fills = window_fill(samples, limits)
    assert [(fill.at_ms // H, fill.content_nl) for fill in fills] == [(2, 4_000), (3, 3_000), (4, 2_000)]


def test_drawing_back_credits_nothing():
    samples = [Sample(0, Fraction(0)), Sample(H, Fraction(1_000)), Sample(2 * H, Fraction(400))]
    assert window_fill(samples, [LimitInForce(0, 9 * H, Fraction(1))])[-1].content_nl == 1_000
    assert window_fill([], []) == [] and window_fill(samples, []) == []


WEEK = """
duration = "168 h"
clock = "fri 12:00"
[profile]
max_rate = "60 mL/h"
on_low_reservoir = "kvo"
[therapy]
mode = "flex"
kvo = "2 uL/h"
[[therapy.step]]
at = "06:00"
rate = "10 uL/h"
days = ["mon", "tue", "wed", "thu", "fri"]
[[therapy.step]]
at = "08:00"
rate = "12 uL/h"
days = ["sat", "sun"]
[therapy.patient_bolus]
volume = "10 uL"
duration = "10 min"
lockout = "2 h"
max_per_day = 4
[therapy.limit]
volume = "62 uL"
window = "4 h"
[[event]]
at = "100 h"
do = "program"
[event.therapy]
mode = "continuous"
rate = "2 uL/h"
"""


def frame(code, a=0, b=0):
    return {"code": code, "a": a, "b": b}


def programmed_of(events, end_ms=168 * H):
    experiment = scenario.parse(WEEK)
    known = prescription(experiment, experiment.clock_ms)
    return record.programmed_by_events(known, events, end_ms)


START = (0, frame("state", STOPPED, RUNNING))


@pytest.mark.req("DOSE-06")
def test_steps_of_the_day_are_followed_from_the_clock():
    # From Friday 12:00: 20 h at 10 until Saturday 08:00, then 46 h at 12 until Monday 06:00, then 10 again.
    programmed = programmed_of([START])
    assert [programmed.volume_nl(hour * H) for hour in (20, 66, 168)] == [
        200_000,
        200_000 + 46 * 12_000,
        200_000 + 46 * 12_000 + 102 * 10_000,
    ]


@pytest.mark.req("DOSE-14")
def test_a_clock_that_is_set_adds_nothing_and_its_step_applies():
    # At 10 h it is set to Saturday 07:00: an hour later the weekend's step begins.
    programmed = programmed_of([START, (10 * H, frame("clock", (5 * 24 + 7) * 3600))])
    assert [programmed.volume_nl(hour * H) for hour in (10, 11, 12)] == [100_000, 110_000, 122_000]


@pytest.mark.req("RES-02")
def test_a_low_reservoir_goes_to_kvo_until_it_is_filled():
    # Raised in the tick before the one from which less flows: two hours at 2 uL/h, then 10 uL/h again.
    events = [START, (H - 100, frame("alarm", RESERVOIR_LOW, 1)), (3 * H, frame("alarm", RESERVOIR_LOW, 0))]
    programmed = programmed_of(events)
    assert [programmed.volume_nl(hour * H) for hour in (1, 3, 4)] == [10_000, 14_000, 24_000]


@pytest.mark.req("DOSE-10")
def test_another_therapy_flows_from_when_it_was_taken():
    taken = (100 * H, frame("therapy", 2_000, 60_000_000))
    before = 200_000 + 46 * 12_000 + 34 * 10_000
    programmed = programmed_of([START, taken])
    assert [programmed.volume_nl(hour * H) for hour in (100, 101)] == [before, before + 2_000]


BRIDGED = """
duration = "10 h"
[therapy]
mode = "continuous"
drug = "baclofen"
concentration = "500 mcg/mL"
dose = "120 mcg/day"                 # 10 uL/h
[[event]]
at = "2 h"
do = "program"
[event.therapy]
mode = "continuous"
drug = "baclofen"
concentration = "2000 mcg/mL"
dose = "192 mcg/day"                 # 4 uL/h, and 16 uL/h of the old drug
[[event]]
at = "3 h"
do = "program"
[event.therapy]
mode = "minimum"
[[event]]
at = "4 h"
do = "program"
[event.therapy]
mode = "continuous"
drug = "baclofen"
concentration = "2000 mcg/mL"
dose = "144 mcg/day"                 # 3 uL/h, and 12 uL/h of the old drug
"""


@pytest.mark.req("DOSE-10")
@pytest.mark.parametrize("bridge_first", [True, False])
def test_while_the_old_drug_leaves_the_dose_in_force_is_programmed(bridge_first):
    experiment = scenario.parse(BRIDGED)
    known = prescription(experiment, experiment.clock_ms)
    opens = [(2 * H, frame("bridge", 200_000, 1)), (2 * H, frame("therapy", 4_000, 60_000_000))]
    events = [
        START,
        *(opens if bridge_first else reversed(opens)),
        (3 * H, frame("therapy", 2_000, 60_000_000)),
        (4 * H, frame("therapy", 3_000, 60_000_000)),
        (5 * H, frame("bridge", 0, 0)),
    ]
    programmed = record.programmed_by_events(known, events, 10 * H)
    volumes = [programmed.volume_nl(hour * H) for hour in (2, 3, 4, 5, 6)]
    assert volumes == [20_000, 36_000, 38_000, 50_000, 53_000]


def course_run(clock_ms=0, **changes) -> Run:
    """Two days at 1 uL/h, sampled every 6 h, with a stop."""
    programmed = Programmed(Fraction(1_000))
    programmed.start(0)
    programmed.finish(2 * DAY)
    samples = [Sample(at_ms, programmed.volume_nl(at_ms)) for at_ms in range(0, 2 * DAY + 1, 6 * H)]
    asked = [
        Asked(3 * H, PATIENT, Fraction(500), None),
        Asked(4 * H, PATIENT, None, "lockout"),
        Asked(30 * H, PATIENT, None, "max_dose"),
        Asked(31 * H, PATIENT, None, "max_dose"),
    ]
    limits = [LimitInForce(0, 12 * H, Fraction(15_000))]
    course = Course(asked, limits, clock_ms, 12_031)
    values = {"title": "Two days", "nl_per_step": STEP_NL, "programmed": programmed, "samples": samples,
              "source": "plant", "marks": [(6 * H, "stop · alarm"), (9 * H, "bolus 1 uL")],
              "course": course, **changes}  # fmt: skip
    return Run(**values)


def test_a_run_is_told_in_the_shortest_periods_that_are_few():
    name, periods = report.periods_of(course_run())
    assert name == "4 h" and [period.end_ms // H for period in periods] == [6, 12, 18, 24, 30, 36, 42, 48]
    assert all(p.delivered_nl == p.programmed_nl == 6_000 and p.error_steps == 0 for p in periods)


@pytest.mark.parametrize(
    ("clock_ms", "ends_h"), [(0, [24, 48, 72, 96]), (18 * H, [6, 30, 54, 78, 96]), (None, [24, 48, 72, 96])]
)
def test_days_begin_at_midnight_where_the_time_is_known(clock_ms, ends_h):
    programmed = Programmed(Fraction(1_000))
    programmed.start(0)
    programmed.finish(4 * DAY)
    # 0.1 nL too little an hour, which the errors add up.
    samples = [Sample(hour * H, hour * Fraction(9_999, 10)) for hour in range(0, 97, 6)]
    run = course_run(clock_ms, programmed=programmed, samples=samples)
    name, periods = report.periods_of(run)
    assert name == "day" and [period.end_ms // H for period in periods] == ends_h
    assert [period.error_steps * STEP_NL * 10 for period in periods] == [-hour for hour in ends_h]
    assert sum(period.delivered_nl for period in periods) == samples[-1].delivered_nl


def test_the_picture_of_a_course_has_three_panels_of_one_time():
    figure = picture.figure_of(course_run())
    basal, volumes, window, strip = figure.axes
    assert figure.get_suptitle() == "Two days"
    assert [axes.get_ylabel() for axes in (basal, volumes, window)] == [
        "basal rate [uL/h]",
        "volume [uL]",
        "in the window [uL]",
    ]
    assert {axes.get_xlim() for axes in figure.axes} == {(0, 2)}
    rows = [text.get_text() for text in strip.get_yticklabels()]
    assert rows == ["granted: 1 × 500 nL", "denied: lockout (1)", "denied: max_dose (2)"]
    assert [text.get_text() for text in window.get_xticklabels()] == ["Mon 00:00", "Tue 00:00", "Wed 00:00"]
    # What is a mark of its own stands in words, boluses and alarms have their rows.
    assert [text.get_text() for text in basal.texts] == ["stop"]
    content, limit, denied = window.get_lines()[:3]
    assert y_of(content) == [0, 6, 12, 12, 12, 12, 12, 12, 12] and set(y_of(limit)) == {15}
    assert str(limit.get_label()) == "limit: 15 uL" and "12.031 uL at any tick" in str(content.get_label())
    assert y_of(denied) == [15, 15]
    assert volumes.texts[0].get_text() == "6 uL\n+0.00" and len(volumes.texts) == 8
    rows = dict(report.summary_rows(course_run()))
    assert rows["boluses"] == "1 granted, 3 denied (1 lockout, 2 max_dose)"
    assert rows["fullest window at a sample"] == "12.000 uL of 15.000 uL (80.0%)"


def test_a_course_without_a_limit_or_a_clock_says_less():
    asked = [Asked(0, CLINICIAN, None, "not_running")]
    run = course_run(course=Course(asked, [LimitInForce(0, 0, None)]))
    basal, volumes, strip = picture.figure_of(run).axes
    assert volumes.get_xlabel() == "time since the beginning of the run [days]"
    assert [text.get_text() for text in strip.get_yticklabels()] == ["denied (clinician): not_running (1)"]
    assert "fullest window at a sample" not in dict(report.summary_rows(run))


def test_a_record_of_a_week_has_a_course(tmp_path):
    experiment = scenario.parse(WEEK)
    path = tmp_path / "week.ndjson"
    names = [command.name for command in COMMANDS]
    lines = [
        (H, frame("state", STOPPED, RUNNING)),
        (2 * H, frame("patient_bolus_start", 10_000, 60_000)),
        (3 * H, frame("denied", names.index("patient_bolus"), CAUSES.index("lockout"))),
        (3 * H, frame("denied", names.index("start"), CAUSES.index("not_running"))),
    ]
    with path.open("w") as file:
        head = record.header(
            title="w",
            source=record.PLANT,
            nl_per_step=STEP_NL,
            tick_ms=100,
            prescription=prescription(experiment, experiment.clock_ms),
        )
        recorder = recording.Recorder(file, head)
        for at_ms, event in lines:
            recorder.write({"type": "event", "at_ms": at_ms, **event})
        for hour, delivered_nl in ((2, 10_000), (4, 40_000)):
            recorder.write(
                {"type": "sample", "at_ms": hour * H, "delivered_nl": delivered_nl, "pressure_pa": 0}
            )
        recorder.write({"type": "summary", "window_peak_nl": 40_000})
    run = record.run_of(path)
    assert run.error_steps() == [0, 0, 0]  # 3 h at 10 uL/h and 10 uL
    assert run.course == Course(
        [Asked(2 * H, PATIENT, Fraction(10_000), None), Asked(3 * H, PATIENT, None, "lockout")],
        [LimitInForce(0, 4 * H, Fraction(62_000))],
        (4 * 24 + 12) * H,
        40_000,
    )
    path.write_text(path.read_text().replace('"delivered_nl":40000', '"delivered_nl":null'))
    with pytest.raises(recording.RecordError, match="no plant"):
        record.run_of(path)


def test_steps_of_the_day_need_the_time_of_day():
    experiment = scenario.parse(WEEK)
    known = record.prescription_of(experiment.therapy, experiment.profile)
    with pytest.raises(ValueError, match="time of day"):
        record.programmed_by_events(known, [START], H)


@pytest.mark.req("RIG-03")
def test_a_run_says_what_nobody_watched_for(tmp_path):
    bare = rig.named("weighed")
    said = dict(report.summary_rows(small_run(rig=bare)))
    assert said["volume of a turn"] == "246.800 uL, +/- 700 nL (0.28 %) at 95 %"
    assert "occlusion down" in said["not watched"] and "sounder dead" in said["not watched"]
    texts = [text.get_text() for text in picture.figure_of(small_run(rig=bare)).findobj(Text)]
    assert any(text.startswith("not watched: stall, free flow") for text in texts)
    watched = [text.get_text() for text in picture.figure_of(small_run(rig=rig.reference())).findobj(Text)]
    assert not any("not watched" in text for text in watched)
    assert dict(report.summary_rows(small_run(rig=rig.reference())))["not watched"] == "nothing"


@pytest.mark.req("RIG-03")
def test_a_record_holds_its_rig_whole(tmp_path):
    path = tmp_path / "bare.ndjson"
    known = record.prescription_of(Therapy("continuous", Fraction(100_000)), Profile())
    with path.open("w") as file:
        head = record.header(
            title="b", source=record.PLANT, nl_per_step=STEP_NL, tick_ms=100, rig=rig.named("bare"),
            prescription=known,
        )  # fmt: skip
        recorder = recording.Recorder(file, head)
        for at_ms in (0, 1_000):
            recorder.write({"type": "sample", "at_ms": at_ms, "delivered_nl": 0, "pressure_pa": 0})
    assert recording.load(path).header["unwatched"] == rig.named("bare").unwatched()
    run = record.run_of(path)
    assert run.rig is not None and run.rig.tables == rig.named("bare").tables
    path.write_text(path.read_text().replace('"full_steps":200', '"full_steps":0'))
    with pytest.raises(recording.RecordError, match=r"motor\.full_steps is 0"):
        record.run_of(path)
