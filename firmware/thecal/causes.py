"""Why the state of the pump changed, or why an order was refused: one table.

The `cause` of a state event and the reason of a denial are numbers of this table. The reasons for denying a
bolus stand in the order in which they are looked at (LIM-02).
"""

CAUSES = (
    "power_on",
    "self_test",
    "command",
    "alarm",
    "illegal_move",
    "resume",
    "not_running",
    "bridge",
    "bolus_active",
    "lockout",
    "max_per_day",
    "max_dose",
    "reservoir",
    "prescription",
)
POWER_ON, SELF_TEST, COMMAND, ALARM, ILLEGAL_MOVE, RESUME = range(6)
NOT_RUNNING, BRIDGE, BOLUS_ACTIVE, LOCKOUT, MAX_PER_DAY, MAX_DOSE, RESERVOIR, PRESCRIPTION = range(
    6, len(CAUSES)
)
GRANTED = -1
