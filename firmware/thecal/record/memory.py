"""What a reset must not make the pump forget, for a pump without a journal: kept in memory.

The bench holds a `Memory` over a reset of an in-process pump that has no flash, as a power supply would hold
a RAM. The board has a journal instead (`keeper.py`).
"""

# Attributes of the pump. What is not here is rebuilt: plans, queues, the link.
KEPT = (
    "state",
    "tick",
    "tick_s",
    "tick_ms",
    "executed_steps",
    "ledger_steps",
    "ledger",
    "lockout",
    "reservoir",
    "alarms",
    "prescription",
    "library",
    "line_primed",
    "bridge",
    "therapies",
    "bolus_nl",
    "bolus_given_nl",
    "log",
    "rotor_pulses",
    "resets",
)


class Memory:
    """The kept attributes of one pump, as they were when it stopped."""

    def __init__(self, pump):
        for name in KEPT:
            setattr(self, name, getattr(pump, name))

    def restore(self, pump):
        """Give them to a pump that has just been built."""
        for name in KEPT:
            setattr(pump, name, getattr(self, name))
