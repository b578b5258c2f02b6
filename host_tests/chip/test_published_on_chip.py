"""The README's figures of a tick, measured again on this image."""

import pytest
from thecal_bench import quick
from thecal_bench.benchmarks import published


@pytest.mark.chip
@pytest.mark.req("PERF-03", "PERF-04", "PERF-08")
def test_the_figures_of_a_tick_are_those_of_this_image():
    measured = published.figures(quick.HEADER, quick.measure(jobs=1))
    said = published.read(published.README, quick.NAME)
    assert published.differences(said, measured, quick.TOLERANCE) == [], "`make bench-quick` writes them anew"
