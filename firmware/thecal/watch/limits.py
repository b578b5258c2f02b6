"""What was executed in the last so many hours, in bounded memory, and what any coming window would hold.

A `WindowLedger` counts steps in buckets of whole ticks, 1 440 to the window (or fewer, if the window is
shorter than 1 440 ticks). A bucket counts until the last of its steps has left the window, so a content is
never too small, and too large by at most what flows in one bucket, W/1440. Programming clears nothing: a
second ring keeps the last day in buckets of a minute, from which a window of another length is filled; there,
too, a step counts until the last moment of its bucket.

Memory: two rings of 1 441 32-bit words, 11.5 kB.
"""

from array import array

from ..smallint import small

BUCKETS = 1_440
DAY_TICKS = 864_000
DAY_BUCKET_TICKS = DAY_TICKS // BUCKETS
# The motor is ordered at most a second ahead; what is planned must fit the window that far ahead as well.
AHEAD_TICKS = 10


class _Ring:
    """Steps per bucket over the last `window_ticks`. `total` is what all buckets hold, the current one among
    them.
    """

    def __init__(self):
        self.counts = array("I", [0] * (BUCKETS + 1))
        self.configure(DAY_TICKS, 0)

    def configure(self, window_ticks, tick):
        """Start empty, for windows of that length."""
        self.bucket_ticks = small(-(-window_ticks // BUCKETS))
        # A full window of old buckets, and the current one.
        self.size = small(-(-window_ticks // self.bucket_ticks) + 1)
        for index in range(BUCKETS + 1):
            self.counts[index] = 0
        self.total = 0
        self.index = 0
        self.left_ticks = self.bucket_ticks - tick % self.bucket_ticks

    def advance(self, ticks):
        """Let time pass; buckets that have left the window are forgotten."""
        while ticks >= self.left_ticks:
            ticks -= self.left_ticks
            self.left_ticks = self.bucket_ticks
            self.index = self.index + 1 if self.index + 1 < self.size else 0
            self.total -= self.counts[self.index]
            self.counts[self.index] = 0
        self.left_ticks -= ticks

    def add(self, steps):
        """Steps executed since the last call."""
        self.counts[self.index] += steps
        self.total += steps


class WindowLedger:
    """Executed steps, for windows of one programmed length."""

    def __init__(self):
        self.day = _Ring()
        self.window = _Ring()
        self.window_ticks = DAY_TICKS

    def advance(self, ticks, steps):
        """`ticks` have passed, in which `steps` were executed; they count from now."""
        self.day.advance(ticks)
        self.window.advance(ticks)
        if steps > 0:
            self.day.add(steps)
            self.window.add(steps)

    def set_window(self, window_ticks, tick):
        """Count for windows of another length (up to a day) from now on. No history is lost."""
        if window_ticks == self.window_ticks:
            return
        self.window_ticks = window_ticks
        window = self.window
        window.configure(window_ticks, tick)
        day = self.day
        # From the newest bucket back: each counts as if all of it had been executed at its last moment.
        for age in range(day.size):
            age_ticks = age * DAY_BUCKET_TICKS - day.left_ticks if age else 0
            age_buckets = age_ticks // window.bucket_ticks
            if age_buckets >= window.size:
                break
            steps = day.counts[(day.index - age) % day.size]
            window.counts[(window.index - age_buckets) % window.size] += steps
            window.total += steps

    def content_steps(self):
        """The most that any window ending now can hold."""
        return self.window.total

    def peak_steps(self, flows, grains_per_step):
        """The largest content of any window from now on, while `flows` flow on top of the history.

        `flows` is a list of profiles, each a list of (ticks, grains per tick), all of the same length in
        time; what comes after their end is not looked at. Allocates; takes some 30 ms on the board.
        """
        window = self.window
        bucket_ticks = window.bucket_ticks
        horizon = sum(ticks for ticks, _ in flows[0])
        ahead = [_Walk(profile, grains_per_step) for profile in flows]
        lead = [_Walk(profile, grains_per_step) for profile in flows]
        history = window.total
        index = window.index
        peak = history
        flowed = [0]  # grains by the end of each bucket from now on
        for walk in lead:
            walk.go(AHEAD_TICKS)
        at = 0
        step = window.left_ticks
        left = window.size  # buckets of history, the current one among them
        while at < horizon:
            at += step
            total = 0
            for walk in ahead:
                total += walk.go(step)
            early = 0
            for walk in lead:
                early += walk.go(step)
            flowed.append(total)
            gone = flowed[-1 - window.size] if len(flowed) > window.size else 0
            content = history + -(-(early - gone) // grains_per_step)
            if content > peak:
                peak = content
            step = bucket_ticks
            # On to the next bucket: the oldest one is forgotten.
            if left:
                index = index + 1 if index + 1 < window.size else 0
                history -= window.counts[index] if left > 1 else 0
                left -= 1
                if left == 0:
                    history = 0
        return peak


class _Walk:
    """The grains that have flowed by a moving point in a profile."""

    def __init__(self, profile, grains_per_step):
        self.profile = profile
        self.piece = 0
        self.left = profile[0][0]
        self.total = 0

    def go(self, ticks):
        """Move on by `ticks`; the total so far."""
        while self.piece < len(self.profile):
            grains = self.profile[self.piece][1]
            if ticks <= self.left:
                self.left -= ticks
                self.total += ticks * grains
                return self.total
            self.total += self.left * grains
            ticks -= self.left
            self.piece += 1
            self.left = self.profile[self.piece][0] if self.piece < len(self.profile) else 0
        return self.total
