"""`thecal` and the image, from pairing to a stop without a key: what test_pairing.py shows, on the chip."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from pump_port import run as run
from signed_port import SignedPort, as_a_fresh_account, paired_programmed_and_refused
from signed_port import account as account
from signed_port import therapy as therapy
from thecal_bench.chip.bench import ChipBench

pytestmark = pytest.mark.chip

PATIENCE_S = 120


@pytest.mark.req("SEC-01", "SEC-02", "SEC-06", "SIM-01")
@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.long)])
def test_keys_roles_and_accounts_hold_on_the_image(image, run, account, therapy, tmp_path, fresh):
    with ChipBench(image=image) as bench:
        port = SignedPort(bench=bench)
        paired_programmed_and_refused(run, port, account, therapy)
        if fresh:
            as_a_fresh_account(run, port, account, therapy, tmp_path)


class Bench:
    """`thecal bench` at a terminal of its own."""

    def __init__(self, image):
        self.ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "thecal_host.cli", "bench", "--image", str(image)]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = ""

    def until(self, pattern):
        end_s = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < end_s, self.shown
            if select.select([self.ours], [], [], 0.1)[0]:
                self.shown += os.read(self.ours, 65536).decode(errors="replace")
        return found

    def press(self, key):
        os.write(self.ours, key.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE_S)
        os.close(self.ours)


@pytest.mark.req("SEC-06", "SIM-01")
def test_whoever_has_only_a_bench_pairs_its_pump_by_a_key(image, account, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    account("bench")
    with Bench(image) as bench:
        port = bench.until(r"thecal --port (\S+) monitor").group(1)
        bench.until("s presses STOP")
        command = [sys.executable, "-m", "thecal_host.cli", "--port", port, "pair"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pairing:
            assert pairing.stdout is not None
            assert "press the STOP button" in pairing.stdout.readline()
            bench.press("s")
            assert "Paired: pump" in pairing.stdout.read()
        assert pairing.returncode == 0
        bench.until("The STOP button is pressed")
