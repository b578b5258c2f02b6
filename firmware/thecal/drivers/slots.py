"""Numbers where they lie in memory: attributes and places of lists, compared with second copies of their
bits.

`words.py` names the critical words by their way from the pump. Looking each up as an attribute takes the
interpreter a thousand cycles. Here the way is gone once; what is remembered of a word is its owner's address
and its place in the owner's table, and one loop compares or copies a whole group. An owner of the interpreter
(an instance, or a list) keeps the size of its table in its third word and its address in the fourth; a place
of an instance's table is a key and a value. That is how MicroPython 1.25 has it, so every place is looked at
once as it is found: where it does not hold the number that the name leads to, there are no `Slots`. The key
is compared with each number: a table that has grown says so.

Owners must stay the same objects. Nothing here allocates after construction but `find`.
"""

from array import array

import micropython

WORDS = 3  # of a place: its owner, the word of its table, the key before that or 0
SAME, MOVED = -1, -2


class Unfamiliar(Exception):
    """The interpreter does not keep its objects as it is expected to."""


@micropython.viper
def look(places: ptr32, kept: ptr32, at: int, end: int) -> int:  # type: ignore  # noqa: F821
    """The first of the numbers at .. end - 1 that is not as it was kept; SAME, or MOVED."""
    while at < end:
        owner = ptr32(places[3 * at])  # type: ignore  # noqa: F821
        table = ptr32(owner[3])  # type: ignore  # noqa: F821
        word = places[3 * at + 1]
        key = places[3 * at + 2]
        if key and table[word - 1] != key:
            return -2
        if table[word] + kept[at] != -1:
            return at
        at += 1
    return -1


@micropython.viper
def copy(places: ptr32, kept: ptr32, at: int, end: int) -> int:  # type: ignore  # noqa: F821
    """Keep the complements of the numbers at .. end - 1. SAME, or MOVED."""
    while at < end:
        owner = ptr32(places[3 * at])  # type: ignore  # noqa: F821
        table = ptr32(owner[3])  # type: ignore  # noqa: F821
        word = places[3 * at + 1]
        key = places[3 * at + 2]
        if key and table[word - 1] != key:
            return -2
        kept[at] = -1 - table[word]
        at += 1
    return -1


@micropython.viper
def bits(places: ptr32, at: int) -> int:  # type: ignore  # noqa: F821
    """The bits of a number."""
    owner = ptr32(places[3 * at])  # type: ignore  # noqa: F821
    table = ptr32(owner[3])  # type: ignore  # noqa: F821
    return table[places[3 * at + 1]]


@micropython.viper
def find_key(owner: ptr32, key: int) -> int:  # type: ignore  # noqa: F821
    """Which entry of an owner's table has a key; -1 for none."""
    entries = owner[2]
    table = ptr32(owner[3])  # type: ignore  # noqa: F821
    entry = 0
    while entry < entries:
        if table[2 * entry] == key:
            return entry
        entry += 1
    return -1


class Slots:
    """The numbers with these `names`, each the way to it from `root`; without a name one that never changes.
    Raises Unfamiliar.
    """

    def __init__(self, root, names) -> None:
        self.root = root
        self.names = names
        self.places = array("i", [0] * (WORDS * len(names)))
        self.kept = array("i", [0] * len(names))
        self.constant = [0]
        self.look = look
        self.copy = copy
        self.SAME = SAME
        self.find()

    def find(self) -> None:
        """Where they lie."""
        owners = {"": _entries(self.root)}
        for number in range(len(self.names)):
            name = self.names[number]
            owner, attributes = self.constant, None
            step = "0"
            if name:
                way, step = _split(name)
                owner, attributes = _owner(owners, way)
            at = WORDS * number
            self.places[at] = id(owner)
            if attributes is None:
                self.places[at + 1] = int(step)
                value = owner[int(step)]
            else:
                key, value = _entry(attributes, step)
                self.places[at + 1] = 2 * find_key(id(owner), key) + 1
                self.places[at + 2] = key
            # A small integer is in its word, twice itself and 1; of a flag there is the address.
            if bits(self.places, number) != (id(value) if isinstance(value, bool) else 2 * value + 1):
                raise Unfamiliar(name)

    def agree(self, first: int, end: int) -> bool:
        """Whether the numbers first .. end - 1 are as they were kept."""
        found = look(self.places, self.kept, first, end)
        if found == MOVED:
            self.find()
            found = look(self.places, self.kept, first, end)
        return found == SAME

    def keep(self, first: int, end: int) -> None:
        """Keep them as they are now."""
        if copy(self.places, self.kept, first, end) == MOVED:
            self.find()
            copy(self.places, self.kept, first, end)

    def differing(self, first: int, end: int):
        """Which of them are not as they were kept. Allocates."""
        return [number for number in range(first, end) if not self.agree(number, number + 1)]


def _split(name: str):
    """The way to an owner, and the last step."""
    last = max(name.rfind("."), name.rfind("["))
    return name[: max(last, 0)], name[last + 1 :].rstrip("]")


def _owner(owners, way):
    """An owner and its attributes, None of a list; `owners` are those that were found before."""
    if way not in owners:
        before, step = _split(way)
        owner, attributes = _owner(owners, before)
        owners[way] = _entries(owner[int(step)] if attributes is None else _entry(attributes, step)[1])
    return owners[way]


def _entries(owner):
    # The interpreter makes this dictionary anew each time, and `getattr` with a text that was put together
    # goes through all names that there are.
    return owner, None if isinstance(owner, list) else owner.__dict__


def _entry(attributes, name: str):
    """The bits of an attribute's name, and its value."""
    for known in attributes:
        if known == name:
            return id(known), attributes[known]
    raise Unfamiliar(name)
