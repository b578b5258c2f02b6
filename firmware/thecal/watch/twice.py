"""Numbers that are kept a second time, complemented, elsewhere in memory (SAFE-07).

The first copy is where a number lives, as an attribute of its object or in an array. The second one has every
bit the other way round, so that what wipes both copies alike is noticed as well. Who owns a number writes
both when it changes, and compares them before it uses it again. Which of two copies is wrong, nobody can
tell: a disagreement is a fault, and nothing is mended.

`complements` makes the place for second copies of words (`words.py` says of which). `PairedCounts` is an
array of counts with its own second copy: where looking at all of them takes too long, each pair is looked at
when its count is used, and one after the other. Nothing allocates after construction.
"""

from array import array

from ..smallint import LARGEST


def complements(words):
    """The second copies of so many words, each `~word`; of a flag `not flag`."""
    return array("i", [0] * words)


PIECE = 16


def grown(value, size: int):
    """An array of `size` times `value`, grown in place: one that is made from a list or from bytes leaves a
    hole as large as itself in the heap, and what comes over the link needs large pieces of it.
    """
    piece = array("I", [value] * PIECE)
    found = array("I")
    for _ in range(size // PIECE):
        found.extend(piece)
    for _ in range(size % PIECE):
        found.append(value)
    return found


class PairedCounts:
    """An array of counts, 0 to 2^30 - 1, each with its complement. Whoever changes one changes both."""

    def __init__(self, size: int) -> None:
        self.counts = grown(0, size)
        self.complements = grown(LARGEST, size)
        self.sound = True  # no pair was ever seen that did not agree
        self._next = 0

    def look(self, index: int) -> None:
        """Look at one pair."""
        if self.counts[index] + self.complements[index] != LARGEST:
            self.sound = False

    def look_at_next(self) -> None:
        """Look at the pair after the last one looked at so."""
        index = self._next
        self._next = index + 1 if index + 1 < len(self.counts) else 0
        self.look(index)

    def take(self, index: int):
        """The count, which is 0 from now on."""
        self.look(index)
        count = self.counts[index]
        self.set(index, 0)
        return count

    def set(self, index: int, count: int) -> None:
        """Replace a count."""
        self.counts[index] = count
        self.complements[index] = LARGEST - count

    def add(self, index: int, more: int) -> None:
        """Add to a count: to both copies, each from what it was."""
        self.counts[index] += more
        self.complements[index] -= more
