"""`make image [BOARD=...] [RELEASE=1]`: MicroPython with the firmware frozen in, as a UF2 and its record.

`main` reads from top to bottom. Everything is kept in build/image: `src` (MicroPython, from Debian), `build`
(CMake's folder), `build.log`, and the two results; another board than the Pico, and the release image, which
has no prompt, have a folder of their own there for the middle two. A run that finds nothing to do ends in a
fraction of a second; a changed .py is frozen and linked anew; a run that was killed is not built upon. The
same inputs give the same UF2, wherever the repository lies and whenever it is built.
"""

import argparse
import fcntl
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from . import debian, record, seal
from .process import BuildError, compiler_environment, run, run_script

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "image"
BOARDS = ROOT / "boards"
BOARD = "THECAL_PICO"  # unless another is asked for
CROSS_COMPILER = WORK / "build" / "mpy-cross" / "mpy-cross"

RP2040_FAMILY_ID = "0xE48BFF56"
FLASH_START = "0x10000000"
FLASH_BYTES = 2048 * 1024  # of a Raspberry Pi Pico
STORAGE_BYTES = 1408 * 1024  # MICROPY_HW_FLASH_STORAGE_BYTES in boards/common/board.h


@dataclass(frozen=True)
class Target:
    """What is built, and the folder in which it is kept."""

    work: Path
    board: str
    board_dir: Path | None = None  # None: the port's own
    manifest: Path | None = None  # None: the one that the board names
    release: bool = False

    @property
    def build(self) -> Path:
        return self.work / "build"

    @property
    def firmware(self) -> Path:
        return self.build / "firmware"

    @property
    def log(self) -> Path:
        return self.work / "build.log"

    @property
    def running(self) -> Path:
        """While this file is there a compiler may have been killed half way through a file; make would take
        it for a whole one.
        """
        return self.work / ".compiling"


def thecal(board: str, release: bool = False) -> Target:
    """The pump's image for one of `boards`. Raises BuildError if there is no such board."""
    if board not in boards():
        raise BuildError(f"there is no board {board!r}; boards/ has {', '.join(boards())}")
    is_first = board == BOARD and not release
    return Target(
        WORK if is_first else WORK / file_name(board, release), board, BOARDS / board, None, release
    )


def boards() -> list[str]:
    """The boards that an image can be built for: each is a folder of boards/."""
    return sorted(path.parent.name for path in BOARDS.glob("*/mpconfigboard.cmake"))


def file_name(board: str, release: bool = False) -> str:
    """What the files of an image are called: thecal-pico, or thecal-pico-release, for THECAL_PICO."""
    return board.lower().replace("_", "-") + ("-release" if release else "")


def uf2_of(board: str = BOARD, release: bool = False) -> Path:
    """Where the image for a board is, once it is built."""
    return WORK / f"{file_name(board, release)}.uf2"


def record_of(board: str = BOARD, release: bool = False) -> Path:
    """Where the record of that image is."""
    return uf2_of(board, release).with_suffix(".json")


def add_release(parser: argparse.ArgumentParser) -> None:
    """Which of a board's two images is meant."""
    parser.add_argument(
        "--release",
        default="0",
        type=lambda text: text or "0",  # `make image RELEASE=`
        choices=("0", "1"),
        help="1: the image without a prompt (default: the one for the bench)",
    )


@dataclass
class Sources:
    """Trees the image is compiled from; `None` means the one inside MicroPython's own tree."""

    micropython: Path
    pico_sdk: Path | None
    library: Path | None
    packages: list[debian.SourcePackage]
    how: str
    epoch_s: str | None  # date that goes into the image, so that it does not depend on the day of the build
    version: str


