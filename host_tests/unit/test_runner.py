"""The scenario runner: files with answers worked out by hand, and what it says when things are not well."""

import dataclasses
import json
from fractions import Fraction
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from thecal import causes, pump, states
from thecal.handlers import supply
from thecal.watch import alarms
from thecal_bench import runner, scenario
from thecal_bench.bench import TICK_MS, NotPossible
from thecal_bench.inprocess import HostBench
from thecal_bench.pypy import starter
from thecal_bench.run_log import RunLog
from thecal_bench.runner import (
    RunError,
    TherapyRefused,
    canonical_records,
    make_plant,
    proposals,
    run_scenario,
)
from thecal_bench.runner import run as run_module
from thecal_bench.unixport import MicropythonBench
from thecal_model import link
from thecal_model.link import LinkClient

SCENARIOS = Path(__file__).parents[1] / "scenarios"

FILES = sorted(SCENARIOS.glob("*.toml"))
HOUR_MS = 3_600_000

A_WEEK = ("flex_week", "limit_is_the_basal")
"""Files that take minutes."""

IN_CPYTHON = ("slowest_rate", "flex_week")
"""Long ones that run here all the same; the others in PyPy, if there is one, as `thecal simulate` does it."""

HEAD = """
title = "t"
duration = "2 min"
[profile]
max_rate = "60 mL/h"
[therapy]
mode = "continuous"
rate = "36 mL/h"            # 10 uL/s, 32 microsteps a tick
"""
START = '[[event]]\nat = "1 s"\ndo = "start"\n'


def event(at, do, **keys):
    lines = [f'at = "{at}"', f'do = "{do}"', *(f'{key} = "{value}"' for key, value in keys.items())]
    return "\n".join(["[[event]]", *lines, ""])


def expect(what, **keys):
    lines = [f'what = "{what}"', *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    return "\n".join(["[[expect]]", *lines, ""])


def run(text_or_scenario, bench=None, **options):
    """All records of a run on the in-process board, and the result."""
    experiment = text_or_scenario
    if isinstance(experiment, str):
        experiment = scenario.parse(experiment)
    with bench or HostBench(make_plant(experiment)) as board:
        result = run_scenario(experiment, board, LinkClient(board.send), **options)
        return list(result), result


def of_type(records, kind):
    return [record for record in records if record["type"] == kind]


# --- the files


class Here(NamedTuple):
    """What is asked of a run in-process."""

    expects: list[dict[str, Any]]
    expect_failed: int
    canonical: bytes
    summary: dict[str, Any]
    lost_ticks: int


def half_an_hour(experiment):
    """The beginning of a long one, which has nothing to expect."""
    return dataclasses.replace(experiment, duration_ms=HOUR_MS // 2, expects=())


@cache
def run_here(path, in_part):
    """Once for all that is asked of it."""
    experiment = scenario.load(path)
    records, result = run(half_an_hour(experiment) if in_part else experiment, keep_ledger=True)
    return Here(
        of_type(records, "expect"),
        result.expect_failed,
        canonical_records(result),
        result.summary,
        result.log.lost_ticks,
    )


@pytest.mark.req(
    "DOSE-01",
    "DOSE-02",
    "DOSE-05",
    "DOSE-06",
    "DOSE-07",
    "DOSE-08",
    "DOSE-09",
    "DOSE-10",
    "DOSE-11",
    "DOSE-12",
    "DOSE-13",
    "DOSE-14",
    "DOSE-15",
    "LIM-01",
    "LIM-02",
    "LIM-03",
    "LIM-04",
    "LIM-13",
    "RES-01",
    "RES-02",
    "RES-05",
    "MOT-04",
    "LNK-05",
    "REC-01",
    "REC-02",
    "REC-03",
    "REC-04",
    "ALM-01",
    "ALM-06",
    "ALM-08",
    "OCC-01",
    "OCC-02",
    "OCC-05",
    "MOT-02",
    "SAFE-09",
    "SAFE-10",
)
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.long if path.stem in A_WEEK else ()) for path in FILES],
    ids=lambda path: path.stem,
)
def test_scenarios_hold_on_the_host(path):
    experiment = scenario.load(path)
    if experiment.duration_ms >= starter.LONG_MS and path.stem not in IN_CPYTHON and starter.find():
        result = starter.PypyRun(experiment)
        expects, expect_failed = of_type(result, "expect"), result.expect_failed
    else:
        here = run_here(path, False)
        expects, expect_failed = here.expects, here.expect_failed
    assert [record for record in expects if record["ok"] is not True] == []
    assert expect_failed == 0


