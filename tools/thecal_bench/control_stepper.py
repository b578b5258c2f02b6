"""The control of the benchmark: a stepper as it is usually written in MicroPython, on this board's pins.

This file runs on the chip: `make bench` types it at the prompt of the same image, with one more line that
uses it. It is written as well as its kind allows, because a benchmark against a bad opponent says nothing:

- a periodic `machine.Timer` of 1 ms adds the steps owed to a float and makes those that have become whole;
- the pin's methods are looked up once, nothing is formatted and nothing printed in the callback;
- `late` makes up for callbacks that came late or never: the time since the last one is measured with
  `ticks_us` instead of being taken for 1 ms;
- the loop beside it keeps its own grid of 100 ms without drift and does what a pump's loop has to: it reads
  three sensors, and once a second it prints a status line. Garbage is collected as it comes, or in every
  turn where the benchmark does that to the pump too.

It has no queue, no guard, no commands and no checksum; the work that they cost is not charged to it.
"""

import gc
import json
from time import sleep_ms, ticks_add, ticks_diff, ticks_ms, ticks_us  # type: ignore  # MicroPython's own

from machine import ADC, Pin, Timer  # type: ignore

CALLBACK_MS = 1
CALLBACK_S = 0.001
LOOP_MS = 100
LOOPS_PER_STATUS = 10
NL_PER_STEP = 31.25
S_PER_H = 3600


class Stepper:
    """The motor. `steps` are those made."""

    def __init__(self):
        self.enable = Pin(Pin.board.EN, Pin.OUT, value=1)  # the driver is off while EN is high
        self.direction = Pin(Pin.board.DIR, Pin.OUT, value=1)
        step = Pin(Pin.board.STEP, Pin.OUT, value=0)
        self.step_on = step.on
        self.step_off = step.off
        self.timer = Timer()
        self.steps_per_s = 0.0
        self.owed = 0.0
        self.steps = 0
        self.last_us = 0

    def start(self, rate_nl_h, late):
        """Turn the driver on and owe from now on."""
        self.steps_per_s = rate_nl_h / S_PER_H / NL_PER_STEP
        self.owed = 0.0
        callback = self.callback_late if late else self.callback
        self.enable.off()
        self.last_us = ticks_us()
        self.timer.init(period=CALLBACK_MS, mode=Timer.PERIODIC, callback=callback)

    def stop(self):
        """No more steps."""
        self.timer.deinit()
        self.enable.on()

    def callback(self, timer):
        """Owe what is owed for one period, and make what is due."""
        self.owed += self.steps_per_s * CALLBACK_S
        if self.owed >= 1.0:
            self.owed -= 1.0
            self.step_on()
            self.step_off()
            self.steps += 1

    def callback_late(self, timer):
        """The same for the time that has really passed, in which more than one step may have become due."""
        now_us = ticks_us()
        self.owed += self.steps_per_s * (ticks_diff(now_us, self.last_us) * 1e-6)
        self.last_us = now_us
        while self.owed >= 1.0:
            self.owed -= 1.0
            self.step_on()
            self.step_off()
            self.steps += 1


class Control:
    """The motor and the loop beside it. `turn` is one turn of that loop, as the pump's `App.tick`."""

    def __init__(self, rate_nl_h, late):
        self.rate_nl_h = rate_nl_h
        self.late = late
        self.stepper = Stepper()
        self.pressure_down = ADC(Pin(Pin.board.PRESSURE_DOWN))
        self.pressure_up = ADC(Pin(Pin.board.PRESSURE_UP))
        self.supply = ADC(Pin(Pin.board.SUPPLY))
        self.turns = 0
        self.due_ms = 0

    def start(self):
        """Begin to deliver."""
        self.due_ms = ticks_ms()
        self.stepper.start(self.rate_nl_h, self.late)

    def wait(self):
        """Sleep until the next turn is due."""
        self.due_ms = ticks_add(self.due_ms, LOOP_MS)
        left_ms = ticks_diff(self.due_ms, ticks_ms())
        if left_ms > 0:
            sleep_ms(left_ms)

    def turn(self):
        """Read the sensors; tell the host once a second."""
        pressure_down_raw = self.pressure_down.read_u16() >> 4
        pressure_up_raw = self.pressure_up.read_u16() >> 4
        supply_raw = self.supply.read_u16() >> 4
        if self.turns % LOOPS_PER_STATUS == 0:
            steps = self.stepper.steps
            status = {
                "type": "status",
                "seq": self.turns // LOOPS_PER_STATUS,
                "tick": self.turns,
                "rate_nl_h": self.rate_nl_h,
                "executed_steps": steps,
                "delivered_ul": steps * NL_PER_STEP / 1000,
                "pressure_down_raw": pressure_down_raw,
                "pressure_up_raw": pressure_up_raw,
                "supply_raw": supply_raw,
            }
            print(json.dumps(status))
        self.turns += 1


def run(rate_nl_h, late, collect_every_turn=False):
    """Deliver for ever."""
    control = Control(rate_nl_h, late)
    control.turn()
    control.start()
    while True:
        control.wait()
        control.turn()
        if collect_every_turn:
            gc.collect()
