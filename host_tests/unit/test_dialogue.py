"""What the pages show of the pump and of its command is what these say today, but for when they say it."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from pump_on_bench import PumpOnBench
from pump_port import PumpPort
from thecal_bench import scenario
from thecal_host import cli
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
LINK = (ROOT / "firmware" / "thecal" / "link" / "README.md").read_text()
COMMAND = (ROOT / "tools" / "thecal_host" / "README.md").read_text()
EXPERIMENT = (ROOT / "host_tests" / "scenarios" / "README.md").read_text()
WHEN = {"tick", "seq", "executed_steps"}
TICKS = {"program": 100, "bolus": 12}  # before the host goes on: what it looks at, and part of the bolus
OTHERWISE_TICKS = 30


def what(frame: dict[str, Any]) -> dict[str, Any]:
    """A frame without its time, and without what was given by then."""
    left = {name: value for name, value in frame.items() if name not in WHEN}
    if left.get("code") == "bolus_end":
        del left["a"]
    return left


@pytest.mark.req("LNK-01", "LNK-04")
def test_the_pump_says_what_the_page_says_it_says():
    lines = re.findall(r"^([<>]) (.*)$", LINK, re.MULTILINE)
    told = [json.loads(text[:-9]) for side, text in lines if side == "<"]
    assert len(told) > 15
    desk = PumpOnBench()
    heard = bytearray()
    desk.bench.on_data = heard.extend
    for text in (text for side, text in lines if side == ">"):
        desk.bench.send(text.encode() + b"\n")
        command = json.loads(text[:-9])["cmd"] if text.startswith("{") else text
        desk.run(TICKS.get(command, OTHERWISE_TICKS))
    frames = [json.loads(line[:-9]) for line in heard.decode().splitlines()]
    assert [what(frame) for frame in frames if frame["type"] != "status"] == [what(frame) for frame in told]


# --- the command


def shown(page: str, *commands: str) -> list[tuple[list[str], list[str]]]:
    """What a page shows: each call of one of these commands, and the lines under it."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    parts = re.findall(r"^\$ thecal (.*)\n((?:[^$\n].*\n)*)", "".join(blocks), re.MULTILINE)
    asked = [(shlex.split(call), said.splitlines()) for call, said in parts]
    return [(call, said) for call, said in asked if call[0] in commands]


def without_what_is_to_come(line: str) -> str:
    return re.sub(r"with [\d.]+ uL to come", "with some to come", line)


@pytest.mark.req("LNK-01", "LIM-15")
def test_the_command_says_what_the_page_says_it_says(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    port = PumpPort()
    calls = shown(COMMAND, "program", "start", "bolus", "stop")
    assert [call[0] for call, _ in calls] == ["program", "start", "bolus", "bolus", "stop"]
    for call, said in calls:
        lines = [without_what_is_to_come(line.rstrip()) for line in run(port, *call).output.splitlines()]
        assert [line for line in lines if line] == [without_what_is_to_come(line) for line in said], call


def test_the_scenario_of_the_page_is_one_and_says_what_the_page_says(monkeypatch):
    (example,) = re.findall(r"^```toml\n(.*?)^```", EXPERIMENT, re.MULTILINE | re.DOTALL)
    scenario.parse(example)
    monkeypatch.chdir(ROOT)
    ((call, said),) = shown(EXPERIMENT, "simulate")
    result = CliRunner().invoke(cli.app, call)
    assert result.exit_code == 0 and len(said) > 4
    assert set(said) - {"..."} <= set(result.output.splitlines())
