"""Everything that is only read: pressures, supply, air, the driver's fault line, buttons. Allocates nothing.

What the rig does not have is None and its pin stays as it was at reset: its field of `Inputs` stays as it was
made. A digital input is pulled to the level at which nothing is the matter.
"""

from machine import ADC, Pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..rig import Rig
    from ..signals import Inputs


class Sensors:
    """Fills the sensor fields of `Inputs` that a rig has."""

    def __init__(self, rig: "Rig") -> None:
        board = Pin.board
        self.pressure_down = ADC(Pin(board.PRESSURE_DOWN)) if rig.pressure_down else None
        self.pressure_up = ADC(Pin(board.PRESSURE_UP)) if rig.pressure_up else None
        self.supply = ADC(Pin(board.SUPPLY)) if rig.supply else None
        self.air_level = rig.air_level
        self.air = _level_pin(board.AIR, rig.air_level)
        self.fault_level = rig.fault_level
        self.driver_fault = _level_pin(board.DRIVER_FAULT, rig.fault_level)
        self.patient_level = rig.button_patient_level
        self.button_patient = _level_pin(board.BUTTON_PATIENT, rig.button_patient_level)
        self.stop_level = rig.button_stop_level
        self.button_stop = _level_pin(board.BUTTON_STOP, rig.button_stop_level)

    def read(self, inputs: "Inputs") -> None:
        """One reading of each."""
        # read_u16 stretches the 12 bits of the converter over 16; the upper 12 are the reading.
        if self.pressure_down:
            inputs.pressure_down_raw = self.pressure_down.read_u16() >> 4
        if self.pressure_up:
            inputs.pressure_up_raw = self.pressure_up.read_u16() >> 4
        if self.supply:
            inputs.supply_raw = self.supply.read_u16() >> 4
        # A spike is over before the same pin is read again: two readings that agree are none.
        air, fault = self.air, self.driver_fault
        patient, stop = self.button_patient, self.button_stop
        if air:
            inputs.air = air.value() == self.air_level and air.value() == self.air_level
        if fault:
            inputs.driver_fault = fault.value() == self.fault_level and fault.value() == self.fault_level
        if patient:
            level = self.patient_level
            inputs.button_patient = patient.value() == level and patient.value() == level
        if stop:
            inputs.button_stop = stop.value() == self.stop_level and stop.value() == self.stop_level


def _level_pin(pin, level):
    """The input that says something by `level`; None where there is none."""
    if level is None:
        return None
    return Pin(pin, Pin.IN, Pin.PULL_DOWN if level else Pin.PULL_UP)