@pytest.mark.req("SIM-02", "REC-01")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_ledger_and_events_are_the_same_bytes_on_micropython(path):
    experiment = scenario.load(path)
    in_part = experiment.duration_ms > 3 * HOUR_MS
    if in_part:
        experiment = half_an_hour(experiment)
    here = run_here(path, in_part)
    records, on_micropython = run(experiment, MicropythonBench(make_plant(experiment)), keep_ledger=True)
    assert of_type(records, "expect") == [{**record, "ok": True} for record in of_type(records, "expect")]
    assert here.canonical == canonical_records(on_micropython)
    # A line for each second that the pump has counted: over a cut of the power its time stands.
    counted_ms = experiment.duration_ms - here.lost_ticks * TICK_MS
    assert here.canonical.count(b'"ledger"') >= min(counted_ms // 1000, 500)
    assert here.summary == on_micropython.summary


# --- records


def test_summary_has_the_keys_of_scenarios_md_and_comes_last():
    records, result = run(HEAD + START + event("60 s", "clinician_bolus", volume="10 uL", duration="4 s"))
    assert records[-1] is result.summary
    assert len(of_type(records, "summary")) == 1
    # 119 s at 10 uL/s and the bolus: 1.2 mL; the line holds 0.5 uL/kPa x 36 kPa = 18 uL of it.
    assert result.summary == {
        "type": "summary",
        "duration_ms": 120_000,
        "delivered_nl": 1_200_000,
        "outflow_nl": 1_182_000,
        "ledger_nl": 1_200_000,
        "commanded_steps": result.summary["commanded_steps"],
        "executed_steps": 38_400,
        "window_peak_nl": None,
        "boluses": [
            {"asked_ms": 60_000, "granted": True, "reason": None, "volume_nl": 10_000, "ended_ms": 64_000}
        ],
        "alarms": [],
        "states": [
            {"at_ms": 0, "state": "STOPPED", "cause": "self_test"},
            {"at_ms": 1000, "state": "RUNNING", "cause": "command"},
        ],
        "resets": 0,
        "soft_limits": 0,
        # 36 mL/h + 9 mL/h through 1 kPa h/mL make 45 kPa less what 4 s lack (e^(-4/1.8) of 9 kPa), and 1 kPa
        "pressure_peak_pa": 45_025,
        "expect_failed": 0,
    }
    # ordered at most a second ahead, never less than 600 ms
    assert 38_400 + 6 * 32 <= result.summary["commanded_steps"] <= 38_400 + 320


def test_records_come_in_order_and_are_plain_json():
    boluses = "".join(
        event(at, "clinician_bolus", volume="10 uL", duration="4 s")
        for at in ("30 s", "32 s", "70 s", "100 s")
    )
    text = HEAD + START + event("60 s", "stop") + event("90 s", "start") + boluses
    records, _ = run(text, every_ms=10_000)
    times = [record["asked_ms" if record["type"] == "bolus" else "at_ms"] for record in records[:-1]]
    assert times == sorted(times)
    assert [(r["asked_ms"], r["granted"]) for r in of_type(records, "bolus")] == [
        (30_000, True),
        (32_000, False),
        (70_000, False),
        (100_000, True),
    ]
    for record in records:
        assert json.loads(json.dumps(record)) == record
        assert not any(isinstance(value, float) for value in record.values())
    assert [(r["at_ms"], r["state"]) for r in of_type(records, "state")] == [
        (1000, "RUNNING"),
        (60_000, "STOPPED"),
        (90_000, "RUNNING"),
    ]


def test_samples():
    records, _ = run(HEAD + START + event("60 s", "stop"), every_ms=20_000)
    samples = of_type(records, "sample")
    assert [s["at_ms"] for s in samples] == [20_000, 40_000, 60_000, 80_000, 100_000, 120_000]
    assert [s["delivered_nl"] for s in samples] == [190_000, 390_000, 590_000, 590_000, 590_000, 590_000]
    assert [s["rate_nl_h"] for s in samples] == [34_200_000, 36_000_000, 36_000_000, 0, 0, 0]
    assert [s["state"] for s in samples] == ["RUNNING", "RUNNING", "STOPPED", "STOPPED", "STOPPED", "STOPPED"]
    assert samples[0]["reservoir_nl"] == 20_000_000 - 190_000
    assert samples[1]["pressure_pa"] == samples[2]["pressure_pa"] == 37_000
    assert samples[3]["pressure_pa"] == 1001  # 36 kPa e^(-20/1.8) are left of it


@pytest.mark.req("SIM-03")
def test_how_often_it_looks_changes_nothing(monkeypatch):
    text = (
        HEAD
        + START
        + event("30.5 s", "clinician_bolus", volume="15 uL", duration="7 s")
        + event("80 s", "stop")
        + expect("ledger", at="33.3 s", value="0.1 mL")
    )
    monkeypatch.setattr(run_module, "CHUNK_S", 1e-9)  # a tick at a time
    often, result = run(text, keep_ledger=True)
    found = canonical_records(result)
    monkeypatch.setattr(run_module, "CHUNK_S", 1e9)
    seldom, result = run(text, keep_ledger=True)
    assert canonical_records(result) == found
    assert sorted(map(str, often)) == sorted(map(str, seldom))


def test_progress_reaches_the_end():
    seen = []
    run(HEAD + START, progress=lambda at_ms, duration_ms: seen.append((at_ms, duration_ms)))
    assert seen == sorted(seen) and seen[-1] == (120_000, 120_000)


def test_canonical_records_need_the_ledger():
    _, result = run(HEAD)
    with pytest.raises(ValueError, match="keep_ledger"):
        canonical_records(result)


def test_canonical_records():
    _, result = run(HEAD.replace("2 min", "3 s") + START, keep_ledger=True)
    lines = [json.loads(line) for line in canonical_records(result).splitlines()]
    assert lines[1] == {
        "type": "event",
        "tick": 10,
        "code": "state",
        "a": states.STOPPED,
        "b": states.RUNNING,
        "executed_steps": 0,
    }
    ledger = [line for line in lines if line["type"] == "ledger"]
    assert [(line["tick"], line["executed_steps"], line["owed_steps"]) for line in ledger] == [
        (0, 0, 0),
        (10, 0, 0),
        (20, 320, 320),
        (30, 640, 640),
    ]


# --- whole therapies

PATIENT = """
[therapy.patient_bolus]
volume = "10 uL"
duration = "4 s"
lockout = "20 s"
max_per_day = 10
[therapy.limit]
volume = "6.1 mL"           # of which the basal takes 6 mL
window = "10 min"
"""
LIMIT = '[therapy.limit]\nvolume = "30 mL"\nwindow = "10 min"\n'
RESERVOIR = '[reservoir]\nfill = "10 mL"\nlow = "9.7 mL"\nempty = "9 mL"\n'


def press(at, **keys):
    return event(at, "press", button="patient", **keys)


@pytest.mark.req("LIM-01", "RES-01")
def test_summary_of_a_whole_therapy():
    text = HEAD + PATIENT + RESERVOIR + START
    text += event("10 s", "patient_bolus") + event("15 s", "patient_bolus") + press("40 s")
    text += event("60 s", "refill", volume="10 mL") + event("80 s", "stop")
    records, result = run(
        text + expect("reservoir", value="9.8 mL") + expect("reservoir", at="50 s", value="9.49 mL")
    )
    summary = result.summary
    # The button is seen at its tick and obeyed at the end of it.
    assert summary["boluses"] == [
        {"asked_ms": 10_000, "granted": True, "reason": None, "volume_nl": 10_000, "ended_ms": 14_000},
        {"asked_ms": 15_000, "granted": False, "reason": "lockout", "volume_nl": 10_000, "ended_ms": None},
        {"asked_ms": 40_000, "granted": True, "reason": None, "volume_nl": 10_000, "ended_ms": 44_100},
    ]
    assert [(r["asked_ms"], r["granted"], r["reason"]) for r in of_type(records, "bolus")] == [
        (10_000, True, None),
        (15_000, False, "lockout"),
        (40_000, True, None),
    ]
    # 79 s at 10 uL/s and two boluses of 10 uL, all in one window. LOW when 300 uL are gone: 29 s and a bolus.
    assert summary["window_peak_nl"] == summary["delivered_nl"] == 810_000
    assert summary["alarms"] == [
        {"code": "RESERVOIR_LOW", "priority": "LOW", "raised_ms": 30_000, "cleared_ms": 60_000}
    ]
    assert summary["expect_failed"] == 0


def test_a_bolus_that_was_cut_short_says_what_was_given():
    text = HEAD + PATIENT + START + event("10 s", "patient_bolus") + event("11 s", "stop")
    _, result = run(text)
    assert result.summary["boluses"] == [
        {"asked_ms": 10_000, "granted": True, "reason": None, "volume_nl": 2500, "ended_ms": 11_000}
    ]


def test_button_and_command_in_the_same_tick_are_told_apart():
    """A command for a tick takes effect at it, a press one tick later: here both at 60.1 s."""
    text = HEAD + PATIENT + START
    _, result = run(text + press("60 s") + event("60.1 s", "patient_bolus"))
    outcomes = [(b["granted"], b["reason"]) for b in result.summary["boluses"]]
    assert outcomes == [(False, "bolus_active"), (True, None)]
    _, result = run(
        text.replace('"20 s"', '"0 s"') + event("55 s", "patient_bolus") + press("57 s") + press("59 s")
    )
    outcomes = [(b["granted"], b["reason"], b["ended_ms"]) for b in result.summary["boluses"]]
    assert outcomes == [(True, None, 59_000), (False, "bolus_active", None), (True, None, 63_100)]


def test_a_bolus_without_a_prescription_for_one_is_denied():
    _, result = run(HEAD + START + event("10 s", "patient_bolus") + press("20 s"))
    assert [(b["granted"], b["reason"], b["volume_nl"]) for b in result.summary["boluses"]] == [
        (False, "not_prescribed", 0)
    ] * 2


DRUG = """
title = "t"
duration = "2 min"
[therapy]
mode = "continuous"
drug = "baclofen"
concentration = "500 mcg/mL"
dose = "1100 mcg/day"
"""


@pytest.mark.req("LIM-08")
def test_soft_limits_that_the_runner_confirms_are_told_one_by_one_and_counted():
    text = DRUG + event("10 s", "program")
    text += '[event.therapy]\nmode = "continuous"\ndrug = "baclofen"\nconcentration = "500 mcg/mL"\n'
    records, result = run(text + 'dose = "250 mcg/day"\n')
    told = [(r["at_ms"], r["do"], r["name"]) for r in of_type(records, "soft_limit")]
    day = "baclofen.dose_per_day."
    assert told == [
        (0, "program", day + "high.spinal"),
        (0, "program", day + "high.cerebral"),
        (0, "program", day + "high"),
        (0, "program", "baclofen.unverified"),
        (0, "program", "unpaired"),
        (10_000, "program", day + "low.spinal"),
        (10_000, "program", "baclofen.fall_percent.high"),
        (10_000, "program", "baclofen.unverified"),
    ]
    assert result.summary["soft_limits"] == 8
    first = of_type(records, "soft_limit")[0]["message"]
    assert first == f"{day}high.spinal: 1.1 mg/day is above 800 mcg/day (unverified)"
    _, plain = run(HEAD)
    assert plain.summary["soft_limits"] == 0


@pytest.mark.req("LIM-14")
def test_the_runner_accepts_nothing_for_a_bolus_but_what_the_scenario_names():
    bolus = {"volume": "300 uL", "duration": "10 s"}
    text = DRUG.replace("1100", "300") + START + event("10 s", "clinician_bolus", **bolus)
    named = event("30 s", "clinician_bolus", **bolus) + 'accept = ["baclofen.bolus.high.screening"]\n'
    records, result = run(text + named)
    assert [b["reason"] for b in result.summary["boluses"]] == ["library", None]
    assert "baclofen.bolus.high.screening" in of_type(records, "bolus")[0]["message"]


def test_a_refusal_that_was_expected_holds_and_another_does_not():
    text = (
        HEAD
        + START
        + event("30 s", "start")
        + event("60 s", "clinician_bolus", volume="61 mL", duration="1 h")
    )
    text += "".join(
        expect("refused", at=at, **why)
        for at, why in (
            ("30 s", {}),
            ("30 s", {"why": "already_running"}),
            ("30 s", {"why": "RUNNING already"}),
            ("30 s", {"why": "not_stopped"}),
            ("60 s", {"why": "61 mL, must be"}),
            ("1 s", {}),
        )
    )
    records, _ = run(text)
    judged = of_type(records, "expect")
    assert [record["ok"] for record in judged] == [True, True, True, False, True, False]
    assert judged[3]["found"] == "refused (already_running): the pump is RUNNING already"
    assert judged[5]["found"] == "nothing was refused then"


def test_presses_that_no_board_can_make_are_skipped_with_a_word():
    class Real(HostBench):
        def press(self, button, ticks):
            raise NotPossible("nobody is there")

    text = HEAD + PATIENT + START + press("40 s") + event("80 s", "patient_bolus")
    text += expect("bolus", at="40 s", granted=True) + expect("bolus", at="80 s", granted=True)
    records, result = run(text, Real())
    assert [(r["at_ms"], r["do"]) for r in of_type(records, "skipped")] == [(40_000, "press")]
    assert [r["ok"] for r in of_type(records, "expect")] == [None, True]
    assert result.expect_failed == 0


def test_a_press_that_a_hung_pump_does_not_see_is_not_answered():
    text = HEAD + PATIENT + START + event("39 s", "hang") + press("40 s")
    records, _ = run(text + expect("bolus", at="40 s", granted=False))
    (failed,) = of_type(records, "expect")
    assert (failed["ok"], failed["found"]) == (False, "not answered")


@pytest.mark.req("LIM-10")
def test_a_refill_that_the_pump_refuses_is_recorded(monkeypatch):
    monkeypatch.setattr(supply, "MOST_RESERVOIR_NL", 40_000_000)
    text = HEAD + RESERVOIR + START + event("60 s", "refill", volume="41 mL")
    records, _ = run(text + expect("reservoir", at="60 s", value="9.41 mL"))
    (refused,) = of_type(records, "refused")
    assert (refused["at_ms"], refused["do"]) == (60_000, "refill") and "41 mL" in refused["message"]
    assert [r["ok"] for r in of_type(records, "expect")] == [True]


@pytest.mark.req("LIM-10")
def test_a_read_back_that_differs_ends_the_run(monkeypatch):
    monkeypatch.setattr(proposals, "differences", lambda sent, readback: ["this", "that"])
    with pytest.raises(RunError, match="read back something else than was sent: this; that"):
        run(HEAD)


def test_a_therapy_that_does_not_fit_into_a_frame_is_refused(monkeypatch):
    later = event("60 s", "program") + '[event.therapy]\nmode = "minimum"\ndrug = "' + "x" * 32 + '"\n'
    later += 'concentration = "1 mg/mL"\n'
    most = 170

    def checked_short(frame):
        if len(frame) > most:
            raise link.LinkError(f"the frame is {len(frame)} bytes long")
        return frame

    monkeypatch.setattr(link, "_checked", checked_short)
    records, _ = run(HEAD + START + later)
    (refused,) = of_type(records, "refused")
    assert refused["error"] == "not_sent" and "bytes long" in refused["message"]
    most = 100
    with pytest.raises(TherapyRefused, match="the therapy cannot be sent: the frame is"):
        run(HEAD + START)


@pytest.mark.req("DOSE-14")
@pytest.mark.parametrize("clock", ["mon 00:00", "mon 00:00:01", "sun 23:59:59", "thu 12:34:56"])
def test_the_clock_stands_where_the_scenario_says_at_its_beginning(clock):
    experiment = scenario.parse(f'clock = "{clock}"\n' + HEAD)
    with HostBench(make_plant(experiment)) as board:
        result = run_scenario(experiment, board, LinkClient(board.send))
        result.finish()
        assert isinstance(board.pump, pump.Pump)
        begin_tick = result.log.begin_tick or 0
        assert (board.pump.clock.week_offset + begin_tick) % 6_048_000 * 100 == experiment.clock_ms


# --- expectations that do not hold


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (expect("bolus", at="60 s", granted=False), "granted"),
        (expect("bolus", at="90 s", granted=True), "denied (bolus_active)"),
        (expect("bolus", at="90 s", granted=False, reason="lockout"), "denied (bolus_active)"),
        (expect("alarm", code="RUNAWAY", at="1 min"), "no RUNAWAY"),
        (expect("state", value="STOPPED"), "RUNNING"),
        (expect("state", value="RUNNING", at="0.9 s"), "STOPPED"),
        (expect("state", value="RUNNING", at="0.5 s", within="400 ms"), "STOPPED"),
        (expect("delivered", value="1.19 mL", at="61 s"), "605 uL"),
        (expect("delivered", value="605.002 uL", at="61 s", within="1 nL"), "605 uL"),
        (expect("delivered", at_most="603 uL", at="61 s"), "605 uL"),
        (expect("delivered", at_least="607 uL", at="61 s"), "605 uL"),
        (expect("ledger", value="607 uL", at="61 s"), "605 uL"),
        (expect("outflow", value="605 uL", at="61 s"), "583.16"),
        (expect("resets", value=1), "0"),
        (expect("reservoir", value="9.398 mL", at="61 s", within="999 nL"), "9.395 mL"),
        (expect("reservoir", value="9.394 mL", at="61 s", within="999 nL"), "9.395 mL"),
        (expect("window_peak", at_most="1.488 mL"), "1.49 mL"),
        (expect("alarm", code="RESERVOIR_LOW", at="61 s"), "RESERVOIR_LOW at 51 s"),
        (expect("alarm", code="RESERVOIR_LOW", never=True), "RESERVOIR_LOW at 51 s"),
    ],
)
def test_an_expectation_that_does_not_hold_is_told_with_what_was_found(line, found):
    # At 61 s: 60 s at 10 uL/s and 1 s of the bolus at 5 uL/s. A tick is 1.5 uL. The line holds 18 uL of the
    # basal and 9 uL (1 - e^(-1/1.8)) of the bolus. 10 mL less 605 uL are 9.395 mL. LOW (500 uL gone) at 51 s.
    # In all 119 s at 10 uL/s and 60 s at 5 uL/s, 1.49 mL.
    head = HEAD + LIMIT + RESERVOIR.replace("9.7", "9.5").replace('"9 mL"', '"1 mL"')
    boluses = event("60 s", "clinician_bolus", volume="1 mL", duration="200 s") + event(
        "90 s", "clinician_bolus", volume="1 mL", duration="200 s"
    )
    records, result = run(head + START + boluses + line + expect("resets", value=0))
    failed, held = of_type(records, "expect")
    assert failed["ok"] is False and failed["found"].startswith(found)
    assert failed["line"] == head.count("\n") + START.count("\n") + boluses.count("\n") + 1
    assert held["ok"] is True
    assert result.expect_failed == result.summary["expect_failed"] == 1


