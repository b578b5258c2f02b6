"""Accuracy as IEC 60601-2-24 judges it: start-up curve, trumpet curve, boluses; numbers only.

The full text of the standard was not at hand. Its terms and figures are those that makers' manuals and others
quote of it (`SOURCES`): a sample each 0.5 min (the edition of 1998; that of 2012 leaves the number out), the
start-up curve over the first two hours, the trumpet curve over the second hour, 25 boluses.

With Q the flow and r the rate that is set, the error over an observation window of P minutes is the mean of
100 (Q - r)/r over it. Ep(max) and Ep(min) are the largest and the smallest of all such windows that lie in
the analysis period, one beginning at each sample; A is the error over the whole period.
"""

from __future__ import annotations

from dataclasses import dataclass

from thecal_host.weighing import WeighingError
from thecal_host.weighing.series import S_PER_H, Series, gap

SAMPLE_S = 30.0
STARTUP_MIN = 120
BEGIN_MIN = 60
"""The trumpet is that of the second hour, once the flow has settled."""

WINDOWS_MIN = (2, 5, 11, 19, 31)
LONG_WINDOWS_MIN = (15, 60, 150, 330, 570, 930)
"""For rates of microlitres an hour, over as long an analysis period as the longest of them needs."""

LONG_BELOW_NL_H = 1_000_000
"""What counts as such a rate: below 1 mL/h. Own reading."""

BOLUSES = 25

SOURCES = (
    "B. Braun Perfusor compact plus, instructions for use, p. 42 (sample, start-up, second hour)",
    "Smiths Medical CADD, operator's manual CSCM6000, p. 83 (Ep(max), Ep(min), mean flow error, periods)",
    "J. Cebeiro et al., Low flow measurement for infusion pumps (the gravimetric method of the standard)",
    "MEDTEQ, IEC 60601-2-24 infusion pumps: what's the story? (editions of 1998 and 2012)",
)
NOT_AT_HAND = (
    "The full text of IEC 60601-2-24 was not at hand: terms and figures are those that makers' manuals quote"
)


@dataclass(frozen=True)
class Window:
    """An observation window: Ep(max) and Ep(min) of `count` of them."""

    minutes: int
    most_percent: float
    least_percent: float
    count: int


@dataclass(frozen=True)
class Accuracy:
    """`startup` are the flows, nL/h, of each sample of the first two hours; `mean_percent` is A."""

    rate_nl_h: float
    sample_s: float
    startup: list[float]
    begin_min: float
    end_min: float
    mean_percent: float
    windows: list[Window]
    missing_min: list[int]
    """Windows that the readings are too short for."""


def windows_of(rate_nl_h: float) -> tuple[int, ...]:
    """The observation windows of a rate, in minutes."""
    return tuple(sorted({*WINDOWS_MIN, *(LONG_WINDOWS_MIN if rate_nl_h < LONG_BELOW_NL_H else ())}))


def judge(series: Series, sample_s: float = SAMPLE_S) -> Accuracy:
    """Start-up and trumpet of a series without boluses. Raises WeighingError where it is too short."""
    rate_nl_h = series.rate_nl_h
    if rate_nl_h <= 0:
        raise WeighingError(f"{series.source}: the rate is {rate_nl_h:g} nL/h, there is nothing to compare")
    torn = gap(series, sample_s * 1.1 + 1.0)
    if torn is not None:
        raise WeighingError(
            f"{series.source}: no reading from {torn[0]:g} s to {torn[1]:g} s after the start; one each "
            f"{sample_s:g} s is expected, or name another interval with --sample"
        )
    last_min = series.times_s[-1] / 60
    minutes = windows_of(rate_nl_h)
    # The period ends where the longest window does, or the second hour, or the readings.
    end_min = min(last_min, BEGIN_MIN + max(minutes[-1], STARTUP_MIN - BEGIN_MIN))
    count = int((end_min - BEGIN_MIN) * 60 / sample_s + 1e-6)
    if count * sample_s < minutes[0] * 60:
        raise WeighingError(
            f"{series.source}: ends {last_min:.1f} min after the start; the trumpet curve needs "
            f"{BEGIN_MIN + minutes[0]} min at least, and {STARTUP_MIN} min for the whole second hour"
        )
    volumes = [series.volume_nl(BEGIN_MIN * 60 + i * sample_s) for i in range(count + 1)]
    found = [_window(volumes, minute, rate_nl_h, sample_s) for minute in minutes]
    startup = int(min(last_min, STARTUP_MIN) * 60 / sample_s + 1e-6)
    return Accuracy(
        rate_nl_h=rate_nl_h,
        sample_s=sample_s,
        startup=[
            (series.volume_nl((i + 1) * sample_s) - series.volume_nl(i * sample_s)) * S_PER_H / sample_s
            for i in range(startup)
        ],
        begin_min=BEGIN_MIN,
        end_min=BEGIN_MIN + count * sample_s / 60,
        mean_percent=_percent(volumes[-1] - volumes[0], count * sample_s, rate_nl_h),
        windows=[window for window in found if window is not None],
        missing_min=[minute for minute, window in zip(minutes, found, strict=True) if window is None],
    )


def _percent(volume_nl: float, span_s: float, rate_nl_h: float) -> float:
    should_nl = rate_nl_h * span_s / S_PER_H
    return 100 * (volume_nl - should_nl) / should_nl


def _window(volumes: list[float], minutes: int, rate_nl_h: float, sample_s: float) -> Window | None:
    """The windows of so many minutes; None where there is not one."""
    samples = minutes * 60 / sample_s
    if samples != int(samples):
        raise WeighingError(f"--sample: {sample_s:g} s do not divide the window of {minutes} min")
    width = int(samples)
    errors = [
        _percent(end - begin, minutes * 60, rate_nl_h)
        for begin, end in zip(volumes[:-width], volumes[width:], strict=True)
    ]
    return Window(minutes, max(errors), min(errors), len(errors)) if errors else None


@dataclass(frozen=True)
class BolusAccuracy:
    """Of boluses of `set_nl`: the errors in percent, one of each."""

    set_nl: float
    errors: list[float]

    @property
    def mean_percent(self) -> float:
        return sum(self.errors) / len(self.errors)


def judge_boluses(series: Series) -> BolusAccuracy:
    """The boluses of a series: what came from the start of each to that of the next, less the basal rate.

    Raises WeighingError where they are not all of one volume, or of none.
    """
    boluses = series.boluses
    sizes = {bolus.set_nl for bolus in boluses}
    if len(sizes) != 1:
        raise WeighingError(
            f"{series.source}: holds boluses of {len(sizes)} volumes; accuracy is that of one"
        )
    (set_nl,) = sizes
    if set_nl <= 0:
        raise WeighingError(f"{series.source}: a bolus is {set_nl:g} nL, there is nothing to compare")
    ends = [(bolus.at_s, bolus.volume_nl) for bolus in boluses[1:]]
    # The last one has as long as the one before it.
    last_s = series.times_s[-1]
    if len(boluses) > 1:
        last_s = min(last_s, 2 * boluses[-1].at_s - boluses[-2].at_s)
    ends.append((last_s, series.volume_nl(last_s)))
    errors = []
    for bolus, (end_s, end_nl) in zip(boluses, ends, strict=True):
        basal_nl = series.rate_nl_h * (end_s - bolus.at_s) / S_PER_H
        errors.append(100 * (end_nl - bolus.volume_nl - basal_nl - set_nl) / set_nl)
    return BolusAccuracy(set_nl, errors)
