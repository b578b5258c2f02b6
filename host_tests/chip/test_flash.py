"""The journal on the chip's own flash, by the image's driver."""

from __future__ import annotations

import pytest
from rig import Rig
from thecal_bench.chip import RawRepl

pytestmark = pytest.mark.chip

STORAGE_START = 640 * 1024

SETUP = """
import gc, micropython, time
from thecal.drivers import fast_crc, flash
from thecal.record import events, journal, layout, ledger
def is_fault(log, at):
    return log[at + 10] == events.FAULT
class Memory:
    def __init__(self):
        self.log = events.EventLog()
        self.journal = journal.Journal(fast_crc.crc_into, self.log.ring, events.CAPACITY, is_fault)
        self.flash = flash.Flash(self.journal.region_bytes)
        self.journal.recover(self.flash.image)
        self.ledger = ledger.Ledger(self.journal, 32)
        self.log.count = self.journal.log_count
    def turn(self):
        j = self.journal
        j.heard(self.flash.done, self.flash.ok)
        self.ledger.heard()
        j.log_count = self.log.count
        j.order(True)
        self.flash.obey(j.command)
    def write(self, ticket):
        turns = 0
        while self.journal.state.saved_ticket < ticket:
            self.turn()
            turns += 1
        return turns
gc.collect()
bare = gc.mem_alloc()
m = Memory()
j = m.journal
RESETS = layout.place_of("resets")
"""

BOOT = """
therapy = j.slots.read(0, j.words[layout.SERIALS[0]])
print(j.status, j.words[RESETS], j.words[0], j.torn, j.log_count, bytes(therapy or b""))
j.words[RESETS] += 1
m.write(j.state.save())
"""


@pytest.mark.req("REC-01", "SIM-01")
def test_what_is_booked_survives_resets_and_power_cuts(make_board):
    board = make_board()
    board.boot()
    prompt = RawRepl(board)
    prompt.run(SETUP)
    assert prompt.run(BOOT).split()[:5] == ["0", "0", "0", "0", "0"]  # a new board
    prompt.run(
        """
j.slots.begin(0, (b'therapy ' * 60,))
while not j.slots.done():
    m.turn()
j.slots.adopt()
j.words[0] = 4321
m.log.add(1, 100, events.THERAPY, 5, 6, 7)
m.write(j.state.save())
for _ in range(4):
    m.turn()
"""
    )
    for number, again in enumerate((board.reset, board.power_cycle, board.reset)):
        again()
        board.boot()
        prompt = RawRepl(board)
        prompt.run(SETUP)
        printed = prompt.run(BOOT)
        assert printed.split(maxsplit=5)[:5] == ["1", str(number + 1), "4321", "0", "1"]
        assert eval(printed.split(maxsplit=5)[5]) == b"therapy " * 60


STEADY = """
m.write(j.state.save())
j.history = None
for _ in range(3):
    m.turn()
m.ledger.set_flow(53, 12345, 100000)
executed = 0
worst = spent = 0
def steady(turns):
    global executed, worst, spent
    tick = 0
    micropython.heap_lock()
    before = gc.mem_alloc()
    while tick < turns:
        tick += 1
        executed += 53
        if tick % 50 == 0:
            j.history_writer.grant(tick)
            m.log.add(tick, 0, events.BOLUS_START, tick, 0, executed)
        if tick % 70 == 0:
            j.state.save()
            m.log.add(tick, 0, events.FAULT, tick, 0, executed)
        begun = time.ticks_us()
        j.heard(m.flash.done, m.flash.ok)
        m.ledger.heard()
        m.ledger.step(tick * 100, executed, executed + 530, executed, True)
        j.log_count = m.log.count
        j.order(True)
        took = time.ticks_diff(time.ticks_us(), begun)
        spent += took
        if took > worst:
            worst = took
        m.flash.obey(j.command)
    grown = gc.mem_alloc() - before
    micropython.heap_unlock()
    return grown
gc.collect()
memory_bytes = gc.mem_alloc() - bare
grown = steady(700)
print(grown, j.parts[0].ring.head, j.torn, j.failures, j.words[2] - executed, worst, spent // 700)
m.turn()
begun = time.ticks_us()
again = Memory()
took = time.ticks_diff(time.ticks_us(), begun)
print(again.journal.state.booked_steps == j.state.booked_steps, again.journal.status, took, memory_bytes)
"""
"""700 ticks under heap_lock, after which another journal reads what was written."""


@pytest.mark.req("PERF-02", "REC-01")
def test_writing_allocates_nothing_and_turns_over(prompt):
    """Under heap_lock: reservations, snapshots, minutes, a bolus, events, erases."""
    prompt.run(SETUP)
    printed = prompt.run(STEADY, limit_ms=60_000)
    first, second = printed.splitlines()
    grown, head, torn, failures, ahead, worst_us, mean_us = (int(word) for word in first.split())
    assert (grown, torn, failures) == (0, 0, 0)
    assert head >= 1, "no sector was turned over"
    assert 0 <= ahead <= 2 * 534
    booked, status, recovery_us, heap_bytes = second.split()
    assert (booked, status) == ("True", "1")
    print(f"\njournal and ledger: {mean_us} us a tick, {worst_us} us at most; {heap_bytes} bytes of heap")
    print(f"recovery: {recovery_us} us")


