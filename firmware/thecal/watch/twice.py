"""Numbers that are kept a second time, complemented, elsewhere in memory (SAFE-07).

The first copy is where the number lives, as an attribute of its object. The second one is here: 32 bits a
word, every bit the other way round, so that what wipes both copies alike is noticed as well. Who owns the
numbers packs them, complemented, into `kept` when it has changed them, and into `now` before it uses them
again; `agrees` says whether that is the same. Which of two copies is wrong, nobody can tell: a disagreement
is a fault, and nothing is mended.

`PairedCounts` is the same for an array of counts, where looking at all of them takes too long: each pair is
looked at when its count is used, and one after the other.

Nothing allocates but `differing`, after a fault.
"""

import struct
from array import array

from ..smallint import LARGEST

WORD_BYTES = 4


class Twice:
    """The second copy of so many words."""

    def __init__(self, words):
        self.kept = bytearray(words * WORD_BYTES)
        self.now = bytearray(words * WORD_BYTES)

    def agrees(self):
        """Whether the words packed into `now` are those that were kept."""
        return self.now == self.kept

    def differing(self):
        """The numbers of the words that differ."""
        form = "<%di" % (len(self.kept) // WORD_BYTES)
        pairs = zip(struct.unpack(form, self.kept), struct.unpack(form, self.now))
        return [number for number, pair in enumerate(pairs) if pair[0] != pair[1]]


class PairedCounts:
    """An array of counts, 0 to 2^30 - 1, each with its complement. Whoever changes one changes both."""

    def __init__(self, size):
        self.counts = array("I", [0] * size)
        self.complements = array("I", [LARGEST] * size)
        self.sound = True  # no pair was ever seen that did not agree
        self._next = 0

    def look(self, index):
        """Look at one pair."""
        if self.counts[index] + self.complements[index] != LARGEST:
            self.sound = False

    def look_at_next(self):
        """Look at the pair after the last one looked at so."""
        index = self._next
        self._next = index + 1 if index + 1 < len(self.counts) else 0
        self.look(index)

    def take(self, index):
        """The count, which is 0 from now on."""
        self.look(index)
        count = self.counts[index]
        self.set(index, 0)
        return count

    def set(self, index, count):
        """Replace a count."""
        self.counts[index] = count
        self.complements[index] = LARGEST - count

    def add(self, index, more):
        """Add to a count: to both copies, each from what it was."""
        self.counts[index] += more
        self.complements[index] -= more
