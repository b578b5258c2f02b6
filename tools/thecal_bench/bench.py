"""What every board offers to the one that runs an experiment on it: in-process, emulated or real.

Time is counted in device ticks of 100 ms since the application started (`tick`); bytes of the serial link
go in by `send` and come out by `on_data`; `schedule` acts on the world between two ticks. A board that has
a plant also has a clock for it, `now_ns`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from thecal.clock import TICK_MS
from thecal_model.signing import Signer

from thecal_bench.plant import Plant

TICK_NS = TICK_MS * 1_000_000

BOOT_TICKS = 12
"""From a reset, or from the power's return, to the first tick of the pump, on every board, so that all write
the same records. The image takes 0.7 to 0.8 s with a young journal, 1.5 s with a full one; on the emulated
chip RUN is low for the rest."""


class BenchError(Exception):
    """The board cannot go on; the message says what it did and what to look at."""


class NotPossible(Exception):
    """This board cannot do what was asked (a real one cannot be hung from outside); it goes on without."""


def _drop(data: bytes) -> None:
    """Where bytes go that nobody listens to."""


class Bench(ABC):
    """One board with a pump on it."""

    slack_ticks = 0
    """How many ticks later than asked a thing may happen here, the link's own time included."""

    def __init__(self, plant: Plant | None) -> None:
        self.plant = plant
        self.on_data: Callable[[bytes], object] = _drop
        """Called with bytes that the pump sent, as they come."""
        self.signer = Signer({})
        """Signs what is sent to a pump that is paired. It has heard the hello of this boot, or no pump's."""

    @property
    @abstractmethod
    def tick(self) -> int:
        """The last tick that was run, as far as the board knows; -1 before the first."""

    @property
    @abstractmethod
    def now_ns(self) -> int:
        """The time on the plant's clock."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Bytes for the pump. A host that is disconnected sends nothing: BenchError."""

    @abstractmethod
    def advance_to_tick(self, tick: int) -> None:
        """Run until that tick has been run, or, if the pump hangs, until its time has passed."""

    @abstractmethod
    def schedule(self, tick: int, action: Callable[[], object]) -> None:
        """Do `action` just before the inputs of that tick are read; in the order of the calls on ties."""

    @abstractmethod
    def hang(self) -> None:
        """The pump's loop stops from here on; what is wired to the board goes on."""

    def reset(self) -> None:
        """The board starts anew from here on, keeping what is in its flash. Call it by `schedule`.

        The pump's first tick comes `BOOT_TICKS` after that of the call.
        """
        raise NotPossible("this board cannot be reset from outside")

    def power_cut(self, ticks: int) -> None:
        """The board has no power from here on, for so many ticks; then it starts anew. Call it by `schedule`.

        The motor stands at once; the plant goes on, and `tick` counts on. Nobody hears what is sent.
        """
        raise NotPossible("the power of this board cannot be cut from outside")

    @abstractmethod
    def disturb(self, kind: str, which: str, span_ms: int, count: int = 0) -> None:
        """Disturb an input from here on, as `disturbances` says. Call it by `schedule`."""

    @abstractmethod
    def press(self, button: str, ticks: int) -> None:
        """Press "patient" or "stop" from here on, so that so many ticks see it. Call it by `schedule`."""

    def pin(self, net: str) -> int:
        """The level on the pad of a net of the board, whoever drives it."""
        raise NotPossible("nobody sees the pads of this board")

    @abstractmethod
    def host_disconnect(self) -> None:
        """Nobody reads or writes the link from here on; what the pump sends is lost."""

    @abstractmethod
    def host_connect(self) -> None:
        """Undo `host_disconnect`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the board holds. A closed board is not used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
