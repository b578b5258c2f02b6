"""The archive: a run is there line by line while it happens, gaps are marked, and what `thecal runs` makes of
it."""

import csv
import json
import sqlite3
from itertools import pairwise

import pytest
from pump_port import PumpPort
from thecal_host import archive_day, cli
from thecal_host.archive import Archive, ArchiveError, Keeping
from thecal_host.archive.packing import Models
from thecal_host.recording import Recorder, load_text
from thecal_host.run import DEMO
from typer.testing import CliRunner

pytestmark = pytest.mark.req("DESK-02")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("THECAL_ARCHIVE", str(tmp_path / "here" / "archive.sqlite"))
    return tmp_path / "here" / "archive.sqlite"


def thecal(*args, answer=None):
    return CliRunner().invoke(cli.app, [str(arg) for arg in args], input=answer)


def status(seq, **more):
    return {"type": "status", "seq": seq, "tick": 10 * seq, **more}


def kept(*records, pump="a pump", clock_ns=None, end=True):
    """The number of a run with these lines."""
    with Archive() as archive:
        keeping = Keeping(archive, pump, *([] if clock_ns is None else [clock_ns]))
        recorder = Recorder(None, {"title": "a run", "tick_ms": 100}, keeping)
        for record in records:
            recorder.write(record)
        if end:
            recorder.end()
        keeping.close()
        return keeping.number


def test_what_comes_back_is_the_record_to_the_byte(run, tmp_path):
    path = tmp_path / "r.ndjson"
    result = run(PumpPort(), "record", path, "--for", "5 s")
    assert result.exit_code == 0 and "and run 1." in result.output
    assert thecal("runs", "export", 1, tmp_path / "again.ndjson").exit_code == 0
    assert (tmp_path / "again.ndjson").read_bytes() == path.read_bytes()
    with Archive() as archive:
        found = archive.run(1)
        assert (found.how, found.pump, found.gaps) == ("end", "test pump", 0)
        ticks = [json.loads(text)["tick"] for *_, kind, text in archive.lines(1) if kind == "status"]
        clocks = [(host, pump) for _, host, pump, kind, _ in archive.lines(1) if kind == "status"]
    assert [pump for _, pump in clocks] == [100 * tick for tick in ticks] and len(ticks) == 5
    assert clocks == sorted(clocks) and clocks[0][0] > found.begun_ns


def test_run_and_simulate_keep_what_they_recorded(tmp_path):
    assert thecal("run", "--on", "host", "--into", tmp_path).exit_code == 0
    result = thecal("simulate", DEMO, "--keep")
    assert result.exit_code == 0 and "run 2" in result.output and "pressure 0" not in result.output
    with Archive() as archive:
        assert archive.text(1) == (tmp_path / "record.ndjson").read_text()
        loaded = load_text("run 2", archive.text(2))
        samples = [record for record in loaded.records if record["type"] == "sample"]
        assert loaded.problems == [] and len(samples) > 100


def test_lines_are_there_while_the_run_goes_on(place):
    with Archive() as archive, Archive() as reader:
        keeping = Keeping(archive, "a pump")
        recorder = Recorder(None, {"tick_ms": 100}, keeping)
        recorder.write(status(1))
        assert [kind for *_, kind, _ in reader.lines(1)] == ["header", "status"]
        recorder.write(status(2))
        recorder.write(status(3))
        keeping.turn()
        assert reader.run(1).lines == 4 and reader.run(1).how is None
        with pytest.raises(ArchiveError, match="is being recorded"):
            reader.delete([1])
        with Archive() as third:
            assert third.run(1).how is None, "a run whose keeper lives was taken for cut off"
        keeping.close()
    with Archive() as archive:
        assert archive.run(1).how == "cut"


