"""CRC-32 over bytes, carried on from where it stood, a nibble at a time: 16 words of tables."""

from array import array

_LOW = array("H", [0] * 16)
_HIGH = array("H", [0] * 16)


def _fill_tables() -> None:
    for index in range(16):
        low = index
        high = 0
        for _ in range(4):
            carry = low & 1
            low = low >> 1 | (high & 1) << 15
            high >>= 1
            if carry:  # polynomial 0xEDB88320, as on the link
                low ^= 0x8320
                high ^= 0xEDB8
        _LOW[index] = low
        _HIGH[index] = high


_fill_tables()


def crc_into(data: "bytes | bytearray | memoryview", start: int, end: int, value) -> None:
    """Carry the CRC-32 in `value` (4 bytes, little-endian) on over data[start:end]; four zeros begin a new
    one. Allocates nothing. The driver has a faster one.
    """
    low = (value[0] | value[1] << 8) ^ 0xFFFF
    high = (value[2] | value[3] << 8) ^ 0xFFFF
    for index in range(start, end):
        low ^= data[index]
        for _ in range(2):
            slot = low & 15
            low = (low >> 4 | (high & 15) << 12) ^ _LOW[slot]
            high = high >> 4 ^ _HIGH[slot]
    low ^= 0xFFFF
    high ^= 0xFFFF
    value[0] = low & 255
    value[1] = low >> 8
    value[2] = high & 255
    value[3] = high >> 8
