"""A journal whose rings and therapy slots are written full: what a boot has to read after years.

The slots of drug libraries and calibrations stay as they were: a library that was sent to the pump is not in
what this measures.

`fill` goes on from the journal of a pump that runs, with the firmware's own `Journal`: two days of minutes at
the pump's rate with patient boluses and denials among them, more events, faults and commands than are kept, a
reservation ten times a minute, and a therapy in every slot. What it leaves is the state it found, later.
"""

from __future__ import annotations

from thecal.dose import program
from thecal.dose.prescription import DAY_MS, Reader
from thecal.dose.schedule import MOST_STEPS_A_DAY
from thecal.record import events, layout, outcomes
from thecal.record.journal import Journal
from thecal.record.ring import Ring
from thecal_model.rig import reference

from .flash_model import SECTOR, FlashModel, crc_into

MINUTE_STEPS = 32_000  # 60 mL/h
RESERVES_A_MINUTE = 10
PROMPT_MINUTES = 15  # a bolus, a denial
# Every key, each as long as it may be; 48 steps on each day of the week.
LONGEST_HEAD = {
    "mode": "flex",
    "drug": "x" * 32,
    "concentration_pg_nl": [99_999_989, 9_973],
    "kvo_num": 2_000,
    "kvo_den": 1,
    "patient_bolus": {
        "dose_pg": 15_000_000_000,
        "duration_ms": 86_400_000,
        "lockout_ms": 86_400_000,
        "max_per_day": 96,
    },
    "limit": {"dose_pg": 50_000_000_000, "window_ms": 86_400_000},
    "low_nl": 60_000_000,
    "empty_nl": 60_000_000,
    "on_low": "continue",
    "line_nl": 5_000_000,
    "max_rate_nl_h": 60_000_000,
}
LONGEST_STEPS = [
    {"at_ms": DAY_MS // MOST_STEPS_A_DAY * number, "rate_num": 5_000 + 100 * number, "rate_den": 1}
    for number in range(MOST_STEPS_A_DAY)
]


def longest_therapy() -> bytes:
    """The longest that can be kept, as the pump keeps it."""
    reader = Reader(LONGEST_HEAD, reference().mechanism())
    reader.head()
    for step in LONGEST_STEPS:
        reader.step(step, "step")
    therapy = reader.finish()
    return b"".join(program.pack("0" * 8, 0x3FFF_FFFF, LONGEST_HEAD, therapy))


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
            journal.state.reserve()
            self.settle()
        journal.history_writer.close_minute(number, words[layout.DOSE])
        tick_s = words[layout.TICK] // 10
        self.log.add(tick_s, 0, events.ALARM, 0, number & 1, words[layout.EXECUTED])
        self.log.add(tick_s, 0, events.DENIED, 0, 0, words[layout.EXECUTED])
        if number % PROMPT_MINUTES == 0:
            words[layout.DENIALS] += 1
            journal.history_writer.grant(words[layout.TICK])
        self.command(number)
        self.settle()

    def command(self, number: int) -> None:
        """One is announced and closed."""
        kept = self.journal.outcomes
        tick = self.journal.words[layout.TICK]
        place = kept.open(outcomes.key(0x7FFF_FFFF, number), b"crc.", tick, 0)
        kept.announce(place)
        self.settle()
        kept.close(place, outcomes.DONE, 0, tick)

    def therapies(self) -> None:
        """The longest therapy into every slot but the last, which gets the one in force."""
        journal = self.journal
        serial = layout.SERIALS[layout.THERAPY]
        in_force = journal.slots.read(layout.THERAPY, journal.words[serial])
        if in_force is None:
            raise ValueError("the journal to go on from has no therapy")
        slots = journal.slots.layout[layout.THERAPY][0]
        for data in [longest_therapy()] * (slots - 1) + [bytes(in_force)]:
            journal.slots.begin(layout.THERAPY, (data,))
            self.settle()
            journal.slots.adopt()
            journal.state.save()
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
    journal.state.save()
    filler.settle()
    filler.therapies()
    minute = journal.words[layout.TICK] // layout.MINUTE_TICKS
    while not all(filler.is_full(part.ring) for part in journal.parts):
        minute += 1
        filler.minute(minute)
    return bytes(filler.flash.image)
