"""The board without a chip: the pump's own code under CPython, a motor that obeys, a clock turned by hand.

How to read it: `Motor` does what the step state machine does with the same segments
(`thecal.drivers.segment`), in PIO cycles and in closed form: how many steps have been made is computed for
any instant, never counted one by one. `HostBench` is the loop around it: every 100 ms it moves the motor
and the plant on, and runs a turn of the board's own loop (`thecal.loop`), whose board it is.

The driver of the real board counts its steps by what comes back on STEP_SENSE, and so does this one: a fault
of that wire (`sensor_faults`) shifts the pump's positions against the motor's from the next halt on.

The loop is exactly on time unless `lateness_us` says otherwise (a function of the turn's number: for so
long the loop is held up before that turn). Then the board's own arithmetic (`thecal.drivers.pace`) decides
what runs late and what is merged, and a motor that gets no orders runs dry.

Not `thecal.app`: that imports `machine`. The pump keeps what it must never forget in the journal, in a flash
that is a model (`flash_model`). A board that starts anew has BOOT_TICKS without a pump, as the image takes
them, and before them what a cut of its power lasts: the plant goes on meanwhile, the motor stands.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from thecal import loop
from thecal.clock import TICKS_PER_S
from thecal.drivers import pace, segment
from thecal.installed import installed
from thecal.pump import Pump
from thecal.record import events
from thecal.record.journal import Journal
from thecal.rig import Rig
from thecal.signals import QUEUE_SEGMENTS, Inputs, Outputs
from thecal_model import crc

from thecal_bench import flash_model
from thecal_bench.bench import BOOT_TICKS, TICK_MS, Bench, BenchError, NotPossible
from thecal_bench.flash_model import FlashModel
from thecal_bench.pads import Pads
from thecal_bench.plant import Plant

TICK_CYCLES = segment.PIO_HZ * TICK_MS // 1000
CYCLE_NS = 1_000_000_000 // segment.PIO_HZ
_NEVER = 1 << 62
BENCH = b"bench"  # the number of the board: what a run says hangs on no chance


def host_crc(data: bytearray, start: int, end: int, digits: bytearray) -> None:
    """`thecal.crc.digits_into` by the host's zlib: the same digits, a hundred times faster."""
    digits[:8] = crc.digits(memoryview(data)[start:end])


class Ticks(Protocol):
    """What runs on the board: a `Pump`, or one elsewhere."""

    def decide(self, inputs: Inputs, outputs: Outputs) -> None: ...

    def keep(self) -> None: ...

    def report(self, inputs: Inputs, outputs: Outputs) -> None: ...


