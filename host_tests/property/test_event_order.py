"""Every event of a pump is published once and in order, whatever is lost, killed and restarted on the way.

A model of a pump tells events, some of which nobody hears, and writes them to its log some time later. The
broker takes what it is given, and dies before or after it says so. Nothing here waits for anything.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thecal.record.events import CAPACITY
from thecal_host.gateway import order
from thecal_host.gateway.order import Order

pytestmark = pytest.mark.req("DESK-05", "LNK-04")

# What may happen, and how often.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["heard"] * 3 + ["unheard", "log_written", "publish", "broker", "gateway", "away"]),
        st.integers(1, 60),
    ),
    max_size=60,
)  # fmt: skip


def event(seq, history=0):
    return {"type": "event", "seq": seq, "tick": 10 * seq + history, "code": "clock", "a": history, "b": 0,
            "executed_steps": 0}  # fmt: skip


class World:
    """A pump, a gateway for its events, and a broker that keeps the last one."""

    def __init__(self):
        self.made = []
        self.written = 0
        self.published = []
        self.retained = None
        self.gateway()

    def gateway(self, count=0):
        """Another one, which knows nothing but what the broker keeps."""
        self.order = Order()
        self.order.begin(self.retained)

    def heard(self, count):
        for _ in range(count):
            self.made.append(event(len(self.made)))
            self.order.hear(self.made[-1])
        self._written_soon()

    def unheard(self, count):
        for _ in range(count):
            self.made.append(event(len(self.made)))
        self._written_soon()

    def _written_soon(self):
        """No event is told that much before it is in the log."""
        self.written = max(self.written, len(self.made) - CAPACITY + 1)

    def log_written(self, count):
        self.written = min(self.written + count, len(self.made))

    def away(self, count):
        """The line is lost, and comes back."""
        self.order.met()

    def read_log(self):
        made = self.written
        self.order.take_log(self.made[self.order.ask_from(made) : made], made)

    def publish(self, count):
        """As the gateway does: it asks the log wherever there is a gap."""
        for _ in range(count):
            if self.order.lacks():
                self.read_log()
            found = self.order.first()
            if found is None:
                return
            self.take(found)
            self.order.done()

    def take(self, found):
        self.published.append(found)
        self.retained = found

    def broker(self, count):
        """It takes one, dies before it can say so, and is back."""
        if self.order.lacks():
            self.read_log()
        found = self.order.first()
        if found is not None:
            self.take(found)
        self.order.begin(self.retained)

    def settle(self):
        """Everything is written, and counted."""
        self.written = len(self.made)
        self.order.count(self.written)
        self.publish(len(self.made) + 1)


@given(st.integers(0, 300), STEPS)
@settings(max_examples=300)
def test_every_event_is_published_once_and_in_order(before, steps):
    world = World()
    world.unheard(before)
    world.written = before
    world.publish(1)
    for what, count in steps:
        getattr(world, what)(count)
    world.settle()
    numbers = [found["seq"] for found in world.published]
    began = numbers[0] if numbers else len(world.made)
    assert numbers == list(range(began, len(world.made)))
    assert world.published == world.made[began:]
    # Whoever never saw the broker retain one begins with what comes; nothing after that is left out.
    assert began >= before


def began():
    world = World()
    world.heard(3)
    world.log_written(3)
    world.publish(9)
    return world


def test_what_a_pump_forgot_and_told_anew_under_its_number_is_an_event_of_its_own():
    world = began()
    world.heard(2)
    world.publish(9)
    del world.made[4:]  # the power went before number 4 was written
    world.order.hear(event(4, history=1))
    world.made.append(event(4, history=1))
    world.heard(1)
    world.settle()
    assert [(found["seq"], found["a"]) for found in world.published[-4:]] == [(3, 0), (4, 0), (4, 1), (5, 0)]


@pytest.mark.parametrize("before", [40, 400])
def test_a_journal_that_was_begun_anew_while_nobody_looked_is_published_whole(before):
    world = began()
    world.heard(before)
    world.log_written(before)
    world.publish(before)
    world.made = [event(seq, history=1) for seq in range(20)]
    world.written = 20
    world.away(1)
    world.settle()
    assert world.published[-20:] == world.made
    assert len(world.published) == before + 20


def test_what_was_heard_long_before_the_broker_was_there_is_not_published():
    world = World()
    world.order = Order()
    world.heard(69)
    world.unheard(60)
    world.written = 129
    world.order.begin(None)
    world.settle()
    assert world.published == []
    world.heard(1)
    world.settle()
    assert world.published == [event(129)]


def test_an_event_that_the_log_has_lost_holds_up_no_other():
    world = began()
    world.unheard(1)
    world.heard(2)
    world.log_written(9)
    del world.made[3]
    world.order.take_log(world.made, 6)
    assert world.order.first() == event(4)


def test_an_event_that_no_log_ever_tells_holds_up_no_other():
    world = began()
    world.order.hear(event(4))
    for _ in range(order.MOST_TRIES):
        assert world.order.lacks() and world.order.first() is None
        world.order.take_log(world.made, 3)
    assert world.order.first() == event(4)


def test_memory_is_bounded_and_the_log_has_the_rest(monkeypatch):
    monkeypatch.setattr(order, "MOST_WAITING", 20)
    world = began()
    world.heard(100)
    assert len(world.order._waiting) == 20
    world.settle()
    assert [found["seq"] for found in world.published] == list(range(world.published[0]["seq"], 103))


def test_an_event_that_the_broker_retains_and_the_log_has_not_is_believed_in_nothing():
    world = World()
    world.unheard(50)
    world.written = 50
    world.retained = {**event(20), "a": 7}
    world.gateway()
    world.settle()
    assert world.published == []
    world.heard(1)
    world.settle()
    assert world.published == [event(50)]
