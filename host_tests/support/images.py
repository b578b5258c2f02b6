"""The two images of the Pico, and which of them a chip test runs: the bench's, if it says nothing.

What needs the prompt runs on the bench's. `on_each_image` is for what `make test` shows of both,
`on_each_image_in_long` for what is shown of the release image only where there is time.
"""

import os
from pathlib import Path

import pytest
from image import build

BENCH, RELEASE = "bench", "release"
PATHS = {
    BENCH: Path(os.environ.get("THECAL_IMAGE", build.uf2_of())),
    RELEASE: build.uf2_of(release=True),
}
HOW = {BENCH: "make image", RELEASE: "make image RELEASE=1"}


def _on(*images):
    return pytest.mark.parametrize("image", images, indirect=True)


on_each_image = _on(BENCH, RELEASE)
on_each_image_in_long = _on(BENCH, pytest.param(RELEASE, marks=pytest.mark.long))
on_release_image = _on(RELEASE)


def found(which: str) -> Path:
    """The UF2 of one of them; the test fails, with the way to build it, if there is none."""
    if not PATHS[which].is_file():
        pytest.fail(f"there is no image at {PATHS[which]}: run `{HOW[which]}` first")
    return PATHS[which]
