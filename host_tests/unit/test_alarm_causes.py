"""ALM-01: every row of the table of alarms is caused, by a scenario or by the test that is named here.

A scenario counts when it expects the alarm at a time; that it comes true, `test_scenarios_hold_on_the_host`
in `test_runner.py` shows. A test counts when it exists and speaks of the row.
"""

import ast
import re

import pytest
from thecal.watch.alarms import ALARMS
from thecal_bench import scenario, trace

CODES = [alarm.code for alarm in ALARMS]
SCENARIOS = sorted((trace.TESTS / "scenarios").glob("*.toml"))

TESTS = {
    "LOOP_FAULT": "chip/test_app.py::test_an_exception_in_the_loop_stops_the_motor_and_is_reported",
    "POST_FAILED": "unit/test_senses.py::test_a_self_test_that_failed_keeps_the_motor_off",
    "OVER_INFUSION": "unit/test_senses.py::test_a_motor_that_is_off_for_five_minutes_is_told",
    "UNDER_INFUSION": "unit/test_senses.py::test_a_motor_that_is_off_for_five_minutes_is_told",
    "DRIVER_FAULT": "unit/test_senses.py::test_a_driver_that_reports_a_fault_stops_the_pump",
    "LIBRARY_FAULT": "unit/test_therapy.py::test_a_damaged_library_lets_no_therapy_start",
    "MEMORY_FAULT": "unit/test_bit_flips.py::"
    "test_a_flipped_byte_of_the_history_is_found_within_minutes_and_when_it_is_used",
    "RESET_LOOP": "unit/test_resets.py::"
    "test_more_resets_than_may_be_latch_the_pump_and_a_reset_does_not_free_it",
    "JOURNAL_FAULT": "unit/test_persistence.py::test_a_flash_that_takes_nothing_stops_the_pump",
    "SERVICE_DUE": "unit/test_senses.py::test_a_head_that_is_worn_is_told_and_runs_on_over_a_reset_too",
    "BAD_AUTH": "unit/test_signatures.py::test_bad_signatures_raise_bad_auth_and_are_logged_once_a_minute",
    "COUNT_END": "unit/test_counts.py::"
    "test_a_pump_at_the_end_of_a_count_has_said_so_and_stops_under_its_own_name",
}
"""Rows that no event of a scenario can bring about."""


def expected():
    """Code to the scenarios in which it is to come."""
    found = {}
    for path in SCENARIOS:
        for expect in scenario.load(path).expects:
            if expect.what == "alarm" and not expect.never:
                found.setdefault(expect.code, set()).add(path.stem)
    return found


@pytest.mark.req("ALM-01")
def test_every_row_is_caused():
    by_scenario = set(expected())
    assert by_scenario | set(TESTS) == set(CODES)
    assert not by_scenario & set(TESTS), "a scenario that causes it says more than a test"


@pytest.mark.req("ALM-01")
@pytest.mark.parametrize("code", TESTS)
def test_the_test_that_is_named_is_there_and_speaks_of_the_row(code):
    file, name = TESTS[code].split("::")
    source = (trace.TESTS / file).read_text()
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    node = functions[name]
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    text = "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    assert re.search(rf"\b{code}\b", text)
