"""The command `thecal`: talk to a pump, emulated or real, run experiments, and draw what came of them.

Every command is a few lines: it opens what it needs, calls a module that does the work, prints. Errors that a
user can mend are caught in one place (`_Commands`) and printed as one sentence. What is heavy to import (the
emulator, matplotlib) is imported by the command that needs it.

Exit status: 0 done; 1 the pump, the port or an expectation said no; 2 a file or an argument makes no sense.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.table import Table
from thecal_bench import quantities

from thecal_host import ports
from thecal_host.link import LinkError
from thecal_host.ports import PortError
from thecal_host.pump import Pump, PumpError

DONE, SAID_NO, NOT_UNDERSTOOD = 0, 1, 2

out = Console()
err = Console(stderr=True)


def _status_of(why: Exception) -> int | None:
    """The exit status for an error that the user can mend; None for one of ours."""
    from thecal_bench.bench import BenchError
    from thecal_bench.runner import RunError
    from thecal_bench.scenario import ScenarioError

    from thecal_host.experiment import NoSuchBoard
    from thecal_host.log import LogError
    from thecal_host.record import RecordError

    if isinstance(why, PortError | PumpError | LinkError | BenchError | RunError):
        return SAID_NO
    if isinstance(why, ScenarioError | RecordError | LogError | NoSuchBoard | quantities.QuantityError):
        return NOT_UNDERSTOOD
    return None


class _Commands(typer.core.TyperGroup):
    """All commands, with the one place where errors become a sentence and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as why:
            status = _status_of(why)
            if status is None:
                raise
            _complain(str(why))
            raise typer.Exit(status) from None


def _complain(text: str) -> None:
    err.print(f"thecal: {text}", markup=False, highlight=False, soft_wrap=True)


def _say(text: str) -> None:
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

PortOption = Annotated[
    str | None,
    typer.Option("--port", "-p", envvar="THECAL_PORT", metavar="PORT",
                 help="Serial device, pty or socket://HOST:PORT of the pump [default: the only one]"),
]  # fmt: skip


@app.callback()
def _common(ctx: typer.Context, port: PortOption = None) -> None:
    ctx.obj = port


@contextmanager
def _connected(ctx: typer.Context, port: str | None) -> Iterator[Pump]:
    """The pump that the command is about, after its hello."""
    name = ports.choose_port(port or ctx.obj)
    with ports.open_port(name) as opened:
        pump = Pump(opened)
        with err.status(f"connecting to {name}") if err.is_terminal else nullcontext():
            pump.connect()
        yield pump


def _print_rows(rows: Sequence[tuple[str, ...]], title: str = "") -> None:
    table = Table(title=title or None, show_header=False, title_justify="left")
    table.add_column(style="dim")
    for _ in rows[0][1:]:
        table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _whole_nl(option: str, text: str) -> int:
    volume_nl = quantities.parse(text, quantities.VOLUME)
    if volume_nl.denominator != 1 or volume_nl < 1:
        raise quantities.QuantityError(f'{option}: expected whole nanolitres, 1 nL at least, found "{text}"')
    return int(volume_nl)


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
        _say("No ports: plug a board in, or start an emulated one with `thecal bench`.")
        return
    table = Table("port", "kind", "what")
    for port in found:
        table.add_row(port.name, port.kind, port.description, style="bold" if port.is_pump else "dim")
    out.print(table)


