"""A therapy on its way to a pump and back: in parts where it is too long for a line of the link.

`requests(therapy)` are the arguments of the `program` commands that propose it, in order; the answer to the
last one is the read-back. That holds the first steps of a long week; `missing(readback)` is from where on to
ask for more with `readback`, `complete` puts a page behind what is there.
"""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]

PART_STEPS = 24
"""Steps of one part: `thecal.dose.program` takes no more."""


class ReadbackError(Exception):
    """A page of a read-back that does not go on from the one before."""


def requests(therapy: Message) -> list[Message]:
    """What to send, one after the other, each when the one before has been answered."""
    steps = therapy.get("steps", [])
    if len(steps) <= PART_STEPS:
        return [{"therapy": therapy}]
    pages = [steps[at : at + PART_STEPS] for at in range(0, len(steps), PART_STEPS)]
    head = {key: value for key, value in therapy.items() if key != "steps"}
    contents: list[Message] = [{"therapy": head}, *({"steps": page} for page in pages)]
    return [
        {"part": {"index": index, "count": len(contents), **content}}
        for index, content in enumerate(contents)
    ]


def missing(readback: Message) -> int | None:
    """The number of the first step that was not read back yet; None if all were."""
    there = len(readback.get("steps", []))
    return there if there < readback.get("step_count", 0) else None


def complete(proposal: Message, page: Message) -> None:
    """Put the steps of a page behind those of the proposal's read-back. ReadbackError if they do not belong
    there.
    """
    readback = proposal["readback"]
    if page["digest"] != proposal["digest"] or page["from"] != missing(readback) or not page["steps"]:
        raise ReadbackError("the pump read back another page than was asked for")
    readback["steps"] = [*readback["steps"], *page["steps"]]
