"""Every therapy that was applied, whole, as the host proposed it (LIM-11).

They are numbered from 1. The last `KEPT` can be asked for: those applied since the boot are in memory, those
before in the journal's slots, where they stay. Twelve of the longest take a quarter of the heap.
"""

import json

KEPT = 12


def nothing_stored(number):
    """Without a journal."""
    return None


class Therapies:
    """The therapies applied so far, the last one in force."""

    def __init__(self):
        self.count = 0
        # (seconds since first boot, JSON text of digest and therapy), None where it can not be read; the text
        # is None where `stored(number)` has it.
        self.kept = []
        self.stored = nothing_stored

    def add(self, tick_s, digest, therapy):
        """`therapy`, a request's object, was applied. Returns its number."""
        self._keep((tick_s, json.dumps([digest, therapy])))
        return self.count

    def add_stored(self):
        """One was applied before the boot: `stored` has it."""
        self._keep((0, None))

    def skip(self):
        """One was applied and can not be read any more."""
        self._keep(None)

    def _keep(self, entry):
        if len(self.kept) == KEPT:
            self.kept.pop(0)
        self.kept.append(entry)
        self.count += 1

    def get(self, number):
        """(seconds since first boot, digest, object) of a therapy, or None if it is not kept."""
        index = number - 1 - (self.count - len(self.kept))
        if not 0 <= index < len(self.kept) or self.kept[index] is None:
            return None
        tick_s, text = self.kept[index]
        if text is None:
            text = self.stored(number)
            if text is None:
                return None
        digest, therapy = json.loads(text)
        return tick_s, digest, therapy
