"""What a pump cannot see of its own bench, and somebody has to say: a person, or a bench that has a plant."""

from __future__ import annotations

from enum import Enum, auto
from fractions import Fraction
from typing import Protocol

__all__ = ("Ask", "Onlooker")


class Ask(Enum):
    """What is asked; the words for people come with it."""

    SHAFT_FREE = auto()
    """Whether the shaft turns freely."""
    DISCONNECTED = auto()
    """Whether no patient is connected, and the outlet ends in a beaker."""
    MARK = auto()
    """To put a mark on the rotor where it stands: what is asked of its turning counts from there."""
    MOVED = auto()
    """Whether the rotor has moved since the mark was put."""
    FORWARD = auto()
    """Whether it went from inlet to outlet."""
    TURNS = auto()
    """By how many turns."""
    VOLTS = auto()
    """What a meter shows at the motor supply, in volts."""
    AIR = auto()
    """Whether there is air in the detector."""
    SOUND = auto()
    """Whether the sounder was heard when the board started."""
    PRESS_STOP = auto()
    """To press the STOP button and let go."""
    PRESS_PATIENT = auto()
    """To press the patient's button and let go."""


class Onlooker(Protocol):
    """Who sees the bench."""

    def yes(self, ask: Ask, text: str) -> bool:
        """A question with yes or no."""
        ...

    def number(self, ask: Ask, text: str) -> Fraction:
        """A question with a number."""
        ...

    def please(self, ask: Ask, text: str) -> None:
        """Something to do."""
        ...
