"""How quantities and events are written for people: a unit by size, words for numbers.

`volume_text` and `rate_text` are exact (a decimal that ends, or six places); the `short_` forms are for live
views, where columns must not jump. The words for events come from the firmware's own tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from thecal import states
from thecal.causes import CAUSES, RESET_CAUSES, TABLE
from thecal.link.commands import COMMANDS
from thecal.record.events import EVENTS
from thecal.record.repeats import code_and_numbers
from thecal.watch.alarms import ALARMS
from thecal.watch.parts import KINDS, PARTS, names

from thecal_model.quantities import DAYS, MASS, RATE, VOLUME, show

NL_PER = {"nL": 1, "uL": 1_000, "mL": 1_000_000}
_PG_PER = {"pg": 1, "ng": 1_000, "mcg": 1_000_000, "mg": 1_000_000_000}
MS_PER = {"s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000}


def volume_unit(volume_nl: Fraction | int) -> str:
    """The unit in which a volume of this size reads best."""
    return _unit_by_size(volume_nl, NL_PER)


def time_unit(span_ms: int | Fraction) -> str:
    """The unit for the axis of a run this long: at least two of it."""
    return next((unit for unit, ms in reversed(MS_PER.items()) if span_ms >= 2 * ms), "s")


def volume_text(volume_nl: Fraction | int) -> str:
    """Exact volume, as in "12.5 uL"."""
    return show(volume_nl, VOLUME, volume_unit(volume_nl))


def rate_text(rate_nl_h: Fraction | int) -> str:
    """Exact rate, as in "1.7 mL/h"."""
    return show(rate_nl_h, RATE, f"{volume_unit(rate_nl_h)}/h")


def mass_text(mass_pg: Fraction | int) -> str:
    """Exact mass of drug, as in "2.4 mg"."""
    return show(mass_pg, MASS, _unit_by_size(mass_pg, _PG_PER))


def short_volume(volume_nl: Fraction | int) -> str:
    """Volume in uL with three places (1 nL), mL from 10 mL on."""
    unit = "mL" if abs(volume_nl) >= 10_000_000 else "uL"
    return f"{float(Fraction(volume_nl) / NL_PER[unit]):.3f} {unit}"


def short_rate(rate_nl_h: Fraction | int) -> str:
    """Rate with three places in the unit of its size."""
    unit = volume_unit(rate_nl_h)
    return f"{float(Fraction(rate_nl_h) / NL_PER[unit]):.3f} {unit}/h"


def clock_text(at_ms: int | Fraction) -> str:
    """Time since the beginning: "1:02.3", "1:00:02.3" from an hour on."""
    tenths = int(at_ms) // 100
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths // 10:02d}.{tenths % 10}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


def week_time(second_of_week: int) -> str:
    """A second of the week as people say it: `mon 06:00`."""
    day, second = divmod(second_of_week, 86_400)
    hour, second = divmod(second, 3_600)
    return f"{_named(DAYS, day)} {hour:02}:{second // 60:02}"


def event_text(event: dict[str, Any]) -> str:
    """An event on one line."""
    code, a, b = event.get("code"), event.get("a", 0), event.get("b", 0)
    words = _EVENT_WORDS.get(str(code))
    if words is not None:
        return words(a, b)
    row = next((row for row in EVENTS if row.name == code), None)
    if row is None:
        return f"{code}: {a}, {b}"
    # An event without words of its own: its numbers with the names of the firmware's table.
    numbers = ", ".join(f"{name}: {value}" for name, value in ((row.a, a), (row.b, b)) if name)
    return f"{row.name} ({numbers})" if numbers else row.name


def _named(names: Sequence[str], index: int) -> str:
    """A name from one of the firmware's tables; the bare number where another firmware has more of them."""
    return names[index] if 0 <= index < len(names) else str(index)


def alarm_name(row: int) -> str:
    """The code of a row of the firmware's table of alarms; "none" for -1."""
    return "none" if row < 0 else _named([alarm.code for alarm in ALARMS], row)


