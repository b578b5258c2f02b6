"""Accuracy by weighing: what can be worked out by hand, files of weights, records and the plant."""

import math
from fractions import Fraction

import pytest
from balance_port import BalancePort
from pump_port import CutPort
from thecal import states
from thecal_bench.balance import BalanceParameters, ModelBalance
from thecal_bench.inprocess import HostBench
from thecal_bench.parameters import PlantParameters
from thecal_bench.plant import Plant
from thecal_host import cli, record, recording
from thecal_host.pump import Pump
from thecal_host.weighing import WeighingError, accuracy, chart
from thecal_host.weighing.balance import SerialBalance
from thecal_host.weighing.series import Bolus, Series, of_record, of_weights, read_weights
from thecal_host.weighing.water import Water
from thecal_model.problems import InputError
from typer.testing import CliRunner

SIX_ML_H = 6e6
SAMPLES = 240


def series_of(volume_nl, minutes=120, rate_nl_h=SIX_ML_H, **more):
    """Readings each 30 s of a volume that is a function of the seconds."""
    times = [30.0 * i for i in range(2 * minutes + 1)]
    return Series("a function", times, [volume_nl(at_s) for at_s in times], rate_nl_h, **more)


@pytest.mark.req("CAL-02")
def test_the_trumpet_of_a_sine_is_that_of_its_mean_over_a_window():
    # Q = r (1 + a sin(2 pi t / T)): over a window P the mean is off by a sinc(P/T) times a sine of the
    # window's middle. T of 8 min has its crests on the grid of half a minute's samples for every P here.
    swing, period_min = 0.2, 8.0
    omega = 2 * math.pi / (period_min * 60)

    def volume_nl(at_s):
        return SIX_ML_H / 3600 * (at_s + swing / omega * (1 - math.cos(omega * at_s)))

    found = accuracy.judge(series_of(volume_nl))
    for window in found.windows:
        x = math.pi * window.minutes / period_min
        crest = abs(math.sin(x) / x) * 100 * swing
        assert window.most_percent == pytest.approx(crest, abs=1e-6), window
        assert window.least_percent == pytest.approx(-crest, abs=1e-6), window
    assert [w.minutes for w in found.windows] == [2, 5, 11, 19, 31]
    assert [w.count for w in found.windows] == [117, 111, 99, 83, 59]
    # The second hour is seven and a half periods from a trough on: a half of the sine, of mean 2/pi, is left.
    assert found.mean_percent == pytest.approx(-100 * swing * 2 / math.pi * 4 / 60, rel=1e-6)
    assert len(found.startup) == SAMPLES
    first = volume_nl(30.0) * 120
    assert found.startup[0] == pytest.approx(first)


@pytest.mark.req("CAL-02")
@pytest.mark.parametrize("error", [0.03, -0.015, 0.0])
def test_a_constant_error_is_a_flat_line_at_that_error(error):
    found = accuracy.judge(series_of(lambda at_s: SIX_ML_H / 3600 * at_s * (1 + error)))
    for window in found.windows:
        assert window.most_percent == pytest.approx(100 * error)
        assert window.least_percent == pytest.approx(100 * error)
    assert found.mean_percent == pytest.approx(100 * error)
    assert found.startup == pytest.approx([SIX_ML_H * (1 + error)] * SAMPLES)


@pytest.mark.req("CAL-02")
def test_microlitre_rates_have_the_long_windows_over_as_long_a_period():
    rate = 2_000.0
    found = accuracy.judge(series_of(lambda at_s: rate / 3600 * at_s, minutes=60 + 1_200, rate_nl_h=rate))
    assert [w.minutes for w in found.windows] == [2, 5, 11, 15, 19, 31, 60, 150, 330, 570, 930]
    assert (found.begin_min, found.end_min) == (60, 60 + 930)
    assert found.windows[-1].count == 1
    short = accuracy.judge(series_of(lambda at_s: rate / 3600 * at_s, minutes=120, rate_nl_h=rate))
    assert short.missing_min == [150, 330, 570, 930]
    assert accuracy.windows_of(999_999) != accuracy.windows_of(1_000_000) == (2, 5, 11, 19, 31)


