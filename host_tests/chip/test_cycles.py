"""What `make cycles` prints: all cycles of the processor, by the Python function that it worked for."""

import pytest
from thecal_bench.benchmarks.motion import THECAL, Task, steady
from thecal_bench.chip.profile import IDLE, Profile
from thecal_bench.cycles import ELF

pytestmark = pytest.mark.chip


def test_every_cycle_is_some_functions(image):
    with steady(Task(THECAL, 60_000_000, 0, image=image)) as bench:
        profile = Profile(bench.board, ELF)
        before = bench.board.busy_cycles
        bench.board.run_for_ms(200)
        profile.end()
        spent = bench.board.busy_cycles - before
    assert 0 <= spent - profile.own.total() < 1_000  # since the last sample
    assert profile.total["app_App_tick"] > 0.95 * spent
    assert 0 < profile.own["app_App_tick"] < 0.2 * spent
    assert profile.own[IDLE] < 0.02 * spent
