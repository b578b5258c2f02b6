"""Figures in a README: written and read back, differences named, no place overlooked."""

import re

import pytest
from thecal_bench import quick
from thecal_bench.benchmarks import occlusion, pages, published
from thecal_bench.benchmarks.published import PublishedError
from thecal_host import showcase

PAGE = """Above.
<!-- figures: a tick, written by `make nothing` -->
<!-- end of figures: a tick -->
Below.
"""
HEADER = ("", "Thecal", "Timer")
ROWS = [("cycles", "1,234,567", "890"), ("heap", "0 bytes", "4.5 bytes"), ("reset", "1.10 ms", "")]
FIGURES = {
    ("cycles", "Thecal"): 1_234_567,
    ("cycles", "Timer"): 890,
    ("heap", "Thecal"): 0,
    ("heap", "Timer"): 4.5,
    ("reset", "Thecal"): 1.1,
}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(PAGE)
    return path


@pytest.mark.req("PERF-08")
def test_what_is_written_is_read_and_the_rest_of_the_page_stays(page):
    for _ in range(2):
        published.write(page, "a tick", "bench-quick", HEADER, ROWS)
        assert published.read(page, "a tick") == FIGURES
    text = page.read_text()
    assert text.startswith("Above.\n") and text.endswith("\nBelow.\n")
    assert "written by `make bench-quick`" in text and "nothing" not in text


@pytest.mark.req("PERF-08")
def test_a_figure_that_is_off_missing_or_not_measured_is_named():
    said = {("a", "x"): 100.0, ("b", "x"): 5.0, ("c", "x"): 0.0}
    assert published.differences(said, said, 0.1) == []
    assert published.differences(said, {**said, ("a", "x"): 91.0}, 0.1) == []
    assert published.differences(said, {("a", "x"): 90.0, ("c", "x"): 1.0, ("d", "x"): 2.0}, 0.1) == [
        "a, x: 100 is said, 90 was measured",
        "b, x: 5 is said, nothing measures it",
        "c, x: 0 is said, 1 was measured",
        "d, x: 2 was measured, nothing is said",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        PAGE + PAGE,
        PAGE.replace("<!-- end of figures: a tick -->\n", ""),
        "<!-- end of figures: a tick -->\n<!-- figures: a tick, x -->\n",
    ],
)
def test_a_page_without_the_one_place_is_refused_and_left_alone(page, text):
    page.write_text(text)
    with pytest.raises(PublishedError, match=r"README.md: the figures `a tick` must stand once"):
        published.write(page, "a tick", "bench-quick", HEADER, ROWS)
    assert page.read_text() == text


def test_a_table_without_rows_holds_no_figures(page):
    with pytest.raises(PublishedError, match="no rows"):
        published.read(page, "a tick")


# --- a row of claims

CLAIMS = """| Claim | Check | Measured |
|---|---|---|
| Exact | `test_one` in [a](a.py) | 31 098 edges, 0.71 steps off, 0 cycles |
| Quick | `test_two` in [a](a.py) | |
"""


@pytest.mark.req("PERF-08")
def test_a_row_of_claims_takes_and_holds_what_its_test_measured(page):
    page.write_text(CLAIMS)
    assert published.claim_differences(page, "test_one", [31_100, 0.705, 0]) == []
    assert published.claim_differences(page, "test_one", [35_000, 0.5, 1]) == [
        "31 098 is said, 35000 was measured",
        "0.71 is said, 0.5 was measured",
        "0 is said, 1 was measured",
    ]
    published.write_claim(page, "test_one", [1_234_567, 0.5, 1])
    written = CLAIMS.replace("31 098", "1 234 567").replace("0.71", "0.50").replace("0 c", "1 c")
    assert page.read_text() == written


@pytest.mark.parametrize(("test", "figures"), [("test_one", [1, 2]), ("test_two", [1]), ("test_three", [])])
def test_a_row_that_is_not_there_or_has_other_figures_is_refused(page, test, figures):
    page.write_text(CLAIMS)
    for does in (published.write_claim, published.claim_differences):
        with pytest.raises(PublishedError, match="one row must name"):
            does(page, test, figures)
    assert page.read_text() == CLAIMS


# --- the tables of the pages

OPENING = re.compile(r"^<!-- figures: ([^,]+), written by `make bench(?:-quick)?` -->$", re.MULTILINE)


@pytest.mark.parametrize("page", [published.README, published.TESTS], ids=lambda page: page.parent.name)
def test_every_table_of_figures_was_written(page):
    names = OPENING.findall(page.read_text())
    assert names and len(set(names)) == page.read_text().count("<!-- figures:")
    for name in names:
        assert published.read(page, name)


@pytest.mark.req("PERF-08", "OCC-03", "OCC-05")
@pytest.mark.parametrize(
    "rate", [100, 1_000, *(pytest.param(rate, marks=pytest.mark.long) for rate in (2, 5, 10, 30, 300))]
)
def test_a_blocked_line_is_told_as_it_is_measured(rate):
    sheet = pages.blocked_line([occlusion.row(rate, pages.SHOWN_COMPLIANCE)])
    said = published.read(sheet.page, sheet.name)
    assert len({row for row, _ in said}) == len(occlusion.RATES_UL_H)
    measured = published.figures(sheet.header, sheet.rows)
    assert measured and published.differences({place: said[place] for place in measured}, measured, 0.1) == []


@pytest.mark.req("PERF-08")
def test_the_run_of_the_pages_is_the_run_of_today(tmp_path):
    assert showcase.measure("host", tmp_path).differences(published.TOLERANCE) == []


@pytest.mark.req("PERF-03")
def test_a_tick_that_costs_more_than_three_quarters_of_the_controls_is_named():
    rows = [[f"CPU cycles in 100 ms, {rate}", "75", "100"] for rate in ("60 mL/h", "6 mL/h", "5 uL/h")]
    assert quick.too_dear(published.figures(quick.HEADER, rows)) == []
    rows[1][1] = "76"
    assert quick.too_dear(published.figures(quick.HEADER, rows)) == ["6 mL/h: 0.76"]
