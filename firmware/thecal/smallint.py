"""Small integers on the board: from -2^30 to 2^30 - 1 they live in a machine word, beyond they are heap
objects.

MicroPython keeps the result of an operation on a large integer large, however small its value is, and what is
computed with it is large again. A value that comes out of such arithmetic (at programming time) and goes into
the steady loop must therefore pass through `small` once.
"""

from array import array

LARGEST = 0x3FFF_FFFF
_slot = array("i", [0])


def small(value):
    """`value` as a small integer. Raises OverflowError if it is not one."""
    if not -LARGEST <= value <= LARGEST:
        raise OverflowError("%d is not a small integer" % value)
    _slot[0] = value
    return _slot[0]


def bounded_ratio(num: int, den: int):
    """The ratio num/den, both > 0, as two small integers: exact where that can be, else the least above it
    that halving both finds, and `LARGEST` at most.
    """
    a, b = num, den
    while b:
        a, b = b, a % b
    num, den = num // a, den // a
    while max(num, den) > LARGEST:
        num, den = (num + 1) >> 1, max(den >> 1, 1)
        if den == 1:
            num = min(num, LARGEST)
    return small(num), small(den)