@pytest.mark.req("CAL-02")
def test_what_happens_in_the_first_hour_is_in_the_start_up_curve_alone():
    late_s = 600
    found = accuracy.judge(series_of(lambda at_s: SIX_ML_H / 3600 * max(at_s - late_s, 0)))
    assert found.startup[:20] == [0.0] * 20
    assert found.startup[20:] == pytest.approx([SIX_ML_H] * 220)
    assert all(abs(w.most_percent) < 1e-6 > abs(w.least_percent) for w in found.windows)


@pytest.mark.req("CAL-02")
def test_too_little_or_too_coarse_is_refused():
    with pytest.raises(
        WeighingError, match=r"ends 61\.0 min after the start; the trumpet curve needs 62 min"
    ):
        accuracy.judge(series_of(lambda at_s: at_s, minutes=61))
    with pytest.raises(WeighingError, match="the rate is 0 nL/h"):
        accuracy.judge(series_of(lambda at_s: at_s, rate_nl_h=0.0))
    holed = series_of(lambda at_s: at_s)
    del holed.times_s[100:103], holed.volumes_nl[100:103]
    with pytest.raises(WeighingError, match=r"no reading from 2970 s to 3090 s .* --sample"):
        accuracy.judge(holed)
    with pytest.raises(WeighingError, match="--sample: 35 s do not divide the window of 2 min"):
        accuracy.judge(series_of(lambda at_s: at_s), 35.0)


@pytest.mark.req("CAL-02")
def test_boluses_are_judged_without_the_basal_rate():
    # 25 boluses of 20 uL a minute apart, every fifth 1 uL short, on a basal rate of 6 mL/h (100 uL/min).
    given = [19_000 if i % 5 == 4 else 20_100 for i in range(25)]
    volumes = [sum(given[:i]) + 100_000.0 * i for i in range(26)]
    times = [60.0 * i for i in range(26)]
    boluses = [Bolus(times[i], volumes[i], 20_000.0) for i in range(25)]
    found = accuracy.judge_boluses(Series("by hand", times, volumes, SIX_ML_H, boluses=boluses))
    assert found.errors == pytest.approx([0.5, 0.5, 0.5, 0.5, -5.0] * 5)
    assert found.mean_percent == pytest.approx(-0.6)


@pytest.mark.req("CAL-02")
def test_boluses_of_nothing_are_refused(tmp_path):
    empty = [Bolus(60.0, 0.0, 0.0), Bolus(120.0, 0.0, 0.0)]
    with pytest.raises(WeighingError, match="a bolus is 0 nL, there is nothing to compare"):
        accuracy.judge_boluses(Series("by hand", [60.0, 120.0], [0.0, 0.0], 0.0, boluses=empty))
    result = thecal("accuracy", weights(tmp_path, "# bolus: 0 nL", "0,1.0000", "30,1.0100"))
    assert result.exit_code == 2 and "a bolus is 0 nL" in result.output


@pytest.mark.req("CAL-02")
def test_a_digit_of_a_coarse_balance_reads_as_a_volume():
    # A balance of 0.01 g, of 1 g, and of 0.1 mg: a digit is 10 uL, 1 mL, 100 nL and what the air carries.
    for digit_nl, text in ((10_030.0, "10 uL"), (1_003_000.0, "1 mL"), (100.3, "100 nL")):
        series = Series("by hand", [], [], SIX_ML_H, digit_nl=digit_nl)
        assert chart.digit_text(series).startswith(f"{text}, ")


