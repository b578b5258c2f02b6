"""The built image and the record beside it, and when an image counts as up to date."""

import json
import struct
from pathlib import Path

import pytest
from image import build, record

UF2_BLOCK = struct.Struct("<IIIIIIII")
FLASH_START = 0x1000_0000


@pytest.fixture(scope="module", params=[False, True], ids=["bench", "release"])
def made(request) -> record.Record:
    path = build.record_of(release=request.param)
    found = record.load(path)
    how = "make image RELEASE=1" if request.param else "make image"
    assert found is not None, f"no image's record at {path}: run `{how}` first"
    assert found.release is request.param
    return found


def uf2_of(made: record.Record) -> Path:
    return build.uf2_of(release=made.release)


def flash_bytes(uf2: bytes) -> bytes:
    """What the blocks of a UF2 put into flash, checked block by block; the last is the seal, elsewhere."""
    image = bytearray()
    for number, start in enumerate(range(0, len(uf2), 512)):
        magic, magic2, flags, address, size, block, blocks, family = UF2_BLOCK.unpack_from(uf2, start)
        assert (magic, magic2, flags) == (0x0A324655, 0x9E5D5157, 0x2000)
        assert (block, blocks, family) == (number, len(uf2) // 512, 0xE48BFF56)
        assert uf2[start + 508 : start + 512] == b"\x30\x6f\xb1\x0a"
        if block == blocks - 1:
            assert address > FLASH_START + len(image)
            break
        assert address == FLASH_START + len(image)
        image += uf2[start + 32 : start + 32 + size]
    return bytes(image)


@pytest.mark.req("SIM-01")
def test_record_is_of_the_image_beside_it(made):
    assert made.board == build.BOARD
    assert made.is_of(uf2_of(made))
    assert made.uf2["bytes"] == uf2_of(made).stat().st_size
    assert made.version == record.firmware_version(build.ROOT)
    assert made.micropython and made.how and made.toolchain["arm-none-eabi-gcc"]


@pytest.mark.req("SIM-01")
def test_image_holds_every_file_of_the_firmware(made):
    image = flash_bytes(uf2_of(made).read_bytes())
    assert made.flash["image_bytes"] <= len(image) <= made.flash["limit_bytes"]
    firmware = build.ROOT / "firmware"
    files = [path.relative_to(firmware).as_posix() for path in firmware.rglob("*.py")]
    assert "main.py" in files
    missing = [name for name in [*files, "_boot.py", "boot.py"] if f"{name}\0".encode() not in image]
    assert missing == []


def test_no_path_of_the_building_machine_is_in_the_image(made):
    if made.how == "MICROPYTHON_DIR":
        pytest.skip("a checkout may be anywhere")
    assert str(build.ROOT).encode() not in flash_bytes(uf2_of(made).read_bytes())


# What a prompt, a compiler and what calls one say, and what a program would call them by.
OF_A_PROMPT = (
    b">>> ",
    b"raw REPL; CTRL-B to exit",
    b"paste mode; Ctrl-C to cancel",
    b"unexpected indent",
    b"\0execfile\0",
    b"\0input\0",
)


@pytest.mark.req("SEC-04")
def test_only_the_bench_image_holds_a_compiler_and_a_prompt(made):
    image = flash_bytes(uf2_of(made).read_bytes())
    held = [text for text in OF_A_PROMPT if text in image]
    assert held == ([] if made.release else list(OF_A_PROMPT))


@pytest.mark.req("SEC-04")
def test_the_record_says_what_was_left_out_and_that_saves_flash(measured):
    bench, release = (record.load(build.record_of(release=release)) for release in (False, True))
    assert bench is not None and release is not None
    assert bench.left_out == [] and "MICROPY_ENABLE_COMPILER" in release.left_out
    assert len(release.left_out) == (build.BOARDS / "common" / "release.h").read_text().count("#define")
    measured((bench.flash["image_bytes"] - release.flash["image_bytes"]) / 1_000)


def sample(path: Path) -> record.Record:
    return record.Record(
        product="thecal",
        version="1.2.3",
        board="B",
        release=False,
        left_out=[],
        commit="",
        modified=False,
        micropython="1.25.0",
        how="by hand",
        sources=[],
        toolchain={},
        inputs_sha256="",
        uf2={"file": path.name, "bytes": 3, "sha256": record.file_sha256(path)},
        flash={},
    )


def test_record_round_trip_and_other_files_are_no_records(tmp_path):
    uf2 = tmp_path / "a.uf2"
    uf2.write_bytes(b"abc")
    path = tmp_path / "a.json"
    sample(uf2).write(path)
    loaded = record.load(path)
    assert loaded is not None and loaded == sample(uf2)
    assert loaded.is_of(uf2)
    uf2.write_bytes(b"abd")
    assert not loaded.is_of(uf2)
    uf2.unlink()
    assert not loaded.is_of(uf2)

    assert record.load(tmp_path / "none.json") is None
    path.write_text(path.read_text()[:40])
    assert record.load(path) is None
    path.write_text(json.dumps({"product": "thecal"}))
    assert record.load(path) is None


def test_inputs_change_with_bytes_names_and_tools(tmp_path):
    tools = {"cc": "cc 1"}
    file = tmp_path / "firmware/thecal/pump.py"
    file.parent.mkdir(parents=True)
    file.write_text("A = 1\n")
    (tmp_path / "README.md").write_text("one")
    for board in "A", "B":
        (tmp_path / "boards" / board).mkdir(parents=True)
        (tmp_path / "boards" / board / "pins.csv").write_text("STEP,GPIO2\n")
    first = record.inputs_sha256(tmp_path, tools, "A")

    (tmp_path / "README.md").write_text("two")
    (tmp_path / "firmware/README.md").write_text("for people")
    cache = tmp_path / "firmware/thecal/__pycache__"
    cache.mkdir()
    (cache / "pump.pyc").write_bytes(b"\0")
    (tmp_path / "boards/B/pins.csv").write_text("STEP,GPIO3\n")  # another board's
    assert record.inputs_sha256(tmp_path, tools, "A") == first

    seen = {first, record.inputs_sha256(tmp_path, {"cc": "cc 2"}, "A")}
    file.write_text("A = 2\n")
    seen.add(record.inputs_sha256(tmp_path, tools, "A"))
    file.rename(file.with_name("motor.py"))
    seen.add(record.inputs_sha256(tmp_path, tools, "A"))
    file.with_name("motor.py").unlink()
    seen.add(record.inputs_sha256(tmp_path, tools, "A"))
    (tmp_path / "boards/A/pins.csv").write_text("STEP,GPIO3\n")
    seen.add(record.inputs_sha256(tmp_path, tools, "A"))
    assert len(seen) == 6


def test_version_comes_from_the_firmware(tmp_path):
    (tmp_path / "firmware/thecal").mkdir(parents=True)
    version = tmp_path / "firmware/thecal/version.py"
    version.write_text('"""Doc."""\n\nVERSION = "9.8.7"\n')
    assert record.firmware_version(tmp_path) == "9.8.7"
    version.write_text("VERSION = None\n")
    with pytest.raises(ValueError, match="version.py"):
        record.firmware_version(tmp_path)
