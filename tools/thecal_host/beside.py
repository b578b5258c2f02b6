"""`thecal` in a process beside this one, which ends with this one, however that ends: even by SIGKILL.

Its standard input is a pipe that nobody writes to. The kernel closes it with the process that holds the other
end; the one beside waits for that, and then asks itself to end, as a friendly kill would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

END_S = 10.0


@contextmanager
def beside(*arguments: str, stdout: int, stderr: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """`thecal` with these arguments in a process of its own, which ends with the context."""
    command = [sys.executable, "-m", "thecal_host.beside", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _end_with_input() -> None:
    # Not by sys.stdin, whose lock a thread that still reads would keep from the end of the interpreter.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """The process beside."""
    threading.Thread(target=_end_with_input, daemon=True, name="beside").start()
    from thecal_host import cli

    cli.main()


if __name__ == "__main__":
    main()
