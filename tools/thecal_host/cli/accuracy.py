"""The command that judges what was weighed, recorded or simulated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from thecal_model.quantities import QuantityError

from thecal_host.cli.base import (
    EXPERIMENTS,
    JsonOption,
    app,
    err,
    option_ms,
    out,
    print_object,
    print_rows,
    say,
)
from thecal_host.files import FileError

if TYPE_CHECKING:
    from thecal_host.weighing.series import Series
    from thecal_host.weighing.water import Water

TemperatureOption = Annotated[
    float, typer.Option(metavar="CELSIUS", help="Of the water in the beaker, 0 to 40 C")
]
BuoyancyOption = Annotated[
    bool, typer.Option("--buoyancy/--no-buoyancy", help="Add what the air carries of the water, 0.1 %")
]
EvaporationOption = Annotated[
    str | None, typer.Option(metavar="MASS/TIME", help='Loss of the beaker that is known, as in "1 mg/h"')
]


@app.command(rich_help_panel=EXPERIMENTS)
def accuracy(
    file: Annotated[
        Path, typer.Argument(help="Weights (CSV), a record, or a scenario that is run on the plant")
    ],
    rate: Annotated[str | None, typer.Option(help='Rate at which weights were taken, as in "6 mL/h"')] = None,
    start: Annotated[
        str | None, typer.Option(help="When the pump was started, by the times of the file")
    ] = None,
    bolus: Annotated[
        str | None, typer.Option(help='Weights are those between boluses of this volume, as in "20 uL"')
    ] = None,
    sample: Annotated[str, typer.Option(help="Sample interval")] = "30 s",
    temperature: TemperatureOption = 20.0,
    buoyancy: BuoyancyOption = True,
    evaporation: EvaporationOption = None,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", "-o", help="Where the picture goes", show_default="beside FILE"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the flow by IEC 60601-2-24: start-up curve, trumpet curve, accuracy of boluses.

    FILE is lines of seconds and grams from any scale (`thecal weigh` writes such a file), a record of
    `thecal record`, or a scenario.
    """
    from thecal_host.picture import check_picture
    from thecal_host.weighing import accuracy as judged
    from thecal_host.weighing import chart
    from thecal_host.weighing.water import Water, loss_g_h

    if picture is not None and picture.resolve() == file.resolve():
        raise FileError(f"{picture} is the file itself: name another one for the picture")
    if picture is not None:
        check_picture(picture)
    sample_s = sample_s_of(sample)
    water = Water(temperature, buoyancy)
    said = {"start": start, "rate": rate, "bolus": bolus}
    series, weighed = _series(file, said, water, loss_g_h("--evaporation", evaporation))
    boluses = judged.judge_boluses(series) if series.boluses else None
    trumpet = None if boluses else judged.judge(series, sample_s)
    rows = [("source", series.source)]
    if weighed:
        rows += [("water", water.text()), ("evaporation", chart.loss_text(series))]
        rows.append(("a digit of the balance", chart.digit_text(series)))
    rows += chart.trumpet_rows(trumpet) if trumpet else []
    rows += chart.bolus_rows(boluses) if boluses else []
    beside = file.with_name(f"{file.stem}.png")
    picture = picture or (beside if beside != file else Path(f"{file}.png"))
    title = f"Accuracy of {series.source}"
    chart.draw_accuracy(title, trumpet, boluses, picture)
    if as_json:
        print_object({"type": "accuracy", "title": title, "picture": str(picture), **dict(rows)})
        return
    print_rows([*rows, ("picture", str(picture))], title)
    if weighed and series.loss_g_h is None:
        say(chart.COVER)
    say(f"{judged.NOT_AT_HAND}:")
    for source in judged.SOURCES:
        say(f"  {source}")


def sample_s_of(text: str) -> float:
    """The sample interval that `text` says, if it is one. QuantityError."""
    seconds = option_ms("--sample", text) / 1000
    if seconds < 1:
        raise QuantityError(f'--sample: expected 1 s at least, found "{text}"')
    return seconds


def _series(
    file: Path, said: dict[str, str | None], water: Water, loss_g_h: float | None
) -> tuple[Series, bool]:
    """The series of a file, by what kind it is, and whether it was weighed."""
    from dataclasses import replace

    from thecal_host.python.amounts import rate_nl_h, volume_nl
    from thecal_host.weighing import WeighingError, series

    given = [f"--{name}" for name, text in said.items() if text is not None]
    if _kind(file) != "weights" and given:
        raise WeighingError(f"{' and '.join(given)}: for weights only, {file} says that itself")
    if _kind(file) == "scenario":
        from thecal_host.experiment import series_of_plant
        from thecal_host.progress import progress_bar

        with progress_bar(f"{file.name} on the plant", err, out) as progress:
            return series_of_plant(file, progress), False
    if _kind(file) == "record":
        return series.of_record(file), False
    weights = series.read_weights(file)
    if said["start"] is not None:
        weights = replace(weights, start_s=option_ms("--start", said["start"]) / 1000)
    if said["rate"] is not None:
        weights = replace(weights, rate_nl_h=float(rate_nl_h("--rate", said["rate"])))
    if said["bolus"] is not None:
        weights = replace(weights, bolus_nl=float(volume_nl("--bolus", said["bolus"])))
    return series.of_weights(weights, water, loss_g_h), True


def _kind(file: Path) -> str:
    if file.suffix == ".toml":
        return "scenario"
    return "record" if file.suffix in (".ndjson", ".jsonl", ".json") else "weights"
