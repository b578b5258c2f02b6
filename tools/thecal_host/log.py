"""The pump's log on the host: read page by page, chosen from, exported as a chain that anybody can check.

How to read it: an *entry* is the 32 bytes that stand in the pump's flash, an event packed in 28 and the
CRC-32 of them, carried on from the CRC of the entry before. `read` asks a pump for a stream of them,
`event_of` says what one means, `export` writes them as text and `check` says what is wrong with such a file.
The chain shows damage, gaps and careless edits. It is no signature: whoever computes it anew to its end can
write anything.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from thecal.clock import TICK_MS, TICKS_PER_S
from thecal.record import events
from thecal_model import crc, quantities

from thecal_host.pump import Pump, PumpError

EVENTS, FAULTS = "events", "faults"

RECORD_BYTES = events.RECORD_BYTES
ENTRY_BYTES = RECORD_BYTES + 4
CRC_BEGIN = bytes(4)

# Beyond any event that a pump can have made: asks for none of them, and how many there are.
BEYOND = (1 << 30) - 1

_NAMES = {code: row.name for code, row in enumerate(events.EVENTS)}
_HEAD = re.compile(rb"thecal log 1: (events|faults), (\d+) entries after ([0-9a-f]{8}), (\d+) events made")
_ENTRY = re.compile(rb".* ([0-9a-f]{56}) ([0-9a-f]{8})")
_END = "end "


class LogError(Exception):
    """A file that cannot be read, or a choice that makes no sense; the message says which."""


@dataclass
class Log:
    """One stream as a pump told it: `seed` is the CRC that the first entry goes on from, `made` the events
    that the pump ever made.
    """

    stream: str
    seed: bytes = CRC_BEGIN
    entries: list[bytes] = field(default_factory=list)
    made: int = 0


def event_of(entry: bytes) -> dict[str, Any]:
    """An entry in the form of the frame that told of its event."""
    number, tick_s, tick_ms, code, a, b, executed_steps = struct.unpack_from(events.RECORD, entry)
    return {
        "type": "event",
        "seq": number,
        "tick": tick_s * TICKS_PER_S + tick_ms // TICK_MS,
        "code": _NAMES.get(code, str(code)),
        "a": a,
        "b": b,
        "executed_steps": executed_steps,
    }


def add_host_times(found: Sequence[dict[str, Any]], now: datetime, now_tick: int) -> None:
    """Give each event of a log, in its order, the time by the host's clock, given that of the pump `now`.

    Time without power is none to the pump. So `host_time` is exact for what came after the last boot; of
    what came before it is known that it was then `at_the_latest`.
    """
    booted = False
    for event in reversed(found):
        at = now - timedelta(milliseconds=(now_tick - event["tick"]) * TICK_MS)
        event["host_time"] = at.isoformat(timespec="milliseconds")
        event["at_the_latest"] = booted
        booted = booted or event["code"] == "boot"


def read(
    pump: Pump, stream: str, start: int = 0, progress: Callable[[float, float], None] | None = None
) -> Log:
    """All entries of `stream` from event number `start` on that the pump has as this begins. PumpError.

    `progress` is told how many of how many are read.
    """
    log = Log(stream)
    until = None
    while until is None or start < until:
        reply = pump.ask("log", stream=stream, **{"from": start})
        try:
            page, seed = bytes.fromhex(reply["entries"]), bytes.fromhex(reply["seed"])
            following, log.made = reply["next"], reply["made"]
        except (KeyError, TypeError, ValueError) as why:
            raise PumpError(f"the pump's answer to `log` is no page of a log ({why!r})") from None
        if len(page) % ENTRY_BYTES or (following <= start and following < log.made):
            raise PumpError("the pump's answer to `log` is no page of a log: it leads nowhere")
        if page and not log.entries:
            log.seed = seed
        log.entries += [page[at : at + ENTRY_BYTES] for at in range(0, len(page), ENTRY_BYTES)]
        until = log.made if until is None else until
        start = following
        if progress is not None:
            # Of those that are still kept; the first page says where they begin.
            progress(len(log.entries), len(log.entries) + max(until - start, 0))
    return log


def read_last(
    pump: Pump, stream: str, count: int, progress: Callable[[float, float], None] | None = None
) -> Log:
    """The last `count` entries of events, without the pages before them; of faults all."""
    made = pump.ask("log", stream=stream, **{"from": BEYOND}).get("made", 0)
    return read(pump, stream, max(made - count, 0) if stream == EVENTS else 0, progress)


def since_first_boot_ms(name: str, text: str | None) -> int | None:
    """The time since the first boot that a person wrote for `name`, a bare number in seconds; None where
    none is written. QuantityError.
    """
    if text is None:
        return None
    with quantities.named(name):
        return int(text) * 1000 if text.isdecimal() else quantities.parse_time_ms(text)


def choose(
    found: Sequence[dict[str, Any]],
    codes: Collection[str] = (),
    since_ms: int | None = None,
    until_ms: int | None = None,
    last: int | None = None,
) -> list[dict[str, Any]]:
    """Those of some events with one of these codes and a time in this span since the first boot, both ends
    included, of them the last so many. LogError for a code that no event has.
    """
    unknown = [code for code in codes if code not in _NAMES.values()]
    if unknown:
        raise LogError(f"--code {unknown[0]}: no such event; there are {', '.join(_NAMES.values())}")
    chosen = [
        event
        for event in found
        if (not codes or event["code"] in codes)
        and (since_ms is None or event["tick"] * TICK_MS >= since_ms)
        and (until_ms is None or event["tick"] * TICK_MS <= until_ms)
    ]
    return chosen if last is None else chosen[len(chosen) - min(last, len(chosen)) :]


# --- the chain


def carried_on(entry: bytes, seed: bytes) -> bytes:
    """The CRC-32 of an entry's event, going on from the CRC `seed`."""
    return crc.carried_on(entry[:RECORD_BYTES], seed)