def test_within_defaults_to_one_tick_and_one_microstep():
    # 36 mL/h are 1 000 nL a tick; 590 uL at 60 s.
    def holds(value):
        _, result = run(HEAD + START + expect("delivered", at="60 s", value=value))
        return result.expect_failed == 0

    assert holds("591031.25 nL") and holds("588968.75 nL")
    assert not holds("591031.26 nL") and not holds("588968.74 nL")


def test_a_board_with_slack_gets_one_more_tick():
    class Slow(HostBench):
        slack_ticks = 1

    def holds(value):
        _, result = run(HEAD + START + expect("delivered", at="60 s", value=value), Slow())
        return result.expect_failed == 0

    assert holds("592031.25 nL") and not holds("592031.26 nL")


def test_state_within():
    for at, within, holds in (("0.5 s", "500 ms", True), ("0.5 s", "400 ms", False), ("2 s", "1 s", True)):
        text = HEAD + START + expect("state", value="RUNNING", at=at, within=within)
        assert (run(text)[1].expect_failed == 0) is holds
    text = HEAD + START + expect("state", value="STOPPED", at="1.5 s", within="600 ms")
    assert run(text)[1].expect_failed == 0


# --- boards and pumps that are not well


def test_a_therapy_that_the_pump_refuses_ends_the_run_before_it_begins():
    aspirin = 'drug = "aspirin"\nconcentration = "1 mg/mL"\ndose = "864 mg/day"'
    with pytest.raises(TherapyRefused, match=r"^scenario:\d+: the pump refuses .*drug: aspirin is not"):
        run(HEAD.replace('rate = "36 mL/h"', aspirin))


