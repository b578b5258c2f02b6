"""The connection to the broker, for as long as it lasts: publish what pumps told, hand on what comes.

MQTT 5, as only that says of a message whether it was published to be retained. The session is clean, so no
command waits at the broker for a gateway that is away.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from thecal_host.gateway import OptionError, view
from thecal_host.gateway.told import Told
from thecal_host.gateway.topics import AVAILABILITY, EVENT, OFFLINE, ONLINE, Topics

KEEPALIVE_S = 10

# What comes faster than it is passed on is dropped.
MOST_INCOMING = 64

# Events of one pump before the others have their turn.
EVENTS_A_TURN = 50

SETTLE_S = 10.0

Take = Callable[[str, bytes, bool], Awaitable[None]]
"""A command: its topic, its payload, whether it is retained."""


@dataclass(frozen=True)
class Address:
    """Where the broker is, as whom to go there, and, if the line is encrypted, whom to believe."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None


def believing(ca: Path | None) -> ssl.SSLContext:
    """Encryption to a broker whose certificate is of an authority in a file, or of one that the system
    believes, and is for the name by which it is reached. OptionError where the file holds none.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as why:  # an SSLError is one
        raise OptionError(
            f"--ca: {ca} cannot be used ({why.strerror or why}): expected certificates of authorities in PEM"
        ) from None


def client_of(address: Address, topics: Topics) -> aiomqtt.Client:
    """A client that is not connected yet, its last will made."""
    return aiomqtt.Client(
        address.host,
        address.port,
        username=address.user,
        password=address.password,
        identifier=f"thecal-{topics.gateway}",
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        keepalive=KEEPALIVE_S,
        will=aiomqtt.Will(topics.availability, OFFLINE, qos=1, retain=True),
        max_queued_incoming_messages=MOST_INCOMING,
        tls_context=address.tls,
    )


class Session:
    """One connection. `read` has to run beside all else: it raises MqttError when the connection is lost,
    which nothing else is told. Commands go to `take`.
    """

    def __init__(self, client: aiomqtt.Client, topics: Topics, take: Take) -> None:
        self._client = client
        self._topics = topics
        self._take = take
        self._retained: dict[str, bytes] = {}
        self._settled = asyncio.Event()

    async def read(self) -> None:
        """Hand on what comes."""
        async for message in self._client.messages:
            topic = str(message.topic)
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if self._settled.is_set():
                await self._take(topic, payload, message.retain)
            elif topic != self._topics.availability:
                self._retained[topic] = payload
            elif not message.retain:
                self._settled.set()

    async def settle(self) -> dict[str, bytes]:
        """Say that the gateway is there; by topic the last events that the broker retains.

        The broker sends what it retains before what is published after the subscription.
        """
        client, availability = self._client, self._topics.availability
        every_event = self._topics.of("+", EVENT)
        await client.subscribe(availability, qos=1)
        await client.subscribe(every_event, qos=1)
        await client.publish(availability, ONLINE, qos=1, retain=True)
        try:
            await asyncio.wait_for(self._settled.wait(), SETTLE_S)
        except TimeoutError:
            raise aiomqtt.MqttError(f"it does not send {availability} to who publishes it") from None
        await client.unsubscribe([availability, every_event])
        return self._retained

    async def listen_to_roles(self) -> None:
        """Have what comes on the topics that are named for roles, but nothing that the broker retains."""
        options = SubscribeOptions(
            qos=1, retainAsPublished=True, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND
        )
        for topic in self._topics.filters().values():
            await self._client.subscribe(topic, options=options)

    async def publish(self, pumps: Callable[[], Iterable[Told]], news: asyncio.Event) -> None:
        """What they told, as long as there is something; then whenever `news` is set."""
        while True:
            news.clear()
            for told in pumps():
                if await self._publish(told):
                    news.set()
            await news.wait()

    async def _publish(self, told: Told) -> bool:
        """Whether there is more."""
        client, topics, serial = self._client, self._topics, told.serial
        for row, payload in told.changed():
            await client.publish(topics.of(serial, row), payload, qos=row.qos, retain=row.is_state)
        while (answer := told.first_answer()) is not None:
            row, payload = answer
            await client.publish(topics.of(serial, row), payload, qos=row.qos)
            told.answer_done(answer)
        count = 0
        while count < EVENTS_A_TURN and (event := told.first_event()) is not None:
            await client.publish(
                topics.of(serial, EVENT), view.event(serial, event), qos=EVENT.qos, retain=True
            )
            told.event_done()
            count += 1
        if count:
            told.events_done()
        return bool(count)

    async def leave(self, pumps: Iterable[Told]) -> None:
        """Say that pumps and gateway are away; who ends in an orderly way has no will."""
        for told in pumps:
            await self._client.publish(
                self._topics.of(told.serial, AVAILABILITY), OFFLINE, qos=1, retain=True
            )
        await self._client.publish(self._topics.availability, OFFLINE, qos=1, retain=True)