def test_gaps_of_the_link_and_restarts_are_marked_where_they_are():
    times = iter(range(10**9, 10**12, 10**9))
    number = kept(
        status(1), status(2), status(6), {"type": "event", "seq": 40, "tick": 61, "code": "state"}, status(7),
        status(0), {"type": "event", "seq": 0, "tick": 1, "code": "boot"}, status(1),
        clock_ns=lambda: next(times),
    )  # fmt: skip
    with Archive() as archive:
        found = [(gap.after, gap.kind, gap.missing, gap.from_ns, gap.to_ns) for gap in archive.gaps(number)]
    assert found == [
        (3, "link", 3, 3 * 10**9, 4 * 10**9),
        (6, "restart", None, 6 * 10**9, 7 * 10**9),
    ]
    shown = thecal("runs", "show", number).output
    assert "after line 3, 3 frames: the link lost it" in " ".join(shown.replace("│", "").split())


def test_a_run_that_was_cut_off_is_marked_and_the_next_of_that_pump_ends_the_gap():
    first = kept(status(1), status(2), end=False)
    kept(status(1), pump="another pump")
    with Archive() as archive:
        (gap,) = archive.gaps(first)
        assert (gap.after, gap.kind, gap.missing, gap.to_ns) == (3, "host", None, None)
        assert archive.run(first).how == "cut" and archive.run(first).ended_ns == gap.from_ns
    second = kept(status(9), status(10))
    with Archive() as archive:
        (gap,) = archive.gaps(first)
        assert gap.to_ns == archive.run(second).begun_ns