def weights(tmp_path, *lines, name="weights.csv"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.req("CAL-02")
@pytest.mark.parametrize(
    ("lines", "rows"),
    [
        (["0,1.0", "30,1.5"], [(0, 1.0), (30, 1.5)]),
        (["time_s,grams,stable", "0,1.0,yes", "30.5,1.5 g,no"], [(0, 1.0), (30.5, 1.5)]),
        (["Zeit;Gewicht", "0;1,0", "0:00:30;1,5"], [(0, 1.0), (30, 1.5)]),
        (["0\t1.0", "", "# a remark", "1:00:00\t-1.5"], [(0, 1.0), (3600, -1.5)]),
    ],
)
def test_files_of_other_peoples_scales_are_read(tmp_path, lines, rows):
    found = read_weights(weights(tmp_path, *lines))
    assert [(at_s, grams) for at_s, grams, _ in found.rows] == rows


@pytest.mark.req("CAL-02")
def test_dates_are_times_too(tmp_path):
    found = read_weights(weights(tmp_path, "2026-03-01T10:00:00,1.0", "2026-03-01 10:00:30.5,1.5"))
    assert found.rows[1][0] - found.rows[0][0] == pytest.approx(30.5)


@pytest.mark.req("CAL-02")
def test_every_bad_line_is_named_with_its_number(tmp_path):
    lines = ["t,g", "0,1.0", "30,1.2", "60,1.5", "45,1.6", "x,1.7", "90,nan", "99 1.8", "120,2"]
    path = weights(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_weights(path)
    assert str(error.value).splitlines() == [
        f"{path}:5: 45 s is not after the 60 s of line 4",
        f'{path}:6: expected a time in seconds, as h:mm:ss or as a date, found "x"',
        f'{path}:7: expected grams, as in "12.3456", found "nan"',
        f'{path}:8: expected a time and grams, as in "30,12.3456", found "99 1.8"',
    ]


@pytest.mark.req("CAL-02")
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["time [min],grams", "0,1"], r"weights.csv:1: the heading says \"min\""),
        (["time,weight mg", "0,1"], r"weights.csv:1: the heading says \"mg\""),
        (["0,1.0"], "holds 1 readings"),
        (
            ["0,1,05", "30,1,10"],
            r'weights.csv:1: "0,1,05" may be 1\.05 g with a decimal comma: .* semicolons',
        ),
        (["# rate: 6 mL", "0,1", "30,2"], r"weights.csv:1: expected a volume per time"),
        (["0,1", "30,2"], "at which rate the pump ran: give it with --rate"),
        (
            ["# rate: 6 mL/h", "# start: 2 min", "0,1", "30,2"],
            "the start at 120 s is not within its readings",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, lines, message):
    with pytest.raises((InputError, WeighingError), match=message):
        of_weights(read_weights(weights(tmp_path, *lines)), Water(20.0), None)


@pytest.mark.req("CAL-02")
def test_what_evaporates_is_weighed_with_the_pump_stopped(tmp_path):
    # 2 mg/h leave the beaker all the time; 6 uL/h come from 600 s on, 1 % more than was set.
    beaker = Water(20.0)
    g_s = 6_060 / 3600 / beaker.volume_nl(1.0)
    lines = ["# rate: 6 uL/h", "# start: 600 s"]
    lines += [f"{t},{10 + g_s * max(t - 600, 0) - 2e-3 / 3600 * t:.7f}" for t in range(0, 7_801, 30)]
    path = weights(tmp_path, *lines)
    series = of_weights(read_weights(path), beaker, None)
    assert series.loss_g_h == pytest.approx(2e-3, rel=1e-3)
    assert accuracy.judge(series).mean_percent == pytest.approx(1.0, abs=0.05)
    # Without it the loss of 2 mg/h is a third of the dose.
    assert accuracy.judge(of_weights(read_weights(path), beaker, 0.0)).mean_percent < -30


def thecal(*args):
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


@pytest.mark.req("CAL-02")
def test_a_file_of_weights_becomes_a_table_and_a_picture(tmp_path):
    beaker = Water(21.0)
    lines = [f"{t},{SIX_ML_H * 1.02 / 3600 * t / beaker.volume_nl(1.0):.5f}" for t in range(0, 7_201, 30)]
    path = weights(tmp_path, *lines)
    result = thecal("accuracy", path, "--rate", "6 mL/h", "--temperature", "21")
    assert result.exit_code == 0, result.output
    assert "mean flow error (A)    │ +2.000 %" in result.output
    assert "Tanaka" in result.output
    assert "a digit of the balance │ 10 nL, 0.005 % of a window of 2 min" in result.output
    assert "The full text of IEC 60601-2-24 was not at hand" in result.output
    assert "evaporation            │ not known, and not taken into account" in result.output
    assert "cover the beaker with a film of oil" in result.output
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for args, message in (
        (["--rate", "6 mL"], "--rate: expected a volume per time"),
        (["--rate", "0 mL/h"], "--rate: expected a rate above nought"),
        (["--bolus", "0 uL"], "--bolus: expected whole nanolitres, 1 at least"),
        (["--rate", "6 mL/h", "--temperature", "50"], "from 0 to 40 C"),
        (["--rate", "6 mL/h", "--sample", "1 ms"], "--sample: expected 1 s at least"),
        (["--rate", "6 mL/h", "--picture", tmp_path / "a.txt"], "expected a picture ending in"),
    ):
        result = thecal("accuracy", path, *args)
        assert result.exit_code == 2
        assert message in result.output


BOLUSES = """
title = "Twenty-five boluses"
duration = "26 min"
[profile]
max_rate = "60 mL/h"
[plant]
calibration_error = "-2 %"
[therapy]
mode = "continuous"
rate = "1 mL/h"
[reservoir]
fill = "20 mL"
[[event]]
at = "1 s"
do = "start"
""" + "".join(
    f'[[event]]\nat = "{60 * i + 30} s"\ndo = "clinician_bolus"\nvolume = "20 uL"\nduration = "20 s"\n'
    for i in range(25)
)


@pytest.mark.req("CAL-02")
def test_boluses_of_the_plant_and_of_its_record(tmp_path):
    path = tmp_path / "boluses.toml"
    path.write_text(BOLUSES)
    record = tmp_path / "record.ndjson"
    recorded = thecal("simulate", path, "--json", "--every", "1 s")
    record.write_text(recorded.stdout)
    for file in (path, record):
        result = thecal("accuracy", file)
        assert result.exit_code == 0, result.output
        assert "25, 20 uL each" in result.output
        # 2 % of the basal rate between two boluses is missing as well: 16.7 uL.
        rows = [line for line in result.output.splitlines() if "mean error" in line]
        assert float(rows[0].split("│")[2].split()[0]) == pytest.approx(-2 - 2 * 16.667 / 20, abs=0.2)
    refused = thecal("accuracy", path, "--rate", "6 mL/h")
    assert refused.exit_code == 2
    assert "--rate: for weights only" in refused.output


@pytest.mark.req("CAL-02")
def test_the_plant_is_judged_like_a_balance(tmp_path):
    path = tmp_path / "hour.toml"
    path.write_text(BOLUSES.partition("[[event]]")[0].replace("26 min", "66 min").replace("1 mL/h", "6 mL/h")
                    + '[[event]]\nat = "1 s"\ndo = "start"\n')  # fmt: skip
    result = thecal("accuracy", path)
    assert result.exit_code == 0, result.output
    assert "window of 5 min     │ Ep(max) -2.000 %, Ep(min) -2.000 %" in result.output
    assert "not judged" in result.output


HOURLY = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}


