"""The one table of alarms, and which of them stand. Rows are in order of urgency."""

HIGH, MEDIUM, LOW = range(3)
PRIORITIES = ("HIGH", "MEDIUM", "LOW")
CONTINUE, KVO, STOP = range(3)
RESPONSES = ("continue", "kvo", "stop")


class Alarm:
    """One row: `latching` alarms stand until acknowledged, the others until their cause is gone."""

    def __init__(self, code, priority, latching, response, text):
        self.code = code
        self.priority = priority
        self.latching = latching
        self.response = response
        self.text = text


ALARMS = (
    Alarm("LOOP_FAULT", HIGH, True, STOP, "the control loop failed"),
    Alarm("RUNAWAY", HIGH, True, STOP, "the motor made more steps than were ordered"),
    Alarm("LIMIT_GUARD", HIGH, True, CONTINUE, "steps were withheld that would have broken the limit"),
    Alarm(
        "LIBRARY_FAULT", HIGH, True, CONTINUE, "the drug library is damaged, no therapy with a drug can start"
    ),
    Alarm("RESERVOIR_EMPTY", HIGH, False, STOP, "the reservoir is empty"),
    Alarm("RESERVOIR_LOW", LOW, False, CONTINUE, "the reservoir is low"),
    Alarm("LONG_STOP", LOW, False, CONTINUE, "the pump has been stopped for a long time"),
    Alarm("MAX_DOSE", LOW, True, CONTINUE, "a bolus was denied that would have broken the limit"),
    Alarm("AUTO_RESUMED", LOW, True, CONTINUE, "delivery was resumed after a reset"),
    Alarm("CLOCK_LOST", LOW, False, CONTINUE, "the time of day is not known"),
)
(
    LOOP_FAULT,
    RUNAWAY,
    LIMIT_GUARD,
    LIBRARY_FAULT,
    RESERVOIR_EMPTY,
    RESERVOIR_LOW,
    LONG_STOP,
    MAX_DOSE,
    AUTO_RESUMED,
    CLOCK_LOST,
) = range(len(ALARMS))


class Alarms:
    """Which alarms stand."""

    def __init__(self):
        self.standing = [False] * len(ALARMS)

    def set(self, row):
        """Raise an alarm; True if it did not stand yet."""
        if self.standing[row]:
            return False
        self.standing[row] = True
        return True

    def clear(self, row):
        """Take an alarm away; True if it stood."""
        if not self.standing[row]:
            return False
        self.standing[row] = False
        return True
