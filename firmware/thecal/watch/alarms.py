"""The one table of alarms, which of them stand, and whether they are heard.

Read the table first: one row per alarm, in order of urgency among those of one priority. Then `Alarms`, which
the pump tells what happens (`set`, `clear`, `pause_audio`, `stop`, ...) and asks what to show (`annunciated`,
`after`) and whether to sound (`sounding`). It makes no sound and stops no motor itself.

Time is the pump's tick of 100 ms, taken in once per tick by `advance`; all else happens at that tick. Nothing
allocates after construction and nothing raises, but for a row that is not in the table (IndexError).

Priorities follow IEC 60601-1-8's rule (how bad, how soon): what can harm soon is HIGH, what harms by going on
for hours is MEDIUM, what only has to be known is LOW. Responses are ALM-08's. Numbers:
- An audio pause lasts 2 min unless the profile says otherwise, and never more than 10 (ALM-04).
- After a stop a HIGH alarm whose cause is still there is heard again after 8 s; ALM-05 wants it within 10.
- LONG_STOP rises to HIGH when it has stood for half a day (own choice: the pump has then rested for a day).
- The third start within 10 min after the same alarm and stop is not to be obeyed (ALM-06).
"""

from ..clock import TICKS_PER_MIN
from ..table import Table

HIGH, MEDIUM, LOW = range(3)
PRIORITIES = ("HIGH", "MEDIUM", "LOW")
CONTINUE, KVO, STOP = range(3)
RESPONSES = ("continue", "kvo", "stop")

PAUSE_TICKS = 2 * TICKS_PER_MIN
MOST_PAUSE_TICKS = 10 * TICKS_PER_MIN
RESOUND_TICKS = 80
STRIKE_TICKS = 10 * TICKS_PER_MIN


class Alarm:
    """One row: what its `clears` says takes it away; those that are `latching` stand until acknowledged.

    One that stands for `rises_ticks` becomes HIGH (0: never).
    """

    def __init__(
        self, code, priority: str, response: str, text: str, clears="acknowledge", rises_ticks: int = 0
    ) -> None:
        self.code = code
        self.priority = PRIORITIES.index(priority)
        self.latching = clears.startswith("acknowledge")
        self.response = RESPONSES.index(response)
        self.clears = clears
        self.text = text
        self.rises_ticks = rises_ticks


