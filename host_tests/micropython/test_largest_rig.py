"""RIG-01 in little memory: the largest rig comes while the largest week is in force and another one proposed.

What is sent is recorded from a talk with the pump's own code on CPython, which reads back the same digests.
"""

from __future__ import annotations

import ast
import json
import subprocess
from typing import Any

import pytest
from largest import RIG, week
from pump_on_bench import PumpOnBench
from test_fuzz import BATCH, BENCH, FIRMWARE, HERE
from thecal_bench import unixport
from thecal_model import programming
from thecal_model.link import encode
from thecal_model.rig import reference

FREE_BYTES = 2 * 16 * 1024
"""A third of what is free on the board beside a pump at rest; objects of the unix port are twice as large."""

STOP = encode({"cmd": "stop", "id": 1, "run": "00000001"})
WAIT = 60 * [b"\nhello\n"]
"""Until what was asked for is answered and written: many ticks for a week."""


class Recorded(PumpOnBench):
    """`sent` are the frames that it was asked for with."""

    def __init__(self) -> None:
        super().__init__()
        self.program()
        self.sent = [STOP, *WAIT]
        send = self.client._send

        def record(data: bytes) -> None:
            self.sent.append(bytes(data))
            send(data)

        self.client._send = record

    def propose_week(self, therapy: dict[str, Any]) -> dict[str, Any]:
        replies = [self.ask("program", **arguments) for arguments in programming.requests(therapy)]
        assert all(reply["ok"] for reply in replies)
        self.sent += WAIT
        return replies[-1]

    def agree(self, proposal: dict[str, Any]) -> None:
        accept = proposal["readback"].get("soft", [])
        assert self.ask("confirm", digest=proposal["digest"], accept=accept)["ok"]
        self.sent += WAIT


@pytest.mark.req("RIG-01", "RIG-02", "DOSE-06", "LNK-02")
def test_the_largest_rig_is_proposed_and_confirmed_beside_the_largest_weeks_in_little_memory(tmp_path):
    desk = Recorded()
    desk.agree(desk.propose_week(week()))
    desk.run(40)
    desk.propose_week(week(more=1))
    proposal = desk.ask("rig", rig=RIG)
    assert len(proposal["readback"]["changes"]) == sum(map(len, RIG.values())) - 1
    desk.sent += WAIT
    desk.agree(proposal)
    path = tmp_path / "batches"
    with path.open("wb") as sink:
        sink.write(json.dumps(reference().tables).encode() + b"\n")
        for frame in desk.sent:
            sink.write(BATCH.pack(False, False, len(frame)) + frame)
    command = [unixport.micropython_command(), "-X", "heapsize=3M", HERE / "fuzz.py", FIRMWARE, BENCH]
    with path.open("rb") as source:
        done = subprocess.run(
            [*map(str, command), str(FREE_BYTES)], stdin=source, capture_output=True, text=True
        )
    assert done.returncode == 0 and done.stdout.startswith(f"batches {len(desk.sent)} "), done.stdout
    # All were answered, and so were the script's own, one after each.
    assert ast.literal_eval(done.stdout[done.stdout.index("[") :]) == [("ok", 2 * len(desk.sent))]
