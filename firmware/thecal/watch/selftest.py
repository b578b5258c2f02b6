"""What has to have been done in a tick before the watchdog is fed (SAFE-03).

What must be sound before the motor may have power (SAFE-02) is in `parts`: the drivers test what only they
can reach, before the loop begins (`Inputs.post_failures`); the pump adds what it knows itself. A failed check
keeps the motor off until a reset finds it passed: acknowledging is not enough.
"""

# Bits of `Outputs.checked_in`.
PARTS = ("time", "dose", "link", "watch", "motion", "report")
TIME, DOSE, LINK, WATCH, MOTION, REPORT = (1 << bit for bit in range(len(PARTS)))
ALL_PARTS = (1 << len(PARTS)) - 1
