"""The topics of the gateway: one table of what it publishes, and those on which it takes commands.

`{serial}` in a topic is the serial number of a pump, as its hello tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from thecal.link.commands import ROLES

from thecal_host.gateway import OptionError

ONLINE, OFFLINE = b"online", b"offline"

SERIAL = "{serial}"
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_LEVELS = re.compile(r"[^/+#{}\x00-\x1f]+(/[^/+#{}\x00-\x1f]+)*")


@dataclass(frozen=True)
class Row:
    """One topic of each pump. `is_state`: retained, and published anew whenever the broker comes back."""

    name: str
    qos: int
    is_state: bool


AVAILABILITY = Row("availability", 1, True)
HELLO = Row("hello", 1, True)
STATE = Row("state", 0, True)
ALARMS = Row("alarms", 1, True)
RECENT = Row("recent", 1, True)
TELEMETRY = Row("telemetry", 0, False)
EVENT = Row("event", 1, False)  # the last one is retained, but none is published anew
REPLY = Row("reply", 1, False)
REFUSED = Row("refused", 1, False)
DISCOVERY = Row("config", 1, True)

ROWS = (AVAILABILITY, HELLO, STATE, ALARMS, RECENT, TELEMETRY, EVENT, REPLY, REFUSED)


@dataclass(frozen=True)
class Topics:
    """The names. `commands`: by role the topic on which its signed frames are taken, none unless named.
    `discovery` is Home Assistant's own prefix, empty for no discovery.
    """

    gateway: str = "gateway"
    prefix: str = "thecal"
    discovery: str = "homeassistant"
    commands: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        if not _WORD.fullmatch(self.gateway):
            raise OptionError(f"--name: expected letters, digits, - and _, found {self.gateway!r}")
        for option, text in (("--prefix", self.prefix), ("--discovery", self.discovery or "x")):
            if not _LEVELS.fullmatch(text):
                raise OptionError(f"{option}: expected levels of a topic, as in thecal/ward, found {text!r}")
        for topic in (self.commands or {}).values():
            if topic in (self.of(SERIAL, row) for row in ROWS):
                raise OptionError(f"--command: {topic} is where the gateway itself publishes")

    @property
    def availability(self) -> str:
        """Whether the gateway is there: `online`, or `offline`, which is also its last will."""
        return f"{self.prefix}/gateway/{self.gateway}/availability"

    def of(self, serial: str, row: Row) -> str:
        """The topic of a row for one pump."""
        if row is DISCOVERY:
            return f"{self.discovery}/device/thecal_{serial}/config"
        return f"{self.prefix}/pump/{serial}/{row.name}"

    def filters(self) -> dict[str, str]:
        """By role what to subscribe to."""
        return {role: topic.replace(SERIAL, "+") for role, topic in (self.commands or {}).items()}

    def command_to(self, topic: str) -> tuple[str, str] | None:
        """The role and the serial number that a topic is named for; None for another topic."""
        levels = topic.split("/")
        for role, pattern in (self.commands or {}).items():
            named = pattern.split("/")
            at = named.index(SERIAL)
            if len(levels) == len(named) and levels[:at] + levels[at + 1 :] == named[:at] + named[at + 1 :]:
                return role, levels[at]
        return None


def commands_of(given: Iterable[str]) -> dict[str, str]:
    """By role the topic of its commands, from texts like "clinician=ward/{serial}/orders". OptionError."""
    found: dict[str, str] = {}
    for text in given:
        role, equals, topic = text.partition("=")
        if role not in ROLES or not equals:
            raise OptionError(
                f"--command: expected ROLE=TOPIC, the role one of {', '.join(ROLES)}, found {text!r}"
            )
        if topic.split("/").count(SERIAL) != 1 or not _LEVELS.fullmatch(topic.replace(SERIAL, "x")):
            raise OptionError(
                f"--command: the topic of {role} needs {SERIAL} as one of its levels, and no wildcard, as in "
                f"ward/{SERIAL}/orders; found {topic!r}"
            )
        if role in found:
            raise OptionError(f"--command: {role} has a topic already, {found[role]}")
        if topic in found.values():
            raise OptionError(f"--command: {topic} is named for two roles, a topic is for one")
        found[role] = topic
    return found
