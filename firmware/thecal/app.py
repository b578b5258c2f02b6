"""Composition root on the board: builds the drivers and the `Pump`, and runs the fixed-rate loop.

`App` is the board that `loop.turn` asks for: `App.tick` is one turn, and `run` turns it for ever. An
exception that reaches the loop's edge halts the motor first and is then reported as a fault; the pump stays
HALTED and keeps talking. One that comes again and again resets the board, which comes up HALTED with
LOOP_FAULT. The watchdog resets it when a tick is not done in all its parts.
"""

import gc
import os
import time

import machine
from machine import Pin

from . import loop, pump, word_table
from .causes import RESET_COMMAND, RESET_FAULT
from .drivers import fast_crc, fast_readings, fast_text, flash, pads, reset, slots
from .drivers.annunciator import Annunciator
from .drivers.memory import Image, heap_holds_patterns
from .drivers.pace import Pace
from .drivers.sensors import Sensors
from .drivers.stepper import PITCH_US, Stepper
from .drivers.unfitted import Unfitted
from .drivers.usb import Usb
from .drivers.watchdog import Watchdog
from .installed import installed
from .record import events
from .record.journal import Journal
from .signals import Inputs, Outputs
from .watch import parts, selftest

FAULTS_BEFORE_RESET = 3  # in a row
CHANCE_BYTES = 16  # of the nonce of a boot
HEAP_PERIOD_S = 60  # counting the heap takes 9 ms


class App:
    """Everything between the pins and the Pump."""

    def __init__(self) -> None:
        ram_holds = heap_holds_patterns()  # while the heap is empty
        # The largest pieces first, while there are such.
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.usb = Usb()
        self.image = Image()
        log = events.EventLog()
        self.journal = Journal(fast_crc.crc_into, log.ring, events.CAPACITY, events.is_fault)
        self.flash = flash.Flash(self.journal.region_bytes)
        self.journal.recover(self.flash.image)
        self.rig = installed(self.journal)
        self._fit()
        gc.collect()  # what was read goes, so that what stays lies together
        gc.threshold(24_576)  # what stays lies close together then, and leaves one large piece
        chip, chance = machine.unique_id(), os.urandom(CHANCE_BYTES)
        self.pump = pump.Pump(self.rig, fast_crc.digits_into, self.journal, log, chip, chance)
        gc.threshold(-1)
        self.pump.writer.fill = fast_text.fill_into
        self.pump.senses.advance = fast_readings.advance
        kept = self.pump.critical.words
        kept.use(slots.Slots(kept, word_table.PARTS, word_table.OPTIONAL))
        self.maintenance = Pin(Pin.board.MAINTENANCE, Pin.IN, Pin.PULL_UP)
        self.inputs.reset_cause = reset.cause()
        self.inputs.post_failures = self._self_test(ram_holds)
        self.faults = 0
        self.started_us = 0  # the tick that is run
        self.watchdog = None  # type: Watchdog | None  # armed by `run`
        gc.collect()
        now_ms = time.ticks_ms()
        while time.ticks_ms() == now_ms:  # both counters are taken where a millisecond begins
            pass
        self.pace = Pace(time.ticks_ms(), time.ticks_us())

    def _fit(self) -> None:
        """Take the pins that the rig says something of; EN first, which a resistor outside held until now."""
        rig = self.rig
        self.stepper = self.sensors = self.annunciator = Unfitted()
        if not rig.missing:
            self.stepper = Stepper(
                rig.dir_forward_high,
                rig.enable_high,
                rig.pulse_ns,
                rig.step_at_pad,
                rig.encoder_pulses_per_rev > 0,
                rig.has_index,
                rig.pitch_us() or PITCH_US,
                rig.interval_us,
            )
            self.sensors = Sensors(rig)
            self.annunciator = Annunciator()

    def _self_test(self, ram_holds: bool):
        """What only the drivers can tell, as bits of `parts.PARTS`."""
        failures = 0
        if not ram_holds:
            failures |= 1 << parts.RAM
        if not self.image.sound():
            failures |= 1 << parts.IMAGE
        if not self.stepper.self_test():
            failures |= 1 << parts.DRIVER
        if self.rig.sounder_sensed and not self.annunciator.self_test():
            failures |= 1 << parts.BUZZER
        return failures

    def wait(self) -> None:
        """Sleep until the next tick is due."""
        while True:
            wait_ms = self.pace.wait_ms(time.ticks_ms())
            if wait_ms == 0:
                return
            time.sleep_ms(wait_ms)

    def tick(self) -> None:
        """One turn of the loop; the tick must be due."""
        started_us = self.started_us = time.ticks_us()
        loop.turn(self.pump, self, self.inputs, self.outputs)
        if self.watchdog is not None:
            self.watchdog.feed(self.outputs.checked_in, selftest.ALL_PARTS)
        if self.outputs.restart:
            reset.announce(RESET_COMMAND)
            machine.reset()
        self.inputs.loop_us = time.ticks_diff(time.ticks_us(), started_us)

    # --- what the loop asks of the board

    def read(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Fill in all that a tick knows of the world."""
        inputs.tick_s = self.pace.tick_s
        inputs.tick_ms = self.pace.tick_ms
        self.stepper.read(inputs)
        inputs.late_us = time.ticks_diff(self.started_us, self.pace.due_counter_us)
        self.pace.started()
        self.sensors.read(inputs)
        if outputs.read_pads:
            inputs.levels = pads.levels()
        self.usb.read(inputs, outputs.rx_most)
        if inputs.rx_len or outputs.read_pads:
            inputs.maintenance = not self.maintenance.value() and not self.maintenance.value()
        if not self.image.look():
            inputs.post_failures |= 1 << parts.IMAGE
        if inputs.tick_ms == 0 and inputs.tick_s % HEAP_PERIOD_S == 0:
            inputs.heap_bytes = gc.mem_alloc()
        inputs.flash_done = self.flash.done
        inputs.flash_ok = self.flash.ok

    def move(self, outputs: "Outputs") -> None:
        """Obey the motion orders."""
        loop.move(outputs, self.stepper, self)

    def write_flash(self, inputs: "Inputs") -> None:
        """Obey the journal's order; the next tick hears of it."""
        self.flash.obey(self.journal.command)

    def show(self, outputs: "Outputs") -> None:
        """Light and sound."""
        self.annunciator.show(outputs.alarm_priority, outputs.alarm_sound and self.rig.has_sounder)

    def transmit(self, outputs: "Outputs") -> None:
        """To the host, as far as USB takes it."""
        self.usb.write(outputs)

    def left_us(self):
        """What is left of this tick, us."""
        return self.pace.left_us(time.ticks_us())

    def wait_until_left(self, left_us: int) -> None:
        """Wait until no more than so much of it is."""
        while self.pace.left_us(time.ticks_us()) > left_us:
            pass

    def fault(self) -> None:
        """The motor off, whatever the state of the rest; the pump is told that its tick failed."""
        self.stepper.halt()
        self.stepper.enable(False)
        self.faults += 1
        if self.faults == FAULTS_BEFORE_RESET:
            reset.announce(RESET_FAULT)
            machine.reset()
        self.pump.fail()


def run() -> None:
    """The pump, for ever. What ends it nevertheless resets the board, as a fault."""
    try:
        _turn_for_ever()
    finally:
        reset.announce(RESET_FAULT)
        machine.reset()


def _turn_for_ever() -> None:
    app = App()
    app.watchdog = Watchdog()
    while True:
        app.wait()
        try:
            app.tick()
            app.faults = 0
        except Exception:
            app.fault()
