"""Records of runs: one JSON object per line, as things happened, and how to make a `Run` of one again.

The first line is a `header`, which says what is known beforehand; then come the frames of the pump as they
were received (`status`, `event`, ...), in `thecal run` with the plant's `sample` records among them. A record
that was cut off anywhere, by Ctrl-C or a full disk, is still a record up to there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from thecal_bench.scenario import Event, Profile, Scenario, Therapy

from thecal_host.programmed import Programmed
from thecal_host.report import Run, Sample
from thecal_host.text import mark_text

FORMAT = 1

# Who saw the volume that a record calls delivered.
PLANT = "plant"
COUNTED_PULSES = "counted pulses"


class RecordError(Exception):
    """A file that is no record, or one that does not hold enough; the message says what is missing."""


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


def header(
    *,
    title: str,
    source: str,
    nl_per_step: Fraction,
    tick_ms: int,
    scenario: Scenario | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What is known beforehand. With a scenario the record can be judged without any other file."""
    known: dict[str, Any] = {
        "title": title,
        "source": source,
        "nl_per_step": _pair(nl_per_step),
        "tick_ms": tick_ms,
        **more,
    }
    if scenario is not None:
        known["prescription"] = prescription_of(scenario.therapy, scenario.profile, scenario.events)
    return known


def prescription_of(therapy: Therapy, profile: Profile, events: Sequence[Event] = ()) -> dict[str, Any]:
    """What was prescribed, as the header of a record has it: exact rates as [numerator, denominator]."""
    return {
        "basal_nl_h": _pair(therapy.rate_nl_h),
        "later_basals_nl_h": [
            _pair(event.therapy.rate_nl_h) for event in events if event.therapy is not None
        ],
        "max_rate_nl_h": None if profile.max_rate_nl_h is None else int(profile.max_rate_nl_h),
        "boluses": [
            {"volume_nl": event.bolus.volume_nl, "rate_nl_h": _pair(event.bolus.rate_nl_h)}
            for event in events
            if event.bolus is not None
        ],
    }


def _pair(number: Fraction) -> list[int]:
    return [number.numerator, number.denominator]


def run_of(path: Path, therapy: tuple[Therapy, Profile] | None = None) -> Run:
    """The run that a record holds; `therapy` for one whose header does not know what was prescribed.

    Raises RecordError.
    """
    head, records = load(path)
    prescription = prescription_of(*therapy) if therapy is not None else head.get("prescription")
    if prescription is None:
        raise RecordError(
            f"{path}: does not say what was prescribed: give the file that was programmed with --therapy"
        )
    try:
        samples, events, running = (_from_plant if head["source"] == PLANT else _from_frames)(head, records)
        if len(samples) < 2:
            raise RecordError(f"{path}: holds {len(samples)} samples, two make a run")
        return Run(
            title=head["title"],
            nl_per_step=Fraction(*head["nl_per_step"]),
            programmed=programmed_by_events(prescription, events, samples[-1].at_ms, running),
            samples=samples,
            source=head["source"],
            marks=marks_of(events, samples[0].at_ms, samples[-1].at_ms),
            bound_steps=max(1, running + sum(_starts(event) for _, event in events)),
        )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as why:
        raise RecordError(f"{path}: is no record of a run ({type(why).__name__}: {why})") from None


Timed = list[tuple[int, dict[str, Any]]]


def _from_plant(head: dict[str, Any], records: list[dict[str, Any]]) -> tuple[list[Sample], Timed, bool]:
    """`thecal run`: times count from t=0, where the pump is stopped."""
    samples = [
        Sample(r["at_ms"], Fraction(r["delivered_pl"], 1000), r["pressure_pa"])
        for r in records
        if r["type"] == "sample"
    ]
    return samples, [(r["at_ms"], r) for r in records if r["type"] == "event"], False


def _from_frames(head: dict[str, Any], records: list[dict[str, Any]]) -> tuple[list[Sample], Timed, bool]:
    """`thecal record`: times and volumes count from the first status."""
    statuses = [r for r in records if r["type"] == "status"]
    if not statuses:
        return [], [], False
    first = statuses[0]
    if first["bolus"] != "none":
        raise ValueError("it begins within a bolus, of which it does not know how much was left")
    tick_ms, nl_per_step = head["tick_ms"], Fraction(*head["nl_per_step"])
    samples = []
    for status in statuses:
        if status["tick"] < first["tick"] + (samples[-1].at_ms // tick_ms if samples else 0):
            raise ValueError(f"the pump restarted after tick {first['tick'] + samples[-1].at_ms // tick_ms}")
        delivered_nl = (status["executed_steps"] - first["executed_steps"]) * nl_per_step
        samples.append(Sample((status["tick"] - first["tick"]) * tick_ms, delivered_nl))
    events = [
        ((r["tick"] - first["tick"]) * tick_ms, r)
        for r in records
        if r["type"] == "event" and r["tick"] > first["tick"]
    ]
    return samples, events, first["state"] == "RUNNING"


def _starts(event: dict[str, Any]) -> bool:
    from thecal import states

    return event["code"] == "state" and event["b"] == states.RUNNING


def programmed_by_events(
    prescription: dict[str, Any], events: Timed, end_ms: int, running: bool = False
) -> Programmed:
    """What should have flowed, given when the pump took which order (`events`: time in ms and frame).

    Rates are the prescriber's, exact: a bolus takes that of the first order of its volume that is not yet
    used, a therapy that of the prescribed basals which it rounds to; only where there is none is the rate of
    the event taken, which the pump rounds down to 1 nL/h.
    """
    from thecal import states

    basals = [Fraction(*pair) for pair in (prescription["basal_nl_h"], *prescription["later_basals_nl_h"])]
    orders = list(prescription["boluses"])
    programmed = Programmed(basals[0], prescription["max_rate_nl_h"])
    if running:
        programmed.start(0)
    for at_ms, event in events:
        code, a, b = event["code"], event["a"], event["b"]
        if code == "state":
            if b == states.RUNNING:
                programmed.start(at_ms)
            elif a == states.RUNNING:
                programmed.stop(at_ms)
        elif code == "therapy":
            programmed.set_basal(at_ms, next((basal for basal in basals if basal // 1 == a), Fraction(a)))
        elif code == "bolus_start":
            order = next((order for order in orders if order["volume_nl"] == a), None)
            if order is not None:
                orders.remove(order)
            programmed.bolus(at_ms, a, Fraction(*order["rate_nl_h"]) if order else Fraction(b))
    programmed.finish(max(end_ms, programmed.told_ms))
    return programmed


def marks_of(events: Timed, first_ms: int, last_ms: int) -> list[tuple[int, str]]:
    """The events as marks for the picture, those of one moment as one mark."""
    texts: dict[int, list[str]] = {}
    for at_ms, event in events:
        if first_ms <= at_ms <= last_ms:
            texts.setdefault(at_ms, []).append(mark_text(event))
    return [(at_ms, " · ".join(words)) for at_ms, words in texts.items()]