def main() -> None:
    """Builds the image that is named on the command line, by default the Pico's for the bench."""
    started_s = time.monotonic()
    arguments = argparse.ArgumentParser(prog="image")
    arguments.add_argument("board", nargs="?", default=BOARD)
    add_release(arguments)
    given = arguments.parse_args()
    board, is_release = given.board, given.release == "1"
    target, uf2, beside = thecal(board, is_release), uf2_of(board, is_release), record_of(board, is_release)
    if " " in str(ROOT):
        raise BuildError(f"MicroPython's build cannot work below a folder with a space in its name: {ROOT}")
    target.work.mkdir(parents=True, exist_ok=True)
    with (WORK / ".lock").open("w") as lock:
        wait_for(lock)
        checkout = os.environ.get("MICROPYTHON_DIR", "")
        toolchain = record.tool_versions()
        inputs = record.inputs_sha256(ROOT, toolchain, board)
        last = record.load(beside)
        if not checkout and last and last.inputs_sha256 == inputs and last.is_of(uf2):
            last.commit, last.modified = record.commit(
                ROOT, board
            )  # both can change while the image does not
            last.write(beside)
            print(f"image: {uf2.relative_to(ROOT)} is up to date (Thecal {last.version})")
            return

        target.log.write_bytes(b"")
        sources = find_sources(checkout, target.log)
        binary = compile_target(target, sources, toolchain, inputs)
        _write_sealed_uf2(target, sources, binary)
        commit, modified = record.commit(ROOT, board)
        made = record.Record(
            product="thecal",
            version=record.firmware_version(ROOT),
            board=board,
            release=is_release,
            left_out=record.left_out(ROOT) if is_release else [],
            commit=commit,
            modified=modified,
            micropython=sources.version,
            how=sources.how,
            sources=[asdict(package) for package in sources.packages],
            toolchain=toolchain,
            # What a checkout brings in is not hashed, so its image is never taken for up to date.
            inputs_sha256="" if checkout else inputs,
            uf2={"file": uf2.name, "bytes": uf2.stat().st_size, "sha256": record.file_sha256(uf2)},
            flash={"image_bytes": binary.stat().st_size, "limit_bytes": FLASH_BYTES - STORAGE_BYTES},
        )
        made.write(beside)
    print(
        f"image: {uf2.relative_to(ROOT)} made in {time.monotonic() - started_s:.0f} s: Thecal {made.version},"
        f" MicroPython {made.micropython}, {made.flash['image_bytes']} bytes of {made.flash['limit_bytes']}"
    )


def wait_for(lock) -> None:
    """One build at a time."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("image: another build is at work here, waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def find_sources(checkout: str, log: Path) -> Sources:
    """Those of a checkout, if there is one, else Debian's."""
    return _sources_of_checkout(Path(checkout)) if checkout else _sources_of_debian(log)


def _sources_of_debian(log: Path) -> Sources:
    trees, packages = debian.sources(WORK, log)
    micropython = trees["micropython"]
    # Debian's MicroPython comes without the libraries of others; it is given the two it needs.
    for link, tree in (("tinyusb", trees["tinyusb-source"]), ("mbedtls", trees["mbedtls"])):
        place = micropython / "lib" / link
        if not place.is_symlink():
            shutil.rmtree(place, ignore_errors=True)
            place.symlink_to(os.path.relpath(tree, place.parent))
    # Nothing is taken from micropython-lib, but the build asks where it is.
    library = WORK / "src" / "no-library"
    library.mkdir(exist_ok=True)
    (library / "README.md").touch()
    return Sources(
        micropython=micropython,
        pico_sdk=trees["pico-sdk"],
        library=library,
        packages=packages,
        how=f"source packages of Debian {debian.SUITE}",
        epoch_s=str(int((micropython / "py/mpconfig.h").stat().st_mtime)),
        version=record.micropython_version(micropython),
    )


def _sources_of_checkout(checkout: Path) -> Sources:
    checkout = checkout.expanduser().resolve()
    if not (checkout / "ports/rp2/CMakeLists.txt").is_file():
        raise BuildError(
            f"MICROPYTHON_DIR={checkout} is not a MicroPython source tree (no ports/rp2/CMakeLists.txt)"
        )
    needed = {
        "pico-sdk": "pico_sdk_init.cmake",
        "tinyusb": "src/tusb.h",
        "mbedtls": "library",
        "micropython-lib": "README.md",
    }
    for library, file in needed.items():
        if not (checkout / "lib" / library / file).exists():
            raise BuildError(
                f"{checkout}/lib/{library} is empty; fetch the checkout's submodules first:\n"
                f"    make -C {checkout}/ports/rp2 BOARD=RPI_PICO submodules"
            )
    return Sources(
        micropython=checkout,
        pico_sdk=None,
        library=None,
        packages=[],
        how="MICROPYTHON_DIR",
        epoch_s=None,
        version=record.micropython_version(checkout),
    )