def test_a_pump_that_runs_already_is_left_alone():
    experiment = scenario.parse(HEAD + START)
    plant = make_plant(experiment)
    with HostBench(plant) as bench:
        list(run_scenario(experiment, bench, LinkClient(bench.send)))
        delivered_nl = plant.displaced_nl()
        with pytest.raises(RunError, match="the pump is RUNNING"):
            list(run_scenario(experiment, bench, LinkClient(bench.send)))
        assert plant.displaced_nl() > delivered_nl


def test_a_second_run_on_the_same_board_counts_from_its_own_beginning():
    experiment = scenario.parse(HEAD + START + event("100 s", "stop") + expect("delivered", value="990 uL"))
    with HostBench() as bench:
        first = run_scenario(experiment, bench, LinkClient(bench.send), keep_ledger=True)
        first.finish()
        second = run_scenario(experiment, bench, LinkClient(bench.send), keep_ledger=True)
        second.finish()
    assert canonical_records(first) == canonical_records(second)
    peaks = first.summary.pop("pressure_peak_pa"), second.summary.pop("pressure_peak_pa")
    assert peaks == (37_000, 37_000)
    first.summary["states"][0]["cause"] = second.summary["states"][0]["cause"]  # how it came to be STOPPED
    assert abs(first.summary.pop("outflow_nl") - second.summary.pop("outflow_nl")) <= 1
    assert first.summary == second.summary


