"""The level of every pad of `signals.NETS`, whoever drives it: read when it is asked for, nothing changed."""

from machine import Pin

from ..signals import NETS


def levels() -> int:
    """A bit each, the first one lowest."""
    found = 0
    for number in range(len(NETS)):
        found |= getattr(Pin.board, NETS[number]).value() << number
    return found
