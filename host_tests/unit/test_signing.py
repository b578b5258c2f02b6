"""A signed line: HMAC-SHA-256 as in RFC 4231, and one signature for one role, count, boot and text."""

import hashlib
import hmac
import zlib

import pytest
from thecal.link import commands
from thecal_model import signing
from thecal_model.link import LinkClient, encode

KEY = bytes(range(32))
NONCE = "00112233445566778899aabbccddeeff"
BODY = b'{"id":7,"run":"3f2a91c0","cmd":"start"}'

# RFC 4231, 4.2 to 4.8 (4.6 is of a MAC cut to 128 bits): key, data, HMAC-SHA-256.
RFC_4231 = (
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. The key needs "
        b"to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize(("key", "data", "digest"), RFC_4231)
def test_the_standard_library_computes_the_vectors_of_the_rfc(key, data, digest):
    wanted = bytes.fromhex(digest)
    assert hmac.digest(key, data, hashlib.sha256)[: len(wanted)] == wanted


@pytest.mark.req("SEC-02")
def test_a_line_is_what_the_page_says():
    """By two hashes written out, so that another implementation can be held against it."""
    line = signing.sign(BODY, "clinician", 0x1A, NONCE, KEY)
    who = b"clinician:000000000000001a"
    message = b"thecal-link-1\n" + NONCE.encode() + b"\n" + who + b"\n" + BODY
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in KEY.ljust(64, b"\0")) + message).digest()
    mac = hashlib.sha256(bytes(b ^ 0x5C for b in KEY.ljust(64, b"\0")) + inner).hexdigest()[:32]
    text = BODY + b" " + who + b":" + mac.encode()
    assert line == text + b" %08x" % zlib.crc32(text)
    assert len(line) - len(BODY) - 9 <= signing.MOST_BYTES


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize("role", commands.ROLES)
@pytest.mark.parametrize("counter", [0, 1, 1 << 32, signing.MOST_COUNTER])
def test_a_line_comes_apart_as_it_was_put_together(role, counter):
    signed = signing.parts(signing.sign(BODY, role, counter, NONCE, KEY))
    assert signed is not None
    assert (signed.body, signed.role, signed.counter) == (BODY, role, counter)
    assert signing.fits(signed, NONCE, KEY)


@pytest.mark.req("SEC-02")
def test_a_signature_is_good_for_one_role_count_boot_key_and_body_only():
    good = signing.parts(signing.sign(BODY, "patient", 5, NONCE, KEY))
    assert good is not None
    other_nonce = NONCE[:-1] + "0"
    others = [
        signing.Signed(BODY, "clinician", 5, good.mac),
        signing.Signed(BODY, "patient", 6, good.mac),
        signing.Signed(BODY + b" ", "patient", 5, good.mac),
        signing.Signed(BODY, "nobody", 5, good.mac),
    ]
    assert not any(signing.fits(other, NONCE, KEY) for other in others)
    assert not signing.fits(good, other_nonce, KEY)
    assert not signing.fits(good, NONCE, KEY[:-1] + b"\0")
    for bit in range(8 * signing.MAC_BYTES):
        flipped = (int.from_bytes(good.mac) ^ 1 << bit).to_bytes(signing.MAC_BYTES)
        assert not signing.fits(signing.Signed(BODY, "patient", 5, flipped), NONCE, KEY)


@pytest.mark.req("SEC-02")
def test_what_is_no_signed_line_has_no_parts():
    line = signing.sign(BODY, "patient", 5, NONCE, KEY)
    unsigned = BODY + b" %08x" % zlib.crc32(BODY)
    upper = line[:-9].upper()
    for other in (b"", unsigned, line[:-1], line + b" ", line.replace(b"start", b"stopp")):
        assert signing.parts(other) is None
    assert signing.parts(upper + b" %08x" % zlib.crc32(upper)) is None


