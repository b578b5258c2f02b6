"""All pages: every link leads somewhere, every page is reached from the first, every file and name exists."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "README.md"
CODE = ROOT / "firmware" / "README.md"
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


def names_of_the_firmware() -> set[str]:
    """Its functions and classes, and each method as `Class.method`."""
    found = set()
    for path in (ROOT / "firmware").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {
                    f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)
                }
    return found


def test_every_name_in_the_page_of_the_code_is_one_of_the_firmware():
    """`name()` is a function or a class, `Class.name()` a method of that class."""
    assert set(re.findall(r"`([\w.]+)\(\)`", CODE.read_text())) <= names_of_the_firmware()


def test_every_page_is_kept_and_short_enough_to_read():
    for page in PAGES:
        assert len(page.read_text().splitlines()) <= 260, page
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True).stdout
    if listed:
        assert {str(page.relative_to(ROOT)) for page in PAGES} >= set(listed.split())
