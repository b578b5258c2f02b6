"""What a logic analyser on the board would have written down, in system clock cycles.

`EdgeRecorder` holds the rising and falling edges of a pin, `SegmentRecorder` the words that went into a
state machine's FIFO and the cycle at which the machine took each: the start of its segment. Cycles are
counted from power-on of the simulation, 8 ns each, so that edges can be compared with a schedule as
integers.
"""

from __future__ import annotations

from typing import NamedTuple

from .board import EmulatedBoard

__all__ = ("Edge", "EdgeRecorder", "Segment", "SegmentRecorder")


class Edge(NamedTuple):
    """The pad changed to `level` at `cycle`."""

    cycle: int
    level: int


class Segment(NamedTuple):
    """The state machine took `word` out of its FIFO at `cycle`."""

    cycle: int
    word: int


class EdgeRecorder:
    """Records every edge of one pin from now on."""

    def __init__(self, board: EmulatedBoard, pin: str | int = "STEP") -> None:
        self.edges: list[Edge] = []
        self._end = board.listen(pin, self._edge)

    def _edge(self, level: int, _now_ns: int, cycle: int) -> None:
        self.edges.append(Edge(cycle, level))

    @property
    def rising(self) -> list[int]:
        """The cycles of the rising edges."""
        return [edge.cycle for edge in self.edges if edge.level]

    def clear(self) -> None:
        """Forget what has been recorded."""
        self.edges.clear()

    def close(self) -> None:
        """Record no more."""
        self._end()


class SegmentRecorder:
    """Records what goes through the TX FIFO of one state machine (0 to 7) from now on."""

    def __init__(self, board: EmulatedBoard, machine: int) -> None:
        block_index, self._machine = divmod(machine, 4)
        self._block = board.pio[block_index]
        self.offered: list[Segment] = []  # each put, with its cycle, whether or not there was room
        self.taken: list[Segment] = []
        self._block.on_put[self._machine] = self._put
        self._block.on_pull[self._machine] = self._pull

    def _put(self, word: int) -> None:
        self.offered.append(Segment(self._block.now_cycle, word))

    def _pull(self, word: int, cycle: int) -> None:
        self.taken.append(Segment(cycle, word))

    def clear(self) -> None:
        """Forget what has been recorded."""
        self.offered.clear()
        self.taken.clear()

    def close(self) -> None:
        """Record no more."""
        self._block.on_put.pop(self._machine, None)
        self._block.on_pull.pop(self._machine, None)
