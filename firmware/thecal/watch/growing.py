"""The stretch that still grows: a digital straight line, recognized point by point.

The line is followed by the points that lean on it (Debled-Rennesson and Reveilles, "A linear algorithm for
segmentation of digital curves", 1995): whether the next count lies on it takes a sum and two comparisons, for
the remainder a x + m - b y is carried along, 0 .. b - 1 for every point. So all stays in small integers. If
the new point lies just beyond, on either side, the line turns: it goes through the new point and the first
one that leans on that side. Nothing allocates after construction.
"""

from ..smallint import LARGEST
from .twice import PairedCounts

# Of the points (x, y) that lean on the line of a stretch the first and the last, from above and from below.
UPPER_FIRST, UPPER_LAST, LOWER_FIRST, LOWER_LAST = range(0, 8, 2)
# Products of two of these stay small; half an hour in one piece.
MOST_UNITS = 16_383
MOST_UNIT_STEPS = 255


class Open:
    """The stretch that still grows: `units` and `steps` of it; its line a/b, and the remainder there of the
    last point, 0 .. b - 1.
    """

    def __init__(self) -> None:
        self.turned = True  # another line than before
        self.points = PairedCounts(8)
        self.begin()

    def begin(self) -> None:
        """Of nothing yet."""
        self.units = 0
        self.steps = 0
        self.remainder = 0
        self.a = 0
        self.b = 1
        self.turned = True

    def grow(self, count: int) -> bool:
        """Take one more unit with `count` steps. False, and unchanged, if no line holds that as well."""
        x = self.units + 1
        y = self.steps + count
        if x > MOST_UNITS:
            return False
        if x == 1:
            if count > MOST_UNIT_STEPS:
                return False
            self.a = count
            self.turned = True
            self._lean(UPPER_FIRST, 0, 0)
            self._lean(LOWER_FIRST, 0, 0)
        else:
            b = self.b
            remainder = self.remainder + self.a - b * count
            if 0 <= remainder < b:
                self.remainder = remainder
                if b == 1:
                    pass  # every point leans on both sides: the last one is noted when the line turns
                elif remainder == 0:
                    self._lean(UPPER_LAST, x, y)
                elif remainder == b - 1:
                    self._lean(LOWER_LAST, x, y)
            elif remainder == -1:
                self._turn(UPPER_FIRST, UPPER_LAST, LOWER_FIRST, LOWER_LAST, x, y)
                self.remainder = 0
            elif remainder == b:
                self._turn(LOWER_FIRST, LOWER_LAST, UPPER_FIRST, UPPER_LAST, x, y)
                self.remainder = self.b - 1
            else:
                return False
        self.units = x
        self.steps = y
        return True

    def _lean(self, point: int, x: int, y: int) -> None:
        points = self.points
        points.counts[point] = x
        points.counts[point + 1] = y
        points.complements[point] = LARGEST - x
        points.complements[point + 1] = LARGEST - y

    def _turn(self, first: int, last: int, other_first: int, other_last: int, x: int, y: int) -> None:
        """The line goes through the first point on one side and the new one, which lies just beyond."""
        if self.b == 1:
            self._lean(UPPER_LAST, self.units, self.steps)
            self._lean(LOWER_LAST, self.units, self.steps)
        points = self.points
        for index in range(8):
            points.look(index)
        counts = points.counts
        self._lean(other_first, counts[other_last], counts[other_last + 1])
        self._lean(last, x, y)
        self.a = y - counts[first + 1]
        self.b = x - counts[first]
        self.turned = True

    def phase(self):
        """m of the line, 0 .. b - 1."""
        self.points.look(UPPER_FIRST)
        return -(self.a % self.b * self.points.counts[UPPER_FIRST]) % self.b