def compile_target(target: Target, sources: Sources, toolchain: dict[str, str], inputs: str) -> Path:
    """Compiles mpy-cross, unless it is there, and the target; returns the raw binary."""
    environment, configure = _environment(sources), _configure_command(target, sources)
    # What CMake's folder was made for. If that is another place, tool, tree or option, or if its making was
    # killed, it is of no use: CMake remembers absolute paths, and make trusts whatever file is new enough.
    made_for = f"{configure}\n{environment}\n{toolchain}\n{sources.packages}\n"
    stamp = target.build / ".made-for"
    if target.running.exists() or not stamp.is_file() or stamp.read_text() != made_for:
        shutil.rmtree(target.build, ignore_errors=True)
        target.build.mkdir(parents=True)
        stamp.write_text(made_for)
    # The build looks at dates only: it would keep a file that was deleted, or replaced by an older one.
    frozen_for = target.build / ".frozen-for"
    if not frozen_for.is_file() or frozen_for.read_text() != inputs:
        shutil.rmtree(target.firmware / "frozen_mpy", ignore_errors=True)
        (target.firmware / "frozen_content.c").unlink(missing_ok=True)

    make = ["make", f"-j{os.cpu_count() or 1}", "-C"]
    target.running.touch()
    try:
        if not CROSS_COMPILER.is_file():
            command = [*make, sources.micropython / "mpy-cross", f"BUILD={CROSS_COMPILER.parent}"]
            run("compiling mpy-cross", command, target.log, WORK, environment)
        if not (target.firmware / "Makefile").is_file():
            run("configuring", configure, target.log, WORK, environment)
        label = f"compiling MicroPython for {target.board}"
        run(label, [*make, target.firmware], target.log, WORK, environment)
    except BuildError:
        target.running.unlink()  # a compiler that fails by itself cleans up after itself
        raise
    target.running.unlink()
    frozen_for.write_text(inputs)
    return target.firmware / "firmware.bin"


def _environment(sources: Sources) -> dict[str, str]:
    # Paths of this machine stay out of the image. As CMake options the flags would take the place of the
    # SDK's own.
    no_paths = f"-ffile-prefix-map={sources.micropython}=micropython -ffile-prefix-map={ROOT}=thecal"
    flags = {name: no_paths for name in ("CFLAGS", "CXXFLAGS", "ASMFLAGS")}
    environment = compiler_environment(MICROPY_MPYCROSS=str(CROSS_COMPILER), **flags)
    if sources.epoch_s is not None:
        # Debian's tree has no history of its own: git would answer with the history of this repository.
        environment["MICROPY_GIT_TAG"] = f"v{sources.version}"
        environment["SOURCE_DATE_EPOCH"] = sources.epoch_s
    return environment


def _configure_command(target: Target, sources: Sources) -> list[str | Path]:
    options: dict[str, object] = {
        "MICROPY_BOARD": target.board,
        "MICROPY_BOARD_DIR": target.board_dir or sources.micropython / "ports/rp2/boards" / target.board,
        "PICO_NO_PICOTOOL": 1,  # only needed to make the UF2, which uf2conv.py does
        "Python3_EXECUTABLE": sys.executable,
    }
    if target.release:
        options["THECAL_RELEASE"] = 1
    if target.manifest:
        options["MICROPY_FROZEN_MANIFEST"] = target.manifest
    if sources.pico_sdk:
        options["PICO_SDK_PATH_OVERRIDE"] = sources.pico_sdk
    if sources.library:
        options["MICROPY_LIB_DIR"] = sources.library
    definitions = [f"-D{name}={value}" for name, value in options.items()]
    return ["cmake", "-S", sources.micropython / "ports/rp2", "-B", target.firmware, *definitions]


def write_uf2(target: Target, sources: Sources, binary: Path, uf2: Path) -> None:
    """The raw binary as a UF2."""
    converter = sources.micropython / "tools/uf2conv.py"
    options = ["-f", RP2040_FAMILY_ID, "-b", FLASH_START, "-c", "-o", uf2, binary]
    run("writing the UF2", [sys.executable, converter, *options], target.log, WORK, compiler_environment())


def _write_sealed_uf2(target: Target, sources: Sources, binary: Path) -> None:
    share = FLASH_BYTES - STORAGE_BYTES - seal.PAGE_BYTES
    if binary.stat().st_size > share:
        raise BuildError(f"the image has {binary.stat().st_size} bytes, {share} are its share")
    uf2 = uf2_of(target.board, target.release)
    partial = uf2.with_suffix(".partial")
    write_uf2(target, sources, binary, partial)
    sealed = seal.seal(partial.read_bytes(), binary.read_bytes(), int(FLASH_START, 16) + share)
    partial.write_bytes(sealed)
    partial.replace(uf2)


if __name__ == "__main__":
    run_script(main)
