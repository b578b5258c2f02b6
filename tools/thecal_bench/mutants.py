"""Faults planted in the firmware on purpose: would a test notice? `make mutants` plants them all.

host_tests/mutants.toml lists them. Each is one replacement in one file of firmware/thecal; the tests that
could see it are named there, by file of the firmware or by fault. `plant` puts a fault into a copy of the
tree, its tests run there, and the fault is taken out again. A fault is

    caught     a test failed, or took more CPU time than it may
    survived   they all passed: a test is missing
    argued     not run: `argument` says why it changes nothing that anybody could notice
    broken     it cannot be planted (`old` does not stand exactly once in the file), or its tests cannot
               run, or fail without it: they are all run once in a sound tree first

All but survived and broken is well. Faults of what only the chip shows (`chip = true`) need an image of their
own, two minutes each: they run with --chip.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path("host_tests") / "mutants.toml"
FIRMWARE = Path("firmware") / "thecal"

COPIED = (
    "firmware",
    "tools",
    "host_tests",
    "boards",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
)
WORKERS = 2
TIMEOUT_S = 600
"""Of CPU time: a run of tests that takes more hangs, however busy the machine is. The longest takes two
minutes.
"""

WAIT_TIMES = 6
"""A run that waits for what never comes takes none: it may last so much longer by the clock."""

CAUGHT, SURVIVED, ARGUED, BROKEN = "caught", "survived", "argued", "broken"
PASSED, FAILED, INTERRUPTED = 0, 1, 2
"""Exit statuses of pytest; `INTERRUPTED` is what a file of tests gives that cannot be imported any more."""


class MutantError(Exception):
    """A table that cannot be used; says which fault and why."""


@dataclass(frozen=True)
class Mutant:
    """One fault: in `file` (below firmware/thecal) the one occurrence of `old` becomes `new`."""

    id: str
    file: str
    old: str
    new: str
    hazard: str
    tests: tuple[str, ...] = ()
    argument: str = ""
    chip: bool = False
    slow: tuple[str, ...] = ()

    @property
    def room(self) -> str:
        """The folder that the file stands in; "hall" for those that stand in none."""
        return self.file.split("/")[0] if "/" in self.file else "hall"


@dataclass
class Verdict:
    """What came of a fault, and what there is to say of it."""

    mutant: Mutant
    outcome: str
    said: str = ""


def load(path: Path) -> list[Mutant]:
    """The faults of a table. `[tests]` there gives, by file, the tests of those that name none; `slow` those
    that are left out.
    """
    with path.open("rb") as file:
        document = tomllib.load(file)
    by_file: dict[str, list[str]] = document.get("tests", {})
    mutants: list[Mutant] = []
    for row in document["mutant"]:
        tests = tuple(row.pop("tests", by_file.get(row["file"], ())))
        mutant = Mutant(tests=tests, slow=tuple(document.get("slow", ())), **row)
        if not mutant.argument and not mutant.tests:
            raise MutantError(f"{mutant.id}: no tests are named for it or for {mutant.file}")
        if mutant.id in (other.id for other in mutants):
            raise MutantError(f"{mutant.id}: stands there twice")
        mutants.append(mutant)
    return mutants


def planted(source: str, mutant: Mutant) -> str:
    """`source` with the fault in it. MutantError unless there is exactly one place for it."""
    count = source.count(mutant.old)
    if count != 1:
        old = mutant.old.strip()
        raise MutantError(f"{mutant.id}: {old!r} stands {count} times in {mutant.file}, not once")
    return source.replace(mutant.old, mutant.new)


def copy_tree(root: Path, target: Path, with_build: bool = False) -> None:
    """What tests need of a tree."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*")
    for name in (*COPIED, "build") if with_build else COPIED:
        if (root / name).is_dir():
            ignore = None if name == "build" else ignored
            shutil.copytree(root / name, target / name, symlinks=True, ignore=ignore)
        elif (root / name).exists():
            shutil.copy2(root / name, target / name)


