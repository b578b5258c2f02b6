"""One analogue channel: a value or an error, and when it was taken (OCC-01).

`Reading.update(raw, tick)` is called once a tick with the converter's code, or NO_SAMPLE. What is read then:

    fresh    this tick's sample is good; the only samples that may enter a detector
    value    the last good one, in the channel's unit, as old as `age_ticks(tick)`
    fault    NONE, or what is wrong with the channel. A fault is an error: it never means "no pressure"
    good()   no fault, and there is a value

Between a bad sample and a declared fault the channel is in doubt: `fresh` is False, `value` is the last
good one. Each bad sample adds its `WEIGHT` to the doubt, a good one takes 1 away. A fault is declared at
`_DECLARED`: after five bad samples in a row, ten missing ones, or more than one in five (one in three
missing) for long. It is withdrawn after 20 good samples in a row.

    SHORT, OPEN   the code is at the lower, the upper rail: the wiring must pull an open input up
    RANGE         the value is outside what the sensor can mean
    STALE         ten ticks without a sample
    STUCK         `stuck_samples` equal codes in a row. See below
    NOISE         the mean second difference of codes over 64 samples is above `noise_codes`, three times
                  in a row. Second differences do not see a ramp, so a bolus is not noise. White noise of
                  s codes rms has a mean second difference of 1.95 s.

A healthy sensor is noisy, so an equal code again and again is a dead one. With noise of s codes rms the
next code is the same with a chance of at most erf(0.354 / s): 0.20 at the reference's 2 codes, 0.90 at
0.3 codes, so that 300 equal codes come by chance once in 10^13 starts even at 0.3. Not at the four wide
codes of the RP2040 (erratum E11 of its datasheet), nine codes wide: there 0.976 at the reference's 2
codes, so 300 would come by chance once in 1 600 starts. `WIDE_SAMPLES` is asked for instead: less than
10^-300 at 2 codes, 10^-42 at 1.5 codes.

Errors: none are raised; raw codes are integers, everything stays below 2^30 for |value| below 2^30.
"""

from array import array

from ..smallint import LARGEST
from .parts import NOISE, OPEN, RANGE, SHORT, STALE, STUCK

NONE = 0  # where nothing is wrong; the others are numbers of `parts.KINDS`

NO_SAMPLE = -1
NEVER = -1  # the tick of a value that there is not yet
MOST_CODE = 4095
RAIL_CODES = 8  # so near to 0 or to full scale no sensor is
WIDE_CODES = (512, 1536, 2560, 3584)  # RP2040-E11
STUCK_SAMPLES = 300  # 30 s
WIDE_SAMPLES = 36_000  # 1 h
NOISE_CODES = 32  # eight times what the reference's 2 codes rms give

_DECLARED = 20
# By kind of fault. What has taken its time already is declared at once.
WEIGHT = bytes((0, 4, 4, _DECLARED, 2, 4, _DECLARED))
_NOISE_WINDOW = 64
_NOISY_WINDOWS = 3


# The words of a reading: what it says, what is remembered of the samples before, and what it is judged by.
# The board's own version of `advance` (`drivers/fast_readings.py`) has these numbers written out.
(
    WRONG,  # with the last sample, a fault or not yet
    VALUE,
    TAKEN_TICK,
    FAULT,
    LEAST_VALUE,
    MOST_VALUE,
    ERRORS,
    FAULTS,
    _DOUBT,
    _LAST_CODE,
    _BEFORE_CODE,
    _EQUAL,
    _NOISE,
    _NOISE_SAMPLES,
    _NOISY,
    _ZERO_CODE,
    _UNIT,
    _LOW_CODE,
    _HIGH_CODE,
    _STUCK_SAMPLES,
    _NOISE_SUM,
    _MOST_COUNT,
    _UNIT_DEN,
) = range(23)
WORDS = 23


def advance(words, raw: int, tick: int) -> None:
    """Take in a tick's code, or NO_SAMPLE."""
    kind = STALE if raw == NO_SAMPLE else _judged(words, raw)
    words[WRONG] = kind
    if kind == NONE:
        value = (raw - words[_ZERO_CODE]) * words[_UNIT]
        if words[_UNIT_DEN] > 1:
            value //= words[_UNIT_DEN]
        words[VALUE] = value
        words[TAKEN_TICK] = tick
        if value < words[LEAST_VALUE]:
            words[LEAST_VALUE] = value
        if value > words[MOST_VALUE]:
            words[MOST_VALUE] = value
        if words[_DOUBT]:
            words[_DOUBT] -= 1
            if words[_DOUBT] == 0:
                words[FAULT] = NONE
        return
    if words[ERRORS] < words[_MOST_COUNT]:
        words[ERRORS] += 1
    words[_DOUBT] += WEIGHT[kind]
    if words[_DOUBT] >= _DECLARED or words[FAULT]:
        words[_DOUBT] = _DECLARED
        if words[FAULT] == NONE and words[FAULTS] < words[_MOST_COUNT]:
            words[FAULTS] += 1
        words[FAULT] = kind


