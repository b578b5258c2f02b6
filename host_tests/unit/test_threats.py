"""The threat model (firmware/thecal/link/THREATS.md): each claim stands beside tests that exist, and each
requirement of security is shown by one of them.
"""

import re

import pytest
from thecal_bench import trace

PAGE = trace.ROOT / "firmware" / "thecal" / "link" / "THREATS.md"
TEXT = PAGE.read_text()


def claims() -> list[tuple[str, str]]:
    """The rows of the table: what is claimed, and by which tests."""
    table = TEXT[TEXT.index("| Claim | Tests |") :].partition("\n\n")[0]
    return [(row.split(" | ")[0][2:], row.split(" | ")[1]) for row in table.splitlines()[2:]]


def named(cell: str) -> list[tuple[str, str]]:
    """(file below host_tests, test) for each test of a cell; a file that stands alone means all its tests."""
    found = []
    for part in cell.split(";"):
        links = re.findall(r"\]\(([^)]+)\)", part)
        assert len(links) == 1, f"one file for each list of tests: {part}"
        path = (PAGE.parent / links[0]).resolve()
        assert path.is_file(), f"{links[0]}: there is no such file"
        tests = re.findall(r"`(test_\w+)`", part)
        written = re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)
        assert written and set(tests) <= set(written), f"{path.name} has no {set(tests) - set(written)}"
        found += [(path.relative_to(trace.TESTS).as_posix(), test) for test in tests or written]
    return found


@pytest.mark.req("SEC-05")
def test_every_test_that_is_named_exists():
    assert len(claims()) >= 5
    for claim, cell in claims():
        assert named(cell), claim


@pytest.mark.req("SEC-05")
def test_every_requirement_of_security_is_shown_by_a_test_that_is_named():
    names = {pair for _, cell in claims() for pair in named(cell)}
    names |= {("unit/test_threats.py", "test_what_is_left_open_says_what_a_hand_on_the_board_can_do")}
    shown = trace.collect()
    wanted = {name for name in shown if name.startswith("SEC-")}
    assert wanted
    for requirement in sorted(wanted):
        assert names & {(test.file, test.name) for test in shown[requirement]}, requirement


@pytest.mark.req("SEC-05")
def test_what_is_left_open_says_what_a_hand_on_the_board_can_do():
    left_open = " ".join(TEXT[TEXT.index("## What is left open") :].split())
    for words in ("no secure boot", "BOOTSEL", "SWD", "thief of a key", "listens", "Cutting the cable"):
        assert words in left_open


@pytest.mark.parametrize(
    "cell",
    ["`test_none` in [a](../../../host_tests/unit/test_threats.py)", "[a](../../../host_tests/none.py)"],
)
def test_a_test_that_is_not_there_is_noticed(cell):
    with pytest.raises(AssertionError, match="has no|no such file"):
        named(cell)
