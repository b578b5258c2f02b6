"""`link.frame.crc_into` in the chip's own instructions: 30 times faster, the same digits (a chip test
compares them).
"""

import micropython

from ..link import frame


@micropython.viper
def crc_into(data: ptr8, start: int, end: int, digits: ptr8):  # type: ignore  # noqa: F821
    low_table = ptr16(frame.LOW_TABLE)  # type: ignore  # noqa: F821
    high_table = ptr16(frame.HIGH_TABLE)  # type: ignore  # noqa: F821
    low = 0xFFFF
    high = 0xFFFF
    at = start
    while at < end:
        slot = (low ^ data[at]) & 0xFF
        low = (low >> 8 | (high & 0xFF) << 8) ^ low_table[slot]
        high = high >> 8 ^ high_table[slot]
        at += 1
    low ^= 0xFFFF
    high ^= 0xFFFF
    place = 0
    while place < 4:
        shift = 12 - 4 * place
        digit = high >> shift & 15
        digits[place] = 48 + digit if digit < 10 else 87 + digit
        digit = low >> shift & 15
        digits[place + 4] = 48 + digit if digit < 10 else 87 + digit
        place += 1
