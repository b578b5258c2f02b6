"""A journal whose rings and therapy slots are written full: what a boot has to read after years.

The slots of drug libraries and calibrations stay as they were: a library that was sent to the pump is not in
what this measures.

`fill` goes on from the journal of a pump that runs, with the firmware's own `Journal`: two days of minutes at
the pump's rate with patient boluses and denials among them, more events and faults than are kept, a
reservation ten times a minute, and a therapy in every slot. What it leaves is the state it found, later.
"""

from __future__ import annotations

import json

from thecal.record import events, layout
from thecal.record.journal import Journal
from thecal.record.recovery import Ring

from .flash_model import SECTOR, FlashModel, crc_into

MINUTE_STEPS = 32_000  # 60 mL/h
RESERVES_A_MINUTE = 10
PROMPT_MINUTES = 15  # a bolus, a denial
# As long as a line of the link takes: 13 steps on each day of the week.
LONGEST_THERAPY = {
    "mode": "flex",
    "steps": [
        {"at_ms": 3_600_000 * hour, "days": 1 << day, "rate_num": 5_000 + hour}
        for day in range(7)
        for hour in range(13)
    ],
}


class _Filler:
    def __init__(self, region: bytes) -> None:
        self.log = events.EventLog()
        self.journal = Journal(crc_into, self.log.ring, events.CAPACITY, events.is_fault)
        self.flash = FlashModel(self.journal.region_bytes // SECTOR)
        self.flash.image[:] = region
        self.journal.recover(self.flash.image)
        if self.journal.status != layout.SOUND:
            raise ValueError(f"the journal to go on from is {layout.STATUSES[self.journal.status]}")
        self.log.count = self.journal.log_count
        self.flash_done = self.flash_ok = False

    def settle(self) -> None:
        """Carry out orders until there are none."""
        while True:
            self.journal.heard(self.flash_done, self.flash_ok)
            self.journal.log_count = self.log.count
            self.journal.order(True)
            self.flash.obey(self.journal, self)
            if not self.flash_done:
                return

    def minute(self, number: int) -> None:
        journal = self.journal
        words = journal.words
        for part in range(1, RESERVES_A_MINUTE + 1):
            words[layout.TICK] = (number + 1) * layout.MINUTE_TICKS - RESERVES_A_MINUTE + part - 1
            steps = MINUTE_STEPS // RESERVES_A_MINUTE
            words[layout.DOSE] += steps
            words[layout.EXECUTED] += steps
            words[layout.RESERVED] = words[layout.EXECUTED] + steps
            journal.reserve()
            self.settle()
        journal.close_minute(number, words[layout.DOSE])
        tick_s = words[layout.TICK] // 10
        self.log.add(tick_s, 0, events.ALARM, 0, number & 1, words[layout.EXECUTED])
        self.log.add(tick_s, 0, events.DENIED, 0, 0, words[layout.EXECUTED])
        if number % PROMPT_MINUTES == 0:
            words[layout.DENIALS] += 1
            journal.grant(words[layout.TICK])
        self.settle()

    def therapies(self) -> None:
        """The longest therapy into every slot but the last, which gets the one in force."""
        journal = self.journal
        serial = layout.SERIALS[layout.THERAPY]
        in_force = journal.blob(layout.THERAPY, journal.words[serial])
        if in_force is None:
            raise ValueError("the journal to go on from has no therapy")
        digest, _ = json.loads(in_force)
        longest = json.dumps([digest, LONGEST_THERAPY]).encode()
        slots = journal.slots[layout.THERAPY][0]
        for text in [longest] * (slots - 1) + [bytes(in_force)]:
            journal.begin_blob(layout.THERAPY, text)
            self.settle()
            journal.adopt()
            journal.save()
            self.settle()

    def is_full(self, ring: Ring) -> bool:
        """Whether the ring has begun anew at its first sector, and is close to the end of its head."""
        start = ring.start + (ring.head + 2) % ring.sectors * SECTOR
        blank = self.flash.image[start : start + SECTOR] == b"\xff" * SECTOR
        return not blank


def fill(region: bytes) -> bytes:
    """The region, written full. Raises ValueError if there is no sound journal in it."""
    filler = _Filler(region)
    journal = filler.journal
    journal.save()
    filler.settle()
    filler.therapies()
    minute = journal.words[layout.TICK] // layout.MINUTE_TICKS
    while not all(filler.is_full(ring) for ring in journal.rings):
        minute += 1
        filler.minute(minute)
    return bytes(filler.flash.image)
