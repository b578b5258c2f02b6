"""A run as one page: what it says, that it needs no other file, and what makes none."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from pump_port import PumpPort
from thecal_host import cli
from thecal_host.page import facts, render, timeline
from typer.testing import CliRunner

pytestmark = pytest.mark.req("DESK-03")

SCENARIO = """
title = "Two presses & <one> limit"
duration = "20 min"

[therapy]
mode = "continuous"
rate = "6 mL/h"

[therapy.patient_bolus]
volume = "100 uL"
rate = "60 mL/h"
lockout = "15 min"
max_per_day = 4

[therapy.limit]
volume = "4 mL"
window = "30 min"

[[event]]
at = "0 s"
do = "start"

[[event]]
at = "5 min"
do = "press"
button = "patient"

[[event]]
at = "10 min"
do = "press"
button = "patient"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with an archive of one run."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "presses.toml").write_text(SCENARIO)
    return folder


@pytest.fixture(autouse=True)
def place(folder, monkeypatch):
    monkeypatch.setenv("THECAL_ARCHIVE", str(folder / "archive.sqlite"))
    if not (folder / "archive.sqlite").exists():
        result = thecal("simulate", folder / "presses.toml", "--keep")
        assert result.exit_code == 0, result.output


def thecal(*args):
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


class Reader(HTMLParser):
    """The texts of a page, its headings, and whatever it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.headings, self.fetches, self._tag = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._tag = tag
        self.fetches += [value for name, value in attrs if name in ("src", "href", "data")]
        assert tag not in ("script", "link", "iframe", "object")

    def handle_data(self, data):
        if self._tag == "h2" and data.strip():
            self.headings.append(data)
        self.texts.append(data.strip())


def page_of(path):
    text = path.read_text()
    return text, Reader(text)


def test_a_page_says_all_that_is_known_of_a_run_and_needs_no_other_file(folder):
    result = thecal("report", 1, "--page", folder / "p.html")
    assert result.exit_code == 0, result.output
    text, page = page_of(folder / "p.html")
    assert page.headings == [
        "Programmed and confirmed", "Rig", "Delivered against programmed", "Windows against the limit",
        "Boluses", "Alarms", "Accuracy by weight", "The pump's log", "Versions and hashes",
    ]  # fmt: skip
    assert all(link.startswith("data:image/png;base64,") for link in page.fetches) and len(page.fetches) == 1
    assert "@import" not in text and "url(" not in text
    said = " ".join(filter(None, page.texts))
    assert "Two presses & <one> limit" in said and "<one>" not in text
    assert "Never for use on a person" in said
    assert "6 mL/h" in said and "100 uL at 60 mL/h" in said and "4 mL in any 0.5 h" in said
    assert "2 asked for, 1 granted, 1 denied." in said
    assert "by whom not told by the pump" in said
    assert re.search(r"5:00.\d patient granted, 100.000 uL", said), said[:6000]
    denied = r"10:00.\d patient denied: the lockout after the last bolus was not over \(lockout\)"
    assert re.search(denied, said), said[6000:]
    # 20 min at 6 mL/h and the bolus, of 4 mL.
    assert re.search(r"0:00.0 4000.000 uL in any 0.5 h 2(099|100)\.\d+ uL 52.5% 20:00.0", said), said
    assert "<svg" in text and "RUNNING" in said and "Everything was watched." in said
    (digest,) = re.findall(r"SHA-256 of the record ([0-9a-f]{64})", said)
    assert thecal("runs", "export", 1, folder / "r.ndjson", "--force").exit_code == 0
    hashed = subprocess.run(["sha256sum", folder / "r.ndjson"], capture_output=True, text=True).stdout
    assert hashed.split()[0] == digest


@pytest.mark.parametrize(
    ("paired", "said"),
    [
        ((1, 1), "a clinician or service key, as the pump was paired; which of them is not told by the pump"),
        ((0, 0), "not told by the pump, which was not paired and took it from whoever had its port"),
        ((0, 1), "not told by the pump"),
        ((), "not told by the pump"),
    ],
)
def test_a_page_says_of_who_confirmed_no_more_than_is_known(paired, said):
    records = [{"type": "status", "paired": known} for known in paired]
    assert facts.by_whom([{"type": "event"}, *records]) == said


def test_a_record_of_a_pump_is_held_against_its_log(run, folder, tmp_path):
    port = PumpPort()
    assert run(port, "program", "--yes", folder / "presses.toml").exit_code == 0
    assert run(port, "start").exit_code == 0
    assert run(port, "record", tmp_path / "r.ndjson", "--for", "5 s").exit_code == 0
    assert run(port, "stop").exit_code == 0
    port.write(b"stop\n")
    assert run(port, "log", "--export", tmp_path / "l.log").exit_code == 0
    page = tmp_path / "p.html"
    result = thecal("report", tmp_path / "r.ndjson", "--page", page, "--log", tmp_path / "l.log")
    assert result.exit_code == 0, result.output
    text, reader = page_of(page)
    said = " ".join(filter(None, reader.texts))
    assert "no edit, no gap" in said and "events of the record" in said and 'class="bad"' not in text
    assert "number 1, in force as the recording began" in said and "digest" in said
    assert said.count("by whom not told by the pump") == 1  # it was confirmed before the recording
    assert "protocol 2" in said and "counted pulses" in said
    # An edit of the log, and an event of which the log knows nothing.
    edited = (tmp_path / "l.log").read_text().replace("2", "3", 40)
    (tmp_path / "edited.log").write_text(edited)
    thecal("report", tmp_path / "r.ndjson", "--page", page, "--log", tmp_path / "edited.log")
    assert 'class="bad"' in page.read_text()


def test_events_that_the_log_tells_otherwise_are_named(run, folder, tmp_path):
    port = PumpPort()
    assert run(port, "program", "--yes", folder / "presses.toml").exit_code == 0
    path = tmp_path / "r.ndjson"
    assert run(port, "record", path, "--for", "2 s").exit_code == 0
    assert run(port, "log", "--export", tmp_path / "l.log").exit_code == 0
    *lines, end = path.read_text().splitlines()
    first = next(json.loads(line) for line in lines if '"status"' in line)
    forged = {"type": "event", "seq": 1, "tick": first["tick"] + 1, "code": "state", "a": 2, "b": 3}
    last = {**json.loads(end), "lines": len(lines) + 2}
    path.write_text("\n".join([*lines, json.dumps(forged), json.dumps(last)]) + "\n")
    result = thecal(
        "report", path, "--page", tmp_path / "p.html", "--log", tmp_path / "l.log", "--incomplete"
    )
    assert result.exit_code == 0, result.output
    assert "Event 1 is" in page_of(tmp_path / "p.html")[0]


def test_what_was_weighed_is_on_the_page(folder, tmp_path):
    weights = "".join(f"{30 * i},{0.05 * i:.4f}\n" for i in range(242))
    (tmp_path / "w.csv").write_text("# rate: 6 mL/h\n# start: 0 s\n" + weights)
    result = thecal("report", 1, "--page", tmp_path / "p.html", "--weights", tmp_path / "w.csv")
    assert result.exit_code == 0, result.output
    said = " ".join(filter(None, page_of(tmp_path / "p.html")[1].texts))
    # 6 g an hour are 6.03 mL of water at 20 C.
    assert re.search(r"w.csv, SHA-256 [0-9a-f]{64}", said) and "+0.2" in said, said[-2000:]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda lines: lines[:-1], "has no end after this line"),
        (lambda lines: [*lines[:5], *lines[6:]], "of the"),
        (lambda lines: lines + lines, "goes on after its end: were two records joined?"),
        (lambda lines: [lines[0] + lines[1], *lines[2:]], ":1: two lines are joined here"),
        (lambda lines: [*lines[:9], lines[9][:20], *lines[10:]], ":10: is not JSON"),
    ],
)
def test_what_is_damaged_or_joined_makes_no_page(run, folder, tmp_path, damage, said):
    port = PumpPort()
    assert run(port, "program", "--yes", folder / "presses.toml").exit_code == 0
    assert run(port, "record", tmp_path / "r.ndjson", "--for", "12 s").exit_code == 0
    lines = (tmp_path / "r.ndjson").read_text().splitlines()
    (tmp_path / "r.ndjson").write_text("\n".join(damage(lines)) + "\n")
    result = thecal("report", tmp_path / "r.ndjson", "--page", tmp_path / "p.html")
    assert result.exit_code in (1, 2) and said in result.stderr and "r.ndjson:" in result.stderr
    assert not (tmp_path / "p.html").exists()


def test_a_status_that_somebody_asked_for_in_the_tick_of_another_one_is_no_step_back(run, folder, tmp_path):
    port = PumpPort()
    assert run(port, "program", "--yes", folder / "presses.toml").exit_code == 0
    assert run(port, "record", tmp_path / "r.ndjson", "--for", "5 s").exit_code == 0
    *lines, end = map(json.loads, (tmp_path / "r.ndjson").read_text().splitlines())
    last = max(number for number, line in enumerate(lines) if line["type"] == "status")
    lines.insert(last + 1, {**lines[last], "seq": lines[last]["seq"] + 1})
    lines.append({**end, "lines": len(lines) + 1})
    (tmp_path / "r.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\n")
    result = thecal("report", tmp_path / "r.ndjson", "--page", tmp_path / "p.html")
    assert result.exit_code == 0, result.stderr


def test_an_incomplete_record_makes_a_page_that_says_so_if_asked(run, folder, tmp_path):
    port = PumpPort()
    assert run(port, "program", "--yes", folder / "presses.toml").exit_code == 0
    assert run(port, "record", tmp_path / "r.ndjson", "--for", "5 s").exit_code == 0
    lines = (tmp_path / "r.ndjson").read_text().splitlines()
    (tmp_path / "r.ndjson").write_text("\n".join(lines[:-1]) + "\n")
    assert (
        thecal("report", tmp_path / "r.ndjson", "--page", tmp_path / "p.html", "--incomplete").exit_code == 0
    )
    _, page = page_of(tmp_path / "p.html")
    assert page.headings[0] == "Incomplete" and any("has no end after" in text for text in page.texts)


def test_a_page_without_its_packages_says_what_to_do(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "find_spec", lambda name: None)
    result = thecal("report", 1, "--page", tmp_path / "p.html")
    assert result.exit_code == 2 and "`make desk` brings it" in result.stderr
    monkeypatch.undo()
    monkeypatch.setenv("THECAL_ARCHIVE", str(folder / "archive.sqlite"))
    monkeypatch.setattr(render.shutil, "which", lambda name: None)
    result = thecal("report", 1, "--page", tmp_path / "p.pdf")
    assert result.exit_code == 2 and "needs a Chromium" in result.stderr
    assert list(tmp_path.iterdir()) == []
    result = thecal("report", 1, "--page", tmp_path / "p.docx")
    assert result.exit_code == 2 and ".html or .pdf" in result.stderr


def test_a_pdf_is_what_a_chromium_prints(folder, tmp_path, monkeypatch):
    """By the real one where there is one, else by a stand-in that prints no picture."""
    if not any(map(shutil.which, render.CHROMIUMS)):
        stand_in = tmp_path / "bin" / "chromium"
        stand_in.parent.mkdir()
        script = (
            "#!/bin/sh",
            'for a; do case "$a" in --print-to-pdf=*) to="${a#*=}";;',
            'file://*) from="${a#file://}";; esac; done',
            'grep -q "Two presses" "$from" && printf "%%PDF-1.4 %s" "$*" >"$to"',
        )
        stand_in.write_text("\n".join(script) + "\n")
        stand_in.chmod(0o755)
        monkeypatch.setenv("PATH", str(stand_in.parent), prepend=":")
    result = thecal("report", 1, "--page", tmp_path / "p.pdf")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


def event(code, a, b):
    return {"code": code, "a": a, "b": b}


def test_alarms_and_states_of_the_time_line():
    from thecal.watch.alarms import OCCLUSION_DOWN, RESERVOIR_LOW

    events = [
        (0, event("state", 2, 3)),
        (5_000, event("alarm", RESERVOIR_LOW, 1)),
        (6_000, event("alarm", OCCLUSION_DOWN, 1)),
        (6_000, event("state", 3, 4)),
        (7_000, event("alarm", OCCLUSION_DOWN, 1)),
        (8_000, event("alarm", OCCLUSION_DOWN, 0)),
        (9_000, event("alarm", OCCLUSION_DOWN, 1)),
    ]
    found = timeline.alarms_of(events)
    assert [(one.name, one.kind, one.from_ms, one.until_ms) for one in found] == [
        ("RESERVOIR_LOW", "LOW", 5_000, None),
        ("OCCLUSION_DOWN", "HIGH", 6_000, 8_000),
        ("OCCLUSION_DOWN", "HIGH", 9_000, None),
    ]
    stood = timeline.states_of(events, 10_000)
    assert [(one.kind, one.from_ms, one.until_ms) for one in stood] == [
        ("RUNNING", 0, 6_000),
        ("HALTED", 6_000, 10_000),
    ]
    drawn = timeline.drawing([*stood, *found], 0, 10_000)
    assert drawn.count("<rect") == 5 and "OCCLUSION_DOWN (HIGH)" in drawn
    assert timeline.drawing([], 0, 10_000) == ""
