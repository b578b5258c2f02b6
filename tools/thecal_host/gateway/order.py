"""Every event of a pump once and in order: by its number, with the pump's own log for what was not heard.

Events are heard live, and those that were not (the line was away, the broker was, there were too many) are in
the log, page by page. `first` is the one to publish next, `done` takes it away once the broker has it: so
none is left out and none published twice, unless the broker died between taking it and saying so. Even then
it is not, where the broker still retains it.

A pump may go back: a loss of power right after an event forgets that event, and a journal that was begun anew
counts from 0. Then another event comes under a number that was published, and is one of its own.

Nothing here knows a thread, a pump or a broker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from thecal.record.events import CAPACITY

Event = dict[str, Any]

MOST_WAITING = 1_000
"""Events that are kept until the broker takes them; those after them are in the pump's log."""

MOST_REMEMBERED = 2 * CAPACITY
"""Events that are remembered after they were published: more than can be told late."""

# Events that the log never says may be lost with it: then the rest is not held up for ever.
MOST_TRIES = 20


class Order:
    """The events of one pump. Until `begin` nothing is published, as nobody knows yet what has been."""

    def __init__(self) -> None:
        self.next: int | None = None
        self._begun = False
        self._unsure: list[Event] | None = []  # heard before the log has told where the pump is
        self._published: Event | None = None
        self._waiting: dict[int, Event] = {}
        self._remembered: OrderedDict[int, Event] = OrderedDict()
        self._most_heard = -1
        self._tries = 0

    def begin(self, published: Event | None) -> None:
        """The broker is there, and this is the last event that it has, if it has one."""
        if not self._begun:
            self._begun, self._published = True, published
        elif published is not None and self.next is not None and published == self._waiting.get(self.next):
            self.done()  # it had taken it, and could not say so any more

    def met(self) -> None:
        """The pump was away, and may have become another one in the meantime."""
        self._unsure = self._unsure or []

    def hear(self, event: Event) -> None:
        """One that the pump has told by itself."""
        seq = event["seq"]
        if self._unsure is not None:
            self._unsure = [*self._unsure[1 - MOST_WAITING :], event]
            return
        if self.next is not None and seq < self.next:
            known = self._remembered.get(seq)
            if known == event or (known is None and seq > min(self._remembered, default=seq)):
                return  # the log was read before it was heard
            self._go_back(seq)
        elif self._waiting.get(seq, event) != event:
            self._go_back(seq)
        self._wait(event)

    def count(self, made: int) -> None:
        """So many there are in the log: the last of them may have been told while nobody heard."""
        self._most_heard = max(self._most_heard, made - 1)

    def lacks(self) -> bool:
        """Whether the log has to be asked."""
        if not self._begun:
            return False
        return self._unsure is not None or self._has_a_gap()

    def ask_from(self, made: int) -> int:
        """The number to read the log from, of which it has `made`: some that are known, to see whether it is
        still the same one, and all that are not.
        """
        if self.next is None:
            known = made if self._published is None else min(self._published["seq"], made)
        else:
            known = 0 if self._began_anew(made) else min(self.next, made)
        return max(known - CAPACITY, 0)

    def take_log(self, found: Sequence[Event], made: int) -> None:
        """What the log has from `ask_from(made)` on."""
        if self.next is None:
            if self._published is not None and self._published["seq"] >= made and self._tries < MOST_TRIES:
                self._tries += 1  # it was told before it was in the log, and will be there soon
                return
            self._start(found, made)
        elif self._began_anew(made):
            self._go_back(0)
        for event in found:
            if self.next is not None and event["seq"] < self.next:
                if self._remembered.get(event["seq"], event) == event:
                    continue
                self._go_back(event["seq"])
            self._wait(event)
        self._skip_what_is_lost(found)
        heard, self._unsure = self._unsure or [], None
        oldest = min(self._remembered, default=self.next or 0)
        for event in heard:
            if event["seq"] >= oldest:  # the log has told of those before
                self.hear(event)

    def first(self) -> Event | None:
        """The one to publish next."""
        return None if self.next is None or self._unsure is not None else self._waiting.get(self.next)

    def done(self) -> None:
        """The broker has the first one."""
        assert self.next is not None
        event = self._waiting.pop(self.next)
        self.next += 1
        self._remember(event)

    def recent(self, count: int) -> list[Event]:
        """The last ones that were published, or had been before this began."""
        return list(self._remembered.values())[-count:]

    def _has_a_gap(self) -> bool:
        return self.next is not None and self.next not in self._waiting and self._most_heard >= self.next

    def _began_anew(self, made: int) -> bool:
        """Whether the log is further back than events are told before they are in it."""
        return self.next is not None and made + CAPACITY < self.next

    def _start(self, found: Sequence[Event], made: int) -> None:
        """Where the log has the event that the broker retains, from the next one on; else from now on."""
        last = self._published
        self.next = made if last is None or last not in found else last["seq"] + 1
        for event in found:
            if event["seq"] < self.next:
                self._remember(event)

    def _go_back(self, seq: int) -> None:
        """From here on it is another history."""
        self._waiting = {number: event for number, event in self._waiting.items() if number < seq}
        for number in [number for number in self._remembered if number >= seq]:
            del self._remembered[number]
        self._most_heard = seq - 1
        if self.next is not None:
            self.next = min(self.next, seq)

    def _wait(self, event: Event) -> None:
        self._waiting[event["seq"]] = event
        self._most_heard = max(self._most_heard, event["seq"])
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[max(self._waiting)]

    def _skip_what_is_lost(self, found: Sequence[Event]) -> None:
        """The log goes on behind the next one without it: nobody has it any more."""
        if not self._has_a_gap():
            self._tries = 0
            return
        assert self.next is not None
        self._tries += 1
        later = [event["seq"] for event in found if event["seq"] > self.next]
        if self._tries >= MOST_TRIES:
            later += self._waiting
        if later:
            self.next, self._tries = min(later), 0

    def _remember(self, event: Event) -> None:
        self._remembered[event["seq"]] = event
        while len(self._remembered) > MOST_REMEMBERED:
            self._remembered.popitem(last=False)
