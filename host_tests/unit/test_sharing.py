"""One port and several commands: `Hub` and those that join it, on a pump under CPython, in two processes."""

import os
import pty
import shutil
import signal
import socket
import tempfile
import time

import pytest
from pump_at_pty import PATIENCE_S, PtyPump, thecal, until
from pump_port import tcp_pump_in_use
from thecal_host import cli, connection, ports, sharing
from thecal_host.connection import PortBusy, PortError
from thecal_host.pump import Pump
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Unix sockets and ptys")


@pytest.fixture(autouse=True)
def runtime_folder(monkeypatch):
    """A short path: that of a Unix socket may have 107 bytes."""
    folder = tempfile.mkdtemp(prefix="thecal")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield folder
    shutil.rmtree(folder)


class Pipe(connection.Port):
    """A port whose other end the test holds."""

    name = "/dev/ttyTEST"

    def __init__(self):
        self.theirs, self._ours = socket.socketpair()
        self.theirs.settimeout(PATIENCE_S)

    def read(self, timeout_s):
        self._ours.settimeout(timeout_s)
        try:
            data = self._ours.recv(100)
        except TimeoutError:
            return b""
        if not data:
            raise PortError("unplugged")
        return data

    def write(self, data):
        self._ours.sendall(data)

    def close(self):
        self._ours.close()


def read_all(port, count):
    data = b""
    end_s = time.monotonic() + PATIENCE_S
    while len(data) < count and time.monotonic() < end_s:
        data += port.read(0.1)
    return data


@pytest.mark.req("LNK-01")
def test_everybody_hears_the_pump_and_everybody_reaches_it():
    pipe = Pipe()
    owner = sharing.Hub(pipe)
    with owner:
        assert owner.note == ""
        first, second = sharing.join(pipe.name), sharing.join(pipe.name)
        assert first is not None and second is not None
        first.write(b"one\n")
        assert pipe.theirs.recv(100) == b"one\n"
        # Half a line waits for its other half: no two commands mix their frames.
        second.write(b"thr")
        first.write(b"two\n")
        assert pipe.theirs.recv(100) == b"two\n"
        second.write(b"ee\n")
        assert pipe.theirs.recv(100) == b"three\n"
        owner.write(b"four\n")
        assert pipe.theirs.recv(100) == b"four\n"
        pipe.theirs.sendall(b"all\n")
        assert [read_all(port, 4) for port in (owner, first, second)] == [b"all\n"] * 3
        first.close()
        second.write(b"five\n")
        assert pipe.theirs.recv(100) == b"five\n"
    with pytest.raises(PortError, match="has ended"):
        read_all(second, 1)
    assert sharing.join(pipe.name) is None


@pytest.mark.req("DESK-04", "LNK-03")
def test_an_owner_that_reads_nothing_keeps_the_newest_and_no_more(monkeypatch):
    """A lab pump that turns for a week is asked nothing, and tells all the while."""
    monkeypatch.setattr(sharing, "MOST_UNREAD", 10)
    pipe = Pipe()
    with sharing.Hub(pipe) as owner:
        guest = sharing.join(pipe.name)
        assert guest is not None
        told = [b"%03d\n" % number for number in range(100)]
        for piece in told:
            pipe.theirs.sendall(piece)
            assert read_all(guest, len(piece)) == piece
        assert owner.read(PATIENCE_S) == b"".join(told[-10:])
        pipe.theirs.sendall(b"next\n")
        assert read_all(owner, 5) == b"next\n"


def test_a_port_that_goes_ends_it_for_everybody():
    pipe = Pipe()
    with sharing.Hub(pipe) as owner:
        pipe.theirs.sendall(b"last\n")
        pipe.theirs.close()
        assert read_all(owner, 5) == b"last\n"
        with pytest.raises(PortError, match="unplugged"):
            read_all(owner, 1)


def test_a_guest_that_sends_no_lines_is_hung_up_on():
    pipe = Pipe()
    with sharing.Hub(pipe):
        guest = sharing.join(pipe.name)
        assert guest is not None
        guest.write(b"x" * 5000)
        with pytest.raises(PortError):
            read_all(guest, 1)


def test_a_socket_that_a_dead_command_left_is_replaced():
    pipe = Pipe()
    path = sharing._socket_path(pipe.name)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists() and sharing.join(pipe.name) is None
    owner = sharing.Hub(pipe)
    with owner:
        assert owner.note == "" and sharing.join(pipe.name) is not None


def test_without_a_place_for_the_socket_it_says_so_and_works(monkeypatch, runtime_folder):
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{runtime_folder}/{'deep' * 40}")
    pipe = Pipe()
    owner = sharing.Hub(pipe)
    with owner:
        assert "no other reaches the pump" in owner.note
        owner.write(b"on\n")
        assert pipe.theirs.recv(100) == b"on\n"


