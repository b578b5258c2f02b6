"""What is told unasked: each event once into the log, and what is in the log to the host.

Of events that come again and again the first is told, and how many more there were now and then
(`record/repeats.py`).
"""

from .clock import MS_PER_S, TICK_MS
from .record import events
from .record.repeats import Repeats, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .clock import Clock
    from .dose.delivery import Delivery
    from .signals import Outputs


class Teller:
    """Tells the events of one pump. `journal` may have lost some of its log; None: there is none."""

    def __init__(self, clock: "Clock", position, delivery: "Delivery", log, journal) -> None:
        self.clock = clock
        self.position = position
        self.delivery = delivery
        self.log = log
        self.journal = journal
        self.repeats = Repeats()
        self.lost_told = 0  # events of the log that were lost, of those told
        self.early = False  # a command that changes the flow is being carried out

    def event(self, code: int, a: int, b) -> None:
        """Something has happened; codes and numbers are `record/events.py`'s."""
        clock = self.clock
        if code in events.REPEATABLE and not self.repeats.is_single(clock.tick, kind_of(code, a, b)):
            return
        # What changes the flow, or is refused to, does so at the end of the tick.
        if not self.early and not self.delivery.ahead:
            self.log.add(clock.tick_s, clock.tick_ms, code, a, b, self.position.executed_steps)
        elif clock.tick_ms + TICK_MS < MS_PER_S:
            self.log.add(clock.tick_s, clock.tick_ms + TICK_MS, code, a, b, self._steps_ahead())
        else:
            self.log.add(clock.tick_s + 1, 0, code, a, b, self._steps_ahead())

    def tell_repeats(self) -> None:
        """What came again and again, and what the log lost because of it."""
        repeats = self.repeats
        index = repeats.due(self.clock.tick) if repeats.waiting else -1
        while index >= 0:
            self.event(events.REPEATED, repeats.kinds[index], repeats.more[index])
            repeats.told(index, self.clock.tick)
            index = repeats.due(self.clock.tick)
        journal = self.journal
        if journal is not None:
            lost = journal.lost_events
            if lost > self.lost_told and not journal.is_behind():
                self.event(events.LOG_LOST, lost - self.lost_told, 0)
                self.lost_told = lost

    def send(self, outputs: "Outputs", telemetry) -> None:
        """Events to the host, as far as there is room."""
        while True:
            number = self.log.unsent()
            if number < 0 or not telemetry.event(outputs, self.log.record(number)):
                break
            self.log.sent += 1

    def _steps_ahead(self):
        return self.delivery.position() if self.delivery.ahead else self.position.executed_steps
