"""One design at one rate on the emulated chip, every edge of STEP recorded.

A `Task` says what to run, `run_task` runs it and gives a `Motion`. Both can be pickled, so tasks can run in
processes of their own. Designs are the pump itself and its two controls (`control_stepper`); all run on the
same image, on the same board with the same plant, and are told the same rate.

Delivery begins for the pump at the end of the tick that starts it (the tick of its `state` event), for a
control when it turns the driver on. `disturbed` does the same to all: garbage is collected in every turn of
the loop, the host sends noise without a pause, and once the processor stands still for 400 ms, as it does
while flash is erased.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from thecal.states import RUNNING
from thecal_model.link import LinkClient

from thecal_bench.bench import TICK_NS, BenchError
from thecal_bench.benchmarks.figures import CPU_HZ
from thecal_bench.chip.bench import DEFAULT_IMAGE, ChipBench
from thecal_bench.chip.pio_clock import CYCLE_NS
from thecal_bench.chip.recorders import EdgeRecorder, SegmentRecorder
from thecal_bench.parameters import REFERENCE

THECAL, NOMINAL, LATE = "thecal", "timer", "timer, late"
DESIGNS = (THECAL, NOMINAL, LATE)

CONTROL = Path(__file__).resolve().parents[1] / "control_stepper.py"

# The pump's own parts in a loop that collects garbage in every turn.
THECAL_COLLECTING = """
import gc
from thecal import app
pump = app.App()
while True:
    pump.wait()
    pump.tick()
    gc.collect()
"""

SLICE_MS = 100
START_LIMIT_MS = 5_000
REPLY_TICKS = 50
SETTLING_TICKS = 10
NS_PER_S = 1_000_000_000
TICKS_PER_H = 3600 * NS_PER_S // TICK_NS
FLOOD_BYTES = 700  # in each slice; more than the pump takes from a well-behaved host
STALL_MS = 400


@dataclass(frozen=True)
class Task:
    """What to run."""

    design: str
    rate_nl_h: int
    seconds: int
    disturbed: bool = False
    image: Path = DEFAULT_IMAGE
    settling_seconds: int = 0  # of them, whose cycles do not count

    @property
    def steps_per_cycle(self) -> Fraction:
        return Fraction(self.rate_nl_h, 3600 * CPU_HZ) / REFERENCE.step_nl


@dataclass
class Motion:
    """What came of it. Cycles count from the beginning of delivery, up to `end_cycle`."""

    task: Task
    end_cycle: int
    edges: list[int]
    taken: list[tuple[int, int]] = field(default_factory=list)  # words of segments, with their cycle
    cycles_per_tick: float = 0.0  # work of the processor in 100 ms, once it has settled
    plant_steps: int = 0

    @property
    def cycles_per_ul(self) -> float:
        """Work of the processor for a microlitre."""
        return self.cycles_per_tick * TICKS_PER_H * 1000 / self.task.rate_nl_h


def run_task(task: Task, progress: Callable[[float], object] = lambda _seconds: None) -> Motion:
    """Run a task; `progress` is told the simulated seconds that have passed since its last call.

    Raises BenchError if the pump does not start, or if the emulator lost time.
    """
    return (_run_thecal if task.design == THECAL else _run_control)(task, progress)


def _run_thecal(task: Task, progress: Callable[[float], object]) -> Motion:
    with ChipBench(image=task.image, program=THECAL_COLLECTING if task.disturbed else None) as bench:
        edges, segments = EdgeRecorder(bench.board), SegmentRecorder(bench.board, 0)
        client = LinkClient(bench.send)
        bench.on_data = client.feed
        bench.advance_to_tick(2)
        edges.clear()  # of the self-test's pulse
        start_thecal(bench, client, task.rate_nl_h)
        (tick,) = (e["tick"] for e in client.events if e["code"] == "state" and e["b"] == RUNNING)
        start_ns = tick * TICK_NS + bench.board.now_ns - bench.now_ns
        motion = _deliver(bench, task, start_ns, edges, progress)
        start = start_ns // CYCLE_NS
        # The first segment starts a little before the tick's end that delivery is counted from.
        taken = [(at - start, word) for at, word in segments.taken if at - start <= motion.end_cycle]
        motion.taken = taken[: len(taken) // 2 * 2]  # a segment has two words
        return motion


@contextmanager
def steady(task: Task) -> Iterator[ChipBench]:
    """The pump on the chip, having delivered at the task's rate for a second."""
    with ChipBench(image=task.image) as bench:
        client = LinkClient(bench.send)
        bench.on_data = client.feed
        start_thecal(bench, client, task.rate_nl_h)
        bench.advance_to_tick(bench.tick + SETTLING_TICKS)
        yield bench


