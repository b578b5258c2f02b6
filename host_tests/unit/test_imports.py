"""Which way the tools import each other, read off their source: the model is below the bench and the
host, and of the host only what composes an experiment knows a bench.
"""

import ast
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"

COMPOSES = {
    "archive_day",
    "cli",
    "desk",
    "emulated",
    "evened",
    "experiment",
    "python",
    "run",
    "serial_bench",
    "showcase",
}
"""Of `thecal_host`: the commands, and what opens boards, runs or shows experiments, or stands for a board."""


def imported(path):
    """The packages of the tools that a file imports, wherever in it, by their first names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


def files_of(package):
    found = sorted((TOOLS / package).rglob("*.py"))
    assert len(found) > 5
    return [path for path in found if path.name != "__main__.py"]


@pytest.mark.parametrize(
    ("package", "others"),
    [("thecal_model", {"thecal_bench", "thecal_host"}), ("thecal_bench", {"thecal_host"})],
)
def test_nothing_imports_what_stands_above_it(package, others):
    assert [str(path) for path in files_of(package) if imported(path) & others] == []


def test_of_the_host_only_what_composes_experiments_knows_the_bench():
    found = set()
    for path in files_of("thecal_host"):
        if "thecal_bench" in imported(path):
            found.add(path.relative_to(TOOLS / "thecal_host").parts[0].removesuffix(".py"))
    assert found == COMPOSES


def test_the_firmware_imports_no_tool():
    firmware = TOOLS.parent / "firmware"
    tools = {"thecal_model", "thecal_bench", "thecal_host", "image"}
    assert [str(path) for path in firmware.rglob("*.py") if imported(path) & tools] == []


def test_the_firmware_chains_no_exceptions():
    """MicroPython would print a warning, and on the board that goes to the host."""
    chained = []
    for path in (TOOLS.parent / "firmware").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.cause is not None:
                chained += [] if ast.unparse(node.cause) == "None" else [f"{path.name}:{node.lineno}"]
    assert chained == []
