"""A pump, a host that says anything in any order, a flash in any mood, and an oracle that knows the law.

`World` sends, presses, waits and cuts the power; `Oracle` is told in which order requests were read, what was
carried out and answered, and what the motor did. It knows no queue: a stop that was read, whose time came or
whose button is down leaves nothing allowed but what is read after it.

The law: after a stop nothing flows until a command that was read later starts it; nothing that was read
before it is carried out; what was answered `cancelled` is never carried out; an ID is carried out once,
whatever is sent again and however often the power fails; a stop that was answered is not undone by a reset.
And what is not held for a tick is carried out in the order in which it was read.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from thecal import states
from thecal.link import commands
from thecal.link.answers import MOST_STOP_TICKS
from thecal.link.queue import MOST_WAITING
from thecal_bench.bench import BOOT_TICKS
from thecal_bench.flash_model import WAYS, FlashModel, PowerCut, blank_flash
from thecal_bench.inprocess import HostBench
from thecal_model.link import Decoder, FrameError, encode, needs_id

THERAPY = {
    "mode": "continuous",
    "line_nl": 200_000,
    "rate_num": 30_000_000,
    "rate_den": 1,
    "max_rate_nl_h": 60_000_000,
    "patient_bolus": {
        "volume_nl": 20_000,
        "rate_num": 12_000_000,
        "rate_den": 1,
        "lockout_ms": 60_000,
        "max_per_day": 90,
    },
    "limit": {"volume_nl": 50_000_000, "window_ms": 3_600_000},
}
# What starts the motor, or may: the rest is not believed to.
STARTERS = ("start", "prime", "acknowledge", "bolus", "patient_bolus")


class MoodyFlash(FlashModel):
    """Takes `delay` ticks longer for a command; `dead` for so many takes none; its power fails in command
    `cut_at`.
    """

    delay = 0
    dead = 0
    cut_at = -1
    way = "after"
    seed = 0
    _left = -1

    def obey(self, journal: Any, inputs: Any) -> None:
        if journal.command.kind and self.delay:
            self._left = self.delay if self._left < 0 else self._left - 1
            if self._left > 0:
                inputs.flash_done = inputs.flash_ok = False
                return
        self._left = -1
        super().obey(journal, inputs)
        self.dead = max(self.dead - 1, 0)

    def program(self, offset: int, data: bytes) -> None:
        if self._fails():
            if self.way in WAYS:
                self.cut_program(offset, data, self.way, self.seed)
            elif self.way == "after":
                super().program(offset, data)
            raise PowerCut
        if not self.dead:
            super().program(offset, data)

    def erase(self, offset: int) -> None:
        if self._fails():
            if self.way in WAYS:
                self.cut_erase(offset, self.way, self.seed)
            elif self.way == "after":
                super().erase(offset)
            raise PowerCut
        if not self.dead:
            super().erase(offset)

    def power_fails(self) -> None:
        """It has, where `way` says."""

    def _fails(self) -> bool:
        if self.cut_at < 0:
            return False
        self.cut_at -= 1
        return self.cut_at < 0


class Broken(AssertionError):
    """The law is."""


class Oracle:
    """What may be, from what was read and answered."""

    def __init__(self) -> None:
        self.reads = 0  # requests that were read, or stops that were obeyed
        self.last_stop = 0  # the number of the last one that is a stop
        self.may_flow = False  # something that starts was read after it
        self.answered = True  # the last stop was
        self.last_done = 0  # when the last one was read that was carried out and not held for a tick
        self.numbers: dict[tuple[str, int], int] = {}  # of each ID since the boot, when it was read
        self.carried_out: Counter[tuple[str, int]] = Counter()
        self.proposed: list[tuple[str, int]] = []  # since the boot: a reset forgets a proposal and its ID
        self.cancelled: set[tuple[str, int]] = set()
        self.not_accepted: set[tuple[str, int]] = set()  # when they were read last: busy, or STOP was held
        self.held_stops: list[tuple[int, int]] = []  # at which tick, and their ids
        self.seen: Counter[str] = Counter()

    def stop(self) -> None:
        self.reads += 1
        self.last_stop = self.reads
        self.may_flow = False
        self.answered = False
        self.held_stops.clear()

    def read(self, request: dict[str, Any], tick: int, stop_is_down: bool) -> None:
        """`request` was read in `tick`, and its form is right."""
        name = request["cmd"]
        if name == "stop":
            if request.get("at_tick", 0) > tick:
                self.reads += 1
                self.held_stops.append((request["at_tick"], request["id"]))
            else:
                self.stop()
            return
        self.reads += 1
        if "run" in request:
            self.numbers.setdefault((request["run"], request["id"]), self.reads)
            self.not_accepted.discard((request["run"], request["id"]))
        if name in STARTERS and not stop_is_down:
            self.may_flow = True

    def carries_out(self, request: dict[str, Any]) -> None:
        name = request["cmd"]
        if name == "stop" or not needs_id(name):
            return
        identity = request["run"], request["id"]
        self.carried_out[identity] += 1
        row = commands.find(name)
        assert row is not None
        if row.proposes:
            self.proposed.append(identity)
        if self.carried_out[identity] > 1:
            raise Broken(f"{name} was carried out twice")
        if identity in self.cancelled:
            raise Broken(f"{name} was cancelled and carried out")
        if self.numbers[identity] < self.last_stop:
            raise Broken(f"{name} was accepted before a stop and carried out after it")
        if "at_tick" not in request and name != "cancel":
            if self.numbers[identity] < self.last_done:
                raise Broken(f"{name} was overtaken by one that was accepted after it")
            self.last_done = self.numbers[identity]
        self.seen["carried out"] += 1

    def has_come_before_a_stop(self, lines: list[bytes]) -> None:
        """What is not carried out yet of these never may be."""
        for line in lines:
            request = json.loads(line[:-10]) if line.startswith(b"{") else {}
            identity = request.get("run", ""), request.get("id", 0)
            if identity[0] and request["cmd"] != "stop" and not self.carried_out[identity]:
                self.cancelled |= {identity} - self.not_accepted

    def answers(self, frame: dict[str, Any]) -> None:
        if frame.get("error") in ("busy", "cancelled"):
            self.held_stops = [held for held in self.held_stops if held[1] != frame["id"]]
        identity = frame.get("run", ""), frame["id"]
        if frame.get("error") in ("busy", "stop_held") and not self.carried_out[identity]:
            self.numbers.pop(identity, None)  # not accepted, so the ID is still free
            self.not_accepted.add(identity)
        if frame.get("error") == "cancelled" and identity[0]:
            self.cancelled.add(identity)
            self.seen["cancelled"] += 1
            if self.carried_out[identity]:
                raise Broken("it was carried out and answered cancelled")


class World:
    """One pump and what is done to it. `sequence` is a few acts, at random; the pump lives on after it.
    `script` is all that was done: (tick of the bench, what, with what). A `plain` one has a flash without
    moods, so that its script can be done to a pump that is elsewhere.
    """

    def __init__(self, seed: int, plain: bool = False) -> None:
        self.chance = random.Random(seed)
        self.plain = plain
        self.flash: Any = blank_flash() if plain else MoodyFlash.blank()
        self.bench = HostBench(flash=self.flash)
        self.script: list[tuple[int, str, Any]] = []
        self.oracle = Oracle()
        self.run_name = f"{self.chance.getrandbits(31):08x}"
        self.number = 0
        self.sent: list[bytes] = []  # frames with an ID, to be sent again
        self.decoder = Decoder()
        self.digest = "00000000"
        self.frames: list[dict[str, Any]] = []
        self.stops: dict[int, int] = {}  # id of a stop that was not answered yet: the tick it was sent in
        self.steps = 0
        self.stored_nl = 0  # what an acknowledgement draws back
        self.stop_is_down = False
        self.pressed_until: dict[str, int] = {}  # the tick after that in which it is let go
        self.bench.on_data = self._hear
        self._probe()
        self.advance(14)
        self.program()

    # --- probes

    def _probe(self) -> None:
        """Watch what the pump reads and carries out; everything that moves may draw a line back."""
        pump: Any = self.bench.pump
        oracle = self.oracle
        session, orders = pump.host.session, pump.handlers
        following, carry_out = session.next, orders.carry_out

        def read(*arguments: Any) -> Any:
            request = following(*arguments)
            if request is not None:
                oracle.read(request, pump.clock.tick, pump.buttons.stop.held)
            return request

        def carried_out(request: dict[str, Any]) -> Any:
            oracle.carries_out(request)
            return carry_out(request)

        session.next = read
        orders.carry_out = carried_out
        if self.plain:
            return
        pump.senses.stored_nl = lambda: self.stored_nl
        resets = pump.startup.resets
        count = resets.too_many
        resets.too_many = lambda tick: count(tick) and False  # so many would latch it

    def _hear(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            if isinstance(frame, FrameError):
                raise Broken(f"no frame: {frame.message}")
            if frame["type"] == "reply":
                self._replied(frame)
            elif frame.get("code") == "fault":
                raise Broken("a fault of the program")

    def _replied(self, frame: dict[str, Any]) -> None:
        self.oracle.answers(frame)
        if "digest" in frame:
            self.digest = frame["digest"]
        if "held" not in frame and frame["id"] in self.stops:
            del self.stops[frame["id"]]
            if not frame["ok"] and frame["error"] == "cancelled":
                return  # a held one, by another
            if frame.get("kept", True) and frame["ok"] and not self.stops:
                self.oracle.answered = True

    # --- acts

    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            self._tick()

    def _tick(self) -> None:
        bench, oracle = self.bench, self.oracle
        pump: Any = bench.pump
        down = bench.inputs.button_stop
        tick = pump.clock.tick + 1 if not bench._off else -1
        if down and not self.stop_is_down and not bench._off:
            if pump.host.queue.waiting:
                oracle.seen["button while something waits"] += 1
            oracle.stop()
        self.stop_is_down = down and not bench._off
        due = [at for at, _ in oracle.held_stops if at <= tick]
        if due:
            oracle.stop()
            oracle.seen["held stop"] += 1
        waiting = bool(pump.host.queue.waiting)
        stops_before = oracle.last_stop
        try:
            bench.advance_to_tick(bench.tick + 1)
        except PowerCut:
            self._boot()
            return
        if waiting and oracle.last_stop != stops_before:
            oracle.seen["stop while something waits"] += 1
        steps, made = bench.motor.ordered_steps, bench.motor.executed_steps(bench._at_cycles)
        moves = pump.control.state in states.MOVING
        oracle.seen[states.STATES[pump.control.state]] += 1
        if moves and not oracle.may_flow:
            raise Broken(f"{states.STATES[pump.control.state]} after a stop, and nothing was accepted since")
        if moves and self.stop_is_down and bench.inputs.button_stop:  # it may be let go before the tick
            raise Broken("the pump moves while STOP is held down")
        if steps != self.steps and not oracle.may_flow and made != steps:
            raise Broken("motion is ordered after a stop")
        self.steps = steps
        if len(pump.host.queue.waiting) > MOST_WAITING:
            raise Broken("more commands wait than may")
        for number, since in self.stops.items():
            if bench.tick - since > MOST_STOP_TICKS + 30:
                raise Broken(f"stop {number} is not answered")

    def _boot(self) -> None:
        """The power failed in this tick."""
        oracle, bench = self.oracle, self.bench
        oracle.seen["cuts"] += 1
        # Whatever it was before: a stop that was not answered may be undone, one that was answered not.
        resumes = oracle.may_flow or not oracle.answered
        oracle.seen["cuts after an answered stop"] += not resumes
        self.script.append((bench.tick, "reset", None))
        self.flash.delay = self.flash.dead = 0
        self.flash.power_on(bench.tick)
        bench.reset()
        oracle.may_flow = resumes
        for identity in oracle.proposed:
            del oracle.carried_out[identity]
        oracle.proposed.clear()
        oracle.numbers.clear()
        oracle.cancelled.clear()  # a record of that may be lost, and the same sent again is then a new one
        oracle.held_stops.clear()
        self.stops.clear()
        self.stop_is_down = False
        self.decoder = Decoder()
        self._probe()
        self.steps = bench.motor.ordered_steps
        self.advance(BOOT_TICKS)

    def frame(self, cmd: str, **arguments: Any) -> bytes:
        self.number += 1
        body = {"id": self.number, "cmd": cmd, **arguments}
        if needs_id(cmd):
            body["run"] = self.run_name
            if cmd != "stop" and self.chance.random() < 0.2:
                body["boot"] = self.bench.pump.persistence.resets.count
        frame = encode(body)
        if needs_id(cmd) and cmd != "stop":
            self.sent.append(frame)
        if cmd == "stop" and not self.bench._off:
            self.stops[self.number] = max(self.bench.tick, arguments.get("at_tick", 0) + self.offset())
        return frame

    def offset(self) -> int:
        """From the pump's ticks to the bench's."""
        return self.bench.tick - self.bench.pump.clock.tick

    def say(self, data: bytes) -> None:
        if not self.bench._off:
            self.script.append((self.bench.tick, "send", data))
            self.bench.send(data)

    def ask(self, cmd: str, **arguments: Any) -> None:
        self.say(self.frame(cmd, **arguments))
        self.advance(3)

    def program(self) -> None:
        self.ask("program", therapy=THERAPY)
        self.ask("confirm", digest=self.digest)
        self.advance(20)
        assert self.bench.pump.regimen.prescription is not None

    def arguments(self, cmd: str) -> dict[str, Any]:
        """Something that this command may be given."""
        row = commands.find(cmd)
        assert row is not None
        known: dict[str, dict[str, Any]] = {
            "program": {"therapy": {**THERAPY, "rate_num": self.chance.choice((20, 25, 30)) * 1_000_000}},
            "confirm": {"digest": self.digest},
            "bolus": {"volume_nl": 4_000, "duration_ms": 60_000},
            "prime": {"volume_nl": self.chance.choice((20_000, 200_000))},
            "refill": {"volume_nl": 20_000_000},
            "set_time": {"week_s": self.chance.randrange(604_800)},
            "log": {"stream": "events", "from": 0},
            "outcome": {"of_run": self.run_name, "of": self.number},
            "cancel": {"of_run": self.run_name, "of": max(self.number - self.chance.randrange(3), 0)},
        }
        if cmd in known:
            return known[cmd]
        return {
            name: {} if name in commands.OBJECTS else "x" if name in commands.TEXTS else 1
            for name in row.needs
        }

    def line(self) -> bytes:
        """A frame of any command of the table, or an old one again, or a word."""
        chance = self.chance
        kind = chance.random()
        if kind < 0.08 and self.sent:
            return chance.choice(self.sent[-12:])
        if kind < 0.13:
            return chance.choice((b"stop\n", b"stop\r\n", b"hello\n", b"status\n", b"\n"))
        if kind < 0.55:
            cmd = chance.choice(("start", "stop", "prime", "confirm", "bolus", "acknowledge", "stop"))
        else:
            cmd = chance.choice(commands.COMMANDS).name
        arguments = self.arguments(cmd)
        row = commands.find(cmd)
        assert row is not None
        if row.changes != commands.READS and cmd != "cancel" and chance.random() < 0.35:
            arguments["at_tick"] = max(self.bench.pump.clock.tick + chance.randrange(-1, 12), 0)
        return self.frame(cmd, **arguments)

    def act(self) -> None:
        chance = self.chance
        bench = self.bench
        kind = chance.random() * (0.74 if self.plain and chance.random() < 0.9 else 1)
        if self.plain and kind >= 0.74:
            self._boot()
            return
        if kind < 0.03:
            self.flood()
        elif kind < 0.62:
            burst = b"".join(self.line() for _ in range(chance.choice((1, 1, 2, 3, 4))))
            self.say(burst)
        elif kind < 0.70:
            self.press("stop", chance.choice((1, 2, 8)))
        elif kind < 0.74:
            self.press("patient", 1)
        elif kind < 0.80:
            self.flash.delay = chance.choice((0, 1, 2, 4))
        elif kind < 0.83:
            self.flash.dead = chance.randrange(1, 5)
        elif kind < 0.90:
            self.flash.cut_at = chance.randrange(6)
            self.flash.way = chance.choice(("before", *WAYS, "after"))
            self.flash.seed = chance.randrange(1 << 20)
        elif kind < 0.93:
            self.flash.delay = chance.choice((1, 2, 4))
            self.say(chance.choice((b"stop\n", self.frame("stop"))))
            self.advance(chance.randrange(1, 4))
            self._boot()
        elif kind < 0.96:
            self._boot()
            self.flash.delay = chance.choice((0, 2, 4))
            self.advance(chance.randrange(3))
            if chance.random() < 0.5:
                self.press("stop", chance.choice((1, 8)))
            else:
                self.say(b"stop\n")
            self.advance(10)
        elif kind < 0.98:
            assert bench.plant is not None
            bench.plant.set_air(True)
        self.advance(chance.choice((0, 0, 1, 1, 2, 3, 6)))

    def flood(self) -> None:
        """A stop in the midst of more than is read in a tick; it acts in the tick in which it has come."""
        bench = self.bench
        lines = [self.line(), self.line()]
        early, late = (b"hello\n" * self.chance.randrange(*most) for most in ((0, 12), (10, 50)))
        self.say(lines[0] + early + lines[1] + late + b"hello\n" * 20 + b"stop\n")
        boots = self.oracle.seen["cuts"]
        is_up = bench.tick > bench._boot_tick  # else what is sent is lost in the boot
        self.advance(1)
        if is_up and boots == self.oracle.seen["cuts"] and not bench._rx:
            if bench.pump.control.state in states.MOVING:
                raise Broken("a stop waits behind a flood")
            self.oracle.has_come_before_a_stop(lines)
        self.oracle.seen["flood"] += 1
        self.say(self.line() + self.line())
        self.advance(self.chance.randrange(8))

    def press(self, button: str, ticks: int) -> None:
        """Not while it is down: the end of the first press would be that of the second one."""
        if not self.bench._off and self.bench.tick > self.pressed_until.get(button, -1):
            self.pressed_until[button] = self.bench.tick + ticks + 1
            self.script.append((self.bench.tick, "press", (button, ticks)))
            self.bench.press(button, ticks)

    def sequence(self) -> None:
        """Some acts on a pump that mostly runs or is about to, then peace."""
        chance = self.chance
        assert self.bench.plant is not None
        self.bench.plant.set_air(False)  # a plain one never has any
        how = chance.random()
        self.stored_nl = chance.choice((0, 0, 10_000))
        if chance.random() < 0.95 and self.bench.pump.control.state == states.HALTED:
            self.ask("acknowledge")
            self.ask("stop")
        if how < 0.5:
            self.ask("start")
        elif how < 0.75:
            self.ask("stop")
            self.ask("new_line")
            self.ask("confirm", digest=self.digest)
        elif how < 0.85:
            self.ask("program", therapy={**THERAPY, "rate_num": chance.choice((20, 25)) * 1_000_000})
        for _ in range(chance.randrange(2, 6)):
            self.act()
        self.flash.delay = 0
        self.advance(chance.choice((2, 8, 14)))
        self.flash.cut_at = -1
