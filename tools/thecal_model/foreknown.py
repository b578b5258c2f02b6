"""What the pump will refuse in a therapy, known beforehand; and where in the file stands what it refused.

The host runs the firmware's own reader of therapies, so nothing is sent that it would refuse, and no bound is
written down twice. `problems(therapy, profile)` are the refusals, each with the path of its key in the TOML
file; `placed` finds the lines of those that came from a pump. What depends on the pump's history or on its
drug library only the pump can judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from thecal.dose import prescription

from thecal_model import quantities as q
from thecal_model.quantities import MS_PER_HOUR, MS_PER_WEEK
from thecal_model.rig import reference
from thecal_model.therapy import Profile, Therapy
from thecal_model.toml_lines import Lines, Path

_STEP = re.compile(r"steps\[(\d+)\]\.?(.*)")
_NAMED = re.compile(r"([A-Za-z0-9_.\[\]-]+): ")
_AROUND = {"low_nl": ("reservoir", "low"), "empty_nl": ("reservoir", "empty"),
           "max_rate_nl_h": ("profile", "max_rate"), "on_low": ("profile", "on_low_reservoir"),
           "line_nl": ("plant", "catheter_volume")}  # fmt: skip
"""Keys of the link that stand in another table than the therapy's."""

_DOSED = {"dose_per_day": "dose", "start_dose": "dose", "dose_change": "dose", "bolus": "patient_bolus"}
"""Quantities of the drug library, and the key that they are about."""


def problems(therapy: Therapy, profile: Profile, at: Path = ("therapy",)) -> list[tuple[Path, str]]:
    """Everything that a pump refuses whatever it did before, as the path of the key and what is wrong."""
    rig = profile.rig or reference()
    try:
        prescription.parse(therapy.message(profile), rig.mechanism())
    except prescription.PrescriptionError as why:
        return [(key_of(text, therapy, at), _without_key(text)) for text in why.problems]
    return [((*at, "limit"), text) for text in _beyond_its_own_limit(therapy)]


def _beyond_its_own_limit(therapy: Therapy) -> Iterator[str]:
    """LIM-06: a basal that breaks its own limit in every week."""
    limit = therapy.limit
    if limit is None:
        return
    most_nl = Fraction(limit.dose_pg, therapy.concentration_pg_nl) if limit.dose_pg else limit.volume_nl
    peak_nl = _peak_nl(therapy, limit.window_ms)
    if peak_nl > most_nl:
        yield (
            f"the basal alone gives {_volume_text(peak_nl)} in {q.show(limit.window_ms, q.TIME, 'min')}, "
            f"the limit is {_volume_text(Fraction(most_nl))}"
        )


def _peak_nl(therapy: Therapy, window_ms: int) -> Fraction:
    """The most that the basal gives in any window: one that begins or ends where a step does."""
    starts_ms = sorted({0, *(at_ms for step in therapy.steps for at_ms in step.starts_ms())})
    begins_ms = {*starts_ms, *(at_ms - window_ms for at_ms in starts_ms)}
    return max(_given_nl(therapy, starts_ms, begin_ms, begin_ms + window_ms) for begin_ms in begins_ms)


def _given_nl(therapy: Therapy, starts_ms: list[int], from_ms: int, to_ms: int) -> Fraction:
    """The volume of the basal between two times of the week, of which the first may be in the last week."""
    corners_ms = [start + week for week in (-MS_PER_WEEK, 0, MS_PER_WEEK) for start in starts_ms]
    inner_ms = [from_ms, *(at_ms for at_ms in corners_ms if from_ms < at_ms < to_ms), to_ms]
    given_nl = Fraction(0)
    for begin_ms, end_ms in zip(inner_ms, inner_ms[1:], strict=False):
        given_nl += therapy.basal_nl_h(begin_ms % MS_PER_WEEK) * (end_ms - begin_ms)
    return given_nl / MS_PER_HOUR


def key_of(text: str, therapy: Therapy, at: Path = ("therapy",)) -> Path:
    """Where in the file stands what a refusal is about; the table of the therapy where it names no key."""
    match = _NAMED.match(text)
    name = match.group(1) if match else ""
    if name == "line_nl" and therapy.line_nl is not None:
        return (*at, "line")
    around = _AROUND.get(name)
    if around is not None:
        return around
    step = _STEP.match(name)
    if step is not None:
        index = int(step.group(1))
        dosed = index < len(therapy.steps) and therapy.steps[index].dose_pg_day
        return (*at, "step", index, *_leaf(step.group(2), bool(dosed)))
    table, _, rest = name.partition(".")
    if table == "patient_bolus" and rest:
        bolus = therapy.patient_bolus
        by_time = bolus is not None and bolus.rate_nl_h is None
        return (*at, table, *(("duration",) if rest == "rate" and by_time else _leaf(rest, False)))
    if table == "limit" and rest:
        return (*at, table, *_leaf(rest, False))
    if table == therapy.drug and rest:
        # A bound of the drug library: DRUG.QUANTITY.KIND.
        key = _DOSED.get(rest.split(".")[0], "concentration")
        return (*at, *(("step", 0, "dose") if key == "dose" and therapy.steps else (key,)))
    return (*at, *_leaf(name, bool(therapy.dose_pg_day)))


def _leaf(name: str, dosed: bool) -> Path:
    """The key of a table for one of the link: without its unit, and of a rate that was a dose the dose."""
    key = re.sub(r"_(nl_h|pg_nl|pg_day|nl|pg|ms|num|den)$", "", name.rstrip("."))
    return ("dose",) if key == "rate" and dosed else (key,) if key else ()


def _without_key(text: str) -> str:
    """A refusal without the key that it begins with."""
    _, colon, rest = text.partition(": ")
    return rest if colon else text


def placed(file: str, text: str, therapy: Therapy, refusals: str) -> str:
    """The refusals of a pump, with the lines of the `text` of the file that they are about; one that names no
    key is about the pump.
    """
    lines = Lines(text)
    said = []
    for refusal in refusals.split("; "):
        if _NAMED.match(refusal) is None:
            said.append(refusal)
            continue
        path = key_of(refusal, therapy)
        key = ".".join(str(part) for part in path if isinstance(part, str))
        said.append(f"{file}:{lines.of(path)}: {key}: {refusal}")
    return "\n".join(said)


def _volume_text(volume_nl: Fraction) -> str:
    """Three places in uL below 1 mL, in mL above."""
    size, unit = (1_000_000, "mL") if volume_nl >= 1_000_000 else (1_000, "uL")
    return f"{q.decimal_text(Fraction(round(volume_nl / size * 1000), 1000))} {unit}"
