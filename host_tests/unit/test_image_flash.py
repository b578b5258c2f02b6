"""Putting the image on a board: finding the drive of a Pico, and telling success from failure."""

import os
import pty
import threading
from dataclasses import fields
from typing import Any

import pytest
from image import build, flash, record
from image.flash import FlashError


def drive(folder, board: str):
    folder.mkdir()
    (folder / flash.VOLUME_INFO).write_text(
        f"UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: {board}\n"
    )
    return folder


def test_drives_of_picos_are_found_among_mount_points(tmp_path):
    pico = drive(tmp_path / "Jürgens Pico", "RPI-RP2")
    other = drive(tmp_path / "other", "SAMD21G18A-Feather-v0")
    mounts = tmp_path / "mounts"
    escaped = str(pico).replace(" ", "\\040")
    mounts.write_text(
        f"proc /proc proc rw 0 0\n/dev/sdb1 {escaped} vfat rw 0 0\n/dev/sdc1 {other} vfat rw 0 0\n"
    )
    assert flash.volumes(flash.mount_points(mounts)) == [pico]


def test_drives_on_a_mac_are_found(tmp_path):
    pico = drive(tmp_path / "RPI-RP2", "RPI-RP2")
    assert flash.volumes(flash.mount_points(tmp_path / "no such file", tmp_path)) == [pico]


def test_image_is_taken_when_the_drive_goes_away(tmp_path):
    pico = drive(tmp_path / "pico", "RPI-RP2")
    uf2 = tmp_path / "image.uf2"
    uf2.write_bytes(b"UF2" * 1000)
    # A board restarts by itself once it has the last block.
    restart = threading.Timer(0.3, (pico / flash.VOLUME_INFO).unlink)
    restart.start()
    flash.copy(uf2, pico, wait_s=30)
    restart.join()
    assert (pico / "image.uf2").read_bytes() == uf2.read_bytes()


def test_a_drive_that_stays_is_a_failure(tmp_path):
    pico = drive(tmp_path / "pico", "RPI-RP2")
    uf2 = tmp_path / "image.uf2"
    uf2.write_bytes(b"UF2")
    with pytest.raises(FlashError, match="has not taken the image"):
        flash.copy(uf2, pico, wait_s=0)


def test_a_port_without_a_prompt_is_told_about_the_jumper(tmp_path, capsys):
    with pytest.raises(FlashError, match="MAINTENANCE jumper"):
        flash.to_bootloader(str(tmp_path / "ttyNONE"))
    assert "ttyNONE" in capsys.readouterr().out


@pytest.mark.req("SEC-04")
def test_a_port_without_a_prompt_is_told_how_a_release_image_is_replaced(tmp_path):
    with pytest.raises(
        FlashError, match=r"release image gives no prompt with the jumper either.*\n.*BOOTSEL"
    ):
        flash.to_bootloader(str(tmp_path / "ttyNONE"))


def test_a_pump_that_talks_on_does_not_hold_us_up(monkeypatch):
    monkeypatch.setattr(flash, "PROMPT_WAIT_S", 3)
    board, port = pty.openpty()
    ended = threading.Event()

    def talk():
        while not ended.wait(0.05):
            os.write(board, b'{"type":"status"} 00000000\n')

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        with pytest.raises(FlashError, match="MAINTENANCE jumper"):
            flash.to_bootloader(os.ttyname(port))
    finally:
        ended.set()
        talking.join()
        os.close(board)
        os.close(port)


@pytest.mark.req("RIG-07")
def test_a_missing_image_of_another_board_is_named_with_the_way_to_build_it(monkeypatch):
    monkeypatch.setattr("sys.argv", ["flash", "--board", "THECAL_PICO_W"])
    monkeypatch.setattr(build, "WORK", flash.ROOT / "build" / "no such folder")
    with pytest.raises(FlashError, match=r"thecal-pico-w.uf2 .* run `make image BOARD=THECAL_PICO_W`"):
        flash.main()


@pytest.mark.req("SEC-04")
@pytest.mark.parametrize("release", ["0", "1"])
def test_who_puts_a_release_image_on_a_board_hears_how_the_next_one_goes(
    monkeypatch, tmp_path, capsys, release
):
    monkeypatch.setattr("sys.argv", ["flash", "--release", release])
    monkeypatch.setattr(build, "WORK", tmp_path)
    uf2 = build.uf2_of(release=release == "1")
    uf2.write_bytes(b"UF2")
    made: Any = record.Record(**dict.fromkeys(field.name for field in fields(record.Record)))  # type: ignore
    made.version, made.uf2 = "1.2.3", {"sha256": record.file_sha256(uf2)}
    made.write(build.record_of(release=release == "1"))
    pico = drive(tmp_path / "pico", "RPI-RP2")
    monkeypatch.setattr(flash, "mount_points", lambda: [pico])
    monkeypatch.setattr(flash, "REBOOT_WAIT_S", 30)
    restart = threading.Timer(0.3, (pico / flash.VOLUME_INFO).unlink)
    restart.start()
    flash.main()
    restart.join()
    assert (pico / uf2.name).read_bytes() == b"UF2"
    assert ("the next image goes by BOOTSEL" in capsys.readouterr().out) == (release == "1")


def test_a_missing_release_image_is_named_with_the_way_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["flash", "--release", "1"])
    monkeypatch.setattr(build, "WORK", flash.ROOT / "build" / "no such folder")
    with pytest.raises(FlashError, match=r"thecal-pico-release.uf2 .* run `make image RELEASE=1`"):
        flash.main()
