"""First thing after boot: the motor driver off, then the pump, or the prompt if the MAINTENANCE jumper is
fitted.
"""

from machine import Pin

Pin(Pin.board.EN, Pin.OUT, value=1)  # the driver's enable input is active low; a pull-up held it until here
if Pin(Pin.board.MAINTENANCE, Pin.IN, Pin.PULL_UP).value():
    from thecal import app

    app.run()