def chain_breaks(entries: Sequence[bytes], seed: bytes) -> list[int]:
    """Which entries do not go on from the one before them: an edit, or something left out. `seed` is the CRC
    of the entry before the first one.
    """
    breaks = []
    for index, entry in enumerate(entries):
        if carried_on(entry, seed) != entry[RECORD_BYTES:]:
            breaks.append(index)
        seed = entry[RECORD_BYTES:]
    return breaks


def _why_broken(stream: str, before: int | None, number: int) -> str:
    if before is None:
        return f"event {number} is not the first: it was edited, or what came before it was left out"
    said = f"event {number} does not go on from event {before}"
    if number <= before:
        return f"{said}: they are out of order"
    if stream == EVENTS and number > before + 1:
        return f"{said}: {number - before - 1} missing between them"
    if stream == FAULTS:
        return f"{said}: one was edited, or one between them was left out"
    return f"{said}: one of them was edited"


def breaks_of(log: Log) -> list[tuple[int, str]]:
    """Where the chain of a log breaks, as (index of the entry, why)."""
    numbers = [event_of(entry)["seq"] for entry in log.entries]
    return [
        (index, _why_broken(log.stream, numbers[index - 1] if index else None, numbers[index]))
        for index in chain_breaks(log.entries, log.seed)
    ]


# --- the file


def _line(entry: bytes) -> str:
    """Number, seconds since the first boot, code, a, b, microsteps, then the bytes that say so, and their
    CRC.
    """
    number, tick_s, tick_ms, code, a, b, executed_steps = struct.unpack_from(events.RECORD, entry)
    said = f"{number} {tick_s}.{tick_ms:03d} {_NAMES.get(code, code)} {a} {b} {executed_steps}"
    return f"{said} {entry[:RECORD_BYTES].hex()} {entry[RECORD_BYTES:].hex()}"


def export(log: Log) -> str:
    """The whole of a log as text: a heading, a line per entry, and the CRC-32 of all that."""
    count = len(log.entries)
    head = f"thecal log 1: {log.stream}, {count} entries after {log.seed.hex()}, {log.made} events made\n"
    text = head + "".join(f"{_line(entry)}\n" for entry in log.entries)
    return f"{text}{_END}{crc.digits(text.encode()).decode()}\n"


def load(path: Path) -> bytes:
    """The bytes of an exported log. Raises LogError."""
    try:
        return path.read_bytes()
    except OSError as why:
        raise LogError(f"{path}: is not readable: {why.strerror}") from None


def check(data: bytes) -> tuple[Log | None, list[str]]:
    """An exported log, None if there is not even its heading; and all that is wrong with it, by line."""
    head, *lines = data.split(b"\n")
    match = _HEAD.fullmatch(head)
    if match is None:
        return None, ["line 1: this is not the heading of an exported log"]
    log = Log(match[1].decode(), bytes.fromhex(match[3].decode()), made=int(match[4]))
    wanted = int(match[2])
    whole = len(lines) > 1 and lines[-1] == b"" and lines[-2].startswith(_END.encode())
    end = lines[-2] if whole else b""
    problems: list[tuple[int, str]] = []
    places = []
    for place, line in enumerate(lines[:-2] if whole else lines, 2):
        match = _ENTRY.fullmatch(line)
        if match:
            entry = bytes.fromhex((match[1] + match[2]).decode())
            log.entries.append(entry)
            places.append(place)
            if line != _line(entry).encode():
                problems.append((place, "what is said of it is not what its bytes say"))
        elif line or place < len(lines) + 1:
            problems.append((place, "this is not an entry"))
    problems += [(places[index], why) for index, why in breaks_of(log)]
    said = [f"line {place}: {why}" for place, why in sorted(problems)]
    if len(log.entries) != wanted or not whole:
        said.append(f"ends at {len(log.entries)} of {wanted} entries{'' if whole else ', without its end'}")
    elif not said and end != _END.encode() + crc.digits(data[: -len(end) - 1]):
        said.append("the heading or the last line was edited: the CRC of the file is another")
    return log, said
