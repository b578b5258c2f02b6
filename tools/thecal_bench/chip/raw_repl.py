"""MicroPython's raw prompt, spoken to a board in simulated time.

Only for boards that stay at the prompt (MAINTENANCE held low). Programs are typed as a computer would
type them; the answer comes back in simulated time.
"""

from __future__ import annotations

from .board import EmulatedBoard

__all__ = ("ProgramFailed", "RawRepl")

CTRL_A, CTRL_B, CTRL_C, CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
BANNER = b"raw REPL; CTRL-B to exit\r\n>"


class ProgramFailed(Exception):
    """The typed program ended with an exception; the text is its traceback."""


class RawRepl:
    """The raw prompt of a booted board. Takes over the board's serial port."""

    def __init__(self, board: EmulatedBoard, limit_ms: float = 2_000) -> None:
        self.board = board
        self._received = bytearray()
        board.on_data = self._received.extend
        board.send(b"\r" + CTRL_C + CTRL_C + CTRL_A)
        self._receive_until(BANNER, limit_ms, "the raw prompt")

    def start(self, program: str) -> None:
        """Start a program and leave it running. `result` waits for its end."""
        self._received.clear()
        self.board.send(program.encode() + CTRL_D)

    def result(self, limit_ms: float = 10_000) -> str:
        """What the started program has printed by its end. Raises ProgramFailed, TimeoutError."""
        answer = self._receive_until(CTRL_D + b">", limit_ms, "the end of the program")
        accepted, _, rest = answer.partition(b"OK")
        if accepted or not rest:
            raise ProgramFailed(f"the prompt did not take the program: {answer!r}")
        printed, errors = rest[: -len(CTRL_D + b">")].split(CTRL_D)
        if errors:
            raise ProgramFailed(errors.decode(errors="replace"))
        return printed.decode(errors="replace").replace("\r\n", "\n")

    def run(self, program: str, limit_ms: float = 10_000) -> str:
        """Run a program to its end and give what it printed."""
        self.start(program)
        return self.result(limit_ms)

    @property
    def printed(self) -> bytes:
        """What has come from the board since `start`, protocol bytes among it."""
        return bytes(self._received)

    def _receive_until(self, end: bytes, limit_ms: float, what: str) -> bytes:
        self.board.run_until(lambda: self._received.endswith(end), limit_ms, what)
        answer = bytes(self._received)
        self._received.clear()
        return answer
