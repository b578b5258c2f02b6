"""Commands that tell the pump to do something, each by one request."""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any

import typer
from thecal.dose import prescription
from thecal.dose.formulary import BOLUS, DOSE_PER_DAY, KINDS
from thecal_model import quantities

from thecal_host.cli.base import (
    ANY_PUMP,
    SAID_NO,
    JsonOption,
    Keys,
    PortOption,
    app,
    complain,
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
        reply = pump.ask("prime", volume_nl=volume_nl)
        say(f"The pump is {reply.get('state', 'PRIMING')}.")


@app.command("set-time", rich_help_panel=ANY_PUMP)
def set_time(
    ctx: typer.Context,
    time: Annotated[str, typer.Option("--to", help='As in "mon 06:30"; else the time here')] = "",
    port: PortOption = None,
) -> None:
    """Set the pump's clock, by which flex therapy goes."""
    from thecal_model.text import week_time

    now = datetime.now()
    week_s = now.weekday() * 86_400 + now.hour * 3_600 + now.minute * 60 + now.second
    if time:
        with quantities.named("--to"):
            week_s = quantities.parse_clock_ms(time) // 1000
    with connected(ctx, port) as pump:
        pump.ask("set_time", week_s=week_s)
        say(f"The pump's clock is at {week_time(week_s)}.")


@app.command(rich_help_panel=ANY_PUMP)
def start(ctx: typer.Context, port: PortOption = None) -> None:
    """Start the therapy that is programmed."""
    with connected(ctx, port) as pump:
        pump.ask("start")
        say("Started: the pump is RUNNING.")


@app.command(rich_help_panel=ANY_PUMP)
def stop(ctx: typer.Context, port: PortOption = None) -> None:
    """Stop the pump; a bolus that runs ends for good."""
    with connected(ctx, port, Keys.HURRY) as pump:
        reply = pump.ask("stop")
        unsigned = ", by a stop without a signature: it tells that by an alarm" if "unsigned" in reply else ""
        say(f"The pump is {reply.get('state', 'STOPPED')}{unsigned}.")


@app.command(rich_help_panel=ANY_PUMP)
def acknowledge(ctx: typer.Context, port: PortOption = None) -> None:
    """Acknowledge the alarms; a pump that one has halted is STOPPED then."""
    with connected(ctx, port) as pump:
        reply = pump.ask("acknowledge")
        say(f"The pump is {reply.get('state', 'STOPPED')}.")


@app.command(rich_help_panel=ANY_PUMP)
def silence(ctx: typer.Context, port: PortOption = None) -> None:
    """Pause the sound of the alarms that stand, for two minutes; what is new and as urgent is heard."""
    with connected(ctx, port) as pump:
        if pump.ask("audio_pause").get("paused") is not True:
            complain("nothing was silenced: no alarm stands, or a pause is running already")
            raise typer.Exit(SAID_NO)
        say("Silent for two minutes; nothing is acknowledged.")


def granted(reply: dict[str, Any]) -> None:
    """Say why a bolus is denied, and end the command, where it is."""
    if reply.get("granted") is not True and reply.get("outcome") != "done":
        reason = reply.get("reason") or "no reason given"
        complain(f"the bolus is denied: {reply.get('message') or reason} ({reason})")
        raise typer.Exit(SAID_NO)


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
    from thecal_model.text import rate_text, volume_text

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
        named = {"accept": accept} if accept else {}
        reply = pump.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms, **named)
        if reply.get("outcome") == "done":  # told once more, of a boot that is over
            say(f"{volume_text(volume_nl)} were granted; what a reset has cut of it does not come any more.")
            return
        granted(reply)
        rate_nl_h = Fraction(reply["rate_num"], reply["rate_den"])
        say(f"Granted: {volume_text(volume_nl)} at {rate_text(rate_nl_h)} on top of the basal rate.")


@app.command("patient-bolus", rich_help_panel=ANY_PUMP)
def patient_bolus(ctx: typer.Context, port: PortOption = None) -> None:
    """Ask for the patient's bolus of the therapy, as by the patient's button."""
    with connected(ctx, port) as pump:
        reply = pump.ask("patient_bolus")
        granted(reply)
        say("Granted: the bolus of the therapy.")


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
