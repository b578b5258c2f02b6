"""Whether the memories hold what was put into them: the free heap, and the image in flash (SAFE-02, SAFE-08).

RAM. `heap_holds_patterns` takes the largest free piece of the heap that it gets and writes each word of it
with two patterns that are each other's complement, and then with its own address, so that lines that are
stuck, joined or not connected show. It covers that piece alone (about half of the heap before the pump is
built), not the stack, the interpreter's own data or what the heap holds already: what the dose depends on
there is kept twice (`words.py`).

Flash. `make image` writes length and CRC-32 of the image into the last page of its share of the flash. The
CRC is computed at the start, and again while the pump runs, `SLICE_BYTES` in a tick.

Nothing here allocates after construction but what runs once, `heap_holds_patterns` and `sound`.
"""

# pyright: reportUndefinedVariable=false

import binascii
import gc

import micropython
import uctypes
from machine import mem32

from . import fast_crc

FLASH = 0x1000_0000
RECORD = FLASH + 640 * 1024 - 256  # as in tools/image/seal.py: mark, length, low and high half of the CRC
MARK = 0x4C41_4553  # "SEAL"
LEAST_BYTES = 256
MOST_BYTES = 640 * 1024 - 256
SLICE_BYTES = 64  # 15 us; the whole image in about eleven minutes
LEAST_HEAP_BYTES = 1_024


@micropython.viper
def _pattern_holds(data: ptr8, words: int, first: int) -> bool:  # type: ignore  # noqa: F821
    place = ptr32(data)  # type: ignore  # noqa: F821
    at = 0
    while at < words:
        place[at] = first
        at += 1
    at = 0
    while at < words:
        if place[at] != first:
            return False
        place[at] = first ^ -1
        at += 1
    at = 0
    while at < words:
        if place[at] != first ^ -1:
            return False
        place[at] = at
        at += 1
    at = 0
    while at < words:
        if place[at] != at:
            return False
        at += 1
    return True


@micropython.viper
def _is_sealed(state: ptr32, halves: ptr32) -> bool:  # type: ignore  # noqa: F821
    return state[0] ^ -1 == halves[0] | halves[1] << 16


def heap_holds_patterns():
    """Whether the largest free piece of the heap holds what is written into it."""
    gc.collect()
    size = gc.mem_free()
    while size >= LEAST_HEAP_BYTES:
        try:
            piece = bytearray(size)
        except MemoryError:
            size = size * 3 // 4
            continue
        return _pattern_holds(piece, size // 4, 0x5555_5555)
    return False


class Image:
    """The image in flash, looked at slice by slice."""

    def __init__(self) -> None:
        length = mem32[RECORD + 4] & 0x3FFF_FFFF
        self.sealed = mem32[RECORD] == MARK and LEAST_BYTES <= length <= MOST_BYTES
        self.end = length
        self.state = fast_crc.state()
        self._begin()

    def _begin(self) -> None:
        self.at = 0
        self.state[0] = -1

    def sound(self) -> bool:
        """Look at all of it, at the start: whether it is as it was built."""
        if not self.sealed:
            return False
        crc = binascii.crc32(uctypes.bytearray_at(FLASH, self.end))  # 8 times faster, and allocates
        return crc & 0xFFFF == mem32[RECORD + 8] and crc >> 16 == mem32[RECORD + 12]

    def look(self):
        """Look at the next slice. False if that was the last one and the image is not as it was built."""
        if not self.sealed:
            return False
        end = self.at + SLICE_BYTES
        if end < self.end:
            fast_crc.carry_on(self.state, FLASH, self.at, end)
            self.at = end
            return True
        fast_crc.carry_on(self.state, FLASH, self.at, self.end)
        right = _is_sealed(self.state, RECORD + 8)
        self._begin()
        return right
