"""`link.frame.fill_into` in the chip's own instructions: without an allocation, a whole frame sooner than one
number in Python; a chip test compares the two.
"""

from array import array

import micropython

# A division is not to be had here. And no constant may have more than 16 bits: it would be read from where
# the frozen code is not aligned for it.
POWERS = array("i", [10**power for power in range(9, 0, -1)])


@micropython.viper
def fill_into(buffer, at: int, template, values) -> int:
    size = int(len(buffer))
    length = int(len(template))
    out = ptr8(buffer)  # type: ignore  # noqa: F821
    text = ptr8(template)  # type: ignore  # noqa: F821
    numbers = ptr32(values)  # type: ignore  # noqa: F821
    powers = ptr32(POWERS)  # type: ignore  # noqa: F821
    number = 0
    index = 0
    while index < length:
        byte = text[index]
        index += 1
        if byte:
            if at >= size:
                return -1
            out[at] = byte
            at += 1
            continue
        if at + 11 > size:
            return -1
        value = numbers[number]
        number += 1
        if value < 0:
            out[at] = 45
            at += 1
            value = 0 - value
        place = 0
        while place < 9:
            if value >= powers[place]:
                break
            place += 1
        while place < 9:
            power = powers[place]
            digit = 48
            while value >= power:
                value -= power
                digit += 1
            out[at] = digit
            at += 1
            place += 1
        out[at] = 48 + value
        at += 1
    return at
