"""A signed request line: in which role it comes, for the how manieth time, and unchanged (SEC-02).

    JSON SP role:counter:mac SP crc

`role` is a name of `commands.ROLES`; `counter` 16 lowercase hex digits, above the highest that the pump has
accepted from this role; `mac` the first 16 bytes of an HMAC-SHA-256 under the role's key, as 32 lowercase hex
digits; `crc` the CRC-32 of all bytes before the space in front of it. The MAC is over

    thecal-link-1 LF nonce LF role:counter LF JSON

with the nonce that the pump's hello tells (32 hex digits, another one in each boot), so that a line is good
for one role, one pump, one boot, one count and these bytes.

`sign` makes such a line, `parts` and `fits` are the other end's. A `Signer` is what a client has: the keys
that it holds for one pump, and what that pump last told. Nothing here knows where keys are kept. ValueError
where a role, a counter, a nonce or a key cannot be one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thecal.link import commands

from thecal_model import crc

CONFIRM = "confirm"
CONTEXT = b"thecal-link-1"
KEY_BYTES = 32
NONCE_DIGITS = 32
MAC_BYTES = 16
COUNTER_DIGITS = 16
MOST_COUNTER = (1 << 64) - 1
MOST_JUMP = 1 << 40  # of a counter between two hellos: more than 2^34 for each of some resets

# What a signature adds to a line: two blanks, two colons, the longest role, counter and mac.
MOST_BYTES = 1 + max(map(len, commands.ROLES)) + 1 + COUNTER_DIGITS + 1 + 2 * MAC_BYTES

_KEY = re.compile(r"[0-9a-f]{64}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_COUNTER = re.compile(r"[0-9a-f]{16}")
_SIGNED = re.compile(rb"(.*) ([a-z]+):([0-9a-f]{16}):([0-9a-f]{32}) ([0-9a-f]{8})", re.DOTALL)


@dataclass(frozen=True)
class Signed:
    """A signed line in its parts; that they fit each other is for `fits` to say."""

    body: bytes
    role: str
    counter: int
    mac: bytes


def new_key() -> bytes:
    """A key from the system's own source of randomness."""
    return secrets.token_bytes(KEY_BYTES)


def key_digits(key: bytes) -> str:
    """A key as `pair` and `keys` carry it."""
    return _checked_key(key).hex()


def key_of(digits: str) -> bytes:
    """A key from its 64 hex digits."""
    if not isinstance(digits, str) or _KEY.fullmatch(digits) is None:
        raise ValueError(f"a key is {2 * KEY_BYTES} lowercase hex digits")
    return bytes.fromhex(digits)


def counter_of(digits: str) -> int:
    """A counter as hello tells it."""
    if not isinstance(digits, str) or _COUNTER.fullmatch(digits) is None:
        raise ValueError(f"{digits!r} is no counter: expected {COUNTER_DIGITS} lowercase hex digits")
    return int(digits, 16)


def mac(body: bytes, role: str, counter: int, nonce: str, key: bytes) -> bytes:
    """The MAC of a line, MAC_BYTES long."""
    if not isinstance(nonce, str) or _NONCE.fullmatch(nonce) is None:
        raise ValueError(f"{nonce!r} is no nonce: expected {NONCE_DIGITS} lowercase hex digits")
    message = b"\n".join((CONTEXT, nonce.encode(), _who(role, counter), body))
    return hmac.digest(_checked_key(key), message, hashlib.sha256)[:MAC_BYTES]


def sign(body: bytes, role: str, counter: int, nonce: str, key: bytes) -> bytes:
    """The line of a request, without its LF; `body` is its JSON."""
    text = b"%s %s:%s" % (
        body,
        _who(role, counter),
        mac(body, role, counter, nonce, key).hex().encode(),
    )
    return b"%s %s" % (text, crc.digits(text))


def parts(line: bytes) -> Signed | None:
    """A line without its LF in its parts; None where it is not a signed one, or its CRC does not fit."""
    found = _SIGNED.fullmatch(line)
    if found is None or crc.digits(line[:-9]) != found[5]:
        return None
    return Signed(found[1], found[2].decode(), int(found[3], 16), bytes.fromhex(found[4].decode()))


def fits(signed: Signed, nonce: str, key: bytes) -> bool:
    """Whether it was signed with this key for this nonce; that its counter is new is not looked at."""
    if signed.role not in commands.ROLES:
        return False
    expected = mac(signed.body, signed.role, signed.counter, nonce, key)
    return hmac.compare_digest(expected, signed.mac)


class Signer:
    """Signs the requests of one client to one pump, each in the least role of those held that suffices, or in
    `role`. Until a hello was `heard`, and to an unpaired pump, nothing is signed.
    """

    def __init__(self, keys: Mapping[str, bytes], role: str | None = None) -> None:
        self.keys = dict(keys)
        self.role = role
        self.nonce = ""
        self.paired = False
        self._counters: dict[str, int] = {}
        self._proposed = commands.OBSERVER  # what was proposed last is confirmed in the same role

    def hear(self, hello: Mapping[str, Any]) -> None:
        """What the pump says of itself: sign for this boot, and count on from here. ValueError."""
        counters = {name: counter_of(text) for name, text in hello.get("counters", {}).items()}
        for name, counter in counters.items():
            if name in self._counters and counter - self._counters[name] > MOST_JUMP:
                # Whoever forged that hello would have us use up the counters.
                raise ValueError(f"the counter of {name} jumps from {self._counters[name]} to {counter}")
        self.paired = hello.get("paired") is True
        self.nonce = hello.get("nonce", "")
        self._counters = counters

    def role_for(self, cmd: str) -> str | None:
        """The role to give a command in; None where it goes unsigned: nobody needs a key for it, or none is
        held. Where no role held suffices it is the highest, and the pump says what it lacks.
        """
        if self.role is not None:
            return self.role if self.role in self.keys else None
        command = commands.find(cmd)
        needed = commands.SERVICE if command is None else command.role
        if cmd == CONFIRM:
            needed = max(needed, self._proposed)
        held = [name for name in commands.ROLES if name in self.keys]
        if needed == commands.OBSERVER or not held:
            return None
        return next((name for name in held if commands.ROLES.index(name) >= needed), held[-1])

    def line(self, cmd: str, body: bytes) -> bytes | None:
        """The line of a request, without its LF; None where it goes unsigned. No two are the same."""
        role = self.role_for(cmd) if self.paired else None
        command = commands.find(cmd)
        if command is not None and command.proposes:
            self._proposed = command.role
        if role is None:
            return None
        self._counters[role] = counter = self._counters.get(role, 0) + 1
        return sign(body, role, counter, self.nonce, self.keys[role])


def _who(role: str, counter: int) -> bytes:
    if role not in commands.ROLES:
        raise ValueError(f"{role!r} is no role: expected one of {', '.join(commands.ROLES)}")
    if not 0 <= counter <= MOST_COUNTER:
        raise ValueError(f"{counter} is no counter: expected 0 to {MOST_COUNTER}")
    return b"%s:%016x" % (role.encode(), counter)


def _checked_key(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key has {KEY_BYTES} bytes, this one {len(key)}")
    return key
