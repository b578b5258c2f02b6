"""A pump reduced to what its memory is about, on a modelled flash whose power fails where a test wants it.

`Device` is the pump: it boots from the flash, draws its motion only from what the ledger has booked, and
obeys a script. `World` is the truth that no cut can touch: where the motor really is, what was really given
in which tick, which boluses were granted. `Command` is one flash command with what was true when it was
given; from a list of them a test makes every cut.

The motor takes one order a tick and is ordered ten ticks ahead. A motor that finds no order while it should
move is an error (`Starved`), as is an erase while fewer than six ticks are ordered (`EraseTooSoon`).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from thecal.record import layout
from thecal.record.events import RECORD_BYTES
from thecal.record.journal import Journal
from thecal.record.layout import place_of
from thecal.record.ledger import Ledger
from thecal_bench.flash_model import FlashModel, crc_into

AHEAD_TICKS = 10
ERASE_TAKES_TICKS = 4
STEPS_PER_UL = UL_H = 32  # microlitres an hour are steps an hour
ML_H = 1_000 * UL_H
GRAINS = 420 * 3_600 * 10  # any number will do; this one makes rates of whole steps per hour exact

SECTOR_BYTES = 1024
RINGS = (4, 10, 5, 4, 3)
SLOTS = ((3, 1), (2, 2), (2, 1))
SECTORS = sum(RINGS) + sum(count * sectors for count, sectors in SLOTS)
LOG_CAPACITY = 32
BOLUS_ON = place_of("strike_alarm")  # a field that this device has no other use for

BOOT, STATE, THERAPY, BOLUS, DENIED, REFILL, FAULT, TICKING = range(8)
FAULTS = (BOOT, FAULT)


class Starved(AssertionError):
    """The motor should move and has no order."""


class EraseTooSoon(AssertionError):
    """An erase while the queue does not cover it."""


def is_fault(log: bytes, at: int) -> bool:
    return log[at + 10] in FAULTS


@dataclass
class World:
    """What is true."""

    tick: int = 0
    steps: int = 0
    moved_ticks: list[int] = field(default_factory=list)  # in which the motor moved ...
    moved_steps: list[int] = field(default_factory=list)  # ... and where it was then
    ratios: list[tuple[int, Fraction]] = field(default_factory=list)  # how many moves came before it, and it
    grants: list[int] = field(default_factory=list)
    blobs: dict[tuple[int, int], bytes] = field(default_factory=dict)
    events: dict[int, bytes] = field(default_factory=dict)

    def move(self, steps: int) -> None:
        if steps:
            self.steps += steps
            self.moved_ticks.append(self.tick)
            self.moved_steps.append(self.steps)

    def given(self, after_tick: int, ratios: int) -> Fraction:
        """The dose in all ticks after `after_tick`, each step in the unit after so many changes of it."""
        total = Fraction(0)
        start = bisect_right(self.moved_ticks, after_tick)
        ends = [moves for moves, _ in self.ratios[:ratios]] + [len(self.moved_steps)]
        for number, end in enumerate(ends):
            if end > start:
                worth = Fraction(self.moved_steps[end - 1] - (self.moved_steps[start - 1] if start else 0))
                for _, ratio in self.ratios[number:ratios]:
                    worth *= ratio
                total += worth
                start = end
        return total


@dataclass
class Command:
    """One flash command, and what was so when it was given."""

    kind: int
    offset: int
    data: bytes
    before: tuple[int, ...] | None  # the fields booked before it, None if there were none
    after: tuple[int, ...] | None  # and with it
    executed: int  # on the device's scale
    moving_to: int  # where the motor can be by the time the command is over
    quantum: int  # the largest in force since the last booked reservation
    over: int  # device's scale less truth
    tick: int  # of the world
    moves: int  # how many of the world's by the end of it
    events: int  # ever made
    events_booked: int


class Device:
    """Boots at once. `tick` until the flash gives a command that the test wants to cut."""

    ring_sectors = RINGS
    slots = SLOTS
    ahead_ticks = AHEAD_TICKS
    may_starve = False
    journal_class = Journal
    ledger_class = Ledger

    def __init__(self, flash: FlashModel, world: World, commands: list[Command] | None = None) -> None:
        self.flash = flash
        self.world = world
        self.commands = commands
        self.log = bytearray(RECORD_BYTES * LOG_CAPACITY)
        self.journal = journal = self.new_journal(self.log)
        journal.recover(flash.image)
        self.recovered = tuple(journal.words)
        assert journal.history is not None
        self.history = journal.history
        self.recovered_events = journal.log_count
        self.ledger = self.ledger_class(journal, STEPS_PER_UL)
        words = journal.words
        self.executed = words[layout.EXECUTED]
        self.over = self.executed - world.steps  # what is counted and was not given
        self.dose = words[layout.DOSE]
        self.tick_now = words[layout.TICK]
        self.queue: deque[int] = deque()
        self.ordered = self.executed
        self.moving = False
        self.fed = False  # since the motor was started it has once been ordered all the way ahead
        self.rate = (0, 0)
        self.owed = (0, 0)
        self.quantum = self.quantum_before = 1
        self.done = self.ok = False
        self.booked = None if journal.status == layout.VIRGIN else self.recovered
        self.events_booked = journal.log_count
        self.acted_tick = -1  # up to here a script was followed
        self.confirming: list[tuple[int, bytes]] = []
        words[place_of("resets")] += 1
        self.event(BOOT, words[place_of("resets")])
        journal.state.save()

    def new_journal(self, log: bytearray) -> Journal:
        """One that has recovered nothing yet."""
        return self.journal_class(
            crc_into, log, LOG_CAPACITY, is_fault, self.flash.sector_bytes, self.ring_sectors, self.slots
        )

    # --- what the script may do

    def event(self, code: int, a: int) -> None:
        struct.pack_into(
            "<IIHHiii",
            self.log,
            self.journal.log_count % LOG_CAPACITY * RECORD_BYTES,
            self.journal.log_count,
            self.tick_now // 10,
            self.tick_now % 10 * 100,
            code,
            a,
            0,
            self.executed,
        )
        at = self.journal.log_count % LOG_CAPACITY * RECORD_BYTES
        self.world.events[self.journal.log_count] = bytes(self.log[at : at + RECORD_BYTES])
        self.journal.log_count += 1

    def flow(self, steps_per_hour: int) -> None:
        """Throw the plan away and flow at this rate."""
        self.rate = divmod(steps_per_hour * GRAINS // 36_000, GRAINS)
        self.ledger.set_flow(*self.rate, GRAINS)
        self.quantum_before = max(self.quantum, self.quantum_before)
        self.quantum = self.ledger.quantum_steps
        self.queue.clear()
        self.ordered = self.executed
        self.owed = (self.executed, 0)
        self.moving = steps_per_hour > 0
        self.fed = False

    def act(self, action: tuple) -> None:
        name, *arguments = action
        words = self.journal.words
        if name == "flow":
            self.flow(arguments[0])
            words[place_of("state")] = 3 if self.moving else 2
            self.event(STATE, words[place_of("state")])
            self.journal.state.save()
        elif name == "blob":
            self.confirming.append((arguments[0], arguments[1]))
        elif name == "bolus":
            self.world.grants.append(self.tick_now)
            words[BOLUS_ON] = 1
            words[place_of("bolus_nl_0")] = arguments[0]
            self.journal.history_writer.grant(self.tick_now)
            self.event(BOLUS, arguments[0])
        elif name == "bolus_end":
            words[BOLUS_ON] = 0
            words[place_of("lockout_end_tick")] = self.tick_now
            self.journal.state.save()
        elif name == "denied":
            words[layout.DENIALS] += 1
            self.event(DENIED, words[layout.DENIALS])
        elif name == "refill":
            words[place_of("fill_nl")] = arguments[0]
            words[place_of("filled_at_steps")] = self.executed
            self.event(REFILL, arguments[0])
            self.journal.state.save()
        elif name == "rescale":
            num, den = arguments
            self.journal.history_writer.rescale(num, den, self.dose)
            self.world.ratios.append((len(self.world.moved_ticks), Fraction(num, den)))
        elif name == "fault":
            words[place_of("alarms")] |= 1 << arguments[0]
            self.event(FAULT, arguments[0])
            self.journal.state.save()
        elif name == "events":
            for number in range(arguments[0]):
                self.event(FAULT if number % 2 else TICKING, number)
        else:
            raise ValueError(name)

    # --- one tick

    def tick(self, actions: tuple = ()) -> None:
        """Hear, act, order motion, book, order the flash, obey."""
        journal = self.journal
        journal.heard(self.done, self.ok)
        self.ledger.heard()
        self.done = False
        for action in actions:
            self.act(action)
        self._confirm()
        if self.moving:
            self._order_motion()
        moving = self.moving or bool(self.queue)
        self.ledger.step(self.tick_now, self.executed, self.ordered, self.dose, moving)
        # A motor that rests, or waits for its first reservation, is late for nothing.
        covered = not self.queue or (self._queue_covers() and self.ledger.covers_erase())
        journal.order(covered)
        took = 1
        if journal.command.kind != layout.NOTHING:
            took = self._obey()
        for _ in range(took):
            self._move()

    def _queue_covers(self) -> bool:
        return len(self.queue) >= 6

    def _confirm(self) -> None:
        journal = self.journal
        if journal.slots.kind < 0 and self.confirming and journal.state.started:
            kind, data = self.confirming[0]
            journal.slots.begin(kind, (data[:50], data[50:]))
        elif journal.slots.done():
            kind, data = self.confirming.pop(0)
            serial = journal.slots.adopt()
            self.world.blobs[kind, serial] = data
            self.event(THERAPY, serial)
            journal.state.save()

    def _order_motion(self) -> None:
        booked = self.ledger.booked_steps
        steps, grains = self.owed
        while len(self.queue) < self.ahead_ticks:
            steps += self.rate[0]
            grains += self.rate[1]
            if grains >= GRAINS:
                grains -= GRAINS
                steps += 1
            if steps > booked and steps > self.ordered:
                break
            self.owed = (steps, grains)
            self.ordered = max(steps, self.ordered)
            self.queue.append(self.ordered)
        self.fed = self.fed or len(self.queue) == self.ahead_ticks

    def _move(self) -> None:
        self.world.tick += 1
        self.tick_now += 1
        if self.queue:
            steps = self.queue.popleft() - self.executed
            self.executed += steps
            self.dose += steps
            self.world.move(steps)
        elif self.moving and self.fed and not self.may_starve:
            raise Starved(f"tick {self.tick_now}")

    def _obey(self) -> int:
        journal = self.journal
        kind, offset = journal.command.kind, journal.command.offset
        data = b""
        if kind == layout.PROGRAM:
            start = offset % 256
            data = bytes(journal.command.data[start : start + journal.command.length])
            assert journal.command.data[:start] == b"\xff" * start
        takes = 1 if kind == layout.PROGRAM else ERASE_TAKES_TICKS
        after = self.booked
        events = self.events_booked
        part = journal.command.part
        state = kind == layout.PROGRAM and part is journal.state
        if state:
            words = tuple(journal.words)
            after = words if len(data) > 32 or self.booked is None else words[:4] + self.booked[4:]
        if kind == layout.PROGRAM and part is journal.events and not journal.command.closes:
            events = journal.events.way_sequence
        if self.commands is not None:
            self.commands.append(self._command(kind, offset, data, after, takes))
        if kind == layout.ERASE and 0 < len(self.queue) < 6:
            raise EraseTooSoon(f"tick {self.tick_now}: {len(self.queue)} ticks are ordered")
        self.give(kind, offset, data)
        self.done = True
        end = offset + (len(data) if data else self.flash.sector_bytes)
        self.ok = self.flash.image[offset:end] == (data or b"\xff" * self.flash.sector_bytes)
        if self.ok:
            self.booked = after
            self.events_booked = events
            if state:
                self.quantum_before = self.quantum
        return takes

    def give(self, kind: int, offset: int, data: bytes) -> None:
        """To the flash; a test may cut the power here."""
        if kind == layout.PROGRAM:
            self.flash.program(offset, data)
        else:
            self.flash.erase(offset)

    def _command(self, kind: int, offset: int, data: bytes, after, takes: int) -> Command:
        reach = [self.executed, *self.queue][: takes + 1]
        moves = sum(1 for a, b in zip(reach, reach[1:], strict=False) if b > a)
        return Command(
            kind,
            offset,
            data,
            self.booked,
            after,
            self.executed,
            reach[-1],
            max(self.quantum, self.quantum_before),
            self.over,
            self.world.tick,
            len(self.world.moved_ticks) + moves,
            self.journal.log_count,
            self.events_booked,
        )
