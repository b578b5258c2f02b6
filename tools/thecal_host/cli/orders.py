"""Commands that tell the pump to do something, each by one request."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from thecal.dose import prescription
from thecal.dose.formulary import BOLUS, DOSE_PER_DAY, KINDS
from thecal_model import quantities

from thecal_host import verbs
from thecal_host.cli.base import (
    ANY_PUMP,
    JsonOption,
    Keys,
    PortOption,
    app,
    connected,
    option_ms,
    print_object,
    say,
    whole_nl,
)

_NAME = "[a-z][a-z0-9_-]*"
_BOUND = re.compile(rf"{_NAME}\.({BOLUS}|{DOSE_PER_DAY})\.({'|'.join(KINDS)})(\.{_NAME})?")
"""The names of the bounds that hold a bolus (`thecal.dose.formulary`)."""


@app.command(rich_help_panel=ANY_PUMP)
def prime(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='Up to the dead volume of the line, as in "200 uL"')],
    port: PortOption = None,
) -> None:
    """Fill the line; the pump must be stopped."""
    volume_nl = whole_nl("--volume", volume, prescription.MOST_LINE_NL)
    with connected(ctx, port) as pump:
        say(verbs.prime(pump, volume_nl))


@app.command("set-time", rich_help_panel=ANY_PUMP)
def set_time(
    ctx: typer.Context,
    time: Annotated[str, typer.Option("--to", help='As in "mon 06:30"; else the time here')] = "",
    port: PortOption = None,
) -> None:
    """Set the pump's clock, by which flex therapy goes."""
    with quantities.named("--to"):
        week_s = quantities.parse_clock_ms(time) // 1000 if time else verbs.week_s_here()
    with connected(ctx, port) as pump:
        say(verbs.set_time(pump, week_s))


@app.command(rich_help_panel=ANY_PUMP)
def start(ctx: typer.Context, port: PortOption = None) -> None:
    """Start the therapy that is programmed."""
    with connected(ctx, port) as pump:
        say(verbs.start(pump))


@app.command(rich_help_panel=ANY_PUMP)
def stop(ctx: typer.Context, port: PortOption = None) -> None:
    """Stop the pump; a bolus that runs ends for good."""
    with connected(ctx, port, Keys.HURRY) as pump:
        say(verbs.stop(pump))


@app.command(rich_help_panel=ANY_PUMP)
def acknowledge(ctx: typer.Context, port: PortOption = None) -> None:
    """Acknowledge the alarms; a pump that one has halted is STOPPED then."""
    with connected(ctx, port) as pump:
        say(verbs.acknowledge(pump))


@app.command(rich_help_panel=ANY_PUMP)
def silence(ctx: typer.Context, port: PortOption = None) -> None:
    """Pause the sound of the alarms that stand, for two minutes; what is new and as urgent is heard."""
    with connected(ctx, port) as pump:
        say(verbs.silence(pump))


@app.command(rich_help_panel=ANY_PUMP)
def bolus(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='Volume to be infused, as in "5 uL"')],
    duration: Annotated[str, typer.Option(help='Over how long, as in "5 min"')],
    port: PortOption = None,
    accept: Annotated[
        list[str] | None,
        typer.Option("--accept", metavar="NAME", help="A bound of the drug library that it may break"),
    ] = None,
) -> None:
    """Give a clinician bolus on top of the basal rate."""
    volume_nl = whole_nl("--volume", volume, prescription.MOST_BOLUS_NL)
    duration_ms = option_ms("--duration", duration)
    if not 1 <= duration_ms <= prescription.MOST_BOLUS_MS:
        most = quantities.show(prescription.MOST_BOLUS_MS, quantities.TIME, "h")
        raise quantities.QuantityError(
            f'--duration: expected 1 ms at least, {most} at most, found "{duration}"'
        )
    for name in accept or ():
        if not _BOUND.fullmatch(name):
            raise quantities.QuantityError(
                f'--accept: expected a bound such as "baclofen.bolus.high.screening", found "{name}"'
            )
    with connected(ctx, port) as pump:
        say(verbs.bolus(pump, volume_nl, duration_ms, accept or ()))


@app.command("patient-bolus", rich_help_panel=ANY_PUMP)
def patient_bolus(ctx: typer.Context, port: PortOption = None) -> None:
    """Ask for the patient's bolus of the therapy, as by the patient's button."""
    with connected(ctx, port) as pump:
        say(verbs.patient_bolus(pump))


@app.command(rich_help_panel=ANY_PUMP)
def outcome(
    ctx: typer.Context,
    command: Annotated[str, typer.Argument(metavar="ID", help="As `thecal` has named it: 3f2a91c0.17.0")],
    port: PortOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask what became of a command whose reply was lost."""
    from thecal_host import lost

    try:
        wanted = lost.Id.of(command)
    except ValueError as why:
        raise quantities.QuantityError(str(why)) from None
    with connected(ctx, port) as pump:
        signer, answer = pump.signer, {}
        # In each role in which it may have been given: a line that was held back is good for nothing then.
        for role in [signer.role] if signer.role else [*signer.keys] or [None]:
            answer = lost.outcome(pump, wanted, role)
        if as_json:
            print_object(answer)
            return
        name = f"`{answer['command']}`" if "command" in answer else command
        say(f"Of {name}: {lost.text_of(answer)}.")
