"""What became of a command, by itself: what waits stays, what a boot finds open was cut."""

import pytest
from thecal.record.outcomes import (
    CUT,
    DONE,
    ENTRY_BYTES,
    KEPT,
    NOWHERE,
    REFUSED,
    WAITING,
    Outcomes,
    key,
)

FRAME, OTHER = b"\x01\x02\x03\x04", b"\x01\x02\x03\x05"


def written(outcomes):
    """Entries that are to be written, in order, and written now."""
    entries = []
    while outcomes.due:
        place = outcomes.due[0]
        data = bytearray(ENTRY_BYTES)
        outcomes.wrote(place, outcomes.pack(place, data, 0))
        entries.append(bytes(data))
    return entries


@pytest.mark.req("REC-03")
def test_what_was_announced_and_not_closed_is_cut_after_a_boot_and_what_was_closed_is_not():
    outcomes = Outcomes()
    first = outcomes.open(key(7, 1), FRAME, 100, 3)
    second = outcomes.open(key(7, 2), FRAME, 101, 4)
    third = outcomes.open(key(7, 3), FRAME, 102, 5)
    outcomes.announce(first)
    assert not outcomes.announced(first)
    outcomes.close(second, REFUSED, 9, 103)
    entries = written(outcomes)
    assert outcomes.announced(first) and len(entries) == 2
    again = Outcomes()
    for entry in entries:
        again.load(entry)
    assert again.told(again.find(key(7, 1))) == (100, 3, CUT, 0)
    assert again.told(again.find(key(7, 2))) == (103, 4, REFUSED, 9)
    assert again.find(key(7, 3)) == NOWHERE and outcomes.result(third) == WAITING


@pytest.mark.req("REC-03")
def test_sixty_four_are_kept_and_what_waits_is_never_driven_out():
    assert KEPT == 64
    outcomes = Outcomes()
    waits = outcomes.open(key(1, 0), FRAME, 0, 0)
    for number in range(1, 200):
        place = outcomes.open(key(1, number), FRAME, number, 0)
        outcomes.close(place, DONE, 0, number)
        assert outcomes.find(key(1, 0)) == waits and outcomes.result(waits) == WAITING
        kept = [other for other in range(1, number + 1) if outcomes.find(key(1, other)) != NOWHERE]
        assert kept == list(range(max(1, number - 62), number + 1))


@pytest.mark.req("REC-03")
def test_the_same_id_with_other_content_is_another_frame():
    outcomes = Outcomes()
    place = outcomes.open(key(1, 5), FRAME, 0, 0)
    assert outcomes.same(place, FRAME) and not outcomes.same(place, OTHER)
    assert outcomes.find(key(2, 5)) == NOWHERE and outcomes.find(key(1, 6)) == NOWHERE
