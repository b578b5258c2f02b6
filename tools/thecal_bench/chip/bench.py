"""The emulated board as a bench of the scenario runner: the image itself, in simulated time.

The device counts its ticks from the moment its loop starts, and only the device knows when that was. But the
first thing every tick does is to sample its inputs, and a conversion of the downstream pressure can be seen
from outside: the first one since power-on is tick 0, and all later ones lie on a grid of 100 ms. A pump
without that sensor, or without a rig, is known by the first feed of its watchdog, at the end of tick 0; the
grid is then taken to be FED_LEAD_NS earlier than that, which is some milliseconds before the tick. After a
reset the first one begins a new grid, less than 100 ms behind that of the world: it is called by the tick of
the world that has begun last. `learn_tick` corrects the grid from what the device says of itself,
should that ever be needed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from pathlib import Path

from thecal.rig import Rig

from thecal_bench.bench import TICK_NS, Bench, BenchError, NotPossible
from thecal_bench.plant import Plant

from .board import MS_NS, EmulatedBoard
from .noise import Noise
from .plant_wiring import wire_plant, wire_world
from .raw_repl import RawRepl

__all__ = ("DEFAULT_IMAGE", "ChipBench")

# A UF2 is blocks of this length, which begin with these eight bytes (github.com/microsoft/uf2).
UF2_BLOCK_BYTES = 512
UF2_MAGIC = bytes.fromhex("5546320a57515d9e")

DEFAULT_IMAGE = Path(__file__).resolve().parents[3] / "build" / "image" / "thecal-pico.uf2"

# A tick is taken to be over this long before the next one: the loop needs a few milliseconds of its hundred.
REST_NS = 3 * MS_NS
# An action "just before the inputs of a tick are read" happens this long before the tick.
ACTION_LEAD_NS = 2 * MS_NS
START_LIMIT_MS = 5_000
# A first tick is done within this time (it takes 37 ms), any other in what is left of 100 ms.
FED_LEAD_NS = 60 * MS_NS
OF_THE_PLANT = "of the plant"
# RUN is low until so long after the tick of the world, at a reset and when power comes. The image takes 0.92
# to 0.96 s from there to its first tick, by what a young journal holds: with this that is always BOOT_TICKS
# and half a tick later.
HOLD_NS = 310 * MS_NS


def check_image(image: Path) -> None:
    """BenchError where `image` is no UF2: anything else would be booted in vain, for minutes."""
    try:
        data = image.read_bytes()
    except OSError as why:
        raise BenchError(
            f"there is no image to read at {image} ({why.strerror}): build it with `make image`"
        ) from None
    blocks = range(0, len(data), UF2_BLOCK_BYTES)
    whole = data and len(data) % UF2_BLOCK_BYTES == 0
    if not whole or any(data[at : at + len(UF2_MAGIC)] != UF2_MAGIC for at in blocks):
        raise BenchError(f"{image} is no UF2 image: build one with `make image`")


class ChipBench(Bench):
    """The image on the emulated board, with a plant on its pins.

    Its flash holds nothing but the plant's rig, or another `rig`; None: the pump was never told of one.
    `board` is the board itself, for everything that only an emulated one can do. With a `program` the
    MAINTENANCE jumper is fitted and the program is typed at the prompt: the same image, with a loop of the
    test's own around its parts.
    """

    def __init__(
        self,
        plant: Plant | None = None,
        image: Path = DEFAULT_IMAGE,
        program: str | None = None,
        rig: Rig | str | None = OF_THE_PLANT,
    ) -> None:
        self._plant = plant or Plant()
        super().__init__(self._plant)
        check_image(image)
        self.board = EmulatedBoard(image, rig=self._plant.rig if rig == OF_THE_PLANT else rig)
        self.board.set_pin("MAINTENANCE", 1 if program is None else 0)  # no jumper: the pump runs
        self._connected = True
        self._actions: list[tuple[int, int, Callable[[], object]]] = []
        self._action_count = 0
        self._plant_origin_ns: int | None = None  # board time at which the plant's clock starts
        self._tick_0_ns: int | None = None  # board time of tick 0 on the grid of the device
        self._first_tick_ns = 0
        self._is_off = False
        self._read_at_ns = 0  # when the device last sampled its inputs
        self._resets = 0
        self.noise = Noise(self.board, self._plant.seed)
        wire_plant(self.board, self._plant, rig=self._plant.rig, plant_ns=self._plant_ns)
        wire_world(self.board, self._plant, plant_ns=self._plant_ns)
        self.board.set_adc("PRESSURE_DOWN", self._inputs_read)
        self._feeds = 0, 0  # of the watchdog, since which reset
        self.board.on_watchdog_fed = self._fed
        self.board.boot()
        if program is not None:
            RawRepl(self.board).start(program)
        self.board.on_data = lambda data: self.on_data(data)

    # --- the bench

    @property
    def tick(self) -> int:
        if self._tick_0_ns is None:
            return -1
        return (self.board.now_ns - self._tick_0_ns) // TICK_NS

    @property
    def now_ns(self) -> int:
        return self._plant_ns(self.board.now_ns)

    def send(self, data: bytes) -> None:
        if not self._connected:
            raise BenchError("the host is disconnected, nothing can be sent")
        if not self._is_off:
            self.board.send(data)

    def advance_to_tick(self, tick: int) -> None:
        while self._actions and self._actions[0][0] <= tick:
            action_tick, _, action = heapq.heappop(self._actions)
            if action_tick > 0 or self._tick_0_ns is not None:
                self._run_until_due(action_tick, ACTION_LEAD_NS)
            action()
        self._run_until_due(tick + 1, REST_NS)

    def schedule(self, tick: int, action: Callable[[], object]) -> None:
        self._action_count += 1
        heapq.heappush(self._actions, (tick, self._action_count, action))

    def hang(self) -> None:
        self.board.hang()

    def reset(self) -> None:
        self._take_away(0, self.board.reset)

    def power_cut(self, ticks: int) -> None:
        self._take_away(ticks, self.board.power_cycle)

    def _take_away(self, ticks: int, give_back: Callable[[], None]) -> None:
        def go_on() -> None:
            self._is_off = False
            give_back()

        self._is_off = True
        self.board.hold_in_reset()
        # Not from now: the grid of the device is late on that of the world, but by less than the hold.
        world_ns = self.board.now_ns - self.now_ns
        self.board.schedule_ns(world_ns + (self.tick + 1 + ticks) * TICK_NS + HOLD_NS, go_on)

    def press(self, button: str, ticks: int) -> None:
        net = f"BUTTON_{button.upper()}"
        level = getattr(self._plant.rig, f"button_{button}_level")
        if level is None:
            raise NotPossible(f"rig {self._plant.rig.name} has no button {button}")
        self.board.set_pin(net, level)
        self.schedule(self.tick + 1 + ticks, lambda: self.board.release_pin(net))

    def pin(self, net: str) -> int:
        return self.board.pin(net)

    def disturb(self, kind: str, which: str, span_ms: int, count: int = 0) -> None:
        self.noise.disturb(kind, which.upper(), span_ms, count)

    def host_disconnect(self) -> None:
        self._connected = False
        self.board.host.close_port()

    def host_connect(self) -> None:
        self._connected = True
        self.board.host.open_port()

    def close(self) -> None:
        self.board.close()

    # --- what only this board knows

    def learn_tick(self, tick: int) -> None:
        """The device says that the inputs it read last were those of its tick `tick`."""
        self._tick_0_ns = self._whole_ms(self._read_at_ns) - tick * TICK_NS

    @property
    def first_tick_ns(self) -> int:
        """Board time of the first tick since the last reset. Raises BenchError before there is one."""
        if self._tick_0_ns is None or self._resets != self.board.resets:
            raise BenchError("the pump's loop has not begun since the reset")
        return self._first_tick_ns

    @property
    def busy_cycles(self) -> int:
        """Cycles that the processor has worked since power-on; `make bench` takes differences."""
        return self.board.busy_cycles

    def _run_until_due(self, tick: int, lead_ns: int) -> None:
        # A board that starts anew meanwhile has its ticks at other times from then on.
        while self.board.now_ns < (due_ns := self._due_ns(tick) - lead_ns):
            self.board.run_until_ns(due_ns)

    def _due_ns(self, tick: int) -> int:
        """Board time at which the device's tick `tick` is due."""
        if self._tick_0_ns is None:
            self.board.run_until(
                lambda: self._tick_0_ns is not None,
                START_LIMIT_MS,
                "the start of the pump's loop (its first reading of a pressure)",
            )
        assert self._tick_0_ns is not None
        return self._tick_0_ns + tick * TICK_NS

    def _fed(self) -> None:
        """The watchdog is armed, and then fed at the end of each tick."""
        resets, feeds = self.board.resets, self._feeds[0] + 1
        self._feeds = (feeds, resets) if self._feeds[1] == resets else (1, resets)
        if self._feeds[0] == 2 and (self._tick_0_ns is None or self._resets != resets):
            self._begin(self.board.now_ns - FED_LEAD_NS)

    def _inputs_read(self, now_ns: int) -> int:
        self._begin(now_ns)
        return self._plant.adc_pressure_down(self._plant_ns(now_ns))

    def _begin(self, now_ns: int) -> None:
        """A tick has begun, maybe the first one since the last reset."""
        self._read_at_ns = now_ns
        if self._tick_0_ns is None or self._resets != self.board.resets:
            self._resets = self.board.resets
            self._first_tick_ns = self._whole_ms(now_ns)
            if self._plant_origin_ns is None:
                self.learn_tick(0)
                self._plant_origin_ns = self._tick_0_ns
            else:
                self.learn_tick(self._plant_ns(now_ns) // TICK_NS)

    def _whole_ms(self, at_ns: int) -> int:
        """The millisecond of the chip's own clock in which `at_ns` lies: ticks begin on one."""
        return at_ns - (at_ns - self.board.reset_at_ns) % MS_NS

    def _plant_ns(self, now_ns: int) -> int:
        return 0 if self._plant_origin_ns is None else now_ns - self._plant_origin_ns
