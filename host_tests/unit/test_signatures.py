"""link/signing.py, link/session.py: who signed a line, and what may be done in whose name."""

import itertools
import re

import pytest
from paired import PairedBench, PairedDesk, arguments_of, body, key_of
from pump_on_desk import PumpOnDesk, frame, request
from thecal.link import commands, signing
from thecal.link.commands import COMMANDS, ROLES
from thecal_model import signing as host

RFC_4231 = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
]
"""Those of RFC 4231 with keys of no more than a block (4.2 to 4.6); of the last one 128 bits are told."""


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize(("key", "data", "mac"), RFC_4231)
def test_the_hmac_is_that_of_rfc_4231(key, data, mac):
    for cut in (0, 1, len(data)):
        found = signing.hmac(signing.pads_of(key), (data[:cut], data[cut:]))
        assert len(found) == 32 and found.hex()[: len(mac)] == mac


@pytest.mark.req("SEC-02")
def test_macs_are_the_same_only_with_every_bit():
    one = key_of("observer")[: signing.MAC_BYTES]
    assert signing.same(one, one)
    for bit in range(8 * len(one)):
        other = bytearray(one)
        other[bit // 8] ^= 1 << bit % 8
        assert not signing.same(one, bytes(other))
    assert not signing.same(one, one[:-1]) and not signing.same(one, one + b"\0")


@pytest.mark.req("SEC-01")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda row: row.name)
@pytest.mark.parametrize("role", ["", *ROLES])
def test_every_command_in_every_role_is_let_through_as_the_table_says(command, role):
    desk = PairedDesk()
    reply = desk.say(role, command.name, **arguments_of(command))
    has = ROLES.index(role) if role else commands.OBSERVER
    if command.name == commands.STOP:
        assert reply["ok"] and reply.get("unsigned", False) == (has < command.role)
    elif has >= command.role:
        assert reply.get("error") not in ("role", "not_signed", "bad_auth"), reply
    else:
        assert reply["error"] == ("role" if role else "not_signed")
        assert ROLES[command.role] in reply["message"]


@pytest.mark.req("SEC-06")
@pytest.mark.parametrize("command", COMMANDS, ids=lambda row: row.name)
def test_an_unpaired_pump_takes_every_command_from_whoever_sends_it_and_none_that_is_signed(command):
    desk = PumpOnDesk()
    desk.tick()
    assert desk.ask("hello")["paired"] is False
    paired = PairedDesk()
    line = paired.signer.line(body(command.name, **arguments_of(command)), "service")
    reply = next(told for told in desk.tick(line) if told["type"] == "reply")
    if command.name == commands.STOP:
        assert reply["ok"] and "unsigned" not in reply
    else:
        assert reply["error"] == "unpaired"
    told = desk.tick(request(command.name, id=5, **arguments_of(command))) + desk.tick()
    unsigned = next(one for one in told if one["type"] == "reply")
    assert unsigned.get("error") not in ("role", "not_signed", "bad_auth")


@pytest.fixture
def desk() -> PairedDesk:
    return PairedDesk()


@pytest.mark.req("SEC-02")
def test_hello_tells_what_is_needed_to_sign_and_no_key(desk):
    hello = desk.say("", "hello")
    assert hello["paired"] is True
    assert len(hello["nonce"]) == 32 and set(hello["counters"]) == set(ROLES)
    assert re.fullmatch("[0-9a-f]{16}", hello["serial"])
    desk.say("patient", "alarms")
    told = desk.say("", "hello")["counters"]
    assert int(told["patient"], 16) == int(hello["counters"]["patient"], 16) + 1
    assert not any(key_of(role).hex()[:8] in str(hello) for role in ROLES)


@pytest.mark.req("SEC-02")
def test_what_came_once_is_not_taken_again_nor_what_came_before(desk):
    first = desk.signer.line(body("set_time", week_s=1), "clinician")
    second = desk.signer.line(body("set_time", week_s=2), "clinician")
    assert desk.send(second)["ok"]
    assert desk.send(second)["error"] == "replayed"
    assert desk.send(first)["error"] == "replayed"
    assert desk.say("clinician", "set_time", week_s=3)["ok"]


