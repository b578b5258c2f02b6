"""What all commands share: the application, its errors, the connection, tables and questions.

Errors that a user can mend are caught in one place (`_Commands`) and printed as one sentence. Exit status: 0
done; 1 the pump, the port or an expectation said no; 2 a file or an argument makes no sense.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.table import Table
from thecal.link.commands import ROLES
from thecal_model import quantities
from thecal_model.link import LinkError

from thecal_host import ports
from thecal_host.connection import Port, PortError
from thecal_host.files import FileError, why_not
from thecal_host.pump import Proposal, Pump, PumpError
from thecal_host.sharing import Hub

# So long a stop waits for the key ring.
HURRY_S = 2.0

DONE, SAID_NO, NOT_UNDERSTOOD = 0, 1, 2

out = Console()
err = Console(stderr=True)


def _status_of(why: Exception) -> int | None:
    """The exit status for an error that the user can mend; None for one of ours."""
    from thecal_bench.bench import BenchError
    from thecal_bench.runner import RunError
    from thecal_model.problems import InputError

    from thecal_host.archive import ArchiveError
    from thecal_host.experiment import NoSuchBoard
    from thecal_host.gateway import GatewayError, OptionError
    from thecal_host.keys import KeysError
    from thecal_host.log import LogError
    from thecal_host.readbacks import KeptError
    from thecal_host.recording import RecordError
    from thecal_host.weighing import WeighingError
    from thecal_host.weighing.balance import BalanceError

    said_no = PortError | PumpError | KeptError | KeysError | LinkError | BenchError | RunError | BalanceError
    said_no |= GatewayError
    if isinstance(why, said_no):
        return SAID_NO
    unreadable = InputError | RecordError | LogError | FileError | WeighingError | ArchiveError
    if isinstance(why, unreadable | NoSuchBoard | OptionError | quantities.QuantityError):
        return NOT_UNDERSTOOD
    return None


class _Commands(typer.core.TyperGroup):
    """All commands, with the one place where errors become a sentence and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read the output has seen enough; typer ends quietly with 1.
            raise
        except OSError as why:
            complain(str(_why_not_written(why)))
            raise typer.Exit(NOT_UNDERSTOOD) from None
        except Exception as why:
            status = _status_of(why)
            if status is None:
                raise
            complain(str(why))
            raise typer.Exit(status) from None


def _why_not_written(why: OSError) -> FileError:
    """For the last OSError that nobody took: one of a file has its name, one of the output has none."""
    if why.filename is None:
        # What is still in the buffer must not fail once more, at the end of the process.
        with open(os.devnull, "w") as nowhere, suppress(OSError):
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return why_not(why.filename or "the output", why)


