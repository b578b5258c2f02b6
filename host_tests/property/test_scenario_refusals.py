"""Scenario files: whatever is broken in one is a `InputError` with line and key, never anything else."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from thecal_bench import scenario as s
from thecal_model.problems import InputError
from thecal_model.quantities import decimal_text
from thecal_model.therapy import Profile
from thecal_model.toml_lines import Lines

GOOD = """\
title = "A bolus"
duration = "10 min"
seed = 3
[profile]
max_rate = "60 mL/h"
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
[therapy.patient_bolus]
dose = "0.1 mg"
rate = "60 uL/h"
lockout = "4 h"
max_per_day = 4
[therapy.limit]
dose = "3 mg"
window = "24 h"
[reservoir]
fill = "20 mL"
low = "1 mL"
[plant]
pulsation = "10 %"
adc_e11 = false
[[event]]
at = "1 s"
do = "start"
[[event]]
at = "1 min"
do = "clinician_bolus"
volume = "10 uL"
duration = "2 min"
[[event]]
at = "2 min"
do = "program"
[event.therapy]
mode = "flex"
[[event.therapy.step]]
at = "06:00"
rate = "1 mL/h"
days = ["mon", "sat"]
[[event.therapy.step]]
at = "22:00"
rate = "2 mL/h"
[[event]]
at = "3 min"
do = "press"
button = "patient"
for = "1 s"
[[event]]
at = "4 min"
do = "refill"
volume = "18 mL"
[[event]]
at = "5 min"
do = "set_time"
to = "tue 03:00"
[[event]]
at = "10 s"
do = "prime"
volume = "10 uL"
[[event]]
at = "80 s"
do = "bridge"
concentration = "10 mg/mL"
[[event]]
at = "6 min"
do = "reset"
[[event]]
at = "7 min"
do = "occlude"
where = "upstream"
[[event]]
at = "8 min"
do = "unocclude"
where = "upstream"
[[event]]
at = "8 min"
do = "free_flow"
rate = "6 mL/h"
[[event]]
at = "8 min"
do = "air"
for = "10 s"
[[event]]
at = "9 min"
do = "sensor_fault"
which = "encoder"
kind = "noise"
[[event]]
at = "9 min"
do = "low_supply"
to = "8 V"
[[expect]]
what = "bolus"
at = "1 min"
granted = true
[[expect]]
what = "delivered"
at_most = "5 mL"
[[expect]]
what = "window_peak"
at_most = "150 uL"
[[expect]]
what = "reservoir"
value = "18 mL"
"""
LINES = GOOD.split("\n")[:-1]
WITH_VALUE = [index for index, line in enumerate(LINES) if "=" in line]

VALUES = st.one_of(
    st.sampled_from(
        ['"6 mL/h"', '"1 mg"', "5", "true", "1.5", '""', "[]", "{}", "1979-05-27", "nan", "'", '"""', "[["]
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.text(max_size=20).map(lambda t: '"' + t.replace("\\", "").replace('"', "") + '"'),
)


def check(text):
    """Read `text`; if it is refused, every problem has a line of the file, a key and something to say."""
    try:
        return s.parse(text, "x.toml")
    except InputError as error:
        assert error.problems
        for problem in error.problems:
            assert 1 <= problem.line <= text.count("\n") + 1
            assert problem.key
            assert problem.message.startswith(problem.key)
            assert str(problem) == f"x.toml:{problem.line}: {problem.message}"
            assert len(problem.message) > len(problem.key) + 10
        return None


def test_the_file_that_is_broken_below_is_good():
    assert check(GOOD) is not None


@given(st.text(max_size=200))
@example("[[a]]\n[a.b]\n[[a.b]]\n")
@example("a.b = 1\n[a]\nb = 1\n")
@example('"""\n')
def test_any_text(text):
    check(text)


@settings(max_examples=300, deadline=None)  # what time it takes depends on who else is at work
@given(st.sampled_from(WITH_VALUE), VALUES)
def test_any_value_in_the_place_of_a_good_one(index, value):
    key = LINES[index].split(" = ")[0]
    check("\n".join([*LINES[:index], f"{key} = {value}", *LINES[index + 1 :]]))


@given(st.integers(0, len(LINES) - 1), st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_an_unknown_key_anywhere_is_named_with_its_line(index, name):
    key = f"zz_{name}"
    text = "\n".join([*LINES[:index], f"{key} = 1", *LINES[index:]])
    with pytest.raises(InputError) as error:
        s.parse(text, "x.toml")
    (problem,) = error.value.problems
    assert problem.line == index + 1
    assert problem.key.split(".")[-1] == key
    assert "unknown key" in problem.message


@given(st.sets(st.integers(0, len(LINES) - 1), min_size=1, max_size=4))
def test_lines_left_out(left_out):
    check("\n".join(line for index, line in enumerate(LINES) if index not in left_out))


@given(st.permutations(range(len(LINES))))
def test_lines_shuffled(order):
    check("\n".join(LINES[index] for index in order))


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
INLINE = st.sampled_from(
    ["1", '"a = 1"', "'# no'", "[1, 2]", '["]", 3]', '"""x\ny = 2\n"""', "'''\n[z]\n'''", "1.5"]
)


@given(st.lists(st.tuples(NAMES, st.booleans(), st.lists(st.tuples(NAMES, INLINE), max_size=4)), max_size=6))
def test_the_line_of_every_key_is_where_it_was_written(tables):
    text, written, counts = "# head = 0\n", {}, {}
    for name, many, pairs in tables:
        name = f"{name}_{'m' if many else 's'}"
        if not many and name in counts:
            continue
        index = counts[name] = counts.get(name, -1) + 1
        path = (name, index) if many else (name,)
        written[path] = text.count("\n") + 1
        text += f"[[{name}]]\n" if many else f"[ {name} ] # {name} = 1\n"
        for key, value in dict(pairs).items():
            written[(*path, key)] = text.count("\n") + 1
            text += f"{key} = {value}\n"
    lines = Lines(text)
    assert {path: lines.of(path) for path in written} == written


@given(
    st.integers(2_000, 120 * 10**6),  # DOSE-04; a whole nL/h can be delivered exactly
    st.sampled_from([("mL/h", 10**6), ("uL/h", 1000), ("nL/h", 1), ("mL/day", Fraction(10**6, 24))]),
)
def test_a_rate_reaches_the_link_exactly(rate_nl_h, unit):
    name, factor = unit
    text = f'[therapy]\nmode = "continuous"\nrate = "{decimal_text(Fraction(rate_nl_h) / factor)} {name}"\n'
    therapy = s.parse(f'duration = "1 h"\n{text}').therapy
    said = therapy.message(Profile()) or {}
    assert Fraction(said["rate_num"], said["rate_den"]) == rate_nl_h
    assert all(type(said[key]) is int for key in ("rate_num", "rate_den"))