def test_no_pump_is_said():
    class Dead(HostBench):
        def send(self, data):
            pass

    with pytest.raises(RunError, match="no pump answers `hello`"):
        run(HEAD, Dead())


def test_commands_the_pump_refuses_are_recorded():
    text = HEAD + START + event("30 s", "start") + event("60 s", "program")
    text += '[event.therapy]\nmode = "continuous"\ndrug = "aspirin"\n'
    text += 'concentration = "1 mg/mL"\ndose = "864 mg/day"\n'
    text += event("80 s", "clinician_bolus", volume="1 nL", duration="25 h")
    records, result = run(text + expect("delivered", value="1190 uL"))
    assert [(r["at_ms"], r["do"], r["error"]) for r in of_type(records, "refused")] == [
        (30_000, "start", "refused"),
        (60_000, "program", "refused"),
    ]
    assert "aspirin is not in the library" in of_type(records, "refused")[1]["message"]
    (bolus,) = result.summary["boluses"]
    assert (bolus["granted"], bolus["reason"], bolus["ended_ms"]) == (False, "prescription", None)
    assert result.expect_failed == 0


def test_a_hung_pump_leaves_no_ledger_and_says_so():
    text = HEAD + START + event("60 s", "hang") + event("70 s", "stop") + expect("ledger", value="1 mL")
    records, result = run(text)
    assert (result.summary["ledger_nl"], result.summary["executed_steps"]) == (None, None)
    assert result.summary["delivered_nl"] == pytest.approx(590_000 + 8_000, abs=2_100)
    (failed,) = of_type(records, "expect")
    assert failed["found"] == "nothing: the pump did not answer"
    assert [w["message"] for w in of_type(records, "warning")] == [
        "1 commands without an answer between pump and host"
    ]


def test_what_a_board_can_not_do_is_skipped_with_a_word():
    class Real(HostBench):
        def hang(self):
            raise NotPossible("not a real one")

    records, result = run(HEAD + START + event("60 s", "hang") + expect("delivered", value="1.19 mL"), Real())
    assert of_type(records, "skipped") == [
        {"type": "skipped", "at_ms": 60_000, "do": "hang", "why": "not a real one"}
    ]
    assert result.expect_failed == 0


def test_after_a_reset_that_a_board_can_not_make_nothing_can_be_told():
    text = HEAD + START + event("60 s", "reset") + expect("delivered", at="59.9 s", value="9 mL")
    text += expect("delivered", at="60 s", value="9 mL") + expect("resets", value=1)

    class Real(HostBench):
        def reset(self):
            raise NotPossible("not a real one")

    experiment = scenario.parse(text)
    records, result = run(experiment, Real(make_plant(experiment)))
    assert [(r["at_ms"], r["do"]) for r in of_type(records, "skipped")] == [(60_000, "reset")]
    assert [r["ok"] for r in of_type(records, "expect")] == [False, None, None]
    assert result.expect_failed == 1


