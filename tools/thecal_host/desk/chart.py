"""Delivered against programmed, as the options of an ECharts chart.

The whole option is sent with each change, so of ten minutes of statuses MOST are drawn. Lines differ in
stroke, not in colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thecal_host.desk.known import Point

MOST = 100
NL_PER_UL = 1_000

PROGRAMMED = {"color": "#c75b00", "width": 4, "type": "dotted"}
DELIVERED = {"color": "#0b5a63", "width": 2}


def thinned(points: Sequence[Point]) -> list[Point]:
    """Every so manieth, the last one always."""
    step = -(-len(points) // MOST) or 1
    return [*points][::-1][::step][::-1]


def series(points: Sequence[Point]) -> tuple[list[list[float]], list[list[float]]]:
    """Programmed and delivered: pairs of seconds before now and uL since the first of them."""
    shown = thinned(points)
    if not shown:
        return [], []
    begin_nl, now_ms = shown[0].programmed_nl, shown[-1].at_ms
    at = [(point.at_ms - now_ms) / 1000 for point in shown]
    owed = [round(float((point.programmed_nl - begin_nl) / NL_PER_UL), 3) for point in shown]
    made = [round(float((point.delivered_nl - begin_nl) / NL_PER_UL), 3) for point in shown]
    return [list(pair) for pair in zip(at, owed, strict=True)], [
        list(pair) for pair in zip(at, made, strict=True)
    ]


def options(points: Sequence[Point]) -> dict[str, Any]:
    """The chart."""
    owed, made = series(points)
    shared = {"type": "line", "showSymbol": False, "animation": False}
    off_zero = {"axisLine": {"onZero": False}, "type": "value", "nameLocation": "middle"}
    return {
        "aria": {"enabled": True},
        "animation": False,
        "grid": {"left": 62, "right": 16, "top": 34, "bottom": 40},
        "legend": {"top": 0, "left": 0, "itemWidth": 34},
        "tooltip": {"trigger": "axis"},
        "xAxis": {**off_zero, "name": "s before now", "nameGap": 24, "max": 0},
        "yAxis": {**off_zero, "name": "uL", "nameGap": 44, "scale": True},
        "series": [
            {**shared, "name": name, "data": data, "lineStyle": line, "itemStyle": {"color": line["color"]}}
            for name, data, line in (("programmed", owed, PROGRAMMED), ("delivered", made, DELIVERED))
        ],
    }