def _judged(words, raw: int):
    """What is wrong with a sample that there is."""
    kind = NONE
    last = words[_LAST_CODE]
    before = words[_BEFORE_CODE]
    words[_BEFORE_CODE] = last
    words[_LAST_CODE] = raw
    if before != NO_SAMPLE:
        bend = raw - 2 * last + before
        words[_NOISE] += bend if bend > 0 else -bend
        words[_NOISE_SAMPLES] += 1
        if words[_NOISE_SAMPLES] == _NOISE_WINDOW:
            if words[_NOISE] <= words[_NOISE_SUM]:
                words[_NOISY] = 0
            elif words[_NOISY] < _NOISY_WINDOWS:
                words[_NOISY] += 1
            words[_NOISE] = words[_NOISE_SAMPLES] = 0
        if words[_NOISY] >= _NOISY_WINDOWS:
            kind = NOISE
    if raw != last:
        words[_EQUAL] = 1
    else:
        stuck_samples = words[_STUCK_SAMPLES]
        most = WIDE_SAMPLES if raw in WIDE_CODES else stuck_samples
        if words[_EQUAL] < most:
            words[_EQUAL] += 1
        if stuck_samples > 0 and words[_EQUAL] >= most:
            kind = STUCK
    if words[_LOW_CODE] <= raw <= words[_HIGH_CODE]:
        return kind
    if raw <= RAIL_CODES:
        return SHORT
    if raw >= MOST_CODE - RAIL_CODES:
        return OPEN
    return RANGE


class Reading:
    """`value` = (code - `zero_code`) * `num` / `den`, rounded down, sane from `least` to `most`.
    `stuck_samples` 0: a channel whose code may stand still.
    """

    def __init__(
        self,
        zero_code: int,
        num: int,
        least: int,
        most: int,
        den: int = 1,
        stuck_samples: int = STUCK_SAMPLES,
        noise_codes: int = NOISE_CODES,
    ) -> None:
        self.advance = advance
        words = self.words = array("i", [0] * WORDS)
        words[TAKEN_TICK] = NEVER
        words[_LAST_CODE] = words[_BEFORE_CODE] = NO_SAMPLE
        words[_ZERO_CODE] = zero_code
        words[_UNIT] = num
        words[_UNIT_DEN] = den
        # Codes that are not too near to a rail and mean a value from `least` to `most`.
        words[_LOW_CODE] = max(RAIL_CODES + 1, zero_code - (-least * den // num))
        words[_HIGH_CODE] = min(MOST_CODE - RAIL_CODES - 1, zero_code + (most * den + den - 1) // num)
        words[_STUCK_SAMPLES] = stuck_samples
        words[_NOISE_SUM] = noise_codes * _NOISE_WINDOW
        words[_MOST_COUNT] = LARGEST
        self.forget_extremes()

    def update(self, raw: int, tick: int):
        """A tick's code, or NO_SAMPLE. Returns `fresh`."""
        self.advance(self.words, raw, tick)
        return self.fresh

    def good(self) -> bool:
        """Whether `value` may be believed."""
        return self.words[TAKEN_TICK] != NEVER and self.words[FAULT] == NONE

    def age_ticks(self, tick: int):
        """How old `value` is."""
        return tick - self.words[TAKEN_TICK]

    def forget_extremes(self) -> None:
        """Minimum and maximum begin anew."""
        self.words[LEAST_VALUE] = LARGEST
        self.words[MOST_VALUE] = -LARGEST

    @property
    def fresh(self) -> bool:
        """Whether the last sample was good."""
        return self.words[WRONG] == NONE and self.words[TAKEN_TICK] != NEVER

    @property
    def wrong(self):
        """What is wrong with the last sample, a fault or not yet."""
        return self.words[WRONG]

    @property
    def value(self):
        """The last good one."""
        return self.words[VALUE]

    @property
    def taken_tick(self):
        """When it was taken."""
        return self.words[TAKEN_TICK]

    @property
    def fault(self):
        """NONE, or what is wrong with the channel."""
        return self.words[FAULT]

    @property
    def min_value(self):
        """The least of the good values since `forget_extremes`."""
        return self.words[LEAST_VALUE]

    @property
    def max_value(self):
        """The largest of them."""
        return self.words[MOST_VALUE]

    @property
    def error_count(self):
        """Bad samples ever."""
        return self.words[ERRORS]

    @property
    def fault_count(self):
        """Faults declared ever."""
        return self.words[FAULTS]
