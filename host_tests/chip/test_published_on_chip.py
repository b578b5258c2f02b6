"""The figures of the pages, measured again on this image: of a tick always, the others in long tests."""

import pytest
from rich.console import Console
from thecal_bench import benchmark, quick
from thecal_bench.benchmarks import published
from thecal_bench.benchmarks.boot import STOCK_IMAGE
from thecal_host import showcase

pytestmark = pytest.mark.chip


@pytest.mark.req("PERF-03", "PERF-04", "PERF-08")
def test_the_figures_of_a_tick_are_those_of_this_image():
    measured = published.figures(quick.HEADER, quick.measure(jobs=1))
    said = published.read(published.README, quick.NAME)
    off = published.differences(said, measured, published.TOLERANCE)
    assert off == [], "`make bench-quick` writes them anew"
    assert quick.too_dear(measured) == [], "PERF-03, of the control's"


@pytest.mark.long
@pytest.mark.req("PERF-01", "PERF-04", "PERF-08")
def test_the_figures_of_delivery_and_resets_are_those_of_this_image(image):
    results = benchmark.measure(benchmark.FULL, image, STOCK_IMAGE, 1, Console(quiet=True))
    off = [line for sheet in benchmark.sheets(results) for line in sheet.differences(published.TOLERANCE)]
    assert off == [], "`make bench` writes them anew"


@pytest.mark.long
@pytest.mark.req("PERF-08", "SIM-02")
def test_the_run_of_the_pages_is_that_of_this_image(tmp_path):
    assert showcase.measure("chip", tmp_path).differences(published.TOLERANCE) == []
