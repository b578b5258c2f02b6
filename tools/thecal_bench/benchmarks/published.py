"""Tables of figures in a page, written by the command that measures them.

A table stands between two marks, lines of their own that a reader of the page does not see:

    <!-- figures: NAME, written by `make COMMAND` -->
    | | Thecal | Timer |
    ...
    <!-- end of figures: NAME -->

`write` puts the rows of a measurement there, `read` gives them back as numbers, `differences` holds two of
them against each other. A cell is a number with its unit; cells without a number are no figures. Raises
PublishedError, which names the file and the mark, where a mark is missing, doubled or not closed.

A row of claims names the test that backs it; the numbers of its last cell are what that test measured, in the
order in which it measured them (`write_claim`, `claim_differences`).
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
TESTS = ROOT / "host_tests" / "README.md"
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
CLAIMED = re.compile(r"\d{1,3}(?: \d{3})+|\d+(?:\.(\d+))?")
TOLERANCE = 0.1  # of what was measured

Figures = Mapping[tuple[str, str], float]
"""By row and column."""


class PublishedError(Exception):
    """A page without the place for its figures."""


def write(path: Path, name: str, command: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Replace the table `name` of the file; the first column of `header` and `rows` names the row."""
    text = path.read_text()
    start, end = _place(text, name, path)
    lines = [f"<!-- figures: {name}, written by `make {command}` -->"]
    lines += [_line(header), "|".join(["", *["---"] * len(header), ""]), *map(_line, rows)]
    path.write_text(text[:start] + "\n".join(lines) + "\n" + text[end:])


def read(path: Path, name: str) -> dict[tuple[str, str], float]:
    """The figures of the table `name`."""
    text = path.read_text()
    start, end = _place(text, name, path)
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text[start:end].splitlines()[1:]
    ]
    if len(table) < 3:
        raise PublishedError(f"{path}: the figures `{name}` have no rows")
    header, _, *rows = table
    return figures(header, rows)


def figures(header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[tuple[str, str], float]:
    """The numbers of a table as text; cells without one are left out."""
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        for column, cell in zip(header[1:], row[1:], strict=True):
            number = NUMBER.search(cell)
            if number:
                found[row[0], column] = float(number[0].replace(",", ""))
    return found


def differences(said: Figures, measured: Figures, tolerance: float) -> list[str]:
    """A line for each figure that is off by more than `tolerance` of what was measured, is missing, or is not
    measured.
    """
    problems = []
    for place in sorted({*said, *measured}):
        name = f"{place[0]}, {place[1]}"
        if place not in measured:
            problems.append(f"{name}: {said[place]:g} is said, nothing measures it")
        elif place not in said:
            problems.append(f"{name}: {measured[place]:g} was measured, nothing is said")
        elif abs(said[place] - measured[place]) > tolerance * abs(measured[place]):
            problems.append(f"{name}: {said[place]:g} is said, {measured[place]:g} was measured")
    return problems


def write_claim(path: Path, test: str, measured: Sequence[float]) -> None:
    """Put what `test` measured into its row, with as many decimals as stand there."""
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # tests run in several processes
        text = file.read()
        start, end = _claim(text, test, path, len(measured))
        left = list(measured)

        def figure(said: re.Match[str]) -> str:
            return f"{left.pop(0):,.{len(said[1] or '')}f}".replace(",", " ")

        file.seek(0)
        file.write(text[:start] + CLAIMED.sub(figure, text[start:end]) + text[end:])
        file.truncate()


def claim_differences(path: Path, test: str, measured: Sequence[float]) -> list[str]:
    """A line for each figure of the row of `test` that is off by more than TOLERANCE and the rounding."""
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        text = file.read()
    start, end = _claim(text, test, path, len(measured))
    problems = []
    for said, value in zip(CLAIMED.finditer(text[start:end]), measured, strict=True):
        rounding = 0.5 * 10 ** -len(said[1] or "")
        if abs(float(said[0].replace(" ", "")) - value) > TOLERANCE * abs(value) + rounding:
            problems.append(f"{said[0]} is said, {value:g} was measured")
    return problems


def _claim(text: str, test: str, path: Path, count: int) -> tuple[int, int]:
    """Where the last cell of the row of `test` begins and ends."""
    found = list(re.finditer(rf"^\|.*`{re.escape(test)}`.*\|(.*)\|$", text, re.MULTILINE))
    if len(found) != 1 or len(CLAIMED.findall(found[0][1])) != count:
        raise PublishedError(f"{path}: one row must name `{test}`, and end with {count} figures")
    return found[0].span(1)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _place(text: str, name: str, path: Path) -> tuple[int, int]:
    """From the beginning of the opening mark to the beginning of the closing one."""
    starts = _all(rf"^<!-- figures: {re.escape(name)}, .*-->$", text)
    ends = _all(rf"^<!-- end of figures: {re.escape(name)} -->$", text)
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise PublishedError(
            f"{path}: the figures `{name}` must stand once between `<!-- figures: {name}, ... -->` and "
            f"`<!-- end of figures: {name} -->`, found {len(starts)} and {len(ends)} of these marks"
        )
    return starts[0], ends[0]


def _all(pattern: str, text: str) -> list[int]:
    return [found.start() for found in re.finditer(pattern, text, re.MULTILINE)]
