"""The log over the link of the image: read from its flash while the motor runs; resets with their cause."""

from __future__ import annotations

import pytest
from forked import from_boot
from rig import Rig
from test_flash import STORAGE_START
from thecal import causes
from thecal.record import events, journal
from thecal_bench.flash_model import FlashModel, crc_into
from thecal_host import log

pytestmark = pytest.mark.chip

TICK_US = 100_000


def written_flash(count: int) -> bytes:
    """What the image would have written, were it asked to log so many events."""
    book_log = events.EventLog()
    book = journal.Journal(crc_into, book_log.ring, events.CAPACITY, events.is_fault)
    flash = FlashModel.blank()
    book.recover(flash.image)
    book.state.save()

    class Heard:
        flash_done = flash_ok = False

    heard = Heard()
    idle = 0
    while idle < 3:
        book.heard(heard.flash_done, heard.flash_ok)
        if book_log.count < count:
            code = events.FAULT if book_log.count % 2 else events.STATE
            book_log.add(book_log.count // 10, 0, code, book_log.count, 0, 0)
        book.log_count = book_log.count
        book.order(True)
        flash.obey(book, heard)
        idle = 0 if heard.flash_done else idle + 1
    return bytes(flash.image)


@pytest.mark.req("REC-06", "MOT-05", "SIM-01")
@from_boot
def test_a_log_of_thousands_is_read_while_the_motor_runs_and_costs_it_nothing(rig):
    image_bytes = written_flash(2_600)
    rig.board.mcu.flash[STORAGE_START : STORAGE_START + len(image_bytes)] = image_bytes
    rig.board.power_cycle()
    rig.run_ticks(20)
    rig.ask("acknowledge")
    rig.start(60_000_000)
    rig.run_ticks(15)
    rig.client.events.clear()
    rig.statuses.clear()
    events_before = rig.status()["executed_steps"]
    found = log.read(rig, "events", 2_000)  # pyright: ignore[reportArgumentType]
    faults = log.read(rig, "faults", 2_000)  # pyright: ignore[reportArgumentType]
    oldest = rig.ask("log", stream="faults", **{"from": 0})
    assert oldest["first"] < 600, "a thousand faults are kept"
    assert [log.event_of(entry)["seq"] for entry in found.entries] == list(range(2_000, found.made))
    assert log.breaks_of(found) == [] and log.breaks_of(faults) == []
    assert len(found.entries) > 600 and len(faults.entries) > 300
    assert {event["code"] for event in rig.client.events}.isdisjoint({"starved", "merged", "limited"})
    assert max(status["loop_us"] for status in rig.statuses) < TICK_US
    last = rig.status()
    assert last["executed_steps"] > events_before and abs(last["executed_steps"] - last["owed_steps"]) <= 1


BROKEN = """
from thecal import app
class Broken(app.App):
    turns = 0
    def tick(self):
        self.turns += 1
        if self.turns > 30:
            %s
        super().tick()
app.App = Broken
app.run()
"""


@pytest.mark.req("REC-06", "SAFE-03", "SAFE-05")
@pytest.mark.parametrize(
    ("ends", "cause"),
    [
        ("raise ValueError", causes.RESET_FAULT),
        ("while True: pass", causes.RESET_WATCHDOG),
    ],
)
def test_a_reset_is_logged_with_its_cause(image, ends, cause):
    """Then power: the word that told the one from the other is gone with it."""
    rig = Rig(image, BROKEN % ends)
    rig.board.set_pin("MAINTENANCE", 1)  # from the next reset on it is the image's own loop
    rig.board.run_for_ms(7_000)
    assert rig.board.resets == 1
    rig.board.power_cycle()
    rig.run_ticks(20)
    found = log.read(rig, "faults")  # pyright: ignore[reportArgumentType]
    said = [log.event_of(entry) for entry in found.entries]
    booted = [event["b"] for event in said if event["code"] == "boot"]
    assert booted == [causes.RESET_POWER, cause, causes.RESET_POWER]
