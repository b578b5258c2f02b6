"""Long runs in PyPy: the same bytes as here, and what is said where there is none."""

import dataclasses
import json
import subprocess

import pytest
from test_runner import FILES, HOUR_MS, HostBench, LinkClient, canonical_records, make_plant, run, scenario
from thecal_bench.pypy import starter
from thecal_bench.runner import RunError, TherapyRefused, run_scenario
from thecal_host import cli
from typer.testing import CliRunner

in_pypy = pytest.mark.skipif(starter.find() is None, reason="this machine has no PyPy (Debian's pypy3)")

DAY = """
title = "t"
duration = "6 h"
[therapy]
mode = "continuous"
rate = "2 uL/h"
[[event]]
at = "1 s"
do = "start"
[[event]]
at = "1 h"
do = "hang"
[[expect]]
what = "delivered"
value = "1 mL"
"""


def shortened(path, most_ms):
    experiment = scenario.load(path)
    if experiment.duration_ms > most_ms:
        experiment = dataclasses.replace(experiment, duration_ms=most_ms, expects=())
    return experiment


@in_pypy
@pytest.mark.req("SIM-02", "PERF-07", "REC-01")
@pytest.mark.parametrize("most_ms", [120_000, pytest.param(3 * HOUR_MS, marks=pytest.mark.long)])
def test_every_scenario_writes_the_same_bytes_in_pypy(most_ms):
    """In one process, which warms up once. The first of them is run again at the end: nothing is left."""
    experiments = [shortened(path, most_ms) for path in FILES]
    experiments.append(experiments[0])
    path = starter.find()
    assert path is not None
    orders = b"".join(starter.order(experiment, keep_ledger=True) for experiment in experiments)
    command = [path, *starter.CHILD]
    said = subprocess.run(
        command, input=orders, env=starter.environment(), stdout=subprocess.PIPE, check=True
    )
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    ledgers = [line[1] for line in lines if line[0] == "ledger"]
    assert len(ledgers) == len(experiments)
    summaries = [line[1] for line in lines if line[0] == "record" and line[1]["type"] == "summary"]
    for experiment, ledger, summary in zip(experiments, ledgers, summaries, strict=True):
        _, here = run(experiment, keep_ledger=True)
        assert ledger.encode() == canonical_records(here), experiment.title
        assert summary == json.loads(json.dumps(here.summary)), experiment.title


@in_pypy
@pytest.mark.req("PERF-07")
def test_records_progress_and_the_ledger_come_as_from_a_run_here():
    experiment = dataclasses.replace(scenario.parse(DAY), duration_ms=120_000)
    seen = []
    far = starter.PypyRun(experiment, 10_000, lambda *at: seen.append(at), keep_ledger=True)
    with pytest.raises(RunError, match="not finished"):
        _ = far.summary
    records = list(far)
    with HostBench(make_plant(experiment)) as board:
        near = run_scenario(experiment, board, LinkClient(board.send), every_ms=10_000, keep_ledger=True)
        assert records == json.loads(json.dumps(list(near)))
    assert far.canonical == canonical_records(near)
    assert far.expect_failed == near.expect_failed == 1
    assert seen[-1] == (120_000, 120_000)


@in_pypy
@pytest.mark.req("PERF-07")
def test_what_stops_a_run_there_is_raised_here(monkeypatch):
    aspirin = 'drug = "aspirin"\nconcentration = "1 mg/mL"\ndose = "864 mg/day"'
    refused = scenario.parse(DAY.replace('rate = "2 uL/h"', aspirin))
    with pytest.raises(TherapyRefused) as here:
        run(refused)
    with pytest.raises(TherapyRefused) as there:
        list(starter.PypyRun(refused))
    assert str(there.value) == str(here.value)
    monkeypatch.setattr(starter, "CHILD", ("-c", "raise SystemExit(3)"))
    with pytest.raises(RunError, match="ended with 3"):
        list(starter.PypyRun(refused))


@pytest.mark.req("PERF-07")
def test_without_pypy_a_long_run_says_so_once_and_goes_on(tmp_path, monkeypatch):
    file = tmp_path / "day.toml"
    file.write_text(DAY.replace('at = "1 h"', 'at = "2 s"'))  # a pump that hangs is a quick one
    monkeypatch.setattr(starter, "COMMAND", "no-such-pypy3")
    starter.find.cache_clear()
    starter.find_or_tell.cache_clear()
    try:
        ends = [CliRunner().invoke(cli.app, ["simulate", str(file)]) for _ in range(2)]
    finally:
        starter.find.cache_clear()
        starter.find_or_tell.cache_clear()
    assert [end.exit_code for end in ends] == [1, 1]
    assert "goes on without, slower" in ends[0].stderr and "slower" not in ends[1].stderr
