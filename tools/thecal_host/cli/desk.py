"""The command that shows pumps on a page."""

from __future__ import annotations

import ipaddress
import signal
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Annotated

import typer

from thecal_host import ports
from thecal_host.cli.base import ANY_PUMP, AnyPortOption, app, err, say, until_interrupted
from thecal_host.files import FileError

NO_NICEGUI = "the desk needs the package nicegui, which is not installed: `make desk` brings it"


@app.command(rich_help_panel=ANY_PUMP)
def desk(
    ctx: typer.Context,
    port: AnyPortOption = None,
    bench: Annotated[bool, typer.Option("--bench", help="Bring an emulated pump of its own")] = False,
    rig: Annotated[
        str, typer.Option(metavar="FILE", help="With --bench: what hangs on its pins, a rig file or a name")
    ] = "reference",
    address: Annotated[
        str, typer.Option("--address", help="Serve at this address of the machine, for others too")
    ] = "127.0.0.1",
    at: Annotated[int, typer.Option("--at", metavar="NUMBER", min=0, max=65535, help="TCP port; 0: any")] = 0,
) -> None:
    """Show all pumps on a page in a browser, to look and to drive, until Ctrl-C.

    Whoever has the address that it prints, with the token in it, may do what this computer's keys may.
    """
    if find_spec("nicegui") is None:
        raise FileError(NO_NICEGUI)
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise typer.BadParameter(
            f"expected an address of this machine, as 127.0.0.1, found {address!r}", param_hint="--address"
        ) from None
    from thecal_model import rig as rigs

    from thecal_host.desk import server

    # A friendly kill ends it as Ctrl-C does: the bench goes, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with until_interrupted(), ExitStack() as stack:
        name = port or ctx.obj.port
        rigs.load(rig)  # says what is wrong with it before anything is served
        if bench:
            with err.status("booting the image"):
                name = stack.enter_context(server.bench(rig))
        elif name:
            ports.open_port(name).close()  # as does this
        ends = "it and the emulated pump" if bench else "it; the pumps go on"
        server.serve(
            server.Desk(name, ctx.obj.role),
            address,
            at,
            lambda where: say(f"The desk is at\n  {where}\nCtrl-C ends {ends}."),
        )