@pytest.mark.req("SEC-02")
@pytest.mark.parametrize(
    ("role", "counter", "nonce", "key", "said"),
    [
        ("root", 1, NONCE, KEY, "no role"),
        ("patient", -1, NONCE, KEY, "no counter"),
        ("patient", 1 << 64, NONCE, KEY, "no counter"),
        ("patient", 1, NONCE[1:], KEY, "no nonce"),
        ("patient", 1, NONCE.upper(), KEY, "no nonce"),
        ("patient", 1, NONCE, KEY[1:], "32 bytes, this one 31"),
    ],
)
def test_what_can_not_sign_says_so(role, counter, nonce, key, said):
    with pytest.raises(ValueError, match=said):
        signing.sign(BODY, role, counter, nonce, key)


@pytest.mark.req("SEC-06")
def test_keys_and_counters_are_read_as_they_are_told():
    key = signing.new_key()
    assert signing.key_of(signing.key_digits(key)) == key != signing.new_key()
    assert signing.counter_of("00000000000000ff") == 255
    for bad in ("", "0" * 63, "0" * 65, "G" * 64, "A" * 64):
        with pytest.raises(ValueError, match="64 lowercase hex digits"):
            signing.key_of(bad)
    with pytest.raises(ValueError, match="no counter"):
        signing.counter_of("ff")


# --- a client that signs


HELLO = {"paired": True, "nonce": NONCE, "counters": {"patient": "0000000000000009"}}


def signed_of(sent):
    found = [signing.parts(line.rstrip(b"\n")) for line in sent]
    return [line for line in found if line is not None]


@pytest.fixture
def client():
    sent = []
    client = LinkClient(sent.append, run="3f2a91c0")
    client.signer = signer = signing.Signer({"patient": KEY, "clinician": KEY[::-1]})
    return client, sent, signer


@pytest.mark.req("SEC-01")
def test_a_command_is_given_in_the_least_role_that_suffices():
    held = signing.Signer({"patient": KEY, "service": KEY})
    for command in commands.COMMANDS:
        wanted = {commands.OBSERVER: None, commands.PATIENT: "patient"}.get(command.role, "service")
        assert held.role_for(command.name) == wanted
    only = signing.Signer({"patient": KEY})
    # It does not suffice: the pump says so.
    assert only.role_for("program") == "patient" and only.role_for("no such") == "patient"
    assert signing.Signer({}).role_for("stop") is None
    assert signing.Signer({"service": KEY, "patient": KEY}, "service").role_for("stop") == "service"
    assert signing.Signer({"patient": KEY}, "service").role_for("stop") is None


@pytest.mark.req("SEC-02")
def test_nothing_is_signed_before_a_paired_hello_and_then_what_needs_a_role(client):
    client, sent, signer = client
    client.request("stop")
    signer.hear({"paired": False, "nonce": NONCE})
    client.request("stop")
    signer.hear(HELLO)
    client.request("status")
    assert signed_of(sent) == []
    for cmd in ("stop", "bolus", "stop", "bolus"):
        client.request(cmd)
    signed = signed_of(sent)
    told = [(line.role, line.counter, signing.fits(line, NONCE, signer.keys[line.role])) for line in signed]
    # One more than the pump has accepted, each role by itself.
    assert told == [
        ("patient", 10, True),
        ("clinician", 1, True),
        ("patient", 11, True),
        ("clinician", 2, True),
    ]


@pytest.mark.req("SEC-02", "REC-03")
def test_a_request_that_was_not_looked_into_is_signed_anew_and_is_the_same(client):
    client, sent, signer = client
    signer.hear(HELLO)
    number = client.request("bolus", volume_nl=1, duration_ms=1)
    client.feed(encode({"type": "reply", "id": number, "run": "3f2a91c0", "ok": False, "error": "bad_auth"}))
    assert (client.reply(number) or {})["error"] == "bad_auth"
    other_boot = "f" * 32
    signer.hear({**HELLO, "nonce": other_boot, "counters": {"clinician": "00000000000000ff"}})
    client.again(number)
    assert client.reply(number) is None
    first, second = signed_of(sent)
    assert second.body == first.body and second.counter == 256
    assert signing.fits(second, other_boot, signer.keys["clinician"])
    client.again(number, signed=False)
    assert len(signed_of(sent)) == 2 and sent[2].startswith(first.body + b" ")
    client.feed(encode({"type": "reply", "id": number, "run": "3f2a91c0", "ok": True}))
    with pytest.raises(KeyError):
        client.again(number)  # it has been answered
