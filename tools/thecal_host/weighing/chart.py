"""Accuracy as a table and as a picture, in the terms of the standard."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from thecal_model.text import short_rate, volume_text

from thecal_host.files import why_not
from thecal_host.picture import (
    DELIVERED_COLOUR,
    DENIED_COLOUR,
    ERROR_COLOUR,
    MARK_COLOUR,
    PROGRAMMED_COLOUR,
    check_picture,
)
from thecal_host.weighing.accuracy import BOLUSES, STARTUP_MIN, WINDOWS_MIN, Accuracy, BolusAccuracy
from thecal_host.weighing.series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Which windows a logarithmic axis names.
_LOG_FROM_MIN = 60

COVER = (
    "What evaporates in an hour weighs as much as a dose of microlitres: cover the beaker with a film of "
    "oil, and weigh the loss with the pump stopped."
)


def loss_text(series: Series) -> str:
    """What evaporated, or that nobody knows."""
    if series.loss_g_h is None:
        return "not known, and not taken into account"
    share = ""
    if series.rate_nl_h:
        # A microlitre of water is a milligram, near enough for a share.
        share = f", {100 * series.loss_g_h * 1e6 / series.rate_nl_h:.2g} % of the rate"
    return f"{series.loss_g_h * 1000:.3g} mg/h ({series.loss_text}){share}, added again"


def digit_text(series: Series) -> str:
    """What the balance cannot tell apart, of what comes in the shortest window or in one bolus."""
    if series.boluses:
        what, volume_nl = "a bolus", series.boluses[0].set_nl
    else:
        what, volume_nl = f"a window of {WINDOWS_MIN[0]} min", series.rate_nl_h * WINDOWS_MIN[0] / 60
    digit = volume_text(Fraction(f"{series.digit_nl:.3g}"))
    return f"{digit}, {100 * series.digit_nl / volume_nl:.2g} % of {what}"


def trumpet_rows(found: Accuracy) -> list[tuple[str, str]]:
    """The trumpet as name and value."""
    rows = [
        ("rate set (r)", short_rate(round(found.rate_nl_h))),
        ("sample interval", f"{found.sample_s / 60:g} min"),
        ("start-up curve", f"{len(found.startup) * found.sample_s / 60:g} min of {STARTUP_MIN} min"),
        ("analysis period", f"{found.begin_min:g} to {found.end_min:g} min after the start"),
        ("mean flow error (A)", f"{found.mean_percent:+.3f} %"),
    ]
    for window in found.windows:
        value = f"Ep(max) {window.most_percent:+.3f} %, Ep(min) {window.least_percent:+.3f} %"
        rows.append((f"window of {window.minutes} min", f"{value}, {window.count} windows"))
    if found.missing_min:
        needs = found.begin_min + max(found.missing_min)
        left = ", ".join(map(str, found.missing_min))
        rows.append(("not judged", f"windows of {left} min: that takes readings for {needs:g} min"))
    return rows


def bolus_rows(found: BolusAccuracy) -> list[tuple[str, str]]:
    """The boluses as name and value."""
    count = len(found.errors)
    few = "" if count >= BOLUSES else f" of the {BOLUSES} that the standard wants"
    return [
        ("boluses", f"{count}{few}, {volume_text(round(found.set_nl))} each"),
        ("mean error", f"{found.mean_percent:+.3f} %"),
        ("largest deviation", f"{max(found.errors):+.3f} %"),
        ("smallest deviation", f"{min(found.errors):+.3f} %"),
    ]


def draw_accuracy(title: str, trumpet: Accuracy | None, boluses: BolusAccuracy | None, path: Path) -> None:
    """Draw what there is of both to `path`, in the format that its ending names. FileError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_picture(path)
    panels = (2 if trumpet else 0) + (1 if boluses else 0)
    figure = Figure(figsize=(11, 3.6 * panels + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=14, fontweight="bold")
    axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
    if trumpet is not None:
        _draw_startup(trumpet, axes.pop(0))
        _draw_trumpet(trumpet, axes.pop(0))
    if boluses is not None:
        _draw_boluses(boluses, axes.pop(0))
    try:
        figure.savefig(path, dpi=120)
    except OSError as why:
        raise why_not(path, why) from None


def draw_beside(title: str, found: Mapping[str, Accuracy], path: Path) -> None:
    """Draw start-up and trumpet curves of some runs at one rate over each other, by name. FileError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    check_picture(path)
    figure = Figure(figsize=(11, 7.8), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=14, fontweight="bold")
    flows, trumpet = figure.subplots(2, 1)
    for (name, one), colour in zip(found.items(), (DENIED_COLOUR, DELIVERED_COLOUR), strict=False):
        step_min = one.sample_s / 60
        minutes = [i * step_min for i in range(len(one.startup) + 1)]
        off = [100 * (flow / one.rate_nl_h - 1) for flow in one.startup]
        flows.stairs(off, minutes, baseline=None, color=colour, linewidth=1.2, label=name)
        windows = [window.minutes for window in one.windows]
        trumpet.plot(windows, [window.most_percent for window in one.windows], "o-", color=colour, label=name)
        trumpet.plot(windows, [window.least_percent for window in one.windows], "s-", color=colour)
        _name_windows(trumpet, windows)
    flows.set_xlim(0, STARTUP_MIN)
    for axes, what, along in (
        (flows, "start-up curve", "time since the start [min]"),
        (trumpet, "trumpet curve, $E_p$(max) and $E_p$(min)", "observation window P [min]"),
    ):
        axes.axhline(0, color=MARK_COLOUR, linewidth=0.8)
        axes.set_title(what, loc="left", fontsize=10)
        axes.set_xlabel(along)
        axes.set_ylabel("error [%]")
        axes.grid(alpha=0.25)
        axes.legend(loc="upper right", ncols=2, framealpha=0.95)
    try:
        figure.savefig(path, dpi=120)
    except OSError as why:
        raise why_not(path, why) from None


def _name_windows(axes: Axes, minutes: list[int]) -> None:
    """Along the axis, a logarithmic one where they are long."""
    if minutes[-1] > _LOG_FROM_MIN:
        axes.set_xscale("log")
    axes.set_xticks(minutes, [str(minute) for minute in minutes])
    axes.minorticks_off()


def _draw_startup(found: Accuracy, axes: Axes) -> None:
    unit, nl_per_unit = ("mL/h", 1e6) if found.rate_nl_h >= 1e6 else ("uL/h", 1e3)
    step_min = found.sample_s / 60
    minutes = [i * step_min for i in range(len(found.startup) + 1)]
    flows = [flow / nl_per_unit for flow in found.startup]
    rate = found.rate_nl_h / nl_per_unit
    axes.axhline(rate, color=PROGRAMMED_COLOUR, linewidth=2.5, label=f"rate set, {rate:g} {unit}")
    axes.stairs(flows, minutes, baseline=None, color=DELIVERED_COLOUR, linewidth=1.2, label="flow $Q_i$")
    if minutes[-1] > found.begin_min:
        axes.axvline(found.begin_min, color=MARK_COLOUR, linewidth=0.9, linestyle=":")
    reach = max(*(abs(flow - rate) for flow in flows), 0.02 * rate)
    axes.set_ylim(min(min(flows), rate - reach) - 0.1 * reach, rate + 1.5 * reach)
    axes.set_xlim(0, STARTUP_MIN)
    axes.set_xlabel("time since the start [min]")
    axes.set_ylabel(f"flow [{unit}]")
    axes.set_title(f"start-up curve, a sample each {step_min:g} min", loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", ncols=2, framealpha=0.95)


def _draw_trumpet(found: Accuracy, axes: Axes) -> None:
    minutes = [window.minutes for window in found.windows]
    most = [window.most_percent for window in found.windows]
    least = [window.least_percent for window in found.windows]
    axes.axhline(0, color=MARK_COLOUR, linewidth=0.8)
    axes.fill_between(minutes, least, most, color=DELIVERED_COLOUR, alpha=0.1, linewidth=0)
    axes.plot(minutes, most, "o-", color=DELIVERED_COLOUR, linewidth=1.6, label="$E_p$(max)")
    axes.plot(minutes, least, "s-", color=DENIED_COLOUR, linewidth=1.6, label="$E_p$(min)")
    axes.axhline(
        found.mean_percent,
        color=ERROR_COLOUR,
        linewidth=1.2,
        linestyle="--",
        label=f"mean flow error A, {found.mean_percent:+.2f} %",
    )
    _name_windows(axes, minutes)
    reach = max(abs(value) for value in (*most, *least, found.mean_percent, 0.1))
    axes.set_ylim(-1.3 * reach, 1.6 * reach)
    axes.set_xlabel("observation window P [min]")
    axes.set_ylabel("error [%]")
    axes.set_title(
        f"trumpet curve of minutes {found.begin_min:g} to {found.end_min:g}", loc="left", fontsize=10
    )
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", ncols=3, framealpha=0.95)


def _draw_boluses(found: BolusAccuracy, axes: Axes) -> None:
    numbers = range(1, len(found.errors) + 1)
    axes.axhline(0, color=MARK_COLOUR, linewidth=0.8)
    axes.bar(numbers, found.errors, color=DELIVERED_COLOUR, width=0.7)
    axes.axhline(
        found.mean_percent,
        color=ERROR_COLOUR,
        linewidth=1.2,
        linestyle="--",
        label=f"mean error {found.mean_percent:+.2f} %",
    )
    reach = max(*(abs(error) for error in found.errors), 0.1)
    axes.set_ylim(-1.3 * reach, 1.6 * reach)
    axes.set_xlim(0.3, len(found.errors) + 0.7)
    axes.set_xlabel(f"bolus of {volume_text(round(found.set_nl))}, by number")
    axes.set_ylabel("error [%]")
    axes.set_title("accuracy of each bolus", loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", framealpha=0.95)
