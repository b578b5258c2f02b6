"""A Pump without any board: the test turns the clock, types frames and reads the answers."""

from __future__ import annotations

import itertools
import json
import zlib

from thecal.pump import Pump
from thecal.rig import Rig
from thecal.signals import Inputs, Outputs
from thecal_model.link import needs_id
from thecal_model.rig import reference

SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}


NUMBERS = itertools.count(1_000_000)
RUN = "0badcafe"


def frame(text: bytes) -> bytes:
    return text + b" %08x\n" % zlib.crc32(text)


def request(cmd: str, **arguments) -> bytes:
    """A frame of this client: what changes something has an ID of its own."""
    if needs_id(cmd) and "run" not in arguments:
        arguments = {"id": next(NUMBERS), "run": RUN, **arguments}
    return frame(json.dumps({"cmd": cmd, **arguments}, separators=(",", ":")).encode())


class PumpOnDesk:
    """`tick` runs one tick; `frames` are those sent in it. The motor is obedient: it stands where it was told
    to be.
    """

    def __init__(self, rig: Rig | None = None) -> None:
        self.pump = Pump(rig or reference())
        self.mechanism = self.pump.mechanism
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.frames: list[dict] = []
        self.at_tick = -1

    def tick(self, data: bytes = b"", ticks: int = 1, **inputs) -> list[dict]:
        self.at_tick += ticks
        self.inputs.tick_s, tenths = divmod(self.at_tick, 10)
        self.inputs.tick_ms = tenths * 100
        self.inputs.rx[: len(data)] = data
        self.inputs.rx_len = len(data)
        self.inputs.queue_free = 0
        self.inputs.pressure_down_raw = self.inputs.pressure_up_raw = 400 + self.at_tick % 2
        self.inputs.supply_raw = 2_400
        for name, value in inputs.items():
            assert hasattr(self.inputs, name)
            setattr(self.inputs, name, value)
        if "encoder_count" not in inputs:
            self.inputs.encoder_count = self.inputs.executed_steps // 32
            self.inputs.index_count = self.inputs.executed_steps // 3_200
        self.turn()
        sent = bytes(self.outputs.tx[self.outputs.tx_start : self.outputs.tx_end])
        self.outputs.tx_start = self.outputs.tx_end = 0
        self.frames = []
        for line in sent.splitlines():
            text, crc = line.rsplit(b" ", 1)
            assert int(crc, 16) == zlib.crc32(text) and len(crc) == 8
            self.frames.append(json.loads(text))
        return self.frames

    def turn(self) -> None:
        """What the loop does of a tick where there is no board."""
        self.pump.decide(self.inputs, self.outputs)
        self.pump.keep()
        self.pump.report(self.inputs, self.outputs)

    def ask(self, cmd: str, **arguments) -> dict:
        """One request, one tick, its reply."""
        number = next(NUMBERS)
        sent = self.tick(request(cmd, id=number, **arguments))
        replies = [frame for frame in sent if frame["type"] == "reply"]
        assert len(replies) == 1 and replies[0]["id"] == number
        return replies[0]

    def program(self, therapy: dict | None = None) -> dict:
        proposal = self.ask("program", therapy=therapy or SIX_ML_H)
        assert proposal["ok"], proposal
        accept = proposal["readback"].get("soft", [])
        assert self.ask("confirm", digest=proposal["digest"], accept=accept)["ok"]
        return proposal

    def run(self, therapy: dict | None = None) -> None:
        """Power on, program, start."""
        self.tick()
        self.program(therapy)
        assert self.ask("start")["ok"]

    @property
    def targets(self) -> list[int]:
        return self.outputs.targets[: self.outputs.target_count]

    @property
    def events(self) -> list[tuple[str, int, int]]:
        return [(sent["code"], sent["a"], sent["b"]) for sent in self.frames if sent["type"] == "event"]
