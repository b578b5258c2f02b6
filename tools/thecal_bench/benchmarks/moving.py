"""What a moving world does to the flow and to the detector: `python -m thecal_bench.benchmarks.moving`.

- The pump is lowered by 50 cm at 4 uL/h, beside what is published of a peristaltic implant: how long the
  catheter gives nothing. It is a line's compliance times a pressure over a rate, whatever pump fills it.
- Open lines while posture, breathing and the pulse move the pressure (`moving_lives`): each alarm is one too
  many.
- Lines that are blocked in such a world: the share that alarms within a microlitre past onset, and the
  distribution. Beside it the floor, Lorden's bound for a detector that is told everything but the moment
  (`benchmarks.occlusion`), and what flows until a blocked line shows 1 kPa.
- One against the other: the same of detectors that ask for more or less pressure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from thecal_model.link import LinkClient
from thecal_model.text import rate_text

from thecal_bench import runner, scenario
from thecal_bench.benchmarks.occlusion import INNOCENT_PA, floor
from thecal_bench.inprocess import HostBench
from thecal_bench.moving_lives import RATES_UL_H, Found, MovingCampaign, blocked
from thecal_bench.vectorised_occlusion import COMPLIANCE_NL_PA

PUBLISHED_MIN = 38
"""Of a peristaltic implant at 4 uL/h, lowered by 50 cm."""

LOWERED_AT_MIN = 5
LOWERED = f"""
title = "Lowered"
duration = "60 min"
[therapy]
mode = "continuous"
rate = "4 uL/h"
[[event]]
at = "0 s"
do = "start"
[[event]]
at = "{LOWERED_AT_MIN} min"
do = "height"
to = "50 cm"
"""

PUMPS, LANES, HOURS = 400, 8_192, 1.0
QUICK_PUMPS, QUICK_LANES, QUICK_HOURS = 20, 512, 0.1
CURVE_PA = (900, 1_000, 1_100, 1_200, 1_300)
CURVE_RATES = (5, 50, 100)
PERCENTS = (5, 50, 95, 99, 100)


class _Watched(HostBench):
    """Knows at each tick what had left the catheter."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.outflow_nl: list[tuple[int, float]] = []

    def _turn(self, tick: int, at_cycles: int) -> None:
        super()._turn(tick, at_cycles)
        self.outflow_nl.append((tick, self.plant.outflow_nl(self.now_ns)))  # type: ignore[union-attr]


def minutes_of_nothing() -> float:
    """From the moment it is lowered until more has left the catheter than had then."""
    experiment = scenario.parse(LOWERED)
    with _Watched(runner.make_plant(experiment)) as bench:
        result = runner.run_scenario(experiment, bench, LinkClient(bench.send))
        result.finish()
        begin = result.log.begin_tick or 0
        lowered = begin + LOWERED_AT_MIN * 600
        before_nl = max(nl for tick, nl in bench.outflow_nl if tick < lowered)
        return next((t - lowered) / 600 for t, nl in bench.outflow_nl if t > lowered and nl > before_nl)


@dataclass(frozen=True)
class Point:
    """A detector that asks for so much pressure."""

    change_pa: int
    pump_hours: float
    alarms: int
    found: list[Found]


def point(change_pa: int, rates: tuple[int, ...], pumps: int, lanes: int, hours: float) -> Point:
    """Both sides of one detector."""
    # It asks for 22 codes of the sensor at least: here they are said to be fine ones.
    campaign = MovingCampaign(lanes, change_pa=change_pa, pa_per_code=1)
    campaign.run(hours)
    found = [blocked(rate, pumps, change_pa=change_pa, pa_per_code=1) for rate in rates]
    return Point(change_pa, campaign.pump_hours, len(campaign.alarms), found)


def distribution(found: list[Found]) -> Table:
    """What flows past onset until the alarm, by rate."""
    made = Table(title="Blocked while the world moves, C 0.5 to 1.5: uL past onset until the alarm")
    for name in ("rate", "within 1 uL", *(f"{p} %" for p in PERCENTS), "missed", "floor", "1 kPa"):
        made.add_column(name, justify="right")
    for one in found:
        percents = [f"{nl / 1_000:.2f}" for nl in np.percentile(one.volumes_nl, PERCENTS)]
        floor_ul = floor(one.rate_ul_h, 1.0)[0] / 1_000
        innocent_ul = INNOCENT_PA * COMPLIANCE_NL_PA / 1_000
        made.add_row(
            rate_text(int(one.rate_ul_h * 1_000)),
            f"{one.within(1_000):.1%}",
            *percents,
            str(one.missed),
            f"{floor_ul:.3f}",
            f"{innocent_ul:.2f}",
        )
    return made


def curve(points: list[Point]) -> Table:
    """False alarms against volume."""
    made = Table(title="One against the other, by the pressure that the trend asks for")
    names = (
        "change_pa",
        "pump-hours",
        "false alarms",
        *(f"within 1 uL at {one.rate_ul_h:g} uL/h" for one in points[0].found),
    )
    for name in names:
        made.add_column(name, justify="right")
    for one in points:
        shares = [f"{found.within(1_000):.1%}" for found in one.found]
        made.add_row(str(one.change_pa), f"{one.pump_hours:,.0f}", str(one.alarms), *shares)
    return made


def main(quick: Annotated[bool, typer.Option(help="Few pumps, to see that it works.")] = False) -> None:
    """Print all of it: two minutes of a core, or some seconds if `quick`."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    pumps, lanes, hours = (QUICK_PUMPS, QUICK_LANES, QUICK_HOURS) if quick else (PUMPS, LANES, HOURS)
    minutes = minutes_of_nothing()
    console.print(
        f"Lowered by 50 cm at 4 uL/h the catheter gives nothing for {minutes:.1f} min, "
        f"as published of a peristaltic implant {PUBLISHED_MIN} min: compliance times pressure over rate.",
        highlight=False,
    )
    console.print(distribution([blocked(rate, pumps) for rate in RATES_UL_H]))
    console.print(curve([point(pa, CURVE_RATES, pumps, lanes, hours) for pa in CURVE_PA]))


if __name__ == "__main__":
    typer.run(main)
