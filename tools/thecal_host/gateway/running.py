"""The gateway as a whole: looks for pumps, keeps a line to each and a session with the broker."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import aiomqtt

from thecal_host.connection import Port, PortError
from thecal_host.gateway import GatewayError, view
from thecal_host.gateway.broker import Address, Session, client_of
from thecal_host.gateway.line import Line
from thecal_host.gateway.passing import Kept, judge
from thecal_host.gateway.told import Told
from thecal_host.gateway.topics import EVENT, REFUSED, Topics
from thecal_host.pump import PumpError

# Between two looks for ports, and two tries to reach the broker.
FIND_S = 2.0
AGAIN_S = 1.0

CANCEL_AGAIN_S = 0.1

# A port where no pump answers is not asked more often.
NO_PUMP_S = 10.0

# A connection that lasts no longer, so often in a row, is ended by somebody.
SHORT_S = 3.0
MOST_SHORT = 3

_MAY_NOT = (0x86, 0x87)  # MQTT's reason codes for a wrong password, and for no permission

Note = Callable[[str], object]


class Gateway:
    """`find` names the ports where a pump may be, `open_port` opens one; `note` takes lines for a person."""

    def __init__(
        self,
        address: Address,
        topics: Topics,
        find: Callable[[], Iterable[str]],
        open_port: Callable[[str], Port],
        note: Note,
    ) -> None:
        self._address = address
        self._topics = topics
        self._find = find
        self._open = open_port
        self._note = note
        self._told: dict[str, Told] = {}
        self._lines: dict[str, Line] = {}  # by port
        self._owners: dict[str, Line] = {}  # by serial number
        self._not_before_s: dict[str, float] = {}  # by port
        self._said: dict[str, str] = {}  # by what it is about
        self._retained: dict[str, bytes] | None = None  # by topic, once a broker was there
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected_s: float | None = None
        self._news = asyncio.Event()
        self._end = asyncio.Event()

    def end(self) -> None:
        """Have `run` return, from the loop's own thread."""
        self._end.set()

    async def run(self) -> None:
        """Until `end`. GatewayError where the broker does not want this gateway."""
        self._loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(work) for work in (self._keep_finding(), self._keep_serving())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _cancel(tasks)
            for line in self._lines.values():
                line.end()
            for line in self._lines.values():
                await asyncio.to_thread(line.join)

    async def _keep_serving(self) -> None:
        """Until `end`."""
        assert self._loop is not None
        short = 0
        while not self._end.is_set():
            self._connected_s = None
            try:
                await self._serve()
            except aiomqtt.MqttError as why:
                self._raise_if_unwanted(why)
                lasted_s = 0.0 if self._connected_s is None else self._loop.time() - self._connected_s
                short = short + 1 if self._connected_s is not None and lasted_s < SHORT_S else 0
                text = f"the broker at {self._address.host} is away, trying again: {why}{self._hint(why)}"
                if short >= MOST_SHORT:
                    text = (
                        f"the broker at {self._address.host} ends each connection at once: where another "
                        f"gateway named {self._topics.gateway} is there, give one of them another --name"
                    )
                self._say("broker", text)
                await self._wait(AGAIN_S)

    async def _serve(self) -> None:
        """One connection to the broker."""
        async with client_of(self._address, self._topics) as client:
            session = Session(client, self._topics, self._take)
            tasks = [
                asyncio.create_task(session.read()),
                asyncio.create_task(self._publish(session)),
                asyncio.create_task(self._end.wait()),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                await _cancel(tasks)
            await session.leave(self._told.values())

    async def _publish(self, session: Session) -> None:
        self._retained = await session.settle()
        for told in self._told.values():
            told.begin(self._retained.get(self._topics.of(told.serial, EVENT)))
        await session.listen_to_roles()
        assert self._loop is not None
        self._connected_s = self._loop.time()
        self._say("broker", f"connected to the broker at {self._address.host}:{self._address.port}")
        await session.publish(lambda: list(self._told.values()), self._news)

    async def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        """A command: to its pump, or told why not."""
        named = self._topics.command_to(topic)
        if named is None:
            return
        role, serial = named
        told, owner = self._told.get(serial), self._owners.get(serial)
        if told is None:
            self._say(topic, f"{topic}: a command to pump {serial}, which is not here")
            return
        judged = judge(payload, retained, role)
        if isinstance(judged, Kept):
            told.answer(REFUSED, view.refused(judged.code, judged.message, role, {}))
            return
        try:
            if owner is None:
                raise PortError(f"pump {serial} is away")
            owner.forward(judged)
        except PortError as why:
            told.answer(REFUSED, view.refused("no_pump", str(why), role, judged.ids))

    # --- pumps

    async def _keep_finding(self) -> None:
        while True:
            for name in await asyncio.to_thread(lambda: list(self._find())):
                self._look_after(name)
            await asyncio.sleep(FIND_S)

    def _look_after(self, name: str) -> None:
        """See that the port has a line that lives."""
        line = self._lines.get(name)
        assert self._loop is not None
        if line is not None and line.is_alive():
            return
        if line is not None and line.why:
            self._say(name, line.why)
            if line.found_none:
                self._not_before_s.setdefault(name, self._loop.time() + NO_PUMP_S)
            line.why = ""
        if self._loop.time() >= self._not_before_s.get(name, 0):
            self._not_before_s.pop(name, None)
            self._lines[name] = Line(name, self._open, self._claim, self._topics)
            self._lines[name].start()

    def _claim(self, line: Line, serial: str) -> Told:
        """From the thread of a line."""
        loop = self._loop
        assert loop is not None
        return asyncio.run_coroutine_threadsafe(self._give(line, serial), loop).result()

    async def _give(self, line: Line, serial: str) -> Told:
        owner = self._owners.get(serial)
        if owner is not None and owner is not line and owner.is_alive():
            raise PumpError(f"the pump at {line.port_name} is the one at {owner.port_name}")
        self._owners[serial] = line
        told = self._told.get(serial)
        if told is None:
            told = self._told[serial] = Told(serial, self._wake)
            if self._retained is not None:
                told.begin(self._retained.get(self._topics.of(serial, EVENT)))
        self._say(line.port_name, f"pump {serial} at {line.port_name}")
        return told

    def _wake(self) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._news.set)

    # ---

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._end.wait(), seconds)
        except TimeoutError:
            return

    def _say(self, about: str, text: str) -> None:
        """Once, until there is something else to say of it."""
        if self._said.get(about) != text:
            self._said[about] = text
            self._note(text)

    def _hint(self, why: aiomqtt.MqttError) -> str:
        """What to look at where the broker was reached, and said nothing that is MQTT."""
        silent = isinstance(why.__context__, ssl.SSLError | ConnectionResetError | TimeoutError)
        if self._connected_s is not None or not silent:
            return ""
        port = self._address.port
        return f": does it encrypt at port {port}?" if self._address.tls else ": does it want --tls?"

    def _raise_if_unwanted(self, why: aiomqtt.MqttError) -> None:
        """GatewayError for what another try does not mend."""
        code = getattr(getattr(why, "rc", None), "value", None)
        broker = f"the broker at {self._address.host}"
        if code in _MAY_NOT:
            raise GatewayError(
                f"{broker} does not let this gateway in ({why}): name an account with --user, and its "
                "password in THECAL_MQTT_PASSWORD"
            ) from None
        cause = why.__context__  # aiomqtt says it in words only
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise GatewayError(
                f"{broker} shows a certificate that is not believed ({cause.verify_message}): name its "
                "authority with --ca, and the broker as the certificate does with --mqtt"
            ) from None


async def _cancel(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Until all have ended: before Python 3.12 `wait_for`, where aiomqtt waits, may lose a cancellation."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
