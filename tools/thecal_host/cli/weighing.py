"""Commands that weigh what the pump delivers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from thecal_model import quantities

from thecal_host.cli.base import EXPERIMENTS, app, err, print_rows, say
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
    file: Annotated[Path, typer.Argument(help="Weights (CSV), a record, or a scenario to run on the plant")],
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
) -> None:
    """Judge the flow by IEC 60601-2-24: start-up curve, trumpet curve, accuracy of boluses."""
    from thecal_host.picture import check_picture
    from thecal_host.weighing import accuracy as judged
    from thecal_host.weighing import chart
    from thecal_host.weighing.water import Water

    picture = picture or file.with_suffix(".png")
    check_picture(picture)
    if picture.resolve() == file.resolve():
        raise FileError(f"{picture} is the file itself: name another one for the picture")
    sample_s = quantities.parse_time_ms(sample) / 1000
    if sample_s < 1:
        raise quantities.QuantityError(f'--sample: expected 1 s at least, found "{sample}"')
    water = Water(temperature, buoyancy)
    said = {"start": start, "rate": rate, "bolus": bolus}
    series, weighed = _series(file, said, water, loss_of(evaporation))
    boluses = judged.judge_boluses(series) if series.boluses else None
    trumpet = None if boluses else judged.judge(series, sample_s)
    rows = [("source", series.source)]
    if weighed:
        rows += [("water", water.text()), ("evaporation", chart.loss_text(series))]
    rows += chart.trumpet_rows(trumpet) if trumpet else []
    rows += chart.bolus_rows(boluses) if boluses else []
    title = f"Accuracy of {series.source}"
    chart.draw_accuracy(title, trumpet, boluses, picture)
    print_rows([*rows, ("picture", str(picture))], title)
    if weighed and series.loss_g_h is None:
        say(chart.COVER)
    say(f"{judged.NOT_AT_HAND}:")
    for source in judged.SOURCES:
        say(f"  {source}")


def loss_of(text: str | None) -> float | None:
    """A loss as g/h. QuantityError."""
    if text is None:
        return None
    pg_day = quantities.parse(text, quantities.MASS_RATE)
    return float(pg_day) / quantities.HOURS_PER_DAY / 1e12


def _series(
    file: Path, said: dict[str, str | None], water: Water, loss_g_h: float | None
) -> tuple[Series, bool]:
    """The series of a file, by what kind it is, and whether it was weighed."""
    from dataclasses import replace

    from thecal_host.weighing import WeighingError, series

    given = [f"--{name}" for name, text in said.items() if text is not None]
    if _kind(file) != "weights" and given:
        raise WeighingError(f"{' and '.join(given)} are for weights: {file} says that itself")
    if _kind(file) == "scenario":
        with err.status(f"running {file.name} on the plant"):
            from thecal_host.experiment import series_of_plant

            return series_of_plant(file), False
    if _kind(file) == "record":
        return series.of_record(file), False
    weights = series.read_weights(file)
    if said["start"] is not None:
        weights = replace(weights, start_s=quantities.parse_time_ms(said["start"]) / 1000)
    if said["rate"] is not None:
        weights = replace(weights, rate_nl_h=float(quantities.parse(said["rate"], quantities.RATE)))
    if said["bolus"] is not None:
        weights = replace(weights, bolus_nl=float(quantities.parse(said["bolus"], quantities.VOLUME)))
    return series.of_weights(weights, water, loss_g_h), True


def _kind(file: Path) -> str:
    if file.suffix == ".toml":
        return "scenario"
    return "record" if file.suffix in (".ndjson", ".jsonl", ".json") else "weights"
