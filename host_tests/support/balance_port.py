"""A balance beside the pump of a test: a modelled one under its plant, or one that says what it is told."""

from pump_port import PumpPort
from thecal_bench.balance import ModelBalance
from thecal_host import connection


class BalancePort(connection.Port):
    """The modelled balance as an open port; while it is waited for, the bench of the pump goes on."""

    name = "test balance"

    def __init__(self, pump_port: PumpPort, model: ModelBalance):
        self.bench = pump_port.bench
        self.model = model
        self._said = b""

    def clock_s(self):
        return self.bench.tick / 10

    def read(self, timeout_s):
        if not self._said and timeout_s > 0:
            self.bench.advance_to_tick(self.bench.tick + 1)
        self._said += self.model.exchange(b"", self.bench.now_ns)
        said, self._said = self._said, b""
        return said

    def write(self, data):
        self._said += self.model.exchange(data, self.bench.now_ns)

    def close(self):
        pass


class SayingPort(connection.Port):
    """Says the given pieces, one at each look, whatever it is asked; the clock goes on with each look.
    `waiting` has come before anybody looked.
    """

    name = "saying balance"

    def __init__(self, *pieces, waiting=b""):
        self.pieces = list(pieces)
        self.waiting = waiting
        self.now_s = 0.0
        self.sent = b""

    def clock_s(self):
        return self.now_s

    def read(self, timeout_s):
        self.now_s += timeout_s
        if self.waiting or not timeout_s:
            said, self.waiting = self.waiting, b""
            return said
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, data):
        self.sent += data

    def close(self):
        pass