@pytest.mark.req("REC-04")
def test_a_button_that_is_held_over_a_reset_stays_pressed():
    text = HEAD + PATIENT + START + press("58 s", **{"for": "5 s"}) + event("60 s", "reset")
    records, result = run(text)
    assert result.summary["resets"] == 1
    changes = [(r["at_ms"], r["state"], r["cause"]) for r in of_type(records, "state")]
    assert changes[1:] == [
        (60_000, "BOOT", "reset"),
        (61_200, "POST", "power_on"),
        (61_400, "STOPPED", "self_test"),
        (61_500, "RUNNING", "resume"),
    ]
    # A pump that has just started sees a button go down, while it tests itself.
    (bolus,) = result.summary["boluses"]
    assert (bolus["granted"], bolus["ended_ms"]) == (True, 60_000)
    assert [e["b"] for e in of_type(records, "event") if e["code"] == "denied"] == [causes.NOT_RUNNING]


@pytest.mark.req("REC-04", "MOT-04")
def test_a_reset_brings_back_a_pump_that_hangs():
    """Its own clock stood for 10.3 s; times are the world's all the same."""
    text = HEAD + START + event("60 s", "hang") + event("70.3 s", "reset")
    text += event("80 s", "clinician_bolus", volume="10 uL", duration="4 s") + event("100 s", "program")
    text += '[event.therapy]\nmode = "continuous"\nrate = "1 mL/h"\n'
    text += "".join(expect("ledger", at=at, at_least="0 L") for at in ("79.7 s", "90 s", "95 s"))
    records, result = run(text + expect("resets", value=1), keep_ledger=True)
    assert [r["ok"] for r in of_type(records, "expect")] == [True] * 4
    assert [(r["at_ms"], r["state"]) for r in of_type(records, "state")] == [
        (1000, "RUNNING"),
        (70_300, "BOOT"),
        (71_500, "POST"),
        (71_700, "STOPPED"),
        (71_800, "RUNNING"),
    ]
    assert result.summary["boluses"] == [
        {"asked_ms": 80_000, "granted": True, "reason": None, "volume_nl": 10_000, "ended_ms": 84_000}
    ]
    programmed = [e["at_ms"] for e in of_type(records, "event") if e["code"] == "therapy"]
    assert programmed == [100_000]
    # 59 s before, up to a second of orders behind, 28.3 s and a bolus after, at 10 uL/s, 20 s at 0.28 uL/s
    late_nl = 283_000 + 10_000 + 5_556
    delivered_nl = result.summary["delivered_nl"]
    assert 590_000 + 6_000 - 32 <= delivered_nl - late_nl <= 590_000 + 10_000 + 32
    # Each second of the ledger is one of the pump's. Its time goes on at 71.5 s from its last record, which
    # was made 0.2 s before the hang, so 1.7 s beside the world's from there on.
    lines = [json.loads(line) for line in canonical_records(result).splitlines()]
    ticks = [line["tick"] for line in lines if line["type"] == "ledger"]
    assert ticks == [*range(0, 600, 10), *range(717, 1200, 10)]


@pytest.mark.req("REC-03", "SIM-01")
def test_what_is_due_while_the_power_is_cut_is_not_sent_and_a_bolus_has_ended_with_it():
    text = HEAD + PATIENT + START + event("20 s", "patient_bolus")
    text += event("22 s", "power_cut", **{"for": "10 s"}) + event("25 s", "patient_bolus")
    text += event("26 s", "stop") + event("31.9 s", "set_time", to="mon 12:00")
    records, result = run(text)
    assert [(r["at_ms"], r["do"], r["error"]) for r in of_type(records, "refused")] == [
        (26_000, "stop", "not_sent"),
        (31_900, "set_time", "not_sent"),
    ]
    cut, unheard = result.summary["boluses"]
    # The pump says what was given: at most, as all that was reserved counts, and no more than the bolus.
    assert (cut["granted"], cut["ended_ms"]) == (True, 22_000) and 5_000 <= cut["volume_nl"] <= 10_000
    assert (unheard["granted"], unheard["reason"], unheard["ended_ms"]) == (False, "not_sent", None)
    assert result.summary["resets"] == 1 and not of_type(records, "warning")


@pytest.mark.req("DOSE-09")
def test_priming_beyond_its_volume_counts_as_dose():
    """The head gives 10 % more than its calibration: of 110 uL of line 100 are left out of the windows."""
    text = HEAD + LIMIT + '[plant]\ncatheter_volume = "100 uL"\ncalibration_error = "10 %"\n'
    text += event("8 s", "new_line") + event("10 s", "prime", volume="100 uL")
    _, result = run(text + event("40 s", "start"))
    # 80 s at 11 uL/s
    assert result.summary["delivered_nl"] == pytest.approx(110_000 + 880_000, abs=40)
    assert result.summary["window_peak_nl"] == pytest.approx(10_000 + 880_000, abs=40)


@pytest.mark.req("DOSE-09")
def test_what_is_primed_without_a_new_line_is_refused_and_with_one_it_fills_an_empty_line():
    """Of an empty line of 50 uL nothing comes until it is full: 70 uL displaced are 20 uL out."""
    plant = '[plant]\ncatheter_volume = "50 uL"\nline_full = false\n'
    text = HEAD + LIMIT + plant + event("5 s", "prime", volume="50 uL") + event("10 s", "new_line")
    text += event("12 s", "prime", volume="50 uL") + event("20 s", "start") + event("22 s", "stop")
    records, result = run(text)
    [refused] = of_type(records, "refused")
    assert (refused["at_ms"], refused["do"]) == (5_000, "prime") and "new line" in refused["message"]
    assert result.summary["delivered_nl"] == pytest.approx(70_000, abs=63)
    assert result.summary["outflow_nl"] == pytest.approx(20_000, abs=100)
    assert result.summary["window_peak_nl"] == pytest.approx(20_000, abs=63)


@pytest.mark.req("DOSE-09")
def test_an_experiment_says_when_it_tells_the_pump_of_a_line_that_its_file_leaves_out():
    records, _ = run(HEAD)
    [note] = of_type(records, "note")
    assert "200 uL" in note["message"] and "therapy.line" in note["message"]
    records, _ = run(HEAD + 'line = "50 uL"\n')
    assert not of_type(records, "note")


