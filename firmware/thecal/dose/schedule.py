"""The basal rate over the week: a cyclic list of starts and rates, on a clock that can be set.

Continuous therapy is one entry. Flex therapy has up to 48 a day, each on the days it is programmed for; an
entry holds until the next one starts, over midnight and over the end of the week. Times are ticks of the
week, monday 00:00 is 0; they and the rates (whole microsteps and grains per tick) are small integers, kept in
three arrays side by side: ten bytes an entry, 3.4 kB for the longest week.
"""

from array import array

from ..clock import TICKS_PER_WEEK

MOST_STEPS_A_DAY = 48  # DOSE-06: as insulin pumps have; implants offer 13
MOST_STEPS = 7 * MOST_STEPS_A_DAY


class Schedule:
    """`entries` are (start tick of the week, rate_steps, rate_grains), any order. Of two entries with the
    same start the later one holds. Without any entry nothing flows, and only `len` and `put` may be asked.
    """

    def __init__(self, entries=()) -> None:
        self.starts = array("i")
        self.rate_steps = array("H")
        self.rate_grains = array("i")
        self._slowest = -1  # found when they are asked for ...
        self._fastest = -1
        self._week = -1
        self._peaks = {}  # ... by length of the window
        for entry in entries:
            self.put(entry[0], entry[1], entry[2])

    def __len__(self) -> int:
        return len(self.starts)

    def put(self, start: int, rate_steps: int, rate_grains: int) -> bool:
        """One more entry, or another rate for a start that is there. True if it is a new start."""
        self._slowest = self._fastest = -1
        self._week = -1
        self._peaks.clear()
        starts = self.starts
        at = self._after(start)
        if at and starts[at - 1] == start:
            self.rate_steps[at - 1] = rate_steps
            self.rate_grains[at - 1] = rate_grains
            return False
        for values, value in (
            (starts, start),
            (self.rate_steps, rate_steps),
            (self.rate_grains, rate_grains),
        ):
            values.append(value)
            if at + 1 < len(values):
                values[at + 1 :] = values[at:-1]
                values[at] = value
        return True

    def _after(self, week_tick: int):
        """How many entries start up to `week_tick`."""
        starts = self.starts
        low, high = 0, len(starts)
        while low < high:
            middle = (low + high) >> 1
            if starts[middle] <= week_tick:
                low = middle + 1
            else:
                high = middle
        return low

    def between(self, first: int, end: int):
        """How many entries start from tick `first` up to, not at, tick `end`."""
        return self._after(end - 1) - self._after(first - 1)

    def scaled(self, num: int, den: int, one: int):
        """Another schedule with each rate times num/den, rounded down to the grain."""
        found = Schedule()
        for index in range(len(self.starts)):
            steps, grains = divmod(self.grains(index, one) * num // den, one)
            found.put(self.starts[index], steps, grains)
        return found

    def index_at(self, week_tick: int) -> int:
        """The entry in force at `week_tick`: the last that started, the week's last if none has yet."""
        return (self._after(week_tick) or len(self.starts)) - 1

    def next_start(self, index: int):
        """When the entry after `index` starts; -1 if there is only one."""
        starts = self.starts
        if len(starts) == 1:
            return -1
        return starts[index + 1 if index + 1 < len(starts) else 0]

    def ticks(self, index: int):
        """For how long the entry `index` holds."""
        start = self.next_start(index)
        return TICKS_PER_WEEK if start < 0 else (start - self.starts[index] - 1) % TICKS_PER_WEEK + 1

    def grains(self, index: int, one: int):
        """The rate of an entry in grains per tick; `one` is grains per step."""
        return self.rate_steps[index] * one + self.rate_grains[index]

    def lowest(self):
        """The index of the slowest entry, the first of them."""
        if self._slowest < 0:
            self._find_extremes()
        return self._slowest

    def highest(self):
        """The index of the fastest entry, the first of them."""
        if self._fastest < 0:
            self._find_extremes()
        return self._fastest

    def _find_extremes(self) -> None:
        steps = self.rate_steps
        grains = self.rate_grains
        low = high = 0
        for index in range(1, len(steps)):
            if (steps[index], grains[index]) < (steps[low], grains[low]):
                low = index
            elif (steps[index], grains[index]) > (steps[high], grains[high]):
                high = index
        self._slowest = low
        self._fastest = high

    def profile(self, week_tick: int, ticks: int, one: int):
        """What flows from `week_tick` on for `ticks`: a list of (ticks, grains per tick). `one` is grains per
        step.
        """
        pieces = []
        index = self.index_at(week_tick)
        while ticks > 0:
            start = self.next_start(index)
            holds = ticks if start < 0 else (start - week_tick - 1) % TICKS_PER_WEEK + 1
            if holds > ticks:
                holds = ticks
            pieces.append((holds, self.grains(index, one)))
            ticks -= holds
            week_tick = (week_tick + holds) % TICKS_PER_WEEK
            index = index + 1 if index + 1 < len(self.starts) else 0
        return pieces

    def week_grains(self, one: int):
        """What flows in a week, in grains."""
        if self._week < 0:
            total = 0
            for index in range(len(self.starts)):
                total += self.ticks(index) * self.grains(index, one)
            self._week = total
        return self._week

    def peak_grains(self, window_ticks: int, one: int):
        """The most that flows in any `window_ticks` (below a week) once the schedule has run for a week, in
        grains.
        """
        for _ in self.find_peak(window_ticks, one):
            pass
        return self._peaks[window_ticks]

    def find_peak(self, window_ticks: int, one: int):
        """Find `peak_grains` in pieces, a generator that yields in between; it is kept once it is found."""
        if window_ticks in self._peaks:
            return
        peak = 0
        for content in self._contents(window_ticks, one):
            if content > peak:
                peak = content
            yield
        self._peaks[window_ticks] = peak

    def _contents(self, window_ticks: int, one: int):
        """What flows in every window that begins or ends with an entry.

        The content of a sliding window over a flow that is constant in pieces is largest in one of these.
        From one to the next it loses what flows behind it and gains what flows before it.
        """
        for lead in (0, window_ticks):
            begin = (self.starts[0] - lead) % TICKS_PER_WEEK
            back = _Cursor(self, begin, one)
            front = _Cursor(self, begin, one)
            content = front.take(window_ticks)
            for index in range(len(self.starts)):
                yield content
                ticks = self.ticks(index)
                content += front.take(ticks) - back.take(ticks)


class _Cursor:
    """A place in the week that moves on; `take` says what flows on the way."""

    def __init__(self, schedule: "Schedule", week_tick: int, one: int) -> None:
        self.schedule = schedule
        self.one = one
        self.index = schedule.index_at(week_tick)
        start = schedule.next_start(self.index)
        self.left = TICKS_PER_WEEK if start < 0 else (start - week_tick - 1) % TICKS_PER_WEEK + 1

    def take(self, ticks: int):
        """Move on by `ticks`; grains."""
        schedule = self.schedule
        total = 0
        while ticks >= self.left:
            total += self.left * schedule.grains(self.index, self.one)
            ticks -= self.left
            self.index = self.index + 1 if self.index + 1 < len(schedule.starts) else 0
            self.left = schedule.ticks(self.index)
        self.left -= ticks
        return total + ticks * schedule.grains(self.index, self.one)
