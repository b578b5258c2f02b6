"""The format of the journal: rings, records, fields. `journal` says how it is used.

Everything in these tables is the layout of VERSION: changing any of it makes a new version. Numbers are
little-endian.
"""

VERSION = 7

UNIT = 32
PAGE = 256
SECTOR = 4096

# Rings and their sectors. State: at 60 mL/h a reservation every 0.7 s is 970 erases a day, over 192 sectors
# of 10^5 cycles 54 years. History: a day of minutes and 96 boluses are 1 536 records, and 16 full sectors
# hold 2 048. Events and faults: 1 000 are wanted, ten full sectors hold 1 270.
# Outcomes: two records of each of the last 64 commands; after a boot the rest of a page is left out. At worst
# that is a boot and 8 units for each command, four full sectors beside the head and the one that is erased.
STATE, HISTORY, EVENTS, FAULTS, OUTCOMES = range(5)
RING_SECTORS = (192, 18, 12, 12, 6)
# Kinds of slots: (number of slots, sectors each). Therapies and rigs (CALIBRATION): a line of the link is at
# most 4 kB.
THERAPY, LIBRARY, CALIBRATION, KEYS = range(4)
SLOTS = ((12, 2), (3, 4), (4, 1), (3, 1))

# The fields of a snapshot, in order, 32 bits each; the device keeps them small integers. The first four are a
# ledger record. What a field is for is said where the pump fills it; here only what the journal itself knows.
FIELDS = (
    "tick",  # 100 ms since the first boot
    "executed_steps",
    "reserved_steps",  # motion is booked up to here
    "dose_steps",  # executed, prime left out, since the first boot
    "state",
    "resets",
    "boot_tick_0",  # of the last boots, for the latch of a reset loop
    "boot_tick_1",
    "boot_tick_2",
    "boot_tick_3",
    "alarms",  # a bit for each row of the table, 30 at most
    "alarms_stopped",  # those after which it was not started yet
    "first_cause",
    "strike_alarm",  # 1 + row of the alarm after which the pump was last started, 0: none
    "strike_before_tick",
    "strike_tick",
    "failed_parts",  # found since the last acknowledgement, a bit each (watch/parts.py)
    "fill_nl",  # -1: never filled
    "filled_at_steps",
    "line_empty",  # 1: nothing has flowed since it was new, 2: nothing but jogs
    "credit_end_steps",  # position up to which the motor fills a new line, 0 without credit
    "bridge_end_steps",  # position at which the old drug has left the line
    "bridge_old",  # concentrations of the drug that is leaving the line, 0 without a bridge, ...
    "bridge_new",  # ... and of that behind it, as they relate
    "drawn_from_steps",  # position at which a draw-back began, -1 while there is none
    "least_steps",  # behind which it never goes, -1 without
    "occlusion_base_16",  # pressure that a blocked line had before, 1/16 Pa ...
    "occlusion_nl_kpa",  # ... and its compliance, 0 without an occlusion
    "bolus_nl_0",  # of each that runs, 0 without
    "bolus_nl_1",
    "bolus_from_steps_0",  # position at which it began
    "bolus_from_steps_1",
    "grants",  # patient boluses ever
    "grant_tick",  # of the last one
    "lockout_end_tick",  # -1: none has ended
    "denials",
    "therapy_serial",  # 0: none
    "library_serial",
    "calibration_serial",
    "drug_serial",  # the last therapy that named a drug: what the line holds; 0: none
    "drug_started",  # 1 + tick of the first start of the drug in the line, 0: never
    "dose_changed",  # 1 + tick of the last change of its dose
    "bounds_accepted",  # with the therapy in force, a bit for each in the library's entry (dose/changes.py)
    "rescales",  # changes of unit ever, and the last one:
    "rescale_num",
    "rescale_den",
    "rescale_dose_steps",  # dose_steps when it was
    "rescale_open_steps",  # what was not yet in the history, in the new unit
    "rotor_pulses",  # ever
    "rescale_sequence",  # of the history: what is not below it was written after the last change of unit
    # What the numbers above count: 0 before the first rig.
    "nl_per_rev",
    "steps_per_rev",
    "pulses_per_rev",
    "keys_serial",  # 0: it never had keys
    # The rotor's index (dose/head.py): what was executed when it came, -1: not known or of no use, ...
    "mark_steps",
    "mark_before_steps",  # ... so many steps of the rotor before that at the most, ...
    "mark_behind_steps",  # ... or behind it, ...
    "mark_by_table",  # ... and 1 where what was executed since is as the head's table has it, 0: uniform
)
LEDGER_FIELDS = 4


def place_of(name: str) -> int:
    """Of a field in a snapshot."""
    return FIELDS.index(name)  # a table of them would take 1 kB of the board's heap


TICK, EXECUTED, RESERVED, DOSE = range(LEDGER_FIELDS)
GRANTS = place_of("grants")
GRANT_TICK = place_of("grant_tick")
DENIALS = place_of("denials")
RESCALES = place_of("rescales")
RESCALE_DOSE = place_of("rescale_dose_steps")
RESCALE_OPEN = place_of("rescale_open_steps")
RESCALE_SEQUENCE = place_of("rescale_sequence")
DRUG_SERIAL = place_of("drug_serial")
SERIALS = (
    place_of("therapy_serial"),
    place_of("library_serial"),
    place_of("calibration_serial"),
    place_of("keys_serial"),
)

# Kinds of records: number, units, payload.
CLOSED, SNAPSHOT, LEDGER, MINUTE, GRANT, RESCALE, START, BLOB, OUTCOME = range(9)
KINDS = (
    (0, "zeros: nothing is to be written here any more"),
    (8, "all fields"),
    (1, "the first 4 fields"),
    (1, "minute, dose_steps at its end, steps of dose since the last such record, denials ever"),
    (1, "number, tick"),
    (1, "number, num, den, dose_steps, open_steps"),
    (1, "CRC of the event before the next, whose number it has. First in a sector, and after a boot"),
    (1, "kind of slot, length, CRC-32 of the bytes that follow the record"),
    (1, "ID of a command, CRC-32 of its frame, tick, row, result, why (`outcomes.ENTRY`)"),
)
HEAD = "<BBBBI"  # kind, units, ring, version, sequence number
SEQUENCE_AT = 4
PAYLOAD = 8
SLOT_RING = 15  # what stands for the ring in a slot's record

EVENT_BYTES = UNIT - 4  # `events.RECORD`, then zeros

# What `recover` found.
VIRGIN, SOUND, LOST, FOREIGN, NEWER, OLDER = range(6)
STATUSES = ("virgin", "sound", "lost", "foreign", "newer", "older")
USELESS = (LOST, FOREIGN, OLDER)  # nothing there can be gone on with: `begin_anew` may use the region

NOTHING, PROGRAM, ERASE = range(3)

MINUTE_TICKS = 600
DAY_MINUTES = 1_440
MOST_GRANTS = 96
MOST_SEQUENCE = 0x3FFF_FFFF  # 26 years of a record every 0.7 s
MOST_BAD = 3  # failures in a row after which a sector is left alone ...
MOST_FAILURES = 9  # ... and after which the journal has failed

# What CRC-32 makes of anything that ends with its own CRC-32.
RESIDUE = b"\x1c\xdf\x44\x21"
BLANK = b"\xff" * PAGE
ZEROS = bytes(UNIT)


class JournalError(Exception):
    """An order that cannot be carried out; the message says which and why."""
