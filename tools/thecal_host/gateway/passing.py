"""What may go from the broker to a pump: one whole signed frame, in the role of its topic, as it came.

The gateway has no key, so it cannot tell whether a signature holds: the pump does. What it sees to is that
nothing unsigned passes, not even a stop: a bare word, a line beside the signed one, another role's frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from thecal_model import signing
from thecal_model.link import FRAME_MAX_BYTES, FrameError, decode_line

_PRINTABLE = range(0x20, 0x7F)


@dataclass(frozen=True)
class Passed:
    """A frame that goes to the pump: `frame` is what came, byte for byte; `run` and `id` are its reply's."""

    frame: bytes
    role: str
    id: int
    run: str | None

    @property
    def ids(self) -> dict[str, Any]:
        """As a reply has them."""
        return {"id": self.id, **({} if self.run is None else {"run": self.run})}


@dataclass(frozen=True)
class Kept:
    """One that does not, and why: a code, and a sentence."""

    code: str
    message: str


def judge(payload: bytes, retained: bool, role: str) -> Passed | Kept:
    """Whether what came on the topic of `role` may go to the pump."""
    if retained:
        return Kept("retained", "commands are not retained: who published it is not there to see it done")
    if len(payload) > FRAME_MAX_BYTES:
        return Kept("too_large", f"{len(payload)} bytes, a frame has {FRAME_MAX_BYTES} at most")
    line = payload[:-1]
    if payload[-1:] != b"\n" or any(byte not in _PRINTABLE for byte in line):
        return Kept("not_a_frame", "expected one line of printable ASCII and its LF")
    signed = signing.parts(line)
    if signed is None:
        said = decode_line(line)
        why = "it is not signed" if not isinstance(said, FrameError) else said.message
        return Kept("not_signed", f"nothing unsigned goes to a pump: {why}")
    if signed.role != role:
        return Kept("role", f"signed as {signed.role}, and this is the topic of {role}")
    try:
        request = json.loads(signed.body)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict) or not isinstance(request.get("cmd"), str):
        return Kept("not_a_frame", "what is signed is no request")
    number, run = request.get("id", 0), request.get("run")
    if type(number) is not int or not isinstance(run, str | None):
        return Kept("not_a_frame", "what is signed has no ID that a reply could name")
    return Passed(payload, role, number, run)
