"""Tests that go on with a copy of a booted board: what fails there fails here, no copy changes another."""

import os

import pytest
from forked import from_boot

pytestmark = pytest.mark.chip


def test_what_fails_in_a_copy_fails_here_with_its_traceback(image):
    @from_boot
    def fails(rig):
        assert rig.bench.tick == -7, "said in the copy"

    with pytest.raises(pytest.fail.Exception, match="(?s)Traceback.*said in the copy"):
        fails(image)


def test_a_copy_that_dies_is_a_failure(image):
    @from_boot
    def dies(rig):
        os._exit(3)

    with pytest.raises(pytest.fail.Exception, match="said nothing"):
        dies(image)


def test_every_copy_begins_with_the_boot_and_goes_the_same_way(image):
    seen = []

    @from_boot
    def runs(rig, measured):
        measured(rig.bench.tick, rig.board.now_ns)
        rig.start(60_000_000)
        rig.run_ticks(5)
        measured(rig.board.now_ns, rig.board.busy_cycles, len(rig.edges.rising))

    for _ in range(2):
        runs(image, measured=lambda *figures: seen.append(figures))
    first, second = seen[:2], seen[2:]
    assert first == second
    assert first[0][0] == 2 and first[1][2] > 100
