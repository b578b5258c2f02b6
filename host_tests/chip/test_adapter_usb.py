"""The serial port of the emulated board, from the host's side: patient, greedy, deaf, and gone."""

import zlib

import pytest
from rp2040py.usb.cdc import USBCDC
from thecal_bench.chip import RawRepl

pytestmark = pytest.mark.chip

IDLE_MS = 100


def test_an_idle_host_leaves_the_chip_asleep(prompt):
    board = prompt.board
    transfers, cycles = board.usb.out_transfers, board.busy_cycles
    board.run_for_ms(IDLE_MS)
    assert board.usb.out_transfers == transfers
    assert board.busy_cycles - cycles < 125_000 * IDLE_MS // 100  # less than 1 % of the time


def test_the_bare_emulator_floods_the_chip_with_empty_packets(make_board):
    board = make_board()
    host = USBCDC(board.usb)  # takes the controller over, as the emulator ships it
    board.run_until(lambda: host.dtr, 1_000, "enumeration")
    board.run_for_ms(IDLE_MS)
    transfers, cycles = board.usb.out_transfers, board.busy_cycles
    board.run_for_ms(IDLE_MS)
    assert board.usb.out_transfers - transfers > 1_000
    assert board.busy_cycles - cycles > 125_000 * IDLE_MS // 2  # busy with nothing


@pytest.mark.req("LNK-01")
def test_more_than_fits_waits_on_the_host_and_arrives_whole(prompt):
    sent = bytes(range(32, 127)) * 80
    prompt.start(f"""
import sys, binascii
crc = 0
for _ in range({len(sent) // 100}):
    crc = binascii.crc32(sys.stdin.buffer.read(100), crc)
print(crc)
""")
    board = prompt.board
    board.run_for_ms(20)
    board.send(sent)
    assert board.host.unsent_bytes > len(sent) - 4_096  # the device takes what it has room for
    answer = prompt.result()
    assert int(answer) == zlib.crc32(sent)
    assert board.host.unsent_bytes == 0


# Starts after 5 ms, so that the host can change its mind, and ends late enough to be heard by it again.
WRITE_WHILE_THERE_IS_ROOM = """
import select, sys, time
time.sleep_ms(5)
room = select.poll()
room.register(sys.stdout, select.POLLOUT)
written = 0
while written < 2500 and room.poll(0):
    sys.stdout.write('#')
    written += 1
time.sleep_ms(1000)
"""


@pytest.mark.parametrize(("reads", "all_written"), [(True, True), (False, False)], ids=["reading", "deaf"])
def test_a_host_that_stops_reading_fills_the_device(prompt, reads, all_written):
    board = prompt.board
    prompt.start(WRITE_WHILE_THERE_IS_ROOM)
    board.run_for_ms(2)
    if not reads:
        board.host.stop_reading()
    board.run_for_ms(700)
    heard = prompt.printed.count(b"#")
    board.host.resume_reading()
    answer = prompt.result()
    written = int(prompt.run("print(written)"))
    assert (written == 2500) == all_written
    assert (heard == 2500) == all_written
    assert answer.count("#") == written  # nothing is lost, it was only late


def test_a_closed_port_is_seen_by_the_device(prompt):
    """TinyUSB always has room while DTR is down: it lets go of what is old."""
    board = prompt.board
    prompt.start(WRITE_WHILE_THERE_IS_ROOM)
    board.run_for_ms(2)
    board.host.close_port()
    board.run_for_ms(700)
    board.host.open_port()
    board.run_for_ms(100)
    assert RawRepl(board).run("print(written)") == "2500\n"


def test_a_reset_board_comes_back_with_its_flash_and_without_its_memory(prompt):
    board = prompt.board
    prompt.run("""
import rp2
flash = rp2.Flash()
last = flash.ioctl(4, 0) - 1
flash.writeblocks(last, b'kept' + bytes(4092))
here = True
""")
    for again, forgets in ((board.reset, False), (board.power_cycle, True)):
        again()
        assert any(board.mcu.sram) != forgets
        assert not board.host.connected
        board.boot()
        answer = RawRepl(board).run("""
import rp2
flash = rp2.Flash()
data = bytearray(4)
flash.readblocks(flash.ioctl(4, 0) - 1, data)
print(bytes(data), 'here' in globals())
""")
        assert answer == "b'kept' False\n"
    assert board.resets == 2


def test_what_is_sent_while_the_board_starts_is_not_lost(make_board):
    board = make_board()
    received = bytearray()
    board.on_data = received.extend
    board.send(b"print(6 * 7)\r")
    board.boot()
    board.run_for_ms(500)
    assert b"42" in received


def test_the_same_calls_give_the_same_run(make_prompt):
    def life() -> tuple[int, int, bytes]:
        prompt = make_prompt()
        prompt.start(
            "import time\nfor i in range(50):\n    print(i, time.ticks_us())\n    time.sleep_ms(3)\n"
        )
        prompt.board.run_for_ms(300)
        return prompt.board.now_ns, prompt.board.busy_cycles, prompt.printed

    assert life() == life()