class Cut(NamedTuple):
    """A segment as its words make it, in cycles."""

    steps: int
    first: int  # from its beginning to the first edge
    period: int
    length: int

    @classmethod
    def of(cls, cutter: segment.Cutter) -> Cut:
        """What was cut last."""
        return cls(cutter.steps, cutter.first_edge(), cutter.period(), cutter.length())

    def edges_by(self, cycles: int) -> int:
        """How many have risen so long after its beginning; one that rises just then counts."""
        if cycles < self.first:
            return 0
        return min((cycles - self.first) // self.period + 1, self.steps)


class Motor:
    """The step state machine and its queue, at any instant given in PIO cycles (10 MHz) since the start."""

    def __init__(self) -> None:
        self.cutter = segment.Cutter(segment.LEAST_PULSE, segment.MIN_PERIOD_CYCLES)
        self.sign = 1  # 1 forward, -1 backward; changed at rest
        self.ordered_steps = 0  # position at the end of what is queued
        self.starved = False  # the queue ran dry since it was last started
        self._waiting: deque[Cut] = deque()
        self._active = False  # takes segments as they come
        self._running = False  # is in the middle of one
        self._base_steps = 0  # position at the start of the running segment, or at rest
        self._cut = Cut(0, 0, 0, 0)  # the running segment
        self._start_cycles = 0
        self._end_cycles = 0

    def executed_steps(self, at_cycles: int) -> int:
        """Steps made until then (a pulse that rises just then counts)."""
        while self._running and at_cycles >= self._end_cycles:
            self._base_steps += self.sign * self._cut.steps
            self._next(self._end_cycles)
        if self._running:
            return self._base_steps + self.sign * self._cut.edges_by(at_cycles - self._start_cycles)
        return self._base_steps

    def queue_free(self) -> int:
        """Segments that the queue can take, as of the last `executed_steps`."""
        return QUEUE_SEGMENTS - len(self._waiting)

    def queue(self, target_steps: int, cycles: int, first: int, lag: int, at_cycles: int) -> None:
        """Order the way to `target_steps` within so many cycles; a target behind orders a pause."""
        if len(self._waiting) == QUEUE_SEGMENTS:
            raise BenchError(
                f"at {at_cycles * CYCLE_NS / 1e9:.1f} s a segment is ordered while {QUEUE_SEGMENTS} wait: "
                "on the board the loop would hang here until one is done"
            )
        cutter = self.cutter
        steps = max(self.sign * (target_steps - self.ordered_steps), 0)
        steps = cutter.cut(steps, cycles, first, lag)
        self.ordered_steps += self.sign * steps
        self._waiting.append(Cut.of(cutter))
        if self._active and not self._running:
            self._next(at_cycles)

    def go(self, at_cycles: int) -> None:
        """Start on a queue that was filled after `halt`, now or later."""
        self._active = True
        self._next(at_cycles)

    def halt(self, at_cycles: int) -> None:
        """Stop there, in mid-segment, and empty the queue."""
        self._base_steps = self.ordered_steps = self.executed_steps(at_cycles)
        self._waiting.clear()
        self.cutter.begin()
        self._active = self._running = self.starved = False

    def _next(self, at_cycles: int) -> None:
        self._running = bool(self._waiting)
        if self._running:
            self._cut = self._waiting.popleft()
            self._start_cycles = at_cycles
            self._end_cycles = at_cycles + self._cut.length
        else:
            self.starved = True


class _Driver:
    """What the loop moves: the driver of the real board at the instant of this turn, and its clock."""

    moving = True  # a motor at rest may be halted once more

    def __init__(self, bench: HostBench) -> None:
        self._bench = bench
        self._motor = bench.motor
        self._cycles = 0  # when what is queued next is queued

    def enable(self, on: bool) -> None:
        """The bench takes it from the outputs."""

    def halt(self) -> None:
        """Stop there and empty the queue."""
        self._motor.halt(self._bench._at_cycles)

    def turn(self, reverse: bool) -> None:
        """The direction of all that is queued from now on. The driver counts anew from what it has sensed."""
        self._motor.sign = -1 if reverse else 1
        self._bench._origin_steps = self._bench._unsensed_steps

    def queue(self, target_steps: int, cycles: int, first: int, lag: int) -> None:
        """Order the way to `target_steps` of the pump's."""
        self._cycles = max(self._cycles, self._bench._at_cycles)
        self._motor.queue(target_steps + self._bench._origin_steps, cycles, first, lag, self._cycles)

    def go(self) -> None:
        """Start on the queue."""
        self._motor.go(self._cycles)

    def left_us(self) -> int:
        """Of this tick."""
        return (self._end_cycles() - self._bench._at_cycles) // segment.CYCLES_PER_US

    def wait_until_left(self, us: int) -> None:
        """Until no more than so much of this tick is left."""
        self._cycles = max(self._bench._at_cycles, self._end_cycles() - us * segment.CYCLES_PER_US)

    def _end_cycles(self) -> int:
        return (self._bench._tick + 1) * TICK_CYCLES


class HostBench(Bench):
    """The in-process board. `flash` is what its pump finds there, the plant's rig alone unless given; a
    `pump` of the caller's own has no flash here. `lateness_us` and `counter_us` (what the timer reads at tick
    0) are for tests. A pin with nothing on it reads anything.
    """

    def __init__(
        self,
        plant: Plant | None = None,
        pump: Ticks | None = None,
        flash: FlashModel | None = None,
        lateness_us: Callable[[int], int] | None = None,
        counter_us: int = 0,
    ) -> None:
        self._plant = plant or Plant()
        super().__init__(self._plant)
        self.flash = flash or flash_model.blank_flash(self._plant.rig)
        self._chance = random.Random(self._plant.seed)
        self._journal: Journal | None = None  # of the pump that runs
        # Any: who gave the pump, or wants to look into its rooms, knows more of it than that it ticks.
        self._is_own = pump is None
        self._told: Rig | None = None  # what the pump was told that hangs on its pins
        self.pump: Any = pump or self._new_pump()
        self._pads = self._new_pads()
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.motor = Motor()
        self._fit_motor()
        self._driver = _Driver(self)
        self.connected = True
        self.jumper = False  # MAINTENANCE is fitted
        self._tick = -1
        self._boot_tick = 0  # at which the board's own clock begins, after the last reset
        self._off = False  # until then
        self._boot_encoder = 0  # and its counts of the rotor's marks
        self._boot_index = 0
        self._unsensed_steps = 0  # that the motor has made and the board did not count since then
        self._origin_steps = 0  # where the motor stands when the pump orders position 0
        self._at_cycles = 0  # up to here the motor has been followed
        self._executed_steps = 0
        self._enabled = False
        self._hung = False
        self._rx = bytearray()
        self._actions: list[tuple[int, int, Callable[[], object]]] = []
        self._action_count = 0
        self._action_tick = _NEVER
        self._lateness_us = lateness_us
        self._turn_count = 0
        self._now_us = 0
        self._counter_us = counter_us // 1000 * 1000  # tick 0 is where a millisecond begins
        self._pace = pace.Pace(*self._counters())

    def _new_pump(self) -> Any:
        """The pump as it boots from the flash."""
        log = events.EventLog()
        journal = Journal(flash_model.crc_into, log.ring, events.CAPACITY, events.is_fault)
        journal.recover(self.flash.image)
        self._journal = journal
        self._told = installed(journal)
        return Pump(self._told, host_crc, journal, log, BENCH)

    def _fit_motor(self) -> None:
        """Its driver takes no steps faster than the pump was told."""
        told = self._told or self._plant.rig
        self.motor.cutter = segment.Cutter(segment.LEAST_PULSE, segment.period_cycles(told.interval_us))

    def _new_pads(self) -> Pads:
        """A pump of the caller's own, or one elsewhere, was told the plant's rig."""
        return Pads(self._plant, self._told or self._plant.rig)

    # --- the bench

    @property
    def tick(self) -> int:
        return self._tick

    @property
    def now_ns(self) -> int:
        return self._at_cycles * CYCLE_NS

    def send(self, data: bytes) -> None:
        if not self.connected:
            raise BenchError("the host is disconnected, nothing can be sent")
        if not self._off or self._tick + 1 >= self._boot_tick:
            self._rx += data

    def advance_to_tick(self, tick: int) -> None:
        if self._lateness_us is None:
            for number in range(self._tick + 1, tick + 1):
                self._turn(number, number * TICK_CYCLES)
        else:
            while self._tick < tick:
                self._late_turn()

    def schedule(self, tick: int, action: Callable[[], object]) -> None:
        self._action_count += 1
        heapq.heappush(self._actions, (tick, self._action_count, action))
        self._action_tick = self._actions[0][0]

    def hang(self) -> None:
        self._hung = True

    def press(self, button: str, ticks: int) -> None:
        name = f"button_{button}"
        if name not in self._plant.rig.tables:
            raise NotPossible(f"rig {self._plant.rig.name} has no button {button}")
        setattr(self.inputs, name, True)
        self.schedule(self._tick + 1 + ticks, lambda: setattr(self.inputs, name, False))

    def reset(self) -> None:
        self._start_anew(self._tick + 1 + BOOT_TICKS)

    def power_cut(self, ticks: int) -> None:
        self._start_anew(self._tick + 1 + ticks + BOOT_TICKS)

    def _start_anew(self, boot_tick: int) -> None:
        """The motor stands and the pump is gone; the next one begins to count at `boot_tick`."""
        if not self._is_own:
            raise NotPossible("this pump is the caller's own: there is no flash to start it anew from")
        at_cycles = self._at_cycles
        self.motor.halt(at_cycles)
        self.flash.power_fails()
        self.pump = self._new_pump()
        self._pads = self._new_pads()
        self._fit_motor()
        pressed = self.inputs.button_patient, self.inputs.button_stop
        self.inputs = Inputs()
        self.inputs.button_patient, self.inputs.button_stop = pressed
        self.outputs = Outputs()
        self._enabled = self._hung = False
        self._rx.clear()
        self._boot_tick = boot_tick
        self._off = True

    def pin(self, net: str) -> int:
        return self._pads.level(net, self._enabled, self.motor.sign > 0, self.inputs)

    def disturb(self, kind: str, which: str, span_ms: int, count: int = 0) -> None:
        """Nothing: what the plant gives is counted here, not what a wire makes of it."""

    def host_disconnect(self) -> None:
        self.connected = False
        self._rx.clear()

    def host_connect(self) -> None:
        self.connected = True

    def close(self) -> None:
        """Nothing is held."""

    # --- one turn of the loop

    def _turn(self, tick: int, at_cycles: int) -> None:
        """Tick `tick`, run at `at_cycles`, once motor and plant have come that far."""
        plant = self._plant
        at_ns = at_cycles * CYCLE_NS
        executed_steps = self.motor.executed_steps(at_cycles)
        steps = executed_steps - self._executed_steps
        if steps:
            if self._enabled and self._pads.driver_hears_enable:
                plant.steps(self._pads.turns * steps, self._at_cycles * CYCLE_NS, at_ns)
            self._executed_steps = executed_steps
        if plant.restless:
            plant.advance(at_ns)
        if plant.step_sense_fault is not None:
            self._unsensed_steps += steps - plant.step_sense_fault.new_pulses(at_ns)
        self._at_cycles = at_cycles
        if tick >= self._action_tick:
            self._act(tick)
        self._tick = tick
        if self._off:
            if tick < self._boot_tick:
                return
            self._off = False
            # The board begins to count.
            self._boot_encoder, self._boot_index = plant.encoder_count, plant.index_count
            self._unsensed_steps = self._origin_steps = executed_steps
        if self._hung:
            return

        loop.turn(self.pump, self, self.inputs, self.outputs)
        if self.outputs.restart:
            self.reset()

    # --- what the loop asks of the board

    def read(self, inputs: Inputs, outputs: Outputs) -> None:
        """Fill in all that this tick knows of the world."""
        plant = self._plant
        at_ns = self._at_cycles * CYCLE_NS
        board_tick = self._tick - self._boot_tick
        inputs.tick_s = board_tick // TICKS_PER_S
        inputs.tick_ms = board_tick % TICKS_PER_S * TICK_MS
        inputs.executed_steps = self._executed_steps - self._unsensed_steps
        inputs.late_us = (self._at_cycles - self._tick * TICK_CYCLES) // segment.CYCLES_PER_US
        inputs.starved = self.motor.starved
        inputs.queue_free = self.motor.queue_free()
        inputs.pressure_down_raw = plant.adc_pressure_down(at_ns)
        inputs.pressure_up_raw = plant.adc_pressure_up(at_ns)
        inputs.supply_raw = plant.adc_supply(at_ns)
        # The board counts by the level of its own DIR.
        inputs.encoder_count = self._pads.turns * (plant.encoder_count - self._boot_encoder)
        inputs.index_count = self._pads.turns * (plant.index_count - self._boot_index)
        if outputs.read_pads:
            inputs.levels = self._pads.levels(self._enabled, self.motor.sign > 0, inputs)
        inputs.air = plant.air if plant.rig.air_level is not None else self._floats()
        inputs.driver_fault = plant.driver_fault if plant.rig.fault_level is not None else self._floats()
        if self._rx:
            self._receive()
        else:
            inputs.rx_len = 0
        inputs.maintenance = self.jumper

    def _floats(self) -> bool:
        return self._chance.random() < 0.5

    def move(self, outputs: Outputs) -> None:
        """Obey the motion orders."""
        if outputs.halt or outputs.target_count:
            loop.move(outputs, self._driver, self._driver)
        self._enabled = outputs.enable

    def write_flash(self, inputs: Inputs) -> None:
        """Obey the journal's order."""
        if self._journal is not None:
            self.flash.obey(self._journal, inputs)

    def show(self, outputs: Outputs) -> None:
        """Nobody looks."""

    def transmit(self, outputs: Outputs) -> None:
        """To the host, all of it."""
        if outputs.tx_start < outputs.tx_end:
            data = bytes(memoryview(outputs.tx)[outputs.tx_start : outputs.tx_end])
            outputs.tx_start = outputs.tx_end
            if self.connected:
                self.on_data(data)

    # --- a loop that is held up

    def _late_turn(self) -> None:
        """The next turn of a loop that is held up: what `App.wait` and `App.tick` do."""
        assert self._lateness_us is not None
        self._sleep()
        self._now_us += self._lateness_us(self._turn_count)
        self._turn_count += 1
        self._sleep()
        tick = self._pace.tick_s * TICKS_PER_S + self._pace.tick_ms // TICK_MS
        self._pace.started()
        self._turn(tick, self._now_us * segment.CYCLES_PER_US)

    def _sleep(self) -> None:
        while wait_ms := self._pace.wait_ms(self._counters()[0]):
            self._now_us += wait_ms * 1000

    def _counters(self) -> tuple[int, int]:
        counter_us = self._counter_us + self._now_us
        return counter_us // 1000 & pace.MASK, counter_us & pace.MASK

    def _act(self, tick: int) -> None:
        while self._actions and self._actions[0][0] <= tick:
            heapq.heappop(self._actions)[2]()
        self._action_tick = self._actions[0][0] if self._actions else _NEVER

    # --- the link

    def _receive(self) -> None:
        length = min(len(self._rx), self.outputs.rx_most)
        self.inputs.rx[:length] = self._rx[:length]
        self.inputs.rx_len = length
        del self._rx[:length]
