"""The in-process board with the dull stretches left out: days of pumping in milliseconds.

While nothing can change (no bytes, no button, no step of the day, no end of a bolus, no level of the
reservoir, no order that the guard would cut), every segment follows from the rate by arithmetic.
`SkippingBench` then moves the pump, its queue and its history on to where they would stand after so many
ticks, and tells `on_steps` the tick of every step made meanwhile. Everything else runs tick by tick, through
its ticks. That both ways leave the same pump behind, field by field, is shown in `test_limits_machine.py`.

It reads and writes the pump's fields: this is a bench, not an oracle.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy
from memory_bench import MemoryBench
from thecal import states
from thecal.clock import TICKS_PER_WEEK
from thecal.drivers import segment
from thecal.signals import EARLY_US, QUEUE_SEGMENTS, SEGMENT_TICKS
from thecal.watch import alarms
from thecal.watch.ahead import peak_steps
from thecal.watch.growing import MOST_UNITS
from thecal.watch.stretches import BLOCK, LINE_UNITS, LUMP, Record
from thecal.watching import LONG_STOP_TICKS
from thecal_bench.inprocess import TICK_CYCLES, Cut
from thecal_model.rig import reference

DAY_TICKS = 864_000
# Closer than this to a change nothing is skipped: what is ordered ahead, and then some.
MARGIN_TICKS = 12
LEAST_SKIP_TICKS = 30
STATUS_TICKS = 10
SAMPLE_NS = 100_000_000


class StillPlant:
    """A plant in which nothing happens: a rotor that turns, pressures that only flicker."""

    rig = reference()
    seed = 1
    air = driver_fault = restless = False
    step_sense_fault = None
    made_steps = encoder_count = index_count = 0

    def steps(self, count: int, from_ns: int, to_ns: int) -> None:
        self.made_steps += count
        self.encoder_count = self.made_steps // 32
        self.index_count = self.made_steps // 3_200

    def adc_pressure_down(self, at_ns: int) -> int:
        return 400 + at_ns // SAMPLE_NS % 2

    def adc_pressure_up(self, at_ns: int) -> int:
        return 400 + at_ns // SAMPLE_NS % 2

    def adc_supply(self, at_ns: int) -> int:
        return 2_400


class Flow:
    """What flows while nothing changes: `rate` grains a tick, with `held` owed at tick `now`; `one` of them
    make a step. Segments end at `grid` and every SEGMENT_TICKS from there.
    """

    def __init__(self, delivery: Any, kind: int, now: int, grid: int) -> None:
        owed = delivery.owed
        self.one = one = owed.basal.grains_per_step
        self.rate = owed.basal.rate_steps * one + owed.basal.rate_grains
        self.held = owed.basal.steps * one + owed.basal.grains
        self.bolus_rate = 0
        for other, bolus in enumerate(owed.boluses):
            if owed.active[other]:
                self.held += bolus.steps * one + bolus.grains
                if other == kind:
                    self.bolus_rate = bolus.rate_steps * one + bolus.rate_grains
                    self.rate += self.bolus_rate
        self.held += delivery.quarter
        self.origin = delivery.origin_steps
        self.now = now
        self.grid = grid

    def position(self, tick: Any) -> Any:
        """Steps owed by a tick."""
        return (self.held + self.rate * (tick - self.now)) // self.one + self.origin

    def ends(self, tick: int) -> tuple[int, int]:
        """How long after a tick the first step of a segment comes, and how long before its end the last, in
        cycles of the motor.
        """
        begins = (self.held + self.rate * (tick - self.now)) % self.one
        ends = (self.held + self.rate * (tick + SEGMENT_TICKS - self.now)) % self.one
        return (self.one - begins) * TICK_CYCLES // self.rate, ends * TICK_CYCLES // self.rate


def _lasts_whole(cut: Cut) -> bool:
    """But for what the waits leave."""
    return abs(cut.length - segment.SEGMENT_CYCLES) <= 2 * segment.UNIT_CYCLES


def _agree(owed: Any, planned: Any, ahead: int) -> bool:
    """Whether what is planned is what is owed, `ahead` ticks later."""
    if owed.index != planned.index or owed.active != planned.active or owed.kvo != planned.kvo:
        return False
    return (planned.week_tick - owed.week_tick) % TICKS_PER_WEEK == ahead


class SkippingBench(MemoryBench):
    """`skip = False` runs every tick. `on_steps(ticks)` gets the tick of each new step, ascending."""

    def __init__(self, skip: bool = True, plant: StillPlant | None = None) -> None:
        super().__init__(plant=plant or StillPlant())  # type: ignore[arg-type]
        self.skip = skip
        self.skipped_ticks = 0
        self.seen_steps = 0
        self.on_steps: Any = lambda ticks: None
        self._feel_no_line()

    def reset(self) -> None:
        super().reset()
        self._feel_no_line()

    def _feel_no_line(self) -> None:
        """There is no line here whose pressure would follow the flow, so none that could be blocked."""
        self.pump.senses.down.update = lambda *_: 0

    def advance_to_tick(self, tick: int) -> None:
        while self._tick < tick:
            room = tick - self._tick - MARGIN_TICKS
            if self.skip and room >= LEAST_SKIP_TICKS and self._skip(room):
                continue
            self._turn(self._tick + 1, (self._tick + 1) * TICK_CYCLES)
            self._tell(self._given_steps())

    def _given_steps(self) -> int:
        """Microsteps of volume, of a head that displaces one with each step."""
        return self._executed_steps

    def _tell(self, given_steps: int) -> None:
        if given_steps != self.seen_steps:
            self.on_steps([self._tick] * (given_steps - self.seen_steps))
            self.seen_steps = given_steps

    # --- skipping

    def _skip(self, room: int) -> bool:
        """Leave out up to `room` ticks; False if none can be."""
        pump = self.pump
        if (
            self._tick < 3
            or self._rx
            or self._actions
            or self.inputs.button_patient
            or pump.buttons.patient.held
            or pump.log.unsent() >= 0
        ):
            return False
        if pump.control.state == states.RUNNING:
            return self._skip_running(room)
        if pump.motion.settling or pump.control.state in states.MOVING:
            return False
        if not pump.alarms.standing[alarms.LONG_STOP]:
            room = min(room, LONG_STOP_TICKS - (pump.clock.tick - pump.control.stopped_tick) - MARGIN_TICKS)
            if room < LEAST_SKIP_TICKS:
                return False
        pump.ledger.advance(room, 0)
        self._pass(room)
        pump.critical.words.keep_all()
        return True

    def _pass(self, ticks: int) -> None:
        pump = self.pump
        pump.status.telemetry.status_seq += (self._tick + ticks) // STATUS_TICKS - self._tick // STATUS_TICKS
        self._tick += ticks
        self._at_cycles = self._tick * TICK_CYCLES
        pump.clock.tick += ticks
        pump.clock.tick_s, tenths = divmod(self._tick, 10)
        pump.clock.tick_ms = tenths * 100
        pump.clock.board_s, tenths = divmod(self._tick - self._boot_tick, 10)
        pump.clock.board_ms = tenths * 100
        self.skipped_ticks += ticks

    def _skip_running(self, room: int) -> bool:
        pump, motor = self.pump, self.motor
        delivery = pump.delivery
        if pump.position.evens or not self._runs_evenly():
            return False
        grid = round(motor._end_cycles / TICK_CYCLES)  # a tick at which a segment ends
        ahead = SEGMENT_TICKS * QUEUE_SEGMENTS + grid - self._tick
        kind = delivery.planned.flowing()
        if not _agree(delivery.owed, delivery.planned, ahead):
            return False
        flow = Flow(delivery, kind, self._tick, grid)
        if flow.rate == 0 or not self._stands_at(flow, ahead):
            return False
        room = self._room_before_change(room, flow, kind)
        room -= room % SEGMENT_TICKS
        while room >= LEAST_SKIP_TICKS and self._would_cut(room, flow.rate, flow.held, flow.position):
            room = room // 4
            room -= room % SEGMENT_TICKS
        if room < LEAST_SKIP_TICKS:
            return False
        self._make_steps(room, flow)
        _move_history(pump.ledger, self._tick, room, flow.rate, flow.held, flow.one)
        for course in (delivery.owed, delivery.planned):
            course.basal.advance(room)
            if kind >= 0:
                course.boluses[kind].advance(room)
            course.week_tick = (course.week_tick + room) % TICKS_PER_WEEK
            course.place(delivery.quarter)
        self._pass(room)
        self._move_motor(room, flow)
        pump.critical.words.keep_all()
        return True

    def _runs_evenly(self) -> bool:
        """Whether the queue is full of whole segments that end at ticks, and nothing is replanned."""
        delivery, motor = self.pump.delivery, self.motor
        if delivery.replan or delivery.ahead or motor.starved or not motor._running:
            return False
        if len(motor._waiting) != QUEUE_SEGMENTS:
            return False
        return all(_lasts_whole(cut) for cut in (motor._cut, *motor._waiting))

    def _stands_at(self, flow: Flow, ahead: int) -> bool:
        """Whether motor and plan are where `flow` says that they are."""
        pump, motor, grid = self.pump, self.motor, flow.grid
        first = flow.position(grid - SEGMENT_TICKS)
        if motor._base_steps != first or motor._cut.steps != flow.position(grid) - first:
            return False
        if pump.position.executed_steps != flow.position(self._tick):
            return False
        return pump.motion.planned_steps == flow.position(self._tick + ahead)

    def _room_before_change(self, room: int, flow: Flow, kind: int) -> int:
        """How many of `room` ticks nothing changes in: no start, no end of a bolus, no level."""
        pump = self.pump
        planned = pump.delivery.planned
        if planned.next_start >= 0:
            if planned.week_tick == planned.next_start:
                return 0
            room = min(room, (planned.next_start - planned.week_tick) % TICKS_PER_WEEK - MARGIN_TICKS)
        if kind >= 0 and flow.bolus_rate:
            bolus = planned.boluses[kind]
            left = (bolus.limit_steps - bolus.steps) * flow.one + bolus.limit_grains - bolus.grains
            room = min(room, left // flow.bolus_rate - MARGIN_TICKS)
        levels = [pump.guard.reservoir_most]
        if pump.reservoir.known and not pump.alarms.standing[alarms.RESERVOIR_LOW]:
            levels.append(pump.reservoir.low_steps)
        if pump.line.bridge:
            levels.append(pump.position.executed_steps + pump.line.bridge.left_steps)
        for level in levels:
            until = (level - flow.origin) * flow.one - 1 - flow.held
            room = min(room, until // flow.rate - MARGIN_TICKS)
        return room

    def _make_steps(self, room: int, flow: Flow) -> None:
        """All steps of the next `room` ticks, each told with its tick."""
        start, end = self._executed_steps, flow.position(self._tick + room)
        self._plant.steps(end - start, 0, 0)
        numbers = numpy.arange(start + 1, end + 1, dtype=numpy.int64)
        # The first tick at whose end so many steps are owed.
        self.on_steps(flow.now + -(-((numbers - flow.origin) * flow.one - flow.held) // flow.rate))
        self.seen_steps = end

    def _move_motor(self, room: int, flow: Flow) -> None:
        """Motor, positions and plan as they are `room` ticks later."""
        pump, motor = self.pump, self.motor
        segments = range(-1, QUEUE_SEGMENTS + 1)
        bounds = [flow.position(flow.grid + room + SEGMENT_TICKS * number) for number in segments]
        motor._base_steps = bounds[0]
        cutter = motor.cutter
        start = (flow.grid + room - SEGMENT_TICKS) * TICK_CYCLES - EARLY_US * segment.CYCLES_PER_US
        cutter.early = 0
        cuts = []
        for index in range(QUEUE_SEGMENTS + 1):
            first, lag = flow.ends(flow.grid + room + SEGMENT_TICKS * (index - 1))
            cutter.cut(bounds[index + 1] - bounds[index], segment.SEGMENT_CYCLES, first, lag)
            cuts.append(Cut.of(cutter))
        motor._cut, *waiting = cuts
        motor._waiting = deque(waiting)
        motor.ordered_steps = bounds[-1]
        motor._start_cycles = start
        motor._end_cycles = start + motor._cut.length
        pump.line.moved(self.seen_steps - self._executed_steps)
        pump.position.dose_steps += self.seen_steps - self._executed_steps
        self._executed_steps = self.seen_steps
        pump.position.executed_steps = pump.position.entered_steps = self.seen_steps
        pump.position.counted_steps = self.seen_steps
        pump.motion.planned_steps = bounds[-1]
        pump.guard.ordered_steps = max(pump.guard.ordered_steps, bounds[-1])

    def _would_cut(self, room, rate, held, executed) -> bool:
        """Whether the guard would cut an order in the next `room` ticks, or a little later, or have one made
        in two halves.
        """
        pump = self.pump
        if not pump.guard.limit_steps:
            return False
        one = pump.mechanism.grains_per_step
        ledger = pump.ledger
        until = room + MARGIN_TICKS
        owed = held + rate + (pump.delivery.origin_steps - pump.position.executed_steps) * one
        peak = peak_steps(ledger, ledger.window_ticks, [(until, rate)], owed, one)
        if peak != pump.guard.limit_steps:
            return peak > pump.guard.limit_steps
        made = executed(self._tick + 1 + numpy.arange(until)) - self._executed_steps
        given = numpy.concatenate((counts_by_tick(ledger), counts_by_tick(ledger)[-1] + made))
        content = given[-until:] - given[-until - ledger.window_ticks : -ledger.window_ticks]
        return bool((content > pump.guard.limit_steps).any())


def counts_by_tick(ledger) -> Any:
    """What the history says was executed by each tick of the last day, from 0 at its beginning."""
    history = ledger.history
    record = Record()
    parts = [numpy.zeros(1, dtype=numpy.int64)]
    done = 0
    at = history.first * BLOCK
    while True:
        last = at == history.head
        if last:
            history.load_open(record)
        elif not history.load(record, at):
            at = history.beginning_after(at // BLOCK)
            continue
        if last and not record.units:
            break
        if record.kind == LUMP:
            counts = numpy.zeros(record.units, dtype=numpy.int64)
            counts[-1] = record.m
        else:
            units = numpy.arange(1, record.units + 1)
            counts = record.whole * units + (record.a * units + record.m) // record.b
        parts.append(done + counts)
        done += int(counts[-1])
        if last:
            break
        at = history.following(at)
    counts = numpy.concatenate(parts)[-DAY_TICKS - 1 :]
    return counts - counts[0]


def _move_history(ledger, tick: int, ticks: int, rate: int, held: int, one: int) -> None:
    """What `ledger.advance` leaves after so many single ticks at that rate, told in as few stretches."""
    end = tick + ticks
    at = tick
    ledger.history.close()
    ahead = held
    while at < end:
        units = min(end - at, MOST_UNITS)
        line = _line(rate, ahead % one, one, units)
        while line is None:
            units = (units + 1) // 2
            line = _line(rate, ahead % one, one, units)
        ledger.history.append_line(units, *line)
        at += units
        ahead += units * rate
    ledger.recount()


def _line(rate: int, held: int, one: int, units: int) -> tuple[int, int, int, int, int] | None:
    """Steps, whole, a, b, m of a line with small numbers through all points of (rate * u + held) // one."""
    u = numpy.arange(units + 1)
    points = (rate * u + held) // one
    # The convergents of rate / one.
    a_before, a, b_before, b = 0, 1, 1, 0
    num, den = rate, one
    most = MOST_UNITS if units > LINE_UNITS else LINE_UNITS  # fits the record of so many units
    while den and b <= most:
        quotient = num // den
        num, den = den, num % den
        a_before, a = a, quotient * a + a_before
        b_before, b = b, quotient * b + b_before
        m = int((b * points - a * u).max())
        if b <= most and m < b and ((a * u + m) // b == points).all():
            return int(points[-1]), a // b, a % b, b, m
    if units == 1:
        return int(points[-1]), int(points[-1]), 0, 1, 0
    return None
