"""record/repeats.py, and what a flood leaves of the log."""

import pytest
from field_link import RunningPump
from thecal.link.commands import COMMANDS
from thecal.record import events
from thecal.record.repeats import KINDS, SINGLES, SPAN_TICKS, TELL_TICKS, Repeats, code_and_numbers, kind_of
from thecal_bench.inprocess import HostBench

START = [row.name for row in COMMANDS].index("start")


@pytest.mark.req("REC-06")
@pytest.mark.parametrize("numbers", [(0, 0, 0), (events.DENIED, 18, 13), (63, 255, 255)])
def test_a_kind_is_a_small_integer_and_read_back(numbers):
    assert code_and_numbers(kind_of(*numbers)) == numbers and 0 <= kind_of(*numbers) < 1 << 30
    assert code_and_numbers(kind_of(8, 1 << 29, 0)) == (8, 255, 0)


@pytest.mark.req("REC-06", "LIM-07")
def test_the_first_are_single_the_rest_are_told_once_a_minute_and_none_is_forgotten():
    repeats = Repeats()
    kinds = (kind_of(events.DENIED, 1, 2), kind_of(events.DENIED, 1, 3))
    single = dict.fromkeys(kinds, 0)
    told = dict.fromkeys(kinds, 0)
    tells = []
    came = 0
    for tick in range(5_000):
        if tick < 3_000:
            came += 1
            for kind in kinds:
                single[kind] += repeats.is_single(tick, kind)
        while (index := repeats.due(tick)) >= 0:
            told[repeats.kinds[index]] += repeats.more[index]
            tells.append(tick)
            repeats.told(index, tick)
    assert single == dict.fromkeys(kinds, SINGLES)
    assert told == dict.fromkeys(kinds, came - SINGLES)
    ticks = sorted(set(tells))
    assert len(tells) == 2 * len(ticks)
    assert all(later - before >= TELL_TICKS for before, later in zip(ticks, ticks[1:], strict=False))
    assert repeats.is_single(3_000 + SPAN_TICKS, kinds[0]), "after a while it is news again"


@pytest.mark.req("REC-06")
def test_more_kinds_than_there_are_places_for_give_up_the_oldest():
    repeats = Repeats()
    for kind in range(KINDS + 1):
        assert repeats.is_single(kind, kind)
    assert 0 not in repeats.kinds and KINDS in repeats.kinds
    for _ in range(SINGLES + 1):
        repeats.is_single(100, 1)
    assert repeats.waiting == 1
    for kind in range(KINDS + 1, 3 * KINDS):
        repeats.is_single(kind + 100, kind)
    assert repeats.waiting == 0 and repeats.due(1 << 20) == -1


@pytest.mark.req("REC-06", "LIM-07")
def test_a_flood_of_refusals_leaves_the_log_as_it_was_and_is_counted():
    pump = RunningPump(HostBench(), lambda: 0)
    journal = pump.bench._journal
    assert journal is not None
    before = [number for number, _, _ in journal.entries(2, 0)]
    for _ in range(400):  # as fast as their outcomes are written down
        pump.client.request("start")
        pump.run(3)
    pump.run(TELL_TICKS)
    assert {(reply["ok"], reply["error"]) for reply in pump.replies} == {(False, "refused")}
    kept = list(journal.entries(2, 0))
    assert [number for number, _, _ in kept][: len(before)] == before
    assert len(kept) < len(before) + SINGLES + 6
    told = [
        (code_and_numbers(sent["a"]), sent["b"]) for sent in pump.client.events if sent["code"] == "repeated"
    ]
    assert {kind[:2] for kind, _ in told} == {(events.DENIED, START)}
    assert sum(count for _, count in told) == 400 - SINGLES
    assert journal.lost_events == 0


@pytest.mark.req("REC-06", "LNK-02")
def test_a_log_that_was_lapped_goes_on_and_says_how_much_it_lost():
    """As if 600 things happened in two ticks."""
    pump = RunningPump(HostBench(), lambda: 0)
    for _ in range(2):
        for number in range(300):
            pump.bench.pump.teller.event(events.CLOCK, number, 0)
        pump.run(1)
    pump.run(60)
    journal = pump.bench._journal
    assert journal is not None
    assert pump.ask("hello")["state"] == "RUNNING" and pump.raised == []
    assert journal.lost_events >= 600 - 2 * events.CAPACITY - 8
    told = [sent["a"] for sent in pump.client.events if sent["code"] == "log_lost"]
    assert sum(told) == journal.lost_events
    numbers = [number for number, _, _ in journal.entries(2, 0)]
    assert numbers == sorted(set(numbers)) and numbers[-1] == journal.log_count - 1