def test_a_board_without_a_plant_tells_what_it_can():
    bench = HostBench()
    bench.plant = None
    text = HEAD + START + expect("delivered", value="9 mL") + expect("outflow", value="9 mL")
    records, result = run(text + expect("ledger", value="1.19 mL"), bench, every_ms=60_000)
    assert [r["ok"] for r in of_type(records, "expect")] == [None, None, True]
    summary = result.summary
    assert (summary["delivered_nl"], summary["outflow_nl"], summary["pressure_peak_pa"]) == (None, None, None)
    assert (summary["ledger_nl"], summary["expect_failed"]) == (1_190_000, 0)
    assert [(s["delivered_nl"], s["state"]) for s in of_type(records, "sample")] == [(None, "RUNNING")] * 2


@pytest.mark.req("REC-03")
def test_many_commands_at_once_are_all_in_time():
    """More than the pump holds back (8), at one tick and close together."""
    boluses = "".join(event("20 s", "clinician_bolus", volume="1 uL", duration="1 s") for _ in range(12))
    switches = "".join(event(f"{40 + k / 5} s", "stop" if k % 2 else "start") for k in range(60))
    records, result = run(HEAD + START + boluses + event("39 s", "stop") + switches)
    granted = [bolus["granted"] for bolus in result.summary["boluses"]]
    assert granted == [True] + [False] * 11
    denied = [b["at_ms"] for b in of_type(records, "event") if b["code"] == "denied"]
    assert denied == [20_000] * 11
    changes = [(r["at_ms"], r["state"]) for r in of_type(records, "state")][2:]
    assert changes == [(40_000 + 200 * k, "STOPPED" if k % 2 else "RUNNING") for k in range(60)]


def test_of_more_than_twelve_commands_at_once_five_follow_in_each_tick():
    boluses = "".join(event("20 s", "clinician_bolus", volume="1 uL", duration="9 s") for _ in range(19))
    records, _ = run(HEAD + START + boluses)
    acted_ms = [r["at_ms"] for r in of_type(records, "event") if r["code"] in ("bolus_start", "denied")]
    assert acted_ms == [20_000] * 12 + [20_100] * 5 + [20_200] * 2


HAPPENING = (
    # at, do, its keys, and what of the plant is otherwise from which tick on
    ("10 s", "occlude", {"where": "downstream"}, (100, "occluded_down", True)),
    ("11 s", "unocclude", {"where": "downstream"}, (110, "occluded_down", False)),
    ("12.01 s", "stall", {}, (121, "stalled", True)),
    ("13 s", "unstall", {}, (130, "stalled", False)),
    ("14 s", "air", {"for": "1.25 s"}, (140, "air", True), (153, "air", False)),
    ("16 s", "low_supply", {"to": "9.5 V"}, (160, "adc_supply", 1900)),
    ("17 s", "sensor_fault", {"which": "supply", "kind": "open"}, (170, "adc_supply", 4095)),
    ("18 s", "free_flow", {"rate": "1 mL/h"}, (180, "restless", True)),
    ("19 s", "air", {}, (190, "air", True)),
    ("20 s", "height", {"to": "2 kPa"}, (200, "line.back_pa", 3000.0)),
    ("21 s", "breathing", {}, (210, "line.tones", {"breathing": (300.0, 0.25)})),
    (
        "22 s",
        "pulse_wave",
        {"amplitude": "1 kPa", "frequency": "2 Hz"},
        (220, "line.tones", {"breathing": (300.0, 0.25), "pulse_wave": (1000.0, 2.0)}),
    ),
)


def test_every_event_on_the_plant_is_done_at_its_tick():
    names = ("occluded_down", "stalled", "air", "adc_supply", "restless", "line.back_pa", "line.tones")
    seen = []

    class Watched(HostBench):
        def _turn(self, tick, at_cycles):
            super()._turn(tick, at_cycles)
            values = (attrgetter(name)(self.plant) for name in names)
            seen.append((tick, [plain(value, self.now_ns) for value in values]))

    def plain(value, now_ns):
        if isinstance(value, dict):
            return {name: (tone.amplitude_pa, tone.hz) for name, tone in value.items()}
        return value(now_ns) if callable(value) else value

    text = HEAD + "".join(event(at, do, **keys) for at, do, keys, *_ in HAPPENING)
    assert {do for _, do, *_ in HAPPENING} == set(scenario.ON_THE_PLANT) == set(runner.ON_PLANT)
    _, result = run(text, Watched())
    begin = result.log.begin_tick or 0
    changes = [
        (tick - begin, name, now)
        for (_, before), (tick, after) in zip(seen, seen[1:], strict=False)
        for name, was, now in zip(names, before, after, strict=True)
        if was != now
    ]
    assert changes == [change for _, _, _, *made in HAPPENING for change in made]


def test_what_happens_to_a_plant_that_is_not_there_is_skipped_with_a_word():
    bench = HostBench()
    bench.plant = None
    text = HEAD + START + event("60 s", "stall") + expect("ledger", at="59 s", value="580 uL")
    records, result = run(text + expect("ledger", value="9 mL"), bench)
    assert [(r["at_ms"], r["do"], r["why"]) for r in of_type(records, "skipped")] == [
        (60_000, "stall", "this board has no plant to act on")
    ]
    assert [r["ok"] for r in of_type(records, "expect")] == [True, None]


def test_an_audio_pause_goes_to_the_pump():
    sent = []

    class Listening(HostBench):
        def send(self, data):
            sent.append(data)
            super().send(data)

    run(HEAD + event("60 s", "audio_pause"), Listening())
    assert [b'"cmd":"audio_pause"' in data and b'"at_tick":' in data for data in sent].count(True) == 1


