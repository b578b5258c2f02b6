"""Commands that weigh what the pump delivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from thecal.dose import prescription

from thecal_host.cli.accuracy import BuoyancyOption, EvaporationOption, TemperatureOption, sample_s_of
from thecal_host.cli.base import (
    ANY_PUMP,
    SAID_NO,
    PortOption,
    YesOption,
    app,
    complain,
    connected,
    err,
    option_ms,
    out,
    print_rows,
    say,
    whole_nl,
    whole_nl_h,
)
from thecal_host.files import check_new

# A wait that is over before anybody wonders shows no progress.
SOON_S = 2.0

if TYPE_CHECKING:
    from thecal.rig import Rig

    from thecal_host.pump import Pump
    from thecal_host.weighing.balance import Balance, Weight
    from thecal_host.weighing.calibration import Calibration, Scale
    from thecal_host.weighing.evening import Course
    from thecal_host.weighing.notebook import Notebook
    from thecal_host.weighing.trace import Trace


BalanceOption = Annotated[
    str | None,
    typer.Option("--balance", metavar="PORT", help="Read weights from the balance there",
                 show_default="type them in"),
]  # fmt: skip
BaudOption = Annotated[int, typer.Option(min=300, max=115_200, help="Baud rate of the balance")]
StoppedForOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="First weigh for so long what evaporates, pump stopped")
]


@app.command(rich_help_panel=ANY_PUMP)
def calibrate(
    ctx: typer.Context,
    revolutions: Annotated[int, typer.Option(min=1, max=1_000, help="Turns of the rotor each time")] = 10,
    weighings: Annotated[int, typer.Option(min=3, max=31, help="How often")] = 3,
    rate: Annotated[
        str | None,
        typer.Option(
            help='At most "6 mL/h"', show_default='that of the therapy in force; "500 uL/h" with --pulsation'
        ),
    ] = None,
    pulsation: Annotated[
        bool, typer.Option("--pulsation", help="Find the table that evens the flow over a roller pitch out")
    ] = False,
    pitches: Annotated[int, typer.Option(min=10, max=1_000, help="Roller pitches, with --pulsation")] = 12,
    balance_port: BalanceOption = None,
    baud: BaudOption = 9_600,
    temperature: TemperatureOption = 20.0,
    buoyancy: BuoyancyOption = True,
    evaporation: EvaporationOption = None,
    stopped_for: StoppedForOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Keeps what was weighed; an interrupted calibration goes on from there",
            show_default="calibration.ndjson, pulsation.ndjson",
        ),
    ] = None,
    port: PortOption = None,
    yes: YesOption = False,
) -> None:
    """Weigh what a revolution of the head delivers, at the rate that the pump is used at.

    Nobody may be connected. Put a beaker of water on a balance, the end of the line into the water and off
    the glass, a film of oil on it. The pump turns, you weigh (or the balance tells), three times at least.
    With --pulsation it weighs how that flow goes up and down with the rollers, and finds the head's table.
    """
    from thecal_host.weighing import WeighingError, calibration
    from thecal_host.weighing.notebook import Notebook, Plan
    from thecal_host.weighing.water import loss_g_h, water_g_ml

    water_g_ml(temperature)
    water = temperature, buoyancy
    rate_nl_h = None if rate is None else whole_nl_h("--rate", rate, prescription.MOST_RATE_NL_H)
    if pulsation:
        if evaporation or stopped_for:
            raise WeighingError("--pulsation tells by itself what evaporates: leave that option out")
        with connected(ctx, port) as pump, _balance(balance_port, baud, pump) as balance:
            _find_table(pump, balance, rate_nl_h, pitches, water, file or Path("pulsation.ndjson"), yes)
        return
    stopped_s = None if stopped_for is None else option_ms("--stopped-for", stopped_for) / 1000
    loss = loss_g_h("--evaporation", evaporation), stopped_s
    with connected(ctx, port) as pump, _scale(balance_port, baud, pump) as scale:
        rig = _rig_of(pump)
        rate_of_use_nl_h = calibration.rate_of_use(pump, rate_nl_h)
        plan = Plan(rig.nl_per_rev, rig.steps_per_rev, revolutions, rate_of_use_nl_h, *water)
        notebook = Notebook(file or Path("calibration.ndjson"), plan)
        say(calibration.what_comes(plan, weighings))
        _weigh_all(pump, scale, notebook, weighings, loss, yes)
        _conclude(pump, rig, notebook, yes)


def _weigh_all(
    pump: Pump,
    scale: Scale,
    notebook: Notebook,
    weighings: int,
    loss: tuple[float | None, float | None],
    yes: bool,
) -> None:
    """Weigh what is still to be weighed; `loss` is what evaporates, or for how long to weigh it."""
    from thecal_host.weighing.calibration import Calibration
    from thecal_host.weighing.motion import Mover

    mover = Mover(pump, notebook.plan.rate_nl_h, lambda said: _nobody_is_connected(said, yes))
    course = Calibration(notebook, mover, scale, _waiter(pump), say)
    with _saying_how_far(pump, notebook):
        if len(notebook.weighings) < weighings:
            _prepare(course, notebook, yes)
            course.settle_loss(*loss)
            course.run(weighings)


@contextmanager
def _saying_how_far(pump: Pump, kept: Notebook | Trace) -> Iterator[None]:
    """A weighing that is interrupted, or cannot go on, says what is kept of it."""
    from thecal_host.connection import PortError
    from thecal_host.pump import PumpError
    from thecal_host.weighing.balance import BalanceError

    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        complain(f"interrupted; the pump is {pump.status()['state']}; {kept.standing()}")
        raise typer.Exit(SAID_NO) from None
    except (PumpError, PortError, BalanceError):
        complain(kept.standing())
        raise


def _rig_of(pump: Pump) -> Rig:
    """The rig in force. PumpError where there is none."""
    from thecal_host import rigging
    from thecal_host.pump import PumpError

    kept = rigging.ask(pump)
    if kept is None:
        raise PumpError("the pump has no rig, and moves nothing: see `thecal rig program`")
    return kept.rig


def _conclude(pump: Pump, rig: Rig, notebook: Notebook, yes: bool) -> None:
    """Show what the calibration says, and have the pump take it for its head."""
    from thecal_host.cli.rig import change_rig
    from thecal_host.weighing import calibration
    from thecal_host.weighing.chart import COVER

    result = calibration.result_of(notebook)
    print_rows(calibration.rows_of(result), "The calibration says:")
    if result.loss_g_h is None:
        say(COVER)
    change_rig(pump, result.rig(rig), yes, "Is this the head from now on?")
    notebook.close(result.record())
    say("For your rig file:")
    for line in calibration.rig_file_lines(result):
        say(f"  {line}")


def _find_table(
    pump: Pump,
    balance: Balance,
    rate_nl_h: int | None,
    pitches: int,
    water: tuple[float, bool],
    file: Path,
    yes: bool,
) -> None:
    """Weigh how the flow pulsates, and have the pump take the table of it into its rig."""
    from thecal_host.cli.rig import change_rig
    from thecal_host.progress import progress_bar
    from thecal_host.weighing import calibration, evening
    from thecal_host.weighing.motion import Mover
    from thecal_host.weighing.trace import Trace

    rig = _rig_of(pump)
    setting = evening.setting_of(rig, calibration.rate_of_use(pump, rate_nl_h or evening.SLOW_NL_H), *water)
    trace = Trace(file, setting, pump.tick_ms / 1000)
    say(evening.what_comes(setting, pitches))
    mover = Mover(pump, setting.fast_nl_h, lambda said: _nobody_is_connected(said, yes))
    with progress_bar("the pump turns", err, out) as progress:
        course = evening.Course(trace, mover, balance, _waiter(pump), say, progress)
        with _saying_how_far(pump, trace):
            if course.wants(pitches):
                _fill(course, yes, "A revolution and a pitch that are not weighed take up the play.")
                course.run(pitches)
    result = evening.result_of(trace)
    print_rows(evening.rows_of(result, trace), "The weighing says:")
    change_rig(pump, result.rig(rig), yes, "Is this the table of the head from now on?")
    trace.close(result.record())
    say("For your rig file:")
    for line in evening.rig_file_lines(result):
        say(f"  {line}")


def _nobody_is_connected(said: dict[str, Any], yes: bool) -> None:
    """Ask for it; no ends the command."""
    from thecal_model.text import volume_text

    question = f"Is nobody connected to this pump? It may deliver {volume_text(said['jog_nl'])} then."
    if not yes and not typer.confirm(question):
        say("Not confirmed; the pump stands.")
        raise typer.Exit(SAID_NO)


def _prepare(course: Calibration, notebook: Notebook, yes: bool) -> None:
    """Fill the line, or go on with what is kept."""
    if notebook.resumed:
        say(f"{notebook.path} holds {len(notebook.weighings)} weighings; it goes on from there.")
        untouched = "A weighing was begun: has the beaker stood untouched on the balance since?"
        if notebook.begun is not None and not yes and not typer.confirm(untouched):
            notebook.drop_begun()
    if notebook.begun is None:
        _fill(course, yes, "One revolution that is not weighed takes up the play.")


def _fill(course: Calibration | Course, yes: bool, what: str) -> None:
    """See that the line is full, and take up the play, which `what` says."""
    if not yes and not typer.confirm("Is the line full, without air, and its end in the beaker?"):
        say("Fill it first, with `thecal new-line` and `thecal prime`; nothing was turned.")
        raise typer.Exit(SAID_NO)
    say(what)
    course.prime()


class _TypedScale:
    """A person types what a balance shows."""

    often_s = None

    def read(self, what: str) -> Weight:
        from thecal_host.weighing import WeighingError
        from thecal_host.weighing.balance import grams_of

        while True:
            try:
                return grams_of(typer.prompt(f"Grams that the balance shows, {what}"))
            except WeighingError as why:
                complain(str(why))


@contextmanager
def _scale(balance_port: str | None, baud: int, pump: Pump) -> Iterator[Scale]:
    """The balance at a port, or a person's hands."""
    from thecal_host.weighing.calibration import BalanceScale

    if balance_port is None:
        yield _TypedScale()
        return
    with _balance(balance_port, baud, pump) as opened:
        yield BalanceScale(opened, _waiter(pump), pump.clock_s)


