"""Every therapy that was applied, whole, as the host proposed it (LIM-11).

They are numbered from 1; the last `KEPT` are kept here, in memory.
"""

import json

KEPT = 12


class Therapies:
    """The therapies applied so far, the last one in force."""

    def __init__(self):
        self.count = 0
        self.kept = []  # (seconds since first boot, JSON text of digest and therapy), or None

    def add(self, tick_s, digest, therapy):
        """`therapy`, a request's object, was applied. Returns its number."""
        return self.add_text(tick_s, json.dumps([digest, therapy]))

    def add_text(self, tick_s, text):
        """The same, digest and therapy as JSON: at boot nobody asks what is in them but the last."""
        self._keep((tick_s, text))
        return self.count

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
        digest, therapy = json.loads(text)
        return tick_s, digest, therapy
