"""The log over the link: its pages, what stays of it, what is refused; and the file it is exported to."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from pump_on_bench import PumpOnBench
from pump_on_desk import PumpOnDesk
from test_journal import Desk
from test_persistence import DeadFlash
from thecal import causes, states
from thecal.link import commands
from thecal.record import events, layout, pages
from thecal.record.journal import Journal
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.flash_model import FlashModel, blank_flash, crc_into
from thecal_bench.inprocess import HostBench
from thecal_host import log
from thecal_host.connection import Port
from thecal_host.pump import Pump
from thecal_model.link import encode
from thecal_model.text import event_text


class KeptPort(Port):
    """A pump with a flash; its clock goes on by a tick with each look."""

    name = "kept pump"

    def __init__(self, flash: FlashModel | None = None) -> None:
        self.bench = HostBench(flash=flash or blank_flash())
        self.bench.on_data = self._take
        self._data = bytearray()
        self.bench.advance_to_tick(20)

    def _take(self, data: bytes) -> None:
        self._data += data

    def clock_s(self) -> float:
        return self.bench.tick / 10

    def read(self, timeout_s: float) -> bytes:
        self.bench.advance_to_tick(self.bench.tick + 1)
        data = bytes(self._data)
        self._data.clear()
        return data

    def write(self, data: bytes) -> None:
        self.bench.send(data)

    def close(self) -> None:
        pass

    def flood(self, count: int) -> None:
        """Changes of the clock, each an event and no fault; refusals would be counted, not logged."""
        for number in range(count // 8):
            for _ in range(8):
                self.bench.pump.teller.event(events.CLOCK, number, 0)
            self.bench.advance_to_tick(self.bench.tick + 2)


def session(port: KeptPort) -> Pump:
    pump = Pump(port, port.clock_s)
    pump.connect()
    return pump


def numbers(found: log.Log) -> list[int]:
    return [log.event_of(entry)["seq"] for entry in found.entries]


@pytest.fixture(scope="module")
def flooded() -> KeptPort:
    """A pump that has been reset 120 times and whose clock was then set 3 000 times."""
    port = KeptPort()
    for _ in range(120):
        port.bench.reset()
        port.bench.advance_to_tick(port.bench.tick + BOOT_TICKS + 12)
    port.flood(3_000)
    return port


@pytest.mark.req("REC-06", "LIM-07", "LNK-04")
def test_a_thousand_events_are_read_in_pages_each_of_them_once(flooded):
    found = log.read(session(flooded), "events")
    got = numbers(found)
    assert len(got) >= 1_000 and found.made > 3_000
    assert got == list(range(got[0], found.made))
    assert log.breaks_of(found) == []
    told = {log.event_of(entry)["code"] for entry in found.entries}
    assert told == {"clock"}


@pytest.mark.req("REC-06")
def test_a_flood_of_events_drives_no_fault_out_and_a_reset_is_one_with_its_cause(flooded):
    found = log.read(session(flooded), "faults")
    boots = [event for event in map(log.event_of, found.entries) if event["code"] == "boot"]
    assert len(boots) == 121 and {event["b"] for event in boots} == {causes.RESET_POWER}
    assert boots[0]["a"] == states.BOOT and boots[-1]["a"] == states.HALTED  # so many resets are a loop
    assert log.breaks_of(found) == []
    assert numbers(found)[0] == 0, "the very first event is a boot"
    oldest = log.read(session(flooded), "events")
    assert numbers(oldest)[0] > 1_000, "which the log itself has no more"


@pytest.mark.req("REC-06", "REC-01")
def test_a_loss_of_power_leaves_the_same_log_with_the_boot_behind_it():
    port = KeptPort()
    port.flood(200)
    port.bench.advance_to_tick(port.bench.tick + 40)
    before = log.read(session(port), "events")
    port.bench.reset()
    port.bench.advance_to_tick(port.bench.tick + BOOT_TICKS + 20)
    after = log.read(session(port), "events")
    count = len(before.entries)
    assert after.entries[:count] == before.entries and after.seed == before.seed == bytes(4)
    assert log.event_of(after.entries[count])["code"] == "boot"
    assert log.breaks_of(after) == []


@pytest.mark.req("REC-06")
def test_a_page_from_any_number_is_what_the_whole_has_from_there(flooded):
    """Numbers that are long overwritten, kept, and not yet made; and those of faults have gaps."""
    journal = flooded.bench.pump.persistence.journal
    for stream, ring in enumerate(pages.RINGS):
        whole = list(journal.entries(ring, 0))
        made = journal.log_count
        for start in (0, 1, *range(whole[0][0], made + 3, 7), made - 1, made, 1 << 31, 10**30):
            page = pages.page(journal, stream, start)
            rest = [entry for entry in whole if entry[0] >= start]
            assert page["entries"] == b"".join(entry[1] for entry in rest[: pages.PAGE_ENTRIES]).hex()
            assert page["seed"] == (rest[0][2].hex() if rest else "")
            assert page["next"] == (rest[pages.PAGE_ENTRIES][0] if len(rest) > pages.PAGE_ENTRIES else made)
            assert page["first"] == whole[0][0] and page["made"] == made


@pytest.mark.req("REC-05", "REC-06")
@pytest.mark.parametrize("junk_units", [0, 7, 16])
def test_a_page_begins_rightly_behind_places_that_the_flash_did_not_take(junk_units):
    """Pages that failed lie between an event and the one that goes on from it."""
    desk = Desk().boot()
    for number in range(300):
        if number == 150:
            desk.settle()
            ring = desk.journal.parts[layout.EVENTS].ring
            start = ring.start + ring.head * layout.SECTOR + ring.at
            desk.flash.image[start : start + junk_units * layout.UNIT] = b"\x5a" * junk_units * layout.UNIT
            ring.at += junk_units * layout.UNIT
        desk.event(events.STATE, number)
    desk.settle()
    whole = list(desk.journal.entries(layout.EVENTS, 0))
    assert [number for number, _, _ in whole] == list(range(300))
    for start in range(300):
        first = next(desk.journal.entries(layout.EVENTS, start))
        assert first == whole[start]


@pytest.mark.req("REC-06")
def test_what_is_not_in_flash_yet_is_told_from_memory_with_the_same_bytes():
    desk = Desk().boot()
    for number in range(20):
        desk.event(events.STATE, number)
    desk.settle()
    for number in range(60):
        desk.log.add(100, number * 10 % 1_000, events.FAULT if number % 3 else events.STATE, number, 0, 0)
    desk.journal.log_count = desk.log.count
    before = {ring: list(desk.journal.entries(ring, 0)) for ring in pages.RINGS}
    assert len(before[layout.EVENTS]) == 80 and len(before[layout.FAULTS]) == 40
    desk.settle()
    assert {ring: list(desk.journal.entries(ring, 0)) for ring in pages.RINGS} == before


@pytest.mark.req("REC-06", "REC-05")
def test_the_order_on_its_way_is_not_disturbed_by_a_reader():
    """A page is read between the ordering of a record and the news that it is written."""
    desk = Desk().boot()
    journal = desk.journal
    for number in range(40):
        desk.log.add(1, 0, events.FAULT, number, 0, 0)
        desk.turn()
        for stream in range(len(pages.STREAMS)):
            pages.page(journal, stream, 0)
    desk.settle()
    found = log.Log("events", entries=[entry for _, entry, _ in journal.entries(layout.EVENTS, 0)])
    assert len(found.entries) == 40 and log.breaks_of(found) == []
    again = Journal(crc_into, bytearray(events.RECORD_BYTES * 128), 128, events.is_fault)
    again.recover(desk.flash.image)
    assert [entry for _, entry, _ in again.entries(layout.EVENTS, 0)] == found.entries


@pytest.mark.req("REC-06", "ALM-08")
def test_a_pump_whose_flash_is_dead_still_tells_what_happened():
    flash = DeadFlash.blank()
    port = KeptPort(flash)
    flash.dead = True
    port.flood(80)
    port.bench.advance_to_tick(port.bench.tick + 200)
    found = log.read(session(port), "events")
    raised = [event for event in map(log.event_of, found.entries) if event["code"] == "alarm"]
    assert raised and numbers(found) == list(range(found.made)) and log.breaks_of(found) == []


@pytest.mark.req("REC-06", "LNK-02")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"stream": "events", "from": -1}, "from: must be a whole number from 0 to 1073741823"),
        ({"stream": "events", "from": True}, "from: must be a whole number from 0 to 1073741823"),
        ({"stream": "events", "from": "0"}, "from: must be a whole number from 0 to 1073741823"),
        ({"stream": "events"}, "from: missing"),
        ({"from": 0}, "stream: missing"),
        ({"stream": 1, "from": 0}, "stream: must be a text"),
        ({"stream": "Faults" * 9, "from": 0}, "stream: FaultsFaultsFaul, must be events or faults"),
        ({"stream": "events", "from": 0, "count": 5}, "count: unknown argument"),
        ({"stream": "events", "from": 0, "at_tick": 900}, "at_tick: unknown argument"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_and_changes_nothing(arguments, said):
    desk = PumpOnBench()
    count = desk.pump.log.count
    reply = desk.ask("log", **arguments)
    assert not reply["ok"] and reply["error"] == "bad_argument" and reply["message"] == said
    assert desk.pump.log.count == count
    desk.bench.send(encode_float())
    desk.run(2)
    assert desk.pump.log.count == count


def encode_float() -> bytes:
    """What the client would not send."""
    from thecal_model import crc

    body = b'{"id":5,"cmd":"log","stream":"events","from":1.0}'
    return body + b" " + crc.digits(body) + b"\n"


@pytest.mark.req("REC-06", "MOT-05")
def test_a_tick_tells_one_page_at_most():
    desk = PumpOnBench()
    asked = [desk.client.request("log", stream="events", **{"from": 0}) for _ in range(3)]
    count = desk.pump.log.count
    for told in range(1, 4):
        desk.run(1)
        said = [desk.client.reply(number) for number in asked]
        assert [reply["ok"] for reply in said if reply] == [True] * told
    assert desk.pump.log.count == count


def test_a_page_fits_into_a_line_of_the_link():
    desk = Desk().boot()
    for number in range(100):
        desk.event(events.STATE, number)
    page = pages.page(desk.journal, 0, 0)
    largest = dict.fromkeys(("first", "next", "made", "id"), 1 << 30)
    assert len(encode({**page, **largest, "type": "reply", "ok": True})) < 2_000


@pytest.mark.req("REC-06")
def test_a_pump_without_a_flash_says_that_it_keeps_no_log():
    reply = PumpOnDesk().ask("log", stream="events", **{"from": 0})
    assert reply["error"] == "refused" and "no flash" in reply["message"]


@pytest.mark.req("REC-06", "SEC-01")
def test_the_log_may_be_read_by_whoever_may_look():
    command = commands.find("log")
    assert command is not None and command.role == commands.OBSERVER and command.changes == commands.READS


# --- the file


def exported(stream: str = "events", count: int = 60) -> log.Log:
    desk = Desk().boot()
    for number in range(count):
        desk.event(events.FAULT if number % 3 == 0 else events.STATE, number)
    desk.settle()
    ring = pages.RINGS[pages.STREAMS.index(stream)]
    found = list(desk.journal.entries(ring, 20))
    return log.Log(stream, found[0][2], [entry for _, entry, _ in found], desk.log.count)


def lines_without(text: str, *gone: int) -> bytes:
    lines = text.splitlines(keepends=True)
    return "".join(line for index, line in enumerate(lines) if index not in gone).encode()


@pytest.mark.req("REC-06")
@pytest.mark.parametrize("stream", pages.STREAMS)
def test_what_is_exported_is_sound_and_is_read_back(stream):
    whole = exported(stream)
    found, problems = log.check(log.export(whole).encode())
    assert problems == [] and found == whole


@pytest.mark.req("REC-06")
def test_a_gap_an_edit_a_swap_and_a_cut_are_told_apart():
    text = log.export(exported())
    lines = text.splitlines(keepends=True)

    def said(data: bytes | str) -> list[str]:
        return log.check(data if isinstance(data, bytes) else data.encode())[1]

    assert said(lines_without(text, 10, 11)) == [
        "line 11: event 31 does not go on from event 28: 2 missing between them",
        "ends at 38 of 40 entries",
    ]
    swapped = [*lines[:10], lines[11], lines[10], *lines[12:]]
    assert "out of order" in " ".join(said("".join(swapped)))
    assert said(text[: text.index(lines[20])]) == ["ends at 19 of 40 entries, without its end"]
    number = lines[15].split()[0]
    rewritten = lines[15].replace(" state ", " alarm ").replace(" fault ", " alarm ")
    assert said(text.replace(lines[15], rewritten)) == [
        "line 16: what is said of it is not what its bytes say"
    ]
    raw = lines[15].split()[6]
    edited = lines[15].replace(raw, raw[:-10] + "ff" + raw[-8:])
    assert f"line 16: event {number} does not go on" in " ".join(said(text.replace(lines[15], edited)))
    assert said(text.replace("60 events made", "61 events made")) == [
        "the heading or the last line was edited: the CRC of the file is another"
    ]
    assert said("anything else") == ["line 1: this is not the heading of an exported log"]
    assert said("") == ["line 1: this is not the heading of an exported log"]


@pytest.mark.req("REC-05", "REC-06")
def test_an_entry_that_the_flash_lost_shows_in_what_is_read():
    port = KeptPort()
    port.flood(80)
    port.bench.advance_to_tick(port.bench.tick + 40)
    pump = session(port)
    before = log.read(pump, "events")
    flash = port.bench.flash
    assert flash is not None
    flash.image[flash.image.index(before.entries[30]) + 9] ^= 4
    found = log.read(pump, "events")
    assert numbers(found) == [number for number in range(found.made) if number != 30]
    assert log.breaks_of(found) == [
        (30, "event 31 does not go on from event 29: 1 missing between them"),
    ]


@pytest.mark.req("REC-06")
def test_the_host_s_time_of_an_event_is_exact_after_the_last_boot_and_the_latest_before_it():
    now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone(timedelta(hours=1)))
    found = [
        {"tick": tick, "code": code}
        for tick, code in ((0, "boot"), (50, "state"), (60, "boot"), (70, "state"))
    ]
    log.add_host_times(found, now, 100)
    # Ticks of 100 ms: 10, 5, 4 and 3 s before now.
    assert [event["host_time"] for event in found] == [
        f"2026-03-01T11:59:{seconds}.000+01:00" for seconds in (50, 55, 56, 57)
    ]
    assert [event["at_the_latest"] for event in found] == [True, True, False, False]


@pytest.mark.req("REC-06")
@pytest.mark.parametrize(
    ("code", "a", "b", "said"),
    [
        ("clock", 23_400, -1, "clock: mon 06:30, was not known"),
        ("clock", 0, 604_799, "clock: mon 00:00, was sun 23:59"),
        ("prime_start", 200_000, 0, "priming begins: 200 uL"),
        ("prime_end", 120_000, 0, "priming cut short: 120 uL"),
        ("audio_pause", 1, 0, "sound paused"),
        ("audio_pause", 0, 0, "no sound to pause"),
        ("library", 3, 2, "drug library 3 confirmed, was 2"),
        ("stall_recovered", 4, 0, "the rotor turns again after 4 s"),
        ("jog_start", 3_200, 6_000_000, "jog begins: 3200 microsteps at 6.000 mL/h"),
        ("jog_end", 100_000, 1, "jog complete: 100 uL"),
        ("soft_limits", 1, 2, "1 soft limit confirmed by name, drug library 2"),
        ("soft_limits", 3, 2, "3 soft limits confirmed by name, drug library 2"),
        ("merged", 2, 0, "merged (ticks that were missed: 2)"),
    ],
)
def test_an_event_is_told_in_words(code, a, b, said):
    assert event_text({"code": code, "a": a, "b": b}) == said
