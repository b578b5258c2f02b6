"""CRC-32 as in zlib and Ethernet (polynomial 0xEDB88320), for the link and the journal.

A nibble at a time, by a small table, and as two 16-bit halves, because a 32-bit integer is a heap object on
the board. Nothing here allocates. The board has it in its own instructions (`drivers/fast_crc.py`).
"""

from array import array

# The remainder of each nibble, low half and high half.
TABLE = array("H", [0] * 32)


def _fill_table() -> None:
    for nibble in range(16):
        low = nibble
        high = 0
        for _ in range(4):
            carry = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if carry:
                low ^= 0x8320
                high ^= 0xEDB8
        TABLE[2 * nibble] = low
        TABLE[2 * nibble + 1] = high


_fill_table()
_VALUE = bytearray(4)


def crc_into(data: "bytes | bytearray | memoryview", start: int, end: int, value) -> None:
    """Carry the CRC-32 in `value` (4 bytes, little-endian) on over data[start:end]; four zeros begin a new
    one.
    """
    low = (value[0] | value[1] << 8) ^ 0xFFFF
    high = (value[2] | value[3] << 8) ^ 0xFFFF
    table = TABLE
    for index in range(start, end):
        low ^= data[index]
        for _ in range(2):
            place = (low & 15) << 1
            low = (low >> 4 | (high & 15) << 12) ^ table[place]
            high = high >> 4 ^ table[place + 1]
    low ^= 0xFFFF
    high ^= 0xFFFF
    value[0] = low & 255
    value[1] = low >> 8
    value[2] = high & 255
    value[3] = high >> 8


def digits_into(data: "bytes | bytearray | memoryview", start: int, end: int, digits) -> None:
    """CRC-32 of data[start:end] as 8 lower-case hex digits into the bytearray `digits`."""
    value = _VALUE
    value[0] = value[1] = value[2] = value[3] = 0
    crc_into(data, start, end, value)
    for place in range(4):
        byte = value[3 - place]
        digits[2 * place] = _hex_digit(byte >> 4)
        digits[2 * place + 1] = _hex_digit(byte & 15)


def _hex_digit(value):
    return 48 + value if value < 10 else 87 + value
