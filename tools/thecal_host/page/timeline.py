"""States and alarms over the time of a run, as a drawing in SVG: a row for the states, one for each alarm.

Colours are those of IEC 60601-1-8 (HIGH red, MEDIUM yellow, LOW cyan); the priority stands in each row too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thecal import states
from thecal.watch.alarms import ALARMS, PRIORITIES
from thecal_model.text import alarm_name, clock_text

COLOURS = {"HIGH": "#c1121f", "MEDIUM": "#e0a800", "LOW": "#0096b4"}
STATE_COLOURS = {"RUNNING": "#2a7d4f", "STOPPED": "#9a9a9a", "HALTED": "#c1121f"}
OTHER_STATE = "#5b6ee1"

WIDTH, NAMES, ROW = 960, 250, 26


@dataclass(frozen=True)
class Stood:
    """An alarm, or a state, from one time of the run to another (ms); `until_ms` None: to the end."""

    name: str
    kind: str
    from_ms: int
    until_ms: int | None
    text: str = ""


def alarms_of(events: list[tuple[int, dict[str, Any]]]) -> list[Stood]:
    """The alarms of a run in the order in which they were raised."""
    found: list[Stood] = []
    open_ones: dict[int, int] = {}
    for at_ms, event in events:
        if event["code"] != "alarm":
            continue
        row = event["a"]
        if event["b"] and row not in open_ones:
            known = ALARMS[row] if 0 <= row < len(ALARMS) else None
            priority = PRIORITIES[known.priority] if known else "?"
            open_ones[row] = len(found)
            found.append(Stood(alarm_name(row), priority, at_ms, None, known.text if known else ""))
        elif not event["b"] and row in open_ones:
            index = open_ones.pop(row)
            one = found[index]
            found[index] = Stood(one.name, one.kind, one.from_ms, at_ms, one.text)
    return found


def states_of(events: list[tuple[int, dict[str, Any]]], end_ms: int) -> list[Stood]:
    """The states of a run, one after the other."""
    changes = [(at_ms, event) for at_ms, event in events if event["code"] == "state"]
    if not changes:
        return []
    found = []
    begin_ms, state = 0, changes[0][1]["a"]
    for at_ms, event in [*changes, (end_ms, {"b": None})]:
        if at_ms > begin_ms:
            found.append(Stood("state", states.STATES[state], begin_ms, at_ms))
        begin_ms, state = at_ms, event["b"]
    return found


def drawing(stood: list[Stood], begin_ms: int, end_ms: int) -> str:
    """An `<svg>` of them, a row for each name; empty for none. Names are those of the firmware's tables."""
    names = list(dict.fromkeys(one.name for one in stood))
    if not names or end_ms <= begin_ms:
        return ""
    span = WIDTH - NAMES - 10

    def x(at_ms: int) -> float:
        return NAMES + span * (min(max(at_ms, begin_ms), end_ms) - begin_ms) / (end_ms - begin_ms)

    parts = []
    for row, name in enumerate(names):
        ones = [one for one in stood if one.name == name]
        top = 4 + row * ROW
        label = name if name == "state" else f"{name} ({ones[0].kind})"
        parts.append(f'<text x="4" y="{top + 15}">{label}</text>')
        for one in ones:
            until_ms = end_ms if one.until_ms is None else one.until_ms
            left, width = x(one.from_ms), max(x(until_ms) - x(one.from_ms), 2)
            colour = COLOURS.get(one.kind) or STATE_COLOURS.get(one.kind, OTHER_STATE)
            said = f"{one.kind}, {clock_text(one.from_ms)} to {clock_text(until_ms)}"
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 6}" fill="{colour}">'
                f"<title>{said}</title></rect>"
            )
            if one.name == "state" and width > 9 * len(one.kind):
                parts.append(f'<text x="{left + 4:.1f}" y="{top + 15}" fill="#fff">{one.kind}</text>')
    bottom = 4 + len(names) * ROW
    for part in range(5):
        at_ms = begin_ms + (end_ms - begin_ms) * part // 4
        anchor = "start" if part == 0 else "end" if part == 4 else "middle"
        parts.append(
            f'<line x1="{x(at_ms):.1f}" x2="{x(at_ms):.1f}" y1="0" y2="{bottom}" stroke="#0002"/>'
            f'<text x="{x(at_ms):.1f}" y="{bottom + 14}" text-anchor="{anchor}">{clock_text(at_ms)}</text>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 20}" role="img" font-size="12" font-family="sans-serif">'
        + "".join(parts)
        + "</svg>"
    )
