"""A balance at a serial port: grams, and whether the reading is a stable one.

Two kinds of balance are read by one mechanism. Those of the standard command set (MT-SICS: `SI` asks for the
weight of now, the answer is `S S    12.3456 g` where it is stable and `S D    12.3456 g` where it is not) and
those that print by themselves. A reading is the first line that ends after `SI` was sent: the answer, or the
line that was due anyway. Beside the lines of MT-SICS two other forms are understood, `ST,+00012.3456  g` (and
`US,`, `OL,`) and a bare `  +  12.3456 g`, with a `?` behind or no unit at all while it moves.

What went before in the input is old and dropped. The first line after the port was opened may be torn, so
only a line that begins as one of MT-SICS or `ST,` counts there.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from thecal_host.connection import Port, SerialPort, TcpPort
from thecal_host.weighing import WeighingError

BAUD = 9_600
"""As balances leave the factory; `--baud` names another."""

# Balances answer within a tenth of a second, or print every second or two.
ANSWER_S = 4.0
# Most settle within a few seconds; with a draught, or while something flows, never.
SETTLE_S = 60.0
BETWEEN_S = 0.3

_GRAMS = {"g": 1.0, "mg": 1e-3, "kg": 1e3}
_NUMBER = r"(?P<number>[+-]?[ ]*\d+(?:\.\d+)?)"
_SICS = re.compile(rf"S (?P<flag>[SD]) +{_NUMBER} +(?P<unit>\S+)")
_COMMAS = re.compile(rf"(?P<flag>ST|US),{_NUMBER} *(?P<unit>\S+)")
_BARE = re.compile(rf"{_NUMBER}(?: *(?P<unit>[a-zA-Z]+))?(?: *(?P<moves>\?))?")


class BalanceError(Exception):
    """The balance gives no weight; the message says why and what to do."""


class Silent(BalanceError):
    """Nothing that is a line came in time."""


class Overload(BalanceError):
    """More is on the pan than it can weigh."""


class Underload(BalanceError):
    """Less is on the pan than nothing: the pan, or the beaker that was tared, is missing."""


class NotReady(BalanceError):
    """It does something else: it warms up, adjusts itself, or is in a menu."""


class NotUnderstood(BalanceError):
    """A line that is no weight, or one in a unit that is no gram."""


class NotStable(BalanceError):
    """The weight went on changing."""


@dataclass(frozen=True)
class Weight:
    """One reading. `resolution_g` is one digit of its last place."""

    grams: float
    stable: bool
    resolution_g: float


class Balance(ABC):
    """Whatever gives grams."""

    name: str

    @abstractmethod
    def grams(self) -> Weight:
        """The reading of now, stable or not. Raises BalanceError."""


def weight_of(line: str) -> Weight:
    """The weight that a line of a balance says. Raises BalanceError."""
    text = line.strip()
    said = _SAYINGS.get(text[:2] if text.startswith("OL") else text)
    if said is not None:
        raise said[0](said[1])
    match = _whole(text) or _BARE.fullmatch(text)
    if match is None:
        raise NotUnderstood(f'the balance says "{text[:40]}", which is no weight: see its printing format')
    parts = match.groupdict()
    unit = parts["unit"]
    if unit is not None and unit not in _GRAMS:
        raise NotUnderstood(f'the balance says "{text[:40]}" in "{unit}": set it to grams')
    factor = _GRAMS[unit or "g"]
    number = parts["number"].replace(" ", "")
    places = len(number.partition(".")[2])
    moves = parts["flag"] in ("D", "US") if "flag" in parts else bool(parts["moves"]) or unit is None
    return Weight(float(number) * factor, not moves, factor / 10**places)


def _whole(text: str) -> re.Match[str] | None:
    """A line with a flag in front: it cannot be the end of another one."""
    return _SICS.fullmatch(text) or _COMMAS.fullmatch(text)


_OVERLOADED = (Overload, "the balance is overloaded: take something off")
_SAYINGS: dict[str, tuple[type[BalanceError], str]] = {
    "S +": _OVERLOADED,
    "OL": _OVERLOADED,
    "S -": (Underload, "the balance shows less than nothing: is its pan, or the beaker, missing?"),
    "S I": (NotReady, "the balance is not ready: it warms up or adjusts itself; wait, then try again"),
    "EL": (NotReady, "the balance cannot do that now: leave its menu, then try again"),
}
"""What a balance says instead of a weight."""


class SerialBalance(Balance):
    """A balance at an open port; `clock_s` is the clock that its patience goes by."""

    def __init__(self, port: Port, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._port = port
        self._clock_s = clock_s
        self._unread = b""
        self._torn = True  # what comes first may be the end of a line
        self.name = port.name

    def grams(self) -> Weight:
        self._drop_old()
        self._port.write(b"SI\r\n")
        until_s = self._clock_s() + ANSWER_S
        while True:
            line = self._line(until_s)
            torn, self._torn = self._torn, False
            text = line.decode("ascii", "replace").strip()
            # One that prints by itself may not know `SI`, and says so.
            if text in ("", "ES") or (torn and text not in _SAYINGS and not _whole(text)):
                continue
            return weight_of(text)

    def _drop_old(self) -> None:
        """Let go of the lines that have come; what is begun of the next one stays."""
        while data := self._port.read(0):
            self._unread += data
        self._unread = self._unread.rpartition(b"\n")[2]

    def _line(self, until_s: float) -> bytes:
        while b"\n" not in self._unread:
            left_s = until_s - self._clock_s()
            if left_s <= 0:
                raise Silent(
                    f"no weight from {self.name} within {ANSWER_S:g} s: is it switched on, set to "
                    "8 bits without parity, and to the same baud rate (--baud)?"
                )
            self._unread += self._port.read(min(left_s, 0.2))
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def close(self) -> None:
        """Let go of its port."""
        self._port.close()


def open_balance(name: str, baud: int = BAUD, clock_s: Callable[[], float] = time.monotonic) -> SerialBalance:
    """The balance at a serial device, a pty or `socket://HOST:PORT`. Raises PortError."""
    port = TcpPort(name) if name.startswith("socket://") else SerialPort(name, baud)
    return SerialBalance(port, clock_s)


def stable(
    balance: Balance, wait: Callable[[float], object], clock_s: Callable[[], float] = time.monotonic
) -> Weight:
    """The first stable reading; `wait` passes the seconds in between. Raises NotStable, or BalanceError."""
    until_s = clock_s() + SETTLE_S
    while True:
        weight = balance.grams()
        if weight.stable:
            return weight
        if clock_s() >= until_s:
            raise NotStable(
                f"the balance has not settled within {SETTLE_S:g} s, it shows {weight.grams:.4f} g: "
                "close its doors, keep the tube off the beaker, see that nothing drips"
            )
        wait(BETWEEN_S)


def grams_of(text: str) -> Weight:
    """A weight as a person types it, in grams: "12.3456". Raises WeighingError."""
    typed = text.strip().removesuffix("g").strip()
    if not re.fullmatch(r"[+-]?\d{1,6}(\.\d{1,7})?", typed):
        raise WeighingError(f'expected a weight in grams, as in "12.3456", found "{text.strip()[:40]}"')
    return Weight(float(typed), True, 10.0 ** -len(typed.partition(".")[2]))
