"""What a turn of the loop costs on the chip: time, and bytes of the heap.

Typed at the prompt, the pump's own `App` and the control's own `Control` run some turns at their proper pace;
the heap is read before and after, and no collection comes in between. The control's callbacks allocate as
well, and theirs count: they are how it makes its steps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from thecal_bench.bench import BenchError
from thecal_bench.benchmarks.figures import percentile
from thecal_bench.benchmarks.motion import CONTROL, LATE, THECAL
from thecal_bench.chip.bench import DEFAULT_IMAGE, ChipBench

TICK_MS = 100
MARK = b"COST "
SPARE_MS = 5_000  # for what comes before and after the turns

_THECAL = """
import gc, json, micropython
from array import array
from thecal import app, states
from thecal.dose import prescription
loop_us = array("I", bytes(4 * TURNS))
a = app.App()
p = a.pump
while p.control.state != states.STOPPED:
    a.wait()
    a.tick()
therapy = {"mode": "continuous", "rate_num": RATE_NL_H, "rate_den": 1}
p.regimen.put_in_force(prescription.parse(therapy, p.mechanism))
p.critical.words.keep_all()
for _ in range(3):  # until its motion is booked
    a.wait()
    a.tick()
p.control.enter(states.RUNNING, 0)
p.critical.words.keep_all()
for _ in range(15):
    a.wait()
    a.tick()
turn = before = used = 0  # names that are new later would make their table grow
gc.collect()
before = gc.mem_alloc()
for turn in range(TURNS):
    a.wait()
    a.tick()
    loop_us[turn] = a.inputs.loop_us
used = gc.mem_alloc() - before
running = p.control.state == states.RUNNING
a.stepper.halt()
a.stepper.enable(False)
micropython.kbd_intr(3)
"""

_CONTROL = """
from array import array
loop_us = array("I", bytes(4 * TURNS))
control = Control(RATE_NL_H, IS_LATE)
control.turn()
control.start()
control.wait()
turn = before = used = 0  # names that are new later would make their table grow
gc.collect()
before = gc.mem_alloc()
for turn in range(TURNS):
    control.wait()
    started_us = ticks_us()
    control.turn()
    loop_us[turn] = ticks_diff(ticks_us(), started_us)
used = gc.mem_alloc() - before
control.stepper.stop()
running = control.stepper.steps > 0
"""

_TELL = """
print("\\nCOST " + json.dumps({"bytes": used, "loop_us": list(loop_us), "running": running}))
"""

_ACCUMULATE = """
import struct
stepper = Stepper()
stepper.steps_per_s = RATE_NL_H / S_PER_H / NL_PER_STEP
for _ in range(ADDITIONS):
    stepper.callback(None)
print("\\nCOST " + json.dumps([stepper.steps, struct.pack("<f", stepper.owed).hex()]))
"""


@dataclass(frozen=True)
class Cost:
    """Of one turn of the loop, or of 100 ms."""

    bytes_per_tick: float
    loop_p50_us: float
    loop_worst_us: float


def measure_cost(design: str, rate_nl_h: int, turns: int, image: Path = DEFAULT_IMAGE) -> Cost:
    """Run `turns` turns (at most about two seconds of them: the control fills its heap in five)."""
    head = f"TURNS = {turns}\nRATE_NL_H = {rate_nl_h}\n"
    if design == THECAL:
        program = head + _THECAL
    else:
        program = f"{CONTROL.read_text()}\n{head}IS_LATE = {design == LATE}\n{_CONTROL}"
    told = json.loads(_tell(program + _TELL, turns * TICK_MS + SPARE_MS, image))
    if not told["running"] or told["bytes"] < 0:
        raise BenchError(f"the cost of {design} was not measured: {told}")
    ordered = sorted(told["loop_us"])
    return Cost(told["bytes"] / turns, percentile(ordered, 50), ordered[-1])


def accumulate_on_chip(rate_nl_h: int, additions: int, image: Path = DEFAULT_IMAGE) -> tuple[int, str]:
    """Whole steps and the bits of what is left after `additions` callbacks, made one by one by the chip."""
    head = f"ADDITIONS = {additions}\nRATE_NL_H = {rate_nl_h}\n"
    program = f"{CONTROL.read_text()}\n{head}{_ACCUMULATE}"
    steps, left = json.loads(_tell(program, additions + SPARE_MS, image))
    return steps, left


def _tell(program: str, limit_ms: float, image: Path) -> bytes:
    """Run a program to the line that it ends with."""
    with ChipBench(image=image, program=program) as bench:
        said = bytearray()
        bench.on_data = said.extend

        def ended() -> bool:
            return b"\n" in said[said.find(MARK) :] if MARK in said else b"Traceback" in said

        bench.board.run_until(ended, limit_ms, "the end of a program of the benchmark")
        if MARK not in said:
            raise BenchError(f"a program of the benchmark failed: {said.decode(errors='replace')}")
        return bytes(said[said.find(MARK) + len(MARK) :]).splitlines()[0]
