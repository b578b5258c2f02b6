"""The board's wiring as the bench sees it: which net is on which GPIO, and what hangs on it.

`load_nets` reads the `pins.csv` of a board definition, so that a net has one number in one place; `pins_of`
finds it for an image. The rest is what the schematic adds outside the chip: the resistors and the two
jumper wires.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

__all__ = ("EXTERNAL_PULL_UPS", "WIRES", "load_nets", "pins_of")

BOARDS = Path(__file__).resolve().parents[3] / "boards"
PICO = "THECAL_PICO"

# Nets with a resistor to 3.3 V on the board: they read high until something pulls them low. EN's keeps
# the motor driver off while the pins of a chip in reset are undefined.
EXTERNAL_PULL_UPS = frozenset({"EN"})

# Jumper wires, from an output to the input that listens to it.
WIRES = (("STEP", "STEP_SENSE"), ("BUZZER", "BUZZER_SENSE"))


def pins_of(uf2: Path) -> Path:
    """The `pins.csv` of the board that `uf2` was built for: the record beside it says so. Without one, the
    Pico's.
    """
    record = uf2.with_suffix(".json")
    board = json.loads(record.read_text())["board"] if record.is_file() else PICO
    return BOARDS / board / "pins.csv"


def load_nets(pins_csv: Path) -> dict[str, int]:
    """The GPIO number of each net named in a MicroPython `pins.csv` (`NAME,GPIOn` per line).

    Raises ValueError, naming the line, if a line says neither a GPIO nor another net's name.
    """
    nets: dict[str, int] = {}
    with pins_csv.open(newline="") as lines:
        for number, row in enumerate(csv.reader(lines), start=1):
            cells = [cell.strip() for cell in row]
            if not cells or not cells[0] or cells[0].startswith("#"):
                continue
            if len(cells) < 2 or not cells[1].startswith("GPIO") or not cells[1][4:].isdigit():
                found = ",".join(row)
                raise ValueError(f"{pins_csv}, line {number}: expected NAME,GPIOn and found {found!r}")
            nets[cells[0]] = int(cells[1][4:])
    return nets
