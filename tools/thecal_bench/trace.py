"""Which tests are evidence for which requirement: the table `make trace` writes to build/traceability.md.

A test names its requirements with `@pytest.mark.req("DOSE-01", ...)`; host_tests/requirements.toml says what
they ask for. Both must know the same requirements, so a mark with a slip of the pen, or a requirement that
lost its last test, is an error here and in the unit tests. The marks are read from the source, without
running it; read `marks` for the forms that are understood (others are an error, not skipped).
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

__all__ = ("Evidence", "TraceError", "collect", "load_requirements", "main", "marks", "problems", "table")

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "host_tests"
REQUIREMENTS = TESTS / "requirements.toml"
TABLE = ROOT / "build" / "traceability.md"

ID = re.compile(r"[A-Z]+-\d\d")


class TraceError(Exception):
    """A file that cannot be read for its requirements; says which and where."""


@dataclass(frozen=True, order=True)
class Evidence:
    """One test: its file inside host_tests, its name there (`function` or `Class::function`), its line."""

    file: str
    name: str
    line: int


def marks(source: str, file: str) -> list[tuple[str, Evidence]]:
    """The pairs of requirement and test in `source`, in its order.

    A mark counts where pytest sees it: on a function, on a class (for all its tests), on a state machine's
    `TestCase` that is given a name, and in a `pytestmark` (for all tests of the file).
    """
    tree = ast.parse(source, file)
    seen: set[int] = set()
    found = list(_of_body(tree, file, "", (), seen))
    for node in ast.walk(tree):
        if _is_mark(node) and id(node) not in seen:
            raise TraceError(f"{file}:{node.lineno}: a req mark that is not on a test")
    return found


def collect(folder: Path = TESTS) -> dict[str, list[Evidence]]:
    """Requirement to tests, for all test files below `folder`."""
    found: dict[str, list[Evidence]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for requirement, test in marks(path.read_text(), path.relative_to(folder).as_posix()):
            found.setdefault(requirement, []).append(test)
    return dict(sorted(found.items()))


def load_requirements(path: Path = REQUIREMENTS) -> dict[str, str]:
    """ID to what it asks for, in the order of the file."""
    try:
        entries = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise TraceError(f"{path.name}: {error}") from None
    for name, text in entries.items():
        if not ID.fullmatch(name):
            raise TraceError(f"{path.name}: {name}: an ID is capitals, a dash and two digits")
        if not isinstance(text, str) or not text or "\n" in text:
            raise TraceError(f"{path.name}: {name}: must be a line of text")
    return entries


def problems(requirements: Mapping[str, str], evidence: Mapping[str, Sequence[Evidence]]) -> list[str]:
    """Every requirement that only one side knows, as a line for a human."""
    unknown = []
    for name, tests in evidence.items():
        if name not in requirements:
            more = f" (and {len(tests) - 1} more)" if tests[1:] else ""
            what = f"{name} is not in {REQUIREMENTS.name}: a slip, or a line is missing there"
            unknown.append(f"{tests[0].file}:{tests[0].line}{more}: {what}")
    untested = [f"{REQUIREMENTS.name}: {name} has no test" for name in requirements if name not in evidence]
    return unknown + untested


def table(requirements: Mapping[str, str], evidence: Mapping[str, Sequence[Evidence]]) -> str:
    """The table as Markdown, with links that work from the folder it is written to."""
    lines = [
        "# Requirements and the tests that are evidence for them",
        "",
        f"Made by `make trace` from the marks in `{TESTS.name}/`. What nothing tests is not here.",
        "",
        "| Requirement | What it asks for | Tests |",
        "| --- | --- | --- |",
    ]
    for name, text in requirements.items():
        links = [
            f"[{test.file.removesuffix('.py')}](../{TESTS.name}/{test.file}#L{test.line}) `{test.name}`"
            for test in evidence.get(name, ())
        ]
        lines.append(f"| {name} | {text.replace('|', chr(92) + '|')} | {'<br>'.join(links)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes the table; says on stderr what does not fit, and returns 1 for that."""
    try:
        requirements, evidence = load_requirements(), collect()
    except TraceError as error:
        print(f"trace: {error}", file=sys.stderr)
        return 1
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table(requirements, evidence))
    tests = {test for several in evidence.values() for test in several}
    print(f"{TABLE.relative_to(ROOT)}: {len(requirements)} requirements, {len(tests)} tests that name them")
    wrong = problems(requirements, evidence)
    for line in wrong:
        print(f"trace: {line}", file=sys.stderr)
    return 1 if wrong else 0


def _of_body(
    node: ast.Module | ast.ClassDef, file: str, prefix: str, inherited: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, Evidence]]:
    for statement in node.body:
        match statement:
            case ast.Assign(targets=[ast.Name("pytestmark")], value=value):
                inherited += _ids(ast.walk(value), file, seen)
    for statement in node.body:
        match statement:
            case ast.FunctionDef(name=name, decorator_list=marked) if name.startswith("test_"):
                pass
            case ast.ClassDef(name=name, decorator_list=marked) if name.startswith("Test"):
                yield from _of_body(
                    statement, file, f"{prefix}{name}::", inherited + _ids(marked, file, seen), seen
                )
                continue
            case ast.Assign(targets=[ast.Name(name)], value=ast.Call(func=mark)) if name.startswith("Test"):
                marked = [mark]  # TestLedger = pytest.mark.req("REC-01")(Ledger.TestCase)
            case _:
                continue
        test = Evidence(file, prefix + name, statement.lineno)
        for requirement in dict.fromkeys(inherited + _ids(marked, file, seen)):
            yield requirement, test


def _ids(nodes: Iterable[ast.AST], file: str, seen: set[int]) -> tuple[str, ...]:
    names: list[str] = []
    for node in nodes:
        if not _is_mark(node):
            continue
        seen.add(id(node))
        if not node.args or node.keywords:
            raise TraceError(f"{file}:{node.lineno}: a req mark takes requirements and nothing else")
        for argument in node.args:
            value = argument.value if isinstance(argument, ast.Constant) else None
            if not isinstance(value, str) or not ID.fullmatch(value):
                text = ast.unparse(argument)
                raise TraceError(f"{file}:{argument.lineno}: {text} is not a requirement's ID")
            names.append(value)
    return tuple(names)


def _is_mark(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "req"
        and ast.unparse(node.func) == "pytest.mark.req"
    )


if __name__ == "__main__":
    sys.exit(main())
