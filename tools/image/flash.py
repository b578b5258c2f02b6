"""`make flash` and `make deploy PORT=...`: puts the built image on a Pico that lies on the desk.

A Pico takes an image as a file copied onto a USB drive named RPI-RP2. It offers that drive when its BOOTSEL
button is held while it is plugged in (`make flash`), or when a program asks for it (`make deploy`). A board
that runs the pump gives nobody a prompt to ask from, so for `deploy` its MAINTENANCE jumper has to be fitted.
A board with the release image has no prompt at all: it takes another image by BOOTSEL only.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .build import BOARD, ROOT, add_release, boards, record_of, uf2_of
from .record import load

VOLUME_INFO = "INFO_UF2.TXT"
VOLUME_BOARD = "RPI-RP2"
PROMPT_WAIT_S = 15
VOLUME_WAIT_S = 30
REBOOT_WAIT_S = 10

BOOTSEL_HELP = """\
No Pico in BOOTSEL mode is mounted here.
  1. Unplug the Pico from USB, and the motor supply from the driver.
  2. Hold the BOOTSEL button of the Pico and plug it in again; then let go.
     A drive named RPI-RP2 appears.
  3. Run `make flash` again, or copy the file yourself:
     {uf2}
Where drives are not mounted by themselves: udisksctl mount -b /dev/disk/by-label/RPI-RP2"""

MAINTENANCE_HELP = """\
{port} did not give a MicroPython prompt.
  1. Unplug the Pico, fit the MAINTENANCE jumper (GP18 to ground), plug it in again: the pump stays off.
  2. Close every other program that uses {port}.
  3. Run `make deploy PORT={port}` again.
  4. Take the jumper off and plug the Pico in again to run the pump.
A board with the release image gives no prompt with the jumper either, and one without any Thecal image or
MicroPython has none: both want BOOTSEL, `make flash`."""

RELEASE_HELP = "flash: from now on this board gives no prompt; the next image goes by BOOTSEL: `make flash`"


class FlashError(Exception):
    """The image could not be put on a board; the text says what to do."""


def mount_points(mounts: Path = Path("/proc/mounts"), mac_volumes: Path = Path("/Volumes")) -> list[Path]:
    """Where file systems are mounted, on Linux and macOS."""
    if mounts.is_file():
        fields = [line.split() for line in mounts.read_text().splitlines()]
        # A space in a path stands there as \040.
        paths = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), field[1]) for field in fields]
        return [Path(path) for path in paths]
    return sorted(mac_volumes.glob("*"))


def volumes(places: list[Path]) -> list[Path]:
    """Those of `places` that are the drive of a Pico in BOOTSEL mode."""
    found = []
    for place in places:
        try:
            info = (place / VOLUME_INFO).read_text(errors="replace")
        except OSError:
            continue  # most mount points are something else, and some are not ours to read
        if f"Board-ID: {VOLUME_BOARD}" in info:
            found.append(place)
    return found


def copy(uf2: Path, volume: Path, wait_s: float = REBOOT_WAIT_S) -> None:
    """Copies the image; the board restarts by itself with the last block, which takes the drive away."""
    print(f"flash: copying {uf2.name} to {volume}", flush=True)
    failure = None
    try:
        shutil.copyfile(uf2, volume / uf2.name)
    except OSError as error:
        failure = error  # the drive may vanish before the file is closed
    deadline_s = time.monotonic() + wait_s
    while (volume / VOLUME_INFO).exists():
        if time.monotonic() > deadline_s:
            raise FlashError(
                f"the drive {volume} did not go away, so the board has not taken the image ({failure})"
            )
        time.sleep(0.2)


def to_bootloader(port: str) -> None:
    """Asks the MicroPython prompt on `port` for BOOTSEL mode."""
    print(f"flash: asking the board on {port} for its boot loader", flush=True)
    command = [sys.executable, "-m", "mpremote", "connect", port, "bootloader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROMPT_WAIT_S)
        said = (done.stdout + done.stderr).strip().splitlines()[-1:] if done.returncode else None
    except (
        subprocess.TimeoutExpired
    ):  # a pump that runs talks on, and mpremote listens as long as anything comes
        said = []
    if said is not None:
        raise FlashError("\n".join([*said, MAINTENANCE_HELP.format(port=port)]))


def main() -> None:
    """Puts the image on the one board that is there for it."""
    arguments = argparse.ArgumentParser(
        prog="flash", description=__doc__.partition("\n")[0] if __doc__ else None
    )
    arguments.add_argument("--port", help="serial port of a board at the MicroPython prompt")
    arguments.add_argument(
        "--board", default=BOARD, choices=boards(), help="whose image (default: %(default)s)"
    )
    add_release(arguments)
    given = arguments.parse_args()
    port, is_release = given.port, given.release == "1"
    uf2 = uf2_of(given.board, is_release)
    made = load(record_of(given.board, is_release))
    if made is None or not made.is_of(uf2):
        named = "" if given.board == BOARD else f" BOARD={given.board}"
        how = f"make image{named}{' RELEASE=1' if is_release else ''}"
        raise FlashError(f"{uf2.relative_to(ROOT)} is missing or is not what its record says; run `{how}`")

    wait_s = 0
    if port is not None:
        if not port:
            raise FlashError(
                "say which port: make deploy PORT=/dev/ttyACM0 (`.venv/bin/thecal ports` lists them)"
            )
        to_bootloader(port)
        wait_s = VOLUME_WAIT_S
        print(f"flash: waiting up to {wait_s} s for the drive {VOLUME_BOARD}", flush=True)
    deadline_s = time.monotonic() + wait_s
    while not (found := volumes(mount_points())) and time.monotonic() < deadline_s:
        time.sleep(0.5)
    if len(found) > 1:
        raise FlashError(f"more than one Pico is in BOOTSEL mode, leave one: {', '.join(map(str, found))}")
    if found:
        copy(uf2, found[0])
    elif shutil.which("picotool") and not subprocess.run(["picotool", "load", "-v", "-x", uf2]).returncode:
        pass  # picotool reaches a board whose drive is not mounted, and says so itself
    else:
        raise FlashError(BOOTSEL_HELP.format(uf2=uf2))
    print(f"flash: done, the board starts Thecal {made.version} (image {made.uf2['sha256'][:12]})")
    if is_release:
        print(RELEASE_HELP)


if __name__ == "__main__":
    try:
        main()
    except FlashError as error:
        sys.exit(f"flash: {error}")
    except KeyboardInterrupt:
        sys.exit("\nflash: stopped")
