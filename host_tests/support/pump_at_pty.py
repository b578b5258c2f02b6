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


def until(condition):
    """Wait for something that another thread or process does."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


class PtyPump:
    """The pump's own code under CPython at a pty, in a thread, at the pace of the clock. With a `link`, a
    path, its name is that, and stays the same over `unplug` and `plug`, while the pump goes on. Each of its
    ticks takes `tick_s` at least; `beside` is something else that has its turn after each.
    """

    def __init__(self, link=None, bench=None, tick_s=0.02, beside=lambda: None):
        self._link = link
        self._tick_s = tick_s
        self._beside = beside
        self._lock = threading.Lock()
        self.plug()
        self.pump_port = PumpPort(bench=bench)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def plug(self):
        """Make the pty."""
        ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(ours, False)
        self.name = os.ttyname(self._theirs)
        if self._link is not None:
            os.symlink(self.name, self._link)
            self.name = str(self._link)
        self._ours = ours

    def unplug(self):
        """Take it away, as a cable that is pulled."""
        with self._lock:
            ours, self._ours = self._ours, None
            assert ours is not None and self._link is not None
            os.close(ours)
            os.close(self._theirs)
        os.unlink(self._link)

    def press(self, button, ticks):
        """A hand at the pump."""
        with self._lock:
            self.pump_port.bench.press(button, ticks)

    @property
    def state(self):
        return STATES[self.pump_port.bench.pump.control.state]

    def _run(self):
        while not self._ended.is_set():
            with self._lock:
                self._turn()
                self._beside()
            time.sleep(self._tick_s)

    def _turn(self):
        try:
            data = b"" if self._ours is None else os.read(self._ours, 4096)
        except BlockingIOError:
            data = b""
        if data:
            self.pump_port.write(data)
        said = self.pump_port.read(0)
        while said and self._ours is not None:
            try:
                said = said[os.write(self._ours, said) :]
            except BlockingIOError:
                said = b""  # nobody reads: USB drops it too

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        self._ended.set()
        self._thread.join(PATIENCE_S)
        if self._ours is not None:
            os.close(self._ours)
            os.close(self._theirs)


class Command(subprocess.Popen):
    """A `thecal` on its way, which does not outlive a test that fails."""

    def __exit__(self, failure, *more):
        if failure is not None:
            self.kill()
        super().__exit__(failure, *more)


def thecal(pump, *args, **more):
    command = [sys.executable, "-m", "thecal_host.cli", "--port", pump.name, *args]
    return Command(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )
