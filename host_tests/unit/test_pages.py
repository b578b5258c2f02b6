"""All pages: every link leads somewhere, every page is reached from the first, every file and name exists."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import FrameType

import pytest
from pump_on_bench import SIX_ML_H, PumpOnBench
from thecal.link.telemetry import STATUS_PERIOD_TICKS

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "README.md"
CODE = ROOT / "firmware" / "README.md"
CHANGE = ROOT / "CONTRIBUTING.md"
SKIPPED = {"build", ".venv", "node_modules"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in SKIPPED or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def links(page: Path) -> list[tuple[Path, str]]:
    """The file and the heading that each relative link of a page leads to."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    return [
        ((page.parent / link.split("#")[0]).resolve() if link[0] != "#" else page, link.partition("#")[2])
        for link in found
    ]


def anchors(page: Path) -> set[str]:
    """What its headings are called in links, as GitHub makes it."""
    titles = re.findall(r"^(?:> )?#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@every_page
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target}#{anchor}"


def test_every_page_is_reached_from_the_first():
    reached, ahead = {FIRST}, [FIRST]
    while ahead:
        for target, _ in links(ahead.pop()):
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                ahead.append(target)
    assert reached >= set(PAGES)


@every_page
def test_every_file_in_the_text_exists(page):
    named = re.findall(r"(?<![\w/])((?:firmware|boards|host_tests|tools)/[\w./-]*[\w/])", page.read_text())
    for path in named:
        assert (ROOT / path).exists(), path


def names_of_the_firmware() -> dict[str, Path]:
    """Its functions and classes, and each method as `Class.method`, with the file."""
    found = {}
    for path in (ROOT / "firmware").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found[node.name] = path
            if isinstance(node, ast.ClassDef):
                methods = (part.name for part in node.body if isinstance(part, ast.FunctionDef))
                found |= {f"{node.name}.{method}": path for method in methods}
    return found


def called_for_a_step() -> set[str]:
    """What the pump calls from a start until its first step is counted and told."""
    pump = PumpOnBench()
    pump.program(**SIX_ML_H)
    called = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and "firmware" in Path(frame.f_code.co_filename).parts:
            called.add(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        assert pump.ask("start")["ok"]
        pump.run(STATUS_PERIOD_TICKS)
    finally:
        sys.setprofile(None)
    assert pump.pump.position.executed_steps >= 1
    return called


def test_one_microstep_is_followed_through_what_is_called():
    """In the page of the code `name()` is a function, `Class.name()` a method. All are there, and all
    that are not the board's own (`drivers/`, `app.py`) are called on the way of a step.
    """
    named = set(re.findall(r"`([\w.]+)\(\)`", CODE.read_text()))
    there = names_of_the_firmware()
    assert len(named) > 20 and named <= set(there)
    rooms = {name for name in named if "drivers" not in there[name].parts and there[name].name != "app.py"}
    assert rooms <= called_for_a_step()


def test_every_part_of_the_firmware_and_every_tool_is_shown():
    house = ROOT / "firmware" / "thecal"
    packages = {path.parent.name for path in house.glob("*/__init__.py")}
    files = {path.name for path in house.glob("*.py")} - {"__init__.py"}
    shown = set(re.findall(r"`(?:thecal/)?([\w.]+)/?`", CODE.read_text()))
    assert packages and files and packages | files <= shown
    tools = {path.name for path in (ROOT / "tools").iterdir() if next(path.glob("*.py"), None)}
    assert tools and tools <= set(re.findall(r"`tools/(\w+)/`", CHANGE.read_text()))


@every_page
def test_every_name_stands_in_the_file_that_is_said(page):
    """Where a page says "`name` of `file`"."""
    said = re.findall(r"`(\w+)`\s+of\s+`([\w/]+\.py)`", page.read_text())
    assert page != CHANGE or len(said) > 8
    for name, path in said:
        assert re.search(rf"\b(?:def |class )?{name}\b", (ROOT / path).read_text()), f"{name} of {path}"


def test_every_page_is_kept_and_short_enough_to_read():
    for page in PAGES:
        assert len(page.read_text().splitlines()) <= 260, page
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout
    if listed:
        assert {str(page.relative_to(ROOT)) for page in PAGES} >= set(listed.split())
