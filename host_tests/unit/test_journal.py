"""The journal by itself: its format, what it refuses, its log, its slots. Cuts are in `test_power_cuts`."""

import random
import struct
import zlib

import pytest
from thecal.record import events, layout
from thecal.record import journal as jn
from thecal.record.streams import Stream
from thecal_bench.flash_model import FlashModel, crc_into
from thecal_host.log import chain_breaks

SECTORS = sum(layout.RING_SECTORS) + sum(count * each for count, each in layout.SLOTS)


def is_fault(log: bytes, at: int) -> bool:
    return log[at + 10] == events.FAULT


class Desk:
    """A journal of the board's layout on a flash, turned by hand."""

    def __init__(self, flash: FlashModel | None = None) -> None:
        self.flash = flash or FlashModel(SECTORS)
        self.log = events.EventLog()
        self.journal = jn.Journal(crc_into, self.log.ring, events.CAPACITY, is_fault)
        self.journal.recover(self.flash.image)
        self.log.count = self.journal.log_count
        self.done = self.ok = False

    def turn(self, erase_allowed: bool = True) -> int:
        """One tick; the kind of order."""
        journal = self.journal
        journal.heard(self.done, self.ok)
        journal.log_count = self.log.count
        journal.order(erase_allowed)
        self.done = journal.command.kind != layout.NOTHING
        start, length = journal.command.offset, journal.command.length
        if journal.command.kind == layout.PROGRAM:
            data = bytes(journal.command.data[start % 256 : start % 256 + length])
            self.flash.program(start, data)
        elif journal.command.kind == layout.ERASE:
            data = b"\xff" * length
            self.flash.erase(start)
        else:
            return layout.NOTHING
        self.ok = self.flash.image[start : start + length] == data
        return journal.command.kind

    def settle(self) -> None:
        while self.turn() != layout.NOTHING:
            pass

    def boot(self) -> "Desk":
        self.journal.state.save()
        self.settle()
        return self

    def event(self, code: int, a: int = 0) -> None:
        self.log.add(self.log.count // 10, self.log.count % 10 * 100, code, a, 0, 0)
        self.turn()


@pytest.mark.req("REC-05")
def test_the_crc_is_that_of_the_link():
    chance = random.Random(1)
    for length in range(50):
        data = chance.randbytes(length)
        value = bytearray(chance.randbytes(4))
        seed = int.from_bytes(value, "little")
        jn.crc_into(data, length // 3, length, value)
        assert int.from_bytes(value, "little") == zlib.crc32(data[length // 3 :], seed)


def test_the_tables_fit_the_records():
    assert layout.KINDS[layout.SNAPSHOT][0] * layout.UNIT >= layout.PAYLOAD + 4 * len(layout.FIELDS) + 4
    assert len(set(layout.FIELDS)) == len(layout.FIELDS)
    assert layout.UNIT == layout.EVENT_BYTES + 4 and events.RECORD_BYTES <= layout.EVENT_BYTES
    assert all(units * layout.UNIT <= layout.PAGE for units, _ in layout.KINDS)
    assert SECTORS * layout.SECTOR <= 1_408 * 1_024  # what the board keeps behind the image
    history = (layout.RING_SECTORS[layout.HISTORY] - 2) * (layout.SECTOR // layout.UNIT)
    assert history >= layout.DAY_MINUTES + layout.MOST_GRANTS + 8 * 16  # and sixteen boots


def test_a_new_flash_is_virgin_and_what_is_saved_comes_back():
    desk = Desk()
    assert desk.journal.status == layout.VIRGIN
    for index in range(len(layout.FIELDS)):
        desk.journal.words[index] = 1_000 * index - 7
    desk.boot()
    again = Desk(desk.flash).journal
    assert again.status == layout.SOUND and again.torn == 0
    assert list(again.words) == list(desk.journal.words)


def of_version(version):
    """A desk on a flash whose only snapshot is one of that version of the format, and sound."""
    desk = Desk().boot()
    at = desk.journal.parts[layout.STATE].ring.head * layout.SECTOR
    image = desk.flash.image
    assert image[at + 3] == layout.VERSION
    image[at + 3] = version
    end = at + layout.KINDS[layout.SNAPSHOT][0] * layout.UNIT - 4
    image[end : end + 4] = struct.pack("<I", zlib.crc32(image[at:end]))
    return Desk(desk.flash)


@pytest.mark.req("REC-05")
def test_an_older_format_is_refused_by_its_name_and_forgotten_only_on_demand():
    older = of_version(layout.VERSION - 1)
    assert older.journal.status == layout.OLDER and older.journal.words[layout.TICK] == 0
    older.journal.state.save()
    assert older.turn() == layout.NOTHING
    older.journal.begin_anew()
    older.settle()
    assert Desk(older.flash).journal.status == layout.SOUND


@pytest.mark.req("REC-05")
def test_a_newer_format_is_refused_and_left_alone():
    newer = of_version(layout.VERSION + 1)
    assert newer.journal.status == layout.NEWER
    newer.journal.state.save()
    assert newer.turn() == layout.NOTHING
    with pytest.raises(layout.JournalError, match="newer"):
        newer.journal.begin_anew()


@pytest.mark.req("REC-05")
def test_what_is_not_a_journal_is_never_formatted_by_itself():
    flash = FlashModel(SECTORS)
    flash.image[5 * layout.SECTOR : 5 * layout.SECTOR + 8] = b"littlefs"
    desk = Desk(flash)
    assert desk.journal.status == layout.FOREIGN
    desk.journal.state.save()
    assert desk.turn() == layout.NOTHING
    desk.journal.begin_anew()
    desk.settle()
    assert Desk(flash).journal.status == layout.SOUND


@pytest.mark.req("REC-05")
def test_a_state_that_is_lost_is_told_apart_from_a_new_flash():
    desk = Desk().boot()
    desk.event(events.STATE)
    desk.settle()
    for sector in range(layout.RING_SECTORS[layout.STATE]):
        desk.flash.erase(sector * layout.SECTOR)
    assert Desk(desk.flash).journal.status == layout.LOST


@pytest.mark.req("REC-05")
def test_a_torn_record_that_reads_as_valid_some_day_has_the_number_of_no_other():
    desk = Desk().boot()
    before = bytes(desk.flash.image)
    desk.journal.words[layout.TICK] = 10
    desk.journal.state.save()
    desk.settle()
    whole = bytes(desk.flash.image)
    written = [at for at in range(len(whole)) if whole[at] != before[at]]
    torn = slice(written[0], written[-1] - 3)  # all of it but its CRC
    flash = FlashModel(SECTORS)
    flash.image[:] = before
    flash.image[torn] = whole[torn]
    later = Desk(flash)
    assert later.journal.torn == 1
    later.journal.words[layout.TICK] = 20
    later.boot()
    flash.image[written[0] : written[-1] + 1] = whole[written[0] : written[-1] + 1]
    found = Desk(flash).journal
    assert found.torn == 0 and found.words[layout.TICK] == 20
    ring, numbers = found.parts[layout.STATE].ring, []
    for sector in range(ring.sectors):
        numbers += [ring.region.sequence(at) for at in ring.records(sector, False)]
    assert len(numbers) >= 3 and len(set(numbers)) == len(numbers)


def test_nothing_is_written_before_the_boot_is_booked():
    desk = Desk()
    desk.event(events.BOOT)
    assert desk.turn() == layout.NOTHING
    desk.boot()
    assert Desk(desk.flash).journal.log_count == 1


@pytest.mark.req("MOT-05")
def test_no_erase_is_ordered_that_is_not_allowed():
    desk = Desk().boot()
    journal = desk.journal
    for _ in range(1_000):
        journal.state.reserve()
        assert desk.turn(erase_allowed=False) != layout.ERASE
    assert journal.state.ledger_ticket > journal.state.ledgered_ticket, (
        "the sector is full and no other one is ready"
    )
    desk.settle()
    assert journal.state.ledger_ticket == journal.state.ledgered_ticket


@pytest.mark.req("REC-05")
def test_a_flash_that_takes_nothing_is_a_failure_and_books_nothing():
    class Dead(FlashModel):
        def program(self, offset: int, data: bytes) -> None:
            pass

    desk = Desk(Dead(SECTORS))
    ticket = desk.journal.state.save()
    desk.settle()
    assert (
        desk.journal.failed
        and desk.journal.state.saved_ticket < ticket
        and desk.journal.state.booked_steps == 0
    )


@pytest.mark.req("REC-06")
def test_a_thousand_events_and_a_thousand_faults_are_kept_apart():
    desk = Desk().boot()
    for number in range(1_300):
        desk.event(events.FAULT, number)
    for number in range(4_000):
        desk.event(events.STATE, number)
    desk.settle()
    desk = Desk(desk.flash).boot()
    image = desk.flash.image

    def kept(stream: Stream) -> list[tuple]:
        return [struct.unpack_from(events.RECORD, image, at) for at in stream.kept(0)]

    log, faults = kept(desk.journal.events), kept(desk.journal.faults)
    assert len(log) >= 1_000 and len(faults) >= 1_000
    assert [record[0] for record in log] == list(range(5_300 - len(log), 5_300))
    assert [record[4] for record in faults] == list(range(1_300 - len(faults), 1_300))
    page = [struct.unpack_from(events.RECORD, image, at) for at in desk.journal.events.kept(5_000)]
    assert page == [record for record in log if record[0] >= 5_000]


@pytest.mark.req("REC-06")
def test_an_edit_and_a_gap_in_an_exported_log_show():
    desk = Desk().boot()
    for number in range(200):
        desk.event(events.STATE, number)
    desk.settle()
    entries = [bytes(desk.flash.image[at : at + 32]) for at in desk.journal.events.kept(0)]
    seed = bytes(4)
    assert len(entries) == 200 and chain_breaks(entries, seed) == []
    for index in (0, 77, 199):
        edited = list(entries)
        edited[index] = bytes([edited[index][0] ^ 1]) + edited[index][1:]
        assert chain_breaks(edited, seed) == [index]
        # Whoever computes the CRC of the edited entry anew breaks the next one.
        crc = zlib.crc32(
            edited[index][:28], int.from_bytes(entries[index - 1][28:] if index else seed, "little")
        )
        edited[index] = edited[index][:28] + struct.pack("<I", crc)
        assert chain_breaks(edited, seed) == [index + 1][: 199 - index]
    assert chain_breaks(entries[:50] + entries[51:], seed) == [50]


@pytest.mark.req("REC-01")
def test_the_last_therapies_are_kept_and_the_one_in_force_is_never_overwritten():
    desk = Desk().boot()
    journal = desk.journal
    texts = {}
    for number in range(30):
        text = b"therapy %d " % number * 40
        journal.slots.begin(layout.THERAPY, (text[:100], text[100:]))
        while not journal.slots.done():
            desk.turn()
            in_force = journal.words[layout.SERIALS[layout.THERAPY]]
            assert journal.slots.read(layout.THERAPY, in_force) == texts.get(in_force)
        serial = journal.slots.adopt()
        texts[serial] = text
        if serial == 3:
            journal.words[layout.DRUG_SERIAL] = serial
        journal.state.save()
        desk.settle()
    again = Desk(desk.flash).journal
    assert again.words[layout.SERIALS[layout.THERAPY]] == 30
    for serial in (3, *range(20, 31)):
        assert again.slots.read(layout.THERAPY, serial) == texts[serial]
    assert again.slots.read(layout.THERAPY, 19) is None


@pytest.mark.req("REC-01")
@pytest.mark.parametrize("late_minutes", [0, 1, 100, 3_000])
def test_a_change_of_unit_counts_once_however_long_ago(late_minutes):
    desk = Desk().boot()
    journal = desk.journal
    words = journal.words

    def minute(number: int, steps: int) -> None:
        words[layout.TICK] = 600 * number + 599
        words[layout.DOSE] += steps
        words[layout.EXECUTED] = words[layout.RESERVED] = words[layout.DOSE]
        journal.history_writer.close_minute(number, words[layout.DOSE])
        journal.state.reserve()
        desk.settle()

    for number in range(10):
        minute(number, 9)
    journal.history_writer.rescale(1, 3, words[layout.DOSE])
    desk.settle()
    for number in range(10, 10 + late_minutes):
        minute(number, 9)
    again = Desk(desk.flash).journal
    assert again.history is not None
    minutes = again.history.minutes
    last = 9 + late_minutes
    expected = [9 if last - age >= 10 else 3 for age in range(min(last, layout.DAY_MINUTES) + 1)]
    assert list(minutes[: len(expected)]) == expected
    assert sum(minutes) == sum(expected)


def test_a_slot_refuses_what_is_too_long_and_a_second_one():
    journal = Desk().boot().journal
    with pytest.raises(layout.JournalError, match="8161 bytes, must be 1 to 8160"):
        journal.slots.begin(layout.THERAPY, (bytes(8_161),))
    journal.slots.begin(layout.THERAPY, (bytes(8_160),))
    with pytest.raises(layout.JournalError, match="another one"):
        journal.slots.begin(layout.LIBRARY, (b"x",))


def test_a_region_of_the_wrong_size_is_refused():
    with pytest.raises(layout.JournalError, match="4096 bytes"):
        jn.Journal(crc_into).recover(bytearray(4_096))


# --- what a cut in the middle of a command may leave


@pytest.mark.req("REC-02")
def test_a_lower_reservation_that_is_under_way_already_bounds_what_may_be_ordered():
    desk = Desk().boot()
    words = desk.journal.words

    def reserve(steps: int) -> None:
        words[layout.RESERVED] = steps
        desk.journal.state.reserve()

    reserve(1_000)
    desk.settle()
    assert desk.journal.state.booked() == 1_000
    reserve(500)
    assert desk.turn() == layout.PROGRAM
    reserve(1_000)
    assert desk.journal.state.booked() == 500, "a cut in this tick may find either"
    desk.settle()
    assert desk.journal.state.booked() == 1_000


@pytest.mark.req("REC-05")
@pytest.mark.parametrize("ring", [layout.STATE, layout.HISTORY, layout.EVENTS])
def test_a_sector_whose_erase_failed_is_not_written_before_one_has_succeeded(ring):
    desk = Desk().boot()
    journal = desk.journal
    start = journal.parts[ring].ring.start
    end = start + layout.RING_SECTORS[ring] * layout.SECTOR
    erased: dict[int, bool] = {}
    tries = 0
    for number in range(3_000):
        if ring == layout.STATE:
            journal.state.save()
        elif ring == layout.EVENTS:
            desk.log.add(number, 0, events.STATE, 0, 0, 0)
        else:
            journal.history_writer.close_minute(number, number + 1)
            journal.history_writer.minute_pending = True
        kind = desk.turn()
        sector = journal.command.offset // layout.SECTOR
        if not start <= journal.command.offset < end:
            continue
        if kind == layout.ERASE:
            tries += 1
            erased[sector] = tries % 3 != 0
            desk.ok = desk.ok and erased[sector]
        elif kind == layout.PROGRAM:
            assert erased.get(sector, True), f"sector {sector}"
    assert tries > 9 and any(erased.values())


@pytest.mark.req("LIM-07", "REC-01")
def test_a_quiet_minute_s_denials_are_dated_by_that_minute():
    desk = Desk().boot()
    words = desk.journal.words
    words[layout.DENIALS] = 2
    words[layout.TICK] = 6 * layout.MINUTE_TICKS
    desk.journal.history_writer.close_minute(5, 0)
    desk.settle()
    words[layout.TICK] = 900 * layout.MINUTE_TICKS
    desk.journal.state.save()
    desk.settle()
    history = Desk(desk.flash).journal.history
    assert history is not None
    assert list(history.denials[:2]) == [6 * layout.MINUTE_TICKS] * 2


@pytest.mark.req("LIM-03", "LIM-13", "REC-01")
@pytest.mark.parametrize(("num", "den", "wanted"), [(4, 1, 440), (1, 4, 28)])
def test_a_minute_that_waits_when_the_unit_changes_counts_no_earlier_than_it_was(num, den, wanted):
    """100 steps up to the end of minute 3, 10 more in minute 4; then the unit changes."""
    desk = Desk().boot()
    words = desk.journal.words
    words[layout.TICK] = 4 * layout.MINUTE_TICKS + 50
    words[layout.EXECUTED] = words[layout.RESERVED] = words[layout.DOSE] = 110
    desk.journal.history_writer.close_minute(3, 100)
    desk.journal.history_writer.rescale(num, den, 110)
    desk.settle()
    history = Desk(desk.flash).journal.history
    assert history is not None
    assert sum(history.minutes) == wanted
    assert history.minutes[1] <= 100 * num // den, "nothing of minute 4 is dated to minute 3"


@pytest.mark.req("REC-06")
def test_a_fault_is_written_among_the_events_first():
    desk = Desk().boot()
    desk.log.add(1, 0, events.FAULT, 0, 0, 0)
    written = []
    while desk.turn() != layout.NOTHING:
        at = desk.journal.command.offset
        for ring in (layout.EVENTS, layout.FAULTS):
            start = desk.journal.parts[ring].ring.start
            inside = start <= at < start + layout.RING_SECTORS[ring] * layout.SECTOR
            if inside and desk.journal.command.kind == layout.PROGRAM:
                written.append(ring)
    assert written == [layout.EVENTS, layout.FAULTS]


@pytest.mark.req("REC-02")
def test_a_lower_reservation_that_was_torn_may_be_found_some_day():
    desk = Desk().boot()
    words = desk.journal.words
    words[layout.RESERVED] = 1_000
    desk.journal.state.reserve()
    desk.settle()
    words[layout.RESERVED] = 500
    desk.journal.state.reserve()
    desk.turn()
    desk.ok = False
    words[layout.RESERVED] = 1_000
    desk.turn()
    assert desk.journal.state.booked() == 500
    desk.settle()
    assert desk.journal.state.booked() == 1_000


@pytest.mark.req("LIM-13", "REC-01")
def test_a_change_of_unit_waits_in_the_history_for_its_snapshot():
    desk = Desk().boot()
    journal = desk.journal
    while True:
        journal.state.save()
        if (
            desk.turn(erase_allowed=False) == layout.NOTHING
            and journal.state.saved_ticket != journal.state.save_ticket
        ):
            break
    journal.history_writer.rescale(1, 4, 0)
    assert [desk.turn(erase_allowed=False) for _ in range(3)] == [layout.NOTHING] * 3
    desk.settle()
    assert journal.history_writer.rescale_ticket == 0


@pytest.mark.req("REC-05")
def test_a_wipe_takes_the_newest_state_last_and_no_sector_for_erased_that_is_not():
    desk = Desk().boot()
    journal = desk.journal
    for _ in range(100):
        journal.state.save()
        desk.settle()
    head = journal.parts[layout.STATE].ring.head
    assert head > 0
    journal.wipe()
    erased = []
    while desk.turn() == layout.ERASE:
        erased.append(journal.command.offset // layout.SECTOR)
        desk.ok = desk.ok and len(erased) != 7
    states = layout.RING_SECTORS[layout.STATE]
    assert erased[6] == erased[7], "once more"
    del erased[7]
    assert erased[states - 1] == head and sorted(erased[:states]) == list(range(states))
    stays = sum(number * each for number, each in layout.SLOTS[layout.CALIBRATION :])
    assert erased[states:] == list(range(states, SECTORS - stays)), (
        "what hangs on the pins stays, and the keys"
    )
    assert bytes(desk.flash.image) == b"\xff" * len(desk.flash.image)


@pytest.mark.req("LIM-03", "LIM-13", "REC-01")
def test_a_change_of_unit_rounds_each_minute_of_the_history_up():
    """101 steps in minute 3 are 25.25 of the new unit, 9 open ones 2.25."""
    desk = Desk().boot()
    words = desk.journal.words
    words[layout.TICK] = 4 * layout.MINUTE_TICKS + 50
    words[layout.EXECUTED] = words[layout.RESERVED] = words[layout.DOSE] = 110
    desk.journal.history_writer.close_minute(3, 101)
    desk.settle()
    desk.journal.history_writer.rescale(1, 4, 110)
    desk.settle()
    history = Desk(desk.flash).journal.history
    assert history is not None and list(history.minutes[:3]) == [3, 26, 0]
