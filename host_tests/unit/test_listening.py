"""Who listens goes on listening: a lost line is opened again, and the gap is marked wherever one looks.

In this process on a port whose cable is out for a while, then `thecal record` and `monitor` as processes on a
pty that vanishes and comes back. The pump goes on all the while.
"""

import json
import signal

import pytest
from pump_at_pty import PATIENCE_S, PtyPump, thecal, until
from pump_port import PumpPort
from thecal_host import picture, record, recording, report, rigging
from thecal_host.connection import PortError
from thecal_host.listening import Away, Back, Recording, listen
from thecal_host.pump import Pump, PumpError
from thecal_model.link import encode

RATE = {"mode": "continuous", "rate_num": 6_000_000, "rate_den": 1}
TICKS_AWAY = 120


class PulledPort(PumpPort):
    """Away from a look on, until it is opened anew at a time."""

    def __init__(self):
        super().__init__()
        self.pulled_at = self.back_at = 1 << 30
        self.sent = []

    def _is_out(self):
        return self.pulled_at <= self.bench.tick < self.back_at

    def read(self, timeout_s):
        if self._is_out():
            raise PortError("the cable is out")
        return super().read(timeout_s)

    def write(self, data):
        if self._is_out():
            raise PortError("the cable is out")
        self.sent.append(data)
        super().write(data)

    def sleep(self, seconds):
        self.bench.advance_to_tick(self.bench.tick + int(seconds * 10))

    def reopen(self):
        if self._is_out():
            raise PortError("there is no port")
        self._data.clear()
        return self


@pytest.fixture
def pulled():
    port = PulledPort()
    port.bench.advance_to_tick(20)
    pump = Pump(port, port.clock_s)
    pump.reopen, pump.sleep = port.reopen, port.sleep
    pump.connect()
    pump.confirm(pump.propose(RATE))
    pump.ask("start")
    return port, pump


def recorded(pump, path, seconds):
    """`thecal record` for so long; the record."""
    with path.open("w") as file:
        head = record.header(
            title="a line that was lost", source=record.COUNTED_PULSES, nl_per_step=pump.nl_per_step,
            tick_ms=pump.tick_ms, rig=rigging.in_force(pump), kept=pump.therapy(), hello=pump.hello,
        )  # fmt: skip
        taken = Recording(pump, recording.Recorder(file, head))
        for heard in listen(pump, pump.clock_s() + seconds):
            taken.take(heard)
        taken.end()
    return recording.load(path)


def pull(port, in_ticks=50):
    port.pulled_at = port.bench.tick + in_ticks
    port.back_at = port.pulled_at + TICKS_AWAY


def give(port, cmd, tick):
    """Somebody else's command at a tick."""
    frame = encode({"id": tick, "run": "00000001", "cmd": cmd})
    port.bench.schedule(tick, lambda: port.bench.send(frame))


