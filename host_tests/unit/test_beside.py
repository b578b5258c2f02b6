"""A process beside another one, whose end it does not outlive, however that one ends."""

import signal
import subprocess
import sys

import pytest
from ends import ends
from pump_at_pty import PtyPump

pytest.importorskip("nicegui", reason="nicegui comes with `make desk`")

# It says who is beside it, and what that one has said: a desk says no more, so no broken pipe ends it.
PARENT = """
import subprocess, sys, time
from thecal_host.beside import beside

with beside(*sys.argv[1:], stdout=subprocess.PIPE) as process:
    print(process.pid, process.stdout.readline().strip(), flush=True)
    time.sleep(600)
"""


@pytest.mark.req("DESK-01")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_when_the_other_one_is_killed(number):
    with PtyPump() as pump:
        command = [sys.executable, "-c", PARENT, "--port", pump.name, "desk"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            process_id, _, said = parent.stdout.readline().partition(" ")
            assert "The desk is at" in said
            with ends(int(process_id)):
                parent.send_signal(number)
