"""ALM-02, -04 to -07: whatever happens in whatever order, the most urgent alarm is shown and none is hidden.

`Book` writes down all that happened and answers every question from the beginning of its list; nothing in it
is like the pump's `Alarms`, which keeps a handful of numbers.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_ints import SmallInt
from thecal.watch import alarms
from thecal.watch.alarms import ALARMS, HIGH, Alarms

# ALM-04 to ALM-06, and half a day, in ticks of 100 ms; typed again.
MOST_PAUSE = 10 * 60 * 10
HEARD_AGAIN = 10 * 10
STRIKES_WITHIN = 10 * 60 * 10
RISES_AFTER = 12 * 3_600 * 10

ROWS = [
    alarms.LOOP_FAULT,
    alarms.AIR,
    alarms.RESERVOIR_EMPTY,
    alarms.UNDER_INFUSION,
    alarms.LONG_STOP,
    alarms.MAX_DOSE,
    alarms.CLOCK_LOST,
]
rows = st.sampled_from(ROWS)
times = st.one_of(
    st.sampled_from([1, 2, 10, 79, 80, 81, 1_199, 1_200, 2_000, 3_000, 5_999, 6_000, RISES_AFTER]),
    st.integers(1, 7_000),
)
pauses = st.sampled_from([0, 1, 300, 1_200, 5_999, 6_000, 6_001, 100_000])


class Book:
    """Everything that happened: (tick, what, row or number)."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str, int]] = []
        self.tick = 0

    def write(self, what: str, value: int = -1) -> None:
        self.lines.append((self.tick, what, value))

    def standing(self, lines: list[tuple[int, str, int]] | None = None) -> dict[int, int]:
        """Priorities of the rows that stand at the end of the list."""
        stand: dict[int, int] = {}
        for _, what, row in self.lines if lines is None else lines:
            if what == "set":
                stand.setdefault(row, ALARMS[row].priority)
            elif what == "clear":
                stand.pop(row, None)
            elif what == "rises":
                stand[row] = HIGH
        return stand

    def rising(self) -> int:
        """The row that has stood long enough by now, -1 if none."""
        for row, priority in self.standing().items():
            raised = max(tick for tick, what, of in self.lines if (what, of) == ("set", row))
            if row == alarms.LONG_STOP and priority != HIGH and self.tick - raised >= RISES_AFTER:
                return row
        return -1

    def order(self) -> list[int]:
        return sorted(self.standing(), key=lambda row: (self.standing()[row], row))

    def first_cause(self) -> int:
        cause = -1
        for _, what, row in self.lines:
            if what == "cause cleared":
                cause = -1
            elif cause == -1 and (what == "rises" or (what == "set" and ALARMS[row].priority == HIGH)):
                cause = row
        return cause

    def last_disturbance(self) -> int:
        """Line after which no silence from before counts: a new alarm at least as high as all that stood, or
        nothing left; -1 if there was none.
        """
        for at in range(len(self.lines) - 1, -1, -1):
            _, what, row = self.lines[at]
            before, after = self.standing(self.lines[:at]), self.standing(self.lines[: at + 1])
            if not after or (
                what in ("set", "rises") and after[row] <= min(before.values(), default=after[row])
            ):
                return at
        return -1

    def silences(self) -> list[tuple[int, str, int]]:
        """Pauses and stops that may still count."""
        return [line for line in self.lines[self.last_disturbance() + 1 :] if line[1] in ("pause", "stop")]

    def third(self) -> bool:
        """Whether a start now is the third in ten minutes after one and the same alarm and a stop."""
        begin = max((at for at, line in enumerate(self.lines) if line[1] == "latched"), default=-1) + 1
        for row in ROWS:
            strikes, way = [], 0
            for tick, what, of in [*self.lines[begin:], (self.tick, "start", -1)]:
                if what == "set" and of == row and way == 0:
                    way = 1
                elif what == "motion stopped" and way == 1:
                    way = 2
                elif what == "start":
                    if way == 2:
                        strikes.append(tick)
                    way = 0
            last = strikes[-3:]
            if way == 0 and len(last) == 3 and last[2] == self.tick and last[2] - last[0] <= STRIKES_WITHIN:
                return True
        return False


