"""A whole file to a checked `Scenario`, or to one `InputError` with all that is wrong."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from thecal_model import quantities as q
from thecal_model.document import Document, read_text
from thecal_model.therapy import Profile, Therapy

from thecal_bench.parameters import MOST_COMPLIANCE_LOST_PERCENT, PlantParameters
from thecal_bench.scenario import senses
from thecal_bench.scenario.events import Events
from thecal_bench.scenario.expectations import Expectations
from thecal_bench.scenario.experiment import DEFAULT_FILL_NL, Reservoir, Scenario
from thecal_bench.scenario.format import PLANT_FIELDS, TABLES, Key
from thecal_bench.scenario.rigs import rig_of
from thecal_bench.scenario.therapies import Therapies
from thecal_bench.scenario.values import duration


def load(path: str | FilePath) -> Scenario:
    """Read and check a scenario file. Raises `InputError` with all problems."""
    return parse(read_text(path), str(path))


def parse(text: str, name: str = "scenario") -> Scenario:
    """The same for a text; `name` stands for the file in messages."""
    return _read(name, Document(name, text))


def load_therapy(path: str | FilePath) -> tuple[Therapy, Profile]:
    """`[therapy]` and `[profile]` of a file that may have everything else of a scenario too, or not."""
    return therapy_of(str(path), read_text(path))


def therapy_of(name: str, text: str) -> tuple[Therapy, Profile]:
    """The same of the text of a file that is called so."""
    scenario = _read(name, Document(name, text), therapy_only=True)
    return scenario.therapy, scenario.profile


def _read(name: str, document: Document, therapy_only: bool = False) -> Scenario:
    top = dict(TABLES[""])
    if therapy_only:
        top["duration"] = Key(duration)
    sections = tuple(name for name in TABLES if name) + ("event", "expect")
    head = document.values(document.top, top, (), sections)
    duration_ms = head.get("duration", 0)
    profile = _section(document, "profile")
    rig = rig_of(document, profile["rig"]) if "rig" in profile else None
    if "rig" in profile and "mechanism" in profile:
        document.problem(("profile", "mechanism"), "expected one of rig and mechanism")
    therapies = Therapies(document)
    therapy = None
    if "therapy" in document.top:
        therapy = therapies.read(document.table("therapy", document.top), ("therapy",))
    else:
        document.problem(("therapy",), "missing; expected a table [therapy]")
    reservoir = _section(document, "reservoir")
    plant = _section(document, "plant")
    parameters = PlantParameters(**{PLANT_FIELDS[key]: value for key, value in plant.items()})
    lost_percent = parameters.most_compliance_lost_percent
    if lost_percent > MOST_COMPLIANCE_LOST_PERCENT:
        lost = q.show(lost_percent, q.RATIO)
        text = f"expected a drift that leaves a tenth of the compliance, this takes {lost} of it"
        document.problem(("plant", "compliance_drift"), text)
    events = Events(document, therapies, duration_ms).read(therapy)
    expects = Expectations(document, duration_ms, events, therapy).read()
    # An experiment knows its line, if only as the reference one; of a real one only the therapy can tell.
    line_nl = plant.get("catheter_volume", int(PlantParameters().catheter_volume_nl))
    machine = Profile(
        profile.get("max_rate"),
        rig,
        profile.get("on_low_reservoir"),
        reservoir.get("low"),
        reservoir.get("empty"),
        None if therapy_only else line_nl,
    )
    if rig is not None:
        senses.look(document, rig)
    therapies.foreknown(machine)
    document.finish()
    fill_nl = reservoir.get("fill", DEFAULT_FILL_NL)
    return Scenario(
        path=name,
        title=head.get("title", FilePath(name).stem),
        duration_ms=duration_ms,
        therapy=therapy or Therapy("stopped"),
        profile=machine,
        clock_ms=head.get("clock", 0),
        seed=head.get("seed", 1),
        reservoir=Reservoir(fill_nl) if "reservoir" in document.top else None,
        plant=parameters,
        events=tuple(events),
        expects=tuple(expects),
        therapy_line=document.line_of(("therapy",)),
    )


def _section(document: Document, name: str) -> dict[str, Any]:
    return document.values(document.table(name, document.top), TABLES[name], (name,))
