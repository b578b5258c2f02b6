"""Records of runs: one JSON object per line, as things happened, and how to make a `Run` of one again.

The first line is a `header`, which says what is known beforehand; then come the frames of the pump as they
were received (`status`, `event`, ...), in `thecal run` with the plant's `sample` records among them. A record
that was cut off anywhere, by Ctrl-C or a full disk, is still a record up to there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from thecal_host.programmed import Programmed
from thecal_host.text import mark_text

FORMAT = 1

# Who saw the volume that a record calls delivered.
PLANT = "plant"
COUNTED_PULSES = "counted pulses"


class RecordError(Exception):
    """A file that is no record, or one that does not hold enough; the message says what is missing."""


@dataclass(frozen=True)
class BolusOrder:
    """What was asked for when a bolus was ordered."""

    volume_nl: int
    rate_nl_h: Fraction


class Recorder:
    """Writes a record. `lines` counts what was written, the header included."""

    def __init__(self, file: IO[str], header: dict[str, Any]) -> None:
        self._file = file
        self.lines = 0
        self.write({"type": "header", "format": FORMAT, **header})

    def write(self, record: dict[str, Any]) -> None:
        """Append one record and hand it to the system at once, so that a kill loses nothing."""
        self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
        self._file.flush()
        self.lines += 1


def load(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the other lines of a record. Raises RecordError with the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise RecordError(f"{path}: is not readable as a record: {why}") from None
    lines = text.split("\n")
    records = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            if number == len(lines):
                # No LF: the line that was being written when the recording ended.
                break
            raise RecordError(f"{path}:{number}: is not JSON; expected one object per line") from None
        if not isinstance(record, dict) or not isinstance(record.get("type"), str):
            raise RecordError(f"{path}:{number}: expected an object with a `type`")
        records.append(record)
    if not records or records[0]["type"] != "header" or records[0].get("format") != FORMAT:
        raise RecordError(
            f"{path}:1: expected a header of format {FORMAT}: is this a file that `thecal record` wrote?"
        )
    return records[0], records[1:]


def programmed_by_events(
    basal_nl_h: Fraction,
    max_rate_nl_h: Fraction | None,
    events: list[tuple[int, dict[str, Any]]],
    orders: list[BolusOrder],
    later_basals_nl_h: list[Fraction],
    end_ms: int,
    running: bool = False,
) -> Programmed:
    """What should have flowed, given when the pump took which order (`events`: time in ms and frame).

    Rates are the prescriber's, exact: a bolus takes that of the first order of its volume that is not yet
    used, a therapy that of `later_basals_nl_h`; only where there is none is the rate of the event taken,
    which the pump rounds down to 1 nL/h.
    """
    from thecal import states

    programmed = Programmed(basal_nl_h, max_rate_nl_h)
    if running:
        programmed.start(0)
    open_orders = list(orders)
    for at_ms, event in events:
        code, a, b = event["code"], event["a"], event["b"]
        if code == "state":
            if b == states.RUNNING:
                programmed.start(at_ms)
            elif a == states.RUNNING:
                programmed.stop(at_ms)
        elif code == "therapy":
            exact = (rate for rate in (basal_nl_h, *later_basals_nl_h) if rate // 1 == a)
            programmed.set_basal(at_ms, next(exact, Fraction(a)))
        elif code == "bolus_start":
            order = next((order for order in open_orders if order.volume_nl == a), None)
            if order is not None:
                open_orders.remove(order)
            programmed.bolus(at_ms, a, order.rate_nl_h if order else Fraction(b))
    programmed.finish(end_ms)
    return programmed


def marks_of(events: list[tuple[int, dict[str, Any]]], first_ms: int, last_ms: int) -> list[tuple[int, str]]:
    """The events as marks for the picture, those of one moment as one mark."""
    texts: dict[int, list[str]] = {}
    for at_ms, event in events:
        if first_ms <= at_ms <= last_ms:
            texts.setdefault(at_ms, []).append(mark_text(event))
    return [(at_ms, " · ".join(words)) for at_ms, words in texts.items()]
