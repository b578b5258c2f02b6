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
