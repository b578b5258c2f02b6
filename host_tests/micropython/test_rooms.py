"""The rooms on MicroPython's unix port print what they print on CPython: the same files, another machine."""

import subprocess
import sys
from pathlib import Path

import pytest
import thecal
from thecal_bench.unixport import micropython_command

ROOMS = Path(__file__).with_name("rooms.py")
FIRMWARE = Path(str(thecal.__file__)).parents[1]


@pytest.mark.req("SIM-02", "DOSE-01", "DOSE-04", "LNK-01", "OCC-01", "OCC-02")
def test_the_rooms_compute_the_same_on_micropython_as_on_cpython():
    printed = [
        subprocess.run([*command, ROOMS, FIRMWARE], capture_output=True, text=True, check=True).stdout
        for command in ([sys.executable], [micropython_command()])
    ]
    on_cpython, on_micropython = (text.splitlines() for text in printed)
    assert on_cpython == on_micropython
    assert len(on_cpython) > 700