@contextmanager
def _balance(balance_port: str | None, baud: int, pump: Pump) -> Iterator[Balance]:
    """The balance at a port. WeighingError where none is named: nobody types four weights a second."""
    from thecal_host.weighing import WeighingError
    from thecal_host.weighing import balance as balances

    if balance_port is None:
        raise WeighingError("--pulsation reads the balance all the while: name its port with --balance")
    with closing(balances.open_balance(balance_port, baud, pump.clock_s)) as opened:
        yield opened


def _waiter(pump: Pump) -> Callable[[float], None]:
    """A wait that listens to the pump meanwhile."""

    def wait(seconds: float) -> None:
        from thecal_host.progress import progress_bar

        begun_s = pump.clock_s()
        with progress_bar("waiting", err, out) if seconds > SOON_S else nullcontext() as progress:
            for _ in pump.listen(begun_s + seconds):
                if progress is not None:
                    progress(min(pump.clock_s() - begun_s, seconds), seconds)

    return wait


@app.command(rich_help_panel=ANY_PUMP)
def weigh(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where the weights go (CSV)")],
    balance_port: Annotated[
        str, typer.Option("--balance", metavar="PORT", help="Serial port of the balance")
    ],
    baud: BaudOption = 9_600,
    stopped_for: Annotated[
        str, typer.Option(help="First the pump stands, to see what evaporates")
    ] = "10 min",
    run_for: Annotated[str, typer.Option("--for", help="How long it runs then")] = "2 h",
    sample: Annotated[str, typer.Option(help="Sample interval")] = "30 s",
    bolus: Annotated[str | None, typer.Option(help='25 boluses instead, as in "20 uL"')] = None,
    over: Annotated[str, typer.Option(help="How long a bolus takes")] = "20 s",
    every: Annotated[str, typer.Option(help="From one bolus to the next")] = "1 min",
    port: PortOption = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there")] = False,
) -> None:
    """Run the therapy in force over a balance and write what it weighs, for `thecal accuracy`."""
    from thecal_model.text import rate_text

    from thecal_host.weighing.balance import open_balance
    from thecal_host.weighing.live import BolusTest, WeighedRun

    check_new(file, force)
    stopped_s = option_ms("--stopped-for", stopped_for) / 1000
    run_s, sample_s = option_ms("--for", run_for) / 1000, sample_s_of(sample)
    over_ms, every_s = option_ms("--over", over), option_ms("--every", every) / 1000
    test = None
    if bolus is not None:
        volume_nl = whole_nl("--bolus", bolus, prescription.MOST_BOLUS_NL)
        test = BolusTest(volume_nl, over_ms, every_s)
    with connected(ctx, port) as pump, closing(open_balance(balance_port, baud, pump.clock_s)) as opened:
        run = WeighedRun(pump, opened, _waiter(pump), say)
        say(
            f"At {rate_text(run.rate_nl_h)}. Ctrl-C stops the pump; {file} holds what was weighed until then."
        )
        try:
            if test is not None:
                run.boluses(file, test)
            else:
                run.flow(file, stopped_s, run_s, sample_s)
        except KeyboardInterrupt:
            complain(f"interrupted; the pump is {pump.status()['state']}")
            raise typer.Exit(SAID_NO) from None
    say(f"The pump is STOPPED. Now: thecal accuracy {file}")
