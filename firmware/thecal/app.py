"""Composition root on the board: builds the drivers and the `Pump`, and runs the fixed-rate loop.

`App.tick` is one turn: fill Inputs, `Pump.decide`, obey Outputs, `Pump.report`. `run` turns it for ever. An
exception that reaches the loop's edge halts the motor first and is then reported as a fault; the pump stays
HALTED and keeps talking. One that comes again and again resets the board, which comes up HALTED with
LOOP_FAULT. The watchdog resets it when a tick is not done in all its parts.
"""

import gc
import time

import machine

from . import pump
from .causes import RESET_FAULT
from .dose import mechanism
from .drivers import fast_crc, fast_readings, fast_text, flash, reset, segment
from .drivers.annunciator import Annunciator
from .drivers.memory import Image, heap_holds_patterns
from .drivers.pace import Pace
from .drivers.sensors import Sensors
from .drivers.stepper import Stepper
from .drivers.usb import Usb
from .drivers.watchdog import Watchdog
from .record import events
from .record.journal import Journal
from .signals import QUEUE_SEGMENTS, SEGMENT_TICKS, Inputs, Outputs
from .watch import parts, selftest

FAULTS_BEFORE_RESET = 3  # in a row
# A flushed queue is filled while the motor rests and started at a time fixed before, so that the first
# segment ends on the tick to a few microseconds. Filling it takes less than this.
START_LEAD_US = 4_000
HEAP_PERIOD_S = 60  # counting the heap takes 9 ms
UNITS_PER_16_US = 5  # segment units of 3.2 us


class App:
    """Everything between the pins and the Pump."""

    def __init__(self):
        ram_holds = heap_holds_patterns()  # while the heap is empty
        # The largest pieces first, while there are such.
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.mechanism = mechanism.reference(segment.MAX_STEPS // SEGMENT_TICKS)
        self.stepper = Stepper(self.mechanism.dir_forward_high, self.mechanism.enable_high)
        self.sensors = Sensors()
        self.usb = Usb()
        self.annunciator = Annunciator()
        self.image = Image()
        log = events.EventLog()
        self.journal = Journal(flash.crc_into, log.ring, events.CAPACITY, events.is_fault)
        self.flash = flash.Flash(self.journal.region_bytes)
        self.journal.recover(self.flash.image)
        self.pump = pump.Pump(self.mechanism, fast_crc.crc_into, journal=self.journal, log=log)
        self.pump.writer.fill = fast_text.fill_into
        self.pump.senses.advance = fast_readings.advance
        self.inputs.reset_cause = reset.cause()
        self.inputs.post_failures = self._self_test(ram_holds)
        self.faults = 0
        self.watchdog = None  # type: Watchdog | None  # armed by `run`
        gc.collect()
        now_ms = time.ticks_ms()
        while time.ticks_ms() == now_ms:  # both counters are taken where a millisecond begins
            pass
        self.pace = Pace(time.ticks_ms(), time.ticks_us())

    def _self_test(self, ram_holds):
        """What only the drivers can tell, as bits of `parts.PARTS`."""
        failures = 0
        if not ram_holds:
            failures |= 1 << parts.RAM
        if not self.image.sound():
            failures |= 1 << parts.IMAGE
        if not self.stepper.self_test():
            failures |= 1 << parts.DRIVER
        if not self.annunciator.self_test():
            failures |= 1 << parts.BUZZER
        return failures

    def wait(self):
        """Sleep until the next tick is due."""
        while True:
            wait_ms = self.pace.wait_ms(time.ticks_ms())
            if wait_ms == 0:
                return
            time.sleep_ms(wait_ms)

    def tick(self):
        """One turn of the loop; the tick must be due."""
        inputs = self.inputs
        outputs = self.outputs
        started_us = time.ticks_us()
        inputs.tick_s = self.pace.tick_s
        inputs.tick_ms = self.pace.tick_ms
        self.pace.started()
        self.stepper.read(inputs)
        self.sensors.read(inputs)
        self.usb.read(inputs, outputs.rx_most)
        if not self.image.look():
            inputs.post_failures |= 1 << parts.IMAGE
        if inputs.tick_ms == 0 and inputs.tick_s % HEAP_PERIOD_S == 0:
            inputs.heap_bytes = gc.mem_alloc()
        inputs.flash_done = self.flash.done
        inputs.flash_ok = self.flash.ok
        self.pump.decide(inputs, outputs)
        self._move()
        self.pump.keep()
        self.flash.obey(self.journal)
        self.annunciator.show(outputs.alarm_priority, outputs.alarm_sound)
        self.pump.report(inputs, outputs)
        self.usb.write(outputs)
        if self.watchdog:
            self.watchdog.feed(outputs.checked_in, selftest.ALL_PARTS)
        inputs.loop_us = time.ticks_diff(time.ticks_us(), started_us)

    def _move(self):
        outputs = self.outputs
        stepper = self.stepper
        if outputs.halt:
            if stepper.moving:
                stepper.halt()
            stepper.enable(False)
            return
        stepper.enable(outputs.enable)
        if outputs.motion_flush:
            self._start_anew()
            return
        for index in range(outputs.target_count):
            stepper.queue(outputs.targets[index], outputs.target_ticks[index] * segment.TICK_UNITS)

    def _start_anew(self):
        outputs = self.outputs
        stepper = self.stepper
        pace = self.pace
        stepper.halt()
        stepper.turn(outputs.reverse)
        # The first segment takes what is left of this tick once the queue is filled; Pace has seen to it that
        # something is.
        units = (pace.left_us(time.ticks_us()) - START_LEAD_US) * UNITS_PER_16_US // 16
        if units < segment.MIN_UNITS:
            units = segment.MIN_UNITS
        left_us = units * 16 // UNITS_PER_16_US
        stepper.queue(outputs.targets[0], units)
        for index in range(1, outputs.target_count):
            if index == QUEUE_SEGMENTS:
                # The queue is full; the last segment fits when the first one runs.
                while pace.left_us(time.ticks_us()) > left_us:
                    pass
                stepper.go()
            stepper.queue(outputs.targets[index], outputs.target_ticks[index] * segment.TICK_UNITS)

    def fault(self):
        """The motor off, whatever the state of the rest; the pump is told that its tick failed."""
        self.stepper.halt()
        self.stepper.enable(False)
        self.faults += 1
        if self.faults == FAULTS_BEFORE_RESET:
            reset.announce(RESET_FAULT)
            machine.reset()
        self.pump.fail()


def run():
    """The pump, for ever. What ends it nevertheless resets the board, as a fault."""
    try:
        _turn_for_ever()
    finally:
        reset.announce(RESET_FAULT)
        machine.reset()


def _turn_for_ever():
    app = App()
    app.watchdog = Watchdog()
    while True:
        app.wait()
        try:
            app.tick()
            app.faults = 0
        except Exception:
            app.fault()
