"""What is kept is filled in only when something has changed: in no tick of the scenarios does a field lag."""

from array import array

import pytest
from test_runner import FILES, HostBench, LinkClient, make_plant, run_scenario
from thecal.persistence import Persistence
from thecal.record.layout import FIELDS
from thecal_bench import scenario

LONGEST_MS = 10 * 60_000
SHORT = [file for file in FILES if scenario.load(file).duration_ms <= LONGEST_MS]


@pytest.mark.req("REC-01")
@pytest.mark.parametrize("file", SHORT, ids=lambda file: file.stem)
def test_no_field_lags_behind_what_it_is_filled_from(file, monkeypatch):
    end = Persistence.end
    filled = ticks = 0

    def end_and_compare(persistence, moving):
        nonlocal filled, ticks
        end(persistence, moving)
        words = persistence.journal.words
        again = array("i", words)
        persistence.fill(again)
        lagging = {
            name: (old, new) for name, old, new in zip(FIELDS, words, again, strict=True) if old != new
        }
        assert not lagging
        ticks += 1

    fill = Persistence._fill

    def count(persistence):
        nonlocal filled
        filled += 1
        fill(persistence)

    monkeypatch.setattr(Persistence, "_fill", count)
    monkeypatch.setattr(Persistence, "end", end_and_compare)
    experiment = scenario.load(file)
    with HostBench(make_plant(experiment)) as board:
        list(run_scenario(experiment, board, LinkClient(board.send)))
    assert 0 < filled <= ticks
    print(filled, ticks)
