"""Any experiment of starts, stops, boluses and therapies delivers what plain arithmetic says, in-process.

The oracle is a dozen lines of `Fraction`s that know nothing of steps or plans. A stop
forfeits what is owed of a step, so each may cost one microstep.
"""

from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thecal_bench import scenario as s
from thecal_bench.inprocess import HostBench
from thecal_bench.runner import make_plant, run_scenario
from thecal_model.link import LinkClient
from thecal_model.therapy import Therapy

HOUR_MS = 3_600_000
STEP_NL = Fraction(125, 4)
DURATION_MS = 240_000

RATES_NL_H = st.integers(2_000, 30_000_000)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("start")),
        st.tuples(st.just("stop")),
        st.tuples(st.just("bolus"), st.integers(1_000, 60_000), st.integers(10_000, 60_000)),
        st.tuples(st.just("program"), RATES_NL_H),
    ),
    min_size=1,
    max_size=8,
)
# Times between ticks, no two of which act at the same tick: anywhere, or one close upon the other.
TICKS = st.lists(st.integers(0, DURATION_MS // 100), min_size=8, max_size=8, unique=True).map(sorted)
DENSE = st.lists(st.integers(1, 4), min_size=8, max_size=8).map(lambda gaps: list(accumulate(gaps)))
TIMES_MS = st.builds(
    lambda ticks, early_ms: [max(0, tick * 100 - early_ms) for tick in ticks],
    TICKS | DENSE,
    st.integers(0, 99),
)


def oracle(basal_nl_h, events, until_ms):
    """(delivered by `until_ms`, stops): each event acts at the first tick at or after its time."""
    delivered, running, bolus_nl, bolus_nl_h, stops, now = Fraction(0), False, Fraction(0), Fraction(0), 0, 0
    for at_ms, event in [*events, (until_ms, ("end",))]:
        tick_ms = -(-at_ms // 100) * 100
        if event[0] == "end":
            tick_ms = until_ms
        elif tick_ms > until_ms:
            continue
        if running:
            span = Fraction(tick_ms - now, HOUR_MS)
            flowed = min(bolus_nl, bolus_nl_h * span)
            delivered += basal_nl_h * span + flowed
            bolus_nl -= flowed
        now = tick_ms
        if event[0] == "start":
            running = True
        elif event[0] == "stop":
            stops += running
            running, bolus_nl = False, Fraction(0)
        elif event[0] == "bolus" and running and not bolus_nl:
            bolus_nl, bolus_nl_h = Fraction(event[1]), Fraction(event[1] * HOUR_MS, event[2])
        elif event[0] == "program":
            basal_nl_h = event[1]
    return delivered, stops


def event_of(at_ms, event):
    if event[0] == "bolus":
        return s.Event(at_ms, "clinician_bolus", 1, bolus=s.BolusRequest(event[1], event[2]))
    if event[0] == "program":
        return s.Event(at_ms, "program", 1, therapy=Therapy("continuous", Fraction(event[1])))
    return s.Event(at_ms, event[0], 1)


@pytest.mark.req("DOSE-01", "DOSE-02", "DOSE-05", "DOSE-07", "DOSE-15")
@settings(max_examples=60, deadline=None)
@given(RATES_NL_H, EVENTS, TIMES_MS, st.lists(st.integers(0, DURATION_MS // 100), min_size=3, max_size=3))
def test_delivered_is_what_plain_arithmetic_says(basal_nl_h, events, times_ms, checks):
    timed = list(zip(times_ms, events, strict=False))
    programs = [at_ms for at_ms, event in timed if event[0] == "program"]
    if any(b - a < 2000 for a, b in zip(programs, programs[1:], strict=False)):
        return  # such a file is refused
    expects = []
    for tick in [*checks, DURATION_MS // 100]:
        delivered_nl, stops = oracle(Fraction(basal_nl_h), timed, tick * 100)
        within_nl = (1 + stops) * STEP_NL
        for what in ("delivered", "ledger"):
            expects.append(s.Expect(what, 1, at_ms=tick * 100, value=delivered_nl, within_nl=within_nl))
    experiment = s.Scenario(
        path="generated",
        title="generated",
        duration_ms=DURATION_MS,
        therapy=Therapy("continuous", Fraction(basal_nl_h)),
        events=tuple(event_of(at_ms, event) for at_ms, event in timed),
        expects=tuple(expects),
    )
    bench = HostBench(make_plant(experiment))
    records = list(run_scenario(experiment, bench, LinkClient(bench.send)))
    assert [record for record in records if record["type"] == "expect" and not record["ok"]] == []
    assert [record for record in records if record["type"] == "warning"] == []
