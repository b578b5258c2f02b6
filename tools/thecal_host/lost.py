"""A command that changes something, and no reply to it: what became of it (REC-03).

The reply may be lost (the pump is silent, the cable was pulled) or the command itself. The pump keeps the
outcome of each ID, over a reset too, so it is asked, once the line is there again. Of one that the pump knows
the same line is sent again: it is not carried out again, and its first answer comes. So whoever gave the
command learns of it as if nothing had been lost. One that the pump does not know is not sent again: a bolus
must not come late. Nor does it if somebody in the cable has held it back: the question is signed in the same
role, and once it was taken no signature of that role from before it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thecal.smallint import LARGEST

if TYPE_CHECKING:
    from thecal_host.pump import Pump

# For the line to come back: a cable that is plugged in again, a pump that boots.
LINE_TIMEOUT_S = 30.0

# Who wants a stop is to be told soon that there is a button.
STOP_TIMEOUT_S = 3.0

# Then for the first answer, and for a command that waits to be carried out.
ANSWER_TIMEOUT_S = 3.0
WAITING_TIMEOUT_S = 10.0
AGAIN_S = 0.3

OUTCOMES = {
    "waiting": "it waits and is still to be carried out",
    "done": "it has been carried out",
    "denied": "it was denied, and is not carried out",
    "refused": "it was refused, and is not carried out",
    "cancelled": "a stop or `cancel` cancelled it: it was not carried out, and will not be",
    "cut": "the pump was reset: it may have been carried out or not, and will not be any more; look with "
    "`thecal status` and `thecal log`",
    "unknown": "the pump does not know of it: it was not carried out",
}
"""What is told of a command by its outcome."""

_KNOWN = ("done", "denied", "refused")
_ID = re.compile(r"([0-7][0-9a-f]{7})\.(\d{1,10})(?:\.(\d{1,10}))?")


@dataclass(frozen=True)
class Id:
    """The ID of a command: the run of its client, its number there, the boot that it named, if it did."""

    run: str
    number: int
    boot: int | None = None

    def __str__(self) -> str:
        return f"{self.run}.{self.number}" + ("" if self.boot is None else f".{self.boot}")

    @staticmethod
    def of(text: str) -> Id:
        """From what `str` made of it. ValueError."""
        found = _ID.fullmatch(text)
        if found is None or max(int(found[2]), int(found[3] or 0)) > LARGEST:
            raise ValueError(f'expected the ID of a command, as in 3f2a91c0.17.0, found "{text}"')
        return Id(found[1], int(found[2]), None if found[3] is None else int(found[3]))


def text_of(answer: dict[str, Any]) -> str:
    """What an answer to `outcome` says, for people."""
    said = OUTCOMES.get(answer.get("outcome", ""), "the pump says nothing of it that this program knows")
    return said + (f" ({answer['reason']})" if "reason" in answer else "")


def outcome(pump: Pump, id: Id, role: str | None = None) -> dict[str, Any]:
    """The pump's answer about the command with this ID, as soon as it is over; {} where none comes. It is
    asked in `role`, if that is given.
    """
    until_s = pump.clock_s() + WAITING_TIMEOUT_S
    named = {} if id.boot is None else {"of_boot": id.boot}
    while True:
        said = pump.answer_in(role, "outcome", of_run=id.run, of=id.number, **named)
        if said is None or said.get("outcome") != "waiting" or pump.clock_s() >= until_s:
            return said or {}
        pump.poll(AGAIN_S)


def answer(pump: Pump, id: Id, role: str | None = None, always: bool = False) -> dict[str, Any] | str:
    """The first answer to a command whose reply was lost; where there is none, what is known of it.

    It was given in `role`. `always`: it does no harm to send it again in any case, as a stop.
    """
    said = {} if always else outcome(pump, id, role)
    if always or said.get("outcome") in _KNOWN:
        pump.client.again(id.number)
        found = pump.wait([id.number], pump.clock_s() + ANSWER_TIMEOUT_S)
        if found is not None:
            return found
    if "outcome" in said:
        return text_of(said)
    return (
        "the pump may have taken it or not; ask with "
        f"`thecal outcome {id}`, and look with `thecal status` before you give it again"
    )
