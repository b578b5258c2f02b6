"""Integers that refuse to leave the board's 31-bit small range: what is computed with them is checked at
every operation.
"""

from __future__ import annotations

LARGEST = 2**30 - 1


class SmallInt(int):
    """An int whose every arithmetic result must lie in -2^30 < value < 2^30, and is a SmallInt again."""

    def __new__(cls, value: int) -> SmallInt:
        assert -LARGEST <= value <= LARGEST, f"{value} is not a small integer on the board"
        return super().__new__(cls, value)


def _checked(name: str):
    plain = getattr(int, name)

    def operation(self, *others):
        result = plain(self, *others)
        return SmallInt(result) if type(result) is int else result

    return operation


for _name in (  # noqa: SIM905
    "add sub mul floordiv mod and or xor lshift rshift "
    "radd rsub rmul rfloordiv rmod rand ror rxor rlshift rrshift neg abs invert"
).split():
    setattr(SmallInt, f"__{_name}__", _checked(f"__{_name}__"))
