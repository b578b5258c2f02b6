"""What the page of a run says, section by section, from its record and what else is given: a log, weights."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from thecal.link.commands import CONFIRM, ROLES, find
from thecal.version import VERSION
from thecal_model import rig_words
from thecal_model.quantities import MS_PER_WEEK
from thecal_model.text import clock_text, event_text, rate_text, short_volume, volume_text, week_time

from thecal_host import log as pump_log
from thecal_host.page.timeline import Stood, alarms_of, drawing, states_of
from thecal_host.readbacks import kept_rows
from thecal_host.record import told_therapies
from thecal_host.recording import Loaded
from thecal_host.report import Run, fills_of, in_force, summary_rows

Rows = list[tuple[str, ...]]

NOT_TOLD = "not told by the pump"


@dataclass
class Section:
    """A heading; sentences, rows of a table (the first is its heading), drawings as markup that is ours."""

    title: str
    rows: Rows = field(default_factory=list)
    heading: tuple[str, ...] = ()
    sentences: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    """What is wrong, to be seen at once."""
    drawing: str = ""
    picture: str = ""
    """The name of a picture that `render` makes."""


@dataclass(frozen=True)
class Export:
    """The pump's log as `thecal_host.log` exports it, and what that is called."""

    name: str
    data: bytes


@dataclass
class Given:
    """A run and its record, with the bytes of it; what was exported or weighed besides."""

    name: str
    text: str
    loaded: Loaded
    run: Run
    log: Export | None = None
    no_log: str = "no export of it was given (`thecal report RUN --log FILE`)"
    """Why the log is not there, where it is not."""
    weights: Path | None = None
    temperature: float = 20.0


def sections(given: Given) -> list[Section]:
    """All that the page says, in order. Raises LogError, WeighingError, KeptError."""
    found = [_incomplete(given), _programmed(given), _rig(given), _delivered(given), _windows(given)]
    found += [_boluses(given), _alarms(given), _accuracy(given), _chain(given), _versions(given)]
    return [section for section in found if section is not None]


def _incomplete(given: Given) -> Section | None:
    if not given.loaded.problems:
        return None
    return Section("Incomplete", bad=list(given.loaded.problems))


def _programmed(given: Given) -> Section:
    section = Section("Programmed and confirmed")
    head, run = given.loaded.header, given.run
    if "therapy" in head and run.rig is not None:
        kept = head["therapy"]
        section.rows = [*kept_rows(kept, run.rig)]
        section.rows.insert(0, ("therapy", f"number {kept['number']}, in force as the recording began"))
        section.rows.append(("confirmed", f"{clock_text(kept['tick_s'] * 1000)} after the pump's first boot"))
        section.rows.append(("by whom", NOT_TOLD))
    else:
        for therapy in head.get("prescription", {}).get("therapies", []):
            section.rows += _prescribed(therapy)
    for kept in told_therapies(given.loaded.records):
        if run.rig is None:
            break
        when = clock_text(kept["tick_s"] * 1000)
        section.rows.append(("therapy", f"number {kept['number']}, confirmed {when} after the first boot"))
        section.rows += kept_rows(kept, run.rig)
    confirmed = [
        (clock_text(at_ms), event_text(event))
        for at_ms, event in run.events
        if event["code"] in ("therapy", "soft_limits", "library", "refill")
    ]
    section.rows += [(f"at {when}", what) for when, what in confirmed]
    if confirmed or "therapy" not in head:
        section.rows.append(("by whom", by_whom(given.loaded.records)))
    section.sentences.append(
        "The pump read each therapy back, and put it in force when the digest of that was confirmed over the "
        "link. What was confirmed at some time is told by the time since the run began."
    )
    return section


def by_whom(records: Sequence[dict[str, Any]]) -> str:
    """Who confirmed what was confirmed while it was recorded: the pump keeps no role of it, but what it takes
    from whom is known.
    """
    paired = {record["paired"] for record in records if "paired" in record and record["type"] == "status"}
    confirm = find(CONFIRM)
    assert confirm is not None
    if paired == {1}:
        roles = " or ".join(ROLES[confirm.role :])
        return f"a {roles} key, as the pump was paired; which of them is {NOT_TOLD}"
    if paired == {0}:
        return f"{NOT_TOLD}, which was not paired and took it from whoever had its port"
    return NOT_TOLD


