"""The emulator as it was compiled here against its own plain Python: the same instructions, the same life.

tools/setup/emulator.patch takes what is slow out of the compiled one, and may change nothing else. The first
20 ms of the image are half a million instructions, with interrupts, the clocks' start and the USB's, and both
must come out of each millisecond alike. PIO is left to the bare emulator: `ClockedPio` is made for the
compiled one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.chip

PROGRAM = """
import sys, zlib
from pathlib import Path
from rp2040py.cortex_m0_core import CortexM0Core
from thecal_bench.chip import EmulatedBoard

board = EmulatedBoard(Path(sys.argv[1]), mend_pio=False)
core = board.mcu.core
print(CortexM0Core.__module__)
for ms in range(1, 21):
    board.run_until_ns(ms * 1_000_000)
    print(board.now_ns, core.cycles, core.x_psr, *core.registers, zlib.crc32(bytes(board.mcu.sram)))
"""


def lives(image: Path, *, compiled: bool) -> tuple[str, list[str]]:
    """The module that the processor is of, and what it was after each millisecond."""
    environment = {**os.environ, "RP2040PY_SKIP_CYTHON": "" if compiled else "1"}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(image)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    module, *states = done.stdout.splitlines()
    return module, states


@pytest.mark.req("SIM-03")
def test_the_compiled_emulator_lives_as_its_plain_python_does(image):
    by, states = lives(image, compiled=True)
    plain, expected = lives(image, compiled=False)
    assert by != plain
    assert len(set(expected)) == 20
    assert states == expected