@pytest.mark.req("LNK-04", "LNK-05")
def test_a_record_goes_on_behind_a_gap_and_lacks_no_event(pulled, tmp_path):
    port, pump = pulled
    pull(port)
    give(port, "stop", port.pulled_at + 20)
    give(port, "start", port.pulled_at + 60)
    port.sent.clear()
    path = tmp_path / "record.ndjson"
    loaded = recorded(pump, path, 40)
    (problem,) = loaded.problems
    lines = enumerate(path.read_text().splitlines(), 1)
    number, gap = next((number, json.loads(line)) for number, line in lines if '"type":"gap"' in line)
    assert (
        problem == f"{path}:{number}: the line was lost here for {gap['away_ms'] / 1000} s: the cable is out"
    )
    assert TICKS_AWAY * 100 <= gap["away_ms"] <= TICKS_AWAY * 100 + 1000
    events = [r for r in loaded.records if r["type"] == "event"]
    sequences = [event["seq"] for event in events]
    assert sequences == list(range(sequences[0], sequences[-1] + 1))
    assert [(e["a"], e["b"]) for e in events if e["code"] == "state" and "from" in e] == [(3, 2), (2, 3)]
    # Nothing but questions was sent.
    asked = {
        json.loads(line[: line.rindex(b"}") + 1])["cmd"] for line in b"".join(port.sent).split(b"\n") if line
    }
    assert asked <= {"hello", "log", "rig_kept", "therapy"}

    run = record.run_of(path)
    # From the last status before to the first after it: the pump tells one every second.
    ((from_ms, to_ms),) = run.gaps
    assert TICKS_AWAY * 100 <= to_ms - from_ms <= TICKS_AWAY * 100 + 2000
    # What was programmed is known over the gap, because the events are.
    assert abs(report.worst_error_steps(run)) <= run.bound_steps == 2
    assert ("line lost", f"1 times, {(to_ms - from_ms) / 1000:.1f} s without samples") in report.summary_rows(
        run
    )
    figure = picture.figure_of(run)
    for axes in figure.axes:
        (span,) = [patch for patch in axes.patches if patch.get_hatch() == "///"]
        assert span.get_extents().width > 0
    assert "line lost" in [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.req("LNK-04")
def test_what_the_log_does_not_tell_is_missed_by_its_number(pulled, tmp_path, monkeypatch):
    port, pump = pulled
    pull(port)
    give(port, "stop", port.pulled_at - 20)
    give(port, "start", port.pulled_at + 20)
    give(port, "stop", port.back_at + 50)
    monkeypatch.setattr("thecal_host.listening.missed_events", lambda pump, since: [])
    assert any(
        "of type event are missing" in problem for problem in recorded(pump, tmp_path / "r", 40).problems
    )


def test_a_record_that_ends_without_a_line_says_so(pulled, tmp_path):
    port, pump = pulled
    pull(port)
    port.back_at = 1 << 30
    loaded = recorded(pump, tmp_path / "r", 20)
    assert loaded.records[-1]["type"] == "end" and loaded.records[-2]["type"] == "gap"
    assert loaded.records[-2]["away_ms"] >= 14_000


def test_it_says_when_the_line_is_away_and_for_how_long(pulled):
    port, pump = pulled
    pull(port)
    told = [heard for heard in listen(pump, pump.clock_s() + 30) if not isinstance(heard, list)]
    assert {type(heard) for heard in told[:-1]} == {Away} and len(told) > 5
    back = told[-1]
    assert isinstance(back, Back) and TICKS_AWAY / 10 <= back.away_s <= TICKS_AWAY / 10 + 1
    # The losses counted so far are not forgotten.
    assert pump.client.gaps >= TICKS_AWAY // 10 - 2


def test_without_a_way_back_a_lost_line_is_an_error(pulled):
    port, pump = pulled
    pump.reopen = None
    pull(port)
    with pytest.raises(PortError, match="the cable is out"):
        list(listen(pump, pump.clock_s() + 30))


def test_another_pump_is_not_taken_for_it(pulled):
    port, pump = pulled
    pull(port)
    pump.hello["serial"] = "0123456789abcdef"
    with pytest.raises(PumpError, match="another pump answers"):
        list(listen(pump, pump.clock_s() + 30))


# --- as processes, on a pty that vanishes


@pytest.fixture
def folders(monkeypatch, tmp_path_factory):
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="thecal")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    monkeypatch.setenv("THECAL_ARCHIVE", f"{folder}/archive.sqlite")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.req("LNK-05")
def test_record_and_monitor_outlive_a_pty_that_vanishes(folders, tmp_path):
    file = tmp_path / "record.ndjson"
    pump = PtyPump(link=f"{folders}/pump")
    with pump, thecal(pump, "monitor") as monitor, thecal(pump, "record", str(file)) as recorder:
        assert monitor.stdout is not None
        until(lambda: file.exists() and file.read_text().count('"type":"status"') > 2)
        pump.unplug()
        lines = iter(monitor.stdout.readline, "")
        assert any("THE LINE IS LOST, trying again" in line for line in lines)
        pump.plug()
        assert any("back after" in line for line in lines)
        until(lambda: '"type":"gap"' in file.read_text())
        seen = file.read_text().count('"type":"status"')
        until(lambda: file.read_text().count('"type":"status"') > seen)
        for process in (recorder, monitor):
            process.send_signal(signal.SIGINT)
        assert recorder.wait(PATIENCE_S) == 0
        monitor.kill()
    (problem,) = recording.load(file).problems
    assert "the line was lost here for" in problem
