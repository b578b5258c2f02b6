"""Commands about the keys of a pump: pair it, list, export, import, rotate, revoke and reset keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from thecal.link.commands import ROLES

from thecal_host.cli.base import (
    ANY_PUMP,
    SAID_NO,
    JsonOption,
    Keys,
    PortOption,
    YesOption,
    app,
    connected,
    out,
    print_object,
    say,
)

keys_app = typer.Typer(
    no_args_is_help=True,
    help="The keys of paired pumps: list, export, import, rotate, revoke, reset.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(keys_app, name="keys", rich_help_panel=ANY_PUMP)


def _serial(text: str | None) -> str | None:
    from thecal_host.keys import KeysError, checked_serial

    try:
        return text if text is None else checked_serial(text)
    except KeysError as why:
        raise typer.BadParameter(str(why), param_hint="--pump") from None


PumpOption = Annotated[
    str | None,
    typer.Option("--pump", metavar="SERIAL", help="Serial number of the pump", show_default="the only one",
                 callback=_serial),
]  # fmt: skip
ForceOption = Annotated[bool, typer.Option("--force", help="Write over what is there")]


def _role(text: str | None) -> str | None:
    if text is not None and text not in ROLES:
        raise typer.BadParameter(f"expected one of {', '.join(ROLES)}, found {text!r}", param_hint="ROLE")
    return text


RoleArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help=f"One of {', '.join(ROLES)}", callback=_role)
]


@app.command(rich_help_panel=ANY_PUMP)
def pair(ctx: typer.Context, port: PortOption = None) -> None:
    """Pair a stopped pump with this computer: from then on it takes signed commands only, stop excepted."""
    from thecal_host import pairing
    from thecal_host.keys import Ring

    ring = Ring()
    with connected(ctx, port, Keys.LEAVE) as pump:
        held = pairing.pair(pump, ring, lambda what, within_s: say(f"Within {within_s} s, {what}."))
        say(f"Paired: pump {pairing.serial_of(pump)} takes the keys {held.roles()}, kept in {ring.where}.")


@keys_app.command("list")
def list_keys(as_json: JsonOption = False) -> None:
    """List the pumps of which keys are held here, and for which roles; no key is shown."""
    from thecal_host.keys import Ring

    ring = Ring()
    pumps = ring.pumps()
    if as_json:
        for serial, held in pumps.items():
            print_object({"type": "keys", "pump": serial, "roles": held.roles(), "pending": [*held.pending]})
        return
    if not pumps:
        say("No keys: `thecal pair` makes those of a pump, `thecal keys import` takes one.")
        return
    table = Table("pump", "roles", "not known yet whether the pump has taken")
    for serial, held in pumps.items():
        table.add_row(serial, held.roles(), ", ".join(held.pending))
    out.print(table)
    say(f"Kept in {ring.where}.")


@keys_app.command()
def export(
    role: RoleArgument,
    file: Annotated[Path, typer.Argument(help="Where to write it; whoever has the file has the key")],
    pump: PumpOption = None,
    force: ForceOption = False,
) -> None:
    """Write the key of one role to a file, for another person or computer."""
    from thecal_host.keys import KeysError, Ring, write_key

    pumps = Ring().pumps()
    if pump is None:
        if len(pumps) != 1:
            known = ", ".join(pumps) or "none"
            raise KeysError(f"say by --pump of which pump; keys are held of {known}")
        pump = next(iter(pumps))
    key = pumps[pump].keys.get(role) if pump in pumps else None
    if key is None:
        raise KeysError(f"the {role} key of pump {pump} is not here: `thecal keys list` shows which are")
    write_key(file, pump, role, key, force)
    say(f"The {role} key of pump {pump} is in {file}: `thecal keys import` takes it, then delete the file.")


@keys_app.command("import")
def import_key(
    file: Annotated[Path, typer.Argument(help="File that `thecal keys export` has written")],
    force: ForceOption = False,
) -> None:
    """Keep the key of a file among those of this user."""
    from thecal_host.keys import Held, KeysError, Ring, read_key

    serial, role, key = read_key(file)
    ring = Ring()
    held = ring.get(serial)
    if held.keys.get(role, key) != key and not force:
        raise KeysError(
            f"another {role} key of pump {serial} is here already: if that is an old one, --force replaces it"
        )
    ring.put(serial, Held({**held.keys, role: key}, held.pending, held.whole))
    say(f"The {role} key of pump {serial} is kept in {ring.where}: delete the file.")


@keys_app.command()
def rotate(
    ctx: typer.Context,
    role: Annotated[
        str | None,
        typer.Argument(metavar="ROLE", help=f"One of {', '.join(ROLES)}", show_default="all", callback=_role),
    ] = None,
    port: PortOption = None,
) -> None:
    """Give the pump a new key for a role, or for all; the old one is good for nothing then."""
    from thecal_model.signing import new_key

    from thecal_host import pairing
    from thecal_host.keys import Ring

    roles = ROLES if role is None else (role,)
    with connected(ctx, port) as pump:
        held = pairing.change(pump, Ring(), {name: new_key() for name in roles})
        say(f"New keys are in force for {', '.join(roles)}; held here: {held.roles()}.")
        say("Whoever has an old one needs the new one: `thecal keys export ROLE FILE`.")


@keys_app.command()
def revoke(ctx: typer.Context, role: RoleArgument, port: PortOption = None) -> None:
    """Take the key of a role away: nobody signs in it until `thecal keys rotate ROLE`."""
    from thecal_host import pairing
    from thecal_host.keys import KeysError, Ring

    if role == pairing.SERVICE:
        raise KeysError(f"the {role} key cannot be taken away, only changed: `thecal keys rotate {role}`")
    with connected(ctx, port) as pump:
        pairing.change(pump, Ring(), {role: b""})
        say(f"The {role} key is good for nothing any more.")


@keys_app.command()
def reset(ctx: typer.Context, port: PortOption = None, yes: YesOption = False) -> None:
    """Take all keys away from a stopped pump whose keys are lost, by a hand at its MAINTENANCE jumper."""
    from thecal_host import pairing
    from thecal_host.keys import Ring

    with connected(ctx, port, Keys.LEAVE) as pump:
        serial = pairing.serial_of(pump)
        proposal = pairing.propose_reset(pump)
        say(f"Pump {serial} is to be unpaired: whoever has its port may then do everything.")
        question = "Fit the MAINTENANCE jumper now, with the pump on. Is it fitted, and are all keys to go?"
        if not yes and not typer.confirm(question):
            say("Not confirmed; the keys stay in force.")
            raise typer.Exit(SAID_NO)
        pairing.reset(pump, Ring(), proposal)
        say(f"Pump {serial} is unpaired: take the jumper off; `thecal pair` pairs it anew.")
