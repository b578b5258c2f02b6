"""The page as HTML in one file, and as PDF where there is a Chromium to print it."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import tempfile
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from thecal_host.files import FileError, writing
from thecal_host.page.facts import Given, sections

ENDINGS = (".html", ".pdf")
NO_JINJA = "a page needs the package jinja2, which is not installed: `make desk` brings it"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_CHROMIUM = "PDF needs a Chromium, and none is on PATH: write .html, and print that from a browser"

# A page of a day prints in some seconds.
PRINT_S = 120
DPI = 110


def html_of(given: Given) -> str:
    """The page. Raises FileError without jinja2, and what `sections` raises."""
    if find_spec("jinja2") is None:
        raise FileError(NO_JINJA)
    import jinja2

    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(
        title=given.run.title,
        name=given.name,
        sections=sections(given),
        pictures={"run": _picture(given)},
        made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}",
    )


def _picture(given: Given) -> str:
    from thecal_host.picture import figure_of

    with io.BytesIO() as file:
        figure_of(given.run).savefig(file, format="png", dpi=DPI)
        return base64.b64encode(file.getvalue()).decode()


def write_page(given: Given, path: Path) -> None:
    """The page to `path`, which ends in .html or .pdf. Raises FileError."""
    page = html_of(given)
    if path.suffix.lower() == ".html":
        with writing(path) as file:
            file.write(page)
        return
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if chromium is None:
        raise FileError(NO_CHROMIUM)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(page, encoding="utf-8")
        # As root it runs without its sandbox only.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [chromium, "--headless=new", *root, "--no-pdf-header-footer"]
        command += [f"--user-data-dir={folder}/profile", f"--print-to-pdf={path.resolve()}", source.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PRINT_S)
        except subprocess.TimeoutExpired:
            raise FileError(f"{path}: {chromium} did not print it within {PRINT_S} s: write .html") from None
    if done.returncode or not path.exists():
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise FileError(f"{path}: {chromium} did not print it ({last}): write .html")
