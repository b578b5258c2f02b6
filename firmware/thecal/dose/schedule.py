"""The basal rate over the week: a cyclic list of starts and rates, on a clock that can be set.

Continuous therapy is one entry. Flex therapy has up to 13 a day, each on the days it is programmed for; an
entry holds until the next one starts, over midnight and over the end of the week. Times are ticks of the
week, monday 00:00 is 0; they and the rates (whole microsteps and grains per tick) are small integers.
"""

TICKS_PER_DAY = 864_000
TICKS_PER_WEEK = 7 * TICKS_PER_DAY
MOST_STEPS_A_DAY = 13  # DOSE-06


class Schedule:
    """`entries` are (start tick of the week, rate_steps, rate_grains, rate_nl_h rounded down), any order, at
    least one.

    Of two entries with the same start the later one in the list holds.
    """

    def __init__(self, entries):
        by_start = {}
        for entry in entries:
            by_start[entry[0]] = entry
        self.entries = [by_start[start] for start in sorted(by_start)]

    def index_at(self, week_tick):
        """The entry in force at `week_tick`: the last that started, the week's last if none has yet."""
        entries = self.entries
        index = len(entries) - 1
        while index >= 0 and entries[index][0] > week_tick:
            index -= 1
        return index if index >= 0 else len(entries) - 1

    def next_start(self, index):
        """When the entry after `index` starts; -1 if there is only one."""
        entries = self.entries
        if len(entries) == 1:
            return -1
        return entries[index + 1][0] if index + 1 < len(entries) else entries[0][0]

    def lowest(self):
        """The index of the slowest entry."""
        lowest = 0
        for index in range(1, len(self.entries)):
            if self.entries[index][1:3] < self.entries[lowest][1:3]:
                lowest = index
        return lowest

    def highest(self):
        """The index of the fastest entry."""
        highest = 0
        for index in range(1, len(self.entries)):
            if self.entries[index][1:3] > self.entries[highest][1:3]:
                highest = index
        return highest

    def profile(self, week_tick, ticks, one):
        """What flows from `week_tick` on for `ticks`: a list of (ticks, grains per tick). `one` is grains per
        step.
        """
        pieces = []
        index = self.index_at(week_tick)
        while ticks > 0:
            entry = self.entries[index]
            start = self.next_start(index)
            holds = ticks if start < 0 else (start - week_tick - 1) % TICKS_PER_WEEK + 1
            if holds > ticks:
                holds = ticks
            pieces.append((holds, entry[1] * one + entry[2]))
            ticks -= holds
            week_tick = (week_tick + holds) % TICKS_PER_WEEK
            index = (index + 1) % len(self.entries)
        return pieces

    def peak_grains(self, window_ticks, one):
        """The most that flows in any `window_ticks` (below a week) once the schedule has run for a week, in
        grains.

        The content of a sliding window over a flow that is constant in pieces is largest where the window
        begins or ends with a piece.
        """
        peak = 0
        for entry in self.entries:
            for start in (entry[0], (entry[0] - window_ticks) % TICKS_PER_WEEK):
                total = 0
                for ticks, grains in self.profile(start, window_ticks, one):
                    total += ticks * grains
                if total > peak:
                    peak = total
        return peak
