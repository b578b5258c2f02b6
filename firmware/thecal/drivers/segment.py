"""One motion segment in one 32-bit word, as the step state machine (`stepper.py`) executes it.

A segment lasts `units` of 3.2 us and holds `steps` pulses, evenly spread: a pulse comes a quarter of a period
after the period's start, so none falls near a tick boundary. Periods are whole units; where the time does not
divide, the first ones are one unit longer. The bench computes the same edges from the same word
(`first_edge_cycles` and so on), so that a pulse on the emulated chip and a step in the in-process board can
be held against one schedule.

Word: bits 0-15 `q` (period in units less `PERIOD_UNITS`), bits 16-23 long periods, bits 24-31 short periods.
"""

PIO_HZ = 1_250_000  # clock of the step state machine: 125 MHz / 100, exact
UNIT_CYCLES = 4  # PIO cycles per unit: 3.2 us
TICK_UNITS = 31_250  # units in 100 ms
SEGMENT_UNITS = 62_500  # units in 200 ms; fits the 16 bits of q

# Cycle counts of the program in stepper.py, in units: a short period takes q + 12, a long one q + 13, a
# segment with steps one unit more than its periods, one without q + 5.
PERIOD_UNITS = 12
STEPPING_UNITS = 1
IDLE_UNITS = 5
# A pulse is high for so many cycles of 0.8 us: 5.6 us, ten times as long as a spike on a wire beside a motor
# driver (0.5 us), to 23.2 us, which is what the program can make.
LEAST_PULSE = 7
MOST_PULSE = 29
PULSE_CYCLE_NS = 800
MIN_UNITS = 625  # 2 ms: the shortest segment the driver issues after a flush
UNITS_PER_16_US = 5
# A flushed queue is filled while the motor rests and started at a time fixed before, so that the first
# segment ends on the tick to a few microseconds. Filling it takes less than this.
START_LEAD_US = 4_000

# Counts are 8 bits. 240 in 200 ms (1 200 a second) keeps the shift that the longer first periods cause below
# a quarter of a period (60 units of 260), so at mid-segment, on a tick, the right number of steps has been
# made.
MAX_STEPS = 240
MIN_PERIOD_UNITS = 130  # 416 us: what the motor can follow from rest, for the short segment after a flush


def pulse_cycles(least_ns: int):
    """How long a pulse is for a driver that needs `least_ns`, in cycles. Raises ValueError where that is
    longer than can be made.
    """
    cycles = (least_ns + PULSE_CYCLE_NS - 1) // PULSE_CYCLE_NS
    if cycles > MOST_PULSE:
        raise ValueError(
            f"a STEP pulse of {least_ns} ns: at most {MOST_PULSE * PULSE_CYCLE_NS} ns can be made"
        )
    return cycles if cycles > LEAST_PULSE else LEAST_PULSE


def us_of(cycles: int):
    """So many cycles of the step machine in whole microseconds, rounded up."""
    return (cycles * PULSE_CYCLE_NS + 999) // 1_000


def period_units(interval_us: int):
    """The shortest period, in units, in which no two steps are closer than `interval_us`; MIN_PERIOD_UNITS at
    least. One more than that is long, as what does not divide is taken from some periods.
    """
    units = -(-interval_us * UNITS_PER_16_US // 16) + 1
    return units if units > MIN_PERIOD_UNITS else MIN_PERIOD_UNITS


def most_steps(units: int, least_units: int = MIN_PERIOD_UNITS):
    """The largest number of steps that a segment of `units` may hold, none in less than `least_units`."""
    most = units // least_units
    return most if most < MAX_STEPS else MAX_STEPS


def first_units(left_us: int):
    """How long the first segment after a flush is, that begins when the queue is filled and ends with the
    tick, of which so much is left.
    """
    units = (left_us - START_LEAD_US) * UNITS_PER_16_US // 16
    return units if units > MIN_UNITS else MIN_UNITS


def word_high(steps: int, units: int):
    """Bits 16-31 of the word: long periods in the low byte, short ones in the high byte. Below 2^16."""
    if steps == 0:
        return 0
    long_periods = (units - STEPPING_UNITS) % steps
    return long_periods | (steps - long_periods) << 8


def word_low(steps: int, units: int):
    """Bits 0-15 of the word: q. Below 2^16 for `units` up to 65 538."""
    if steps == 0:
        return units - IDLE_UNITS
    return (units - STEPPING_UNITS) // steps - PERIOD_UNITS


def edge_cycles(index: int, steps: int, units: int) -> int:
    """When pulse `index` (0 .. steps - 1) rises, in PIO cycles after the segment's start."""
    period = (units - STEPPING_UNITS) // steps
    long_periods = (units - STEPPING_UNITS) % steps
    if index < long_periods:
        return period + 2 + index * (period + 1) * UNIT_CYCLES
    return period + 4 + (long_periods * (period + 1) + (index - long_periods) * period) * UNIT_CYCLES


def edges_by(cycles: int, steps: int, units: int):
    """How many pulses have risen `cycles` PIO cycles after the segment's start (one that rises just then
    counts).
    """
    if steps == 0:
        return 0
    period = (units - STEPPING_UNITS) // steps
    long_periods = (units - STEPPING_UNITS) % steps
    cycles -= period + 2
    if cycles < 0:
        return 0
    done = cycles // ((period + 1) * UNIT_CYCLES) + 1
    if done <= long_periods:
        return done
    cycles -= 2 + long_periods * (period + 1) * UNIT_CYCLES
    if cycles < 0:
        return long_periods
    done = long_periods + cycles // (period * UNIT_CYCLES) + 1
    return done if done < steps else steps