def try_mutant(mutant: Mutant, tree: Path, timeout_s: float = TIMEOUT_S) -> Verdict:
    """Plant it in `tree`, a copy, run its tests, take it out again."""
    if mutant.argument:
        return Verdict(mutant, ARGUED, mutant.argument)
    path = tree / FIRMWARE / mutant.file
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(planted(sound, mutant), encoding="utf-8")
    except MutantError as why:
        return Verdict(mutant, BROKEN, str(why))
    try:
        return _run(mutant, tree, timeout_s)
    finally:
        path.write_text(sound, encoding="utf-8")


def sick_tests(mutants: Sequence[Mutant], tree: Path, names: Sequence[str], timeout_s: float) -> set[str]:
    """Which of these tests do not pass in the sound tree."""
    slow = mutants[0].slow if mutants else ()
    sound = Mutant("sound", "", "", "", "", slow=slow)
    return {name for name in names if _status(sound, (name,), tree, timeout_s)[0] != PASSED}


def _run(mutant: Mutant, tree: Path, timeout_s: float) -> Verdict:
    if mutant.chip:
        built = subprocess.run(
            [sys.executable, "-m", "image.build"],
            cwd=tree,
            env=_environment(tree),
            capture_output=True,
            text=True,
        )
        if built.returncode:
            return Verdict(mutant, BROKEN, f"no image: {built.stderr.strip()[-300:]}")
    status, lines = _status(mutant, mutant.tests, tree, timeout_s)
    if status is None:
        return Verdict(mutant, CAUGHT, f"ran for longer than {timeout_s:.0f} s of CPU time")
    if status in (FAILED, INTERRUPTED):
        failed = (line for line in reversed(lines) if line.startswith(("FAILED", "ERROR")))
        return Verdict(mutant, CAUGHT, next(failed, ""))
    if status == PASSED:
        return Verdict(mutant, SURVIVED, mutant.hazard)
    return Verdict(mutant, BROKEN, f"its tests do not run: {' '.join(lines[-2:])}")


