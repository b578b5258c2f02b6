"""First thing after boot: no key stops this program, and no pin drives the motor driver. Then the pump, or
the prompt if the MAINTENANCE jumper is fitted; the release image has none, and does not look at the jumper.

Which level of EN is off only the rig knows (`thecal.app`): until then the resistor outside holds it, with no
pull of the chip's against it. STEP and DIR are pulled down.
"""

import micropython

micropython.kbd_intr(-1)  # before anything else: from here on Ctrl-C is a byte like any other

import machine  # noqa: E402
from machine import Pin  # noqa: E402
from thecal.release import RELEASE  # noqa: E402

Pin(Pin.board.EN, Pin.IN)
Pin(Pin.board.STEP, Pin.IN, Pin.PULL_DOWN)
Pin(Pin.board.DIR, Pin.IN, Pin.PULL_DOWN)
if RELEASE or Pin(Pin.board.MAINTENANCE, Pin.IN, Pin.PULL_UP).value():
    try:
        from thecal import app

        app.run()
    finally:
        machine.reset()  # whatever ended it: what leaves this file comes to a prompt
else:
    micropython.kbd_intr(3)
