"""The law of signed lines (SEC-02): whoever has no key is not obeyed, whatever he has heard, and whoever has
one is, whatever came before. Millions of lines at the link alone; thousands at the whole pump.
"""

from collections import Counter

import pytest
from forger import KINDS, Forger, Listener
from paired import PairedDesk, Signer, body
from thecal.link import signing

OFTEN = 10


def attack(count: int, seed: int) -> Counter:
    """So many lines at the link, each tenth followed by one of the owner's."""
    listener = Listener()
    signer = Signer(listener.keys.nonce.decode(), listener.keys.counters())
    forger = Forger(signer, seed, listener.takes)
    for _ in range(4):
        assert forger.owner_sends() is not None
    tried: Counter = Counter()
    for number in range(count):
        kind, line = forger.next()
        tried[kind] += 1
        assert listener.takes(line) is None, (kind, line)
        if number % OFTEN == 0:
            assert forger.owner_sends() is not None, (kind, line)
    return tried


@pytest.mark.req("SEC-02")
def test_no_line_is_taken_that_its_owner_did_not_send_now():
    tried = attack(10_000, 20_261)
    assert set(tried) == set(KINDS) and min(tried.values()) > 900


@pytest.mark.long
@pytest.mark.req("SEC-02")
@pytest.mark.parametrize("seed", range(10))
def test_no_line_of_ten_million_is(seed):
    assert sum(attack(1_000_000, seed).values()) == 1_000_000


@pytest.mark.req("SEC-02", "SEC-03")
def test_the_whole_pump_is_moved_by_none_and_the_next_good_line_is_obeyed():
    """What is known of it changes by good lines only; a bad one in each tick is not even an event."""
    desk = PairedDesk()
    forger = Forger(desk.signer, 5, desk.send)
    for _ in range(4):
        assert forger.owner_sends()["ok"]
    for _ in range(1_000):
        before = desk.pump.clock.week_offset, desk.pump.host.outcomes.count
        _, line = forger.next()
        desk.tick(line)
        assert (desk.pump.clock.week_offset, desk.pump.host.outcomes.count) == before
        if desk.at_tick % 37 == 0:
            desk.tick(ticks=10)
            assert desk.send(desk.signer.line(body("set_time", week_s=9), "clinician"))["ok"]
    assert desk.pump.control.alarms.standing.count(True) == 1


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize("kind", KINDS)
def test_each_of_them_is_refused_by_name(kind):
    desk = PairedDesk()
    forger = Forger(desk.signer, 9, desk.send)
    for _ in range(4):
        forger.owner_sends()
    told = set()
    for _ in range(30):
        answer = desk.send(getattr(forger, kind)())
        assert answer["ok"] is False and answer["message"]
        told.add(answer["error"])
        desk.tick(ticks=10)
    assert told <= {
        "forged": {"bad_auth"},
        "replayed": {"replayed"},
        "reordered": {"replayed"},
        "cross_role": {"bad_auth", "replayed"},
        "cross_device": {"bad_auth"},
        "post_reboot": {"bad_auth", "replayed"},
        "spliced": {"bad_auth"},
    }.get(kind, {"bad_auth", "replayed", "not_signed", "bad_frame", "bad_argument", "unknown_command"})


@pytest.mark.req("SEC-02")
def test_a_counter_of_an_earlier_boot_is_none_of_this_one_whatever_the_nonce():
    """Were the nonce the same, the number of the boot alone would tell them apart."""
    listener = Listener(boot=3)
    nonce = listener.keys.nonce
    signer = Signer(nonce.decode(), listener.keys.counters())
    lines = [signer.line(body("set_time", week_s=1), "clinician") for _ in range(3)]
    assert listener.takes(lines[0]) is not None
    for boot in (4, 5, 2):
        listener.begin(boot)
        listener.keys.nonce = nonce
        assert [listener.takes(line) for line in lines] == [None] * 3
        assert listener.session.refusal is None or listener.session.refusal["error"] == "replayed"
    assert signing.BLOCK_BITS == 34
