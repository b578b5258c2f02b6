"""The seal of an image: its length and CRC-32, in flash where the firmware finds them (SAFE-02).

A UF2 is a row of blocks of 512 bytes, each with 256 bytes of flash and the address they go to. `seal` adds a
block for the last page of the image's share: mark, length, low and high half of the CRC, 32 bits each, little
endian (`firmware/thecal/drivers/memory.py` reads them).
"""

import struct
import zlib

BLOCK_BYTES = 512
HEADER = "<8I"  # two magic numbers, flags, address, bytes, number, how many there are, family
PAGE_BYTES = 256
FIRST_MAGIC, SECOND_MAGIC, LAST_MAGIC = 0x0A324655, 0x9E5D5157, 0x0AB16F30
MARK = int.from_bytes(b"SEAL", "little")


class SealError(Exception):
    """The UF2 is not what is expected; the message says where."""


def seal(uf2: bytes, image: bytes, address: int) -> bytes:
    """The UF2 with a block more, at `address`, that seals `image`. Raises SealError."""
    blocks = [bytearray(uf2[at : at + BLOCK_BYTES]) for at in range(0, len(uf2), BLOCK_BYTES)]
    for number, block in enumerate(blocks):
        header = struct.unpack_from(HEADER, block)
        if header[:2] != (FIRST_MAGIC, SECOND_MAGIC) or header[5:7] != (number, len(blocks)):
            raise SealError(f"block {number} of {len(blocks)} of the UF2 says {header[5]} of {header[6]}")
        if header[3] + header[4] > address:
            raise SealError(f"block {number} of the UF2 reaches {header[3] + header[4]:#x}, above the seal")
        struct.pack_into("<I", block, 24, len(blocks) + 1)
    crc = zlib.crc32(image)
    page = struct.pack("<4I", MARK, len(image), crc & 0xFFFF, crc >> 16).ljust(PAGE_BYTES, b"\xff")
    first = struct.unpack_from(HEADER, blocks[0])
    header = struct.pack(HEADER, *first[:3], address, PAGE_BYTES, len(blocks), len(blocks) + 1, first[7])
    last = (header + page).ljust(BLOCK_BYTES - 4, b"\0") + struct.pack("<I", LAST_MAGIC)
    return b"".join([*blocks, last])
