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

# The instructions are the assembler's, which brings them along.
# pyright: reportUndefinedVariable=false, reportCallIssue=false, reportArgumentType=false

from array import array

import micropython

WORDS = 3  # of a place: its owner, the word of its table, the key before that or 0
SAME, MOVED = -1, -2


class Unfamiliar(Exception):
    """The interpreter does not keep its objects as it is expected to."""


@micropython.asm_thumb
def look(r0, r1, r2, r3):
    """The first of the numbers r2 .. r3 - 1 of the places r0 that is not as kept in r1; SAME, or MOVED."""
    lsl(r4, r2, 2)
    add(r1, r1, r4)
    lsl(r5, r4, 1)
    add(r4, r4, r5)
    add(r0, r0, r4)
    label(NEXT)
    cmp(r2, r3)
    bge(ALL)
    ldr(r4, [r0, 0])  # the owner
    ldr(r4, [r4, 12])  # its table
    ldr(r5, [r0, 4])
    lsl(r5, r5, 2)
    add(r4, r4, r5)  # the number's place
    ldr(r6, [r0, 8])
    cmp(r6, 0)
    beq(NAMED)
    sub(r5, r4, 4)
    ldr(r5, [r5, 0])
    cmp(r5, r6)
    bne(ELSEWHERE)
    label(NAMED)
    ldr(r4, [r4, 0])
    ldr(r5, [r1, 0])
    mvn(r5, r5)
    cmp(r4, r5)
    bne(DIFFERS)
    add(r0, 12)
    add(r1, 4)
    add(r2, 1)
    b(NEXT)
    label(DIFFERS)
    mov(r0, r2)
    b(END)
    label(ELSEWHERE)
    mov(r0, 1)
    mvn(r0, r0)
    b(END)
    label(ALL)
    mov(r0, 0)
    mvn(r0, r0)
    label(END)


@micropython.asm_thumb
def copy(r0, r1, r2, r3):
    """Keep the complements of the numbers r2 .. r3 - 1 of the places r0 in r1. SAME, or MOVED."""
    lsl(r4, r2, 2)
    add(r1, r1, r4)
    lsl(r5, r4, 1)
    add(r4, r4, r5)
    add(r0, r0, r4)
    label(NEXT)
    cmp(r2, r3)
    bge(ALL)
    ldr(r4, [r0, 0])  # the owner
    ldr(r4, [r4, 12])  # its table
    ldr(r5, [r0, 4])
    lsl(r5, r5, 2)
    add(r4, r4, r5)  # the number's place
    ldr(r6, [r0, 8])
    cmp(r6, 0)
    beq(NAMED)
    sub(r5, r4, 4)
    ldr(r5, [r5, 0])
    cmp(r5, r6)
    bne(ELSEWHERE)
    label(NAMED)
    ldr(r4, [r4, 0])
    mvn(r4, r4)
    str(r4, [r1, 0])
    add(r0, 12)
    add(r1, 4)
    add(r2, 1)
    b(NEXT)
    label(ELSEWHERE)
    mov(r0, 1)
    mvn(r0, r0)
    b(END)
    label(ALL)
    mov(r0, 0)
    mvn(r0, r0)
    label(END)


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
    """The numbers of `parts`: each a way from `root`, and from there ways to owners with the names of their
    attributes, or the places of a list. Those of the numbers in `without` never change. Raises Unfamiliar.
    """

    def __init__(self, root, parts: tuple, without: tuple) -> None:
        self.root = root
        self.parts = parts
        self.without = without
        count = sum([len(names) for _, runs in parts for _, names in runs])
        self.places = array("i", [0] * (WORDS * count))
        self.kept = array("i", [0] * count)
        self.constant = [0]
        self.look = look
        self.copy = copy
        self.SAME = SAME
        self.find()

    def find(self) -> None:
        """Where they lie."""
        number = 0
        root = {"": _entries(self.root)}
        for begin, runs in self.parts:
            owners = {"": _owner(root, begin)}
            for way, names in runs:
                for name in names:
                    if number in self.without:
                        self._put(number, self.constant, 0, 0, 0)
                    else:
                        owner, attributes, keys = _owner(owners, way)
                        if attributes is None:
                            self._put(number, owner, name, 0, owner[name])
                        else:
                            key = id(keys[name])
                            word = 2 * find_key(id(owner), key) + 1
                            self._put(number, owner, word, key, attributes[name])
                    number += 1

    def _put(self, number: int, owner, word: int, key: int, value) -> None:
        at = WORDS * number
        self.places[at] = id(owner)
        self.places[at + 1] = word
        self.places[at + 2] = key
        # A small integer is in its word, twice itself and 1; of a flag there is the address.
        if bits(self.places, number) != (id(value) if isinstance(value, bool) else 2 * value + 1):
            raise Unfamiliar("word %d" % number)

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


def _owner(owners: dict, way: str):
    """An owner, its attributes and their names, None of a list; `owners` are those that were found before."""
    if way not in owners:
        last = max(way.rfind("."), way.rfind("["))
        step = way[last + 1 :]
        owner, attributes, _ = _owner(owners, way[: max(last, 0)])
        owners[way] = _entries(owner[int(step[:-1])] if attributes is None else attributes[step])
    return owners[way]


def _entries(owner):
    # The interpreter makes this dictionary anew each time, and its keys are the names that it compares: one
    # that is put together, or is long, is equal and not the same.
    if isinstance(owner, list):
        return owner, None, None
    attributes = owner.__dict__
    return owner, attributes, {name: name for name in attributes}
