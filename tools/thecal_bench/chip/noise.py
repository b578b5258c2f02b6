"""`thecal_bench.disturbances` at the pins of the emulated board. All is drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from thecal_bench.disturbances import BOUNCE, BOUNCE_NS, SPIKE_NS, SPIKES, TREMBLE_NS

from .board import MS_NS, EmulatedBoard

__all__ = ("Noise",)

APART_NS = 1_000  # from the end of a spike to the next one on the same pin


class Noise:
    """What disturbs the pins of one board."""

    def __init__(self, board: EmulatedBoard, seed: int) -> None:
        self._board = board
        self._draw = Random(seed)
        self.made: dict[str, int] = {}
        """Spikes that each net has seen."""

    def disturb(self, kind: str, net: str, span_ms: int, count: int = 0) -> None:
        """Begin with one of `disturbances.KINDS`: `count` spikes within the span, or that span of another
        kind after each change of the net's level from now on; a span of 0 ends it.
        """
        span_ns = span_ms * MS_NS
        if kind == SPIKES:
            begins = sorted(self._board.now_ns + self._draw.randrange(span_ns) for _ in range(count))
            self._spike(net, begins[::-1])
        elif span_ns == 0:
            self._board.on_outside(net, None)
        else:
            pieces = BOUNCE_NS if kind == BOUNCE else TREMBLE_NS
            self._board.on_outside(net, self._unsteady(net, span_ns, pieces))

    def _spike(self, net: str, left: list[int]) -> None:
        """One after the other of those that are left, the last of them first."""
        board = self._board

        def begin() -> None:
            self.made[net] = self.made.get(net, 0) + 1
            board.flip(net, True)
            board.schedule_ns(board.now_ns + self._draw.randint(*SPIKE_NS), end)

        def end() -> None:
            board.flip(net, False)
            follow()

        def follow() -> None:
            if left:
                board.schedule_ns(max(left.pop(), board.now_ns + APART_NS), begin)

        follow()

    def _unsteady(self, net: str, span_ns: int, pieces: tuple[int, int]) -> Callable[[], None]:
        """What happens when the level of the net has changed."""
        board, changes = self._board, 0

        def changed() -> None:
            nonlocal changes
            changes += 1
            number, end_ns = changes, board.now_ns + span_ns

            def show(flipped: bool) -> None:
                if number != changes:
                    return  # it has changed again
                over = board.now_ns >= end_ns
                board.flip(net, flipped and not over)
                if not over:
                    next_ns = min(board.now_ns + self._draw.randint(*pieces), end_ns)
                    board.schedule_ns(next_ns, lambda: show(not flipped))

            show(False)

        return changed