@pytest.fixture
def weighed(run, monkeypatch):
    """`thecal weigh ARGS` of a pump that gives 2 % too little, over a balance beside it."""

    def weigh(*args, looks=None, therapy=HOURLY):
        plant = Plant(PlantParameters(calibration_error_percent=Fraction(-2)))
        port = CutPort(looks, HostBench(plant))
        model = ModelBalance(plant.outflow_nl, BalanceParameters(evaporation_g_h=6e-3))
        balance = SerialBalance(BalancePort(port, model), port.clock_s)
        monkeypatch.setattr("thecal_host.weighing.balance.open_balance", lambda *_: balance)
        if therapy:
            pump = Pump(port, port.clock_s)
            pump.connect()
            pump.confirm(pump.propose(therapy))
        result = run(port, "weigh", *args, "--balance", "/dev/balance")
        return result, states.STATES[port.bench.pump.control.state]

    return weigh


@pytest.mark.req("CAL-02")
def test_a_run_over_a_balance_is_written_and_judged(weighed, tmp_path):
    path = tmp_path / "run.csv"
    result, state = weighed(path, "--for", "63 min", "--stopped-for", "2 min")
    assert result.exit_code == 0, result.output
    assert state == "STOPPED"
    series = of_weights(read_weights(path), Water(20.0), None)
    assert series.rate_nl_h == SIX_ML_H
    assert series.loss_g_h == pytest.approx(6e-3, abs=4e-3)
    found = accuracy.judge(series)
    assert found.mean_percent == pytest.approx(-2, abs=0.1)
    assert found.startup[2:] == pytest.approx([SIX_ML_H * 0.98] * 124, rel=0.012)
    again, _ = weighed(path)
    assert again.exit_code == 2 and "--force" in again.output


