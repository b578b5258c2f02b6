"""Runs under MicroPython's unix port: a file that is rewritten for each record, on littlefs over a counted
flash.

Arguments: number of records, bytes of each, sectors. Prints the erases and the programmed bytes.
"""

import sys

import vfs  # pyright: ignore[reportMissingImports]

SECTOR = 4096
PROGRAM = 256


class Flash:
    """A block device in memory, of the geometry that MicroPython's rp2 port gives its filesystem."""

    def __init__(self, sectors):
        self.image = bytearray(b"\xff" * (sectors * SECTOR))
        self.erases = 0
        self.programmed_bytes = 0

    def readblocks(self, block, data, offset=0):
        start = block * SECTOR + offset
        data[:] = self.image[start : start + len(data)]

    def writeblocks(self, block, data, offset=0):
        start = block * SECTOR + offset
        self.image[start : start + len(data)] = data
        self.programmed_bytes += len(data)

    def ioctl(self, what, block):
        if what == 4:
            return len(self.image) // SECTOR
        if what == 5:
            return SECTOR
        if what == 6:
            self.image[block * SECTOR : (block + 1) * SECTOR] = b"\xff" * SECTOR
            self.erases += 1
        return 0


def main(records, record_bytes, sectors):
    flash = Flash(sectors)
    vfs.VfsLfs2.mkfs(flash, progsize=PROGRAM)
    files = vfs.VfsLfs2(flash, progsize=PROGRAM)
    flash.erases = flash.programmed_bytes = 0
    for number in range(records):
        file = files.open("state", "wb")
        file.write(bytes([number & 255]) * record_bytes)
        file.close()
    print(flash.erases, flash.programmed_bytes)


main(*[int(argument) for argument in sys.argv[1:]])