def complain(text: str) -> None:
    """What went wrong, on standard error."""
    err.print(f"thecal: {text}", markup=False, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """A line for a person, as it is: no word of it is markup, and it is not broken."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Drive a Thecal pump, real or emulated, and run experiments on it.",
)
ANY_PUMP = "Any pump, emulated or real"
EXPERIMENTS = "Experiments"


def _ports_there(begun: str) -> list[str]:
    """For the shell: ports that begin so."""
    return [port.name for port in ports.find_ports() if port.name.startswith(begun)]


def _port_option(otherwise: str) -> Any:
    """`--port`, and which pump it is where nobody names one."""
    return typer.Option(
        "--port", "-p", envvar="THECAL_PORT", metavar="PORT", autocompletion=_ports_there,
        help="Serial device, pty or socket://HOST:PORT of the pump", show_default=otherwise,
    )  # fmt: skip


PortOption = Annotated[str | None, _port_option("the only one")]
AnyPortOption = Annotated[str | None, _port_option("every pump that it finds")]

RoleOption = Annotated[
    str | None,
    typer.Option("--role", envvar="THECAL_ROLE", metavar="ROLE",
                 help=f"Sign in this role: {', '.join(ROLES)}", show_default="the least that suffices"),
]  # fmt: skip

JsonOption = Annotated[bool, typer.Option("--json", help="As JSON, one object per line")]

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking")]


@app.callback()
def _common(ctx: typer.Context, port: PortOption = None, role: RoleOption = None) -> None:
    if role is not None and role not in ROLES:
        raise typer.BadParameter(f"expected one of {', '.join(ROLES)}, found {role!r}", param_hint="--role")
    ctx.obj = Common(port, role)


@dataclass(frozen=True)
class Common:
    """What stands before the name of the command."""

    port: str | None = None
    role: str | None = None


class Keys(Enum):
    """What a command is to do with the keys of a pump that is paired."""

    USE = auto()
    HURRY = auto()
    """Go without them where they are not there at once."""
    LEAVE = auto()
    """It looks after them itself."""


@contextmanager
def connected(ctx: typer.Context, port: str | None, keys: Keys = Keys.USE) -> Iterator[Pump]:
    """The pump that the command is about, after its hello, with the keys that are held for it."""
    wanted = port or ctx.obj.port
    name = ports.choose_port(wanted)
    opened = _open(name, keys is Keys.HURRY)
    pump = Pump(opened)
    # A cable that is plugged in again may have another name; the pump says whether it is the same.
    pump.reopen = lambda: _open(ports.choose_port(wanted), keys is Keys.HURRY)
    try:
        if isinstance(opened, Hub) and opened.note:
            complain(opened.note)
        with err.status(f"connecting to {name}") if err.is_terminal else nullcontext():
            pump.connect()
        if pump.paired and keys is not Keys.LEAVE:
            _attach(pump, ctx.obj.role, keys is Keys.HURRY)
        yield pump
    finally:
        pump.port.close()


def _open(name: str, hurry: bool) -> Port:
    return ports.open_in_a_hurry(name, complain) if hurry else ports.open_port(name)


def _attach(pump: Pump, role: str | None, hurry: bool) -> None:
    """Sign with what is held for a paired pump. Who is in a hurry is not kept by a key ring that is locked,
    or asks for a password: a stop acts without a signature, too.
    """
    from thecal_host import keys, pairing

    ring = keys.Ring()
    if not hurry:
        try:
            pairing.attach(pump, ring, role)
        except keys.KeysError as why:
            if role is not None:
                raise
            # Whoever only reads needs no key; the pump refuses the rest.
            complain(f"nothing is signed: {why}")
        return
    found: SimpleQueue[dict[str, bytes] | keys.KeysError] = SimpleQueue()

    def look() -> None:
        try:
            found.put(dict(ring.get(pairing.serial_of(pump)).keys))
        except keys.KeysError as why:
            found.put(why)

    Thread(target=look, daemon=True).start()
    try:
        held = found.get(timeout=HURRY_S)
    except Empty:
        held = keys.KeysError(f"{ring.where} does not answer")
    if isinstance(held, keys.KeysError):
        complain(f"sent without a signature: {held}")
    else:
        pump.signer.keys = held


def confirm(pump: Pump, proposal: Proposal, questions: Sequence[str], yes: bool, unchanged: str) -> None:
    """Confirm what the pump read back, after a yes to every question; none is asked when `yes`.

    The first no ends the command with status 1; `unchanged` is what it says of the pump then.
    """
    for question in () if yes else questions:
        if not typer.confirm(question):
            say(f"Not confirmed; {unchanged}.")
            raise typer.Exit(SAID_NO)
    pump.confirm(proposal)


def print_object(found: Mapping[str, Any]) -> None:
    """One line of JSON, for a program that reads it."""
    print(json.dumps(found, separators=(",", ":")))


def print_rows(rows: Sequence[tuple[str, ...]], title: str = "") -> None:
    """A table without a heading: the name of each row is dim, what is long is folded."""
    table = Table(title=title or None, show_header=False, title_justify="left")
    table.add_column(style="dim")
    for _ in rows[0][1:]:
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def whole_nl(option: str, text: str, most_nl: int) -> int:
    """The volume of an option: whole nanolitres, 1 nL to `most_nl`. QuantityError."""
    return _whole(option, text, quantities.VOLUME, ("nanolitres", "nL", "mL"), most_nl)


def whole_nl_h(option: str, text: str, most_nl_h: int) -> int:
    """The rate of an option: whole nanolitres an hour, 1 nL/h to `most_nl_h`. QuantityError."""
    return _whole(option, text, quantities.RATE, ("nanolitres an hour", "nL/h", "mL/h"), most_nl_h)


def option_ms(option: str, text: str) -> int:
    """The time of an option: whole milliseconds. QuantityError."""
    with quantities.named(option):
        return quantities.parse_time_ms(text)


def _whole(
    option: str, text: str, dimension: quantities.Dimension, units: tuple[str, str, str], most: int
) -> int:
    with quantities.named(option):
        value = quantities.parse(text, dimension)
    if value.denominator != 1 or not 1 <= value <= most:
        named, least, great = units
        bounds = f"1 {least} to {quantities.show(most, dimension, great)}"
        raise quantities.QuantityError(f'{option}: expected whole {named}, {bounds}, found "{text}"')
    return int(value)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C is how these commands are meant to end."""
    with suppress(KeyboardInterrupt):
        yield
