"""Pumps with keys: signed requests to one on a desk or on a bench, and arguments that a command takes."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

from pump_on_bench import ANSWER_TICKS, PumpOnBench
from pump_on_desk import RUN, PumpOnDesk, frame
from thecal.link import commands
from thecal_model import signing
from thecal_model.link import needs_id

NUMBERS = itertools.count(1)


def key_of(role: str, pump: str = "") -> bytes:
    """The key of a role in these tests; of another `pump` another one."""
    return hashlib.sha256(f"{pump} {role}".encode()).digest()


def keys_of(*roles: str, pump: str = "") -> dict[str, str]:
    """As `pair` and `keys` take them."""
    return {role: signing.key_digits(key_of(role, pump)) for role in roles or commands.ROLES}


def body(cmd: str, **arguments: Any) -> bytes:
    """The JSON of a request with an ID that no other has, if it needs one."""
    given = {"id": next(NUMBERS), **({"run": RUN} if needs_id(cmd) else {}), "cmd": cmd, **arguments}
    return json.dumps(given, separators=(",", ":")).encode()


def arguments_of(command: commands.Command) -> dict[str, Any]:
    """Some that the link takes, for what the table says that a command needs."""
    given: dict[str, Any] = {}
    for name in command.needs:
        kinds = ((commands.OBJECTS, {}), (commands.TEXTS, "x"), (commands.LISTS, []))
        given[name] = next((value for names, value in kinds if name in names), 1)
        if name == "of_run":
            given[name] = "00000000"
    return given


class Signer:
    """Signs in all roles for one pump in one boot, as its hello told."""

    def __init__(self, nonce: str, counters: dict[str, str], pump: str = "") -> None:
        self.nonce = nonce
        self.counters = {role: int(counters.get(role, "0"), 16) for role in commands.ROLES}
        self.pump = pump

    def line(self, text: bytes, role: str, counter: int | None = None) -> bytes:
        """The line of a request, its LF too; without a `counter` the next one."""
        if counter is None:
            self.counters[role] += 1
            counter = self.counters[role]
        return signing.sign(text, role, counter, self.nonce, key_of(role, self.pump)) + b"\n"


class PairedDesk(PumpOnDesk):
    """A pump on a desk with a key for each role, in its memory only."""

    def __init__(self) -> None:
        super().__init__()
        self.keyring = self.pump.handlers.keyring
        self.keys = self.pump.host.session.keys
        self.keyring.store.data = b"".join(key_of(role) for role in commands.ROLES)
        self.keys.use(self.keyring.store.data, True)
        self.tick()
        self.signer = Signer(self.keys.nonce.decode(), self.keys.counters())

    def send(self, line: bytes) -> dict:
        """One line; its answer."""
        found = [told for told in self.tick(line) if told["type"] == "reply"]
        found = found or [told for told in self.tick() if told["type"] == "reply"]  # a probe's
        assert len(found) == 1, found
        return found[0]

    def say(self, role: str, cmd: str, **arguments: Any) -> dict:
        """One request in a role, "" for none; its answer."""
        text = body(cmd, **arguments)
        return self.send(self.signer.line(text, role) if role else frame(text))


class PairedBench(PumpOnBench):
    """A pump with its flash, paired by its STOP button as a person does it."""

    pump_name = ""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.pair()

    def pair(self, **keys: str) -> None:
        """Give it its first keys."""
        assert self.ask("pair", keys=keys or keys_of(pump=self.pump_name))["by"] == "button"
        self.bench.press("stop", 3)
        self.run(ANSWER_TICKS)
        self.meet()

    def meet(self) -> dict:
        """Say hello; what it answers."""
        hello = self.ask("hello")
        self.signer = Signer(hello["nonce"], hello.get("counters", {}), self.pump_name)
        return hello

    def send(self: PumpOnBench, line: bytes) -> dict:
        """One line, and the answer to the request in it, which begins with its `id`."""
        number = int(line[len(b'{"id":') : line.index(b",")])
        answers: list[dict] = []
        hear = self.bench.on_data

        def listen(data: bytes) -> None:
            for text in data.splitlines():
                told = json.loads(text.rsplit(b" ", 1)[0])
                if told["type"] == "reply" and told["id"] == number:
                    answers.append(told)
            hear(data)

        self.bench.on_data = listen
        self.bench.send(line)
        for _ in range(ANSWER_TICKS):
            if answers:
                break
            self.run(1)
        self.bench.on_data = hear
        assert answers, f"no answer to {line!r}"
        return answers[0]

    def say(self, role: str, cmd: str, **arguments: Any) -> dict:
        """One request in a role, "" for none; its answer."""
        text = body(cmd, **arguments)
        return self.send(self.signer.line(text, role) if role else frame(text))