ALARMS = Table(
    Alarm,
    (
        # The pump itself cannot be trusted.
        ("LOOP_FAULT", "HIGH", "stop", "the control loop failed"),
        ("MEMORY_FAULT", "HIGH", "stop", "numbers that the dose depends on changed in memory"),
        ("JOURNAL_FAULT", "HIGH", "stop", "what must not be forgotten cannot be written down, or read"),
        ("POST_FAILED", "HIGH", "stop", "a self-test failed"),
        ("RESET_LOOP", "HIGH", "stop", "the pump was reset too often"),
        # Too much flows.
        ("RUNAWAY", "HIGH", "stop", "the motor made more steps than were ordered"),
        ("FREE_FLOW", "HIGH", "stop", "the rotor turns without orders"),
        ("OVER_INFUSION", "HIGH", "stop", "more was delivered than was owed"),
        ("LIMIT_GUARD", "HIGH", "continue", "steps were withheld that would have broken the limit"),
        # Nothing flows, or not what should.
        ("AIR", "HIGH", "stop", "there is air in the line"),
        ("OCCLUSION_DOWN", "HIGH", "stop", "the line to the patient is blocked"),
        ("OCCLUSION_UP", "HIGH", "stop", "the line from the reservoir is blocked"),
        ("STALL", "HIGH", "stop", "the motor is driven and the rotor does not turn"),
        ("DRIVER_FAULT", "HIGH", "stop", "the motor driver reports a fault"),
        ("SENSOR_FAULT", "HIGH", "stop", "a sensor gives no reading that can be believed"),
        ("SUPPLY_CRITICAL", "HIGH", "stop", "the supply is about to fail"),
        ("THREE_STRIKES", "HIGH", "stop", "started again three times after the same alarm"),
        (
            "LIBRARY_FAULT",
            "HIGH",
            "continue",
            "the drug library is damaged, no therapy with a drug can start",
            "acknowledge, or a sound library",
        ),
        ("RESERVOIR_EMPTY", "HIGH", "stop", "the reservoir is empty", "refill, or a lower level"),
        ("COUNT_END", "HIGH", "stop", "a count is near its end: service, and begin anew", "begin_anew"),
        # What flows is too little: stopping would make it worse.
        ("UNDER_INFUSION", "MEDIUM", "continue", "less was delivered than was owed"),
        # What ought to flow cannot be started.
        (
            "STOP_HELD",
            "MEDIUM",
            "continue",
            "the STOP button has been held down for a minute, nothing can start",
            "STOP released",
        ),
        # To be known, and looked after.
        ("SUPPLY_LOW", "LOW", "continue", "the supply is low", "supply back"),
        ("RESERVOIR_LOW", "LOW", "continue", "the reservoir is low", "refill, or a lower level"),
        (
            "LONG_STOP",
            "LOW",
            "continue",
            "the pump has been stopped for a long time",
            "any change of state",
            432_000,  # half a day
        ),
        ("MAX_DOSE", "LOW", "continue", "a bolus was denied that would have broken the limit"),
        ("AUTO_RESUMED", "LOW", "continue", "delivery was resumed after a reset"),
        ("BAD_AUTH", "LOW", "continue", "a command came with a false signature, or a stop with none"),
        ("CLOCK_LOST", "LOW", "continue", "the time of day is not known", "set_time"),
        ("SERVICE_DUE", "LOW", "continue", "the pump head has made the turns it is good for", "service"),
    ),
)
(
    LOOP_FAULT,
    MEMORY_FAULT,
    JOURNAL_FAULT,
    POST_FAILED,
    RESET_LOOP,
    RUNAWAY,
    FREE_FLOW,
    OVER_INFUSION,
    LIMIT_GUARD,
    AIR,
    OCCLUSION_DOWN,
    OCCLUSION_UP,
    STALL,
    DRIVER_FAULT,
    SENSOR_FAULT,
    SUPPLY_CRITICAL,
    THREE_STRIKES,
    LIBRARY_FAULT,
    RESERVOIR_EMPTY,
    COUNT_END,
    UNDER_INFUSION,
    STOP_HELD,
    SUPPLY_LOW,
    RESERVOIR_LOW,
    LONG_STOP,
    MAX_DOSE,
    AUTO_RESUMED,
    BAD_AUTH,
    CLOCK_LOST,
    SERVICE_DUE,
) = range(len(ALARMS))

USUAL = bytes([alarm.priority for alarm in ALARMS])  # the priority of each row
RISING = tuple([(row, ALARMS[row].rises_ticks) for row in range(len(ALARMS)) if ALARMS[row].rises_ticks])
NONE = -1  # no row, no tick


