"""A pump in this process: the firmware's own code on the model of the reference rig. Nothing moves.

Its time is its own: it goes on by as much as somebody waits for it, at once.
"""

from __future__ import annotations

from thecal_bench.inprocess import HostBench

from thecal_host.connection import Port

TICKS_PER_S = 10


class BenchPort(Port):
    """The port of such a pump, on a bench of its own unless one is given; `clock_s` is its clock."""

    name = "bench"

    def __init__(self, bench: HostBench | None = None) -> None:
        self.bench = bench or HostBench()
        self.bench.on_data = self._take
        self._data = bytearray()

    def _take(self, data: bytes) -> None:
        self._data += data

    def clock_s(self) -> float:
        """The pump's time since power-on."""
        return self.bench.tick / TICKS_PER_S

    def read(self, timeout_s: float) -> bytes:
        last = self.bench.tick + max(round(timeout_s * TICKS_PER_S), 1)
        while self.bench.tick < last:
            self.bench.advance_to_tick(self.bench.tick + 1)
            if self._data:
                break
        data = bytes(self._data)
        self._data.clear()
        return data

    def write(self, data: bytes) -> None:
        self.bench.send(data)

    def close(self) -> None:
        self.bench.close()
