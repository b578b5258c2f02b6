"""The event log: fixed-size records in a ring, stamped in ticks.

One table says which events exist and what their two numbers mean. A record is `RECORD` packed: sequence
number, time (seconds and milliseconds since boot), code, two numbers, executed microsteps. The ring holds the
last `CAPACITY`; the link sends each as soon as it has room, from `unsent` on.
"""

import struct

from ..table import Table

RECORD = "<IIHHiii4x"
RECORD_BYTES = struct.calcsize(RECORD)
CAPACITY = 128


class Event:
    """One row of the table: `a` and `b` say what the numbers mean."""

    def __init__(self, name, a="", b=""):
        self.name = name
        self.a = a
        self.b = b


# The number of a row is the code of the event.
EVENTS = Table(
    Event,
    (
        ("boot", "state that the reset found", "cause of the reset"),
        ("state", "state left", "state entered"),
        ("therapy", "basal rate, nL/h, rounded down", "largest total rate, nL/h"),
        ("denied", "command", "reason"),
        ("bolus_start", "volume, nL", "rate, nL/h, rounded down"),
        ("bolus_end", "volume owed, nL, rounded down", "1 complete, 0 cut short"),
        ("starved", "steps forfeited", ""),
        ("limited", "steps cut from orders by the guard, told once a minute", ""),
        ("merged", "ticks that were missed", ""),
        ("fault", "state", "cause"),
        ("alarm", "row in the table of alarms", "1 raised, 0 cleared"),
        ("patient_bolus_start", "volume, nL, rounded down", "rate, nL/h, rounded down"),
        ("patient_bolus_end", "volume owed, nL, rounded down", "1 complete, 0 cut short"),
        ("refill", "volume, nL", "volume left before, uL, rounded down"),
        ("clock", "time of the week, s", "time of the week before, s, or -1 if unknown"),
        ("prime_start", "volume, nL", ""),
        ("prime_end", "volume owed, nL, rounded down", "1 complete, 0 cut short"),
        ("bridge", "volume of old drug left in the line, nL, rounded down", "1 opened, 0 cleared"),
        ("soft_limits", "soft limits that were confirmed by name", "version of the drug library"),
        ("library", "version of the drug library now", "version before"),
        ("post_failed", "number of the part (watch/parts.py)", "how (parts.KINDS)"),
        ("occlusion", "volume stored in the line, nL", "1 by threshold, 2 by trend"),
        ("stall_recovered", "time that the rotor stood still, s", ""),
        ("draw_back", "volume drawn back, nL, rounded down", "1 begun, 0 done, 2 cut short"),
        ("audio_pause", "1 begun, 0 refused", ""),
        ("word", "number of the critical word (words.py)", ""),
        ("journal", "status (record/layout.py)", "places that are neither blank nor a valid record"),
        ("part_failed", "number of the part (watch/parts.py)", "how (parts.KINDS)"),
        ("repeated", "kind of the event that came again (repeats.py)", "how often, told once a minute"),
        ("log_lost", "events that were overwritten before they were written down", ""),
        ("new_line", "volume that fills it, nL", ""),
        ("disconnected", "microsteps that may be jogged", ""),
        ("jog_start", "microsteps", "rate, nL/h"),
        ("jog_end", "volume owed, nL, rounded down", "1 complete, 0 cut short"),
        ("rig", "number of the rig, in force from the next boot on", "how many hazards go unwatched"),
        ("keys", "number of the keys, in force now", "roles that have one, a bit each"),
        ("bad_auth", "signatures that did not hold", "stops that nobody signed, told once a minute"),
    ),
)
BOOT, STATE, THERAPY, DENIED, BOLUS_START, BOLUS_END, STARVED, LIMITED, MERGED, FAULT = range(10)
ALARM, PATIENT_BOLUS_START, PATIENT_BOLUS_END, REFILL, CLOCK = range(10, 15)
PRIME_START, PRIME_END, BRIDGE, SOFT_LIMITS, LIBRARY = range(15, 20)
POST_FAILED, OCCLUSION, STALL_RECOVERED, DRAW_BACK, AUDIO_PAUSE = range(20, 25)
WORD, JOURNAL, PART_FAILED, REPEATED, LOG_LOST, NEW_LINE = range(25, 31)
DISCONNECTED, JOG_START, JOG_END, RIG, KEYS, BAD_AUTH = range(31, len(EVENTS))


# Those that are kept apart, so that no flood of others drives them out (REC-06).
FAULTS = (BOOT, STARVED, LIMITED, FAULT, ALARM, POST_FAILED, JOURNAL, PART_FAILED)
CODE_AT = 10  # byte of a record

# Those that somebody can cause as often as he likes: the first of a kind are logged, then they are counted.
REPEATABLE = (DENIED, AUDIO_PAUSE, MERGED)


def is_fault(ring, offset):
    """Whether the record at `offset` of a ring is one of a fault."""
    return ring[offset + CODE_AT] in FAULTS


class EventLog:
    """The ring. `count` records were ever made; record n stands at n % CAPACITY."""

    def __init__(self):
        self.ring = bytearray(RECORD_BYTES * CAPACITY)
        self.count = 0
        self.sent = 0

    def add(self, tick_s: int, tick_ms: int, code: int, a: int, b: int, executed_steps: int) -> None:
        """Write one record; the numbers are small integers of either sign. Allocates nothing."""
        struct.pack_into(
            RECORD,
            self.ring,
            self.count % CAPACITY * RECORD_BYTES,
            self.count,
            tick_s,
            tick_ms,
            code,
            a,
            b,
            executed_steps,
        )
        self.count += 1

    def unsent(self):
        """Number of the oldest record that is still to be sent, or -1. Records overwritten unsent are a
        visible gap.
        """
        if self.sent < self.count - CAPACITY:
            self.sent = self.count - CAPACITY
        return self.sent if self.sent < self.count else -1

    def record(self, number: int):
        """Record `number` as (sequence, tick_s, tick_ms, code, a, b, executed_steps). Allocates."""
        return struct.unpack_from(RECORD, self.ring, number % CAPACITY * RECORD_BYTES)
