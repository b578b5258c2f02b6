"""What was delivered over time, whoever saw it: a balance's file, a record of the pump, or the plant.

A file of weights is lines of time and grams, separated by comma, semicolon or tab; more columns are ignored.
Times are seconds, `h:mm:ss`, or a date with a time; they grow from line to line. A first line of words is a
heading. `# start: 600 s` says when the pump was started (what was read before is the loss with the pump
stopped), `# rate: 6 mL/h` at which rate it ran, `# bolus: 20 uL` that each line was read between two boluses,
with `rate` flowing beside them or, without it, nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from thecal_model import quantities
from thecal_model.problems import InputError, Problem

from thecal_host.weighing import WeighingError
from thecal_host.weighing.water import Water

MOST_PROBLEMS = 20
LEAST_LOSS_S = 60.0
"""A loss from less than a minute's readings would be the balance's noise."""

MOST_BOLUS_GAP_S = 1.5
"""A pump tells of itself each second."""

S_PER_H = 3_600


@dataclass(frozen=True)
class Bolus:
    """One that began at `at_s`, when `volume_nl` had been delivered: how much it should give."""

    at_s: float
    volume_nl: float
    set_nl: float


@dataclass(frozen=True)
class Series:
    """`volumes_nl[i]` had been delivered at `times_s[i]`, both from the start of the pump.

    `loss_g_h` is what evaporated with the pump stopped, taken into account; None where nobody knows.
    """

    source: str
    times_s: list[float]
    volumes_nl: list[float]
    rate_nl_h: float
    loss_g_h: float | None = None
    loss_text: str = ""
    digit_nl: float = 0.0
    """One digit of the balance's last place, as a volume."""
    boluses: list[Bolus] = field(default_factory=list)

    def volume_nl(self, at_s: float) -> float:
        """Between two readings as if the flow were even there."""
        from bisect import bisect_right

        after = min(max(bisect_right(self.times_s, at_s), 1), len(self.times_s) - 1)
        t0, t1 = self.times_s[after - 1 : after + 1]
        v0, v1 = self.volumes_nl[after - 1 : after + 1]
        return v0 + (v1 - v0) * (at_s - t0) / (t1 - t0)


@dataclass(frozen=True)
class Weights:
    """A file of weights as it was read: rows of (seconds, grams, line), and what its comments say."""

    path: Path
    rows: list[tuple[float, float, int]]
    start_s: float | None = None
    rate_nl_h: float | None = None
    bolus_nl: float | None = None
    digit_g: float = 0.0


_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d(?:\.\d+)?)")
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:\.\d{1,9})?")
_SAID = re.compile(r"# *(start|rate|bolus) *: *(.+)")
_DIMENSIONS = {"start": quantities.TIME, "rate": quantities.RATE, "bolus": quantities.VOLUME}
_OTHER_UNITS = re.compile(r"\b(mg|kg|oz|ct|ms|min|minutes|h|hours)\b")


