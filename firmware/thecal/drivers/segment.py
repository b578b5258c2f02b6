"""One motion segment in two 32-bit words, as the step state machine (`stepper.py`) executes it.

A segment lasts a number of cycles of 0.1 us and holds `steps` pulses: the first one `first` cycles after its
beginning, the last one `lag` cycles before its end, the others evenly between them. `dose/delivery.py` says
where the ideal edges lie; so the flow is even over the ends of segments too, and every segment still ends on
the grid of the ticks, on which orders, windows and limits are reckoned.

Why so. A word that holds a number of steps and a length, and nothing of where the first one lies, spreads
whole steps over 200 ms: at 6 mL/h edges are then up to 9 ms off. Words that end on an ideal edge would be
even, but come too early by up to 200 ms each, and what waits in the queue would say nothing of the tick any
more. With a second word there is room for both ends: a wait of 16 bits before the first pulse and one after
the last, in units of 3.2 us, and a period of 24 bits in cycles. What the units leave is carried from segment
to segment (`early`), so nothing drifts.

How far off an edge is: 1.6 us by the unit of the first wait; by the period, which is whole cycles, half a
cycle for each step, shared between both ends: 5.3 us at the most where 214 are made in a segment (120 mL/h).

    first word    bits 0-23 q, the period less what the program takes; bits 24-31 steps
    second word   bits 0-15 the wait before the first pulse, bits 16-31 that after the last, in units
"""

from ..signals import EARLY_US

PIO_HZ = 10_000_000  # clock of the step state machine: 125 MHz / 12.5, exact
CYCLES_PER_US = 10
TICK_CYCLES = 1_000_000  # in 100 ms
SEGMENT_CYCLES = 2 * TICK_CYCLES
UNIT_CYCLES = 32  # of the two waits
HALF_UNIT = 16
UNIT_BITS = 5

# Cycle counts of the program in stepper.py, with waits of 0 and q = 0; a pulse of `pulse` cycles of 0.8 us
# is PULSE_CYCLES times as long.
FIRST_CYCLES = 38  # from the beginning to the first edge
PERIOD_CYCLES = 6  # from edge to edge, and a pulse
LAST_CYCLES = 35  # from the last edge to the end, and a pulse
IDLE_CYCLES = 71  # a segment without steps
PULSE_CYCLES = 8

# A pulse is high for so many times 0.8 us: 5.6 us, ten times as long as a spike on a wire beside a motor
# driver (0.5 us), to 23.2 us, which is what the program can make.
LEAST_PULSE = 7
MOST_PULSE = 29
PULSE_CYCLE_NS = 800
LEAST_US = 2_000  # the shortest segment the driver issues after a flush
# A flushed queue is filled while the motor rests and started at a time fixed before. Filling it takes less
# than this.
START_LEAD_US = 4_000

# Counts are 8 bits; 240 in 200 ms are 1 200 a second.
MAX_STEPS = 240
MIN_PERIOD_CYCLES = 4_160  # 416 us: what the motor can follow from rest, for the short segment after a flush


def pulse_cycles(least_ns: int):
    """How long a pulse is for a driver that needs `least_ns`, in PULSE_CYCLE_NS. Raises ValueError where that
    is longer than can be made.
    """
    cycles = (least_ns + PULSE_CYCLE_NS - 1) // PULSE_CYCLE_NS
    if cycles > MOST_PULSE:
        raise ValueError(
            f"a STEP pulse of {least_ns} ns: at most {MOST_PULSE * PULSE_CYCLE_NS} ns can be made"
        )
    return cycles if cycles > LEAST_PULSE else LEAST_PULSE


def us_of(pulse: int):
    """A pulse of so many PULSE_CYCLE_NS in whole microseconds, rounded up."""
    return (pulse * PULSE_CYCLE_NS + 999) // 1_000


def period_cycles(interval_us: int):
    """The shortest period in which no two steps are closer than `interval_us`; MIN_PERIOD_CYCLES at least."""
    cycles = interval_us * CYCLES_PER_US + UNIT_CYCLES  # what the waits may round away
    return cycles if cycles > MIN_PERIOD_CYCLES else MIN_PERIOD_CYCLES