def _prescribed(therapy: dict[str, Any]) -> Rows:
    at_ms = therapy["at_ms"]
    rows: Rows = [("mode", therapy["mode"] + (f", from {clock_text(at_ms)} on" if at_ms else ""))]
    for start_ms, num, den in therapy["steps"]:
        name = "rate" if len(therapy["steps"]) == 1 else f"from {week_time(start_ms % MS_PER_WEEK // 1000)}"
        rows.append((name, rate_text(Fraction(num, den))))
    bolus, limit = therapy["patient_bolus"], therapy["limit"]
    if bolus:
        volume, rate = volume_text(Fraction(*bolus["volume_nl"])), rate_text(Fraction(*bolus["rate_nl_h"]))
        rows.append(("patient bolus", f"{volume} at {rate}"))
    if limit:
        most = volume_text(Fraction(*limit["volume_nl"]))
        rows.append(("limit", f"{most} in any {_span(limit['window_ms'])}"))
    return rows


def _span(ms: int) -> str:
    return f"{ms / 3_600_000:g} h"


def _rig(given: Given) -> Section:
    section = Section("Rig")
    if given.run.rig is None:
        section.bad.append("The record does not say what hung on the pump's pins.")
        return section
    section.rows = [*rig_words.rows(given.run.rig)]
    unwatched = given.run.rig.unwatched()
    section.bad = [
        f"Not watched: {name.replace('_', ' ')}: {words}."
        for name, words in rig_words.unwatched_rows(unwatched)
    ]
    if not unwatched:
        section.sentences.append("Everything was watched.")
    return section


def _delivered(given: Given) -> Section:
    section = Section("Delivered against programmed", [*summary_rows(given.run)], picture="run")
    section.sentences = [
        f"Delivered is what was seen by: {given.run.source}. Programmed is computed by the host alone."
    ]
    return section


def _windows(given: Given) -> Section:
    heading = ("from", "limit", "fullest window", "of the limit", "at")
    section = Section("Windows against the limit", heading=heading)
    course = given.run.course
    limits = [] if course is None else [limit for limit in course.limits if limit.limit_nl is not None]
    fills = fills_of(given.run)
    for limit in limits:
        of_it = [fill for fill in fills if course and in_force(course.limits, fill.at_ms) is limit]
        if not of_it:
            continue
        fullest = max(of_it, key=lambda fill: fill.share)
        told = f"{short_volume(limit.limit_nl or 0)} in any {_span(limit.window_ms)}"
        share = f"{float(fullest.share):.1%}"
        at = clock_text(fullest.at_ms)
        section.rows.append((clock_text(limit.at_ms), told, short_volume(fullest.content_nl), share, at))
        if fullest.share > 1:
            section.bad.append(f"The window that ends at {at} holds {share} of its limit.")
    if not section.rows:
        section.heading = ()
        section.sentences.append("The therapy has no limit on a window.")
    return section


def _boluses(given: Given) -> Section:
    section = Section("Boluses", heading=("at", "asked by", "came of it"))
    for asked in given.run.asked:
        came = f"denied: {_why(asked.reason)}"
        if asked.volume_nl is not None:
            came = f"granted, {short_volume(asked.volume_nl)}"
        section.rows.append((clock_text(asked.at_ms), asked.kind, came))
    granted = sum(asked.volume_nl is not None for asked in given.run.asked)
    denied = len(given.run.asked) - granted
    section.sentences.append(f"{len(given.run.asked)} asked for, {granted} granted, {denied} denied.")
    if not section.rows:
        section.heading = ()
    return section


def _why(reason: str | None) -> str:
    from thecal import causes

    meanings = dict(causes.TABLE)
    return f"{meanings.get(reason or '') or 'no reason known'} ({reason})"


