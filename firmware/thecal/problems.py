"""What is wrong with a request, told in bounded memory whatever the request was."""

MOST_PROBLEMS = 8  # of a request that are told; a person mends one after the other
MOST_SHOWN = 24  # characters of what was sent instead of something better


def shown(value):
    """A value of a request, short: what a dict or a list holds is not told."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    return str(value)[:MOST_SHOWN]


class Problems:
    """The texts of the first `MOST_PROBLEMS` problems; its length is the number of all."""

    def __init__(self) -> None:
        self.texts = []
        self.count = 0

    def __len__(self):
        return self.count

    def append(self, text: str) -> None:
        """There is one more."""
        self.count += 1
        if self.count <= MOST_PROBLEMS:
            self.texts.append(text)

    def told(self):
        """The list for the answer."""
        more = self.count - len(self.texts)
        return self.texts + ["and %d more" % more] if more else self.texts