class Alarms:
    """Which alarms stand, which of them is shown and whether it is heard."""

    def __init__(self) -> None:
        rows = len(ALARMS)
        self.tick = 0
        self.standing = [False] * rows
        self.bits = 0  # the same, a bit for each row
        self.priority = list(USUAL)  # as it is now: it may have risen
        self.raised_tick = [0] * rows
        self.first = NONE  # the most urgent row that stands
        self.first_cause = NONE  # the first row that was HIGH since the clinician cleared this
        self.paused = False  # the silence is an audio pause
        self.quiet_until_tick = 0  # no sound before that
        # On the way alarm, stop, start: a bit for each row.
        self.raised_bits = 0  # since the last start
        self.stopped_bits = 0  # and then the pump stopped
        self.struck = NONE  # the row last started after
        self.strike_tick = [NONE] * rows  # of the last start after this alarm and a stop ...
        self.strike_before_tick = [NONE] * rows  # ... and of the one before

    # --- what happens

    def advance(self, tick: int):
        """It is `tick` now. Returns the row that has just risen to HIGH, or -1."""
        self.tick = tick
        if tick >= self.quiet_until_tick:
            self.paused = False
        for row, rises_ticks in RISING:
            if (
                self.standing[row]
                and self.priority[row] != HIGH
                and tick - self.raised_tick[row] >= rises_ticks
            ):
                self.priority[row] = HIGH
                self._new(row)
                return row
        return NONE

    def set(self, row: int) -> bool:
        """Raise an alarm; True if it did not stand yet."""
        if self.standing[row]:
            return False
        self.standing[row] = True
        self.bits |= 1 << row
        self.raised_tick[row] = self.tick
        if not self.stopped_bits >> row & 1:
            self.raised_bits |= 1 << row
        self._new(row)
        return True

    def clear(self, row: int) -> bool:
        """Take an alarm away; True if it stood."""
        if not self.standing[row]:
            return False
        self.standing[row] = False
        self.bits &= ~(1 << row)
        self.priority[row] = USUAL[row]
        self.first = self.after(NONE)
        if self.first == NONE:
            self._end_silence()
        return True

    def clear_first_cause(self) -> None:
        """The clinician has read it: the next alarm that becomes HIGH is the first of a new episode."""
        self.first_cause = NONE

    def pause_audio(self, ticks: int = PAUSE_TICKS) -> bool:
        """Silence for so long, 10 min at most. False if nothing stands, if a pause is running (none is
        prolonged), or if the profile allows none.
        """
        if self.first == NONE or self.paused or ticks <= 0:
            return False
        self.paused = True
        self.quiet_until_tick = self.tick + min(ticks, MOST_PAUSE_TICKS)
        return True

    def stop(self) -> None:
        """Somebody pressed or commanded stop, in whatever state: silence, for seconds only while an alarm is
        HIGH. It prolongs no silence.
        """
        if self.first == NONE:
            return
        self.paused = False
        high = self.priority[self.first] == HIGH
        until_tick = self.tick + (RESOUND_TICKS if high else PAUSE_TICKS)
        if not self.tick < self.quiet_until_tick < until_tick:
            self.quiet_until_tick = until_tick

    def motion_stopped(self) -> None:
        """The pump does not deliver any more, whatever the cause."""
        self.stopped_bits |= self.raised_bits
        self.raised_bits = 0

    def third_start(self):
        """Somebody wants the pump to start. True if it is the third time in 10 min that this comes after the
        same alarm and a stop: it must stay stopped.
        """
        third = False
        for row in range(len(ALARMS)):
            if self.stopped_bits >> row & 1:
                before = self.strike_before_tick[row]
                if before != NONE and self.tick - before <= STRIKE_TICKS:
                    third = True
                self.strike_before_tick[row] = self.strike_tick[row]
                self.strike_tick[row] = self.tick
                self.struck = row
        self.raised_bits = 0
        self.stopped_bits = 0
        if third:
            self.struck = NONE
            for row in range(len(ALARMS)):
                self.strike_before_tick[row] = NONE
                self.strike_tick[row] = NONE
        return third

    # --- what is shown and heard

    def annunciated(self):
        """The row to annunciate: of those that stand with the highest priority the first in the table; -1 if
        none stands.
        """
        return self.first

    def after(self, row: int):
        """The row that is shown after `row`, -1 after the last one. `after(-1)` is the first."""
        following = NONE
        for other in range(len(ALARMS)):
            if (
                self.standing[other]
                and (row == NONE or self._more_urgent(row, other))
                and (following == NONE or self._more_urgent(other, following))
            ):
                following = other
        return following

    def sounding(self) -> bool:
        """Whether what is annunciated is to be heard."""
        return self.first != NONE and self.tick >= self.quiet_until_tick

    # --- within

    def _new(self, row: int) -> None:
        priority = self.priority[row]
        if self.first == NONE or priority <= self.priority[self.first]:
            # Measured against what still stands, which may be less than what stood when the silence began.
            self._end_silence()
        if priority == HIGH and self.first_cause == NONE:
            self.first_cause = row
        self.first = self.after(NONE)

    def _end_silence(self) -> None:
        self.paused = False
        self.quiet_until_tick = self.tick

    def _more_urgent(self, row: int, other) -> bool:
        if self.priority[row] == self.priority[other]:
            return row < other
        return self.priority[row] < self.priority[other]
