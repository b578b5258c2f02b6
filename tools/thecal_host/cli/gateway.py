"""The command that serves pumps to an MQTT broker."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thecal_host import ports
from thecal_host.cli.base import ANY_PUMP, app, complain
from thecal_host.gateway import GatewayError, OptionError

if TYPE_CHECKING:
    from thecal_host.gateway.running import Gateway

PASSWORD = "THECAL_MQTT_PASSWORD"
NO_AIOMQTT = "the gateway needs the package aiomqtt, which is not installed: `make desk` brings it"
MQTT_PORT, MQTTS_PORT = 1883, 8883


def _place(text: str, tls: bool) -> tuple[str, int]:
    """Host and port of a broker, as in "broker", "broker:1883" or "[::1]:1883"."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = text, str(MQTTS_PORT if tls else MQTT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise OptionError(f"--mqtt: expected HOST or HOST:PORT, as in broker.local:1883, found {text!r}")
    return host, int(port)


@app.command(rich_help_panel=ANY_PUMP)
def gateway(
    ctx: typer.Context,
    mqtt: Annotated[str, typer.Option("--mqtt", metavar="HOST[:PORT]", help="The broker")],
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            "-p",
            metavar="PORT",
            help="Serve the pump there; may be repeated",
            show_default="every pump it sees",
        ),
    ] = None,
    command: Annotated[
        list[str] | None,
        typer.Option(
            "--command",
            metavar="ROLE=TOPIC",
            help="Pass frames on that are signed in this role and "
            "come on this topic, as in clinician=ward/{serial}/orders; may be repeated",
            show_default="none is passed on",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Of this gateway, one of several at a broker")
    ] = "gateway",
    prefix: Annotated[str, typer.Option("--prefix", help="Of all topics")] = "thecal",
    discovery: Annotated[
        str, typer.Option("--discovery", help='Home Assistant\'s prefix; "" for none')
    ] = "homeassistant",
    user: Annotated[
        str | None, typer.Option("--user", help=f"Account at the broker; its password is in {PASSWORD}")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypted")] = False,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="With --tls: authorities to believe")
    ] = None,
) -> None:
    """Serve pumps to an MQTT broker: what they tell, Home Assistant discovery, signed commands.

    Until Ctrl-C. Commands are passed on only where --command names a topic, only as signed frames, unchanged.
    """  # fmt: skip
    if find_spec("aiomqtt") is None:
        raise GatewayError(NO_AIOMQTT)
    from thecal_host.gateway.broker import Address, believing
    from thecal_host.gateway.running import Gateway
    from thecal_host.gateway.topics import Topics, commands_of

    if ca is not None and (not tls or not ca.is_file()):
        raise OptionError(f"--ca: {ca} is no file" if tls else "--ca: belongs to --tls")
    believed = believing(ca) if tls else None
    address = Address(*_place(mqtt, tls), user, os.environ.get(PASSWORD), believed)
    topics = Topics(name, prefix, discovery, commands_of(command or ()))
    named = port or ([ctx.obj.port] if ctx.obj.port else [])

    def find() -> list[str]:
        return named or [found.name for found in ports.find_ports() if found.is_pump]

    asyncio.run(_serve(Gateway(address, topics, find, ports.open_port, complain)))


async def _serve(served: Gateway) -> None:
    """Until Ctrl-C, or a friendly kill."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, served.end)
    await served.run()
