"""All that the pump feels: pressures, supply, air, the driver's fault line, the rotor. Once per tick.

`Senses.look` takes the inputs of a tick and returns the row of the most urgent alarm that they call for, or
-1. An alarm that is called for is called for again in every tick until its cause is gone, or, where it is
latched here (occlusions, the rotor), until `begin`: the motor starts from rest. Which rows stop the motor,
the table of alarms says; nothing here does.

What is not fitted is None here and never looked at (RIG-03): it has no reading, no fault and no alarm.

What is looked at in which state:
- always, once the self-test is over: whether sensors and driver work, the supply, and whether the rotor turns
  by itself;
- while the motor has power: occlusions and lost steps;
- while it delivers: air. Filling the line drives air out, so it is no alarm then.

Scales and the levels of the supply are the rig's. A supply that was LOW is back when it has been a 36th above
that level for five seconds, so that ripple around either is told once.

A sensor is noisy against what it measures. The supply stands beside a driver that chops: at 2 A the least
capacitor that such boards ask for, 100 uF, gives and takes 0.66 V in a period of 33 us, and 0.4 V more stand
at 0.2 ohm of its own and of the leads: a ripple of 1 V peak to peak. A sample every 100 ms finds it anywhere;
at worst each at the other end of it, which is a second difference of 2 V. Above that it is the sensor that is
noisy, and a divider whose wire has no contact is: the bench's 400 codes rms are 3.9 V of mean second
difference. A pressure has no such excuse: its bound is that of `readings`.
"""

from . import alarms, parts
from .motion import motion_of
from .occlusion import NONE, THRESHOLD_PA, Occlusion, UpstreamOcclusion
from .readings import FAULT, VALUE, WORDS, WRONG, Reading, advance
from .readings import NONE as SOUND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rig import Rig, Scale
    from ..signals import Inputs


SUPPLY_BACK_PART = 36  # of LOW, above it: 0.3 V at 10.8 V
SUPPLY_RIPPLE_MV = 1_000  # peak to peak, of a sound one
CONFIRM_TICKS = 3  # a level of the supply or of AIR counts when it has lasted so long
NO_WORDS = bytes(WORDS)
BACK_TICKS = 50  # and the supply is back after so long