def read_weights(path: Path) -> Weights:
    """A file of times and grams. Raises InputError with every line that is wrong, or WeighingError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as why:
        told = why.strerror if isinstance(why, OSError) else "is no text"
        raise WeighingError(f"{path}: cannot be read: {told}") from None
    rows: list[tuple[float, float, int]] = []
    said: dict[str, float] = {}
    problems: list[Problem] = []
    may_be_heading = True
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        try:
            if bare.startswith("#"):
                _take_comment(bare, said)
            elif bare:
                heading, may_be_heading = may_be_heading, False
                if not (heading and _is_heading(bare)):
                    rows.append((*_row(bare, rows), number))
        except (ValueError, quantities.QuantityError) as why:
            problems.append(Problem(str(path), number, "", str(why)))
    if problems:
        raise InputError(problems[:MOST_PROBLEMS])
    if len(rows) < 2:
        raise WeighingError(f"{path}: holds {len(rows)} readings; lines of seconds and grams are expected")
    digit_g = 10.0 ** -max(len(f"{grams:.7f}".rstrip("0").partition(".")[2]) for _, grams, _ in rows)
    return Weights(path, rows, said.get("start"), said.get("rate"), said.get("bolus"), digit_g)


def _take_comment(line: str, said: dict[str, float]) -> None:
    match = _SAID.fullmatch(line)
    if match is not None:
        name, value = match.groups()
        said[name] = float(quantities.parse(value, _DIMENSIONS[name]))
        if name == "start":
            said[name] /= 1000


def _is_heading(line: str) -> bool:
    """Words without a number; ValueError where they name another unit than grams and seconds."""
    if re.search(r"\d[.:]?\d*[,;\t]", line):
        return False
    unit = _OTHER_UNITS.search(line)
    if unit is not None:
        raise ValueError(
            f'the heading says "{unit.group()}": expected seconds and grams, convert the columns'
        )
    return True


def _row(line: str, before: list[tuple[float, float, int]]) -> tuple[float, float]:
    separator = next((one for one in ";\t," if one in line), None)
    if separator is None:
        raise ValueError(f'expected a time and grams, as in "30,12.3456", found "{line[:40]}"')
    time, grams, *more = (part.strip() for part in line.split(separator))
    if separator == "," and more and "." not in grams:
        raise ValueError(
            f'"{line[:40]}" may be {grams}.{more[0]} g with a decimal comma: write decimal points, or put '
            "semicolons between the columns"
        )
    if separator != ",":
        grams, time = grams.replace(",", "."), time.replace(",", ".")
    grams = grams.removesuffix("g").strip()
    if not _NUMBER.fullmatch(grams):
        raise ValueError(f'expected grams, as in "12.3456", found "{grams[:40]}"')
    at_s = _seconds(time)
    if before and at_s <= before[-1][0]:
        raise ValueError(f"{at_s:g} s is not after the {before[-1][0]:g} s of line {before[-1][2]}")
    return at_s, float(grams)


def _seconds(text: str) -> float:
    if _NUMBER.fullmatch(text):
        return float(text)
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = clock.groups()
        return int(hours) * 3_600 + int(minutes) * 60 + float(seconds)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ValueError(
            f'expected a time in seconds, as h:mm:ss or as a date, found "{text[:40]}"'
        ) from None


def of_weights(weights: Weights, water: Water, loss_g_h: float | None) -> Series:
    """The volumes of a file of weights: what evaporated is added again.

    The loss is `loss_g_h` where somebody knows it, else that of the readings before the start, if there are.
    """
    if weights.bolus_nl is None and weights.rate_nl_h is None:
        raise WeighingError(f"{weights.path}: does not say at which rate the pump ran: give it with --rate")
    rows = weights.rows
    start_s = rows[0][0] if weights.start_s is None else weights.start_s
    if not rows[0][0] <= start_s < rows[-1][0]:
        raise WeighingError(
            f"{weights.path}: the start at {start_s:g} s is not within its readings, {rows[0][0]:g} s to "
            f"{rows[-1][0]:g} s"
        )
    text = "as given"
    if loss_g_h is None:
        loss_g_h = _loss_g_h([(at_s, grams) for at_s, grams, _ in rows if at_s <= start_s])
        text = f"measured with the pump stopped, for {start_s - rows[0][0]:.0f} s"
    times = [at_s - start_s for at_s, _, _ in rows]
    grams = [g + (loss_g_h or 0.0) * at_s / S_PER_H for at_s, (_, g, _) in zip(times, rows, strict=True)]
    whole = Series("", times, grams, 0.0)
    zero_g = whole.volume_nl(0.0)
    after = [i for i, at_s in enumerate(times) if at_s > 0]
    series = Series(
        source=f"weights of {weights.path.name}",
        times_s=[0.0, *(times[i] for i in after)],
        volumes_nl=[0.0, *(water.volume_nl(grams[i] - zero_g) for i in after)],
        rate_nl_h=weights.rate_nl_h or 0.0,
        loss_g_h=loss_g_h,
        loss_text=text,
        digit_nl=water.volume_nl(weights.digit_g),
    )
    if weights.bolus_nl is None:
        return series
    between = zip(series.times_s[:-1], series.volumes_nl[:-1], strict=True)
    return replace(series, boluses=[Bolus(at_s, v, weights.bolus_nl) for at_s, v in between])


def _loss_g_h(rows: list[tuple[float, float]]) -> float | None:
    """The slope of the weight with the pump stopped, by least squares."""
    if len(rows) < 2 or rows[-1][0] - rows[0][0] < LEAST_LOSS_S:
        return None
    import statistics

    times, grams = zip(*rows, strict=True)
    return -statistics.linear_regression(times, grams).slope * S_PER_H


def of_record(path: Path) -> Series:
    """What a record of `thecal record`, `run` or `simulate --json --every` says was delivered.

    Raises RecordError, or WeighingError where it has not one rate.
    """
    from thecal_host.record import run_of_loaded
    from thecal_host.recording import load

    loaded = load(path)
    run = run_of_loaded(path, loaded)
    therapies = loaded.header["prescription"]["therapies"]
    rates = {(num, den) for therapy in therapies for _, num, den in therapy["steps"]}
    if len(rates) != 1:
        raise WeighingError(f"{path}: holds {len(rates)} basal rates; accuracy is that of one")
    ((num, den),) = rates
    corners = run.programmed.corners
    running = [corner.at_ms for corner in corners if corner.basal_nl_h]
    if not running:
        raise WeighingError(f"{path}: the pump was never started in it")
    start_ms = running[0]
    ends = [corner.at_ms for corner in corners if corner.at_ms > start_ms and not corner.basal_nl_h]
    end_ms = ends[0] if ends else run.samples[-1].at_ms
    samples = [s for s in run.samples if start_ms <= s.at_ms <= end_ms]
    if len(samples) < 2:
        raise WeighingError(f"{path}: holds {len(samples)} samples after the start")
    zero_nl = samples[0].delivered_nl
    series = Series(
        source=f"{run.source}, {path.name}",
        times_s=[float(s.at_ms - start_ms) / 1000 for s in samples],
        volumes_nl=[float(s.delivered_nl - zero_nl) for s in samples],
        rate_nl_h=num / den,
    )
    events = [record for record in loaded.records if record["type"] == "event"]
    first = next((record for record in loaded.records if record["type"] == "status"), {"tick": 0})
    for event in events:
        event.setdefault("at_ms", (event["tick"] - first["tick"]) * loaded.header["tick_ms"])
    found = with_boluses(series, events, float(start_ms))
    if found.boluses and gap(series, MOST_BOLUS_GAP_S) is not None:
        raise WeighingError(
            f"{path}: holds boluses, and samples too far apart to see them begin: take one each second"
        )
    return found


def with_boluses(series: Series, events: list[dict[str, Any]], start_ms: float) -> Series:
    """The same, with the boluses that the events tell of."""
    begun = [e for e in events if e["code"] in ("bolus_start", "patient_bolus_start")]
    boluses = []
    for event in begun:
        at_s = (event["at_ms"] - start_ms) / 1000
        if 0 <= at_s <= series.times_s[-1]:
            boluses.append(Bolus(at_s, series.volume_nl(at_s), float(event["a"])))
    return replace(series, boluses=boluses)


def gap(series: Series, most_s: float) -> tuple[float, float] | None:
    """The first two readings further apart than `most_s`, seconds after the start."""
    return next((pair for pair in pairwise(series.times_s) if pair[1] - pair[0] > most_s), None)
