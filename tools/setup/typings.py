"""Puts MicroPython's type stubs into build/typings, for the checks of firmware/ (run by `make check`).

The stubs are those pinned in pyproject.toml. They describe MicroPython's standard library too, which is why
they stay out of .venv: the firmware is checked against what the board has, everything else against CPython.
`Pin.board` gets the nets that all our boards have, in place of the pin names of a bare Pico.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TYPINGS = ROOT / "build/typings"


def main() -> None:
    """Installs the stubs anew and adapts them."""
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["typings"]
    shutil.rmtree(TYPINGS, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "--target",
        TYPINGS,
    ]
    subprocess.run([*command, *pins], check=True)

    boards = [path.read_text().splitlines() for path in (ROOT / "boards").glob("*/pins.csv")]
    nets = [{row.partition(",")[0] for row in rows if row and not row.startswith("#")} for rows in boards]
    board = "    class board:\n" + "".join(f"        {net}: Pin\n" for net in sorted(set.intersection(*nets)))
    machine = TYPINGS / "machine.pyi"
    adapted, count = re.subn(r"    class board:\n(?:        .*\n)+", board, machine.read_text())
    if count != 1:
        sys.exit(f"{machine}: expected one `class board`, found {count}; have the stubs changed?")
    machine.write_text(adapted)
    (TYPINGS / ".ready").touch()


if __name__ == "__main__":
    main()
