"""The windows' history on the chip: what it takes of the heap, and what a look ahead takes of a tick."""

import pytest
from thecal.watch.ahead import MOST_LOOKS

pytestmark = pytest.mark.chip

# So many stretches of 43 s, each at another rate, and a bolus on top of a basal of as much.
LOOK = """
import gc, time
gc.collect()
before = gc.mem_alloc()
from thecal.watch.limits import WindowLedger
from thecal.watch.ahead import peak_steps
gc.collect()
code = gc.mem_alloc() - before
ledger = WindowLedger()
gc.collect()
print("heap", gc.mem_alloc() - before - code)
ONE = 472500000
history = ledger.history
for number in range(STRETCHES):
    history.append_line(216, 216 * 9 + 100 + number % 7, 9, 100 + number % 7, 216, number % 200)
ledger.recount()
flows = [(100, 30 * ONE), (864000 - 100, int(ONE * 4.73))]
true = peak_steps(ledger, 864000, flows, 118125000, ONE)
def look(room):
    gc.collect()
    begin = time.ticks_us()
    found = peak_steps(ledger, 864000, flows, 118125000, ONE, true + room, LOOKS)
    print("look", room, found - true, time.ticks_diff(time.ticks_us(), begin))
for room in (100000, 40000, 3000, 1, 0, -1, -300):
    look(room)
"""
HEAP_BYTES = 40_000
MOST_US = 85_000  # beside the 11 ms of any tick


@pytest.mark.req("LIM-03", "LIM-04", "PERF-03")
@pytest.mark.parametrize("stretches", [30, pytest.param(2_000, marks=pytest.mark.long)])
def test_a_look_ahead_is_done_within_its_tick(pump_prompt, stretches):
    """Exact where no more stretches are in doubt than may be looked at; with 2 000 of them never too low."""
    printed = pump_prompt.run(f"STRETCHES = {stretches}\nLOOKS = {MOST_LOOKS}" + LOOK, limit_ms=60_000)
    print(printed)
    heap, *looks = [line.split() for line in printed.strip().splitlines() if line.strip()]
    assert int(heap[1]) < HEAP_BYTES
    assert len(looks) == 7
    for _, room, above, took_us in looks:
        assert int(took_us) < MOST_US
        if stretches <= MOST_LOOKS:
            assert (int(above) > int(room)) == (int(room) < 0)
        else:
            assert int(above) > int(room) or int(room) >= 0
