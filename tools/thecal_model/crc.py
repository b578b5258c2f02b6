"""The CRC-32 of the link and of the journal (zlib's) in the two forms in which the pump writes it."""

from __future__ import annotations

import zlib


def digits(data: bytes | memoryview) -> bytes:
    """As it stands on a line: eight lowercase hex digits."""
    return b"%08x" % zlib.crc32(data)


def carried_on(data: bytes | memoryview, seed: bytes | bytearray) -> bytes:
    """As it stands in the flash: four bytes, the lowest first, going on from the CRC `seed`."""
    return zlib.crc32(data, int.from_bytes(seed, "little")).to_bytes(4, "little")
