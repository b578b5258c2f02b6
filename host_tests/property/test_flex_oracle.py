"""Any week of steps, any clock, set as often as you like: delivered is what plain arithmetic says.

The oracle looks at every second of the experiment by itself: which step of the programmed week began last
before the time that the clock then shows. Steps and clocks lie around one moment of the week, so that a few
minutes see many of them, midnight and the end of the week among them.
"""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thecal_bench import scenario as s
from thecal_bench.inprocess import HostBench
from thecal_bench.runner import make_plant, run_scenario
from thecal_model.link import LinkClient
from thecal_model.therapy import Step, Therapy

DAY_S, WEEK_S = 86_400, 7 * 86_400
DURATION_S = 200
STEP_NL = Fraction(125, 4)

MOMENTS_S = st.one_of(
    st.sampled_from([0, 3 * DAY_S, 6 * DAY_S]),  # monday, thursday, sunday
    st.integers(0, WEEK_S - 1),
)
NEAR_S = st.integers(-100, 200)
STEPS = st.lists(
    st.tuples(NEAR_S, st.integers(1, 127), st.integers(2_000, 60_000_000)),
    min_size=1,
    max_size=8,
    unique_by=lambda step: step[0],
)
CLOCKS = st.lists(
    st.tuples(st.integers(0, DURATION_S), NEAR_S, st.integers(0, 6)), max_size=4, unique_by=lambda c: c[0]
).map(sorted)


def rate_nl_h(starts, week_s):
    """The rate of what began last; `starts` are (second of the week, rate)."""
    return min(((week_s - start_s) % WEEK_S, rate) for start_s, rate in starts)[1]


@pytest.mark.req("DOSE-01", "DOSE-06", "DOSE-14")
@settings(max_examples=60, deadline=None)
@given(MOMENTS_S, STEPS, NEAR_S, CLOCKS, st.lists(st.integers(0, DURATION_S), min_size=3, max_size=3))
def test_delivered_follows_the_week(moment_s, near_steps, begin_s, near_clocks, checks_s):
    steps = tuple(
        Step((moment_s + near_s) % DAY_S * 1000, Fraction(rate), days) for near_s, days, rate in near_steps
    )
    clocks = [(at_s, (moment_s + near_s + day * DAY_S) % WEEK_S) for at_s, near_s, day in near_clocks]
    begin_week_s = (moment_s + begin_s) % WEEK_S
    starts = [
        (day * DAY_S + step.at_ms // 1000, step.rate_nl_h)
        for step in steps
        for day in range(7)
        if step.days >> day & 1
    ]
    delivered_nl, set_at_s, set_to_s = [Fraction(0)], 0, begin_week_s
    for at_s in range(DURATION_S):
        for clock_s, week_s in clocks:
            if clock_s == at_s:
                set_at_s, set_to_s = at_s, week_s
        rate = rate_nl_h(starts, (set_to_s + at_s - set_at_s) % WEEK_S)
        delivered_nl.append(delivered_nl[-1] + rate / 3600)

    events = [s.Event(0, "start", 1)]
    events += [s.Event(at_s * 1000, "set_time", 1, week_ms=week_s * 1000) for at_s, week_s in clocks]
    experiment = s.Scenario(
        path="generated",
        title="generated",
        duration_ms=DURATION_S * 1000,
        therapy=Therapy("flex", steps=steps),
        clock_ms=begin_week_s * 1000,
        events=tuple(events),
        expects=tuple(
            s.Expect("delivered", 1, at_ms=at_s * 1000, value=delivered_nl[at_s], within_nl=STEP_NL)
            for at_s in (*checks_s, DURATION_S)
        ),
    )
    bench = HostBench(make_plant(experiment))
    records = list(run_scenario(experiment, bench, LinkClient(bench.send)))
    assert [record for record in records if record["type"] == "refused"] == []
    assert [record for record in records if record["type"] == "expect" and not record["ok"]] == []
