"""Commands that propose something, show what the pump read back, and confirm it after a yes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from thecal.dose import prescription

from thecal_host.cli.base import (
    ANY_PUMP,
    NOT_UNDERSTOOD,
    PortOption,
    YesOption,
    app,
    complain,
    confirm,
    connected,
    out,
    print_rows,
    say,
    whole_nl,
)


@app.command(rich_help_panel=ANY_PUMP)
def program(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML file with a therapy and a profile; a scenario will do")],
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Program a therapy: propose it, show what the pump read back, confirm it."""
    from thecal_bench.scenario import load_therapy
    from thecal_model import foreknown

    from thecal_host.pump import PumpError, Refused
    from thecal_host.readbacks import meant, readback_rows

    therapy, profile = load_therapy(file)
    message = therapy.message(profile)
    if therapy.mode == "stopped":
        complain(f"{file}: the therapy is `stopped`: there is nothing to program; use `thecal stop`")
        raise typer.Exit(NOT_UNDERSTOOD)
    with connected(ctx, port) as pump:
        try:
            proposal = pump.propose(message)
        except Refused as why:
            placed = foreknown.placed(str(file), file.read_text(encoding="utf-8-sig"), therapy, why.message)
            raise PumpError(f"the pump refuses the therapy:\n{placed}") from None
        print_rows(readback_rows(proposal), "The pump read back:")
        questions = [f"{meant(name)}. Is that meant?" for name in proposal.soft]
        questions.append("Is this the therapy you want?")
        confirm(pump, proposal, questions, yes, "the pump keeps the therapy it has")
        say(f"Therapy {proposal.digest} is in force; the pump is {pump.status()['state']}.")


@app.command(rich_help_panel=ANY_PUMP)
def library(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML file with a pharmacy's drug library")],
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Replace the drug library: propose a pharmacy's file, check what the pump read back, confirm it."""
    from thecal_host import pharmacy

    proposed = pharmacy.load(file)
    table = Table()
    for column in ("limit", "value", "outside", "source"):
        table.add_column(column, overflow="fold")
    for row in pharmacy.limit_rows(proposed.wire):
        table.add_row(*row)
    with connected(ctx, port) as pump:
        proposal = pump.propose_library(proposed)
        out.print(table)
        say(f"The pump read back version {proposed.version}, CRC {proposal.readback['library_crc']}.")
        confirm(pump, proposal, ["Is this the library you want?"], yes, "the pump keeps the library it has")
        say(f"Library version {proposed.version} is in force.")


@app.command(rich_help_panel=ANY_PUMP)
def refill(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='What the reservoir holds now, as in "20 mL"')],
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Tell the pump that its reservoir was filled."""
    from thecal_model.text import volume_text

    volume_nl = whole_nl("--volume", volume, prescription.MOST_RESERVOIR_NL)
    with connected(ctx, port) as pump:
        proposal = pump.propose_refill(volume_nl)
        question = f"Does the reservoir hold {volume_text(volume_nl)} now?"
        confirm(pump, proposal, [question], yes, "the pump goes on with what it had")
        say(f"Refilled: the reservoir holds {volume_text(volume_nl)}.")


@app.command("new-line", rich_help_panel=ANY_PUMP)
def new_line(
    ctx: typer.Context,
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Tell a stopped pump that its line is new or empty: then it may be primed, and holds no old drug."""
    from thecal_model.text import volume_text

    with connected(ctx, port) as pump:
        proposal = pump.propose_new_line()
        volume = volume_text(proposal.readback["new_line_nl"])
        ends_nl = proposal.readback.get("bridge_ends_nl")
        if ends_nl is not None:
            say(f"A bridge is open: the pump counts {volume_text(ends_nl)} of the old drug in the line.")
        question = f"The line is new or empty: {volume} to fill?"
        confirm(pump, proposal, [question], yes, "the line counts as what it was")
        say(f"The line is new: {volume} of it may be primed, and the first start ends that.")


@app.command("begin-anew", rich_help_panel=ANY_PUMP)
def begin_anew(
    ctx: typer.Context,
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Let a pump use a flash that holds something else than its journal, and forget what it holds."""
    with connected(ctx, port) as pump:
        proposal = pump.propose_begin_anew()
        found = {
            "foreign": "what is no journal",
            "lost": "a journal whose state is lost",
            "older": "the journal of an older firmware",
            "used_up": "a journal whose counts are used up; its log goes too",
        }
        say(f"The flash holds {found[proposal.readback['begin_anew']]}.")
        say("Begun anew, the pump knows no therapy, no reservoir and no dose given before.")
        confirm(pump, proposal, ["Begin anew?"], yes, "the flash is left as it is")
        say("The journal begins anew. Reset the pump: its self-test passes then.")
