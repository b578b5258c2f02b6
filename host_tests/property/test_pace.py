"""drivers/pace.py: the tick grid never drifts and never goes back, over every wrap of both counters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_ints import SmallInt
from thecal.clock import TICK_MS
from thecal.drivers.pace import LATEST_MS, MASK, Pace

starts_ms = st.one_of(st.integers(0, MASK), st.integers(MASK - 2_000, MASK))
# how long after the previous tick was run the loop looks again: early, on time, late, much too late
pauses_ms = st.lists(
    st.one_of(st.integers(0, 150), st.integers(0, 2_000), st.integers(0, 600_000)), min_size=1, max_size=60
)


@pytest.mark.req("DOSE-03")
@given(starts_ms, starts_ms, pauses_ms)
def test_ticks_stay_on_their_grid_whatever_the_loop_does(start_ms, start_us, pauses):
    pace = Pace(SmallInt(start_ms), SmallInt(start_us))
    elapsed_ms = 0
    last_tick = -1
    for pause in pauses:
        elapsed_ms += pause
        wait = int(pace.wait_ms(SmallInt((start_ms + elapsed_ms) & MASK)))
        assert 0 <= wait <= TICK_MS + TICK_MS - LATEST_MS
        elapsed_ms += wait
        assert pace.wait_ms(SmallInt((start_ms + elapsed_ms) & MASK)) == 0
        tick = int(pace.tick_s) * 10 + int(pace.tick_ms) // TICK_MS
        late_ms = elapsed_ms - tick * TICK_MS
        assert tick > last_tick and 0 <= late_ms <= LATEST_MS
        elapsed_us = elapsed_ms * 1_000 + 123
        pace.started()
        assert (
            pace.left_us(SmallInt((start_us + elapsed_us) & MASK))
            == (tick + 1) * TICK_MS * 1_000 - elapsed_us
        )
        last_tick = tick
