"""What fits a head: no file above 500 lines, no function above 60. `make check` runs it on folders.

Exit status 1 when something is longer; each is said with file, line and length.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 500
MOST_FUNCTION_LINES = 60


def too_long(source: str) -> Iterator[tuple[int, str]]:
    """Line and description of all that is longer than it may be."""
    lines = source.count("\n")
    if lines > MOST_LINES:
        yield 1, f"{lines} lines, {MOST_LINES} at most"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MOST_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines, {MOST_FUNCTION_LINES} at most"


def main(folders: list[str]) -> int:
    """Say all that is too long in the Python files of `folders`; gives the exit status."""
    status = 0
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            for line, text in too_long(path.read_text(encoding="utf-8")):
                print(f"{path}:{line}: {text}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