@pytest.mark.req("SEC-02", "REC-03")
def test_a_request_signed_again_is_the_same_request(desk):
    text = body("set_time", week_s=77)
    assert desk.send(desk.signer.line(text, "clinician"))["ok"]
    before = desk.pump.log.count
    again = desk.send(desk.signer.line(text, "clinician"))
    assert again["ok"] and desk.pump.log.count == before
    other = text.replace(b"77", b"78")
    assert desk.send(desk.signer.line(other, "clinician"))["error"] == "id_reused"


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("other", ROLES)
def test_a_key_signs_in_its_own_role_only(desk, role, other):
    if role == other:
        return
    text = body("alarms")
    counter = desk.signer.counters[role] + 1
    line = host.sign(text, role, counter, desk.signer.nonce, key_of(other)) + b"\n"
    assert desk.send(line)["error"] == "bad_auth"


@pytest.mark.req("SEC-02")
def test_a_line_is_good_for_one_boot_and_one_pump(desk):
    text = body("set_time", week_s=5)
    counter = desk.signer.counters["clinician"] + 1
    for nonce, key in (("0" * 32, key_of("clinician")), (desk.signer.nonce, key_of("clinician", "other"))):
        line = host.sign(text, "clinician", counter, nonce, key) + b"\n"
        assert desk.send(line)["error"] == "bad_auth"
    assert desk.send(desk.signer.line(text, "clinician", counter))["ok"]


@pytest.mark.req("SEC-02")
def test_no_counter_beyond_those_of_a_boot_is_taken(desk):
    """So no line can use up those of the next ones."""
    first = desk.signer.counters["service"]
    for counter in (first + (1 << signing.BLOCK_BITS), (1 << 64) - 1):
        assert desk.send(desk.signer.line(body("probe"), "service", counter))["error"] == "replayed"
    assert desk.say("service", "alarms")["ok"]


@pytest.mark.req("SEC-02")
def test_a_signature_is_written_in_one_way(desk):
    line = desk.signer.line(body("set_time", week_s=5), "clinician")
    text = line[:-10]
    for place in range(len(text) - signing.SIGNATURE_DIGITS, len(text)):
        if text[place : place + 1].isalpha():
            loud = text[:place] + text[place : place + 1].upper() + text[place + 1 :]
            assert desk.send(frame(loud))["error"] == "bad_auth"
            desk.tick(ticks=10)


@pytest.mark.req("SEC-06")
def test_a_stop_acts_whoever_sends_it_and_silences_nothing_unless_it_is_signed(desk):
    desk.pump.handlers.keyring.keys.use(b"", False)
    desk.program()
    desk.ask("start")
    desk.keys.use(desk.keyring.store.data, True)
    desk.tick()
    reply = desk.say("", "stop")
    assert reply["ok"] and reply["unsigned"] and reply["state"] == "STOPPED"
    assert desk.outputs.halt
    assert desk.say("", "alarms")["alarms"] == [["BAD_AUTH", "LOW"]]
    assert desk.outputs.alarm_sound
    desk.say("", "stop")
    assert desk.outputs.alarm_sound, "it would have muted the pump"
    desk.say("patient", "stop")
    assert not desk.outputs.alarm_sound


@pytest.mark.req("SEC-06", "REC-03")
def test_an_unsigned_stop_takes_no_ones_place(desk):
    """Neither among what waits nor among the outcomes."""
    assert desk.say("", "stop", at_tick=10_000)["error"] == "not_signed"
    done = body("set_time", week_s=5)
    assert desk.send(desk.signer.line(done, "clinician"))["ok"]
    for number in range(70):
        desk.send(frame(b'{"id":%d,"run":"00000001","cmd":"stop"}' % number))
    assert desk.send(desk.signer.line(done, "clinician"))["ok"]
    assert desk.say("", "outcome", of_run="00000001", of=69)["outcome"] == "unknown"
    for number in range(70):
        desk.send(frame(b'{"id":%d,"run":"00000001","cmd":"reset_keys"}' % number))
    assert desk.send(desk.signer.line(done, "clinician"))["ok"]


WEEK = [{"at_ms": hour * 3_600_000, "rate_num": 36_000 + hour, "rate_den": 1} for hour in range(24)]