@app.command(rich_help_panel=ANY_PUMP)
def program(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML file with a therapy and a profile; a scenario will do")],
    port: PortOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking")] = False,
) -> None:
    """Program a therapy: propose it, show what the pump read back, confirm it."""
    from thecal_bench.scenario import load_therapy

    from thecal_host.pump import readback_rows

    therapy, profile = load_therapy(file)
    message = therapy.message(profile)
    if therapy.mode == "stopped":
        _complain(f"{file}: the therapy is `stopped`: there is nothing to program; use `thecal stop`")
        raise typer.Exit(NOT_UNDERSTOOD)
    with _connected(ctx, port) as pump:
        proposal = pump.propose(message)
        _print_rows(readback_rows(proposal), "The pump read back:")
        for name in [] if yes else proposal.soft:
            if not typer.confirm(f"Outside the soft limit {name}. Is that meant?"):
                _say("Not confirmed; the pump keeps the therapy it has.")
                raise typer.Exit(SAID_NO)
        if not yes and not typer.confirm("Is this the therapy you want?"):
            _say("Not confirmed; the pump keeps the therapy it has.")
            raise typer.Exit(SAID_NO)
        pump.confirm(proposal)
        _say(f"Therapy {proposal.digest} is in force; the pump is {pump.status()['state']}.")


@app.command(rich_help_panel=ANY_PUMP)
def library(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML file with a pharmacy's drug library")],
    port: PortOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking")] = False,
) -> None:
    """Replace the drug library: propose a pharmacy's file, check what the pump read back, confirm it."""
    from thecal_host import pharmacy

    proposed = pharmacy.load(file)
    table = Table()
    for column in ("limit", "value", "outside", "source"):
        table.add_column(column, overflow="fold")
    for row in pharmacy.limit_rows(proposed.wire):
        table.add_row(*row)
    with _connected(ctx, port) as pump:
        proposal = pump.propose_library(proposed)
        out.print(table)
        _say(f"The pump read back version {proposed.version}, CRC {proposal.readback['library_crc']}.")
        if not yes and not typer.confirm("Is this the library you want?"):
            _say("Not confirmed; the pump keeps the library it has.")
            raise typer.Exit(SAID_NO)
        pump.confirm(proposal)
        _say(f"Library version {proposed.version} is in force.")


@app.command(rich_help_panel=ANY_PUMP)
def refill(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='What the reservoir holds now, as in "20 mL"')],
    port: PortOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking")] = False,
) -> None:
    """Tell the pump that its reservoir was filled."""
    from thecal_host.text import volume_text

    volume_nl = _whole_nl("--volume", volume)
    with _connected(ctx, port) as pump:
        proposal = pump.propose_refill(volume_nl)
        if not yes and not typer.confirm(f"Does the reservoir hold {volume_text(volume_nl)} now?"):
            _say("Not confirmed; the pump goes on with what it had.")
            raise typer.Exit(SAID_NO)
        pump.confirm(proposal)
        _say(f"Refilled: the reservoir holds {volume_text(volume_nl)}.")


@app.command("begin-anew", rich_help_panel=ANY_PUMP)
def begin_anew(
    ctx: typer.Context,
    port: PortOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm without asking")] = False,
) -> None:
    """Let a pump use a flash that holds something else than its journal, and forget what it holds."""
    with _connected(ctx, port) as pump:
        proposal = pump.propose_begin_anew()
        found = {"foreign": "what is no journal", "lost": "a journal whose state is lost"}
        _say(f"The flash holds {found[proposal.readback['begin_anew']]}.")
        _say("Begun anew, the pump knows no therapy, no reservoir and no dose given before.")
        if not yes and not typer.confirm("Begin anew?"):
            _say("Not confirmed; the flash is left as it is.")
            raise typer.Exit(SAID_NO)
        pump.confirm(proposal)
        _say("The journal begins anew. Reset the pump: its self-test passes then.")


@app.command(rich_help_panel=ANY_PUMP)
def prime(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='Up to the dead volume of the line, as in "200 uL"')],
    port: PortOption = None,
) -> None:
    """Fill the line; the pump must be stopped."""
    volume_nl = _whole_nl("--volume", volume)
    with _connected(ctx, port) as pump:
        reply = pump.ask("prime", volume_nl=volume_nl)
        _say(f"The pump is {reply.get('state', 'PRIMING')}.")