@pytest.mark.req("CAL-02")
def test_25_boluses_over_a_balance_are_written_and_judged(weighed, tmp_path):
    path = tmp_path / "boluses.csv"
    slow = {**HOURLY, "rate_num": 100_000}
    result, state = weighed(path, "--bolus", "50 uL", "--over", "10 s", "--every", "30 s", therapy=slow)
    assert result.exit_code == 0, result.output
    assert state == "STOPPED"
    found = accuracy.judge_boluses(of_weights(read_weights(path), Water(20.0), 6e-3))
    assert len(found.errors) == 25
    assert found.mean_percent == pytest.approx(-2, abs=0.15)
    refused, _ = weighed(tmp_path / "b.csv", "--bolus", "50 uL", "--over", "10 s", "--every", "15 s")
    assert refused.exit_code == 2 and "--every" in refused.output


@pytest.mark.req("CAL-02")
def test_a_weighed_run_that_is_interrupted_stops_the_pump_and_keeps_its_lines(weighed, tmp_path):
    path = tmp_path / "run.csv"
    result, state = weighed(path, "--stopped-for", "1 min", looks=1_500)
    assert result.exit_code == 1 and "interrupted; the pump is STOPPED" in result.output
    assert state == "STOPPED"
    assert len(read_weights(path).rows) in (4, 5, 6)
    none, _ = weighed(tmp_path / "b.csv", therapy=None)
    assert none.exit_code == 1 and "the pump is POST" in none.output


def record_of(path, minutes, rates=((0, 6_000_000, 1),), boluses=()):
    """A record as `thecal record` writes it: a status each second, 3 % short of 6 mL/h, from tick 1000 on."""
    therapy = {"at_ms": 0, "steps": [list(rate) for rate in rates], "kvo_nl_h": [0, 1],
               "concentration_pg_nl": 0, "patient_bolus": None, "limit": None}  # fmt: skip
    given = [{"volume_nl": 50_000, "rate_nl_h": [18_000_000, 1]}] * len(boluses)
    prescription = {"clock_ms": 0, "max_rate_nl_h": None, "kvo_on_low": False, "therapies": [therapy],
                    "boluses": given}  # fmt: skip
    head = record.header(title="t", source=record.COUNTED_PULSES, nl_per_step=Fraction(125, 4), tick_ms=100,
                         prescription=prescription)  # fmt: skip

    def steps(second):
        more = sum(49_000 * min(max((second - begun) / 10, 0), 1) for begun in boluses)
        return 700 + int((5.82e6 / 3600 * max(second - 5, 0) + more) / 31.25)

    def event(second, code, a, b):
        at = {"tick": 1_000 + 10 * second, "executed_steps": steps(second)}
        return {"type": "event", "code": code, "a": a, "b": b, **at}

    with path.open("w") as file:
        recorder = recording.Recorder(file, head)
        for second in range(60 * minutes + 1):
            if second == 5:
                recorder.write(event(5, "state", states.STOPPED, states.RUNNING))
            if second in boluses:
                recorder.write(event(second, "bolus_start", 50_000, 18_000_000))
            recorder.write({"type": "status", "tick": 1_000 + 10 * second, "bolus": "none",
                            "state": "RUNNING" if second > 5 else "STOPPED",
                            "executed_steps": steps(second)})  # fmt: skip
        recorder.end()
    return path


@pytest.mark.req("CAL-02")
def test_a_record_of_a_pump_is_judged_by_its_counted_pulses(tmp_path):
    series = of_record(record_of(tmp_path / "r.ndjson", 125))
    assert series.rate_nl_h == SIX_ML_H
    found = accuracy.judge(series)
    assert found.mean_percent == pytest.approx(-3, abs=0.001)
    assert found.windows[0].most_percent == pytest.approx(-3, abs=0.03)
    assert found.startup == pytest.approx([5.82e6] * SAMPLES, rel=0.002)


@pytest.mark.req("CAL-02")
def test_boluses_of_a_record_are_those_of_its_events(tmp_path):
    begun = range(60, 60 + 25 * 40, 40)
    series = of_record(record_of(tmp_path / "r.ndjson", 18, boluses=begun))
    found = accuracy.judge_boluses(series)
    # Each lacks 1 uL of 50, and 3 % of what the basal rate gives in 40 s: 2 uL.
    assert found.errors == pytest.approx([-2 - 4] * 25, abs=0.1)
    with pytest.raises(WeighingError, match="holds 2 basal rates; accuracy is that of one"):
        of_record(record_of(tmp_path / "b.ndjson", 2, [(0, 1_000_000, 1), (3_600_000, 2_000_000, 1)]))
