"""`thecal calibrate` against `thecal bench` (CAL-01): the image on the emulated chip, told a head that is 3 %
off, its port and that of the modelled balance pseudo-terminals, and what a user types.

Bench and commands share a process, so that their patience goes by the chip's own clock and a busy machine
makes nothing time out.
"""

from __future__ import annotations

import io
import json
import queue
import re
import threading

import pytest
from rich.console import Console
from thecal_bench.chip.serve import Server
from thecal_host import cli, emulated
from thecal_host.pump import Pump
from thecal_model import rig as rigs
from typer.testing import CliRunner

pytestmark = [pytest.mark.chip, pytest.mark.long]

PATIENCE_S = 300  # of the wall, for a board that never boots
TRUE_NL_PER_REV = 100_000
TOLD = (rigs.FOLDER / "reference.toml").read_text().replace('"100 uL"', '"97 uL"')


class Bench:
    """`thecal bench --blank --balance asked`, for whoever asks `thecal` something in another thread."""

    def __init__(self, image, monkeypatch):
        self.said = io.StringIO()
        self._image = image
        self._running = running = queue.Queue()
        self.server = None

        class Told(Server):
            def run(self):
                running.put(self)
                super().run()

        monkeypatch.setattr("thecal_bench.chip.serve.Server", Told)
        monkeypatch.setattr("thecal_host.cli.base.Pump", lambda port: Pump(port, self.clock_s))

    def clock_s(self):
        assert self.server is not None
        return self.server.board.now_ns / 1e9

    def serve_while(self, work):
        """Serve in this thread, which takes signals, until `work` is through in another one."""
        problems = []

        def do():
            self.server = self._running.get(timeout=PATIENCE_S)
            try:
                work()
            except BaseException as why:
                problems.append(why)
            finally:
                self.server.stop()

        thread = threading.Thread(target=do)
        thread.start()
        console = Console(file=self.said)
        emulated.serve_bench(self._image, None, None, False, console, "asked", blank=True)
        thread.join(PATIENCE_S)
        if problems:
            raise problems[0]

    def thecal(self, *args):
        result = CliRunner().invoke(cli.app, [str(arg) for arg in args])
        assert result.exit_code == 0, result.output
        return result.output


@pytest.mark.req("CAL-01", "RIG-02", "RIG-06", "SIM-01")
def test_a_head_that_was_told_wrongly_is_calibrated_on_the_served_chip(image, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("THECAL_PORT", raising=False)
    file, told = tmp_path / "calibration.ndjson", tmp_path / "told.toml"
    told.write_text(TOLD)
    bench = Bench(image, monkeypatch)
    shown = []

    def work():
        bench.thecal("rig", "program", told, "--yes")
        match = re.search(r"--balance (\S+)", bench.said.getvalue())
        assert match is not None, bench.said.getvalue()
        args = ("--balance", match.group(1), "--file", file, "--revolutions", 1, "--rate", "6 mL/h")
        bench.thecal("calibrate", *args, "--evaporation", "2 mg/h", "--yes")
        shown.append(bench.thecal("rig", "show"))
        shown.append(bench.thecal("status"))

    bench.serve_while(work)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["type"] for line in lines].count("weighing") == 3
    assert all(line["steps"] == 3_200 for line in lines if line["type"] == "weighing")
    found = lines[-1]
    # A turn is 0.1 g, and the mean of three weighings is 0.04 mg off by the balance's noise.
    assert found["nl_per_rev"] == pytest.approx(TRUE_NL_PER_REV, rel=0.003)
    assert 0 < found["uncertainty_nl"] < 1_000
    rig, status = shown
    assert "Rig 2" in rig and f"{found['nl_per_rev'] / 1_000:g} uL" in rig
    assert "STOPPED" in status
