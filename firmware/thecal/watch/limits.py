"""What was executed in the last so many hours, in bounded memory, and what any coming window would hold.

A `WindowLedger` counts steps in 1 440 to 1 800 buckets of whole ticks. A bucket counts until the last of its
steps has left the window, so a content is never too small, and too large by at most what flows in W/1440 (for
windows of whole minutes, which are all that can be programmed). Programming clears nothing: a second ring
keeps the last day in buckets of a minute, from which a window of another length is filled; there, too, a step
counts until the last moment of its bucket.

Every bucket is kept twice (`twice.PairedCounts`): a count is compared when it leaves the window, when windows
are filled or rescaled from it, and one more in every tick (6 min for all).

Memory: three rings, each twice, and the working space of the prediction, 49 kB.
"""

from ..smallint import small
from .twice import PairedCounts, grown

LEAST_BUCKETS = 1_440
MOST_BUCKETS = 1_800
DAY_TICKS = 864_000
DAY_BUCKET_TICKS = DAY_TICKS // LEAST_BUCKETS
# The motor is ordered at most a second ahead; what is planned must fit the window that far ahead as well.
AHEAD_TICKS = 10


def bucket_ticks_of(window_ticks):
    """The longest bucket that keeps the over-count within W/1440: what the buckets are longer than the window
    counts against it. Where there is none, the one with the smallest over-count.
    """
    longest = max(window_ticks // LEAST_BUCKETS, 1)
    best = over = 0
    for ticks in range(longest, -(-window_ticks // MOST_BUCKETS) - 1, -1):
        this = ticks + -window_ticks % ticks
        if not best or this < over:
            best, over = ticks, this
        if over <= longest:
            break
    return small(best)


class _Ring:
    """Steps per bucket over the last `window_ticks`. `total` is what all buckets hold, the current one among
    them.
    """

    def __init__(self):
        self.buckets = PairedCounts(MOST_BUCKETS + 2)
        self.counts = self.buckets.counts  # to be read
        self.begin(DAY_TICKS, 0)

    def configure(self, window_ticks, tick):
        """Start empty, for windows of that length."""
        self.begin(window_ticks, tick)
        for index in range(self.size):
            self.buckets.set(index, 0)

    def begin(self, window_ticks, tick):
        """The same on buckets that are empty, or will all be set: there are many, and a boot is short."""
        self.bucket_ticks = bucket_ticks_of(window_ticks)
        # A full window of old buckets, and the current one.
        self.size = small(-(-window_ticks // self.bucket_ticks) + 1)
        self.total = 0
        self.index = 0
        self.left_ticks = self.bucket_ticks - tick % self.bucket_ticks

    def advance(self, ticks):
        """Let time pass; buckets that have left the window are forgotten."""
        while ticks >= self.left_ticks:
            ticks -= self.left_ticks
            self.left_ticks = self.bucket_ticks
            self.index = self.index + 1 if self.index + 1 < self.size else 0
            self.total -= self.buckets.take(self.index)
        self.left_ticks -= ticks

    def add(self, steps):
        """Steps executed since the last call."""
        self.buckets.add(self.index, steps)
        self.total += steps


class WindowLedger:
    """Executed steps, for windows of one programmed length."""

    def __init__(self):
        self.day = _Ring()
        self.window = _Ring()
        self.trial = _Ring()  # a window that is only asked about
        self.looked_at = self.day
        self.window_ticks = DAY_TICKS
        # For peak_steps: the flow of two windows and two buckets, less the one window that stays.
        self.flowed = grown(0, MOST_BUCKETS + 4)

    def advance(self, ticks, steps):
        """`ticks` have passed, in which `steps` were executed; they count from now."""
        self.day.advance(ticks)
        self.window.advance(ticks)
        self.looked_at = self.window if self.looked_at is self.day else self.day
        self.looked_at.buckets.look_at_next()
        if steps > 0:
            self.day.add(steps)
            self.window.add(steps)

    def load(self, minutes, tick):
        """Begin with the dose of the last day: `minutes[age]` was given in the minute so long ago."""
        self.window_ticks = DAY_TICKS
        day = self.day
        window = self.window
        day.begin(DAY_TICKS, tick)
        window.begin(DAY_TICKS, tick)
        total = 0
        place = day.index
        for age in range(day.size):
            steps = minutes[age]
            total += steps
            day.buckets.set(place, steps)
            window.buckets.set(place, steps)
            place = place - 1 if place else day.size - 1
        day.total = window.total = total

    def set_window(self, window_ticks, tick):
        """Count for windows of another length (up to a day) from now on. No history is lost."""
        if window_ticks == self.window_ticks:
            return
        self.window_ticks = window_ticks
        self._fill(self.window, window_ticks, tick)

    def _fill(self, window, window_ticks, tick):
        window.configure(window_ticks, tick)
        day = self.day
        # From the newest bucket back: each counts as if all of it had been executed at its last moment.
        for age in range(day.size):
            age_ticks = age * DAY_BUCKET_TICKS - day.left_ticks if age else 0
            age_buckets = age_ticks // window.bucket_ticks
            if age_buckets >= window.size:
                break
            index = (day.index - age) % day.size
            day.buckets.look(index)
            steps = day.counts[index]
            window.buckets.add((window.index - age_buckets) % window.size, steps)
            window.total += steps

    def rescale(self, num, den):
        """Count every step so far as num/den of one from now on: a step of another drug. What the buckets
        from any one to the newest hold is rounded up, less than a step in all.
        """
        for ring in (self.day, self.window):
            true = 0
            scaled = 0
            for age in range(ring.size):
                index = (ring.index - age) % ring.size
                ring.buckets.look(index)
                true += ring.counts[index]
                upto = -(-true * num // den)
                ring.buckets.set(index, upto - scaled)
                scaled = upto
            ring.total = small(scaled)

    def sound(self):
        """Whether all buckets that were looked at agreed with their second copy."""
        return self.day.buckets.sound and self.window.buckets.sound

    def content_steps(self):
        """The most that any window ending now can hold."""
        return self.window.total

    def trial_peak_steps(self, flows, grains_per_step, window_ticks, tick):
        """`peak_steps` for windows of another length than the one in force, which stays in force."""
        if window_ticks == self.window_ticks:
            return self.peak_steps(flows, grains_per_step)
        self._fill(self.trial, window_ticks, tick)
        kept = self.window
        self.window = self.trial
        peak = self.peak_steps(flows, grains_per_step)
        self.window = kept
        return peak

    def peak_steps(self, flows, grains_per_step):
        """The largest content of any window from now on, while `flows` flow on top of the history.

        `flows` is a list of profiles, each a list of (ticks, grains per tick), all of the same length in
        time, at most two windows and a bucket; what comes after their end is not looked at. One turn of the
        loop per bucket, in small integers: 60 ms on the board for a window of 1 440.
        """
        window = self.window
        size = window.size
        counts = window.counts
        flowed = self.flowed
        bucket_ticks = window.bucket_ticks
        profile = merged(flows)
        buckets = -(-sum(ticks for ticks, _ in profile) // bucket_ticks)
        # A bucket of the future leaves the window after `size` more; a little later here, since what is
        # compared is the flow of AHEAD_TICKS further on.
        stay = size + -(-AHEAD_TICKS // bucket_ticks)
        kept = buckets - stay
        walk = _Walk(profile, grains_per_step)
        walk.go(AHEAD_TICKS)
        walk.go(window.left_ticks)
        steps = walk.steps
        grains = walk.grains
        history = peak = window.total
        index = window.index
        gone = 0
        number = 1  # buckets from now on, the current one is the first
        while number <= buckets:
            # So many strides of one bucket in which the flow does not change; at least one, by the long way.
            strides = walk.strides(bucket_ticks)
            stride_steps, stride_grains = walk.stride(bucket_ticks)
            while True:
                content = history + steps - gone
                if content >= peak:
                    peak = content + 1  # the begun step
                if number <= kept:
                    flowed[number] = steps
                if number >= stay:
                    gone = flowed[number - stay + 1]
                # On to the next bucket: the oldest one leaves the window.
                if number < size:
                    index += 1
                    if index == size:
                        index = 0
                    history -= counts[index]
                elif number == size:
                    history = 0
                number += 1
                if number > buckets or strides == 0:
                    break
                strides -= 1
                steps += stride_steps
                grains += stride_grains
                if grains >= grains_per_step:
                    grains -= grains_per_step
                    steps += 1
            if number <= buckets:
                walk.steps = steps
                walk.grains = grains
                walk.go(bucket_ticks)
                steps = walk.steps
                grains = walk.grains
        return peak


class _Walk:
    """The whole steps that have flowed by a point that moves through a profile."""

    def __init__(self, profile, grains_per_step):
        self.profile = profile
        self.one = grains_per_step
        self.steps = 0
        self.grains = 0
        self.piece = 0
        self.left = profile[0][0]

    def go(self, ticks):
        """Move on by `ticks`, from piece to piece."""
        while ticks and self.piece < len(self.profile):
            now = min(ticks, self.left)
            grains = self.grains + now * self.profile[self.piece][1]
            self.steps = small(self.steps + grains // self.one)
            self.grains = small(grains % self.one)
            ticks -= now
            self.left -= now
            if self.left == 0:
                self.piece += 1
                self.left = self.profile[self.piece][0] if self.piece < len(self.profile) else 0

    def strides(self, ticks):
        """How often one can move on by `ticks` without leaving the piece; they are taken off it."""
        count = small(self.left // ticks)
        self.left -= count * ticks
        if self.left == 0 and count:
            count -= 1  # the last one goes to the next piece
            self.left = ticks
        return count

    def stride(self, ticks):
        """What flows in `ticks` within this piece: (whole steps, grains)."""
        rate = self.profile[self.piece][1] if self.piece < len(self.profile) else 0
        return small(rate * ticks // self.one), small(rate * ticks % self.one)


def merged(flows):
    """Several profiles, lists of (ticks, grains per tick) of the same length, as one."""
    profile = flows[0]
    for other in flows[1:]:
        both = []
        left = list(profile)
        right = list(other)
        while left and right:
            ticks = min(left[0][0], right[0][0])
            if ticks:
                both.append((ticks, left[0][1] + right[0][1]))
            for side in (left, right):
                if side[0][0] == ticks:
                    side.pop(0)
                else:
                    side[0] = (side[0][0] - ticks, side[0][1])
        profile = both
    return profile
