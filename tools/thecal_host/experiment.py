"""Experiments from the command line: the board by its name, the records as lines for people.

The records themselves, and what they mean, are `thecal_bench.runner`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thecal.rig import Rig
from thecal_bench.bench import TICK_MS, Bench
from thecal_bench.flash_model import blank_flash
from thecal_bench.plant import Plant
from thecal_bench.scenario import Scenario, load
from thecal_model.rig_words import unwatched_text
from thecal_model.text import clock_text, event_text, short_rate, short_volume, volume_text

from thecal_host.record import prescription_of

if TYPE_CHECKING:
    from thecal_host.weighing.series import Series

BOARDS = {
    "host": "in-process",
    "micropython": "MicroPython's unix port",
    "chip": "emulated RP2040",
}
"""What `--on` may say besides a port, and what that is."""


class NoSuchBoard(Exception):
    """`--on` names no board and no port."""


def open_bench(name: str, plant: Plant, rig: Rig | None, role: str | None = None) -> Bench:
    """The board called `name`, one of BOARDS or a port, with `plant` on it (a port has its own). Its pump was
    told that `rig` hangs on its pins; None: it was never told. What goes to a port is signed, in a `role` if
    one is given.

    Raises NoSuchBoard, BenchError (no image, no MicroPython), PortError, PumpError or KeysError.
    """
    if name == "host":
        from thecal_bench.inprocess import HostBench

        return HostBench(plant, flash=blank_flash(rig))
    if name == "micropython":
        from thecal_bench.unixport import MicropythonBench

        return MicropythonBench(plant, flash=blank_flash(rig))
    if name == "chip":
        from thecal_bench.chip.bench import ChipBench

        return ChipBench(plant, rig=rig)
    if not name.startswith(("/", "socket://", "COM")):
        boards = ", ".join(BOARDS)
        raise NoSuchBoard(f"--on {name}: expected one of {boards}; or a device path or socket://HOST:PORT")
    from thecal_host.serial_bench import SerialBench

    return SerialBench(name, role=role)


def prescription(scenario: Scenario, clock_ms: int | None = None) -> dict[str, Any]:
    """What an experiment prescribes, for its record and for who judges it; see `prescription_of`."""
    events = scenario.events
    later = [(event.at_ms, event.therapy) for event in events if event.therapy is not None]
    boluses = [(event.bolus.volume_nl, event.bolus.rate_nl_h) for event in events if event.bolus is not None]
    return prescription_of(scenario.therapy, scenario.profile, later, boluses, clock_ms)


def line_of(record: dict[str, Any]) -> str | None:
    """A record of the runner on one line; None for one that another record says as well."""
    kind = record["type"]
    if kind == "expect":
        return _expect_line(record)
    if kind in ("note", "warning"):
        return f"{kind}: {record['message']}"
    if kind == "bolus":
        at_ms = record["asked_ms"]
    elif kind == "alarm":
        at_ms = record["raised_ms"]
    else:
        at_ms = record.get("at_ms", 0)
    text = _text_of(kind, record)
    return None if text is None else f"{clock_text(at_ms):>9}  {text}"


def _text_of(kind: str, record: dict[str, Any]) -> str | None:
    if kind == "event":
        # Changes of state and denials have records of their own, which know more.
        return None if record["code"] in ("state", "denied") else event_text(record)
    if kind == "state":
        return f"{record['state']}" + (f" ({record['cause']})" if record.get("cause") else "")
    if kind == "bolus":
        if record["granted"]:
            # The pump's own event says it, at the tick at which it began.
            return None
        # Of a bolus that no therapy provides for there is no volume.
        what = f"bolus of {volume_text(record['volume_nl'])}" if record["volume_nl"] else "bolus"
        return f"{what} denied: {record.get('message') or record['reason']}"
    if kind == "alarm":
        return f"alarm {record['code']}, priority {record['priority']}"
    if kind == "rig":
        return f"rig {record['name']} is in force; not watched: {unwatched_text(record['unwatched'])}"
    if kind == "refused":
        return f"{record['do']} refused: {record['message'] or record['error']}"
    if kind == "soft_limit":
        return f"{record['do']}: soft limit confirmed: {record['message']}"
    if kind == "skipped":
        return f"{record['do']} skipped: {record['why']}"
    if kind == "sample":
        delivered, rate = short_volume(record["delivered_nl"]), short_rate(record["rate_nl_h"])
        pressure = f"{record['pressure_pa'] / 1000:.2f} kPa"
        return f"{record['state']:8} delivered {delivered} at {rate}, pressure {pressure}"
    return None if kind == "summary" else f"{kind}: {record}"


def _expect_line(record: dict[str, Any]) -> str:
    verdict = {True: "holds ", False: "FAILS ", None: "no say"}[record["ok"]]
    where = f"line {record['line']}: {record['what']} at {clock_text(record['at_ms'])}"
    return f"{verdict}  {where}: expected {record['expected']}; found {record['found']}"


def summary_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary of a run for a person: what this board could not tell is left out."""
    granted = sum(bolus["granted"] for bolus in summary["boluses"])
    rows = [("duration", clock_text(summary["duration_ms"]))]
    volumes = (
        ("delivered (plant)", "delivered_nl"),
        ("left the catheter", "outflow_nl"),
        ("ledger", "ledger_nl"),
    )
    rows += [(name, short_volume(summary[key])) for name, key in volumes if summary[key] is not None]
    if summary["executed_steps"] is not None:
        rows.append(("microsteps", microsteps_text(summary)))
    rows.append(("boluses", f"{granted} granted, {len(summary['boluses']) - granted} denied"))
    rows.append(("alarms", ", ".join(alarm["code"] for alarm in summary["alarms"]) or "none"))
    if summary["pressure_peak_pa"] is not None:
        rows.append(("highest pressure", f"{summary['pressure_peak_pa'] / 1000:.2f} kPa"))
    if summary.get("soft_limits"):
        rows.append(("soft limits", f"{summary['soft_limits']} confirmed without asking"))
    if summary["resets"]:
        rows.append(("resets", str(summary["resets"])))
    return rows


