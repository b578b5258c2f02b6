"""What the pump tells unasked: a status frame every second and every event at once, each kind numbered on its
own.

The status frame is formatted from a row of fields in the order of `STATUS_FIELDS`, without allocating.
`status` as a command gives the same frame.
"""

from array import array

from ..clock import TICK_MS, TICKS_PER_S
from .frame import STATUS_BYTES, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Outputs
    from .frame import FrameWriter


STATUS_PERIOD_TICKS = TICKS_PER_S
EVENT_BYTES = 160  # more than the longest event frame

# Name of each number in a status frame, in order; `thecal/status.py` fills the list of values. State and
# bolus are texts.
STATUS_FIELDS = (
    "tick",
    "rate_nl_h",
    "owed_steps",
    "executed_steps",
    "ordered_steps",
    "delivered_ul",
    "bolus_left_nl",
    "reservoir_ul",
    "window_steps",
    "limit_steps",
    "pressure_down_raw",
    "pressure_up_raw",
    "supply_raw",
    "encoder_count",
    "loop_us",
    "heap_bytes",
    "alarm",
    "first_cause",
    "frames_dropped",
    "bad_lines",
    "failed",  # a bit for each part that failed (watch/parts.py)
    "bridge_left_nl",  # old drug that is still to leave the line, 0 without a bridge
    "line_credit_nl",  # of a new line that is still to be filled
    "unwatched",  # a bit for each row of the rig's UNWATCHED that nothing watches
    "paired",  # 1 with keys, 0 without
    "phase_steps",  # of the rotor since its index mark, -1 while that is not known
    "compensated",  # 1 while the head's table evens the flow out, 0 while the head counts as uniform
)


class Telemetry:
    """Formats into a FrameWriter. `states` are the names of the pump's states, `events` those of the event
    codes.
    """

    def __init__(self, writer: "FrameWriter", states, events) -> None:
        self.writer = writer
        self.status_seq = 0
        self.values = array("i", [0] * len(STATUS_FIELDS))
        self._head = Text('{"type":"status","seq":')
        self._states = [Text(',"state":"%s"' % name) for name in states]
        self._boluses = [Text(',"bolus":"%s"' % name) for name in ("none", "patient", "clinician")]
        self._fields = ("".join([',"%s":\0' % name for name in STATUS_FIELDS]) + "}").encode()
        self._event_head = Text('{"type":"event","seq":')
        self._events = events
        self._tick = Text(',"tick":')
        self._a = Text(',"a":')
        self._b = Text(',"b":')
        self._executed = Text(',"executed_steps":')
        self._close = Text("}")

    def status(self, outputs: "Outputs", state: int, bolus):
        """One status frame from `values`; `state` and `bolus` are indices. A frame without room is dropped,
        its number used.
        """
        writer = self.writer
        writer.begin(outputs)
        writer.text(self._head)
        writer.number(self.status_seq)
        writer.text(self._states[state])
        writer.text(self._boluses[bolus])
        writer.numbers(self._fields, self.values)
        self.status_seq += 1
        return writer.end(outputs)

    def event(self, outputs: "Outputs", record):
        """One event frame from a record of the log; False if there is no room yet for it and a status."""
        if not self.writer.room(outputs, EVENT_BYTES + STATUS_BYTES):
            return False
        seq, tick_s, tick_ms, code, a, b, executed_steps = record
        writer = self.writer
        writer.begin(outputs)
        writer.text(self._event_head)
        writer.number(seq)
        writer.text(self._tick)
        writer.number(tick_s * TICKS_PER_S + tick_ms // TICK_MS)
        writer.text(Text(',"code":"%s"' % self._events[code]))  # the record allocates, too
        writer.text(self._a)
        writer.number(a)
        writer.text(self._b)
        writer.number(b)
        writer.text(self._executed)
        writer.number(executed_steps)
        writer.text(self._close)
        return writer.end(outputs)
