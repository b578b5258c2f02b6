"""Ports of the command `thecal` without a cable: pumps that run while somebody looks, and odd answers."""

import json
import socket
import threading
from contextlib import contextmanager

import pytest
from thecal_bench.inprocess import HostBench
from thecal_host import cli, connection, ports
from thecal_host.connection import PortError
from thecal_host.ports import FoundPort
from thecal_host.pump import Pump
from thecal_model.link import encode
from typer.testing import CliRunner

THERAPY = """
[profile]
max_rate = "60 mL/h"
[therapy]
mode = "continuous"
drug = "morphine"
concentration = "20 mg/mL"
dose = "2.4 mg/day"
kvo = "2 uL/h"
"""


class PumpPort(connection.Port):
    """A pump that runs as long as somebody looks; Ctrl-C comes after `looks` looks."""

    name = "test pump"

    def __init__(self, looks=None, bench=None):
        self.bench = bench or HostBench()
        self.bench.on_data = self._take
        self._data = bytearray()
        self._looks = looks

    def _take(self, data):
        self._data += data

    def clock_s(self):
        return self.bench.tick / 10

    def read(self, timeout_s):
        if self._looks is not None:
            self._looks -= 1
            if self._looks < 0:
                raise KeyboardInterrupt
        self.bench.advance_to_tick(self.bench.tick + 1)
        data = bytes(self._data)
        self._data.clear()
        return data

    def write(self, data):
        self.bench.send(data)

    def close(self):
        pass


class CutPort(PumpPort):
    """After so many looks Ctrl-C comes, once, or the cable is pulled, until `cut_after` mends it."""

    def __init__(self, looks=None, bench=None):
        super().__init__(looks, bench)
        self.why: BaseException | type[BaseException] = KeyboardInterrupt

    def cut_after(self, looks, why: BaseException | type[BaseException] = KeyboardInterrupt):
        self._looks, self.why = looks, why

    def read(self, timeout_s):
        try:
            return super().read(timeout_s)
        except KeyboardInterrupt:
            if self.why is KeyboardInterrupt:
                self.cut_after(None)
            raise self.why from None

    def write(self, data):
        if self._looks is not None and self._looks < 0:
            raise self.why
        super().write(data)


class CutAtPort(PumpPort):
    """A pump whose cable is pulled at the command `cut_at`: once the pump has heard it and had `TICKS_TO_ACT`
    for it, or, if `deaf`, before. It is plugged in again after `away` tries in vain.
    """

    TICKS_TO_ACT = 30

    def __init__(self, bench=None):
        super().__init__(bench=bench)
        self.cut_at = ""
        self.deaf = False
        self.gone = False
        self.away = self.opened = 0
        self.sent = []
        self.bench.advance_to_tick(30)  # it has told of its boot
        self._data.clear()

    def sends(self, request, line):
        """A request goes over the line."""
        self.sent.append(request["cmd"])

    def write(self, data):
        if self.gone:
            raise PortError("the cable is out")
        for line in data.split(b"\n"):
            if not line:
                continue
            request = json.loads(line[: line.rindex(b"}") + 1])
            self.sends(request, line)
            if request["cmd"] == self.cut_at:
                self.cut_at, self.gone = "", True
                if not self.deaf:
                    super().write(data)
                    self.bench.advance_to_tick(self.bench.tick + self.TICKS_TO_ACT)
                raise PortError("the cable is out")
        super().write(data)

    def read(self, timeout_s):
        if self.gone:
            raise PortError("the cable is out")
        return super().read(timeout_s)

    def reopen(self):
        self.opened += 1
        self.away -= 1
        if self.away >= 0:
            raise PortError("there is no port")
        self.gone = False
        self._data.clear()
        return self

    def sleep(self, seconds):
        self.bench.advance_to_tick(self.bench.tick + max(1, int(seconds * 10)))


class SlowPort(PumpPort):
    """A pump on a line that brings a hundred bytes at a look, whatever frames they belong to."""

    def __init__(self):
        super().__init__()
        self._on_the_line = b""

    def read(self, timeout_s):
        self._on_the_line += super().read(timeout_s)
        data, self._on_the_line = self._on_the_line[:100], self._on_the_line[100:]
        return data


class SilentPort(connection.Port):
    """Nothing answers. Its clock goes on with each look."""

    name = "dead port"
    said = b""

    def __init__(self):
        self.now_s = 0.0
        self.sent = b""

    def clock_s(self):
        return self.now_s

    def read(self, timeout_s):
        self.now_s += timeout_s
        said, self.said = self.said, b""
        return said

    def write(self, data):
        self.sent += data

    def close(self):
        pass


class TalkingPort(SilentPort):
    """Answers every request with `answer` and the request's id."""

    def __init__(self, **answer):
        super().__init__()
        self.answer = answer

    def write(self, data):
        for line in data.splitlines():
            if line:
                request = json.loads(line[:-9])
                self.said += encode({"type": "reply", "id": request["id"], **self.answer})


@contextmanager
def tcp_pump_in_use():
    """The name of a TCP port whose pump another program has."""
    with socket.create_server(("localhost", 0)) as server:

        def refuse():
            user, _ = server.accept()
            with user:
                user.sendall(connection.IN_USE)

        thread = threading.Thread(target=refuse)
        thread.start()
        yield f"socket://localhost:{server.getsockname()[1]}"
        thread.join(20)


@pytest.fixture
def run(monkeypatch):
    """`thecal ARGS` on a port, in this process."""
    monkeypatch.setattr("thecal_host.cli.base.Pump", lambda port: Pump(port, port.clock_s))
    monkeypatch.delenv("THECAL_PORT", raising=False)

    def run_command(port, *args, answer=None):
        monkeypatch.setattr(ports, "find_ports", lambda: [FoundPort(port.name, "serial", "a pump", True)])
        monkeypatch.setattr(ports, "open_port", lambda name: port)
        return CliRunner().invoke(cli.app, [str(arg) for arg in args], input=answer)

    return run_command


@pytest.fixture
def therapy_file(tmp_path):
    path = tmp_path / "therapy.toml"
    path.write_text(THERAPY)
    return path
