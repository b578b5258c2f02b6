"""What is written beside the UF2: which firmware it is, what it was made from and by what, and its hash."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .process import output

# What ends up in an image, with a board's own folder. The rest of the repository may change without it.
INPUTS = ("firmware", "boards/common", "tools/image")
PAGES = ".md"  # but for what is only read by people
TOOLS = ("arm-none-eabi-gcc", "arm-none-eabi-ld", "cmake", "cc")


@dataclass
class Record:
    """The record of one image; `build/image/thecal-pico.json`, for one, is this, key by key."""

    product: str
    version: str
    board: str
    release: bool  # the image without a prompt
    left_out: list[str]  # options of MicroPython that it does without
    commit: str  # of this repository; "" where git does not know
    modified: bool  # whether firmware, board or build differ from that commit
    micropython: str
    how: str
    sources: list[dict[str, str]]
    toolchain: dict[str, str]
    inputs_sha256: str
    uf2: dict[str, Any]  # file, bytes, sha256
    flash: dict[str, int]  # image_bytes, limit_bytes

    def is_of(self, uf2: Path) -> bool:
        """Whether `uf2` is there and is the file this was written for."""
        return self.uf2["sha256"] == file_sha256(uf2)

    def write(self, path: Path) -> None:
        """Writes the record whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(path)


def load(path: Path) -> Record | None:
    """The record at `path`, or None if there is none of this form."""
    try:
        return Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def file_sha256(path: Path) -> str:
    """Hash of a file, "" if there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def inputs_sha256(root: Path, toolchain: dict[str, str], board: str) -> str:
    """One hash over all that this repository and the machine's tools bring into the image of a board."""
    digest = hashlib.sha256(json.dumps(toolchain, sort_keys=True).encode())
    for folder in (*INPUTS, f"boards/{board}"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix != PAGES and "__pycache__" not in path.parts:
                digest.update(f"\0{path.relative_to(root).as_posix()}\0{file_sha256(path)}".encode())
    return digest.hexdigest()


def tool_versions() -> dict[str, str]:
    """First line of `--version` of each tool that shapes the image."""
    return {tool: output([tool, "--version"]).partition("\n")[0] for tool in TOOLS}


def firmware_version(root: Path) -> str:
    """The firmware's version, from where the firmware itself has it."""
    text = (root / "firmware/thecal/version.py").read_text()
    match = re.search(r'^VERSION = "([^"]+)"', text, re.MULTILINE)
    if not match:
        raise ValueError('firmware/thecal/version.py has no line VERSION = "..."')
    return match[1]


def left_out(root: Path) -> list[str]:
    """What a release image does without, from the header that switches it off."""
    text = (root / "boards/common/release.h").read_text()
    return re.findall(r"^#define (\w+) \(0\)", text, re.MULTILINE)


def micropython_version(tree: Path) -> str:
    """MicroPython's version: what git says of a checkout, else what the sources say."""
    if (tree / ".git").exists() and (
        described := output(["git", "describe", "--tags", "--dirty", "--always"], tree)
    ):
        return described.removeprefix("v")
    text = (tree / "py/mpconfig.h").read_text()
    parts = [
        re.search(rf"#define MICROPY_VERSION_{part} (\d+)", text) for part in ("MAJOR", "MINOR", "MICRO")
    ]
    return ".".join(part[1] for part in parts if part)


def commit(root: Path, board: str) -> tuple[str, bool]:
    """This repository's commit, and whether what goes into the image of a board differs from it."""
    head = output(["git", "rev-parse", "HEAD"], root)
    asked = [
        "git",
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--",
        *INPUTS,
        f"boards/{board}",
        f":!*{PAGES}",
    ]
    return head, bool(head) and bool(output(asked, root))
