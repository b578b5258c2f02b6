"""Figures in a README: written and read back, differences named, no place overlooked."""

import pytest
from thecal_bench.benchmarks import published
from thecal_bench.benchmarks.published import PublishedError

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
