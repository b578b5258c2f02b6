"""The seal of an image: a block more in the UF2; nothing else changes but how many blocks there are."""

import struct
import zlib

import pytest
from image import seal

ADDRESS = 0x1009_FF00


def uf2_of(image, count=None):
    pages = [image[at : at + 256].ljust(256, b"\0") for at in range(0, len(image), 256)]
    blocks = []
    for number, page in enumerate(pages):
        header = (seal.FIRST_MAGIC, seal.SECOND_MAGIC, 0x2000, 0x1000_0000 + 256 * number, 256, number)
        packed = struct.pack(seal.HEADER, *header, count or len(pages), 0xE48B_FF56)
        blocks.append((packed + page).ljust(508, b"\0") + struct.pack("<I", seal.LAST_MAGIC))
    return b"".join(blocks)


@pytest.mark.req("SAFE-02")
def test_a_seal_adds_one_block_with_length_and_crc():
    image = bytes(range(256)) * 3 + b"the end"
    plain = uf2_of(image)
    sealed = seal.seal(plain, image, ADDRESS)
    assert len(sealed) == len(plain) + 512
    assert sealed[: len(plain)] == uf2_of(image, count=5)
    last = struct.unpack_from(seal.HEADER, sealed, len(plain))
    assert last == (seal.FIRST_MAGIC, seal.SECOND_MAGIC, 0x2000, ADDRESS, 256, 4, 5, 0xE48B_FF56)
    mark, length, low, high = struct.unpack_from("<4I", sealed, len(plain) + 32)
    assert (mark, length, low | high << 16) == (0x4C41_4553, len(image), zlib.crc32(image))
    assert sealed[-4:] == struct.pack("<I", seal.LAST_MAGIC)


@pytest.mark.parametrize(
    ("spoil", "address", "said"),
    [
        (lambda uf2: uf2[512:], ADDRESS, "block 0 of 3 of the UF2 says 1 of 4"),
        (lambda uf2: uf2, 0x1000_0200, "block 2 of the UF2 reaches 0x10000300, above the seal"),
        (lambda uf2: b"X" + uf2[1:], ADDRESS, "block 0 of 4"),
    ],
)
def test_a_uf2_that_is_something_else_is_refused(spoil, address, said):
    image = bytes(1000)
    with pytest.raises(seal.SealError, match=said):
        seal.seal(spoil(uf2_of(image)), image, address)
