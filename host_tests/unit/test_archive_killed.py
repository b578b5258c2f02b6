"""A recording that is killed: the archive opens, less than a second is missing, and the gap is marked.

The truth is the record's file: each line is handed to the system there before the archive gets it.
"""

import json
import random
import time
from datetime import datetime

import pytest
from pump_at_pty import PATIENCE_S, PtyPump, thecal
from thecal_host.archive import Archive

# Requests between two looks: the pump answers each, so that lines come in bursts.
BURST = 5
LOOK_S = 0.02
LONGEST_S = 1.5
MOST_MISSING_S = 1.0


def record_and_kill(pump, path, after_s):
    """What `thecal record` has written when it is killed so long after its first line."""
    process = thecal(pump, "record", str(path))
    deadline_s = time.monotonic() + PATIENCE_S
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline_s, process.communicate()
        time.sleep(LOOK_S)
    kill_s = time.monotonic() + after_s
    while time.monotonic() < kill_s:
        pump.pump_port.write(b"status\n" * BURST)
        time.sleep(LOOK_S)
    process.kill()
    process.communicate()
    *lines, _torn = path.read_text().split("\n")
    return lines


def check_killed(kills, tmp_path, monkeypatch):
    monkeypatch.setenv("THECAL_ARCHIVE", str(tmp_path / "archive.sqlite"))
    chance = random.Random(kills)
    written = []
    with PtyPump() as pump:
        for number in range(1, kills + 1):
            path = tmp_path / f"{number}.ndjson"
            written.append(record_and_kill(pump, path, chance.uniform(0, LONGEST_S)))
    with Archive() as archive:
        assert archive.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        runs = archive.runs()
        # One that was killed before its header was committed leaves its file only.
        assert 0.8 * kills <= len(runs) <= kills
        missing = []
        for run in runs:
            lines = archive.text(run.number).splitlines()
            truth = next(one for one in written if one[0] == lines[0])
            assert lines == truth[: len(lines)]
            missing.append(seconds(truth[-1]) - (run.ended_ns or 0) / 1e9)
            assert run.how == "cut"
            (gap,) = (gap for gap in archive.gaps(run.number) if gap.kind == "host")
            assert (gap.after, gap.from_ns) == (len(lines), run.ended_ns)
            later = [other.begun_ns for other in runs if other.number > run.number]
            assert gap.to_ns == (later[0] if later else None)
    assert max(missing) < MOST_MISSING_S
    assert sum(map(len, written)) > 20 * kills, "too little was written for a kill to meet anything"


def seconds(line):
    return datetime.fromisoformat(json.loads(line)["host_time"]).timestamp()


@pytest.mark.req("DESK-02")
def test_a_killed_recording_is_in_the_archive_but_for_a_second(tmp_path, monkeypatch):
    check_killed(10, tmp_path, monkeypatch)


@pytest.mark.long
@pytest.mark.req("DESK-02")
def test_fifty_killed_recordings_are_in_the_archive_but_for_a_second(tmp_path, monkeypatch):
    check_killed(50, tmp_path, monkeypatch)
