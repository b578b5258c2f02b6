"""The modelled flash does what a NOR flash does, and nothing else."""

import random

import pytest
from thecal_bench.flash_model import PAGE, SECTOR, WAYS, FlashError, FlashModel


def test_programming_clears_bits_and_sets_none():
    flash = FlashModel(1)
    flash.program(300, b"\xf0\x0f")
    flash.program(300, b"\x3c\xff")
    assert flash.image[299:303] == b"\xff\x30\x0f\xff"


def test_erasing_sets_all_bits_of_one_sector():
    flash = FlashModel(3)
    for sector in range(3):
        flash.program(sector * SECTOR + 9, b"\x00")
    flash.erase(SECTOR)
    assert [flash.image[sector * SECTOR + 9] for sector in range(3)] == [0, 255, 0]
    assert flash.erases == [0, 1, 0]
    assert flash.programmed_bytes == [1, 1, 1]
    assert flash.commands == 4


@pytest.mark.parametrize("offset, length", [(250, 7), (0, 257), (-1, 1), (2 * SECTOR - 1, 2), (0, 0)])
def test_what_the_chip_can_not_program_is_refused(offset, length):
    flash = FlashModel(2)
    with pytest.raises(FlashError):
        flash.program(offset, bytes(length))
    assert flash.image == b"\xff" * (2 * SECTOR) and flash.commands == 0


@pytest.mark.parametrize("offset", [1, 256, -SECTOR, 2 * SECTOR])
def test_an_erase_begins_on_a_sector(offset):
    with pytest.raises(FlashError):
        FlashModel(2).erase(offset)


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_program_leaves_something_between_before_and_after(way):
    data = random.Random(1).randbytes(100)
    seen = set()
    for seed in range(60):
        flash = FlashModel(1)
        flash.cut_program(PAGE + 7, data, way, seed)
        left = bytes(flash.image[PAGE + 7 : PAGE + 107])
        assert all(got | byte == got for got, byte in zip(left, data, strict=True))
        assert flash.image[: PAGE + 7] + flash.image[PAGE + 107 :] == b"\xff" * (SECTOR - 100)
        seen.add(left)
    assert len(seen) > 30


@pytest.mark.parametrize("way", WAYS)
def test_a_cut_erase_sets_bits_only(way):
    old = random.Random(2).randbytes(SECTOR)
    seen = set()
    for seed in range(10):
        flash = FlashModel(2)
        flash.image[SECTOR:] = old
        flash.cut_erase(SECTOR, way, seed)
        assert all(got & byte == byte for got, byte in zip(flash.image[SECTOR:], old, strict=True))
        seen.add(bytes(flash.image))
    assert len(seen) > 3


def test_weak_bits_read_anew_at_each_power_on_until_they_are_made_solid():
    flash = FlashModel(1)
    flash.cut_program(0, bytes(64), "weak", 1)

    def readings() -> int:
        seen = set()
        for seed in range(40):
            flash.power_on(seed)
            seen.add(bytes(flash.image[:64]))
        return len(seen)

    assert readings() > 10
    flash.program(0, bytes(32))
    assert readings() > 10 and not any(flash.image[:32])
    flash.program(32, bytes(32))
    assert readings() == 1 and not any(flash.image[:64])
    flash.cut_program(64, bytes(64), "weak", 1)
    flash.erase(0)
    assert readings() == 1 and flash.image == b"\xff" * SECTOR


def test_a_fork_goes_its_own_way():
    flash = FlashModel(1)
    other = flash.fork()
    other.program(0, b"\x00")
    assert flash.image[0] == 255 and flash.commands == 0
