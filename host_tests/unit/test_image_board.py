"""The board definitions: the nets are where the wiring has them, and start-up never formats the flash."""

import argparse
import re
import sys
import types

import pytest
from image import build

# The wiring, written down a second time on purpose: boards on desks are wired like this.
WIRING = {
    "STEP": 2,
    "DIR": 3,
    "EN": 4,
    "STEP_SENSE": 5,
    "ENCODER": 6,
    "INDEX": 7,
    "AIR": 8,
    "DRIVER_FAULT": 9,
    "BUZZER": 10,
    "BUZZER_SENSE": 11,
    "LED_RED": 12,
    "LED_YELLOW": 13,
    "LED_CYAN": 14,
    "BUTTON_PATIENT": 16,
    "BUTTON_STOP": 17,
    "MAINTENANCE": 18,
    "LED": 25,
    "PRESSURE_DOWN": 26,
    "PRESSURE_UP": 27,
    "SUPPLY": 28,
}


# What the radio of a Pico W has to itself, by the SDK's boards/pico_w.h: power, data, chip select, clock.
RADIO = {23, 24, 25, 29}
WIRINGS = {
    "THECAL_PICO": WIRING,
    "THECAL_PICO_W": {net: gpio for net, gpio in WIRING.items() if net != "LED"},
}
each_board = pytest.mark.parametrize("board", build.boards())


def nets(board: str) -> list[tuple[str, str]]:
    rows = (build.BOARDS / board / "pins.csv").read_text().splitlines()
    pairs = [row.split(",") for row in rows if row and not row.startswith("#")]
    return [(net, gpio) for net, gpio in pairs]


@pytest.mark.req("SIM-01", "RIG-07")
@each_board
def test_nets_are_on_the_pins_that_boards_are_wired_to(board):
    assert dict(nets(board)) == {net: f"GPIO{gpio}" for net, gpio in WIRINGS[board].items()}
    assert len(nets(board)) == len(WIRINGS[board])  # no net twice


@pytest.mark.req("RIG-07")
def test_the_radio_of_a_pico_w_keeps_its_pins():
    assert not RADIO & set(WIRINGS["THECAL_PICO_W"].values())
    here = build.BOARDS / "THECAL_PICO_W"
    made = "".join((here / name).read_text() for name in ("mpconfigboard.cmake", "mpconfigboard.h"))
    assert "CYW43" not in made and "NETWORK" not in made


@pytest.mark.req("RIG-07")
@each_board
def test_a_board_is_pins_and_header_and_the_rest_is_shared(board):
    """What `make test` sees of a board that only `make test-long` builds and boots."""
    here = build.BOARDS / board
    suffixes = {path.suffix for path in here.iterdir()}
    assert suffixes == {".csv", ".h", ".cmake", ".json", ".md"}  # no line of firmware
    header, cmake = ((here / f"mpconfigboard.{suffix}").read_text() for suffix in ("h", "cmake"))
    assert '#include "../common/board.h"' in header
    assert "include(${CMAKE_CURRENT_LIST_DIR}/../common/board.cmake)" in cmake
    sdk_board = re.search(r'^set\(PICO_BOARD "(\w+)"\)$', cmake, re.MULTILINE)
    assert sdk_board and board == f"THECAL_{sdk_board[1].upper()}"


def test_a_board_that_is_not_there_is_named():
    with pytest.raises(build.BuildError, match="'THECAL_PICO_2'; boards/ has THECAL_PICO, THECAL_PICO_W"):
        build.thecal("THECAL_PICO_2")


def test_two_boards_share_no_file_of_their_making():
    pico, pico_w = (build.thecal(board) for board in WIRINGS)
    assert pico.build != pico_w.build and pico.log != pico_w.log and pico.running != pico_w.running
    assert build.uf2_of("THECAL_PICO").name == "thecal-pico.uf2"
    assert build.record_of("THECAL_PICO_W").name == "thecal-pico-w.json"


