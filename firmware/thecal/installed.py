"""The rig that a board boots with: the newest one that its journal holds whole, or none (RIG-02).

A rig that cannot be read is none, and so is an older one than that which the state speaks of: it is not what
hangs on the pins. A pump without a rig counts in the steps that its journal last counted in,
has no sense at all and moves nothing (`causes.NO_RIG`); it keeps time, log and link, and takes a rig.
"""

import json

from . import rig
from .record.layout import CALIBRATION, SERIALS, place_of
from .recount import recount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .record.journal import Journal

NL_PER_REV = place_of("nl_per_rev")
STEPS_PER_REV = place_of("steps_per_rev")
PULSES_PER_REV = place_of("pulses_per_rev")


def installed(journal: "Journal"):
    """The `Rig` in force on this boot, with its `serial` in `journal`, which has recovered and counts in its
    steps from now on. Without one its `missing` says why.
    """
    serial = journal.slots.newest(CALIBRATION)
    known = journal.words[SERIALS[CALIBRATION]]
    data = journal.slots.read(CALIBRATION, serial) if serial >= known else None
    if data is not None:
        try:
            found = rig.read(json.loads(bytes(data)))
            found.serial = serial
        except (ValueError, rig.RigError) as problem:
            found = none(journal, "rig %d is none of this version: %s" % (serial, problem))
    elif known:
        found = none(journal, "rig %d cannot be read any more" % known)
    else:
        found = none(journal, "no rig was ever programmed")
    recount(journal, found)
    return found


def none(journal: "Journal", why: str):
    """What a board without a rig has in its place."""
    # What stands for motor and head where nothing was ever counted. No step is made by it.
    found = rig.read(
        {
            "rig": {"name": "none"},
            "motor": {"full_steps": 200, "microsteps": 16},
            "driver": {"dir_forward": 1, "enable": 0},
            "head": {"nl_per_rev": 100_000},
            "step": {"sense": "pad"},
        }
    )
    found.missing = why
    words = journal.words
    if words[NL_PER_REV]:
        found.nl_per_rev = words[NL_PER_REV]
        found.steps_per_rev = words[STEPS_PER_REV]
        found.wear_pulses_per_rev = words[PULSES_PER_REV]
    return found
