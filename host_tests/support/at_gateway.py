"""Pumps in this process that live while nobody looks, and a gateway that serves them from a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from pump_at_pty import PATIENCE_S, until
from pump_port import PumpPort
from thecal_bench.inprocess import HostBench
from thecal_host.connection import PortError
from thecal_host.gateway import running
from thecal_host.gateway.broker import Address
from thecal_host.gateway.topics import Topics
from thecal_model.link import Decoder, LinkClient, encode

TURN_S = 0.02


class NumberedBench(HostBench):
    """A pump with a serial number of its own, also after a reset."""

    def __init__(self, serial: str, **given) -> None:
        self._serial_number = serial
        super().__init__(**given)

    def _new_pump(self):
        pump = super()._new_pump()
        pump.host.session.keys.serial = self._serial_number.encode()
        return pump


class LivePump(PumpPort):
    """A pump whose tick takes 20 ms, read from one thread and given commands from another. `told`: every
    event that it ever told; `taken`: every byte that came over the port. While it is `out` nobody reaches it.
    """

    def __init__(self, serial: str, bench=None):
        self._lock = threading.RLock()
        self._decoder = Decoder()
        self.serial = serial
        self.told = []
        self.taken = b""
        self.out = False
        super().__init__(bench=bench or NumberedBench(serial))
        self.name = f"port of {serial}"
        self._driver = LinkClient(self._drive)
        self.bench.advance_to_tick(40)
        self._data.clear()

    def _drive(self, data):
        with self._lock:
            self.bench.send(data)

    def _take(self, data):
        super()._take(data)
        found = self._decoder.feed(bytes(data))
        self.told += [frame for frame in found if isinstance(frame, dict) and frame["type"] == "event"]

    def order(self, cmd, **arguments):
        """A command from someone at the pump."""
        self._driver.request(cmd, **arguments)

    def happen(self, count=1):
        """So many events: somebody sets the clock."""
        for _ in range(count):
            self.order("set_time", week_s=60 * len(self.told) % 600_000)
            known = len(self.told)
            until(lambda known=known: len(self.told) > known)

    def live(self, ticks):
        """Time goes on while nobody listens."""
        with self._lock:
            self.bench.advance_to_tick(self.bench.tick + ticks)
            self._data.clear()

    def read(self, timeout_s):
        if self.out:
            raise PortError("the cable is out")
        time.sleep(TURN_S)
        with self._lock:
            return super().read(timeout_s)

    def write(self, data):
        if self.out:
            raise PortError("the cable is out")
        with self._lock:
            self.taken += data
            super().write(data)

    @property
    def topic(self):
        return f"thecal/pump/{self.serial}"

    @property
    def state(self):
        return self.bench.pump.control.state

    def of(self, what):
        return f"{self.topic}/{what}"


class Served:
    """The gateway for some pumps, as a context; `notes` is what it said to a person."""

    def __init__(self, monkeypatch, port, pumps, open_port=None, tls=None, **topics):
        monkeypatch.setattr(running, "AGAIN_S", 0.05)
        monkeypatch.setattr(running, "FIND_S", 0.1)
        self.notes = []
        self._address = Address("127.0.0.1", port, tls=tls)
        self._topics = Topics(**topics)
        self._pumps = {pump.name: pump for pump in pumps}
        self._open = open_port or self._open_live
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._loop: Any = None
        self._gateway: Any = None

    def _open_live(self, name):
        pump = self._pumps[name]
        if pump.out:
            raise PortError("the cable is out")
        return pump

    async def _run(self):
        self._loop = asyncio.get_running_loop()
        self._gateway = running.Gateway(
            self._address, self._topics, lambda: self._pumps, self._open, self.notes.append
        )
        await self._gateway.run()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exception):
        until(lambda: self._gateway is not None)
        self._loop.call_soon_threadsafe(self._gateway.end)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def unsigned(cmd, **arguments):
    """A frame that nobody signed."""
    return encode({"id": 1, "run": "00000001", "cmd": cmd, **arguments})
