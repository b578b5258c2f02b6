"""The journal's flash: what MicroPython's port keeps for files, used raw, behind the image in the same chip.

`obey` carries out one order of `record.journal` after the tick and reads it back from the memory-mapped
flash; `done` and `ok` are for the next tick. The processor stands still meanwhile, interrupts masked: up to 3
ms for a page, up to 400 ms for a sector (data sheet of the Pico's W25Q16JV: 0.4 to 3 ms, 45 to 400 ms). PIO
goes on.
"""

import micropython
import rp2

from ..record.layout import ERASE, NOTHING, PAGE, SECTOR

ERASE_BLOCK = 6  # ioctl of a block device


class FlashError(Exception):
    """An order outside of the region, or over the end of a page: a fault of the program."""


class Flash:
    """The first `region_bytes` of the port's storage; `image` is what they read as."""

    def __init__(self, region_bytes: int) -> None:
        # The port refuses a region that is no whole number of sectors, or larger than the storage.
        self.device = rp2.Flash(start=0, len=region_bytes)  # type: ignore  # the stubs know neither ...
        self.image = memoryview(self.device)  # type: ignore  # ... this nor that it is a buffer
        self.region_bytes = region_bytes
        self.done = False
        self.ok = False

    def obey(self, command) -> None:
        """Carry out the journal's command, if there is one. Raises FlashError. Allocates nothing."""
        self.done = False
        kind = command.kind
        if kind == NOTHING:
            return
        offset = command.offset
        length = command.length
        place = offset % PAGE
        if not 0 <= offset < offset + length <= self.region_bytes:
            raise FlashError("%d bytes at %d: the region has %d" % (length, offset, self.region_bytes))
        if kind == ERASE:
            if offset % SECTOR or length != SECTOR:
                raise FlashError("erase %d bytes at %d: no sector" % (length, offset))
            self.device.ioctl(ERASE_BLOCK, offset // SECTOR)
            self.ok = blank(self.image, offset, offset + length)
        else:
            if place + length > PAGE:
                raise FlashError("%d bytes at %d: over the end of a page" % (length, offset))
            start = offset - place
            self.device.writeblocks(start // SECTOR, command.data, start % SECTOR)
            self.ok = same(self.image, offset, command.data, place, length)
        self.done = True


@micropython.viper
def blank(image: ptr8, start: int, end: int) -> bool:  # type: ignore  # noqa: F821
    """Whether image[start:end] is all ones."""
    while start < end:
        if image[start] != 255:
            return False
        start += 1
    return True


@micropython.viper
def same(image: ptr8, offset: int, data: ptr8, place: int, length: int) -> bool:  # type: ignore  # noqa: F821
    """Whether image[offset : offset + length] is data[place : place + length]."""
    while length > 0:
        length -= 1
        if image[offset + length] != data[place + length]:
            return False
    return True