def microsteps_text(summary: dict[str, Any]) -> str:
    """How many were commanded, and how many the pulse counter saw."""
    return f"{summary['commanded_steps']} commanded, {summary['executed_steps']} counted back"


def series_of_plant(path: Path, progress: Callable[[float, float], None] | None = None) -> Series:
    """What leaves the catheter of the plant when a scenario is run in this process.

    Raises InputError, or WeighingError where it has not one rate or no start.
    """
    from thecal_bench.inprocess import HostBench
    from thecal_bench.runner import make_plant, run_scenario
    from thecal_model.link import LinkClient

    from thecal_host.weighing import WeighingError
    from thecal_host.weighing.series import Series, with_boluses

    scenario = load(path)
    starts = [event for event in scenario.events if event.do == "start"]
    changes = [event for event in scenario.events if event.therapy is not None]
    if scenario.therapy.mode != "continuous" or changes:
        raise WeighingError(f"{path}: accuracy is that of one rate: a therapy that is continuous, unchanged")
    if not starts:
        raise WeighingError(f"{path}: the pump is never started in it")
    plant = make_plant(scenario)
    ticks: list[tuple[int, float]] = []
    with HostBench(plant) as bench:

        def look() -> None:
            tick = bench.tick + 1
            ticks.append((tick, plant.outflow_nl(bench.now_ns)))
            bench.schedule(tick + 1, look)

        bench.schedule(bench.tick + 1, look)
        result = run_scenario(scenario, bench, LinkClient(bench.send), progress=progress)
        events = [record for record in result if record["type"] == "event"]
    begin_tick = result.log.begin_tick or 0
    start_tick = begin_tick + starts[0].at_ms // TICK_MS
    stops = [begin_tick + event.at_ms // TICK_MS for event in scenario.events if event.do == "stop"]
    end_tick = min([tick for tick in stops if tick > start_tick], default=ticks[-1][0])
    found = [(tick - start_tick, volume) for tick, volume in ticks if start_tick <= tick <= end_tick]
    if len(found) < 2:
        raise WeighingError(f"{path}: ends before it starts the pump")
    zero_nl = found[0][1]
    series = Series(
        source=f"plant, outflow of {path.name}",
        times_s=[tick * TICK_MS / 1000 for tick, _ in found],
        volumes_nl=[volume - zero_nl for _, volume in found],
        rate_nl_h=float(scenario.therapy.basal_nl_h(0)),
    )
    return with_boluses(series, events, starts[0].at_ms)