@app.command("set-time", rich_help_panel=ANY_PUMP)
def set_time(
    ctx: typer.Context,
    time: Annotated[str, typer.Option("--to", help='As in "mon 06:30"; else the time here')] = "",
    port: PortOption = None,
) -> None:
    """Set the pump's clock, by which flex therapy goes."""
    from thecal_host.pump import week_time

    now = datetime.now()
    week_s = now.weekday() * 86_400 + now.hour * 3_600 + now.minute * 60 + now.second
    if time:
        week_s = quantities.parse_clock_ms(time) // 1000
    with _connected(ctx, port) as pump:
        pump.ask("set_time", week_s=week_s)
        _say(f"The pump's clock is at {week_time(week_s)}.")


@app.command(rich_help_panel=ANY_PUMP)
def attempts(ctx: typer.Context, port: PortOption = None) -> None:
    """Show how often the patient asked for a bolus, and was given one."""
    with _connected(ctx, port) as pump:
        said = pump.ask("attempts")
        for what in ("granted", "denied"):
            last_day, ever = said[f"{what}_last_day"], said[what]
            _say(f"{what.capitalize()}: {last_day} in the last 24 hours, {ever} in all.")


@app.command(rich_help_panel=ANY_PUMP)
def start(ctx: typer.Context, port: PortOption = None) -> None:
    """Start the therapy that is programmed."""
    with _connected(ctx, port) as pump:
        pump.ask("start")
        _say("Started: the pump is RUNNING.")


@app.command(rich_help_panel=ANY_PUMP)
def stop(ctx: typer.Context, port: PortOption = None) -> None:
    """Stop the pump; a bolus that runs ends for good."""
    with _connected(ctx, port) as pump:
        reply = pump.ask("stop")
        _say(f"The pump is {reply.get('state', 'STOPPED')}.")


@app.command(rich_help_panel=ANY_PUMP)
def acknowledge(ctx: typer.Context, port: PortOption = None) -> None:
    """Acknowledge the alarms; a pump that one has halted is STOPPED then."""
    with _connected(ctx, port) as pump:
        reply = pump.ask("acknowledge")
        _say(f"The pump is {reply.get('state', 'STOPPED')}.")


@app.command(rich_help_panel=ANY_PUMP)
def alarms(ctx: typer.Context, port: PortOption = None) -> None:
    """Show which alarms stand, the most urgent first, and which was the first to stop the pump."""
    from thecal_host.text import alarm_rows

    with _connected(ctx, port) as pump:
        said = pump.ask("alarms")
        if said["alarms"]:
            _print_rows(alarm_rows(said["alarms"]), "Alarms:")
        else:
            _say("No alarm stands.")
        if said["first_cause"]:
            _say(f"First cause: {said['first_cause']}.")


@app.command(rich_help_panel=ANY_PUMP)
def silence(ctx: typer.Context, port: PortOption = None) -> None:
    """Pause the sound of the alarms that stand, for two minutes; what is new and as urgent is heard."""
    with _connected(ctx, port) as pump:
        if pump.ask("audio_pause").get("paused") is not True:
            _complain("nothing was silenced: no alarm stands, or a pause is running already")
            raise typer.Exit(SAID_NO)
        _say("Silent for two minutes; nothing is acknowledged.")


@app.command(rich_help_panel=ANY_PUMP)
def bolus(
    ctx: typer.Context,
    volume: Annotated[str, typer.Option(help='Volume to be infused, as in "5 uL"')],
    duration: Annotated[str, typer.Option(help='Over how long, as in "5 min"')],
    port: PortOption = None,
) -> None:
    """Give a clinician bolus on top of the basal rate."""
    from thecal_host.text import rate_text, volume_text

    volume_nl = _whole_nl("--volume", volume)
    duration_ms = quantities.parse_time_ms(duration)
    if duration_ms < 1:
        raise quantities.QuantityError(f'--duration: expected 1 ms at least, found "{duration}"')
    with _connected(ctx, port) as pump:
        reply = pump.ask("bolus", volume_nl=volume_nl, duration_ms=duration_ms)
        if reply.get("granted") is not True:
            _complain(f"the bolus is not granted: {reply.get('reason') or 'no reason given'}")
            raise typer.Exit(SAID_NO)
        rate_nl_h = Fraction(reply["rate_num"], reply["rate_den"])
        _say(f"Granted: {volume_text(volume_nl)} at {rate_text(rate_nl_h)} on top of the basal rate.")


