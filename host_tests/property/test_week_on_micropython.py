"""DOSE-06 and LIM-11 on MicroPython's unix port: the largest weeks one after the other while the pump runs,
in a heap like the board's.
"""

from __future__ import annotations

import pytest
from test_week_law import LIMIT, Desk, read_back, spread
from thecal_bench.unixport import MicropythonBench

HEAP = "1900k"
"""The flash of the board as it is modelled, 1.1 MB, the bytecode, which the board has in its flash, 0.3 MB,
and twice the 190 kB or so that the board has for objects: those of the unix port are twice as large."""


class Remote(Desk):
    def board(self, plant, flash):
        return MicropythonBench(plant, heap=HEAP)


@pytest.mark.req("DOSE-06", "LIM-11")
@pytest.mark.parametrize("count", [3, pytest.param(13, marks=pytest.mark.long)])
def test_the_largest_weeks_one_after_the_other_need_no_more_memory_than_the_board_has(count):
    desk = Remote()
    with desk.bench:
        desk.apply({"mode": "continuous", "rate_num": 2_000, "rate_den": 1})
        assert desk.ask("start")["ok"]
        weeks = [spread(seed) for seed in range(count)]
        for steps in weeks:
            desk.apply({"mode": "flex", "steps": steps, "limit": LIMIT})
        desk.run(80)
        assert desk.ask("hello")["state"] == "RUNNING"
        last = 1 + count
        for number in range(max(2, last - 11), last + 1):
            assert desk.kept(number) == read_back(weeks[number - 2])