def test_the_stop_button_is_held_as_long_as_it_says():
    seen = []

    class Watched(HostBench):
        def _turn(self, tick, at_cycles):
            super()._turn(tick, at_cycles)
            seen.append((tick, self.inputs.button_stop))

    _, result = run(HEAD + START + event("60 s", "press", button="stop", **{"for": "1.5 s"}), Watched())
    begin = result.log.begin_tick or 0
    assert [tick - begin for tick, pressed in seen if pressed] == list(range(600, 615))
    assert result.summary["boluses"] == []


# --- the log


def frame(tick, code, a=0, b=0):
    return {
        "type": "event",
        "seq": 0,
        "tick": tick,
        "code": code,
        "a": a,
        "b": b,
        "executed_steps": 100 + tick,
    }


def test_faults_become_alarms_until_they_are_acknowledged():
    log = RunLog()
    log.begin(50, 100, 1000)
    log.event(frame(60, "fault", states.RUNNING, causes.CAUSES.index("illegal_move")))
    log.event(frame(60, "state", states.RUNNING, states.HALTED))
    log.event(frame(75, "state", states.HALTED, states.STOPPED))
    assert [alarm.record() for alarm in log.alarms] == [
        {"code": "LOOP_FAULT", "priority": "HIGH", "raised_ms": 1000, "cleared_ms": 2500},
    ]
    assert [(c.tick, c.state, c.cause) for c in log.states[1:]] == [
        (10, "HALTED", "illegal_move"),
        (25, "STOPPED", "command"),
    ]


def test_alarms_stand_until_the_pump_says_that_they_are_cleared():
    log = RunLog()
    log.begin(50, 100, 1000)
    log.event(frame(55, "alarm", alarms.RESERVOIR_LOW, 1))
    log.event(frame(60, "alarm", alarms.RESERVOIR_EMPTY, 1))
    log.event(frame(60, "state", states.RUNNING, states.HALTED))
    log.event(frame(75, "state", states.HALTED, states.STOPPED))
    log.event(frame(80, "alarm", alarms.RESERVOIR_EMPTY, 0))
    log.event(frame(80, "state", states.STOPPED, states.HALTED))
    assert [alarm.record() for alarm in log.alarms] == [
        {"code": "RESERVOIR_LOW", "priority": "LOW", "raised_ms": 500, "cleared_ms": None},
        {"code": "RESERVOIR_EMPTY", "priority": "HIGH", "raised_ms": 1000, "cleared_ms": 3000},
    ]
    assert [(c.tick, c.state, c.cause) for c in log.states[1:]] == [
        (10, "HALTED", "reservoir_empty"),
        (25, "STOPPED", "command"),
        (30, "HALTED", "command"),
    ]


def test_alarms_from_before_count_if_they_still_stand():
    log = RunLog()
    log.event(frame(20, "alarm", alarms.RESERVOIR_LOW, 1))
    log.event(frame(21, "alarm", alarms.CLOCK_LOST, 1))
    log.event(frame(30, "alarm", alarms.CLOCK_LOST, 0))
    log.begin(50, 100, 1000)
    assert [alarm.record() for alarm in log.alarms] == [
        {"code": "RESERVOIR_LOW", "priority": "LOW", "raised_ms": 0, "cleared_ms": None},
    ]


def test_a_boot_in_the_middle_is_a_reset():
    log = RunLog()
    log.event(frame(0, "boot"))
    log.begin(50, 100, 1000)
    log.event(frame(60, "boot"))
    assert log.resets == 1


def test_what_is_outside_the_experiment_is_not_in_it():
    log = RunLog(keep_ledger=True)
    log.begin(50, 100, 10)
    assert log.event(frame(49, "denied")) is None
    assert log.event(frame(61, "denied")) is None
    kept = log.event(frame(60, "denied"))
    assert kept == {"tick": 10, "code": "denied", "a": 0, "b": 0, "executed_steps": 60}
    assert log.events == [kept]


def test_a_state_whose_event_was_lost_is_taken_from_the_status():
    log = RunLog()
    log.begin(50, 100, 1000)
    status = {"tick": 90, "state": "RUNNING", "owed_steps": 0, "executed_steps": 0, "ordered_steps": 0}
    log.status(status)
    log.status({**status, "tick": 100})
    assert [(c.tick, c.state, c.cause) for c in log.states[1:]] == [(40, "RUNNING", None)]


def test_the_rate_near_a_time_follows_steps_and_clocks():
    text = """
duration = "3 min"
clock = "mon 05:59"
[therapy]
mode = "flex"
[[therapy.step]]
at = "06:00"
rate = "6 mL/h"
[[therapy.step]]
at = "07:00"
rate = "1 mL/h"
"""
    _, result = run(text + event("2 min", "set_time", to="tue 06:30"))
    evidence = result._run._evidence()
    rates = {tick: evidence.rate_near_nl_h(tick) for tick in (0, 598, 599, 600, 1198, 1199, 1201)}
    slow, fast = Fraction(10**6), Fraction(6 * 10**6)
    assert rates == {0: slow, 598: slow, 599: fast, 600: fast, 1198: fast, 1199: fast, 1201: fast}
    _, result = run(text + event("2 min", "set_time", to="tue 07:30"))
    evidence = result._run._evidence()
    assert [evidence.rate_near_nl_h(tick) for tick in (1200, 1201, 1202)] == [fast, slow, slow]


def test_the_rate_near_a_time():
    experiment = scenario.parse(
        HEAD
        + START
        + event("60 s", "clinician_bolus", volume="10 uL", duration="4 s")
        + event("90 s", "program")
        + '[event.therapy]\nmode = "continuous"\nrate = "1 mL/h"\n'
    )
    _, result = run(experiment)
    evidence = result._run._evidence()
    rates = {tick: evidence.rate_near_nl_h(tick) for tick in (0, 598, 599, 641, 642, 898, 900, 901, 1000)}
    basal, both = Fraction(36_000_000), Fraction(45_000_000)
    assert rates == {
        0: basal,
        598: basal,
        599: both,
        641: both,
        642: basal,
        898: basal,
        900: basal,
        901: 10**6,
        1000: 10**6,
    }
