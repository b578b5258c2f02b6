"""The table of hazards (host_tests/hazards.toml): whole, without orphans, and honest about what is open.

What is claimed to be controlled names tests that exist and requirements that these tests are marked with;
what is open claims no test, and stops being open when all that it asks for is tested.
"""

import ast
import tomllib
from collections import Counter
from functools import cache

import pytest
from thecal.watch.alarms import ALARMS
from thecal_bench import trace

pytestmark = pytest.mark.req("SAFE-11")

TABLE = trace.TESTS / "hazards.toml"
KEYS = {"hazard", "cause", "control", "requirements", "tests", "status"}
STATUSES = ("controlled", "partly", "open")
NO_CONTROL = {"SAFE-11"}
"""Requirements of safety that no hazard needs: the table itself."""


def load(text):
    """Checked for form only: what it says is compared by the tests."""
    content = tomllib.loads(text)
    assert list(content) == ["hazard"], "one table for each hazard, and nothing else"
    for row in content["hazard"]:
        extra = set() if row.get("status") == "controlled" else {"missing"}
        assert set(row) == KEYS | extra, row
        assert row["status"] in STATUSES, row
        for key in ("hazard", "cause", "control", *extra):
            assert isinstance(row[key], str) and row[key].strip(), (key, row)
        assert row["requirements"] and all(trace.ID.fullmatch(name) for name in row["requirements"]), row
        for key in ("requirements", "tests"):
            assert [name for name, count in Counter(row[key]).items() if count > 1] == [], row
        assert bool(row["tests"]) == (row["status"] != "open"), row
    return content["hazard"]


HAZARDS = load(TABLE.read_text())
HELD = [hazard for hazard in HAZARDS if hazard["status"] != "open"]
OPEN = [hazard for hazard in HAZARDS if hazard["status"] == "open"]


@cache
def evidence():
    """Requirement to tests, by the marks."""
    return trace.collect()


def path_of(test):
    """A test as the table names it."""
    return f"{trace.TESTS.name}/{test.file}::{test.name}"


def name_of(hazard):
    return f"{hazard['hazard']}, {hazard['cause']}"


def names_of_tests(path):
    """Names of the tests of a file, as pytest has them, by its source."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)
            }
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)  # TestLedger = Ledger.TestCase
    return {name for name in names if name.split("::")[-1].lower().startswith("test")}


def missing_tests(hazards):
    """Names of tests that there are not."""
    missing = []
    for test in dict.fromkeys(test for hazard in hazards for test in hazard["tests"]):
        file, _, name = test.partition("::")
        path = trace.ROOT / file
        if not (path.is_file() and path.name.startswith("test_") and name in names_of_tests(path)):
            missing.append(test)
    return missing


def unsupported(hazards):
    """(hazard, requirement) that none of the tests of the hazard is marked with."""
    found = []
    for hazard in hazards:
        for name in hazard["requirements"]:
            marked = {path_of(test) for test in evidence().get(name, ())}
            if not marked & set(hazard["tests"]):
                found.append((hazard["hazard"], name))
    return found


def test_no_hazard_is_told_twice():
    assert [name for name, count in Counter(map(name_of, HAZARDS)).items() if count > 1] == []
    assert HELD


def test_every_test_that_is_named_exists():
    assert missing_tests(HAZARDS) == []


def test_every_requirement_of_a_controlled_hazard_is_marked_on_one_of_its_tests():
    assert unsupported(HELD) == []


def test_every_test_of_a_hazard_is_marked_with_a_requirement_or_is_of_the_bench():
    marked = {path_of(test) for tests in evidence().values() for test in tests}
    named = {test for hazard in HELD for test in hazard["tests"]}
    # What the board of the bench does is no requirement of the pump.
    assert [test for test in sorted(named - marked) if "/test_adapter_" not in test] == []


def test_every_requirement_of_a_controlled_hazard_is_known():
    known = trace.load_requirements()
    assert [n for hazard in HELD for n in hazard["requirements"] if n not in known] == []


def test_what_is_open_asks_for_something_that_no_test_shows():
    assert [hazard["hazard"] for hazard in OPEN if all(n in evidence() for n in hazard["requirements"])] == []


@pytest.mark.parametrize("family", ["LIM", "MOT", "RES", "SAFE"])
def test_every_requirement_of_safety_that_is_tested_controls_a_hazard(family):
    held = {name for hazard in HAZARDS for name in hazard["requirements"]}
    tested = {name for name in evidence() if name.split("-")[0] == family}
    assert tested - held - NO_CONTROL == set()


def test_every_alarm_of_the_pump_belongs_to_a_hazard():
    words = " ".join(hazard["control"] for hazard in HELD)
    assert [alarm.code for alarm in ALARMS if alarm.code not in words] == []


ROW = """
[[hazard]]
hazard = "h"
cause = "c"
control = "k"
requirements = ["DOSE-01"]
tests = ["host_tests/unit/test_hazards.py::test_every_test_that_is_named_exists"]
status = "controlled"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('cause = "c"\n', ""),
        ('cause = "c"', 'cause = " "'),
        ('cause = "c"', 'couse = "c"'),
        ('"DOSE-01"', '"DOSE-1"'),
        ('["DOSE-01"]', "[]"),
        ('"DOSE-01"', '"DOSE-01", "DOSE-01"'),
        ('"controlled"', '"fine"'),
        ('"controlled"', '"partly"'),
        ('"controlled"', '"open"\nmissing = "area"'),
        ('"controlled"', '"controlled"\nmissing = "area"'),
        ("[[hazard]]", 'title = "t"\n[[hazard]]'),
    ],
)
def test_a_row_that_is_not_whole_is_noticed(old, new):
    assert len(load(ROW)) == 1 and old in ROW
    with pytest.raises(AssertionError):
        load(ROW.replace(old, new))


def test_a_test_that_is_not_there_and_a_requirement_that_is_not_shown_are_noticed():
    assert missing_tests(load(ROW)) == []
    # The test that it names is marked with SAFE-11 only.
    assert unsupported(load(ROW)) == [("h", "DOSE-01")]
    assert unsupported(load(ROW.replace("DOSE-01", "SAFE-11"))) == []
    for change in (("_exists", "_exist"), ("/test_hazards", "/test_nothing"), ("::test_every", "::every")):
        assert len(missing_tests(load(ROW.replace(*change)))) == 1
