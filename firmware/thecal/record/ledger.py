"""The ledger: a quantum of motion is booked in flash before its first step, so that no cut can make the pump
forget.

`booked_steps` is the position up to which motion may be ordered. Each tick `step` says where the motor is and
how far it has been ordered; when what is booked ahead runs short, the ledger has the journal write a new
reservation, one quantum beyond the motor. After a cut the position is the one last reserved: never below what
was delivered, above it by at most the quantum in force when it was reserved. The difference counts as
delivered, now.

Quantum: the smaller of 60 s of flow and 1 uL, but at least 2 s of motion and at least one step (REC-02). The
motor is ordered 1 s ahead and a reservation takes a tick to be booked and heard of, so a new one is asked for
when no more than `LEAD_TICKS` of motion is booked beyond the motor: at 60 mL/h every 0.6 s, at 5 uL/h every
45 s. It is written down as one record of 32 bytes.

At a lower flow the reservation shrinks to the new quantum, and when the motor rests to where it rests: both
are records of their own, so that a cut then costs no more than it must.
"""

from .layout import DOSE, EXECUTED, MINUTE_TICKS, RESERVED, TICK

QUANTUM_TICKS = 600
LEAST_TICKS = 20
RECORD_TICKS = 4  # what a record may wait for others, and until it is heard of
LEAD_TICKS = 10 + RECORD_TICKS  # the motor's queue before that
ERASE_TICKS = 17  # before an erase: the queue, what it may last, and then a record


class Ledger:
    """On a journal that has recovered; `most_steps` are the greatest quantum, 1 uL at the most. The position
    is that of the journal: the caller's `executed_steps` go on from there. The motor may come to rest
    `behind_steps` before what is booked, since its next step would displace more. Of what was found
    `unsure_steps` may not have been made.
    """

    def __init__(self, journal, most_steps: int, behind_steps: int = 0) -> None:
        self.journal = journal
        self.most_steps = most_steps
        self.behind_steps = behind_steps
        words = journal.words
        # What was reserved counts as executed and as dose.
        self.unsure_steps = words[RESERVED] - words[EXECUTED]
        words[DOSE] += self.unsure_steps
        words[EXECUTED] = words[RESERVED]
        self.booked_steps = words[RESERVED]
        self.quantum_steps = 1
        self.record_steps = 0
        self.lead_steps = 0
        self.erase_lead_steps = 0
        self._steps = 0
        self._grains = 0

    def set_flow(self, rate_steps: int, rate_grains: int, grains_per_step: int) -> None:
        """The total flow, whole microsteps and grains per tick: the larger of what the motor is ordered to do
        and of what is planned next, so call it for a lower one when the higher has left the queue.
        """
        self._flow(rate_steps, rate_grains, grains_per_step, QUANTUM_TICKS)
        quantum = min(self._steps, self.most_steps)
        self._flow(rate_steps, rate_grains, grains_per_step, LEAST_TICKS)
        self.quantum_steps = max(quantum, self._steps + (1 if self._grains else 0), 1) + self.behind_steps
        self._flow(rate_steps, rate_grains, grains_per_step, RECORD_TICKS)
        self.record_steps = self._steps
        self._flow(rate_steps, rate_grains, grains_per_step, LEAD_TICKS)
        self.lead_steps = self._steps + self.behind_steps
        self._flow(rate_steps, rate_grains, grains_per_step, ERASE_TICKS)
        self.erase_lead_steps = self._steps + self.behind_steps

    def _flow(self, rate_steps: int, rate_grains: int, one: int, ticks: int) -> None:
        """What flows in `ticks` as `_steps` and `_grains`, exact, by doubling: no product leaves the small
        integers.
        """
        steps = grains = 0
        bit = 512
        while bit:
            steps += steps
            grains += grains
            if grains >= one:
                grains -= one
                steps += 1
            if ticks & bit:
                steps += rate_steps
                grains += rate_grains
                if grains >= one:
                    grains -= one
                    steps += 1
            bit >>= 1
        self._steps = steps
        self._grains = grains

    def heard(self) -> None:
        """After `journal.heard`: takes what is booked."""
        self.booked_steps = self.journal.state.booked()

    def step(self, tick: int, executed_steps: int, ordered_steps: int, dose_steps: int, moving: bool) -> None:
        """After the tick's orders: what the motor has done by `tick`, how far it is ordered, and what of it
        was dose (since the first boot); `moving` unless it rests with its queue empty.
        """
        words = self.journal.words
        minute = words[TICK] // MINUTE_TICKS
        if tick // MINUTE_TICKS != minute:
            self.journal.history_writer.close_minute(minute, words[DOSE])
        words[TICK] = tick
        words[EXECUTED] = executed_steps
        words[DOSE] = dose_steps
        reserved = words[RESERVED]
        if moving:
            target = executed_steps + self.quantum_steps
            lead = self.erase_lead_steps if self.journal.state.erase_due() else self.lead_steps
            if target > reserved:
                if reserved - executed_steps > lead:
                    return
            else:
                # What is ordered, and the first steps after it: they come before a record can.
                target = max(target, min(ordered_steps + self.record_steps + 1, reserved))
        else:
            target = executed_steps
        if target != reserved:
            words[RESERVED] = target
            self.journal.state.reserve()

    def covers_erase(self) -> bool:
        """Whether the motion that is booked lasts through an erase."""
        return self.booked_steps - self.journal.words[EXECUTED] >= self.erase_lead_steps
