"""`AsyncPump`: the verbs of `Pump` for asyncio. Each runs in a thread of its own, one at a time.

async with await AsyncPump.connect() as pump:
    await pump.confirm(await pump.program(rate="6 mL/h"))
    await pump.start()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

from thecal_host.connection import Port
from thecal_host.python.answers import Alarm, Event, Readback, Status
from thecal_host.python.pump import Pump

Given = ParamSpec("Given")
Said = TypeVar("Said")

# A listener lets the other verbs in so often.
SLICE = "200 ms"


class AsyncPump:
    """One pump; `connect` or `on_bench` make it. What each verb does and raises, `Pump` says."""

    def __init__(self, pump: Pump) -> None:
        self.pump = pump
        self._lock = asyncio.Lock()

    @classmethod
    async def connect(cls, port: str | Port | None = None, role: str | None = None) -> AsyncPump:
        """As `Pump(port, role)`."""
        return cls(await asyncio.to_thread(Pump, port, role))

    @classmethod
    async def on_bench(cls) -> AsyncPump:
        """As `Pump.on_bench()`."""
        return cls(await asyncio.to_thread(Pump.on_bench))

    async def close(self) -> None:
        """Let go of the port; the pump goes on."""
        await self._do(self.pump.close)

    async def __aenter__(self) -> AsyncPump:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _do(self, verb: Callable[Given, Said], *args: Given.args, **kwargs: Given.kwargs) -> Said:
        async with self._lock:
            work = asyncio.ensure_future(asyncio.to_thread(verb, *args, **kwargs))
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                # The thread goes on; nobody else may talk before it is done.
                await asyncio.wait([work])
                raise

    async def status(self) -> Status:
        return await self._do(self.pump.status)

    async def alarms(self) -> list[Alarm]:
        return await self._do(self.pump.alarms)

    async def program(
        self,
        therapy: str | Path | None = None,
        *,
        rate: str | None = None,
        limit: str | None = None,
        within: str | None = None,
    ) -> Readback:
        return await self._do(self.pump.program, therapy, rate=rate, limit=limit, within=within)

    async def refill(self, volume: str) -> Readback:
        return await self._do(self.pump.refill, volume)

    async def confirm(self, readback: Readback, accept: Iterable[str] = ()) -> None:
        await self._do(self.pump.confirm, readback, accept)

    async def start(self) -> None:
        await self._do(self.pump.start)

    async def stop(self) -> None:
        await self._do(self.pump.stop)

    async def bolus(self, volume: str, *, over: str, accept: Iterable[str] = ()) -> Fraction:
        return await self._do(self.pump.bolus, volume, over=over, accept=accept)

    async def acknowledge(self) -> None:
        await self._do(self.pump.acknowledge)

    async def listen(self, time: str) -> AsyncIterator[Status | Event]:
        """As `Pump.listen`; other tasks may use the pump meanwhile."""
        from thecal_host.python.amounts import time_ms

        clock_s = self.pump.conversation.clock_s
        until_s = clock_s() + time_ms("time", time) / 1000
        while clock_s() < until_s:
            for told in await self._do(self._slice):
                yield told

    def _slice(self) -> list[Status | Event]:
        return list(self.pump.listen(SLICE))
