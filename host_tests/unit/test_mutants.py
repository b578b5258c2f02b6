"""The tool that plants faults: it tells a fault that a test sees from one that none does, and says what is
broken. And: every fault of the table still has its place.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from thecal_bench import mutants
from thecal_bench.mutants import ARGUED, BROKEN, CAUGHT, SURVIVED, Campaign, Mutant, MutantError, try_mutant

TINY = {
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["-m", "not long"]\n'
    'markers = ["chip: c", "long: l"]\n',
    "firmware/thecal/__init__.py": "",
    "firmware/thecal/watch/__init__.py": "",
    "firmware/thecal/watch/limit.py": "MOST = 5\nHINT = 7\n\n\ndef allowed(rate):\n    return rate <= MOST\n",
    "host_tests/unit/test_limit.py": "from thecal.watch import limit\n\n\n"
    "def test_five_is_the_most():\n    assert limit.allowed(5) and not limit.allowed(6)\n",
}
TEST = ("unit/test_limit.py",)
FILE = "watch/limit.py"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in TINY.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def mutant(name: str, old: str, new: str, **how) -> Mutant:
    return Mutant(name, FILE, old, new, "too much", **{"tests": TEST, **how})


def test_what_is_seen_is_caught_and_what_is_not_survives(tree):
    found = Campaign(
        [
            mutant("seen", "rate <= MOST", "rate <= MOST + 1"),
            mutant("unseen", "HINT = 7", "HINT = 8"),
            mutant("argued", "HINT = 7", "HINT = 9", argument="nobody reads it", tests=()),
            mutant("import", "MOST = 5", "MOST = FIVE"),
            mutant("twice", "rate", "speed"),
            mutant("gone", "LEAST", "MOST"),
            mutant("no test", "HINT = 7", "HINT = 8", tests=("unit/test_other.py",)),
        ],
        root=tree,
        timeout_s=60,
    ).run()
    assert [verdict.outcome for verdict in found] == [
        CAUGHT,
        SURVIVED,
        ARGUED,
        CAUGHT,
        BROKEN,
        BROKEN,
        BROKEN,
    ], found
    assert "2 times" in found[4].said and "0 times" in found[5].said
    assert (tree / "firmware/thecal" / FILE).read_text() == TINY["firmware/thecal/" + FILE], "only a copy"
    assert mutants.summary(found)[-1] == "all      2 of 6 caught, 33 %; 1 argued"


@pytest.mark.parametrize(
    ("hang", "waits"), [("while True:\n        pass", 600), ("import time\n    time.sleep(900)", 1)]
)
def test_a_fault_that_hangs_is_caught_and_the_tree_is_sound_again(tree, hang, waits, monkeypatch):
    """One that works for ever by its CPU time, however busy the machine; one that waits by the clock."""
    monkeypatch.setattr(mutants, "WAIT_TIMES", waits)
    hanging = mutant("hangs", "    return rate", f"    {hang}\n    return rate")
    found = try_mutant(hanging, tree, timeout_s=5)
    assert found.outcome == CAUGHT and "longer than 5 s" in found.said
    assert try_mutant(mutant("unseen", "HINT = 7", "HINT = 8"), tree).outcome == SURVIVED


def test_a_test_that_fails_anyway_catches_nothing(tree):
    (tree / "host_tests/unit/test_sick.py").write_text("def test_it():\n    assert False\n")
    [found] = Campaign([mutant("a", "HINT = 7", "HINT = 8", tests=("unit/test_sick.py",))], root=tree).run()
    assert found.outcome == BROKEN and "fails without it: unit/test_sick.py" in found.said


def test_a_table_says_what_is_wrong_with_it(tmp_path):
    table = tmp_path / "mutants.toml"
    row = '[[mutant]]\nid = "a"\nfile = "x.py"\nold = "1"\nnew = "2"\nhazard = "h"\n'
    table.write_text(row)
    with pytest.raises(MutantError, match="no tests"):
        mutants.load(table)
    table.write_text('[tests]\n"x.py" = ["unit/test_x.py"]\n' + row)
    assert mutants.load(table)[0].tests == ("unit/test_x.py",)
    table.write_text('[tests]\n"x.py" = ["unit/test_x.py"]\n' + row + row)
    with pytest.raises(MutantError, match="twice"):
        mutants.load(table)


def test_every_fault_of_the_table_has_its_place_and_its_tests():
    table = mutants.load(mutants.ROOT / mutants.TABLE)
    assert mutants.misplaced(table) == []
    for fault in table:
        for test in fault.tests:
            assert (mutants.ROOT / "host_tests" / test.split("::")[0]).exists(), (fault.id, test)


def test_no_fault_is_argued_in_a_few_words():
    for fault in mutants.load(mutants.ROOT / mutants.TABLE):
        assert not fault.argument or len(fault.argument.split()) >= 8, fault.id
        assert fault.old != fault.new


@pytest.mark.long
def test_every_fault_is_noticed():
    table = [fault for fault in mutants.load(mutants.ROOT / mutants.TABLE) if not fault.chip]
    bad = [v for v in Campaign(table).run() if v.outcome in (SURVIVED, BROKEN)]
    assert not bad, "\n".join(f"{v.outcome} {v.mutant.id} {v.mutant.file}: {v.said}" for v in bad)
