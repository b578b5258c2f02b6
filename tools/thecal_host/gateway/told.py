"""What one pump has told and the broker has not yet: the newest of each kind, and every event and reply once.

A thread listens to the pump and fills it, the loop of the broker empties it; every method may be called from
either. `wake` is called whenever there is something new.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from thecal_host.gateway import view
from thecal_host.gateway.order import Event, Order
from thecal_host.gateway.topics import RECENT, Row

# Published at `recent`: enough for a reader that was away for a moment.
RECENT_EVENTS = 32

# Replies and refusals that the broker has not taken; of more the oldest are dropped.
MOST_ANSWERS = 64


class Told:
    """One pump, by its serial number."""

    def __init__(self, serial: str, wake: Callable[[], object]) -> None:
        self.serial = serial
        self._wake = wake
        self._lock = threading.Lock()
        self._order = Order()
        self._newest: dict[Row, bytes] = {}
        self._changed: dict[Row, None] = {}
        self._answers: deque[tuple[Row, bytes]] = deque(maxlen=MOST_ANSWERS)

    # --- from the pump

    def tell(self, row: Row, payload: bytes) -> None:
        """The newest of a row; what was not published before is replaced."""
        with self._lock:
            if not row.is_state or self._newest.get(row) != payload:
                self._newest[row] = payload
                self._changed[row] = None
        self._wake()

    def answer(self, row: Row, payload: bytes) -> None:
        """A reply or a refusal."""
        with self._lock:
            self._answers.append((row, payload))
        self._wake()

    def met(self) -> None:
        """The pump is there, again or for the first time."""
        with self._lock:
            self._order.met()

    def hear(self, event: Event) -> None:
        """An event that it has told by itself."""
        with self._lock:
            self._order.hear(event)
        self._wake()

    def lacks(self) -> bool:
        """Whether its log has to be asked."""
        with self._lock:
            return self._order.lacks()

    def ask_from(self, made: int) -> int:
        """From which event on."""
        with self._lock:
            return self._order.ask_from(made)

    def count(self, made: int) -> None:
        """So many events its log has."""
        with self._lock:
            self._order.count(made)

    def take_log(self, found: Sequence[Event], made: int) -> None:
        """What it said."""
        with self._lock:
            self._order.take_log(found, made)
        self._tell_recent()

    # --- to the broker

    def begin(self, published: bytes | None) -> None:
        """The broker is there and retains this event: everything that is retained has to be published."""
        with self._lock:
            self._order.begin(None if published is None else view.event_in(published))
            self._changed = {row: None for row in self._newest if row.is_state}

    def changed(self) -> list[tuple[Row, bytes]]:
        """What is new, oldest row first; it counts as published."""
        with self._lock:
            rows, self._changed = self._changed, {}
            return [(row, self._newest[row]) for row in rows]

    def first_event(self) -> Event | None:
        """The next one to publish."""
        with self._lock:
            return self._order.first()

    def event_done(self) -> None:
        """The broker has it."""
        with self._lock:
            self._order.done()

    def events_done(self) -> None:
        """No more for now."""
        self._tell_recent()

    def first_answer(self) -> tuple[Row, bytes] | None:
        """The next one to publish."""
        with self._lock:
            return self._answers[0] if self._answers else None

    def answer_done(self, done: tuple[Row, bytes]) -> None:
        """The broker has it."""
        with self._lock:
            if self._answers and self._answers[0] is done:
                self._answers.popleft()

    def _tell_recent(self) -> None:
        with self._lock:
            found = self._order.recent(RECENT_EVENTS)
        self.tell(RECENT, view.recent(self.serial, found))
