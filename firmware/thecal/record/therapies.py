"""Every therapy that was applied, whole, as pieces of bytes (LIM-11). What they say is the dose's affair.

They are numbered from 1, and the last `KEPT` can be asked for. They lie in the journal's slots; only one that
is still being written, or never will be, is in memory. Without a journal all are.
"""

KEPT = 12


def nothing_stored(number: int) -> None:
    """Without a journal."""
    return None


class Therapies:
    """The therapies applied so far, the last one in force. `stored(number)` gives the pieces of those that
    the journal has, or None.
    """

    def __init__(self) -> None:
        self.count = 0
        self.most = KEPT  # in memory
        self.held = {}  # pieces by number
        self.stored = nothing_stored

    def use(self, stored, count: int) -> None:
        """A journal stores them, and has `count` already."""
        self.most = 1
        self.stored = stored
        self.count = count

    def add(self, pieces):
        """One was applied. Returns its number."""
        self.count += 1
        self.held[self.count] = pieces
        self.held.pop(self.count - self.most, None)
        return self.count

    def written(self) -> None:
        """The journal has the last one."""
        self.held.pop(self.count, None)

    def get(self, number: int):
        """The pieces of a therapy, None if it is not kept."""
        if not self.count - KEPT < number <= self.count or number < 1:
            return None
        held = self.held.get(number)
        return self.stored(number) if held is None else held