def test_a_busy_archive_costs_no_line(place, monkeypatch):
    monkeypatch.setattr("thecal_host.archive.store.BUSY_S", 0.01)
    with Archive() as archive:
        keeping = Keeping(archive, "a pump")
        recorder = Recorder(None, {"tick_ms": 100}, keeping)
        other = sqlite3.connect(place, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        recorder.write(status(1))
        keeping.turn()
        assert archive.run(1).lines == 1
        other.execute("COMMIT")
        keeping.turn()
        assert archive.run(1).lines == 2
        keeping.close()


def test_a_table_has_a_row_a_line_in_csv_and_the_same_in_parquet(tmp_path):
    from pyarrow import parquet

    number = kept(
        status(1, failed=0, name="x"), {"type": "reply", "ok": True, "list": [1, 2]}, status(2, failed=7)
    )
    for name in ("t.csv", "t.parquet"):
        result = thecal("runs", "export", number, tmp_path / name)
        assert result.exit_code == 0 and "5 lines of run 1" in result.output
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert [row["type"] for row in rows] == ["header", "status", "reply", "status", "end"]
    assert [row["failed"] for row in rows] == ["", "0", "", "7", ""] and rows[2]["list"] == "[1,2]"
    assert [row["pump_ms"] for row in rows] == ["", "1000", "", "2000", ""]
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == list(rows[0]) and str(table.schema.field("failed").type) == "int64"
    assert [row["failed"] for row in table.to_pylist()] == [None, 0, None, 7, None]
    assert table.to_pylist()[2]["ok"] is True


def test_parquet_without_pyarrow_says_what_to_do(tmp_path, monkeypatch):
    number = kept(status(1))
    monkeypatch.setattr("thecal_host.archive.exporting.find_spec", lambda name: None)
    result = thecal("runs", "export", number, tmp_path / "t.parquet")
    assert result.exit_code == 2 and "`make desk` brings it" in result.stderr
    assert not (tmp_path / "t.parquet").exists()


def test_runs_are_compared_as_a_table_and_a_picture(tmp_path):
    for _ in range(2):
        assert thecal("run", "--on", "host", "--into", tmp_path).exit_code == 0
    result = thecal("runs", "compare", 1, 2, "-o", tmp_path / "both.png")
    assert result.exit_code == 0 and "second less first" in result.output and "+0.0 nL" in result.output
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


def test_a_difference_between_runs_is_told():
    from fractions import Fraction

    from thecal_host.archive.comparing import comparison_rows
    from thecal_host.programmed import Programmed
    from thecal_host.report import Run, Sample

    def straight(nl_per_s, seconds):
        samples = [Sample(1000 * at, Fraction(at * nl_per_s)) for at in range(seconds + 1)]
        return Run("a run", Fraction(125, 4), Programmed(), samples, "plant")

    rows = comparison_rows(straight(10, 8), straight(12, 5))
    assert ("delivered after 5.0 s", "0.050 uL", "0.060 uL") in rows
    assert ("second less first", "", "+10.0 nL") in rows


def test_deleting_says_what_and_asks_and_leaves_what_is_younger(place):
    old = kept(status(1), clock_ns=lambda: 10**18)
    young = kept(status(1))
    asked = thecal("runs", "delete", "--older", "30 days", answer="n\n")
    assert asked.exit_code == 1 and f"run {old}," in asked.output and f"run {young}," not in asked.output
    assert "Nothing was deleted" in asked.output
    assert thecal("runs", "delete", "--older", "30 days", "--yes").exit_code == 0
    with Archive() as archive:
        assert [run.number for run in archive.runs()] == [young]
        with pytest.raises(ArchiveError, match=f"no run {old}"):
            archive.run(old)
    assert kept(status(1)) not in (old, young), "a number was given twice"
    assert thecal("runs", "delete").exit_code == 2


def test_list_and_show_say_it_as_json_too():
    number = kept(status(1), status(4))
    (listed,) = (json.loads(line) for line in thecal("runs", "list", "--json").output.splitlines())
    assert (listed["run"], listed["how"], listed["lines"], listed["gaps"]) == (number, "end", 4, 1)
    shown = json.loads(thecal("runs", "show", number, "--json").output)
    assert shown["missing"][0]["missing"] == 2 and shown["kinds"] == {"header": 1, "status": 2, "end": 1}
    assert thecal("runs", "show", 99).exit_code == 2


def test_damage_and_another_version_are_told(place):
    number = kept(status(1), status(2))
    with Archive() as archive:
        archive.db.execute("UPDATE lines SET packed = substr(packed, 1, 4) WHERE number = 3")
    result = thecal("runs", "export", number, place.with_name("r.ndjson"))
    assert result.exit_code == 2 and f"run {number}, line 3" in result.stderr
    with Archive() as archive:
        archive.db.execute("PRAGMA user_version=9")
    result = thecal("runs", "list")
    assert result.exit_code == 2 and "version 9" in result.stderr
    for file in place.parent.iterdir():
        file.write_bytes(b"no database" * 100)
    assert "not a database" in thecal("runs", "list").stderr


def test_a_line_takes_a_fraction_of_its_text():
    port = PumpPort()
    for _ in range(200):
        port.read(0)
    models, both = Models(), Models()
    frames = [json.dumps({"type": "status", **vars_of}) for vars_of in _frames(port)]
    packed = [models.pack("status", frame) for frame in frames]
    assert [both.unpack("status", one) for one in packed] == frames
    assert sum(map(len, packed[1:])) * 4 < sum(map(len, frames[1:]))


def _frames(port):
    from thecal_model.link import LinkClient

    client = LinkClient(port.write)
    found = []
    while len(found) < 20:
        found += [frame for frame in client.feed(port.read(0)) if frame["type"] == "status"]
    return found


def test_the_day_of_the_benchmark_is_one_without_gaps(place):
    frames = archive_day.pattern()
    archive_day.keep(str(place), frames, len(frames) + 5)
    with Archive() as archive:
        runs = archive.runs()
        ticks = [json.loads(text)["tick"] for *_, kind, text in archive.lines(1) if kind == "status"]
    assert [(run.lines, run.gaps, run.how) for run in runs] == [(len(frames) + 7, 0, "end")] * 4
    assert [after - before for before, after in pairwise(ticks)] == [10] * (len(frames) + 4)
