"""Runs the programs that build the image: output into a log, progress to the terminal."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PERCENT = re.compile(rb"^\[ *(\d+)%\]")
LOG_LINES_SHOWN = 25
# What a compiler may see of the caller's environment: CFLAGS, MAKEFLAGS, PICO_BOARD, BUILD and their like
# would all change the image without leaving a trace in its record.
COMPILER_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


class BuildError(Exception):
    """The image cannot be built; the text says what to do about it."""


def run_script(main: Callable[[], None]) -> None:
    """`main` of a script that builds an image: what goes wrong ends it with a line that says so."""
    try:
        main()
    except BuildError as error:
        sys.exit(f"image: {error}")
    except KeyboardInterrupt:
        sys.exit("\nimage: stopped; the next run goes on from here")


def compiler_environment(**more: str) -> dict[str, str]:
    """A small, known environment for compilers, in English, with `more` added."""
    kept = {name: os.environ[name] for name in COMPILER_ENVIRONMENT if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def run(
    label: str,
    command: Sequence[str | Path],
    log: Path,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Runs `command`, its output appended to `log`; shows `label`, percentages if it prints any, seconds.

    Raises BuildError with the end of the log when the command fails or does not exist.
    """
    show = Progress(label)
    with log.open("ab") as out:
        out.write(f"\n=== {label}: {' '.join(map(str, command))}\n".encode())
        out.flush()
        start = out.tell()
        try:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except FileNotFoundError as error:
            raise BuildError(f"{command[0]} is not installed; `make setup` brings it") from error
        with child:
            assert child.stdout is not None
            for line in child.stdout:
                out.write(line)
                match = PERCENT.match(line)
                show.tick(int(match[1]) if match else None)
    if child.returncode:
        show.end("FAILED")
        lines = log.read_bytes()[start:].decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise BuildError("\n".join([*lines, f"{label} failed, the whole log is {log}"]))
    show.end(f"{show.seconds():.1f} s")


def output(command: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Standard output of a short command, or "" if it is not there or fails."""
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


class Progress:
    """One line on a terminal that counts up; elsewhere a line at the start and one per quarter."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.started_s = time.monotonic()
        self.percent = 0
        self.is_terminal = sys.stdout.isatty()
        print(f"image: {label} ...", end="" if self.is_terminal else "\n", flush=True)

    def seconds(self) -> float:
        """Wall time since the start."""
        return time.monotonic() - self.started_s

    def tick(self, percent: int | None) -> None:
        """Something has been done; `percent` of all, if that is known."""
        quarter = self.percent // 25
        self.percent = max(self.percent, percent or 0)
        if self.is_terminal:
            share = f" {self.percent} %," if self.percent else ""
            print(f"\rimage: {self.label} ...{share} {self.seconds():.0f} s", end="", flush=True)
        elif quarter < self.percent // 25 < 4:
            print(f"image: {self.label} ... {self.percent} %", flush=True)

    def end(self, how: str) -> None:
        """Closes the line, saying `how` it ended."""
        start, erase = ("\r", "\x1b[K") if self.is_terminal else ("", "")
        print(f"{start}image: {self.label}: {how}{erase}", flush=True)
