"""What must be sound before the motor may have power (SAFE-02): the table of checks, and which of them
failed.

The drivers test what only they can reach, before the loop begins (`Inputs.post_failures`); the pump adds what
it knows itself. A failed check keeps the motor off until a reset finds it passed: acknowledging is not
enough.
"""

# In the order of their bits. The number of a check is its code in the event log.
CHECKS = ("ram", "image", "journal", "library", "sensors", "driver", "buzzer", "words")
RAM, IMAGE, JOURNAL, LIBRARY, SENSORS, DRIVER, BUZZER, WORDS = range(len(CHECKS))

# Who has to have done its part in a tick before the watchdog is fed (SAFE-03); bits of `Outputs.checked_in`.
PARTS = ("time", "dose", "link", "watch", "motion", "report")
TIME, DOSE, LINK, WATCH, MOTION, REPORT = (1 << bit for bit in range(len(PARTS)))
ALL_PARTS = (1 << len(PARTS)) - 1


def failed(failures):
    """The names of the checks whose bits are set, for people."""
    return [CHECKS[bit] for bit in range(len(CHECKS)) if failures >> bit & 1]
