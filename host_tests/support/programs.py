"""Programs that the adapter tests type at the prompt: a pulse maker and a pulse counter in PIO.

They find the board's nets in the dictionary NET, which the `prompt` fixture defines.
"""

# `pulses(n, freq)` starts n pulses on STEP, each high for 4 PIO cycles; the period is 39 PIO cycles.
PULSES = """
import rp2
from machine import Pin

@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW)
def pulse_maker():
    pull()
    mov(x, osr)
    label("pulse")
    set(pins, 1) [3]
    set(pins, 0)
    set(y, 31)
    label("rest")
    jmp(y_dec, "rest")
    jmp(x_dec, "pulse")

def pulses(count, freq):
    maker = rp2.StateMachine(0, pulse_maker, freq=freq, set_base=Pin(NET['STEP']))
    maker.active(1)
    maker.put(count - 1)
    return maker
"""

PULSE_PERIOD_PIO_CYCLES = 4 + 1 + 1 + 32 + 1

# `watch(pin)` starts a counter of the rising edges on a pin, `counted()` reads it.
COUNTER = """
import rp2
from machine import Pin

@rp2.asm_pio()
def pulse_counter():
    label("next")
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(x_dec, "next")

def watch(name):
    global counter
    counter = rp2.StateMachine(4, pulse_counter, freq=1000000, in_base=Pin(NET[name], Pin.IN))
    counter.exec("set(x, 0)")
    counter.active(1)

def counted():
    counter.exec("mov(isr, x)")
    counter.exec("push()")
    return -counter.get() & 0xffffffff
"""
