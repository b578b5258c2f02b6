"""How long a reset keeps the pump from its patient: to a motor that is surely off, and to dosing again.

A `RunningPump` is the image on the emulated board, delivering. `reset` resets it in one of three ways and
gives a `Boot`: what a logic analyser on EN and STEP saw, counted from the reset. The motor has power while EN
is low; a resistor holds it high until the firmware does.

At a slow rate the first step says nothing: it comes when a whole one is owed, 22.5 s after the start at
5 uL/h. What is comparable there is when the motor has power and its first segment is ordered.

The control is the same MicroPython on its own board RPI_PICO (`tools/image/stock.py`): from a reset to an
edge that the first line of a `main.py` in its filesystem makes.

All in emulated time: flash has no wait states there, and is programmed and erased in no time. A boot erases
one sector at most, up to 400 ms by the data sheet, before it resumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rp2040py.gpio_pin import GPIOPinState
from thecal.record.journal import Journal
from thecal.states import POST
from thecal_model.link import LinkClient

from thecal_bench.bench import TICK_NS, BenchError
from thecal_bench.chip.bench import DEFAULT_IMAGE, ChipBench
from thecal_bench.chip.board import STORAGE_START, EmulatedBoard
from thecal_bench.chip.pio_clock import CYCLE_NS
from thecal_bench.chip.raw_repl import RawRepl
from thecal_bench.chip.recorders import EdgeRecorder, SegmentRecorder
from thecal_bench.full_journal import fill

STOCK_IMAGE = DEFAULT_IMAGE.parent / "stock" / "rpi-pico.uf2"

POWER, RUN, WATCHDOG = "power cycle", "RUN pin", "watchdog"
RESETS = (POWER, RUN, WATCHDOG)

FAST_NL_H = 1_000_000  # from here on the first step is looked for
SETTLE_TICKS = 15  # until the motor's queue is full
BOOT_LIMIT_MS = 10_000
ASK_TICKS = 50
NS_PER_US = 1_000

STOCK_PIN = 2
STOCK_MAIN = f"from machine import Pin; Pin({STOCK_PIN}, Pin.OUT, value=1)\n"


@dataclass(frozen=True)
class Boot:
    """One reset of a running pump. Times are microseconds after the reset."""

    reset: str
    rate_nl_h: int
    journal_full: bool
    en_driven_us: float  # the firmware itself holds EN, from its first line on
    en_active_in_post_us: float  # how long the motor had power before the self-test was over
    pulses_in_post: int  # at STEP, to a driver without power; one is the self-test's
    loop_us: float  # the first turn of the loop begins
    post_over_us: float  # the turn in which the self-test is left begins
    motor_on_us: float  # RUNNING, and EN active
    ordered_us: float  # the first segment is ordered
    step_us: float | None  # the first step; None at a slow rate


class RunningPump:
    """A pump on the emulated board that delivers at `rate_nl_h`."""

    def __init__(self, rate_nl_h: int, image: Path = DEFAULT_IMAGE) -> None:
        self.rate_nl_h = rate_nl_h
        self.journal_full = False
        self.bench = ChipBench(image=image)
        self.board = self.bench.board
        self.client = self._new_client()
        self._steps = EdgeRecorder(self.board, "STEP")
        self._enable = EdgeRecorder(self.board, "EN")
        self._segments = SegmentRecorder(self.board, 0)
        self._driven_ns: list[int] = []
        self.board.mcu.gpio[self.board.gpio_of("EN")].add_listener(self._en_changed)
        self.bench.advance_to_tick(2)  # what is sent before the loop runs may go to the prompt
        therapy = {"mode": "continuous", "rate_num": rate_nl_h, "rate_den": 1}
        self.ask("confirm", digest=self.ask("program", therapy=therapy)["digest"])
        self.ask("start")
        self.run_ticks(SETTLE_TICKS)

    def run_ticks(self, ticks: int) -> None:
        """Let it run."""
        self.bench.advance_to_tick(self.bench.tick + ticks)

    def ask(self, cmd: str, **arguments: object) -> dict:
        """The answer to a command. Raises BenchError if it is refused or there is none."""
        number = self.client.request(cmd, **arguments)
        for _ in range(ASK_TICKS):
            self.run_ticks(1)
            reply = self.client.reply(number)
            if reply is not None:
                if reply["ok"]:
                    return reply
                raise BenchError(f"the pump refuses `{cmd}`: {reply}")
        raise BenchError(f"the pump does not answer `{cmd}` within {ASK_TICKS} ticks")

    def fill_journal(self) -> None:
        """Years pass in the flash: the next reset finds a journal without room. Reset at once."""
        end = STORAGE_START + Journal().region_bytes
        self.board.mcu.flash[STORAGE_START:end] = fill(bytes(self.board.mcu.flash[STORAGE_START:end]))
        self.journal_full = True

    def reset(self, how: str) -> Boot:
        """Reset it, wait until it delivers again, and let it settle. Raises BenchError if it does not."""
        board = self.board
        self.client = self._new_client()
        for recorder in (self._steps, self._enable, self._segments):
            recorder.clear()
        self._driven_ns.clear()
        resets = board.resets
        if how == WATCHDOG:
            board.hang()
            board.run_until(lambda: board.resets > resets, BOOT_LIMIT_MS, "the watchdog")
        else:
            (board.power_cycle if how == POWER else board.reset)()
        reset_ns = board.reset_at_ns
        is_fast = self.rate_nl_h >= FAST_NL_H

        def delivers() -> bool:
            on = self._motor_on_cycle(reset_ns)
            return bool(on and self._ordered_after(on) and (not is_fast or self._steps_after(on)))

        try:
            board.run_until(delivers, BOOT_LIMIT_MS, f"delivery after a reset by {how}", every_us=2_000)
        except TimeoutError as error:
            raise BenchError(str(error)) from None
        loop_ns = self.bench.first_tick_ns
        self.run_ticks(SETTLE_TICKS)
        on = self._motor_on_cycle(reset_ns)
        post_over_ns = loop_ns + self._ticks_of_post() * TICK_NS

        def after_us(at_ns: float) -> float:
            return (at_ns - reset_ns) / NS_PER_US

        return Boot(
            how,
            self.rate_nl_h,
            self.journal_full,
            after_us(self._driven_ns[0]),
            self._en_active_ns(reset_ns, post_over_ns) / NS_PER_US,
            sum(reset_ns <= cycle * CYCLE_NS and cycle < on for cycle in self._steps.rising),
            after_us(loop_ns),
            after_us(post_over_ns),
            after_us(on * CYCLE_NS),
            after_us(self._ordered_after(on)[0] * CYCLE_NS),
            after_us(self._steps_after(on)[0] * CYCLE_NS) if is_fast else None,
        )

    def close(self) -> None:
        """End the board."""
        self.bench.close()

    def _new_client(self) -> LinkClient:
        client = LinkClient(self.bench.send)
        self.bench.on_data = client.feed
        return client

    def _en_changed(self, state: GPIOPinState, _last: GPIOPinState) -> None:
        if state in (GPIOPinState.LOW, GPIOPinState.HIGH):
            self._driven_ns.append(self.board.now_ns)

    def _motor_on_cycle(self, reset_ns: int) -> int:
        """When EN became active since the reset, 0 if it did not."""
        falls = [e.cycle for e in self._enable.edges if not e.level and e.cycle * CYCLE_NS >= reset_ns]
        return falls[0] if falls else 0

    def _ordered_after(self, cycle: int) -> list[int]:
        return [segment.cycle for segment in self._segments.offered if segment.cycle >= cycle]

    def _steps_after(self, cycle: int) -> list[int]:
        return [rising for rising in self._steps.rising if rising >= cycle]

    def _ticks_of_post(self) -> int:
        """From the first turn to the one in which the self-test was left, by the pump's own log."""
        (boot,) = [event["tick"] for event in self.client.events if event["code"] == "boot"]
        left = [e["tick"] for e in self.client.events if e["code"] == "state" and e["a"] == POST]
        if not left:
            raise BenchError("the pump has not told of the end of its self-test")
        return left[0] - boot

    def _en_active_ns(self, from_ns: int, until_ns: int) -> int:
        """For how long EN was low in that time."""
        # Whatever it was before: from the reset on the pad says what it is.
        active_ns = 0
        low_since_ns: int | None = None
        edges = [(edge.cycle * CYCLE_NS, edge.level) for edge in self._enable.edges]
        for at_ns, level in [*edges, (until_ns, 1)]:
            if level == 0:
                low_since_ns = at_ns
            elif low_since_ns is not None:
                active_ns += max(min(at_ns, until_ns) - max(low_since_ns, from_ns), 0)
                low_since_ns = None
        return active_ns


def measure_boots(
    rate_nl_h: int, fill_first: bool, resets: tuple[str, ...] = RESETS, image: Path = DEFAULT_IMAGE
) -> list[Boot]:
    """One pump, reset in each of these ways, one after the other."""
    pump = RunningPump(rate_nl_h, image)
    try:
        if fill_first:
            pump.fill_journal()
        return [pump.reset(how) for how in resets]
    finally:
        pump.close()


def measure_stock(image: Path = STOCK_IMAGE) -> float:
    """Microseconds from power-on to the edge made by `main.py` on MicroPython's own board."""
    board = EmulatedBoard(image, nets={"EDGE": STOCK_PIN})
    try:
        board.boot()
        RawRepl(board).run(f"with open('/main.py', 'w') as f:\n    f.write({STOCK_MAIN!r})\n")
        board.power_cycle()
        edges = EdgeRecorder(board, "EDGE")
        board.run_until(lambda: edges.rising, BOOT_LIMIT_MS, "main.py of MicroPython's own board")
        return (edges.rising[0] * CYCLE_NS - board.reset_at_ns) / NS_PER_US
    finally:
        board.close()
