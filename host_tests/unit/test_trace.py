"""Requirements and tests: every mark is known, every requirement is marked, no mark is overlooked."""

import pytest
from thecal_bench import trace
from thecal_bench.trace import Evidence, TraceError

KNOWN = {"DOSE-01": "One thing.", "REC-05": "Another | thing."}


def test_every_mark_is_a_known_requirement_and_every_requirement_has_a_test():
    assert trace.problems(trace.load_requirements(), trace.collect()) == []


def test_the_table_has_the_marks_that_pytest_sees(request):
    table = {(test.file, test.name, name) for name, tests in trace.collect().items() for test in tests}
    missed = []
    for item in request.session.items:
        _, *names = item.nodeid.partition("[")[0].split("::")
        file = item.path.relative_to(trace.TESTS).as_posix()
        if item.cls is not None and hasattr(item.cls, "runTest"):
            names.pop()  # a state machine is one test by its class's name
        for mark in item.iter_markers("req"):
            missed += [item.nodeid for name in mark.args if (file, "::".join(names), name) not in table]
    assert missed == []


def test_marks_are_found_wherever_pytest_applies_them():
    source = """
import pytest
pytestmark = [pytest.mark.chip, pytest.mark.req("SIM-01")]

@pytest.mark.parametrize("x", [1, 2])
@pytest.mark.req("DOSE-01", "DOSE-02")
def test_a(x): ...

@pytest.mark.req("LIM-03")
class TestB:
    @pytest.mark.req("LIM-04", "LIM-03")
    def test_c(self): ...

def helper(): ...

class Machine: ...

TestMachine = pytest.mark.req("REC-01")(Machine.TestCase)
"""
    a, c, machine = Evidence("f.py", "test_a", 7), Evidence("f.py", "TestB::test_c", 12), "TestMachine"
    assert trace.marks(source, "f.py") == [
        ("SIM-01", a),
        ("DOSE-01", a),
        ("DOSE-02", a),
        ("SIM-01", c),
        ("LIM-03", c),
        ("LIM-04", c),
        ("SIM-01", Evidence("f.py", machine, 18)),
        ("REC-01", Evidence("f.py", machine, 18)),
    ]


@pytest.mark.parametrize(
    "source, said",
    [
        ('@pytest.mark.req("DOSE-1")\ndef test_a(): ...', "'DOSE-1' is not a requirement's ID"),
        ('@pytest.mark.req("DOSE-001")\ndef test_a(): ...', "'DOSE-001' is not"),
        ('@pytest.mark.req("dose-01")\ndef test_a(): ...', "'dose-01' is not"),
        ('@pytest.mark.req("DOSE-01 ")\ndef test_a(): ...', "'DOSE-01 ' is not"),
        ("@pytest.mark.req(NAME)\ndef test_a(): ...", "NAME is not"),
        ("@pytest.mark.req()\ndef test_a(): ...", "takes requirements"),
        ('@pytest.mark.req("DOSE-01", why="x")\ndef test_a(): ...', "nothing else"),
        ('@pytest.mark.req("DOSE-01")\ndef helper(): ...', "not on a test"),
        ('cases = [pytest.param(1, marks=pytest.mark.req("DOSE-01"))]', "not on a test"),
    ],
)
def test_a_mark_that_would_be_overlooked_is_an_error_with_its_place(source, said):
    with pytest.raises(TraceError, match=r"^unit/f.py:1: ") as refused:
        trace.marks(source, "unit/f.py")
    assert said in str(refused.value)


def test_what_only_one_side_knows_is_told():
    test, other = Evidence("unit/test_a.py", "test_a", 7), Evidence("unit/test_b.py", "test_b", 9)
    unknown, untested = trace.problems(KNOWN, {"DOSE-01": [test], "DOSE-11": [test, other]})
    assert unknown.startswith("unit/test_a.py:7 (and 1 more): DOSE-11 is not in requirements.toml")
    assert untested == "requirements.toml: REC-05 has no test"


@pytest.mark.parametrize(
    "text, said",
    [
        ('DOSE-1 = "x"', "DOSE-1: an ID is"),
        ('[DOSE]\n01 = "x"', "DOSE: an ID is"),
        ('DOSE-01 = ""', "must be a line of text"),
        ("DOSE-01 = 1", "must be a line of text"),
        ('DOSE-01 = "x"\nDOSE-01 = "y"', "requirements.toml: "),
    ],
)
def test_a_list_of_requirements_that_is_none_is_refused(tmp_path, text, said):
    path = tmp_path / "requirements.toml"
    path.write_text(text)
    with pytest.raises(TraceError, match=said):
        trace.load_requirements(path)


def test_the_table_is_written_and_a_problem_fails_the_command(tmp_path, monkeypatch, capsys):
    tests = tmp_path / "host_tests"
    (tests / "unit").mkdir(parents=True)
    (tests / "unit" / "test_a.py").write_text('@pytest.mark.req("REC-05", "DOSE-01")\ndef test_a(): ...\n')
    monkeypatch.setattr(trace, "ROOT", tmp_path)
    monkeypatch.setattr(trace, "TABLE", tmp_path / "build" / "traceability.md")
    monkeypatch.setattr(trace, "collect", lambda collect=trace.collect: collect(tests))
    monkeypatch.setattr(trace, "load_requirements", lambda: KNOWN)
    assert trace.main() == 0
    written = (tmp_path / "build" / "traceability.md").read_text().splitlines()
    link = "[unit/test_a](../host_tests/unit/test_a.py#L2) `test_a`"
    assert written[-2:] == [f"| DOSE-01 | One thing. | {link} |", rf"| REC-05 | Another \| thing. | {link} |"]
    monkeypatch.setattr(trace, "load_requirements", lambda: {**KNOWN, "LNK-01": "No test."})
    assert trace.main() == 1
    assert capsys.readouterr().err == "trace: requirements.toml: LNK-01 has no test\n"