@app.command(rich_help_panel=ANY_PUMP)
def status(
    ctx: typer.Context,
    port: PortOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The frame as it came")] = False,
) -> None:
    """Show what the pump says of itself."""
    from thecal_host.pump import status_rows

    with _connected(ctx, port) as pump:
        frame = pump.status()
        if as_json:
            print(json.dumps(frame))
        else:
            _print_rows(status_rows(pump.hello, frame))


@app.command(rich_help_panel=ANY_PUMP)
def monitor(ctx: typer.Context, port: PortOption = None) -> None:
    """Watch the pump until Ctrl-C: state, rate, delivered against programmed, pressure, events."""
    from thecal_host.live import LiveView, from_status
    from thecal_host.text import clock_text, event_text

    with _connected(ctx, port) as pump, LiveView(pump.port.name, out) as view:
        tick_ms = pump.tick_ms
        with _until_interrupted():
            for frames in pump.listen():
                for frame in frames:
                    if frame["type"] == "status":
                        view.show(from_status(frame, pump.nl_per_step, tick_ms))
                    elif frame["type"] == "event":
                        view.event(f"{clock_text(frame['tick'] * tick_ms):>9}  {event_text(frame)}")
                view.note(_losses(pump))


@app.command(rich_help_panel=ANY_PUMP)
def record(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where to write it, one JSON object per line")] = Path(
        "record.ndjson"
    ),
    port: PortOption = None,
    for_time: Annotated[
        str | None, typer.Option("--for", help='How long, as in "10 min" [default: until Ctrl-C]')
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there")] = False,
) -> None:
    """Write everything the pump tells to a file, until Ctrl-C or for a time."""
    from thecal_host.record import COUNTED_PULSES, Recorder, header

    span_s = None if for_time is None else quantities.parse_time_ms(for_time) / 1000
    if file.exists() and not force:
        _complain(f"{file} is there already: name another file, or write over it with --force")
        raise typer.Exit(NOT_UNDERSTOOD)
    with _connected(ctx, port) as pump, file.open("w", encoding="utf-8") as target:
        begun_s = pump.clock_s()
        title = f"{pump.port.name}, {datetime.now():%Y-%m-%d %H:%M}"
        head = header(
            title=title,
            source=COUNTED_PULSES,
            nl_per_step=pump.nl_per_step,
            tick_ms=pump.tick_ms,
            hello=pump.hello,
        )
        recorder = Recorder(target, head)
        with err.status("") if err.is_terminal else nullcontext() as line, _until_interrupted():
            for frames in pump.listen(None if span_s is None else begun_s + span_s):
                for frame in frames:
                    recorder.write(frame)
                if line is not None:
                    line.update(f"{recorder.lines} lines, {pump.clock_s() - begun_s:.0f} s, Ctrl-C ends it")
        _say(f"{recorder.lines} lines in {file}. {_losses(pump)}".rstrip())


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

    if check is not None:
        _check_log(check)
        return
    stream = pump_log.FAULTS if faults else pump_log.EVENTS
    chosen = (codes or (), _since_first_boot(since), _since_first_boot(until), last)
    pump_log.choose([], *chosen)  # says what makes no sense before anything is asked
    if export is not None:
        if any(chosen):
            raise pump_log.LogError("--export writes the whole log: leave out what chooses from it")
        if export.exists() and not force:
            raise pump_log.LogError(f"{export} is there already: name another file, or use --force")
    with _connected(ctx, port) as pump:
        if last is not None and not any(chosen[:3]):
            found = pump_log.read_last(pump, stream, last)
        else:
            found = pump_log.read(pump, stream)
    if export is not None:
        export.write_text(pump_log.export(found), encoding="ascii")
        _say(f"{len(found.entries)} {stream} of {found.made} events ever made, in {export}.")
    else:
        _print_events(
            pump_log.choose([pump_log.event_of(entry) for entry in found.entries], *chosen), as_json, as_csv
        )
    for _, why in pump_log.breaks_of(found):
        _complain(f"the pump's own log has a gap: {why}")