def most_steps(cycles: int, least_cycles: int = MIN_PERIOD_CYCLES):
    """The largest number of steps that a segment of `cycles` may hold, none in less than `least_cycles`."""
    most = cycles // least_cycles
    return most if most < MAX_STEPS else MAX_STEPS


def first_us(left_us: int):
    """How long the first segment after a flush is, that begins when the queue is filled and ends EARLY_US
    before the tick, of which so much is left.
    """
    us = left_us - START_LEAD_US - EARLY_US
    return us if us > LEAST_US else LEAST_US


class Cutter:
    """Cuts segments into words, one after the other: of pulses of so many PULSE_CYCLE_NS, none of two within
    `least_cycles`.
    """

    def __init__(self, pulse: int, least_cycles: int) -> None:
        self.least_cycles = least_cycles
        self.period_cycles = PERIOD_CYCLES + pulse * PULSE_CYCLES
        self.last_cycles = LAST_CYCLES + pulse * PULSE_CYCLES
        self.most = most_steps(SEGMENT_CYCLES, least_cycles)
        self.early = 0  # cycles by which what was cut last ends before its time
        self.steps = 0  # in what was cut last ...
        self.q = 0  # ... and the rest of its words
        self.lead = 0
        self.tail = 0

    def begin(self) -> None:
        """The queue is empty: the next segment begins at its time."""
        self.early = 0

    def cut(self, steps: int, cycles: int, first: int, lag: int):
        """The words of `steps` in `cycles`; fewer, if they would be too close. `first` below 0: evenly from
        the beginning on. Returns how many steps it holds.
        """
        most = self.most if cycles == SEGMENT_CYCLES else most_steps(cycles, self.least_cycles)
        if steps > most:
            steps = most
        cycles += self.early
        if steps == 0:
            self.steps = self.q = self.tail = 0
            self.lead = lead = (cycles - IDLE_CYCLES + HALF_UNIT) >> UNIT_BITS
            self.early = cycles - IDLE_CYCLES - (lead << UNIT_BITS)
            return 0
        at = first + self.early
        if at < FIRST_CYCLES:  # else what is late would grow with each order that asks for more than there is
            at = FIRST_CYCLES
        period = 0
        gaps = steps - 1
        if first >= 0 and gaps:
            span = cycles - lag - at
            period = (span + (gaps >> 1)) // gaps
            at -= (gaps * period - span) >> 1
        if first < 0 or (gaps and period < self.least_cycles):
            if lag > cycles >> 1:
                lag = cycles >> 1
            most = most_steps(cycles - lag, self.least_cycles)
            if steps > most:
                steps = most
                gaps = steps - 1
                if steps == 0:
                    return self.cut(0, cycles - self.early, 0, 0)
            at = period = (cycles - lag) // steps
        lead = (at - FIRST_CYCLES + HALF_UNIT) >> UNIT_BITS
        if lead < 0:
            lead = 0
        rest = cycles - FIRST_CYCLES - (lead << UNIT_BITS) - gaps * period - self.last_cycles
        tail = (rest + HALF_UNIT) >> UNIT_BITS
        if tail < 0:
            tail = 0
        self.early = rest - (tail << UNIT_BITS)
        self.steps = steps
        self.q = period - self.period_cycles if gaps else 0
        self.lead = lead
        self.tail = tail
        return steps

    # --- what the last words make, for who holds a pulse against them

    def first_edge(self) -> int:
        """Cycles from the beginning to the first edge."""
        return FIRST_CYCLES + (self.lead << UNIT_BITS)

    def period(self) -> int:
        """Cycles from edge to edge."""
        return self.q + self.period_cycles

    def length(self) -> int:
        """Cycles from the beginning to the end."""
        waits = self.lead + self.tail << UNIT_BITS
        if self.steps == 0:
            return IDLE_CYCLES + waits
        return FIRST_CYCLES + waits + (self.steps - 1) * self.period() + self.last_cycles
