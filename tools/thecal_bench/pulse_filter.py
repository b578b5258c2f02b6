"""The pulse counters of `thecal.drivers.counter`, cycle by cycle: for more pulses than an emulator can be
given.

`counted` takes the cycles (of the system clock, 8 ns) at which an input changes, beginning from low, and
gives those at which the counter's program counts a pulse. Between two changes it does not loop over time, so
a million spikes take seconds. A chip test runs the image's own program in the emulated PIO beside it.

A `wait` ends here where it does in the emulator: at the change itself. On silicon it ends with the first
cycle of the machine that sees the new level, so some spikes that are caught here pass unseen there, and none
the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

NEVER = 1 << 62


class _Input:
    """A level over time, looked at in the order of time."""

    def __init__(self, changes: Sequence[int]) -> None:
        self._changes = changes
        self._next = 0  # the first change that has not been seen

    def level(self, at: int) -> int:
        """What is seen at `at`: a change in that very cycle is not seen yet."""
        changes, number = self._changes, self._next
        while number < len(changes) and changes[number] < at:
            number += 1
        self._next = number
        return number & 1

    def wait_for(self, level: int, at: int) -> int:
        """The cycle from `at` on at which it is `level`."""
        if self.level(at) == level:
            return at
        if self._next == len(self._changes):
            return NEVER
        self._next += 1
        return self._changes[self._next - 1]


class PulseFilter:
    """A machine with `count_program(turn)`, one of its cycles in `cycle` of the system clock. `dir_bits` are
    read to come to DIR, whose level is `forward`.
    """

    LOOKS = 5  # after the one that ends the wait, two cycles apart
    TURNS = 256

    def __init__(self, cycle: int, turn: int, dir_bits: int, forward: bool = True) -> None:
        self._cycle = cycle
        # From the end of the wait on: until x changes, until the input is looked at again after a rise, a
        # fall.
        self._counts = (14 + 2 * dir_bits + (0 if forward else 1)) * cycle
        self._risen = (17 + 2 * dir_bits + (0 if forward else 2) + self.TURNS * turn) * cycle
        self._fallen = (14 + self.TURNS * turn) * cycle

    def counted(self, changes: Sequence[int], until: int = NEVER) -> list[int]:
        """When pulses are counted, before `until`."""
        found, pin = [], _Input(changes)
        at = self._settled(pin, 0, 0, 3) + self._fallen
        while True:
            since = self._settled(pin, 1, at, 4)
            if since + self._counts >= until:
                return found
            found.append(since + self._counts)
            since = self._settled(pin, 0, since + self._risen, 3)
            at = since + self._fallen

    def _settled(self, pin: _Input, level: int, at: int, again: int) -> int:
        """When the wait ended after which all looks saw `level`; a look that did not leads back to the wait,
        `again` cycles after it had ended if it is the first.
        """
        cycle, looks = self._cycle, range(2, 2 + 2 * self.LOOKS, 2)
        while (since := pin.wait_for(level, at)) < NEVER:
            for look in looks:
                if pin.level(since + look * cycle) != level:
                    at = since + (look + again - 2) * cycle
                    break
            else:
                return since
        return NEVER


class BareCounter:
    """A counter that takes every rising edge for a pulse, as spikes can be: `wait(0)`, `wait(1)`, count."""

    def __init__(self, cycle: int) -> None:
        self._cycle = cycle

    def counted(self, changes: Sequence[int], until: int = NEVER) -> list[int]:
        """When pulses are counted, before `until`."""
        at, found, pin = 0, [], _Input(changes)
        while (low := pin.wait_for(0, at)) < NEVER:
            high = pin.wait_for(1, low + self._cycle)
            if high + 2 * self._cycle >= until:
                break
            found.append(high + 2 * self._cycle)
            at = high + 3 * self._cycle
        return found
