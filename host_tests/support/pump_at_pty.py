"""The pump's own code under CPython at a pty, for tests of `thecal` in a process of its own."""

import os
import pty
import subprocess
import sys
import threading
import time
import tty

from pump_port import PumpPort
from thecal.states import STATES

# The waits are only there so that what is broken ends in a failure and not in a hang.
PATIENCE_S = 20


class PtyPump:
    """The pump's own code under CPython at a pty, in a thread, at the pace of the clock."""

    def __init__(self):
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.name = os.ttyname(self._theirs)
        os.set_blocking(self._ours, False)
        self.pump_port = PumpPort()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def state(self):
        return STATES[self.pump_port.bench.pump.control.state]

    def _run(self):
        while not self._ended.is_set():
            try:
                data = os.read(self._ours, 4096)
            except BlockingIOError:
                data = b""
            if data:
                self.pump_port.write(data)
            said = self.pump_port.read(0)
            while said:
                try:
                    said = said[os.write(self._ours, said) :]
                except BlockingIOError:
                    said = b""  # nobody reads: USB drops it too
            time.sleep(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._ended.set()
        self._thread.join(PATIENCE_S)
        os.close(self._ours)
        os.close(self._theirs)


def thecal(pump, *args, **more):
    command = [sys.executable, "-m", "thecal_host.cli", "--port", pump.name, *args]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )
