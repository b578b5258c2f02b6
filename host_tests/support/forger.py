"""Whoever has the cable, everything that ever went over it, and no key: the lines that he may try.

`Forger` signs lines for one pump as its owner does, some of which he withholds, and makes of them what the
pump must not take. CRCs always fit: they are no secret. `Listener` is the pump's link alone, fast enough for
millions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from paired import Signer, body, key_of
from pump_on_desk import frame
from thecal.link import commands, signing
from thecal.link.session import Session
from thecal.signals import Inputs, Outputs
from thecal_bench.inprocess import host_crc
from thecal_model import signing as host

ROLES = commands.ROLES
COMMANDS = (
    ("set_time", {"week_s": 5}, "clinician"),
    ("probe", {}, "service"),
    ("audio_pause", {}, "patient"),
)
OLD_LINES = 200


class Listener:
    """Takes one line a second, and says what it takes as a signed request."""

    def __init__(self, boot: int = 7) -> None:
        self.session = Session(host_crc)
        self.keys = self.session.keys
        self.keys.use(b"".join(map(key_of, ROLES)), True)
        self.inputs = Inputs()
        self.outputs = Outputs()
        self.begin(boot)

    def begin(self, boot: int) -> None:
        self.keys.begin(boot, b"chip", b"chance")

    def takes(self, line: bytes) -> Any:
        """The request of the line if it is taken in the name of any role, else None."""
        session, inputs = self.session, self.inputs
        inputs.tick_s += 1
        inputs.rx[: len(line)] = line
        inputs.rx_len = len(line)
        session.begin_tick(inputs, self.outputs)
        found = None
        while session.more:
            request = session.next(self.outputs)
            if request is not None and self.keys.role != signing.UNSIGNED:
                found = request
            inputs.rx_len = 0
        return found


class Forger:
    """`signer` is the owner; `hear` is told each line that the owner sends, and must take it."""

    def __init__(self, signer: Signer, seed: int, hear: Callable[[bytes], Any]) -> None:
        self.signer = signer
        self.chance = random.Random(seed)
        self.hear = hear
        self.sent: list[bytes] = []
        self.withheld: list[bytes] = []
        self.before = Signer(f"{self.chance.getrandbits(128):032x}", {}, signer.pump)  # an earlier boot
        self.before.counters = {role: max(n - (1 << 34), 0) for role, n in signer.counters.items()}
        self.other = Signer(signer.nonce, {}, "another pump")

    def text(self) -> tuple[bytes, str]:
        """A request, and the role that it needs."""
        cmd, arguments, role = self.chance.choice(COMMANDS)
        return body(cmd, **arguments), role

    def owner_sends(self) -> Any:
        """One line more, sometimes after one that the forger withholds; what became of it."""
        text, role = self.text()
        if self.chance.random() < 0.5:
            self._keep(self.withheld, self.signer.line(text, role))
            text = body("hello")
        line = self.signer.line(text, role)
        self._keep(self.sent, line)
        return self.hear(line)

    def _keep(self, lines: list[bytes], line: bytes) -> None:
        lines.append(line)
        if len(lines) > OLD_LINES:
            del lines[0]

    def next(self) -> tuple[str, bytes]:
        """What it is, and the line."""
        kind = self.chance.choice(KINDS)
        return kind, getattr(self, kind)()

    # --- what he may try

    def forged(self) -> bytes:
        text, role = self.text()
        counter = self.signer.counters[role] + 1
        mac = b"%032x" % self.chance.getrandbits(128)
        return frame(b"%s %s:%016x:%s" % (text, role.encode(), counter, mac))

    def replayed(self) -> bytes:
        return self.chance.choice(self.sent)

    def reordered(self) -> bytes:
        return self.chance.choice(self.withheld or self.sent)

    def cross_role(self) -> bytes:
        """Signed by the key of another role, or named by another role than was signed."""
        text, role = self.text()
        other = self.chance.choice([name for name in ROLES if name != role])
        counter = max(self.signer.counters.values()) + 1
        if self.chance.random() < 0.5:
            return host.sign(text, role, counter, self.signer.nonce, key_of(other, self.signer.pump)) + b"\n"
        line = host.sign(text, other, counter, self.signer.nonce, key_of(other, self.signer.pump))
        return frame(line[:-9].replace(b" %s:" % other.encode(), b" %s:" % role.encode()))

    def cross_device(self) -> bytes:
        text, role = self.text()
        return self.other.line(text, role, self.signer.counters[role] + 1)

    def post_reboot(self) -> bytes:
        """Of an earlier boot, its counters as they were or as they would be now."""
        text, role = self.text()
        counter = self.signer.counters[role] + 1 if self.chance.random() < 0.5 else None
        return self.before.line(text, role, counter)

    def truncated(self) -> bytes:
        line = self._good()[:-10]
        start, end = sorted(self.chance.sample(range(1, len(line)), 2))
        return frame(line[:start] if self.chance.random() < 0.5 else line[:start] + line[end:])

    def bit_flipped(self) -> bytes:
        line = bytearray(self._good()[:-10])
        while True:
            at = self.chance.randrange(len(line))
            line[at] ^= 1 << self.chance.randrange(8)
            if line[at] != 10:
                return frame(bytes(line))

    def spliced(self) -> bytes:
        """The text of one good line and the signature of another."""
        one, other = self._good(), self._good()
        return frame(one[: one.rindex(b"}") + 1] + other[other.rindex(b"}") + 1 : -10])

    def _good(self) -> bytes:
        """One that the owner could send next."""
        text, role = self.text()
        return self.signer.line(text, role, self.signer.counters[role] + 1)


KINDS = (
    "forged",
    "replayed",
    "reordered",
    "cross_role",
    "cross_device",
    "post_reboot",
    "truncated",
    "bit_flipped",
    "spliced",
)