class Senses:
    """The senses of a pump on one rig."""

    def __init__(self, rig: "Rig") -> None:
        self.pressure_down = self.down = None
        if rig.pressure_down:
            self.pressure_down = _reading(rig.pressure_down)
            scale = rig.pressure_down
            self.down = Occlusion(
                rig.nl_per_rev,
                rig.steps_per_rev,
                threshold_pa=min(THRESHOLD_PA, scale.most * 3 // 4),
                pa_per_code=-(-scale.num // scale.den),
                most_sensed_pa=scale.most,
            )
        self.pressure_up = self.up = None
        if rig.pressure_up:
            self.pressure_up = _reading(rig.pressure_up)
            self.up = UpstreamOcclusion()
        self.supply = None
        if rig.supply:
            noise_codes = 2 * SUPPLY_RIPPLE_MV * rig.supply.den // rig.supply.num
            self.supply = _reading(rig.supply, stuck_samples=0, noise_codes=noise_codes)
            self.supply_low_mv = rig.supply_low_mv
            self.supply_critical_mv = rig.supply_critical_mv
            self.supply_back_mv = rig.supply_low_mv + rig.supply_low_mv // SUPPLY_BACK_PART
        self.has_air = rig.air_level is not None
        self.has_driver_fault = rig.fault_level is not None
        self.motion = motion_of(rig)
        self.failed = parts.Failed()
        self.readings = []
        for part, reading in (
            (parts.PRESSURE_DOWN, self.pressure_down),
            (parts.PRESSURE_UP, self.pressure_up),
            (parts.SUPPLY, self.supply),
        ):
            if reading:
                self.readings.append((part, reading))
        self.advance = advance
        self._down_words = _words(self.pressure_down)
        self._up_words = _words(self.pressure_up)
        self._supply_words = _words(self.supply)
        self.drawing_back = False
        self.supply_low = False
        self._back_ticks = 0
        self._low_ticks = 0
        self._critical_ticks = 0
        self._air_ticks = 0

    def read(self, inputs: "Inputs", tick: int) -> None:
        """Take in the samples of a tick."""
        # `is not None`: to be asked whether it is true costs an object three lookups in vain.
        take_in = self.advance
        if self.down is not None:
            take_in(self._down_words, inputs.pressure_down_raw, tick)
        if self.up is not None:
            take_in(self._up_words, inputs.pressure_up_raw, tick)
        if self.supply is not None:
            take_in(self._supply_words, inputs.supply_raw, tick)

    def unbelievable(self):
        """Which sensors have given no value or are faulty, as bits of parts; kept in `failed`."""
        bits = 0
        for part, reading in self.readings:
            if not reading.good():
                bits |= 1 << part
                self.failed.found(part, reading.fault or reading.wrong)
        return bits

    def _find_faulty(self) -> None:
        """Which sensors are known to be faulty is kept in `failed`."""
        for part, reading in self.readings:
            if reading.fault:
                self.failed.found(part, reading.fault)

    def begin(self, executed_steps: int, drawing_back=False) -> None:
        """The motor starts from rest; `drawing_back`: to relieve a blocked line, whose pressure is followed
        on and is no news.
        """
        self.drawing_back = drawing_back
        if self.down and not drawing_back:
            self.down.begin()
        if self.up:
            self.up.begin()
        self.motion.begin(executed_steps)

    def look(
        self,
        inputs: "Inputs",
        tick: int,
        ticks: int,
        executed_steps: int,
        ordered_steps: int,
        moving: bool,
        delivering: bool,
    ):
        """The row of the most urgent alarm that this tick calls for, or -1. `ticks` passed since the last."""
        row = self.motion.look(
            tick, executed_steps, inputs.encoder_count, inputs.index_count, moving, ordered_steps
        )
        if row == alarms.SENSOR_FAULT:
            self.failed.found(self.motion.failed_part, self.motion.failed_kind)
        down = self.down
        if down is not None and (moving or down.alarm):
            words = self._down_words
            blocked = down.update(ticks, executed_steps, words[VALUE], words[WRONG] == SOUND)
            if blocked and moving and not self.drawing_back:
                row = _first(row, alarms.OCCLUSION_DOWN)
        up = self.up
        if moving and up is not None:
            words = self._up_words
            if up.update(words[VALUE], words[WRONG] == SOUND):
                row = _first(row, alarms.OCCLUSION_UP)
        if inputs.air and delivering and self.has_air:
            self._air_ticks += 1
            if self._air_ticks >= CONFIRM_TICKS:
                row = _first(row, alarms.AIR)
        else:
            self._air_ticks = 0
        # A level that the driver holds; a rotor that stands would tell next.
        if inputs.driver_fault and self.has_driver_fault:
            row = _first(row, alarms.DRIVER_FAULT)
            self.failed.found(parts.DRIVER, parts.FAILED)
        if self._down_words[FAULT] or self._up_words[FAULT] or self._supply_words[FAULT]:
            self._find_faulty()
            row = _first(row, alarms.SENSOR_FAULT)
        if self.supply is not None and self._supply_critical():
            row = _first(row, alarms.SUPPLY_CRITICAL)
        return row

    def _supply_critical(self) -> bool:
        """Brings `supply_low` up to date as well."""
        if self._supply_words[WRONG] != SOUND:
            return False
        supply_mv = self._supply_words[VALUE]
        if supply_mv >= self.supply_back_mv and not self.supply_low:
            if self._low_ticks:
                self._low_ticks = self._critical_ticks = 0
            return False  # how long it has been back is only asked of one that was low
        self._critical_ticks = self._critical_ticks + 1 if supply_mv < self.supply_critical_mv else 0
        self._low_ticks = self._low_ticks + 1 if supply_mv < self.supply_low_mv else 0
        self._back_ticks = min(self._back_ticks + 1, BACK_TICKS) if supply_mv >= self.supply_back_mv else 0
        if self._low_ticks >= CONFIRM_TICKS:
            self.supply_low = True
        elif self._back_ticks == BACK_TICKS:
            self.supply_low = False
        return self._critical_ticks >= CONFIRM_TICKS

    def blocked(self):
        """How the line to the patient was found blocked, NONE where it is not."""
        return self.down.alarm if self.down else NONE

    def stored_nl(self):
        """What a blocked line holds, to be drawn back (OCC-05); 0 if it is not blocked."""
        return self.down.stored_nl() if self.down and self.down.alarm != NONE else 0


def _reading(scale: "Scale", **how):
    return Reading(scale.zero_code, scale.num, scale.least, scale.most, scale.den, **how)


def _words(reading):
    """Those of a reading that may not be there, which then has nothing wrong."""
    return reading.words if reading else NO_WORDS


def _first(row: int, other):
    """The more urgent of two rows, -1 being none."""
    return other if row < 0 or other < row else row
