"""The region of the flash that the journal has, as it reads: what in it is valid, what is blank.

A record is believed if it lies within its sector, belongs to the ring that it stands in, ends with its CRC
and is of this format's version. An event is believed if its CRC goes on from one that is.
"""

import struct

from .layout import BLANK, KINDS, PAGE, RESIDUE, SEQUENCE_AT, UNIT, VERSION, ZEROS


class Region:
    """`image` is any object whose bytes can be indexed and sliced. `torn` counts what is neither blank nor
    valid, `newer` and `older` say whether there is a record of another version.
    """

    def __init__(self, crc, sector_bytes: int) -> None:
        self.crc = crc
        self.sector_bytes = sector_bytes
        self.image = b""
        self.torn = 0
        self.newer = self.older = False
        self.seed = bytearray(4)  # the CRC that the last event looked at goes on from
        self._value = bytearray(4)
        self._blank_sector = b""

    def begin(self, image) -> None:
        """Before all of it is read."""
        self.image = image
        self.torn = 0
        self.newer = self.older = False
        self._blank_sector = b"\xff" * self.sector_bytes

    def end(self) -> None:
        """All of it is read."""
        self._blank_sector = b""

    def digest(self, data: bytes, start: int, end: int):
        """The CRC-32 of data[start:end], 4 bytes that hold until it is asked again."""
        value = self._value
        value[0] = value[1] = value[2] = value[3] = 0
        self.crc(data, start, end, value)
        return value

    def valid(self, at: int, end: int, number: int):
        """The units of the record at `at`, 0 if there is no valid one of ring `number`."""
        image = self.image
        if image[at + 2] != number:
            return 0
        units = image[at + 1]
        stop = at + units * UNIT
        if units == 0 or stop > end or self.digest(image, at, stop) != RESIDUE:
            return 0
        if image[at + 3] != VERSION:  # another layout: no number in it means what it would here
            if image[at + 3] > VERSION:
                self.newer = True
            else:
                self.older = True
            return 0
        kind = image[at]
        return units if 0 < kind < len(KINDS) and KINDS[kind][0] == units else 0

    def sequence(self, at: int):
        """The sequence number of the record there."""
        return struct.unpack_from("<I", self.image, at + SEQUENCE_AT)[0]

    def follows(self, at, seed, seed_at):
        """Whether the unit at `at` is an event whose CRC goes on from seed[seed_at:]."""
        value = self._value
        for index in range(4):
            value[index] = self.seed[index] = seed[seed_at + index]
        self.crc(self.image, at, at + UNIT, value)
        return value == RESIDUE

    def in_use(self, start: int) -> bool:
        """Whether there is anything in the sector that begins there: most need no closer look."""
        return self.image[start : start + self.sector_bytes] != self._blank_sector

    def blank(self, start: int, end: int) -> bool:
        """Whether nothing is written from `start` to `end`."""
        image = self.image
        while start < end:
            stop = min(start + PAGE, end)
            if image[start:stop] != BLANK[: stop - start]:
                return False
            start = stop
        return True

    def zeros(self, at: int) -> bool:
        """Whether the unit there was closed."""
        return self.image[at : at + UNIT] == ZEROS
