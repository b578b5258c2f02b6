"""Why the state of the pump changed, or why an order was refused: one table. Why the board was reset: one
more.

The `cause` of a state event and the reason of a denial are numbers of the first. The reasons for denying a
bolus stand in the order in which they are looked at (LIM-02). The reason of a reply is its name; to people
the log says its text, the pump itself a sentence with value and bound (LIM-15). The cause of a boot event is
a number of the second (`drivers/reset.py`).
"""

# Name and, of a reason to say no, what it means.
TABLE = (
    ("power_on", ""),
    ("self_test", ""),
    ("command", ""),
    ("alarm", ""),
    ("illegal_move", ""),
    ("resume", ""),
    # a bolus, in this order
    ("not_running", "the pump was not running"),
    ("not_prescribed", "no patient bolus is prescribed"),
    ("bridge", "the line still held the drug of before"),
    ("bolus_active", "a bolus was flowing"),
    ("lockout", "the lockout after the last bolus was not over"),
    ("max_per_day", "as many boluses as a day may have were given"),
    ("library", "beyond a bound of the drug library"),
    ("max_dose", "it would have passed the limit of a window"),
    ("reservoir", "the reservoir would have been empty before its end"),
    # anything else
    ("prescription", "what was asked for cannot be given"),
    ("already_running", "the pump was running already"),
    ("not_stopped", "the pump was not stopped"),
    ("not_acknowledged", "the pump was halted, and not acknowledged yet"),
    ("no_therapy", "no therapy with a flow is programmed"),
    ("empty", "the reservoir was empty"),
    ("self_test_failed", "the self-test has failed"),
    ("library_damaged", "the drug library is damaged"),
    ("three_strikes", "it was the third start after the same alarm"),
    ("history", "what was given before leaves no room for the basal yet"),
    ("not_proposed", "nothing of that digest was proposed"),
    ("not_accepted", "a soft limit was not accepted by its name"),
    ("no_new_line", "the line was full, and what is primed would have been a dose"),
    ("journal_in_use", "the flash holds a journal that can be gone on with"),
    ("not_kept", "the pump does not keep it"),
    ("cancelled", "it was cancelled before its turn"),
    ("stop_held", "the STOP button was held down"),
    ("count_end", "a count is near its end"),
    ("not_rested", "the pump has not rested for a day"),
    ("drug_in_line", "the line held a drug"),
    ("connected", "nobody has confirmed that no patient is connected"),
    ("no_rig", "the pump did not know what hangs on its pins"),
    ("bad_rig", "no pump can be built on such a rig"),
    ("alarm_stands", "an alarm stood of a part that the rig would be without"),
    ("paired", "the pump had keys already"),
    ("unpaired", "the pump had no keys"),
    ("no_hand", "nobody pressed STOP at the pump, or fitted its jumper"),
    ("keys_wait", "other keys waited for a hand at the pump, or were being written"),
)
CAUSES = tuple([name for name, _ in TABLE])
POWER_ON, SELF_TEST, COMMAND, ALARM, ILLEGAL_MOVE, RESUME = range(6)
NOT_RUNNING, NOT_PRESCRIBED, BRIDGE, BOLUS_ACTIVE, LOCKOUT, MAX_PER_DAY, OVER_LIBRARY = range(6, 13)
MAX_DOSE, RESERVOIR, PRESCRIPTION, ALREADY_RUNNING, NOT_STOPPED, NOT_ACKNOWLEDGED = range(13, 19)
NO_THERAPY, EMPTY, SELF_TEST_FAILED, LIBRARY_DAMAGED, THREE_STRIKES, HISTORY = range(19, 25)
NOT_PROPOSED, NOT_ACCEPTED, NO_NEW_LINE, JOURNAL_IN_USE, NOT_KEPT = range(25, 30)
CANCELLED, STOP_HELD, COUNT_END, NOT_RESTED, DRUG_IN_LINE, CONNECTED = range(30, 36)
NO_RIG, BAD_RIG, ALARM_STANDS, PAIRED, UNPAIRED, NO_HAND, KEYS_WAIT = range(36, len(TABLE))
GRANTED = -1


class Refused(Exception):
    """What was ordered is not done: `cause` is a number of the table, `text` the sentence that says so."""

    def __init__(self, cause: int, text: str) -> None:
        super().__init__(text)
        self.cause = cause
        self.text = text


# Power came, or RUN was pulled; a loop that hung; a reset from the prompt or the boot loader; a loop that
# failed again and again.
RESET_CAUSES = ("power", "watchdog", "command", "fault")
RESET_POWER, RESET_WATCHDOG, RESET_COMMAND, RESET_FAULT = range(len(RESET_CAUSES))
