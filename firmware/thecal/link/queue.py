"""Commands that were accepted and are not carried out yet: one queue, in order of acceptance, with a hard
bound.

How to read it: `accept` puts a command in, `first` is the one whose turn it is, `take` removes it once it is
carried out. What is held for a later tick and what waits for the journal stand in the same queue, so nothing
overtakes: the one whose turn it is may have to wait, and then all that is due waits behind it. Their turn is
fixed when they are accepted and never moved.

A stop has no turn: it never waits. `stop_due` is a held one whose time has come, and whatever stops the pump
empties the queue (`take_all`), so nothing that was accepted before a stop acts after it.
"""

from . import commands

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .commands import Command


# Own choice: what a scenario needs that sends its commands a second ahead. The host may ask for `held`.
MOST_WAITING = 8

NO_PLACE = -1

# What acts in a tick: what was held for it, then what takes effect at its end, or is not held.
AT_ITS_TICK, A_TICK_EARLY = range(2)


class Accepted:
    """A command that waits; it is carried out in the first tick from `turn_tick` on in which it can be.
    `place` is that of its outcome, `number` that of its acceptance, for `held` and `cancel`.
    """

    def __init__(
        self, request: dict, command: "Command", number: int, place: int, turn_tick: int, order
    ) -> None:
        self.request = request
        self.command = command
        self.number = number
        self.place = place
        self.turn_tick = turn_tick
        self.order = order  # within its tick, AT_ITS_TICK or A_TICK_EARLY

    def before(self, other) -> bool:
        """Whether its turn comes before that of `other`."""
        if self.turn_tick != other.turn_tick:
            return self.turn_tick < other.turn_tick
        return (self.order, self.number) < (other.order, other.number)


def not_before(request: dict, command: "Command"):
    """The tick in which `request`, which has an `at_tick`, is carried out to take effect at it."""
    return request["at_tick"] - command.changes


class Queue:
    """The commands that wait, in order of acceptance."""

    def __init__(self) -> None:
        self.waiting = []
        self.accepted = 0  # ever

    def full(self) -> bool:
        """Whether it takes no more."""
        return len(self.waiting) >= MOST_WAITING

    def holds_large(self):
        """Whether one with an object waits. One of them may take 20 kB, so no second one waits beside it."""
        return any(entry.command.is_large for entry in self.waiting)

    def accept(self, request: dict, command: "Command", tick: int, place: int = NO_PLACE):
        """Put a command in; the caller has asked whether it is full. Gives the Accepted."""
        self.accepted += 1
        turn_tick, order = tick, A_TICK_EARLY
        if "at_tick" in request and not_before(request, command) > tick:
            turn_tick = not_before(request, command)
            if command.changes != commands.FLOW or self._acts_at(request["at_tick"]):
                turn_tick, order = request["at_tick"], AT_ITS_TICK
        entry = Accepted(request, command, self.accepted, place, turn_tick, order)
        self.waiting.append(entry)
        return entry

    def _acts_at(self, at_tick: int):
        """Whether one waits that acts at that tick: what comes after it for the same tick is not early."""
        return any(entry.order == AT_ITS_TICK and entry.turn_tick == at_tick for entry in self.waiting)

    def first(self, tick: int):
        """The one whose turn it is by `tick`, or None."""
        first = None
        for entry in self.waiting:
            if entry.turn_tick <= tick and (first is None or entry.before(first)):
                first = entry
        return first

    def take(self, entry) -> None:
        """It is carried out, or cancelled."""
        self.waiting.remove(entry)

    def stop_due(self, tick: int):
        """A held stop whose time has come, taken out; or None."""
        for entry in self.waiting:
            if entry.command.name == commands.STOP and entry.turn_tick <= tick:
                self.take(entry)
                return entry
        return None

    def take_all(self):
        """All that waits, in order of acceptance; the queue is empty then."""
        taken = self.waiting
        self.waiting = []
        return taken

    def find(self, number: int, key_of, wanted):
        """The one with this number of acceptance, or, where `wanted` is an ID, the one with that. Or None."""
        for entry in self.waiting:
            if entry.number == number or (wanted and key_of(entry.request) == wanted):
                return entry
        return None
