"""Everything that is only read: pressures, supply, encoder, air, the driver's fault line, buttons. Allocates
nothing.
"""

from machine import ADC, Pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Inputs


class Sensors:
    """Fills the sensor fields of `Inputs`."""

    def __init__(self) -> None:
        self.pressure_down = ADC(Pin(Pin.board.PRESSURE_DOWN))
        self.pressure_up = ADC(Pin(Pin.board.PRESSURE_UP))
        self.supply = ADC(Pin(Pin.board.SUPPLY))
        self.air = Pin(Pin.board.AIR, Pin.IN, Pin.PULL_DOWN)
        self.driver_fault = Pin(Pin.board.DRIVER_FAULT, Pin.IN, Pin.PULL_UP)
        self.button_patient = Pin(Pin.board.BUTTON_PATIENT, Pin.IN, Pin.PULL_UP)
        self.button_stop = Pin(Pin.board.BUTTON_STOP, Pin.IN, Pin.PULL_UP)

    def read(self, inputs: "Inputs") -> None:
        """One reading of each."""
        # read_u16 stretches the 12 bits of the converter over 16; the upper 12 are the reading.
        inputs.pressure_down_raw = self.pressure_down.read_u16() >> 4
        inputs.pressure_up_raw = self.pressure_up.read_u16() >> 4
        inputs.supply_raw = self.supply.read_u16() >> 4
        inputs.air = self.air.value() == 1
        inputs.driver_fault = self.driver_fault.value() == 0
        inputs.button_patient = self.button_patient.value() == 0
        inputs.button_stop = self.button_stop.value() == 0
