"""First thing after boot: no key stops this program and the motor driver is off. Then the pump, or the prompt
if the MAINTENANCE jumper is fitted.
"""

import micropython

micropython.kbd_intr(-1)  # before anything else: from here on Ctrl-C is a byte like any other

import machine  # noqa: E402
from machine import Pin  # noqa: E402

Pin(Pin.board.EN, Pin.OUT, value=1)  # the driver's enable input is active low; a pull-up held it until here
if Pin(Pin.board.MAINTENANCE, Pin.IN, Pin.PULL_UP).value():
    try:
        from thecal import app

        app.run()
    finally:
        machine.reset()  # whatever ended it: what leaves this file comes to a prompt
else:
    micropython.kbd_intr(3)
