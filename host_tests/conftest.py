"""What all tests share: figures of the pages are held.

A test whose row of claims (README.md beside this file) says figures takes `measured` and calls it with them,
in the order of the row. They are compared when the test is over, to a tenth; with `--write-measured` only
these tests run, and write the row anew.

Properties draw the same examples each time, so that what fails was made to fail by the change at hand;
`--hypothesis-profile=explore`, as in `make test-long`, draws new ones. No example has a deadline: how long
one takes depends on what else the machine does.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings
from thecal_bench.benchmarks import published

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-measured", action="store_true", help="write the figures of the claims anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--write-measured"):
        kept = [item for item in items if "measured" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(scope="module", autouse=True)
def _archive_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What commands record here is not kept in the user's archive, nor in that of another file of tests: a
    calibration goes on from what lies beside it.
    """
    os.environ["THECAL_ARCHIVE"] = str(tmp_path_factory.mktemp("archive") / "archive.sqlite")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """A function that takes the figures of the test's row of claims, in its order."""
    found: list[float] = []
    yield lambda *figures: found.extend(map(float, figures))
    if not found:
        return
    row = request.node.originalname
    if request.config.getoption("--write-measured"):
        published.write_claim(published.TESTS, row, found)
    problems = published.claim_differences(published.TESTS, row, found)
    assert not problems, f"{problems}: `make bench` writes them anew"