def _since_first_boot(text: str | None) -> int | None:
    """A time as milliseconds; a bare number is seconds."""
    if text is None:
        return None
    return int(text) * 1000 if text.isdecimal() else quantities.parse_time_ms(text)


def _print_events(found: Sequence[dict[str, Any]], as_json: bool, as_csv: bool) -> None:
    import csv

    from thecal.signals import TICK_MS

    from thecal_host.text import clock_text, event_text

    if as_json:
        for event in found:
            print(json.dumps(event, separators=(",", ":")))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(("number", "seconds", "code", "a", "b", "executed_steps", "text"))
        for event in found:
            seconds = f"{event['tick'] * TICK_MS / 1000:.1f}"
            numbers = (event[key] for key in ("code", "a", "b", "executed_steps"))
            writer.writerow((event["seq"], seconds, *numbers, event_text(event)))
    elif found:
        table = Table("number", "since first boot", "event")
        for event in found:
            table.add_row(str(event["seq"]), clock_text(event["tick"] * TICK_MS), event_text(event))
        out.print(table)
    else:
        _say("Nothing of that is in the log.")


def _check_log(file: Path) -> None:
    from thecal_host import log as pump_log

    found, problems = pump_log.check(pump_log.load(file))
    for problem in problems:
        _complain(f"{file}: {problem}")
    if found is None or problems:
        raise typer.Exit(SAID_NO)
    _say(f"{file}: {len(found.entries)} {found.stream}, each goes on from the one before it.")


@app.command(rich_help_panel=EXPERIMENTS)
def simulate(
    file: Annotated[Path, typer.Argument(help="Scenario (TOML)")],
    on: Annotated[
        str, typer.Option(metavar="BOARD", help="host, micropython, chip, or the port of a real pump")
    ] = "host",
    as_json: Annotated[bool, typer.Option("--json", help="Every record as one JSON object per line")] = False,
    every: Annotated[str | None, typer.Option(help='Samples of the plant this often, as in "1 min"')] = None,
) -> None:
    """Run a scenario. Exit status 1 when an expectation fails, 2 for a file that is not understood."""
    from thecal_bench.bench import TICK_MS
    from thecal_bench.runner import make_plant, run_scenario
    from thecal_bench.scenario import load

    from thecal_host.experiment import BOARDS, line_of, open_bench, progress_bar, summary_rows
    from thecal_host.link import LinkClient
    from thecal_host.record import PLANT, Recorder, header

    scenario = load(file)
    every_ms = None if every is None else quantities.parse_time_ms(every)
    if every_ms is not None and every_ms < 1:
        raise quantities.QuantityError(f'--every: expected 1 ms at least, found "{every}"')
    plant = make_plant(scenario)
    with open_bench(on, plant) as bench, progress_bar(file.name, err, out) as progress:
        if as_json:
            title = f"{scenario.title} ({BOARDS.get(on, on)})"
            step_nl = plant.geometry.step_nl
            head = header(title=title, source=PLANT, nl_per_step=step_nl, tick_ms=TICK_MS, scenario=scenario)
            # For `thecal report`, which then needs no other file.
            Recorder(sys.stdout, head)
        result = run_scenario(scenario, bench, LinkClient(bench.send), every_ms=every_ms, progress=progress)
        for record in result:
            line = json.dumps(record, separators=(",", ":")) if as_json else line_of(record)
            if line is not None:
                print(line)
    if not as_json and result.summary is not None:
        _print_rows(summary_rows(result.summary), scenario.title)
    if result.expect_failed:
        count = len(scenario.expects)
        err.print(f"{result.expect_failed} of {count} expectations failed", style="red", highlight=False)
        raise typer.Exit(SAID_NO)


