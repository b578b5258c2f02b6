"""Looks for PyPy and runs a scenario in it, as `runner.run_scenario` does on the in-process board."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import thecal
from thecal_model.link import LinkClient

from thecal_bench.bench import Bench
from thecal_bench.runner import RunError, RunResult, run_scenario
from thecal_bench.scenario import Scenario

COMMAND = "pypy3"
CHILD = ("-m", "thecal_bench.pypy.child")
LEAST = (3, 9)
"""Debian 12 has PyPy as a Python 3.9."""

LONG_MS = 6 * 3_600_000
"""A run of less is over before PyPy has compiled what it runs."""

TOOLS = Path(__file__).resolve().parents[2]
FIRMWARE = Path(str(thecal.__file__)).resolve().parents[1]


@cache
def find() -> str | None:
    """The path of a PyPy that can run the pump, or None."""
    path = shutil.which(COMMAND)
    if path is None:
        return None
    program = f"import sys; sys.exit(sys.version_info < {LEAST} or sys.implementation.name != 'pypy')"
    return path if subprocess.run([path, "-c", program], check=False).returncode == 0 else None


@cache
def find_or_tell() -> str | None:
    """`find`, for a long run: what is missing is said once, on standard error."""
    path = find()
    if path is None:
        print(
            f"a long run, and no {COMMAND} of Python {LEAST[0]}.{LEAST[1]} or newer: it goes on without, "
            f"slower (Debian's package {COMMAND})",
            file=sys.stderr,
        )
    return path


def environment() -> dict[str, str]:
    """What a PyPy needs to find the very sources that run here, and a reader of TOML, which Python has from
    3.11 on: pip brings one along.
    """
    pip = importlib.util.find_spec("pip")
    places = [str(FIRMWARE), str(TOOLS)]
    if pip is not None and pip.origin is not None:
        places.append(str(Path(pip.origin).parent / "_vendor"))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


def order(scenario: Scenario, every_ms: int | None = None, keep_ledger: bool = False) -> bytes:
    """What a child is sent for one run; it takes any number."""
    return pickle.dumps((scenario, every_ms, keep_ledger), protocol=4)  # every Python since 3.4 reads it


class PypyRun:
    """One run. Iterate over it for the records; afterwards there are `summary`, `expect_failed`, and
    `canonical` if `keep_ledger` asked for it. What stops a run here (RunError, BenchError) is raised.
    """

    def __init__(
        self,
        scenario: Scenario,
        every_ms: int | None = None,
        progress: Callable[[int, int], object] | None = None,
        keep_ledger: bool = False,
    ) -> None:
        self._order = order(scenario, every_ms, keep_ledger)
        self._progress = progress
        self._summary: dict[str, Any] | None = None
        self.canonical: bytes | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        path = find()
        if path is None:
            raise RunError(f"there is no {COMMAND}")
        with subprocess.Popen(
            [path, *CHILD],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as child:
            try:
                assert child.stdin and child.stdout
                child.stdin.write(self._order)
                child.stdin.close()
                for line in child.stdout:
                    record = self._take(*json.loads(line))
                    if record is not None:
                        yield record
            except BaseException:
                child.kill()
                raise
        if child.returncode or self._summary is None:
            raise RunError(f"{COMMAND} ended with {child.returncode} in the middle of the run")

    def _take(self, what: str, *words: Any) -> dict[str, Any] | None:
        if what == "record":
            if words[0]["type"] == "summary":
                self._summary = words[0]
            return words[0]
        if what == "raised":
            raise pickle.loads(bytes.fromhex(words[0]))
        if what == "ledger":
            self.canonical = words[0].encode()
        elif self._progress is not None:
            self._progress(*words)
        return None

    @property
    def summary(self) -> dict[str, Any]:
        """The last record. RunError while the run is not finished."""
        if self._summary is None:
            raise RunError("the run is not finished: there is no summary yet")
        return self._summary

    @property
    def expect_failed(self) -> int:
        """How many expectations did not hold."""
        return self.summary["expect_failed"]


def run_anywhere(
    on: str,
    scenario: Scenario,
    bench: Bench,
    every_ms: int | None,
    progress: Callable[[int, int], object] | None,
) -> RunResult | PypyRun:
    """A run on `bench`, or in PyPy instead if the bench is the in-process board (`on` "host"), the run is a
    long one and there is a PyPy. A bench that is not used stays as it was.
    """
    if on == "host" and scenario.duration_ms >= LONG_MS and find_or_tell():
        return PypyRun(scenario, every_ms, progress)
    return run_scenario(scenario, bench, LinkClient(bench.send), every_ms=every_ms, progress=progress)
