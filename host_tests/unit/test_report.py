"""Unit tests of what a run is judged by: programmed volume, errors, the content of the picture.

The programmed volumes are checked against numbers worked out by hand in the comments, and once against a sum
over small steps that shares nothing with the closed form.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from thecal_host import report
from thecal_host.programmed import Programmed
from thecal_host.report import Run, Sample

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
    volumes, errors = report.figure_of(run).axes
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
    path = tmp_path / "deep" / "delivered.png"
    report.draw(small_run(), path)
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_nothing_makes_no_picture(tmp_path):
    with pytest.raises(ValueError, match="A small run: 0 samples"):
        report.draw(small_run(samples=[]), tmp_path / "x.png")
    assert report.summary_rows(small_run(samples=[])) == [("samples", "none")]
