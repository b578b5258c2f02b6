"""Answers that are kept: to stops, until their record is read back; and the last ones, to be given again.

A stop acts at once and is answered when its record has been read back from the flash (REC-04), so that a stop
that was answered is never undone by a reset. `StopAnswers` holds the answers until then, a bounded number for
a bounded time. `LastAnswers` are the texts of the last answers to commands with an ID: the same frame again
gets the same answer again (REC-03), as long as its text is among the last few; then what became of it.
"""

# The flash may be in the middle of an erase (400 ms), have to erase a sector for the record (400 ms), write
# it (one tick) and, where the read-back differs, do both again: three times, then it is not to be had.
MOST_STOP_TICKS = 30
MOST_STOPS = 8

LAST_BYTES = 2048  # several answers to proposals, or dozens of short ones


class StopAnswers:
    """Answers to stops that wait for a record. A ticket is that of the journal, -1 until it is known."""

    def __init__(self) -> None:
        self.waiting = []  # [answer, tick, ticket]

    def full(self) -> bool:
        """Whether it takes no more."""
        return len(self.waiting) >= MOST_STOPS

    def add(self, answer: dict, tick: int) -> None:
        """An answer to be given when what this tick saves is in the flash."""
        self.waiting.append([answer, tick, -1])

    def stamp(self, ticket) -> None:
        """What was saved up to this tick has this ticket."""
        for entry in self.waiting:
            if entry[2] < 0:
                entry[2] = ticket

    def next(self, saved_ticket, hopeless: bool, tick: int):
        """The next answer to be given, or None. `kept` false in it: the stop has acted, its record is not in
        the flash.
        """
        if not self.waiting:
            return None
        answer, since_tick, ticket = self.waiting[0]
        if 0 <= ticket <= saved_ticket:
            return self.waiting.pop(0)[0]
        if hopeless or tick - since_tick >= MOST_STOP_TICKS:
            self.waiting.pop(0)
            return not_kept(answer)
        return None


def not_kept(answer: dict):
    """The answer to a stop whose record cannot be written down."""
    answer["kept"] = False
    answer["message"] = "stopped, but this cannot be written down: a reset may undo it"
    return answer


class LastAnswers:
    """The texts of the last answers, LAST_BYTES of them at most."""

    def __init__(self) -> None:
        self.kept = []  # (key, text)
        self.length = 0

    def keep(self, key, text) -> None:
        """`text`, bytes, was the answer to the command with this key."""
        if not text:
            return
        self.kept.append((key, text))
        self.length += len(text)
        while self.length > LAST_BYTES:
            self.length -= len(self.kept.pop(0)[1])

    def find(self, key):
        """The text, or b""."""
        for kept_key, text in self.kept:
            if kept_key == key:
                return text
        return b""
