"""Faults at every call of every driver, and at every part of the tick, on the chip.

`CALLS` and `PARTS` are read from the sources of `thecal.app`, `thecal.loop` and `thecal.pump`: a call of a
driver that is added there is injected here without anybody's doing, and one of a driver that is not known
here fails
`test_every_call_of_a_driver_is_known`. From some tick on a call raises, never returns, or does nothing and
returns nothing (the wrong value); then the host orders another rate, so that calls are met that come with a
new plan only.

The law is of the pins and the plant. At no time were there more steps than what was owed and one second of
flow (MOT-04). After an exception or a hang the last edge comes within a second of it, and the driver is
without power, after a reset at the latest.
"""

import ast
import inspect
from pathlib import Path

import pytest
import thecal
from forked import from_boot
from rig import Rig
from thecal.watch import alarms, selftest
from thecal_bench.bench import TICK_NS

pytestmark = pytest.mark.chip

SOURCE = Path(inspect.getfile(thecal)).parent / "app.py"
DRIVERS = ("stepper", "sensors", "usb", "annunciator", "image", "flash", "watchdog", "pace")
PUMP_SOURCE = SOURCE.with_name("pump.py")
LOOP_SOURCE = SOURCE.with_name("loop.py")
TURNS = ("tick", "read", "move", "write_flash", "show", "transmit", "left_us", "wait_until_left", "wait")
LOOP_NAMES = {"motor": "stepper"}  # what the loop calls a driver
BAD_TURN = 40
RATE_NL_H = 60_000_000
STEPS_PER_TICK = RATE_NL_H * 3_200 / (100_000 * 36_000)
STEPS_PER_S = 10 * STEPS_PER_TICK

EXCEPTION, HANG, NOTHING = "exception", "hang", "nothing"
BROKEN = {EXCEPTION: "raise ValueError", HANG: "while True: pass", NOTHING: "return None"}


def calls(source=SOURCE, methods=TURNS):
    """What these methods call of which object, in the turn of the loop: ("stepper", "read") and so on."""
    found = []
    for method in ast.walk(ast.parse(source.read_text())):
        if isinstance(method, ast.FunctionDef) and method.name in methods:
            for node in ast.walk(method):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    owner = node.func.value
                    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
                    found.append((name, node.func.attr))
    return list(dict.fromkeys(found))


# What a probe, a new rig and keys ask for is not called in a run; it would come to the same edge.
ASKED_FOR = {"pads", "reset", "machine", "maintenance"}
NO_DRIVERS = {"time", "gc", "self", "pump", "loop", "board", "timing", "segment"} | ASKED_FOR
LOOP = calls(LOOP_SOURCE, ("turn", "move", "_start_anew"))
ALL = list(dict.fromkeys([*calls(), *((LOOP_NAMES.get(owner, owner), name) for owner, name in LOOP)]))
CALLS = [f"{owner}.{name}" for owner, name in ALL if owner in DRIVERS]
PARTS = [
    *(name for owner, name in calls(PUMP_SOURCE, ("decide",)) if owner == "self"),
    *(name for owner, name in LOOP if owner == "pump" and name != "decide"),
]


def test_every_call_of_a_driver_is_known():
    assert {owner for owner, _ in ALL} - NO_DRIVERS == set(DRIVERS)
    assert {name for owner, name in LOOP if owner == "board"} <= set(TURNS)
    assert len(CALLS) >= 14
    assert PARTS[:2] == ["_time_part", "_dose_part"] and PARTS[-2:] == ["keep", "report"] and len(PARTS) >= 8


def program(place, what):
    owner, name = place.rsplit(".", 1)
    return f"""
from thecal import app
def broken(*arguments):
    {BROKEN[what]}
class Broken(app.App):
    turns = 0
    def tick(self):
        self.turns += 1
        if self.turns == {BAD_TURN}:
            self.{owner}.{name} = broken
        super().tick()
app.App = Broken
app.run()
"""


def ordinary(place, what):
    """Those of `make test`: one of each kind, where the others are alike."""
    return (place, what) in {
        ("stepper.queue", EXCEPTION),
        ("sensors.read", HANG),
        ("stepper.read", NOTHING),
        ("pump._motion_part", HANG),
    }


