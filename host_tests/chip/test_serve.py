"""The served port: other programs find a board there, again and again, and a slow one holds nobody up.

Here alone a thread and real sockets take part; the waits are only there so that a broken server ends in a
failure and not in a hang.
"""

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serial
from thecal_bench.chip.serve import Server

pytestmark = pytest.mark.chip

PATIENCE_S = 60
READ_EVERY_MS = 100
EXIT_RAW = b"\r\x03\x02"


@pytest.fixture
def server(make_board) -> Iterator[Server]:
    server = Server(make_board(), tcp_port=0, speed=None)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server
    server.stop()
    thread.join(PATIENCE_S)
    server.close()
    assert not thread.is_alive()


def tcp_url(server: Server) -> str:
    assert server.tcp_address is not None
    return "socket://{}:{}".format(*server.tcp_address)


def open_port(url: str | None) -> Any:
    return serial.serial_for_url(url, timeout=PATIENCE_S)


def calculate(port: Any, question: str, answer: str) -> None:
    port.write(EXIT_RAW + f"print({question})\r".encode())
    assert answer.encode() in port.read_until(answer.encode() + b"\r\n")


@pytest.mark.parametrize("by", ["pty", "tcp"])
def test_programs_come_one_after_the_other(server, by):
    url = server.pty_path if by == "pty" else tcp_url(server)
    for number in range(3):
        with open_port(url) as port:
            calculate(port, f"{number} + 40", str(number + 40))


def test_pty_and_tcp_reach_the_same_board(server):
    with open_port(server.pty_path) as port:
        calculate(port, "(shared := 6 * 7)", "42")
    with open_port(tcp_url(server)) as port:
        calculate(port, "shared + 1", "43")


def test_mpremote_runs_a_program(server):
    command = [sys.executable, "-m", "mpremote", "connect", server.pty_path, "exec", "print(6 * 7)"]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    assert done.stdout == b"42\r\n"


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE_S * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within {PATIENCE_S} s")


def ask_for_lines(port: Any, count: int) -> None:
    port.write(EXIT_RAW)
    port.write(f"for i in range({count}): print(i, '.' * 200)\r\r\r\r".encode())


@pytest.fixture
def by_hand(make_board) -> Iterator[Server]:
    """A server whose board's clock waits for nobody: the chip drops what is not read for 500 ms."""
    with contextlib.closing(Server(make_board(), speed=None)) as server:
        yield server


def run(server: Server, ms: int) -> None:
    assert server.board.now_ns < PATIENCE_S * 10**9
    for _ in range(ms):
        server.board.run_for_ms(1)
        server.exchange(0)


def test_a_program_that_reads_slowly_loses_nothing(by_hand):
    count = 150
    with open_port(by_hand.pty_path) as port:
        ask_for_lines(port, count)
        heard = bytearray()
        while f"\r\n{count - 1} {'.' * 200}\r\n".encode() not in heard:
            run(by_hand, READ_EVERY_MS)
            heard += port.read(min(port.in_waiting, 2_000))
    numbers = [int(line.split()[0]) for line in heard.splitlines() if line.endswith(b"." * 200)]
    assert numbers == list(range(count))


def test_a_program_that_does_not_read_is_a_deaf_host(by_hand):
    host = by_hand.board.host
    with open_port(by_hand.pty_path) as port:
        run(by_hand, 1)
        assert host.open and host.reading
        ask_for_lines(port, 300)
        while host.reading:
            run(by_hand, 1)
        run(by_hand, 10)
        assert not host.reading
        heard = bytearray()
        while not heard.endswith(b">>> "):  # reads all that has been waiting, and the rest
            heard += port.read(port.in_waiting)
            run(by_hand, 1)
        assert host.reading
        port.write(b"print(900 + 99)\r")
        while b"\r\n999\r\n" not in heard:
            run(by_hand, 1)
            heard += port.read(port.in_waiting)


def test_the_board_sees_whether_the_port_is_open(server):
    board = server.board
    with open_port(server.pty_path) as port:
        calculate(port, "1 + 1", "2")
        assert board.host.open
    wait_until(lambda: not board.host.open)
    with open_port(tcp_url(server)) as port:
        calculate(port, "2 + 2", "4")
        assert board.host.open
    wait_until(lambda: not board.host.open)


def test_a_speed_of_nothing_is_refused(make_board):
    with pytest.raises(ValueError, match="speed is 0"):
        Server(make_board(), speed=0)