class AlarmsMachine(RuleBasedStateMachine):
    """Everything that can happen to the alarms."""

    model: Any = Alarms

    def __init__(self) -> None:
        super().__init__()
        self.alarms = self.model()
        self.book = Book()

    @rule(ticks=times)
    def time_passes(self, ticks: int) -> None:
        self.book.tick += ticks
        rises = self.book.rising()
        assert self.alarms.advance(SmallInt(self.book.tick)) == rises
        if rises != -1:
            self.book.write("rises", rises)

    @rule(row=rows)
    def alarm(self, row: int) -> None:
        new = row not in self.book.standing()
        assert self.alarms.set(row) == new
        if new:
            self.book.write("set", row)

    @rule(row=rows)
    def clear(self, row: int) -> None:
        assert self.alarms.clear(row) == (row in self.book.standing())
        self.book.write("clear", row)

    @rule(ticks=pauses)
    def pause(self, ticks: int) -> None:
        if self.alarms.pause_audio(ticks):
            self.book.write("pause", ticks)
            assert not self.alarms.sounding()
        else:
            assert self.alarms.paused or not self.book.standing() or ticks == 0

    @rule()
    def stop(self) -> None:
        self.alarms.stop()
        self.alarms.motion_stopped()
        self.book.write("stop", min(self.book.standing().values(), default=-1))
        self.book.write("motion stopped")
        assert not self.alarms.sounding() and not self.alarms.paused

    @rule(row=rows)
    def alarm_that_stops(self, row: int) -> None:
        self.alarm(row)
        self.alarms.motion_stopped()
        self.book.write("motion stopped")

    @rule()
    def start(self) -> None:
        third = self.book.third()
        assert self.alarms.third_start() == third
        self.book.write("start")
        if third:
            self.book.write("latched")

    @rule(row=rows, ticks=st.sampled_from([1, 1_999, 2_000, 3_000]))
    def strike(self, row: int, ticks: int) -> None:
        self.clear(row)
        self.alarm_that_stops(row)
        self.time_passes(ticks)
        self.clear(row)
        self.start()

    @rule()
    def clear_first_cause(self) -> None:
        self.alarms.clear_first_cause()
        self.book.write("cause cleared")

    @invariant()
    def the_highest_is_shown_first_and_none_is_left_out(self) -> None:
        order = self.book.order()
        assert self.alarms.annunciated() == (order[0] if order else -1)
        seen, row = [], self.alarms.after(-1)
        while row != -1:
            seen.append(row)
            row = self.alarms.after(row)
        assert seen == order
        assert self.alarms.first_cause == self.book.first_cause()

    @invariant()
    def silence_is_asked_for_bounded_and_hides_nothing_new(self) -> None:
        tick = self.book.tick
        stand = self.book.standing()
        sounding = self.alarms.sounding()
        if not stand:
            assert not sounding
            return
        silences = self.book.silences()
        if not silences:
            assert sounding, "nobody asked for this silence, or something new has come since"
            return
        asked, what, value = silences[-1]
        if what == "pause":
            assert sounding == (tick - asked >= min(value, MOST_PAUSE))
            assert self.alarms.paused == (tick < asked + min(value, MOST_PAUSE))
        elif tick == asked:
            assert not sounding
        elif value == HIGH and tick - asked >= HEARD_AGAIN:
            assert sounding, "a HIGH alarm 10 s after a stop"
        elif tick - asked >= MOST_PAUSE:
            assert sounding
        assert not self.alarms.paused or what == "pause"


def play(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        AlarmsMachine, settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    )


@pytest.mark.req("ALM-02", "ALM-04", "ALM-05", "ALM-06", "ALM-07")
def test_whatever_happens_the_most_urgent_is_shown_and_nothing_new_is_silent():
    play(examples=150, steps=30)


@pytest.mark.long
@pytest.mark.req("ALM-02", "ALM-04", "ALM-05", "ALM-06", "ALM-07")
def test_whatever_happens_for_long():
    play(examples=3_000, steps=60)


# --- that the machine would see alarms that are wrong


class Later(Alarms):
    """Pauses that may be prolonged beyond the bound."""

    def pause_audio(self, ticks: int = 1_200) -> bool:
        begun = super().pause_audio(ticks)
        if begun:
            self.quiet_until_tick = self.tick + ticks
        return begun


class Deaf(Alarms):
    """Only a higher priority ends a silence."""

    def _new(self, row: int) -> None:
        silence = self.paused, self.quiet_until_tick
        equal = self.first != -1 and self.priority[row] == self.priority[self.first]
        super()._new(row)
        if equal:
            self.paused, self.quiet_until_tick = silence


class Stubborn(Alarms):
    """A stop, too, silences for two minutes."""

    def stop(self) -> None:
        super().stop()
        if self.first != -1:
            self.quiet_until_tick = self.tick + 1_200


class LastCause(Alarms):
    """The latest HIGH alarm instead of the first."""

    def _new(self, row: int) -> None:
        if self.priority[row] == HIGH:
            self.first_cause = -1
        super()._new(row)


class Forgiving(Alarms):
    """Strikes count in nine minutes only."""

    def third_start(self) -> bool:
        for row, before in enumerate(self.strike_before_tick):
            if self.tick - before > 5_400:
                self.strike_before_tick[row] = -1
        return super().third_start()


@pytest.mark.req("ALM-02", "ALM-04", "ALM-05", "ALM-06", "ALM-07")
@pytest.mark.parametrize("wrong", [Later, Deaf, Stubborn, LastCause, Forgiving])
def test_the_machine_sees_alarms_that_are_wrong(wrong):
    machine = type("WrongMachine", (AlarmsMachine,), {"model": wrong})
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=2_000,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate],
            ),
        )