CASES = [
    pytest.param(place, what, marks=() if ordinary(place, what) else pytest.mark.long)
    for place in [*CALLS, *["pump." + part for part in PARTS]]
    for what in BROKEN
    if not (place.startswith("pump.") and what == NOTHING)
]


@pytest.mark.req("SAFE-03", "SAFE-04", "SAFE-05", "MOT-04", "SAFE-01")
@pytest.mark.parametrize(("place", "what"), CASES)
def test_a_driver_or_a_part_that_fails_delivers_no_more_than_a_second(image, place, what):
    rig = Rig(image, program=program(place, what))
    rig.start(RATE_NL_H)
    therapy = {"mode": "continuous", "rate_num": RATE_NL_H * 9 // 10, "rate_den": 1}
    digest = rig.ask("program", therapy=therapy)["digest"]
    began = rig.bench.tick
    made_before = len(rig.edges.rising)
    rig.run_ticks(max(BAD_TURN - rig.bench.tick, 1))
    rig.client.request("confirm", digest=digest)
    bad_ns = rig.bench._due_ns(BAD_TURN - 1)
    rig.board.run_until_ns(bad_ns + 45 * TICK_NS)

    edges_ns = [cycle * 8 for cycle in rig.edges.rising]
    for made, at_ns in enumerate(edges_ns[made_before:], made_before + 1):
        owed = made_before + (at_ns - rig.bench._due_ns(began)) / TICK_NS * STEPS_PER_TICK
        assert made <= owed + STEPS_PER_S + 2, f"{made} steps where {owed:.0f} are owed"
    if what == NOTHING:
        return
    hit = rig.board.resets or rig.board.pin("EN") == 1
    assert hit, "the fault was never met"
    assert edges_ns[-1] <= bad_ns + 13 * TICK_NS, "the motor went on"
    assert rig.board.pin("EN") == 1
    if what == EXCEPTION and not rig.board.resets:
        raised = [event["a"] for event in rig.client.events if event["code"] == "alarm"]
        assert alarms.LOOP_FAULT in raised


@pytest.mark.req("SAFE-03")
@pytest.mark.parametrize(
    "part",
    [part if part == "watch" else pytest.param(part, marks=pytest.mark.long) for part in selftest.PARTS],
)
def test_a_loop_that_does_all_but_one_part_is_reset_by_the_watchdog(image, part):
    """In two seconds; nothing else is wrong with it."""
    rig = Rig(
        image,
        program=f"""
from thecal import app
class Forgetful(app.App):
    turns = 0
    def transmit(self, outputs):
        super().transmit(outputs)
        self.turns += 1
        if self.turns >= {BAD_TURN}:
            outputs.checked_in &= ~{1 << selftest.PARTS.index(part)}
app.App = Forgetful
app.run()
""",
    )
    rig.start(RATE_NL_H)
    rig.board.run_until_ns(rig.bench._due_ns(BAD_TURN + 15))
    assert rig.board.resets == 0 and rig.board.pin("EN") == 0 and rig.worst_off_steps() <= 1
    rig.board.run_until_ns(rig.bench._due_ns(BAD_TURN + 22))
    assert rig.board.resets == 1 and rig.board.pin("EN") == 1


@pytest.mark.req("SAFE-03", "SAFE-04", "MOT-04")
@pytest.mark.parametrize("tenths", [0, pytest.param(2, marks=pytest.mark.long)])
@from_boot
def test_a_processor_that_stops_dead_stops_the_motor_and_is_reset(rig, tenths):
    """Interrupts masked, `tenths` of a millisecond into a tick."""
    rig.start(RATE_NL_H)
    rig.run_ticks(10)
    at_ns = rig.bench._due_ns(rig.bench.tick + 1) + tenths * 100_000
    rig.board.run_until_ns(at_ns)
    rig.board.hang()
    made = len(rig.edges.rising)
    rig.board.run_until_ns(at_ns + 25 * TICK_NS)
    assert rig.board.resets == 1 and rig.board.pin("EN") == 1
    assert len(rig.edges.rising) - made <= STEPS_PER_S + 3  # and the pulse of the self-test
