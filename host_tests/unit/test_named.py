"""What the firmware's docstrings name in backticks is there: who changes a name changes the prose."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware" / "thecal"
FILES = sorted(FIRMWARE.rglob("*.py"))

NO_NAMES = {
    "machine", "rp2", "json", "main", "py",  # others' files
    "grain", "counted", "_16",  # a word, a formula's, the end of a name
    "stopped", "error", "test_formulary",  # on the link, and in the tests
}  # fmt: skip


@cache
def names_in(path):
    """All that the code of a file calls something, or says in a short text."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("name", "id", "attr", "arg", "module"):
            named = getattr(node, field, None)
            if isinstance(named, str):
                found |= {named, *named.split(".")}
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 120:
            found |= set(re.findall(r"\w+", node.value))
    return found


def docstrings(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
            yield ast.get_docstring(node) or ""


def strangers(text, here):
    """What the docstrings of `text` name that is neither `here`, nor a file, nor on the link. A class, a
    constant and a name with a dot may be any file's.
    """
    files = {path.stem for path in FILES} | {path.parent.name for path in FILES}
    link = names_in(FIRMWARE / "link" / "commands.py")
    everywhere = set().union(*map(names_in, FILES))
    for docstring in docstrings(text):
        for named in re.findall(r"`([A-Za-z_][\w.]*)(?:\(\))?`", docstring):
            parts = named.split(".")
            anywhere = len(parts) > 1 or named[0].isupper()
            if not set(parts) <= (everywhere if anywhere else here | link) | files | NO_NAMES:
                yield named


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FIRMWARE)))
def test_what_a_docstring_names_is_there(path):
    text = path.read_text()
    assert [*strangers(text, names_in(path))] == []


@pytest.mark.parametrize("named", ["unwritten", "Pump.undone", "_WEIGHT"])
def test_a_name_of_an_earlier_day_is_found(named):
    assert [*strangers(f'"""How to read it: `{named}` says so."""\n', set())] == [named]