@app.command("run", rich_help_panel=EXPERIMENTS)
def run_demo(
    file: Annotated[
        Path | None, typer.Argument(help="Scenario (TOML) [default: a basal rate and a bolus]")
    ] = None,
    on: Annotated[str, typer.Option(metavar="BOARD", help="chip, host or micropython")] = "chip",
    folder: Annotated[Path, typer.Option("--into", help="Where the record and the picture go")] = Path(
        "build/run"
    ),
) -> None:
    """Run a therapy on the emulated board, live; then a summary, a record and a picture."""
    from thecal_bench.scenario import load

    from thecal_host.experiment import BOARDS, NoSuchBoard, line_of, microsteps_text
    from thecal_host.run import DEMO, RecordedRun

    if on not in BOARDS:
        raise NoSuchBoard(
            f"--on {on}: expected one of {', '.join(BOARDS)}; `thecal record` records a real pump"
        )
    scenario = load(file or DEMO)
    record_path = folder / "record.ndjson"
    run = RecordedRun(scenario, on, record_path, out)
    result = run.go()
    for record in run.expects:
        _say(line_of(record) or "")
    assert result.summary is not None
    counted = ("microsteps", f"{microsteps_text(result.summary)}, {run.plant.steps_seen} by the plant")
    _report(record_path, folder / "delivered.png", None, [counted])
    if result.expect_failed:
        raise typer.Exit(SAID_NO)


@app.command(rich_help_panel=EXPERIMENTS)
def report(
    file: Annotated[
        Path, typer.Argument(help="A record of `thecal run`, `record` or `simulate --json --every`")
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--picture", "-o", help="Where the picture goes [default: beside the record]"),
    ] = None,
    therapy: Annotated[
        Path | None, typer.Option(help="The file that was programmed, for a record that does not know")
    ] = None,
) -> None:
    """Draw delivered against programmed volume from a record, with boluses and the window of the limit."""
    _report(file, picture or file.with_suffix(".png"), therapy)


def _report(
    record_path: Path, picture: Path, therapy_path: Path | None, more: Sequence[tuple[str, str]] = ()
) -> None:
    from thecal_bench.scenario import load_therapy

    from thecal_host.record import run_of

    with err.status("drawing") if err.is_terminal else nullcontext():
        from thecal_host.report import draw, summary_rows

        run = run_of(record_path, load_therapy(therapy_path) if therapy_path else None)
        draw(run, picture)
    _print_rows(
        [*summary_rows(run), *more, ("record", str(record_path)), ("picture", str(picture))], run.title
    )


@app.command("bench", rich_help_panel=EXPERIMENTS)
def serve_bench(
    tcp: Annotated[
        int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Serve TCP too; 0: any")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Simulated seconds per second; 0: as fast as it goes")
    ] = 1.0,
    image: Annotated[Path | None, typer.Option(help="UF2 to boot [default: what `make image` built]")] = None,
    maintenance: Annotated[
        bool, typer.Option("--maintenance", help="Fit the jumper: a prompt, no pump")
    ] = False,
) -> None:
    """Boot the image on the emulated board and serve it as a serial port, until Ctrl-C."""
    from thecal_host import emulated

    emulated.serve_bench(image, tcp, speed or None, maintenance, out)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Ctrl-C is how these commands are meant to end."""
    with suppress(KeyboardInterrupt):
        yield


def _losses(pump: Pump) -> str:
    """What was lost on the way, if anything."""
    client = pump.client
    counts = ((client.gaps, "frames lost"), (client.crc_errors, "CRC errors"), (client.restarts, "restarts"))
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def main() -> None:
    """Entry point of the command."""
    app()


if __name__ == "__main__":
    main()
