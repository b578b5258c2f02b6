"""Processes that must not outlive others: who has which, and the wait for the end of one."""

import os
import select
import signal
from contextlib import contextmanager
from pathlib import Path

from pump_at_pty import PATIENCE_S


def child(process_id, word):
    """The process with `word` on its command line that another one has started."""
    found = [
        int(number)
        for told in Path(f"/proc/{process_id}/task").glob("*/children")
        for number in told.read_text().split()
    ]
    (one,) = [number for number in found if word in Path(f"/proc/{number}/cmdline").read_text().split("\0")]
    return one


@contextmanager
def ends(process_id):
    """Of what is done here any process ends, a child or not. One that goes on is killed, and that fails."""
    found = os.pidfd_open(process_id)
    try:
        yield
        if not select.select([found], [], [], PATIENCE_S)[0]:
            os.kill(process_id, signal.SIGKILL)
            raise AssertionError(f"process {process_id} goes on")
    finally:
        os.close(found)
