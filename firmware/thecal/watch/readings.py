"""One analogue channel: a value or an error, and when it was taken (OCC-01).

`Reading.update(raw, tick)` is called once a tick with the converter's code, or NO_SAMPLE. What is read then:

    fresh    this tick's sample is good; the only samples that may enter a detector
    value    the last good one, in the channel's unit, as old as `age_ticks(tick)`
    fault    NONE, or what is wrong with the channel. A fault is an error: it never means "no pressure"
    good()   no fault, and there is a value

Between a bad sample and a declared fault the channel is in doubt: `fresh` is False, `value` is the last
good one. Each bad sample adds its `_WEIGHT` to the doubt, a good one takes 1 away. A fault is declared at
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
_WEIGHT = (0, 4, 4, _DECLARED, 2, 4, _DECLARED)
_NOISE_WINDOW = 64
_NOISY_WINDOWS = 3


class Reading:
    """`value` = (code - `zero_code`) * `unit_per_code`, sane from `least` to `most`. `stuck_samples` 0: a
    channel whose code may stand still.
    """

    def __init__(
        self, zero_code, unit_per_code, least, most, stuck_samples=STUCK_SAMPLES, noise_codes=NOISE_CODES
    ):
        self.zero_code = zero_code
        self.unit_per_code = unit_per_code
        # Codes that are not too near to a rail and mean a value from `least` to `most`.
        self.low_code = max(RAIL_CODES + 1, zero_code - (-least // unit_per_code))
        self.high_code = min(MOST_CODE - RAIL_CODES - 1, zero_code + most // unit_per_code)
        self.stuck_samples = stuck_samples
        self.noise_sum = noise_codes * _NOISE_WINDOW
        self.fresh = False
        self.fault = NONE
        self.wrong = NONE  # with the last sample, a fault or not yet
        self.value = 0
        self.taken_tick = NEVER
        self.min_value = LARGEST  # of the good values since `forget_extremes`
        self.max_value = -LARGEST
        self.error_count = 0  # bad samples ever
        self.fault_count = 0  # declared ever
        self._doubt = 0
        self._last_code = NO_SAMPLE
        self._before_code = NO_SAMPLE
        self._equal = 0
        self._noise = 0
        self._noise_samples = 0
        self._noisy = 0

    # No property: where a class has one, each attribute that is stored is first looked for in the class.
    def good(self):
        """Whether `value` may be believed."""
        return self.taken_tick != NEVER and self.fault == NONE

    def age_ticks(self, tick):
        """How old `value` is."""
        return tick - self.taken_tick

    def forget_extremes(self):
        """Minimum and maximum begin anew."""
        self.min_value = LARGEST
        self.max_value = -LARGEST

    def update(self, raw, tick):
        """A tick's code, or NO_SAMPLE. Returns `fresh`."""
        if raw == NO_SAMPLE:
            kind = STALE
        else:
            last = self._last_code
            before = self._before_code
            self._before_code = last
            self._last_code = raw
            kind = NONE
            if before != NO_SAMPLE:
                bend = raw - last - last + before
                noise = self._noise + (bend if bend > 0 else -bend)
                samples = self._noise_samples + 1
                if samples == _NOISE_WINDOW:
                    self._end_window(noise)
                else:
                    self._noise = noise
                    self._noise_samples = samples
                if self._noisy >= _NOISY_WINDOWS:
                    kind = NOISE
            if raw != last:
                self._equal = 1
            elif self._is_stuck(raw):
                kind = STUCK
            if raw < self.low_code or raw > self.high_code:
                kind = self._beyond(raw)
        self.wrong = kind
        self.fresh = kind == NONE
        if kind == NONE:
            value = self.value = (raw - self.zero_code) * self.unit_per_code
            self.taken_tick = tick
            if value < self.min_value:
                self.min_value = value
            if value > self.max_value:
                self.max_value = value
            if self._doubt:
                self._doubt -= 1
                if self._doubt == 0:
                    self.fault = NONE
        else:
            self._is_wrong(kind)
        return self.fresh

    def _is_wrong(self, kind):
        if self.error_count < LARGEST:
            self.error_count += 1
        self._doubt += _WEIGHT[kind]
        if self._doubt >= _DECLARED or self.fault:
            self._doubt = _DECLARED
            if self.fault == NONE and self.fault_count < LARGEST:
                self.fault_count += 1
            self.fault = kind

    def _beyond(self, raw):
        """What is wrong with a sample that is too low or too high."""
        if raw <= RAIL_CODES:
            return SHORT
        if raw >= MOST_CODE - RAIL_CODES:
            return OPEN
        return RANGE

    def _is_stuck(self, raw):
        """One more code like the last one."""
        most = WIDE_SAMPLES if raw in WIDE_CODES else self.stuck_samples
        if self._equal < most:
            self._equal += 1
        return self.stuck_samples > 0 and self._equal >= most

    def _end_window(self, noise):
        if noise <= self.noise_sum:
            self._noisy = 0
        elif self._noisy < _NOISY_WINDOWS:
            self._noisy += 1
        self._noise = 0
        self._noise_samples = 0
