"""Runs under MicroPython's unix port: frames by the thousand through a whole pump, in no more heap than the
board has.

Arguments: the folder of the firmware, that of `unixport_server`, the bytes of heap that are free beside the
pump. By stdin come the rig's tables, a line of JSON, then batches (`BATCH`, then the bytes of the frames),
one after the other. Prints one line at the end of them: what was answered how often, and the bytes of heap in
use after a thousand batches and at the end. An exception ends it with a traceback and the batch's frames.
"""

import gc
import json
import struct
import sys

sys.path.insert(0, sys.argv[1])
sys.path.insert(1, sys.argv[2])

from thecal import rig, states  # noqa: E402
from thecal.dose import prescription  # noqa: E402
from thecal.pump import Pump  # noqa: E402
from thecal.signals import Inputs, Outputs  # noqa: E402
from unixport_server import Flash, link_crc, new_journal, read_into  # noqa: E402

SIX_ML_H = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
# A frame that is alone and no request changes nothing; what may not stop a pump leaves it running.
BATCH = "<BBxxI"  # alone, harmless, bytes
MOST_BATCH_BYTES = 131_072
WARM_BATCHES = 1_000
PIECE_BYTES = 32_768  # twice 16 kB, less than the largest piece that is free on the board
# Refusals of a line, or of its form: nothing was asked for.
NO_REQUEST = (
    "bad_frame",
    "bad_crc",
    "too_large",
    "bad_argument",
    "unknown_command",
    "id_missing",
    "id_reused",
)


class Desk:
    """A pump, its flash, and a motor that stands where it ought to."""

    def __init__(self, tables):
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.journal, log = new_journal()
        self.flash = Flash(self.journal.region_bytes)
        self.journal.recover(self.flash.image)
        self.pump = Pump(rig.read(tables), link_crc, self.journal, log)
        self.at_tick = -1
        self.batch = bytearray(MOST_BATCH_BYTES)
        self.view = memoryview(self.batch)
        self.at = self.end = 0  # what of it is still to be sent
        self.said = {}
        self.answers = []

    def tick(self):
        inputs = self.inputs
        outputs = self.outputs
        pump = self.pump
        self.at_tick += 1
        inputs.tick_s = self.at_tick // 10
        inputs.tick_ms = self.at_tick % 10 * 100
        if pump.control.state in states.MOVING:
            inputs.executed_steps = min(pump.delivery.position(), pump.motion.planned_steps)
        inputs.queue_free = self.at_tick % 2
        inputs.encoder_count = inputs.executed_steps // 32
        inputs.index_count = inputs.executed_steps // 3_200
        inputs.pressure_down_raw = inputs.pressure_up_raw = 400 + self.at_tick % 2
        inputs.supply_raw = 2_400
        inputs.rx_len = min(self.end - self.at, outputs.rx_most)
        inputs.rx[: inputs.rx_len] = self.view[self.at : self.at + inputs.rx_len]
        self.at += inputs.rx_len
        pump.decide(inputs, outputs)
        pump.keep()
        self.flash.obey(self.journal, inputs)
        pump.report(inputs, outputs)
        self.read_answers(outputs.tx, outputs.tx_start, outputs.tx_end)
        outputs.tx_start = outputs.tx_end

    def read_answers(self, data, at, end):
        while True:
            at = data.find(b'"type":"reply"', at, end)
            if at < 0:
                return
            # Its line: members come in any order.
            first = data.rfind(b"\n", 0, at) + 1
            at = data.find(b"\n", at, end)
            found = data.find(b'"error":"', first, at)
            error = "ok"
            if found >= 0:
                error = data[found + 9 : data.find(b'"', found + 9, at)].decode()
            self.answers.append(error)
            self.said[error] = self.said.get(error, 0) + 1

    def settle(self):
        """Until all that was sent is read; the errors of the answers."""
        self.answers = []
        self.tick()
        reader = self.pump.host.session.reader
        while self.at < self.end or reader.parsing or reader.data.find(b"\n", reader.start, reader.fill) >= 0:
            self.tick()
        return self.answers

    def send(self, data):
        self.batch[: len(data)] = data
        self.at = 0
        self.end = len(data)

    def state(self):
        pump = self.pump
        proposals = pump.handlers.programming.proposals
        return (
            pump.control.state,
            id(pump.regimen.prescription),
            id(pump.regimen.library),
            id(proposals.last),
            proposals.digest,
        )


def leave_free(free_bytes):
    """Ballast, so that no more of the heap is free than that, in pieces of `PIECE_BYTES`."""
    gc.collect()
    kept = [bytearray(PIECE_BYTES) for _ in range(free_bytes // PIECE_BYTES)]
    ballast = []
    for size in (65_536, 4_096, 256, 1):
        try:
            while True:
                ballast.append(bytearray(size))
        except MemoryError:
            pass
    kept.clear()
    gc.collect()
    return ballast


def bytes_in_use():
    """Of the heap, after a collection."""
    gc.collect()
    return gc.mem_alloc()  # pyright: ignore[reportAttributeAccessIssue]  # MicroPython has it


def start(desk):
    pump = desk.pump
    for _ in range(30):
        desk.tick()
    pump.regimen.put_in_force(prescription.parse(SIX_ML_H, pump.mechanism))
    pump.critical.words.keep_all()
    for _ in range(10):
        desk.tick()
    pump.control.enter(states.RUNNING, 0)
    pump.critical.words.keep_all()
    desk.tick()


def take(desk, alone, harmless):
    """What came of a batch, and that the next good line is understood."""
    before = desk.state()
    found = desk.settle()
    if alone and found and all(error in NO_REQUEST for error in found):
        assert desk.state() == before, "a line that is no request changed something"
    if harmless:
        assert desk.pump.control.state == states.RUNNING, "something stopped it"
    desk.send(b"\nhello\n")
    assert "ok" in desk.settle(), "the next good line was not understood"


def main():
    desk = Desk(json.loads(sys.stdin.buffer.readline()))
    start(desk)
    assert desk.pump.control.state == states.RUNNING
    header = bytearray(struct.calcsize(BATCH))
    ballast = leave_free(int(sys.argv[3]))
    done = warm = 0
    while read_into(sys.stdin.buffer, header, len(header)):
        alone, harmless, length = struct.unpack(BATCH, header)
        read_into(sys.stdin.buffer, desk.view, length)
        desk.at = 0
        desk.end = length
        try:
            take(desk, alone, harmless)
        except Exception:
            ballast.clear()
            free = gc.mem_free()  # pyright: ignore[reportAttributeAccessIssue]  # MicroPython has it
            print("free", free, "batch", done, bytes(desk.view[:length]))
            raise
        done += 1
        if done == WARM_BATCHES:
            warm = bytes_in_use()
    print("batches", done, "bytes", warm, bytes_in_use(), "ballast", len(ballast), sorted(desk.said.items()))


main()