@pytest.mark.req("SEC-03", "SEC-06")
def test_what_nobody_has_signed_waits_in_no_ones_place(desk):
    """`reset_keys` is the one command that changes something and that a hand at the pump gives unsigned."""
    refused = [desk.say("", "reset_keys", at_tick=10_000)["error"] for _ in range(9)]
    assert refused == ["not_signed"] * 9
    assert desk.say("observer", "reset_keys", at_tick=10_000)["held"] is True
    bench = PairedBench()
    bench.bench.send(bench.signer.line(body("program", therapy={"mode": "flex", "steps": WEEK}), "clinician"))
    while bench.pump.host.working is None:
        bench.run(1)
    for _ in range(9):
        bench.bench.send(frame(body("reset_keys")))
    bench.bench.send(bench.signer.line(body("set_time", week_s=3, at_tick=10_000), "clinician"))
    while not bench.pump.host.queue.waiting:
        assert bench.pump.host.working is not None
        bench.run(1)
    assert [entry.command.name for entry in bench.pump.host.queue.waiting] == ["set_time"]


@pytest.mark.req("SEC-02", "ALM-05")
@pytest.mark.parametrize("spoil", ["mac", "counter", "role"])
def test_a_stop_with_a_bad_signature_is_an_unsigned_one(desk, spoil):
    text = body("stop")
    line = desk.signer.line(text, "patient")
    if spoil == "mac":
        line = frame(line[:-11] + (b"0" if line[-11:-10] != b"0" else b"1"))
    elif spoil == "counter":
        line = desk.signer.line(text, "patient", 0)
    else:
        line = desk.signer.line(text, "observer")
    reply = desk.send(line)
    assert reply["ok"] and reply["unsigned"]


@pytest.mark.req("SEC-03", "ALM-01")
def test_bad_signatures_raise_bad_auth_and_are_logged_once_a_minute(desk):
    """The alarm is BAD_AUTH."""
    counter = desk.signer.counters["clinician"]
    sent = 0
    told = []
    for second in range(125):
        for _ in range(1):
            line = desk.signer.line(body("set_time", week_s=second), "clinician", counter)
            frames = desk.tick(line, ticks=1)
            sent += 1
            told += [(f["a"], f["b"]) for f in frames if f["type"] == "event" and f["code"] == "bad_auth"]
        desk.tick(ticks=9)
    assert desk.say("", "alarms")["alarms"] == [["BAD_AUTH", "LOW"]]
    assert len(told) == 3 and told[0] == (1, 0)
    assert sum(a for a, _ in told) + desk.keys.bad == sent


@pytest.mark.req("SEC-03")
def test_after_a_few_bad_ones_no_signature_is_looked_at_until_the_next_second(desk):
    desk.tick(ticks=10 - desk.at_tick % 10)
    bad = [desk.signer.line(body("set_time", week_s=1), "clinician", 0) for _ in range(9)]
    replies = [told for told in desk.tick(b"".join(bad)) if told["type"] == "reply"]
    errors = [told["error"] for told in replies]
    assert errors == ["replayed"] * signing.MOST_BAD + ["auth_wait"], "told once"
    desk.tick(ticks=10)
    assert [told["error"] for told in desk.tick(b"".join(bad[:3])) if told["type"] == "reply"] == [
        "replayed",
        "auth_wait",
    ], "one more in each second"
    desk.keys.wait_told = False
    text = body("set_time", week_s=5)
    good = desk.signer.line(text, "clinician")
    waits = desk.send(good)
    assert waits["error"] == "auth_wait" and waits["id"] > 0 and b'"id":%d,' % waits["id"] in text
    assert desk.send(desk.signer.line(body("stop"), "patient"))["unsigned"], "a stop is never kept waiting"
    desk.tick(ticks=10)
    assert desk.send(good)["ok"], "it was not looked at, so its counter is not used"


@pytest.mark.req("SEC-02")
def test_a_role_without_a_key_signs_nothing(desk):
    keys = bytearray(desk.keyring.store.data)
    keys[: signing.KEY_BYTES] = signing.NO_KEY
    desk.keys.use(keys, True)
    assert set(desk.say("", "hello")["counters"]) == set(ROLES[1:])
    line = host.sign(body("alarms"), "observer", 1 << 20, desk.signer.nonce, signing.NO_KEY) + b"\n"
    assert desk.send(line)["error"] == "bad_auth"


@pytest.mark.req("SEC-02")
def test_nonces_differ_by_the_board_by_the_boot_and_by_chance():
    drawn = {
        signing.nonce_of(chip, boot, chance)
        for chip, boot, chance in itertools.product((b"a", b"b"), (0, 1), (b"x", b"y"))
    }
    assert len(drawn) == 8 and all(len(nonce) == 32 for nonce in drawn)
