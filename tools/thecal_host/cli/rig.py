"""Commands about what hangs on a pump's pins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thecal_host.cli.base import (
    ANY_PUMP,
    SAID_NO,
    JsonOption,
    PortOption,
    YesOption,
    app,
    complain,
    confirm,
    connected,
    err,
    print_object,
    print_rows,
    say,
)

if TYPE_CHECKING:
    from thecal.rig import Rig

    from thecal_host.pump import Pump

rig_app = typer.Typer(
    no_args_is_help=True,
    help="What hangs on the pump's pins: show it, program it, check it.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rig_app, name="rig", rich_help_panel=ANY_PUMP)


@rig_app.command()
def show(ctx: typer.Context, port: PortOption = None, as_json: JsonOption = False) -> None:
    """Show the rig that the pump runs on, what it does not watch, and how well its volume is known."""
    from thecal_model import rig_words

    from thecal_host import rigging
    from thecal_host.pump import PumpError

    with connected(ctx, port) as pump:
        kept = rigging.ask(pump)
        if kept is None:
            raise PumpError(
                f"{pump.hello['no_rig']}: the pump moves nothing until `thecal rig program FILE` gives it one"
            )
        if as_json:
            print_object({"number": kept.number, "rig": kept.rig.tables, "unwatched": kept.rig.unwatched()})
            return
        print_rows(rig_words.rows(kept.rig), f"Rig {kept.number}:")
        print_unwatched(kept.rig.unwatched())


@rig_app.command("program")
def program_rig(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Rig file (TOML), or the name of one of the project's")],
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Tell a stopped pump what hangs on its pins: propose it, show what was read back, confirm, restart.

    The therapy in force ends. The pump then tests itself on the new rig.
    """
    from thecal_model import rig as rigs

    rig = rigs.load(file)
    with connected(ctx, port) as pump:
        change_rig(pump, rig, yes, "Is this what hangs on the pins?")


def change_rig(pump: Pump, rig: Rig, yes: bool, question: str) -> None:
    """Propose a rig, confirm it after a yes to `question`, and see the pump come back on it."""
    from contextlib import nullcontext

    from thecal_host import rigging
    from thecal_host.vitals import failed_names

    before = pump.hello.get("rig_number", 0)
    proposal = rigging.propose(pump, rig)
    print_rows(rigging.readback_rows(rig, proposal), "The pump read back:")
    print_unwatched(proposal.soft)
    questions = ["Nobody watches for these. Is that meant?"] if proposal.soft else []
    questions.append(f"{question} The therapy in force ends, and the pump restarts.")
    kept = "the pump keeps the rig it has" if before else "the pump has no rig"
    confirm(pump, proposal, questions, yes, kept)
    with err.status("the pump restarts") if err.is_terminal else nullcontext():
        hello = rigging.wait(pump, before)
    say(f"Rig {hello['rig_number']}, {hello['rig']}, is in force; the pump is {hello['state']}.")
    failed = failed_names(pump.status())
    if failed:
        complain(f"its self-test failed: {', '.join(failed)}; see what is wired, and `thecal alarms`")
        raise typer.Exit(SAID_NO)


def print_unwatched(codes: list[str]) -> None:
    """Each hazard that nobody watches for, named."""
    from thecal_model import rig_words

    if codes:
        named = [(code.replace("_", " "), words) for code, words in rig_words.unwatched_rows(codes)]
        print_rows(named, "Not watched:")
    else:
        say("Everything is watched.")