def _environment(tree: Path) -> dict[str, str]:
    paths = os.pathsep.join(str(tree / name) for name in ("firmware", "tools"))
    return {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


def _status(
    mutant: Mutant, tests: Sequence[str], tree: Path, timeout_s: float
) -> tuple[int | None, list[str]]:
    """pytest's exit status, None if it hangs, and what it said."""
    arguments = [str(Path("host_tests") / test) for test in tests]
    for test in mutant.slow:
        arguments += ["--deselect", str(Path("host_tests") / test)]
    marks = "chip and not long" if mutant.chip else "not long and not chip"
    limited = ["sh", "-c", 'ulimit -c 0; ulimit -S -t "$0" && exec "$@"', f"{timeout_s:.0f}"]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", marks, *arguments]
    with tempfile.TemporaryFile() as said:
        # A file, not a pipe: what a test leaves running must not keep this waiting.
        with subprocess.Popen(
            [*limited, *command], cwd=tree, env=_environment(tree), stdout=said, stderr=said
        ) as process:
            try:
                status = process.wait(WAIT_TIMES * timeout_s)
                if status == -signal.SIGXCPU:
                    status = None
            except subprocess.TimeoutExpired:
                process.kill()
                status = None
        said.seek(0)
        return status, said.read().decode(errors="replace").strip().splitlines()


@dataclass
class Campaign:
    """Many faults, each in one of `workers` copies of the tree at `root`."""

    mutants: Sequence[Mutant]
    root: Path = ROOT
    workers: int = WORKERS
    timeout_s: float = TIMEOUT_S
    told: Callable[[Verdict], object] = lambda verdict: None
    check: bool = True
    """Run every test without a fault first."""
    verdicts: list[Verdict] = field(default_factory=list)
    sick: set[str] = field(default_factory=set)

    def run(self) -> list[Verdict]:
        """What came of each, in the order of the table."""
        names = {test for mutant in self.mutants if self.check and not mutant.chip for test in mutant.tests}
        self._share(sorted(names))  # all of them, before a fault is judged by any
        self._share(self.mutants)
        order = {mutant.id: place for place, mutant in enumerate(self.mutants)}
        self.verdicts.sort(key=lambda verdict: order[verdict.mutant.id])
        return self.verdicts

    def _share(self, work: Sequence[Mutant | str]) -> None:
        waiting: queue.SimpleQueue[Mutant | str] = queue.SimpleQueue()
        for item in work:
            waiting.put(item)
        threads = [threading.Thread(target=self._work, args=(waiting,)) for _ in range(self.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, waiting: queue.SimpleQueue[Mutant | str]) -> None:
        with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
            tree = Path(folder)
            copy_tree(self.root, tree, any(mutant.chip and not mutant.argument for mutant in self.mutants))
            while True:
                try:
                    work = waiting.get_nowait()
                except queue.Empty:
                    return
                if isinstance(work, str):
                    self.sick |= sick_tests(self.mutants, tree, (work,), self.timeout_s)
                    continue
                verdict = try_mutant(work, tree, self.timeout_s)
                sick = sorted(self.sick.intersection(work.tests))
                if sick and verdict.outcome != ARGUED:
                    verdict = Verdict(work, BROKEN, f"fails without it: {', '.join(sick)}")
                self.verdicts.append(verdict)
                self.told(verdict)


def summary(verdicts: Sequence[Verdict]) -> list[str]:
    """The ratio of caught to not argued, by room and in all, a line each."""
    rooms = sorted({verdict.mutant.room for verdict in verdicts})
    lines = []
    for name in [*rooms, "all"]:
        of_room = [verdict for verdict in verdicts if name in ("all", verdict.mutant.room)]
        caught, argued = (sum(v.outcome == outcome for v in of_room) for outcome in (CAUGHT, ARGUED))
        run = len(of_room) - argued
        ratio = f"{100 * caught / run:.0f} %" if run else "-"
        lines.append(f"{name:8} {caught} of {run} caught, {ratio}; {argued} argued")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the faults of the table, or those whose ids are given. 0 if none survived or is broken."""
    parser = argparse.ArgumentParser(prog="mutants", description=main.__doc__)
    parser.add_argument("ids", nargs="*", help="only those whose id begins so")
    parser.add_argument("--table", type=Path, default=ROOT / TABLE, help="another table of faults")
    parser.add_argument("--chip", action="store_true", help="those of the chip too: an image for each")
    parser.add_argument(
        "--unchecked", action="store_true", help="take it that all tests pass without a fault"
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="of CPU time for its tests"
    )
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--anchors", action="store_true", help="only see whether each still has its place")
    given = parser.parse_args(arguments)
    mutants = [m for m in load(given.table) if not given.ids or m.id.startswith(tuple(given.ids))]
    if given.anchors:
        broken = misplaced(mutants)
        print("\n".join(broken) or f"all {len(mutants)} have their place")
        return bool(broken)
    chosen = [mutant for mutant in mutants if given.chip or not mutant.chip]
    started_s = time.monotonic()

    def tell(verdict: Verdict) -> None:
        print(f"{verdict.outcome:9}{verdict.mutant.id:8}{verdict.mutant.file}: {verdict.said}", flush=True)

    campaign = Campaign(
        chosen, workers=given.workers, timeout_s=given.timeout, told=tell, check=not given.unchecked
    )
    verdicts = campaign.run()
    print("\n".join(summary(verdicts)))
    left_out = len(mutants) - len(chosen)
    print(f"{time.monotonic() - started_s:.0f} s; {left_out} of the chip left out (--chip)")
    return any(verdict.outcome in (SURVIVED, BROKEN) for verdict in verdicts)


def misplaced(mutants: Sequence[Mutant], root: Path = ROOT) -> list[str]:
    """What is wrong with the places of faults, argued ones too; nothing is run."""
    said = []
    for mutant in mutants:
        try:
            planted((root / FIRMWARE / mutant.file).read_text(encoding="utf-8"), mutant)
        except (MutantError, OSError) as why:
            said.append(str(why))
    return said


if __name__ == "__main__":
    sys.exit(main())
