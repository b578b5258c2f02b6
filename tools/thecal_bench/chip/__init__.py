"""The board with an emulated RP2040: the very image that is flashed, in simulated time.

Start with `board.EmulatedBoard`. `usb_host` and `pio_clock` mend two things that the emulator gets wrong
and whose docstrings say how; `nets` is the wiring, `plant_wiring` puts the pump's mechanics on it,
`recorders` is the logic analyser, `raw_repl` types programs at the prompt, `bench` is this board as a
bench of the scenario runner, and `serve` gives it to serial programs as a pty and a TCP port.
"""

from .board import EmulatedBoard
from .raw_repl import ProgramFailed, RawRepl
from .recorders import Edge, EdgeRecorder, Segment, SegmentRecorder

__all__ = (
    "Edge",
    "EdgeRecorder",
    "EmulatedBoard",
    "ProgramFailed",
    "RawRepl",
    "Segment",
    "SegmentRecorder",
)