def test_two_names_of_one_device_are_one_port(runtime_folder):
    ours, theirs = pty.openpty()
    link = os.path.join(runtime_folder, "pump")
    os.symlink(os.ttyname(theirs), link)
    with ports.open_port(link) as owner, ports.open_port(os.ttyname(theirs)) as guest:
        assert isinstance(owner, sharing.Hub) and isinstance(guest, sharing.GuestPort)
    os.close(ours)
    os.close(theirs)


def test_a_port_that_another_program_has_is_busy():
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    with connection.SerialPort(name), pytest.raises(PortBusy, match="another program"):
        ports.open_port(name)
    os.close(ours)
    os.close(theirs)


def test_a_bench_tells_a_second_tcp_client_that_the_pump_is_in_use():
    from thecal_bench.chip import serve

    line = serve._Tcp(0, "127.0.0.1")
    name = "socket://{}:{}".format(*line.address)
    with connection.TcpPort(name) as first, connection.TcpPort(name) as second:
        until(lambda: line.in_use)
        with pytest.raises(PortError, match="in use: another program"):
            end_s = time.monotonic() + PATIENCE_S
            while line.in_use and time.monotonic() < end_s:
                second.read(0.01)
        first.write(b"mine\n")
        until(lambda: line.read() == b"mine\n")
        line.write(b"yours\n")
        assert read_all(first, 6) == b"yours\n"
    line.close()


def test_a_second_tcp_client_is_told_that_the_pump_is_in_use():
    with (
        tcp_pump_in_use() as name,
        connection.TcpPort(name) as port,
        pytest.raises(PortError, match="in use: another program"),
    ):
        Pump(port).connect()


def test_no_stop_goes_past_one_that_has_a_tcp_port(monkeypatch):
    def suspended(name):
        raise sharing.NotAnswered(f"the command that has {name} open does not answer")

    monkeypatch.setattr(ports, "open_port", suspended)
    stopped = CliRunner().invoke(cli.app, ["--port", "socket://localhost:1", "stop"])
    assert stopped.exit_code == 1 and "does not answer" in stopped.stderr


THERAPY = "[therapy]\nmode = 'continuous'\nrate = '6 mL/h'\n"


@pytest.mark.req("LNK-01")
def test_stop_reaches_a_pump_whose_port_another_command_has(tmp_path):
    file = tmp_path / "therapy.toml"
    file.write_text(THERAPY)
    with PtyPump() as pump:
        for args in (["program", "--yes", str(file)], ["start"]):
            done = thecal(pump, *args)
            said, wrong = done.communicate(timeout=PATIENCE_S)
            assert done.returncode == 0, said + wrong
        assert pump.state == "RUNNING"
        with thecal(pump, "monitor") as monitor:
            assert monitor.stdout is not None and "RUNNING" in monitor.stdout.readline()
            said, wrong = thecal(pump, "stop").communicate(timeout=PATIENCE_S)
            assert said == "The pump is STOPPED.\n" and wrong == ""
            assert pump.state == "STOPPED"
            # Who has the port hears of it as of everything else, and goes on.
            for line in monitor.stdout:
                if "RUNNING to STOPPED" in line:
                    break
            else:
                raise AssertionError("monitor ended")
            monitor.terminate()


@pytest.mark.req("LNK-01", "ALM-05")
def test_stop_goes_past_a_command_that_has_the_port_and_is_suspended(tmp_path):
    file = tmp_path / "therapy.toml"
    file.write_text(THERAPY)
    with PtyPump() as pump:
        for args in (["program", "--yes", str(file)], ["start"]):
            assert thecal(pump, *args).wait(PATIENCE_S) == 0
        with thecal(pump, "monitor") as monitor:
            assert monitor.stdout is not None and "RUNNING" in monitor.stdout.readline()
            monitor.send_signal(signal.SIGSTOP)
            said, wrong = thecal(pump, "status").communicate(timeout=PATIENCE_S)
            assert said == "" and "does not answer: continue it (`fg`) if it is suspended" in wrong
            assert pump.state == "RUNNING"
            said, wrong = thecal(pump, "stop").communicate(timeout=PATIENCE_S)
            assert said == "The pump is STOPPED.\n" and "this goes past it" in wrong
            assert pump.state == "STOPPED"
            # Who has the port goes on with it, as if somebody had pressed STOP.
            monitor.send_signal(signal.SIGCONT)
            for line in monitor.stdout:
                if " STOPPED " in line:
                    break
            else:
                raise AssertionError("monitor ended")
            monitor.terminate()
