"""The plant: a peristaltic head, its rotor encoder, the line behind it, and what the sensors say.

How to read it: the rig says what is fitted, and how, `parameters` the differences a scenario may ask for,
`displacement` is the formula below, `analogue` what the converter makes of pressures, `Plant` is the state.
Volume is exact (`Fraction` from integers), pressure is a float in closed form between the calls: nothing here
loops over time, so a call costs the same after a tick as after a month.

Time is integer nanoseconds since the plant was made and never goes back. Two ways to turn the rotor, which
agree: `step(direction, at_ns)` for each edge seen at a pin, and `steps(count, from_ns, to_ns)` for a bulk
of them spread evenly over a span.

Head. The rotor angle is an integer number of microsteps. Displaced volume after n microsteps is

    V(n) = u (1 + e) [ n + (A/2) (s/r) S(phase) + D (s/r) T(phase) ]

with u the nominal volume of a microstep, e the calibration error, s microsteps a revolution, r rollers, A the
peak-to-peak pulsation of the flow, D its dip, phase in [0, 1) of a roller pitch, and S the integral of a
half-wave pair

    w(x) = 16 x (1/2 - x) for x <= 1/2, and its mirror image with the other sign behind it,
    S(x) = 4 y^2 - 16/3 y^3, y = min(x, 1 - x),

a parabola that stays within 6 % of a sine, but has rational values, so the volume stays exact. S(0) = S(1)
= 0: no pitch displaces more than another.

A roller that lets go of the tube leaves a gap that is filled from the line: a sharp dip in the flow, over
15 % of the pitch, from 27/40 to 33/40 of it, about where the sine is lowest. It is a parabola too, by D of
the mean flow below the rest at its deepest; the rest flows D/10 faster, so a pitch displaces what it did:

    T(x) = x/10 - (3 z^2 - 2 z^3)/10, z = (x - 27/40) / (6/40), kept within 0 and 1

Beyond D = 10/9 (without a sine) the head takes back: the line and what is behind it give to the reservoir.

What turns the rotor. STEP pulses, unless the motor is `stalled`, or its driver reports a fault (and then
drives nothing). `free_flow` turns it forward by itself at a constant rate, in whole microsteps, whatever the
motor does: a coupling that slipped, a head that something else drives. Neither is a model of how that comes
about; an encoder on the rotor sees both.

Line. Compliance C fed by the head and drained through resistance R against the back pressure (a two-element
Windkessel, the usual lumped model of a compliant line; own choice of values, see SCENARIOS): with p the
excess over the back pressure, C dp/dt = q - p/R. A step is an impulse of volume, dp = v/C; a bulk is a
constant flow, p(t) = p0 E + q R (1 - E), E = exp(-t/RC). What left the catheter is what was displaced less
what the line stores, C p. How height, breathing, the pulse and temperature move it is said in `line`.

Occlusion downstream. R is infinite at the catheter's end: C dp/dt = q, so dp = v/C and nothing decays or
leaves. Once open again, what is stored leaves with the time constant RC: the released bolus. The time to a
threshold P is C P / q, a stored volume over a rate, which is what is published of real pumps.

Occlusion upstream. Open, the reservoir is at ambient and gives what the head takes; the inlet stays at
ambient. Closed, the head takes it from the inlet tubing, whose compliance Ci is `INLET_COMPLIANCE_NL_PA`: p =
-v/Ci. At `VAPOUR_PA`, water's vapour pressure, the inlet gives no more: the rotor turns and displaces
nothing. Between there and ambient the head displaces in full (a roller pump's tube springs back with more
than that; own simplification). Once open again, the reservoir gives the inlet at once what it lacks. So at
any time: reservoir less inlet's lack + displaced = fill, and displaced = stored in the line + outflow.

Air. `air` is the detector's answer alone: a bubble on its way past it. Its own compliance is not modelled.

Sensors. ADC code = zero + pressure / Pa for each code, as the rig has it, with Gaussian noise (white, one
value per 100 ms sample: a function of seed, channel and sample number, whoever asks and however often), a
zero that drifts with temperature, and the RP2040's own ADC: erratum E11 of its datasheet, four codes about
nine times as wide as the others (`E11_CODES`), which the codes between make up for. Temperature goes up for
half a day and down for the other half, always at `temperature_drift`. What a broken sensor gives is the table
in `sensor_faults`. What is not fitted gives nothing: no pulse, no level, and an open input of the converter
reads anything.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from thecal.rig import Rig
from thecal_model.rig import reference

from thecal_bench.analogue import Analogue
from thecal_bench.displacement import Displacement
from thecal_bench.line import Line
from thecal_bench.parameters import NS_PER_MS, Geometry, PlantError, PlantParameters
from thecal_bench.sensor_faults import (
    CLEAR,
    KINDS,
    SENSORS,
    PulseFault,
    fitted,
    pulse_fault,
)

REFERENCE_SUPPLY_V = 12.0

REFERENCE_PULSES = 100
"""Of the encoder on the reference rotor, a turn."""

INLET_COMPLIANCE_NL_PA = Fraction(1, 2)
"""Of the tubing between reservoir and head, as the line's: 1 psi of suction is 3.4 uL. Own choice."""

