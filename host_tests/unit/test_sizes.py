"""The check of `make check` that files and functions fit a head sees what is too long, and nothing else."""

import ast
import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "setup" / "sizes.py"


@pytest.fixture(scope="module")
def sizes():
    spec = importlib.util.spec_from_file_location("sizes", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("body", "rest", "lines"),
    [(59, 440, []), (60, 439, [2]), (59, 441, [1]), (60, 441, [1, 2])],
    ids=["as long as may be", "function", "file", "both"],
)
def test_what_is_too_long_is_said_with_its_line(sizes, tmp_path, capsys, body, rest, lines):
    """A comment, a function of a first line and `body`, and what fills up the file."""
    source = "# a\ndef f():\n" + "    f()\n" * body + "f()\n" * (rest - 1)
    ast.parse(source)
    (tmp_path / "a.py").write_text(source)
    assert sizes.main([str(tmp_path)]) == bool(lines)
    said = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in said] == [f"{tmp_path / 'a.py'}:{line}" for line in lines]
