"""The one table of what can fail by itself: the parts of the pump, and how they fail.

Whoever finds a part wrong names it by its number here: the self-test (SAFE-02; the drivers in
`Inputs.post_failures`), the readings, the rotor's watch. The log has the number and the kind as numbers of an
event, the status frame a bit for each part, the link and people the names.

`Failed` remembers which parts were found wrong until the clinician has acknowledged it: an alarm that stands
says what it is about, though a wire that makes contact only now and then makes it again meanwhile. What is
still wrong then is found again in the next tick.
"""

PARTS = (
    "ram",
    "image",
    "journal",
    "library",
    "driver",
    "buzzer",
    "words",
    "pressure_down",
    "pressure_up",
    "supply",
    "encoder",
    "index",
    "step_sense",
)
(
    RAM,
    IMAGE,
    JOURNAL,
    LIBRARY,
    DRIVER,
    BUZZER,
    WORDS,
    PRESSURE_DOWN,
    PRESSURE_UP,
    SUPPLY,
    ENCODER,
    INDEX,
    STEP_SENSE,
) = range(len(PARTS))

# Of `FAILED` no more is known. The next six are those of a reading (`readings` says when); pulses or marks
# are MISSING where some were due, EXTRA where none were.
KINDS = ("failed", "open", "short", "stuck", "stale", "range", "noise", "missing", "extra")
FAILED, OPEN, SHORT, STUCK, STALE, RANGE, NOISE, MISSING, EXTRA = range(len(KINDS))


def names(bits: int):
    """The names of the parts whose bits are set, for people."""
    return [PARTS[part] for part in range(len(PARTS)) if bits >> part & 1]


class Failed:
    """Which parts were found wrong and how, since it was acknowledged. `bits` has one for each part."""

    def __init__(self) -> None:
        self.bits = 0
        self.untold = 0  # those of them that no event has told of yet
        self.kinds = [FAILED] * len(PARTS)  # how each was found wrong first

    def found(self, part, kind: int) -> None:
        """A part is wrong, as it may have been before."""
        if not self.bits >> part & 1:
            self.bits |= 1 << part
            self.untold |= 1 << part
            self.kinds[part] = kind

    def tell(self):
        """A part that is still to be told of, which is told of with that; -1 when there is none."""
        for part in range(len(PARTS)):
            if self.untold >> part & 1:
                self.untold &= ~(1 << part)
                return part
        return -1

    def forget(self) -> None:
        """The clinician knows."""
        self.bits = self.untold = 0
