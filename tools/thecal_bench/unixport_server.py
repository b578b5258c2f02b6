"""Runs under MicroPython's unix port, started by `unixport.py`: a `Pump`, with two pipes to the host.

Arguments: the folder of the firmware, and the formats of a request and of a reply. Each tick the host
writes one request and the link's bytes behind it, and reads one reply and the bytes that the pump sends.
Ends when the host closes the pipe. What goes wrong goes to stderr, as MicroPython prints it.
"""

import struct
import sys

sys.path.insert(0, sys.argv[1])

from thecal.dose.mechanism import reference  # noqa: E402
from thecal.drivers import segment  # noqa: E402
from thecal.pump import Pump  # noqa: E402
from thecal.signals import SEGMENT_TICKS, Inputs, Outputs  # noqa: E402


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


def serve(source, sink, request_format, reply_format):
    """One pump, tick by tick, until the host goes away."""
    inputs = Inputs()
    outputs = Outputs()
    pump = Pump(reference(segment.MAX_STEPS // SEGMENT_TICKS))
    request = bytearray(struct.calcsize(request_format))
    while read_into(source, request, len(request)):
        (
            inputs.tick_s,
            inputs.tick_ms,
            inputs.executed_steps,
            inputs.reverse_steps,
            inputs.queue_free,
            flags,
            inputs.pressure_down_raw,
            inputs.pressure_up_raw,
            inputs.supply_raw,
            inputs.encoder_count,
            inputs.index_count,
            inputs.rx_len,
        ) = struct.unpack(request_format, request)
        inputs.starved = bool(flags & 1)
        inputs.air = bool(flags & 2)
        inputs.driver_fault = bool(flags & 4)
        inputs.button_patient = bool(flags & 8)
        inputs.button_stop = bool(flags & 16)
        if inputs.rx_len and not read_into(source, inputs.rx, inputs.rx_len):
            return
        pump.step(inputs, outputs)
        flags = (
            (1 if outputs.halt else 0)
            | (2 if outputs.motion_flush else 0)
            | (4 if outputs.enable else 0)
            | (8 if outputs.reverse else 0)
        )
        data = bytes(memoryview(outputs.tx)[outputs.tx_start : outputs.tx_end])
        outputs.tx_start = outputs.tx_end
        orders = outputs.targets + outputs.target_ticks
        sink.write(struct.pack(reply_format, flags, outputs.target_count, *(orders + [len(data)])))
        if data:
            sink.write(data)


sys.stdout.buffer.write(b"READY")  # what comes instead is why it could not start
try:
    serve(sys.stdin.buffer, sys.stdout.buffer, sys.argv[2], sys.argv[3])
except Exception as error:
    # Uncaught, MicroPython would print it into the pipe.
    sys.print_exception(error, sys.stderr)  # type: ignore  # MicroPython's own
    sys.exit(1)