def alarm_rows(standing: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """Priority, code and text of alarms that a pump named as (code, priority)."""
    texts = {alarm.code: alarm.text for alarm in ALARMS}
    return [(priority, code, texts.get(code, "")) for code, priority in standing]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def parts_text(bits: int) -> str:
    """Parts that failed, of a status frame's `failed`."""
    return ", ".join(_spoken(name) for name in names(bits)) or "none"


def failed_text(failed: Sequence[Sequence[str]]) -> str:
    """Parts that a pump named with how they failed."""
    return ", ".join(f"{_spoken(part)} ({kind})" for part, kind in failed)


def cause_text(number: int) -> str:
    """A reason to say no, by its number in the log: its name and what it means."""
    name = _named(CAUSES, number)
    meaning = TABLE[number][1] if 0 <= number < len(TABLE) else ""
    return f"{name} ({meaning})" if meaning else name


_COMMAND_NAMES = [command.name for command in COMMANDS]
_EVENT_WORDS: dict[str, Callable[[int, int], str]] = {
    "boot": lambda a, b: f"boot: was {_named(states.STATES, a)}, reset by {_named(RESET_CAUSES, b)}",
    "state": lambda a, b: f"state: {_named(states.STATES, a)} to {_named(states.STATES, b)}",
    "therapy": lambda a, b: f"therapy: {rate_text(a)}, at most {rate_text(b)}",
    "denied": lambda a, b: f"denied: {_named(_COMMAND_NAMES, a)}, {cause_text(b)}",
    "bolus_start": lambda a, b: f"bolus begins: {volume_text(a)} at {short_rate(b)}",
    "patient_bolus_start": lambda a, b: f"patient bolus begins: {volume_text(a)} at {short_rate(b)}",
    "patient_bolus_end": lambda a, b: f"patient bolus {'complete' if b else 'cut short'}: {volume_text(a)}",
    "clock": lambda a, b: f"clock: {week_time(a)}, was {'not known' if b < 0 else week_time(b)}",
    "prime_start": lambda a, b: f"priming begins: {volume_text(a)}",
    "prime_end": lambda a, b: f"priming {'complete' if b else 'cut short'}: {volume_text(a)}",
    "audio_pause": lambda a, b: "sound paused" if a else "no sound to pause",
    "library": lambda a, b: f"drug library {a} confirmed, was {b}",
    "stall_recovered": lambda a, b: f"the rotor turns again after {a} s",
    "disconnected": lambda a, b: f"nobody is connected: {a} microsteps may be jogged",
    "jog_start": lambda a, b: f"jog begins: {a} microsteps at {short_rate(b)}",
    "jog_end": lambda a, b: f"jog {'complete' if b else 'cut short'}: {volume_text(a)}",
    "soft_limits": lambda a, b: f"{a} soft limit{'' if a == 1 else 's'} confirmed by name, drug library {b}",
    "refill": lambda a, b: f"refill: {volume_text(a)}, {volume_text(b * 1000)} were left",
    "new_line": lambda a, b: f"new line: {volume_text(a)} to fill",
    "rig": lambda a, b: f"rig {a} confirmed, in force after a restart; {b or 'no'} hazards go unwatched",
    "bridge": lambda a, b: (
        f"bridge opens: {volume_text(a)} of the old drug in the line"
        if b
        else "bridge ends" + (f", {volume_text(a)} of the old drug were in a line that is gone" if a else "")
    ),
    "draw_back": lambda a, b: (
        f"draw-back {('done', 'begins', 'cut short')[b] if b in range(3) else b}: {volume_text(a)}"
    ),
    "bolus_end": lambda a, b: f"bolus {'complete' if b else 'cut short'}: {volume_text(a)}",
    "alarm": lambda a, b: f"alarm {alarm_name(a)} {'raised' if b else 'cleared'}",
    "part_failed": lambda a, b: f"part failed: {_spoken(_named(PARTS, a))} ({_named(KINDS, b)})",
    "post_failed": lambda a, b: f"self-test failed: {_spoken(_named(PARTS, a))} ({_named(KINDS, b)})",
    "repeated": lambda a, b: _repeated_text(a, b),
    "fault": lambda a, b: f"fault while {_named(states.STATES, a)}: {_named(CAUSES, b)}",
}


def _repeated_text(kind: int, count: int) -> str:
    code, a, b = code_and_numbers(kind)
    again = event_text({"code": _named([row.name for row in EVENTS], code), "a": a, "b": b})
    return f"{count} times more: {again}"


def mark_text(event: dict[str, Any]) -> str:
    """An event in the fewest words, for the picture."""
    code, a, b = event["code"], event["a"], event["b"]
    if code == "state" and states.RUNNING in (a, b):
        return "start" if b == states.RUNNING else "stop" if b == states.STOPPED else "halt"
    if code == "bolus_start":
        return f"bolus {volume_text(a)}"
    return event_text(event)


def _unit_by_size(value: Fraction | int, table: dict[str, int]) -> str:
    return next((unit for unit, size in reversed(table.items()) if abs(value) >= size), next(iter(table)))
