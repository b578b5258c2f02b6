"""Runs under MicroPython's unix port, started by `unixport.py`: a `Pump`, its flash, two pipes.

Arguments: the folder of the firmware, and the formats of a request and of a reply. First the host writes what
the flash holds of rigs. Each tick it writes one request and the link's bytes behind it, and reads one reply
and the bytes that the pump sends. With the flag BOOT in a request (the first has it) a new pump boots from
the flash.
Ends when the host closes the pipe. What goes wrong goes to stderr, as MicroPython prints it.
"""

import gc
import struct
import sys
from binascii import crc32

sys.path.insert(0, sys.argv[1])
# What compiling leaves behind is to leave no holes: the board has its modules in flash.
gc.threshold(16_000)  # pyright: ignore[reportAttributeAccessIssue]  # MicroPython's own

from thecal import loop  # noqa: E402
from thecal.installed import installed  # noqa: E402
from thecal.pump import Pump  # noqa: E402
from thecal.record import events  # noqa: E402
from thecal.record.journal import Journal  # noqa: E402
from thecal.record.layout import ERASE, NOTHING, PAGE, SECTOR  # noqa: E402
from thecal.signals import Inputs, Outputs  # noqa: E402

gc.threshold(-1)  # pyright: ignore[reportAttributeAccessIssue]

BOOT = 32


class Flash:
    """`thecal_bench.flash_model` for this side, without what only tests ask of it."""

    def __init__(self, region_bytes):
        self.image = bytearray(region_bytes)
        for start in range(0, region_bytes, SECTOR):  # no second region beside it
            self.image[start : start + SECTOR] = b"\xff" * SECTOR
        self.erased = -1  # sector erased in the last tick ...
        self.was = b""  # ... and what was there

    def obey(self, journal, inputs):
        """Carry out what the journal orders; the next tick hears of it."""
        kind = journal.command.kind
        inputs.flash_done = inputs.flash_ok = kind != NOTHING
        self.erased = -1
        if kind == NOTHING:
            return
        image = self.image
        start = journal.command.offset
        end = start + journal.command.length
        if kind == ERASE:
            self.erased = start
            self.was = image[start:end]
            image[start:end] = b"\xff" * (end - start)
            return
        wanted = journal.command.data[start % PAGE : start % PAGE + end - start]
        for index in range(start, end):
            image[index] &= wanted[index - start]
        inputs.flash_ok = image[start:end] == wanted

    def power_fails(self):
        """An erase that has begun is left half done."""
        if self.erased >= 0:
            half = len(self.was) // 2
            self.image[self.erased + half : self.erased + len(self.was)] = self.was[half:]


def journal_crc(data, start, end, value):
    """`thecal.crc.crc_into` in C."""
    value[:] = struct.pack("<I", crc32(memoryview(data)[start:end], struct.unpack("<I", value)[0]))


def link_crc(data, start, end, digits):
    """`thecal.crc.digits_into` in C."""
    digits[:8] = b"%08x" % crc32(memoryview(data)[start:end])


def new_journal():
    """A journal on a log of its own, and that log."""
    log = events.EventLog()
    return Journal(journal_crc, log.ring, events.CAPACITY, events.is_fault), log


def read_into(source, buffer, length):
    """Fill `buffer` with `length` bytes; False if the pipe ends."""
    view = memoryview(buffer)
    at = 0
    while at < length:
        got = source.readinto(view[at:length])
        if not got:
            return False
        at += got
    return True


class Board:
    """What a turn of the loop asks for: the flash is on this side, all else on the other."""

    def __init__(self, flash):
        self.flash = flash
        self.journal: Journal | None = None

    def read(self, inputs, outputs):
        """They came with the request."""

    def write_flash(self, inputs):
        """Obey the journal."""
        self.flash.obey(self.journal, inputs)

    def move(self, outputs):
        """They go with the reply."""

    show = transmit = move


def flags_of(outputs):
    """What a reply says in bits."""
    return (
        (1 if outputs.halt else 0)
        | (2 if outputs.motion_flush else 0)
        | (4 if outputs.enable else 0)
        | (8 if outputs.reverse else 0)
        | (16 if outputs.restart else 0)
        | (32 if outputs.read_pads else 0)
    )


def serve(source, sink, request_format, reply_format):
    """One board, tick by tick, until the host goes away."""
    outputs = Outputs()
    inputs = Inputs()
    slots = new_journal()[0].slots
    flash = Flash(slots.end)
    read_into(source, memoryview(flash.image)[slots.standing_start :], slots.end - slots.standing_start)
    board = Board(flash)
    journal = pump = None  # the first request makes them
    request = bytearray(struct.calcsize(request_format))
    while read_into(source, request, len(request)):
        values = struct.unpack(request_format, request)
        flags = values[6]
        if flags & BOOT:
            flash.power_fails()
            inputs = Inputs()
            outputs = Outputs()
            journal = pump = None  # room for the next ones
            journal, log = new_journal()
            journal.recover(flash.image)
            pump = Pump(installed(journal), link_crc, journal, log, b"bench")
        (
            inputs.tick_s,
            inputs.tick_ms,
            inputs.executed_steps,
            inputs.reverse_steps,
            inputs.late_us,
            inputs.queue_free,
            _,
            inputs.pressure_down_raw,
            inputs.pressure_up_raw,
            inputs.supply_raw,
            inputs.encoder_count,
            inputs.index_count,
            inputs.rx_len,
            inputs.levels,
        ) = values
        inputs.starved = bool(flags & 1)
        inputs.air = bool(flags & 2)
        inputs.driver_fault = bool(flags & 4)
        inputs.button_patient = bool(flags & 8)
        inputs.button_stop = bool(flags & 16)
        if inputs.rx_len and not read_into(source, inputs.rx, inputs.rx_len):
            return
        board.journal = journal  # pyright: ignore[reportAttributeAccessIssue]
        loop.turn(pump, board, inputs, outputs)
        flags = flags_of(outputs)
        data = bytes(memoryview(outputs.tx)[outputs.tx_start : outputs.tx_end])
        outputs.tx_start = outputs.tx_end
        orders = outputs.targets + outputs.target_ticks + outputs.firsts + outputs.lags
        orders += [outputs.rx_most, len(data)]
        sink.write(struct.pack(reply_format, flags, outputs.target_count, *orders))
        if data:
            sink.write(data)


def main():
    sys.stdout.buffer.write(b"READY")  # what comes instead is why it could not start
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[2], sys.argv[3])
    except Exception as error:
        # Uncaught, MicroPython would print it into the pipe.
        sys.print_exception(error, sys.stderr)  # type: ignore  # MicroPython's own
        sys.exit(1)


if __name__ == "__main__":
    main()