def start_thecal(bench: ChipBench, client: LinkClient, rate_nl_h: int) -> None:
    """From power-on to the tick in which the pump has said that it runs."""
    bench.advance_to_tick(2)  # what is sent before the loop runs may go to the prompt
    therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
    digest = _ask(bench, client, "program", therapy=therapy)["digest"]
    _ask(bench, client, "confirm", digest=digest)
    _ask(bench, client, "start")


def _ask(bench: ChipBench, client: LinkClient, cmd: str, **arguments: object) -> dict:
    number = client.request(cmd, **arguments)
    for _ in range(REPLY_TICKS):
        bench.advance_to_tick(bench.tick + 1)
        reply = client.reply(number)
        if reply is not None:
            if reply["ok"]:
                return reply
            raise BenchError(f"the pump refuses `{cmd}`: {reply.get('message') or reply.get('error')}")
    raise BenchError(f"the pump does not answer `{cmd}` within {REPLY_TICKS} ticks")


def control_program(task: Task) -> str:
    """What is typed at the prompt."""
    return f"{CONTROL.read_text()}\nrun({task.rate_nl_h}, {task.design == LATE}, {task.disturbed})\n"


def _run_control(task: Task, progress: Callable[[float], object]) -> Motion:
    with ChipBench(image=task.image, program=control_program(task)) as bench:
        said = bytearray()
        bench.on_data = said.extend
        edges = EdgeRecorder(bench.board)
        enabled: list[int] = []
        bench.board.listen("EN", lambda level, now_ns, _cycle: None if level else enabled.append(now_ns))
        try:
            bench.board.run_until(lambda: enabled, START_LIMIT_MS, "the start of the control", every_us=50)
        except TimeoutError as error:
            raise BenchError(f"{error}; it said {bytes(said[-500:])!r}") from None
        return _deliver(bench, task, enabled[0], edges, progress)


def _deliver(
    bench: ChipBench,
    task: Task,
    start_ns: int,
    edges: EdgeRecorder,
    progress: Callable[[float], object],
) -> Motion:
    board = bench.board
    end_ns = start_ns + task.seconds * NS_PER_S
    from_ns, from_cycles = board.now_ns, board.busy_cycles
    settled_ns = start_ns + task.settling_seconds * NS_PER_S
    noise = random.Random(1)
    stall_ns = start_ns + task.seconds * NS_PER_S // 2 if task.disturbed else end_ns
    while board.now_ns < end_ns:
        if task.disturbed:
            # No Ctrl-C, which would end the control, and no line that could be a command.
            dirt = noise.randbytes(FLOOD_BYTES).translate(None, b"\x03\n") + b"\n"
            if not board.host.unsent_bytes:
                board.send(dirt)
            if board.now_ns >= stall_ns:
                stall_ns = end_ns
                board.stall_cpu_ms(STALL_MS)
        before_ns = board.now_ns
        board.run_until_ns(min(before_ns + SLICE_MS * 1_000_000, end_ns))
        progress((board.now_ns - before_ns) / NS_PER_S)
        if board.now_ns <= settled_ns:
            from_ns, from_cycles = board.now_ns, board.busy_cycles
    if any(block.backlog_drops for block in board.pio):
        raise BenchError("the emulator has lost PIO cycles: the edges mean nothing (see thecal_bench.chip)")
    made = [cycle - start_ns // CYCLE_NS for cycle in edges.rising]
    end_cycle = (end_ns - start_ns) // CYCLE_NS
    assert bench.plant is not None
    return Motion(
        task,
        end_cycle,
        [cycle for cycle in made if cycle <= end_cycle],
        cycles_per_tick=(board.busy_cycles - from_cycles) / ((board.now_ns - from_ns) / TICK_NS),
        plant_steps=bench.plant.steps_seen,
    )