@pytest.mark.req("SEC-04")
@each_board
def test_the_two_images_of_a_board_share_no_file_of_their_making(board):
    bench, release = build.thecal(board), build.thecal(board, release=True)
    assert bench.build != release.build and bench.log != release.log and bench.running != release.running
    assert build.uf2_of(board, release=True).name == build.file_name(board) + "-release.uf2"
    assert build.record_of(board, release=True) != build.record_of(board)


@pytest.mark.req("SEC-04")
def test_the_release_image_differs_in_one_file_of_the_firmware():
    """The rest of the difference is what is left out (release.h) and where MicroPython goes then."""
    release = build.BOARDS / "common" / "release"
    (replaced,) = [path.relative_to(release) for path in release.rglob("*.py")]
    theirs, ours = {}, {}
    exec((release / replaced).read_text(), theirs)
    exec((build.ROOT / "firmware" / replaced).read_text(), ours)
    assert theirs["RELEASE"] is True and ours["RELEASE"] is False
    public = [{name for name in each if name[0] != "_"} for each in (theirs, ours)]
    assert public == [{"RELEASE"}] * 2


@pytest.mark.parametrize(("text", "release"), [("", False), ("0", False), ("1", True)])
def test_which_image_is_meant_is_said_by_a_digit(text, release):
    parser = argparse.ArgumentParser()
    build.add_release(parser)
    assert (parser.parse_args([f"--release={text}"]).release == "1") is release
    for wrong in ("yes", "2", "true"):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--release={wrong}"])


@pytest.mark.req("SIM-01", "RIG-07")
def test_firmware_names_only_nets_of_every_board():
    used = set()
    for source in (build.ROOT / "firmware").rglob("*.py"):
        used.update(re.findall(r"Pin\.board\.(\w+)", source.read_text()))
    assert used, "the firmware names no nets; does it number its pins?"
    assert all(used <= wiring.keys() for wiring in WIRINGS.values())


def test_share_of_the_flash_is_the_same_in_header_and_build():
    header = (build.BOARDS / "common" / "board.h").read_text()
    defined = re.search(r"#define MICROPY_HW_FLASH_STORAGE_BYTES \((\d+) \* 1024\)", header)
    assert defined and int(defined[1]) * 1024 == build.STORAGE_BYTES


class Flash:
    """Stands in for rp2.Flash."""


def run_boot(monkeypatch: pytest.MonkeyPatch, lfs2, mount) -> list[str]:
    """Runs _boot.py with stand-ins for the port's modules; returns the module path it leaves behind."""
    monkeypatch.setitem(sys.modules, "rp2", types.SimpleNamespace(Flash=Flash))
    monkeypatch.setitem(sys.modules, "vfs", types.SimpleNamespace(VfsLfs2=lfs2, mount=mount))
    search = ["", ".frozen", "/lib"]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", search)
        exec((build.BOARDS / "common" / "modules/_boot.py").read_text(), {})
    return search


class Lfs2:
    """Stands in for vfs.VfsLfs2 over a flash with or without a filesystem; formatting is an offence."""

    sound = True

    def __init__(self, device, progsize):
        assert isinstance(device, Flash)
        assert progsize == 256  # a whole page, as the SDK programs it
        if not self.sound:
            raise OSError(19)

    @staticmethod
    def mkfs(*_):
        raise AssertionError("_boot.py formats the flash")


@pytest.mark.req("REC-05")
def test_a_flash_without_a_sound_filesystem_is_left_alone(monkeypatch):
    class Damaged(Lfs2):
        sound = False

    mounted = []
    assert run_boot(monkeypatch, Damaged, lambda *args: mounted.append(args)) == [".frozen"]
    assert mounted == []


@pytest.mark.req("REC-05")
def test_not_even_a_sound_filesystem_is_mounted(monkeypatch):
    """The flash behind the image is the journal's."""
    mounted = []
    assert run_boot(monkeypatch, Lfs2, lambda fs, place: mounted.append((type(fs), place))) == [".frozen"]
    assert mounted == []
