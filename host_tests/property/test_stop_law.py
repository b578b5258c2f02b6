"""ALM-05, REC-03, REC-04: no stop is overtaken, and no command acts twice, whatever is sent, pressed, held,
sent again, cut, and however slow or broken the flash is. The law and its oracle are in `stop_world.py`.
"""

from __future__ import annotations

from collections import Counter

import pytest
from stop_world import Broken, World
from thecal import keeper
from thecal.host import Host
from thecal.link.queue import Queue
from thecal.pump import Pump

SEQUENCES_A_LIFE = 50


def live(seed: int, sequences: int = SEQUENCES_A_LIFE) -> Counter[str]:
    """One pump through so many sequences; what it met."""
    world = World(seed)
    for number in range(sequences):
        try:
            world.sequence()
        except Broken as why:
            raise Broken(f"life {seed}, sequence {number}: {why}") from None
        if world.bench.pump.keeper.journal.failed:
            break
    world.oracle.seen["sequences"] += number + 1
    return world.oracle.seen


def lives(first: int, sequences: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    while seen["sequences"] < sequences:
        seen += live(first)
        first += 1
    return seen


@pytest.mark.req("ALM-05", "REC-03", "REC-04", "DOSE-15", "LNK-02")
@pytest.mark.parametrize("part", range(2))
def test_nothing_flows_after_a_stop_but_what_was_accepted_later(part):
    seen = lives(10_000 * part, 2_500)
    print(dict(seen))
    assert seen["stop while something waits"] > 100 and seen["button while something waits"] > 20
    assert seen["held stop"] > 100 and seen["cuts after an answered stop"] > 20
    assert seen["cancelled"] > 300 and seen["carried out"] > 5_000
