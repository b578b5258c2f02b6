"""Why the state of the pump changed, or why an order was refused: one table. Why the board was reset: one
more.

The `cause` of a state event and the reason of a denial are numbers of the first. The reasons for denying a
bolus stand in the order in which they are looked at (LIM-02). The cause of a boot event is a number of the
second (`drivers/reset.py`).
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
    "cancelled",
    "stop_held",
)
POWER_ON, SELF_TEST, COMMAND, ALARM, ILLEGAL_MOVE, RESUME = range(6)
NOT_RUNNING, BRIDGE, BOLUS_ACTIVE, LOCKOUT, MAX_PER_DAY, MAX_DOSE, RESERVOIR, PRESCRIPTION = range(6, 14)
CANCELLED, STOP_HELD = range(14, len(CAUSES))
GRANTED = -1

# Power came, or RUN was pulled; a loop that hung; a reset from the prompt or the boot loader; a loop that
# failed again and again.
RESET_CAUSES = ("power", "watchdog", "command", "fault")
RESET_POWER, RESET_WATCHDOG, RESET_COMMAND, RESET_FAULT = range(len(RESET_CAUSES))