VAPOUR_PA = -99_000
"""Water at 20 C boils at 2.3 kPa absolute (steam tables), 99 kPa below the standard atmosphere."""

MOST_FREE_FLOW_NL_H = 120_000_000
"""As fast as the motor could turn the rotor."""

DOWNSTREAM, UPSTREAM = "downstream", "upstream"
SIDES = (DOWNSTREAM, UPSTREAM)


class Plant:
    """The mechanics. Steps go in; volume, pressure, pin levels and ADC codes come out."""

    def __init__(
        self,
        parameters: PlantParameters | None = None,
        geometry: Geometry | None = None,
        seed: int = 1,
        fill_nl: Fraction | int = 20_000_000,
        angle_steps: int = 0,
        rig: Rig | None = None,
    ) -> None:
        self.rig = rig = rig or reference()
        """What is fitted, and how it is wired, whatever the pump was told."""
        geometry = geometry or Geometry.of(rig)
        p = parameters or PlantParameters()
        p.check()
        self.parameters = p
        self.geometry = geometry
        self.seed = seed
        self.fill_nl = Fraction(fill_nl)
        self.supply_v = REFERENCE_SUPPLY_V
        self.on_turn: Callable[[int], object] | None = None
        """Called with the time after each edge and each bulk, when `units` has changed."""
        self.on_pins: Callable[[], object] | None = None
        """Called when something else than a step may have changed what the board's pins see."""
        self.steps_seen = 0  # all pulses of STEP, either direction, whether the rotor followed or not
        self.stalled = False  # STEP pulses do not turn the rotor
        self.air = False
        self.driver_fault = False
        self.restless = False
        """The rotor turns or pulses come by themselves: `advance` has to be called as time passes."""
        self.angle_steps = self._start_steps = angle_steps

        self._volume = Displacement(p, geometry)
        self._d = self._volume.units_per_nl
        self._start_units = self._volume.units_at(angle_steps)
        self._step_nl = float(self._volume.step_nl)

        self._pulses = geometry.encoder_pulses_per_rev
        # An index mark is as long as a pulse of the reference encoder where there is no other.
        self._marks = self._pulses or REFERENCE_PULSES
        self.encoder_count = 0  # pulses that the sensors have given, those of backward steps taken off,
        self.index_count = 0  # as the board's counters do by the level of DIR

        self._free_steps_ns = Fraction(0)  # free flow, in steps per ns, ...
        self._free_from_ns = 0  # ... since then ...
        self._free_done = 0  # ... and so many steps of it
        self._now_ns = 0  # as of the last `advance`, for what has no other time
        self.analogue = Analogue(p, seed, rig)
        self._encoder_fault: PulseFault | None = None
        self._index_fault: PulseFault | None = None
        self.step_sense_fault: PulseFault | None = None
        """Between STEP and STEP_SENSE is the board, so the bench has to heed this one."""

        self._occluded_up = False
        self._sucked_units = 0  # what the inlet tubing lacks
        self._most_sucked_units = int(-VAPOUR_PA * INLET_COMPLIANCE_NL_PA * self._d)
        self._missed_units = 0  # what the head would have displaced, had there been any

        self.line = Line(p, self.analogue.temperature_k)

    # --- turning the rotor

    def step(self, direction: int, at_ns: int) -> None:
        """One STEP edge: `direction` is 1 forward or -1 backward."""
        if self.restless:
            self.advance(at_ns)
        self.steps_seen += 1
        if self.stalled or self.driver_fault:
            return
        self.line.add(self._displace(direction), at_ns)
        if self.on_turn is not None:
            self.on_turn(at_ns)

    def steps(self, count: int, from_ns: int, to_ns: int) -> None:
        """`count` steps (negative: backward) spread evenly over (from_ns, to_ns]."""
        span_ns = to_ns - from_ns
        if span_ns <= 0:
            raise PlantError(f"{count} steps need a span of time, not {from_ns} to {to_ns} ns")
        self.steps_seen += abs(count)
        if self.stalled or self.driver_fault:
            count = 0
        if self.restless:
            count += self._free_steps_by(to_ns)
        if count:
            self._bulk(count, from_ns, to_ns)

    def advance(self, at_ns: int) -> None:
        """Let happen what happens by itself until then: free flow, pulses of noise. As often as you like."""
        self._now_ns = at_ns
        if self._encoder_fault is not None:
            self.encoder_count += self._encoder_fault.new_pulses(at_ns)
        if self._index_fault is not None:
            self.index_count += self._index_fault.new_pulses(at_ns)
        count = self._free_steps_by(at_ns)
        if count:
            self._bulk(count, self.line.at_ns, at_ns)

    def _free_steps_by(self, at_ns: int) -> int:
        """Steps of free flow up to then that have not been made; they are from now on."""
        due = int(self._free_steps_ns * (at_ns - self._free_from_ns))
        count = due - self._free_done
        self._free_done = due
        return count

    def _bulk(self, count: int, from_ns: int, to_ns: int) -> None:
        self.line.flow(self._displace(count), from_ns, to_ns)
        if self.on_turn is not None:
            self.on_turn(to_ns)

    def _displace(self, count: int) -> float:
        """Turn the rotor by `count` steps; returns the volume, nL."""
        if self._occluded_up and self._volume.takes_back and abs(count) > 1:
            # What the inlet gives hangs on the way there, and the way goes up and down.
            return sum(self._displace(1 if count > 0 else -1) for _ in range(abs(count)))
        before = self.angle_steps
        self._turn(count)
        if not (self._volume.pulsates or self._occluded_up):
            return self._step_nl * count
        units = self._volume.units_at(self.angle_steps) - self._volume.units_at(before)
        if self._occluded_up:
            given = min(units, self._most_sucked_units - self._sucked_units)
            self._sucked_units += given
            self._missed_units += units - given
            units = given
        return units / self._d

    def _turn(self, count: int) -> None:
        before = self.angle_steps
        after = self.angle_steps = before + count
        s, pulses = self.geometry.steps_per_rev, self._pulses
        if count > 0:
            encoder = after * pulses // s - before * pulses // s
            index = after // s - before // s
        else:
            # Backwards a level rises where it falls forwards: in the middle of an encoder pulse, at the end
            # of the index mark.
            encoder = (after * 2 * pulses // s + 1) // 2 - (before * 2 * pulses // s + 1) // 2
            mark = -(-s // self._marks)
            index = (after - mark) // s - (before - mark) // s
        if self._encoder_fault is None:
            self.encoder_count += encoder
        if self._index_fault is None and self.rig.has_index:
            self.index_count += index

    # --- what may go wrong, all of it from `at_ns` on

    def occlude(self, where: str, at_ns: int) -> None:
        """Close the line at one of `SIDES`."""
        self._settle(at_ns)
        if _side(where) == UPSTREAM:
            self._occluded_up = True
        else:
            self.line.block(True)

    def unocclude(self, where: str, at_ns: int) -> None:
        """Open it again."""
        self._settle(at_ns)
        if _side(where) == UPSTREAM:
            self._occluded_up = False
            self._sucked_units = 0
        else:
            self.line.block(False)

    @property
    def occluded_down(self) -> bool:
        """Whether nothing can leave the line."""
        return self.line.blocked

    def free_flow(self, rate_nl_h: Fraction | int, at_ns: int) -> None:
        """The rotor turns forward by itself at that rate; 0 ends it."""
        if not 0 <= rate_nl_h <= MOST_FREE_FLOW_NL_H:
            raise PlantError(f"free flow is {float(rate_nl_h):g} nL/h, must be 0 to {MOST_FREE_FLOW_NL_H}")
        self._settle(at_ns)
        self._free_steps_ns = Fraction(rate_nl_h) / self.geometry.step_nl / (3_600_000 * NS_PER_MS)
        self._free_from_ns, self._free_done = at_ns, 0
        self._changed()

    def set_height(self, pressure_pa: Fraction | float, at_ns: int) -> None:
        """The pump is so far below where it was at the start, as the pressure of a column of water."""
        self._settle(at_ns)
        self.line.set_height(float(pressure_pa), at_ns)

    def set_tone(self, name: str, amplitude_pa: Fraction | float, hz: Fraction | float, at_ns: int) -> None:
        """One of `line.TONES` moves the back pressure from now on, by its amplitude either way; 0 ends it."""
        self._settle(at_ns)
        self.line.set_tone(name, float(amplitude_pa), float(hz), at_ns)

    def set_stalled(self, stalled: bool) -> None:
        """STEP pulses turn the rotor no more, or again."""
        self.stalled = stalled

    def set_supply(self, volts: Fraction | float) -> None:
        """The motor's supply gives that voltage."""
        self.supply_v = float(volts)

    def set_air(self, there: bool) -> None:
        """A bubble is at the detector, or is gone."""
        self.air = there
        self._changed()

    def set_driver_fault(self, there: bool, at_ns: int) -> None:
        """The motor's driver reports a fault, and drives nothing."""
        self._settle(at_ns)
        self.driver_fault = there
        self._changed()

    def sensor_fault(self, which: str, kind: str, at_ns: int) -> None:
        """One of `sensor_faults.SENSORS` has a fault of one of its KINDS. PlantError for any other."""
        if which not in SENSORS or kind not in KINDS:
            raise PlantError(f"{kind} of {which}: must be one of {', '.join(KINDS)} of {', '.join(SENSORS)}")
        if not fitted(self.rig, which):
            raise PlantError(f"{kind} of {which}: rig {self.rig.name} has none")
        self._settle(at_ns)
        if which == "encoder":
            level = self.encoder_level()
            self._encoder_fault = pulse_fault(kind, level, at_ns)
            self.encoder_count += self.encoder_level() > level
        elif which == "index":
            level = self.index_level()
            self._index_fault = pulse_fault(kind, level, at_ns)
            self.index_count += self.index_level() > level
        elif which == "step_sense":
            self.step_sense_fault = pulse_fault(kind, 0, at_ns)
        elif kind == CLEAR:
            self.analogue.clear(which)
        else:
            self.analogue.fail(which, kind, self._analogue_code(which, at_ns))
        self._changed()

    def _settle(self, at_ns: int) -> None:
        """Bring all up to then, before something changes."""
        self.advance(at_ns)
        self.line.settle(at_ns)

    def _changed(self) -> None:
        pulses = (self._encoder_fault, self._index_fault, self.step_sense_fault)
        hums = any(fault is not None and fault.kind == "noise" for fault in pulses)
        self.restless = bool(self._free_steps_ns) or hums or self.analogue.hums
        if self.on_pins is not None:
            self.on_pins()

    # --- volume

    @property
    def units(self) -> int:
        """What the rotor has displaced since the start, exact, `units_per_nl` to the nanolitre."""
        return self._volume.units_at(self.angle_steps) - self._start_units - self._missed_units

    @property
    def units_per_nl(self) -> int:
        """How many `units` there are to a nanolitre."""
        return self._d

    def displaced_nl(self) -> Fraction:
        """What the rotor has displaced since the start, exact."""
        return Fraction(self.units, self._d)

    def stored_nl(self, at_ns: int) -> float:
        """What the compliance of the line holds more than at the start."""
        return self.line.stored_nl(at_ns)

    def outflow_nl(self, at_ns: int) -> float:
        """What left the catheter since the start. An empty line lets nothing out until it is filled."""
        through_nl = float(self.displaced_nl()) - self.stored_nl(at_ns)
        if self.parameters.line_full:
            return through_nl
        return max(through_nl - float(self.parameters.catheter_volume_nl), 0.0)

    def reservoir_nl(self) -> Fraction:
        """What is left in the reservoir; an empty one gives air."""
        return max(Fraction(0), self.fill_nl - self.displaced_nl() + self.inlet_lacks_nl())

    def inlet_lacks_nl(self) -> Fraction:
        """What the inlet tubing holds less than at ambient pressure."""
        return Fraction(self._sucked_units, self._d)

    def refill(self, volume_nl: Fraction | int) -> None:
        """The reservoir holds `volume_nl` from now on."""
        self.fill_nl = self.displaced_nl() - self.inlet_lacks_nl() + volume_nl

    # --- pins

    def encoder_level(self) -> int:
        """Level of the encoder: high in the first half of each of its pulses."""
        if self._encoder_fault is not None:
            return self._encoder_fault.level(self._now_ns)
        if not self._pulses:
            return 0
        return 1 - (self.angle_steps * 2 * self._pulses // self.geometry.steps_per_rev & 1)

    def index_level(self) -> int:
        """Level of the index mark: high for one encoder pulse in each revolution."""
        if self._index_fault is not None:
            return self._index_fault.level(self._now_ns)
        s = self.geometry.steps_per_rev
        return int(self.rig.has_index and self.angle_steps % s * self._marks < s)

    # --- pressure and what the sensors make of it

    def pressure_down_pa(self, at_ns: int) -> float:
        """True pressure between the head and the catheter, over ambient."""
        return self.line.pressure_pa(at_ns)

    def pressure_up_pa(self, at_ns: int) -> float:
        """True pressure between reservoir and head, over ambient: a reservoir at ambient gives none."""
        return -float(self.inlet_lacks_nl() / INLET_COMPLIANCE_NL_PA) if self._sucked_units else 0.0

    def pressure_peak_pa(self) -> float:
        """Highest true downstream pressure so far, of those at a step and when something changed."""
        return self.line.peak_pa

    def temperature_k(self, at_ns: int) -> float:
        """Temperature over that of the sensors' calibration."""
        return self.analogue.temperature_k(at_ns)

    def adc_pressure_down(self, at_ns: int) -> int:
        """Code of the downstream sensor, 0 to 4095."""
        return self.analogue.pressure_down(self.line.pressure_pa(at_ns), at_ns)

    def adc_pressure_up(self, at_ns: int) -> int:
        """Code of the upstream sensor, 0 to 4095."""
        return self.analogue.pressure_up(self.pressure_up_pa(at_ns), at_ns)

    def adc_supply(self, at_ns: int) -> int:
        """Code of the supply voltage, 0 to 4095."""
        return self.analogue.supply(self.supply_v, at_ns)

    def _analogue_code(self, which: str, at_ns: int) -> int:
        if which == "pressure_down":
            return self.adc_pressure_down(at_ns)
        return self.adc_pressure_up(at_ns) if which == "pressure_up" else self.adc_supply(at_ns)


def _side(where: str) -> str:
    if where not in SIDES:
        raise PlantError(f"an occlusion is {where}, must be one of {', '.join(SIDES)}")
    return where