@pytest.mark.req("REC-01", "REC-05")
def test_what_does_not_read_as_it_was_written_is_said_to_have_failed(prompt):
    """Flash takes ones away and gives none back; and the bytes around what was written do not count."""
    printed = prompt.run(
        """
from thecal.drivers import flash
class Order:
    kind, offset, length = 2, 0, 4096
    data = bytearray(b"\\xff" * 256)
order = Order()
chip = flash.Flash(4096)
def obey(first):
    order.data[64:96] = bytes((first,)) + b"\\xa5" * 31
    chip.obey(order)
    print(chip.done, chip.ok)
obey(0)
order.kind, order.offset, order.length = 1, 64, 32
for first in (0x0F, 0x0F, 0x0E, 0x0F):
    obey(first)
"""
    )
    assert printed.split() == ["True", "True"] * 4 + ["True", "False"]


@pytest.mark.parametrize(
    "kind, offset, length", [(1, -32, 32), (1, 4_096, 32), (1, 250, 32), (2, 100, 4_096), (2, 0, 256)]
)
def test_an_order_outside_of_the_region_is_refused(prompt, kind, offset, length):
    board = prompt.board
    before = bytes(board.mcu.flash[: 2 << 20])
    printed = prompt.run(
        f"""
from thecal.drivers import flash
class Order:
    kind, offset, length = {kind}, {offset}, {length}
    data = bytearray(256)
try:
    flash.Flash(4096).obey(Order)
except flash.FlashError as error:
    print("refused", error)
"""
    )
    assert printed.startswith("refused")
    assert bytes(board.mcu.flash[: 2 << 20]) == before


@pytest.mark.req("REC-05")
def test_a_flipped_record_is_skipped_and_counted(make_board):
    board = make_board()
    board.boot()
    prompt = RawRepl(board)
    prompt.run(SETUP)
    prompt.run(
        "m.write(j.state.save())\nj.words[0] = 77\nm.write(j.state.save())\n"
        "j.words[0] = 88\nm.write(j.state.save())"
    )
    at = STORAGE_START + int(prompt.run("print(j.parts[0].ring.head * 4096 + j.parts[0].ring.at)")) - 100
    board.mcu.flash[at] ^= 4
    board.power_cycle()
    board.boot()
    prompt = RawRepl(board)
    prompt.run(SETUP)
    assert prompt.run(BOOT).split()[:4] == ["1", "0", "77", "1"]


ERASING = """
from thecal import app
from thecal.drivers import flash
class Order:
    kind, offset, length = 0, 0, 4096
    data = bytearray(256)
class Erasing(app.App):
    turns = 0
    def __init__(self):
        super().__init__()
        self.sectors = self.journal.region_bytes // 4096
        self.other = flash.Flash(self.journal.region_bytes)
    def tick(self):
        super().tick()
        self.turns += 1
        Order.kind = 2 if self.turns % 25 == 0 else 0
        Order.offset = (self.sectors - 1 - self.turns // 25 % 4) * 4096  # none is in use
        self.other.obey(Order)
app.App = Erasing
app.run()
"""


@pytest.mark.req("MOT-05", "LNK-04", "SAFE-03")
def test_an_erase_of_400_ms_at_the_end_of_a_tick_moves_no_edge(image):
    """The emulated flash takes no time; the processor is stalled for 400 ms at each erase that it gets."""
    rig = Rig(image, program=ERASING)
    ssi = rig.board.mcu.ssi
    apply = ssi._apply_command
    erases = []

    def stalling() -> None:
        if ssi._tx_buffer and ssi._tx_buffer[0] in (0x20, 0xD8):
            erases.append(rig.board.now_ns)
            rig.board.stall_cpu_ms(400)
        apply()

    ssi._apply_command = stalling
    rig.start(60_000_000)
    rig.run_ticks(200)
    assert len(erases) >= 6
    assert rig.worst_off_steps() <= 1
    at_pin, in_plant, on_device = rig.three_counts()
    assert at_pin == in_plant == on_device > 10_000
    assert rig.worst_edge_cycles() <= 16
    assert not [event for event in rig.client.events if event["code"] == "starved"]
    # The watchdog bears it, and no frame of telemetry is lost: one for each second, each with its number.
    assert rig.board.resets == 0 and rig.client.gaps == 0
    seconds = [status["tick"] // 10 for status in rig.statuses]
    assert len(seconds) > 20 and seconds == list(range(seconds[0], seconds[-1] + 1))