def _alarms(given: Given) -> Section:
    run = given.run
    end_ms = run.samples[-1].at_ms
    alarms = alarms_of(run.events)
    section = Section("Alarms", heading=("alarm", "priority", "raised", "cleared", "what it means"))
    section.rows = [_alarm_row(one) for one in alarms]
    section.drawing = drawing([*states_of(run.events, end_ms), *alarms], run.samples[0].at_ms, end_ms)
    if not alarms:
        section.heading = ()
        section.sentences.append("No alarm was raised.")
    return section


def _alarm_row(one: Stood) -> tuple[str, ...]:
    cleared = "stood at the end" if one.until_ms is None else clock_text(one.until_ms)
    return (one.name, one.kind, clock_text(one.from_ms), cleared, one.text)


def _accuracy(given: Given) -> Section:
    section = Section("Accuracy by weight")
    if given.weights is None:
        section.sentences.append("No weights were given (`thecal report RUN --weights FILE`).")
        return section
    from thecal_host.weighing import accuracy, chart, series
    from thecal_host.weighing.water import Water

    weighed = series.of_weights(series.read_weights(given.weights), Water(given.temperature, True), None)
    if weighed.boluses:
        section.rows = [*chart.bolus_rows(accuracy.judge_boluses(weighed))]
    else:
        section.rows = [*chart.trumpet_rows(accuracy.judge(weighed))]
    section.rows.insert(0, ("source", f"{given.weights.name}, SHA-256 {_hash(given.weights.read_bytes())}"))
    if weighed.loss_g_h is None:
        section.sentences.append(chart.COVER)
    return section


def _chain(given: Given) -> Section:
    section = Section("The pump's log")
    if given.log is None:
        section.sentences.append(f"Not checked: {given.no_log}.")
        return section
    found, problems = pump_log.check(given.log.data)
    section.bad = [f"{given.log.name}: {problem}" for problem in problems]
    section.rows = [("export", f"{given.log.name}, SHA-256 {_hash(given.log.data)}")]
    if found is not None:
        section.rows.append(("events in it", str(len(found.entries))))
        if not problems:
            section.sentences.append("Each event goes on from the one before it: no edit, no gap.")
        section.bad += _not_in_log(given, found)
        section.rows.append(("events of the record", f"{_told(given.loaded)}, held against the log"))
    return section


def _told(loaded: Loaded) -> int:
    return sum(record["type"] == "event" for record in loaded.records)


def _not_in_log(given: Given, log: pump_log.Log) -> list[str]:
    """Events of the record that the log tells otherwise, or does not have though it reaches that far."""
    logged = {event["seq"]: event for event in map(pump_log.event_of, log.entries)}
    wrong = []
    for record in given.loaded.records:
        if record["type"] != "event" or not logged:
            continue
        seq = record["seq"]
        entry = logged.get(seq)
        if entry is None and min(logged) <= seq:
            wrong.append(f"Event {seq} of the record ({event_text(record)}) is not in the log.")
        elif entry is not None and any(entry[key] != record[key] for key in ("tick", "code", "a", "b")):
            both = f"`{event_text(record)}` in the record, `{event_text(entry)}` in the log"
            wrong.append(f"Event {seq} is {both}.")
    return wrong


def _versions(given: Given) -> Section:
    head = given.loaded.header
    hello = head.get("hello", {})
    rows: Rows = [
        ("record", f"{given.name}, {len(given.loaded.records) + 1} lines, format {head['format']}"),
        ("SHA-256 of the record", _hash(given.text.encode())),
        ("this program", f"thecal {VERSION}"),
    ]
    if hello:
        known = f"{hello.get('product')} {hello.get('version')}, protocol {hello.get('protocol')}"
        rows.append(("pump", known))
    for key, name in (
        ("serial", "serial number"),
        ("boot", "boot"),
        ("library_crc", "CRC of the drug library"),
    ):
        if key in hello:
            rows.append((name, str(hello[key])))
    if "host_time" in head:
        rows.append(("begun, by the host's clock", str(head["host_time"])))
    return Section("Versions and hashes", rows)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
