"""Counts that only ever grow, and their end.

All numbers of the steady loop are small integers, below 2^30. At the reference's 31.25 nL a microstep, 2^30
of them are 33.5 L, 23 days at 60 mL/h; 2^30 ticks are 3.4 years; so many records or events take longer still.
A count that went beyond would make nothing flow under a name that is not its own. So the pump stops well
before (COUNT_END), and says SERVICE_DUE half-way at the latest: by then the head is worn (RES-04: 10 L), or
two years old; a rig of finer steps comes there sooner. The way on is a new head and `begin_anew`, which
forgets all.

The margins are what positions and times may lie ahead of now:

    positions   a day at 1 200 steps a second, the most that any rig makes, are 103 680 000, and a line holds
                30 000 000 at most (`dose.mechanism`): less than 2^27. END_STEPS is 29.3 L of the reference,
                and 9.3 mL of the finest rig that there can be
    ticks       a week (the schedule's phase) and a day (a lockout): less than 2^23. END_TICKS is 3.38 years
    numbers     of events and records: one beyond 2^30 stops the loop; 2^20 of them are days
"""

LIMIT = 1 << 30
END_STEPS = LIMIT - (1 << 27)
END_TICKS = LIMIT - (1 << 23)
END_NUMBERS = LIMIT - (1 << 20)
EARLY = LIMIT >> 2  # below it nothing is half-way


class Counts:
    """How far the counts are, as of the last `look`."""

    def __init__(self) -> None:
        self.due = False  # one of them is half-way to its end
        self.ended = False  # or at it

    def look(
        self, tick: int, executed_steps: int, dose_steps: int, pulses: int, events, sequence: int
    ) -> None:
        """The counts of a tick: ticks, microsteps made, those of dose, pulses of the rotor, events of the
        log, the number of the journal's next record.
        """
        if (
            tick < EARLY
            and executed_steps < EARLY
            and dose_steps < EARLY
            and pulses < EARLY
            and events < EARLY
            and sequence < EARLY
        ):
            self.ended = self.due = False
            return
        self.ended = (
            tick >= END_TICKS
            or executed_steps >= END_STEPS
            or dose_steps >= END_STEPS
            or pulses >= END_STEPS
            or events >= END_NUMBERS
            or sequence >= END_NUMBERS
        )
        self.due = (
            self.ended
            or tick >= END_TICKS >> 1
            or executed_steps >= END_STEPS >> 1
            or dose_steps >= END_STEPS >> 1
            or pulses >= END_STEPS >> 1
            or events >= END_NUMBERS >> 1
            or sequence >= END_NUMBERS >> 1
        )
