"""A rig in the words of people: what is fitted, part by part, and what goes unwatched.

`rows` shows a `thecal.rig.Rig`, from a file or as a pump read it back; `unwatched_rows` gives each code of
the firmware's table `UNWATCHED` its sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from thecal.rig import UNWATCHED, Rig, Scale

from thecal_model import quantities as q
from thecal_model.rig import LEVELS
from thecal_model.text import rate_text, volume_text

SENTENCES = {code: sentence for _, code, sentence in UNWATCHED}


def unwatched_rows(codes: Iterable[str]) -> list[tuple[str, str]]:
    """Each hazard that goes unwatched: its code, and what is not seen and what is judged instead."""
    return [(code, SENTENCES.get(code, "not watched")) for code in codes]


def unwatched_text(codes: Iterable[str]) -> str:
    """The same on one line, for where there is little room."""
    return ", ".join(code.replace("_", " ") for code in codes) or "nothing"


def uncertainty_text(rig: Rig) -> str:
    """How well the volume of a turn is known."""
    if not rig.uncertainty_nl:
        return "not calibrated by weighing"
    percent = q.decimal_text(round(Fraction(100 * rig.uncertainty_nl, rig.nl_per_rev), 2), 2)
    return f"+/- {volume_text(rig.uncertainty_nl)} ({percent} %) at 95 %"


def rows(rig: Rig) -> list[tuple[str, str]]:
    """Part and what it is, for every part; one that is not fitted is said to be missing."""
    tables = rig.tables
    said = [
        ("rig", rig.name),
        ("motor", _motor(rig)),
        ("driver", _driver(rig)),
        ("head", _head(rig)),
        ("tube", f"good for {rig.service_revs} turns or {rig.service_days} days"),
    ]
    for table, (title, words) in _PARTS.items():
        said.append((title, words(rig) if table in tables else "not fitted"))
    return said


def _motor(rig: Rig) -> str:
    motor = rig.tables["motor"]
    gear = Fraction(*motor["gear"])
    geared = "" if gear == 1 else f", gear {q.decimal_text(gear)}:1"
    steps = f"{motor['full_steps']} full steps of {motor['microsteps']} microsteps{geared}"
    return f"{steps}: {rig.steps_per_rev} microsteps a turn of the rotor, {rig.most_steps_s} a second at most"


def _driver(rig: Rig) -> str:
    driver = rig.tables["driver"]
    forward, enable = LEVELS[driver["dir_forward"]], LEVELS[driver["enable"]]
    pulse = q.show(Fraction(rig.pulse_ns, 10**6), q.TIME, "us")
    apart = f", {driver['interval_us']} us or more from step to step" if driver["interval_us"] else ""
    return f"DIR {forward} turns forward, EN {enable} lets it move, pulses of {pulse}{apart}"


def _head(rig: Rig) -> str:
    step = volume_text(Fraction(rig.nl_per_rev, rig.steps_per_rev))
    most = rate_text(rig.mechanism().max_rate_nl_h())
    volume = f"{volume_text(rig.nl_per_rev)} a turn, {uncertainty_text(rig)}"
    table = ""
    if rig.table:
        ripple = q.decimal_text(round(Fraction(max(rig.table) - min(rig.table), 1_000), 1), 1)
        table = f", evened out by a table of {len(rig.table)} places within {ripple} % of a pitch"
    return f"{volume}; {step} a microstep, {most} at most; {rig.rollers} rollers{table}"


def _pressure(scale: Scale | None) -> str:
    assert scale is not None  # the table is there
    per_code = q.show(round(Fraction(scale.num, scale.den), 2), q.PRESSURE)
    least, most = (q.show(pa, q.PRESSURE, "kPa") for pa in (scale.least, scale.most))
    return f"code {scale.zero_code} at the room's pressure, {per_code} a code, {least} to {most}"


def _supply(rig: Rig) -> str:
    supply = rig.tables["supply"]
    low, critical, most = (
        q.show(Fraction(supply[key], 1000), q.VOLTAGE) for key in ("low_mv", "critical_mv", "most_mv")
    )
    return f"low below {low}, stops below {critical}, broken above {most}"


def _button(rig: Rig, table: str) -> str:
    keys = rig.tables[table]
    return f"{LEVELS[keys['level']]} while pressed, bounces for {keys['debounce_ms']} ms"


_PARTS: dict[str, tuple[str, Callable[[Rig], str]]] = {
    "fault": ("driver's fault", lambda rig: f"{LEVELS[rig.tables['fault']['level']]} while there is one"),
    "step": ("STEP", lambda rig: f"counted at {_COUNTED[rig.step_at_pad]}"),
    "encoder": ("encoder", lambda rig: f"{rig.encoder_pulses_per_rev} pulses a turn of the rotor"),
    "index": ("index", lambda _rig: "one mark a turn of the rotor"),
    "pressure_down": ("pressure down", lambda rig: _pressure(rig.pressure_down)),
    "pressure_up": ("pressure up", lambda rig: _pressure(rig.pressure_up)),
    "supply": ("supply", _supply),
    "air": ("air", lambda rig: f"{LEVELS[rig.tables['air']['level']]} while there is air"),
    "sounder": ("sounder", lambda rig: f"{_TELLS[rig.sounder_sensed]} tells whether it sounds"),
    "button_stop": ("STOP button", lambda rig: _button(rig, "button_stop")),
    "button_patient": ("patient's button", lambda rig: _button(rig, "button_patient")),
}
_COUNTED = {True: "the chip's own pin", False: "a wire from the driver"}
_TELLS = {True: "a wire", False: "nobody"}
