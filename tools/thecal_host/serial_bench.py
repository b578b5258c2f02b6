"""A real pump, or an emulated one that somebody serves, as a board of the scenario runner.

Time here is the pump's own: each status frame carries its tick, between frames the host's clock counts
on. So `advance_to_tick` waits, in real time. There is no plant to act on and none to ask; what the runner can
not do here it says (`NotPossible`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from thecal_bench.bench import TICK_MS, TICK_NS, Bench, BenchError, NotPossible
from thecal_model.link import Decoder, FrameError

from thecal_host import pairing, ports
from thecal_host.connection import Port
from thecal_host.keys import KeysError, Ring
from thecal_host.pump import Pump

# The pump sends a status every second; after three without a word it is not there any more.
SILENCE_S = 3.0

# How long one look at the port takes at most: half a tick, so that the tick is known to the tick.
LOOK_S = TICK_MS / 2000


class SerialBench(Bench):
    """The pump at a port, signed for with the keys that this computer holds, in `role` only if one is named.

    Raises PortError or PumpError when there is none that answers, KeysError where it wants keys and none are
    held.
    """

    # USB takes a few milliseconds, the operating system some more: an answer may come a tick later.
    slack_ticks = 1

    def __init__(
        self, port_name: str, clock_s: Callable[[], float] = time.monotonic, role: str | None = None
    ) -> None:
        super().__init__(None)
        self._clock_s = clock_s
        self._port_name = port_name
        self._port: Port | None = ports.open_port(port_name)
        self._decoder = Decoder()
        self._actions: list[tuple[int, Callable[[], object]]] = []
        try:
            pump = Pump(self._port, clock_s)
            pump.connect()
            if pump.paired and not pairing.attach(pump, Ring(), role).keys:
                raise KeysError(
                    f"pump {pairing.serial_of(pump)} is paired, and this computer has no key for it: `thecal "
                    "keys import FILE` takes one that was exported for you"
                )
            self.signer = pump.signer
            self.hello = pump.connect()
        except Exception:
            self.close()
            raise
        self._seen_tick: int = self.hello["tick"]
        self._seen_s = clock_s()
        # The frame that was on its way when the hello was answered: half of it has been read.
        self._first = pump.client.unfinished

    @property
    def tick(self) -> int:
        return self._seen_tick + int((self._clock_s() - self._seen_s) * 1000) // TICK_MS

    @property
    def now_ns(self) -> int:
        return self.tick * TICK_NS

    def send(self, data: bytes) -> None:
        if self._port is None:
            raise BenchError(f"{self._port_name}: the host is disconnected")
        self._port.write(data)

    def advance_to_tick(self, tick: int) -> None:
        # The tick has been run when the next one begins.
        while self.tick <= tick:
            while self._actions and self._actions[0][0] <= self.tick + 1:
                self._actions.pop(0)[1]()
            if self._port is None:
                time.sleep(LOOK_S)
            else:
                self._listen(self._port.read(LOOK_S))

    def _listen(self, data: bytes) -> None:
        data, self._first = self._first + data, b""
        for frame in self._decoder.feed(data):
            # Not from events: those are kept until somebody reads them, and may be old.
            if not isinstance(frame, FrameError) and frame.get("type") == "status":
                if frame["tick"] < self._seen_tick:
                    raise BenchError(f"{self._port_name}: the pump has restarted; see why before you go on")
                self._seen_tick, self._seen_s = frame["tick"], self._clock_s()
        if data:
            self.on_data(data)
        elif self._clock_s() - self._seen_s > SILENCE_S:
            raise BenchError(f"{self._port_name}: the pump has said nothing for {SILENCE_S:.0f} s; reset it")

    def schedule(self, tick: int, action: Callable[[], object]) -> None:
        self._actions.append((tick, action))
        self._actions.sort(key=lambda entry: entry[0])

    def hang(self) -> None:
        raise NotPossible("the loop of a real pump cannot be hung from outside")

    def press(self, button: str, ticks: int) -> None:
        raise NotPossible(f"nobody is there to press the button {button}")

    def disturb(self, kind: str, which: str, span_ms: int, count: int = 0) -> None:
        raise NotPossible(f"nobody is there to disturb the wire of {which}")

    def host_disconnect(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def host_connect(self) -> None:
        if self._port is None:
            self._port = ports.open_port(self._port_name)
            self._decoder = Decoder()
            self._seen_tick, self._seen_s = self.tick, self._clock_s()

    def close(self) -> None:
        self.host_disconnect()
