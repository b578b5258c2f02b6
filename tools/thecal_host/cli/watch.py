"""Commands that ask and look: where pumps are, what one says of itself, what it does, what it has logged."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from thecal_host import ports
from thecal_host.cli.base import (
    ANY_PUMP,
    SAID_NO,
    JsonOption,
    PortOption,
    app,
    complain,
    connected,
    err,
    option_ms,
    out,
    print_object,
    print_rows,
    say,
    until_interrupted,
)


@app.command("ports")
def list_ports(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
) -> None:
    """List where a pump may be: boards, emulated benches, other USB serial ports."""
    found = ports.find_ports()
    if as_json:
        for port in found:
            print(json.dumps({"type": "port", **vars(port)}))
        return
    if not found:
        say("No ports: plug a board in, or start an emulated one with `thecal bench`.")
        return
    table = Table("port", "kind", "what")
    for port in found:
        table.add_row(port.name, port.kind, port.description, style="bold" if port.is_pump else "dim")
    out.print(table)


@app.command(rich_help_panel=ANY_PUMP)
def status(
    ctx: typer.Context,
    port: PortOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The frame as it came")] = False,
) -> None:
    """Show what the pump says of itself."""
    from thecal_host import rigging
    from thecal_host.vitals import status_rows

    with connected(ctx, port) as pump:
        frame = pump.status()
        if as_json:
            print(json.dumps(frame))
        else:
            print_rows(status_rows(pump.hello, frame, pump.empty_nl(), rigging.in_force(pump)))


@app.command(rich_help_panel=ANY_PUMP)
def alarms(ctx: typer.Context, port: PortOption = None, as_json: JsonOption = False) -> None:
    """Show which alarms stand, the most urgent first, and which was the first to stop the pump."""
    from thecal_model.text import alarm_rows, failed_text

    with connected(ctx, port) as pump:
        said = pump.ask("alarms")
        if as_json:
            print_object(said)
            return
        if said["alarms"]:
            print_rows(alarm_rows(said["alarms"]), "Alarms:")
        else:
            say("No alarm stands.")
        if said["first_cause"]:
            say(f"First cause: {said['first_cause']}.")
        if said["failed"]:
            say(f"Failed: {failed_text(said['failed'])}.")
        if said["state"] == "HALTED":
            say("The pump is HALTED: `thecal acknowledge` comes next.")


@app.command(rich_help_panel=ANY_PUMP)
def attempts(ctx: typer.Context, port: PortOption = None, as_json: JsonOption = False) -> None:
    """Show how often the patient asked for a bolus, and was given one."""
    with connected(ctx, port) as pump:
        said = pump.ask("attempts")
        if as_json:
            print_object(said)
            return
        for what in ("granted", "denied"):
            last_day, ever = said[f"{what}_last_day"], said[what]
            say(f"{what.capitalize()}: {last_day} in the last 24 hours, {ever} in all.")


@app.command(rich_help_panel=ANY_PUMP)
def monitor(ctx: typer.Context, port: PortOption = None, as_json: JsonOption = False) -> None:
    """Watch the pump until q or Ctrl-C: state, rate, delivered against programmed, pressure, events.

    On a terminal s stops the pump, a acknowledges its alarms, q ends the watching; the pump goes on.
    """
    from thecal_host.watching import watch

    with connected(ctx, port) as pump, until_interrupted():
        if as_json:
            for frames in pump.listen():
                for frame in frames:
                    print_object(frame)
                sys.stdout.flush()
        watch(pump, out)


@app.command(rich_help_panel=ANY_PUMP)
def therapy(
    ctx: typer.Context,
    number: Annotated[
        int | None,
        typer.Argument(min=1, help="Which one, counted from the first ever", show_default="the one in force"),
    ] = None,
    port: PortOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The reply as it came")] = False,
) -> None:
    """Show the therapy in force, or an older one, as the pump keeps it."""
    from thecal.record.therapies import KEPT
    from thecal_model.rig import reference
    from thecal_model.text import clock_text

    from thecal_host import rigging
    from thecal_host.pump import PumpError
    from thecal_host.readbacks import kept_rows

    with connected(ctx, port) as pump:
        kept = pump.therapy(number)
        if kept is None:
            if number is None:
                raise PumpError("no therapy was ever confirmed; `thecal program` gives the pump one")
            raise PumpError(
                f"therapy {number} is not kept: the last {KEPT} are, and `thecal therapy` numbers them"
            )
        if as_json:
            print(json.dumps(kept))
            return
        since = clock_text(kept["tick_s"] * 1000)
        # Without a rig nothing is made of it: any will do to read it by.
        rig = rigging.in_force(pump) or reference()
        print_rows(kept_rows(kept, rig), f"Therapy {kept['number']}, {since} after the first boot:")


@app.command(rich_help_panel=ANY_PUMP)
def record(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it, one JSON object per line")] = Path(
        "record.ndjson"
    ),
    port: PortOption = None,
    for_time: Annotated[
        str | None,
        typer.Option("--for", help='How long, as in "10 min"', show_default="until Ctrl-C"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there")] = False,
) -> None:
    """Write everything the pump tells to a file and the archive, until Ctrl-C or for a time."""
    from thecal_host import rigging
    from thecal_host.archive import keeping
    from thecal_host.files import check_new, writing
    from thecal_host.listening import Away, Recording, listen
    from thecal_host.record import COUNTED_PULSES, header
    from thecal_host.recording import Recorder, host_time
    from thecal_host.watching import losses_text

    span_s = None if for_time is None else option_ms("--for", for_time) / 1000
    check_new(file, force)
    with connected(ctx, port) as pump, writing(file) as target, keeping(pump.port.name) as kept:
        begun_s = pump.clock_s()
        title = f"{pump.port.name}, {datetime.now():%Y-%m-%d %H:%M}"
        head = header(
            title=title,
            source=COUNTED_PULSES,
            nl_per_step=pump.nl_per_step,
            tick_ms=pump.tick_ms,
            rig=rigging.in_force(pump),
            kept=pump.therapy(),
            hello=pump.hello,
            host_time=host_time(),
        )
        recorder = Recorder(target, head, kept)
        recording = Recording(pump, recorder)
        with err.status("") if err.is_terminal else nullcontext() as line, until_interrupted():
            for heard in listen(pump, None if span_s is None else begun_s + span_s):
                recording.take(heard)
                kept.turn()
                if line is not None:
                    away = "; the line is lost, trying again" if isinstance(heard, Away) else ""
                    since_s = pump.clock_s() - begun_s
                    left = "" if span_s is None else f", {max(span_s - since_s, 0):.0f} s left"
                    line.update(f"{recorder.lines} lines, {since_s:.0f} s{left}{away}, Ctrl-C ends it")
        recording.end()
        say(f"{recorder.lines} lines in {file} and run {kept.number}. {losses_text(pump)}".rstrip())


@app.command(rich_help_panel=ANY_PUMP)
def log(
    ctx: typer.Context,
    port: PortOption = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="The faults, which are kept apart, and longer")
    ] = False,
    codes: Annotated[
        list[str] | None, typer.Option("--code", metavar="CODE", help="Only these events; may be repeated")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help='From this time on since the first boot: seconds, or as in "2 h"')
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time since the first boot")] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the last so many of them")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Comma-separated, with a heading")] = False,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all of it to a file, with its chain of CRCs")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there")] = False,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Check such a file, and ask no pump")
    ] = None,
) -> None:
    """Show what the pump has logged, or export it so that an edit or a gap shows."""
    from thecal_host import log as pump_log
    from thecal_host.files import check_new, writing
    from thecal_host.progress import progress_bar

    if check is not None:
        _check_log(check)
        return
    stream = pump_log.FAULTS if faults else pump_log.EVENTS
    times_ms = pump_log.since_first_boot_ms("--since", since), pump_log.since_first_boot_ms("--until", until)
    chosen = (codes or (), *times_ms, last)
    pump_log.choose([], *chosen)  # says what makes no sense before anything is asked
    if export is not None:
        if any(chosen):
            raise pump_log.LogError("--export writes the whole log: leave out what chooses from it")
        check_new(export, force)
    with connected(ctx, port) as pump:
        now, now_tick = datetime.now().astimezone(), pump.hello["tick"]
        with progress_bar(f"log, {stream}", err, out) as progress:
            if last is not None and not any(chosen[:3]):
                found = pump_log.read_last(pump, stream, last, progress)
            else:
                found = pump_log.read(pump, stream, progress=progress)
    if export is not None:
        with writing(export, encoding="ascii") as file:
            file.write(pump_log.export(found))
        say(f"{len(found.entries)} {stream} of {found.made} events ever made, in {export}.")
    else:
        told = [pump_log.event_of(entry) for entry in found.entries]
        pump_log.add_host_times(told, now, now_tick)
        _print_events(pump_log.choose(told, *chosen), as_json, as_csv)
    for _, why in pump_log.breaks_of(found):
        complain(f"the pump's own log has a gap: {why}")


def _print_events(found: Sequence[dict[str, Any]], as_json: bool, as_csv: bool) -> None:
    import csv

    from thecal.clock import TICK_MS
    from thecal_model.text import clock_text, event_text

    if as_json:
        for event in found:
            print(json.dumps(event, separators=(",", ":")))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("number", "seconds", "code", "a", "b", "executed_steps", "text", "host_time"))
        for event in found:
            seconds = f"{event['tick'] * TICK_MS / 1000:.1f}"
            numbers = (event[key] for key in ("code", "a", "b", "executed_steps"))
            writer.writerow((event["seq"], seconds, *numbers, event_text(event), event["host_time"]))
    elif found:
        table = Table("number", "pump's time", "host's time", "event")
        for event in found:
            since = clock_text(event["tick"] * TICK_MS)
            # Without the year, so that a line fits; "<" is "at the latest".
            here = ("< " if event["at_the_latest"] else "") + event["host_time"][5:19].replace("T", " ")
            table.add_row(str(event["seq"]), since, here, event_text(event))
        out.print(table)
    else:
        say("Nothing of that is in the log.")


def _check_log(file: Path) -> None:
    from thecal_host import log as pump_log

    found, problems = pump_log.check(pump_log.load(file))
    for problem in problems:
        complain(f"{file}: {problem}")
    if found is None or problems:
        raise typer.Exit(SAID_NO)
    say(f"{file}: {len(found.entries)} {found.stream}, each goes on from the one before it.")
