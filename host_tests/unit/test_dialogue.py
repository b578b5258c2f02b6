"""The dialogue in the page of the link is what the pump says today, but for when it says it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pump_on_bench import PumpOnBench

PAGE = Path(__file__).parents[2] / "firmware" / "thecal" / "link" / "README.md"
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
    lines = re.findall(r"^([<>]) (.*)$", PAGE.read_text(), re.MULTILINE)
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
