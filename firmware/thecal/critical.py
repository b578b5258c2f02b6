"""What is done when a critical word is not what it was (SAFE-07): the motor rests until a reset.

`words.py` is the table of the words and compares them; here stands when, and what follows.
"""

from . import words
from .causes import ALARM
from .record import events
from .states import HALTED, MOVING
from .watch import alarms, parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control


class Critical:
    """Compares `kept`, the second copies of one pump's critical words, and keeps them."""

    def __init__(self, kept, control: "Control") -> None:
        self.words = kept
        self.control = control

    def compare(self, group: int) -> None:
        """What follows uses the words of a group."""
        if not self.words.agree(group):
            self._distrust(group)

    def keep(self, group: int) -> None:
        """Time has changed the words of a group, by right."""
        self.words.keep(group)
        if self.control.unsettled:
            self.settle()

    def settle(self) -> None:
        """Keep all words, after a move or an order, which changed them by right."""
        if self.control.unsettled:
            self.control.unsettled = False
            self.control.unwritten = True
            self.words.keep_all()

    def before_change(self) -> None:
        """What follows may use and change any word."""
        self.settle()
        for group in words.GROUPS:
            self.compare(group)
        self.control.unsettled = True

    def _distrust(self, group: int) -> None:
        """Words of a group are not what they were. Nothing is computed from them that moves the motor: it
        rests until a reset, and they are compared no more.
        """
        numbers = self.words.differing(group)
        self.control.make_loggable()
        for number in numbers:
            self.control.teller.event(events.WORD, number, 0)
        self.fault()

    def fault(self) -> None:
        """The memory is not to be trusted any more."""
        control = self.control
        self.words.trusted = False
        control.failures |= 1 << parts.WORDS
        control.raise_alarm(alarms.MEMORY_FAULT)
        if control.state in MOVING:  # the alarm stood already
            control.enter(HALTED, ALARM)
